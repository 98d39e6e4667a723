//! Does a statement shut writers out of a large table that is under heavy writes, or do their changes overflow the log
//! of an online change? The judge that the heavy-writes rules share. It speaks only where the rate was measured.

use dbop_model::finding::{Effect, Finding, Lock, Verdict};
use dbop_model::operation::{Algorithm, Locking};
use dbop_model::table::{TableFacts, WriteRate};

use crate::case::Case;
use crate::judge::{advice, large_table};
use crate::size::{Size, bytes_in_words, per_second_in_words};
use crate::steps::Standing;

/// `innodb_online_alter_log_max_size` where nobody has set it (MySQL 8.4 manual, section 17.14).
const ONLINE_LOG_BYTES: u64 = 128 * 1024 * 1024;

/// Judges an operation by its predicted effect, the table's size and its writes.
pub(crate) fn judge(case: &Case<'_>, rule: &str, what: &str) -> Vec<Finding> {
    let Standing::Present(facts) = &case.standing else {
        return Vec::new();
    };
    let (Some(effect), Some(rate)) = (case.prediction.effect.known(), facts.writes.known()) else {
        return Vec::new();
    };
    if case.is_empty() || large_table::size(case, facts) != Size::Large {
        return Vec::new();
    }
    let heavy = case.policy.heavy_writes_per_second;
    let per_second = per_second_in_words(rate.per_second);
    let claim = if effect.blocks_writes && is_heavy(rate, heavy) {
        format!("{what}: writers wait meanwhile, and the table has {per_second}")
    } else if let Some((grows, bytes)) = overflow(case, facts, effect, rate) {
        format!(
            "{what}: the changes of others are kept until it is done, about {}, and the server \
             keeps at most {}, so it fails at the end",
            bytes_in_words(grows),
            bytes_in_words(bytes)
        )
    } else {
        return Vec::new();
    };
    vec![Finding {
        evidence: large_table::evidence(case, facts),
        effect: Some(effect.clone()),
        advice: advice::of(case),
        ..case.finding(rule, Verdict::Contends, claim)
    }]
}

/// Is a rate at or over a threshold?
pub(crate) fn is_heavy(rate: &WriteRate, per_second: u64) -> bool {
    // Thresholds are far below 2^53, where a float is exact.
    rate.per_second >= per_second as f64
}

/// Bytes of changes that others make during an online change in place, and how many the server keeps, where those are
/// fewer (MySQL 8.4 manual, section 17.12.3). A copy and an instant change keep none in that log.
fn overflow(
    case: &Case<'_>,
    facts: &TableFacts,
    effect: &Effect,
    rate: &WriteRate,
) -> Option<(u64, u64)> {
    let in_place = matches!(
        effect.algorithm,
        Some(Algorithm::InPlace | Algorithm::NoCopy)
    );
    if !in_place || effect.lock != Lock::Metadata(Locking::None) {
        return None;
    }
    let (bytes, rows) = (*facts.bytes.known()?, facts.rows.known()?.rows.max(1));
    let row_bytes = (bytes / rows).max(1);
    let seconds = effect.duration?.to.as_secs_f64();
    let grows = (rate.per_second * seconds * row_bytes as f64) as u64;
    let kept = case
        .settings()
        .known()
        .and_then(|settings| settings.online_log_bytes)
        .unwrap_or(ONLINE_LOG_BYTES);
    (grows > kept).then_some((grows, kept))
}
