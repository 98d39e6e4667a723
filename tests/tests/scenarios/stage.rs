//! The database of the scenarios: three tables of one shape, a login, `analyze` for it, and the run of what is advised.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use dbop_tests::advice::Way;
use dbop_tests::local::Directory;
use dbop_tests::writer::{DEADLOCK, Pauses, Writer};
use dbop_tests::{Engine, Session, TestDatabase, TestServer, tool};
use serde_json::Value;
use tokio::time::Instant;

use super::table::{EMPTY, LARGE, SMALL};

const ROWS_SMALL: u64 = 1000;
/// So many are made by one statement.
const ROWS_AT_ONCE: u64 = 1_000_000;
/// The writer changes so many rows by a statement.
const ROWS_WRITTEN: u64 = 5;
/// For so long `analyze` looks at the writer.
const OBSERVED: &str = "4s";
/// As long as a probe may take: the machine has other work to do, and millions of rows are looked at.
const PROBE_TIMEOUT: &str = "10s";

const SHAPE: &str =
    "id BIGINT PRIMARY KEY, a INT NOT NULL, b INT NOT NULL, dup INT NOT NULL, note VARCHAR(40)";

pub(crate) struct Stage {
    pub(crate) database: TestDatabase,
    directory: Directory,
    pub(crate) rows: u64,
    /// From so many on a table is large.
    large: u64,
    programs: PathBuf,
    admin: Session,
}

/// A statement or command, beside a writer.
pub(crate) struct Ran {
    pub(crate) took: Duration,
    pub(crate) pauses: Pauses,
    /// What the server or the tool said against it.
    pub(crate) refused: Option<String>,
}

impl Stage {
    /// Makes the tables, the large one with so many rows.
    pub(crate) async fn new(server: &TestServer, rows: u64, large: u64) -> Stage {
        let database = server.database("scenario").await;
        let directory = Directory::new("scenario");
        directory.write("admin.dsn", &database.admin_dsn());
        let programs = match server.engine() {
            Engine::Postgres => PathBuf::new(),
            Engine::MySql | Engine::MariaDb => tool::programs("percona-toolkit"),
        };
        let stage = Stage {
            admin: database.as_admin().await,
            database,
            directory,
            rows,
            large,
            programs,
        };
        stage.count_writes().await;
        for (table, rows) in [(LARGE, rows), (SMALL, ROWS_SMALL), (EMPTY, 0)] {
            stage.table(table, rows).await;
        }
        // One value twice, and one row without a value.
        let spoil = format!("UPDATE {LARGE} SET dup = 2 WHERE id = 1");
        stage.run(&spoil).await;
        stage
            .run(&format!("UPDATE {LARGE} SET note = NULL WHERE id = 7"))
            .await;
        stage
    }

    /// MariaDB counts writes where it is told to; MySQL shows them to whom it is allowed.
    async fn count_writes(&self) {
        let account = self.database.admin_account();
        match self.database.engine() {
            Engine::Postgres => {}
            Engine::MySql => {
                let grant = format!("GRANT SELECT ON performance_schema.* TO {account}");
                self.database.run(&grant).await;
            }
            Engine::MariaDb => self.database.run("SET GLOBAL userstat = 1").await,
        }
    }

    async fn table(&self, table: &str, rows: u64) {
        let key = if self.database.engine() == Engine::MariaDb {
            let kinds = format!("{table}_kind");
            self.run(&format!("CREATE TABLE {kinds} (id INT PRIMARY KEY)"))
                .await;
            self.run(&format!("INSERT INTO {kinds} VALUES (1)")).await;
            format!(
                ", kind INT NOT NULL DEFAULT 1, FOREIGN KEY (kind) REFERENCES {kinds} (id) ON DELETE CASCADE"
            )
        } else {
            String::new()
        };
        self.run(&format!("CREATE TABLE {table} ({SHAPE}{key})"))
            .await;
        let mut made = 0;
        while made < rows {
            let more = (rows - made).min(ROWS_AT_ONCE);
            self.run(&self.filling(table, made, more)).await;
            made += more;
        }
        self.analyzed(table).await;
    }

    /// The server makes the rows itself.
    fn filling(&self, table: &str, after: u64, rows: u64) -> String {
        let values =
            |n: &str| format!("{n}, {n} % 1000, {n} % 7, {n}, concat('note', {n} % 100000)");
        let columns = "id, a, b, dup, note";
        match self.database.engine() {
            Engine::Postgres => format!(
                "INSERT INTO {table} ({columns}) SELECT {} FROM generate_series({}, {}) n",
                values("n"),
                after + 1,
                after + rows
            ),
            Engine::MySql | Engine::MariaDb => format!(
                "INSERT INTO {table} ({columns}) WITH RECURSIVE d (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM d \
                 WHERE n < 999) SELECT {} FROM (SELECT {after} + x.n * 1000 + y.n + 1 AS n FROM d x JOIN d y \
                 WHERE x.n * 1000 + y.n < {rows}) s",
                values("n")
            ),
        }
    }

    async fn analyzed(&self, table: &str) {
        let sql = match self.database.engine() {
            Engine::Postgres => format!("ANALYZE {table}"),
            Engine::MySql | Engine::MariaDb => format!("ANALYZE TABLE {table}"),
        };
        // MySQL answers with rows.
        self.admin
            .read(&sql)
            .await
            .expect("a table can be analysed");
    }

    /// Runs statements as the admin.
    pub(crate) async fn run(&self, sql: &str) {
        for statement in sql.split("; ") {
            if let Err(error) = self.admin.run(statement).await {
                panic!("`{statement}` fails: {error}");
            }
        }
    }

    /// Takes a change back, and lets the server know how large its table is now.
    pub(crate) async fn undo(&self, sql: &str) {
        self.run(sql).await;
        self.analyzed(LARGE).await;
    }

    /// What `analyze` says of statements, with a rate of writes or without, and whether it stops them.
    pub(crate) async fn judged(&self, sql: &str, observed: bool) -> (Value, bool) {
        self.directory.write("change.sql", &format!("{sql};\n"));
        let path = |file: &str| self.directory.path().join(file).display().to_string();
        let (dsn, file, rows) = (
            path("admin.dsn"),
            path("change.sql"),
            self.large.to_string(),
        );
        let mut arguments = vec![
            "analyze",
            "--dsn-file",
            &dsn,
            "--sql",
            &file,
            "--large-table-rows",
            &rows,
            "--probe-timeout",
            PROBE_TIMEOUT,
            "--output",
            "json",
        ];
        if observed {
            arguments.extend(["--observe", OBSERVED]);
        }
        let ended = self.directory.run(&arguments).await;
        let stops = match ended.status {
            Some(0) => false,
            Some(3) => true,
            _ => panic!("analyze judges: {ended}"),
        };
        (ended.json(), stops)
    }

    /// A writer who goes all over the large table.
    pub(crate) fn writer(&self) -> Writer {
        // Row 1 and row 7 are what scenarios are about; it stays away from them.
        let rows = self.rows - 100 - ROWS_WRITTEN;
        Writer::start(self.database.admin_dsn(), move |nth| {
            // A step that has no divisor in common with the rows comes to all of them.
            let first = 100 + (nth * 7919) % rows;
            let last = first + ROWS_WRITTEN - 1;
            format!("UPDATE {LARGE} SET a = a + 1 WHERE id BETWEEN {first} AND {last}")
        })
    }

    /// Runs something beside a writer.
    pub(crate) async fn beside_a_writer(&self, ways: &[Way]) -> Ran {
        let writer = self.writer();
        let begun = Instant::now();
        let mut refused = None;
        for way in ways {
            refused = match way {
                Way::Sql(statements) => self.follow(statements).await.err(),
                Way::Command(command) => self.call(command).err(),
            };
            if refused.is_some() {
                break;
            }
        }
        Ran {
            took: begun.elapsed(),
            pauses: writer.end(),
            refused,
        }
    }

    /// Runs statements one after the other, each as often as it has rows to change that are left for the next time.
    async fn follow(&self, statements: &[String]) -> Result<(), String> {
        for statement in statements {
            let in_batches = statement.starts_with("UPDATE ");
            loop {
                match self.admin.change(statement).await {
                    Ok(0) => break,
                    Ok(_) if !in_batches => break,
                    Ok(_) => {}
                    // InnoDB ends one of two that wait for each other: the batch is tried again.
                    Err(refused) if in_batches && refused.code == DEADLOCK => {}
                    Err(refused) => return Err(refused.to_string()),
                }
            }
        }
        Ok(())
    }

    /// Runs a command as a migration container would.
    fn call(&self, command: &str) -> Result<(), String> {
        let (host, port) = self.database.server().address();
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(self.directory.path())
            .env("PATH", format!("{}:{path}", self.programs.display()))
            .env("DBA_OP_HOST", host)
            .env("DBA_OP_PORT", port.to_string())
            .env("DBA_OP_DATABASE", self.database.name())
            .env("DBA_OP_USERNAME", self.database.admin())
            .env("DBA_OP_PASSWORD", self.database.admin_password())
            .output()
            .expect("there is a shell");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{}{}", said(&output.stdout), said(&output.stderr));
        assert!(
            !said.contains(self.database.admin_password()),
            "no password is printed"
        );
        if output.status.success() {
            Ok(())
        } else {
            Err(said)
        }
    }

    /// How many there are of what a query counts.
    pub(crate) async fn count(&self, sql: &str) -> u64 {
        let rows = self
            .admin
            .read(sql)
            .await
            .expect("the catalogue can be read");
        rows[0].parse().expect("a count is a number")
    }
}
