//! Liquibase's lock: the row 1 of `DATABASECHANGELOGLOCK`, which holds who took it and when (Liquibase's
//! `LockDatabaseChangeLogGenerator`: `LOCKEDBY` is `host (address)`; `liquibase release-locks` writes what is
//! told here).

use dbop_model::{LockHolder, ToolLock, Why};

use super::shape;
use crate::dialect::Dialect;
use crate::reading::{Row, Statement, engine_statement};
use crate::recorded::printable;

/// Rows of (who, since when), of what is locked.
pub(super) fn statement(from: &str, dialect: Dialect) -> Statement {
    engine_statement(format!(
        "SELECT {}, {} FROM {from} AS t WHERE {} LIMIT 1",
        dialect.text(&dialect.column("lockedby")),
        dialect.text(&dialect.column("lockgranted")),
        dialect.column("locked"),
    ))
}

pub(super) fn interpret(
    from: &str,
    shown: &str,
    dialect: Dialect,
    rows: &[Row],
) -> Result<Vec<ToolLock>, Why> {
    let no = match dialect {
        Dialect::PostgreSql => "FALSE",
        Dialect::MySql => "0",
    };
    rows.iter()
        .map(|row| {
            let [by, since] = row.as_slice() else {
                return Err(shape());
            };
            let text = |text: &Option<String>| {
                let text = printable(text.as_deref()?);
                (!text.is_empty()).then_some(text)
            };
            Ok(ToolLock {
                tool: "Liquibase",
                lock: format!("row of {shown}"),
                holder: LockHolder::Row {
                    by: text(by),
                    since: text(since),
                },
                frees: format!(
                    "UPDATE {from} SET locked = {no}, lockgranted = NULL, lockedby = NULL WHERE id = 1;"
                ),
            })
        })
        .collect()
}
