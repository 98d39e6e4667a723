//! What the tests share: servers, a database for each test, a directory of files, the program.
//!
//! It deliberately asserts nothing about migrations.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// How long anything in a test may take to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// The oldest and the newest supported server.
pub(crate) fn servers() -> Vec<String> {
    ["DBOP_TEST_POSTGRES_14", "DBOP_TEST_POSTGRES_18"]
        .map(server)
        .to_vec()
}

fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} names no PostgreSQL server: run `cargo xtask test`, which starts one")
    })
}

/// A database of its own, dropped at the end.
pub(crate) struct Scratch {
    server: String,
    name: String,
    /// The superuser's connection string to it.
    pub(crate) dsn: String,
}

impl Scratch {
    /// `test` is part of the name; two tests never share one.
    pub(crate) async fn new(server: &str, test: &str) -> Self {
        let name = format!("dbop_migrate_{test}_{}", std::process::id());
        let scratch = Self {
            server: server.to_owned(),
            dsn: with_database(server, &name),
            name,
        };
        let mut conn = PgConnection::connect(server).await.unwrap();
        execute(&mut conn, &scratch.drop_sql()).await;
        execute(&mut conn, &format!("CREATE DATABASE {}", scratch.name)).await;
        scratch
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.dsn).await.unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        execute(&mut self.connect().await, sql).await;
    }

    /// The one number that `sql` gives.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(format!("SELECT ({sql})::bigint"));
        sqlx::query_scalar(sql)
            .fetch_one(&mut self.connect().await)
            .await
            .unwrap()
    }

    /// The versions recorded as done, in order.
    pub(crate) async fn versions(&self) -> Vec<i64> {
        let sql = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version";
        sqlx::query_scalar(sql)
            .fetch_all(&mut self.connect().await)
            .await
            .unwrap()
    }

    /// Waits until `sql` gives true.
    pub(crate) async fn until(&self, sql: &str) {
        let mut conn = self.connect().await;
        let begun = tokio::time::Instant::now();
        loop {
            let sql = AssertSqlSafe(format!("SELECT {sql}"));
            let reached: bool = sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap();
            if reached {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "never came true");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn drop_sql(&self) -> String {
        format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (server, sql) = (self.server.clone(), self.drop_sql());
        // A runtime of its own: the test's may be unwinding.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let mut conn = PgConnection::connect(&server).await.unwrap();
                execute(&mut conn, &sql).await;
            });
        });
        let _ = dropping.join();
    }
}

pub(crate) async fn execute(conn: &mut PgConnection, sql: &str) {
    conn.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
}

/// `dsn` with another database.
pub(crate) fn with_database(dsn: &str, database: &str) -> String {
    let (before, query) = dsn.split_once('?').unwrap_or((dsn, ""));
    let (server, _) = before.rsplit_once('/').unwrap();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{server}/{database}{mark}{query}")
}

/// A directory of SQL files, removed at the end.
pub(crate) struct Files {
    pub(crate) dir: PathBuf,
}

impl Files {
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("dbop-migrate-{test}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self { dir }
    }

    pub(crate) fn write(&self, name: &str, sql: &str) -> &Self {
        std::fs::write(self.dir.join(name), sql).unwrap();
        self
    }

    pub(crate) fn remove(&self, name: &str) {
        std::fs::remove_file(self.dir.join(name)).unwrap();
    }

    /// A table of customers, a new column, and its backfill of `rows` rows in batches of 10.
    pub(crate) fn customers(test: &str, rows: u32, directives: &str) -> Self {
        let files = Self::new(test);
        files.write(
            "0001_create_customers.sql",
            &format!(
                "CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
                 name text NOT NULL, touched int NOT NULL DEFAULT 0);\n\
                 INSERT INTO customers (name) SELECT 'c' || n FROM generate_series(1, {rows}) n;\n"
            ),
        );
        files.write(
            "0002_add_full_name.sql",
            "ALTER TABLE customers ADD COLUMN full_name text;\n",
        );
        files.write(
            "0003_backfill_full_name.sql",
            &format!(
                "-- dbop:batch\n\
                 -- dbop:total SELECT count(*) FROM customers WHERE full_name IS NULL\n\
                 {directives}\
                 UPDATE customers SET full_name = name, touched = touched + 1\n \
                 WHERE id IN (SELECT id FROM customers WHERE full_name IS NULL\n              \
                 ORDER BY id LIMIT 10);\n"
            ),
        );
        files
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit status; `None` where a signal ended it.
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn ok(&self) -> &Self {
        assert_eq!(self.status, Some(0), "{self:#?}");
        self
    }

    /// Failed with `status`, saying each of `texts` on stderr.
    #[track_caller]
    pub(crate) fn failed(&self, status: i32, texts: &[&str]) {
        assert_eq!(self.status, Some(status), "{self:#?}");
        for text in texts {
            assert!(self.err.contains(text), "{text:?} is not in {}", self.err);
        }
    }
}

/// The program on `dsn` and `dir`, with nothing else in its environment than `variables`.
pub(crate) fn command(dsn: &str, dir: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dbop-migrate"));
    command
        .env_clear()
        .env("DBA_OP_CONNECTION_STRING", dsn)
        .arg("--dir")
        .arg(dir);
    for (name, value) in variables {
        command.env(name, value);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub(crate) async fn run(dsn: &str, dir: &Path, variables: &[(&str, &str)]) -> Ended {
    ended(command(dsn, dir, variables).spawn().unwrap()).await
}

/// Waits for a started one, without keeping the test's own tasks from running.
pub(crate) async fn ended(child: Child) -> Ended {
    let waiting = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let output = tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("it ends")
        .unwrap();
    Ended {
        status: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Sends `signal` (`TERM`, say) to a started one.
pub(crate) fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(child.id().to_string())
        .status();
    assert!(sent.unwrap().success());
}
