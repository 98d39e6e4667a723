//! Ways out of a blocking change: complete statements for this engine, version, table and change, the best first.
//!
//! What is SQL in them stands after a colon or after another statement and ends with a semicolon, so that it can be
//! copied as it stands: nothing in it has to be filled in. What cannot be written so is told in words alone.

mod mysql;
mod postgresql;

use dbop_model::Engine;
use dbop_model::table::ColumnName;

use crate::case::Case;
use crate::sql;

pub(crate) use mysql::copied_outside;

/// The ways out of what an operation's statement does.
pub(crate) fn of(case: &Case<'_>) -> Vec<String> {
    match case.server.engine {
        Engine::PostgreSql => postgresql::of(case),
        Engine::MySql | Engine::MariaDb => mysql::of(case),
    }
}

/// How SET NOT NULL is made instant (PostgreSQL).
pub(crate) fn prove_not_null(case: &Case<'_>, column: &ColumnName) -> String {
    let dialect = case.dialect();
    let (table, name) = (dialect.table(case.table()), dialect.column(column));
    let check = format!("{}_not_null", sql::plain(column.as_str(), 40));
    format!(
        "prove it first, while reads and writes go on: ALTER TABLE {table} ADD CONSTRAINT {check} \
         CHECK ({name} IS NOT NULL) NOT VALID; then, in another transaction: ALTER TABLE {table} \
         VALIDATE CONSTRAINT {check}; then, in an instant: ALTER TABLE {table} ALTER COLUMN {name} \
         SET NOT NULL; ALTER TABLE {table} DROP CONSTRAINT {check};"
    )
}
