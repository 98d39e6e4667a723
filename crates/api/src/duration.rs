//! Durations as people write them: `500ms`, `5s`, `1m`, `1h30m`.

use std::time::Duration;

/// Units, the longest first, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration: whole numbers, each with a unit (`ms`, `s`, `m`, `h`), added up. `None`: it is
/// none.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(dbop_api::duration::parse("1m30s"), Some(Duration::from_secs(90)));
/// assert_eq!(dbop_api::duration::parse("90"), None);
/// ```
pub fn parse(text: &str) -> Option<Duration> {
    let mut total_ms: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (_, factor) = UNITS.iter().find(|(unit, _)| *unit == &rest[..end])?;
        total_ms = total_ms.checked_add(number.checked_mul(*factor)?)?;
        rest = &rest[end..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(total_ms))
}

/// Writes a duration so that [`parse`] reads it back, to the millisecond: `1m30s`.
pub fn format(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, factor) in UNITS {
        if left / factor > 0 {
            text.push_str(&format!("{}{unit}", left / factor));
            left %= factor;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect_ms: Option<u64>) {
        assert_eq!(parse(text), expect_ms.map(Duration::from_millis), "{text}");
    }

    #[test]
    fn durations_are_read() {
        check("500ms", Some(500));
        check("5s", Some(5_000));
        check("1m", Some(60_000));
        check("1h30m", Some(5_400_000));
        check("0s", Some(0));
        for none in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "1.5s",
            "5sec",
            "5S",
            "99999999999999999999s",
        ] {
            check(none, None);
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for ms in [0, 1, 999, 1_000, 60_000, 90_500, 3_600_000, 86_400_001] {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse(&format(duration)), Some(duration));
        }
        assert_eq!(format(Duration::from_secs(90)), "1m30s");
    }
}
