//! `dbop-migrate` as a process, against real PostgreSQL servers, oldest and newest.
//!
//! The servers come from `DBOP_TEST_POSTGRES_14` and `DBOP_TEST_POSTGRES_18` (DSNs of superusers).
//! Where one is missing, a test fails and says how to get it: nothing is skipped.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is how they fail"
)]

#[path = "server/batches.rs"]
mod batches;
#[path = "server/example.rs"]
mod example;
#[path = "server/kind.rs"]
mod kind;
#[path = "server/metrics.rs"]
mod metrics;
#[path = "server/postgres.rs"]
mod postgres;
#[path = "server/refusals.rs"]
mod refusals;
#[path = "server/secrets.rs"]
mod secrets;
#[path = "server/support.rs"]
mod support;
#[path = "server/walk.rs"]
mod walk;

/// The servers of these tests where `DBOP_TEST_SERVERS` names no others of these kinds.
const SERVERS: &[&str] = &["postgres-14", "postgres-18"];
