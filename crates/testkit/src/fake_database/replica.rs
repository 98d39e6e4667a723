//! Replicas of the server in memory: sessions of their own, and logins that they may replay late.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use dbop_database::{DatabaseError, Replica, ReplicaFacts, Target};
use dbop_model::{LoginName, Replication, ReportedReplica};

use super::server::{OpenSession, ReplicaState, Server};
use super::{ADMIN, FakeDatabase, OpenError, SessionId};

/// The server's own name among its replicas.
const PRIMARY: &str = "fake.test";

impl FakeDatabase {
    /// Adds a replica on this host, which replays at once.
    pub fn add_replica(&self, host: &str) {
        let mut server = self.locked();
        server
            .replicas
            .insert(host.to_owned(), ReplicaState::default());
    }

    /// Where that replica is, and the admin's credentials.
    pub fn replica_target(&self, host: &str) -> Target {
        let password = self.locked().admin_password.clone();
        Target {
            dsn: format!("fake://{ADMIN}:{password}@{host}:5432/{}", self.name).into(),
            tls: None,
            ca_certificate: None,
        }
    }

    /// Makes a replica answer, or not: then the server does not report it any more.
    pub fn set_replica_reachable(&self, host: &str, reachable: bool) {
        self.on_replica(host, |replica| replica.is_down = !reachable);
    }

    /// Makes a replica stop replaying, or catch up.
    pub fn set_replica_replays(&self, host: &str, replays: bool) {
        let open = self.locked().open_logins();
        self.on_replica(host, |replica| {
            replica.stopped_at = (!replays).then_some(open);
        });
    }

    /// Opens a session on a replica, as an application does.
    ///
    /// # Errors
    /// [`OpenError`] where the replica does not let it in.
    pub fn open_on_replica(&self, host: &str, login: &str) -> Result<SessionId, OpenError> {
        let mut server = self.locked();
        let id = server.next_id();
        let (open, now) = (server.open_logins(), server.now);
        let replica = server.replicas.get_mut(host);
        let replica = replica.filter(|replica| !replica.is_down);
        let replica = replica.ok_or(OpenError::Unreachable)?;
        if !replica.stopped_at.as_ref().unwrap_or(&open).contains(login) {
            return Err(OpenError::Refused(login.to_owned()));
        }
        let session = OpenSession {
            login: login.to_owned(),
            opened_at: now,
            address: "10.0.0.1".to_owned(),
            application: String::new(),
        };
        replica.sessions.insert(id, session);
        Ok(SessionId(id))
    }

    /// Closes a session on a replica.
    pub fn close_on_replica(&self, host: &str, session: SessionId) {
        self.on_replica(host, |replica| drop(replica.sessions.remove(&session.0)));
    }

    fn on_replica(&self, host: &str, change: impl FnOnce(&mut ReplicaState)) {
        if let Some(replica) = self.locked().replicas.get_mut(host) {
            change(replica);
        }
    }
}

impl Server {
    /// Which server it is, and the replicas that follow it.
    pub(super) fn replication(&self) -> Replication {
        let following = self.replicas.iter().filter(|(_, replica)| !replica.is_down);
        Replication {
            server: PRIMARY.to_owned(),
            replicas: following
                .map(|(host, _)| ReportedReplica {
                    address: Some(host.clone()),
                    name: None,
                })
                .collect(),
        }
    }
}

/// The replica on this host.
///
/// # Errors
/// [`DatabaseError::Unreachable`] where there is none that answers.
pub(super) fn reached<'a>(
    server: &'a Server,
    host: &str,
) -> Result<&'a ReplicaState, DatabaseError> {
    let found = server.replicas.get(host);
    found
        .filter(|replica| !replica.is_down)
        .ok_or_else(|| DatabaseError::Unreachable {
            address: format!("{host}:5432"),
            reason: "connection refused".to_owned(),
        })
}

/// A connection to a replica.
pub(super) struct ReplicaConnection {
    database: FakeDatabase,
    host: String,
}

impl ReplicaConnection {
    pub(super) fn new(database: FakeDatabase, host: String) -> Self {
        Self { database, host }
    }
}

#[async_trait]
impl Replica for ReplicaConnection {
    async fn look(&self, logins: &BTreeSet<LoginName>) -> Result<ReplicaFacts, DatabaseError> {
        let server = self.database.locked();
        let replica = reached(&server, &self.host)?;
        let live = server.open_logins();
        let open = replica.stopped_at.as_ref().unwrap_or(&live);
        let sessions: BTreeMap<_, _> = logins
            .iter()
            .map(|login| (login.clone(), server.shown(&replica.sessions, login)))
            .collect();
        Ok(ReplicaFacts {
            replication: Replication {
                server: self.host.clone(),
                replicas: Vec::new(),
            },
            sessions,
            open: logins
                .iter()
                .filter(|login| open.contains(login.as_str()))
                .cloned()
                .collect(),
        })
    }
}
