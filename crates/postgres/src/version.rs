//! Reading the schema version, and who holds the migration tool's lock, by `dbop-versions`' questions. Whatever
//! goes wrong is an Unknown with its reason; only a lost connection ends the look.
//!
//! A statement of the user's is held to one SELECT ([`crate::select`]).

use dbop_database::DatabaseError;
use dbop_model::{Fact, ObservedVersion, ToolLock, VersionSource, Why};
use dbop_versions::{Answer, Author, Dialect, LockStep, Statement, Step};

use crate::link::Hold;
use crate::{parse, query, select};

/// Reading a version is one row of a small table.
const TIMEOUT_MS: u32 = 10_000;

/// Reads the version, in the caller's transaction, which is read-only and rolled back.
pub(crate) async fn read(
    hold: &Hold<'_>,
    source: &VersionSource,
) -> Result<Fact<ObservedVersion>, DatabaseError> {
    hold.run(&format!(
        "SET LOCAL statement_timeout = {TIMEOUT_MS}; SAVEPOINT version"
    ))
    .await?;
    let mut step = dbop_versions::read(source, Dialect::PostgreSql);
    loop {
        let question = match step {
            Step::Done(version) => return Ok(version),
            Step::Ask(question) => question,
        };
        let answer = match question.statement().author {
            Author::Engine => rows_of(hold, &question.statement().sql).await,
            Author::User => users_rows(hold, question.statement(), source).await,
        };
        step = match answer {
            Ok(answer) => question.answer(answer),
            Err(lost @ DatabaseError::Lost { .. }) => return Err(lost),
            Err(error) => {
                hold.run("ROLLBACK TO SAVEPOINT version").await?;
                return Ok(Fact::Unknown(why(source, &error)));
            }
        };
    }
}

/// Reads who holds the tool's lock, after the version and in the same transaction: sessions are seen as they are
/// at this moment, rows as they were at its beginning.
pub(crate) async fn locks(
    hold: &Hold<'_>,
    source: &VersionSource,
) -> Result<Fact<Vec<ToolLock>>, DatabaseError> {
    let mut step = dbop_versions::locks(source, Dialect::PostgreSql);
    loop {
        let question = match step {
            LockStep::Done(locks) => return Ok(locks),
            LockStep::Ask(question) => question,
        };
        step = match rows_of(hold, &question.statement().sql).await {
            Ok(answer) => question.answer(answer),
            Err(lost @ DatabaseError::Lost { .. }) => return Err(lost),
            Err(error) => {
                hold.run("ROLLBACK TO SAVEPOINT version").await?;
                return Ok(Fact::Unknown(Why::new(error.to_string())));
            }
        };
    }
}

/// A table that is not there is an answer.
async fn rows_of(hold: &Hold<'_>, sql: &str) -> Result<Answer, DatabaseError> {
    match hold.rows(sql).await {
        Ok(rows) => Ok(Answer::Rows(rows)),
        Err(DatabaseError::Server { code, .. }) if code == "42P01" => {
            hold.run("ROLLBACK TO SAVEPOINT version").await?;
            Ok(Answer::NoSuchTable)
        }
        Err(error) => Err(error),
    }
}

async fn users_rows(
    hold: &Hold<'_>,
    statement: &Statement,
    source: &VersionSource,
) -> Result<Answer, DatabaseError> {
    let sees_public = select::see_public(hold).await?;
    match select::rows(hold, &statement.sql, statement.rows_max).await {
        Ok(rows) => Ok(Answer::Rows(rows)),
        Err(DatabaseError::Server { code, message, .. }) if code == "42P01" => {
            hold.run("ROLLBACK TO SAVEPOINT version").await?;
            match elsewhere(hold, &message, source, !sees_public).await? {
                None => Ok(Answer::NoSuchTable),
                Some(detail) => Err(DatabaseError::Unreadable {
                    operation: READING,
                    detail,
                }),
            }
        }
        Err(error) => Err(error),
    }
}

const READING: &str = "schemaVersion.query";

/// A table that the statement did not find although there is one: it is not "no version".
async fn elsewhere(
    hold: &Hold<'_>,
    message: &str,
    source: &VersionSource,
    is_shadowed: bool,
) -> Result<Option<String>, DatabaseError> {
    let quoted = message.split('"').nth(1).filter(|name| !name.contains('.'));
    let named = match source {
        VersionSource::Query {
            table: Some(table), ..
        } => Some(table.name()),
        _ => None,
    };
    let Some(name) = quoted.or(named) else {
        return Ok(None);
    };
    let rows = hold.rows(&query::schemas_with(name)?).await?;
    let schema = parse::first(hold.operation(), &rows, |c| Ok(c.text()?.to_owned()))?;
    Ok(schema.map(|schema| {
        let because = if is_shadowed {
            "; without a schema it is not looked for, because functions in schema public bear names \
             of the server's own"
        } else {
            ""
        };
        format!("{name} is in schema {schema}: write {schema}.{name}{because}")
    }))
}

fn why(source: &VersionSource, error: &DatabaseError) -> Why {
    Why::new(match (source, error) {
        (VersionSource::Query { .. }, DatabaseError::Timeout { .. }) => {
            format!(
                "schemaVersion.query took longer than {} s",
                TIMEOUT_MS / 1000
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
