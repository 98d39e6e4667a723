//! How many rows of a table the server has counted as changed. What that is per second, `dbop_model::writes` says, of
//! two looks.
//!
//! MySQL counts in `performance_schema`; MariaDB where it is told to (`userstat`), or has `performance_schema` on.

use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::Engine;
use dbop_model::table::WriteCount;

use super::Look;
use super::parse::Located;
use crate::parse::{Columns, Values as _};
use crate::query::text;
use dbop_database::answer::{Answer, Failure, unknown};

/// Who counts: `performance_schema`, `userstat`.
const COUNTERS: &str =
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('performance_schema', 'userstat')";
/// For how long, in seconds. A new count after a restart is told by it.
const UPTIME: &str = "SHOW GLOBAL STATUS LIKE 'Uptime'";
/// Is what counts writes by table turned on?
const IS_ON: &str = "SELECT i.ENABLED = 'YES' FROM performance_schema.setup_instruments i \
    WHERE i.NAME = 'wait/io/table/sql/handler'";
/// The way out where the admin may not read it.
const GRANT: &str = "GRANT SELECT ON performance_schema.* TO the admin shows it";

/// By table. A table that nobody has opened since the server started has no row.
fn by_table(table: &Located) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT COALESCE(SUM(w.COUNT_INSERT + w.COUNT_UPDATE + w.COUNT_DELETE), 0) \
         FROM performance_schema.table_io_waits_summary_by_table w \
         WHERE w.OBJECT_TYPE = 'TABLE' AND w.OBJECT_SCHEMA = {} AND w.OBJECT_NAME = {}",
        text(&table.database)?,
        text(table.name.name())?
    ))
}

/// MariaDB's. A table that nobody has written to has no row.
fn by_statistics(table: &Located) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT COALESCE(SUM(s.ROWS_CHANGED), 0) FROM information_schema.TABLE_STATISTICS s \
         WHERE s.TABLE_SCHEMA = {} AND s.TABLE_NAME = {}",
        text(&table.database)?,
        text(table.name.name())?
    ))
}

impl Look<'_> {
    pub(super) async fn written(&self, table: &Located) -> Answer<WriteCount> {
        self.readable(table)?;
        let named = |c: &mut Columns<'_>| Ok((c.text()?.to_owned(), c.text()?.to_owned()));
        let counters = self.catalogue(Ok(COUNTERS.to_owned()), named).await?;
        let is_on = |name: &str| counters.iter().any(|(n, value)| n == name && value == "ON");
        let uptime = self.catalogue(Ok(UPTIME.to_owned()), |c| {
            c.text()?;
            c.number::<u64>()
        });
        let counting_for = Duration::from_secs(uptime.await?.into_iter().next().unwrap_or(0));
        let identity = match self.server.engine {
            Engine::MariaDb => "SELECT CONCAT(@@hostname, ' ', @@port, ' ', @@server_id)",
            _ => "SELECT @@server_uuid",
        };
        let who = self
            .catalogue(Ok(identity.to_owned()), |c| Ok(c.text()?.to_owned()))
            .await?;
        let at = (self.clock)();
        let (rows, source) = if is_on("userstat") {
            (
                self.counted(by_statistics(table)).await?,
                "TABLE_STATISTICS",
            )
        } else if is_on("performance_schema") {
            (
                self.by_performance_schema(table).await?,
                "performance_schema",
            )
        } else {
            return unknown(match self.server.engine {
                Engine::MariaDb => {
                    "the server does not count writes: SET GLOBAL userstat = 1 turns it on, and \
                                    userstat=1 in its configuration for good"
                }
                _ => {
                    "the server does not count writes: set performance_schema=ON in its configuration"
                }
            });
        };
        Ok(WriteCount {
            rows,
            at,
            counting_for,
            counter: format!("{source} {} {}", who.join(" "), table.name),
            source,
        })
    }

    async fn by_performance_schema(&self, table: &Located) -> Answer<u64> {
        let counted = async {
            let on = self
                .catalogue(Ok(IS_ON.to_owned()), |c| c.boolean())
                .await?;
            if on.first() != Some(&true) {
                return unknown(
                    "the server does not count writes by table: UPDATE performance_schema.setup_instruments \
                     SET ENABLED = 'YES' WHERE NAME = 'wait/io/table/sql/handler'",
                );
            }
            self.counted(by_table(table)).await
        };
        counted.await.map_err(|failure| match failure {
            Failure::Unknown(why) if why.to_string().contains("denied") => {
                Failure::Unknown(dbop_model::Why::new(format!("{why}; {GRANT}")))
            }
            other => other,
        })
    }

    async fn counted(&self, sql: Result<String, DatabaseError>) -> Answer<u64> {
        let rows = self.catalogue(sql, |c| c.number::<u64>()).await?;
        Ok(rows.into_iter().next().unwrap_or(0))
    }
}
