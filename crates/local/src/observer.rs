//! Those who look on: the command line's display, and the receiver of what migrations say of their progress.

use dbop_api::report::Event;
use dbop_engine::Report;
use dbop_model::{JobName, ObjectRef};

use crate::manifests::Manifests;

/// Looks on while databases are worked on. Every call is made from a worker's task: it must be quick.
pub trait Observer: Send + Sync {
    /// The directory was read, and is not as it was before (or for the first time).
    fn manifests(&self, _manifests: &Manifests) {}

    /// A pass over a database has come to a decision, or its step has failed.
    fn published(&self, _database: &ObjectRef, _report: &Report<'_>) {}

    /// Something that people are told.
    fn event(&self, _database: &ObjectRef, _event: &Event) {}

    /// A running migration has come further.
    fn progress(&self, _database: &ObjectRef, _job: &JobName, _progress: Progress) {}
}

/// Nobody looks on.
impl Observer for () {}

/// How far a migration is by its own account.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// 0.0 to 1.0.
    pub completion: Option<f64>,
    /// Rows, files, or whatever it counts.
    pub items: Option<u64>,
}

/// Knows how far a migration is.
pub trait ProgressSource: Send + Sync {
    /// What the run of this Job has said last; `None`: nothing.
    fn progress(&self, job: &JobName) -> Option<Progress>;
}

/// Nobody listens to migrations.
impl ProgressSource for () {
    fn progress(&self, _job: &JobName) -> Option<Progress> {
        None
    }
}
