//! Migration runs: the Jobs that are seen, and the record of the last one.

use jiff::Timestamp;

use crate::name::{Digest, JobName, MigrationName};

/// A Job of ours, as the platform shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFacts {
    /// Its name.
    pub name: JobName,
    /// The version it starts from; `None`: an empty database.
    pub from: Option<MigrationName>,
    /// The migration it runs.
    pub to: MigrationName,
    /// Digest of the migration when the Job was created.
    pub digest: Digest,
    /// When it was created.
    pub created_at: Timestamp,
    /// How far it is.
    pub phase: JobPhase,
    /// Does it still carry our finalizer (its outcome is not yet recorded)?
    pub finalizer: bool,
}

/// How far a Job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobPhase {
    /// Created, not released: no process of it can exist.
    Suspended,
    /// Released; no container of it ever started (an image that cannot be pulled).
    Pending {
        /// Why, where the platform says.
        reason: Option<String>,
    },
    /// A process of it may be running.
    Running,
    /// Nothing of it runs any more, and nothing will.
    Finished {
        /// Exited with 0.
        succeeded: bool,
        /// The exit status, where there was one.
        exit_code: Option<i32>,
        /// When it ended.
        finished_at: Timestamp,
        /// What is known of the end, for people: one line, secrets redacted.
        message: String,
    },
}

impl JobFacts {
    /// Released and not finished: it may touch the database.
    pub fn is_live(&self) -> bool {
        matches!(self.phase, JobPhase::Pending { .. } | JobPhase::Running)
    }

    /// Finished, in whatever way.
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, JobPhase::Finished { .. })
    }
}

/// The outcome of a run that stands in the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The Job succeeded, and the database said that it is at the new version.
    Completed,
    /// The Job failed, or ended without anybody having seen how.
    Failed,
    /// The Job succeeded, but the database's version is not the one it should have brought.
    VersionNotReached,
    /// It did not complete, and a person took the version that the database shows as done.
    Accepted,
}

impl Outcome {
    /// May the walk go on from it?
    pub fn is_complete(self) -> bool {
        matches!(self, Outcome::Completed | Outcome::Accepted)
    }
}

/// `status.lastRun`: the last run of a database whose outcome has been recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// The Job's name.
    pub job: JobName,
    /// The version it started from; `None`: an empty database.
    pub from: Option<MigrationName>,
    /// The migration it ran.
    pub migration: MigrationName,
    /// Digest of the migration when it ran.
    pub digest: Digest,
    /// How it ended.
    pub outcome: Outcome,
    /// When its Job was created.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Exit status, where there was one.
    pub exit_code: Option<i32>,
    /// What is known of the end, for people.
    pub message: String,
}
