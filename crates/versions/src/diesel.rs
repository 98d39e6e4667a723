//! Diesel: `__diesel_schema_migrations`, a row for each version that was applied (Diesel's
//! `diesel/src/migration/mod.rs`). `run_on` is no order: it is the same for what one transaction ran. Diesel's own
//! order is that of the versions, as texts (`applied_migrations` sorts by the column), which are the names of the
//! directories up to the first `_`, without `-`. So is it here.

use dbop_model::{ObservedVersion, Why};

use crate::dialect::Dialect;
use crate::reading::{Row, Statement, engine_statement};
use crate::recorded;

pub(crate) fn statement(from: &str, dialect: Dialect) -> Statement {
    let version = dialect.column("version");
    // By bytes: a collation must not decide which schema an application meets.
    let order = match dialect {
        Dialect::PostgreSql => format!("{version} COLLATE \"C\""),
        Dialect::MySql => format!("CAST({version} AS BINARY)"),
    };
    engine_statement(format!(
        "SELECT {} FROM {from} AS t ORDER BY {order} DESC LIMIT 1",
        dialect.text(&version)
    ))
}

pub(crate) fn interpret(rows: &[Row]) -> Result<ObservedVersion, Why> {
    match rows.first().map(Vec::as_slice) {
        None => Ok(ObservedVersion::None),
        Some([Some(version)]) => recorded::version(version).map(ObservedVersion::At),
        Some(_) => Err(Why::new(
            "the migrations table holds a row of another shape",
        )),
    }
}
