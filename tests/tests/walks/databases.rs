//! What each database gets: its owner, its logins, its grants.

use dbop_tests::local::{Directory, Site, Step, managed_database, migration, secret};
use dbop_tests::{alembic_programs, majors, on_each, on_each_engine, server};
use serde_json::json;

use super::{ADD_PHONE, CREATE, SCRIPT, runs};

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
            .run("INSERT INTO customers (name) VALUES ('new')")
            .await
            .unwrap();
        let forged = application
            .run("UPDATE schema_version SET version = '9'")
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
            .run("INSERT INTO more (name) VALUES ('a'); SELECT phone FROM customers")
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
