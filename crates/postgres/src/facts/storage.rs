//! How large a table is, and how it is stored: from its files, the statistics and the catalogue.

use dbop_database::DatabaseError;
use dbop_model::table::{RowEstimate, RowSource, Storage};
use dbop_model::{Fact, Why};
use tokio_postgres::Row;

use super::ask::{CATALOGUE_TIMEOUT, unreadable};
use super::parse::{self, Located, quoted_table};
use super::{Look, query};
use dbop_database::answer::{Answer, Failure, fact};

/// How the table `$1` is stored with its partitions and children: access method, number of partitions that hold rows,
/// bytes of indexes. A partitioned table has no access method of its own before 17.
const STORAGE: &str = "
    WITH RECURSIVE tree(oid) AS (
        SELECT $1::oid
        UNION
        SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid
    )
    SELECT coalesce(min(m.amname::text) FILTER (WHERE c.relkind = 'r'), 'heap'),
           coalesce(count(*) FILTER (WHERE c.relkind IN ('r', 'f') AND c.relispartition
                                       AND c.oid <> $1), 0)::int8,
           coalesce(sum(pg_indexes_size(c.oid)) FILTER (WHERE c.relkind IN ('r', 'm')), 0)::int8,
           (SELECT own.relpersistence <> 'u' FROM pg_class own WHERE own.oid = $1)
    FROM tree
    JOIN pg_class c ON c.oid = tree.oid
    LEFT JOIN pg_am m ON m.oid = c.relam";

/// So many pages, of 8 kB mostly, are read at once.
const FIRST_PAGES: u64 = 100;

impl Look<'_> {
    pub(super) async fn size(
        &self,
        table: &Located,
    ) -> Result<(Fact<RowEstimate>, Fact<u64>), DatabaseError> {
        let size = match fact(self.files_and_statistics(table).await)? {
            Fact::Known(size) => size,
            Fact::Unknown(why) => return Ok((Fact::Unknown(why.clone()), Fact::Unknown(why))),
        };
        let rows = match size.rows {
            Some(rows) => Fact::Known(RowEstimate {
                rows,
                source: RowSource::Statistics,
                age: size.age,
            }),
            None => match self.first_pages(table).await {
                Ok(Some(rows)) => Fact::Known(RowEstimate {
                    rows,
                    source: RowSource::FirstPages,
                    age: None,
                }),
                Ok(None) | Err(Failure::Unknown(_)) => fact(self.guess(table).await)?,
                Err(Failure::Broken(error)) => return Err(error),
            },
        };
        Ok((rows, Fact::Known(size.bytes)))
    }

    async fn files_and_statistics(&self, table: &Located) -> Answer<parse::Size> {
        self.readable(table)?;
        let size = self.one(query::SIZE, &[&table.oid], parse::size).await?;
        if size.foreign {
            return Err(Failure::Unknown(Why::new(format!(
                "partitions of {} are foreign tables, whose rows are not looked at",
                table.name
            ))));
        }
        Ok(size)
    }

    /// Rows by those of the first pages. `None`: it has partitions or children, each with pages of its own.
    async fn first_pages(&self, table: &Located) -> Answer<Option<u64>> {
        let name = quoted_table(&table.name);
        let literal = name.replace('\'', "''");
        let sql = format!(
            "SELECT (SELECT count(*) FROM ONLY {name} WHERE ctid < '({FIRST_PAGES},0)'), \
                    pg_relation_size('{literal}'::regclass) / current_setting('block_size')::int8, \
                    EXISTS (SELECT FROM pg_inherits WHERE inhparent = '{literal}'::regclass)"
        );
        let answer = self.asked(&sql, CATALOGUE_TIMEOUT).await?;
        let number = |at: usize| answer.get(at).and_then(|text| text.parse::<u64>().ok());
        let (Some(rows), Some(pages)) = (number(0), number(1)) else {
            return Err(unreadable());
        };
        if parse::boolean(answer.get(2)) != Some(false) {
            return Ok(None);
        }
        Ok(Some(rows * pages.max(FIRST_PAGES) / FIRST_PAGES))
    }

    /// The planner's guess at a table that was never analysed.
    async fn guess(&self, table: &Located) -> Answer<RowEstimate> {
        let explain = format!("EXPLAIN SELECT 1 FROM {}", quoted_table(&table.name));
        let lines = self.asked(&explain, CATALOGUE_TIMEOUT).await?;
        let rows = lines
            .first()
            .and_then(|line| parse::planned_rows(line))
            .ok_or_else(unreadable)?;
        Ok(RowEstimate {
            rows,
            source: RowSource::PlannerGuess,
            age: None,
        })
    }

    pub(super) async fn storage(&self, table: &Located) -> Answer<Storage> {
        self.one(STORAGE, &[&table.oid], storage).await
    }
}

fn storage(row: &Row) -> Option<Storage> {
    let (partitions, bytes): (i64, i64) = (row.try_get(1).ok()?, row.try_get(2).ok()?);
    Some(Storage {
        engine: row.try_get(0).ok()?,
        partitions: partitions.try_into().ok()?,
        index_bytes: Some(bytes.try_into().ok()?),
        logged: row.try_get(3).ok()?,
        ..Storage::default()
    })
}
