//! Moments of a walk from `v2` to `v3`, as they are seen from outside: a request in the audit log, or a statement
//! on its way to the server.

use std::sync::Arc;
use std::time::Duration;

use dbop_tests::kubernetes::{Operator, Stage};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// A walk comes to each of its moments within this.
const PATIENCE: Duration = Duration::from_secs(180);

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nothing is under way.
    AtRest,
    /// The leader's nth request of this kind since the walk began is in the audit log, its answer on its way.
    Asked(&'static str, usize),
    /// The leader's nth statement since then that holds these words comes to the server.
    Said(&'static str, usize),
    /// So long after the walk began.
    After(Duration),
}

/// A moment in each kind of action on the way, and between the writes of those that have several.
pub(crate) const MOMENTS: &[(&str, Moment)] = &[
    ("at rest", Moment::AtRest),
    (
        "retirement: v1's login is about to be locked",
        Moment::Said("_v1_% NOLOGIN", 1),
    ),
    (
        "retirement: v1's Secret is deleted",
        Moment::Asked("delete secrets", 1),
    ),
    (
        "retirement: v1's login is about to be dropped",
        Moment::Said("DROP ROLE", 1),
    ),
    ("start: the Job is created", Moment::Asked("create jobs", 1)),
    (
        "start: the Job's Secret is created",
        Moment::Asked("create secrets", 1),
    ),
    (
        "start: the migrator's door is about to open",
        Moment::Said("_migrator% PASSWORD", 1),
    ),
    ("start: the Job is released", Moment::Asked("patch jobs", 1)),
    (
        "record: the migrator's door is about to close",
        Moment::Said("_migrator% NOLOGIN", 1),
    ),
    (
        "record: the run stands in the status",
        Moment::Asked("patch manageddatabases/status", 3),
    ),
    ("record: the Job is let go", Moment::Asked("patch jobs", 2)),
    (
        "credential: v3's login is about to be made",
        Moment::Said("CREATE ROLE", 1),
    ),
    (
        "credential: v3's Secret is created",
        Moment::Asked("create secrets", 2),
    ),
];

/// Whether a statement holds these words in this order; `%` is anything.
fn holds(text: &str, words: &str) -> bool {
    let mut rest = text;
    words.split('%').all(|word| match rest.split_once(word) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

impl Moment {
    /// Begins the walk to `v3` and calls `strike` at this moment of the leader's. False: it did not come.
    pub(crate) async fn strike(
        self,
        stage: &Stage,
        leader: &Operator,
        strike: impl Fn() + Send + Sync + 'static,
    ) -> bool {
        let audit = stage.audit.from_now();
        match self {
            Moment::AtRest => {
                strike();
                stage.desire("v3").await;
                true
            }
            Moment::After(delay) => {
                stage.desire("v3").await;
                sleep(delay).await;
                strike();
                true
            }
            Moment::Asked(what, nth) => {
                stage.desire("v3").await;
                let count = std::sync::atomic::AtomicUsize::new(1);
                let seen = audit.seen(|entry| {
                    entry.what == what
                        && entry.by == leader.name
                        && count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == nth
                });
                let seen = timeout(PATIENCE, seen).await.is_ok();
                strike();
                seen
            }
            Moment::Said(words, nth) => {
                let (pid, mut count, struck) = (leader.id(), 0, Arc::new(Notify::new()));
                let tell = struck.clone();
                stage.door.listen(move |said| {
                    count += usize::from(said.pid == pid && holds(&said.text, words));
                    let is_now = count == nth;
                    if is_now {
                        strike();
                        tell.notify_one();
                    }
                    is_now
                });
                stage.desire("v3").await;
                timeout(PATIENCE, struck.notified()).await.is_ok()
            }
        }
    }
}
