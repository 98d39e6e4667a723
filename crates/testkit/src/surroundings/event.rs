//! What can happen next in a world: all of it, one event at a time.
//!
//! The operator's own writes are one of the events; what they are is in `operator.rs`.

use std::fmt;

use super::facts::Lens;
use super::invariants::Broken;
use super::operator;
use super::scenario::{Hand, Mishap, Scenario, words};
use super::world::{Claim, Finding, M, Outcome2, Phase, Secret, Version, World};

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The operator decides, or makes the next write of what it is at.
    Operator,
    /// The operator ends what it is at: a write failed, or its reply was lost.
    Fails,
    /// The operator crashes, and forgets what it watched.
    Crashes,
    /// The quiet window passes.
    Watched,
    /// An application connects.
    Connects(u8),
    /// An application's last session ends.
    Disconnects(u8),
    /// Another version of an application is deployed.
    Deploys(u8, M),
    /// The Job's container starts.
    JobStarts,
    /// The run moves the version to its target.
    RunMoves,
    /// The Job succeeds.
    JobSucceeds,
    /// The Job fails.
    JobFails,
    /// The statement of a dead run ends.
    StatementEnds,
    /// The finding, the darkness or whatever else went wrong is over.
    Passes,
    /// Something goes wrong.
    Mishap(Mishap),
    /// A person does something (with a migration, where there are several).
    Hand(Hand, M),
    /// A person takes back `paused` or `readOnly`.
    Resumes,
    /// A person says `take-over`.
    SaysTakeOver,
}

/// Every event that may come next.
pub fn events(scenario: &Scenario, world: &World) -> Vec<Event> {
    if world.gone {
        return Vec::new();
    }
    let mut all = vec![Event::Operator, Event::Crashes];
    if world.underway.is_some() {
        all.push(Event::Fails);
    }
    all.extend([
        Event::Watched,
        Event::JobStarts,
        Event::RunMoves,
        Event::JobSucceeds,
        Event::JobFails,
        Event::StatementEnds,
        Event::Passes,
        Event::Resumes,
        Event::SaysTakeOver,
    ]);
    for a in 0..u8::try_from(scenario.applications).unwrap_or(u8::MAX) {
        all.extend([Event::Connects(a), Event::Disconnects(a)]);
        all.extend(scenario.all().map(|m| Event::Deploys(a, m)));
    }
    all.extend(scenario.mishaps.iter().map(|mishap| Event::Mishap(*mishap)));
    for hand in &scenario.hands {
        let each = scenario.all().map(|m| Event::Hand(*hand, m));
        all.extend(each.take(if hand.is_about_one() { usize::MAX } else { 1 }));
    }
    all
}

/// The world after an event; `None`: it cannot happen here, or changes nothing.
///
/// # Errors
/// The invariant that the operator breaks.
pub fn apply(lens: &Lens, world: &World, event: Event) -> Result<Option<World>, Broken> {
    let mut next = *world;
    let happens = match event {
        Event::Operator => {
            return Ok(operator::next(lens, world)?.map(World::settled));
        }
        Event::Fails => next.underway.take().is_some(),
        Event::Crashes => {
            next.underway = None;
            next.quiet = 0;
            true
        }
        Event::Watched => watched(lens.scenario(), &mut next),
        Event::Connects(a) => connects(lens.scenario(), &mut next, usize::from(a)),
        Event::Disconnects(a) => next.applications[usize::from(a)].session.take().is_some(),
        Event::Deploys(a, m) => deploys(lens.scenario(), &mut next, usize::from(a), m),
        Event::JobStarts => job_starts(&mut next),
        Event::RunMoves => run_moves(lens.scenario(), &mut next),
        Event::JobSucceeds => job_succeeds(lens.scenario(), &mut next),
        Event::JobFails => job_fails(&mut next),
        Event::StatementEnds => statement_ends(&mut next),
        Event::Passes => passes(&mut next),
        Event::Resumes => {
            (next.paused, next.read_only) = (false, false);
            true
        }
        Event::SaysTakeOver => {
            next.take_over = world.claim == Claim::Elsewhere;
            true
        }
        Event::Mishap(mishap) => {
            world.left.mishaps > 0 && {
                next.left.mishaps -= 1;
                goes_wrong(lens.scenario(), &mut next, mishap)
            }
        }
        Event::Hand(hand, m) => {
            let free = matches!(hand, Hand::Retry | Hand::AcceptRun);
            (free || world.left.person > 0) && {
                next.left.person -= u8::from(!free);
                does(lens.scenario(), &mut next, hand, m)
            }
        }
    };
    let next = next.settled();
    Ok((happens && next != *world).then_some(next))
}

/// Logins that are open and, as far as the operator can see, unused have been so for the whole window.
fn watched(scenario: &Scenario, world: &mut World) -> bool {
    if world.dark || world.blind || world.veiled {
        return false;
    }
    for m in scenario.all() {
        let open = world.login(m).is_some_and(|login| !login.locked);
        if open && !world.has_session(m) && !is_referred_to(scenario, world, m) {
            world.quiet |= 1 << m;
        }
    }
    true
}

/// Does an application refer to the Secret where the operator sees it?
pub fn is_referred_to(scenario: &Scenario, world: &World, m: M) -> bool {
    (0..scenario.applications)
        .any(|a| !scenario.outside[a] && world.applications[a].deployed == Some(m))
}

fn connects(scenario: &Scenario, world: &mut World, a: usize) -> bool {
    let Some(m) = world.applications[a].deployed else {
        return false;
    };
    let lets_in = world.login(m).is_some_and(|login| {
        let knows = world.secret(m).map(|s| s.password) == Some(login.password);
        !login.locked && (knows || scenario.outside[a])
    });
    if world.applications[a].session.is_some() || !lets_in {
        return false;
    }
    world.applications[a].session = Some(m);
    world.quiet &= !(1 << m);
    true
}

fn deploys(scenario: &Scenario, world: &mut World, a: usize, m: M) -> bool {
    // Whoever is not in the cluster needs the Secret in hand; a Pod waits until it is there.
    let may = world.secret(m).is_some() || !scenario.outside[a] && m == world.desired;
    if !may || world.applications[a].deployed == Some(m) {
        return false;
    }
    world.applications[a].deployed = Some(m);
    if !scenario.outside[a] {
        world.quiet &= !(1 << m);
    }
    true
}

fn job_starts(world: &mut World) -> bool {
    let Some((at, mut job)) = world.job_where(|job| job.phase == Phase::Pending) else {
        return false;
    };
    job.phase = Phase::Running;
    world.jobs[at] = Some(job);
    if let Some(migrator) = &mut world.migrator {
        migrator.session = migrator.open && job.key;
    }
    true
}

fn run_moves(scenario: &Scenario, world: &mut World) -> bool {
    let running = world.job_where(|job| job.phase == Phase::Running);
    let dead = world.job_where(|job| job.phase.is_finished());
    let run = running
        .or(dead)
        .map(|(_, job)| job.run)
        .or(world.last_run.map(|record| record.run));
    let (Some(run), true) = (run, has_migrator_session(world)) else {
        return false;
    };
    if reached(scenario, world, run.to) {
        return false;
    }
    world.version = Version::At(run.to);
    true
}

/// Is a migration's statement at work?
pub fn has_migrator_session(world: &World) -> bool {
    world.migrator.is_some_and(|migrator| migrator.session)
}

fn reached(scenario: &Scenario, world: &World, m: M) -> bool {
    matches!(world.version, Version::At(c) if c == m || scenario.is_ancestor(m, c))
}

fn job_succeeds(scenario: &Scenario, world: &mut World) -> bool {
    let Some((_, job)) = world.job_where(|job| job.phase == Phase::Running) else {
        return false;
    };
    has_migrator_session(world)
        && reached(scenario, world, job.run.to)
        && job_ends(world, Phase::Succeeded, false)
}

/// A run that could not log in fails by itself.
fn job_fails(world: &mut World) -> bool {
    world.job_where(|job| job.phase == Phase::Running).is_some()
        && !has_migrator_session(world)
        && job_ends(world, Phase::Failed, false)
}

fn job_ends(world: &mut World, phase: Phase, lives_on: bool) -> bool {
    let Some((at, mut job)) = world.live_job() else {
        return false;
    };
    job.phase = phase;
    world.jobs[at] = Some(job);
    if let Some(migrator) = &mut world.migrator {
        migrator.session &= lives_on;
    }
    true
}

fn statement_ends(world: &mut World) -> bool {
    if world.live_job().is_some() {
        return false;
    }
    match &mut world.migrator {
        Some(migrator) => std::mem::take(&mut migrator.session),
        None => false,
    }
}

fn passes(world: &mut World) -> bool {
    world.dark = false;
    world.blind = false;
    world.veiled = false;
    world.no_slot = false;
    world.finding = Finding::Clean;
    true
}

fn goes_wrong(scenario: &Scenario, world: &mut World, mishap: Mishap) -> bool {
    let running = world.job_where(|job| job.phase == Phase::Running);
    let at_work = running.filter(|_| has_migrator_session(world));
    match mishap {
        Mishap::RunFails => running.is_some() && job_ends(world, Phase::Failed, false),
        Mishap::RunDoesNotMove => running.is_some() && job_ends(world, Phase::Succeeded, false),
        Mishap::StatementLivesOn => at_work.is_some() && job_ends(world, Phase::Failed, true),
        Mishap::RunOvershoots => {
            let Some((_, job)) = at_work else {
                return false;
            };
            let further = scenario
                .all()
                .find(|m| scenario.previous[usize::from(*m)] == Some(job.run.to));
            further.map(|m| world.version = Version::At(m)).is_some()
        }
        Mishap::RunStrays => {
            world.version = match world.version {
                Version::Empty => Version::Tables,
                _ => Version::Stray,
            };
            at_work.is_some()
        }
        Mishap::Dark => {
            world.quiet = 0;
            !std::mem::replace(&mut world.dark, true)
        }
        Mishap::Blind => {
            world.quiet = 0;
            !std::mem::replace(&mut world.blind, true)
        }
        Mishap::Veiled => {
            world.quiet = 0;
            !std::mem::replace(&mut world.veiled, true)
        }
        Mishap::NoSlot => !std::mem::replace(&mut world.no_slot, true),
        Mishap::FindingStops => {
            std::mem::replace(&mut world.finding, Finding::Stops) == Finding::Clean
        }
        Mishap::FindingWaits => {
            std::mem::replace(&mut world.finding, Finding::Waits) == Finding::Clean
        }
    }
}

impl Hand {
    /// Is it about one of the migrations?
    fn is_about_one(self) -> bool {
        matches!(
            self,
            Hand::Edit
                | Hand::Want
                | Hand::DeleteSecret
                | Hand::ChangePassword
                | Hand::AlterSecret
                | Hand::DropLogin
                | Hand::LockLogin
                | Hand::TakeGrants
                | Hand::Restore
                | Hand::Migrate
        )
    }
}

fn does(scenario: &Scenario, world: &mut World, hand: Hand, m: M) -> bool {
    let incomplete = world.last_run.is_some_and(|record| {
        matches!(
            record.outcome,
            Outcome2::Failed | Outcome2::VersionNotReached
        )
    });
    let at = usize::from(m);
    match hand {
        Hand::Pause => !std::mem::replace(&mut world.paused, true),
        Hand::ReadOnly => !std::mem::replace(&mut world.read_only, true),
        Hand::Edit => {
            world.edited |= 1 << m;
            true
        }
        Hand::Retry => incomplete && says_retry(world),
        Hand::AcceptRun => incomplete && !std::mem::replace(&mut world.accept, true),
        Hand::Want => {
            world.desired = m;
            true
        }
        Hand::Delete => !std::mem::replace(&mut world.deleting, true),
        Hand::DeleteSecret => world.secrets[at].take().is_some(),
        Hand::ChangePassword => {
            let password = world.fresh_password(m);
            let Some(secret) = &mut world.secrets[at] else {
                return false;
            };
            *secret = Secret {
                password,
                altered: true,
            };
            true
        }
        Hand::AlterSecret => match &mut world.secrets[at] {
            Some(secret) => !std::mem::replace(&mut secret.altered, true),
            None => false,
        },
        Hand::DropLogin => {
            for application in &mut world.applications {
                application.session = application.session.filter(|s| *s != m);
            }
            world.logins[at].take().is_some()
        }
        Hand::LockLogin => {
            world.quiet &= !(1 << m);
            match &mut world.logins[at] {
                Some(login) => !std::mem::replace(&mut login.locked, true),
                None => false,
            }
        }
        Hand::TakeGrants => match &mut world.logins[at] {
            Some(login) => std::mem::replace(&mut login.granted, false),
            None => false,
        },
        Hand::OpenDoor => match &mut world.migrator {
            Some(migrator) => !std::mem::replace(&mut migrator.open, true),
            None => false,
        },
        Hand::Restore => {
            let older = matches!(world.version, Version::At(c) if scenario.is_ancestor(m, c));
            older && comes_to(world, Version::At(m))
        }
        Hand::Migrate => comes_to(world, Version::At(m)),
        Hand::Wipe => comes_to(world, Version::Empty),
        Hand::NewServer => {
            if let Some(underway) = &mut world.underway {
                underway.cut = true;
            }
            world.claim = Claim::None;
            world.ready = false;
            world.migrator = None;
            world.quiet = 0;
            world.logins = Default::default();
            for application in &mut world.applications {
                application.session = None;
            }
            true
        }
        Hand::DeleteJob => job_ends(world, Phase::Failed, false),
        Hand::GiveAway => {
            world.take_over = false;
            std::mem::replace(&mut world.claim, Claim::Elsewhere) == Claim::Ours
        }
    }
}

/// A person says `retry` of the last run.
pub fn says_retry(world: &mut World) -> bool {
    if let Some(record) = world.last_run {
        world.made &= !World::bit(record.run);
    }
    !std::mem::replace(&mut world.retry, true)
}

/// A person brought the database to a version: every step may be made again.
pub fn comes_to(world: &mut World, version: Version) -> bool {
    world.made = 0;
    world.version = version;
    true
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Event::Operator => "the operator goes on".to_owned(),
            Event::Fails => "the operator's write fails, or its reply is lost".to_owned(),
            Event::Crashes => "the operator crashes and starts again".to_owned(),
            Event::Watched => "the quiet window passes".to_owned(),
            Event::Connects(a) => format!("application {} connects", a + 1),
            Event::Disconnects(a) => format!("application {} disconnects", a + 1),
            Event::Deploys(a, m) => format!("application {} is deployed at v{}", a + 1, m + 1),
            Event::JobStarts => "the Job's container starts".to_owned(),
            Event::RunMoves => "the run moves the version".to_owned(),
            Event::JobSucceeds => "the Job succeeds".to_owned(),
            Event::JobFails => "the Job fails: it cannot log in".to_owned(),
            Event::StatementEnds => "the dead run's statement ends".to_owned(),
            Event::Passes => "what went wrong is over".to_owned(),
            Event::Mishap(mishap) => format!("mishap: {mishap:?}"),
            Event::Hand(hand, m) if hand.is_about_one() => {
                format!("a person: {hand:?} v{}", m + 1)
            }
            Event::Hand(hand, _) => format!("a person: {hand:?}"),
            Event::Resumes => "a person takes back paused or readOnly".to_owned(),
            Event::SaysTakeOver => "a person says take-over".to_owned(),
        };
        f.write_str(&text)
    }
}

/// The world in a line, for the story.
pub fn line(world: &World) -> String {
    let mut text = words(world.version);
    for (m, (login, secret)) in world.logins.iter().zip(&world.secrets).enumerate() {
        if login.is_none() && secret.is_none() {
            continue;
        }
        let login = login.map_or("no login".to_owned(), |l| {
            let locked = if l.locked { "locked" } else { "open" };
            let granted = if l.granted { "" } else { ", no grants" };
            format!("{locked} password {}{granted}", l.password)
        });
        let secret = secret.map_or("no Secret".to_owned(), |s| {
            let altered = if s.altered { " altered" } else { "" };
            format!("Secret {}{altered}", s.password)
        });
        text += &format!("; v{}: {login}, {secret}", m + 1);
    }
    for job in world.jobs.iter().flatten() {
        text += &format!("; Job to v{}: {:?}", job.run.to + 1, job.phase);
    }
    if let Some(migrator) = world.migrator.filter(|m| m.open || m.session) {
        text += &format!(
            "; migrator {}{}",
            if migrator.open { "open" } else { "closed" },
            if migrator.session { ", connected" } else { "" }
        );
    }
    if let Some(record) = world.last_run {
        text += &format!("; last run to v{}: {:?}", record.run.to + 1, record.outcome);
    }
    for (what, is) in [
        ("retry", world.retry),
        ("paused", world.paused),
        ("readOnly", world.read_only),
        ("deleting", world.deleting),
        ("unreachable", world.dark),
        ("sessions unseen", world.blind),
        ("references unseen", world.veiled),
    ] {
        if is {
            text += "; ";
            text += what;
        }
    }
    text
}
