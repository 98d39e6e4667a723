//! What never happens, each as a function that the search calls where it could.
//!
//! They are written against the world, not against what the planner saw of it, and with the chain's
//! arithmetic of `scenario.rs`.

use std::fmt;

use dbop_model::{DeletionPolicy, Orphaned};
use dbop_plan::{Decision, WaitingOn};

use super::event::has_migrator_session;
use super::facts::Lens;
use super::operator::is_used;
use super::world::{Claim, Finding, Job, M, Outcome2, Run, Secret, Underway, Version, Work, World};

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(String);

impl Broken {
    /// What happened that never should, in words.
    pub fn new(what: impl Into<String>) -> Self {
        Broken(what.into())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn hold(holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds {
        Ok(())
    } else {
        Err(Broken::new(what()))
    }
}

/// All that concerns a decision by itself.
pub fn decision(lens: &Lens, world: &World, decision: &Decision) -> Result<(), Broken> {
    match decision {
        Decision::Act { action, .. } => {
            let work = lens.work(world, action);
            invariant_a_person_holds(world, work)?;
            invariant_only_what_is_ours(world, work)?;
            if let Work::Retire(m) | Work::Revoke(m) = work {
                invariant_watched_before_it_is_locked(lens, world, work, m)?;
                destroy(lens, world, m)?;
            }
            Ok(())
        }
        Decision::Wait { on, wake_at } => {
            hold(*wake_at >= lens.now, || {
                "a wait that ends in the past".to_owned()
            })?;
            invariant_the_way_on_is_open(lens, world, on)
        }
        Decision::Blocked { .. } => Ok(()),
        Decision::Converged { .. } => at_rest(lens, world),
    }
}

/// Under `paused` and `readOnly` only what the planner's lines except is written.
fn invariant_a_person_holds(world: &World, work: Work) -> Result<(), Broken> {
    let undo = matches!(work, Work::Unlock(_) | Work::CloseDoor);
    let record = matches!(work, Work::Record { .. } | Work::ReleaseJob);
    let delete = matches!(
        work,
        Work::Revoke(_) | Work::Finish { .. } | Work::DeleteJob(_)
    );
    if world.read_only {
        let lets_go = work
            == Work::Finish {
                with_database: false,
            };
        return hold(world.deleting && lets_go, || {
            format!("{work:?} under readOnly")
        });
    }
    if world.paused {
        return hold(undo || record || world.deleting && delete, || {
            format!("{work:?} under paused")
        });
    }
    hold(!world.deleting || undo || record || delete, || {
        format!("{work:?} while the object is being deleted")
    })
}

/// Nothing is written on a database that bears another's claim.
fn invariant_only_what_is_ours(world: &World, work: Work) -> Result<(), Broken> {
    let allowed = match work {
        Work::TakeOver => world.take_over,
        Work::DeleteJob(_) | Work::ReleaseJob => true,
        Work::Record { with_database, .. } | Work::Finish { with_database } => !with_database,
        _ => world.claim != Claim::Elsewhere,
    };
    hold(world.claim != Claim::Elsewhere || allowed, || {
        format!("{work:?} on a database of another owner")
    })
}

/// A login is locked only once it was watched, open and unused, for the whole window.
fn invariant_watched_before_it_is_locked(
    lens: &Lens,
    world: &World,
    work: Work,
    m: M,
) -> Result<(), Broken> {
    let open = world.login(m).is_some_and(|login| !login.locked);
    let watched = world.quiet & 1 << m != 0;
    hold(!open || watched || work == Work::Revoke(m), || {
        format!(
            "credential {} is locked without having been watched",
            lens.name(m)
        )
    })
}

/// Before each destructive write, on what is true at that moment: never the current version's credential;
/// never its predecessor's or a compatible one, but for an unblocked next migration that cannot live with it;
/// never one that is used or of which that is not known; nothing while any other that has to go is used.
pub fn destroy(lens: &Lens, world: &World, m: M) -> Result<(), Broken> {
    let scenario = lens.scenario();
    let name = lens.name(m);
    hold(!world.blind && !world.veiled && !world.dark, || {
        format!("credential {name} is destroyed without knowing who uses it")
    })?;
    hold(!is_used(lens, world, m), || {
        format!("credential {name} is destroyed while it is used")
    })?;
    hold(
        world.claim == Claim::Ours || world.login(m).is_none(),
        || format!("credential {name} is destroyed without our claim"),
    )?;
    if world.deleting {
        return hold(scenario.deletion == DeletionPolicy::Revoke, || {
            format!("credential {name} is destroyed though logins are to stay")
        });
    }
    let current = match world.version {
        Version::At(current) => Some(current),
        Version::Empty => None,
        Version::Tables | Version::Stray if world.retry => {
            world.last_run.and_then(|record| record.run.from)
        }
        Version::Tables | Version::Stray => {
            return hold(false, || {
                format!("credential {name} is destroyed at no version")
            });
        }
    };
    hold(current != Some(m), || {
        format!("credential {name} is destroyed, which is the current version's")
    })?;
    let at_rest = current.is_some_and(|c| {
        c == world.desired
            || scenario.is_ancestor(world.desired, c) && scenario.is_compatible(world.desired, c)
    });
    if scenario.is_beyond(m, world.version) {
        return hold(
            at_rest && scenario.orphaned == Orphaned::RevokeWhenUnused,
            || format!("credential {name} is destroyed, which is beyond the current version"),
        );
    }
    let needed = current.is_some_and(|c| {
        scenario.is_compatible(m, c) || scenario.previous[usize::from(c)] == Some(m)
    });
    let next = next_run(lens, world, current);
    let outdated = next.is_some_and(|run| !scenario.is_compatible(m, run.to));
    let stopped = scenario.hints && world.finding != Finding::Clean;
    hold(!needed || outdated && !stopped, || {
        format!("credential {name} is destroyed though the current version needs it")
    })?;
    // Whatever has to go for the same reason must be able to.
    let schema = next.map(|run| run.to).filter(|_| !at_rest).or(current);
    let Some(schema) = schema else { return Ok(()) };
    for other in scenario.all().filter(|other| world.has_credential(*other)) {
        let spared = scenario.is_compatible(other, schema)
            || scenario.is_beyond(other, world.version)
            || current.is_none() && scenario.is_ancestor(schema, other)
            || at_rest && scenario.previous[usize::from(schema)] == Some(other);
        hold(spared || !is_used(lens, world, other), || {
            format!(
                "credential {name} is destroyed while {} holds the walk up",
                lens.name(other)
            )
        })?;
    }
    Ok(())
}

/// The run that may come next, with what the last run means for it.
fn next_run(lens: &Lens, world: &World, current: Option<M>) -> Option<Run> {
    let scenario = lens.scenario();
    let run = |from, to| Run {
        from,
        to,
        edited: world.is_edited(to),
    };
    let incomplete = world.last_run.filter(|record| {
        matches!(
            record.outcome,
            Outcome2::Failed | Outcome2::VersionNotReached
        )
    });
    let onward = scenario
        .next(current, world.desired)
        .map(|to| run(current, to));
    let Some(record) = incomplete else {
        return onward;
    };
    let changed = world.is_edited(record.run.to) != record.run.edited;
    let off = matches!(world.version, Version::Tables | Version::Stray);
    let again = off || current == Some(record.run.to);
    if again && !(world.retry || changed && !off) {
        return None;
    }
    if again {
        return Some(run(record.run.from, record.run.to));
    }
    onward.filter(|next| next.to != record.run.to || world.retry || changed)
}

/// The drop itself: the last look lies behind it, and nobody can have come since.
pub fn drop_login(world: &World, m: M) -> Result<(), Broken> {
    let locked = world.login(m).is_none_or(|login| login.locked);
    hold(!world.has_session(m) || !locked, || {
        format!("the login of v{} is dropped with a session", m + 1)
    })
}

/// A Secret is published only of a login that was proven with that very password.
pub fn publish(lens: &Lens, world: &World, underway: Underway, m: M) -> Result<(), Broken> {
    hold(underway.proven, || {
        format!("the Secret of {} is published unproven", lens.name(m))
    })?;
    let reached = matches!(world.version, Version::At(c) if lens.scenario().is_compatible(m, c)
        || lens.scenario().previous[usize::from(c)] == Some(m));
    hold(reached || !lens.scenario().is_clean(), || {
        format!(
            "the Secret of {} is published before its schema",
            lens.name(m)
        )
    })
}

/// A Secret is put back as it was, behind a login that is open again (unless a person locks it meanwhile).
pub fn give_back(lens: &Lens, world: &World, m: M, held: Secret) -> Result<(), Broken> {
    let open = !lens.scenario().is_clean()
        || world
            .login(m)
            .is_none_or(|login| !login.locked || login.password != held.password);
    hold(open, || {
        format!("the Secret of v{} is put back behind a locked login", m + 1)
    })
}

/// A run's release: no other run or statement of one is alive, nothing older than the next schema's
/// `compatibleFrom` exists, the run was not made before, and its Secret opens the door.
pub fn release(lens: &Lens, world: &World, run: Run, job: Job) -> Result<(), Broken> {
    let scenario = lens.scenario();
    let name = lens.name(run.to);
    hold(world.live_job().is_none(), || {
        format!("{name} is started beside another run")
    })?;
    hold(!has_migrator_session(world), || {
        format!("{name} is started while the migrator is connected")
    })?;
    hold(world.claim == Claim::Ours, || {
        format!("{name} is started without our claim")
    })?;
    let here = match world.version {
        Version::At(current) => Some(current),
        _ => None,
    };
    for m in scenario.all().filter(|m| world.has_credential(*m)) {
        let beyond = scenario.is_ancestor(here.unwrap_or(run.to), m);
        // At no version, what follows the run's own beginning is beyond as well.
        let beyond = beyond || run.from.is_some_and(|from| scenario.is_ancestor(from, m));
        hold(scenario.is_compatible(m, run.to) || beyond, || {
            format!(
                "{name} is started while the older credential {} exists",
                lens.name(m)
            )
        })?;
    }
    hold(world.made & World::bit(run) == 0, || {
        format!("{name} is started twice, and nobody said so")
    })?;
    hold(!world.no_slot, || {
        format!("{name} is started without a slot")
    })?;
    hold(job.run.edited == world.is_edited(run.to), || {
        format!("{name} is started as it was before it was edited")
    })?;
    let door = world.migrator.is_some_and(|migrator| migrator.open);
    hold(job.key && door, || {
        format!("{name} is started before it can log in")
    })
}

/// Whoever is told to deploy a version first can: its credential is published and works.
fn invariant_the_way_on_is_open(lens: &Lens, world: &World, on: &WaitingOn) -> Result<(), Broken> {
    let WaitingOn::CredentialInUse { next, move_to, .. } = on else {
        return Ok(());
    };
    // From an empty database there is none: the text says to stop the application.
    if next.as_ref() == Some(move_to) || world.underway.is_some() {
        return Ok(());
    }
    let off = matches!(world.version, Version::Tables | Version::Stray);
    let m = lens.migration(move_to);
    hold(world.works(m) || off, || {
        format!("{move_to} is to be deployed, but its credential does not work")
    })
}

/// Converged means converged: see `cooperation.rs` for what must be so.
fn at_rest(lens: &Lens, world: &World) -> Result<(), Broken> {
    match world.underway {
        Some(_) => Ok(()),
        None => super::cooperation::at_rest(lens, world),
    }
}

/// What holds in every state.
pub fn state(lens: &Lens, world: &World) -> Result<(), Broken> {
    let live = world.jobs.iter().flatten().filter(|j| j.phase.is_live());
    hold(live.count() <= 1, || "two runs at once".to_owned())?;
    invariant_a_session_has_its_login(world)?;
    if lens.scenario().is_clean() {
        invariant_a_secret_is_for_this_schema(lens, world)?;
    }
    Ok(())
}

/// Nobody's login is taken from under a session.
fn invariant_a_session_has_its_login(world: &World) -> Result<(), Broken> {
    for application in &world.applications {
        if let Some(m) = application.session {
            hold(world.login(m).is_some(), || {
                format!("a session of v{} without its login", m + 1)
            })?;
        }
    }
    Ok(())
}

/// Where nobody interferes: a Secret exists only if its login works (or is just being retired), and the schema
/// is at its version or a compatible later one.
fn invariant_a_secret_is_for_this_schema(lens: &Lens, world: &World) -> Result<(), Broken> {
    for m in lens.scenario().all() {
        let Some(secret) = world.secret(m) else {
            continue;
        };
        let login = world.login(m);
        let good = login.is_some_and(|l| l.granted && l.password == secret.password) && world.ready;
        hold(good, || {
            format!("the Secret of {} does not work", lens.name(m))
        })?;
        let fits = matches!(world.version, Version::At(c) if lens.scenario().is_compatible(m, c));
        hold(fits, || {
            format!("the Secret of {} is not for this schema", lens.name(m))
        })?;
    }
    Ok(())
}
