//! What only PostgreSQL has: owners of tables, and what an operation on a large table does there.

use dbop_tests::local::{Site, Step, migration};
use dbop_tests::{alembic_programs, on_each};
use serde_json::json;

use super::{ADD_PHONE, CREATE, runs};

/// A migration tool of somebody's own: it runs the statements that it is given.
const SCRIPT: &str = "import os, sys, psycopg
with psycopg.connect(os.environ['DBA_OP_CONNECTION_STRING']) as connection:
    connection.execute(sys.argv[1])";

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
