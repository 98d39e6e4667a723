//! What each database gets: its owner, its logins, its grants.

use dbop_tests::local::{Directory, Site, Step, managed_database, secret};
use dbop_tests::{Engine, on_each_engine, on_newest};

use super::{ADD_PHONE, CREATE, site};

#[tokio::test]
async fn two_databases_of_one_directory_share_a_chain_and_nothing_else() {
    on_newest(async |server| {
        let one = Site::new(&server, "walk_one").await;
        one.steps(0, &[Step::new(CREATE), Step::new(ADD_PHONE)]);
        let other = server.database("walk_other").await;
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
    })
    .await;
}

fn wrong_dsn(site: &Site) -> String {
    site.database.dsn(site.database.admin(), "wrong")
}

#[tokio::test]
async fn an_application_gets_its_tables_and_not_the_version_table() {
    on_each_engine(async |server| {
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
                .run(
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
                let error = application.run(forbidden).await.unwrap_err();
                assert!(error.is_denied(), "{forbidden}: {error}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn who_is_connected_with_a_login_of_their_own_is_named() {
    on_newest(async |server| {
        let site = site(&server, "walk_legacy", &[Step::new(CREATE)]).await;
        site.directory.local().await.exits(0);
        assert!(
            site.status()["unmanagedLogins"].is_null(),
            "our own sessions are not"
        );
        let person = site.database.person().await;
        let admin = site.database.as_admin().await;
        site.directory.local().await.exits(0);
        let status = site.status();
        let named = status["unmanagedLogins"].as_array().unwrap();
        let of = |admin: bool| named.iter().find(|login| login["admin"] == admin);
        let legacy = of(false).unwrap();
        assert_ne!(legacy["username"], site.database.admin());
        // To the least admin PostgreSQL shows no address.
        let from = match server.engine() {
            Engine::Postgres => "sessions, address not shown",
            Engine::MariaDb | Engine::MySql => "sessions from 127.0.0.1",
        };
        assert_eq!(legacy["usedBy"], serde_json::json!([from]));
        // MySQL and MariaDB do not tell the operator's sessions from others of its login and machine.
        if server.engine() == Engine::Postgres {
            let own = of(true).unwrap_or_else(|| panic!("{status:#}"));
            assert_eq!(own["username"], site.database.admin());
        }
        let told = site.directory.ask(&["status"]).await;
        told.says(&format!("login {}", legacy["username"].as_str().unwrap()));
        person.close().await;
        admin.close().await;
        site.directory.local().await.exits(0);
        assert!(
            site.status()["unmanagedLogins"].is_null(),
            "{:#}",
            site.status()
        );
    })
    .await;
}
