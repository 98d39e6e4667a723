//! Connecting: the DSN and TLS, the settings of a session that are pinned, and the limits.
//!
//! The settings are read back: what stands between (a proxy that shares sessions) may not have taken them, and then
//! neither the lock nor its fence would hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbop_database::{Administer, Connector, DatabaseError, Endpoint, Reader, Replica, Target};
use dbop_model::{Engine, LoginName, MissingPrivilege, Proof, ServerInfo, TlsMode, Why};
use jiff::Timestamp;
use mysql_async::{Conn, OptsBuilder};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinSet;

use crate::backend::Backend;
use crate::dsn::{self, Dsn};
use crate::link::{Hold, IDLE_TIMEOUT, LOCK_TIMEOUT, Link, STATEMENT_TIMEOUT};
use crate::password::Scheme;
use crate::reader::Session;
use crate::replica::Follower;
use crate::sessions::Counters;
use crate::{claim, error, grants, parse, query, roles, tls};

/// How long a connection may take to come about, unless the DSN says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that went away without a word is noticed by the system after some silence.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(20);
/// What the server's list of connection attributes shows of us.
const PROGRAM_NAME: &str = "database-operator";
/// Statements of ours are small; the server's own limit is read by nobody.
const PACKET_BYTES_MAX: usize = 16 << 20;
/// The servers' limit for a database's name in a grant, escapes included.
const GRANT_CHARS_MAX: usize = 64;
/// The oldest versions that are supported: of MySQL the first with attributes of accounts.
const MYSQL_MIN: (u32, u32, u32) = (8, 0, 21);
const MARIADB_MIN: (u32, u32, u32) = (10, 6, 0);

/// Connects to MySQL and MariaDB servers.
#[derive(Debug, Clone)]
pub struct MySql {
    clock: fn() -> Timestamp,
    /// What servers counted when they were last asked: it outlives a connection, which is a short one.
    counters: Arc<Counters>,
}

impl MySql {
    /// With the clock that says when facts of tables were seen.
    pub fn new(clock: fn() -> Timestamp) -> Self {
        Self {
            clock,
            counters: Arc::default(),
        }
    }
}

/// Which server a connection is to.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) engine: Engine,
    /// How it keeps the passwords of accounts that are made.
    pub(crate) scheme: Scheme,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    /// `partial_revokes`: `_` and `%` in the name of a database are no wildcards in a GRANT.
    pub(crate) names_are_literal: bool,
    /// Does it count connections by account (`performance_schema`, `userstat`)?
    pub(crate) counts: bool,
    place: String,
    address: String,
    pub(crate) database: String,
}

/// How to log in once more, as the same admin.
pub(crate) struct Spare {
    dsn: Dsn,
    target: Target,
}

impl Spare {
    pub(crate) async fn open(&self) -> Result<Link, DatabaseError> {
        let Spare { dsn, target } = self;
        open(dsn, target, &dsn.user, dsn.password.as_ref(), true).await
    }
}

impl Server {
    /// `host:port`.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn info(&self) -> ServerInfo {
        ServerInfo {
            engine: self.engine,
            major: self.major,
            minor: self.minor,
            address: self.address.clone(),
        }
    }
}

#[async_trait]
impl Connector for MySql {
    fn endpoint(&self, target: &Target) -> Result<Endpoint, DatabaseError> {
        let dsn = dsn::parse(&target.dsn)?;
        let tls = dsn.tls(target.tls)?;
        Ok(Endpoint {
            engine: dsn::engine(&dsn),
            host: dsn.host,
            port: dsn.port,
            database: dsn.database,
            tls,
        })
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Administer>, DatabaseError> {
        let dsn = dsn::parse(&target.dsn)?;
        let opened = open(&dsn, target, &dsn.user, dsn.password.as_ref(), true).await;
        let link = match opened {
            Err(DatabaseError::Server { code, .. }) if code == error::NO_RIGHT_ON_DATABASE => {
                return Err(hidden(&dsn, target).await?);
            }
            opened => opened?,
        };
        let hold = link.hold("connect").await?;
        let server = greeted(&hold, &dsn, true).await;
        let server = hold.release(server)?;
        let counters = Arc::clone(&self.counters);
        let spare = Spare {
            dsn,
            target: target.clone(),
        };
        let backend = Backend::new(link, server, spare, self.clock, counters);
        Ok(Box::new(backend))
    }

    async fn connect_replica(&self, target: &Target) -> Result<Box<dyn Replica>, DatabaseError> {
        let dsn = dsn::parse(&target.dsn)?;
        let link = open(&dsn, target, &dsn.user, dsn.password.as_ref(), true).await?;
        let hold = link.hold("connect").await?;
        let server = greeted(&hold, &dsn, false).await;
        let server = hold.release(server)?;
        Ok(Box::new(Follower::new(
            link,
            server,
            Arc::clone(&self.counters),
        )))
    }

    async fn connect_reader(
        &self,
        target: &Target,
        login: &LoginName,
        password: &SecretString,
    ) -> Result<Box<dyn Reader>, DatabaseError> {
        let dsn = dsn::parse(&target.dsn)?;
        let link = open(&dsn, target, login.as_str(), Some(password), true).await?;
        let hold = link.hold("connect").await?;
        let server = greeted(&hold, &dsn, false).await;
        let server = hold.release(server)?;
        Ok(Box::new(Session::new(link, server.engine)))
    }

    async fn prove(&self, target: &Target, login: &LoginName, password: &SecretString) -> Proof {
        match proven(target, login, password, &self.counters).await {
            Ok(true) => Proof::Works,
            Ok(false) => Proof::Unknown(Why::new(format!(
                "{login} can log in, but has not its grants"
            ))),
            Err(DatabaseError::Refused { .. }) => Proof::Refused,
            // Of a login that is not there MySQL asks for a plugin by chance, so that nobody can tell; and none of
            // ours has one that is not known here.
            Err(DatabaseError::Server { code, .. }) if code == error::UNKNOWN_PLUGIN => {
                Proof::Refused
            }
            Err(error) => Proof::Unknown(Why::new(error.to_string())),
        }
    }
}

/// Logs in, and looks whether the login has the rights on the database that all of ours have.
async fn proven(
    target: &Target,
    login: &LoginName,
    password: &SecretString,
    counters: &Counters,
) -> Result<bool, DatabaseError> {
    let dsn = dsn::parse(&target.dsn)?;
    // The server counts it among the login's connections, and it is none of an application's.
    let place = dsn.address();
    let mut ours = counters.begin_ours(&place, login);
    let opened = open(&dsn, target, login.as_str(), Some(password), true).await;
    ours.is_in = match &opened {
        Ok(_) => true,
        Err(DatabaseError::Server { code, .. }) => code == error::NO_RIGHT_ON_DATABASE,
        Err(_) => false,
    };
    let link = opened?;
    let hold = link.hold("prove a login").await?;
    let is_granted = has_grants(&hold).await;
    let is_granted = hold.release(is_granted)?;
    link.close().await;
    Ok(is_granted)
}

async fn has_grants(hold: &Hold<'_>) -> Result<bool, DatabaseError> {
    let names_are_literal = variables(hold).await?.is_on("partial_revokes");
    let me = roles::admin(hold).await?;
    Ok(me.holds_on_database(names_are_literal, grants::BASE))
}

/// Why the admin was not let into the database: it is not there, or the admin has no right on it.
async fn hidden(dsn: &Dsn, target: &Target) -> Result<DatabaseError, DatabaseError> {
    let link = open(dsn, target, &dsn.user, dsn.password.as_ref(), false).await?;
    let hold = link.hold("connect").await?;
    let looked = async {
        let names_are_literal = variables(&hold).await?.is_on("partial_revokes");
        let mut admin = roles::admin(&hold).await?;
        admin.database.clone_from(&dsn.database);
        let there = hold.rows(&query::database_named(&dsn.database)?).await?;
        Ok((names_are_literal, admin, !there.is_empty()))
    };
    let looked = looked.await;
    let (names_are_literal, admin, is_there) = hold.release(looked)?;
    link.close().await;
    if is_there || !admin.sees_all_databases() {
        let grant = claim::grant_on_database(&admin, names_are_literal);
        let needed_for = format!("use database {}, if there is one", dsn.database);
        return Ok(DatabaseError::Privilege(MissingPrivilege {
            needed_for,
            grant,
        }));
    }
    Ok(DatabaseError::NoDatabase {
        address: dsn.address(),
        database: dsn.database.clone(),
    })
}

/// Connects and logs in.
async fn open(
    dsn: &Dsn,
    target: &Target,
    user: &str,
    password: Option<&SecretString>,
    into_database: bool,
) -> Result<Link, DatabaseError> {
    let mode = dsn.tls(target.tls)?;
    let address = dsn.address();
    let limit = dsn.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let builder = |name: Option<String>| {
        let tls = tls::options(mode, target.ca_certificate.as_deref(), name);
        let tls = tls.map_err(|reason| DatabaseError::Tls {
            address: address.clone(),
            reason,
        })?;
        let mut builder = OptsBuilder::default()
            .ip_or_hostname(&dsn.host)
            .tcp_port(dsn.port)
            .user(Some(user))
            .pass(password.map(ExposeSecret::expose_secret))
            // Not by a socket that the server names: it would be another way than the one that is verified.
            .prefer_socket(false)
            .tcp_keepalive(Some(KEEPALIVE_IDLE))
            .max_allowed_packet(Some(PACKET_BYTES_MAX))
            .wait_timeout(Some(IDLE_TIMEOUT.as_secs() as usize))
            .stmt_cache_size(0)
            .connect_attribute("program_name", PROGRAM_NAME)
            .ssl_opts(tls);
        if into_database {
            builder = builder.db_name(Some(&dsn.database));
        }
        Ok::<_, DatabaseError>(builder)
    };
    let failed = |error| error::connecting(&address, user, &dsn.database, &error);
    let first = builder(None)?;
    let connecting = async {
        match login(first).await? {
            Err(error) if mode == TlsMode::VerifyCa => match tls::presented(&error) {
                Some(name) => login(builder(Some(name))?).await?.map_err(failed),
                None => Err(failed(error)),
            },
            result => result.map_err(failed),
        }
    };
    match tokio::time::timeout(limit, connecting).await {
        Ok(result) => result.map(Link::new),
        Err(_) => Err(DatabaseError::Unreachable {
            address: address.clone(),
            reason: format!("no answer within {} s", limit.as_secs()),
        }),
    }
}

/// Logs in. The driver panics where a server asks for a way to authenticate that it was built without; so it does
/// this in a task of its own, which ends with us.
async fn login(options: OptsBuilder) -> Result<Result<Conn, mysql_async::Error>, DatabaseError> {
    let mut task = JoinSet::new();
    task.spawn(Conn::new(options));
    match task.join_next().await {
        Some(Ok(result)) => Ok(result),
        _ => Err(DatabaseError::Server {
            operation: "connect",
            code: error::UNKNOWN_PLUGIN.to_owned(),
            message: "the server asks for an authentication plugin that is not known here"
                .to_owned(),
        }),
    }
}

/// The server's variables that matter, by name.
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    fn is_on(&self, name: &str) -> bool {
        matches!(
            self.text(name).to_ascii_uppercase().as_str(),
            "ON" | "1" | "YES"
        )
    }
}

async fn variables(hold: &Hold<'_>) -> Result<Variables, DatabaseError> {
    let rows = hold.rows(query::VARIABLES).await?;
    let rows = parse::all(hold.operation(), &rows, |c| {
        Ok((c.text()?.to_ascii_lowercase(), c.text()?.to_owned()))
    })?;
    Ok(Variables(rows.into_iter().collect()))
}

/// Asks the server who it is, pins the session's settings, and looks whether it took them.
async fn greeted(hold: &Hold<'_>, dsn: &Dsn, writes: bool) -> Result<Server, DatabaseError> {
    let address = dsn.address();
    let variables = variables(hold).await?;
    let (engine, version) = version(variables.text("version"))?;
    hold.run(&query::settings(
        engine,
        IDLE_TIMEOUT,
        LOCK_TIMEOUT,
        STATEMENT_TIMEOUT,
    ))
    .await?;
    let rows = hold.rows(query::GREETING).await?;
    let (idle, database) = parse::one(hold.operation(), &rows, |c| {
        Ok((c.number::<u64>()?, c.text()?.to_owned()))
    })?;
    if idle != IDLE_TIMEOUT.as_secs() {
        return Err(DatabaseError::Server {
            operation: "connect",
            code: "0A000".to_owned(),
            message:
                "the settings of a new session were not taken; connect to the server itself, not \
                      through a proxy that shares sessions"
                    .to_owned(),
        });
    }
    let scheme = match engine {
        Engine::MariaDb if !hold.rows(query::ED25519).await?.is_empty() => Scheme::Ed25519,
        Engine::MariaDb => Scheme::Native,
        _ => Scheme::CachingSha2,
    };
    let names_are_literal = variables.is_on("partial_revokes");
    grantable(&database, names_are_literal)?;
    if let Some(read_only) = ["super_read_only", "read_only", "innodb_read_only"]
        .into_iter()
        .find(|name| writes && variables.is_on(name))
    {
        let reason = format!("it is a replica or otherwise takes no writes ({read_only} is on)");
        return Err(DatabaseError::NotNow { address, reason });
    }
    Ok(Server {
        engine,
        scheme,
        major: version.0,
        minor: version.1,
        names_are_literal,
        counts: match engine {
            Engine::MariaDb => variables.is_on("userstat"),
            _ => variables.is_on("performance_schema"),
        },
        address: format!("{address}/{}", dsn.database),
        place: address,
        database,
    })
}

/// Refuses a name that does not fit into a grant: MariaDB would cut it, and so grant on something else.
fn grantable(database: &str, names_are_literal: bool) -> Result<(), DatabaseError> {
    if query::pattern(database, names_are_literal).chars().count() <= GRANT_CHARS_MAX {
        return Ok(());
    }
    Err(DatabaseError::Server {
        operation: "connect",
        code: "42622".to_owned(),
        message: format!(
            "the database's name does not fit into a grant, which takes {GRANT_CHARS_MAX} characters, and \
             each '_', '%' and backslash counts twice; give it a shorter name"
        ),
    })
}

/// What is newer than any server that was tested is taken to be like the newest.
fn version(text: &str) -> Result<(Engine, (u32, u32, u32)), DatabaseError> {
    let engine = if text.contains("MariaDB") {
        Engine::MariaDb
    } else {
        Engine::MySql
    };
    // Some services say 5.5.5- before MariaDB's own version, for old replicas.
    let own = text.strip_prefix("5.5.5-").unwrap_or(text);
    let mut numbers = own
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    let version = (next(), next(), next());
    let oldest = if engine == Engine::MariaDb {
        MARIADB_MIN
    } else {
        MYSQL_MIN
    };
    if version >= oldest {
        return Ok((engine, version));
    }
    let of = |(major, minor, patch)| format!("{engine} {major}.{minor}.{patch}");
    Err(DatabaseError::Server {
        operation: "connect",
        code: "0A000".to_owned(),
        message: format!(
            "{} is not supported; {} or newer is needed",
            of(version),
            of(oldest)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_do_not_fit_into_a_grant_are_refused() {
        for (name, literal, fits) in [
            ("a".repeat(64), false, true),
            ("a_".repeat(21), false, true),
            ("a_".repeat(22), false, false),
            ("a_".repeat(32), true, true),
        ] {
            assert_eq!(grantable(&name, literal).is_ok(), fits, "{name}");
        }
    }

    #[test]
    fn versions_are_read_and_old_ones_refused() {
        for (text, expect) in [
            ("9.7.4-2", (Engine::MySql, (9, 7, 4))),
            ("8.0.46", (Engine::MySql, (8, 0, 46))),
            ("10.11.5-MariaDB-log", (Engine::MariaDb, (10, 11, 5))),
            ("5.5.5-10.6.23-MariaDB", (Engine::MariaDb, (10, 6, 23))),
            ("11.4.5-MariaDB", (Engine::MariaDb, (11, 4, 5))),
        ] {
            assert_eq!(version(text), Ok(expect));
        }
        for (old, says) in [
            ("5.7.42", "MySQL 5.7.42 is not supported; MySQL 8.0.21"),
            ("8.0.11-TiDB-v7.5.0", "MySQL 8.0.11 is not supported"),
            (
                "10.5.1-MariaDB",
                "MariaDB 10.5.1 is not supported; MariaDB 10.6.0",
            ),
            ("", "MySQL 0.0.0 is not supported"),
        ] {
            let error = version(old).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
