//! Is a table large? By the policy's thresholds, from an estimate that says how good it is.

use std::time::Duration;

use dbop_model::Why;
use dbop_model::finding::HintPolicy;
use dbop_model::table::{RowSource, TableFacts};

/// How far the planner's guess at a table that was never analysed can be off, either way: 2.2 times was
/// seen with narrow rows.
const GUESS_FACTOR: u64 = 3;

/// How much more rows there can be than InnoDB's sample tells.
const SAMPLE_FACTOR: u64 = 2;

/// What a table's size means to the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Size {
    /// Below every threshold.
    Small,
    /// At or above one.
    Large,
    /// It cannot be said.
    Unknown(Why),
}

/// Weighs a table's size.
pub(crate) fn weigh(facts: &TableFacts, policy: &HintPolicy) -> Size {
    let rows = facts.rows.known();
    let bytes = facts.bytes.known().copied();
    // A table that may be large is judged as one: the estimate is all that there is, and it comes too low more often.
    let at_most = rows.map(|estimate| match estimate.source {
        RowSource::Sample => estimate.rows.saturating_mul(SAMPLE_FACTOR),
        RowSource::Statistics | RowSource::FirstPages | RowSource::PlannerGuess => estimate.rows,
    });
    if policy.is_large(at_most, bytes) {
        return Size::Large;
    }
    match facts.rows.as_result() {
        Err(why) => return Size::Unknown(why.clone()),
        Ok(estimate) => {
            let most = estimate.rows.saturating_mul(GUESS_FACTOR);
            if estimate.source == RowSource::PlannerGuess && policy.is_large(Some(most), None) {
                return Size::Unknown(Why::new(format!(
                    "the table was never analysed, and a guess of {} can be off by a factor of \
                     {GUESS_FACTOR}",
                    rows_in_words(estimate.rows)
                )));
            }
        }
    }
    match (policy.large_table_bytes, facts.bytes.as_result()) {
        (Some(_), Err(why)) => Size::Unknown(why.clone()),
        _ => Size::Small,
    }
}

/// The size as evidence: value and source.
pub(crate) fn in_words(facts: &TableFacts) -> Option<(String, String)> {
    let bytes = facts.bytes.known().map(|bytes| bytes_in_words(*bytes));
    match (facts.rows.known(), bytes) {
        (Some(estimate), bytes) => {
            let mut value = format!("about {}", rows_in_words(estimate.rows));
            if let Some(bytes) = bytes {
                value.push_str(", ");
                value.push_str(&bytes);
            }
            let source = match estimate.age {
                Some(age) => format!("{} ({} old)", estimate.source, age_in_words(age)),
                None => estimate.source.to_string(),
            };
            Some((value, source))
        }
        (None, Some(bytes)) => Some((bytes, "the table's files".to_owned())),
        (None, None) => None,
    }
}

/// "12.3 M rows".
pub(crate) fn rows_in_words(rows: u64) -> String {
    match rows {
        1 => "1 row".to_owned(),
        0..10_000 => format!("{rows} rows"),
        10_000..1_000_000 => format!("{} k rows", (rows + 500) / 1000),
        1_000_000..1_000_000_000 => format!("{} M rows", tenths(rows, 1_000_000)),
        _ => format!("{} G rows", tenths(rows, 1_000_000_000)),
    }
}

pub(crate) fn bytes_in_words(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", (bytes + 500) / 1000),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(bytes, 1_000_000)),
        _ => format!("{} GB", tenths(bytes, 1_000_000_000)),
    }
}

/// "310 writes/s".
pub(crate) fn per_second_in_words(per_second: f64) -> String {
    format!("{per_second:.0} writes/s")
}

fn tenths(value: u64, unit: u64) -> String {
    format!("{}.{}", value / unit, value % unit / (unit / 10))
}

/// "41 ms", "5 s", "3 min", "2 h", "12 d".
pub(crate) fn age_in_words(age: Duration) -> String {
    match age.as_secs() {
        0 => format!("{} ms", age.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use dbop_model::Fact;
    use dbop_model::table::{RowEstimate, TableKind};

    use super::*;

    fn facts(rows: Option<(u64, RowSource)>, bytes: Option<u64>) -> TableFacts {
        let unknown = || Why::new("permission denied");
        let mut facts = TableFacts::new(TableKind::Ordinary);
        facts.rows = match rows {
            Some((rows, source)) => Fact::Known(RowEstimate {
                rows,
                source,
                age: Some(Duration::from_secs(300)),
            }),
            None => Fact::Unknown(unknown()),
        };
        facts.bytes = bytes.map_or_else(|| Fact::Unknown(unknown()), Fact::Known);
        facts
    }

    #[track_caller]
    fn check(rows: Option<(u64, RowSource)>, bytes: Option<u64>, expect: &str) {
        let policy = HintPolicy {
            large_table_bytes: Some(1_000_000_000),
            ..HintPolicy::default()
        };
        let got = match weigh(&facts(rows, bytes), &policy) {
            Size::Small => "small".to_owned(),
            Size::Large => "large".to_owned(),
            Size::Unknown(why) => why.to_string(),
        };
        assert_eq!(got, expect, "{rows:?} {bytes:?}");
    }

    #[test]
    fn either_threshold_makes_a_table_large() {
        use RowSource::{PlannerGuess, Sample, Statistics};
        check(Some((999_999, Statistics)), Some(999_999_999), "small");
        check(Some((1_000_000, Statistics)), Some(0), "large");
        check(Some((1, Statistics)), Some(1_000_000_000), "large");
        check(None, Some(1_000_000_000), "large");
        check(None, Some(1), "permission denied");
        check(Some((1, Statistics)), None, "permission denied");
        check(Some((499_999, Sample)), Some(1), "small");
        check(Some((500_000, Sample)), Some(1), "large");
        check(Some((300_000, PlannerGuess)), Some(1), "small");
        check(
            Some((400_000, PlannerGuess)),
            Some(1),
            "the table was never analysed, and a guess of 400 k rows can be off by a factor of 3",
        );
        check(Some((1_000_000, PlannerGuess)), Some(1), "large");
    }

    #[test]
    fn sizes_read_well() {
        let (value, source) = in_words(&facts(
            Some((12_345_678, RowSource::Statistics)),
            Some(4_180_000_000),
        ))
        .unwrap();
        assert_eq!(value, "about 12.3 M rows, 4.1 GB");
        assert_eq!(source, "the server's statistics (5 min old)");
        assert_eq!(in_words(&facts(None, Some(8192))).unwrap().0, "8 kB");
        assert_eq!(in_words(&facts(None, None)), None);
        assert_eq!(rows_in_words(1), "1 row");
        assert_eq!(rows_in_words(2_500_000_000), "2.5 G rows");
        assert_eq!(age_in_words(Duration::from_millis(41)), "41 ms");
        assert_eq!(age_in_words(Duration::from_secs(200_000)), "2 d");
    }
}
