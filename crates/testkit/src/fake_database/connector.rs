//! Connecting to the server in memory. Its DSN is `fake://user:password@host:port/database`, its engine
//! PostgreSQL, since that is what the code under test knows.

use async_trait::async_trait;
use dbop_database::{Administer, Connector, DatabaseError, Endpoint, Reader, Replica, Target};
use dbop_model::{Engine, LoginName, Proof, TlsMode, Why};
use secrecy::{ExposeSecret, SecretString};

use super::connection::Connection;
use super::reader::ReaderConnection;
use super::replica::{self, ReplicaConnection};
use super::server::Mark;
use super::{ADMIN, FakeDatabase, OpenError};

struct Dsn<'a> {
    user: &'a str,
    password: &'a str,
    host: &'a str,
    port: u16,
    database: &'a str,
}

fn parse(dsn: &str) -> Option<Dsn<'_>> {
    // As it stands in a Secret, or put together from the parts in one.
    let rest = dsn.strip_prefix("fake://");
    let rest = rest.or_else(|| dsn.strip_prefix("postgresql://"))?;
    let (credentials, place) = rest.split_once('@')?;
    let (user, password) = credentials.split_once(':')?;
    let (authority, database) = place.split_once('/')?;
    let (host, port) = authority.split_once(':')?;
    Some(Dsn {
        user,
        password,
        host,
        port: port.parse().ok()?,
        database,
    })
}

fn parsed(target: &Target) -> Result<Dsn<'_>, DatabaseError> {
    parse(target.dsn.expose_secret()).ok_or_else(|| DatabaseError::Dsn {
        reason: "is not of the form fake://...".into(),
    })
}

#[async_trait]
impl Connector for FakeDatabase {
    fn endpoint(&self, target: &Target) -> Result<Endpoint, DatabaseError> {
        let dsn = parsed(target)?;
        Ok(Endpoint {
            engine: Engine::PostgreSql,
            host: dsn.host.to_owned(),
            port: dsn.port,
            database: dsn.database.to_owned(),
            tls: target.tls.unwrap_or(TlsMode::Require),
        })
    }

    async fn connect(&self, target: &Target) -> Result<Box<dyn Administer>, DatabaseError> {
        let dsn = parsed(target)?;
        let address = format!("{}:{}", dsn.host, dsn.port);
        let mut server = self.locked();
        if !server.reachable || dsn.host != server.host {
            let reason = "connection refused".to_owned();
            return Err(DatabaseError::Unreachable { address, reason });
        }
        if dsn.user != ADMIN || dsn.password != server.admin_password {
            let (user, code) = (dsn.user.to_owned(), "28P01".to_owned());
            return Err(DatabaseError::Refused {
                address,
                user,
                code,
            });
        }
        if !server.databases.contains_key(dsn.database) {
            let database = dsn.database.to_owned();
            return Err(DatabaseError::NoDatabase { address, database });
        }
        let id = server.next_id();
        server.connections.insert(id, dsn.database.to_owned());
        drop(server);
        let database = FakeDatabase {
            server: self.server.clone(),
            name: dsn.database.to_owned(),
        };
        Ok(Box::new(Connection::new(database, id, address)))
    }

    async fn connect_replica(&self, target: &Target) -> Result<Box<dyn Replica>, DatabaseError> {
        let dsn = parsed(target)?;
        let host = dsn.host.to_owned();
        replica::reached(&self.locked(), &host)?;
        Ok(Box::new(ReplicaConnection::new(self.clone(), host)))
    }

    async fn connect_reader(
        &self,
        target: &Target,
        login: &LoginName,
        password: &SecretString,
    ) -> Result<Box<dyn Reader>, DatabaseError> {
        let dsn = parsed(target)?;
        let address = format!("{}:{}", dsn.host, dsn.port);
        let server = self.locked();
        match server.admits(login.as_str(), password.expose_secret()) {
            Ok(()) => Ok(Box::new(ReaderConnection::new(self.clone()))),
            Err(OpenError::Refused(_)) => Err(DatabaseError::Refused {
                address,
                user: login.to_string(),
                code: "28P01".to_owned(),
            }),
            Err(error) => Err(DatabaseError::Unreachable {
                address,
                reason: error.to_string(),
            }),
        }
    }

    async fn prove(&self, target: &Target, login: &LoginName, password: &SecretString) -> Proof {
        let unknown = |reason: String| Proof::Unknown(Why::new(reason));
        let dsn = match parsed(target) {
            Ok(dsn) => dsn,
            Err(error) => return unknown(error.to_string()),
        };
        let server = self.locked();
        if !server.databases.contains_key(dsn.database) {
            return unknown(format!("database '{}' does not exist", dsn.database));
        }
        match server.admits(login.as_str(), password.expose_secret()) {
            Ok(()) => {}
            Err(OpenError::Refused(_)) => return Proof::Refused,
            Err(error) => return unknown(error.to_string()),
        }
        let claim = |name: &str| Some(server.roles.get(name)?.mark.as_ref()?.claim().clone());
        let own = claim(login.as_str());
        let is_group = |name: &&String| {
            matches!(server.roles[*name].mark, Some(Mark::Group { .. })) && claim(name) == own
        };
        let roles = server.all_roles_of(login.as_str());
        if own.is_some() && roles.iter().any(|name| is_group(&name)) {
            Proof::Works
        } else {
            unknown(format!("{login} can log in, but has not its grants"))
        }
    }
}
