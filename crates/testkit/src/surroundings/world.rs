//! The state of the small world: plain values that can be copied, compared and hashed.
//!
//! Migrations are numbers (0 is the oldest), passwords are numbers that mean nothing but "the same" and "not
//! the same". What follows from a state, and what may happen in it, is elsewhere.

use dbop_model::Outcome;

/// Migrations of the model at most.
pub const MIGRATIONS_MAX: usize = 4;
/// Applications of the model at most.
pub const APPLICATIONS_MAX: usize = 2;
/// Jobs that exist at one time at most: one more than there should ever be.
pub const JOBS_MAX: usize = 2;

/// A migration of the model.
pub type M = u8;

/// What the database shows as its schema version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// No version and no tables.
    Empty,
    /// Tables, but no version.
    Tables,
    /// That of a migration.
    At(M),
    /// One that no migration has.
    Stray,
}

/// Whose the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Claim {
    /// Nobody's.
    None,
    /// Ours.
    Ours,
    /// Another object's.
    Elsewhere,
}

/// An application login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Login {
    /// No new session.
    pub locked: bool,
    /// In the group.
    pub granted: bool,
    /// Its password.
    pub password: u8,
}

/// An application Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Secret {
    /// The password in it.
    pub password: u8,
    /// A person changed something else in it.
    pub altered: bool,
}

/// The account that migrations run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Migrator {
    /// Somebody can log in.
    pub open: bool,
    /// A migration's statement is at work, with or without a living process.
    pub session: bool,
}

/// An application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Application {
    /// The version whose Secret it refers to.
    pub deployed: Option<M>,
    /// The credential that it is connected with.
    pub session: Option<M>,
}

/// How far a Job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Created.
    Suspended,
    /// Released, no container started yet.
    Pending,
    /// Its container runs.
    Running,
    /// Its container exited with 0.
    Succeeded,
    /// It failed.
    Failed,
}

impl Phase {
    /// Released and not finished.
    pub fn is_live(self) -> bool {
        matches!(self, Phase::Pending | Phase::Running)
    }

    /// At its end.
    pub fn is_finished(self) -> bool {
        matches!(self, Phase::Succeeded | Phase::Failed)
    }
}

/// A run: from where, to where, and whether of the edited migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Run {
    /// `None`: an empty database.
    pub from: Option<M>,
    /// The migration.
    pub to: M,
    /// It is the migration as a person edited it.
    pub edited: bool,
}

/// A Job that still carries our finalizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Job {
    /// What it runs.
    pub run: Run,
    /// How far it is.
    pub phase: Phase,
    /// The password in its Secret is the migrator's.
    pub key: bool,
    /// `lastRun` is of this Job.
    pub recorded: bool,
}

/// `status.lastRun`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Record {
    /// What ran.
    pub run: Run,
    /// How it ended.
    pub outcome: Outcome2,
}

/// [`Outcome`], with a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome2 {
    /// See there.
    Completed,
    /// See there.
    Failed,
    /// See there.
    VersionNotReached,
    /// See there.
    Accepted,
}

impl From<Outcome> for Outcome2 {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed => Outcome2::Completed,
            Outcome::Failed => Outcome2::Failed,
            Outcome::VersionNotReached => Outcome2::VersionNotReached,
            Outcome::Accepted => Outcome2::Accepted,
        }
    }
}

impl From<Outcome2> for Outcome {
    fn from(outcome: Outcome2) -> Self {
        match outcome {
            Outcome2::Completed => Outcome::Completed,
            Outcome2::Failed => Outcome::Failed,
            Outcome2::VersionNotReached => Outcome::VersionNotReached,
            Outcome2::Accepted => Outcome::Accepted,
        }
    }
}

/// What the hints say of the next migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finding {
    /// Nothing.
    Clean,
    /// It would fail.
    Stops,
    /// It would queue.
    Waits,
}

/// What the operator is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// Make a credential, or put it in order.
    Credential(M),
    /// Retire one.
    Retire(M),
    /// Revoke one: the object is being deleted.
    Revoke(M),
    /// Start a run.
    Start(Run),
    /// Record one.
    Record {
        /// What.
        record: Record,
        /// With the door and the grants.
        with_database: bool,
    },
    /// Let the object go.
    Finish {
        /// With the door.
        with_database: bool,
    },
    /// Unlock a login.
    Unlock(M),
    /// Close the migrator's door.
    CloseDoor,
    /// Delete the Job of a run.
    DeleteJob(Run),
    /// Let the recorded Job go.
    ReleaseJob,
    /// Take over the claim.
    TakeOver,
    /// Take the last run as done.
    AcceptRun,
}

/// An action under way: decided, begun, and not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Underway {
    /// Which.
    pub work: Work,
    /// The number of the next write.
    pub step: u8,
    /// The password in its hands.
    pub password: u8,
    /// The Secret as it was when the action looked, or as it was deleted.
    pub held: Option<Secret>,
    /// A login with that password was tried and worked.
    pub proven: bool,
    /// The connection that it began with is gone.
    pub cut: bool,
}

/// How much may still happen that is nobody's duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Things that a person does.
    pub person: u8,
    /// Things that go wrong by themselves.
    pub mishaps: u8,
}

/// Everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    /// The schema version.
    pub version: Version,
    /// Whose the database is.
    pub claim: Claim,
    /// Roles and grants stand as the policy wants them.
    pub ready: bool,
    /// Application logins.
    pub logins: [Option<Login>; MIGRATIONS_MAX],
    /// Application Secrets.
    pub secrets: [Option<Secret>; MIGRATIONS_MAX],
    /// The migrator.
    pub migrator: Option<Migrator>,
    /// Applications.
    pub applications: [Application; APPLICATIONS_MAX],
    /// Jobs with our finalizer.
    pub jobs: [Option<Job>; JOBS_MAX],
    /// `status.lastRun`.
    pub last_run: Option<Record>,
    /// A person says `retry` of it.
    pub retry: bool,
    /// A person says `accept-run` of it.
    pub accept: bool,
    /// A person says `take-over`.
    pub take_over: bool,
    /// `spec.paused`.
    pub paused: bool,
    /// `spec.readOnly`.
    pub read_only: bool,
    /// The object is being deleted.
    pub deleting: bool,
    /// The object is gone.
    pub gone: bool,
    /// `spec.desiredSchemaVersion`.
    pub desired: M,
    /// Migrations that a person edited, as bits.
    pub edited: u8,
    /// Logins that were watched, open and unused, for the whole window, as bits.
    pub quiet: u8,
    /// The database cannot be reached.
    pub dark: bool,
    /// Sessions cannot be seen.
    pub blind: bool,
    /// References cannot be seen.
    pub veiled: bool,
    /// All slots are taken by other databases.
    pub no_slot: bool,
    /// What the hints say of the next migration.
    pub finding: Finding,
    /// What the operator is in the middle of.
    pub underway: Option<Underway>,
    /// What may still happen.
    pub left: Budget,
    /// Runs that were made since nobody said `retry`, edited or restored, as bits of [`World::bit`].
    pub made: u64,
}

impl World {
    /// An empty database that nobody has claimed yet, of which `desired` is wanted.
    pub fn empty(desired: M) -> Self {
        World {
            version: Version::Empty,
            claim: Claim::None,
            ready: false,
            logins: [None; MIGRATIONS_MAX],
            secrets: [None; MIGRATIONS_MAX],
            migrator: None,
            applications: [Application::default(); APPLICATIONS_MAX],
            jobs: [None; JOBS_MAX],
            last_run: None,
            retry: false,
            accept: false,
            take_over: false,
            paused: false,
            read_only: false,
            deleting: false,
            gone: false,
            desired,
            edited: 0,
            quiet: 0,
            dark: false,
            blind: false,
            veiled: false,
            no_slot: false,
            finding: Finding::Clean,
            underway: None,
            left: Budget {
                person: 0,
                mishaps: 0,
            },
            made: 0,
        }
    }

    /// At rest at `at` with the credentials `with`, in good order.
    pub fn at_rest(at: M, with: &[M]) -> Self {
        let mut world = World {
            version: Version::At(at),
            claim: Claim::Ours,
            ready: true,
            migrator: Some(Migrator {
                open: false,
                session: false,
            }),
            ..World::empty(at)
        };
        for m in with {
            world.logins[usize::from(*m)] = Some(Login {
                locked: false,
                granted: true,
                password: 0,
            });
            world.secrets[usize::from(*m)] = Some(Secret {
                password: 0,
                altered: false,
            });
        }
        world
    }

    /// The login of a migration's credential.
    pub fn login(&self, m: M) -> Option<Login> {
        self.logins[usize::from(m)]
    }

    /// The Secret of a migration's credential.
    pub fn secret(&self, m: M) -> Option<Secret> {
        self.secrets[usize::from(m)]
    }

    /// Does the credential exist in any part?
    pub fn has_credential(&self, m: M) -> bool {
        self.login(m).is_some() || self.secret(m).is_some()
    }

    /// Can somebody connect with the Secret, and do the work?
    pub fn works(&self, m: M) -> bool {
        match (self.login(m), self.secret(m)) {
            (Some(login), Some(secret)) => {
                !login.locked && login.granted && self.ready && login.password == secret.password
            }
            _ => false,
        }
    }

    /// Is an application connected with it?
    pub fn has_session(&self, m: M) -> bool {
        self.applications.iter().any(|a| a.session == Some(m))
    }

    /// Is the migration as a person edited it?
    pub fn is_edited(&self, m: M) -> bool {
        self.edited & 1 << m != 0
    }

    /// The Job that is released and unfinished, with its place.
    pub fn live_job(&self) -> Option<(usize, Job)> {
        self.job_where(|job| job.phase.is_live())
    }

    /// The first Job of which `is` holds, with its place.
    pub fn job_where(&self, is: impl Fn(&Job) -> bool) -> Option<(usize, Job)> {
        self.jobs
            .iter()
            .enumerate()
            .find_map(|(i, job)| job.filter(&is).map(|job| (i, job)))
    }

    /// The bit of a run in [`World::made`].
    pub fn bit(run: Run) -> u64 {
        let from = run.from.map_or(0, |m| m + 1);
        1 << (from * 8 + run.to * 2 + u8::from(run.edited))
    }

    /// A password that nothing of the migration's credential has.
    pub fn fresh_password(&self, m: M) -> u8 {
        let held = self.underway.map(|u| u.password);
        let used = [
            self.login(m).map(|l| l.password),
            self.secret(m).map(|s| s.password),
            held,
        ];
        (0..=u8::MAX)
            .find(|p| !used.contains(&Some(*p)))
            .unwrap_or(u8::MAX)
    }

    /// Gives equal names to what is equal: passwords are numbered anew, what can have no effect any more is
    /// forgotten.
    #[must_use]
    pub fn settled(mut self) -> Self {
        if self.gone {
            // Nothing happens any more; only what was left behind counts.
            self.left = Budget {
                person: 0,
                mishaps: 0,
            };
        }
        for i in 0..MIGRATIONS_MAX {
            let mut names: [Option<u8>; 4] = [None; 4];
            let mut name = |password: &mut u8| {
                for (number, slot) in (0..).zip(names.iter_mut()) {
                    if *slot.get_or_insert(*password) == *password {
                        *password = number;
                        return;
                    }
                }
            };
            if let Some(login) = &mut self.logins[i] {
                name(&mut login.password);
            }
            if let Some(secret) = &mut self.secrets[i] {
                name(&mut secret.password);
            }
            if let Some(underway) = &mut self.underway
                && underway.work.credential().map(usize::from) == Some(i)
            {
                name(&mut underway.password);
                if let Some(held) = &mut underway.held {
                    name(&mut held.password);
                }
            }
            // An unused window of a login that is not there.
            if self.logins[i].is_none() {
                self.quiet &= !(1 << i);
            }
        }
        self
    }
}

impl Work {
    /// The credential that it works on.
    pub fn credential(self) -> Option<M> {
        match self {
            Work::Credential(m) | Work::Retire(m) | Work::Revoke(m) => Some(m),
            _ => None,
        }
    }
}
