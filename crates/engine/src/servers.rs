//! Servers that do not answer: tried for all their databases together, by one at a time.
//!
//! A thousand databases of one dead server would otherwise cost it, and us, a thousand attempts each time. Here
//! the first failure closes the way; one database tries again for all of them, and its success opens the way
//! for all. A server that answers, with whatever refusal, is not dead: that is each database's own affair.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::select;
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::platform::Clock;

/// A dead server is tried again after this ...
const TRY_FIRST: Duration = Duration::from_secs(1);
/// ... then after twice as long each time, up to this: one attempt per server in five seconds, however many
/// databases it has, and one that returns is worked on within a few seconds.
pub const TRY_EVERY_MAX: Duration = Duration::from_secs(5);
/// A try whose end nobody told of (its database's task was ended meanwhile) holds the others up for so long:
/// longer than any connection attempt may take.
const TRY_TAKES_MAX: Duration = Duration::from_secs(12);

/// Which servers do not answer, as far as was seen. Shared by all workers.
#[derive(Debug, Default)]
pub struct Servers {
    dead: Mutex<BTreeMap<String, Dead>>,
    answered: Notify,
}

#[derive(Debug)]
struct Dead {
    why: String,
    tries: u32,
    next_try: Timestamp,
}

/// May a database connect to its server now?
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Yes.
    Try,
    /// The server does not answer, and another database will try it.
    Dead {
        /// What the last try failed with.
        why: String,
    },
}

impl Servers {
    /// May one connect to this server (`host:port`)? `claimed`: by [`Servers::wait`], this is the try.
    pub(crate) fn admit(&self, address: &str, claimed: bool) -> Admission {
        match self.dead().get(address) {
            Some(dead) if !claimed => Admission::Dead {
                why: dead.why.clone(),
            },
            _ => Admission::Try,
        }
    }

    /// Is this server known not to answer?
    pub(crate) fn is_dead(&self, address: &str) -> bool {
        self.dead().contains_key(address)
    }

    /// A try found nobody.
    pub(crate) fn failed(&self, address: &str, why: String, now: Timestamp) {
        let mut all = self.dead();
        let tries = all.get(address).map_or(0, |dead| dead.tries).min(16);
        let pause = TRY_FIRST.saturating_mul(1 << tries).min(TRY_EVERY_MAX);
        all.insert(
            address.to_owned(),
            Dead {
                why,
                tries: tries + 1,
                next_try: later(now, pause),
            },
        );
    }

    /// The server answered: everybody may come.
    pub(crate) fn answered(&self, address: &str) {
        if self.dead().remove(address).is_some() {
            self.answered.notify_waiters();
        }
    }

    /// Returns when the server answers again (false), or when it is time for a try, which is then the
    /// caller's to make (true).
    pub(crate) async fn wait(&self, address: &str, clock: &dyn Clock) -> bool {
        loop {
            // Registered before the look, so that an answer in between is not missed.
            let answered = std::pin::pin!(self.answered.notified());
            let now = clock.now();
            let next_try = match self.dead().get_mut(address) {
                None => return false,
                // No try lies further ahead than one takes: if this does, the clock was put back.
                Some(dead) if dead.next_try <= now || dead.next_try > later(now, TRY_TAKES_MAX) => {
                    dead.next_try = later(now, TRY_TAKES_MAX);
                    return true;
                }
                Some(dead) => dead.next_try,
            };
            let pause = Duration::try_from(next_try.duration_since(now)).unwrap_or(TRY_FIRST);
            select(answered, clock.sleep(pause)).await;
        }
    }

    fn dead(&self) -> MutexGuard<'_, BTreeMap<String, Dead>> {
        // What a panic may have left behind is at worst a try too many.
        self.dead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn later(from: Timestamp, span: Duration) -> Timestamp {
    from.checked_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::task::{Context, Poll, Waker};

    use async_trait::async_trait;

    use super::*;

    /// A clock that moves only when somebody sleeps on it.
    #[derive(Default)]
    struct Hand(AtomicI64);

    #[async_trait]
    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap()
        }

        async fn sleep(&self, span: Duration) {
            self.0
                .fetch_add(i64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
        }
    }

    fn ready<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it waits"),
        }
    }

    const DB: &str = "db:5432";

    #[test]
    fn a_dead_server_is_tried_by_one_at_growing_intervals() {
        let (servers, clock) = (Servers::default(), Hand::default());
        assert_eq!(servers.admit(DB, false), Admission::Try);
        let mut tried_at = Vec::new();
        for _ in 0..6 {
            servers.failed(DB, "no answer".to_owned(), clock.now());
            assert!(matches!(
                servers.admit(DB, false),
                Admission::Dead { ref why } if why == "no answer"
            ));
            assert!(ready(servers.wait(DB, &clock)), "its turn to try");
            assert_eq!(servers.admit(DB, true), Admission::Try);
            tried_at.push(clock.now().as_second());
        }
        assert_eq!(tried_at, [1, 3, 7, 12, 17, 22]);
    }

    #[test]
    fn a_clock_that_is_put_back_holds_no_try_up() {
        let (servers, clock) = (Servers::default(), Hand::default());
        clock.0.store(3_600_000, Ordering::SeqCst);
        servers.failed(DB, "no answer".to_owned(), clock.now());
        clock.0.store(0, Ordering::SeqCst);
        assert!(ready(servers.wait(DB, &clock)), "its turn to try");
        assert!(clock.now().as_second() < 15, "{}", clock.now());
    }

    #[test]
    fn while_one_tries_the_others_wait_and_an_answer_lets_all_go_on() {
        let (servers, clock) = (Servers::default(), Hand::default());
        servers.failed(DB, "no answer".to_owned(), clock.now());
        assert!(ready(servers.wait(DB, &clock)));
        let at = servers.dead()[DB].next_try;
        assert_eq!(
            at.duration_since(clock.now()).unsigned_abs(),
            TRY_TAKES_MAX,
            "nobody else comes meanwhile"
        );
        assert_eq!(servers.admit("other:5432", false), Admission::Try);
        servers.answered(DB);
        assert!(!ready(servers.wait(DB, &clock)));
        assert_eq!(servers.admit(DB, false), Admission::Try);
    }
}
