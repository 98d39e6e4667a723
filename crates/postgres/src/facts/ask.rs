//! Asking: each question in a short read-only transaction of its own, with limits, and a search path in which nobody
//! can stand before the server's own functions and operators.

use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_database::answer::{Answer, Failure, may_probe, unknown};
use dbop_model::Why;
use dbop_model::table::TableKind;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, SimpleQueryMessage};

use super::parse::{self, Located};
use super::{Look, OPERATION, query};

/// What lies in the catalogue is there at once; on a server that is this slow, nothing should be started.
pub(super) const CATALOGUE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a question waits for a lock: only ACCESS EXCLUSIVE is in its way, and looking again is cheap.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);
/// The server ends a statement itself; a reply this much later means that the connection is dead.
const REPLY_GRACE: Duration = Duration::from_secs(5);

pub(super) fn unreadable() -> Failure {
    Failure::Unknown(Why::new(
        "the server's answer was not of the shape asked for",
    ))
}

/// Reads every row.
pub(super) fn all<T>(rows: &[Row], read: impl Fn(&Row) -> Option<T>) -> Answer<Vec<T>> {
    rows.iter()
        .map(read)
        .collect::<Option<_>>()
        .ok_or_else(unreadable)
}

impl Look<'_> {
    /// Only the rows of real tables are looked at.
    pub(super) fn readable(&self, table: &Located) -> Answer<()> {
        match table.kind {
            TableKind::Ordinary | TableKind::Partitioned => Ok(()),
            TableKind::View | TableKind::Other => unknown(format!(
                "{} is a view or a foreign table, whose rows are not looked at",
                table.name
            )),
        }
    }

    /// A question about rows, unless the look's probes have used up their time.
    pub(super) async fn probe(&self, sql: &str) -> Answer<Vec<String>> {
        let spent = (self.clock)()
            .duration_since(self.started_at)
            .unsigned_abs();
        may_probe(spent, self.probe_timeout, self.way)?;
        self.asked(sql, self.probe_timeout).await
    }

    /// Runs one statement as text, and gives the columns of its first row.
    pub(super) async fn asked(&self, sql: &str, timeout: Duration) -> Answer<Vec<String>> {
        let answer = self
            .bounded(timeout, "pg_catalog", self.client.simple_query(sql))
            .await?;
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let row = row.ok_or_else(unreadable)?;
        Ok((0..row.len())
            .map(|at| row.get(at).unwrap_or_default().to_owned())
            .collect())
    }

    pub(super) async fn catalogue(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Answer<Vec<Row>> {
        self.in_path("pg_catalog", sql, parameters).await
    }

    /// The only row of an answer, read.
    pub(super) async fn one<T>(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
        read: impl Fn(&Row) -> Option<T>,
    ) -> Answer<T> {
        let rows = self.catalogue(sql, parameters).await?;
        rows.first().and_then(read).ok_or_else(unreadable)
    }

    pub(super) async fn in_path(
        &self,
        path: &str,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Answer<Vec<Row>> {
        self.bounded(CATALOGUE_TIMEOUT, path, self.client.query(sql, parameters))
            .await
    }

    /// Runs a question in a transaction of its own.
    pub(super) async fn bounded<T>(
        &self,
        timeout: Duration,
        path: &str,
        question: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Answer<T> {
        let begin = query::begin(timeout, LOCK_TIMEOUT, path);
        let patience = timeout + REPLY_GRACE;
        let whole = async {
            let answer = match self.client.batch_execute(&begin).await {
                Ok(()) => question.await,
                Err(error) => Err(error),
            };
            self.client.batch_execute("ROLLBACK").await?;
            answer
        };
        match tokio::time::timeout(patience, whole).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failure(&error, timeout)),
            Err(_) => Err(Failure::Broken(DatabaseError::Timeout {
                operation: OPERATION,
            })),
        }
    }

    /// The reason, unless it was our own watch that ended the statement.
    fn cut_off(&self, code: &str, why: Why) -> Why {
        match code {
            "57014" => self.way.or(why),
            _ => why,
        }
    }

    pub(super) fn failure(&self, error: &tokio_postgres::Error, timeout: Duration) -> Failure {
        let lost = Failure::Broken(DatabaseError::Lost {
            operation: OPERATION,
        });
        match error.as_db_error() {
            Some(refusal) if !self.client.is_closed() => {
                let code = refusal.code().code();
                let refused = parse::refusal(code, refusal.message(), timeout);
                refused.map_or(lost, |why| Failure::Unknown(self.cut_off(code, why)))
            }
            _ => lost,
        }
    }
}
