//! `snapshot` and `analyze --facts` on real servers: what a snapshot holds and what not, that the same statements get the
//! same findings from it as from the database but for what only rows tell, and how much is written (`--observe`).

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use dbop_tests::local::{Directory, Finished};
use dbop_tests::{Engine, TestDatabase, TestServer, on_each_engine, on_newest};
use serde_json::{Value, json};

/// A database with tables of several shapes, and a file with the DSN of its admin.
struct Case {
    database: TestDatabase,
    directory: Directory,
    dsn: String,
}

/// Rows hold this, and no snapshot may.
const CANARY: &str = "canary";

impl Case {
    async fn on(server: &TestServer, prefix: &str) -> Case {
        let database = server.database(prefix).await;
        let schema = "CREATE TABLE users (id int PRIMARY KEY, email varchar(40), phone varchar(20) NOT NULL);
            CREATE UNIQUE INDEX users_phone ON users (phone);
            CREATE TABLE orders (id int PRIMARY KEY, user_id int,
                FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE);
            CREATE TABLE fresh (id int PRIMARY KEY, note varchar(20));
            CREATE VIEW mails AS SELECT email FROM users;
            INSERT INTO users VALUES (1, 'canary', 'canary1'), (2, NULL, 'canary2');
            INSERT INTO orders VALUES (1, 1);";
        database.as_admin().await.run(schema).await.unwrap();
        if database.engine() == Engine::Postgres {
            let own = "CREATE DOMAIN positive AS int CHECK (VALUE > 0);
                CREATE FUNCTION code() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
                CREATE INDEX users_mail ON users (lower(email)) WHERE email IS NOT NULL;";
            database.as_admin().await.run(own).await.unwrap();
        }
        let directory = Directory::new(prefix);
        directory.write("admin.dsn", &database.admin_dsn());
        let dsn = directory.path().join("admin.dsn");
        Case {
            dsn: dsn.to_str().unwrap().to_owned(),
            database,
            directory,
        }
    }

    fn path(&self, file: &str) -> String {
        self.directory
            .path()
            .join(file)
            .to_str()
            .unwrap()
            .to_owned()
    }

    async fn snapshot(&self, further: &[&str]) -> Finished {
        let out = self.path("snapshot.json");
        let mut arguments = vec!["snapshot", "--dsn-file", &self.dsn, "--out", &out];
        arguments.extend(further);
        self.directory.run(&arguments).await
    }

    fn saved(&self) -> Value {
        let text = std::fs::read_to_string(self.path("snapshot.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// What is said of a statement, from the snapshot (`--facts`) or the database (`--dsn-file`).
    async fn said(&self, of: &str, sql: &str) -> (Finished, Value) {
        self.directory.write("v8.sql", sql);
        let (file, snapshot) = (self.path("v8.sql"), self.path("snapshot.json"));
        let from = if of == "--facts" {
            &snapshot
        } else {
            &self.dsn
        };
        let json = ["analyze", of, from, "--sql", &file, "--output", "json"];
        let finished = self.directory.run(&json).await;
        let said = finished.json();
        (finished, said)
    }
}

/// What must be the same: the verdicts with their words and effects, and not when and how it was seen.
fn compared(said: &Value) -> Value {
    let finding = |one: &Value| {
        json!({
            "rule": one["rule"], "verdict": one["verdict"], "operation": one["operation"],
            "claim": one["claim"], "effect": one["effect"], "advice": one["advice"],
            "blocks": one["blocks"],
        })
    };
    let findings: Vec<Value> = said["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(finding)
        .collect();
    // A snapshot says of what the server itself was to read that nobody has.
    let by_server = |one: &&Value| {
        let reason = one["reason"].as_str().unwrap();
        !reason.starts_with("what it names beside its table is not looked up")
    };
    let not_judged = said["notJudged"].as_array().into_iter().flatten();
    let not_judged: Vec<&Value> = not_judged.filter(by_server).collect();
    json!({
        "server": said["server"], "operations": said["operations"], "findings": findings,
        "unread": said["unread"], "notJudged": not_judged,
    })
}

/// Statements of which a snapshot knows as much as the database.
const ALIKE: [&str; 14] = [
    "ALTER TABLE users ADD COLUMN age int;",
    "ALTER TABLE users ADD COLUMN age int NOT NULL;",
    "ALTER TABLE users ADD COLUMN age int NOT NULL DEFAULT 0;",
    "ALTER TABLE fresh ADD COLUMN age int NOT NULL;",
    "CREATE INDEX users_email ON users (email);",
    "CREATE UNIQUE INDEX again ON users (phone);",
    "CREATE UNIQUE INDEX notes ON fresh (note);",
    "DROP INDEX users_phone ON users;",
    "DROP TABLE orders;",
    "ALTER TABLE users DROP COLUMN email;",
    "ALTER TABLE orders RENAME TO bills;",
    "ALTER TABLE nowhere ADD COLUMN age int;",
    "ALTER TABLE mails ADD COLUMN age int;",
    "CREATE TABLE new (id int PRIMARY KEY); ALTER TABLE new ADD COLUMN age int;",
];
/// The same on PostgreSQL alone.
const ALIKE_ON_POSTGRES: [&str; 8] = [
    "ALTER TABLE users ADD COLUMN age positive;",
    "ALTER TABLE users ADD COLUMN age int DEFAULT code();",
    "ALTER TABLE users ADD COLUMN at timestamptz DEFAULT now();",
    "ALTER TABLE users ADD COLUMN at uuid DEFAULT gen_random_uuid();",
    "ALTER TABLE users ALTER COLUMN id TYPE bigint;",
    "ALTER TABLE fresh ALTER COLUMN note SET NOT NULL;",
    "ALTER TABLE users ALTER COLUMN phone SET NOT NULL;",
    "DROP INDEX CONCURRENTLY users_mail;",
];

#[tokio::test]
async fn a_snapshot_gives_the_findings_of_the_database() {
    on_each_engine(async |server| {
        let case = Case::on(&server, "snapshot_alike").await;
        case.snapshot(&[])
            .await
            .exits(0)
            .says("snapshot.json holds the facts of");
        let mut statements = ALIKE.to_vec();
        if server.engine() == Engine::Postgres {
            statements.retain(|sql| !sql.contains("users_phone ON"));
            statements.extend(ALIKE_ON_POSTGRES);
        }
        for sql in statements {
            let (live, by_database) = case.said("--dsn-file", sql).await;
            let (saved, by_snapshot) = case.said("--facts", sql).await;
            assert_eq!(compared(&by_snapshot), compared(&by_database), "{sql}");
            assert_eq!(saved.status, live.status, "{sql}");
        }

        // What only the server tells.
        let unknown_type = "ALTER TABLE users ADD COLUMN age unknown_type DEFAULT 1;";
        if server.engine() == Engine::Postgres {
            let (_, said) = case.said("--dsn-file", unknown_type).await;
            assert_eq!(said["findings"][0]["verdict"], "WillFail", "{said:#}");
            let (_, said) = case.said("--facts", unknown_type).await;
            let reason = said["notJudged"][0]["reason"].as_str().unwrap();
            assert!(reason.contains("needs the live database"), "{said:#}");
        }

        // What only rows tell.
        let unique = "ALTER TABLE users ADD CONSTRAINT one UNIQUE (email);";
        let (finished, said) = case.said("--facts", unique).await;
        finished.exits(3);
        let finding = &said["findings"][0];
        assert_eq!(finding["rule"], "unique-over-duplicates", "{said:#}");
        assert_eq!(finding["verdict"], "Unknown", "{said:#}");
        let claim = finding["claim"].as_str().unwrap();
        assert!(claim.contains("needs the live database"), "{claim}");
        assert!(said["facts"]["ageSeconds"].is_u64() && said["facts"]["isOld"] == false);
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_holds_no_row_and_no_password() {
    on_each_engine(async |server| {
        let case = Case::on(&server, "snapshot_holds").await;
        let finished = case.snapshot(&["--output", "json"]).await;
        finished.exits(0);
        let summary = finished.json();
        assert_eq!(
            (&summary["leftOut"], &summary["isWhole"]),
            (&json!(0), &json!(true))
        );
        let text = std::fs::read_to_string(case.path("snapshot.json")).unwrap();
        assert!(!text.contains(CANARY), "{text}");
        let dsn = case.database.admin_dsn();
        let secret = dsn
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('@'))
            .unwrap()
            .0;
        let (_, password) = secret.split_once(':').unwrap();
        assert!(!text.contains(password), "the password is in it");

        let saved = case.saved();
        assert_eq!(
            (&saved["kind"], &saved["version"]),
            (&json!("DatabaseSnapshot"), &json!(1))
        );
        let name = |table: &str| match server.engine() {
            Engine::Postgres => format!("public.{table}"),
            _ => format!("{}.{table}", case.database.name()),
        };
        let users = &saved["tables"][name("users")]["known"];
        assert_eq!(users["anyRow"], json!({"known": true}), "{users:#}");
        assert_eq!(users["columns"]["phone"]["nullable"], false, "{users:#}");
        assert!(users["rows"]["known"]["estimate"].is_u64(), "{users:#}");
        let why = users["writes"]["unknown"]["why"].as_str().unwrap();
        assert!(why.contains("without --observe"), "{why}");
        let orders = &saved["tables"][name("orders")]["known"];
        let key = orders["constraints"]["known"]
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["kind"] == "foreignKey");
        let key = key.unwrap();
        assert_eq!(key["cascades"], true, "{key:#}");
        assert_eq!(
            saved["tables"][name("fresh")]["known"]["anyRow"],
            json!({"known": false})
        );
        let kind = match server.engine() {
            Engine::Postgres => "other",
            Engine::MariaDb | Engine::MySql => "view",
        };
        assert_eq!(saved["tables"][name("mails")]["known"]["kind"], kind);

        // To stdout it is the same.
        let printed = case
            .directory
            .run(&["snapshot", "--dsn-file", &case.dsn])
            .await;
        printed.exits(0);
        assert_eq!(printed.json()["kind"], "DatabaseSnapshot");
    })
    .await;
}

#[tokio::test]
async fn another_file_is_refused() {
    on_newest(async |server| {
        let case = Case::on(&server, "snapshot_refused").await;
        case.snapshot(&[]).await.exits(0);
        let text = std::fs::read_to_string(case.path("snapshot.json")).unwrap();
        case.directory.write("v8.sql", "SELECT 1;");
        let refused = async |text: &str, says: &str| {
            case.directory.write("other.json", text);
            let (facts, sql) = (case.path("other.json"), case.path("v8.sql"));
            let finished = case
                .directory
                .run(&["analyze", "--facts", &facts, "--sql", &sql])
                .await;
            finished.exits(1).says(says);
        };
        let later = text.replacen("\"version\": 1", "\"version\": 2", 1);
        refused(&later, "it is a snapshot in version 2 of the format").await;
        refused("kind: ManagedDatabase", "it is no snapshot of a database").await;
        let (half, _) = text.split_at(text.len() / 2);
        refused(half, "it is no snapshot of a database").await;

        // Facts of long ago are told to be old, and judged by all the same.
        let taken_at = case.saved()["takenAt"].as_str().unwrap().to_owned();
        let old = text.replacen(&taken_at, "2020-01-01T00:00:00Z", 1);
        case.directory.write("old.json", &old);
        let (facts, sql) = (case.path("old.json"), case.path("v8.sql"));
        let finished = case
            .directory
            .run(&["analyze", "--facts", &facts, "--sql", &sql])
            .await;
        finished
            .exits(0)
            .says("by a snapshot of 2020-01-01T00:00:00Z")
            .says("take a new one with `database-operator snapshot`");
    })
    .await;
}

/// A large table that is written to, as small as a test needs it: `--large-table-rows 1`.
#[tokio::test]
async fn writes_are_observed() {
    on_each_engine(async |server| {
        let case = Case::on(&server, "snapshot_observe").await;
        let counts = match server.engine() {
            // MariaDB counts where it is told to, which these servers are not.
            Engine::MariaDb => false,
            Engine::Postgres | Engine::MySql => true,
        };
        let writer = case.database.as_admin().await;
        let writing = tokio::spawn(async move {
            loop {
                let update = "UPDATE users SET email = 'canary' WHERE id = 1";
                writer.run(update).await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        case.directory
            .write("v8.sql", "CREATE INDEX users_email ON users (email);");
        let (sql, snapshot) = (case.path("v8.sql"), case.path("snapshot.json"));
        let live = [
            "analyze",
            "--dsn-file",
            &case.dsn,
            "--sql",
            &sql,
            "--observe",
            "4s",
            "--large-table-rows",
            "1",
            "--output",
            "json",
        ];
        let live = case.directory.run(&live).await;
        case.snapshot(&["--observe", "4s"]).await.exits(0);
        let facts = [
            "analyze",
            "--facts",
            &snapshot,
            "--sql",
            &sql,
            "--large-table-rows",
            "1",
            "--output",
            "json",
        ];
        let facts = case.directory.run(&facts).await;
        writing.abort();
        let rate = case.saved();
        let rate = rate["tables"]
            .as_object()
            .unwrap()
            .iter()
            .find(|(name, _)| name.ends_with(".users"))
            .map(|(_, table)| table["known"]["writes"].clone())
            .unwrap();
        if !counts {
            assert!(
                rate["unknown"]["why"]
                    .as_str()
                    .unwrap()
                    .contains("does not count"),
                "{rate:#}"
            );
            return;
        }
        if rate["unknown"]["why"]
            .as_str()
            .is_some_and(|why| why.contains("GRANT SELECT"))
        {
            // The least admin of MySQL may not read the counters.
            return;
        }
        assert!(
            rate["known"]["perSecond"].as_f64().unwrap() > 5.0,
            "{rate:#}"
        );
        for finished in [live, facts] {
            let said = finished.json();
            let findings = said["findings"].as_array().unwrap();
            let shown = findings.iter().any(|finding| {
                finding["evidence"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|e| e["value"].as_str().unwrap().ends_with("writes/s"))
            });
            assert!(
                shown || findings.iter().all(|f| f["verdict"] != "Unknown"),
                "{said:#}"
            );
        }
    })
    .await;
}
