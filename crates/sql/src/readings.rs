//! What of a statement a server can be asked to read, so that it says itself what is wrong with it: the statement's own
//! words, the query of a view or of a table that is filled by one, and a query made of a new table's columns.
//!
//! Nothing here knows what a server makes of it. A text without a query in it, or with one that cannot be told from the
//! rest, is read as a statement alone.

mod altered;
mod catalogue;
mod mysql_catalogue;
mod named;
mod names;

use dbop_model::Engine;
use dbop_model::operation::{Operation, Reading, ReadingKind, Statement};

use crate::lex::Kind;
use crate::mysql;
use crate::postgres;
use crate::split::Piece;

/// First words of statements that change what names stand for.
const CHANGING: [&str; 9] = [
    "alter", "create", "drop", "rename", "truncate", "do", "call", "execute", "import",
];

/// First words of statements that change rows alone.
const WRITING: [&str; 5] = ["insert", "update", "delete", "replace", "merge"];
/// Longer ones hold rows by the thousand.
const WRITING_BYTES_MAX: usize = 10_000;

/// The readings of a statement. `schema`: where its names without one are looked for, where the file says it.
pub(crate) fn of(
    engine: Engine,
    piece: &Piece<'_>,
    operations: &[Operation],
    schema: Option<&str>,
) -> Vec<Reading> {
    let reading = |text: String, kind: ReadingKind| Reading {
        text,
        kind,
        schema: schema.map(str::to_owned),
    };
    if WRITING.iter().any(|word| piece.is_word(0, word)) {
        let text = words(piece, 0);
        let short = text.len() <= WRITING_BYTES_MAX && piece.problem.is_none();
        let written = short.then(|| reading(text, ReadingKind::Definition));
        return written
            .into_iter()
            .filter(|_| operations.is_empty())
            .collect();
    }
    let changes = CHANGING.iter().any(|word| piece.is_word(0, word))
        || ["comment", "grant", "revoke", "refresh"]
            .iter()
            .any(|word| piece.is_word(0, word));
    if piece.problem.is_some() || operations.is_empty() && !changes {
        return Vec::new();
    }
    let mut readings = vec![reading(words(piece, 0), ReadingKind::Statement)];
    if operations.is_empty() {
        if engine == Engine::PostgreSql
            && let Some(text) = names::of(piece)
        {
            readings.push(reading(text, ReadingKind::Definition));
        }
        beside(engine, piece, operations, &mut |text, kind| {
            readings.push(reading(text, kind));
        });
        return readings;
    }
    if let Some((text, named)) = query(engine, piece) {
        readings.push(reading(text, ReadingKind::Query { named }));
    }
    let definition = match engine {
        Engine::PostgreSql => postgres::definition(piece, operations),
        Engine::MySql | Engine::MariaDb => mysql::definition(operations),
    };
    if let Some(text) = definition {
        readings.push(reading(text, ReadingKind::Definition));
    }
    if engine == Engine::PostgreSql {
        let asked = names::beside(piece);
        let text = format!("SELECT {}", asked.join(", "));
        readings.extend((!asked.is_empty()).then(|| reading(text, ReadingKind::Definition)));
    }
    beside(engine, piece, operations, &mut |text, kind| {
        readings.push(reading(text, kind));
    });
    let sorts = engine == Engine::PostgreSql && !has_other_method(piece);
    if let Some(text) = altered::of(engine, operations, sorts) {
        readings.push(reading(text, ReadingKind::Definition));
    }
    readings
}

/// Gives the queries of a file the tables that it makes before them, as queries of the same columns: the server that reads
/// them does not have these tables yet.
pub(crate) fn with_new_tables(engine: Engine, statements: &mut [Statement]) {
    let mut made: Vec<(String, String)> = Vec::new();
    for statement in statements {
        for reading in &mut statement.readings {
            if matches!(reading.kind, ReadingKind::Query { .. }) {
                reading.text = with_tables(engine, &made, &reading.text);
            }
        }
        for operation in &statement.operations {
            let name = operation.table().name();
            match operation {
                Operation::CreateTable {
                    table,
                    columns,
                    complete: true,
                    if_not_exists: false,
                    ..
                } if table.schema().is_none() && !columns.is_empty() => {
                    let query = altered::empty(engine, columns);
                    made.extend(query.map(|query| (name.to_owned(), query)));
                }
                // Of what is changed since, nothing is said.
                Operation::AddConstraint { .. } | Operation::CreateIndex { .. } => {}
                _ => made.retain(|(other, _)| other != name),
            }
        }
    }
}

fn with_tables(engine: Engine, made: &[(String, String)], text: &str) -> String {
    let quote = match engine {
        Engine::PostgreSql => '"',
        Engine::MySql | Engine::MariaDb => '`',
    };
    let mut words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    if words.clone().any(|word| word.eq_ignore_ascii_case("with")) {
        return text.to_owned();
    }
    let tables: Vec<String> = made
        .iter()
        .filter(|(name, _)| words.clone().any(|word| word.eq_ignore_ascii_case(name)))
        .map(|(name, query)| format!("{quote}{name}{quote} AS ({query})"))
        .collect();
    let is_query = words
        .next()
        .is_some_and(|word| word.eq_ignore_ascii_case("select"));
    match tables.is_empty() || !is_query {
        true => text.to_owned(),
        false => format!("WITH {} {text}", tables.join(", ")),
    }
}

/// What else a statement names, and what it raises of the catalogue.
fn beside(
    engine: Engine,
    piece: &Piece<'_>,
    operations: &[Operation],
    push: &mut dyn FnMut(String, ReadingKind),
) {
    let catalogue = match engine {
        Engine::PostgreSql => {
            for text in named::of(piece, operations) {
                push(text, ReadingKind::Definition);
            }
            catalogue::of(piece, operations)
        }
        Engine::MySql | Engine::MariaDb => mysql_catalogue::of(engine, piece),
    };
    if let Some(text) = catalogue {
        push(text, ReadingKind::Catalogue);
    }
}

/// Does an index of it sort nothing (`USING gin`)?
fn has_other_method(piece: &Piece<'_>) -> bool {
    (1..piece.tokens.len()).any(|at| piece.is_word(at, "using") && !piece.is_word(at + 1, "btree"))
}

/// The text from a token on, with one space where there was white space or a comment.
fn words(piece: &Piece<'_>, from: usize) -> String {
    between(piece, from, piece.tokens.len())
}

fn between(piece: &Piece<'_>, from: usize, to: usize) -> String {
    let mut text = String::new();
    let mut end = None;
    for token in &piece.tokens[from..to] {
        if end.is_some_and(|end| end < token.start) {
            text.push(' ');
        }
        end = Some(token.end);
        text.push_str(piece.of(token));
    }
    text
}

/// The query by which a view is made or a table is filled, and how many columns it names itself.
fn query(engine: Engine, piece: &Piece<'_>) -> Option<(String, Option<usize>)> {
    let postgres = engine == Engine::PostgreSql;
    if postgres && piece.is_word(0, "select") {
        // SELECT ... INTO: the server reads it as it is.
        return Some((words(piece, 0), None));
    }
    if !(piece.is_word(0, "create") || piece.is_word(0, "alter")) {
        return None;
    }
    let kind = (1..piece.tokens.len().min(24)).find(|at| {
        ["view", "table"]
            .iter()
            .any(|word| piece.is_word(*at, word))
    })?;
    let is_view = piece.is_word(kind, "view");
    if !is_view && piece.is_word(0, "alter")
        || (1..kind).any(|at| piece.is_word(at, "recursive") || piece.is_word(at, "trigger"))
    {
        return None;
    }
    let mut depth = 0_usize;
    let mut start = None;
    for at in kind + 1..piece.tokens.len() {
        match piece.of(&piece.tokens[at]) {
            "(" => {
                if !is_view && !postgres && depth == 0 && begins_query(piece, at + 1) {
                    start = Some(at);
                    break;
                }
                depth += 1;
            }
            ")" => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ if piece.is_word(at, "as") => {
                start = Some(at + 1);
                break;
            }
            _ if !is_view && !postgres && piece.is_word(at, "select") => {
                start = Some(at);
                break;
            }
            _ => {}
        }
    }
    let start = start.filter(|start| begins_query(piece, *start))?;
    let mut end = piece.tokens.len();
    // What may stand behind a query.
    for tail in [
        &["with", "check", "option"][..],
        &["with", "cascaded", "check", "option"],
        &["with", "local", "check", "option"],
        &["with", "data"],
        &["with", "no", "data"],
    ] {
        let at = end.saturating_sub(tail.len());
        if at > start && piece.are_words(at, tail) {
            end = at;
            break;
        }
    }
    let named = named(piece, kind, start).filter(|_| is_view || postgres);
    Some((between(piece, start, end), named))
}

/// Does a query begin there, perhaps in parentheses?
fn begins_query(piece: &Piece<'_>, at: usize) -> bool {
    let first = (at..piece.tokens.len()).find(|at| piece.of(&piece.tokens[*at]) != "(");
    first.is_some_and(|at| {
        ["select", "with", "values", "table"]
            .iter()
            .any(|word| piece.is_word(at, word))
    })
}

/// How many names stand in parentheses right behind what is made.
fn named(piece: &Piece<'_>, kind: usize, start: usize) -> Option<usize> {
    let text = |at: usize| piece.of(&piece.tokens[at]);
    let open = (kind + 1..start).find(|at| text(*at) == "(")?;
    // Only its own name stands before them.
    let is_name = |at: usize| {
        matches!(piece.tokens[at].kind, Kind::Word | Kind::Quoted) && !piece.is_word(at, "with")
            || text(at) == "."
    };
    if !(kind + 1..open).all(is_name) {
        return None;
    }
    let close = (open..start).find(|at| text(*at) == ")")?;
    Some((open..close).filter(|at| text(*at) == ",").count() + 1)
}
