//! Turns the server's answers into facts. It never panics on them: `None` is an answer that cannot be read.

use std::time::Duration;

use dbop_model::Fact;
use dbop_model::Why;
use dbop_model::table::{
    Casts, ColumnFacts, ColumnName, Generated, NullProbe, TableKind, TableName, TypeFacts,
    Volatility,
};
use tokio_postgres::Row;

/// A relation that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) oid: u32,
    /// With its schema.
    pub(super) name: TableName,
    pub(super) kind: TableKind,
}

impl Located {
    /// Its schema and a comma, as a search path has them.
    pub(super) fn schema_in_path(&self) -> String {
        let schema = self.name.schema();
        schema.map_or_else(String::new, |schema| format!("{}, ", quoted(schema)))
    }
}

/// The schema that a name without one means, where several have it: it is in everybody's search path.
const DEFAULT_SCHEMA: &str = "public";

pub(super) fn located(row: &Row) -> Option<Located> {
    let schema: String = row.try_get(1).ok()?;
    let name: String = row.try_get(2).ok()?;
    let kind: String = row.try_get(3).ok()?;
    Some(Located {
        oid: row.try_get(0).ok()?,
        name: TableName::new(Some(&schema), &name).ok()?,
        kind: match kind.as_str() {
            "r" => TableKind::Ordinary,
            "p" => TableKind::Partitioned,
            _ => TableKind::Other,
        },
    })
}

/// The relation that a name means.
pub(super) fn choose(name: &TableName, mut found: Vec<Located>) -> Result<Option<Located>, Why> {
    if found.len() > 1 {
        match found
            .iter()
            .position(|l| l.name.schema() == Some(DEFAULT_SCHEMA))
        {
            Some(at) => return Ok(Some(found.swap_remove(at))),
            None => {
                let names: Vec<String> = found.iter().map(|l| l.name.to_string()).collect();
                return Err(Why::new(format!(
                    "{name} can be any of {}: write its schema in the operation",
                    names.join(", ")
                )));
            }
        }
    }
    Ok(found.pop())
}

/// A column, and whether its type is composite.
pub(super) struct Column {
    pub(super) name: ColumnName,
    pub(super) facts: ColumnFacts,
    pub(super) composite: bool,
}

pub(super) fn column(row: &Row, checks: &[(String, String)]) -> Option<Column> {
    let name: String = row.try_get(0).ok()?;
    let composite: bool = row.try_get(4).ok()?;
    let generated: String = row.try_get(6).ok()?;
    // To the server a CHECK on all fields of a composite value is no proof.
    let proof = checks
        .iter()
        .find(|(_, definition)| !composite && proves(definition, &name));
    Some(Column {
        facts: ColumnFacts {
            sql_type: row.try_get(1).ok()?,
            nullable: row.try_get(2).ok()?,
            has_default: row.try_get(3).ok()?,
            proven_not_null_by: proof.map(|(check, _)| check.clone()),
            charset: None,
            collation: row.try_get(5).ok()?,
            generated: match generated.as_str() {
                "s" => Some(Generated::Stored),
                "v" => Some(Generated::Virtual),
                _ => None,
            },
            computed: None,
        },
        name: ColumnName::new(&name).ok()?,
        composite,
    })
}

pub(super) fn check(row: &Row) -> Option<(String, String)> {
    Some((row.try_get(0).ok()?, row.try_get(1).ok()?))
}

/// Does a CHECK, as `pg_get_constraintdef` writes it, prove a column NOT NULL as the server sees it: is
/// `(column IS NOT NULL)` it, or one of the terms of its AND?
fn proves(definition: &str, column: &str) -> bool {
    let Some(whole) = definition
        .strip_prefix("CHECK (")
        .and_then(|d| d.strip_suffix(')'))
    else {
        return false;
    };
    let plain = format!("({column} IS NOT NULL)");
    let quoted = format!("({} IS NOT NULL)", quoted(column));
    terms(whole)
        .iter()
        .any(|term| *term == plain || *term == quoted)
}

/// The terms of `(a AND b AND c)`, or the expression itself.
fn terms(expression: &str) -> Vec<&str> {
    let inner = expression
        .strip_prefix('(')
        .and_then(|e| e.strip_suffix(')'))
        .unwrap_or(expression);
    let mut terms = Vec::new();
    let mut start = 0;
    let mut depth = 0_i32;
    let mut quote = None;
    for (at, c) in inner.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth -= 1,
            (None, ' ') if depth == 0 && inner[at..].starts_with(" AND ") => {
                terms.push(&inner[start..at]);
                start = at + " AND ".len();
            }
            _ => {}
        }
        if depth < 0 {
            // What was taken for an enclosing pair is two: `(a) AND (b)`.
            return vec![expression];
        }
    }
    if terms.is_empty() {
        return vec![expression];
    }
    terms.push(&inner[start..]);
    terms
}

/// Size of a table with its partitions.
pub(super) struct Size {
    pub(super) bytes: u64,
    /// By the statistics; `None`: a part of it was never analysed.
    pub(super) rows: Option<u64>,
    pub(super) foreign: bool,
    pub(super) age: Option<Duration>,
}

pub(super) fn size(row: &Row) -> Option<Size> {
    let bytes: i64 = row.try_get(0).ok()?;
    let rows: f64 = row.try_get(1).ok()?;
    let never_analysed: bool = row.try_get(2).ok()?;
    let age: Option<f64> = row.try_get(4).ok()?;
    Some(Size {
        bytes: bytes.try_into().ok()?,
        // `as` cuts what is out of range to the nearest number, and NaN to zero.
        rows: (!never_analysed).then_some(rows.round() as u64),
        foreign: row.try_get(3).ok()?,
        age: age.and_then(seconds),
    })
}

/// The estimate in the first line of EXPLAIN: `Seq Scan on t  (cost=0.00..35.50 rows=2550 width=4)`.
pub(super) fn planned_rows(line: &str) -> Option<u64> {
    let after = line.rsplit_once(" rows=")?.1;
    after.split_once(' ')?.0.parse().ok()
}

pub(super) fn boolean(text: Option<&String>) -> Option<bool> {
    match text?.as_str() {
        "t" => Some(true),
        "f" => Some(false),
        _ => None,
    }
}

pub(super) fn null_probe(answer: &[String]) -> Option<NullProbe> {
    let took: f64 = answer.get(1)?.parse().ok()?;
    Some(NullProbe {
        found: boolean(answer.first())?,
        took: seconds(took)?,
    })
}

pub(super) fn seconds(number: f64) -> Option<Duration> {
    // A clock that was set back gives a negative age.
    Duration::try_from_secs_f64(number.max(0.0)).ok()
}

/// Names of columns, as an array.
pub(super) fn names(row: &Row, at: usize) -> Option<Vec<ColumnName>> {
    let names: Vec<String> = row.try_get(at).ok()?;
    names
        .iter()
        .map(|name| ColumnName::new(name).ok())
        .collect()
}

/// The inner `None`: there is no such type.
pub(super) fn type_facts(row: &Row) -> Option<Option<TypeFacts>> {
    let exists: bool = row.try_get(0).ok()?;
    let facts = TypeFacts {
        constrained_domain: row.try_get(1).ok()?,
        domain_default: row.try_get(2).ok()?,
        domain_not_null: row.try_get(3).ok()?,
        base: row.try_get(4).ok()?,
        casts: Fact::Known(Casts {
            needs_using: names(row, 5)?,
            stored_alike: names(row, 6)?,
        }),
    };
    Some(exists.then_some(facts))
}

/// The inner `None`: there is no such function.
pub(super) fn volatility(row: &Row) -> Option<Option<Volatility>> {
    let worst: Option<i32> = row.try_get(0).ok()?;
    match worst {
        None => Some(None),
        Some(1) => Some(Some(Volatility::Immutable)),
        Some(2) => Some(Some(Volatility::Stable)),
        Some(3) => Some(Some(Volatility::Volatile)),
        Some(_) => None,
    }
}

/// Why a fact is unknown, from the server's error; `None`: the server ends the connection. Its message is
/// repeated only where it speaks of objects, never where it could hold a value of a row.
pub(super) fn refusal(code: &str, message: &str, timeout: Duration) -> Option<Why> {
    Some(match code {
        "57014" => Why::new(format!("the probe took longer than {}", in_words(timeout))),
        "55P03" => Why::passing("another session holds a lock that is in the way"),
        "42P01" => Why::passing("the table went away while it was looked at"),
        "42501" => Why::new(format!("{message}; let the admin read it")),
        _ if code.starts_with("57P") || code.starts_with("08") => return None,
        _ if code.starts_with("42") || code.starts_with("53") => {
            Why::new(format!("the server says: {message} ({code})"))
        }
        _ => Why::new(format!("{ANSWERS_WITH}{code}")),
    })
}

const ANSWERS_WITH: &str = "the server answers with error ";

/// Was it a value of a row that the server could not compute with (class 22, manual, appendix A), or that a domain does
/// not allow?
pub(super) fn is_about_a_value(why: &Why) -> bool {
    why.to_string()
        .strip_prefix(ANSWERS_WITH)
        .is_some_and(|code| code.starts_with("22") || matches!(code, "23502" | "23514"))
}

fn in_words(timeout: Duration) -> String {
    if timeout.subsec_millis() == 0 {
        format!("{} s", timeout.as_secs())
    } else {
        format!("{} ms", timeout.as_millis())
    }
}

/// A name as a statement must hold it, whatever is in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(crate) fn quoted_table(table: &TableName) -> String {
    match table.schema() {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(table.name())),
        None => quoted(table.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_proof(definition: &str, column: &str, expect: bool) {
        assert_eq!(
            proves(definition, column),
            expect,
            "{definition} about {column}"
        );
    }

    #[test]
    fn proofs_of_not_null() {
        check_proof("CHECK ((email IS NOT NULL))", "email", true);
        check_proof("CHECK ((\"e mail\" IS NOT NULL))", "e mail", true);
        check_proof("CHECK (((a IS NOT NULL) AND (b > 0)))", "a", true);
        check_proof(
            "CHECK (((b > 0) AND (c = ' AND ('::text) AND (a IS NOT NULL)))",
            "a",
            true,
        );
        check_proof("CHECK ((email IS NOT NULL)) NOT VALID", "email", false);
        check_proof("CHECK ((email > 0))", "email", false);
        check_proof("CHECK (((a IS NOT NULL) OR (b IS NOT NULL)))", "a", false);
        check_proof("CHECK (((a IS NOT NULL) = (b IS NOT NULL)))", "a", false);
        check_proof("CHECK ((NOT (a IS NOT NULL)))", "a", false);
        check_proof(
            "CHECK (((b = ' AND (a IS NOT NULL) AND '::text) AND (c > 0)))",
            "a",
            false,
        );
        check_proof(
            "CHECK (((c > 0) AND ((a IS NOT NULL) OR (b > 0))))",
            "a",
            false,
        );
        check_proof("FOREIGN KEY (a) REFERENCES b(a)", "a", false);
    }

    #[test]
    fn the_planners_rows() {
        let line = "Append  (cost=0.00..35.50 rows=2550 width=4)";
        assert_eq!(planned_rows(line), Some(2550));
        let odd = "Seq Scan on \" rows=1 \"  (cost=0.00..35.50 rows=7 width=4)";
        assert_eq!(planned_rows(odd), Some(7));
        assert_eq!(planned_rows("Result"), None);
    }

    #[test]
    fn a_name_in_several_schemas() {
        let name = |text: &str| text.parse::<TableName>().unwrap();
        let at = |text: &str| Located {
            oid: 1,
            name: name(text),
            kind: TableKind::Ordinary,
        };
        assert_eq!(choose(&name("t"), vec![]), Ok(None));
        assert_eq!(choose(&name("t"), vec![at("app.t")]), Ok(Some(at("app.t"))));
        let found = vec![at("app.t"), at("public.t")];
        assert_eq!(choose(&name("t"), found), Ok(Some(at("public.t"))));
        let why = choose(&name("t"), vec![at("a.t"), at("b.t")]).unwrap_err();
        assert_eq!(
            why.to_string(),
            "t can be any of a.t, b.t: write its schema in the operation"
        );
    }

    #[test]
    fn refusals_in_words() {
        let words = |code, message| {
            refusal(code, message, Duration::from_secs(5))
                .map(|why| (why.to_string(), why.is_passing()))
        };
        let slow = ("the probe took longer than 5 s".to_owned(), false);
        assert_eq!(
            words("57014", "canceling statement due to statement timeout"),
            Some(slow)
        );
        assert!(words("55P03", "").unwrap().1);
        let denied = words("42501", "permission denied for table users").unwrap();
        assert_eq!(
            denied.0,
            "permission denied for table users; let the admin read it"
        );
        let value = words("22P02", "invalid input syntax for type integer: \"secret\"").unwrap();
        assert_eq!(value.0, "the server answers with error 22P02");
        assert_eq!(words("57P01", "terminating connection"), None);
    }

    #[test]
    fn names_are_quoted() {
        let odd = TableName::new(Some("a\"b"), "c.d").unwrap();
        assert_eq!(quoted_table(&odd), "\"a\"\"b\".\"c.d\"");
    }
}
