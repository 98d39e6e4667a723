//! Where a database stands: the facts, seen from the chain of migrations.

use std::collections::{BTreeMap, BTreeSet};

use dbop_credentials::generations::{Generation, generation};
use dbop_model::{
    ChainBreak, Claim, DatabaseFacts, Fact, ForeignObject, JobFacts, LockHolder, LoginFacts, Match,
    Migration, MigrationName, ObservedVersion, Proof, RunRecord, Session, ToolLock, Why,
};
use jiff::Timestamp;

use crate::decision::{Blocker, Defect, HeldLock, Use, WaitingOn};
use crate::facts::{Desired, Facts, Reference};

/// The facts of one pass, and what follows from them.
pub(crate) struct Situation<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) facts: &'a Facts,
    pub(crate) now: Timestamp,
}

/// Where the database stands on the chain.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Position {
    /// No version and no tables.
    Empty,
    /// At this migration.
    At(MigrationName),
}

/// Why there is no position.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NoPosition {
    /// The database or its version is not known.
    Unknown(Box<WaitingOn>),
    /// The version belongs to no place on the chain.
    Off(Box<Blocker>),
}

impl<'a> Situation<'a> {
    pub(crate) fn new(desired: &'a Desired, facts: &'a Facts, now: Timestamp) -> Self {
        Self {
            desired,
            facts,
            now,
        }
    }

    /// The database, where it is reachable and not another's.
    pub(crate) fn database(&self) -> Option<&'a DatabaseFacts> {
        self.facts
            .database
            .known()
            .filter(|database| !matches!(database.claim, Claim::Elsewhere { .. }))
    }

    /// Does the database bear our claim, so that our writes have something to hold on to?
    pub(crate) fn claimed(&self) -> bool {
        self.database()
            .is_some_and(|database| database.claim.ours().is_some())
    }

    pub(crate) fn last_run(&self) -> Option<&'a RunRecord> {
        self.facts.object.last_run.as_ref()
    }

    pub(crate) fn jobs(&self) -> &'a [JobFacts] {
        self.facts.jobs.known().map_or(&[], Vec::as_slice)
    }

    /// The login of a migration's credential: one of ours, so only under our claim.
    pub(crate) fn login(&self, migration: &MigrationName) -> Option<&'a LoginFacts> {
        self.logins()?.get(migration)
    }

    /// The login of a migration's credential that its Secret does not name, where it has two.
    pub(crate) fn replaced(&self, migration: &MigrationName) -> Option<&'a LoginFacts> {
        let database = self.database()?;
        let ours = database.claim.ours().map(|_| &database.replaced);
        ours?.get(migration)
    }

    fn logins(&self) -> Option<&'a BTreeMap<MigrationName, LoginFacts>> {
        let database = self.database()?;
        database.claim.ours().map(|_| &database.logins)
    }

    /// The run of which a person says `retry`, where it did not complete and its migration is still the step
    /// that it was: one made anew on another `previous` is not.
    pub(crate) fn retried(&self) -> Option<(&'a RunRecord, &'a Migration)> {
        let run = self.last_run()?;
        let said = self.facts.object.retry.as_ref() == Some(&run.job);
        let migration = self.desired.chain.get(&run.migration)?;
        let same = run.from.is_none() || migration.previous == run.from;
        (said && same && !run.outcome.is_complete()).then_some((run, migration))
    }

    /// Where the database stands (line 8).
    pub(crate) fn position(&self) -> Result<Position, NoPosition> {
        let database = self.facts.database.as_result().map_err(|why| {
            NoPosition::Unknown(Box::new(WaitingOn::Database { why: why.clone() }))
        })?;
        let version = database.version.as_result().map_err(|why| {
            NoPosition::Unknown(Box::new(WaitingOn::Unknown {
                what: "the schema version".to_owned(),
                why: why.clone(),
            }))
        })?;
        let goal = &self.desired.database.desired;
        let chain = &self.desired.chain;
        let off = |blocker| Err(NoPosition::Off(Box::new(blocker)));
        match version {
            ObservedVersion::None if database.has_tables => off(Blocker::TablesWithoutVersion),
            ObservedVersion::None => Ok(Position::Empty),
            ObservedVersion::Several(versions) => off(Blocker::SeveralVersions {
                versions: versions.clone(),
            }),
            ObservedVersion::Dirty { version, detail } => off(Blocker::DirtyVersion {
                version: version.clone(),
                detail: detail.clone(),
            }),
            ObservedVersion::At(version) => match chain.find_version(version, goal) {
                Match::One(migration) => Ok(Position::At(migration.name.clone())),
                Match::Ambiguous(migrations) => off(Blocker::AmbiguousVersion {
                    version: version.clone(),
                    migrations,
                }),
                Match::Unknown => match chain.lineage(goal) {
                    // A chain that is broken on the way back is the likelier reason.
                    (_, Some(broken)) => off(Blocker::NoPath { broken }),
                    (line, None) => off(Blocker::UnknownVersion {
                        version: version.clone(),
                        known: line.iter().rev().map(|m| m.name.clone()).collect(),
                    }),
                },
            },
        }
    }

    /// Does the database have the schema of `migration`, or one further on its way?
    pub(crate) fn reached(&self, migration: &MigrationName) -> bool {
        match self.position() {
            Ok(Position::At(current)) => {
                &current == migration || self.desired.chain.is_ancestor(migration, &current)
            }
            _ => false,
        }
    }

    /// The locks of the migration tool that somebody holds, as far as they can be seen.
    pub(crate) fn locks(&self) -> Vec<HeldLock> {
        let locks = self.database().and_then(|database| database.locks.known());
        let of_pod = |lock: &ToolLock| {
            let host = lock.holder.host()?;
            let jobs = self.jobs().iter().map(|job| &job.name);
            let mut jobs = jobs.chain(self.last_run().map(|run| &run.job));
            // A Job's Pods bear its name, a dash, and five characters of Kubernetes' own.
            jobs.find(|job| {
                let rest = host.strip_prefix(job.as_str());
                rest.is_some_and(|rest| rest.starts_with('-'))
            })
            .cloned()
        };
        locks
            .into_iter()
            .flatten()
            .map(|lock| HeldLock {
                left_by: of_pod(lock),
                lock: lock.clone(),
            })
            .collect()
    }

    /// Those of them that these sessions hold.
    pub(crate) fn locks_of(&self, sessions: &[Session]) -> Vec<HeldLock> {
        let mut locks = self.locks();
        locks.retain(|held| match &held.lock.holder {
            LockHolder::Session(holder) => sessions.iter().any(|one| one.pid == holder.pid),
            LockHolder::Row { .. } => false,
        });
        locks
    }

    /// What is not ours and bears a name that we need.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &'a ForeignObject> {
        self.database()
            .into_iter()
            .flat_map(|database| &database.foreign)
            .chain(&self.facts.foreign)
    }

    /// Every credential of ours that exists in any part: a login, a Secret, or both.
    pub(crate) fn credentials(&self) -> BTreeSet<&'a MigrationName> {
        let logins = self.logins().into_iter().flat_map(BTreeMap::keys);
        let replaced = self.database().filter(|_| self.claimed());
        let replaced = replaced.into_iter().flat_map(|d| d.replaced.keys());
        let secrets = self
            .facts
            .secrets
            .known()
            .into_iter()
            .flat_map(|secrets| secrets.keys());
        logins.chain(replaced).chain(secrets).collect()
    }

    pub(crate) fn generation(&self, current: &MigrationName, of: &MigrationName) -> Generation {
        generation(&self.desired.chain, current, of)
    }

    /// May the version move by a run that is none of our live Jobs: is the migrator connected, or can that not be seen? A
    /// Job of another owner, from whom the claim was taken over, may go on; so may a statement of a killed run.
    pub(crate) fn may_move(&self) -> bool {
        let migrator = self.database().and_then(|there| there.migrator.as_ref());
        let connected = migrator.is_some_and(|migrator| {
            let sessions = migrator.sessions.known();
            sessions.is_none_or(|sessions| !sessions.is_empty())
        });
        connected && !self.jobs().iter().any(JobFacts::is_live)
    }

    /// Does the code of a migration work with each schema that may follow the current one?
    pub(crate) fn outlives_next(&self, current: &MigrationName, migration: &MigrationName) -> bool {
        let chain = &self.desired.chain;
        let mut next = chain
            .iter()
            .filter(|m| m.previous.as_ref() == Some(current));
        next.all(|next| chain.compatible(&next.name).contains(migration))
    }

    /// Is the database at desired, or ahead of it and compatible? `None`: neither.
    pub(crate) fn at_rest(&self, current: &MigrationName) -> Option<Rest> {
        let goal = &self.desired.database.desired;
        if current == goal {
            return Some(Rest::AtDesired);
        }
        let chain = &self.desired.chain;
        (chain.is_ancestor(goal, current) && chain.compatible(current).contains(goal))
            .then_some(Rest::Ahead)
    }

    /// What is wrong with an existing credential.
    ///
    /// # Errors
    /// The reason, where it cannot be told whether it works.
    pub(crate) fn defects(&self, migration: &MigrationName) -> Result<Vec<Defect>, Why> {
        let secrets = self.facts.secrets.as_result().map_err(Clone::clone)?;
        let (login, secret) = (self.login(migration), secrets.get(migration));
        let mut defects = Vec::new();
        match login {
            None => defects.push(Defect::LoginMissing),
            Some(login) if !login.granted || !self.grants_stand() => {
                defects.push(Defect::GrantsMissing);
            }
            Some(_) => {}
        }
        match secret {
            None => defects.push(Defect::SecretMissing),
            Some(secret) if !secret.intact => defects.push(Defect::SecretChanged),
            Some(_) => {}
        }
        if login.is_some() && secret.is_some() {
            match self.facts.proofs.get(migration) {
                Some(Proof::Works) => {}
                Some(Proof::Refused) => defects.push(Defect::Refused),
                Some(Proof::Unknown(why)) if defects.is_empty() => return Err(why.clone()),
                None if defects.is_empty() => return Err(Why::new("it has not been tried")),
                Some(Proof::Unknown(_)) | None => {}
            }
        }
        Ok(defects)
    }

    /// Do the grants that every login has through the group role stand as the policy wants them? While a
    /// migration runs they are its record's to bring in order: it may just be making tables.
    fn grants_stand(&self) -> bool {
        self.jobs().iter().any(JobFacts::is_live)
            || self.database().is_none_or(|database| database.roles_ready)
    }

    /// Who uses a credential, by whichever of its logins; `None`: provably nobody.
    pub(crate) fn usage(&self, migration: &MigrationName) -> Option<Use> {
        let logins = [self.login(migration), self.replaced(migration)];
        let references = match &self.facts.references {
            Fact::Known(references) => {
                Fact::Known(references.get(migration).cloned().unwrap_or_default())
            }
            Fact::Unknown(why) => Fact::Unknown(why.clone()),
        };
        used(logins.into_iter().flatten(), references)
    }

    /// Who uses the login that was replaced; `None`: provably nobody.
    pub(crate) fn usage_of_replaced(&self, migration: &MigrationName) -> Option<Use> {
        let holders = self.facts.holders_of_replaced(migration);
        used(self.replaced(migration).into_iter(), holders)
    }

    /// The way to desired from `position`: the migrations still to run, oldest first.
    pub(crate) fn path(&self, position: &Position) -> Result<Vec<MigrationName>, ChainBreak> {
        let current = match position {
            Position::Empty => None,
            Position::At(current) => Some(current),
        };
        let path = self
            .desired
            .chain
            .path(current, &self.desired.database.desired)?;
        Ok(path.into_iter().map(|m| m.name.clone()).collect())
    }
}

/// By what these logins, referred to so, are used; `None`: provably by nothing.
fn used<'l>(
    logins: impl Iterator<Item = &'l LoginFacts>,
    references: Fact<Vec<Reference>>,
) -> Option<Use> {
    let mut sessions = Vec::new();
    for login in logins {
        match &login.sessions {
            Fact::Known(of_login) => sessions.extend(of_login.iter().cloned()),
            Fact::Unknown(why) => return Some(Use::Unknown(why.clone())),
        }
    }
    let references = match references {
        Fact::Known(references) => references,
        Fact::Unknown(why) => return Some(Use::Unknown(why)),
    };
    match (sessions.is_empty(), references.is_empty()) {
        (true, true) => None,
        (false, true) => Some(Use::Sessions(sessions)),
        (true, false) => Some(Use::References(references)),
        (false, false) => Some(Use::Both(sessions, references)),
    }
}

/// How a database is at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// At the desired version.
    AtDesired,
    /// Newer, and compatible with it.
    Ahead,
}
