//! Answers to questions about tables: what a server refuses or is too slow to say is an unknown fact with its reason, and
//! only a broken connection ends the look.

use std::time::Duration;

use dbop_model::{Fact, Why};

use crate::error::DatabaseError;
use crate::watch::Way;

/// All probes of one look together take at most so many probe timeouts.
const PROBE_TIMEOUTS_PER_LOOK: u32 = 4;

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
