//! A watch over a look at tables: another session, which ends a probe that somebody waits for.
//!
//! A reader keeps DDL from its table, and whoever comes after that DDL waits as well: a probe of seconds would be an outage
//! of seconds. The look's own session is busy meanwhile, and a look that is short is not watched.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dbop_model::Why;
use tokio::time::sleep;

use crate::error::DatabaseError;

/// A look that is done by then has kept nobody for long.
const AFTER: Duration = Duration::from_millis(250);
/// How often it is asked meanwhile whether somebody waits.
const EVERY: Duration = Duration::from_millis(250);

/// Has a look given way to somebody who waited for it?
#[derive(Debug, Default)]
pub struct Way(AtomicBool);

impl Way {
    /// From now on the look probes nothing more.
    pub fn give(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Was it given?
    pub fn is_given(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Why a fact is unknown: for having given way, else for `why`.
    pub fn or(&self, why: Why) -> Why {
        if self.is_given() {
            Why::passing("somebody waited for the table, and the look gave way")
        } else {
            why
        }
    }
}

/// The session that watches.
pub trait Watcher: Send + Sized {
    /// Does somebody wait for what the look's session holds?
    fn is_waited_for(&self) -> impl Future<Output = Result<bool, DatabaseError>> + Send;

    /// Ends what the look's session runs at the moment, and this one.
    fn end(self) -> impl Future<Output = Result<(), DatabaseError>> + Send;
}

/// Looks, and gives way. A watch that cannot be kept, for want of a connection (`open` makes it), changes nothing: the
/// probes' own limit holds as well.
pub async fn beside<T>(
    look: impl Future<Output = T>,
    open: impl Future<Output = Result<impl Watcher, DatabaseError>>,
    way: &Way,
) -> T {
    let mut look = pin!(look);
    tokio::select! {
        biased;
        looked = &mut look => return looked,
        _ = watch(open, way) => {}
    }
    look.await
}

async fn watch(
    open: impl Future<Output = Result<impl Watcher, DatabaseError>>,
    way: &Way,
) -> Result<(), DatabaseError> {
    sleep(AFTER).await;
    let watcher = open.await?;
    while !watcher.is_waited_for().await? {
        sleep(EVERY).await;
    }
    // In this order: the statement that is ended says why.
    way.give();
    watcher.end().await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    /// Somebody waits from so many questions on.
    struct Fake<'a> {
        way: &'a Way,
        asked: AtomicU32,
        waits_from: u32,
        ended: &'a AtomicBool,
    }

    impl Watcher for Fake<'_> {
        async fn is_waited_for(&self) -> Result<bool, DatabaseError> {
            Ok(self.asked.fetch_add(1, Ordering::Relaxed) >= self.waits_from)
        }

        async fn end(self) -> Result<(), DatabaseError> {
            assert!(self.way.is_given(), "the statement that is ended says why");
            self.ended.store(true, Ordering::Relaxed);
            Ok(())
        }
    }

    /// How a look of so many milliseconds goes beside a watch: was the watch opened, was the way given, the probe ended?
    async fn watched(look: u64, waits_from: u32) -> (bool, bool, bool) {
        let (way, opened, ended) = (
            Way::default(),
            AtomicBool::new(false),
            AtomicBool::new(false),
        );
        let open = async {
            opened.store(true, Ordering::Relaxed);
            Ok(Fake {
                way: &way,
                asked: AtomicU32::new(0),
                waits_from,
                ended: &ended,
            })
        };
        beside(sleep(Duration::from_millis(look)), open, &way).await;
        (opened.into_inner(), way.is_given(), ended.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_look_that_is_waited_for_gives_way() {
        assert_eq!(watched(200, 0).await, (false, false, false), "it is short");
        assert_eq!(watched(5000, 0).await, (true, true, true));
        assert_eq!(watched(5000, 3).await, (true, true, true));
        assert_eq!(
            watched(5000, 100).await,
            (true, false, false),
            "nobody waits"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_cannot_be_watched_goes_on() {
        let way = Way::default();
        let operation = "watching a look at tables";
        let open = async { Err::<Fake<'_>, _>(DatabaseError::Lost { operation }) };
        let look = async {
            sleep(Duration::from_secs(5)).await;
            7
        };
        assert_eq!(beside(look, open, &way).await, 7);
        assert!(!way.is_given());
    }
}
