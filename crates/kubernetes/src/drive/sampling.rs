//! Who samples a database's metrics and examines its health, beside its task: by its spec, and never in the way of a pass.

use std::sync::Arc;

use dbop_engine::{Engine, Examiner, Sampler};
use dbop_model::health::HealthSpec;
use dbop_model::sample::MetricsSpec;
use dbop_model::{DatabaseSpec, ObjectRef};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// What is looked at beside the task of one database. Dropped, it ends.
#[derive(Default)]
pub(super) struct Sampling {
    metrics: Beside<MetricsSpec>,
    health: Beside<HealthSpec>,
}

impl Sampling {
    /// Looks by this spec from now on, and does not where it cannot be read.
    pub(super) fn keep(
        &mut self,
        spec: Option<&DatabaseSpec>,
        engine: &Engine,
        database: &ObjectRef,
        permits: &Arc<Semaphore>,
    ) {
        let metrics = spec.and_then(|spec| spec.metrics.as_ref());
        let ended = self.metrics.keep(metrics, || {
            let sampler = Sampler::new(engine.clone(), database.clone(), permits.clone());
            tokio::spawn(sampler.run())
        });
        if ended {
            engine.observer.unsampled(database);
            engine.vitals.sampled(database, None);
        }
        // What was found by other thresholds stands until the next look, which comes at once.
        self.health.keep(spec.map(|spec| &spec.health), || {
            let examiner = Examiner::new(engine.clone(), database.clone(), permits.clone());
            tokio::spawn(examiner.run())
        });
    }
}

/// A loop beside the task, by a part of the spec.
struct Beside<S> {
    running: Option<Box<Running<S>>>,
}

struct Running<S> {
    spec: S,
    task: JoinHandle<()>,
}

impl<S> Default for Beside<S> {
    fn default() -> Self {
        Self { running: None }
    }
}

impl<S> Drop for Running<S> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<S: Clone + PartialEq> Beside<S> {
    /// Goes on where it goes by the same, else ends it and starts another where one is wanted. True: one has ended.
    fn keep(&mut self, wanted: Option<&S>, start: impl FnOnce() -> JoinHandle<()>) -> bool {
        let goes_on =
            |running: &Running<S>| Some(&running.spec) == wanted && !running.task.is_finished();
        if self.running.as_deref().is_some_and(goes_on) {
            return false;
        }
        let ended = self.running.take().is_some();
        self.running = wanted.map(|spec| {
            Box::new(Running {
                spec: spec.clone(),
                task: start(),
            })
        });
        ended
    }
}
