//! The fence between two operators: the lock of one that is silent goes with its session.

#[path = "support/site.rs"]
mod support;

use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_testkit::conformance::Site as _;
use support::MySite;
use tokio::time::{Instant, sleep};

/// A lease is free 15 seconds after its last renewal: by then the lock of its holder is gone, and not only just.
const GONE_BY: Duration = Duration::from_secs(12);
/// A step that waits for the API server once or twice keeps its lock.
const KEPT_FOR: Duration = Duration::from_secs(6);

#[tokio::test]
async fn the_lock_of_a_silent_operator_ends_before_another_begins() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let (connector, target) = (site.connector(), site.target());
        let silent = connector.connect(&target).await.unwrap();
        let begin = Instant::now();
        assert!(silent.try_lock().await.unwrap());
        // As soon as it can be had, by somebody who asks all the time.
        let other = connector.connect(&target).await.unwrap();
        while !other.try_lock().await.unwrap() {
            assert!(begin.elapsed() < GONE_BY, "the lock stays");
            sleep(Duration::from_millis(100)).await;
        }
        let waited = begin.elapsed();
        assert!(waited > KEPT_FOR, "gone after {waited:?}");
        // What it had in mind does not happen any more.
        let error = silent.unlock().await.unwrap_err();
        assert!(matches!(error, DatabaseError::Lost { .. }), "{error}");
        other.unlock().await.unwrap();
    })
    .await;
}
