//! What is known of databases beside what a pass sees: what those who look beside the workers have found last, which the
//! workers show with the status; and the counters of writes, which hints and metrics read alike.
//!
//! It is memory, and worth a look: lost, it is looked for again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dbop_model::health::Checked;
use dbop_model::table::TableFactsSet;
use dbop_model::writes::WriteWatch;
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
    writes: Mutex<BTreeMap<ObjectRef, WriteWatch>>,
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

    /// Puts rates in the place of the counters of a look at some of its tables. Whoever looked before, for metrics or for
    /// hints, has looked for the other one too: of a table that is sampled a hint knows the rate at its first look.
    pub fn watch_writes(&self, database: &ObjectRef, tables: &mut TableFactsSet) {
        // Most looks are at no table, and most databases have none that is watched.
        if !tables.tables.is_empty() {
            let mut all = locked(&self.writes);
            all.entry(database.clone()).or_default().look(tables);
        }
    }

    /// The object is gone.
    pub fn forget(&self, database: &ObjectRef) {
        self.locked().remove(database);
        locked(&self.writes).remove(database);
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<ObjectRef, Vital>> {
        locked(&self.all)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic may have left behind is replaced by the next look.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dbop_model::Fact;
    use dbop_model::table::{TableFacts, TableKind, TableState, WriteCount};
    use jiff::Timestamp;

    use super::*;

    /// Rows of `orders` that are written per second, by a look that counts so many.
    fn rate(vitals: &Vitals, database: &ObjectRef, second: i64, rows: u64) -> Option<f64> {
        let at = Timestamp::from_second(second).unwrap();
        let mut table = TableFacts::new(TableKind::Ordinary);
        table.written = Fact::Known(WriteCount {
            rows,
            at,
            counting_for: Duration::from_secs(3600),
            counter: "orders".into(),
            source: "a test",
        });
        let mut facts = TableFactsSet::new(at);
        let state = TableState::Present(Box::new(table));
        let orders = "orders".parse().unwrap();
        facts.tables.insert(orders, Fact::Known(state));
        vitals.watch_writes(database, &mut facts);
        let Fact::Known(TableState::Present(table)) = facts.table(&"orders".parse().unwrap())
        else {
            panic!("it is there")
        };
        table.writes.known().map(|rate| rate.per_second)
    }

    #[test]
    fn a_look_of_one_is_the_first_of_another_at_the_same_database() {
        let vitals = Vitals::default();
        let of = |name| ObjectRef::new("shop", name).unwrap();
        let (a, b) = (of("a"), of("b"));
        assert_eq!(rate(&vitals, &a, 0, 500), None);
        assert_eq!(rate(&vitals, &b, 10, 700), None);
        assert_eq!(rate(&vitals, &a, 10, 600), Some(10.0));
        vitals.forget(&a);
        assert_eq!(rate(&vitals, &a, 20, 700), None);
        assert_eq!(rate(&vitals, &b, 20, 800), Some(10.0));
    }
}
