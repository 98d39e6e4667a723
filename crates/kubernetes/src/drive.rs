//! The driver: a task for each ManagedDatabase, for as long as this operator leads.
//!
//! Databases do not wait for each other, and one whose pass panics leaves the others at work. What is decided is
//! decided by the engine; here is only who looks when, and how many at once.

mod migrations;
mod sampling;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dbop_engine::Engine;
use dbop_model::ObjectRef;
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};

use crate::cache::Caches;
use crate::platform::KubernetesPlatform;
use task::Task;

/// Databases that are looked at at the same moment: enough to keep two cores and a database server busy, few
/// enough that a restart with ten thousand databases needs neither memory nor connections for all of them.
pub const PASSES_MAX: usize = 32;
/// So many more for databases whose spec has changed: they do not queue behind a thousand that only tell that their
/// server is back.
const PASSES_CHANGED_MAX: usize = 4;
/// Databases that are sampled for metrics or examined for their health at the same moment: each takes a connection beside that of its pass.
const SAMPLES_MAX: usize = 8;
/// When told to stop, a step under way may take so long to end by itself; then it is left where it is, which is as
/// safe as a crash. Shorter than the thirty seconds that Kubernetes gives a Pod.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Works on every ManagedDatabase of the caches until `stop` becomes true.
///
/// `engine.platform` must be `platform`. The caches must have been filled once.
pub async fn run(
    platform: Arc<KubernetesPlatform>,
    caches: Arc<Caches>,
    engine: Engine,
    mut stop: watch::Receiver<bool>,
) {
    let quit = watch::Sender::new(false);
    let mut statuses = std::pin::pin!(migrations::keep_statuses(platform.clone(), caches.clone()));
    let mut fleet = Fleet {
        shared: Arc::new(Shared {
            platform,
            caches: caches.clone(),
            engine,
            passes: Semaphore::new(PASSES_MAX),
            passes_changed: Semaphore::new(PASSES_CHANGED_MAX),
            samples: Arc::new(Semaphore::new(SAMPLES_MAX)),
            quit: quit.subscribe(),
        }),
        tasks: JoinSet::new(),
        running: BTreeMap::new(),
        quit,
    };
    tokio::select! {
        () = fleet.shared.platform.read_ahead() => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    fleet.start_all();
    loop {
        tokio::select! {
            () = caches.wakes.fleet.notified() => {
                caches.wakes.take_came().into_iter().for_each(|id| fleet.start(id));
            }
            Some(ended) = fleet.tasks.join_next(), if !fleet.tasks.is_empty() => fleet.ended(ended),
            () = &mut statuses => {}
            // Nobody is left who could tell it: as good as being told.
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    fleet.stop().await;
}

/// What the tasks of all databases work with.
struct Shared {
    platform: Arc<KubernetesPlatform>,
    caches: Arc<Caches>,
    engine: Engine,
    passes: Semaphore,
    passes_changed: Semaphore,
    samples: Arc<Semaphore>,
    /// Becomes true when all have to stop.
    quit: watch::Receiver<bool>,
}

struct Fleet {
    shared: Arc<Shared>,
    tasks: JoinSet<ObjectRef>,
    running: BTreeMap<ObjectRef, AbortHandle>,
    quit: watch::Sender<bool>,
}

impl Fleet {
    /// A task for each database that has none.
    fn start_all(&mut self) {
        let mut all = BTreeSet::new();
        self.shared.caches.databases.each(|namespace, name, _| {
            // What Kubernetes lets be the name of an object need not be one of ours: the schema refuses it.
            all.extend(ObjectRef::new(namespace, name));
        });
        all.into_iter().for_each(|id| self.start(id));
    }

    fn start(&mut self, id: ObjectRef) {
        if self.running.contains_key(&id) {
            return;
        }
        let task = Task::new(self.shared.clone(), id.clone());
        let handle = self.tasks.spawn(Box::new(task).run());
        self.running.insert(id, handle);
    }

    fn ended(&mut self, ended: Result<ObjectRef, tokio::task::JoinError>) {
        match ended {
            Ok(id) => {
                self.running.remove(&id);
                let caches = &self.shared.caches;
                caches.wakes.close(&id);
                self.shared.platform.forget(&id);
                self.shared.engine.vitals.forget(&id);
                self.shared.engine.observer.gone(&id);
                // One of that name may have come since.
                let there = caches.databases.get(id.namespace(), id.name());
                if there.is_some() {
                    self.start(id);
                }
            }
            Err(error) => {
                // A task catches the panics of its passes; this is one of its own, and it is started anew.
                tracing::error!(%error, "the task of a database ended unexpectedly");
                self.running.retain(|_, handle| !handle.is_finished());
                self.start_all();
            }
        }
    }

    async fn stop(mut self) {
        self.quit.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_GRACE, all).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}
