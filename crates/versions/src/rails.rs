//! Rails: `schema_migrations`, a row for each version that was applied, and nothing else (Rails'
//! `ActiveRecord::SchemaMigration`). It is a set without any record of order; Rails' own is that of the numbers:
//! `ActiveRecord::MigrationContext#current_version` is the highest of them. So is it here. A version that was
//! merged late, below the highest, shows in no version, as in Rails.

use dbop_model::{ObservedVersion, Why};

use crate::dialect::Dialect;
use crate::reading::{Row, Statement, engine_statement};
use crate::recorded;

/// (version, is it a number): one that is none, if there is any, else the highest.
pub(crate) fn statement(from: &str, dialect: Dialect) -> Statement {
    let version = dialect.column("version");
    // The column is text of any length: numbers are compared as such without a cast that could overflow.
    let (digits, is_number, length) = match dialect {
        Dialect::PostgreSql => (
            format!("pg_catalog.ltrim({version}::pg_catalog.text, '0') COLLATE \"C\""),
            format!("{version}::pg_catalog.text ~ '^[0-9]+$'"),
            "pg_catalog.length",
        ),
        Dialect::MySql => (
            format!("TRIM(LEADING '0' FROM {version})"),
            format!("{version} REGEXP '^[0-9]+$'"),
            "CHAR_LENGTH",
        ),
    };
    engine_statement(format!(
        "SELECT {}, CASE WHEN {is_number} THEN 't' ELSE 'f' END FROM {from} AS t \
         ORDER BY 2, {length}({digits}) DESC, {digits} DESC LIMIT 1",
        dialect.text(&version)
    ))
}

pub(crate) fn interpret(rows: &[Row]) -> Result<ObservedVersion, Why> {
    match rows {
        [] => Ok(ObservedVersion::None),
        [row] => match row.as_slice() {
            [Some(version), Some(number)] if number == "t" => {
                recorded::version(version).map(ObservedVersion::At)
            }
            [Some(_), Some(_)] => Err(Why::new(
                "the migrations table holds a version that is not a number",
            )),
            _ => Err(Why::new(
                "the migrations table holds a row of another shape",
            )),
        },
        _ => Err(Why::new("the server gave more rows than it was asked for")),
    }
}
