//! A statement of the user's: held to one SELECT by being made a derived table, in a transaction that only reads; before
//! that it must stand alone, so that it cannot reach out of its brackets.

use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::Engine;
use dbop_versions::Row;

use crate::link::Hold;
use crate::query;

/// Bounds the SELECTs of this session from now on.
pub(crate) async fn limit(
    hold: &Hold<'_>,
    engine: Engine,
    limit: Duration,
) -> Result<(), DatabaseError> {
    let statement = match engine {
        Engine::MariaDb => format!("SET SESSION max_statement_time = {}", limit.as_secs_f64()),
        _ => format!("SET SESSION max_execution_time = {}", limit.as_millis()),
    };
    hold.run(&statement).await
}

/// The first rows of a statement, and no more than so many.
pub(crate) async fn rows(
    hold: &Hold<'_>,
    sql: &str,
    rows_max: usize,
) -> Result<Vec<Row>, DatabaseError> {
    hold.run("START TRANSACTION READ ONLY").await?;
    let rows = in_brackets(hold, sql, rows_max).await;
    if !matches!(rows, Err(DatabaseError::Lost { .. })) {
        hold.run("ROLLBACK").await?;
    }
    rows
}

async fn in_brackets(
    hold: &Hold<'_>,
    sql: &str,
    rows_max: usize,
) -> Result<Vec<Row>, DatabaseError> {
    let own = sql.trim().trim_end_matches(';').trim_end();
    // A text of several statements is refused by PREPARE, whatever the connection takes.
    prepare(hold, own).await?;
    // In lines of their own, for the sake of a comment at the end.
    let held = format!("SELECT * FROM (\n{own}\n) AS dbop_select LIMIT {rows_max}");
    prepare(hold, &held).await?;
    let rows = hold.rows("EXECUTE dbop_select").await;
    if !matches!(rows, Err(DatabaseError::Lost { .. })) {
        hold.run("DEALLOCATE PREPARE dbop_select").await?;
    }
    rows
}

async fn prepare(hold: &Hold<'_>, sql: &str) -> Result<(), DatabaseError> {
    hold.run(&format!("SET @dbop_select = {}", query::text(sql)?))
        .await?;
    hold.run("PREPARE dbop_select FROM @dbop_select").await
}
