//! Functions and casts in what has to be the same forever: expressions and conditions of indexes, generated columns.
//!
//! A function is looked up by its name, the number of its arguments, and the types of those that are plainly a column.
//! Where one that would fit is immutable, nothing is said.

use dbop_model::operation::Operation;

use super::reasons::{literal, reason};
use super::words::{Name, find, name, part, split};
use crate::split::Piece;

/// Words that are functions without parentheses, none of them immutable.
const VALUES: [&str; 9] = [
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "current_user",
    "session_user",
    "current_role",
    "current_schema",
];

pub(super) fn of(piece: &Piece<'_>, operations: &[Operation], asked: &mut Vec<String>) {
    let index = (1..3).any(|at| piece.is_word(at, "index")) && piece.is_word(0, "create");
    if index {
        if let Some((table, open)) = indexed(piece) {
            let Some(end) = piece.closing(open) else {
                return;
            };
            let what = "an index";
            within(piece, open + 1, end, Some(&table), what, asked);
            if let Some(condition) = find(piece, end, "where") {
                let last = piece.tokens.len();
                within(piece, condition + 1, last, Some(&table), what, asked);
            }
        }
        return;
    }
    let created = operations
        .iter()
        .any(|one| matches!(one, Operation::CreateTable { .. }));
    let table = (!created).then(|| altered(piece)).flatten();
    for at in 0..piece.tokens.len() {
        let generated = piece.are_words(at, &["generated", "always", "as"]);
        if !generated || piece.written(at + 3) != "(" {
            continue;
        }
        let Some(end) = piece.closing(at + 3) else {
            continue;
        };
        let what = "a generated column";
        within(piece, at + 4, end, table.as_ref(), what, asked);
        if let Some(table) = &table {
            of_generated(piece, at + 4, end, table, asked);
        }
    }
}

/// The table of an index, and where its parts begin.
pub(super) fn indexed(piece: &Piece<'_>) -> Option<(Name, usize)> {
    let on = find(piece, 2, "on")?;
    let at = if piece.is_word(on + 1, "only") {
        on + 2
    } else {
        on + 1
    };
    let (table, mut at) = name(piece, at)?;
    if piece.is_word(at, "using") {
        at += 2;
    }
    (piece.written(at) == "(").then_some((table, at))
}

fn altered(piece: &Piece<'_>) -> Option<Name> {
    if !piece.are_words(0, &["alter", "table"]) {
        return None;
    }
    let mut at = 2;
    if piece.are_words(at, &["if", "exists"]) {
        at += 2;
    }
    if piece.is_word(at, "only") {
        at += 1;
    }
    name(piece, at).map(|(table, _)| table)
}

/// The type of a table's column.
pub(super) fn type_of(table: &Name, column: &str) -> String {
    format!(
        "(SELECT x.atttypid FROM pg_catalog.pg_attribute x WHERE x.attrelid = {} AND x.attname = {} \
         AND NOT x.attisdropped)",
        table.relation(),
        literal(column)
    )
}

fn within(
    piece: &Piece<'_>,
    from: usize,
    to: usize,
    table: Option<&Name>,
    what: &str,
    asked: &mut Vec<String>,
) {
    for at in from..to {
        if VALUES.iter().any(|word| piece.is_word(at, word)) && piece.written(at - 1) != "." {
            let message = format!("{} in {what} is not IMMUTABLE", piece.written(at));
            asked.push(reason("42P17", &message, "true"));
        }
        // A name in front belongs to it.
        if piece.written(at.saturating_sub(1)) != "."
            && let Some((called, open)) = name(piece, at)
            && piece.written(open) == "("
            && let Some(end) = piece.closing(open)
        {
            function(piece, &called, open, end, table, what, asked);
        }
        if let Some(table) = table
            && piece.written(at) == ":"
            && piece.written(at + 1) == ":"
            && piece.written(at.saturating_sub(2)) != "."
            && let Some(column) = part(piece, at - 1)
        {
            cast(piece, at + 2, to, &type_of(table, &column), what, asked);
        }
    }
}

fn function(
    piece: &Piece<'_>,
    called: &Name,
    open: usize,
    end: usize,
    table: Option<&Name>,
    what: &str,
    asked: &mut Vec<String>,
) {
    let arguments = split(piece, open + 1, end);
    let count = arguments.len();
    let mut fits = vec!["0".to_owned()];
    for (at, (from, to)) in arguments.iter().enumerate() {
        if to - from == 1
            && let (Some(table), Some(column)) = (table, part(piece, *from))
        {
            let column = type_of(table, &column);
            fits.push(format!(
                "CASE WHEN p.proargtypes[{at}] = {column} THEN 1 ELSE 0 END"
            ));
        }
    }
    let place = called.schema.as_ref().map_or_else(String::new, |schema| {
        format!(
            " AND p.pronamespace = (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = {})",
            literal(schema)
        )
    });
    let message = format!("function \"{}\" in {what} is not IMMUTABLE", called.name);
    let condition = format!(
        "(SELECT pg_catalog.bool_or(y.same) FROM (SELECT p.provolatile = 'i' AS same, \
         pg_catalog.rank() OVER (ORDER BY {} DESC) AS place FROM pg_catalog.pg_proc p \
         WHERE p.proname = {}{place} AND (p.provariadic <> 0::pg_catalog.oid \
         OR p.pronargs >= {count} AND p.pronargs - p.pronargdefaults <= {count})) y WHERE y.place = 1) IS FALSE",
        fits.join(" + "),
        literal(&called.name),
    );
    asked.push(reason("42P17", &message, &condition));
}

/// A cast by a function, or by the words of a value.
fn cast(
    piece: &Piece<'_>,
    from: usize,
    to: usize,
    source: &str,
    what: &str,
    asked: &mut Vec<String>,
) {
    let Some((target, _)) = name(piece, from).filter(|_| from < to) else {
        return;
    };
    let written: String = match &target.schema {
        Some(_) => return,
        None => target.name.clone(),
    };
    let target = format!(
        "pg_catalog.to_regtype({})::pg_catalog.oid",
        literal(&written)
    );
    let message = format!("the cast to {written} in {what} is not IMMUTABLE");
    let condition = format!(
        "EXISTS (SELECT FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc \
         WHERE c.castsource = {source} AND c.casttarget = {target} AND p.provolatile <> 'i') \
         OR NOT EXISTS (SELECT FROM pg_catalog.pg_cast c WHERE c.castsource = {source} AND c.casttarget = {target}) \
         AND EXISTS (SELECT FROM pg_catalog.pg_type t JOIN pg_catalog.pg_proc p ON p.oid = t.typoutput::pg_catalog.oid \
         WHERE t.oid = {source} AND t.oid <> {target} AND p.provolatile <> 'i')"
    );
    asked.push(reason("42P17", &message, &condition));
}

/// A generated column that is made of another one.
fn of_generated(piece: &Piece<'_>, from: usize, to: usize, table: &Name, asked: &mut Vec<String>) {
    let names: Vec<String> = (from..to)
        .filter(|at| piece.written(*at + 1) != "(")
        .filter_map(|at| part(piece, at))
        .map(|name| literal(&name))
        .collect();
    if names.is_empty() {
        return;
    }
    let condition = format!(
        "EXISTS (SELECT FROM pg_catalog.pg_attribute x WHERE x.attrelid = {} AND x.attgenerated <> '' \
         AND x.attname IN ({}))",
        table.relation(),
        names.join(", ")
    );
    let message = "a generated column cannot be made of another one";
    asked.push(reason("42P17", message, &condition));
}
