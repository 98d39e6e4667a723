//! goose: `goose_db_version`, a row for each step up, and in older releases one for each step down
//! (`is_applied` false; newer ones delete the row), numbered by `id` (goose's
//! `internal/dialect/dialectquery` and `EnsureDBVersion`). The last row of a version is its state; the version is
//! the applied one whose row came last. Version 0 stands for the empty table.

use dbop_model::{ObservedVersion, Why};

use crate::dialect::Dialect;
use crate::reading::{Row, Statement, engine_statement};
use crate::recorded;

pub(crate) fn statement(from: &str, dialect: Dialect) -> Statement {
    let (id, version) = (dialect.column("id"), dialect.column("version_id"));
    let later = |expression: &str| expression.replacen("t.", "later.", 1);
    engine_statement(format!(
        "SELECT {} FROM {from} AS t WHERE {} AND {version} <> 0 AND NOT EXISTS \
         (SELECT 1 FROM {from} AS later WHERE {} = {version} AND {} > {id}) \
         ORDER BY {id} DESC LIMIT 1",
        dialect.text(&version),
        dialect.column("is_applied"),
        later(&version),
        later(&id)
    ))
}

pub(crate) fn interpret(rows: &[Row]) -> Result<ObservedVersion, Why> {
    match rows.first().map(Vec::as_slice) {
        None => Ok(ObservedVersion::None),
        Some([Some(version)]) => {
            recorded::number(version)?;
            recorded::version(version).map(ObservedVersion::At)
        }
        Some(_) => Err(Why::new(
            "the migrations table holds a row of another shape",
        )),
    }
}
