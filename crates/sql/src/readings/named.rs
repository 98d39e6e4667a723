//! Queries made of what a statement of PostgreSQL names beside a table's columns: conditions of policies, commands of rules,
//! columns of statistics, bodies of SQL functions, new defaults.

use dbop_model::operation::{Operation, ServerDefault};

use super::between;
use crate::lex::Kind;
use crate::split::Piece;

pub(super) fn of(piece: &Piece<'_>, operations: &[Operation]) -> Vec<String> {
    let mut asked = defaults(operations);
    let policy =
        piece.are_words(0, &["create", "policy"]) || piece.are_words(0, &["alter", "policy"]);
    if policy {
        asked.extend(policies(piece));
    }
    if piece.is_word(0, "create") {
        let at = if piece.are_words(1, &["or", "replace"]) {
            3
        } else {
            1
        };
        if piece.is_word(at, "rule") {
            asked.extend(rule(piece));
        }
        if piece.is_word(at, "statistics") {
            asked.extend(statistics(piece));
        }
        if piece.is_word(at, "function") || piece.is_word(at, "procedure") {
            asked.extend(body(piece, at));
        }
        if piece.is_word(at, "publication") {
            asked.extend(published(piece));
        }
    }
    asked
}

/// A new default has to become the column's type by itself, as what is inserted has to (PostgreSQL manual, section 10.4).
fn defaults(operations: &[Operation]) -> Vec<String> {
    let [Operation::AlterColumn { table, columns }] = operations else {
        return Vec::new();
    };
    let [column] = columns.as_slice() else {
        return Vec::new();
    };
    let ServerDefault::Expression(text) = &column.default else {
        return Vec::new();
    };
    if column.sql_type.is_some() {
        return Vec::new();
    }
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let whole = match table.schema() {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(table.name())),
        None => quoted(table.name()),
    };
    vec![format!(
        "INSERT INTO {whole} ({}) VALUES (({text}))",
        quoted(column.name.as_str())
    )]
}

/// From a table's name on, up to what cannot be in one.
fn table(piece: &Piece<'_>, at: usize) -> String {
    let mut end = at + 1;
    while piece.written(end) == "." {
        end += 2;
    }
    between(piece, at, end.min(piece.tokens.len()))
}

fn policies(piece: &Piece<'_>) -> Option<String> {
    let on = (2..piece.tokens.len()).find(|at| piece.is_word(*at, "on"))?;
    piece.tokens.get(on + 1)?;
    let mut asked = Vec::new();
    for at in on + 2..piece.tokens.len() {
        if (piece.is_word(at, "using") || piece.is_word(at, "check"))
            && piece.written(at + 1) == "("
        {
            let end = piece.closing(at + 1)?;
            let condition = between(piece, at + 1, end + 1);
            asked.push(format!("CASE WHEN {condition} THEN 1 END"));
        }
    }
    let table = table(piece, on + 1);
    (!asked.is_empty()).then(|| format!("SELECT {} FROM {table}", asked.join(", ")))
}

/// A rule's only command, unless it has to do with the rows of the one that it stands beside.
fn rule(piece: &Piece<'_>) -> Option<String> {
    let last = piece.tokens.len();
    let at = (2..last).find(|at| piece.is_word(*at, "do"))?;
    let at = match piece.is_word(at + 1, "also") || piece.is_word(at + 1, "instead") {
        true => at + 2,
        false => at + 1,
    };
    let writes = ["insert", "update", "delete", "select"]
        .iter()
        .any(|word| piece.is_word(at, word));
    let of_rows = (at..last).any(|at| piece.is_word(at, "new") || piece.is_word(at, "old"));
    (writes && !of_rows).then(|| between(piece, at, last))
}

fn statistics(piece: &Piece<'_>) -> Option<String> {
    let last = piece.tokens.len();
    let on = (2..last).find(|at| piece.is_word(*at, "on"))?;
    let from = (on..last).find(|at| piece.is_word(*at, "from"))?;
    piece.tokens.get(from + 1)?;
    Some(format!(
        "SELECT {} FROM {}",
        between(piece, on + 1, from),
        table(piece, from + 1)
    ))
}

/// The body of a function without arguments, which the server reads when the function is made.
fn body(piece: &Piece<'_>, kind: usize) -> Option<String> {
    let last = piece.tokens.len();
    let open = (kind..last).find(|at| piece.written(*at) == "(")?;
    if piece.written(open + 1) != ")"
        || !(open..last).any(|at| {
            piece.is_word(at, "language")
                && piece
                    .written(at + 1)
                    .trim_matches('\'')
                    .eq_ignore_ascii_case("sql")
        })
    {
        return None;
    }
    let at = (open..last).find(|at| piece.is_word(*at, "as"))? + 1;
    let token = piece
        .tokens
        .get(at)
        .filter(|token| token.kind == Kind::Text)?;
    let written = piece.of(token);
    let inner = match written.strip_prefix('$') {
        Some(rest) => {
            let tag = rest.find('$')? + 2;
            written
                .get(tag..written.len().checked_sub(tag)?)?
                .to_owned()
        }
        None => {
            let inner = written.strip_prefix('\'')?.strip_suffix('\'')?;
            inner.replace("''", "'")
        }
    };
    let inner = inner.trim().trim_end_matches(';').trim_end();
    let first = inner.split_whitespace().next()?;
    let reads = ["select", "insert", "update", "delete", "with", "values"]
        .iter()
        .any(|word| first.eq_ignore_ascii_case(word));
    (reads && !inner.contains(';')).then(|| inner.to_owned())
}

/// The tables of a publication.
fn published(piece: &Piece<'_>) -> Option<String> {
    let last = piece.tokens.len();
    let at = (3..last).find(|at| piece.are_words(*at, &["for", "table"]))? + 2;
    let at = if piece.is_word(at, "only") {
        at + 1
    } else {
        at
    };
    piece.tokens.get(at)?;
    Some(format!("SELECT 1 FROM {}", table(piece, at)))
}
