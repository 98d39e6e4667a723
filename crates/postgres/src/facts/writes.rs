//! How many rows of a table the server has counted as changed. What that is per second, `dbop_model::writes` says, of
//! two looks.
//!
//! Within a transaction the server gives the numbers that it gave first: each look is a transaction of its own.
//! Sessions pass theirs on once a second, and when a transaction ends.

use dbop_model::table::WriteCount;
use tokio_postgres::Row;

use super::Look;
use super::parse::{Located, seconds};
use dbop_database::answer::Answer;

/// Rows changed in the table `$1` with its partitions and children; for how many seconds the server has counted; what
/// tells this count from others. The parts belong to it: one that is dropped takes its number with it.
const WRITTEN: &str = "
    WITH RECURSIVE tree(oid) AS (
        SELECT $1::oid
        UNION
        SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
    ), began AS (
        SELECT pg_postmaster_start_time() AS start,
               greatest(pg_postmaster_start_time(), d.stats_reset) AS counting
        FROM pg_stat_database d
        WHERE d.datname = current_database()
    )
    SELECT coalesce((SELECT sum(s.n_tup_ins + s.n_tup_upd + s.n_tup_del)
                     FROM tree JOIN pg_stat_all_tables s ON s.relid = tree.oid), 0)::int8,
           extract(epoch FROM clock_timestamp() - began.counting)::float8,
           began.start::text || ' ' || (SELECT string_agg(oid::text, ',' ORDER BY oid) FROM tree)
    FROM began";

/// Does the server count at all?
const COUNTS: &str = "SELECT current_setting('track_counts')::bool";

impl Look<'_> {
    pub(super) async fn written(&self, table: &Located) -> Answer<WriteCount> {
        self.readable(table)?;
        let counts: bool = self.one(COUNTS, &[], |row| row.try_get(0).ok()).await?;
        if !counts {
            return dbop_database::answer::unknown(
                "the server does not count writes: set track_counts = on in its configuration",
            );
        }
        let at = (self.clock)();
        let read = |row: &Row| {
            let rows: i64 = row.try_get(0).ok()?;
            Some(WriteCount {
                rows: rows.try_into().ok()?,
                at,
                counting_for: seconds(row.try_get(1).ok()?)?,
                counter: row.try_get(2).ok()?,
                source: "pg_stat_all_tables",
            })
        };
        self.one(WRITTEN, &[&table.oid], read).await
    }
}
