//! A tool that changes a copy of a table while writes go on: the command that a finding advises is the command of a
//! migration.

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use dbop_tests::advice::Way;
use dbop_tests::local::{Directory, Finished, MIGRATION, Site, migration};
use dbop_tests::writer::Writer;
use dbop_tests::{Engine, TestServer, tool};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Enough that the copy takes a while.
const ROWS: u64 = 60_000;
/// From so many on a table is large, here: estimates of InnoDB can be a good deal too low.
const ROWS_LARGE: u64 = 20_000;
/// A swap waits for who is at the table; the rest is for a machine that has other work.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// So often processes are looked at while it runs.
const LOOK: Duration = Duration::from_millis(50);
/// Where the examples are: one is called after each program.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples");
/// The database itself says which version it has: the tool records none.
const VERSION: &str = "SELECT CASE WHEN EXISTS (SELECT 1 FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = \
                       DATABASE() AND TABLE_NAME = 'orders' AND INDEX_NAME = 'orders_note_idx') THEN '2' ELSE '1' END";

/// Such a tool, and what a person does for it first.
pub(crate) struct Copier {
    /// As `cargo xtask tools` calls it.
    pub(crate) tool: &'static str,
    /// Its program.
    pub(crate) program: &'static str,
    /// What lets the migrator do it: of its account.
    pub(crate) grants: fn(&str) -> Vec<String>,
}

impl Copier {
    /// Walks to a version that the tool makes, beside a writer.
    pub(crate) async fn walk(&self, server: &TestServer) {
        let site = self.site(server).await;
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v1", "{:#}", site.status());
        self.prepare(&site).await;

        // The statement is found: it would keep writers waiting.
        site.desire("v2");
        site.directory.local().await.exits(3);
        let command = self.advised(&site.status());
        let example = Path::new(EXAMPLES).join(self.program).join("orders.yaml");
        let example = std::fs::read_to_string(example).unwrap();
        let words: Vec<&str> = example.split_whitespace().collect();
        let mut example = words.join(" ");
        if site.engine() == Engine::MariaDb {
            // As the example itself says.
            example = example.replace(" --set-vars explain_format=TRADITIONAL", "");
        }
        assert!(example.contains(&command), "the example's: {command}");

        // A person takes what is advised as it stands, and says so.
        let run = ["sh", "-c", &command].map(Value::from).to_vec();
        site.directory
            .change(MIGRATION, "v2", "/spec/container/command", run);
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
        let run = self.watched(&site.directory).await;
        let pauses = writer.end();
        run.ended.exits(0);

        assert_eq!(site.status()["currentVersion"], "v2", "{:#}", site.status());
        site.has_credentials(&["v1", "v2"]).await;
        let sql = "SELECT COUNT(*), SUM(written) FROM orders";
        let expect = format!("{ROWS} {}", pauses.statements);
        assert_eq!(site.database.read(sql).await, [expect], "no write is lost");
        let tables = site.database.read("SHOW TABLES").await;
        assert_eq!(tables, ["orders"], "nothing else is left");
        let (longest, took) = (pauses.longest, run.at_work);
        assert!(
            longest < PAUSE_MAX,
            "{}: the writer waited for {longest:?} of {took:?}",
            server.title(),
        );
        for (job, log) in site.directory.job_logs() {
            let is_told = run.passwords.iter().any(|password| log.contains(password));
            assert!(!is_told, "{job}'s log has its password");
        }
        println!(
            "proof: {} on {}: as a migration, as it is advised, in {} ms, beside a writer of {} statements who \
             waited for {} ms at most; no write is lost",
            self.program,
            server.title(),
            took.as_millis(),
            pauses.statements,
            longest.as_millis()
        );
    }

    /// A large table that an application uses, and a migration that would build a FULLTEXT index over it.
    async fn site(&self, server: &TestServer) -> Site {
        let database = server.database("osc").await;
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", tool::programs(self.tool).display());
        let site = Site::of(
            database,
            Directory::new("osc").with_environment("PATH", &path),
        );
        let admin = site.database.as_admin().await;
        for statement in [
            "CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(40), written INT NOT NULL DEFAULT 0)".to_owned(),
            format!(
                "INSERT INTO orders (id, note) WITH RECURSIVE d (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM d WHERE \
                 n < 999) SELECT x.n * 1000 + y.n + 1, concat('note ', y.n) FROM d x JOIN d y WHERE x.n * 1000 + y.n \
                 < {ROWS}"
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

    /// The migrator is there since the first version.
    async fn prepare(&self, site: &Site) {
        let migrators = site.database.migrators().await;
        let [(migrator, _)] = migrators.as_slice() else {
            panic!("one migrator is there: {migrators:?}");
        };
        let account = site.database.account(migrator);
        for statement in (self.grants)(&account) {
            site.database.run(&statement).await;
        }
    }

    /// The command with this tool that the finding advises.
    fn advised(&self, status: &Value) -> String {
        let finding = &status["findings"][0];
        assert_eq!(finding["rule"], "blocking-index-large-table", "{status:#}");
        let advice = finding["advice"].as_array().into_iter().flatten();
        let ways = advice.filter_map(Value::as_str).filter_map(Way::of);
        let mut commands = ways.filter_map(|way| match way {
            Way::Command(command) => Some(command),
            Way::Sql(_) => None,
        });
        let calls = |command: &String| command.contains(&format!("{} ", self.program));
        commands
            .find(calls)
            .unwrap_or_else(|| panic!("{} is advised: {status:#}", self.program))
    }

    /// Runs `local`, and looks meanwhile at each of its processes whether the arguments, which anybody may read, show
    /// the password that is in its environment.
    async fn watched(&self, directory: &Directory) -> Run {
        let mut local = pin!(directory.local());
        let (mut passwords, mut begun, mut at_work) = (BTreeSet::new(), None, Duration::ZERO);
        let ended = loop {
            tokio::select! {
                ended = &mut local => break ended,
                () = sleep(LOOK) => {}
            }
            for process in directory.processes() {
                let Some(password) = process.variable("DBA_OP_PASSWORD") else {
                    continue;
                };
                let is_shown = process.arguments.contains(&password);
                assert!(!is_shown, "{} shows its password", self.program);
                passwords.insert(password);
                let is_shell = process.arguments.starts_with("sh ");
                if process.arguments.contains(self.program) && !is_shell {
                    at_work = begun.get_or_insert_with(Instant::now).elapsed();
                }
            }
        };
        assert!(begun.is_some(), "{} is at work: {ended}", self.program);
        Run {
            ended,
            passwords,
            at_work,
        }
    }
}

/// How `local` ran, and what was seen of the tool meanwhile.
struct Run {
    ended: Finished,
    /// Those of its processes.
    passwords: BTreeSet<String>,
    /// From the first sight of the tool to the last.
    at_work: Duration,
}
