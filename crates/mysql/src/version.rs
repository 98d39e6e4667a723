//! Reading the schema version, by `dbop-versions`' questions. Whatever goes wrong is an Unknown with its
//! reason; only a lost connection ends the look.
//!
//! A statement of the user's is held to one SELECT ([`crate::select`]).

use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::{Fact, ObservedVersion, ToolLock, VersionSource, Why};
use dbop_versions::{Answer, Author, Dialect, LockStep, Statement, Step};

use crate::connect::Server;
use crate::link::{Hold, STATEMENT_TIMEOUT};
use crate::select;

/// Reading a version is one row of a small table.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the version, and who holds the tool's lock.
pub(crate) async fn read(
    hold: &Hold<'_>,
    source: &VersionSource,
    server: &Server,
) -> Result<(Fact<ObservedVersion>, Fact<Vec<ToolLock>>), DatabaseError> {
    select::limit(hold, server.engine, TIMEOUT).await?;
    let version = within_limit(hold, source).await?;
    let locks = locks(hold, source).await?;
    select::limit(hold, server.engine, STATEMENT_TIMEOUT).await?;
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
        Author::User => select::rows(hold, &statement.sql, statement.rows_max).await,
    };
    match rows {
        Ok(rows) => Ok(Answer::Rows(rows)),
        Err(DatabaseError::Server { code, .. }) if code == "1146" => Ok(Answer::NoSuchTable),
        Err(error) => Err(error),
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

fn why(source: &VersionSource, error: &DatabaseError) -> Why {
    Why::new(match (source, error) {
        (VersionSource::Query { .. }, DatabaseError::Timeout { .. }) => {
            format!(
                "schemaVersion.query took longer than {} s",
                TIMEOUT.as_secs()
            )
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
