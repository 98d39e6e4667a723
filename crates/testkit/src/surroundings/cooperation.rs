//! What always happens: once the surroundings cooperate, the database comes to rest.
//!
//! Cooperation is a function: one next state for each state. Applications move to the version that the wait
//! names, Jobs succeed, what went wrong passes, a person answers what only a person can, and the operator goes
//! on undisturbed.

use dbop_model::DeletionPolicy;
use dbop_plan::{Blocker, Decision, Use, WaitingOn};

use super::event::{Event, apply, comes_to, has_migrator_session, is_referred_to, says_retry};
use super::facts::Lens;
use super::invariants::Broken;
use super::world::{Application, Budget, Claim, Finding, M, Phase, Version, World};

/// A walk of four migrations is some dozens of writes; one that takes this many does not end.
pub const STEPS_MAX: usize = 400;

/// The state without what only matters to a search: fewer states are equal otherwise.
#[must_use]
pub fn begins(world: &World) -> World {
    let mut world = *world;
    world.left = Budget {
        person: 0,
        mishaps: 0,
    };
    world.made = 0;
    world
}

/// The next state; `None`: this is the end, and all is as it should be.
///
/// # Errors
/// Why it is not, or what is in the way.
pub fn next(lens: &Lens, world: &World) -> Result<Option<World>, Broken> {
    if world.gone {
        return gone(lens, world).map(|()| None);
    }
    let mut calm = *world;
    (calm.dark, calm.blind, calm.veiled) = (false, false, false);
    calm.no_slot = false;
    (calm.paused, calm.read_only) = (false, false);
    calm.finding = Finding::Clean;
    calm.take_over = calm.claim == Claim::Elsewhere;
    calm.made = 0;
    if calm != *world {
        return Ok(Some(calm));
    }
    if world.underway.is_some() {
        return apply(lens, world, Event::Operator);
    }
    let then = |event| match apply(lens, world, event)? {
        Some(next) => Ok(Some(next)),
        None => Err(Broken::new(format!("nothing comes of it that {event}"))),
    };
    let decision = lens.decide(world);
    match &decision {
        Decision::Act { .. } => then(Event::Operator),
        Decision::Converged { .. } => at_rest(lens, world).map(|()| None),
        Decision::Wait { on, .. } => match on {
            WaitingOn::Run { .. } => then(run(lens, world)?),
            WaitingOn::MigratorSessions { .. } => then(Event::StatementEnds),
            WaitingOn::QuietWindow { .. } => then(Event::Watched),
            WaitingOn::CredentialInUse {
                credentials,
                move_to,
                ..
            } => moved(lens, world, credentials, lens.migration(move_to)),
            _ => Err(Broken::new(format!("all cooperate, and it {decision}"))),
        },
        Decision::Blocked { by } => answered(world, by)
            .map(Some)
            .ok_or_else(|| Broken::new(format!("all cooperate, and it is {decision}"))),
    }
}

/// What the run does next.
///
/// # Errors
/// It never starts, and nobody does anything about it: a person changed what it would run, or the database is
/// neither where it would start from nor where it would lead.
fn run(lens: &Lens, world: &World) -> Result<Event, Broken> {
    let Some((_, job)) = world.live_job() else {
        return Ok(Event::StatementEnds);
    };
    if job.phase == Phase::Pending {
        let changed = world.is_edited(job.run.to) != job.run.edited;
        let here = match world.version {
            Version::Empty => job.run.from.is_none(),
            Version::At(c) => job.run.from == Some(c) || job.run.to == c,
            Version::Tables | Version::Stray => true,
        };
        if changed || !here || world.deleting {
            return Err(Broken::new(
                "a Job whose image cannot be pulled is waited for",
            ));
        }
    }
    let reached = matches!(world.version, Version::At(c)
        if c == job.run.to || lens.scenario().is_ancestor(job.run.to, c));
    Ok(match (job.phase, has_migrator_session(world), reached) {
        (Phase::Pending, _, _) => Event::JobStarts,
        (_, false, _) => Event::JobFails,
        (_, true, false) => Event::RunMoves,
        (_, true, true) => Event::JobSucceeds,
    })
}

/// Applications that use one of these move to that version, or stop where it is not published.
fn moved(
    lens: &Lens,
    world: &World,
    credentials: &[(dbop_model::MigrationName, Use)],
    to: M,
) -> Result<Option<World>, Broken> {
    let mut next = *world;
    for (migration, _) in credentials {
        let old = lens.migration(migration);
        let to = (world.works(to) && to != old).then_some(to);
        for application in &mut next.applications {
            if application.deployed == Some(old) {
                *application = Application {
                    deployed: to,
                    session: None,
                };
            }
            application.session = application.session.filter(|m| *m != old);
        }
    }
    if next == *world {
        return Err(Broken::new("nobody is there who could move"));
    }
    Ok(Some(next.settled()))
}

/// What a person does about it.
fn answered(world: &World, by: &Blocker) -> Option<World> {
    let mut next = *world;
    match by {
        Blocker::RunIncomplete { .. } => {
            says_retry(&mut next);
        }
        Blocker::UnknownVersion { .. } | Blocker::TablesWithoutVersion => {
            let incomplete = world
                .last_run
                .is_some_and(|record| !dbop_model::Outcome::from(record.outcome).is_complete());
            match incomplete {
                // What is said already does not help by being said again.
                true => says_retry(&mut next),
                false => comes_to(&mut next, Version::At(world.desired)),
            };
        }
        Blocker::NoPath { .. } => match world.version {
            Version::At(current) => next.desired = current,
            _ => return None,
        },
        _ => return None,
    }

    (next != *world).then(|| next.settled())
}

/// What must be so at rest: exactly the credentials of the planner's "at rest", all of them working, nothing
/// half done.
pub fn at_rest(lens: &Lens, world: &World) -> Result<(), Broken> {
    let scenario = lens.scenario();
    let Version::At(current) = world.version else {
        return Err(Broken::new("at rest at no version"));
    };
    let ahead = scenario.is_ancestor(world.desired, current)
        && scenario.is_compatible(world.desired, current);
    let should = |holds: bool, what: &str| match holds {
        true => Ok(()),
        false => Err(Broken::new(format!("at rest, and {what}"))),
    };
    should(
        current == world.desired || ahead,
        "the version is not the desired one",
    )?;
    for m in scenario.all() {
        let (name, there) = (lens.name(m), world.has_credential(m));
        let predecessor = scenario.previous[usize::from(current)] == Some(m);
        let wanted = m == current || predecessor || m == world.desired;
        should(!wanted || there, &format!("credential {name} is missing"))?;
        let beyond = scenario.is_ancestor(current, m);
        let kept = wanted || scenario.is_compatible(m, current) || beyond;
        should(!there || kept, &format!("credential {name} still exists"))?;
        should(
            !there || beyond || world.works(m),
            &format!("credential {name} does not work"),
        )?;
        should(
            !world.login(m).is_some_and(|login| login.locked),
            &format!("the login of {name} is locked"),
        )?;
    }
    let door = world.migrator.is_some_and(|migrator| migrator.open);
    should(!door, "the migrator's door is open")?;
    should(world.jobs.iter().all(Option::is_none), "a Job is left")?;
    should(world.claim == Claim::Ours, "the claim is not ours")
}

/// What must be so once the object is gone: nothing half done that could be seen, and under `Revoke` only
/// credentials that were used or could not be judged.
fn gone(lens: &Lens, world: &World) -> Result<(), Broken> {
    let should = |holds: bool, what: &str| match holds {
        true => Ok(()),
        false => Err(Broken::new(format!("the object is gone, and {what}"))),
    };
    // Where the operator could not reach, or was told to write nothing, it left all as it was.
    if world.dark || world.read_only || world.claim != Claim::Ours {
        return Ok(());
    }
    let door = world.migrator.is_some_and(|migrator| migrator.open);
    should(!door, "the migrator's door is open")?;
    for m in lens.scenario().all() {
        let locked = world.login(m).is_some_and(|login| login.locked);
        should(!locked, &format!("the login of {} is locked", lens.name(m)))?;
        let used = world.has_session(m) || is_referred_to(lens.scenario(), world, m);
        let revoke = lens.scenario().deletion == DeletionPolicy::Revoke;
        should(
            !revoke || used || world.blind || world.veiled || !world.has_credential(m),
            &format!("credential {} stays, unused", lens.name(m)),
        )?;
    }
    Ok(())
}
