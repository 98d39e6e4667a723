//! Definitions of columns that the server refuses by themselves: a default that is no value of its type, a length that no
//! row has room for (MySQL 8.4 manual, sections 13.6 and 10.4.7; errors 1063, 1067, 1074, 1101).

use dbop_model::operation::{Column, Filled, ServerDefault, SqlType};
use dbop_model::table::TableFacts;
use dbop_model::{Engine, Fact};

use super::Form;
use super::types::Type;
use super::{computed, known};
use crate::case::Case;
use crate::effect::Class;

/// Bytes of a row's columns, whatever else it holds.
pub(super) const ROW_BYTES_MAX: u64 = 65_535;

/// About what the time that it is comes to as a number.
const NOW_AS_NUMBER: f64 = 2.1e13;

/// Why the server refuses a definition, where it does. `nullable`: may the column hold NULL afterwards; `charset`: what its
/// text is written in, where that is known.
pub(super) fn refused(
    case: &Case<'_>,
    facts: &TableFacts,
    column: &Column,
    old_type: Option<&str>,
    nullable: bool,
    charset: Option<&str>,
) -> Option<Class<Form>> {
    if let Some(refused) = known::refused_column_letters(case, column)
        .or_else(|| computed::refused_column(case, facts, column))
    {
        return Some(refused);
    }
    let filled = column.sql_type.as_ref().map(SqlType::filled);
    let written = column.sql_type.as_ref().map(SqlType::name).or(old_type)?;
    let of = Type::read(written)?;
    let name = &column.name;
    if column.sql_type.is_some()
        && let Some(refused) = known::refused_type(case, &of, written)
    {
        return Some(refused);
    }
    let refused = |why: String, advice: &str| Some(Class::refused(why, advice));
    let default = match &column.default {
        ServerDefault::Expression(text) => Some(text.trim()),
        ServerDefault::NotSaid | ServerDefault::Absent | ServerDefault::Present => None,
    };
    if matches!(filled, Some(Filled::AutoIncrement)) {
        if default.is_some() {
            return refused(
                format!("{name} counts on by itself, and cannot have a default (error 1067)"),
                "leave the default out",
            );
        }
        if !of.is_number() {
            return refused(
                format!("{name} is no number, and cannot count on (error 1063)"),
                "use an integer type",
            );
        }
    }
    if let Some(own) = of.row_bytes(charset).filter(|_| column.sql_type.is_some()) {
        let others = facts.columns.iter().filter(|(known, _)| *known != name);
        let others = others.filter_map(|(_, known)| {
            Type::read(&known.sql_type)?.row_bytes(known.charset.as_deref())
        });
        if own + others.sum::<u64>() > ROW_BYTES_MAX {
            return refused(
                format!(
                    "with {written} a row takes more than {ROW_BYTES_MAX} bytes (errors 1074, 1118)"
                ),
                "use TEXT or BLOB, of which a row holds a pointer",
            );
        }
    }
    let default = default?;
    if default.eq_ignore_ascii_case("null") {
        return if nullable {
            None
        } else {
            refused(
                format!("{name} cannot hold NULL, and NULL is no default for it (error 1067)"),
                "leave the default out, or give it a value",
            )
        };
    }
    let mysql = case.server.engine == Engine::MySql;
    let literal = Literal::read(default)?;
    if mysql && of.has_no_literal_default() {
        return refused(
            format!("{written} can have no default but an expression (error 1101)"),
            "write the default in parentheses: DEFAULT ('...')",
        );
    }
    let strict = case.strict();
    let zero = case.zero_dates();
    let zero_dates = !mysql || zero == Fact::Known(true) || strict == Fact::Known(false);
    if fits(&of, &literal, mysql, zero_dates) {
        return None;
    }
    // MariaDB finds out about the clock where it fills a row, and a server that is not strict bends it.
    let filled_by_clock = !mysql && matches!(literal, Literal::Now(_));
    if filled_by_clock && (case.is_empty() || old_type.is_some() || strict != Fact::Known(true)) {
        return None;
    }
    refused(
        format!("its default is no value of the type {written} (error 1067)"),
        "correct the default or the type",
    )
}

/// A constant as a statement has it.
#[derive(Debug, Clone, PartialEq)]
enum Literal {
    Text(String),
    Number(f64),
    /// The clock, with so many digits of a second.
    Now(u32),
}

impl Literal {
    fn read(text: &str) -> Option<Literal> {
        if let Some(inner) = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
            // What a backslash means depends on sql_mode.
            let plain = !inner.contains('\\') && !inner.replace("''", "").contains('\'');
            return plain.then(|| Literal::Text(inner.replace("''", "'")));
        }
        if let Ok(number) = text.replace(' ', "").parse::<f64>() {
            return text
                .starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
                .then_some(Literal::Number(number));
        }
        let lower = text.to_lowercase();
        let (name, inside) = match lower.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.trim_end_matches(')').trim()),
            None => (lower.as_str(), ""),
        };
        let clocks = ["now", "current_timestamp", "localtime", "localtimestamp"];
        let digits = if inside.is_empty() {
            Some(0)
        } else {
            inside.parse().ok()
        };
        digits.filter(|_| clocks.contains(&name)).map(Literal::Now)
    }
}

/// Is it a value of the type? What is not known to be none counts as one.
fn fits(of: &Type, literal: &Literal, mysql: bool, zero_dates: bool) -> bool {
    // A fraction is rounded to an integer, and to the digits of a DECIMAL.
    let whole = |number: f64| {
        if of.is_number() {
            number.round()
        } else {
            number
        }
    };
    match literal {
        Literal::Now(digits) if mysql => of.second_digits() == Some(*digits),
        // MariaDB converts the time that it is, to whatever type: a number of 14 digits, a text of 19 letters.
        Literal::Now(digits) => {
            let fraction = if *digits > 0 { digits + 1 } else { 0 };
            of.range().is_none_or(|(_, to)| to > NOW_AS_NUMBER)
                && of
                    .letters()
                    .is_none_or(|length| length >= u64::from(19 + fraction))
                && of.list().is_none()
        }
        Literal::Number(number) if of.base() == "year" => is_year(*number),
        Literal::Number(number) => match of.range() {
            Some((from, to)) => (from..=to).contains(&whole(*number)),
            None => true,
        },
        Literal::Text(text) => {
            if let Some((from, to)) = of.range() {
                return match text.trim().parse::<f64>() {
                    Ok(number) => (from..=to).contains(&whole(number)),
                    Err(_) => false,
                };
            }
            if of.is_date() {
                return is_date(text, zero_dates);
            }
            if of.base() == "time" {
                return is_time(text);
            }
            if let Some(values) = of.list() {
                let is_there = |name: &&str| values.iter().any(|v| v.eq_ignore_ascii_case(name));
                return of.named(text).iter().all(is_there);
            }
            of.letters()
                .is_none_or(|length| text.trim_end().chars().count() as u64 <= length)
        }
    }
}

/// Is a text a span of hours, minutes and seconds? Other spellings than `hh:mm:ss` are taken for one.
fn is_time(text: &str) -> bool {
    let parts: Vec<&str> = text.trim().trim_start_matches('-').split(':').collect();
    let [hours, minutes, seconds] = parts.as_slice() else {
        return true;
    };
    let number = |text: &str| text.parse::<f64>().ok();
    match (number(hours), number(minutes), number(seconds)) {
        (Some(hours), Some(minutes), Some(seconds)) => {
            hours <= 838.0 && minutes < 60.0 && seconds < 60.0
        }
        _ => false,
    }
}

/// Is a number a year (MySQL 8.4 manual, section 13.2.4)?
fn is_year(number: f64) -> bool {
    (0.0..=99.0).contains(&number) || (1901.0..=2155.0).contains(&number)
}

/// Does a text begin with a date that there is? Other spellings than `2026-01-31` are taken for one.
fn is_date(text: &str, zero_dates: bool) -> bool {
    let day = text.trim().split([' ', 'T']).next().unwrap_or_default();
    let parts: Vec<&str> = day.split('-').collect();
    let [year, month, day] = parts.as_slice() else {
        return true;
    };
    let (Ok(year), Ok(month), Ok(day)) = (
        year.parse::<u32>(),
        month.parse::<u32>(),
        day.parse::<u32>(),
    ) else {
        return false;
    };
    if (year, month, day) == (0, 0, 0) {
        return zero_dates;
    }
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql_type: &str, default: &str, mysql: bool, expect: bool) {
        let of = Type::read(sql_type).unwrap();
        let literal = Literal::read(default).unwrap();
        assert_eq!(
            fits(&of, &literal, mysql, false),
            expect,
            "{sql_type} {default}"
        );
    }

    #[test]
    fn values_of_types() {
        for mysql in [true, false] {
            check("int", "5", mysql, true);
            check("int", "'5'", mysql, true);
            check("int", "'abc'", mysql, false);
            check("int", "''", mysql, false);
            check("tinyint", "300", mysql, false);
            check("int unsigned", "-1", mysql, false);
            check("boolean", "1", mysql, true);
            check("decimal(4,2)", "123.4", mysql, false);
            check("decimal(4,2)", "99.99", mysql, true);
            check("varchar(3)", "'abcdef'", mysql, false);
            check("varchar(3)", "'abc'", mysql, true);
            check("enum('p','q')", "'Q'", mysql, true);
            check("enum('p','q')", "'r'", mysql, false);
            check("year", "1800", mysql, false);
            check("year", "2026", mysql, true);
            check("time", "'25:61:00'", mysql, false);
            check("time", "'25:01:00'", mysql, true);
            check("set('p','q')", "'q,p'", mysql, true);
            check("set('p','q')", "''", mysql, true);
            check("set('p','q')", "'p,r'", mysql, false);
            check("date", "'2026-02-31'", mysql, false);
            check("date", "'2028-02-29'", mysql, true);
            check("datetime", "CURRENT_TIMESTAMP", mysql, true);
        }
        check("date", "CURRENT_TIMESTAMP", true, false);
        check("date", "CURRENT_TIMESTAMP", false, true);
        check("int", "CURRENT_TIMESTAMP", false, false);
        check("bigint", "CURRENT_TIMESTAMP", false, true);
        check("varchar(10)", "now()", false, false);
        check("varchar(19)", "now()", false, true);
        check("enum('a')", "now()", false, false);
        check("datetime", "now(6)", true, false);
        check("timestamp(6)", "now(6)", true, true);
    }

    #[test]
    fn what_is_no_constant_is_not_judged() {
        for text in ["(1 + 1)", "uuid()", "b'0'", "'a\\'b'", "nan", "inf"] {
            assert_eq!(Literal::read(text), None, "{text}");
        }
    }
}
