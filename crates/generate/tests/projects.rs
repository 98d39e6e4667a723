//! Projects as tools' users have them, made into DatabaseMigrations: the chain, the words of what is wrong, and
//! manifests that `lint` finds nothing wrong with.

#![expect(clippy::unwrap_used, reason = "it is a test")]

use std::path::{Path, PathBuf};

use dbop_api::DatabaseMigration;
use dbop_generate::liquibase::By;
use dbop_generate::manifests::{self, Settings};
use dbop_generate::{Chain, GenerateError, Tool, alembic, flyway, liquibase, sql};

fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/projects")
        .join(name)
}

fn settings(image: &str) -> Settings {
    Settings {
        image: image.to_owned(),
        namespace: Some("shop".to_owned()),
        change_log: None,
        from_empty: false,
        engine: None,
    }
}

/// The objects, as whoever applies them reads them; all of them are free of what `lint` would say.
#[track_caller]
fn objects(tool: Tool, chain: &Chain, settings: &Settings) -> Vec<DatabaseMigration> {
    let yaml = manifests::yaml(tool, chain, settings).unwrap();
    assert_eq!(
        yaml,
        manifests::yaml(tool, chain, settings).unwrap(),
        "the same files, the same bytes"
    );
    let objects: Vec<DatabaseMigration> = yaml
        .split("---\n")
        .skip(1)
        .map(|document| {
            let value: serde_json::Value = serde_saphyr::from_str(document).unwrap();
            dbop_api::parse_database_migration(value).unwrap()
        })
        .collect();
    let wrong = dbop_api::lint(&[], &objects);
    // Without a database nobody reaches them, and nothing else is to be said.
    for refusal in &wrong {
        let text = refusal.to_string();
        assert!(text.contains("no ManagedDatabase"), "{text}");
    }
    objects
}

/// `name = version after previous` of each.
#[track_caller]
fn lines(tool: Tool, chain: &Chain) -> Vec<String> {
    objects(tool, chain, &settings("shop:{name}"))
        .iter()
        .map(|object| {
            let name = object.metadata.name.as_deref().unwrap();
            let spec = &object.spec;
            let version = spec.version.as_deref().unwrap();
            let previous = spec.previous.as_deref().unwrap_or("nothing");
            let from_empty = if spec.from_empty { ", from empty" } else { "" };
            assert_eq!(
                spec.container.image.as_deref(),
                Some(&*format!("shop:{name}"))
            );
            format!("{name} = {version} after {previous}{from_empty}")
        })
        .collect()
}

#[track_caller]
fn refused(result: Result<Chain, GenerateError>, says: &str) {
    let error = result.unwrap_err();
    let text = format!("{error}; {}", error.way_out().unwrap_or_default());
    assert!(text.contains(says), "{text}");
}

#[test]
fn alembic_s_branches_are_passed_at_once() {
    let chain = alembic::read(&project("alembic"), None).unwrap();
    assert_eq!(
        lines(Tool::Alembic, &chain),
        [
            "3f1c0a9d5e21-create-users = 3f1c0a9d5e21 after nothing",
            "c0ffee-merge = c0ffee after 3f1c0a9d5e21-create-users",
            "d00d-add-phone = d00d after c0ffee-merge",
        ]
    );
    assert_eq!(
        chain.notes,
        ["2 revisions of branches run on the way to the step that merges them"]
    );
    // Up to another revision, the branch is a line of its own.
    let chain = alembic::read(&project("alembic"), Some("8b7e")).unwrap();
    assert_eq!(
        lines(Tool::Alembic, &chain),
        [
            "3f1c0a9d5e21-create-users = 3f1c0a9d5e21 after nothing",
            "8b7e64c1d0f2-add-email = 8b7e64c1d0f2 after 3f1c0a9d5e21-create-users",
        ]
    );
}

#[test]
fn alembic_s_heads_are_one_or_named() {
    let heads = project("alembic-heads");
    refused(
        alembic::read(&heads, None),
        "there are several heads: 2 (2_b.py), 3 (3_c.py); merge them (`alembic merge heads`), or name one \
         with --head",
    );
    let chain = alembic::read(&heads, Some("3")).unwrap();
    assert_eq!(
        lines(Tool::Alembic, &chain),
        ["1-a = 1 after nothing", "3-c = 3 after 1-a"]
    );
    refused(alembic::read(&heads, Some("4")), "no script is revision 4");
    refused(
        alembic::read(&project("sql"), None),
        "holds no script with a revision",
    );
    refused(
        alembic::read(&project("nowhere"), None),
        "nowhere cannot be read",
    );
}

#[test]
fn alembic_s_settings_may_be_those_of_an_installed_package() {
    let chain = alembic::read(&project("alembic-package"), None).unwrap();
    assert_eq!(lines(Tool::Alembic, &chain), ["1-a = 1 after nothing"]);
}

#[test]
fn an_empty_database_may_go_straight_to_the_newest() {
    let chain = flyway::read(&project("flyway")).unwrap();
    let settings = Settings {
        from_empty: true,
        ..settings("i")
    };
    let from_empty: Vec<bool> = objects(Tool::Flyway, &chain, &settings)
        .iter()
        .map(|object| object.spec.from_empty)
        .collect();
    // The fourth by its baseline migration.
    assert_eq!(from_empty, [false, false, false, true, true]);
}

#[test]
fn flyway_s_versions_are_numbers() {
    let chain = flyway::read(&project("flyway")).unwrap();
    assert_eq!(
        lines(Tool::Flyway, &chain),
        [
            "1-init = 1 after nothing",
            "1.2-add-email = 1.2 after 1-init",
            "1.10-late = 1.10 after 1.2-add-email",
            "2-orders = 2 after 1.10-late, from empty",
            "3-backfill = 3 after 2-orders",
        ]
    );
    assert_eq!(
        chain.notes,
        ["2 repeatable and undo migrations are no versions"]
    );
    let first = &objects(Tool::Flyway, &chain, &settings("i"))[0];
    let env = first.spec.container.env.clone().unwrap();
    assert!(env.iter().any(|one| one.name == "FLYWAY_TARGET"
        && one.value.as_deref() == Some("$(DBA_OP_TARGET_VERSION)")));
    assert_eq!(first.metadata.namespace.as_deref(), Some("shop"));
    refused(
        flyway::read(&project("flyway-twice")),
        "V1_0__b.sql and V1__a.sql have the same version 1",
    );
    refused(
        flyway::read(&project("sql")),
        "holds no migration named V<version>__",
    );
}

#[test]
fn sql_files_are_in_the_order_of_dbop_migrate() {
    let chain = sql::read(&project("sql")).unwrap();
    assert_eq!(
        lines(Tool::Sql, &chain),
        [
            "1-init = 1 after nothing",
            "2-add-email = 2 after 1-init",
            "10-add-phone = 10 after 2-add-email",
        ]
    );
    refused(
        sql::read(&project("flyway")),
        "its name is not NUMBER_description.sql",
    );
}

#[test]
fn liquibase_s_tags_are_versions() {
    let root = project("liquibase");
    let chain = liquibase::read(&root, "root.xml", By::Tag).unwrap();
    assert_eq!(
        lines(Tool::LiquibaseTags, &chain),
        [
            "1.0 = 1.0 after nothing",
            "2.0 = 2.0 after 1.0",
            "3.0 = 3.0 after 2.0",
        ]
    );
    assert_eq!(
        chain.notes,
        ["1 change set stands after the last tag: no version has it until a tag follows"]
    );
    refused(
        liquibase::read(&root, "changelog/phone.json", By::Tag),
        "changelog/phone.json and what it includes set no tag",
    );
    let settings = Settings {
        change_log: Some("root.xml".to_owned()),
        ..settings("i")
    };
    let first = &objects(Tool::LiquibaseTags, &chain, &settings)[0];
    let env = first.spec.container.env.clone().unwrap();
    let change_log = env
        .iter()
        .find(|one| one.name == "LIQUIBASE_COMMAND_CHANGELOG_FILE");
    assert_eq!(change_log.unwrap().value.as_deref(), Some("root.xml"));
}

#[test]
fn liquibase_s_change_sets_are_versions_of_an_image_each() {
    let root = project("liquibase");
    let chain = liquibase::read(&root, "./root.xml", By::ChangeSet).unwrap();
    let versions: Vec<&str> = chain
        .steps
        .iter()
        .map(|step| step.version.as_str())
        .collect();
    assert_eq!(
        versions,
        [
            "root.xml::users::ada",
            "root.xml::v1::ada",
            "db/orders.yaml::orders::bob",
            "db/orders.yaml::2::bob",
            "changelog/phone.json::phone::eve",
            "changelog/all/1.sql::sql-1::ada",
            "changelog/all/2.xml::v3::ada",
            "changelog/all/2.xml::more::ada",
        ]
    );
    assert_eq!(chain.notes.len(), 2, "{:?}", chain.notes);
    assert_eq!(
        lines(Tool::LiquibaseChangeSets, &chain)[0],
        "root.xml-users-ada = root.xml::users::ada after nothing"
    );
    let error = manifests::yaml(Tool::LiquibaseChangeSets, &chain, &settings("one:1")).unwrap_err();
    assert!(
        error
            .way_out()
            .unwrap()
            .contains("put {name} into the image's name"),
        "{error}"
    );
}

#[test]
fn what_is_wrong_with_a_change_log_has_its_file_and_line() {
    let root = project("liquibase");
    let read = |file: &str| liquibase::read(&root, file, By::Tag);
    refused(read("broken.xml"), "broken.xml:3: it is no XML");
    refused(read("broken.yaml"), "broken.yaml:2: it is no YAML");
    refused(read("missing.xml"), "missing.xml:4: there is no file");
    refused(
        read("circle.xml"),
        "broken2.xml:2: circle.xml includes itself",
    );
    refused(read("nowhere.xml"), "nowhere.xml: there is no file");
}
