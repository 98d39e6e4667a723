//! The ports: looking at a database, changing it, connecting to it.
//!
//! Every write is safe to repeat: a caller that lost the reply calls again. No write touches anything that
//! does not bear the scope's claim; a foreign object of a wanted name is [`DatabaseError::Foreign`], bytes
//! unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use dbop_model::catalogue::Catalogue;
use dbop_model::health::{HealthFacts, Lag};
use dbop_model::sample::NextId;
use dbop_model::table::{FactRequest, TableFactsSet, TableName};
use dbop_model::trial::{Attempt, Trial};
use dbop_model::{
    AccessPolicy, ClaimId, ClaimOwner, DatabaseFacts, Engine, Fact, LoginName, LoginTurn,
    MigrationName, Proof, Replication, ServerInfo, Session, TlsMode, VersionSource, Why,
};
use secrecy::SecretString;

use crate::error::DatabaseError;

const READER: &str = "making the login of spec.metrics.sqlQuery";

/// What a look at a database needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Who looks: a claim of this owner is ours.
    pub owner: ClaimOwner,
    /// How the schema version shows.
    pub version_source: VersionSource,
    /// What the grants follow from.
    pub access: AccessPolicy,
    /// Migrations whose login names must be free or ours.
    pub migrations: BTreeSet<MigrationName>,
}

/// What a write needs to know: whose it is, and what the grants follow from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The owner: namespace and name give the names of roles and logins.
    pub owner: ClaimOwner,
    /// The claim's id.
    pub claim: ClaimId,
    /// What the grants follow from.
    pub access: AccessPolicy,
}

/// Looks at a database. Nothing here writes.
#[async_trait]
pub trait Introspect: Send + Sync {
    /// Which server it is, as it said when the connection was made. Nothing is asked.
    fn server_info(&self) -> ServerInfo;

    /// All that one pass needs to know, in one look.
    async fn observe(&self, look: &Look) -> Result<DatabaseFacts, DatabaseError>;

    /// Who is connected with these logins now; a login without sessions has an empty list. Cheap: it is
    /// called many times a second while a login is watched.
    async fn sessions(
        &self,
        logins: &BTreeSet<LoginName>,
    ) -> Result<BTreeMap<LoginName, Vec<Session>>, DatabaseError>;

    /// Facts for the hint rules, within bounds: read-only, and no probe longer than `probe_timeout`.
    async fn table_facts(
        &self,
        wanted: &BTreeSet<FactRequest>,
        probe_timeout: Duration,
    ) -> Result<TableFactsSet, DatabaseError>;

    /// The ids that these tables' next rows get: the catalogue.
    async fn next_ids(
        &self,
        tables: &BTreeSet<TableName>,
    ) -> Result<BTreeMap<TableName, Fact<Vec<NextId>>>, DatabaseError> {
        let why = || Why::new("next ids cannot be told on this server");
        let unknown = tables
            .iter()
            .map(|table| (table.clone(), Fact::Unknown(why())));
        Ok(unknown.collect())
    }

    /// What the health of the database is judged by: catalogue and statistics, each fact by itself, lists within bounds.
    /// What cannot be seen is unknown, with the way out.
    async fn health(&self) -> Result<HealthFacts, DatabaseError> {
        Ok(HealthFacts::unknown(&Why::new(
            "health cannot be told on this server",
        )))
    }

    /// What there is in the database, by name: at most `tables_max` tables. No row is looked at.
    async fn catalogue(&self, tables_max: usize) -> Result<Catalogue, DatabaseError>;
}

/// Changes a database.
#[async_trait]
pub trait Administer: Introspect {
    /// Takes the database's advisory lock for this connection, without waiting. False: another holds it.
    /// It is released by [`Administer::unlock`] and when the connection ends.
    async fn try_lock(&self) -> Result<bool, DatabaseError>;

    /// Releases the advisory lock.
    async fn unlock(&self) -> Result<(), DatabaseError>;

    /// Marks the database as owned by `scope.owner` with id `scope.claim` (and makes the group role).
    ///
    /// # Errors
    /// [`DatabaseError::Foreign`] where another claim is on it.
    async fn claim(&self, scope: &Scope) -> Result<(), DatabaseError>;

    /// Rewrites the owner in the mark of claim `scope.claim`, whoever it was before.
    async fn take_over(&self, scope: &Scope) -> Result<(), DatabaseError>;

    /// Makes group, owner and migrator (closed, when it is new) where missing, and applies all grants, also
    /// to objects that came since: never a write on the version table.
    async fn prepare(&self, scope: &Scope) -> Result<(), DatabaseError>;

    /// Makes the login of a migration's credential whose turn it is, or brings ours to this password and its grants. A login
    /// locked for retirement stays locked.
    async fn ensure_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError>;

    /// Locks a login: no new session; existing ones live on.
    async fn lock_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError>;

    /// Unlocks a login.
    async fn unlock_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError>;

    /// Drops a login; what it came to own goes to the owner role first. A login that is not there is dropped.
    ///
    /// # Errors
    /// [`DatabaseError::StillOwns`] where something of it cannot be reassigned.
    async fn drop_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError>;

    /// Tries statements on empty copies of their tables, nothing of which is left: what each came to, by its number. The
    /// tables themselves are read from the catalogue alone. What cannot be tried is unknown, with its reason; no
    /// statement of it runs for longer than `timeout`, or waits for a lock for longer than a second.
    async fn try_on_copies(
        &self,
        attempts: &[Attempt],
        _timeout: Duration,
    ) -> Result<BTreeMap<usize, Fact<Trial>>, DatabaseError> {
        let why = || Why::new("statements cannot be tried on this server");
        let untried = attempts
            .iter()
            .map(|attempt| (attempt.statement, Fact::Unknown(why())));
        Ok(untried.collect())
    }

    /// Gives the migrator a new password and lets it log in.
    async fn open_migrator(
        &self,
        scope: &Scope,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError>;

    /// Closes the migrator's door: no new session.
    async fn close_migrator(&self, scope: &Scope) -> Result<(), DatabaseError>;

    /// Makes the login that users' queries run as, or brings ours to this password, and to the right to read what
    /// applications may use and nothing else.
    async fn ensure_reader(
        &self,
        _scope: &Scope,
        _password: &SecretString,
    ) -> Result<LoginName, DatabaseError> {
        Err(DatabaseError::Server {
            operation: READER,
            code: "0A000".to_owned(),
            message: "users' queries cannot be run on this kind of server".to_owned(),
        })
    }

    /// Drops that login. One that is not there is dropped.
    async fn drop_reader(&self, _scope: &Scope) -> Result<(), DatabaseError> {
        Ok(())
    }
}

/// What users' queries are run by: a session of the login of [`Administer::ensure_reader`].
#[async_trait]
pub trait Reader: Send + Sync {
    /// The number that a statement gives: one SELECT, held to it, in a transaction that only reads, for no longer than
    /// `limit`. Unknown, with the reason, where it is refused, fails or gives anything else than one number.
    ///
    /// # Errors
    /// [`DatabaseError::Lost`] where the session has ended, perhaps by what the statement did.
    async fn number(&self, sql: &str, limit: Duration) -> Result<Fact<f64>, DatabaseError>;
}

/// A server that holds a copy of the database, where applications may be connected as well. Nothing here writes.
#[async_trait]
pub trait Replica: Send + Sync {
    /// What it shows of these logins. Cheap: it is called many times a second while a login is watched.
    async fn look(&self, logins: &BTreeSet<LoginName>) -> Result<ReplicaFacts, DatabaseError>;

    /// How far it is behind, by its own account.
    async fn lag(&self) -> Result<Fact<Lag>, DatabaseError> {
        Ok(Fact::Unknown(Why::new(
            "how far it is behind cannot be told on this server",
        )))
    }
}

/// What a replica shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaFacts {
    /// Which server it is, and the replicas that it has itself.
    pub replication: Replication,
    /// Who is connected with the logins; one without sessions has an empty list.
    pub sessions: BTreeMap<LoginName, Vec<Session>>,
    /// Those of the logins that can log in here: what the replica has not yet replayed shows.
    pub open: BTreeSet<LoginName>,
}

/// Where a database is and how to log in to it as the admin.
#[derive(Debug, Clone)]
pub struct Target {
    /// The admin DSN.
    pub dsn: SecretString,
    /// How TLS is used; `None`: `Require` for remote hosts, `Disable` for loopback.
    pub tls: Option<TlsMode>,
    /// The CA certificate, PEM.
    pub ca_certificate: Option<String>,
}

/// Where a database is, for those who log in with credentials of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The engine, from the DSN's scheme.
    pub engine: Engine,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The database's name.
    pub database: String,
    /// The TLS mode in force.
    pub tls: TlsMode,
}

/// Opens connections.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Reads a DSN, without connecting.
    ///
    /// # Errors
    /// [`DatabaseError::Dsn`] naming the part that is wrong; nothing of the DSN's text is shown.
    fn endpoint(&self, target: &Target) -> Result<Endpoint, DatabaseError>;

    /// Connects as the admin.
    async fn connect(&self, target: &Target) -> Result<Box<dyn Administer>, DatabaseError>;

    /// Connects to a replica, to look at its sessions alone: a server that takes no writes will do.
    async fn connect_replica(&self, target: &Target) -> Result<Box<dyn Replica>, DatabaseError>;

    /// Connects as the login that users' queries run as.
    async fn connect_reader(
        &self,
        target: &Target,
        login: &LoginName,
        password: &SecretString,
    ) -> Result<Box<dyn Reader>, DatabaseError>;

    /// Tries a credential by logging in with it.
    async fn prove(&self, target: &Target, login: &LoginName, password: &SecretString) -> Proof;
}
