//! The one number that a user's query gives, or why it gives none. What it gives instead is never repeated: it may be data.

use std::time::Duration;

use dbop_model::{Fact, Why};

use crate::error::DatabaseError;

/// So many rows are asked for: more than one is one too many.
pub const ROWS: usize = 2;

/// Reads the number out of what a query gave, rows of columns as text.
///
/// ```
/// use dbop_database::number;
/// use dbop_model::Fact;
///
/// let one = |text: &str| vec![vec![Some(text.to_owned())]];
/// assert_eq!(number::of_rows(&one("12.5")), Fact::Known(12.5));
/// assert!(number::of_rows(&one("many")).unknown().is_some());
/// ```
pub fn of_rows(rows: &[Vec<Option<String>>]) -> Fact<f64> {
    let unknown = |why: &str| Fact::Unknown(Why::new(why));
    match rows {
        [] => unknown("the query gives no row; one is needed, as count(*) and sum() give"),
        [row] => match row.as_slice() {
            [Some(text)] => match number(text) {
                Some(value) => Fact::Known(value),
                None => unknown("the query gives something else than a number"),
            },
            [None] => unknown("the query gives NULL; COALESCE gives a number instead"),
            columns => unknown(&format!(
                "the query gives {} columns; one is needed",
                columns.len()
            )),
        },
        _ => unknown("the query gives more than one row; LIMIT 1 or an aggregate gives one"),
    }
}

/// A truth is a number, too, as PostgreSQL writes it.
fn number(text: &str) -> Option<f64> {
    match text {
        "t" => Some(1.0),
        "f" => Some(0.0),
        text => text.trim().parse().ok(),
    }
}

/// Why a query that failed gives no number.
///
/// # Errors
/// The error itself where the session has ended.
pub fn of_error(error: DatabaseError, limit: Duration) -> Result<Fact<f64>, DatabaseError> {
    let why = match error {
        lost @ DatabaseError::Lost { .. } => return Err(lost),
        DatabaseError::Timeout { .. } => {
            format!("the query took longer than {} s", limit.as_secs_f64())
        }
        DatabaseError::Server { code, message, .. } => {
            format!("the query failed: {message} ({code})")
        }
        other => other.to_string(),
    };
    Ok(Fact::Unknown(Why::new(why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rows: &[&[Option<&str>]], expect: Result<f64, &str>) {
        let rows: Vec<Vec<Option<String>>> = rows
            .iter()
            .map(|row| row.iter().map(|text| text.map(str::to_owned)).collect())
            .collect();
        match (of_rows(&rows), expect) {
            (Fact::Known(value), Ok(expect)) => assert_eq!(value, expect),
            (Fact::Unknown(why), Err(part)) => assert!(why.to_string().contains(part), "{why}"),
            (given, expect) => panic!("{given:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn one_number_is_one() {
        check(&[&[Some("7")]], Ok(7.0));
        check(&[&[Some("-0.25")]], Ok(-0.25));
        check(&[&[Some("1e3")]], Ok(1000.0));
        check(&[&[Some("t")]], Ok(1.0));
        check(&[&[Some("Infinity")]], Ok(f64::INFINITY));
    }

    #[test]
    fn anything_else_is_told_without_showing_it() {
        check(&[], Err("no row"));
        check(&[&[None]], Err("COALESCE"));
        check(&[&[Some("1")], &[Some("2")]], Err("more than one row"));
        check(&[&[Some("1"), Some("2")]], Err("2 columns"));
        check(&[&[]], Err("0 columns"));
        let Fact::Unknown(why) = of_rows(&[vec![Some("hunter2".to_owned())]]) else {
            panic!("it is no number");
        };
        assert!(!why.to_string().contains("hunter2"), "{why}");
    }
}
