//! Asking: each question is a statement of its own with limits, so that no lock outlives it.
//!
//! A transaction that stays open would itself be in the way of DDL (metadata locks last as long as it does), so there is
//! none. While a probe runs, DDL on its table waits for it, as for any reader, until the probe gives way (`watch.rs`).

use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_database::answer::{Answer, Failure, may_probe, unknown};
use dbop_model::Why;
use dbop_model::table::TableKind;
use dbop_versions::Row;

use super::parse::{self, Located};
use super::{Look, query};
use crate::parse::Columns;

/// What lies in the catalogue is there at once; on a server that is this slow, nothing should be started.
pub(super) const CATALOGUE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a question waits for a lock; the server counts in seconds. Looking again is cheap.
pub(super) const PROBE_LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// What cannot be asked, or not be read, is unknown.
pub(super) fn unasked(error: DatabaseError) -> Failure {
    Failure::Unknown(Why::new(error.to_string()))
}

impl Look<'_> {
    /// Only the rows of real tables are looked at.
    pub(super) fn readable(&self, table: &Located) -> Answer<()> {
        match table.kind {
            TableKind::Ordinary | TableKind::Partitioned => Ok(()),
            TableKind::View | TableKind::Other => unknown(format!(
                "{} is a view or a table of another server, whose rows are not looked at",
                table.name
            )),
        }
    }

    /// A question about rows, unless the look's probes have used up their time; and how long it took.
    pub(super) async fn probe(&self, sql: &str) -> Answer<(Vec<Row>, Duration)> {
        let spent = (self.clock)()
            .duration_since(self.started_at)
            .unsigned_abs();
        may_probe(spent, self.probe_timeout, self.way)?;
        self.limit(self.probe_timeout, PROBE_LOCK_TIMEOUT)
            .await
            .map_err(Failure::Broken)?;
        let begin = (self.clock)();
        let rows = self.asked(sql, self.probe_timeout).await;
        let took = (self.clock)().duration_since(begin).unsigned_abs();
        self.limit(CATALOGUE_TIMEOUT, PROBE_LOCK_TIMEOUT)
            .await
            .map_err(Failure::Broken)?;
        rows.map(|rows| (rows, took))
    }

    pub(super) async fn limit(
        &self,
        statement: Duration,
        lock: Duration,
    ) -> Result<(), DatabaseError> {
        let sql = query::limits(self.server.engine, statement, lock);
        self.hold.run(&sql).await
    }

    pub(super) async fn asked(&self, sql: &str, timeout: Duration) -> Answer<Vec<Row>> {
        match self.hold.rows_within(sql, timeout).await {
            Ok(rows) => Ok(rows),
            Err(lost @ DatabaseError::Lost { .. }) => Err(Failure::Broken(lost)),
            Err(error) => {
                let why = parse::refusal(&error, timeout);
                Err(Failure::Unknown(match error {
                    DatabaseError::Timeout { .. } => self.way.or(why),
                    _ => why,
                }))
            }
        }
    }

    /// Asks the catalogue, and reads every row.
    pub(super) async fn catalogue<T>(
        &self,
        sql: Result<String, DatabaseError>,
        read: impl Fn(&mut Columns<'_>) -> Result<T, DatabaseError>,
    ) -> Answer<Vec<T>> {
        let rows = self
            .asked(&sql.map_err(unasked)?, CATALOGUE_TIMEOUT)
            .await?;
        rows.iter()
            .map(|row| read(&mut Columns::of(self.hold.operation(), row)).map_err(unasked))
            .collect()
    }
}
