//! The ports, on one connection: each call takes the connection, does its work in a transaction, and gives it
//! back. What the work is, is in the module of its noun.

use std::collections::{BTreeMap, BTreeSet};
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
use crate::link::{Link, in_transaction};
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
}

impl Backend {
    pub(crate) fn new(link: Link, server: Server, spare: Spare, clock: fn() -> Timestamp) -> Self {
        Self {
            link,
            server,
            spare,
            clock,
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
        let facts = observe::observe(&hold, look, &self.server).await;
        hold.release(facts)
    }

    async fn sessions(
        &self,
        logins: &BTreeSet<LoginName>,
    ) -> Result<BTreeMap<LoginName, Vec<Session>>, DatabaseError> {
        let hold = self.link.hold("listing sessions").await?;
        let found = sessions::of(&hold, logins).await;
        hold.release(found)
    }

    async fn table_facts(
        &self,
        wanted: &BTreeSet<FactRequest>,
        probe_timeout: Duration,
    ) -> Result<TableFactsSet, DatabaseError> {
        let hold = self.link.hold("looking at tables").await?;
        let way = Way::default();
        let looked =
            facts::facts_giving_way(hold.client(), wanted, probe_timeout, self.clock, &way);
        // An error of these leaves the connection in a transaction: without a release it is not used again.
        let facts = watch::beside(looked, Watch::open(&self.spare, self.server.pid), &way).await?;
        hold.release(Ok(facts))
    }

    async fn next_ids(
        &self,
        tables: &BTreeSet<TableName>,
    ) -> Result<BTreeMap<TableName, Fact<Vec<NextId>>>, DatabaseError> {
        let hold = self.link.hold("looking at next ids").await?;
        let found = facts::next_ids(hold.client(), tables, self.clock).await?;
        hold.release(Ok(found))
    }

    async fn health(&self) -> Result<HealthFacts, DatabaseError> {
        let hold = self.link.hold("looking at the database's health").await?;
        let facts = facts::health(hold.client(), self.clock).await?;
        hold.release(Ok(facts))
    }

    async fn catalogue(&self, tables_max: usize) -> Result<Catalogue, DatabaseError> {
        let hold = self.link.hold("listing tables").await?;
        let found = facts::catalogue(hold.client(), tables_max, self.clock).await?;
        hold.release(Ok(found))
    }
}

#[async_trait]
impl Administer for Backend {
    async fn try_lock(&self) -> Result<bool, DatabaseError> {
        let hold = self.link.hold("taking the advisory lock").await?;
        let taken = lock::try_lock(&hold).await;
        hold.release(taken)
    }

    async fn unlock(&self) -> Result<(), DatabaseError> {
        let hold = self.link.hold("releasing the advisory lock").await?;
        let released = lock::unlock(&hold).await;
        hold.release(released)
    }

    async fn try_on_copies(
        &self,
        attempts: &[Attempt],
        timeout: Duration,
    ) -> Result<BTreeMap<usize, Fact<Trial>>, DatabaseError> {
        let hold = self.link.hold("trying statements on copies").await?;
        // After an error it is not known what is left of them: without a release the connection ends, and they with it.
        let trials = trial::try_on_copies(&hold, attempts, timeout).await?;
        hold.release(Ok(trials))
    }

    async fn claim(&self, scope: &Scope) -> Result<(), DatabaseError> {
        let hold = self.link.hold("claiming the database").await?;
        let claimed = in_transaction!(hold, claim::claim(&hold, scope));
        hold.release(claimed)
    }

    async fn take_over(&self, scope: &Scope) -> Result<(), DatabaseError> {
        let hold = self.link.hold("taking the claim over").await?;
        let taken = in_transaction!(hold, claim::take_over(&hold, scope));
        hold.release(taken)
    }

    async fn prepare(&self, scope: &Scope) -> Result<(), DatabaseError> {
        let hold = self.link.hold("preparing roles and grants").await?;
        let prepared = prepare::prepare(&hold, scope, self.server.major).await;
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
        let verifier = password::verifier(operation, password)?;
        let major = self.server.major;
        let hold = self.link.hold(operation).await?;
        let ensured = in_transaction!(
            hold,
            logins::ensure(&hold, scope, migration, turn, &verifier, major)
        );
        hold.release(ensured)
    }

    async fn lock_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        let hold = self.link.hold("locking a login").await?;
        let locked = in_transaction!(hold, logins::set_open(&hold, scope, migration, turn, false));
        hold.release(locked)
    }

    async fn unlock_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        let hold = self.link.hold("unlocking a login").await?;
        let unlocked = in_transaction!(hold, logins::set_open(&hold, scope, migration, turn, true));
        hold.release(unlocked)
    }

    async fn drop_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        let major = self.server.major;
        let hold = self.link.hold("dropping a login").await?;
        let dropped = in_transaction!(hold, logins::drop(&hold, scope, migration, turn, major));
        hold.release(dropped)
    }

    async fn open_migrator(
        &self,
        scope: &Scope,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError> {
        let operation = "opening the migrator";
        let verifier = password::verifier(operation, password)?;
        let hold = self.link.hold(operation).await?;
        let opened = in_transaction!(hold, migrator::open(&hold, scope, &verifier));
        hold.release(opened)
    }

    async fn close_migrator(&self, scope: &Scope) -> Result<(), DatabaseError> {
        let hold = self.link.hold("closing the migrator").await?;
        let closed = in_transaction!(hold, migrator::close(&hold, scope));
        hold.release(closed)
    }

    async fn ensure_reader(
        &self,
        scope: &Scope,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError> {
        let operation = "making the login of spec.metrics.sqlQuery";
        let verifier = password::verifier(operation, password)?;
        let hold = self.link.hold(operation).await?;
        let ensured = reader::ensure(&hold, scope, &verifier, self.server.major).await;
        hold.release(ensured)
    }

    async fn drop_reader(&self, scope: &Scope) -> Result<(), DatabaseError> {
        let hold = self
            .link
            .hold("dropping the login of spec.metrics.sqlQuery")
            .await?;
        let major = self.server.major;
        let dropped = in_transaction!(hold, reader::drop(&hold, scope, major));
        hold.release(dropped)
    }
}
