//! The world: objects, Secrets, Jobs, applications, and what has happened to them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::PoisonError;

use dbop_credentials::names;
use dbop_engine::{Dress, Read};
use dbop_model::{
    ClaimId, ConfigMapName, Digest, Fact, JobName, MigrationName, ObservedVersion, RunRecord,
    SchemaVersion, SecretName,
};
use dbop_plan::{Declared, Desired, ObjectFacts, Slots};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;

use super::actors::{Application, Habit, Script};
use super::{Shared, invariants};
use crate::fake_database::{FakeDatabase, SessionId, WriteFate};

/// How long a worker rests at most in a simulation: its slow heartbeat.
pub const TURN_MAX: SignedDuration = SignedDuration::from_secs(30);
/// Lines of a story that are kept: the end of it is what explains a failure.
const STORY_LINES_MAX: usize = 400;

/// The world around an operator.
pub struct World {
    /// Whose claims are ours: two worlds of one database are of two clusters.
    pub cluster: String,
    /// The time.
    pub now: Timestamp,
    /// The database.
    pub db: FakeDatabase,
    /// What is wanted.
    pub desired: Desired,
    /// The object beside its spec.
    pub object: ObjectFacts,
    /// The object's finalizer has been removed.
    pub let_go: bool,
    /// Jobs, by name.
    pub jobs: BTreeMap<JobName, Job>,
    /// Application Secrets, by name.
    pub secrets: BTreeMap<SecretName, Stored>,
    /// ConfigMaps, by name: the value of whatever key is asked for.
    pub config_maps: BTreeMap<ConfigMapName, String>,
    /// Applications.
    pub applications: Vec<Application>,
    /// When those who wait for others look again.
    pub(super) looks_at: Timestamp,
    /// Running workloads that say which schema their code is for.
    pub declared: Vec<Declared>,
    /// Becomes desired once the database is at rest for the first time.
    pub later: Option<MigrationName>,
    /// How runs of a migration end; the default is success.
    pub scripts: BTreeMap<MigrationName, Script>,
    /// Room for Jobs.
    pub slots: Slots,
    /// So many looks later does what happens to objects, Jobs and Secrets show in cached reads.
    pub lag: usize,
    /// The watches tell nothing: cached reads answer as they last did.
    pub watches_stopped: bool,
    /// Objects, Jobs and Secrets as they were at the last looks, the oldest first.
    shown: VecDeque<Shown>,
    /// Writes made by the operator so far, to database and platform.
    pub writes: u64,
    /// The writes to break, and how.
    pub faults: Vec<Fault>,
    /// The write that was just refused was so because of a conflict.
    pub conflict: bool,
    /// Somebody who comes at the worst moment of the next retirement.
    pub race: Option<Race>,
    /// What somebody does in the middle of whatever the operator does: asked whenever time has passed, until it says
    /// that it is done. The [`Fleet`](super::fleet::Fleet) has histories instead.
    pub meanwhile: Option<Meanwhile>,
    /// The version before somebody else's tool was there, which a person can put back.
    pub version_before: Option<ObservedVersion>,
    /// A fault that a test plants: the platform does not tell of references.
    pub blind: bool,
    /// The operator has been killed: nothing of it takes effect any more.
    pub dead: bool,
    /// What has happened, for people.
    pub story: VecDeque<String>,
    /// Invariants that were broken.
    pub violations: Vec<String>,
    /// What the invariants need to remember.
    pub ledger: Ledger,
}

/// What the invariants need to remember between two checks.
#[derive(Default)]
pub struct Ledger {
    /// When somebody had a session with each login, of late.
    pub used_at: BTreeMap<String, Vec<Timestamp>>,
    /// What was in the Secrets that the operator deleted last: a retirement that is given up puts it back.
    pub taken: BTreeMap<SecretName, BTreeMap<String, String>>,
    /// Each step that was started, with the number of times it may be started again.
    pub started: BTreeMap<(Option<MigrationName>, MigrationName), u32>,
    /// Number of started runs by migration.
    pub runs: BTreeMap<MigrationName, u32>,
    /// Writes that took place, by their first word or two: what a run has covered.
    pub covered: BTreeMap<String, u64>,
}

/// A Job in the world.
#[derive(Debug, Clone)]
pub struct Job {
    /// From this migration.
    pub from: Option<MigrationName>,
    /// To this one.
    pub to: MigrationName,
    /// Digest of the migration when it was created.
    pub digest: Digest,
    /// Its creation.
    pub created_at: Timestamp,
    /// What its Secret holds.
    pub environment: BTreeMap<String, String>,
    /// Login and password that it will use.
    pub login: Option<(String, String)>,
    /// Its release.
    pub released_at: Option<Timestamp>,
    /// Its session, while it runs.
    pub session: Option<SessionId>,
    /// Its end: succeeded, when.
    pub end: Option<(bool, Timestamp)>,
    /// Our finalizer.
    pub finalizer: bool,
}

/// A Secret in the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Does it bear our label?
    pub ours: bool,
    /// Its revision.
    pub revision: u64,
    /// Its migration, where it is ours.
    pub migration: Option<MigrationName>,
    /// Its type.
    pub kind: String,
    /// Its content.
    pub data: BTreeMap<String, String>,
    /// What of it was written by a template.
    pub dress: Dress,
    /// The claim that its login's name derives from.
    pub claim: Option<ClaimId>,
    /// Since when it names its login.
    pub issued_at: Option<Timestamp>,
}

/// What a cached read answers from.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) desired: Desired,
    pub(super) object: ObjectFacts,
    pub(super) jobs: BTreeMap<JobName, Job>,
    pub(super) secrets: BTreeMap<SecretName, Stored>,
}

/// Does something once its moment has come, and says whether it has.
pub type Meanwhile = Box<dyn FnMut(&mut World) -> bool + Send>;

/// Somebody who comes at the worst moment of a retirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Race {
    /// A client connects just before the login is locked.
    SessionBeforeLock,
    /// A workload that refers to the Secret appears just before the Secret is deleted.
    ReferenceBeforeDelete,
}

/// The write to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which write, counted from 1.
    pub at: u64,
    /// How.
    pub kind: FaultKind,
}

/// How a write breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It fails, and the operator lives on.
    FailBefore,
    /// It takes effect, its reply is lost, and the operator lives on.
    FailAfter,
    /// The operator is killed before it takes effect.
    KillBefore,
    /// The operator is killed after it took effect.
    KillAfter,
    /// Somebody else has changed the object: it is refused, and the operator lives on.
    Conflict,
}

/// Where a history ended: what must not depend on the faults in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// What the version shows as.
    pub version: Fact<ObservedVersion>,
    /// Our logins, by migration: can it be logged in to with its Secret?
    pub logins: BTreeMap<MigrationName, bool>,
    /// The Secrets of ours.
    pub secrets: BTreeSet<MigrationName>,
    /// Jobs that still carry our finalizer.
    pub unfinished: usize,
    /// Can anybody log in as the migrator?
    pub door_open: bool,
    /// Runs started, by migration.
    pub runs: BTreeMap<MigrationName, u32>,
    /// The last run: migration and outcome.
    pub last_run: Option<(MigrationName, dbop_model::Outcome)>,
}

impl World {
    /// A world with an empty database, of which `desired` is wanted.
    pub fn new(desired: Desired) -> Self {
        let db = FakeDatabase::new(desired.database.id.name());
        if let Some(table) = desired.database.version_source.table() {
            db.set_version_table(table);
        }
        Self {
            cluster: "simulated".to_owned(),
            now: Timestamp::UNIX_EPOCH,
            db,
            desired,
            object: ObjectFacts::default(),
            let_go: false,
            jobs: BTreeMap::new(),
            secrets: BTreeMap::new(),
            config_maps: BTreeMap::new(),
            applications: Vec::new(),
            looks_at: Timestamp::UNIX_EPOCH,
            declared: Vec::new(),
            later: None,
            scripts: BTreeMap::new(),
            slots: Slots {
                taken: 0,
                limit: None,
            },
            lag: 0,
            watches_stopped: false,
            shown: VecDeque::new(),
            writes: 0,
            faults: Vec::new(),
            conflict: false,
            race: None,
            meanwhile: None,
            version_before: None,
            blind: false,
            dead: false,
            story: VecDeque::new(),
            violations: Vec::new(),
            ledger: Ledger::default(),
        }
    }

    /// One more cached look.
    pub(super) fn show(&mut self) {
        if self.watches_stopped && !self.shown.is_empty() {
            return;
        }
        if self.lag == 0 && !self.watches_stopped {
            self.shown.clear();
            return;
        }
        let now = Shown {
            desired: self.desired.clone(),
            object: self.object.clone(),
            jobs: self.jobs.clone(),
            secrets: self.secrets.clone(),
        };
        self.shown.push_back(now);
        while self.shown.len() > self.lag + 1 {
            let _ = self.shown.pop_front();
        }
    }

    /// What a write gives back is in the cache at once, however far behind the watches are: what others did to the
    /// same objects comes with it. The spec is read from watches alone.
    pub(super) fn show_own_write(&mut self) {
        for shown in &mut self.shown {
            shown.object.last_run.clone_from(&self.object.last_run);
            shown.jobs.clone_from(&self.jobs);
            shown.secrets.clone_from(&self.secrets);
        }
    }

    /// What a read of this freshness answers from, where that is not the world as it is.
    pub(super) fn late(&self, read: Read) -> Option<&Shown> {
        self.shown.front().filter(|_| read == Read::Cached)
    }

    /// Adds a line to the story.
    pub fn tell(&mut self, line: impl AsRef<str>) {
        if self.story.len() == STORY_LINES_MAX {
            let _ = self.story.pop_front();
        }
        let at = self.now.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64();
        self.story
            .push_back(format!("{at:9.1} s  {}", line.as_ref()));
    }

    /// What has happened, one line each.
    pub fn told(&self) -> String {
        let lines: Vec<&str> = self.story.iter().map(String::as_str).collect();
        lines.join("\n")
    }

    /// Counts a write of the operator and says what becomes of it.
    pub fn write(&mut self, name: &str) -> WriteFate {
        if self.dead {
            return WriteFate::FailBefore;
        }
        self.writes += 1;
        invariants::written(self, name);
        match self.race {
            Some(Race::SessionBeforeLock) if name == "lock_login" => self.come(Habit::Pool),
            Some(Race::ReferenceBeforeDelete) if name.starts_with("delete Secret") => {
                self.come(Habit::Idle);
            }
            _ => {}
        }
        let mut faults = self.faults.iter();
        let fault = faults.find(|fault| fault.at == self.writes).copied();
        let fate = match fault.map(|fault| fault.kind) {
            None => WriteFate::Apply,
            Some(FaultKind::FailBefore) => WriteFate::FailBefore,
            Some(FaultKind::FailAfter) => WriteFate::FailAfter,
            Some(FaultKind::Conflict) => {
                self.conflict = true;
                WriteFate::FailBefore
            }
            Some(FaultKind::KillBefore) => {
                self.dead = true;
                WriteFate::FailBefore
            }
            Some(FaultKind::KillAfter) => {
                self.dead = true;
                WriteFate::FailAfter
            }
        };
        let kind = name.split(" Job ").next().unwrap_or(name);
        let kind = kind.split(" Secret ").next().unwrap_or(kind);
        match self.ledger.covered.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(self.ledger.covered.insert(kind.to_owned(), 1)),
        }
        let number = self.writes;
        match fault {
            None => self.tell(format!("write {number}: {name}")),
            Some(fault) => self.tell(format!("write {number}: {name}  <- {:?}", fault.kind)),
        }
        fate
    }

    /// An application of every old credential appears, for ten seconds or until it is told to move on.
    fn come(&mut self, habit: Habit) {
        self.race = None;
        let current = self.current();
        let old: Vec<(MigrationName, Stored)> = self
            .secrets
            .values()
            .filter(|secret| secret.ours && secret.migration != current)
            .filter_map(|secret| Some((secret.migration.clone()?, secret.clone())))
            .collect();
        for (migration, secret) in old {
            let mut late = Application::new(&format!("late-{migration}"), &migration, habit);
            late.deployed = habit == Habit::Idle;
            late.moves_on = Some(SignedDuration::from_secs(10));
            late.next = self.now;
            if habit == Habit::Pool {
                let value = |key: &str| secret.data.get(key).cloned().unwrap_or_default();
                late.session = self
                    .db
                    .open_session(&value("username"), &value("password"))
                    .ok();
            }
            self.tell(format!("{} comes, {habit:?}", late.name));
            self.applications.push(late);
        }
    }

    /// The Secret of a migration's credential, where there is one of ours.
    pub fn secret_of(&self, migration: &MigrationName) -> Option<&Stored> {
        let name = names::secret(&self.desired.database.id, migration);
        self.secrets.get(&name).filter(|secret| secret.ours)
    }

    /// The migration that the database is at.
    pub fn current(&self) -> Option<MigrationName> {
        match self.db.version() {
            Fact::Known(ObservedVersion::At(version)) => self
                .desired
                .chain
                .iter()
                .find(|migration| migration.version == version)
                .map(|migration| migration.name.clone()),
            _ => None,
        }
    }

    /// Sets the version to a migration's, as a restored backup does.
    pub fn restore(&mut self, migration: &MigrationName) {
        let Some(version) = self.desired.chain.get(migration).map(|m| m.version.clone()) else {
            return;
        };
        self.tell(format!("a backup of {migration} is restored"));
        self.db.set_version(ObservedVersion::At(version));
        self.may_run_again(None);
    }

    /// There is a reason to take a step to this migration once more; `None`: every step.
    pub fn may_run_again(&mut self, to: Option<&MigrationName>) {
        for ((_, step), left) in &mut self.ledger.started {
            if to.is_none_or(|to| to == step) {
                *left += 1;
            }
        }
    }

    /// The version of a migration.
    pub fn version_of(&self, migration: &MigrationName) -> Option<SchemaVersion> {
        self.desired.chain.get(migration).map(|m| m.version.clone())
    }

    /// Is nothing under way that time alone would change?
    pub fn quiet(&self) -> bool {
        self.jobs
            .values()
            .all(|job| job.released_at.is_none() || job.end.is_some())
    }

    /// Where the history stands.
    pub fn end(&self) -> End {
        let mut logins = BTreeMap::new();
        let mut secrets = BTreeSet::new();
        for secret in self.secrets.values().filter(|secret| secret.ours) {
            secrets.extend(secret.migration.clone());
        }
        for (_, migration) in self.db.logins() {
            let secret = self.secret_of(&migration);
            let works = secret.is_some_and(|secret| self.works(secret));
            logins.insert(migration, works);
        }
        End {
            version: self.db.version(),
            logins,
            secrets,
            unfinished: self.jobs.values().filter(|job| job.finalizer).count(),
            door_open: self.db.door_open(),
            runs: self.ledger.runs.clone(),
            last_run: self.object.last_run.as_ref().map(
                |RunRecord {
                     migration, outcome, ..
                 }| (migration.clone(), *outcome),
            ),
        }
    }

    /// Does a Secret's login work?
    pub fn works(&self, secret: &Stored) -> bool {
        let (Some(user), Some(password)) =
            (secret.data.get("username"), secret.data.get("password"))
        else {
            return false;
        };
        dbop_model::LoginName::new(user.as_str())
            .is_ok_and(|login| self.db.accepts(&login, &password.clone().into()))
    }
}

/// Content of a Secret, as it is kept in the world.
pub fn plain(data: &BTreeMap<String, secrecy::SecretString>) -> BTreeMap<String, String> {
    data.iter()
        .map(|(key, value)| (key.clone(), value.expose_secret().to_owned()))
        .collect()
}

/// Makes the database's writes count with the platform's, in one row.
pub(super) fn hook_database(world: &Shared) {
    let weak = std::sync::Arc::downgrade(world);
    let db = world
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .db
        .clone();
    db.on_write(move |name| match weak.upgrade() {
        // The database calls this while it is locked; the world is never locked around a database write.
        Some(world) => world
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(name),
        None => WriteFate::Apply,
    });
}
