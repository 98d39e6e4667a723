//! Questions for PostgreSQL's catalogue that a statement raises: is there already what it makes, is in use what it drops,
//! is there what it rests on?
//!
//! Each is a query of the catalogue alone, whose rows are reasons why the server refuses the statement. What the words do
//! not plainly say raises none.

mod altered;
mod created;
mod dropped;
mod expressions;
mod indexed;
mod reasons;
mod words;

use dbop_model::operation::Operation;

use crate::split::Piece;
use altered::parameters;
use reasons::{lacks_index, literal, reason};
use words::{find, name, outside, part, split};

/// The questions of a statement as one query; `None`: it raises none.
pub(super) fn of(piece: &Piece<'_>, operations: &[Operation]) -> Option<String> {
    let mut asked = Vec::new();
    if piece.is_word(0, "create") {
        created::of(piece, &mut asked);
    } else if piece.is_word(0, "drop") {
        dropped::of(piece, &mut asked);
    } else if piece.is_word(0, "alter") {
        altered::of(piece, operations, &mut asked);
    } else if piece.are_words(0, &["refresh", "materialized", "view", "concurrently"]) {
        refreshed(piece, &mut asked);
    } else if piece.is_word(0, "cluster") {
        clustered(piece, &mut asked);
    }
    if !asked.is_empty()
        || ["create", "alter"]
            .iter()
            .any(|word| piece.is_word(0, word))
    {
        tablespaces(piece, &mut asked);
        indexed::of(piece, operations, &mut asked);
        expressions::of(piece, operations, &mut asked);
    }
    of_new(piece, operations, &mut asked);
    (!asked.is_empty()).then(|| asked.join(" UNION ALL "))
}

/// Keys that name a column twice, and columns that a new table would inherit with another type.
fn of_new(piece: &Piece<'_>, operations: &[Operation], asked: &mut Vec<String>) {
    for open in 2..piece.tokens.len() {
        let is_key = ["unique", "key", "distinct"]
            .iter()
            .any(|word| piece.is_word(open - 1, word))
            && !piece.is_word(open - 2, "foreign");
        if !is_key || piece.written(open) != "(" {
            continue;
        }
        let Some(end) = piece.closing(open) else {
            continue;
        };
        let columns: Vec<String> = split(piece, open + 1, end)
            .iter()
            .filter_map(|(from, _)| part(piece, *from))
            .collect();
        let twice = (1..columns.len()).find(|at| columns[..*at].contains(&columns[*at]));
        if let Some(at) = twice {
            let message = format!("column \"{}\" appears twice in a key", columns[at]);
            asked.push(reason("42701", &message, "true"));
        }
    }
    for operation in operations {
        let Operation::CreateTable { columns, .. } = operation else {
            continue;
        };
        let parents = find(piece, 1, "inherits").filter(|at| piece.written(at + 1) == "(");
        let Some((open, end)) = parents.and_then(|at| Some((at + 1, piece.closing(at + 1)?)))
        else {
            continue;
        };
        for (from, _) in split(piece, open + 1, end) {
            let Some((parent, _)) = name(piece, from) else {
                continue;
            };
            for column in columns {
                let Some(sql_type) = &column.sql_type else {
                    continue;
                };
                let name = column.name.as_str();
                let condition = format!(
                    "{} <> pg_catalog.to_regtype({})::pg_catalog.oid",
                    expressions::type_of(&parent, name),
                    literal(sql_type.name())
                );
                let message = format!(
                    "column \"{name}\" has another type in \"{}\", from which it is inherited",
                    parent.name
                );
                asked.push(reason("42804", &message, &condition));
            }
        }
    }
}

/// `CLUSTER t USING i`.
fn clustered(piece: &Piece<'_>, asked: &mut Vec<String>) {
    let Some(at) = find(piece, 1, "using") else {
        return;
    };
    let table = name(piece, at.saturating_sub(1)).filter(|_| piece.written(at - 2) != ".");
    let qualified = (at >= 4).then(|| name(piece, at - 3)).flatten();
    let table = table.or(qualified).map(|(table, _)| table);
    if let (Some(table), Some(index)) = (table, part(piece, at + 1)) {
        lacks_index(&table, &index, asked);
    }
}

/// A view is refreshed beside its readers by a unique index over whole columns and all rows.
fn refreshed(piece: &Piece<'_>, asked: &mut Vec<String>) {
    let Some((view, _)) = name(piece, 4) else {
        return;
    };
    let of = format!("x.oid = {} AND x.relkind = 'm'", view.relation());
    let key = "EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = x.oid AND i.indisunique \
               AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL)";
    let condition =
        |what: &str| format!("EXISTS (SELECT FROM pg_catalog.pg_class x WHERE {of} AND {what})");
    let message = format!(
        "\"{}\" has no unique index over columns and all rows",
        view.name
    );
    asked.push(reason("55000", &message, &condition(&format!("NOT {key}"))));
    let message = format!("\"{}\" has never been filled", view.name);
    asked.push(reason(
        "0A000",
        &message,
        &condition("NOT x.relispopulated"),
    ));
}

/// Tablespaces, wherever one is named, and the parameters of a new table.
fn tablespaces(piece: &Piece<'_>, asked: &mut Vec<String>) {
    for at in outside(piece, 1) {
        if !piece.is_word(at, "tablespace") || at < 2 {
            continue;
        }
        if let Some(space) = part(piece, at + 1) {
            let condition = format!(
                "NOT EXISTS (SELECT FROM pg_catalog.pg_tablespace x WHERE x.spcname = {})",
                literal(&space)
            );
            let message = format!("tablespace \"{space}\" does not exist");
            asked.push(reason("42704", &message, &condition));
        }
    }
    let creates = (1..3).any(|at| piece.is_word(at, "table"));
    if piece.is_word(0, "create") && creates {
        let with = outside(piece, 1)
            .into_iter()
            .find(|at| piece.is_word(*at, "with") && piece.written(at + 1) == "(");
        if let Some(at) = with {
            parameters(piece, at + 1, asked);
        }
    }
}
