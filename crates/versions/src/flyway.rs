//! Flyway: `flyway_schema_history`, a row for each thing that it did, numbered by `installed_rank` (Flyway's
//! `SchemaHistory` and its documentation, "Flyway schema history table").
//!
//! The version is the one that was installed last: `installed_rank` is Flyway's own record of order, which a
//! version that came out of order does not break. A row that undoes a version (`UNDO_*`) or strikes it out
//! (`DELETE`, by `repair`) takes it away; a baseline counts as what it stands for; rows without a version are
//! repeatable migrations and the marker of a schema that Flyway made, and no versions. A failed row, of whichever
//! kind, stops Flyway until `repair`: it makes the version dirty.

use dbop_model::{ObservedVersion, Why};

use crate::dialect::Dialect;
use crate::reading::{Row, Statement};
use crate::recorded::{self, Recorded};

/// One row at most of each kind: the first that failed; of the versions whose last word is not that they are
/// gone, the one installed last.
pub(crate) fn statement(from: &str, dialect: Dialect) -> Statement {
    let column = |name| dialect.column(name);
    let (rank, version, kind, success) = (
        column("installed_rank"),
        column("version"),
        column("type"),
        column("success"),
    );
    let (text, script) = (dialect.text(&version), dialect.text(&column("script")));
    let note = dialect.text(&column("description"));
    // The same columns, of a row that came later.
    let later = |expression: &str| expression.replacen("t.", "later.", 1);
    recorded::statement(
        &format!(
            "SELECT COALESCE({text}, {script}), 'f', {note} FROM {from} AS t \
             WHERE {success} IS NOT TRUE ORDER BY {rank} LIMIT 1"
        ),
        &format!(
            "SELECT {text}, 't', {note} FROM {from} AS t \
             WHERE {success} IS TRUE AND {version} IS NOT NULL \
             AND {kind} NOT LIKE 'UNDO%' AND {kind} <> 'DELETE' \
             AND NOT EXISTS (SELECT 1 FROM {from} AS later \
             WHERE {} = {version} AND {} IS TRUE AND {} > {rank}) \
             ORDER BY {rank} DESC LIMIT 1",
            later(&version),
            later(&success),
            later(&rank)
        ),
    )
}

pub(crate) fn interpret(rows: &[Row]) -> Result<ObservedVersion, Why> {
    Ok(Recorded::read(rows)?.observed(|_, note| {
        let what = match note {
            "" => String::new(),
            text => format!(" ({text})"),
        };
        format!("Flyway recorded it as failed{what}, until `flyway repair`")
    }))
}
