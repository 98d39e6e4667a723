//! What those who look beside the workers have found last: the workers show it with the status.
//!
//! It is memory, and worth a look: lost, it is looked for again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dbop_model::health::Checked;
use dbop_model::{ObjectRef, Why};

/// What was found last of one database.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vital {
    /// What the checks of its health came to, or why it could not be looked at; `None`: nobody has looked yet.
    pub looked: Option<Result<Vec<Checked>, Why>>,
    /// What of `spec.metrics` could not be had; `None`: no sample was tried yet.
    pub unsampled: Option<Vec<String>>,
}

/// What was found last of every database.
#[derive(Debug, Default)]
pub struct Vitals {
    all: Mutex<BTreeMap<ObjectRef, Vital>>,
}

impl Vitals {
    /// What was found last.
    pub fn of(&self, database: &ObjectRef) -> Vital {
        self.locked().get(database).cloned().unwrap_or_default()
    }

    /// Its health was looked at.
    pub fn looked(&self, database: &ObjectRef, found: Result<Vec<Checked>, Why>) {
        self.locked().entry(database.clone()).or_default().looked = Some(found);
    }

    /// A sample was tried, of which this could not be had; `None`: no samples are wanted any more.
    pub fn sampled(&self, database: &ObjectRef, problems: Option<Vec<String>>) {
        self.locked().entry(database.clone()).or_default().unsampled = problems;
    }

    /// The object is gone.
    pub fn forget(&self, database: &ObjectRef) {
        self.locked().remove(database);
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<ObjectRef, Vital>> {
        // What a panic may have left behind is replaced by the next look.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
