//! Statements that change no table (`COMMENT ON`, `GRANT`, `DROP TYPE`), as far as the server says itself that it would
//! refuse them: it reads a query made of their names.

use dbop_model::Fact;
use dbop_model::finding::{Evidence, Finding, Verdict};
use dbop_model::operation::{Reading, ReadingKind, Statement};
use dbop_model::table::{FactRequest, TableFactsSet, TableName, Understood};

use crate::rules::{REFUSED_BY_CATALOGUE, is_excused_by, names_in};

/// What is asked of a statement that changes no table, or that could not be read here.
fn readings(statement: &Statement) -> impl Iterator<Item = &Reading> {
    let loose = statement.operations.is_empty();
    let readings = statement.readings.iter().filter(move |_| loose);
    readings.filter(|reading| match reading.kind {
        ReadingKind::Definition => true,
        ReadingKind::Statement => !is_template(&reading.text),
        ReadingKind::Query { .. } => false,
    })
}

/// May somebody else put something into the text before a server reads it: a variable of a client or of a tool?
fn is_template(text: &str) -> bool {
    let before = text.chars().zip(text.chars().skip(1));
    let after = text.chars().skip(2).chain([' ']);
    let variable = before.zip(after).any(|((one, two), three)| {
        one != ':' && two == ':' && three != ':' && three != '=' && three != ' '
    });
    variable || text.contains(['$', '{', '%', '?', '@'])
}

pub(crate) fn wants(statements: &[Statement]) -> Vec<FactRequest> {
    let of_it = |reading: &Reading| FactRequest::Reading {
        table: subject(&[]),
        reading: reading.clone(),
    };
    statements.iter().flat_map(readings).map(of_it).collect()
}

/// A name that findings are about which no table has.
fn subject(named: &[String]) -> TableName {
    let name = named.first().map_or("statement", String::as_str);
    TableName::new(None, name).unwrap_or_else(|_| unreachable!("a name of the server's is one"))
}

/// Does it change rows? Then only names count that are not there: its values are nobody's business.
fn writes(reading: &Reading) -> bool {
    let first = reading.text.split_whitespace().next().unwrap_or_default();
    let words = ["insert", "update", "delete", "replace", "merge"];
    words.iter().any(|word| first.eq_ignore_ascii_case(word))
}

/// Tables and columns that are not there (PostgreSQL manual, appendix A; server error message reference).
fn of_names(code: &str) -> bool {
    matches!(code, "42P01" | "42703" | "1146" | "1054")
}

pub(crate) fn judge(statements: &[Statement], facts: &TableFactsSet) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut before: Vec<&str> = Vec::new();
    for statement in statements {
        for reading in readings(statement) {
            let Some(Fact::Known(Understood::No { code, message })) = facts.readings.get(reading)
            else {
                continue;
            };
            let named = names_in(message);
            // Of PostgreSQL the words alone count, whatever else it says; MySQL and MariaDB say no more.
            if reading.kind == ReadingKind::Statement && code.len() == 5 && code != "42601" {
                continue;
            }
            let of_words = reading.kind == ReadingKind::Statement;
            if !of_words && is_excused_by(&before, code, &named)
                || writes(reading) && !of_names(code)
            {
                continue;
            }
            let text = statement.text.clone().unwrap_or_default();
            findings.push(Finding {
                rule: REFUSED_BY_CATALOGUE.to_owned(),
                verdict: Verdict::WillFail,
                operation: text,
                table: subject(&named),
                claim: format!("the server does not understand it: {message} ({code})"),
                evidence: vec![Evidence {
                    value: format!("{message} ({code})"),
                    source: "the catalogue".to_owned(),
                    taken_at: facts.taken_at,
                }],
                effect: None,
                advice: vec![
                    "correct the name, or write IF EXISTS where the server takes it".to_owned(),
                ],
                accepted: None,
            });
        }
        let own = statement.readings.iter();
        let own = own.filter(|reading| reading.kind == ReadingKind::Statement);
        before.extend(own.map(|reading| reading.text.as_str()));
    }
    findings
}
