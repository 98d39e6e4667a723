//! The clock of the automation: durations to show, deadlines to keep, today's date for a page.
//!
//! The library crates take time as an argument; xtask is a shell and may look at a clock, here alone.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point of monotonic time.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask is a shell: this is where it reads its clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, UTC.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask is a shell: this is where it reads its clock"
)]
fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Today's date, UTC, as `2026-03-14`.
pub(crate) fn today() -> String {
    let (year, month, day) = civil(unix_seconds() / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A duration as a person reads it: `0.4 s`, `12.3 s`, `2 min 05 s`.
pub(crate) fn spell(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

/// Year, month and day of the proleptic Gregorian calendar, from days since 1970-01-01.
/// The method is Howard Hinnant's `civil_from_days`, for days that are not negative.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_come_out_right_around_leap_days() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(19_783), (2024, 3, 1));
        assert_eq!(civil(20_818), (2026, 12, 31));
    }

    #[test]
    fn durations_are_spelled_for_people() {
        assert_eq!(spell(Duration::from_millis(420)), "0.4 s");
        assert_eq!(spell(Duration::from_secs(125)), "2 min 05 s");
    }
}
