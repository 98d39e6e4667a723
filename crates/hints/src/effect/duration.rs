//! How long a statement works: a range from the table's size, wide enough for a fast machine and a slow one.

use std::time::Duration;

use dbop_model::Fact;
use dbop_model::finding::{DurationRange, Effect};

use crate::case::Case;
use crate::steps::Standing;

/// Bytes per second that a scan reads: rows from memory or a fast local disk, and from slow network storage.
const SCAN_BYTES_PER_SECOND: (u64, u64) = (1_000_000_000, 150_000_000);
/// Bytes per second of a rewrite, which also writes a log and builds every index anew.
const REWRITE_BYTES_PER_SECOND: (u64, u64) = (100_000_000, 20_000_000);

/// Puts the duration into a case's effect, where the work is long enough to have one and the sizes are known.
pub(crate) fn estimate(case: &mut Case<'_>) {
    let bytes = bytes(case);
    if let Fact::Known(effect) = &mut case.prediction.effect {
        effect.duration = bytes.and_then(|bytes| of(effect, bytes));
    }
}

/// Bytes of the table and of the others that the work is over.
fn bytes(case: &Case<'_>) -> Option<u64> {
    let Standing::Present(facts) = &case.standing else {
        return None;
    };
    let mut bytes = *facts.bytes.known()?;
    for other in &case.prediction.also {
        if let Some(facts) = case.facts_of(other) {
            bytes = bytes.saturating_add(*facts.bytes.known()?);
        }
    }
    Some(bytes)
}

/// How long an effect takes on so many bytes; `None`: an instant.
pub(crate) fn of(effect: &Effect, bytes: u64) -> Option<DurationRange> {
    let (fast, slow) = match (effect.rewrite, effect.scan) {
        // A file that is merely replaced (TRUNCATE) is no work.
        (true, true) => REWRITE_BYTES_PER_SECOND,
        (false, true) => SCAN_BYTES_PER_SECOND,
        (_, false) => return None,
    };
    Some(DurationRange {
        from: Duration::from_secs(bytes / fast),
        to: Duration::from_secs(bytes / slow),
    })
}
