//! Operators as processes of this machine against a real API server and a real PostgreSQL server, and the means to
//! disturb them: signals, an API server that is away, one that tells old things, a database server that is away.
//!
//! The cluster has no node: a small kubelet runs the migrations of Pods as child processes. What is asserted is
//! seen from outside: in the API server's audit log, at the door of PostgreSQL, in the objects and in the database.

mod api;
mod audit;
mod door;
mod gateway;
mod kubelet;
mod operator;
mod stage;

pub use api::Api;
pub use audit::{Audit, Entry};
pub use door::{Door, Said};
pub use gateway::Gateway;
pub use kubelet::{Kubelet, Run};
pub use operator::{Operator, Way, freeze, shoot};
pub use stage::{CHAIN, End, NAME, Stage};

use std::time::UNIX_EPOCH;

/// What the audit log, the door and the test have in common: this machine's clock, in microseconds.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "a test compares the times of several programs of this machine"
)]
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

/// Between two moments of [`now`], in seconds.
#[must_use]
pub fn seconds(from: i64, to: i64) -> f64 {
    (to - from) as f64 / 1e6
}
