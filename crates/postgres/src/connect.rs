//! Connecting: the DSN and TLS, the settings that are pinned in the startup packet, and the limits.
//!
//! What is pinned there goes before `ALTER ROLE ... SET` and `ALTER DATABASE ... SET`, so nobody who owns a
//! schema or a database can put objects of theirs in the way of ours (manual, section 20.1.3).

use std::time::Duration;

use async_trait::async_trait;
use dbop_database::{Administer, Connector, DatabaseError, Endpoint, Reader, Replica, Target};
use dbop_model::{Engine, LoginName, Proof, ServerInfo, TlsMode, Why};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::backend::Backend;
use crate::dsn::{self, Dsn};
use crate::link::{Hold, IDLE_TIMEOUT, LOCK_TIMEOUT, Link, STATEMENT_TIMEOUT};
use crate::mark::Mark;
use crate::parse::Values as _;
use crate::reader::Session;
use crate::replica::Standby;
use crate::{error, parse, query, tls};

/// How long a connection may take to come about, unless the DSN says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that went away without a word is noticed after about a minute of silence.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// What was sent and not acknowledged for so long breaks the connection.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// What `pg_stat_activity` shows of us.
const APPLICATION_NAME: &str = "database-operator";
/// What names without a schema mean: the server's own objects, and temporary ones last.
const SEARCH_PATH: &str = "pg_catalog,pg_temp";
/// The oldest major version that is supported.
const MAJOR_MIN: u32 = 14;

/// Connects to PostgreSQL servers.
#[derive(Debug, Clone)]
pub struct Postgres {
    clock: fn() -> Timestamp,
}

impl Postgres {
    /// With the clock that says when facts of tables were seen.
    pub fn new(clock: fn() -> Timestamp) -> Self {
        Self { clock }
    }
}

/// Which server a connection is to.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) major: u32,
    minor: u32,
    address: String,
    /// The process that serves the connection.
    pub(crate) pid: i32,
}

/// How to log in once more, as the same admin.
pub(crate) struct Spare {
    dsn: Dsn,
    target: Target,
}

impl Spare {
    pub(crate) async fn open(&self) -> Result<Link, DatabaseError> {
        let Spare { dsn, target } = self;
        let (user, password) = (&dsn.common.user, dsn.common.password.as_ref());
        open(dsn, target, user, password).await
    }
}

impl Server {
    pub(crate) fn info(&self) -> ServerInfo {
        ServerInfo {
            engine: Engine::PostgreSql,
            major: self.major,
            minor: self.minor,
            address: self.address.clone(),
        }
    }
}

#[async_trait]
impl Connector for Postgres {
    fn endpoint(&self, target: &Target) -> Result<Endpoint, DatabaseError> {
        let dsn = dsn::parse(&target.dsn)?;
        let tls = dsn.common.tls(target.tls)?;
        Ok(Endpoint {
            engine: Engine::PostgreSql,
            host: dsn.common.host,
            port: dsn.common.port,
            database: dsn.common.database,
            tls,
        })
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Administer>, DatabaseError> {
        let dsn = dsn::parse(&target.dsn)?;
        let link = open(&dsn, target, &dsn.common.user, dsn.common.password.as_ref()).await?;
        let hold = link.hold("connect").await?;
        let server = greeted(&hold, &dsn, true).await;
        let server = hold.release(server)?;
        let spare = Spare {
            dsn,
            target: target.clone(),
        };
        Ok(Box::new(Backend::new(link, server, spare, self.clock)))
    }

    async fn connect_replica(&self, target: &Target) -> Result<Box<dyn Replica>, DatabaseError> {
        let dsn = dsn::parse(&target.dsn)?;
        let link = open(&dsn, target, &dsn.common.user, dsn.common.password.as_ref()).await?;
        let hold = link.hold("connect").await?;
        let server = greeted(&hold, &dsn, false).await;
        hold.release(server)?;
        Ok(Box::new(Standby::new(link)))
    }

    async fn connect_reader(
        &self,
        target: &Target,
        login: &LoginName,
        password: &SecretString,
    ) -> Result<Box<dyn Reader>, DatabaseError> {
        let dsn = dsn::parse(&target.dsn)?;
        let link = open(&dsn, target, login.as_str(), Some(password)).await?;
        let hold = link.hold("connect").await?;
        let server = greeted(&hold, &dsn, false).await;
        hold.release(server)?;
        Ok(Box::new(Session::new(link)))
    }

    async fn prove(&self, target: &Target, login: &LoginName, password: &SecretString) -> Proof {
        match proven(target, login, password).await {
            Ok(true) => Proof::Works,
            Ok(false) => Proof::Unknown(Why::new(format!(
                "{login} can log in, but has not its grants"
            ))),
            Err(DatabaseError::Refused { .. }) => Proof::Refused,
            Err(error) => Proof::Unknown(Why::new(error.to_string())),
        }
    }
}

/// Logs in, and looks whether the login is a member of the group of its claim.
async fn proven(
    target: &Target,
    login: &LoginName,
    password: &SecretString,
) -> Result<bool, DatabaseError> {
    let dsn = dsn::parse(&target.dsn)?;
    let link = open(&dsn, target, login.as_str(), Some(password)).await?;
    let hold = link.hold("prove a login").await?;
    // Its session is one of the login's, and would hold the credential in use for as long as a process that was stopped
    // in the middle stands still: it ends by itself like all of ours.
    let is_granted = match greeted(&hold, &dsn, false).await {
        Ok(_) => has_grants(&hold).await,
        Err(error) => Err(error),
    };
    let is_granted = hold.release(is_granted)?;
    link.close().await;
    Ok(is_granted)
}

async fn has_grants(hold: &Hold<'_>) -> Result<bool, DatabaseError> {
    let mark = |c: &mut parse::Columns<'_>| Ok(Mark::of_comment(c.text()?));
    let rows = hold.rows(query::OWN_MARK).await?;
    let Some(Mark::Login { claim, .. }) = parse::first(hold.operation(), &rows, mark)?.flatten()
    else {
        return Ok(false);
    };
    let rows = hold.rows(&query::own_groups()?).await?;
    let groups = parse::all(hold.operation(), &rows, mark)?;
    let is_ours =
        |mark: &Option<Mark>| matches!(mark, Some(Mark::Group { claim: c, .. }) if *c == claim);
    Ok(groups.iter().any(is_ours))
}

/// Connects and logs in.
async fn open(
    dsn: &Dsn,
    target: &Target,
    user: &str,
    password: Option<&SecretString>,
) -> Result<Link, DatabaseError> {
    let mode = dsn.common.tls(target.tls)?;
    let address = dsn.common.address();
    let limit = dsn.common.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let config = config(dsn, mode, user, password, limit);
    let tls = tls::client_config(mode, target.ca_certificate.as_deref()).map_err(|reason| {
        DatabaseError::Tls {
            address: address.clone(),
            reason,
        }
    })?;
    let failed = |error| error::connecting(&address, user, &dsn.common.database, &error);
    let connecting = async {
        match tls {
            None => {
                let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
                Ok(spawned(client, connection))
            }
            Some(tls) => {
                let connected = config.connect(MakeRustlsConnect::new(tls)).await;
                let (client, connection) = connected.map_err(failed)?;
                Ok(spawned(client, connection))
            }
        }
    };
    match tokio::time::timeout(limit, connecting).await {
        Ok(result) => result,
        Err(_) => Err(DatabaseError::Unreachable {
            address: address.clone(),
            reason: format!("no answer within {} s", limit.as_secs()),
        }),
    }
}

/// What moves the bytes runs beside; an error of it shows as a closed connection to who uses it.
fn spawned<S, T>(client: Client, connection: tokio_postgres::Connection<S, T>) -> Link
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    Link::new(client, tokio::spawn(async move { drop(connection.await) }))
}

fn config(
    dsn: &Dsn,
    mode: TlsMode,
    user: &str,
    password: Option<&SecretString>,
    limit: Duration,
) -> Config {
    let mut config = Config::new();
    config
        .host(&dsn.common.host)
        .port(dsn.common.port)
        .dbname(&dsn.common.database)
        .user(user)
        .application_name(dsn.application_name.as_deref().unwrap_or(APPLICATION_NAME))
        .connect_timeout(limit)
        .keepalives(true)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES)
        .tcp_user_timeout(TCP_USER_TIMEOUT)
        .ssl_mode(if mode == TlsMode::Disable {
            SslMode::Disable
        } else {
            SslMode::Require
        })
        .options(format!(
            "-c search_path={SEARCH_PATH} -c statement_timeout={} -c lock_timeout={} \
             -c idle_in_transaction_session_timeout={} -c standard_conforming_strings=on \
             -c row_security=off",
            STATEMENT_TIMEOUT.as_millis(),
            LOCK_TIMEOUT.as_millis(),
            IDLE_TIMEOUT.as_millis(),
        ));
    if let Some(binding) = dsn.channel_binding {
        config.channel_binding(binding);
    }
    if let Some(password) = password {
        config.password(password.expose_secret());
    }
    config
}

/// Asks the server who it is, and whether it took the pinned settings (a pooler in between may not).
async fn greeted(hold: &Hold<'_>, dsn: &Dsn, writes: bool) -> Result<Server, DatabaseError> {
    let address = dsn.common.address();
    let rows = hold.rows(&query::greeting(IDLE_TIMEOUT)).await?;
    let (number, search_path, is_standby, pid) = parse::one(hold.operation(), &rows, |c| {
        let number = c.number::<u32>()?;
        Ok((number, c.text()?.to_owned(), c.boolean()?, c.number()?))
    })?;
    let (major, minor) = (number / 10_000, number % 10_000);
    supported(major)?;
    if search_path.replace(' ', "") != SEARCH_PATH {
        return Err(DatabaseError::Server {
            operation: "connect",
            code: "0A000".to_owned(),
            message:
                "the settings of a new connection were not taken; connect to the server itself, \
                      not through a pooler"
                    .to_owned(),
        });
    }
    if is_standby && writes {
        let reason = "it is a standby, which takes no writes".to_owned();
        return Err(DatabaseError::NotNow { address, reason });
    }
    let address = format!("{address}/{}", dsn.common.database);
    Ok(Server {
        major,
        minor,
        address,
        pid,
    })
}

/// What is newer than any server that was tested is taken to be like the newest.
fn supported(major: u32) -> Result<(), DatabaseError> {
    if major >= MAJOR_MIN {
        return Ok(());
    }
    Err(DatabaseError::Server {
        operation: "connect",
        code: "0A000".to_owned(),
        message: format!("PostgreSQL {major} is not supported; {MAJOR_MIN} or newer is needed"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_from_14_on_are_supported() {
        for old in [9, 13] {
            let error = supported(old).unwrap_err().to_string();
            assert!(
                error.contains(&format!("PostgreSQL {old} is not supported; 14")),
                "{error}"
            );
        }
        for fine in [14, 18, 19] {
            assert_eq!(supported(fine), Ok(()));
        }
    }
}
