//! Those who look on while databases are worked on: metrics are made of what they are told.
//!
//! Nothing is decided here, and nothing that is told holds a pass up.

use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::ObjectRef;
use dbop_model::health::HealthNumbers;
use dbop_model::sample::Sample;
use dbop_plan::{Action, Because};

use crate::platform::Report;
use crate::worker::Next;

/// Looks on. Every call is made from a worker's task: it must be quick, and cannot fail.
pub trait Observer: Send + Sync {
    /// A database waits for its turn to be looked at.
    fn queued(&self, _database: &ObjectRef) {}

    /// It is its turn, after so long.
    fn begun(&self, _database: &ObjectRef, _waited: Duration) {}

    /// A pass has come to a decision, or its step has failed.
    fn published(&self, _database: &ObjectRef, _report: &Report<'_>) {}

    /// An action was carried out, all of it.
    fn acted(&self, _database: &ObjectRef, _action: &Action, _because: &Because) {}

    /// A reconcile came to its end after so long.
    fn rested(&self, _database: &ObjectRef, _next: &Next, _took: Duration) {}

    /// The database could not be connected to or looked at.
    fn out_of_reach(&self, _database: &ObjectRef, _error: &DatabaseError) {}

    /// A sample of its tables was taken.
    fn sampled(&self, _database: &ObjectRef, _sample: &Sample) {}

    /// Its health was looked at: what is shown in numbers, as far as it is known.
    fn examined(&self, _database: &ObjectRef, _numbers: &HealthNumbers) {}

    /// No more samples are wanted of it.
    fn unsampled(&self, _database: &ObjectRef) {}

    /// The object is gone, or is no longer ours to work on.
    fn gone(&self, _database: &ObjectRef) {}
}

/// Nobody looks on.
impl Observer for () {}
