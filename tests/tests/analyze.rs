//! `analyze` on real servers: SQL and schemaHints judged by who can only read, in text and as JSON, the exit statuses,
//! and that nothing is written.

use dbop_tests::local::{Directory, Finished, Snapshot};
use dbop_tests::{Engine, TestDatabase, TestServer, on_each_engine, on_newest};
use serde_json::{Value, json};

const PASSWORD: &str = "only_reads_0";

/// A database with a table that has rows, one of them with NULL, and a login that can do nothing but read.
struct Case {
    database: TestDatabase,
    directory: Directory,
}

impl Case {
    async fn on(server: &TestServer, prefix: &str) -> Case {
        let database = server.database(prefix).await;
        database
            .run(
                "CREATE TABLE customers (id int PRIMARY KEY, email varchar(40)); \
                 INSERT INTO customers VALUES (1, 'canary@example.com'), (2, NULL);",
            )
            .await;
        let case = Case {
            directory: Directory::new(prefix),
            database,
        };
        let reader = case.database.account(&case.reader());
        let grants = match case.database.engine() {
            Engine::Postgres => format!(
                "CREATE ROLE {reader} LOGIN PASSWORD '{PASSWORD}'; \
                 ALTER ROLE {reader} SET default_transaction_read_only = on; \
                 GRANT CONNECT ON DATABASE {} TO {reader}; GRANT SELECT ON customers TO {reader};",
                case.database.engine().quoted(case.database.name())
            ),
            Engine::MariaDb | Engine::MySql => format!(
                "CREATE USER {reader} IDENTIFIED BY '{PASSWORD}'; \
                 GRANT SELECT ON {}.* TO {reader};",
                case.database.engine().quoted(case.database.name())
            ),
        };
        case.database.run(&grants).await;
        let dsn = case.database.dsn(&case.reader(), PASSWORD);
        case.directory.write("reader.dsn", &dsn);
        case
    }

    /// Named after the admin, so that it goes with the database.
    fn reader(&self) -> String {
        format!("{}_r", self.database.admin())
    }

    fn path(&self, file: &str) -> String {
        let path = self.directory.path().join(file);
        path.to_str().expect("a path in UTF-8").to_owned()
    }

    async fn analyze(&self, option: &str, file: &str, further: &[&str]) -> Finished {
        let (dsn, file) = (self.path("reader.dsn"), self.path(file));
        let mut arguments = vec!["analyze", "--dsn-file", &dsn, option, &file];
        arguments.extend(further);
        let finished = self.directory.run(&arguments).await;
        finished.does_not_say(PASSWORD).does_not_say("canary");
        finished
    }

    /// In both forms, which must end with this status; gives both.
    async fn sql(&self, sql: &str, status: i32) -> (Finished, Value) {
        self.directory.write("v8.sql", sql);
        let text = self.analyze("--sql", "v8.sql", &[]).await;
        text.exits(status);
        let json = self.analyze("--sql", "v8.sql", &["--output", "json"]).await;
        json.exits(status);
        let json = json.json();
        (text, json)
    }

    async fn ends(self) {
        let reader = self.database.account(&self.reader());
        let drop = match self.database.engine() {
            Engine::Postgres => format!("DROP OWNED BY {reader}; DROP ROLE {reader};"),
            Engine::MariaDb | Engine::MySql => format!("DROP USER {reader};"),
        };
        self.database.run(&drop).await;
    }
}

fn names(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "PostgreSQL",
        Engine::MariaDb => "MariaDB",
        Engine::MySql => "MySQL",
    }
}

#[tokio::test]
async fn sql_is_judged_on_every_server_and_nothing_is_written() {
    on_each_engine(async |server| {
        let case = Case::on(&server, "analyze_sql").await;
        let before = Snapshot::of_database(&case.database, "analyze_sql").await;

        // What needs no look at the data.
        let (text, json) = case
            .sql(
                "-- it adds\nALTER TABLE customers ADD COLUMN phone varchar(20);\nINSERT INTO customers (id) VALUES (4711);\n",
                0,
            )
            .await;
        text.says("two statements")
            .says("line 2")
            .says("addColumn customers.phone")
            .says("Nothing stands in the way. Nothing has been changed.")
            .does_not_say("4711");
        assert_eq!(json["server"]["engine"], names(server.engine()), "{json:#}");
        assert_eq!(json["operations"][0]["line"], 2, "{json:#}");
        assert_eq!(json["operations"][0]["table"], "customers", "{json:#}");
        assert_eq!(
            json["operations"][0]["statement"],
            "ALTER TABLE customers ADD COLUMN phone varchar(20)",
            "{json:#}"
        );
        assert_eq!(json["operations"].as_array().map(Vec::len), Some(1), "{json:#}");

        // What is not there: the same on all.
        let (text, json) = case
            .sql("\n\nALTER TABLE custmers ADD COLUMN phone varchar(20)", 3)
            .await;
        text.says("WILL FAIL").says("there is no table custmers").says("v8.sql line 3");
        let finding = &json["findings"][0];
        assert_eq!(finding["rule"], "missing-object", "{json:#}");
        assert_eq!(finding["verdict"], "WillFail", "{json:#}");
        assert_eq!(finding["blocks"], true, "{json:#}");
        assert!(finding["evidence"][0]["takenAt"].is_string(), "{json:#}");
        assert!(finding["advice"][0].is_string(), "{json:#}");

        // What cannot be read is told by its line, and what stands beside it is judged.
        let (text, json) = case
            .sql("ALTER TABLE customers ADD COLUMN phone varchar(20);\nCALL migrate();\nALTER TABLE customers ADD;", 3)
            .await;
        text.says("line 2 CALL migrate()")
            .says("not read: what a procedure does is not said here")
            .says("wo statements cannot be read");
        assert_eq!(json["unread"][0]["line"], 2, "{json:#}");
        assert_eq!(json["unread"][1]["line"], 3, "{json:#}");
        assert_eq!(json["operations"].as_array().map(Vec::len), Some(1), "{json:#}");

        // A file with nothing in it.
        let (text, json) = case.sql("-- nothing\n", 0).await;
        text.says("nothing in it");
        assert_eq!(json["operations"], json!([]), "{json:#}");

        before.is_still(&Snapshot::of_database(&case.database, "analyze_sql").await);
        let rows = case.database.read("SELECT count(*) FROM customers").await;
        assert_eq!(rows, ["2"], "nothing of the file has been run");
        case.ends().await;
    })
    .await;
}

#[tokio::test]
async fn data_decides_on_postgres() {
    on_newest(async |server| {
        if server.engine() != Engine::Postgres {
            return;
        }
        let case = Case::on(&server, "analyze_data").await;
        let (text, json) = case
            .sql("ALTER TABLE customers ALTER COLUMN email SET NOT NULL;", 3)
            .await;
        text.says("WILL FAIL")
            .says("at least one row holds NULL")
            .says("One finding stands in the way. Nothing has been changed.");
        assert_eq!(
            json["findings"][0]["rule"], "not-null-over-nulls",
            "{json:#}"
        );
        case.database
            .run("UPDATE customers SET email = 'canary' WHERE email IS NULL")
            .await;
        let (_, json) = case
            .sql("ALTER TABLE customers ALTER COLUMN email SET NOT NULL;", 0)
            .await;
        assert_eq!(
            json["operations"][0]["effect"]["lock"], "ACCESS EXCLUSIVE",
            "{json:#}"
        );
        case.ends().await;
    })
    .await;
}

const MIGRATION: &str = "apiVersion: v1
kind: ConfigMap
metadata: { name: beside }
---
apiVersion: database-operator.dev/v1alpha1
kind: DatabaseMigration
metadata: { name: v8 }
spec:
  container: { name: migrate, image: shop:8 }
";

#[tokio::test]
async fn hints_of_a_migration_are_judged() {
    on_newest(async |server| {
        let case = Case::on(&server, "analyze_hints").await;
        let hints = "  schemaHints:
    - { op: addColumn, table: custmers, columns: [{ name: phone, type: varchar(20) }] }\n";
        case.directory.write("v8.yaml", &format!("{MIGRATION}{hints}"));
        case.analyze("--migration", "v8.yaml", &[])
            .await
            .exits(3)
            .says("addColumn custmers.phone")
            .says("there is no table custmers");
        let accept = "  accept:\n    - { rule: missing-object, table: custmers, reason: it comes by hand }\n";
        case.directory.write("v8.yaml", &format!("{MIGRATION}{hints}{accept}"));
        case.analyze("--migration", "v8.yaml", &[])
            .await
            .exits(0)
            .says("accepted it comes by hand");

        // SQL in the object, and in a ConfigMap of the file: the server found says in which language.
        let inline = "  sql: { inline: 'ALTER TABLE custmers ADD COLUMN phone varchar(20)' }\n";
        case.directory.write("v8.yaml", &format!("{MIGRATION}{hints}{inline}"));
        case.analyze("--migration", "v8.yaml", &[])
            .await
            .exits(3)
            .says("line 1")
            .says("there is no table custmers")
            .says("One finding stands in the way");
        let of_map = "  sql: { configMap: { name: beside, key: v8.sql } }\n";
        case.directory.write("v8.yaml", &format!("{MIGRATION}{of_map}"));
        case.analyze("--migration", "v8.yaml", &[])
            .await
            .exits(1)
            .says("DatabaseMigration v8: spec.sql.configMap: ConfigMap default/beside has no key v8.sql");
        let filled = MIGRATION.replace("---", "data: { v8.sql: 'DROP TABLE custmers; CALL p()' }\n---");
        case.directory.write("v8.yaml", &format!("{filled}{of_map}"));
        case.analyze("--migration", "v8.yaml", &[])
            .await
            .exits(3)
            .says("there is no table custmers")
            .says("not read");

        case.directory.write("v8.yaml", MIGRATION);
        case.analyze("--migration", "v8.yaml", &[])
            .await
            .exits(1)
            .says("DatabaseMigration v8: it does not say what it does to the schema")
            .says("write spec.sql or spec.schemaHints");
        case.directory.write("v8.yaml", &format!("{MIGRATION}  schemaHitns: []\n"));
        case.analyze("--migration", "v8.yaml", &[]).await.exits(1).says("did you mean schemaHints?");
        case.directory.write("v8.yaml", &format!("{MIGRATION}---\n{}", MIGRATION.replace("v8", "v9")));
        case.analyze("--migration", "v8.yaml", &[])
            .await
            .exits(1)
            .says("it holds several DatabaseMigrations: v8, v9");
        case.directory.write("v8.yaml", "kind: Service\n");
        case.analyze("--migration", "v8.yaml", &[]).await.exits(1).says("it holds no DatabaseMigration");
        case.directory.write("v8.yaml", "a: [");
        case.analyze("--migration", "v8.yaml", &[]).await.exits(1).says("is no YAML");
        case.ends().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_is_said_in_a_sentence() {
    on_newest(async |server| {
        let case = Case::on(&server, "analyze_wrong").await;
        case.directory.write("v8.sql", "SELECT 1;");
        case.analyze("--sql", "missing.sql", &[])
            .await
            .exits(1)
            .says("missing.sql: it cannot be read: No such file or directory");
        std::fs::write(case.path("latin.sql"), b"SELECT 1;\n-- Gr\xf6\xdfe\n")
            .expect("a test's folder");
        case.analyze("--sql", "latin.sql", &[])
            .await
            .exits(1)
            .says("latin.sql: it is not UTF-8 (line 2)");

        let dsn = |text: &str| case.directory.write("reader.dsn", text);
        dsn("mongodb://u:hunter2@host/db");
        let ended = case.analyze("--sql", "v8.sql", &[]).await;
        ended
            .exits(1)
            .says("the DSN names scheme 'mongodb'")
            .does_not_say("hunter2");
        dsn(&format!(
            "{}://u:hunter2@127.0.0.1:1/db",
            server.engine().scheme()
        ));
        let ended = case.analyze("--sql", "v8.sql", &[]).await;
        ended
            .exits(1)
            .says("cannot reach 127.0.0.1:1")
            .says("the DSN is read from")
            .does_not_say("hunter2");
        dsn(&case.database.dsn(&case.reader(), "hunter2"));
        let ended = case.analyze("--sql", "v8.sql", &[]).await;
        ended
            .exits(1)
            .says("the server refused the login or its password")
            .does_not_say("hunter2");
        dsn("");
        case.analyze("--sql", "v8.sql", &[])
            .await
            .exits(1)
            .says("it is empty");
        case.directory
            .run(&["analyze", "--dsn-file", "-", "--sql", "-"])
            .await
            .exits(1)
            .says("--dsn-file and --sql are both stdin");
        case.ends().await;
    })
    .await;
}
