//! Access methods and operator classes of indexes and of EXCLUDE: is there what is named, and one for the column's type
//! where none is?

use dbop_model::operation::Operation;

use super::expressions::{indexed, type_of};
use super::reasons::{lacks_column, literal, reason};
use super::words::{Name, part, split};
use crate::split::Piece;

/// What may stand behind a column without being an operator class.
const BEHIND: [&str; 5] = ["asc", "desc", "nulls", "collate", "with"];

pub(super) fn of(piece: &Piece<'_>, operations: &[Operation], asked: &mut Vec<String>) {
    let index = piece.is_word(0, "create") && (1..3).any(|at| piece.is_word(at, "index"));
    if index {
        let Some((table, open)) = indexed(piece) else {
            return;
        };
        let method = piece
            .is_word(open - 2, "using")
            .then(|| part(piece, open - 1))
            .flatten();
        of_parts(
            piece,
            method,
            open,
            &|column| type_of(&table, column),
            asked,
        );
        included(piece, open, &table, asked);
        return;
    }
    for at in 1..piece.tokens.len() {
        if !piece.is_word(at, "exclude") {
            continue;
        }
        let (method, open) = match piece.is_word(at + 1, "using") {
            true => (part(piece, at + 2), at + 3),
            false => (None, at + 1),
        };
        if piece.written(open) != "(" {
            continue;
        }
        let ty = |column: &str| match in_new(operations, column) {
            Some(ty) => ty,
            None => operations.first().map_or_else(
                || "NULL::pg_catalog.oid".to_owned(),
                |one| {
                    let table = Name {
                        schema: one.table().schema().map(str::to_owned),
                        name: one.table().name().to_owned(),
                    };
                    type_of(&table, column)
                },
            ),
        };
        of_parts(piece, method, open, &ty, asked);
    }
}

/// The type that a new table's column gets.
fn in_new(operations: &[Operation], column: &str) -> Option<String> {
    let columns = operations.iter().find_map(|one| match one {
        Operation::CreateTable { columns, .. } => Some(columns),
        _ => None,
    })?;
    let found = columns.iter().find(|one| one.name.as_str() == column)?;
    let name = found.sql_type.as_ref()?.name();
    Some(format!(
        "pg_catalog.to_regtype({})::pg_catalog.oid",
        literal(name)
    ))
}

/// Columns that an index holds beside its key.
fn included(piece: &Piece<'_>, open: usize, table: &Name, asked: &mut Vec<String>) {
    let Some(end) = piece.closing(open) else {
        return;
    };
    if !piece.is_word(end + 1, "include") || piece.written(end + 2) != "(" {
        return;
    }
    let Some(last) = piece.closing(end + 2) else {
        return;
    };
    for (from, _) in split(piece, end + 3, last) {
        if let Some(column) = part(piece, from) {
            lacks_column(table, &column, asked);
        }
    }
}

fn of_parts(
    piece: &Piece<'_>,
    method: Option<String>,
    open: usize,
    type_of: &dyn Fn(&str) -> String,
    asked: &mut Vec<String>,
) {
    let Some(end) = piece.closing(open) else {
        return;
    };
    let sorts = method.as_ref().is_none_or(|method| method == "btree");
    let method = method.unwrap_or_else(|| "btree".to_owned());
    let named = literal(&method);
    let there = format!(
        "EXISTS (SELECT FROM pg_catalog.pg_am a WHERE a.amname = {named} AND a.amtype = 'i')"
    );
    if !sorts {
        let message = format!("access method \"{method}\" does not exist");
        asked.push(reason("42704", &message, &format!("NOT {there}")));
    }
    for (from, to) in split(piece, open + 1, end) {
        let Some(column) = part(piece, from).filter(|_| piece.written(from + 1) != "(") else {
            continue;
        };
        let behind = |at: usize| BEHIND.iter().any(|word| piece.is_word(at, word));
        if from + 1 < to && !behind(from + 1) {
            if let Some(class) = part(piece, from + 1).filter(|_| piece.written(from + 2) != ".") {
                let condition = format!(
                    "{there} AND NOT EXISTS (SELECT FROM pg_catalog.pg_opclass o \
                     JOIN pg_catalog.pg_am a ON a.oid = o.opcmethod WHERE a.amname = {named} AND o.opcname = {})",
                    literal(&class)
                );
                let message = format!(
                    "operator class \"{class}\" does not exist for access method \"{method}\""
                );
                asked.push(reason("42704", &message, &condition));
            }
        } else if !sorts {
            asked.push(without_class(&column, &method, &there, &type_of(&column)));
        }
    }
}

/// A column of a type for which the access method has no operator class that it would take by itself: of the type, of one
/// that it is in its bytes, of any type of its kind (PostgreSQL manual, section 11.10).
fn without_class(column: &str, method: &str, there: &str, ty: &str) -> String {
    let message = format!(
        "the type of column \"{column}\" has no default operator class for access method \"{method}\""
    );
    let condition = format!(
        "{there} AND EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid = {ty} AND t.typtype <> 'd' AND NOT EXISTS \
         (SELECT FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am a ON a.oid = o.opcmethod \
         WHERE a.amname = {} AND o.opcdefault AND (o.opcintype = t.oid \
         OR EXISTS (SELECT FROM pg_catalog.pg_cast c WHERE c.castsource = t.oid \
         AND c.casttarget = o.opcintype AND c.castmethod = 'b') \
         OR o.opcintype = 'pg_catalog.anyarray'::pg_catalog.regtype::pg_catalog.oid AND t.typcategory = 'A' \
         OR o.opcintype = 'pg_catalog.anyenum'::pg_catalog.regtype::pg_catalog.oid AND t.typtype = 'e' \
         OR o.opcintype = 'pg_catalog.anyrange'::pg_catalog.regtype::pg_catalog.oid AND t.typtype = 'r' \
         OR o.opcintype = 'pg_catalog.anymultirange'::pg_catalog.regtype::pg_catalog.oid AND t.typtype = 'm' \
         OR o.opcintype = 'pg_catalog.record'::pg_catalog.regtype::pg_catalog.oid AND t.typtype = 'c')))",
        literal(method)
    );
    reason("42704", &message, &condition)
}
