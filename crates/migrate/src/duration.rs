//! Durations as people and Go programs write them: `5s`, `500ms`, `1m30s`, and plain milliseconds.
//!
//! It deliberately knows no fractions and no days: nothing here waits for `0.5d`.

use std::time::Duration;

/// Why a duration cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a number with a unit, nor a plain number.
    #[error("it is not a duration")]
    Malformed,
    /// Larger than what it is for.
    #[error("it is too long")]
    TooLong,
}

/// Reads `text`; a number without a unit is in milliseconds.
///
/// # Errors
/// [`DurationError`].
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Malformed);
    }
    let mut total_ms = 0_u64;
    let mut rest = text;
    let mut first = true;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        if number.is_empty() {
            return Err(DurationError::Malformed);
        }
        let number: u64 = number.parse().map_err(|_| DurationError::TooLong)?;
        let letters = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit_ms = match unit {
            // Only a number that stands alone is in milliseconds: 1m30 would be a guess.
            "" if first => 1,
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(DurationError::Malformed),
        };
        let part = number.checked_mul(unit_ms).ok_or(DurationError::TooLong)?;
        total_ms = total_ms.checked_add(part).ok_or(DurationError::TooLong)?;
        rest = after;
        first = false;
    }
    Ok(Duration::from_millis(total_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms() {
        let ms = |text: &str| parse(text).map(|read| read.as_millis());
        assert_eq!(ms("5s"), Ok(5000));
        assert_eq!(ms("5000"), Ok(5000));
        assert_eq!(ms("0"), Ok(0));
        assert_eq!(ms("250ms"), Ok(250));
        assert_eq!(ms("1h2m3s4ms"), Ok(3_723_004));
        assert_eq!(ms("1m0s"), Ok(60_000));
        for text in ["", "s", "5 s", "-5s", "1m30", "1.5s", "5S", "5d", "s5"] {
            assert_eq!(ms(text), Err(DurationError::Malformed), "{text}");
        }
        assert_eq!(ms("99999999999999999999"), Err(DurationError::TooLong));
        assert_eq!(ms("9999999999999999h"), Err(DurationError::TooLong));
    }
}
