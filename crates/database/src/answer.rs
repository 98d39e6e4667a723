//! Answers to questions about tables: what a server refuses or is too slow to say is an unknown fact with its reason, and
//! only a broken connection ends the look.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dbop_model::{Fact, Why};

use crate::error::DatabaseError;

/// All probes of one look together take at most so many probe timeouts.
const PROBE_TIMEOUTS_PER_LOOK: u32 = 4;

/// A probe that is done by then has kept nobody for long.
pub const WATCHED_AFTER: Duration = Duration::from_millis(250);
/// How often it is asked meanwhile whether somebody waits for a probe.
pub const WATCHED_EVERY: Duration = Duration::from_millis(250);

/// Has a look given way to somebody who waited for it?
///
/// A reader keeps DDL from its table, and whoever comes after that DDL waits as well: a probe of seconds would be an outage
/// of seconds. So another session watches a look whose probes take long, and ends the probe that is waited for.
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

/// Why a question has no answer.
#[derive(Debug)]
pub enum Failure {
    /// The fact stays unknown, and the look goes on.
    Unknown(Why),
    /// The connection is of no use any more.
    Broken(DatabaseError),
}

/// An answer to one question.
pub type Answer<T> = Result<T, Failure>;

/// The fact that an answer is.
///
/// # Errors
/// The error of a broken connection.
pub fn fact<T>(answer: Answer<T>) -> Result<Fact<T>, DatabaseError> {
    match answer {
        Ok(value) => Ok(Fact::Known(value)),
        Err(Failure::Unknown(why)) => Ok(Fact::Unknown(why)),
        Err(Failure::Broken(error)) => Err(error),
    }
}

/// An answer of unknown, with its reason.
///
/// # Errors
/// Always.
pub fn unknown<T>(why: impl Into<String>) -> Answer<T> {
    Err(Failure::Unknown(Why::new(why)))
}

/// May a further probe be tried in a look that has `spent` so long?
///
/// # Errors
/// [`Failure::Unknown`] where the probes before it have used up the look's time, or the look gave way.
pub fn may_probe(spent: Duration, probe_timeout: Duration, way: &Way) -> Answer<()> {
    if way.is_given() {
        return Err(Failure::Unknown(way.or(Why::new(""))));
    }
    if spent > probe_timeout * PROBE_TIMEOUTS_PER_LOOK {
        return unknown(format!(
            "the probes before it took {} s together, so it was not tried",
            spent.as_secs()
        ));
    }
    Ok(())
}
