//! What everybody does at the end of a history: nothing fails any more, applications move on, people say what is
//! asked of them. Then every database must come to rest with exactly what belongs there.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use dbop_credentials::generations;
use dbop_model::{Claim, ClaimOwner, Fact, MigrationName, ObservedVersion};
use dbop_plan::{Decision, ObjectFacts};
use jiff::SignedDuration;

use super::chain::{self, MIGRATIONS, v};
use super::{Fleet, held, millis};
use crate::sim::actors;
use crate::sim::world::World;

/// How long the surroundings cooperate: many times what a walk takes.
const SETTLED_WITHIN: SignedDuration = SignedDuration::from_mins(30);
/// People look so often whether something is asked of them.
const HELP_EVERY_MS: u64 = 20_000;
/// At rest a database is looked at once more than its slow heartbeat takes: nothing is to change then.
const RESTED_MS: u64 = 45_000;

impl Fleet {
    /// From here on everybody helps. What is wrong at the end is a violation of the first world that it concerns.
    pub(super) fn cooperate(&mut self) {
        self.run_to_open();
        for at in 0..self.worlds.len() {
            let wide = self.setup.databases[at].wide;
            let another_has_it = self.setup.databases[at].same_as.is_some();
            let mut world = self.world(at);
            help_once(&mut world, wide);
            if another_has_it {
                shut_down(&mut world);
            }
        }
        for operator in &mut self.operators {
            operator.skew = SignedDuration::ZERO;
        }
        let end = self.now + SETTLED_WITHIN;
        while self.now < end && self.violations().is_empty() {
            for at in 0..self.worlds.len() {
                self.help(at);
            }
            self.forget();
            self.run_to(self.now + millis(HELP_EVERY_MS));
            if self.is_settled() {
                self.forget();
                self.run_to(self.now + millis(RESTED_MS));
                if self.is_settled() {
                    break;
                }
            }
            self.run_to_open();
        }
        if self.violations().is_empty() {
            self.judge();
        }
    }

    /// What was decided before counts no longer.
    fn forget(&self) {
        for task in &self.tasks {
            *task.left.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Has every database been found at rest, those that another cluster has apart?
    fn is_settled(&self) -> bool {
        let decided = self.tasks.iter().all(|task| {
            // One that another cluster has may wait, or be gone.
            if self.setup.databases[task.world].same_as.is_some() {
                return true;
            }
            let left = task.left.lock().unwrap_or_else(PoisonError::into_inner);
            matches!(&*left, Some(Decision::Converged { .. }))
        });
        let quiet = self.worlds.iter().all(|world| held(world).quiet());
        decided && quiet && self.agenda.is_empty()
    }

    /// Somebody does what this database asks for.
    fn help(&mut self, at: usize) {
        if self.setup.databases[at].same_as.is_some() {
            return;
        }
        let mut world = self.world(at);
        if world.object.deleting && world.let_go {
            create(&mut world);
        }
        if let Some(run) = world
            .object
            .last_run
            .clone()
            .filter(|run| !run.outcome.is_complete())
            && world.object.retry.as_ref() != Some(&run.job)
        {
            world.tell(format!("a person says retry of {}", run.job));
            world.may_run_again(Some(&run.migration));
            world.object.retry = Some(run.job);
        }
        let is_known = match world.db.version() {
            Fact::Known(ObservedVersion::None) => true,
            _ => world.current().is_some(),
        };
        if !is_known {
            let first = world.version_of(&v(1)).map(ObservedVersion::At);
            let version = world.version_before.take().or(first);
            let version = version.unwrap_or(ObservedVersion::None);
            world.tell("a person puts the version back to what it was");
            world.may_run_again(None);
            world.db.set_version(version);
        }
        let elsewhere = world.claimed_elsewhere();
        drop(world);
        if !is_known {
            self.version_was_set(at);
        }
        if elsewhere {
            self.world(at).tell("a person takes the claim back");
            self.take_over(at);
        }
    }

    /// Does everything stand as it should?
    fn judge(&mut self) {
        let settled = self.is_settled();
        for at in 0..self.worlds.len() {
            let another_has_it = self.setup.databases[at].same_as.is_some();
            let mut world = self.world(at);
            let wrong = if !settled {
                Some("it does not come to rest although everybody cooperates".to_owned())
            } else if another_has_it {
                None
            } else {
                at_rest(&world).err()
            };
            if let Some(wrong) = wrong {
                let line = format!("INVARIANT BROKEN: it_comes_to_rest: {wrong}");
                world.tell(&line);
                world.violations.push(line);
            }
        }
    }
}

/// The object is created again: a deletion that is not over yet is waited for.
pub(super) fn create(world: &mut World) {
    if !world.let_go {
        return;
    }
    world.tell("the object is created again");
    world.object = ObjectFacts::default();
    world.let_go = false;
    // What is over went with the object.
    world
        .jobs
        .retain(|_, job| job.released_at.is_some() && job.end.is_none());
    // Nobody knows any more what failed.
    world.may_run_again(None);
}

fn help_once(world: &mut World, wide: Option<u8>) {
    world.tell("from here on everybody cooperates");
    world.faults.clear();
    world.race = None;
    world.object.take_over = false;
    world.lag = 0;
    world.watches_stopped = false;
    world.scripts.clear();
    chain::repair(world, wide);
    world.desired.database.paused = false;
    world.desired.database.read_only = false;
    // What is older than the database now would be blocked for good: the newest is always reachable.
    world.desired.database.desired = v(MIGRATIONS);
    world.secrets.retain(|_, secret| secret.ours);
    world.db.set_reachable(true);
    world.db.hide_sessions(None);
    world.db.set_missing(Vec::new());
    for application in &mut world.applications {
        application.moves_on = Some(SignedDuration::from_secs(1));
    }
}

/// The applications of a cluster that is to lose the database have nowhere to move.
fn shut_down(world: &mut World) {
    for mut application in std::mem::take(&mut world.applications) {
        actors::leave(world, &mut application);
    }
}

impl World {
    /// Does the database bear another's claim?
    fn claimed_elsewhere(&self) -> bool {
        let owner = ClaimOwner {
            cluster: self.cluster.clone(),
            object: self.desired.database.id.clone(),
        };
        matches!(self.db.claim(&owner), Claim::Elsewhere { .. })
    }
}

/// Does the world hold exactly what belongs there at rest?
fn at_rest(world: &World) -> Result<(), String> {
    let end = world.end();
    let current = world.current().ok_or("there is no version")?;
    let goal = &world.desired.database.desired;
    let wanted = generations::at_rest(&world.desired.chain, &current, goal);
    let compatible = world.desired.chain.compatible(&current);
    let there: BTreeSet<MigrationName> = end.logins.keys().cloned().collect();
    let checks = [
        (&current == goal, "it is not at the desired version"),
        (wanted.is_subset(&there), "a wanted credential is missing"),
        (there.is_subset(&compatible), "an old credential is there"),
        (there == end.secrets, "logins and Secrets differ"),
        (
            end.logins.values().all(|works| *works),
            "a Secret's login does not work",
        ),
        (end.unfinished == 0, "a Job still carries the finalizer"),
        (!end.door_open, "the migrator's door is open"),
    ];
    match checks.iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, wrong)) => Err(format!("at rest, but {wrong}: {end:?}")),
    }
}
