//! Which values of a column a strict server refuses when the column's type is changed (MySQL 8.4 manual, sections 7.1.11
//! and 13): as a condition that such a row meets.
//!
//! Types are read from the catalogue and from the statement; only numbers and strings of theirs go into the condition, and
//! strings are quoted anew.

use dbop_database::DatabaseError;
use dbop_model::Engine;

use crate::query::text;

/// What is known of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fit {
    /// Every value becomes one of the new type.
    Always,
    /// Rows that meet this condition do not.
    Unless(String),
    /// The server refuses the change of any value, or it is not known which it takes.
    NotKnown,
}

/// A type's name in lower case, the numbers in its parentheses or the strings, and whether it is unsigned.
pub(super) struct Type {
    pub(super) base: String,
    numbers: Vec<u32>,
    values: Vec<String>,
    unsigned: bool,
}

impl Type {
    pub(super) fn read(written: &str) -> Option<Type> {
        // As many bytes as before, so that places in the one are places in the other.
        let lower = written.trim().to_ascii_lowercase();
        let (head, inside, tail) = match lower.find('(') {
            None => (lower.as_str(), "", ""),
            Some(open) => {
                let close = lower.rfind(')')?;
                (
                    &lower[..open],
                    &written.trim()[open + 1..close],
                    &lower[close + 1..],
                )
            }
        };
        let words: Vec<&str> = head
            .split_whitespace()
            .chain(tail.split_whitespace())
            .collect();
        let unsigned = words.contains(&"unsigned");
        let name: Vec<&str> = words
            .into_iter()
            .filter(|word| !matches!(*word, "unsigned" | "signed" | "zerofill"))
            .collect();
        let base = match name.join(" ").as_str() {
            "bool" | "boolean" | "int1" => "tinyint",
            "int2" => "smallint",
            "int3" | "middleint" => "mediumint",
            "integer" | "int4" => "int",
            "int8" => "bigint",
            "dec" | "fixed" | "numeric" => "decimal",
            "double precision" | "real" | "float8" => "double",
            "float4" => "float",
            "character varying" => "varchar",
            "character" => "char",
            other => other,
        }
        .to_owned();
        let list = matches!(base.as_str(), "enum" | "set");
        let values = if list { strings(inside)? } else { Vec::new() };
        let numbers = if list {
            Vec::new()
        } else {
            let numbers = inside.split(',').map(str::trim).filter(|n| !n.is_empty());
            numbers
                .map(|n| n.parse().ok())
                .collect::<Option<Vec<u32>>>()?
        };
        Some(Type {
            base,
            numbers,
            values,
            unsigned,
        })
    }

    pub(super) fn number(&self, at: usize, otherwise: u32) -> u32 {
        self.numbers.get(at).copied().unwrap_or(otherwise)
    }

    pub(super) fn kind(&self) -> Kind {
        match self.base.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => Kind::Integer,
            "decimal" => Kind::Decimal,
            "float" | "double" => Kind::Float,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => Kind::Text,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Kind::Bytes,
            "enum" | "set" => Kind::Enum,
            "date" | "datetime" | "timestamp" => Kind::Date,
            _ => Kind::Other,
        }
    }

    /// The smallest and the largest value of an integer type.
    fn range(&self) -> Option<(i128, i128)> {
        let bits = match self.base.as_str() {
            "tinyint" => 8,
            "smallint" => 16,
            "mediumint" => 24,
            "int" => 32,
            "bigint" => 64,
            _ => return None,
        };
        Some(if self.unsigned {
            (0, (1_i128 << bits) - 1)
        } else {
            (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
        })
    }

    /// How many characters or bytes it holds.
    pub(super) fn holds(&self) -> Option<u64> {
        Some(match self.base.as_str() {
            "char" | "binary" => u64::from(self.number(0, 1)),
            "varchar" | "varbinary" => u64::from(self.number(0, 0)),
            "tinytext" | "tinyblob" => 255,
            "text" | "blob" => 65_535,
            "mediumtext" | "mediumblob" => 16_777_215,
            "longtext" | "longblob" => 4_294_967_295,
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Decimal,
    Float,
    Text,
    Bytes,
    Enum,
    Date,
    Other,
}

/// Types whose values are shapes.
const GEOMETRIES: [&str; 8] = [
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
];

/// A whole number as text.
const WHOLE_NUMBER: &str = "'^[[:space:]]*[-+]?[0-9]+$'";
/// A number as text, as the server takes it without a warning.
const NUMBER: &str =
    "'^[[:space:]]*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?[[:space:]]*$'";

/// What becomes of values of `column` (quoted), of the type `old`, in the type `new`.
///
/// # Errors
/// [`DatabaseError`] where a string of the new type cannot be quoted.
pub(super) fn fit(
    engine: Engine,
    column: &str,
    old: &str,
    new: &str,
) -> Result<Fit, DatabaseError> {
    let (Some(old), Some(new)) = (Type::read(old), Type::read(new)) else {
        return Ok(Fit::NotKnown);
    };
    let unless = |condition: String| Ok(Fit::Unless(condition));
    let within = |value: &str, range: (i128, i128)| {
        format!("{value} < {} OR {value} > {}", range.0, range.1)
    };
    match (old.kind(), new.kind()) {
        (Kind::Integer, Kind::Integer) => {
            let (Some(from), Some(to)) = (old.range(), new.range()) else {
                return Ok(Fit::NotKnown);
            };
            if to.0 <= from.0 && from.1 <= to.1 {
                return Ok(Fit::Always);
            }
            unless(within(column, to))
        }
        (Kind::Decimal | Kind::Float, Kind::Integer) => match new.range() {
            Some(to) => unless(within(&format!("ROUND({column})"), to)),
            None => Ok(Fit::NotKnown),
        },
        (Kind::Integer | Kind::Decimal | Kind::Float, Kind::Decimal) => {
            let (digits, scale) = (new.number(0, 10), new.number(1, 0));
            let whole = digits.saturating_sub(scale);
            let limit = format!("1{}", "0".repeat(whole as usize));
            let negative = if new.unsigned {
                format!(" OR {column} < 0")
            } else {
                String::new()
            };
            unless(format!(
                "ABS(ROUND({column}, {scale})) >= {limit}{negative}"
            ))
        }
        (Kind::Integer | Kind::Decimal | Kind::Float, Kind::Float) => Ok(Fit::Always),
        (Kind::Integer | Kind::Decimal, Kind::Text | Kind::Bytes) => match new.holds() {
            Some(holds) => unless(format!("CHAR_LENGTH(CAST({column} AS CHAR)) > {holds}")),
            None => Ok(Fit::NotKnown),
        },
        (Kind::Text, Kind::Integer) => match new.range() {
            Some(to) => {
                // MySQL rounds a text of a fraction, MariaDB refuses it.
                let number = match engine {
                    Engine::MariaDb => WHOLE_NUMBER,
                    _ => NUMBER,
                };
                let value = format!("ROUND(CAST({column} AS DECIMAL(65, 10)))");
                unless(format!(
                    "NOT ({column} REGEXP {number}) OR {}",
                    within(&value, to)
                ))
            }
            None => Ok(Fit::NotKnown),
        },
        (Kind::Text, Kind::Float) => unless(format!("NOT ({column} REGEXP {NUMBER})")),
        (Kind::Text, Kind::Decimal) => {
            let whole = new.number(0, 10).saturating_sub(new.number(1, 0));
            let limit = format!("1{}", "0".repeat(whole as usize));
            unless(format!(
                "NOT ({column} REGEXP {NUMBER}) OR ABS(CAST({column} AS DECIMAL(65, 10))) >= {limit}"
            ))
        }
        (Kind::Text, Kind::Text) => {
            let (Some(from), Some(to)) = (old.holds(), new.holds()) else {
                return Ok(Fit::NotKnown);
            };
            let counts_bytes = !matches!(new.base.as_str(), "char" | "varchar");
            if from <= to && (counts_bytes == !matches!(old.base.as_str(), "char" | "varchar")) {
                return Ok(Fit::Always);
            }
            let length = if counts_bytes {
                format!("LENGTH({column})")
            } else {
                format!("CHAR_LENGTH({column})")
            };
            unless(format!("{length} > {to}"))
        }
        (Kind::Text | Kind::Bytes, Kind::Bytes) => match new.holds() {
            Some(to) => unless(format!("LENGTH({column}) > {to}")),
            None => Ok(Fit::NotKnown),
        },
        // Of a SET, a value can be several.
        (_, Kind::Enum) if old.base == "set" => Ok(Fit::NotKnown),
        (Kind::Text | Kind::Enum, Kind::Enum) => {
            let values: Result<Vec<String>, _> = new.values.iter().map(|v| text(v)).collect();
            unless(format!("{column} NOT IN ({})", values?.join(", ")))
        }
        (Kind::Enum, Kind::Text) => match new.holds() {
            Some(to) => unless(format!("CHAR_LENGTH({column}) > {to}")),
            None => Ok(Fit::NotKnown),
        },
        (Kind::Enum, Kind::Integer) => match new.range() {
            Some(to) => unless(within(&format!("({column} + 0)"), to)),
            None => Ok(Fit::NotKnown),
        },
        (Kind::Text, Kind::Other) if new.base == "json" => {
            unless(format!("NOT JSON_VALID({column})"))
        }
        (Kind::Text, Kind::Other) if matches!(new.base.as_str(), "uuid" | "inet4" | "inet6") => {
            unless(format!(
                "{column} IS NOT NULL AND CAST({column} AS {}) IS NULL",
                new.base
            ))
        }
        (Kind::Bytes, Kind::Text) => match new.holds() {
            Some(to) => unless(format!(
                "CHAR_LENGTH(CONVERT({column} USING utf8mb4)) > {to}"
            )),
            None => Ok(Fit::NotKnown),
        },
        (Kind::Text | Kind::Integer, Kind::Date) => unless(format!(
            "{column} IS NOT NULL AND CAST({column} AS DATETIME) IS NULL"
        )),
        (Kind::Integer, Kind::Other) => unless(match new.base.as_str() {
            "year" => format!("NOT ({column} BETWEEN 0 AND 99 OR {column} BETWEEN 1901 AND 2155)"),
            "bit" => within(column, (0, (1_i128 << new.number(0, 1).min(64)) - 1)),
            base if GEOMETRIES.contains(&base) => format!("{column} IS NOT NULL"),
            _ => return Ok(Fit::NotKnown),
        }),
        // A number is a place in the list.
        (Kind::Integer, Kind::Enum) => {
            let places = i128::try_from(new.values.len()).unwrap_or_default();
            unless(within(column, (1, places)))
        }
        (Kind::Date, Kind::Other) if new.base == "time" => Ok(Fit::Always),
        (Kind::Date, Kind::Date) if new.base == "timestamp" && old.base != "timestamp" => unless(
            format!("{column} < '1970-01-01 00:00:01' OR {column} > '2038-01-19 03:14:07'"),
        ),
        (Kind::Date, Kind::Date) => Ok(Fit::Always),
        (Kind::Date, Kind::Text) => match new.holds() {
            Some(to) => unless(format!("CHAR_LENGTH({column}) > {to}")),
            None => Ok(Fit::NotKnown),
        },
        (Kind::Date, Kind::Integer) => match new.range() {
            Some(to) => unless(within(&format!("({column} + 0)"), to)),
            None => Ok(Fit::NotKnown),
        },
        (Kind::Other, Kind::Other) if old.base == new.base => Ok(Fit::Always),
        (Kind::Other, Kind::Other)
            if old.base == "geometry" && GEOMETRIES.contains(&new.base.as_str()) =>
        {
            Ok(Fit::Always)
        }
        (Kind::Other, Kind::Text) if old.base == "time" => match new.holds() {
            Some(to) => unless(format!("CHAR_LENGTH(CAST({column} AS CHAR)) > {to}")),
            None => Ok(Fit::NotKnown),
        },
        _ => Ok(Fit::NotKnown),
    }
}

/// The strings of a list: `'a','it''s'`, without quotes.
fn strings(inside: &str) -> Option<Vec<String>> {
    let (mut found, mut rest) = (Vec::new(), inside.trim());
    loop {
        rest = rest.strip_prefix('\'')?;
        let mut value = String::new();
        loop {
            let end = rest.find('\'')?;
            value.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('\'') {
                Some(more) => {
                    value.push('\'');
                    rest = more;
                }
                None => break,
            }
        }
        // What a backslash means depends on sql_mode.
        if value.contains('\\') {
            return None;
        }
        found.push(value);
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None => return rest.is_empty().then_some(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: &str, new: &str, expect: &str) {
        let got = match fit(Engine::MySql, "`c`", old, new).unwrap() {
            Fit::Always => "always".to_owned(),
            Fit::NotKnown => "not known".to_owned(),
            Fit::Unless(condition) => condition,
        };
        assert_eq!(got, expect, "{old} to {new}");
    }

    #[test]
    fn values_that_do_not_fit() {
        check("int(11)", "BIGINT", "always");
        check("int", "tinyint", "`c` < -128 OR `c` > 127");
        check("int", "INT UNSIGNED", "`c` < 0 OR `c` > 4294967295");
        check(
            "bigint unsigned",
            "int",
            "`c` < -2147483648 OR `c` > 2147483647",
        );
        check("int", "float", "always");
        check("decimal(10,2)", "decimal(4,2)", "ABS(ROUND(`c`, 2)) >= 100");
        check("varchar(10)", "varchar(20)", "always");
        check("varchar(20)", "varchar(10)", "CHAR_LENGTH(`c`) > 10");
        check("text", "tinytext", "LENGTH(`c`) > 255");
        check("varchar(20)", "json", "NOT JSON_VALID(`c`)");
        check(
            "enum('a','b')",
            "enum('b','it''s')",
            "`c` NOT IN ('b', 'it''s')",
        );
        check("enum('a')", "ENUM('a\\'b')", "not known");
        check("datetime", "date", "always");
        check("point", "int", "not known");
    }
}
