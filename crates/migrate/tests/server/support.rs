//! What the tests share: servers, a database for each test, a directory of files, the program.
//!
//! It deliberately asserts nothing about migrations.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::SERVERS;
use crate::kind::{Conn, Kind};

/// How long anything in a test may take to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server, by its superuser.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    /// The variable that names it; what else is said of it is in variables that begin like it.
    pub(crate) variable: String,
    /// The superuser's connection string.
    pub(crate) dsn: String,
}

/// The servers of this test program: those of its kinds that the run has, else the usual ones.
pub(crate) fn servers() -> Vec<Server> {
    let usual = SERVERS.join(",");
    let names = std::env::var("DBOP_TEST_SERVERS").unwrap_or(usual);
    let servers: Vec<Server> = names.split(',').filter_map(server).collect();
    assert!(
        !servers.is_empty(),
        "there is no server for these tests among {names}"
    );
    servers
}

fn server(name: &str) -> Option<Server> {
    let prefix = |name: &str| name.split('-').next().map(str::to_owned);
    if SERVERS.iter().all(|usual| prefix(usual) != prefix(name)) {
        return None;
    }
    let kind = Kind::named(&prefix(name)?)?;
    let variable = format!("DBOP_TEST_{}", name.replace(['-', '.'], "_").to_uppercase());
    let dsn = std::env::var(&variable).unwrap_or_else(|_| {
        panic!("{variable} names no server: run `cargo xtask test`, which starts one")
    });
    Some(Server {
        kind,
        variable,
        dsn,
    })
}

/// A database of its own, dropped at the end.
pub(crate) struct Scratch {
    server: Server,
    name: String,
    /// The superuser's connection string to it.
    pub(crate) dsn: String,
}

impl Scratch {
    /// `test` is part of the name; two tests never share one.
    pub(crate) async fn new(server: &Server, test: &str) -> Self {
        let name = format!("dbop_migrate_{test}_{}", std::process::id());
        let scratch = Self {
            server: server.clone(),
            dsn: with_database(&server.dsn, &name),
            name,
        };
        let mut conn = Conn::open(server.kind, &server.dsn).await;
        conn.execute(&scratch.drop_sql()).await;
        conn.execute(&format!("CREATE DATABASE {}", scratch.name))
            .await;
        scratch
    }

    pub(crate) async fn connect(&self) -> Conn {
        Conn::open(self.server.kind, &self.dsn).await
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.connect().await.execute(sql).await;
    }

    /// The one number that `sql` gives.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.connect().await.number(sql).await
    }

    /// The versions recorded as done, in order.
    pub(crate) async fn versions(&self) -> Vec<i64> {
        self.connect().await.versions(true).await
    }

    /// Waits until a condition holds.
    pub(crate) async fn until(&self, condition: &str) {
        let mut conn = self.connect().await;
        let begun = tokio::time::Instant::now();
        while !conn.holds(condition).await {
            let server = &self.server.variable;
            assert!(
                begun.elapsed() < PATIENCE,
                "never came true on {server}: {condition}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn drop_sql(&self) -> String {
        let force = self.server.kind.pick(" WITH (FORCE)", "");
        format!("DROP DATABASE IF EXISTS {}{force}", self.name)
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
                let mut conn = Conn::open(server.kind, &server.dsn).await;
                // A session that a failed test left would make this wait for ever.
                if !server.kind.is_postgres() {
                    conn.execute("SET lock_wait_timeout = 5").await;
                }
                conn.execute(&sql).await;
            });
        });
        let _ = dropping.join();
    }
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
    pub(crate) fn customers(kind: Kind, test: &str, rows: u32, directives: &str) -> Self {
        let files = Self::new(test);
        files
            .write("0001_create_customers.sql", &kind.customers(rows))
            .write("0002_add_full_name.sql", kind.full_name())
            .write(
                "0003_backfill_full_name.sql",
                &format!(
                    "-- dbop:batch\n\
                     -- dbop:total SELECT count(*) FROM customers WHERE full_name IS NULL\n\
                     {directives}{}",
                    kind.backfill()
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

/// Waits until a started one has said something on stdout.
pub(crate) async fn until_said(mut child: Child, text: &'static str) -> Child {
    let reading = tokio::task::spawn_blocking(move || {
        let mut out = child.stdout.take().unwrap();
        let (mut seen, mut byte) = (Vec::new(), [0]);
        while !String::from_utf8_lossy(&seen).contains(text) {
            let read = out.read(&mut byte).unwrap();
            assert_eq!(read, 1, "it ended and never said {text}");
            seen.push(byte[0]);
        }
        child.stdout = Some(out);
        child
    });
    let child = tokio::time::timeout(PATIENCE, reading).await;
    child.expect("it says it").unwrap()
}

/// Sends `signal` (`TERM`, say) to a started one.
pub(crate) fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(child.id().to_string())
        .status();
    assert!(sent.unwrap().success());
}
