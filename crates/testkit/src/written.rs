//! Facts of tables as tests write them and read them: a line each, the same on every server.

#![expect(clippy::unwrap_used, reason = "names that a test writes are names")]

use dbop_model::Fact;
use dbop_model::operation::IndexPart;
use dbop_model::table::{ConstraintFacts, IndexFacts, TableFacts, UniqueKey};

/// A key as people write it: parts with `; ` between them, which are columns, `name:3` for the first characters or
/// `(expression)`; then ` where ...`, then ` nulls equal`.
///
/// # Panics
/// Where a name is none, or a length is no number.
pub fn key(text: &str) -> UniqueKey {
    let (text, nulls_equal) = match text.strip_suffix(" nulls equal") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (parts, predicate) = match text.split_once(" where ") {
        Some((parts, predicate)) => (parts, Some(predicate.to_owned())),
        None => (text, None),
    };
    let part = |part: &str| {
        let inside = part
            .strip_prefix('(')
            .and_then(|part| part.strip_suffix(')'));
        match (inside, part.split_once(':')) {
            (Some(expression), _) => IndexPart::Expression(expression.to_owned()),
            (None, Some((name, length))) => {
                IndexPart::Prefix(name.parse().unwrap(), length.parse().unwrap())
            }
            (None, None) => IndexPart::Column(part.parse().unwrap()),
        }
    };
    UniqueKey {
        parts: parts.split("; ").map(part).collect(),
        predicate,
        nulls_equal,
    }
}

/// What a look says of a key's duplicates: `found`, `none`, `proven by x`, or why it is unknown.
pub fn duplicates(facts: &TableFacts, text: &str) -> String {
    match facts.duplicates_of(&key(text)) {
        Fact::Known(probe) => match (probe.found, probe.proven_by) {
            (true, _) => "found".to_owned(),
            (false, None) => "none".to_owned(),
            (false, Some(index)) => format!("proven by {index}"),
        },
        Fact::Unknown(why) => why.to_string(),
    }
}

/// An index: its name, kind and parts, and what is not as usual.
pub fn index(index: &IndexFacts) -> String {
    let parts: Vec<String> = index.key.parts.iter().map(ToString::to_string).collect();
    let mut line = format!("{} {}({})", index.name, index.kind, parts.join(", "));
    if let Some(predicate) = &index.key.predicate {
        line.push_str(&format!(" where {predicate}"));
    }
    with(
        line,
        &[
            (index.primary, "primary"),
            (index.key.nulls_equal, "nulls equal"),
            (!index.valid, "invalid"),
            (!index.immediate, "deferred"),
        ],
    )
}

/// A constraint: its name, kind and columns, its condition, the other table without its schema, and what is not as usual.
pub fn constraint(constraint: &ConstraintFacts) -> String {
    let columns: Vec<&str> = constraint.columns.iter().map(|c| c.as_str()).collect();
    let mut line = format!(
        "{} {}({})",
        constraint.name,
        constraint.kind,
        columns.join(", ")
    );
    if let Some(condition) = &constraint.condition {
        line.push_str(&format!(" {condition}"));
    }
    if let Some(other) = &constraint.other {
        let way = if constraint.incoming { "from" } else { "to" };
        line.push_str(&format!(" {way} {}", other.name()));
    }
    with(
        line,
        &[
            (constraint.cascades, "cascades"),
            (!constraint.validated, "not validated"),
        ],
    )
}

fn with(mut line: String, words: &[(bool, &str)]) -> String {
    for (is, word) in words {
        if *is {
            line.push_str(&format!(" {word}"));
        }
    }
    line
}
