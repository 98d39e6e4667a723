//! `CREATE TABLE` (MySQL 8.4 manual, section 15.1.20; MariaDB, CREATE TABLE): its columns, its keys and constraints as
//! operations behind it, and the table that it is like. What cannot be read of a definition is passed over, and the
//! definition is not complete then.

use dbop_model::operation::{
    Column, ConstraintKind, Dropping, IndexPart, Operation, ServerDefault, TableChange,
    TableOptions,
};
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
        complete: false,
        options: TableOptions::default(),
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
        let (defined, whole) = definitions(at, &table, &mut read)?;
        let (said, plain) = options(at);
        // PARTITION BY is judged as it is of a table that is there.
        let mut plain = plain;
        if at.is("partition") && at.is_then("by") {
            match alter::partitioned(at) {
                Ok(Some(it)) => {
                    read.operations.push(Operation::ChangeTable {
                        table: table.clone(),
                        change: TableChange::Partitioning(it),
                    });
                    plain = true;
                }
                Ok(None) | Err(_) => plain = false,
            }
        }
        // Engines but InnoDB read a foreign key and forget it.
        let other = said.engine.as_ref();
        if other.is_some_and(|engine| !engine.eq_ignore_ascii_case("innodb")) {
            let is_key = |one: &Operation| {
                matches!(one, Operation::AddConstraint { constraint, .. }
                if constraint.kind() == ConstraintKind::ForeignKey)
            };
            read.operations.retain(|one| !is_key(one));
        }
        if let Some(Operation::CreateTable {
            columns,
            complete,
            options,
            ..
        }) = read.operations.get_mut(created)
        {
            *columns = defined;
            *complete = whole && plain;
            *options = said;
        }
    }
    at.skip_all();
    Ok(read)
}

/// A new table's options; and is it neither split nor filled by a query?
fn options(at: &mut Cursor<'_>) -> (TableOptions, bool) {
    let mut found = TableOptions::default();
    let value = |at: &mut Cursor<'_>| {
        let text = at.value().ok()?;
        Some(text.trim_matches(['\'', '"', '`']).to_owned())
    };
    let mut plain = true;
    while !at.at_end() {
        if at.take(&["engine"]) {
            found.engine = value(at);
        } else if at.take(&["charset"]) || at.take(&["character", "set"]) {
            found.charset = value(at);
        } else if at.take(&["collate"]) {
            found.collation = value(at);
        } else if at.take(&["row_format"]) {
            found.row_format = value(at);
        } else if at.is_any(&["partition", "select", "as", "with"]) || at.is_sign("(") {
            plain = false;
            break;
        } else {
            at.skip();
        }
    }
    (found, plain)
}

/// Columns; keys and constraints are operations of their own. And could all of it be read?
fn definitions(
    at: &mut Cursor<'_>,
    table: &TableName,
    read: &mut Read,
) -> Result<(Vec<Column>, bool), Unread> {
    let (mut columns, mut whole) = (Vec::new(), true);
    while !at.sign(")") {
        if at.at_end() {
            return Err("a parenthesis is not closed".to_owned());
        }
        if at.is_any(&NO_COLUMN) {
            let start = at.place();
            match alter::indexed(at, table) {
                Ok(Some(operation)) => read.operations.push(operation),
                Ok(None) | Err(_) => {
                    at.go_to(start);
                    whole = false;
                }
            }
        } else {
            match of_column(at, table, read)? {
                Some(column) => columns.push(column),
                None => whole = false,
            }
        }
        // Up to its end, whatever stands there.
        while !at.at_end() && !at.is_sign(",") && !at.is_sign(")") {
            at.until(&[])?;
        }
        at.sign(",");
    }
    Ok((columns, whole))
}

/// A column, with its keys and constraints beside it; `None`: it cannot be read.
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
    let added = column
        .constraints
        .iter()
        .map(|constraint| Operation::AddConstraint {
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

/// A query by which the columns and functions in a new table's expressions are looked up.
pub(super) fn definition(operations: &[Operation]) -> Option<String> {
    let found = operations.iter().find_map(|one| match one {
        Operation::CreateTable {
            table,
            columns,
            complete: true,
            ..
        } => Some((table, columns)),
        _ => None,
    });
    let (table, columns) = found?;
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let checks = operations.iter().flat_map(|one| match one {
        Operation::AddConstraint { constraint, .. } => {
            let own = constraint.expression.iter();
            own.map(|text| format!("({text})")).collect::<Vec<_>>()
        }
        Operation::CreateIndex { index, .. } => {
            let computed = index.parts.iter().filter_map(|part| match part {
                IndexPart::Expression(text) => Some(format!("({text})")),
                IndexPart::Column(_) | IndexPart::Prefix(..) => None,
            });
            computed.collect()
        }
        _ => Vec::new(),
    });
    let computed = columns.iter().filter_map(|column| {
        let whole = column.sql_type.as_ref()?.as_str();
        let lower = whole.to_ascii_lowercase();
        let at = lower.find(" generated always as (")?;
        let expression = &whole[at + " generated always as ".len()..];
        let end = expression.rfind(')')?;
        Some(expression[..=end].to_owned())
    });
    let defaults = columns.iter().filter_map(|column| match &column.default {
        ServerDefault::Expression(text) if text.starts_with('(') => Some(text.clone()),
        _ => None,
    });
    let asked: Vec<String> = checks.chain(computed).chain(defaults).collect();
    if asked.is_empty() || columns.is_empty() {
        return None;
    }
    let own: Vec<String> = columns
        .iter()
        .map(|column| format!("NULL AS {}", quoted(column.name.as_str())))
        .collect();
    Some(format!(
        "SELECT {} FROM (SELECT {}) AS {}",
        asked.join(", "),
        own.join(", "),
        quoted(table.name())
    ))
}
