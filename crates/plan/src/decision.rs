//! What the planner says: one decision, with the evidence a person needs.
//!
//! `Display` of a decision and its parts is the line that people read in status, Events, `plan` and the
//! demo; the words are in `text.rs`.

use std::time::Duration;

use dbop_model::finding::{Finding, NotJudged};
use dbop_model::{
    ChainBreak, ClaimOwner, Digest, Engine, ForeignObject, JobName, LoginName, LoginTurn,
    MigrationName, MissingPrivilege, Outcome, RunRecord, SchemaVersion, Session, ToolLock, Why,
};
use jiff::Timestamp;

use crate::facts::{Declared, Reference};

/// The next step of a database.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Do this now.
    Act {
        /// What.
        action: Action,
        /// Why.
        because: Because,
    },
    /// Nothing can be done now; look again at `wake_at` at the latest.
    Wait {
        /// What for.
        on: WaitingOn,
        /// When waiting is over or worth another look.
        wake_at: Timestamp,
    },
    /// Needs a person, or a change of the spec or of the data.
    Blocked {
        /// By what.
        by: Blocker,
    },
    /// At rest.
    Converged {
        /// The database is newer than desired, and code of the desired version works with it.
        ahead: bool,
        /// When to look again.
        look_again: Timestamp,
    },
}

/// One action: a row's whole sequence of writes, each of them safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Take back a step that was left half done.
    Undo(Undo),
    /// Bring an existing credential back in order: login, grants, proof, Secret.
    Heal {
        /// Whose.
        migration: MigrationName,
    },
    /// Delete a Job that must not run (as it is).
    DeleteJob {
        /// The Job.
        job: JobName,
    },
    /// Close the migrator's door, reapply grants, record the outcome, let the Job go.
    RecordRun {
        /// What will stand in `status.lastRun`.
        record: RunRecord,
        /// False while the object is deleted and the database cannot be reached.
        with_database: bool,
    },
    /// Let a recorded Job go.
    ReleaseJob {
        /// The Job.
        job: JobName,
    },
    /// A step of the object's deletion.
    Delete(DeletionStep),
    /// Put the claim in this object's name.
    TakeOver,
    /// Make a credential: login, grants, proof by connecting, Secret last.
    CreateCredential {
        /// Whose.
        migration: MigrationName,
    },
    /// Take the version that the database shows as done, though its run did not complete.
    AcceptRun {
        /// The record, with its new outcome.
        record: RunRecord,
    },
    /// Give a credential another login: grants, proof by connecting, the Secret in place. The one before stays.
    Rotate {
        /// Whose.
        migration: MigrationName,
        /// The login that its Secret names until then.
        login: LoginName,
    },
    /// Retire a login that a rotation has replaced: lock, look twice, drop. The Secret is not touched.
    RetireReplaced {
        /// Whose.
        migration: MigrationName,
        /// The login.
        login: LoginName,
    },
    /// Retire a credential: lock, look twice, delete the Secret, look once more, drop.
    Retire(Retirement),
    /// Run a migration: Job suspended, migrator's password, Job's Secret, door, release.
    StartRun(Run),
}

/// A step left half done, to be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// A login locked for a retirement that is not carried on.
    Unlock {
        /// Whose.
        migration: MigrationName,
        /// Which of its logins.
        turn: LoginTurn,
    },
    /// The migrator's door stands open without a run.
    CloseDoor,
}

/// What is wrong with an existing credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    /// The login is gone.
    LoginMissing,
    /// The server refuses the Secret's password.
    Refused,
    /// It lacks grants.
    GrantsMissing,
    /// The Secret is gone.
    SecretMissing,
    /// The Secret was changed.
    SecretChanged,
}

/// A step of the object's deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletionStep {
    /// Drop a login that is provably unused, and its Secret.
    Revoke(Retirement),
    /// Close the migrator's door and let the object go.
    Finish {
        /// Credentials that stay although the policy says `Revoke`, and why.
        kept: Vec<(MigrationName, Use)>,
        /// False where the database cannot be reached, or is not to be written.
        with_database: bool,
    },
}

/// A credential to retire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// Whose.
    pub migration: MigrationName,
}

/// A migration run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The Job's name.
    pub job: JobName,
    /// The version it starts from; `None`: an empty database.
    pub from: Option<MigrationName>,
    /// The migration to run.
    pub to: MigrationName,
    /// Digest of the migration.
    pub digest: Digest,
}

/// Why an action is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// A retirement was interrupted and does not go on now.
    RetirementInterrupted {
        /// Whose login is locked.
        migration: MigrationName,
        /// The login, where it is one that was replaced.
        replaced: Option<LoginName>,
    },
    /// No run is under way, and yet the migrator could log in.
    DoorLeftOpen,
    /// A credential that applications need is not in order.
    CredentialDefective {
        /// Whose.
        migration: MigrationName,
        /// What is wrong.
        defects: Vec<Defect>,
    },
    /// A run ended.
    RunEnded {
        /// What ran.
        migration: MigrationName,
        /// How it ended.
        end: JobEnd,
    },
    /// The outcome of a run stands in the status.
    RunRecorded,
    /// A Job that never started no longer fits.
    JobOutdated {
        /// What it would run.
        migration: MigrationName,
        /// Why it no longer fits.
        reason: &'static str,
    },
    /// The object is being deleted.
    ObjectDeleted,
    /// A person said `take-over`.
    PersonTakesOver,
    /// A person said `accept-run`.
    PersonAccepts {
        /// The run.
        job: JobName,
    },
    /// A credential belongs to the schema that the database has.
    CredentialWanted {
        /// Whose.
        migration: MigrationName,
        /// The version that the database is at.
        current: MigrationName,
    },
    /// A person said `rotate`.
    PersonRotates,
    /// A login is as old as the policy lets it become.
    LoginOld {
        /// Since when its Secret names it, where that is known.
        since: Option<Timestamp>,
        /// The policy.
        every: Duration,
    },
    /// A login that a rotation has replaced is not used any more.
    LoginReplaced {
        /// The one that the Secret names; `None`: none.
        by: Option<LoginName>,
    },
    /// A credential's code cannot live with the next schema (or with the present one).
    CredentialOutdated {
        /// Whose.
        migration: MigrationName,
        /// The migration whose schema it cannot live with.
        schema: MigrationName,
    },
    /// A migration is the next on the way.
    OnTheWay {
        /// The migration.
        migration: MigrationName,
        /// The end of the way.
        desired: MigrationName,
    },
    /// A person said `retry`.
    PersonRetries {
        /// The run that did not complete.
        job: JobName,
    },
    /// The migration has changed since its run did not complete.
    MigrationChanged {
        /// The migration.
        migration: MigrationName,
    },
}

/// How a run ended, in facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEnd {
    /// The outcome that is recorded.
    pub outcome: Outcome,
    /// Exit status, where there was one.
    pub exit_code: Option<i32>,
}

/// What keeps a credential from being retired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// Sessions are connected with it.
    Sessions(Vec<Session>),
    /// Workloads refer to its Secret.
    References(Vec<Reference>),
    /// Both.
    Both(Vec<Session>, Vec<Reference>),
    /// It could not be looked up.
    Unknown(Why),
}

/// A migration tool's lock that is held, and which of our runs took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLock {
    /// The lock.
    pub lock: ToolLock,
    /// The run's Job in a Pod of which it was taken, where its holder bears the name of one.
    pub left_by: Option<JobName>,
}

/// What a database waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum WaitingOn {
    /// A run is under way.
    Run {
        /// Its Job.
        job: JobName,
        /// The migration.
        migration: MigrationName,
        /// Why no container of it has started, where none has.
        not_started: Option<String>,
    },
    /// The migrator is still connected (a dead run's statement lives on).
    MigratorSessions {
        /// Who.
        sessions: Vec<Session>,
        /// The locks of the migration tool that they hold.
        locks: Vec<HeldLock>,
    },
    /// A person set `paused`.
    Paused,
    /// A person set `readOnly`.
    ReadOnly,
    /// The database cannot be reached or logged in to.
    Database {
        /// Why.
        why: Why,
    },
    /// A fact that the next step needs is not known.
    Unknown {
        /// Which, as a noun phrase: "the sessions of credential v2".
        what: String,
        /// Why.
        why: Why,
    },
    /// An old credential is still used.
    CredentialInUse {
        /// Each credential that is in the way, and by what.
        credentials: Vec<(MigrationName, Use)>,
        /// The migration that waits; `None`: none, the database is at rest otherwise.
        next: Option<MigrationName>,
        /// The newest migration whose credential applications can move to now.
        move_to: MigrationName,
    },
    /// An old credential is unused, and watched until it has been for long enough.
    QuietWindow {
        /// Whose.
        migration: MigrationName,
        /// The login watched.
        login: LoginName,
        /// What is retired then.
        watched: Watched,
        /// When it will have been unused for the whole window.
        until: Timestamp,
    },
    /// Logins that were replaced are still used; the database is at rest otherwise.
    ReplacedInUse {
        /// They.
        logins: Vec<ReplacedInUse>,
    },
    /// A finding that time can resolve.
    Hints {
        /// The migration.
        migration: MigrationName,
        /// The findings.
        findings: Vec<Finding>,
    },
    /// Somebody holds the migration tool's own lock: a run would only wait for it, and fail.
    ToolLock {
        /// The migration that would run.
        migration: MigrationName,
        /// The locks.
        locks: Vec<HeldLock>,
    },
    /// No slot for one more Job.
    Slot {
        /// Jobs running.
        taken: usize,
        /// How many may.
        limit: usize,
    },
}

/// What a login is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// Its credential is to be retired.
    Credential,
    /// It was replaced, and goes alone.
    Replaced,
}

/// A login that was replaced, and by what it is still used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplacedInUse {
    /// Whose.
    pub migration: MigrationName,
    /// The login.
    pub login: LoginName,
    /// By what.
    pub usage: Use,
    /// Its successor is to be replaced as well, and waits for it: there are never more than two.
    pub next_waits: bool,
}

/// What blocks a database until a person or a change of the spec or the data helps.
#[derive(Debug, Clone, PartialEq)]
pub enum Blocker {
    /// Another object owns the database.
    ClaimedElsewhere {
        /// Who.
        owner: ClaimOwner,
    },
    /// The admin lacks privileges.
    MissingPrivilege {
        /// Which.
        missing: Vec<MissingPrivilege>,
    },
    /// Something that is not ours bears a name we need.
    ForeignObject {
        /// What.
        objects: Vec<ForeignObject>,
    },
    /// There are tables, but no version.
    TablesWithoutVersion,
    /// The version belongs to none of the migrations.
    UnknownVersion {
        /// The version.
        version: SchemaVersion,
        /// The migrations that are known, oldest first.
        known: Vec<MigrationName>,
    },
    /// Several migrations claim the version.
    AmbiguousVersion {
        /// The version.
        version: SchemaVersion,
        /// The migrations.
        migrations: Vec<MigrationName>,
    },
    /// The tool recorded several versions at once.
    SeveralVersions {
        /// They.
        versions: Vec<SchemaVersion>,
    },
    /// The tool itself marked a version as half applied.
    DirtyVersion {
        /// Which.
        version: SchemaVersion,
        /// What the tool recorded.
        detail: String,
    },
    /// The last run did not complete.
    RunIncomplete {
        /// The run.
        run: RunRecord,
        /// Did the version move to the run's migration all the same?
        version_moved: bool,
        /// The server, where what the run did before it failed may have stayed: it does not roll back DDL.
        half_run_on: Option<Engine>,
        /// The locks of the migration tool that would stop the next run.
        locks: Vec<HeldLock>,
    },
    /// No way from the current version to the desired one.
    NoPath {
        /// Why.
        broken: ChainBreak,
    },
    /// The code of running workloads, as they say, cannot live with the next schema.
    WorkloadStranded {
        /// The migration.
        migration: MigrationName,
        /// They.
        workloads: Vec<Declared>,
        /// The migration whose application they can move to now.
        move_to: MigrationName,
    },
    /// Findings stop the next migration.
    Hints {
        /// The migration.
        migration: MigrationName,
        /// The findings.
        findings: Vec<Finding>,
    },
    /// `requireHints` is set and the next migration does not say all that it does.
    HintsRequired {
        /// The migration.
        migration: MigrationName,
        /// The statements of its SQL that cannot be read; none: it says nothing at all.
        unread: Vec<NotJudged>,
    },
}

impl Decision {
    /// The reason in one word, for conditions and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Decision::Act { action, .. } => action.reason(),
            Decision::Wait { on, .. } => on.reason(),
            Decision::Blocked { by } => by.reason(),
            Decision::Converged { ahead: false, .. } => "AtRest",
            Decision::Converged { ahead: true, .. } => "AheadAndCompatible",
        }
    }

    /// The Job of the run that it is about, where it is about one: the id by which logs, Events and what the run pushes
    /// tell of the same run.
    ///
    /// ```
    /// use dbop_plan::{Blocker, Decision, WaitingOn, decide, example};
    ///
    /// let (desired, facts, now) = example::empty_database();
    /// let start = decide(&desired, &facts, now);
    /// let Decision::Act { action, .. } = &start else {
    ///     panic!("the first run starts")
    /// };
    /// let job = action.job().expect("a run has a Job").clone();
    /// assert_eq!(start.job(), Some(&job));
    /// let on = WaitingOn::Run {
    ///     job: job.clone(),
    ///     migration: desired.database.desired.clone(),
    ///     not_started: None,
    /// };
    /// assert_eq!(Decision::Wait { on, wake_at: now }.job(), Some(&job));
    /// let by = Blocker::TablesWithoutVersion;
    /// assert_eq!(Decision::Blocked { by }.job(), None);
    /// ```
    pub fn job(&self) -> Option<&JobName> {
        match self {
            Decision::Act { action, .. } => action.job(),
            Decision::Wait {
                on: WaitingOn::Run { job, .. },
                ..
            } => Some(job),
            Decision::Blocked {
                by: Blocker::RunIncomplete { run, .. },
            } => Some(&run.job),
            Decision::Wait { .. } | Decision::Blocked { .. } | Decision::Converged { .. } => None,
        }
    }
}

impl Blocker {
    /// The reason in one word, for conditions and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Blocker::ClaimedElsewhere { .. } => "ClaimedElsewhere",
            Blocker::MissingPrivilege { .. } => "MissingPrivilege",
            Blocker::ForeignObject { .. } => "ForeignObject",
            Blocker::TablesWithoutVersion => "TablesWithoutVersion",
            Blocker::UnknownVersion { .. } => "UnknownVersion",
            Blocker::AmbiguousVersion { .. } => "AmbiguousVersion",
            Blocker::SeveralVersions { .. } => "SeveralVersions",
            Blocker::DirtyVersion { .. } => "DirtyVersion",
            Blocker::RunIncomplete { .. } => "RunIncomplete",
            Blocker::NoPath { .. } => "NoPath",
            Blocker::WorkloadStranded { .. } => "WorkloadStranded",
            Blocker::Hints { .. } => "HintsBlocked",
            Blocker::HintsRequired { .. } => "HintsRequired",
        }
    }
}

impl WaitingOn {
    /// The reason in one word, for conditions and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            WaitingOn::Run { .. } => "MigrationRunning",
            WaitingOn::MigratorSessions { .. } => "MigratorConnected",
            WaitingOn::Paused => "Paused",
            WaitingOn::ReadOnly => "ReadOnly",
            WaitingOn::Database { .. } => "DatabaseUnreachable",
            WaitingOn::Unknown { .. } => "FactUnknown",
            WaitingOn::CredentialInUse { .. } => "CredentialInUse",
            WaitingOn::QuietWindow { .. } => "QuietWindow",
            WaitingOn::ReplacedInUse { .. } => "ReplacedLoginInUse",
            WaitingOn::Hints { .. } => "HintsWaiting",
            WaitingOn::ToolLock { .. } => "ToolLocked",
            WaitingOn::Slot { .. } => "NoSlot",
        }
    }

    /// Does it need somebody outside the operator (a person, an application), not just time?
    ///
    /// ```
    /// use dbop_plan::WaitingOn;
    ///
    /// assert!(WaitingOn::Paused.needs_somebody());
    /// let why = dbop_model::Why::passing("no answer");
    /// assert!(!WaitingOn::Database { why }.needs_somebody());
    /// ```
    pub fn needs_somebody(&self) -> bool {
        match self {
            WaitingOn::Paused
            | WaitingOn::ReadOnly
            | WaitingOn::CredentialInUse { .. }
            | WaitingOn::ReplacedInUse { .. }
            | WaitingOn::ToolLock { .. } => true,
            WaitingOn::Run { .. }
            | WaitingOn::MigratorSessions { .. }
            | WaitingOn::Database { .. }
            | WaitingOn::Unknown { .. }
            | WaitingOn::QuietWindow { .. }
            | WaitingOn::Hints { .. }
            | WaitingOn::Slot { .. } => false,
        }
    }
}

impl Action {
    /// The Job that it starts, deletes, lets go or whose outcome it records.
    pub fn job(&self) -> Option<&JobName> {
        match self {
            Action::StartRun(run) => Some(&run.job),
            Action::DeleteJob { job } | Action::ReleaseJob { job } => Some(job),
            Action::RecordRun { record, .. } | Action::AcceptRun { record } => Some(&record.job),
            Action::Undo(_)
            | Action::Heal { .. }
            | Action::Delete(_)
            | Action::TakeOver
            | Action::CreateCredential { .. }
            | Action::Rotate { .. }
            | Action::RetireReplaced { .. }
            | Action::Retire(_) => None,
        }
    }

    /// Is it still the same step, after another look? Who uses what it leaves alone is evidence for people, and
    /// differs from look to look: a session is older each time, and others come and go.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use dbop_model::{LoginName, MigrationName, Session};
    /// use dbop_plan::{Action, DeletionStep, Use};
    ///
    /// let keeping = |migration: &str, seconds| {
    ///     let session = Session {
    ///         pid: 1,
    ///         user: LoginName::new("shop_v2").unwrap(),
    ///         address: None,
    ///         application: None,
    ///         age: Some(Duration::from_secs(seconds)),
    ///         replica: None,
    ///     };
    ///     let migration = MigrationName::new(migration).unwrap();
    ///     let kept = vec![(migration, Use::Sessions(vec![session]))];
    ///     Action::Delete(DeletionStep::Finish { kept, with_database: true })
    /// };
    /// assert!(keeping("v2", 3).is_same_step(&keeping("v2", 4)));
    /// assert!(!keeping("v2", 3).is_same_step(&keeping("v1", 3)));
    /// assert!(Action::TakeOver.is_same_step(&Action::TakeOver));
    /// assert!(!Action::TakeOver.is_same_step(&keeping("v2", 3)));
    /// ```
    pub fn is_same_step(&self, other: &Action) -> bool {
        use DeletionStep::Finish;
        match (self, other) {
            (
                Action::Delete(Finish {
                    kept,
                    with_database,
                }),
                Action::Delete(Finish {
                    kept: others,
                    with_database: also,
                }),
            ) => {
                let names = kept.iter().map(|(migration, _)| migration);
                with_database == also && names.eq(others.iter().map(|(migration, _)| migration))
            }
            _ => self == other,
        }
    }

    /// The reason in one word, for conditions and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Action::Undo(_) => "Undoing",
            Action::Heal { .. } => "HealingCredential",
            Action::DeleteJob { .. } => "DeletingJob",
            Action::RecordRun { .. } | Action::ReleaseJob { .. } => "RecordingRun",
            Action::Delete(_) => "Deleting",
            Action::TakeOver => "TakingOver",
            Action::CreateCredential { .. } => "CreatingCredential",
            Action::AcceptRun { .. } => "AcceptingRun",
            Action::Rotate { .. } => "RotatingCredential",
            Action::RetireReplaced { .. } => "RetiringReplacedLogin",
            Action::Retire(_) => "RetiringCredential",
            Action::StartRun(_) => "StartingMigration",
        }
    }
}
