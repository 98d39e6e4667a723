//! sqlx: one row for each migration that was begun, `success` false while it is half applied (sqlx's
//! `Migrator`). The version is the highest one that succeeded, as a decimal number.

use dbop_model::table::TableName;
use dbop_model::{ObservedVersion, SchemaVersion, Why};

use crate::dialect::{Dialect, QuoteError};
use crate::reading::{Row, Statement, engine_statement};

/// One row at most of each kind: the lowest that failed before the highest that succeeded.
pub(crate) fn statement(
    schema: &str,
    table: &TableName,
    dialect: Dialect,
) -> Result<Statement, QuoteError> {
    let from = dialect.table(schema, table)?;
    let sql = match dialect {
        Dialect::PostgreSql => format!(
            "(SELECT t.\"version\"::pg_catalog.text, 'f', t.\"description\"::pg_catalog.text \
             FROM {from} AS t WHERE t.\"success\" IS NOT TRUE \
             ORDER BY t.\"version\"::pg_catalog.int8 LIMIT 1) \
             UNION ALL \
             (SELECT t.\"version\"::pg_catalog.text, 't', t.\"description\"::pg_catalog.text \
             FROM {from} AS t WHERE t.\"success\" IS TRUE \
             ORDER BY t.\"version\"::pg_catalog.int8 DESC LIMIT 1)"
        ),
        Dialect::MySql => format!(
            "(SELECT CAST(t.`version` AS CHAR), 'f', t.`description` FROM {from} AS t \
             WHERE t.`success` IS NOT TRUE ORDER BY t.`version` LIMIT 1) \
             UNION ALL \
             (SELECT CAST(t.`version` AS CHAR), 't', t.`description` FROM {from} AS t \
             WHERE t.`success` IS TRUE ORDER BY t.`version` DESC LIMIT 1)"
        ),
    };
    Ok(engine_statement(sql))
}

pub(crate) fn interpret(rows: &[Row]) -> Result<ObservedVersion, Why> {
    let mut done = None;
    let mut failed = None;
    for row in rows {
        let [Some(version), Some(success), description] = row.as_slice() else {
            return Err(Why::new(
                "the migrations table holds a row of another shape",
            ));
        };
        let number: i64 = version
            .parse()
            .map_err(|_| Why::new("the migrations table holds a version that is not a number"))?;
        let version = SchemaVersion::new(number.to_string()).map_err(|error| {
            Why::new(format!("the migrations table holds a version that {error}"))
        })?;
        if success == "t" {
            done = Some(version);
        } else {
            failed = Some((version, description.clone().unwrap_or_default()));
        }
    }
    Ok(match (failed, done) {
        (Some((version, description)), _) => ObservedVersion::Dirty {
            version,
            detail: match printable(&description).as_str() {
                "" => "sqlx began it, and it did not succeed".to_owned(),
                text => format!("sqlx began it ({text}), and it did not succeed"),
            },
        },
        (None, Some(version)) => ObservedVersion::At(version),
        (None, None) => ObservedVersion::None,
    })
}

/// A description as people may see it: one short line.
fn printable(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    text.chars()
        .filter(|c| !c.is_control())
        .take(CHARS_MAX)
        .collect::<String>()
        .trim()
        .to_owned()
}
