//! One operation before its judges: where its table stands, and the words that all rules share.

use dbop_model::finding::{Evidence, Finding, HintPolicy, Verdict};
use dbop_model::table::{ColumnName, TableFactsSet, TableName, TableState};
use dbop_model::{ServerInfo, Why};

use crate::steps::{Standing, Step};

/// One operation before its judges.
pub(crate) struct Case<'a> {
    pub(crate) server: &'a ServerInfo,
    pub(crate) policy: &'a HintPolicy,
    pub(crate) step: Step<'a>,
    pub(crate) standing: Standing,
    facts: &'a TableFactsSet,
}

impl<'a> Case<'a> {
    pub(crate) fn new(
        server: &'a ServerInfo,
        step: Step<'a>,
        facts: &'a TableFactsSet,
        policy: &'a HintPolicy,
    ) -> Self {
        let standing = step.standing(facts);
        Self {
            server,
            policy,
            step,
            standing,
            facts,
        }
    }

    pub(crate) fn table(&self) -> &'a TableName {
        self.step.operation.table()
    }

    /// Is a table of this name in today's catalogue?
    pub(crate) fn is_present(&self, table: &TableName) -> bool {
        self.facts
            .table(table)
            .is_known_and(|state| *state != TableState::Missing)
    }

    /// A finding with nothing but a verdict and its claim.
    pub(crate) fn finding(&self, rule: &str, verdict: Verdict, claim: String) -> Finding {
        Finding {
            rule: rule.to_owned(),
            verdict,
            operation: self.step.operation.to_string(),
            table: self.table().clone(),
            claim,
            evidence: Vec::new(),
            effect: None,
            advice: Vec::new(),
            accepted: None,
        }
    }

    /// A finding about a table of which it cannot be seen whether it is there.
    pub(crate) fn unseen(&self, rule: &str, why: &Why) -> Finding {
        let claim = format!("{} cannot be looked at: {why}", self.table());
        self.finding(rule, unknown(why), claim)
    }

    /// Something that was seen, as evidence.
    pub(crate) fn seen(&self, value: impl Into<String>, source: impl Into<String>) -> Evidence {
        Evidence {
            value: value.into(),
            source: source.into(),
            taken_at: self.facts.taken_at,
        }
    }

    /// The evidence that a table has no row at all.
    pub(crate) fn seen_empty(&self) -> Evidence {
        self.seen("no row", "a probe for any row")
    }
}

/// The verdict for a fact that could not be had.
pub(crate) fn unknown(why: &Why) -> Verdict {
    Verdict::Unknown {
        looking_again_helps: why.is_passing(),
    }
}

/// A table's name as PostgreSQL reads it in a statement.
pub(crate) fn sql_table(table: &TableName) -> String {
    match table.schema() {
        Some(schema) => format!("{}.{}", sql_name(schema), sql_name(table.name())),
        None => sql_name(table.name()),
    }
}

/// A column's name as PostgreSQL reads it in a statement.
pub(crate) fn sql_column(column: &ColumnName) -> String {
    sql_name(column.as_str())
}

/// Words of PostgreSQL that name nothing unless quoted (manual, appendix C; reserved in PostgreSQL 18).
const RESERVED: &str = "all analyse analyze and any array as asc asymmetric authorization binary \
    both case cast check collate collation column concurrently constraint create cross \
    current_catalog current_date current_role current_schema current_time current_timestamp \
    current_user default deferrable desc distinct do else end except false fetch for foreign freeze \
    from full grant group having ilike in initially inner intersect into is isnull join lateral \
    leading left like limit localtime localtimestamp natural not notnull null offset on only or \
    order outer overlaps placing primary references returning right select session_user similar \
    some symmetric system_user table tablesample then to trailing true union unique user using \
    variadic verbose when where window with";

fn sql_name(name: &str) -> String {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !RESERVED.split_whitespace().any(|word| word == name);
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_must_be() {
        let table = |text: &str| sql_table(&text.parse().unwrap());
        assert_eq!(table("app.users"), "app.users");
        assert_eq!(table("app.user"), "app.\"user\"");
        assert_eq!(table("Users"), "\"Users\"");
        assert_eq!(table("\"a\"\"b\""), "\"a\"\"b\"");
        assert_eq!(table("2fa"), "\"2fa\"");
    }
}
