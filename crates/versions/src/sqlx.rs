//! sqlx: `_sqlx_migrations` has a row for each migration that was begun, `success` false while it is half applied
//! (sqlx's `sqlx-postgres/src/migrate.rs` and `sqlx-mysql/src/migrate.rs`). sqlx runs files by their number, so
//! the version is the highest one that succeeded, as a decimal number. What `checksum` says of the files is
//! sqlx's own to judge, which has the files.

use dbop_model::{ObservedVersion, Why};

use crate::dialect::Dialect;
use crate::reading::{Row, Statement};
use crate::recorded::{self, Recorded};

/// One row at most of each kind: the lowest that failed, the highest that succeeded.
pub(crate) fn statement(from: &str, dialect: Dialect) -> Statement {
    let version = dialect.column("version");
    let number = match dialect {
        Dialect::PostgreSql => format!("{version}::pg_catalog.int8"),
        Dialect::MySql => version.clone(),
    };
    let (success, text) = (dialect.column("success"), dialect.text(&version));
    let note = dialect.text(&dialect.column("description"));
    recorded::statement(
        &format!(
            "SELECT {text}, 'f', {note} FROM {from} AS t WHERE {success} IS NOT TRUE \
             ORDER BY {number} LIMIT 1"
        ),
        &format!(
            "SELECT {text}, 't', {note} FROM {from} AS t WHERE {success} IS TRUE \
             ORDER BY {number} DESC LIMIT 1"
        ),
    )
}

pub(crate) fn interpret(rows: &[Row]) -> Result<ObservedVersion, Why> {
    let recorded = Recorded::read(rows)?;
    let failed = recorded.failed.iter().map(|(version, _)| version);
    for version in failed.chain(&recorded.current) {
        recorded::number(version.as_str())?;
    }
    Ok(recorded.observed(|_, note| match note {
        "" => "sqlx began it, and it did not succeed".to_owned(),
        text => format!("sqlx began it ({text}), and it did not succeed"),
    }))
}
