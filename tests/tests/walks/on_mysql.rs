//! What is otherwise on MySQL and MariaDB: DDL is no transaction, nothing has an owner, and an admin without PROCESS
//! sees nobody.

mod names;

use std::time::Duration;

use dbop_tests::local::{Application, Site, Step, migration, until};
use dbop_tests::{binary, on_newest};
use serde_json::json;

use super::{ADD_CITY, ADD_PHONE, CREATE, PATIENCE, WORK, runs, site};

#[tokio::test]
async fn a_half_run_migration_is_said_to_be_that() {
    on_newest(async |server| {
        let half = "CREATE TABLE more (id int); INSERT INTO customers (name) VALUES ('half');
                    CREATE TABLE more (id int); ALTER TABLE customers ADD COLUMN late text;";
        let site = site(&server, "half", &[Step::new(CREATE), Step::new(half)]).await;
        site.directory.local().await.exits(0);
        let old = Application::staying(&site.published("v1"), WORK).await;

        site.desire("v2");
        let ended = site.directory.local().await;
        ended
            .says("version 2 is half applied")
            .says("repair the schema and the record with the migration tool");
        assert_ne!(ended.status, Some(0), "{ended}");
        let status = site.status();
        assert_eq!(status["lastRun"]["outcome"], "Failed", "{status:#}");
        let logs: String = site.directory.job_logs().into_values().collect();
        for said in [
            "half run",
            "first 2 statements have done their work",
            "DELETE FROM _sqlx_migrations WHERE version = 2",
        ] {
            assert!(logs.contains(said), "{said} is missing: {logs}");
        }
        // Nothing is taken from the application, nothing is tried again, and a word alone is no repair.
        site.has_credentials(&["v1"]).await;
        site.directory.ask(&["retry", &site.name]).await;
        let before = site.snapshot().await;
        site.directory
            .local()
            .await
            .says("version 2 is half applied");
        before.is_still(&site.snapshot().await);
        assert_eq!(runs(&site), 2, "the run of v2 is not repeated");

        // What the tool said: take back what was done, and its record; then change the migration.
        site.database
            .run(
                "DROP TABLE more; DELETE FROM customers WHERE name = 'half';
                 DELETE FROM _sqlx_migrations WHERE version = 2",
            )
            .await;
        site.steps(1, &[Step::new(ADD_PHONE)]);
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v2");
        site.has_credentials(&["v1", "v2"]).await;
        old.stop().await.is_undisturbed();
    })
    .await;
}

#[tokio::test]
async fn an_adopted_database_is_taken_as_it_is() {
    on_newest(async |server| {
        let site = Site::new(&server, "adopt").await;
        site.database
            .run(
                "CREATE TABLE customers (id serial PRIMARY KEY, name text);
                 INSERT INTO customers (name) VALUES ('of old');
                 CREATE TABLE schema_version (version varchar(20));
                 INSERT INTO schema_version VALUES ('1')",
            )
            .await;
        site.directory
            .put(&migration("v1", None, &["true"]).set("/spec/version", "1"));
        let more = format!(
            "{ADD_PHONE} CREATE TABLE more (id serial, name text);
             UPDATE schema_version SET version = '2'"
        );
        site.directory.write("later/0002_more.sql", &more);
        let program = binary("dbop-migrate");
        let program = program.to_str().expect("a path is text");
        let later = migration("v2", Some("v1"), &[program, "--dir", "later"]);
        site.directory.put(&later.set("/spec/version", "2"));
        site.set(
            "/spec/schemaVersion",
            json!({
                "engine": "Query",
                "query": "SELECT version FROM schema_version",
                "table": "schema_version",
            }),
        );
        site.directory.local().await.exits(0);
        assert_eq!(runs(&site), 0, "what was there is not migrated again");
        let application = site.published("v1").connect().await.unwrap();
        application
            .run("INSERT INTO customers (name) VALUES ('new')")
            .await
            .unwrap();
        let forged = application
            .run("UPDATE schema_version SET version = '9'")
            .await;
        assert!(forged.unwrap_err().is_denied(), "the version is not theirs");

        site.desire("v2");
        site.directory.local().await.exits(0);
        application
            .run("INSERT INTO more (name) VALUES ('a'); SELECT phone FROM customers")
            .await
            .unwrap();
        assert_eq!(
            site.database
                .read("SELECT name FROM customers ORDER BY 1")
                .await,
            ["new", "of old"]
        );
    })
    .await;
}

#[tokio::test]
async fn an_admin_without_process_takes_nothing_away_and_says_which_grant_helps() {
    on_newest(async |server| {
        let steps = [Step::new(CREATE), Step::new(ADD_PHONE)];
        let site = site(&server, "blind", &steps).await;
        let admin = site.database.admin_account();
        let revoke = format!("REVOKE PROCESS ON *.* FROM {admin}");
        let grant = format!("GRANT PROCESS ON *.* TO {}", admin.replace("'%'", "`%`"));
        // Whether a migration of a former run is still at work nobody can know either.
        site.database.run(&revoke).await;
        site.desire("v2");
        site.directory.local().await.exits(3).says(&grant);
        assert_eq!(runs(&site), 0);
        site.database.run(&grant).await;
        site.directory.local().await.exits(0);
        site.has_credentials(&["v1", "v2"]).await;
        let (of_v1, of_v2) = (site.published("v1"), site.published("v2"));
        site.database.run(&revoke).await;

        // For v3 the credential of v1 has to go. Nobody uses it, and nobody can know.
        site.steps(2, &[Step::new(ADD_CITY)]);
        site.desire("v3");
        let mut watch = site.directory.start(&["--watch"]);
        until("it says what is missing", PATIENCE, async || {
            site.status().to_string().contains(&grant)
        })
        .await;
        // Many quiet windows of a second, in which an operator that takes unknown for zero would revoke.
        let before = site.snapshot().await;
        tokio::time::sleep(Duration::from_secs(6)).await;
        before.is_still(&site.snapshot().await);
        assert!(watch.is_running(), "{}", watch.output());
        assert_eq!(site.status()["currentVersion"], "v2", "{:#}", site.status());
        assert!(site.published("v1") == of_v1 && site.published("v2") == of_v2);
        for credential in [&of_v1, &of_v2] {
            let application = credential.connect().await.unwrap();
            application.run(WORK).await.unwrap();
            application.close().await;
        }
        let status = site.directory.ask(&["status"]).await;
        status.says("PROCESS");

        // After that GRANT it goes on by itself.
        site.database.run(&grant).await;
        until("v3", PATIENCE * 2, async || {
            site.status()["currentVersion"] == "v3" && site.summary() == "at rest"
        })
        .await;
        watch.stop(PATIENCE).await;
        site.has_credentials(&["v2", "v3"]).await;
        assert!(of_v1.connect().await.is_err(), "v1 is retired");
    })
    .await;
}
