//! Numbers as people read them, in steps: what grows a little says the same.

use std::time::Duration;

/// Steps of a percentage.
const PERCENT_STEP: u64 = 5;
/// Names that stand in one sentence.
const NAMED_MAX: usize = 5;

/// How many percent `part` is of `whole`, rounded down; of nothing it is all.
pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 100;
    }
    let percent = u128::from(part) * 100 / u128::from(whole);
    u64::try_from(percent).unwrap_or(u64::MAX)
}

/// A percentage in steps of five.
pub(crate) fn step(percent: u64) -> u64 {
    percent - percent % PERCENT_STEP
}

/// A span in steps: the threshold, twice that, and so on.
pub(crate) fn span(age: Duration, threshold: Duration) -> String {
    let mut step = threshold.max(Duration::from_secs(1));
    while let Some(next) = step.checked_mul(2).filter(|next| *next <= age) {
        step = next;
    }
    duration(step)
}

/// A span with its two largest units.
pub(crate) fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let Some(first) = units.iter().position(|(_, size)| seconds >= *size) else {
        return format!("{}ms", span.as_millis());
    };
    let mut left = seconds;
    let mut text = String::new();
    for (unit, size) in units.iter().skip(first).take(2) {
        if left / size > 0 {
            text.push_str(&format!("{}{unit}", left / size));
            left %= size;
        }
    }
    text
}

/// Bytes with one digit that counts.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut left, mut unit) = (bytes, 0);
    while left >= 1024 && unit + 1 < units.len() {
        left /= 1024;
        unit += 1;
    }
    let digit = 10_u64.pow(left.checked_ilog10().unwrap_or(0));
    format!("{} {}", left / digit * digit, units[unit])
}

/// The first of some names, and how many more there are.
pub(crate) fn names(all: &[String], more: u64) -> String {
    let named = all.len().min(NAMED_MAX);
    let more = more + (all.len() - named) as u64;
    let mut text = all[..named].join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_grow_in_steps() {
        let minutes = |count: u64| Duration::from_secs(count * 60);
        for (age, text) in [
            (15, "15m"),
            (29, "15m"),
            (30, "30m"),
            (59, "30m"),
            (60, "1h"),
            (2000, "1d8h"),
        ] {
            assert_eq!(span(minutes(age), minutes(15)), text, "{age}");
        }
        assert_eq!(duration(Duration::from_secs(90_061)), "1d1h");
        assert_eq!(duration(Duration::from_millis(20)), "20ms");
    }

    #[test]
    fn bytes_and_percents() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1000 B"),
            (1 << 20, "1 MiB"),
            (129 << 30, "100 GiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(
            (percent(1, 3), percent(5, 0), step(84), step(85)),
            (33, 100, 80, 85)
        );
    }

    #[test]
    fn names_are_bounded() {
        let all: Vec<String> = (0..7).map(|n| format!("t{n}")).collect();
        assert_eq!(names(&all, 3), "t0, t1, t2, t3, t4 and 5 more");
        assert_eq!(names(&all[..1], 0), "t0");
    }
}
