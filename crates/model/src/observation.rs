//! What was seen in a database, in one look.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::fact::{Fact, Why};
use crate::name::{ClaimId, LoginName, MigrationName, ObjectRef, SchemaVersion};
use crate::server::ServerInfo;

/// What was seen in a database, in one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// Engine and version of the server.
    pub server: ServerInfo,
    /// The login that looked: the admin's.
    pub admin: String,
    /// Whose the database is.
    pub claim: Claim,
    /// What the schema-version engine reads.
    pub version: Fact<ObservedVersion>,
    /// The migration tool's own lock, where somebody holds it.
    pub locks: Fact<Vec<ToolLock>>,
    /// Is there any table besides those that the migration tool keeps for itself?
    pub has_tables: bool,
    /// Our application logins, by the migration that each belongs to (from its mark): of two, the one that its
    /// credential's Secret names.
    pub logins: BTreeMap<MigrationName, LoginFacts>,
    /// The other one, of credentials that have two: a rotation has replaced it, or has not come to publish it.
    pub replaced: BTreeMap<MigrationName, LoginFacts>,
    /// The account that migrations run as.
    pub migrator: Option<MigratorFacts>,
    /// Are group, owner and migrator all there, with the grants as the policy wants them?
    pub roles_ready: bool,
    /// The servers that hold copies of it: sessions may be there as well.
    pub replication: Fact<Replication>,
    /// Who is connected to this database with a login that is none of ours, by login; unknown where sessions are.
    pub unmanaged: Fact<Vec<UnmanagedLogin>>,
    /// The login that users' queries run as, where it is there.
    pub reader: Option<LoginName>,
    /// Privileges that the admin lacks for writes to come, each with the statement that grants it.
    pub missing: Vec<MissingPrivilege>,
    /// Logins or roles that bear a name we need but not our mark.
    pub foreign: Vec<ForeignObject>,
}

impl DatabaseFacts {
    /// Our logins, the migrator's and the reader's among them.
    pub fn accounts(&self) -> BTreeSet<LoginName> {
        let logins = self.all_logins().map(|(_, login)| &login.name);
        let migrator = self.migrator.as_ref().map(|migrator| &migrator.name);
        logins
            .chain(migrator)
            .chain(&self.reader)
            .cloned()
            .collect()
    }

    /// Our application logins, those that were replaced among them, each with the migration that it belongs to.
    pub fn all_logins(&self) -> impl Iterator<Item = (&MigrationName, &LoginFacts)> {
        self.logins.iter().chain(&self.replaced)
    }

    /// Takes in a login that was seen; which of two is the published one, [`DatabaseFacts::publish`] says.
    pub fn add_login(&mut self, migration: MigrationName, login: LoginFacts) {
        match self.logins.entry(migration) {
            Entry::Vacant(none) => {
                none.insert(login);
            }
            Entry::Occupied(other) => {
                self.replaced.insert(other.key().clone(), login);
            }
        }
    }

    /// The credential of a migration publishes the login of this turn: whatever other there is has been replaced.
    pub fn publish(&mut self, migration: &MigrationName, turn: LoginTurn) {
        let seen = [
            self.logins.remove(migration),
            self.replaced.remove(migration),
        ];
        for login in seen.into_iter().flatten() {
            let place = if login.turn == turn {
                &mut self.logins
            } else {
                &mut self.replaced
            };
            place.insert(migration.clone(), login);
        }
    }
}

/// Who owns a database: the mark in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Nobody.
    None,
    /// The ManagedDatabase that asks.
    Ours(ClaimId),
    /// Another one.
    Elsewhere {
        /// The id of that claim.
        id: ClaimId,
        /// Whose it is.
        owner: ClaimOwner,
    },
}

impl Claim {
    /// The id, where the claim is ours.
    pub fn ours(&self) -> Option<&ClaimId> {
        match self {
            Claim::Ours(id) => Some(id),
            Claim::None | Claim::Elsewhere { .. } => None,
        }
    }
}

/// The owner that a claim names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimOwner {
    /// An id of the cluster (uid of its `kube-system` namespace) or of the local directory's state.
    pub cluster: String,
    /// Namespace and name of the ManagedDatabase.
    pub object: ObjectRef,
}

impl fmt::Display for ClaimOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ManagedDatabase {} of cluster {}",
            self.object, self.cluster
        )
    }
}

/// What a schema-version engine reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObservedVersion {
    /// No version: the tool has never run here.
    None,
    /// Exactly one.
    At(SchemaVersion),
    /// More than one (Alembic with several heads).
    Several(Vec<SchemaVersion>),
    /// The tool itself marked a version as half applied.
    Dirty {
        /// The version that was being applied.
        version: SchemaVersion,
        /// What the tool recorded, for people.
        detail: String,
    },
}

/// Which of the two logins of a credential: they take turns, so that one works while the other is made or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoginTurn {
    /// The one that a credential begins with.
    First,
    /// The one that its first rotation makes.
    Second,
}

impl LoginTurn {
    /// Both, in their order.
    pub const ALL: [Self; 2] = [Self::First, Self::Second];

    /// The one whose turn is next.
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// An application login of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginFacts {
    /// Its name.
    pub name: LoginName,
    /// Which of its credential's two it is.
    pub turn: LoginTurn,
    /// Locked: it is being retired.
    pub locked: bool,
    /// Does it have all the grants (membership in the group role)?
    pub granted: bool,
    /// Who is connected with it now.
    pub sessions: Fact<Vec<Session>>,
}

/// The account that migrations run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigratorFacts {
    /// Its name.
    pub name: LoginName,
    /// Can somebody log in to it?
    pub open: bool,
    /// Who is connected with it now.
    pub sessions: Fact<Vec<Session>>,
}

/// A login that is connected and none of ours: an application that has not moved to a credential of a version, a
/// person, or whoever else has the admin's password.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnmanagedLogin {
    /// Its name, as the server has it.
    pub name: String,
    /// Where its sessions are from, as far as the server shows it.
    pub addresses: BTreeSet<String>,
}

/// A server among those that hold copies of one database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replication {
    /// What no other of these servers has: two ways to one of them are found by it.
    pub server: String,
    /// The replicas that it sends its changes to.
    pub replicas: Vec<ReportedReplica>,
}

/// A replica, as the server that it replicates shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReportedReplica {
    /// Its address; `None`: the server does not show it (no privilege), or a local socket.
    pub address: Option<String>,
    /// Its own name for itself, where it gave one.
    pub name: Option<String>,
}

impl fmt::Display for ReportedReplica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, &self.address) {
            (Some(name), Some(address)) => write!(f, "{name} at {address}"),
            (Some(shown), None) | (None, Some(shown)) => f.write_str(shown),
            (None, None) => f.write_str("one whose address is not shown"),
        }
    }
}

/// A session in the database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// The server's id of it.
    pub pid: i64,
    /// The login it uses.
    pub user: LoginName,
    /// The client's address; `None`: the server does not show it (no privilege), or a local socket.
    pub address: Option<String>,
    /// The client's own name for itself (`application_name`), where it gave one.
    pub application: Option<String>,
    /// How long it has been connected, where the server shows it.
    pub age: Option<Duration>,
    /// The replica that it is on (`host:port`); `None`: it is on the server itself.
    pub replica: Option<String>,
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}, user {}", self.pid, self.user)?;
        match &self.address {
            Some(address) => write!(f, ", from {address}")?,
            None => f.write_str(", address not shown")?,
        }
        if let Some(application) = self.application.as_deref().filter(|a| !a.is_empty()) {
            write!(f, ", {application}")?;
        }
        if let Some(replica) = &self.replica {
            write!(f, ", on replica {replica}")?;
        }
        Ok(())
    }
}

/// A migration tool's own lock, which keeps every other run of the tool from beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolLock {
    /// The tool.
    pub tool: &'static str,
    /// What the lock is, as people can look it up: `advisory lock 77431708279161`, or a table.
    pub lock: String,
    /// Who holds it.
    pub holder: LockHolder,
    /// The statement that frees it, should its holder be no longer at work.
    pub frees: String,
}

/// Who holds a migration tool's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockHolder {
    /// A session: the lock ends with it.
    Session(Session),
    /// A row that says who took the lock: it stays when that one is killed.
    Row {
        /// Who, as the tool wrote it; Liquibase writes `host (address)`.
        by: Option<String>,
        /// When, as the tool wrote it.
        since: Option<String>,
    },
}

impl LockHolder {
    /// The host that took it, where the tool wrote one: in a cluster, the name of a Pod.
    pub fn host(&self) -> Option<&str> {
        match self {
            LockHolder::Session(_) => None,
            LockHolder::Row { by, .. } => {
                by.as_deref()?.split(' ').next().filter(|h| !h.is_empty())
            }
        }
    }
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockHolder::Session(session) => write!(f, "{session}"),
            LockHolder::Row { by, since } => {
                f.write_str(by.as_deref().unwrap_or("somebody who left no name"))?;
                match since {
                    Some(since) => write!(f, " since {since}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The result of connecting with a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A login with the Secret's password worked, and had its grants.
    Works,
    /// The server refused the login or the password: the only proof that it does not work.
    Refused,
    /// It could not be tried to the end.
    Unknown(Why),
}

/// A privilege that the admin lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPrivilege {
    /// What it is needed for, as a clause: "create logins".
    pub needed_for: String,
    /// The statement that grants it, to be run by a superuser or the owner.
    pub grant: String,
}

/// Something that bears a name we need and is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignObject {
    /// `role`, `login`, `Secret`, `Job`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ForeignObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}
