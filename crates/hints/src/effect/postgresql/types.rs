//! Types of PostgreSQL: is a value of the one stored as a value of the other?
//!
//! By the server's own rule (`ATColumnChangeRequiresRewrite` and the casts of `pg_cast`), measured where it matters.

/// What a change of type does to the values that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Stored alike, sorted alike.
    Same,
    /// Stored alike; indexes are built anew.
    Reindexed,
    /// Stored alike where the session's time zone is UTC.
    InUtc,
    /// Stored in another way.
    Rewritten,
    /// One of the types is no type of PostgreSQL's own.
    Foreign,
}

/// A type as it reads once spelling is out of the way.
#[derive(Debug, PartialEq, Eq)]
struct Type {
    base: &'static str,
    /// `varchar(20)`: 20; `numeric(10,2)`: 10 and 2.
    numbers: Vec<u32>,
    array: bool,
}

/// Spellings, and the name that each stands for (manual, table 8.1).
const NAMES: &[(&str, &str)] = &[
    ("bigint", "bigint"),
    ("int8", "bigint"),
    ("bit", "bit"),
    ("bit varying", "varbit"),
    ("varbit", "varbit"),
    ("boolean", "boolean"),
    ("bool", "boolean"),
    ("box", "box"),
    ("bytea", "bytea"),
    ("character", "char"),
    ("char", "char"),
    ("bpchar", "bpchar"),
    ("character varying", "varchar"),
    ("varchar", "varchar"),
    ("cidr", "cidr"),
    ("circle", "circle"),
    ("date", "date"),
    ("double precision", "float8"),
    ("float8", "float8"),
    ("float", "float8"),
    ("inet", "inet"),
    ("integer", "integer"),
    ("int", "integer"),
    ("int4", "integer"),
    ("interval", "interval"),
    ("json", "json"),
    ("jsonb", "jsonb"),
    ("line", "line"),
    ("lseg", "lseg"),
    ("macaddr", "macaddr"),
    ("macaddr8", "macaddr8"),
    ("money", "money"),
    ("name", "name"),
    ("numeric", "numeric"),
    ("decimal", "numeric"),
    ("oid", "oid"),
    ("path", "path"),
    ("point", "point"),
    ("polygon", "polygon"),
    ("real", "float4"),
    ("float4", "float4"),
    ("smallint", "smallint"),
    ("int2", "smallint"),
    ("text", "text"),
    ("time", "time"),
    ("time without time zone", "time"),
    ("timetz", "timetz"),
    ("time with time zone", "timetz"),
    ("timestamp", "timestamp"),
    ("timestamp without time zone", "timestamp"),
    ("timestamptz", "timestamptz"),
    ("timestamp with time zone", "timestamptz"),
    ("tsquery", "tsquery"),
    ("tsvector", "tsvector"),
    ("uuid", "uuid"),
    ("xml", "xml"),
];

fn read(text: &str) -> Option<Type> {
    let lower = text.trim().to_lowercase();
    let lower = lower.strip_prefix("pg_catalog.").unwrap_or(&lower);
    // `"char"` is a type of its own, of one byte.
    if lower.contains('"') {
        return None;
    }
    let (bare, array) = match lower.find('[') {
        Some(at) => (lower[..at].trim_end(), true),
        None => (lower, false),
    };
    let (name, numbers) = match (bare.find('('), bare.find(')')) {
        (Some(open), Some(close)) if open < close => {
            let numbers: Result<Vec<u32>, _> = bare[open + 1..close]
                .split(',')
                .map(|number| number.trim().parse())
                .collect();
            let name = format!("{} {}", bare[..open].trim(), bare[close + 1..].trim());
            (name, numbers.ok()?)
        }
        (None, None) => (bare.to_owned(), Vec::new()),
        _ => return None,
    };
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, base) = NAMES.iter().find(|(spelling, _)| *spelling == name)?;
    let numbers = match (*base, numbers.as_slice()) {
        // The server's own defaults.
        ("char" | "bit", []) => vec![1],
        ("numeric", [precision]) => vec![*precision, 0],
        ("timestamp" | "timestamptz" | "time" | "timetz", []) => vec![6],
        _ => numbers,
    };
    Some(Type {
        base,
        numbers,
        array,
    })
}

/// What a change from one type to another does.
pub(super) fn change(old: &str, new: &str) -> Change {
    if old.trim().eq_ignore_ascii_case(new.trim()) {
        return Change::Same;
    }
    let (Some(old), Some(new)) = (read(old), read(new)) else {
        return Change::Foreign;
    };
    if old == new {
        return Change::Same;
    }
    if old.array || new.array {
        return Change::Rewritten;
    }
    let (from, to) = (old.numbers.as_slice(), new.numbers.as_slice());
    let widened = is_no_smaller(from, to);
    match (old.base, new.base) {
        ("varchar", "varchar") | ("varbit", "varbit") if widened => Change::Same,
        ("varchar" | "text", "text") => Change::Same,
        ("text", "varchar") if to.is_empty() => Change::Same,
        ("numeric", "numeric") => match (from, to) {
            (_, []) => Change::Same,
            ([p, s], [q, t]) if q >= p && s == t => Change::Same,
            _ => Change::Rewritten,
        },
        ("timestamp", "timestamp")
        | ("timestamptz", "timestamptz")
        | ("time", "time")
        | ("timetz", "timetz")
            if widened =>
        {
            Change::Same
        }
        ("timestamp", "timestamptz") | ("timestamptz", "timestamp") if widened => Change::InUtc,
        ("cidr", "inet") => Change::Same,
        ("integer", "oid") | ("oid", "integer") => Change::Reindexed,
        _ => Change::Rewritten,
    }
}

/// Does what fits into the one fit into the other? Without a number, anything does.
fn is_no_smaller(from: &[u32], to: &[u32]) -> bool {
    match (from, to) {
        (_, []) => true,
        ([], _) => false,
        (from, to) => from.len() == to.len() && from.iter().zip(to).all(|(from, to)| to >= from),
    }
}

/// Is a `USING` nothing but the column, perhaps cast to the new type?
pub(super) fn is_plain_cast(using: &str, column: &str, new_type: &str) -> bool {
    let squeeze = |text: &str| -> String {
        text.chars()
            .filter(|c| !c.is_whitespace() && !"()\"".contains(*c))
            .collect::<String>()
            .to_lowercase()
    };
    let (using, column, new_type) = (squeeze(using), squeeze(column), squeeze(new_type));
    using == column
        || using == format!("{column}::{new_type}")
        || using == format!("cast{column}as{new_type}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: &str, new: &str, expect: Change) {
        assert_eq!(change(old, new), expect, "{old} to {new}");
    }

    #[test]
    fn types_that_are_stored_alike() {
        use Change::{Foreign, InUtc, Reindexed, Rewritten, Same};
        check("character varying(20)", "varchar(40)", Same);
        check("character varying(20)", "varchar", Same);
        check("character varying(20)", "text", Same);
        check("text", "varchar", Same);
        check("character varying(20)", "VARCHAR(20)", Same);
        check("numeric(10,2)", "numeric(12,2)", Same);
        check("numeric(10,2)", "numeric", Same);
        check("numeric(10)", "decimal(12)", Same);
        check("cidr", "inet", Same);
        check("timestamp without time zone", "timestamp", Same);
        check("timestamp(3) without time zone", "timestamp", Same);
        check("timestamp without time zone", "timestamptz", InUtc);
        check("timestamp with time zone", "timestamp", InUtc);
        check("integer", "int4", Same);
        check("integer", "oid", Reindexed);
        check("character varying(20)", "varchar(10)", Rewritten);
        check("character varying", "varchar(10)", Rewritten);
        check("text", "varchar(10)", Rewritten);
        check("integer", "bigint", Rewritten);
        check("numeric(10,2)", "numeric(12,4)", Rewritten);
        check("numeric", "numeric(12,4)", Rewritten);
        check("character(10)", "text", Rewritten);
        check("character(10)", "char(20)", Rewritten);
        check("timestamp without time zone", "timestamp(3)", Rewritten);
        check("inet", "cidr", Rewritten);
        check("json", "jsonb", Rewritten);
        check("text[]", "varchar(3)[]", Rewritten);
        check("text", "citext", Foreign);
        check("\"char\"", "text", Foreign);
    }

    #[test]
    fn a_cast_that_says_nothing_new() {
        assert!(is_plain_cast("a::text", "a", "text"));
        assert!(is_plain_cast("CAST (a AS varchar(10))", "a", "varchar(10)"));
        assert!(is_plain_cast("\"a\"", "a", "text"));
        assert!(!is_plain_cast("lower(a)", "a", "text"));
        assert!(!is_plain_cast("a::integer", "a", "bigint"));
    }
}
