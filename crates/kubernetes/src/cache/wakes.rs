//! Who is to look again, and how soon: one slot for each database that is worked on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use dbop_model::ObjectRef;
use tokio::sync::Notify;

/// The slots of all databases, and a bell for databases that come and go.
#[derive(Default)]
pub(crate) struct Wakes {
    slots: RwLock<BTreeMap<ObjectRef, Arc<Slot>>>,
    /// Databases that came since the driver took them up last.
    came: Mutex<BTreeSet<ObjectRef>>,
    /// One of them came.
    pub(crate) fleet: Notify,
}

/// One database's slot.
#[derive(Default)]
pub(crate) struct Slot {
    /// Something has changed that it waits for, or that it has to act on.
    pub(crate) now: Notify,
    /// Something has changed that its status shows.
    pub(crate) soon: Notify,
    /// It waits until nobody refers to a credential: whoever goes is news at once.
    pub(crate) waits_for_references: AtomicBool,
}

impl Wakes {
    /// The slot of a database, from now on.
    pub(crate) fn open(&self, database: &ObjectRef) -> Arc<Slot> {
        let slot = Arc::new(Slot::default());
        self.slots
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(database.clone(), slot.clone());
        slot
    }

    pub(crate) fn close(&self, database: &ObjectRef) {
        self.slots
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(database);
    }

    /// A database came.
    pub(crate) fn came(&self, database: ObjectRef) {
        self.lock_came().insert(database);
        self.fleet.notify_one();
    }

    /// Those that came since this was called last.
    pub(crate) fn take_came(&self) -> BTreeSet<ObjectRef> {
        std::mem::take(&mut *self.lock_came())
    }

    fn lock_came(&self) -> std::sync::MutexGuard<'_, BTreeSet<ObjectRef>> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has to look again at once.
    pub(crate) fn now(&self, database: &ObjectRef) {
        if let Some(slot) = self.slot(database) {
            slot.now.notify_one();
        }
    }

    /// A workload that refers to one of its credentials came, went or changed.
    pub(crate) fn referred(&self, database: &ObjectRef) {
        if let Some(slot) = self.slot(database) {
            if slot.waits_for_references.load(Ordering::Relaxed) {
                slot.now.notify_one();
            } else {
                slot.soon.notify_one();
            }
        }
    }

    fn slot(&self, database: &ObjectRef) -> Option<Arc<Slot>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(database).cloned()
    }
}
