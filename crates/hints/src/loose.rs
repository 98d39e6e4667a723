//! Statements that change no table (`COMMENT ON`, `GRANT`, `DROP TYPE`), as far as the server says itself that it would
//! refuse them: it reads a query made of their names.

use dbop_model::finding::{Evidence, Finding, NotJudged, Verdict};
use dbop_model::operation::{Reading, ReadingKind, Statement};
use dbop_model::table::{FactRequest, TableFactsSet, TableName, Understood};

use dbop_model::{Engine, Fact};

use crate::rules::{NOT_UNDERSTOOD, REFUSED_BY_CATALOGUE, is_excused_by, names_in};

/// What is asked of a statement that changes no table, or that could not be read here.
fn readings(statement: &Statement) -> impl Iterator<Item = &Reading> {
    let loose = statement.operations.is_empty();
    let readings = statement.readings.iter().filter(move |_| loose);
    readings.filter(|reading| match reading.kind {
        ReadingKind::Definition | ReadingKind::Catalogue => true,
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

/// What is said of one statement.
#[derive(Default)]
pub(crate) struct Loose {
    pub(crate) finding: Option<Finding>,
    pub(crate) not_judged: Option<NotJudged>,
}

/// Statements that PostgreSQL runs outside of a transaction alone (manual, their own pages).
const OUTSIDE: [&[&str]; 9] = [
    &["vacuum"],
    &["create", "database"],
    &["drop", "database"],
    &["create", "tablespace"],
    &["drop", "tablespace"],
    &["alter", "system"],
    &["reindex", "database"],
    &["reindex", "system"],
    &["discard", "all"],
];

pub(crate) fn judge(
    engine: Engine,
    statements: &[Statement],
    at: usize,
    facts: &TableFactsSet,
) -> Loose {
    let statement = &statements[at];
    let text = statement.text.clone().unwrap_or_default();
    let mut words = text.split_whitespace().map(str::to_lowercase);
    let first: Vec<String> = words.by_ref().take(2).collect();
    let is_outside = OUTSIDE
        .iter()
        .any(|words| words.iter().zip(&first).all(|(one, two)| one == two));
    if engine == Engine::PostgreSql
        && statement.transaction.is_some()
        && is_outside
        && words_fit(&first)
    {
        return Loose {
            finding: Some(finding(
                crate::rules::REFUSED_STATEMENT,
                &text,
                &[],
                "it cannot run inside a transaction, and the file begins one before it".to_owned(),
                Vec::new(),
                "let it run after COMMIT, or in a file of its own that begins no transaction",
            )),
            ..Loose::default()
        };
    }
    if !statement.operations.is_empty() {
        return Loose::default();
    }
    let before: Vec<&str> = statements[..at]
        .iter()
        .flat_map(|one| &one.readings)
        .filter(|reading| reading.kind == ReadingKind::Statement)
        .map(|reading| reading.text.as_str())
        .collect();
    let mut why_not = None;
    let mut asked = 0;
    for reading in readings(statement) {
        let of_words = reading.kind == ReadingKind::Statement;
        asked += usize::from(!of_words);
        let (code, message) = match facts.readings.get(reading) {
            Some(Fact::Known(Understood::No { code, message })) => (code, message),
            Some(Fact::Unknown(why)) if !of_words => {
                why_not = Some(format!("what it names is not looked up: {why}"));
                continue;
            }
            _ => continue,
        };
        let named = names_in(message);
        // Of PostgreSQL the words alone count, whatever else it says; MySQL and MariaDB say no more.
        if of_words && code.len() == 5 && code != "42601" {
            continue;
        }
        if writes(reading) && !of_names(code) {
            continue;
        }
        if !of_words && is_excused_by(&before, code, &named) {
            if !writes(reading) {
                why_not = Some(format!(
                    "a statement before it has to do with what the server says of it: {message}"
                ));
            }
            continue;
        }
        let said = format!("{message} ({code})");
        let evidence = Evidence {
            value: said.clone(),
            source: "the catalogue".to_owned(),
            taken_at: facts.taken_at,
        };
        return Loose {
            finding: Some(finding(
                REFUSED_BY_CATALOGUE,
                &text,
                &named,
                format!("{NOT_UNDERSTOOD} {said}"),
                vec![evidence],
                "correct the name, or write IF EXISTS or IF NOT EXISTS where the server takes it",
            )),
            ..Loose::default()
        };
    }
    let is_ddl = statement.unread.is_none()
        && ["create", "alter", "drop"]
            .iter()
            .any(|word| first.first().is_some_and(|one| one == word));
    let whole = format!(" {} ", text.to_lowercase());
    let passes = [" if exists ", " if not exists ", " or replace "]
        .iter()
        .any(|words| whole.contains(words));
    if is_ddl && asked == 0 && !passes {
        why_not.get_or_insert_with(|| "what it names is not looked up".to_owned());
    }
    let why = why_not.filter(|_| statement.unread.is_none());
    Loose {
        finding: None,
        not_judged: why.map(|why| NotJudged {
            operation: crate::name_of(statement),
            why,
            unread: false,
        }),
    }
}

/// Are there as many words as were compared?
fn words_fit(first: &[String]) -> bool {
    first.len() == 2 || first.first().is_some_and(|word| word == "vacuum")
}

fn finding(
    rule: &str,
    text: &str,
    named: &[String],
    claim: String,
    evidence: Vec<Evidence>,
    advice: &str,
) -> Finding {
    Finding {
        rule: rule.to_owned(),
        verdict: Verdict::WillFail,
        operation: text.to_owned(),
        table: subject(named),
        claim,
        evidence,
        effect: None,
        advice: vec![advice.to_owned()],
        accepted: None,
    }
}
