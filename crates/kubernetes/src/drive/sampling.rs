//! Who samples a database's metrics, beside its task: for as long as its spec wants it, and never in the way of a pass.

use std::sync::Arc;

use dbop_engine::{Engine, Sampler};
use dbop_model::ObjectRef;
use dbop_model::sample::MetricsSpec;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// The sampling of one database. Dropped, it ends.
#[derive(Default)]
pub(super) struct Sampling {
    running: Option<Box<Running>>,
}

struct Running {
    spec: MetricsSpec,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sampling {
    /// Samples by this spec from now on; one that is under way by the same goes on.
    pub(super) fn keep(
        &mut self,
        wanted: Option<&MetricsSpec>,
        engine: &Engine,
        database: &ObjectRef,
        permits: &Arc<Semaphore>,
    ) {
        let goes_on =
            |running: &Running| Some(&running.spec) == wanted && !running.task.is_finished();
        if self.running.as_deref().is_some_and(goes_on) {
            return;
        }
        if self.running.take().is_some() {
            engine.observer.unsampled(database);
        }
        self.running = wanted.map(|spec| {
            let sampler = Sampler::new(engine.clone(), database.clone(), permits.clone());
            Box::new(Running {
                spec: spec.clone(),
                task: tokio::spawn(sampler.run()),
            })
        });
    }
}
