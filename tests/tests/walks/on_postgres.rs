//! What only PostgreSQL has: owners of tables, and what an operation on a large table does there.

use dbop_tests::local::{Application, Site, Step, migration, until};
use dbop_tests::{alembic_programs, on_each};
use serde_json::json;

use super::{ADD_PHONE, CREATE, PATIENCE, WORK, runs};

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

#[tokio::test]
async fn writes_to_a_large_table_are_measured_before_it_is_locked_and_the_threshold_decides() {
    on_each(async |server| {
        let site = Site::new(&server, "walk_writes").await;
        let index = |column: &str| {
            let sql = format!("CREATE INDEX by_{column} ON customers ({column});");
            Step::new(&sql).sql(json!({ "inline": sql }))
        };
        site.steps(0, &[Step::new(CREATE), index("name"), index("email")]);
        // Its size is accepted from the start, so that only the writes can stand in the way.
        let accept = json!([{
            "rule": "blocking-index-large-table",
            "table": "customers",
            "reason": "it is quick",
        }]);
        site.directory
            .change("DatabaseMigration", "v2", "/spec/accept", accept);
        site.set("/spec/hints/largeTableRows", 100);
        site.set("/spec/hints/heavyWritesPerSecond", 5);
        site.directory.local().await.exits(0);
        let superuser = site.database.superuser().await;
        superuser.batch_execute("ANALYZE customers").await.unwrap();
        let writer = Application::staying(&site.published("v1"), WORK).await;

        site.desire("v2");
        let watch = site.directory.start(&["--watch"]);
        let heavy = "writers wait meanwhile, and customers has ";
        until("the writes are measured", PATIENCE, async || {
            site.summary().contains(heavy) && !site.summary().contains("not known yet")
        })
        .await;
        let status = site.status();
        let found = status["findings"].as_array().expect("a list");
        let found = found
            .iter()
            .find(|one| one["rule"] == "blocking-index-heavy-writes");
        let found = found.expect("it is among the findings");
        assert_eq!(found["verdict"], "Contends", "{status:#}");
        assert_eq!(runs(&site), 1, "no Job began on one look alone");
        site.set("/spec/hints/heavyWritesPerSecond", 1_000_000);
        until("v2", PATIENCE * 2, async || {
            site.status()["currentVersion"] == "v2"
        })
        .await;

        // On a small table the same writes are no matter, whatever the threshold.
        site.set("/spec/hints/largeTableRows", 1_000_000);
        site.set("/spec/hints/heavyWritesPerSecond", 1);
        site.desire("v3");
        until(
            "v3 is waited for by the writer's credential alone",
            PATIENCE,
            async || {
                site.summary().contains("credential v1 is still used")
                    || site.status()["currentVersion"] == "v3"
            },
        )
        .await;
        let status = site.status();
        assert!(
            !status["findings"].to_string().contains("heavy-writes"),
            "{status:#}"
        );
        writer.stop().await.is_undisturbed();
        until("v3", PATIENCE * 2, async || {
            site.status()["currentVersion"] == "v3"
        })
        .await;
        watch.stop(PATIENCE).await;
    })
    .await;
}

#[tokio::test]
async fn with_scratch_the_server_itself_refuses_a_statement_before_anything_is_revoked() {
    on_each(async |server| {
        let site = Site::new(&server, "walk_scratch").await;
        let change = "ALTER TABLE customers ADD COLUMN age int DEFAULT 'old';";
        let step = Step::new(change).sql(json!({ "inline": change }));
        site.steps(0, &[Step::new(CREATE), step]);
        site.directory.local().await.exits(0);
        site.set("/spec/hints/probes", "Scratch");
        let before = site.snapshot().await;

        site.desire("v2");
        site.directory
            .local()
            .await
            .exits(3)
            .says("the server refuses it: a value did not fit (22P02)");
        let status = site.status();
        assert_eq!(status["findings"][0]["verdict"], "WillFail", "{status:#}");
        let evidence = status["findings"][0]["evidence"].to_string();
        assert!(
            evidence.contains("of an empty copy of the table"),
            "{status:#}"
        );
        before.is_still(&site.snapshot().await);
        assert_eq!(runs(&site), 1);

        // Said otherwise, the server takes it, and so does the walk.
        let better = "ALTER TABLE customers ADD COLUMN age int DEFAULT '7';";
        site.steps(1, &[Step::new(better).sql(json!({ "inline": better }))]);
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v2");
    })
    .await;
}
