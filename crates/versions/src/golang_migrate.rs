//! golang-migrate: `schema_migrations` has one row, the version and whether it is half applied (golang-migrate's
//! `database/postgres/postgres.go` and `database/mysql/mysql.go`, `SetVersion`; its FAQ on "dirty database").
//! Version -1 is none: it is only ever recorded while the way down from the first one fails, and is dirty then.

use dbop_model::{ObservedVersion, Why};

use crate::dialect::Dialect;
use crate::reading::{Row, Statement, engine_statement};
use crate::recorded::{self, Recorded};

pub(crate) fn statement(from: &str, dialect: Dialect) -> Statement {
    engine_statement(format!(
        "SELECT {}, CASE WHEN {} THEN 'f' ELSE 't' END, NULL FROM {from} AS t LIMIT 2",
        dialect.text(&dialect.column("version")),
        dialect.column("dirty"),
    ))
}

pub(crate) fn interpret(rows: &[Row]) -> Result<ObservedVersion, Why> {
    if rows.len() > 1 {
        return Err(Why::new(
            "the migrations table holds more than one row, and golang-migrate keeps one",
        ));
    }
    let recorded = Recorded::read(rows)?;
    if let Some(version) = &recorded.current
        && recorded::number(version.as_str())? < 0
    {
        return Ok(ObservedVersion::None);
    }
    Ok(recorded.observed(|version, _| {
        format!(
            "golang-migrate marked it dirty, until `migrate force {version}` or force of the one before"
        )
    }))
}
