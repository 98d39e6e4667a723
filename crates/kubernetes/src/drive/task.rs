//! One database's task: look, then rest until there is something to look at.
//!
//! What a pass needs lives only while it runs: a database at rest costs its task, and what its worker remembers.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dbop_engine::{Next, Platform as _, PlatformError, Read, Worker};
use dbop_model::{JobFacts, ObjectRef};
use dbop_plan::{Blocker, Decision, WaitingOn};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::time::Instant;

use super::Shared;
use super::sampling::Sampling;
use crate::cache::seen::DatabaseSeen;
use crate::cache::wakes::Slot;

/// What only the status shows (who refers to a credential that nobody waits for) is looked at after this: a
/// rollout changes many Pods, and is one look.
const SOON: Duration = Duration::from_secs(5);
/// After a panic, a database is taken up again after this ...
const PANIC_PAUSE_FIRST: Duration = Duration::from_secs(5);
/// ... then after twice as long each time, up to this.
const PANIC_PAUSE_MAX: Duration = Duration::from_secs(300);

/// One database's task.
pub(super) struct Task {
    shared: Arc<Shared>,
    database: ObjectRef,
    worker: Worker,
    slot: Arc<Slot>,
    sampling: Sampling,
    panics: u32,
    /// The generation of the object that was at rest last.
    rested: Option<i64>,
}

impl Task {
    pub(super) fn new(shared: Arc<Shared>, database: ObjectRef) -> Self {
        Self {
            worker: Worker::new(shared.engine.clone(), database.clone()),
            slot: shared.caches.wakes.open(&database),
            shared,
            database,
            sampling: Sampling::default(),
            panics: 0,
            rested: None,
        }
    }

    /// Works until it is told to quit, or the object is gone.
    ///
    /// What it waits in is in boxes, itself too: a future is as large as the largest that it may have to hold, and
    /// ten thousand of them rest.
    pub(super) async fn run(mut self: Box<Self>) -> ObjectRef {
        while self.seen().is_some() {
            let Some(next) = Box::pin(self.turn()).await else {
                break;
            };
            self.keep_sampling();
            let goes_on = Box::pin(self.rest(&next)).await;
            if !goes_on {
                break;
            }
        }
        self.database
    }

    /// Metrics are sampled and health is examined by what the spec says now; a spec that cannot be read wants neither.
    fn keep_sampling(&mut self) {
        let seen = self.seen();
        let spec = seen.as_ref().and_then(|seen| seen.spec.as_ref().ok());
        let Shared {
            engine, samples, ..
        } = &*self.shared;
        let spec = spec.map(AsRef::as_ref);
        self.sampling.keep(spec, engine, &self.database, samples);
    }

    /// A pass, when it is this database's turn. `None`: it is told to quit.
    async fn turn(&mut self) -> Option<Box<Next>> {
        let shared = self.shared.clone();
        let generation = self.generation();
        let has_changed = self.rested.is_some() && self.rested != generation;
        let (observer, waits) = (&shared.engine.observer, Instant::now());
        observer.queued(&self.database);
        let _permit = tokio::select! {
            permit = shared.passes.acquire() => permit,
            permit = shared.passes_changed.acquire(), if has_changed => permit,
        }
        .ok()?;
        observer.begun(&self.database, waits.elapsed());
        if *shared.quit.borrow() {
            return None;
        }
        let next = self.pass().await;
        if matches!(next.decision, Some(Decision::Converged { .. })) {
            self.rested = generation;
        }
        Some(Box::new(next))
    }

    fn seen(&self) -> Option<Arc<DatabaseSeen>> {
        let (namespace, name) = (self.database.namespace(), self.database.name());
        self.shared.caches.databases.get(namespace, name)
    }

    fn generation(&self) -> Option<i64> {
        self.seen().and_then(|seen| seen.generation)
    }

    /// Goes as far as it can. A panic is this database's own: it is told, and tried again later.
    async fn pass(&mut self) -> Next {
        let went = AssertUnwindSafe(self.worker.reconcile())
            .catch_unwind()
            .await;
        let next = match went {
            Ok(next) => {
                self.panics = 0;
                next
            }
            Err(_) => return self.panicked(),
        };
        let waits_for_references = matches!(
            &next.decision,
            Some(Decision::Wait {
                on: WaitingOn::CredentialInUse { .. }
                    | WaitingOn::ReplacedInUse { .. }
                    | WaitingOn::QuietWindow { .. },
                ..
            }) | Some(Decision::Blocked {
                by: Blocker::WorkloadStranded { .. },
            })
        );
        let flag = &self.slot.waits_for_references;
        flag.store(waits_for_references, Ordering::Relaxed);
        if next.decision.is_none() && next.failure.is_some() {
            self.refused().await;
        }
        next
    }

    fn panicked(&mut self) -> Next {
        tracing::error!(
            database = %self.database,
            "a fault of the program itself ended the look at this database; see the message before"
        );
        let engine = &self.shared.engine;
        self.worker = Worker::new(engine.clone(), self.database.clone());
        let pause = PANIC_PAUSE_FIRST.saturating_mul(1 << self.panics.min(16));
        self.panics = self.panics.saturating_add(1);
        let wake_at = engine
            .clock
            .now()
            .checked_add(pause.min(PANIC_PAUSE_MAX))
            .unwrap_or(Timestamp::MAX);
        Next {
            decision: None,
            failure: None,
            wake_at,
        }
    }

    /// What keeps an object from being judged stands in its status; its deletion ends all the same.
    async fn refused(&self) {
        let Shared {
            platform,
            caches,
            engine,
            ..
        } = &*self.shared;
        let seen = platform.database(&self.database, Read::Cached).await;
        let Ok(Some(seen)) = seen else {
            return;
        };
        let done = if seen.deleting && (seen.spec.is_err() || seen.said.is_err()) {
            self.let_go().await
        } else if let Some(refusals) = caches.refusals(&self.database, &seen) {
            let now = engine.clock.now();
            let shown = platform.show_refusals(&self.database, &refusals, now);
            shown.await
        } else {
            Ok(())
        };
        if let Err(error) = done {
            tracing::warn!(database = %self.database, %error, "the object could not be written");
        }
    }

    /// Of a spec that cannot be read, no policy can: everything stays, as by `Retain`, once no run is under way.
    async fn let_go(&self) -> Result<(), PlatformError> {
        let platform = &self.shared.platform;
        let jobs = platform.jobs(&self.database, Read::Live).await?;
        if jobs.iter().any(JobFacts::is_live) {
            return Ok(());
        }
        tracing::warn!(
            database = %self.database,
            "the object is deleted with a spec that cannot be read: its logins and Secrets stay"
        );
        platform.let_go(&self.database).await
    }

    /// Rests until there is something to look at. False: it is told to quit.
    async fn rest(&mut self, next: &Next) -> bool {
        let Self { worker, slot, .. } = self;
        let mut quit = self.shared.quit.clone();
        let soon = async {
            slot.soon.notified().await;
            tokio::time::sleep(SOON).await;
        };
        tokio::select! {
            () = worker.rest(next) => true,
            () = slot.now.notified() => true,
            () = soon => true,
            _ = quit.wait_for(|quit| *quit) => false,
        }
    }
}
