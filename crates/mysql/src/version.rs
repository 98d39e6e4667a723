//! Reading the schema version, by `dbop-versions`' questions. Whatever goes wrong is an Unknown with its
//! reason; only a lost connection ends the look.
//!
//! A statement of the user's is held to one SELECT by being made a derived table, in a read-only transaction; before
//! that it must stand alone, so that it cannot reach out of its brackets.

use dbop_database::DatabaseError;
use dbop_model::{Engine, Fact, ObservedVersion, ToolLock, VersionSource, Why};
use dbop_versions::{Answer, Author, Dialect, LockStep, Statement, Step};

use crate::connect::Server;
use crate::link::{Hold, STATEMENT_TIMEOUT};
use crate::query;

/// Reading a version is one row of a small table.
const TIMEOUT_SECONDS: u64 = 10;

/// Reads the version, and who holds the tool's lock.
pub(crate) async fn read(
    hold: &Hold<'_>,
    source: &VersionSource,
    server: &Server,
) -> Result<(Fact<ObservedVersion>, Fact<Vec<ToolLock>>), DatabaseError> {
    hold.run(&limit(server.engine, TIMEOUT_SECONDS)).await?;
    let version = within_limit(hold, source).await?;
    let locks = locks(hold, source).await?;
    hold.run(&limit(server.engine, STATEMENT_TIMEOUT.as_secs()))
        .await?;
    Ok((version, locks))
}

async fn locks(
    hold: &Hold<'_>,
    source: &VersionSource,
) -> Result<Fact<Vec<ToolLock>>, DatabaseError> {
    let mut step = dbop_versions::locks(source, Dialect::MySql);
    loop {
        let question = match step {
            LockStep::Done(locks) => return Ok(locks),
            LockStep::Ask(question) => question,
        };
        step = match rows_of(hold, question.statement()).await {
            Ok(answer) => question.answer(answer),
            Err(lost @ DatabaseError::Lost { .. }) => return Err(lost),
            Err(error) => return Ok(Fact::Unknown(Why::new(error.to_string()))),
        };
    }
}

/// A table that is not there is an answer.
async fn rows_of(hold: &Hold<'_>, statement: &Statement) -> Result<Answer, DatabaseError> {
    let rows = match statement.author {
        Author::Engine => hold.rows(&statement.sql).await,
        Author::User => users_rows(hold, statement).await,
    };
    match rows {
        Ok(rows) => Ok(Answer::Rows(rows)),
        Err(DatabaseError::Server { code, .. }) if code == "1146" => Ok(Answer::NoSuchTable),
        Err(error) => Err(error),
    }
}

fn limit(engine: Engine, seconds: u64) -> String {
    match engine {
        Engine::MariaDb => format!("SET SESSION max_statement_time = {seconds}"),
        _ => format!("SET SESSION max_execution_time = {}", seconds * 1000),
    }
}

async fn within_limit(
    hold: &Hold<'_>,
    source: &VersionSource,
) -> Result<Fact<ObservedVersion>, DatabaseError> {
    let mut step = dbop_versions::read(source, Dialect::MySql);
    loop {
        let question = match step {
            Step::Done(version) => return Ok(version),
            Step::Ask(question) => question,
        };
        step = match rows_of(hold, question.statement()).await {
            Ok(answer) => question.answer(answer),
            Err(lost @ DatabaseError::Lost { .. }) => return Err(lost),
            Err(error) => return Ok(Fact::Unknown(why(source, &error))),
        };
    }
}

async fn users_rows(
    hold: &Hold<'_>,
    statement: &Statement,
) -> Result<Vec<dbop_versions::Row>, DatabaseError> {
    hold.run("START TRANSACTION READ ONLY").await?;
    let rows = in_brackets(hold, statement).await;
    if !matches!(rows, Err(DatabaseError::Lost { .. })) {
        hold.run("ROLLBACK").await?;
    }
    rows
}

async fn in_brackets(
    hold: &Hold<'_>,
    statement: &Statement,
) -> Result<Vec<dbop_versions::Row>, DatabaseError> {
    let own = statement.sql.trim().trim_end_matches(';').trim_end();
    // A text of several statements is refused by PREPARE, whatever the connection takes.
    prepare(hold, own).await?;
    // In lines of their own, for the sake of a comment at the end.
    let held = format!(
        "SELECT * FROM (\n{own}\n) AS dbop_version LIMIT {}",
        statement.rows_max
    );
    prepare(hold, &held).await?;
    let rows = hold.rows("EXECUTE dbop_version").await;
    if !matches!(rows, Err(DatabaseError::Lost { .. })) {
        hold.run("DEALLOCATE PREPARE dbop_version").await?;
    }
    rows
}

async fn prepare(hold: &Hold<'_>, sql: &str) -> Result<(), DatabaseError> {
    hold.run(&format!("SET @dbop_version = {}", query::text(sql)?))
        .await?;
    hold.run("PREPARE dbop_version FROM @dbop_version").await
}

fn why(source: &VersionSource, error: &DatabaseError) -> Why {
    Why::new(match (source, error) {
        (VersionSource::Query { .. }, DatabaseError::Timeout { .. }) => {
            format!("schemaVersion.query took longer than {TIMEOUT_SECONDS} s")
        }
        (VersionSource::Query { .. }, DatabaseError::Server { code, message, .. }) => {
            format!("schemaVersion.query failed: {message} ({code})")
        }
        (_, DatabaseError::Unreadable { operation, detail }) => format!("{operation}: {detail}"),
        (_, DatabaseError::Timeout { .. }) => "the version table is locked or slow".to_owned(),
        (_, DatabaseError::Server { code, message, .. }) => {
            format!("the version table cannot be read: {message} ({code})")
        }
        (_, other) => other.to_string(),
    })
}
