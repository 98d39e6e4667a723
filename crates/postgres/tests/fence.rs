//! The fence between two operators: the lock of one that is silent goes with its session.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/site.rs"]
mod support;

use std::time::Duration;

use dbop_database::{Connector, DatabaseError};
use dbop_postgres::Postgres;
use dbop_tests::{TestServer, on_each};
use jiff::Timestamp;
use support::{PgSite, target};
use tokio::time::{Instant, sleep};

/// A lease is free 15 seconds after its last renewal: by then the lock of its holder is gone, and not only just.
const GONE_BY: Duration = Duration::from_secs(12);
/// A step that waits for the API server once or twice keeps its lock.
const KEPT_FOR: Duration = Duration::from_secs(6);

#[tokio::test]
async fn the_lock_of_a_silent_operator_ends_before_another_begins() {
    on_each(lock_ends).await;
}

async fn lock_ends(server: TestServer) {
    let (major, site) = (server.major(), PgSite::on(&server).await);
    let target = target(&site.database.admin_dsn());
    let postgres = Postgres::new(|| Timestamp::UNIX_EPOCH);
    let silent = postgres.connect(&target).await.unwrap();
    let begin = Instant::now();
    assert!(silent.try_lock().await.unwrap());
    // As soon as it can be had, by somebody who asks all the time.
    let other = postgres.connect(&target).await.unwrap();
    while !other.try_lock().await.unwrap() {
        let waited = begin.elapsed();
        assert!(waited < GONE_BY, "PostgreSQL {major}: the lock stays");
        sleep(Duration::from_millis(100)).await;
    }
    let waited = begin.elapsed();
    assert!(
        waited > KEPT_FOR,
        "PostgreSQL {major}: gone after {waited:?}"
    );
    // What it had in mind does not happen any more.
    let error = silent.unlock().await.unwrap_err();
    assert!(matches!(error, DatabaseError::Lost { .. }), "{error}");
    other.unlock().await.unwrap();
}
