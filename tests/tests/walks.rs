//! Walks of a real database with an application at work: who is waited for, who is not, what stops a walk
//! before anything is revoked, and what is at rest.

use std::time::Duration;

use dbop_tests::local::{
    Application, Directory, Process, Site, Step, managed_database, migration, secret, until,
};
use dbop_tests::{alembic_programs, majors, on_each, server};
use serde_json::json;

const CREATE: &str = "CREATE TABLE customers (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, email text);
    INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 200) n;";
const ADD_PHONE: &str = "ALTER TABLE customers ADD COLUMN phone text;";
const ADD_CITY: &str = "ALTER TABLE customers ADD COLUMN city text;";
/// What the application of `v1` does: it reads and writes.
const WORK: &str =
    "INSERT INTO customers (name) VALUES ('new'); SELECT id, name FROM customers LIMIT 5";
/// A migration tool of somebody's own: it runs the statements that it is given.
const SCRIPT: &str = "import os, sys, psycopg
with psycopg.connect(os.environ['DBA_OP_CONNECTION_STRING']) as connection:
    connection.execute(sys.argv[1])";
const PATIENCE: Duration = Duration::from_secs(30);

/// How many runs there have been.
fn runs(site: &Site) -> usize {
    site.directory.job_logs().len()
}

/// The newest server, for what does not depend on the server's version.
async fn site(prefix: &str, steps: &[Step]) -> Site {
    let newest = majors().into_iter().max().expect("there is a server");
    let site = Site::new(&server(newest), prefix).await;
    site.steps(0, steps);
    site
}

#[tokio::test]
async fn two_compatible_migrations_walk_through_while_the_old_application_stays() {
    on_each(async |server| {
        let site = Site::new(&server, "walk_compatible").await;
        site.steps(
            0,
            &[
                Step::new(CREATE),
                Step::new(ADD_PHONE).compatible_from("v1"),
                Step::new(ADD_CITY).compatible_from("v1"),
            ],
        );
        site.directory.local().await.exits(0);
        let old = Application::staying(&site.published("v1"), WORK).await;

        site.desire("v3");
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v3");
        site.has_credentials(&["v1", "v2", "v3"]).await;
        old.stop().await.is_undisturbed();

        // Going back to a version that the schema still serves is no migration.
        let (before, ran) = (site.snapshot().await, runs(&site));
        site.desire("v1");
        let revert = site.directory.local().await;
        revert.exits(0);
        assert_eq!(
            site.summary(),
            "at rest, newer than desired and compatible with it"
        );
        assert_eq!(site.status()["currentVersion"], "v3");
        before.is_still(&site.snapshot().await);
        assert_eq!(runs(&site), ran);
    })
    .await;
}

#[tokio::test]
async fn without_compatibility_the_walk_waits_and_says_which_version_to_deploy() {
    on_each(async |server| {
        let site = Site::new(&server, "walk_waits").await;
        site.steps(
            0,
            &[Step::new(CREATE), Step::new(ADD_PHONE), Step::new(ADD_CITY)],
        );
        site.directory.local().await.exits(0);
        let old = Application::staying(&site.published("v1"), WORK).await;

        site.desire("v3");
        let walk = site.directory.local().await;
        let user = site.published("v1").get("username").to_owned();
        walk.exits(3)
            .says("credential v1 is still used by")
            .says("its code cannot live with v3: deploy the application of v2 first");
        let status = site.status();
        assert_eq!(status["currentVersion"], "v2", "{status:#}");
        // Two migrations old, as seen from v3: who uses it stands in the status.
        let credentials = status["credentials"].as_array().unwrap();
        let used = credentials.iter().find(|c| c["migration"] == "v1").unwrap();
        assert_eq!(used["inUse"], true, "{status:#}");
        let by = used["usedBy"][0].as_str().unwrap();
        for part in [format!("pid {}", old.pid()), user, "127.0.0.1".to_owned()] {
            assert!(by.contains(&part), "{part} is missing: {by}");
        }
        // The application has somewhere to move to, and nothing was taken from it.
        site.has_credentials(&["v1", "v2"]).await;
        let before = site.snapshot().await;
        site.directory.local().await.exits(3);
        before.is_still(&site.snapshot().await);

        let new = Application::staying(&site.published("v2"), WORK).await;
        old.stop().await.is_undisturbed();
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v3");
        site.has_credentials(&["v2", "v3"]).await;
        new.stop().await.is_undisturbed();
    })
    .await;
}

#[tokio::test]
async fn back_to_an_incompatible_version_is_blocked_and_changes_nothing() {
    let site = site(
        "walk_back",
        &[Step::new(CREATE), Step::new(ADD_PHONE), Step::new(ADD_CITY)],
    )
    .await;
    site.desire("v3");
    site.directory.local().await.exits(0);
    let before = site.snapshot().await;
    site.desire("v1");
    site.directory.local().await.exits(3).says(
        "the database is at v3, newer than v1, whose code cannot live with it; set \
         desiredSchemaVersion to v3 or later, or restore a backup",
    );
    before.is_still(&site.snapshot().await);
    assert_eq!(runs(&site), 3);
}

#[tokio::test]
async fn a_client_that_comes_for_a_moment_is_seen_and_never_refused() {
    let site = site(
        "walk_visitor",
        &[Step::new(CREATE), Step::new(ADD_PHONE), Step::new(ADD_CITY)],
    )
    .await;
    site.desire("v2");
    site.directory.local().await.exits(0);
    site.set("/spec/credentials/quietWindow", "8s");
    let visitor = Application::visiting(
        &site.published("v1"),
        WORK,
        Duration::from_millis(200),
        Duration::from_secs(5),
    );
    site.desire("v3");
    let mut watch = site.directory.start(&["--watch"]);
    // Long enough for a window to end between its visits, if it were not seen.
    until("three visits", PATIENCE, async || {
        visitor.tally().logins >= 3
    })
    .await;
    assert!(watch.is_running(), "{}", watch.output());
    assert_eq!(site.status()["currentVersion"], "v2", "{:#}", site.status());
    site.has_credentials(&["v1", "v2"]).await;
    visitor.stop().await.is_undisturbed();

    until("the walk's end", PATIENCE, async || {
        site.status()["currentVersion"] == "v3"
    })
    .await;
    until("rest", PATIENCE, async || site.summary() == "at rest").await;
    watch.stop(PATIENCE).await;
    site.has_credentials(&["v2", "v3"]).await;
}

#[tokio::test]
async fn not_null_over_nulls_stops_before_anything_is_revoked() {
    on_each(async |server| {
        let site = Site::new(&server, "walk_nulls").await;
        let hints = json!([{
            "op": "alterColumn",
            "table": "customers",
            "columns": [{ "name": "email", "nullable": false }],
        }]);
        let require =
            Step::new("ALTER TABLE customers ALTER COLUMN email SET NOT NULL;").hints(hints);
        site.steps(0, &[Step::new(CREATE), Step::new(ADD_PHONE), require]);
        site.desire("v2");
        site.directory.local().await.exits(0);
        let before = site.snapshot().await;

        site.desire("v3");
        site.directory
            .local()
            .await
            .exits(3)
            .says("at least one row holds NULL");
        let status = site.status();
        let finding = &status["findings"][0];
        assert_eq!(finding["rule"], "not-null-over-nulls", "{status:#}");
        assert_eq!(finding["verdict"], "WillFail", "{status:#}");
        assert_eq!(finding["table"], "customers", "{status:#}");
        assert_eq!(finding["migration"], "v3", "{status:#}");
        before.is_still(&site.snapshot().await);
        assert_eq!(runs(&site), 2);

        let superuser = site.database.superuser().await;
        superuser
            .batch_execute("UPDATE customers SET email = 'x' WHERE email IS NULL")
            .await
            .unwrap();
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v3");
        site.has_credentials(&["v2", "v3"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_rewrite_of_a_large_table_is_stopped_until_a_person_accepts_it() {
    on_each(async |server| {
        let site = Site::new(&server, "walk_large").await;
        let hints = json!([{
            "op": "addColumn",
            "table": "customers",
            "columns": [{ "name": "token", "type": "uuid", "default": "gen_random_uuid()" }],
        }]);
        let rewrite = "ALTER TABLE customers ADD COLUMN token uuid DEFAULT gen_random_uuid();";
        site.steps(0, &[Step::new(CREATE), Step::new(rewrite).hints(hints)]);
        site.set("/spec/hints/largeTableRows", 100);
        site.directory.local().await.exits(0);
        site.database
            .superuser()
            .await
            .batch_execute("ANALYZE customers")
            .await
            .unwrap();
        let before = site.snapshot().await;

        site.desire("v2");
        site.directory
            .local()
            .await
            .exits(3)
            .says("the whole large table is written anew");
        let status = site.status();
        assert_eq!(
            status["findings"][0]["rule"], "add-column-large-table",
            "{status:#}"
        );
        assert_eq!(status["findings"][0]["verdict"], "Blocks", "{status:#}");
        before.is_still(&site.snapshot().await);

        let accept = json!([{
            "rule": "add-column-large-table",
            "table": "customers",
            "reason": "at night, agreed with the team",
        }]);
        site.directory
            .change("DatabaseMigration", "v2", "/spec/accept", accept);
        site.directory
            .ask(&["plan"])
            .await
            .exits(2)
            .says("at night, agreed with the team");
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v2");
    })
    .await;
}

#[tokio::test]
async fn an_adopted_database_keeps_the_owner_of_its_tables() {
    on_each(async |server| {
        let site = Site::new(&server, "walk_adopted").await;
        let owner = format!("{}_legacy", site.database.name());
        let superuser = site.database.superuser().await;
        superuser
            .batch_execute(&format!(
                "CREATE ROLE {owner} NOLOGIN;
                 GRANT CREATE ON SCHEMA public TO {owner};
                 SET ROLE {owner};
                 CREATE TABLE customers (id bigserial PRIMARY KEY, name text);
                 INSERT INTO customers (name) VALUES ('of old');
                 CREATE TABLE schema_version (version text);
                 INSERT INTO schema_version VALUES ('1');
                 RESET ROLE"
            ))
            .await
            .unwrap();
        site.directory
            .put(&migration("v1", None, &["true"]).set("/spec/version", "1"));
        let more = format!(
            "{ADD_PHONE} CREATE TABLE more (id serial, name text); \
             UPDATE schema_version SET version = '2'"
        );
        let program = alembic_programs().join("python");
        let program = program.to_str().expect("the cache's path is text");
        let script = migration("v2", Some("v1"), &[program, "-c", SCRIPT, &more]);
        site.directory.put(&script.set("/spec/version", "2"));
        site.set(
            "/spec/schemaVersion",
            json!({
                "engine": "Query",
                "query": "SELECT version FROM schema_version",
                "table": "schema_version",
            }),
        );
        site.set("/spec/migrations/ownerRole", owner.as_str());

        // The admin has nothing to do with that role yet: each refusal says what helps, and it does.
        let mut asked = 0;
        while site.directory.local().await.status != Some(0) {
            let helps = site.helps();
            assert!(!helps.is_empty() && asked < 3, "{:#}", site.status());
            for statement in helps {
                superuser.batch_execute(&statement).await.unwrap();
            }
            asked += 1;
        }
        assert!(asked > 0, "the admin was allowed too much to begin with");
        let application = site.published("v1").connect().await.unwrap();
        application
            .batch_execute("INSERT INTO customers (name) VALUES ('new')")
            .await
            .unwrap();
        let forged = application
            .execute("UPDATE schema_version SET version = '9'", &[])
            .await;
        assert!(forged.is_err(), "an application may not forge the version");
        assert_eq!(runs(&site), 0, "what was there is not migrated again");

        site.desire("v2");
        site.directory.local().await.exits(0);
        let owners = superuser
            .query(
                "SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'public'",
                &[],
            )
            .await
            .unwrap();
        let owners: Vec<String> = owners.iter().map(|row| row.get(0)).collect();
        assert_eq!(owners, [owner], "old and new tables have one owner");
        application
            .batch_execute("INSERT INTO more (name) VALUES ('a'); SELECT phone FROM customers")
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn two_databases_of_one_directory_share_a_chain_and_nothing_else() {
    let newest = server(majors().into_iter().max().expect("there is a server"));
    let one = Site::new(&newest, "walk_one").await;
    one.steps(0, &[Step::new(CREATE), Step::new(ADD_PHONE)]);
    let other = newest.database("walk_other").await;
    let other_name = other.name().replace('_', "-");
    let files: &Directory = &one.directory;
    files.put(&managed_database(&other_name, "v2"));
    let admin = secret(
        &format!("{other_name}-admin"),
        &[("dsn", &other.admin_dsn())],
    );
    files.put(&admin);

    files.local().await.exits(0);
    assert_eq!(one.status()["currentVersion"], "v1");
    assert_eq!(files.status(&other_name)["currentVersion"], "v2");
    let of_other = files.secret(&format!("{other_name}-v2")).unwrap();
    assert_eq!(of_other.get("database"), other.name());
    of_other.connect().await.unwrap();
    let used_by = files.status_of("DatabaseMigration", "v1");
    assert_eq!(
        used_by["usedBy"].as_array().map(Vec::len),
        Some(2),
        "{used_by:#}"
    );

    // One that cannot go on does not hold up the other, and the exit status tells of it.
    let before = one.snapshot().await;
    files.put(&secret(
        &format!("{}-admin", one.name),
        &[("dsn", &wrong_dsn(&one))],
    ));
    files.change(
        "ManagedDatabase",
        &other_name,
        "/spec/credentials/quietWindow",
        "2s",
    );
    files.local().await.exits(1);
    before.is_still(&one.snapshot().await);
    assert_eq!(files.status(&other_name)["summary"], "at rest");
}

fn wrong_dsn(site: &Site) -> String {
    site.database.dsn(site.database.admin(), "wrong")
}

#[tokio::test]
async fn watch_acts_on_an_edited_manifest() {
    let site = site("walk_watch", &[Step::new(CREATE)]).await;
    let mut watch = site.directory.start(&["--watch"]);
    until("v1", PATIENCE, async || site.summary() == "at rest").await;
    site.steps(1, &[Step::new(ADD_PHONE)]);
    site.desire("v2");
    until("v2", PATIENCE, async || {
        site.status()["currentVersion"] == "v2" && site.summary() == "at rest"
    })
    .await;
    assert!(watch.is_running(), "{}", watch.output());
    site.has_credentials(&["v1", "v2"]).await;

    // A file that cannot be read while somebody edits it stops nothing.
    site.directory.write("half.yaml", "apiVersion: v1\nkind: [");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(watch.is_running(), "{}", watch.output());
    std::fs::remove_file(site.directory.path().join("half.yaml")).unwrap();

    // A Secret that a person took away comes back, with the same password.
    let before = site.published("v2");
    std::fs::remove_dir_all(site.directory.secret_folder(&site.secret_name("v2"))).unwrap();
    until("the Secret is back", PATIENCE, async || {
        site.credential("v2").is_some()
    })
    .await;
    until("it works", PATIENCE, async || match site.credential("v2") {
        Some(credential) => credential.connect().await.is_ok(),
        None => false,
    })
    .await;
    assert_eq!(site.published("v2").get("username"), before.get("username"));
    watch.stop(PATIENCE).await;
}

#[tokio::test]
async fn an_application_gets_its_tables_and_not_the_version_table() {
    on_each(async |server| {
        let site = Site::new(&server, "walk_grants").await;
        site.steps(0, &[Step::new(CREATE), Step::new("CREATE TABLE later (id serial, name text);")]);
        site.directory.local().await.exits(0);
        let first = site.published("v1");
        site.desire("v2");
        site.directory.local().await.exits(0);
        // The credential of v1 was made before the table of v2.
        for credential in [&first, &site.published("v2")] {
            let application = credential.connect_by_uri().await.unwrap();
            application
                .batch_execute(
                    "INSERT INTO customers (name) VALUES ('a'); UPDATE customers SET name = 'b';
                     INSERT INTO later (name) VALUES ('a'); DELETE FROM later; SELECT * FROM customers",
                )
                .await
                .unwrap();
            for forbidden in [
                "INSERT INTO _sqlx_migrations SELECT 3, 'x', now(), true, '', 1",
                "UPDATE _sqlx_migrations SET version = 9",
                "DELETE FROM _sqlx_migrations",
                "TRUNCATE _sqlx_migrations",
                "ALTER TABLE _sqlx_migrations ADD COLUMN x int",
                "DROP TABLE _sqlx_migrations",
                "DROP TABLE customers",
                "ALTER TABLE customers ADD COLUMN x int",
            ] {
                let error = application.batch_execute(forbidden).await.unwrap_err();
                let code = error.code().map(|code| code.code().to_owned());
                assert_eq!(code.as_deref(), Some("42501"), "{forbidden}: {error:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_somebody_breaks_by_hand_is_mended() {
    on_each(async |server| {
        let site = Site::new(&server, "walk_mended").await;
        site.steps(0, &[Step::new(CREATE), Step::new(ADD_PHONE)]);
        site.desire("v2");
        site.directory.local().await.exits(0);
        let (v1, v2) = (site.published("v1"), site.published("v2"));
        let superuser = site.database.superuser().await;
        let login = v2.get("username");
        for damage in [
            format!("ALTER ROLE \"{login}\" PASSWORD 'another'"),
            format!("ALTER ROLE \"{login}\" NOLOGIN"),
            format!("DROP OWNED BY \"{login}\"; DROP ROLE \"{login}\""),
            "REVOKE ALL ON TABLE customers FROM PUBLIC; DO $$ DECLARE r record; BEGIN
                FOR r IN SELECT grantee::regrole AS name FROM pg_class, aclexplode(relacl)
                    WHERE relname = 'customers' AND grantee <> 0 AND grantee <> relowner
                LOOP EXECUTE format('REVOKE ALL ON TABLE customers FROM %s', r.name); END LOOP; END $$"
                .to_owned(),
        ] {
            superuser.batch_execute(&damage).await.unwrap();
            site.directory.local().await.exits(0);
            // The Secret is the truth about the password, so it is the same one.
            assert!(site.published("v2") == v2, "the Secret was changed after: {damage}");
            let application = v2.connect().await.unwrap();
            if let Err(error) = application.batch_execute(WORK).await {
                panic!("after {damage}: {error:?}");
            }
        }
        let password = site.directory.secret_folder(&site.secret_name("v2")).join("host");
        std::fs::write(&password, "elsewhere").unwrap();
        site.directory.local().await.exits(0);
        assert!(site.published("v2") == v2, "what somebody changed in a Secret is put back");
        assert!(site.published("v1") == v1, "the other one was left alone");
        assert_eq!(runs(&site), 2);
    })
    .await;
}

#[tokio::test]
async fn a_restored_database_walks_forward_again() {
    let site = site("walk_restored", &[Step::new(CREATE), Step::new(ADD_PHONE)]).await;
    site.desire("v2");
    site.directory.local().await.exits(0);
    let v2 = site.published("v2");
    // What a backup from before v2 gives: its schema and its version.
    let superuser = site.database.superuser().await;
    superuser
        .batch_execute(
            "ALTER TABLE customers DROP COLUMN phone; DELETE FROM _sqlx_migrations WHERE version = 2",
        )
        .await
        .unwrap();
    site.directory.local().await.exits(0);
    assert_eq!(site.status()["currentVersion"], "v2");
    assert_eq!(runs(&site), 3, "v2 ran again");
    site.has_credentials(&["v1", "v2"]).await;
    assert!(
        site.published("v2") == v2,
        "the application's credential outlives the restore"
    );
}

#[tokio::test]
async fn a_migration_goes_on_while_local_is_stopped() {
    let site = site("walk_stopped", &[Step::new(CREATE)]).await;
    site.directory.local().await.exits(0);
    site.steps(1, &[Step::new(&format!("SELECT pg_sleep(4); {ADD_PHONE}"))]);
    site.desire("v2");
    let local = site.directory.start(&[]);
    until("the run is under way", PATIENCE, async || {
        site.directory
            .processes()
            .iter()
            .any(Process::is_supervisor)
            && site.status()["migration"]["name"] == "v2"
    })
    .await;
    let stopped = local.stop(PATIENCE).await;
    assert!(stopped.took < Duration::from_secs(60), "{stopped}");
    assert!(
        site.directory
            .processes()
            .iter()
            .any(Process::is_supervisor),
        "the migration goes on: {stopped}"
    );
    site.directory.local().await.exits(0);
    assert_eq!(site.status()["currentVersion"], "v2");
    assert_eq!(runs(&site), 2, "it ran once");
    assert!(
        site.directory.processes().is_empty(),
        "nothing is left running"
    );
}
