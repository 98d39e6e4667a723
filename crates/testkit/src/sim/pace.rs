//! Time for several operators at once: a call that takes time, or a sleep, hands over to the others.
//!
//! The [`Fleet`](super::fleet::Fleet) polls one task after the other. What a task waits for is kept here as the
//! moment at which it goes on; nothing is woken, the fleet looks at the moments.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use dbop_engine::Clock;
use jiff::{SignedDuration, Timestamp};

use super::Rng;

/// One call in so many takes time.
const SLOW_ONE_IN: u64 = 6;
/// So long at most: several of them stay below what makes a row of looks break.
const SLOW_MAX_MS: u64 = 150;

/// What the task that is being polled waits for, and what it is told.
pub struct Pace(Mutex<State>);

struct State {
    now: Timestamp,
    rng: Rng,
    /// Calls take time.
    slow: bool,
    /// How far off the clock of the operator that is being polled is.
    skew: SignedDuration,
    wait: Wait,
    /// The platform tells the task that something has changed.
    event: bool,
    /// How many reconciles ended because they had taken as many steps as one may.
    endless: u32,
}

/// What a task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    /// The moment at which it goes on.
    pub(super) until: Timestamp,
    /// It will look at everything anew before it writes anything.
    pub(super) open: bool,
}

impl Pace {
    /// Of a world at the beginning of time. `seed` makes which calls take time.
    pub(super) fn new(seed: u64, slow: bool) -> Self {
        Self(Mutex::new(State {
            now: Timestamp::UNIX_EPOCH,
            rng: Rng::new(seed),
            slow,
            skew: SignedDuration::ZERO,
            wait: NEVER,
            event: false,
            endless: 0,
        }))
    }

    /// Time has come to this.
    pub(super) fn set_now(&self, now: Timestamp) {
        self.state().now = now;
    }

    /// Before a task is polled: its operator's clock, and whether it is told of a change.
    pub(super) fn begin(&self, skew: SignedDuration, event: bool) {
        let mut state = self.state();
        state.skew = skew;
        state.event = event;
        state.wait = NEVER;
    }

    /// After that: what it waits for, and whether it has yet to hear of the change.
    pub(super) fn end(&self) -> (Wait, bool) {
        let state = self.state();
        (state.wait, state.event)
    }

    /// Has something changed? It is told once.
    pub(super) fn told(&self) -> bool {
        std::mem::take(&mut self.state().event)
    }

    /// A reconcile did not come to an end by itself.
    pub(super) fn note_endless(&self) {
        self.state().endless += 1;
    }

    /// How many did not.
    pub(super) fn endless(&self) -> u32 {
        self.state().endless
    }

    /// A call of the platform, which may take its time.
    pub(super) async fn call(&self, open: bool) {
        let takes = {
            let mut state = self.state();
            if !state.slow || !state.rng.one_in(SLOW_ONE_IN) {
                return;
            }
            state.rng.below(SLOW_MAX_MS)
        };
        self.wait(Duration::from_millis(takes), open).await;
    }

    async fn wait(&self, span: Duration, open: bool) {
        let until = self.state().now + span;
        let mut waited = false;
        poll_fn(|_| {
            let mut state = self.state();
            if waited && state.now >= until {
                return Poll::Ready(());
            }
            waited = true;
            if until <= state.wait.until {
                state.wait = Wait { until, open };
            }
            Poll::Pending
        })
        .await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// It waits for nothing that time brings.
const NEVER: Wait = Wait {
    until: Timestamp::MAX,
    open: true,
};

/// The clock of an operator in a fleet.
pub(super) struct PacedClock(pub(super) std::sync::Arc<Pace>);

#[async_trait]
impl Clock for PacedClock {
    fn now(&self) -> Timestamp {
        let state = self.0.state();
        state.now + state.skew
    }

    async fn sleep(&self, span: Duration) {
        self.0.wait(span, true).await;
    }
}
