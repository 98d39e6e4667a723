//! What the server itself says of a statement's text, which it reads and does not run.
//!
//! It reads the text as its catalogue is today. What statements before it make or take away it does not see: of names that
//! these have to do with nothing is said here, but that a table or a column is gone.

use std::collections::BTreeSet;

use dbop_model::dependent::RelationKind;
use dbop_model::operation::{Operation, Reading, ReadingKind};
use dbop_model::table::{ColumnName, FactRequest, TableName, Understood};
use dbop_model::{Engine, Fact};

use super::{Refusal, seen};
use crate::case::Case;
use crate::steps::{Object, Standing, Step};

/// How a finding begins that says what the server itself says.
pub(crate) const NOT_UNDERSTOOD: &str = "the server does not take it:";
/// Syntax errors, whatever else the server says of a statement that it only reads (PostgreSQL).
const SYNTAX: &str = "42601";
/// What may come with an extension: functions, types, operators, access methods (PostgreSQL).
const OF_EXTENSIONS: [&str; 3] = ["42883", "42704", "0A000"];

pub(super) fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    if !step.is_first() {
        return;
    }
    let table = step.operation.table();
    for reading in &step.statement.readings {
        wanted.insert(FactRequest::Reading {
            table: table.clone(),
            reading: reading.clone(),
        });
    }
    if let Operation::CreateTable { table, .. } = step.operation {
        wanted.insert(FactRequest::Table(table.clone()));
    }
    if let Operation::CreateView {
        table,
        or_there: true,
    } = step.operation
    {
        wanted.insert(FactRequest::Relation(table.clone()));
        wanted.insert(FactRequest::Table(table.clone()));
    }
}

/// A text that the server does not understand, or whose columns make no table.
pub(super) fn refused(case: &Case<'_>) -> Vec<Refusal> {
    if !case.step.is_first() {
        return Vec::new();
    }
    let mut refusals: Vec<Refusal> = Vec::new();
    for reading in &case.step.statement.readings {
        let Some(Fact::Known(understood)) = case.understood(reading) else {
            continue;
        };
        // Of one that is there nothing else is looked at.
        let passes = matches!(case.step.operation, Operation::CreateTable { .. })
            && matches!(case.standing, Standing::Present(_));
        if passes && reading.kind != ReadingKind::Statement {
            continue;
        }
        let found = match understood {
            Understood::No { code, message } => not_understood(case, reading, code, message),
            Understood::Yes { columns } => match reading.kind {
                ReadingKind::Query { named } => reads_what_no_view_can(case, &reading.text)
                    .or_else(|| gone(case, reading))
                    .or_else(|| columns_do_not_fit(case, columns, named)),
                ReadingKind::Definition => columns_of_new(case, columns),
                ReadingKind::Statement | ReadingKind::Catalogue => None,
            },
        };
        if let Some(found) = found {
            return vec![found];
        }
    }
    refusals.extend(replaces_no_view(case));
    refusals
}

/// A view of MySQL or MariaDB that reads variables, or itself (errors 1351, 1146).
fn reads_what_no_view_can(case: &Case<'_>, text: &str) -> Option<Refusal> {
    let (Operation::CreateView { table, .. } | Operation::ChangeTable { table, .. }) =
        case.step.operation
    else {
        return None;
    };
    if case.server.engine == Engine::PostgreSql {
        return None;
    }
    let mut quote = None;
    let mut variable = false;
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '@') => variable = true,
            _ => {}
        }
    }
    let itself = sources(text).iter().any(|source| *source == table.name());
    let why = match (variable, itself) {
        (true, _) => "its query reads a variable",
        (false, true) => "its query reads the view itself",
        (false, false) => return None,
    };
    Some(seen(
        case,
        why,
        format!("{} cannot be: {why}", case.step.operation),
        vec!["let the query read tables and other views alone".to_owned()],
    ))
}

/// The names that stand behind FROM and JOIN.
fn sources(text: &str) -> Vec<&str> {
    let words: Vec<&str> = words_of(text).collect();
    let follows = |pair: &&[&str]| {
        pair[0].eq_ignore_ascii_case("from") || pair[0].eq_ignore_ascii_case("join")
    };
    words
        .windows(2)
        .filter(follows)
        .map(|pair| pair[1])
        .collect()
}

fn not_understood(
    case: &Case<'_>,
    reading: &Reading,
    code: &str,
    message: &str,
) -> Option<Refusal> {
    let postgres = case.server.engine == Engine::PostgreSql;
    if postgres && reading.kind == ReadingKind::Statement && code != SYNTAX {
        return None;
    }
    let named = names_in(message);
    if is_said_elsewhere(case, reading, &named) || is_excused(case, reading, code, &named) {
        return None;
    }
    Some(seen(
        case,
        format!("{message} ({code})"),
        format!("{NOT_UNDERSTOOD} {message} ({code})"),
        vec!["change the statement as the server's words say".to_owned()],
    ))
}

/// The names that a message is about: what stands in quotes, and what stands behind "column" and "function" without.
pub(crate) fn names_in(message: &str) -> Vec<String> {
    let mut named: Vec<String> = Vec::new();
    let mut quote: Option<(char, usize)> = None;
    for (at, c) in message.char_indices() {
        match (quote, c) {
            (Some((open, start)), _) if c == open => {
                named.push(message[start..at].to_owned());
                quote = None;
            }
            (None, '"' | '\'' | '`') => quote = Some((c, at + 1)),
            _ => {}
        }
    }
    for word in ["column ", "function ", "FUNCTION ", "type ", "role "] {
        for (at, _) in message.match_indices(word) {
            let rest = &message[at + word.len()..];
            let end = rest.find([' ', '(']).unwrap_or(rest.len());
            named.push(rest[..end].to_owned());
        }
    }
    let last = |name: &String| {
        let bare = name.rsplit('.').next().unwrap_or(name);
        bare.trim_matches(['"', '`', '\'']).to_lowercase()
    };
    named
        .iter()
        .map(last)
        // MySQL says in which clause, too.
        .filter(|name| !name.is_empty() && !name.contains(' ') && name != "select")
        .collect()
}

/// Keys and foreign keys of a new table over what is not there: other checks say so.
fn is_said_elsewhere(case: &Case<'_>, reading: &Reading, named: &[String]) -> bool {
    if reading.kind != ReadingKind::Definition {
        return false;
    }
    // Of one that is not told as a whole, no other check knows the columns.
    let partial = case.step.statement.operations.iter().any(|one| {
        matches!(
            one,
            Operation::CreateTable {
                complete: false,
                ..
            }
        )
    });
    let is = |name: &str| named.iter().any(|one| one.eq_ignore_ascii_case(name));
    case.step.statement.operations.iter().any(|one| match one {
        Operation::AddConstraint { constraint, .. } => {
            constraint
                .references
                .as_ref()
                .is_some_and(|other| is(other.name()))
                || !partial
                    && constraint
                        .columns()
                        .iter()
                        .any(|column| is(column.as_str()))
                || constraint
                    .referenced
                    .iter()
                    .any(|column| is(column.as_str()))
        }
        Operation::CreateIndex { table, index } => {
            is(table.name()) || index.columns().any(|column| is(column.as_str()))
        }
        Operation::AddColumn { table, .. }
        | Operation::AlterColumn { table, .. }
        | Operation::ChangeTable { table, .. } => is(table.name()),
        _ => false,
    })
}

/// Does a statement before have to do with it, so that the server may understand it once that is done?
fn is_excused(case: &Case<'_>, reading: &Reading, code: &str, named: &[String]) -> bool {
    // Its own syntax stays as it is.
    if reading.kind == ReadingKind::Statement {
        return false;
    }
    if is_excused_by(case.step.said_before(), code, named) {
        return true;
    }
    let says = |text: &str, word: &str| words_of(text).any(|one| one.eq_ignore_ascii_case(word));
    // Of what is not just a name that is lacking, a table that is changed before may be the reason.
    let lacking = ["42P01", "42703", "42704", "3F000", "1146", "1054", "1305"].contains(&code);
    let sources = sources(&reading.text);
    !lacking
        && case
            .step
            .said_before()
            .iter()
            .any(|text| sources.iter().any(|source| says(text, source)))
}

/// Do statements before have to do with the names, or may they do anything?
pub(crate) fn is_excused_by(before: &[&str], code: &str, named: &[String]) -> bool {
    let says = |text: &str, word: &str| words_of(text).any(|one| one.eq_ignore_ascii_case(word));
    let makes = |name: &String| before.iter().any(|text| says(text, name));
    if named.iter().any(makes) {
        return true;
    }
    let extends = OF_EXTENSIONS.contains(&code)
        && before
            .iter()
            .any(|text| says(text, "extension") || says(text, "search_path"));
    // What may do anything may make it.
    let opaque = before.iter().any(|text| {
        let first = words_of(text).next().unwrap_or_default();
        ["do", "call", "execute", "import"]
            .iter()
            .any(|word| first.eq_ignore_ascii_case(word))
    });
    extends || opaque
}

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        .filter(|word| !word.is_empty())
}

/// A table of which the query reads, and that a statement before takes away; or the only table's column.
fn gone(case: &Case<'_>, reading: &Reading) -> Option<Refusal> {
    let words: Vec<&str> = words_of(&reading.text).collect();
    let has_own = words.iter().any(|word| word.eq_ignore_ascii_case("with"));
    let sources = sources(&reading.text);
    for table in case.step.earlier_tables() {
        let is_read = sources
            .iter()
            .any(|word| word.eq_ignore_ascii_case(table.name()));
        if !is_read || has_own {
            continue;
        }
        let away = case.step.is_made(&Object::Relation(table.clone())) == Some(false);
        let lost = || {
            let alone = sources.len() == 1;
            words.iter().filter(|_| alone).find_map(|word| {
                let name = ColumnName::new(&word.to_lowercase()).ok()?;
                let name = match case.server.engine {
                    Engine::PostgreSql => name,
                    Engine::MySql | Engine::MariaDb => name.folded(),
                };
                let object = Object::Column(vec![table.clone()], name.clone());
                (case.step.is_made(&object) == Some(false)).then_some(name)
            })
        };
        let why = match away {
            true => format!("{table} is gone, which a statement before takes away"),
            false => match lost() {
                Some(column) => {
                    format!("{column} of {table} is gone, which a statement before takes away")
                }
                None => continue,
            },
        };
        return Some(seen(
            case,
            why.clone(),
            format!("{} cannot be: {why}", case.step.operation),
            vec!["name what is there by then, or let the statement stand before".to_owned()],
        ));
    }
    None
}

/// Columns of a new table of PostgreSQL that bear one name, those of another table among them (`LIKE`).
fn columns_of_new(case: &Case<'_>, columns: &[String]) -> Option<Refusal> {
    let creates = matches!(case.step.operation, Operation::CreateTable { .. });
    match case.server.engine {
        Engine::PostgreSql if creates => columns_do_not_fit(case, columns, None),
        _ => None,
    }
}

/// Columns of one name, or more names than columns.
fn columns_do_not_fit(
    case: &Case<'_>,
    columns: &[String],
    named: Option<usize>,
) -> Option<Refusal> {
    let folds = case.server.engine != Engine::PostgreSql;
    let key = |name: &String| {
        if folds {
            name.to_lowercase()
        } else {
            name.clone()
        }
    };
    let mut before = BTreeSet::new();
    let twice = columns
        .iter()
        .skip(named.unwrap_or(0))
        .find(|name| !before.insert(key(name)));
    let strict = folds && matches!(case.step.operation, Operation::CreateView { .. });
    let why = match (twice, named) {
        _ if columns.is_empty() => return None,
        (Some(name), None) if matches!(case.step.operation, Operation::CreateTable { columns, .. } if !columns.is_empty()) =>
        {
            format!("it would have two columns called {name}")
        }
        (_, Some(named)) if named > columns.len() || strict && named != columns.len() => {
            format!(
                "it names {named} columns, and its query gives {}",
                columns.len()
            )
        }
        (Some(name), _) => format!("its query gives two columns called {name}"),
        (None, _) => return replaced(case, columns, named),
    };
    Some(seen(
        case,
        why.clone(),
        format!("{} cannot be: {why}", case.step.operation),
        vec!["give each column a name of its own (AS)".to_owned()],
    ))
}

/// A view of PostgreSQL keeps the columns that it has where it is replaced (manual, CREATE VIEW).
fn replaced(case: &Case<'_>, columns: &[String], named: Option<usize>) -> Option<Refusal> {
    let table = put_in_place(case)?;
    if named.is_some() || !is_view(case, table) {
        return None;
    }
    let facts = case.facts_of(table)?;
    let lost = facts
        .columns
        .keys()
        .find(|old| !columns.iter().any(|new| new == old.as_str()))?;
    let why = format!("the view has a column {lost}, which it would lose");
    Some(seen(
        case,
        why.clone(),
        format!("{table} cannot be replaced: {why}"),
        vec!["drop the view first, in the same transaction, and make it anew".to_owned()],
    ))
}

/// The view that a statement puts in the place of one that may be there, on PostgreSQL; `None`: it does no such thing, or
/// statements before have to do with the name.
fn put_in_place<'a>(case: &'a Case<'_>) -> Option<&'a TableName> {
    let Operation::CreateView {
        table,
        or_there: true,
    } = case.step.operation
    else {
        return None;
    };
    let remade = case.step.is_made(&Object::Relation(table.clone()));
    (case.server.engine == Engine::PostgreSql && remade.is_none()).then_some(table)
}

fn is_view(case: &Case<'_>, table: &TableName) -> bool {
    let found = case.relations(table).and_then(Fact::known);
    found.is_some_and(|all| all.iter().any(|one| one.kind == RelationKind::View))
}

/// Something else than a view that is to be replaced by one (PostgreSQL).
fn replaces_no_view(case: &Case<'_>) -> Option<Refusal> {
    let table = put_in_place(case)?;
    let text = case.step.statement.readings.first()?.text.to_lowercase();
    let replaces = text.starts_with("create or replace view")
        || text.starts_with("create or replace recursive");
    if !replaces || is_view(case, table) {
        return None;
    }
    let found = case.relations(table)?.known()?;
    let other = found.iter().find(|one| one.kind != RelationKind::Type)?;
    let what = other.kind.as_str();
    Some(seen(
        case,
        format!("{what} {table}"),
        format!("{table} is no view: it is a {what}"),
        vec!["choose another name, or drop what bears it before".to_owned()],
    ))
}
