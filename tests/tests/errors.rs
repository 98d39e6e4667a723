//! What goes wrong: each time one sentence that names what and where, then the way out; the exit status of
//! the contract; and nothing changed that should not be.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::path::Path;
use std::time::Duration;

use dbop_tests::local::{
    Directory, Finished, Site, Step, managed_database, migration, secret, until,
};
use dbop_tests::{TestServer, majors, on_each, server};
use serde_json::json;
use tokio_postgres::{Client, Config, NoTls};

const CREATE: &str = "CREATE TABLE customers (id bigserial PRIMARY KEY, name text);";
const ADD_PHONE: &str = "ALTER TABLE customers ADD COLUMN phone text;";

/// A site with two steps, on one server: what follows does not depend on the server's version.
async fn site(prefix: &str) -> Site {
    let newest = majors().into_iter().max().expect("there is a server");
    site_on(&server(newest), prefix).await
}

async fn site_on(server: &TestServer, prefix: &str) -> Site {
    let site = Site::new(server, prefix).await;
    site.steps(0, &[Step::new(CREATE), Step::new(ADD_PHONE)]);
    site
}

/// Runs `local`, which must end with this status, say this, and change nothing.
async fn refused(site: &Site, status: i32, sentence: &str) -> Finished {
    let before = site.snapshot().await;
    let ended = site.directory.local().await;
    ended.exits(status).says(sentence);
    before.is_still(&site.snapshot().await);
    ended
}

/// Once what was wrong is put right, the same directory walks.
async fn goes_on(site: &Site, to: &str) {
    site.directory.local().await.exits(0);
    assert_eq!(site.status()["currentVersion"], to, "{:#}", site.status());
}

/// A connection as the admin, by whom a database was used before the operator came.
async fn as_admin(site: &Site) -> Client {
    let config: Config = site.database.admin_dsn().parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn address(site: &Site) -> String {
    let (host, port) = site.database.server().address();
    format!("{host}:{port}")
}

#[tokio::test]
async fn a_wrong_password() {
    on_each(async |server| {
        let site = site_on(&server, "error_password").await;
        let admin = site.database.admin().to_owned();
        site.set_dsn(&site.database.dsn(&admin, "wrong"));
        let sentence = format!(
            "cannot log in to {} as '{admin}': the server refused the login or its password (28P01)",
            address(&site)
        );
        refused(&site, 1, &sentence).await;
        site.set_dsn(&site.database.admin_dsn());
        goes_on(&site, "v1").await;
    })
    .await;
}

#[tokio::test]
async fn an_unreachable_server() {
    let site = site("error_unreachable").await;
    site.set_dsn("postgresql://admin:secret@127.0.0.1:1/shop");
    let ended = refused(&site, 1, "cannot reach 127.0.0.1:1: Connection refused").await;
    assert!(
        ended.took < Duration::from_secs(20),
        "it is told soon: {ended}"
    );
    site.set_dsn(&site.database.admin_dsn());
    goes_on(&site, "v1").await;
}

#[tokio::test]
async fn a_database_that_does_not_exist() {
    let site = site("error_nodatabase").await;
    let dsn = site
        .database
        .admin_dsn()
        .replace(site.database.name(), "no_such_database");
    // The admin is named after the database too, so only the last part is meant.
    let dsn = dsn.replace("no_such_database_admin", site.database.admin());
    site.set_dsn(&dsn);
    let sentence = format!(
        "database 'no_such_database' does not exist on {}",
        address(&site)
    );
    refused(&site, 1, &sentence).await;
}

#[tokio::test]
async fn a_dsn_that_cannot_be_read() {
    let site = site("error_dsn").await;
    site.set_dsn("mysql://admin:hunter2@db/shop");
    let ended = refused(
        &site,
        1,
        "names scheme 'mysql'; it must start with postgresql://",
    )
    .await;
    ended.does_not_say("hunter2");
}

#[tokio::test]
async fn no_admin_secret() {
    let site = site("error_nosecret").await;
    let name = format!("{}-admin", site.name);
    site.directory.remove("Secret", &name);
    refused(&site, 1, &name).await;
    site.directory.put(&secret(&name, &[("url", "x")]));
    let ended = refused(&site, 1, &name).await;
    ended.says("dsn");
    site.set_dsn(&site.database.admin_dsn());
    goes_on(&site, "v1").await;
}

#[tokio::test]
async fn a_missing_privilege() {
    on_each(async |server| {
        let site = site_on(&server, "error_privilege").await;
        let superuser = site.database.superuser().await;
        let admin = site.database.admin().to_owned();
        superuser
            .batch_execute(&format!("ALTER ROLE {admin} NOCREATEROLE"))
            .await
            .unwrap();
        refused(
            &site,
            3,
            "the admin may not make logins and roles (what helps: ALTER ROLE",
        )
        .await;
        assert!(site.directory.job_logs().is_empty());
        let helps = site.helps();
        assert_eq!(helps.len(), 1, "{helps:?}");
        superuser.batch_execute(&helps[0]).await.unwrap();
        goes_on(&site, "v1").await;
    })
    .await;
}

#[tokio::test]
async fn a_version_that_no_migration_has() {
    on_each(async |server| {
        let site = site_on(&server, "error_unknown").await;
        goes_on(&site, "v1").await;
        let superuser = site.database.superuser().await;
        let set = |version: i32| format!("UPDATE _sqlx_migrations SET version = {version}");
        superuser.batch_execute(&set(77)).await.unwrap();
        site.desire("v2");
        refused(
            &site,
            3,
            "the database is at version 77, which no migration of this chain has (known: v1, v2); create \
             that migration, or restore the version",
        )
        .await;
        assert_eq!(site.status()["currentVersion"], "77");
        superuser.batch_execute(&set(1)).await.unwrap();
        goes_on(&site, "v2").await;
    })
    .await;
}

#[tokio::test]
async fn tables_without_a_version() {
    on_each(async |server| {
        let site = site_on(&server, "error_tables").await;
        let admin = as_admin(&site).await;
        admin
            .batch_execute("CREATE TABLE things (id int)")
            .await
            .unwrap();
        refused(
            &site,
            3,
            "the database has tables but no schema version; record the version",
        )
        .await;
        admin.batch_execute("DROP TABLE things").await.unwrap();
        goes_on(&site, "v1").await;
    })
    .await;
}

#[tokio::test]
async fn a_circle_of_previous() {
    on_each(async |server| {
        let site = site_on(&server, "error_cycle").await;
        goes_on(&site, "v1").await;
        let files = &site.directory;
        files.put(&migration("w2", Some("w3"), &["true"]));
        files.put(&migration("w3", Some("w2"), &["true"]));
        site.desire("w3");
        let sentence = "name each other as previous, in a circle; delete one of them and create it again \
                        with the right previous";
        let ended = refused(&site, 3, sentence).await;
        ended.says("w2").says("w3");
        files.remove("DatabaseMigration", "w2");
        refused(&site, 3, "DatabaseMigration w3 names w2 as its previous, which does not exist; create w2")
            .await;
        site.desire("v2");
        goes_on(&site, "v2").await;
    })
    .await;
}

#[tokio::test]
async fn a_desired_migration_that_does_not_exist() {
    let site = site("error_desired").await;
    site.desire("v9");
    refused(
        &site,
        3,
        "desiredSchemaVersion names DatabaseMigration v9, which does not exist; create it, or name another",
    )
    .await;
}

#[tokio::test]
async fn two_migrations_of_one_version() {
    let site = site("error_ambiguous").await;
    goes_on(&site, "v1").await;
    let twin = migration("v1b", Some("v1"), &["true"]).set("/spec/version", "1");
    site.directory.put(&twin);
    site.desire("v1b");
    let ended = refused(
        &site,
        3,
        "all have version 1; give each a version of its own",
    )
    .await;
    ended.says("v1, v1b");
}

/// A migration that leaves a trace of each of its runs.
fn traced(name: &str, previous: &str, script: &str) -> dbop_tests::local::Object {
    let script = format!("echo run >> runs.txt; {script}");
    migration(name, Some(previous), &["sh", "-c", &script]).set("/spec/version", "2")
}

fn times_run(directory: &Directory) -> usize {
    let text = std::fs::read_to_string(directory.path().join("runs.txt")).unwrap_or_default();
    text.lines().count()
}

#[tokio::test]
async fn a_failing_migration_runs_again_only_when_somebody_says_so_or_changes_it() {
    on_each(async |server| {
        let site = site_on(&server, "error_failing").await;
        goes_on(&site, "v1").await;
        let files = &site.directory;
        files.put(&traced("v2", "v1", "echo the disk is on fire >&2; exit 7"));
        site.desire("v2");
        let ended = files.local().await;
        ended
            .exits(4)
            .says("the run of v2 that ended at")
            .says("failed with exit status 7")
            .says("change v2, or say retry");
        let status = site.status();
        assert_eq!(status["lastRun"]["outcome"], "Failed", "{status:#}");
        assert_eq!(status["lastRun"]["exitCode"], 7, "{status:#}");
        assert_eq!(status["currentVersion"], "v1", "{status:#}");
        site.has_credentials(&["v1"]).await;
        let logs: String = files.job_logs().into_values().collect();
        assert!(logs.contains("the disk is on fire"), "{logs}");

        // By itself it never runs again, and the database stays as it is.
        refused(&site, 4, "failed with exit status 7").await;
        assert_eq!(times_run(files), 1);
        let door = site.database.superuser().await;
        let open = door
            .query_one(
                "SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolname LIKE $1",
                &[&format!("{}%migrator", site.name)],
            )
            .await
            .unwrap();
        assert_eq!(
            open.get::<_, i64>(0),
            0,
            "nobody can log in as the migrator"
        );

        files.ask(&["retry", &site.name]).await.exits(0);
        files.local().await.exits(4);
        assert_eq!(times_run(files), 2);
        refused(&site, 4, "failed with exit status 7").await;
        assert_eq!(times_run(files), 2, "a word counts once");

        // Changed, it runs without a word.
        site.steps(1, &[Step::new(ADD_PHONE)]);
        goes_on(&site, "v2").await;
        assert_eq!(times_run(files), 2);
        site.has_credentials(&["v1", "v2"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_migration_that_does_not_move_the_version() {
    on_each(async |server| {
        let site = site_on(&server, "error_unmoved").await;
        goes_on(&site, "v1").await;
        let files = &site.directory;
        files.put(&traced("v2", "v1", "true"));
        site.desire("v2");
        let ended = files.local().await;
        ended
            .exits(4)
            .says("succeeded, but the database did not show its version")
            .says("change v2, or say retry");
        assert_eq!(site.status()["lastRun"]["outcome"], "VersionNotReached");
        assert_eq!(site.status()["currentVersion"], "v1");
        refused(
            &site,
            4,
            "succeeded, but the database did not show its version",
        )
        .await;
        assert_eq!(times_run(files), 1);
        site.has_credentials(&["v1"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_run_that_moved_the_version_and_failed_can_be_accepted() {
    on_each(async |server| {
        let site = site_on(&server, "error_accept").await;
        goes_on(&site, "v1").await;
        let files = &site.directory;
        let program = dbop_tests::binary("dbop-migrate");
        let script = format!("{} --dir migrations && exit 9", program.display());
        files.put(&traced("v2", "v1", &script));
        site.desire("v2");
        files.local().await.exits(4).says("failed with exit status 9").says(
            "the database shows its version all the same: say retry to run it again, or accept-run to go on",
        );
        refused(&site, 4, "failed with exit status 9").await;
        files.ask(&["accept-run", &site.name]).await.exits(0);
        goes_on(&site, "v2").await;
        assert_eq!(times_run(files), 1);
        assert_eq!(site.status()["lastRun"]["outcome"], "Accepted");
        site.has_credentials(&["v1", "v2"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_command_that_does_not_exist() {
    let site = site("error_command").await;
    goes_on(&site, "v1").await;
    let missing = migration("v2", Some("v1"), &["no-such-program"]).set("/spec/version", "2");
    site.directory.put(&missing);
    site.desire("v2");
    let ended = site.directory.local().await;
    ended.exits(4).says("no-such-program");
    refused(&site, 4, "no-such-program").await;
    site.steps(1, &[Step::new(ADD_PHONE)]);
    goes_on(&site, "v2").await;
}

#[tokio::test]
async fn a_container_without_a_command() {
    let site = site("error_nocommand").await;
    goes_on(&site, "v1").await;
    let image = migration("v2", Some("v1"), &[])
        .set("/spec/version", "2")
        .set(
            "/spec/container",
            json!({ "name": "m", "image": "registry.example.com/migrate:1" }),
        );
    site.directory.put(&image);
    site.desire("v2");
    let ended = site.directory.local().await;
    ended.says("command").says("v2");
    assert_ne!(ended.status, Some(0), "{ended}");
    assert_eq!(site.status()["currentVersion"], "v1");
}

#[tokio::test]
async fn a_second_owner() {
    on_each(async |server| {
        let site = site_on(&server, "error_owner").await;
        goes_on(&site, "v1").await;
        let application = site.published("v1");

        // The same manifests elsewhere: another owner, of equal name.
        let other = Directory::new("error_owner");
        for (kind, name) in [
            ("ManagedDatabase", site.name.as_str()),
            ("Secret", &format!("{}-admin", site.name)),
            ("DatabaseMigration", "v1"),
            ("DatabaseMigration", "v2"),
        ] {
            other.put(&site.directory.get(kind, name));
        }
        let before = site.snapshot().await;
        let ended = other.local().await;
        ended.exits(3).says(&format!(
            "the database belongs to ManagedDatabase default/{}",
            site.name
        ));
        ended.says(
            "delete that object, or set the annotation database-operator.dev/take-over on this one",
        );
        before.is_still(&site.snapshot().await);
        assert!(other.secrets().is_empty());

        let annotations = json!({ "database-operator.dev/take-over": "true" });
        other.change(
            "ManagedDatabase",
            &site.name,
            "/metadata/annotations",
            annotations,
        );
        other.local().await.exits(0);
        let taken = other.secret(&site.secret_name("v1")).unwrap();
        assert_eq!(
            taken.get("username"),
            application.get("username"),
            "names outlive their owner"
        );
        taken.connect().await.unwrap();
        // Now the first one is the stranger.
        site.directory
            .local()
            .await
            .exits(3)
            .says("the database belongs to");
    })
    .await;
}

#[tokio::test]
async fn a_foreign_secret_is_not_touched() {
    let site = site("error_secret").await;
    let name = site.secret_name("v1");
    let folder = site.directory.secret_folder(&name);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("password"), "of somebody else").unwrap();
    let ended = refused(&site, 3, &format!("Secret {name}")).await;
    ended.says("exists and is not ours; nothing of it was changed: rename or remove it");
    std::fs::remove_dir_all(&folder).unwrap();
    goes_on(&site, "v1").await;
}

#[tokio::test]
async fn a_foreign_login_is_not_touched() {
    on_each(async |server| {
        let site = site_on(&server, "error_login").await;
        goes_on(&site, "v1").await;
        let of_v1 = site.published("v1").get("username").to_owned();
        let login = of_v1.replace("_v1_", "_v2_");
        let superuser = site.database.superuser().await;
        superuser
            .batch_execute(&format!(
                "CREATE ROLE \"{login}\" LOGIN PASSWORD 'of somebody else'"
            ))
            .await
            .unwrap();
        site.desire("v2");
        let before = site.snapshot().await;
        let ended = site.directory.local().await;
        ended.exits(3).says(&login).says("exists and is not ours");
        before.is_still(&site.snapshot().await);
        superuser
            .batch_execute(&format!("DROP ROLE \"{login}\""))
            .await
            .unwrap();
        goes_on(&site, "v2").await;
    })
    .await;
}

#[tokio::test]
async fn several_heads() {
    let site = site("error_heads").await;
    site.set("/spec/schemaVersion/engine", "Alembic");
    let tool = as_admin(&site).await;
    tool.batch_execute(
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
             INSERT INTO alembic_version VALUES ('aaaa'), ('bbbb')",
    )
    .await
    .unwrap();
    refused(
        &site,
        3,
        "the database records several versions at once (aaaa, bbbb); merge the heads with the migration \
         tool",
    )
    .await;
}

#[tokio::test]
async fn a_half_applied_version() {
    let site = site("error_dirty").await;
    goes_on(&site, "v1").await;
    let superuser = site.database.superuser().await;
    superuser
        .batch_execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (2, 'x', false, '', 0)",
        )
        .await
        .unwrap();
    site.desire("v2");
    refused(&site, 3, "version 2 is half applied").await;
}

#[tokio::test]
async fn manifests_that_cannot_be_read() {
    let site = site("error_yaml").await;
    site.directory
        .write("broken.yaml", "apiVersion: v1\nkind: Secret\nmetadata: [\n");
    refused(&site, 1, "broken.yaml").await;
    site.directory.write(
        "broken.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n",
    );
    let manifest = site.directory.get("ManagedDatabase", &site.name);
    site.directory
        .put(&manifest.clone().set("/spec/desiredSchemaVersoin", "v1"));
    refused(
        &site,
        1,
        "spec.desiredSchemaVersoin: is no field of this kind",
    )
    .await
    .says("did you mean desiredSchemaVersion?");
    site.directory
        .put(&manifest.set("/spec/credentials/quietWindow", "soon"));
    let ended = refused(&site, 1, "'soon' is no duration").await;
    ended.says(&format!("ManagedDatabase default/{}", site.name));
}

#[tokio::test]
async fn one_name_twice() {
    let site = site("error_twice").await;
    let again = managed_database(&site.name, "v2");
    site.directory.write("again.yaml", &again.yaml());
    let ended = refused(&site, 1, &site.name).await;
    ended.says("again.yaml");
}

#[tokio::test]
async fn a_second_local_at_the_same_time() {
    let site = site("error_busy").await;
    let first = site.directory.start(&["--watch"]);
    until(
        "the first one is at rest",
        Duration::from_secs(60),
        async || site.summary() == "at rest",
    )
    .await;
    let sentence = format!(
        "another `local` (process {}) works on the state directory",
        first.id()
    );
    refused(&site, 1, &sentence).await.says("--state");
    // To look is never refused.
    site.directory.ask(&["plan"]).await.exits(0);
    site.directory.ask(&["status"]).await.exits(0);
    first.stop(Duration::from_secs(30)).await;
    goes_on(&site, "v1").await;
}

#[tokio::test]
async fn a_directory_that_is_none() {
    let directory = Directory::new("error_directory");
    let missing = directory.path().join("missing");
    let ended = directory.run(&["local", missing.to_str().unwrap()]).await;
    ended.exits(1).says(missing.to_str().unwrap());
    assert!(!missing.exists());
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    directory
        .run(&["local", file.to_str().unwrap()])
        .await
        .exits(1)
        .says(file.to_str().unwrap());
    let empty = directory.local().await;
    assert!(
        !empty.words().is_empty(),
        "an empty directory is remarked on: {empty}"
    );
}

#[tokio::test]
async fn paused_and_read_only_write_nothing() {
    on_each(async |server| {
        let site = site_on(&server, "error_held").await;
        for (field, sentence) in [
            (
                "/spec/paused",
                "paused by a person; set spec.paused to false to go on",
            ),
            (
                "/spec/readOnly",
                "readOnly is set: only observed; set spec.readOnly to false to go on",
            ),
        ] {
            site.set(field, true);
            refused(&site, 3, sentence).await;
            site.set(field, false);
        }
        goes_on(&site, "v1").await;
        // Not even what is broken is repaired.
        let secret = site.directory.secret_folder(&site.secret_name("v1"));
        site.set("/spec/readOnly", true);
        std::fs::remove_dir_all(&secret).unwrap();
        // What is left of a Secret that somebody removed is swept at the start: it is nobody's any more.
        site.directory.local().await.exits(3);
        refused(&site, 3, "readOnly is set").await;
        assert!(!Path::exists(&secret));
        site.set("/spec/readOnly", false);
        goes_on(&site, "v1").await;
        site.has_credentials(&["v1"]).await;
    })
    .await;
}
