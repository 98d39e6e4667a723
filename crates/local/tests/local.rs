//! A directory worked on from outside of the crate, with real processes and a database in memory.
//!
//! The supervisor is this very program: it is started again with the name of the one test that is its body.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on ends, and says where"
)]

#[path = "local/drive.rs"]
mod drive;
#[path = "local/jobs.rs"]
mod jobs;
#[path = "local/support.rs"]
mod support;

/// The body of a supervisor, where this program was started as one; otherwise there is nothing to test.
#[test]
fn supervisor() {
    if let Some(job) = support::argument() {
        dbop_local::supervise(&job);
    }
}

/// A `local` that releases a Job and is killed, where this program was started as one.
#[test]
fn parent() {
    if let Some(directory) = support::argument() {
        jobs::release_and_linger(&directory);
    }
}
