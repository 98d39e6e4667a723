//! Execute: one action, under the database's lock, on what is true *now*.
//!
//! An action was decided on a look that may be stale. So it takes the lock, looks again, live, and goes on only
//! if `decide` still says the same; where it destroys something, it asks again before each such write. One write
//! alone needs less: a run's Job is created suspended, which takes nothing and runs nothing. For it the database
//! is asked under the lock, and what the platform was told last is enough; what follows is done after a live look.

mod credential;
mod retire;
mod run;

use std::collections::BTreeSet;
use std::sync::Arc;

use dbop_database::{Administer, DatabaseError, Scope};
use dbop_model::{Claim, ClaimId, JobName, ObjectRef};
use dbop_plan::{Action, DeletionStep, Undo, decide};

use crate::error::StepError;
use crate::memory::Memory;
use crate::observe::{Freshness, Place, Seen, claim_owner, observe};
use crate::worker::Engine;

/// An action under way: what it works with, and the way to look again.
pub(crate) struct Step<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) memory: &'a mut Memory,
    pub(crate) database: &'a ObjectRef,
    pub(crate) action: &'a Action,
    pub(crate) seen: Seen,
}

/// What became of an action.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// All of it was carried out.
    Whole,
    /// It was no longer the one to carry out, at the start or on the way.
    Not,
}

/// Carries out an action, if it is still the one to carry out. That it no longer is, is no error: the next
/// pass decides anew.
pub(crate) async fn execute(
    engine: &Engine,
    memory: &mut Memory,
    database: &ObjectRef,
    action: &Action,
    freshness: Freshness,
) -> Result<Done, StepError> {
    let admin = memory
        .connection
        .as_ref()
        .map(|connection| connection.admin.clone());
    if let Some(admin) = &admin
        && !admin.try_lock().await?
    {
        return Err(StepError::Locked);
    }
    let done = under_lock(engine, memory, database, action, freshness).await;
    let unlocked = match &admin {
        Some(admin) => admin.unlock().await,
        None => Ok(()),
    };
    // The first error is the one that explains; a connection that broke has lost its lock anyway.
    let done = done?;
    unlocked?;
    Ok(done)
}

async fn under_lock(
    engine: &Engine,
    memory: &mut Memory,
    database: &ObjectRef,
    action: &Action,
    freshness: Freshness,
) -> Result<Done, StepError> {
    let Some(seen) = observe(engine, memory, database, freshness, Some(action)).await? else {
        return Ok(Done::Not);
    };
    let mut step = Step {
        engine,
        memory,
        database,
        action,
        seen,
    };
    if !step.is_still_right() {
        return Ok(Done::Not);
    }
    step.perform().await
}

impl Step<'_> {
    /// Does `decide` say the same of what was seen last?
    fn is_still_right(&self) -> bool {
        let decision = decide(
            &self.seen.desired,
            &self.seen.facts,
            self.engine.clock.now(),
        );
        matches!(&decision, dbop_plan::Decision::Act { action, .. } if action.is_same_step(self.action))
    }

    /// Looks again, live: is the action still the one to carry out?
    pub(crate) async fn still(&mut self) -> Result<bool, StepError> {
        let action = Some(self.action);
        match observe(
            self.engine,
            self.memory,
            self.database,
            Freshness::Again,
            action,
        )
        .await?
        {
            Some(seen) => {
                self.seen = seen;
                Ok(self.is_still_right())
            }
            None => Ok(false),
        }
    }

    async fn perform(&mut self) -> Result<Done, StepError> {
        let platform = self.engine.platform.clone();
        match self.action {
            Action::Undo(Undo::Unlock { migration, turn }) => {
                self.admin()?
                    .unlock_login(&self.scope()?, migration, *turn)
                    .await?;
            }
            Action::Undo(Undo::CloseDoor) => self.admin()?.close_migrator(&self.scope()?).await?,
            Action::Heal { migration } | Action::CreateCredential { migration } => {
                credential::ensure(self, migration).await?;
            }
            Action::Rotate { migration, .. } => credential::rotate(self, migration).await?,
            Action::RetireReplaced { migration, .. } => {
                return retire::retire_replaced(self, migration).await;
            }
            Action::DeleteJob { job } => {
                if self.is_released(job) && self.scope().is_ok() {
                    // A container of it may start while it goes: that one finds the door closed.
                    self.admin()?.close_migrator(&self.scope()?).await?;
                    if !self.still().await? {
                        return Ok(Done::Not);
                    }
                }
                platform.delete_job(self.database, job).await?;
            }
            Action::RecordRun {
                record,
                with_database,
            } => run::record(self, record, *with_database).await?,
            Action::ReleaseJob { job } => platform.finish_job(self.database, job).await?,
            Action::Delete(DeletionStep::Revoke(retirement)) | Action::Retire(retirement) => {
                return retire::retire(self, &retirement.migration).await;
            }
            Action::Delete(DeletionStep::Finish { with_database, .. }) => {
                if *with_database {
                    let (admin, scope) = (self.admin()?, self.scope()?);
                    admin.close_migrator(&scope).await?;
                    admin.drop_reader(&scope).await?;
                }
                platform.let_go(self.database).await?;
            }
            Action::TakeOver => self.take_over().await?,
            Action::AcceptRun { record } => platform.record_run(self.database, record).await?,
            Action::StartRun(what) => return run::start(self, what).await,
        }
        Ok(Done::Whole)
    }

    /// Was this Job let run?
    fn is_released(&self, job: &JobName) -> bool {
        let jobs = self.seen.facts.jobs.known();
        jobs.is_some_and(|jobs| jobs.iter().any(|one| one.name == *job && one.is_live()))
    }

    async fn take_over(&self) -> Result<(), StepError> {
        let claim = match self
            .seen
            .facts
            .database
            .known()
            .map(|database| &database.claim)
        {
            Some(Claim::Elsewhere { id, .. }) => id.clone(),
            _ => return Ok(()),
        };
        Ok(self.admin()?.take_over(&self.scope_of(claim)).await?)
    }

    /// The connection as the admin.
    pub(crate) fn admin(&self) -> Result<Arc<dyn Administer>, StepError> {
        self.seen
            .admin
            .clone()
            .ok_or(StepError::Gone("a connection to the database"))
    }

    /// Where the database is.
    pub(crate) fn place(&self) -> Result<Place, StepError> {
        self.seen
            .place
            .clone()
            .ok_or(StepError::Gone("the database's address"))
    }

    /// The scope of writes under our claim.
    pub(crate) fn scope(&self) -> Result<Scope, StepError> {
        let database = self.seen.facts.database.known();
        let claim = database.and_then(|database| database.claim.ours());
        claim
            .map(|claim| self.scope_of(claim.clone()))
            .ok_or(StepError::Gone("our claim"))
    }

    fn scope_of(&self, claim: ClaimId) -> Scope {
        Scope {
            owner: claim_owner(self.engine, self.database),
            claim,
            access: self.seen.desired.database.access(),
        }
    }

    /// Claims the database. Where it was restored without its roles, the Secrets still say under which claim it was, and
    /// logins get the names again that applications hold; unless on this server somebody else has them.
    async fn claim(&self) -> Result<Scope, StepError> {
        let admin = self.admin()?;
        let secrets = self.seen.secrets.values().filter(|secret| secret.ours);
        let before: BTreeSet<&ClaimId> =
            secrets.filter_map(|secret| secret.claim.as_ref()).collect();
        for id in before {
            let scope = self.scope_of(id.clone());
            match admin.claim(&scope).await {
                Ok(()) => return Ok(scope),
                Err(DatabaseError::Foreign(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut random = [0; dbop_credentials::names::CLAIM_ID_BYTES];
        self.engine.entropy.fill(&mut random);
        let scope = self.scope_of(dbop_credentials::names::claim_id(random));
        admin.claim(&scope).await?;
        Ok(scope)
    }

    /// Claim, roles and grants, where they are missing: the first writes of a credential and of a run.
    pub(crate) async fn prepared(&mut self) -> Result<Scope, StepError> {
        if !self.seen.held {
            self.engine.platform.hold(self.database).await?;
            self.seen.held = true;
        }
        let admin = self.admin()?;
        let database = self
            .seen
            .facts
            .database
            .known()
            .ok_or(StepError::Gone("the database"))?;
        let ready = database.roles_ready;
        let scope = match &database.claim {
            Claim::Ours(id) => self.scope_of(id.clone()),
            Claim::None => self.claim().await?,
            Claim::Elsewhere { .. } => return Err(StepError::Gone("our claim")),
        };
        if !ready {
            admin.prepare(&scope).await?;
        }
        Ok(scope)
    }
}
