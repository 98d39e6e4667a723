//! The questions about tables. Names and values come in quoted.

use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::Engine;
use dbop_model::table::ColumnName;

use super::parse::Located;
use crate::query::{name, qualified, text};

/// Columns of one table; the servers allow 4096.
const COLUMNS_MAX: usize = 5000;

/// How long a statement may take, and how long it may wait for a lock; no statement writes.
pub(crate) fn limits(engine: Engine, statement: Duration, lock: Duration) -> String {
    // Zero would mean no limit at all.
    let own = match engine {
        Engine::MariaDb => format!(
            "max_statement_time = {:.3}",
            statement.as_secs_f64().max(0.001)
        ),
        _ => format!("max_execution_time = {}", statement.as_millis().max(1)),
    };
    let lock = lock.as_secs().max(1);
    // Values are grouped by as many of their bytes as a key can have.
    format!(
        "SET SESSION {own}, lock_wait_timeout = {lock}, innodb_lock_wait_timeout = {lock}, \
         max_sort_length = 4096"
    )
}

/// Tables of a name: database, name, type, engine, options, rows by the statistics, bytes of data, of indexes and
/// free ones, and how the server compares names. The session has MySQL keep no old statistics.
pub(super) fn locate(database: &str, table: &str) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_TYPE, COALESCE(t.ENGINE, ''), \
         COALESCE(t.CREATE_OPTIONS, ''), t.TABLE_ROWS, t.DATA_LENGTH, t.INDEX_LENGTH, t.DATA_FREE, \
         @@lower_case_table_names > 0 \
         FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA = {} AND t.TABLE_NAME = {} \
         AND t.TABLE_TYPE <> 'TEMPORARY' LIMIT 10",
        text(database)?,
        text(table)?
    ))
}

/// Columns of a table: name, type, nullable, filled by the server, character set, collation, how it is generated, by what.
pub(super) fn columns(table: &Located, engine: Engine) -> Result<String, DatabaseError> {
    // MariaDB writes defaults as expressions, so that none is NULL's, and none at all is NULL.
    let has_default = match engine {
        Engine::MariaDb => "COALESCE(c.COLUMN_DEFAULT, 'NULL') <> 'NULL'",
        _ => "c.COLUMN_DEFAULT IS NOT NULL",
    };
    Ok(format!(
        "SELECT c.COLUMN_NAME, c.COLUMN_TYPE, c.IS_NULLABLE = 'YES', \
         ({has_default} OR c.EXTRA LIKE '%auto_increment%' OR c.EXTRA LIKE '%GENERATED%'), \
         c.CHARACTER_SET_NAME, c.COLLATION_NAME, c.EXTRA, NULLIF(c.GENERATION_EXPRESSION, '') \
         FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = {} AND c.TABLE_NAME = {} \
         ORDER BY c.ORDINAL_POSITION LIMIT {COLUMNS_MAX}",
        text(&table.database)?,
        text(table.name.name())?
    ))
}

/// CHECKs of a table that hold of every row: name, clause. MariaDB's do not: a new one is not held against old
/// rows in every case, and a session can turn them off.
pub(super) fn checks(table: &Located, engine: Engine) -> Result<Option<String>, DatabaseError> {
    if engine == Engine::MariaDb {
        return Ok(None);
    }
    Ok(Some(format!(
        "SELECT k.CONSTRAINT_NAME, k.CHECK_CLAUSE FROM information_schema.TABLE_CONSTRAINTS t \
         JOIN information_schema.CHECK_CONSTRAINTS k \
         ON k.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME = t.CONSTRAINT_NAME \
         WHERE t.TABLE_SCHEMA = {} AND t.TABLE_NAME = {} AND t.CONSTRAINT_TYPE = 'CHECK' \
         AND t.ENFORCED = 'YES' LIMIT {COLUMNS_MAX}",
        text(&table.database)?,
        text(table.name.name())?
    )))
}

/// Has it any row?
pub(super) fn any_row(table: &Located) -> Result<String, DatabaseError> {
    let from = qualified(&table.database, table.name.name())?;
    Ok(format!("SELECT EXISTS (SELECT 1 FROM {from} LIMIT 1)"))
}

/// Does any row hold NULL in the column?
pub(super) fn nulls(table: &Located, column: &ColumnName) -> Result<String, DatabaseError> {
    let from = qualified(&table.database, table.name.name())?;
    let column = name(column.as_str())?;
    Ok(format!(
        "SELECT EXISTS (SELECT 1 FROM {from} AS t WHERE t.{column} IS NULL LIMIT 1)"
    ))
}
