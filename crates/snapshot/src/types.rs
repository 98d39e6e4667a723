//! Which type of the catalogue a text means, as PostgreSQL's `to_regtype` would say it of the path `pg_catalog`, the table's
//! schema, `public`.

use std::collections::BTreeMap;

use dbop_model::table::{TableName, TypeFacts};
use dbop_model::{Fact, Why};

/// What the grammar itself calls types of `pg_catalog` (PostgreSQL manual, table 8.1 and appendix C): none is a domain.
const GRAMMAR: [&str; 26] = [
    "bigint",
    "bit",
    "bit varying",
    "boolean",
    "char",
    "char varying",
    "character",
    "character varying",
    "dec",
    "decimal",
    "double precision",
    "float",
    "int",
    "integer",
    "national char",
    "national char varying",
    "national character",
    "national character varying",
    "nchar",
    "nchar varying",
    "numeric",
    "real",
    "smallint",
    "time",
    "timestamp",
    "varchar",
];

/// Of a type what a snapshot holds: what becomes of a column's values with it, it does not say.
pub(crate) fn kept(facts: TypeFacts) -> TypeFacts {
    TypeFacts {
        casts: Fact::Unknown(Why::new(NEEDS_CASTS)),
        ..facts
    }
}

/// A type that is no domain.
fn plain() -> TypeFacts {
    kept(TypeFacts::default())
}

/// Why a snapshot does not say what becomes of values.
const NEEDS_CASTS: &str =
    "a snapshot says nothing of casts: it needs the live database (analyze --dsn-file)";

/// What a type is, for a column of a table in this schema; `None`: there is none of the name.
pub(crate) fn find(
    types: &BTreeMap<TableName, TypeFacts>,
    schema: Option<&str>,
    text: &str,
) -> Option<TypeFacts> {
    let (name, is_array) = name(text);
    if is_grammars(&name) {
        return Some(plain());
    }
    let parsed: TableName = name.parse().ok()?;
    let found = match parsed.schema() {
        Some(_) => types.get(&parsed),
        None => [Some("pg_catalog"), schema, Some("public")]
            .into_iter()
            .flatten()
            .filter_map(|schema| TableName::new(Some(schema), parsed.name()).ok())
            .find_map(|name| types.get(&name)),
    };
    // An array of a domain's values is no domain.
    found.map(|facts| match is_array {
        true => plain(),
        false => facts.clone(),
    })
}

/// The name alone, with letters folded outside of quotes, and whether it is of an array: lengths and precisions say
/// nothing of what a type is.
fn name(text: &str) -> (String, bool) {
    let mut name = String::new();
    let (mut depth, mut in_quotes, mut is_array) = (0_u32, false, false);
    for c in text.trim().chars() {
        match c {
            '"' if depth == 0 => {
                in_quotes = !in_quotes;
                name.push(c);
            }
            _ if in_quotes => name.push(c),
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            '[' => {
                is_array = true;
                break;
            }
            _ if c.is_whitespace() => {
                if !name.ends_with(' ') {
                    name.push(' ');
                }
            }
            _ => name.extend(c.to_lowercase()),
        }
    }
    let name = name.trim();
    match name.strip_suffix(" array") {
        Some(element) => (element.to_owned(), true),
        None => (name.to_owned(), is_array),
    }
}

fn is_grammars(name: &str) -> bool {
    let without_zone = name
        .strip_suffix(" with time zone")
        .or_else(|| name.strip_suffix(" without time zone"));
    match without_zone {
        Some(name) => matches!(name, "time" | "timestamp"),
        None => GRAMMAR.contains(&name) || name == "interval" || name.starts_with("interval "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types() -> BTreeMap<TableName, TypeFacts> {
        let domain = TypeFacts {
            constrained_domain: true,
            ..plain()
        };
        let named = |name: &str| name.parse::<TableName>().unwrap();
        BTreeMap::from([
            (named("pg_catalog.text"), plain()),
            (named("pg_catalog.int4"), plain()),
            (named("app.email"), domain.clone()),
            (named("app.\"Odd.Name\""), domain.clone()),
            // Nobody's domain stands before the server's own types.
            (named("public.text"), domain),
        ])
    }

    #[track_caller]
    fn check(text: &str, expect: Option<bool>) {
        let found = find(&types(), Some("app"), text);
        assert_eq!(found.map(|t| t.constrained_domain), expect, "{text}");
    }

    #[test]
    fn a_type_is_found_as_the_server_finds_it() {
        check("text", Some(false));
        check("TEXT", Some(false));
        check("int4", Some(false));
        check("email", Some(true));
        check("Email", Some(true));
        check("app.email", Some(true));
        check("email[]", Some(false));
        check("email array", Some(false));
        check("\"Odd.Name\"", Some(true));
        check("other.email", None);
        check("\"Email\"", None);
        check("mood", None);
        check("public.text", Some(true));
    }

    #[test]
    fn names_of_the_grammar_are_the_servers() {
        for text in [
            "numeric(10,2)",
            "character varying(20)",
            "double  precision",
            "timestamp(3) with time zone",
            "time without time zone",
            "interval day to second(3)",
            "INT",
            "varchar(20)[]",
        ] {
            check(text, Some(false));
        }
        check("email with time zone", None);
    }

    #[test]
    fn the_table_s_schema_counts() {
        assert_eq!(find(&types(), Some("other"), "email"), None);
        assert_eq!(find(&types(), None, "email"), None);
    }
}
