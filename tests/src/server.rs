//! A server that somebody else runs, found through the environment: PostgreSQL, MariaDB or MySQL.
//!
//! Tests that are the same on all of them speak through [`Session`]; those of PostgreSQL alone get its
//! driver's own client.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use mysql_async::{Conn, Opts, OptsBuilder};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

use crate::session::Session;

/// The servers that are tested where nothing else is said: of PostgreSQL the oldest and the newest.
const OUTER_SERVERS: &str = "postgres-14,postgres-18,mariadb-10.11,mariadb-11.4,mysql-9.7";
/// How the name of a server with a replica ends.
const REPLICATED: &str = "-replicated";
/// The variable that says which servers there are.
const SERVERS: &str = "DBOP_TEST_SERVERS";

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
    /// MySQL.
    MySql,
}

impl Engine {
    /// What people call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Engine::Postgres => "PostgreSQL",
            Engine::MariaDb => "MariaDB",
            Engine::MySql => "MySQL",
        }
    }

    /// The scheme of its connection strings.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Engine::Postgres => "postgresql",
            Engine::MariaDb | Engine::MySql => "mysql",
        }
    }

    /// A statement that takes so long.
    #[must_use]
    pub fn sleep(self, seconds: f32) -> String {
        match self {
            Engine::Postgres => format!("SELECT pg_sleep({seconds})"),
            Engine::MariaDb | Engine::MySql => format!("SELECT SLEEP({seconds})"),
        }
    }

    /// A name as it stands in a statement.
    #[must_use]
    pub fn quoted(self, name: &str) -> String {
        match self {
            Engine::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
            Engine::MariaDb | Engine::MySql => format!("`{}`", name.replace('`', "``")),
        }
    }

    fn of(name: &str) -> Option<(Engine, &str)> {
        let (engine, series) = name.split_once('-')?;
        let engine = match engine {
            "postgres" => Engine::Postgres,
            "mariadb" => Engine::MariaDb,
            "mysql" => Engine::MySql,
            _ => return None,
        };
        Some((engine, series))
    }
}

/// A server and its superuser.
#[derive(Clone)]
pub struct TestServer {
    name: String,
    engine: Engine,
    series: Vec<u8>,
    superuser: Superuser,
    log: Option<PathBuf>,
}

#[derive(Clone)]
enum Superuser {
    Postgres(Box<Config>),
    MySql(Opts),
}

/// The names of the servers that this run tests: `DBOP_TEST_SERVERS`, such as `postgres-18,mysql-9.7`, else the
/// oldest and the newest PostgreSQL, MariaDB 10.11 and 11.4, and MySQL 9.7.
fn names() -> Vec<String> {
    let list = std::env::var(SERVERS).unwrap_or_else(|_| OUTER_SERVERS.to_owned());
    let names = list.split(',').map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// All servers that this run tests, of whatever engine.
///
/// # Panics
/// When there is none, or the environment does not name one of them.
#[must_use]
#[track_caller]
pub fn servers() -> Vec<TestServer> {
    let servers: Vec<TestServer> = names().iter().map(|name| named(name)).collect();
    assert!(!servers.is_empty(), "{SERVERS} names no server");
    servers
}

/// Of each engine that this run tests the newest server: for what does not depend on a server's version.
///
/// # Panics
/// When there is none, or the environment does not name one of them.
#[must_use]
#[track_caller]
pub fn newest() -> Vec<TestServer> {
    let all = servers();
    let is_newest = |server: &&TestServer| {
        all.iter()
            .all(|other| other.engine != server.engine || other.series <= server.series)
    };
    all.iter().filter(is_newest).cloned().collect()
}

/// The major versions of PostgreSQL that this run tests, by `DBOP_TEST_SERVERS`, else the oldest and the newest.
///
/// # Panics
/// When a name in the variable has no number, or none is of PostgreSQL.
#[must_use]
#[track_caller]
pub fn majors() -> Vec<u8> {
    let names = names();
    let majors: Vec<u8> = names
        .iter()
        .filter_map(|name| name.strip_prefix("postgres-"))
        .map(|major| {
            major.parse().unwrap_or_else(|_| {
                panic!("{SERVERS} is a list such as postgres-14,postgres-18, not {names:?}")
            })
        })
        .collect();
    assert!(
        !majors.is_empty(),
        "{SERVERS} names no PostgreSQL to test with, only {names:?}"
    );
    majors
}

/// The running PostgreSQL of this major version.
///
/// # Panics
/// When the environment names none.
#[must_use]
#[track_caller]
pub fn server(major: u8) -> TestServer {
    named(&format!("postgres-{major}"))
}

/// The running server of this name, such as `mariadb-11.4`.
///
/// # Panics
/// When the environment names none.
#[must_use]
#[track_caller]
pub fn named(name: &str) -> TestServer {
    let (engine, series) =
        Engine::of(name).unwrap_or_else(|| panic!("there is no server called {name:?}"));
    let series = series.strip_suffix(REPLICATED).unwrap_or(series);
    let number = |part: &str| {
        part.parse()
            .unwrap_or_else(|_| panic!("{name} names no version"))
    };
    TestServer {
        name: name.to_owned(),
        engine,
        series: series.split('.').map(number).collect(),
        superuser: superuser(engine, name),
        log: std::env::var_os(format!("{}_LOG", variable(name))).map(PathBuf::from),
    }
}

/// The superuser of the server that the environment has under this name.
#[track_caller]
fn superuser(engine: Engine, name: &str) -> Superuser {
    let variable = variable(name);
    let dsn = std::env::var(&variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set, so there is no {} to test with: run \
             `cargo xtask test`, or `cargo xtask servers {} -- cargo test ...`",
            engine.title(),
            name.trim_end_matches("-replica")
        )
    });
    // The text of a parse error could repeat a part of the DSN, which holds a password.
    let superuser = match engine {
        Engine::Postgres => Config::from_str(&dsn)
            .map(|config| Superuser::Postgres(Box::new(config)))
            .ok(),
        Engine::MariaDb | Engine::MySql => {
            let opts = Opts::from_url(&dsn.replace("mariadb://", "mysql://")).ok();
            opts.map(|opts| OptsBuilder::from_opts(opts).prefer_socket(false))
                .map(|opts| Superuser::MySql(opts.into()))
        }
    };
    superuser.unwrap_or_else(|| {
        panic!(
            "{variable} is not a DSN like {}://user:...@host/db",
            engine.scheme()
        )
    })
}

/// The servers with a replica that this run tests: `DBOP_TEST_REPLICATED`, such as `postgres-18-replicated`, else
/// one of each engine.
///
/// # Panics
/// When the environment does not name one of them.
#[must_use]
#[track_caller]
pub fn replicated() -> Vec<TestServer> {
    let list = std::env::var("DBOP_TEST_REPLICATED");
    let list = list.unwrap_or_else(|_| {
        "postgres-18-replicated,mariadb-11.4-replicated,mysql-9.7-replicated".to_owned()
    });
    list.split(',').map(named).collect()
}

/// The variable with the superuser's DSN of a server.
fn variable(name: &str) -> String {
    format!("DBOP_TEST_{}", name.replace(['-', '.'], "_").to_uppercase())
}

/// Runs a test on each PostgreSQL of [`majors`], side by side: such tests mostly wait.
///
/// # Panics
/// When one of them does, after saying on which server.
pub async fn on_each<F: Future<Output = ()> + 'static>(test: impl Fn(TestServer) -> F) {
    side_by_side(majors().into_iter().map(server).collect(), test).await;
}

/// Runs a test on each server of [`servers`], of whatever engine, side by side.
///
/// # Panics
/// When one of them does, after saying on which server.
pub async fn on_each_engine<F: Future<Output = ()> + 'static>(test: impl Fn(TestServer) -> F) {
    side_by_side(servers(), test).await;
}

/// Runs a test on each server of [`newest`], side by side: one of each engine.
///
/// # Panics
/// When one of them does, after saying on which server.
pub async fn on_newest<F: Future<Output = ()> + 'static>(test: impl Fn(TestServer) -> F) {
    side_by_side(newest(), test).await;
}

async fn side_by_side<F: Future<Output = ()> + 'static>(
    servers: Vec<TestServer>,
    test: impl Fn(TestServer) -> F,
) {
    let local = tokio::task::LocalSet::new();
    let tests: Vec<_> = servers
        .into_iter()
        .map(|server| (server.title(), local.spawn_local(test(server))))
        .collect();
    let outcomes = local.run_until(async {
        let mut outcomes = Vec::new();
        for (title, test) in tests {
            outcomes.push((title, test.await));
        }
        outcomes
    });
    for (title, outcome) in outcomes.await {
        if let Err(error) = outcome {
            eprintln!("this was on {title}");
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

impl TestServer {
    /// Its name on the command line: `postgres-18`, `mariadb-11.4`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its kind.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Its kind and the series of its version, for people: `MariaDB 11.4`.
    #[must_use]
    pub fn title(&self) -> String {
        let (_, series) = self.name.split_once('-').unwrap_or_default();
        format!("{} {series}", self.engine.title())
    }

    /// Its major version.
    #[must_use]
    pub fn major(&self) -> u8 {
        self.series.first().copied().unwrap_or_default()
    }

    /// The server's own log, with every statement; absent where a developer named a server without
    /// `DBOP_TEST_POSTGRES_18_LOG` and the like.
    #[must_use]
    pub fn log(&self) -> Option<&Path> {
        self.log.as_deref()
    }

    /// Its replica.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    #[track_caller]
    pub fn replica(&self) -> TestServer {
        let name = format!("{}-replica", self.name);
        TestServer {
            superuser: superuser(self.engine, &name),
            name,
            log: None,
            ..self.clone()
        }
    }

    /// The server's own log, with every statement.
    ///
    /// # Panics
    /// When the environment does not name it.
    #[must_use]
    #[track_caller]
    pub fn statements(&self) -> &Path {
        self.log().unwrap_or_else(|| {
            panic!(
                "{}_LOG names no log of the server with every statement in it: run `cargo xtask test`, or \
                 `cargo xtask servers {} -- cargo test ...`",
                variable(&self.name),
                self.name
            )
        })
    }

    /// Where it listens: an address and a port.
    ///
    /// # Panics
    /// When it is named by a Unix socket, which the operator does not use.
    #[must_use]
    #[track_caller]
    pub fn address(&self) -> (String, u16) {
        match &self.superuser {
            Superuser::Postgres(config) => {
                let port = config.get_ports().first().copied().unwrap_or(5432);
                match config.get_hosts().first() {
                    Some(Host::Tcp(host)) => (host.clone(), port),
                    _ => panic!("{} must name a host", variable(&self.name)),
                }
            }
            Superuser::MySql(opts) => (opts.ip_or_hostname().to_owned(), opts.tcp_port()),
        }
    }

    /// A person with every right, in this database or in none.
    ///
    /// # Panics
    /// When the server does not let it in.
    pub async fn person(&self, database: Option<&str>) -> Session {
        match &self.superuser {
            Superuser::Postgres(config) => {
                let mut config = (**config).clone();
                if let Some(database) = database {
                    config.dbname(database);
                }
                Session::of_postgres(connect(config).await)
            }
            Superuser::MySql(opts) => {
                let opts = OptsBuilder::from_opts(opts.clone()).db_name(database);
                match Session::in_mysql(opts).await {
                    Ok(session) => session,
                    Err(error) => panic!("the test cannot log in to {}: {error}", self.title()),
                }
            }
        }
    }

    /// A person with every right runs statements, in no database.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn run(&self, sql: &str) {
        let person = self.person(None).await;
        if let Err(error) = person.run(sql).await {
            panic!("`{sql}` fails on {}: {error}", self.title());
        }
        person.close().await;
    }

    /// The rows that a person with every right reads, in no database.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn read(&self, sql: &str) -> Vec<String> {
        let person = self.person(None).await;
        let rows = person.read(sql).await;
        person.close().await;
        rows.unwrap_or_else(|error| panic!("`{sql}` fails on {}: {error}", self.title()))
    }

    /// A connection of MySQL's or MariaDB's superuser, in no database.
    ///
    /// # Panics
    /// When the server does not let it in, or is neither.
    pub async fn mysql_superuser(&self) -> Conn {
        let Superuser::MySql(opts) = &self.superuser else {
            panic!(
                "this test is for MySQL and MariaDB alone, and got {}",
                self.title()
            );
        };
        let opts = OptsBuilder::from_opts(opts.clone()).db_name(None::<String>);
        match Conn::new(opts).await {
            Ok(conn) => conn,
            Err(error) => panic!("the test cannot log in to {}: {error}", self.title()),
        }
    }

    /// A connection of PostgreSQL's superuser to the server's first database.
    ///
    /// # Panics
    /// When the server does not let it in, or is no PostgreSQL.
    pub async fn superuser(&self) -> Client {
        connect(self.postgres().clone()).await
    }

    /// A connection of PostgreSQL's superuser to this database.
    ///
    /// # Panics
    /// When the server does not let it in, or is no PostgreSQL.
    pub async fn superuser_in(&self, database: &str) -> Client {
        let mut config = self.postgres().clone();
        config.dbname(database);
        connect(config).await
    }

    #[track_caller]
    fn postgres(&self) -> &Config {
        match &self.superuser {
            Superuser::Postgres(config) => config,
            Superuser::MySql(_) => {
                panic!(
                    "this test is for PostgreSQL alone, and got {}",
                    self.title()
                )
            }
        }
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
