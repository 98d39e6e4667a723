//! Directories as people write them.

use super::*;
use crate::scratch::Scratch;

const MIGRATION: &str = "
apiVersion: database-operator.dev/v1alpha1
kind: DatabaseMigration
metadata: { name: v1, namespace: shop }
spec:
  container: { name: migrate, image: shop/migrate:1, command: [migrate] }
";

const DATABASE: &str = "
apiVersion: database-operator.dev/v1alpha1
kind: ManagedDatabase
metadata: { name: shop, namespace: shop }
spec:
  connection: { dsnSecret: { name: admin } }
  desiredSchemaVersion: v1
  schemaVersion: { engine: Alembic }
";

fn read(scratch: &Scratch) -> Manifests {
    Manifests::read(
        scratch.path(),
        &scratch.path().join("state"),
        Runtime::Process,
    )
}

fn id(name: &str) -> ObjectRef {
    ObjectRef::new("shop", name).unwrap()
}

#[track_caller]
fn problems(manifests: &Manifests, expect: &[&str]) {
    let found: Vec<String> = manifests.problems.iter().map(ToString::to_string).collect();
    assert_eq!(found, expect);
}

#[test]
fn yaml_files_are_read_wherever_they_stand_but_in_hidden_places() {
    let scratch = Scratch::new();
    scratch.write("a/b/shop.yml", &format!("{DATABASE}---{MIGRATION}"));
    scratch.write(".git/v2.yaml", "not: [read");
    scratch.write("state/v3.yaml", "not: [read");
    scratch.write("notes.txt", "not: [read");
    std::os::unix::fs::symlink("/nowhere", scratch.path().join(".#lock.yaml")).unwrap();
    let manifests = read(&scratch);
    problems(&manifests, &[]);
    assert_eq!(
        manifests.databases.keys().collect::<Vec<_>>(),
        [&id("shop")]
    );
    assert_eq!(manifests.migrations.keys().collect::<Vec<_>>(), [&id("v1")]);
    assert_eq!(manifests.migrations_in("shop").count(), 1);
    assert_eq!(manifests.migrations_in("other").count(), 0);
}

#[test]
fn documents_of_other_kinds_are_named_and_skipped() {
    let scratch = Scratch::new();
    scratch.write(
        "a.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n---\njust: data\n---\n- 1\n---\n\
         apiVersion: other.dev/v1\nkind: Secret\n",
    );
    let skipped: Vec<String> = read(&scratch)
        .skipped
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        skipped,
        [
            "a.yaml:1: Service web is skipped",
            "a.yaml:5: a document without a kind is skipped",
            "a.yaml:7: a document without a kind is skipped",
            "a.yaml:9: Secret is skipped",
        ]
    );
}

#[test]
fn all_problems_are_told_at_once_and_show_no_secret() {
    let scratch = Scratch::new();
    scratch.write("1.yaml", "a: b\nc: [\n");
    scratch.write("2.yaml", &DATABASE.replace("Alembic", "Atlas"));
    scratch.write(
        "3.yaml",
        &MIGRATION.replace(
            "command: [migrate]",
            "volumeMounts: [{name: a, mountPath: /a}]",
        ),
    );
    scratch.write(
        "4.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: admin, namespace: shop}\n\
         data: {dsn: '%canary%'}\nstringData: {port: 5432}\n",
    );
    scratch.write(
        "5.yaml",
        &format!("{MIGRATION}---{MIGRATION}").replace("v1,", "v2,"),
    );
    scratch.write("6.yaml", &MIGRATION.replace("v1,", "v2,"));
    let manifests = read(&scratch);
    let found: Vec<String> = manifests.problems.iter().map(ToString::to_string).collect();
    let all = found.join("\n");
    for expect in [
        "the file is no YAML",
        "(1.yaml:",
        "ManagedDatabase shop/shop: spec.schemaVersion.engine: ",
        "DatabaseMigration shop/v1: spec.container.command: is missing, and a directory's migrations \
         run as processes; name the command, or run the image with --runtime podman or docker (3.yaml:2)",
        "DatabaseMigration shop/v1: spec.container.volumeMounts: is not supported in a directory",
        "Secret shop/admin: data.dsn: is not base64; encode it, or write it as it is under stringData \
         (4.yaml:1)",
        "Secret shop/admin: stringData.port: is no text; put the value in quotes (4.yaml:1)",
        "DatabaseMigration shop/v2: stands in 5.yaml:2 as well; give one of the two another name, or \
         drop it (5.yaml:8)",
        "DatabaseMigration shop/v2: stands in 5.yaml:2 as well; give one of the two another name, or \
         drop it (6.yaml:2)",
    ] {
        assert!(all.contains(expect), "{expect}\nis not in\n{all}");
    }
    assert!(!all.contains("canary"), "{all}");
}

#[test]
fn a_problem_concerns_those_who_depend_on_it() {
    let scratch = Scratch::new();
    scratch.write("shop.yaml", &format!("{DATABASE}---{MIGRATION}"));
    scratch.write(
        "crm.yaml",
        &DATABASE
            .replace("name: shop,", "name: crm,")
            .replace("Alembic", "X"),
    );
    let elsewhere = ObjectRef::new("elsewhere", "shop").unwrap();
    let count = |manifests: &Manifests| {
        [&id("shop"), &id("crm"), &elsewhere].map(|id| manifests.problems_of(id).len())
    };
    assert_eq!(
        count(&read(&scratch)),
        [0, 1, 0],
        "a database's own faults are its own"
    );
    scratch.write("v2.yaml", &MIGRATION.replace("name: v1", "name: V2"));
    assert_eq!(
        count(&read(&scratch)),
        [1, 2, 0],
        "a migration belongs to its namespace"
    );
    scratch.write("half.yaml", "a: [");
    assert_eq!(
        count(&read(&scratch)),
        [2, 3, 1],
        "nobody knows what a broken file holds"
    );
}

#[test]
fn secrets_are_read_as_an_api_server_reads_them() {
    let scratch = Scratch::new();
    scratch.write(
        "s.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: admin, namespace: shop}\ndata:\n  \
         a: b25l\n  b: b2xk\n  bytes: //79\n  wrapped: |\n    b25l\n    b25l\nstringData: {b: new}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf, namespace: shop}\ndata: {k: 'yes'}\n",
    );
    let manifests = read(&scratch);
    problems(&manifests, &[]);
    let secret = &manifests.secrets[&id("admin")];
    let get = |key: &str| {
        secret
            .get(key)
            .map(|v| secrecy::ExposeSecret::expose_secret(v).to_owned())
    };
    assert_eq!(get("a").as_deref(), Some("one"));
    assert_eq!(get("b").as_deref(), Some("new"));
    assert_eq!(get("wrapped").as_deref(), Some("oneone"));
    assert_eq!(get("bytes"), None);
    assert_eq!(manifests.config_maps[&id("conf")].data["k"], "yes");
    assert!(!format!("{manifests:?}").contains("oneone"));
}

#[test]
fn changes_are_noticed_and_nothing_else() {
    let scratch = Scratch::new();
    let state = scratch.path().join(".dbop");
    let mut reader = Reader::new(scratch.path(), &state, Runtime::Process);
    let old = Timestamp::MAX;
    scratch.write("shop.yaml", DATABASE);
    let first = reader.refresh(old);
    assert_eq!(first.databases.len(), 1);
    assert!(Arc::ptr_eq(&first, &reader.refresh(old)));
    // A file written again with the same content is no change.
    scratch.write("shop.yaml", DATABASE);
    assert!(Arc::ptr_eq(&first, &reader.refresh(old)));
    scratch.write("v1.yaml", MIGRATION);
    let second = reader.refresh(old);
    assert_eq!(second.migrations.len(), 1);
    scratch.write("v1.yaml", "a: [");
    assert_eq!(reader.refresh(old).problems.len(), 1);
    std::fs::remove_file(scratch.path().join("v1.yaml")).unwrap();
    let third = reader.refresh(old);
    assert_eq!((third.migrations.len(), third.problems.len()), (0, 0));
    std::fs::remove_dir_all(scratch.path()).unwrap();
    let gone = reader.refresh(old);
    assert!(
        gone.problems[0]
            .to_string()
            .starts_with("the directory cannot be read")
    );
}
