//! The operator in the model: `decide`, and each action as the single writes that the engine makes, in its
//! order. Every one of them may be the last.
//!
//! The first write of an action is made on what is true at that moment (the engine looks again under the
//! database's lock); a retirement and the start of a run ask again before each write. One write alone is made on
//! what was true when it was decided, whatever has happened since: the creation of a suspended Job, in a
//! database where claim, roles and grants are there.

use dbop_plan::Decision;

use super::event::is_referred_to;
use super::facts::Lens;
use super::invariants::{self, Broken};
use super::world::{
    Claim, Job, Login, M, Migrator, Outcome2, Phase, Record, Run, Secret, Underway, Work, World,
};

/// What became of one write.
enum Next {
    /// It was made, and the action goes on with the next step.
    Written,
    /// It was made, and it was the last.
    Done,
    /// There was nothing to write: the next step at once.
    Nothing,
    /// The action ends here without another write.
    Stops,
}

/// The first number of the steps that give a credential back.
const GIVE_BACK: u8 = 10;
/// The step that creates a suspended Job on what was decided, without another look. The next is 3.
const CREATE_AS_DECIDED: u8 = 20;
/// More steps than any action has.
const STEPS_MAX: u8 = 20;

/// The world after the operator's next write; `None`: it has nothing to do.
///
/// # Errors
/// The invariant that its decision or its write breaks.
pub fn next(lens: &Lens, world: &World) -> Result<Option<World>, Broken> {
    let mut world = *world;
    let decision = lens.decide(&world);
    invariants::decision(lens, &world, &decision)?;
    let decided = match &decision {
        Decision::Act { action, .. } => Some(lens.work(&world, action)),
        _ => None,
    };
    let fresh = world.underway.is_none();
    if fresh {
        let Some(work) = decided else {
            return Ok(None);
        };
        let underway = begun(&world, work);
        world.underway = Some(underway);
        if underway.step == CREATE_AS_DECIDED {
            // What comes between the decision and the write is another event.
            return Ok(Some(world));
        }
    }
    for _ in 0..STEPS_MAX {
        let Some(underway) = world.underway else {
            return Ok(Some(world));
        };
        // Only what is decided on is asked about again; after a write the next look is another event.
        let outcome = step(lens, &mut world, underway, decided)?;
        match outcome {
            Next::Written | Next::Nothing => {
                if let Some(underway) = &mut world.underway {
                    underway.step += 1;
                }
            }
            Next::Done | Next::Stops => world.underway = None,
        }
        if !matches!(outcome, Next::Nothing) {
            return Ok(Some(world));
        }
    }
    Err(Broken::new(format!(
        "an action does not end: {:?}",
        world.underway
    )))
}

/// What an action takes along from its first look.
fn begun(world: &World, work: Work) -> Underway {
    let held = work.credential().and_then(|m| world.secret(m));
    let fresh = work.credential().map_or(0, |m| world.fresh_password(m));
    let is_prepared = world.claim == Claim::Ours && world.ready && world.migrator.is_some();
    let creates = matches!(work, Work::Start(_)) && is_prepared;
    Underway {
        work,
        step: if creates { CREATE_AS_DECIDED } else { 0 },
        // An existing Secret of ours is the truth about the password.
        password: held.map_or(fresh, |secret| secret.password),
        held: match work {
            Work::Credential(_) => held,
            _ => None,
        },
        proven: false,
        cut: false,
    }
}

fn step(
    lens: &Lens,
    world: &mut World,
    underway: Underway,
    decided: Option<Work>,
) -> Result<Next, Broken> {
    // A database that cannot be reached, or is not ours, refuses the write; the other writes are not its.
    let foreign = world.claim == Claim::Elsewhere && underway.work != Work::TakeOver;
    let shut = world.dark || underway.cut || foreign;
    if shut && writes_the_database(world, underway) {
        return Ok(Next::Stops);
    }
    match underway.work {
        Work::Credential(m) => credential(lens, world, underway, m),
        Work::Retire(m) | Work::Revoke(m) => retire(lens, world, underway, m, decided),
        Work::Start(run) => start(lens, world, underway, run, decided),
        Work::Record {
            record,
            with_database,
        } => Ok(recording(world, underway.step, record, with_database)),
        Work::Finish { with_database } => Ok(finish(world, underway.step, with_database)),
        single => Ok(one_write(world, single)),
    }
}

/// Is the next write one on the database?
fn writes_the_database(world: &World, underway: Underway) -> bool {
    match (underway.work, underway.step) {
        (Work::Credential(_), step) => step <= 3,
        (Work::Retire(m) | Work::Revoke(m), step) => {
            step != 1 && step != GIVE_BACK + 1 && world.login(m).is_some()
        }
        (Work::Start(_), step) => matches!(step, 0 | 1 | 4),
        (Work::Record { with_database, .. }, step) => with_database && step <= 1,
        (Work::Finish { with_database }, step) => with_database && step == 0,
        (Work::Unlock(_) | Work::CloseDoor | Work::TakeOver, _) => true,
        (Work::DeleteJob(_) | Work::ReleaseJob | Work::AcceptRun, _) => false,
    }
}

/// Claim, roles and grants, where they are missing: the first two writes of a credential and of a run.
fn prepared(world: &mut World, step: u8) -> Next {
    if step == 0 {
        if world.claim != Claim::None {
            return Next::Nothing;
        }
        world.claim = Claim::Ours;
        return Next::Written;
    }
    if world.ready && world.migrator.is_some() {
        return Next::Nothing;
    }
    prepare(world);
    Next::Written
}

fn prepare(world: &mut World) {
    world.ready = true;
    world.migrator.get_or_insert(Migrator {
        open: false,
        session: false,
    });
}

fn credential(lens: &Lens, world: &mut World, underway: Underway, m: M) -> Result<Next, Broken> {
    let at = usize::from(m);
    match underway.step {
        step @ 0..=1 => Ok(prepared(world, step)),
        2 => {
            let locked = world.login(m).is_some_and(|login| login.locked);
            world.logins[at] = Some(Login {
                locked,
                granted: true,
                password: underway.password,
            });
            Ok(Next::Written)
        }
        3 => {
            let works = world.login(m).is_some_and(|login| {
                !login.locked && login.granted && login.password == underway.password
            });
            if !works || !world.ready {
                return Ok(Next::Stops);
            }
            if let Some(underway) = &mut world.underway {
                underway.proven = true;
            }
            Ok(Next::Written)
        }
        _ => {
            // The Secret is replaced as it was seen, or made where there was none; else the write fails.
            if world.secret(m) != underway.held {
                return Ok(Next::Stops);
            }
            invariants::publish(lens, world, underway, m)?;
            world.secrets[at] = Some(Secret {
                password: underway.password,
                altered: false,
            });
            Ok(Next::Done)
        }
    }
}

fn retire(
    lens: &Lens,
    world: &mut World,
    underway: Underway,
    m: M,
    decided: Option<Work>,
) -> Result<Next, Broken> {
    let at = usize::from(m);
    let still = decided == Some(underway.work);
    match underway.step {
        0 => {
            world.quiet &= !(1 << m);
            match &mut world.logins[at] {
                None => Ok(Next::Nothing),
                Some(login) => {
                    login.locked = true;
                    Ok(Next::Written)
                }
            }
        }
        1 | 2 if !still => {
            // Nothing is written under readOnly: not even what gives the credential back.
            if world.read_only {
                return Ok(Next::Stops);
            }
            if let Some(underway) = &mut world.underway {
                underway.step = GIVE_BACK - 1;
            }
            Ok(Next::Nothing)
        }
        1 => {
            invariants::destroy(lens, world, m)?;
            let Some(secret) = world.secrets[at].take() else {
                return Ok(Next::Nothing);
            };
            if let Some(underway) = &mut world.underway {
                underway.held = Some(secret);
            }
            match world.login(m) {
                // With neither login nor Secret there is nothing left to decide on.
                None => Ok(Next::Done),
                Some(_) => Ok(Next::Written),
            }
        }
        // The last look, and then the drop: what happens between the two must not matter.
        2 => {
            invariants::destroy(lens, world, m)?;
            Ok(Next::Written)
        }
        3 => {
            invariants::drop_login(world, m)?;
            world.logins[at] = None;
            Ok(Next::Done)
        }
        GIVE_BACK => {
            world.quiet &= !(1 << m);
            match &mut world.logins[at] {
                None => Ok(Next::Stops),
                Some(login) => {
                    login.locked = false;
                    Ok(Next::Written)
                }
            }
        }
        _ => {
            if let (Some(held), None) = (underway.held, world.secret(m)) {
                invariants::give_back(lens, world, m, held)?;
                world.secrets[at] = Some(held);
            }
            Ok(Next::Done)
        }
    }
}

fn start(
    lens: &Lens,
    world: &mut World,
    underway: Underway,
    run: Run,
    decided: Option<Work>,
) -> Result<Next, Broken> {
    // A Job is found by its name, which says nothing of the migration's content.
    let same = |job: &Job| (job.run.from, job.run.to) == (run.from, run.to) && !job.recorded;
    let ours = world.job_where(same);
    // The claim is the one that the action began with: a database that lost its roles is begun anew.
    let still = decided == Some(underway.work) && world.claim == Claim::Ours;
    let asks = (2..CREATE_AS_DECIDED).contains(&underway.step);
    if asks && !still {
        return Ok(Next::Stops);
    }
    match underway.step {
        step @ 0..=1 => Ok(prepared(world, step)),
        step @ (2 | CREATE_AS_DECIDED) => {
            if let Some(underway) = &mut world.underway {
                underway.step = 2;
            }
            if ours.is_some() {
                return Ok(Next::Nothing);
            }
            // The platform makes it from the object and the migration as they are.
            let is_edited = run.edited != (world.edited & (1 << run.to) != 0);
            if step == CREATE_AS_DECIDED && (world.gone || world.deleting || is_edited) {
                return Ok(Next::Stops);
            }
            let Some(place) = world.jobs.iter().position(Option::is_none) else {
                return Err(Broken::new("more Jobs than there should ever be"));
            };
            world.jobs[place] = Some(Job {
                run,
                phase: Phase::Suspended,
                key: false,
                recorded: false,
            });
            Ok(Next::Written)
        }
        step => {
            let Some((place, mut job)) = ours else {
                return Ok(Next::Stops);
            };
            match step {
                // A new password in the Job's Secret: it is not yet the migrator's.
                3 => job.key = false,
                4 => {
                    let Some(migrator) = &mut world.migrator else {
                        return Ok(Next::Stops);
                    };
                    migrator.open = true;
                    job.key = true;
                }
                _ => {
                    invariants::release(lens, world, run, job)?;
                    job.phase = Phase::Pending;
                    world.made |= World::bit(run);
                }
            }
            world.jobs[place] = Some(job);
            Ok(if step < 5 { Next::Written } else { Next::Done })
        }
    }
}

fn recording(world: &mut World, step: u8, record: Record, with_database: bool) -> Next {
    match step {
        0 | 1 if !with_database => Next::Nothing,
        0 => close_door(world),
        1 => {
            prepare(world);
            Next::Written
        }
        2 => {
            world.last_run = Some(record);
            (world.retry, world.accept) = (false, false);
            if let Some((place, mut job)) =
                world.job_where(|job| job.run == record.run && job.phase.is_finished())
            {
                job.recorded = true;
                world.jobs[place] = Some(job);
            }
            Next::Written
        }
        _ => release_recorded(world),
    }
}

fn release_recorded(world: &mut World) -> Next {
    if let Some((place, _)) = world.job_where(|job| job.recorded) {
        world.jobs[place] = None;
    }
    Next::Done
}

fn close_door(world: &mut World) -> Next {
    match &mut world.migrator {
        Some(migrator) if migrator.open => {
            migrator.open = false;
            Next::Written
        }
        _ => Next::Nothing,
    }
}

fn finish(world: &mut World, step: u8, with_database: bool) -> Next {
    if step == 0 {
        return match with_database {
            true => close_door(world),
            false => Next::Nothing,
        };
    }
    world.gone = true;
    world.jobs = Default::default();
    Next::Done
}

fn one_write(world: &mut World, work: Work) -> Next {
    match work {
        Work::Unlock(m) => {
            world.quiet &= !(1 << m);
            if let Some(login) = &mut world.logins[usize::from(m)] {
                login.locked = false;
            }
        }
        Work::CloseDoor => {
            close_door(world);
        }
        Work::DeleteJob(run) => {
            // Only a Job that never started; the write's precondition sees to it.
            let found = world.job_where(|job| {
                job.run == run && matches!(job.phase, Phase::Suspended | Phase::Pending)
            });
            if let Some((place, _)) = found {
                world.jobs[place] = None;
                // It was never made.
                world.made &= !World::bit(run);
            }
        }
        Work::ReleaseJob => {
            release_recorded(world);
        }
        Work::TakeOver => {
            world.claim = Claim::Ours;
            world.take_over = false;
        }
        Work::AcceptRun => {
            if let Some(record) = &mut world.last_run {
                record.outcome = Outcome2::Accepted;
            }
        }
        Work::Credential(_)
        | Work::Retire(_)
        | Work::Revoke(_)
        | Work::Start(_)
        | Work::Record { .. }
        | Work::Finish { .. } => {}
    }
    Next::Done
}

/// Is anybody seen to use the credential?
pub fn is_used(lens: &Lens, world: &World, m: M) -> bool {
    world.has_session(m) || is_referred_to(lens.scenario(), world, m)
}
