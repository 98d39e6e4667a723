//! What `/metrics` shows of the operator itself and of its databases.
//!
//! The engine tells what happens ([`Observer`]); here it is counted and written down, and a scrape reads what stands
//! there. No scrape asks a database or the API server. What is told of a database is kept in one row, which goes when
//! its object goes, or the lease.

mod book;
mod families;
mod fleet;
mod text;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_engine::{Clock, Next, Observer, Report, StepError};
use dbop_model::ObjectRef;
use dbop_model::health::HealthNumbers;
use dbop_model::sample::Sample;
use dbop_plan::{Action, Because, Decision};
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use book::Book;
use families::Databases;
pub(crate) use fleet::Census;
use fleet::Fleet;
use fleet::{BuildInfo, Calls};

/// From a look that finds nothing to do, a few milliseconds, to a walk through a hundred migrations.
const RECONCILE_SECONDS: [f64; 10] = [0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0];
/// A turn comes at once, unless a thousand databases come together.
const WAIT_SECONDS: [f64; 7] = [0.001, 0.01, 0.1, 1.0, 5.0, 30.0, 120.0];

/// A label of a fixed name, with a value of a fixed set.
type One = [(&'static str, &'static str); 1];
/// Two of them.
type Two = [(&'static str, &'static str); 2];

/// All that is counted. Clones see the same.
#[derive(Clone)]
pub(crate) struct Series {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Registry,
    book: Arc<Mutex<Book>>,
    queued: Gauge,
    waits: Histogram,
    reconciles: Family<One, Histogram>,
    reconcile_errors: Family<Two, Counter>,
    sql_errors: Family<One, Counter>,
}

fn reconcile_histogram() -> Histogram {
    Histogram::new(RECONCILE_SECONDS)
}

impl Series {
    /// Nothing has happened yet. `census` counts what the caches hold.
    pub(crate) fn new(census: Box<dyn Census>, clock: Arc<dyn Clock>) -> Self {
        let book = Arc::<Mutex<Book>>::default();
        let mut registry = Registry::default();
        let queued = Gauge::default();
        let waits = Histogram::new(WAIT_SECONDS);
        let reconciles = Family::new_with_constructor(reconcile_histogram as fn() -> Histogram);
        let (reconcile_errors, sql_errors) = (Family::default(), Family::default());
        registry.register(
            "dba_operator_reconcile_queue_depth",
            "Databases that wait for their turn to be looked at",
            queued.clone(),
        );
        registry.register_with_unit(
            "dba_operator_reconcile_queue_wait",
            "How long a database waited for its turn to be looked at",
            Unit::Seconds,
            waits.clone(),
        );
        registry.register_with_unit(
            "dba_operator_reconcile_duration",
            "How long a reconcile of a database took, by where it left it",
            Unit::Seconds,
            reconciles.clone(),
        );
        registry.register(
            "dba_operator_reconcile_errors",
            "Reconciles that ended with an error, by its source; permanent ones need a person",
            reconcile_errors.clone(),
        );
        registry.register(
            "dba_operator_sql_errors",
            "Connections, looks and statements that failed in databases, by reason",
            sql_errors.clone(),
        );
        registry.register_collector(Box::new(BuildInfo));
        registry.register_collector(Box::new(Calls));
        registry.register_collector(Box::new(Fleet::new(census)));
        let databases = Databases::new(book.clone(), clock);
        registry.register_collector(Box::new(databases));
        Self {
            shared: Arc::new(Shared {
                registry,
                book,
                queued,
                waits,
                reconciles,
                reconcile_errors,
                sql_errors,
            }),
        }
    }

    /// Everything, in the text format.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        match encode_registry(&mut text, &self.shared.registry) {
            Ok(()) => text::plain(&text),
            // A String takes whatever is written.
            Err(std::fmt::Error) => String::new(),
        }
    }

    /// This operator no longer leads: what it knows of databases is the next leader's to tell.
    pub(crate) fn clear(&self) {
        self.book().clear();
        self.shared.queued.set(0);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // What a panic may have left behind is at worst a number that the next look puts right.
        let book = &self.shared.book;
        book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_sql(&self, error: &DatabaseError) {
        let counted = &self.shared.sql_errors;
        counted.get_or_create(&[("reason", error.reason())]).inc();
    }
}

impl Observer for Series {
    fn queued(&self, _: &ObjectRef) {
        self.shared.queued.inc();
    }

    fn begun(&self, _: &ObjectRef, waited: Duration) {
        self.shared.queued.dec();
        self.shared.waits.observe(waited.as_secs_f64());
    }

    fn published(&self, database: &ObjectRef, report: &Report<'_>) {
        self.book().row(database).published(report);
    }

    fn acted(&self, database: &ObjectRef, action: &Action, _: &Because) {
        self.book().row(database).acted(action);
    }

    fn rested(&self, _: &ObjectRef, next: &Next, took: Duration) {
        let shared = &self.shared;
        shared
            .reconciles
            .get_or_create(&[("outcome", outcome(next))])
            .observe(took.as_secs_f64());
        let Some(failure) = &next.failure else {
            return;
        };
        let class = if failure.is_transient() {
            "transient"
        } else {
            "permanent"
        };
        let labels = [("source", failure.source_word()), ("class", class)];
        shared.reconcile_errors.get_or_create(&labels).inc();
        if let StepError::Database(error) = failure {
            self.count_sql(error);
        }
    }

    fn out_of_reach(&self, _: &ObjectRef, error: &DatabaseError) {
        self.count_sql(error);
    }

    fn sampled(&self, database: &ObjectRef, sample: &Sample) {
        self.book().sample(database, Some(sample.clone()));
    }

    fn examined(&self, database: &ObjectRef, numbers: &HealthNumbers) {
        self.book().examined(database, numbers);
    }

    fn unsampled(&self, database: &ObjectRef) {
        self.book().sample(database, None);
    }

    fn gone(&self, database: &ObjectRef) {
        self.book().remove(database);
    }
}

/// Where a reconcile left a database, in one word.
fn outcome(next: &Next) -> &'static str {
    match (&next.failure, &next.decision) {
        (Some(_), _) => "failed",
        (None, None) => "gone",
        (None, Some(decision)) => state(decision),
    }
}

/// What a decision comes to, in one word.
fn state(decision: &Decision) -> &'static str {
    match decision {
        Decision::Act { .. } => "acting",
        Decision::Wait { .. } => "waiting",
        Decision::Blocked { .. } => "blocked",
        Decision::Converged { .. } => "at_rest",
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::shell::SystemClock;

    /// Series of an operator that leads, and looks after three databases.
    pub(crate) fn series() -> Series {
        struct Three;
        impl Census for Three {
            fn count(&self) -> Option<(usize, usize)> {
                Some((3, 7))
            }
        }
        Series::new(Box::new(Three), Arc::new(SystemClock))
    }
}

#[cfg(test)]
mod tests;
