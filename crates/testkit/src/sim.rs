//! The simulator: the real engine and planner on a fake platform, a fake database, a fake clock and seeded
//! randomness. A day of failures passes in a second, and any history can be run again from its seed.
//!
//! [`Sim`] holds a [`World`] (objects, Secrets, Jobs, applications, people) and the operator under test. Time
//! passes only when the operator sleeps; then Jobs run on and applications connect. After every event the
//! named invariants of [`invariants`] are checked. [`faults`] breaks single writes and pairs of them, exhaustively;
//! [`fleet`] has many databases and operators at once, to whom anything happens.

pub mod actors;
pub mod clock;
pub mod faults;
pub mod fleet;
pub mod invariants;
pub mod pace;
pub mod platform;
pub mod world;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use dbop_engine::worker::Plan;
use dbop_engine::{Engine, Next, PlatformError, Worker};
use dbop_model::ObjectRef;
use dbop_plan::Decision;
use jiff::{SignedDuration, Timestamp};

pub use clock::Rng;
pub use world::{End, World};

use clock::{SimClock, SimEntropy};
use platform::SimPlatform;

/// A reconcile and the rest after it make one turn; a walk of three migrations takes some dozens.
const TURNS_MAX: usize = 2_000;

/// The world, shared by the platform, the clock and the test.
pub type Shared = Arc<Mutex<World>>;

/// The world and the operator in it.
pub struct Sim {
    /// The world.
    pub world: Shared,
    database: ObjectRef,
    worker: Worker,
    entropy: Arc<SimEntropy>,
}

impl Sim {
    /// An operator in this world. `seed` makes its passwords and claim ids.
    pub fn new(world: World, seed: u64) -> Self {
        let database = world.desired.database.id.clone();
        let shared: Shared = Arc::new(Mutex::new(world));
        world::hook_database(&shared);
        let entropy = Arc::new(SimEntropy::new(seed));
        let worker = worker(&shared, &database, &entropy);
        Self {
            world: shared,
            database,
            worker,
            entropy,
        }
    }

    /// Kills the operator, memory and connections and all, and starts a new one.
    pub fn restart(&mut self) {
        {
            let mut world = self.world();
            world.dead = false;
            world.tell("the operator starts anew");
            world.db.break_connections();
        }
        self.worker = worker(&self.world, &self.database, &self.entropy);
    }

    /// One reconcile and the rest after it; a killed operator is started anew instead.
    pub fn turn(&mut self) -> Next {
        let next = now(self.worker.reconcile());
        if self.world().dead {
            self.restart();
            return Next {
                decision: None,
                failure: None,
                wake_at: next.wake_at,
            };
        }
        let bounded = Next {
            wake_at: self.bounded(next.wake_at),
            ..next.clone()
        };
        now(self.worker.rest(&bounded));
        if self.world().dead {
            self.restart();
        }
        next
    }

    /// Turns until the database is at rest, or `span` has passed. True: at rest.
    pub fn settle(&mut self, span: SignedDuration) -> bool {
        let end = self.world().now + span;
        for _ in 0..TURNS_MAX {
            let next = self.turn();
            let quiet = self.world().quiet();
            if matches!(next.decision, Some(Decision::Converged { .. })) && quiet {
                return true;
            }
            if self.world().now >= end {
                return false;
            }
        }
        false
    }

    /// What a new operator would do, step by step; it writes nothing.
    ///
    /// # Errors
    /// Where the object cannot be read.
    pub fn plan(&self) -> Result<Plan, PlatformError> {
        let plan = now(worker(&self.world, &self.database, &self.entropy).plan())?;
        plan.ok_or_else(|| PlatformError::Missing(format!("{} does not exist", self.database)))
    }

    /// Turns while `span` passes.
    pub fn pass(&mut self, span: SignedDuration) {
        let end = self.world().now + span;
        for _ in 0..TURNS_MAX {
            self.turn();
            if self.world().now >= end {
                return;
            }
        }
    }

    /// Nobody in the world wakes the operator by events: no rest is longer than its slow heartbeat.
    fn bounded(&self, wake_at: Timestamp) -> Timestamp {
        wake_at.min(self.world().now + world::TURN_MAX)
    }

    /// The world, locked. A test that panicked while it held the lock must not hide its message.
    pub fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn worker(world: &Shared, database: &ObjectRef, entropy: &Arc<SimEntropy>) -> Worker {
    let connector = world
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .db
        .clone();
    let engine = Engine::new(
        Arc::new(SimPlatform::new(world)),
        Arc::new(connector),
        Arc::new(SimClock::new(world)),
        entropy.clone(),
    );
    Worker::new(engine, database.clone())
}

/// Runs a future that never has to wait: everything in a simulation answers at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a simulated call had to wait for something real"),
    }
}
