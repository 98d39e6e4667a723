//! The ports, on one connection: each call takes the connection, does its work, and gives it back. What the work
//! is, is in the module of its noun.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dbop_database::watch::{self, Way};
use dbop_database::{Administer, DatabaseError, Introspect, Look, Scope};
use dbop_model::catalogue::Catalogue;
use dbop_model::health::HealthFacts;
use dbop_model::sample::NextId;
use dbop_model::table::{FactRequest, TableFactsSet, TableName};
use dbop_model::trial::{Attempt, Trial};
use dbop_model::{DatabaseFacts, Fact, LoginName, LoginTurn, MigrationName, ServerInfo, Session};
use jiff::Timestamp;
use secrecy::SecretString;

use crate::connect::{Server, Spare};
use crate::link::{Link, retried};
use crate::sessions::Counters;
use crate::watch::Watch;
use crate::{
    claim, facts, lock, logins, migrator, observe, password, prepare, reader, sessions, trial,
};

/// A connection as the admin.
pub(crate) struct Backend {
    link: Link,
    server: Server,
    spare: Spare,
    clock: fn() -> Timestamp,
    counters: Arc<Counters>,
}

impl Backend {
    pub(crate) fn new(
        link: Link,
        server: Server,
        spare: Spare,
        clock: fn() -> Timestamp,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            link,
            server,
            spare,
            clock,
            counters,
        }
    }
}

#[async_trait]
impl Introspect for Backend {
    fn server_info(&self) -> ServerInfo {
        self.server.info()
    }

    async fn observe(&self, look: &Look) -> Result<DatabaseFacts, DatabaseError> {
        let hold = self.link.hold("looking at the database").await?;
        let facts = retried!(observe::observe(&hold, look, &self.server, &self.counters));
        hold.release(facts)
    }

    async fn sessions(
        &self,
        logins: &BTreeSet<LoginName>,
    ) -> Result<BTreeMap<LoginName, Vec<Session>>, DatabaseError> {
        let hold = self.link.hold("listing sessions").await?;
        let found = retried!(sessions::of(&hold, logins, &self.server, &self.counters));
        hold.release(found)
    }

    async fn table_facts(
        &self,
        wanted: &BTreeSet<FactRequest>,
        probe_timeout: Duration,
    ) -> Result<TableFactsSet, DatabaseError> {
        let hold = self.link.hold("looking at tables").await?;
        let id = hold.id().await;
        let way = Way::default();
        let looked =
            facts::table_facts(&hold, &self.server, wanted, probe_timeout, self.clock, &way);
        // An error of these leaves the session with other limits: without a release it is not used again.
        let facts = watch::beside(
            looked,
            Watch::open(&self.spare, &self.server.database, id),
            &way,
        )
        .await?;
        hold.release(Ok(facts))
    }

    async fn next_ids(
        &self,
        tables: &BTreeSet<TableName>,
    ) -> Result<BTreeMap<TableName, Fact<Vec<NextId>>>, DatabaseError> {
        let hold = self.link.hold("looking at next ids").await?;
        let found = facts::next_ids(&hold, &self.server, tables, self.clock).await?;
        hold.release(Ok(found))
    }

    async fn health(&self) -> Result<HealthFacts, DatabaseError> {
        let hold = self.link.hold("looking at the database's health").await?;
        // An error of these leaves the session with other limits: without a release it is not used again.
        let facts = facts::health(&hold, &self.server, self.clock).await?;
        hold.release(Ok(facts))
    }

    async fn catalogue(&self, tables_max: usize) -> Result<Catalogue, DatabaseError> {
        let hold = self.link.hold("listing tables").await?;
        let found = facts::catalogue(&hold, &self.server, tables_max, self.clock).await?;
        hold.release(Ok(found))
    }
}

#[async_trait]
impl Administer for Backend {
    async fn try_lock(&self) -> Result<bool, DatabaseError> {
        let hold = self.link.hold("taking the advisory lock").await?;
        let taken = lock::try_lock(&hold, &self.server.database).await;
        hold.release(taken)
    }

    async fn unlock(&self) -> Result<(), DatabaseError> {
        let hold = self.link.hold("releasing the advisory lock").await?;
        let released = lock::unlock(&hold, &self.server.database).await;
        hold.release(released)
    }

    async fn try_on_copies(
        &self,
        attempts: &[Attempt],
        timeout: Duration,
    ) -> Result<BTreeMap<usize, Fact<Trial>>, DatabaseError> {
        let hold = self.link.hold("trying statements on copies").await?;
        // After an error it is not known what is left of them: without a release the connection ends, and they with it.
        let trials = trial::try_on_copies(&hold, &self.server, attempts, timeout).await?;
        hold.release(Ok(trials))
    }

    async fn claim(&self, scope: &Scope) -> Result<(), DatabaseError> {
        let hold = self.link.hold("claiming the database").await?;
        let claimed = claim::claim(&hold, scope, &self.server).await;
        hold.release(claimed)
    }

    async fn take_over(&self, scope: &Scope) -> Result<(), DatabaseError> {
        let hold = self.link.hold("taking the claim over").await?;
        let taken = claim::take_over(&hold, scope, &self.server).await;
        hold.release(taken)
    }

    async fn prepare(&self, scope: &Scope) -> Result<(), DatabaseError> {
        let hold = self.link.hold("preparing accounts and grants").await?;
        let prepared = retried!(prepare::prepare(&hold, scope, &self.server));
        hold.release(prepared)
    }

    async fn ensure_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError> {
        let operation = "making a login";
        let identified = password::identified(operation, self.server.scheme, password)?;
        let hold = self.link.hold(operation).await?;
        let ensured = retried!(logins::ensure(
            &hold,
            scope,
            migration,
            turn,
            &identified,
            &self.server
        ));
        hold.release(ensured)
    }

    async fn lock_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        let hold = self.link.hold("locking a login").await?;
        let locked = logins::set_open(&hold, scope, migration, turn, false, &self.server).await;
        hold.release(locked)
    }

    async fn unlock_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        let hold = self.link.hold("unlocking a login").await?;
        let unlocked = logins::set_open(&hold, scope, migration, turn, true, &self.server).await;
        hold.release(unlocked)
    }

    async fn drop_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        let hold = self.link.hold("dropping a login").await?;
        let dropped = logins::drop(&hold, scope, migration, turn, &self.server).await;
        hold.release(dropped)
    }

    async fn open_migrator(
        &self,
        scope: &Scope,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError> {
        let operation = "opening the migrator";
        let identified = password::identified(operation, self.server.scheme, password)?;
        let hold = self.link.hold(operation).await?;
        let opened = migrator::open(&hold, scope, &identified, &self.server).await;
        hold.release(opened)
    }

    async fn close_migrator(&self, scope: &Scope) -> Result<(), DatabaseError> {
        let hold = self.link.hold("closing the migrator").await?;
        let closed = migrator::close(&hold, scope, &self.server).await;
        hold.release(closed)
    }

    async fn ensure_reader(
        &self,
        scope: &Scope,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError> {
        let operation = "making the login of spec.metrics.sqlQuery";
        let identified = password::identified(operation, self.server.scheme, password)?;
        let hold = self.link.hold(operation).await?;
        let ensured = retried!(reader::ensure(&hold, scope, &identified, &self.server));
        hold.release(ensured)
    }

    async fn drop_reader(&self, scope: &Scope) -> Result<(), DatabaseError> {
        let hold = self
            .link
            .hold("dropping the login of spec.metrics.sqlQuery")
            .await?;
        let dropped = retried!(reader::drop(&hold, scope, &self.server));
        hold.release(dropped)
    }
}
