//! Django: `django_migrations`, a row for each migration of each app that is applied, numbered by `id` as they
//! were; a row goes when its migration is unapplied (Django's `django/db/migrations/recorder.py`).
//!
//! A version is one app's: the migration recorded last of it. When a squashed migration takes the place of
//! migrations that are applied, Django records it then, as the last: it is the version from there on, until the
//! next migration.

use dbop_model::{ObservedVersion, Why};

use crate::dialect::{Dialect, QuoteError};
use crate::reading::{Row, Statement, engine_statement};
use crate::recorded;

pub(crate) fn statement(from: &str, app: &str, dialect: Dialect) -> Result<Statement, QuoteError> {
    let (column, app) = (dialect.column("app"), dialect.literal(app)?);
    // By bytes: a collation must not take one app for another.
    let is_of_app = match dialect {
        Dialect::PostgreSql => format!("{column} = {app}"),
        Dialect::MySql => {
            format!("CAST(CONVERT({column} USING utf8mb4) AS BINARY) = CAST({app} AS BINARY)")
        }
    };
    Ok(engine_statement(format!(
        "SELECT {} FROM {from} AS t WHERE {is_of_app} ORDER BY {} DESC LIMIT 1",
        dialect.text(&dialect.column("name")),
        dialect.column("id"),
    )))
}

pub(crate) fn interpret(rows: &[Row]) -> Result<ObservedVersion, Why> {
    match rows.first().map(Vec::as_slice) {
        None => Ok(ObservedVersion::None),
        Some([Some(name)]) => recorded::version(name).map(ObservedVersion::At),
        Some(_) => Err(Why::new(
            "the migrations table holds a row of another shape",
        )),
    }
}
