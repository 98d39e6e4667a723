//! Where each database stands, as its task has said last.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dbop_model::ObjectRef;
use tokio::sync::Notify;

use super::end::{DatabaseEnd, End};

/// Where each database stands.
#[derive(Default)]
pub(super) struct Board {
    places: Mutex<BTreeMap<ObjectRef, Place>>,
    changed: Notify,
}

#[derive(Clone)]
struct Place {
    settled: bool,
    /// Its task is gone for good, or for a while.
    broken: bool,
    end: DatabaseEnd,
}

impl Board {
    /// A task begins.
    pub(super) fn starts(&self, database: &ObjectRef) {
        let end = DatabaseEnd {
            database: database.clone(),
            end: End::Held,
            says: "it has not been looked at".to_owned(),
        };
        self.set(end, false, false);
    }

    /// A task has come to the end of what it can do now.
    pub(super) fn stands(&self, end: DatabaseEnd, settled: bool) {
        self.set(end, settled, false);
    }

    /// A task has ended as it should not.
    pub(super) fn breaks(&self, end: DatabaseEnd) {
        self.set(end, true, true);
    }

    /// The database is nobody's business any more, until somebody starts anew.
    pub(super) fn forget(&self, database: &ObjectRef) {
        self.places().remove(database);
        self.changed.notify_one();
    }

    /// Is its task gone, and not to be started anew?
    pub(super) fn rests(&self, database: &ObjectRef) -> bool {
        self.places()
            .get(database)
            .is_some_and(|place| place.broken)
    }

    /// Can no database go on by itself?
    pub(super) fn all_settled(&self) -> bool {
        self.places().values().all(|place| place.settled)
    }

    /// Where each stands, by name.
    pub(super) fn ends(&self) -> Vec<DatabaseEnd> {
        self.places()
            .values()
            .map(|place| place.end.clone())
            .collect()
    }

    /// Returns when something has changed since the last time it returned.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn set(&self, end: DatabaseEnd, settled: bool, broken: bool) {
        self.places().insert(
            end.database.clone(),
            Place {
                settled,
                broken,
                end,
            },
        );
        self.changed.notify_one();
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<ObjectRef, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
