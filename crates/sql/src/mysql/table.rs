//! `CREATE TABLE` (MySQL 8.4 manual, section 15.1.20; MariaDB, CREATE TABLE): its columns and foreign keys, and the table
//! that it is like. What cannot be read of a definition is passed over: nobody uses the table yet.

use dbop_model::operation::{Column, ConstraintKind, Dropping, Operation, TableChange};
use dbop_model::table::TableName;

use super::cursor::{Cursor, Unread};
use super::{alter, column};
use crate::Read;

/// Words with which a definition begins that is no column's. A column may bear each as its name, in quotes.
const NO_COLUMN: [&str; 11] = [
    "constraint",
    "primary",
    "foreign",
    "unique",
    "check",
    "index",
    "key",
    "fulltext",
    "spatial",
    "vector",
    "period",
];

/// Behind `CREATE [OR REPLACE] [TEMPORARY]`.
pub(super) fn create(at: &mut Cursor<'_>, replace: bool, temporary: bool) -> Result<Read, Unread> {
    at.expect(&["table"])?;
    let if_not_exists = at.take(&["if", "not", "exists"]);
    let table = at.table()?;
    let mut read = Read::default();
    if replace && !temporary {
        read.operations.push(Operation::DropTable {
            table: table.clone(),
            dropping: Dropping {
                if_exists: true,
                cascade: false,
            },
        });
    }
    let created = read.operations.len();
    read.operations.push(Operation::CreateTable {
        table: table.clone(),
        // One for the session alone stands before the table of its name.
        if_not_exists: if_not_exists || temporary,
        columns: Vec::new(),
    });
    let in_parentheses = at.is_sign("(") && at.is_then("like");
    if in_parentheses {
        at.sign("(");
    }
    if at.take(&["like"]) {
        read.operations.push(Operation::ChangeTable {
            table: at.table()?,
            change: TableChange::Template,
        });
    } else if at.is_sign("(") && !at.is_then("select") && !at.is_then("with") {
        at.sign("(");
        let columns = definitions(at, &table, &mut read)?;
        if let Some(Operation::CreateTable { columns: of_it, .. }) =
            read.operations.get_mut(created)
        {
            *of_it = columns;
        }
        // Engines but InnoDB read a foreign key and forget it.
        if engine(at).is_some_and(|engine| !engine.eq_ignore_ascii_case("innodb")) {
            let is_key = |one: &Operation| matches!(one, Operation::AddConstraint { .. });
            read.operations.retain(|one| !is_key(one));
        }
    }
    at.skip_all();
    Ok(read)
}

/// The storage engine among a new table's options.
fn engine(at: &mut Cursor<'_>) -> Option<String> {
    while !at.at_end() {
        if at.take(&["engine"]) {
            return Some(at.value().ok()?.trim_matches(['\'', '"', '`']).to_owned());
        }
        at.skip();
    }
    None
}

/// Columns; foreign keys concern the other table, and are operations of their own.
fn definitions(
    at: &mut Cursor<'_>,
    table: &TableName,
    read: &mut Read,
) -> Result<Vec<Column>, Unread> {
    let mut columns = Vec::new();
    while !at.sign(")") {
        if at.at_end() {
            return Err("a parenthesis is not closed".to_owned());
        }
        let is_key = at.is("foreign") || (at.is("constraint") && at.ahead_of_name("foreign"));
        if is_key && let Some(key) = alter::indexed(at, table)? {
            read.operations.push(key);
        } else if !at.is_any(&NO_COLUMN) {
            columns.extend(of_column(at, table, read)?);
        }
        // Up to its end, whatever stands there.
        while !at.at_end() && !at.is_sign(",") && !at.is_sign(")") {
            at.until(&[])?;
        }
        at.sign(",");
    }
    Ok(columns)
}

/// A column, with its foreign keys beside it; `None`: it cannot be read.
fn of_column(
    at: &mut Cursor<'_>,
    table: &TableName,
    read: &mut Read,
) -> Result<Option<Column>, Unread> {
    let start = at.place();
    let name = at.name()?;
    let Ok(column) = column::definition(at, name) else {
        at.go_to(start);
        references_within(at, table, read)?;
        return Ok(None);
    };
    let foreign = column
        .constraints
        .iter()
        .filter(|constraint| constraint.kind() == ConstraintKind::ForeignKey);
    let added = foreign.map(|constraint| Operation::AddConstraint {
        table: table.clone(),
        constraint: constraint.clone(),
    });
    read.operations.extend(added);
    Ok(Some(column))
}

/// The foreign keys of a column that is not read otherwise.
fn references_within(
    at: &mut Cursor<'_>,
    table: &TableName,
    read: &mut Read,
) -> Result<(), Unread> {
    let column = at.place();
    while !at.at_end() && !at.is_sign(",") && !at.is_sign(")") {
        at.until(&["references"])?;
        if at.is("references") {
            let behind = at.place();
            at.go_to(column);
            let name = at.name()?;
            at.go_to(behind);
            let constraint = column::references(at, vec![name])?;
            read.operations.push(Operation::AddConstraint {
                table: table.clone(),
                constraint,
            });
        }
    }
    Ok(())
}
