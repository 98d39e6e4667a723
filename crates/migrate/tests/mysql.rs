//! `dbop-migrate` as a process, against real MariaDB and MySQL servers: the tests that PostgreSQL has too, and
//! what is different here.
//!
//! The servers come from `DBOP_TEST_MARIADB_10_11`, `DBOP_TEST_MARIADB_11_4` and `DBOP_TEST_MYSQL_9_7` (DSNs of
//! superusers). Where one is missing, a test fails and says how to get it: nothing is skipped.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is how they fail"
)]

#[path = "server/batches.rs"]
mod batches;
#[path = "server/example.rs"]
mod example;
#[path = "server/half.rs"]
mod half;
#[path = "server/kind.rs"]
mod kind;
#[path = "server/metrics.rs"]
mod metrics;
#[path = "server/refusals.rs"]
mod refusals;
#[path = "server/secrets.rs"]
mod secrets;
#[path = "server/support.rs"]
mod support;
#[path = "server/walk.rs"]
mod walk;

/// The servers of these tests where `DBOP_TEST_SERVERS` names no others of these kinds.
const SERVERS: &[&str] = &["mariadb-10.11", "mariadb-11.4", "mysql-9.7"];
