//! Whether we lead, as everybody beside the elector sees it: a deadline against the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Nobody leads here.
const NEVER: u64 = 0;

/// Whether we lead. Clones see the same.
#[derive(Debug, Clone)]
pub struct Leadership {
    shared: Arc<Shared>,
    changes: watch::Receiver<u64>,
    /// The only term that counts; `None`: any.
    term: Option<u64>,
}

#[derive(Debug)]
struct Shared {
    base: Instant,
    /// The term that began last. It is written before the deadline, and read after it: whoever sees a deadline
    /// sees its term, or a later one.
    term: AtomicU64,
    /// Until when writes may begin, in nanoseconds after `base`.
    deadline: AtomicU64,
}

/// The elector's end: who says until when we lead.
#[derive(Debug)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    changes: watch::Sender<u64>,
}

/// The two ends.
pub(crate) fn pair() -> (Keeper, Leadership) {
    let shared = Arc::new(Shared {
        base: Instant::now(),
        term: AtomicU64::new(0),
        deadline: AtomicU64::new(NEVER),
    });
    let (changes, changed) = watch::channel(0);
    let keeper = Keeper {
        shared: shared.clone(),
        changes,
    };
    (
        keeper,
        Leadership {
            shared,
            changes: changed,
            term: None,
        },
    )
}

impl Keeper {
    /// We lead from now on: what worked under an earlier term does not write any more.
    pub(crate) fn begins(&self) {
        self.shared.term.fetch_add(1, Ordering::AcqRel);
    }

    /// We lead until then.
    pub(crate) fn leads_until(&self, until: Instant) {
        let span = until.saturating_duration_since(self.shared.base);
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        self.set(nanos);
    }

    /// We do not lead any more.
    pub(crate) fn ends(&self) {
        self.set(NEVER);
    }

    fn set(&self, deadline: u64) {
        self.shared.deadline.store(deadline, Ordering::Release);
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Drop for Keeper {
    /// Whoever renewed is gone: nobody will.
    fn drop(&mut self) {
        self.ends();
    }
}

impl Leadership {
    /// This term alone: the next one is not seen by it.
    pub fn this_term(&self) -> Self {
        let term = self
            .term
            .unwrap_or(self.shared.term.load(Ordering::Acquire));
        Self {
            term: Some(term),
            ..self.clone()
        }
    }

    /// May a write begin, at this very moment?
    pub fn may_write(&self) -> bool {
        self.until().is_some_and(|until| Instant::now() < until)
    }

    /// Returns when no write may begin any more; at once, where none may now.
    pub async fn lost(&self) {
        let mut changes = self.changes.clone();
        loop {
            changes.mark_unchanged();
            let Some(until) = self.until().filter(|until| Instant::now() < *until) else {
                return;
            };
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                // Without anybody who could renew it, the deadline stands.
                Ok(()) = changes.changed() => {}
            }
        }
    }

    /// Returns when writes may begin; at once, where they may now. Where nobody is left who seeks the lease, it
    /// never does.
    pub async fn won(&self) {
        let mut changes = self.changes.clone();
        loop {
            changes.mark_unchanged();
            if self.may_write() {
                return;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns when it is otherwise than now.
    pub async fn changed(&self) {
        if self.may_write() {
            self.lost().await;
        } else {
            self.won().await;
        }
    }

    fn until(&self) -> Option<Instant> {
        let nanos = self.shared.deadline.load(Ordering::Acquire);
        let term = self.shared.term.load(Ordering::Acquire);
        let is_ours = self.term.is_none_or(|ours| ours == term);
        (is_ours && nanos != NEVER).then(|| self.shared.base + Duration::from_nanos(nanos))
    }
}

/// For tests of what asks for the leadership: one that lasts so long from now.
#[cfg(test)]
pub(crate) fn lasting(span: Duration) -> (Keeper, Leadership) {
    let (keeper, leadership) = pair();
    keeper.leads_until(Instant::now() + span);
    (keeper, leadership)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_ends_by_the_clock_alone() {
        let (_keeper, leadership) = lasting(10 * SECOND);
        assert!(leadership.may_write());
        // As after SIGSTOP: the time has passed, and nothing has run.
        tokio::time::advance(10 * SECOND).await;
        assert!(!leadership.may_write());
        leadership.lost().await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_lost_at_the_last_deadline() {
        let (keeper, leadership) = lasting(10 * SECOND);
        let begin = Instant::now();
        let lost = tokio::spawn({
            let leadership = leadership.clone();
            async move { leadership.lost().await }
        });
        tokio::time::sleep(5 * SECOND).await;
        keeper.leads_until(Instant::now() + 10 * SECOND);
        lost.await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), 15);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_told_both_ways() {
        let (keeper, leadership) = pair();
        assert!(!leadership.may_write());
        let changed = tokio::spawn({
            let leadership = leadership.clone();
            async move {
                leadership.changed().await;
                leadership.may_write()
            }
        });
        tokio::time::sleep(SECOND).await;
        keeper.leads_until(Instant::now() + 10 * SECOND);
        assert!(changed.await.unwrap());
        let ended = tokio::spawn({
            let leadership = leadership.clone();
            async move { leadership.changed().await }
        });
        tokio::time::sleep(SECOND).await;
        let begin = Instant::now();
        keeper.ends();
        ended.await.unwrap();
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_of_a_term_does_not_write_in_the_next() {
        let (keeper, leadership) = pair();
        let lead = || {
            keeper.begins();
            keeper.leads_until(Instant::now() + 10 * SECOND);
        };
        lead();
        let first = leadership.this_term();
        assert!(first.may_write());
        tokio::time::advance(20 * SECOND).await;
        lead();
        assert!(leadership.may_write() && leadership.this_term().may_write());
        assert!(!first.may_write() && !first.this_term().may_write());
        first.lost().await;
    }

    #[tokio::test]
    async fn without_an_elector_nobody_leads() {
        let (keeper, leadership) = lasting(10 * SECOND);
        drop(keeper);
        assert!(!leadership.may_write());
        leadership.lost().await;
    }
}
