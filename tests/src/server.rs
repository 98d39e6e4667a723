//! A server that somebody else runs, found through the environment.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

/// The major versions that are tested where nothing else is said: the oldest and the newest.
const OUTER_MAJORS: &[u8] = &[14, 18];

/// A PostgreSQL server and its superuser.
#[derive(Clone)]
pub struct TestServer {
    major: u8,
    superuser: Config,
    log: Option<PathBuf>,
}

/// The major versions that this run tests: those of PostgreSQL in `DBOP_TEST_SERVERS`, such as
/// `postgres-14,postgres-18`, else the oldest and the newest.
///
/// # Panics
/// When a name in the variable has no number, or none is of PostgreSQL.
#[must_use]
#[track_caller]
pub fn majors() -> Vec<u8> {
    let Ok(list) = std::env::var("DBOP_TEST_SERVERS") else {
        return OUTER_MAJORS.to_vec();
    };
    let names = list
        .split(',')
        .filter_map(|name| name.trim().strip_prefix("postgres-"));
    let majors: Vec<u8> = names
        .map(|major| {
            major.parse().unwrap_or_else(|_| {
                panic!("DBOP_TEST_SERVERS is a list such as postgres-14,postgres-18, not {list:?}")
            })
        })
        .collect();
    assert!(
        !majors.is_empty(),
        "DBOP_TEST_SERVERS names no PostgreSQL to test with, only {list:?}"
    );
    majors
}

/// The running server of this major version.
///
/// # Panics
/// When the environment names none.
#[must_use]
#[track_caller]
pub fn server(major: u8) -> TestServer {
    let variable = format!("DBOP_TEST_POSTGRES_{major}");
    let dsn = std::env::var(&variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set, so there is no PostgreSQL {major} to test with: run \
             `cargo xtask test`, or `cargo xtask servers postgres-{major} -- cargo test ...`"
        )
    });
    // The text of a parse error could repeat a part of the DSN, which holds a password.
    let superuser = Config::from_str(&dsn)
        .unwrap_or_else(|_| panic!("{variable} is not a DSN like postgresql://user:...@host/db"));
    let log = std::env::var_os(format!("{variable}_LOG")).map(PathBuf::from);
    TestServer {
        major,
        superuser,
        log,
    }
}

/// Runs a test on each server of [`majors`], side by side: such tests mostly wait.
///
/// # Panics
/// When one of them does, after saying on which server.
pub async fn on_each<F: Future<Output = ()> + 'static>(test: impl Fn(TestServer) -> F) {
    let local = tokio::task::LocalSet::new();
    let tests: Vec<_> = majors()
        .into_iter()
        .map(|major| (major, local.spawn_local(test(server(major)))))
        .collect();
    let outcomes = local.run_until(async {
        let mut outcomes = Vec::new();
        for (major, test) in tests {
            outcomes.push((major, test.await));
        }
        outcomes
    });
    for (major, outcome) in outcomes.await {
        if let Err(error) = outcome {
            eprintln!("this was on PostgreSQL {major}");
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

impl TestServer {
    /// Its major version.
    #[must_use]
    pub fn major(&self) -> u8 {
        self.major
    }

    /// The server's own log, with every statement (`log_statement=all`); absent where a developer
    /// named a server without `DBOP_TEST_POSTGRES_18_LOG`.
    #[must_use]
    pub fn log(&self) -> Option<&Path> {
        self.log.as_deref()
    }

    /// Where it listens: an address and a port.
    ///
    /// # Panics
    /// When it is named by a Unix socket, which the operator does not use.
    #[must_use]
    #[track_caller]
    pub fn address(&self) -> (String, u16) {
        let port = self.superuser.get_ports().first().copied().unwrap_or(5432);
        match self.superuser.get_hosts().first() {
            Some(Host::Tcp(host)) => (host.clone(), port),
            _ => panic!("DBOP_TEST_POSTGRES_{} must name a host", self.major),
        }
    }

    /// A connection of the superuser to the server's first database.
    ///
    /// # Panics
    /// When the server does not let it in.
    pub async fn superuser(&self) -> Client {
        connect(self.superuser.clone()).await
    }

    /// A connection of the superuser to this database.
    ///
    /// # Panics
    /// When the server does not let it in.
    pub async fn superuser_in(&self, database: &str) -> Client {
        let mut config = self.superuser.clone();
        config.dbname(database);
        connect(config).await
    }
}

/// A login may be cut off by a test beside this one that ends sessions: so many times it is tried.
const LOGINS_MAX: usize = 5;

/// Logs in without TLS: the servers of tests are on this machine.
pub(crate) async fn connect(config: Config) -> Client {
    for tried in 1.. {
        match config.connect(NoTls).await {
            Ok((client, connection)) => {
                // A broken connection shows as an error of the client's next call.
                tokio::spawn(connection);
                return client;
            }
            Err(error) if error.is_closed() && tried < LOGINS_MAX => {}
            Err(error) => panic!("the test cannot log in to its server: {error}"),
        }
    }
    unreachable!("the last login either succeeds or panics")
}
