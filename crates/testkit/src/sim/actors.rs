//! Who acts while the operator sleeps: Jobs that run, applications that connect.

use dbop_credentials::names;
use dbop_model::{MigrationName, ObservedVersion};
use jiff::{SignedDuration, Timestamp};

use super::invariants;
use super::world::World;
use crate::fake_database::SessionId;

/// How the runs of a migration end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    /// How long a run takes.
    pub takes: SignedDuration,
    /// Does the version move?
    pub moves_version: bool,
    /// Does it exit with 0?
    pub succeeds: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            takes: SignedDuration::from_secs(2),
            moves_version: true,
            succeeds: true,
        }
    }
}

/// An application that uses the credential of one migration, until it moves on.
#[derive(Debug, Clone)]
pub struct Application {
    /// Its name.
    pub name: String,
    /// The migration whose Secret it reads.
    pub uses: MigrationName,
    /// Does a workload of it refer to the Secret?
    pub deployed: bool,
    /// How it connects.
    pub habit: Habit,
    /// How long a brief connection lives.
    pub lasts: SignedDuration,
    /// Does it move to the newest published credential, when it is told that it is in the way?
    pub moves_on: Option<SignedDuration>,
    /// Since when a newer credential has been published.
    pub newer_since: Option<Timestamp>,
    /// Its session, where it keeps or has one.
    pub session: Option<SessionId>,
    /// When that session began.
    pub session_since: Timestamp,
    /// The login of its last session.
    pub login: String,
    /// When it next opens or closes one.
    pub next: Timestamp,
    /// What it was refused.
    pub refused: u32,
    /// Queries it made.
    pub queries: u32,
}

/// How an application connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// It keeps one session.
    Pool,
    /// It connects every so often, for a moment.
    Brief {
        /// From one connection to the next.
        every: SignedDuration,
    },
    /// It never connects; only its workload refers to the Secret.
    Idle,
}

/// How long a brief connection lives, unless it is said: as long as is promised to be seen.
const BRIEF: SignedDuration = SignedDuration::from_millis(200);
/// Where calls take time, two looks at sessions are up to a second apart: what lives for longer is seen.
pub(super) const SEEN_AFTER: SignedDuration = SignedDuration::from_millis(1200);
/// Who waits for something that others do looks for it this often.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(1);
/// Uses of a login that are closer than this count as one, of which the last moment is kept.
const USES_APART: SignedDuration = SignedDuration::from_millis(500);
/// Uses are remembered for longer than any quiet window.
const USES_KEPT: SignedDuration = SignedDuration::from_secs(60);

impl Application {
    /// An application of this migration's schema.
    pub fn new(name: &str, uses: &MigrationName, habit: Habit) -> Self {
        Self {
            name: name.to_owned(),
            uses: uses.clone(),
            deployed: false,
            habit,
            lasts: BRIEF,
            moves_on: None,
            newer_since: None,
            session: None,
            session_since: Timestamp::UNIX_EPOCH,
            login: String::new(),
            next: Timestamp::UNIX_EPOCH,
            refused: 0,
            queries: 0,
        }
    }

    /// The migration whose Secret a workload of it refers to.
    pub fn refers_to(&self) -> Option<MigrationName> {
        self.deployed.then(|| self.uses.clone())
    }
}

/// What everybody does at this moment.
pub(super) fn act(world: &mut World) {
    let now = world.now;
    world.db.set_now(now);
    run_jobs(world);
    for index in 0..world.applications.len() {
        let mut application = world.applications[index].clone();
        move_on(world, &mut application);
        note_use(world, &application);
        connect(world, &mut application);
        note_use(world, &application);
        world.applications[index] = application;
    }
    world.looks_at = now + LOOK_EVERY;
    invariants::check(world);
}

/// For the invariants: somebody uses this login now.
fn note_use(world: &mut World, application: &Application) {
    if !application
        .session
        .is_some_and(|session| world.db.is_open(session))
    {
        return;
    }
    let now = world.now;
    let uses = world.ledger.used_at.entry(application.login.clone());
    let uses = uses.or_default();
    // The last of those that lie close together says it all.
    let near = |one: &Timestamp| now.duration_since(*one) < USES_APART;
    match uses.last_mut().filter(|one| near(one)) {
        Some(last) => *last = now,
        None => uses.push(now),
    }
    uses.retain(|one| now.duration_since(*one) < USES_KEPT);
}

/// When somebody would next do something, as far as it can be told; those who wait for others look every second.
pub(super) fn next_at(world: &World) -> Option<Timestamp> {
    let soon = world.looks_at.max(world.now);
    let jobs = world.jobs.values().filter_map(|job| {
        let released_at = job.released_at.filter(|_| job.end.is_none())?;
        let takes = world
            .scripts
            .get(&job.to)
            .copied()
            .unwrap_or_default()
            .takes;
        Some(match job.session {
            None => world.now,
            Some(_) => (released_at + takes).max(world.now).min(soon),
        })
    });
    let current = world.current();
    let applications = world.applications.iter().filter_map(|application| {
        let moving = application.moves_on.is_some() && Some(&application.uses) != current.as_ref();
        let connects = match (application.habit, application.session) {
            (Habit::Idle, _) | (Habit::Pool, Some(_)) => None,
            (Habit::Pool, None) => Some(soon),
            (Habit::Brief { .. }, _) => Some(application.next.max(world.now)),
        };
        [connects, moving.then_some(soon)]
            .into_iter()
            .flatten()
            .min()
    });
    jobs.chain(applications).min()
}

/// Would anybody do anything if time passed?
pub(super) fn anybody_acts(world: &World) -> bool {
    !world.quiet()
        || world.applications.iter().any(|application| {
            let current = world.current();
            let moving =
                application.moves_on.is_some() && Some(&application.uses) != current.as_ref();
            let connecting = match application.habit {
                Habit::Pool => application.session.is_none(),
                Habit::Brief { .. } => true,
                Habit::Idle => false,
            };
            moving || connecting
        })
}

fn run_jobs(world: &mut World) {
    let names: Vec<_> = world.jobs.keys().cloned().collect();
    for name in names {
        let mut job = world.jobs[&name].clone();
        let Some(released_at) = job.released_at.filter(|_| job.end.is_none()) else {
            continue;
        };
        let script = world.scripts.get(&job.to).copied().unwrap_or_default();
        if job.session.is_none() {
            let Some((login, password)) = job.login.clone() else {
                world
                    .violations
                    .push(format!("Job {name} was released without its Secret"));
                job.end = Some((false, world.now));
                world.jobs.insert(name, job);
                continue;
            };
            match world.db.open_session(&login, &password) {
                Ok(session) => {
                    world.tell(format!("Job {name} logs in"));
                    job.session = Some(session);
                }
                Err(error) => {
                    world.tell(format!("Job {name} cannot log in: {error}"));
                    job.end = Some((false, world.now));
                    world.jobs.insert(name, job);
                    continue;
                }
            }
        }
        let alive = job.session.is_some_and(|session| world.db.is_open(session));
        if !alive {
            world.tell(format!("Job {name} lost its connection"));
            job.end = Some((false, world.now));
        } else if world.now.duration_since(released_at) >= script.takes {
            finish(world, &name, &mut job, script);
        }
        world.jobs.insert(name, job);
    }
}

fn finish(
    world: &mut World,
    name: &dbop_model::JobName,
    job: &mut super::world::Job,
    script: Script,
) {
    let Some(session) = job.session.take() else {
        return;
    };
    let mut succeeded = script.succeeds;
    if script.moves_version
        && let Some(version) = world.version_of(&job.to)
        && let Err(denied) = world
            .db
            .write_version(session, ObservedVersion::At(version))
    {
        world
            .violations
            .push(format!("Job {name} could not write the version: {denied}"));
        succeeded = false;
    }
    world.db.close_session(session);
    job.end = Some((succeeded, world.now));
    world.tell(format!(
        "Job {name} ends, {}",
        if succeeded { "succeeded" } else { "failed" }
    ));
}

/// The newest credential that is published and usable is the one that a roll-out would take.
fn move_on(world: &mut World, application: &mut Application) {
    let Some(patience) = application.moves_on else {
        return;
    };
    let Some(current) = world.current() else {
        return;
    };
    if application.uses == current || world.secret_of(&current).is_none() {
        application.newer_since = None;
        return;
    }
    let since = *application.newer_since.get_or_insert(world.now);
    if world.now.duration_since(since) >= patience {
        world.tell(format!(
            "{} moves from {} to {current}",
            application.name, application.uses
        ));
        leave(world, application);
        application.uses = current;
        application.newer_since = None;
        application.next = world.now;
    }
}

fn connect(world: &mut World, application: &mut Application) {
    if application
        .session
        .is_some_and(|session| !world.db.is_open(session))
    {
        application.session = None;
    }
    if world.now < application.next {
        return;
    }
    match (application.habit, application.session.take()) {
        (Habit::Idle, _) => {}
        (Habit::Pool, Some(session)) => application.session = Some(session),
        (Habit::Pool, None) => open(world, application),
        (Habit::Brief { every }, Some(session)) => {
            world.db.close_session(session);
            application.next = world.now + (every - application.lasts);
        }
        (Habit::Brief { every }, None) => {
            open(world, application);
            application.next = match application.session {
                Some(_) => world.now + application.lasts,
                None => world.now + every,
            };
        }
    }
}

/// Ends its session, because it moves or goes. One that was too short to be seen counts as no use: nobody is left whom it
/// would have been for.
pub(super) fn leave(world: &mut World, application: &mut Application) {
    let Some(session) = application.session.take() else {
        return;
    };
    world.db.close_session(session);
    let since = application.session_since;
    if world.now.duration_since(since) < SEEN_AFTER
        && let Some(uses) = world.ledger.used_at.get_mut(&application.login)
    {
        uses.retain(|one| *one < since);
    }
}

/// Connects with what the Secret says now. Without a Secret it waits, as a Pod would.
fn open(world: &mut World, application: &mut Application) {
    let Some(secret) = world.secret_of(&application.uses).cloned() else {
        return;
    };
    let name = names::secret(&world.desired.database.id, &application.uses);
    let value = |key: &str| secret.data.get(key).cloned().unwrap_or_default();
    application.queries += 1;
    match world
        .db
        .open_session_from(&value("username"), &value("password"), "10.0.0.7", "app")
    {
        Ok(session) => {
            application.session = Some(session);
            application.session_since = world.now;
            application.login = value("username");
        }
        Err(crate::fake_database::OpenError::Unreachable) => {}
        Err(error) => {
            application.refused += 1;
            world.tell(format!(
                "{} is refused with Secret {name}: {error}",
                application.name
            ));
        }
    }
}
