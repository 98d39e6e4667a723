//! What the application counts, and the line that tells it. It has no clock.

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many failures are told in words; the rest is counted.
const FAILURES_TOLD_MAX: u64 = 5;

/// Counts of one process.
#[derive(Default)]
pub(crate) struct Tally {
    queries: AtomicU64,
    logins: AtomicU64,
    added: AtomicU64,
    failed: AtomicU64,
    session: Mutex<Option<(i64, String)>>,
}

impl Tally {
    /// A query that gave what it should.
    pub(crate) fn query(&self) {
        self.queries.fetch_add(1, Ordering::Relaxed);
    }

    /// A customer more.
    pub(crate) fn added(&self) {
        self.added.fetch_add(1, Ordering::Relaxed);
    }

    /// A login that worked.
    pub(crate) fn login(&self) {
        self.logins.fetch_add(1, Ordering::Relaxed);
    }

    /// The session that stays: the server's number of it, and the login.
    pub(crate) fn session(&self, pid: i64, user: String) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some((pid, user));
    }

    /// A query or login that did not do what it should.
    pub(crate) fn failure(&self, what: &str) {
        if self.failed.fetch_add(1, Ordering::Relaxed) < FAILURES_TOLD_MAX {
            eprintln!("FAILED: {what}");
        }
    }

    /// How many failures there were.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        write!(
            f,
            "queries={} failed={} logins={} added={}",
            get(&self.queries),
            get(&self.failed),
            get(&self.logins),
            get(&self.added),
        )?;
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        match &*session {
            Some((pid, user)) => write!(f, " pid={pid} user={user}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_one_line_of_pairs() {
        let tally = Tally::default();
        tally.query();
        tally.login();
        assert_eq!(tally.to_string(), "queries=1 failed=0 logins=1 added=0");
        tally.session(42, "shop_v1_0a1b2c3d".to_owned());
        assert!(tally.to_string().ends_with(" pid=42 user=shop_v1_0a1b2c3d"));
    }
}
