//! pt-online-schema-change: the command that a finding advises is the command of a migration.

use std::time::Duration;

use dbop_tests::advice::Way;
use dbop_tests::local::{Directory, MIGRATION, Site, migration};
use dbop_tests::writer::Writer;
use dbop_tests::{Engine, TestServer, on_newest, tool};
use serde_json::{Value, json};

/// Enough that the copy takes a while.
const ROWS: u64 = 60_000;
/// From so many on a table is large, here: estimates of InnoDB can be a good deal too low.
const ROWS_LARGE: u64 = 20_000;
/// The whole copy takes longer than a writer may wait.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// The database itself says which version it has: the tool records none.
const VERSION: &str = "SELECT CASE WHEN EXISTS (SELECT 1 FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = \
                       DATABASE() AND INDEX_NAME = 'orders_note_idx') THEN '2' ELSE '1' END";

#[tokio::test]
async fn it_is_a_migration_as_it_is_advised() {
    on_newest(async |server| {
        if server.engine() != Engine::Postgres {
            walk(&server).await;
        }
    })
    .await;
}

async fn walk(server: &TestServer) {
    let site = site(server).await;
    site.directory.local().await.exits(0);
    assert_eq!(site.status()["currentVersion"], "v1", "{:#}", site.status());

    // The statement is found: it would keep writers waiting.
    site.desire("v2");
    site.directory.local().await.exits(3);
    let command = advised(&site.status());

    // A person takes what is advised as it stands, and says so.
    let run = ["sh", "-c", &command];
    site.directory.change(
        MIGRATION,
        "v2",
        "/spec/container/command",
        run.map(Value::from).to_vec(),
    );
    let accept = json!([{
        "rule": "blocking-index-large-table", "table": "orders", "reason": "it is copied while writes go on",
    }]);
    site.directory
        .change(MIGRATION, "v2", "/spec/accept", accept);
    let uri = site.published("v1").get("uri").to_owned();
    let writer = Writer::start(uri, |nth| {
        format!(
            "UPDATE orders SET written = written + 1 WHERE id = {}",
            1 + nth * 7919 % ROWS
        )
    });
    let ended = site.directory.local().await;
    let pauses = writer.end();
    ended.exits(0);

    assert_eq!(site.status()["currentVersion"], "v2", "{:#}", site.status());
    site.has_credentials(&["v1", "v2"]).await;
    let counted = site
        .database
        .read("SELECT COUNT(*), SUM(written) FROM orders")
        .await;
    assert_eq!(
        counted,
        [format!("{ROWS} {}", pauses.statements)],
        "no write is lost"
    );
    assert!(
        pauses.longest < PAUSE_MAX,
        "{}: the writer waited for {:?}",
        server.title(),
        pauses.longest
    );
    // The password is whatever the migrator's was in this run: the log has no word with it.
    for (job, log) in site.directory.job_logs() {
        assert!(
            !log.contains("DBA_OP_PASSWORD") && !log.contains("p="),
            "{job}: {log}"
        );
    }
    println!(
        "proof: pt-online-schema-change on {}: as a migration, as it is advised, beside a writer of {} statements who \
         waited for {} ms at most; no write is lost",
        server.title(),
        pauses.statements,
        pauses.longest.as_millis()
    );
}

/// A large table that an application uses, and a migration that would build a FULLTEXT index over it.
async fn site(server: &TestServer) -> Site {
    let database = server.database("osc").await;
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", tool::programs("percona-toolkit").display());
    let site = Site::of(
        database,
        Directory::new("osc").with_environment("PATH", &path),
    );
    let admin = site.database.as_admin().await;
    for statement in [
        "CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(40), written INT NOT NULL DEFAULT 0)".to_owned(),
        format!(
            "INSERT INTO orders (id, note) WITH RECURSIVE d (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM d WHERE n < \
             999) SELECT x.n * 1000 + y.n + 1, concat('note ', y.n) FROM d x JOIN d y WHERE x.n * 1000 + y.n < {ROWS}"
        ),
    ] {
        admin.run(&statement).await.unwrap();
    }
    admin.read("ANALYZE TABLE orders").await.unwrap();
    admin.close().await;
    site.set(
        "/spec/schemaVersion",
        json!({ "engine": "Query", "query": VERSION }),
    );
    site.set("/spec/hints", json!({ "largeTableRows": ROWS_LARGE }));
    site.directory
        .put(&migration("v1", None, &["true"]).set("/spec/version", "1"));
    let hints = json!([{
        "op": "createIndex", "table": "orders", "columns": [{ "name": "note" }], "index": { "kind": "fulltext" },
    }]);
    let second = migration("v2", Some("v1"), &["false"]).set("/spec/version", "2");
    site.directory.put(&second.set("/spec/schemaHints", hints));
    site
}

/// The first command that the finding advises.
fn advised(status: &Value) -> String {
    let finding = &status["findings"][0];
    assert_eq!(finding["rule"], "blocking-index-large-table", "{status:#}");
    let advice = finding["advice"].as_array().into_iter().flatten();
    let mut ways = advice.filter_map(Value::as_str).filter_map(Way::of);
    match ways.next() {
        Some(Way::Command(command)) => command,
        other => panic!("a command is advised, not {other:?}: {status:#}"),
    }
}
