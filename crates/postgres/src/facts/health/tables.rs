//! What the health of a database is judged by, of tables: ids, invalid indexes, dead rows, primary keys.

use dbop_database::answer::{Answer, unknown};
use dbop_model::Why;
use dbop_model::health::{Bloat, IdUse, InvalidIndex, LISTED_MAX, Listed};
use dbop_model::table::TableName;
use tokio_postgres::Row;

use super::{Look, all, count};

/// Sequences that are asked for their last value: each takes a lock for the length of the statement.
const SEQUENCES_MAX: i64 = 1000;

/// Columns that count by themselves and can be used up: schema, table, column, may the sequence be read, its last value,
/// start, step, bounds, how many bytes an integer column has, how many such columns there are in all. What has 2^53
/// numbers or more is not used up in anybody's life. Of too many, those of the largest tables are looked at.
const IDS: &str = "
    WITH counts AS (
        SELECT n.nspname::text AS schema, c.relname::text AS name, a.attname::text AS attname,
               s.seqrelid, s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
               CASE WHEN a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
                    THEN a.attlen END AS bytes,
               has_sequence_privilege(s.seqrelid, 'USAGE, SELECT') AS may,
               count(*) OVER () AS of_all
        FROM pg_sequence s
        JOIN pg_depend d ON d.objid = s.seqrelid AND d.classid = 'pg_class'::regclass
             AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
        JOIN pg_class c ON c.oid = d.refobjid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
          AND (a.atttypid IN ('int2'::regtype, 'int4'::regtype)
               OR CASE WHEN s.seqincrement > 0 THEN s.seqmax < 9007199254740992
                       ELSE s.seqmin > -9007199254740992 END)
        ORDER BY c.reltuples DESC, s.seqrelid LIMIT $1
    )
    SELECT schema, name, attname, may,
           CASE WHEN may THEN pg_sequence_last_value(seqrelid) END,
           seqstart, seqincrement, seqmin, seqmax, bytes, of_all
    FROM counts";

/// Indexes that no query may use: schema, table, index, how many there are. One that is being built is not yet valid;
/// where the server hides which index a session builds, none of the database is judged.
const INVALID: &str = "
    SELECT n.nspname::text, t.relname::text, x.relname::text, count(*) OVER ()
    FROM pg_index i
    JOIN pg_class x ON x.oid = i.indexrelid
    JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE NOT (i.indisvalid AND i.indisready) AND i.indislive AND t.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (
          SELECT FROM pg_stat_progress_create_index p
          WHERE p.datname = current_database() AND (p.relid = i.indrelid OR p.relid IS NULL))
    ORDER BY 1, 2, 3 LIMIT $1";

/// Does the server count dead rows?
const COUNTS: &str = "SELECT current_setting('track_counts')::bool";
/// Tables with dead rows: schema, table, bytes, share of rows that are dead. Those in which most space is dead come first;
/// the size of files is asked of these alone.
const BLOAT: &str = "
    WITH dead AS (
        SELECT s.relid, s.schemaname::text AS schema, s.relname::text AS name,
               s.n_dead_tup::float8 / (s.n_dead_tup + s.n_live_tup) AS share
        FROM pg_stat_user_tables s
        JOIN pg_class c ON c.oid = s.relid
        WHERE s.n_dead_tup > 1000 AND c.relpersistence <> 't'
        ORDER BY s.n_dead_tup::float8 / (s.n_dead_tup + s.n_live_tup) * greatest(c.relpages, 1) DESC
        LIMIT $1
    )
    SELECT schema, name, coalesce(pg_relation_size(relid), 0)::int8, share
    FROM dead ORDER BY share DESC";

/// Tables of users without a primary key: schema, table, how many there are. A partition has its parent's; what an
/// extension made is its own business.
const KEYLESS: &str = "
    SELECT n.nspname::text, c.relname::text, count(*) OVER ()
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
      AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
      AND NOT EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 1, 2 LIMIT $1";

impl Look<'_> {
    pub(super) async fn used_ids(&self) -> Answer<Listed<IdUse>> {
        let rows = self.catalogue(IDS, &[&SEQUENCES_MAX]).await?;
        let in_all = rows.first().and_then(|row| count(row, 10)).unwrap_or(0);
        let (mut listed, mut hidden) = (Vec::new(), None);
        for (id, may) in all(&rows, id)? {
            if may {
                listed.push(id);
            } else {
                hidden.get_or_insert_with(|| {
                    Why::new(format!(
                        "the admin may not read the sequence of {}; GRANT SELECT on it shows the id",
                        id.table
                    ))
                });
            }
        }
        if in_all > SEQUENCES_MAX as u64 {
            hidden.get_or_insert_with(|| {
                Why::new(format!(
                    "{in_all} columns count by themselves, and those of the {SEQUENCES_MAX} largest tables are looked at"
                ))
            });
        }
        listed.sort_by(|one, two| two.share().total_cmp(&one.share()));
        listed.truncate(LISTED_MAX);
        Ok(Listed {
            listed,
            more: 0,
            hidden,
        })
    }

    pub(super) async fn invalid_indexes(&self) -> Answer<Listed<InvalidIndex>> {
        let read = |row: &Row| {
            let index: String = row.try_get(2).ok()?;
            let index = InvalidIndex {
                table: table(row)?,
                // Written as a table is: quoted where it must be.
                index: TableName::new(None, &index).ok()?.to_string(),
            };
            Some((index, count(row, 3)?))
        };
        self.listed(INVALID, read).await
    }

    pub(super) async fn keyless(&self) -> Answer<Listed<TableName>> {
        self.listed(KEYLESS, |row| Some((table(row)?, count(row, 2)?)))
            .await
    }

    pub(super) async fn bloat(&self) -> Answer<Listed<Bloat>> {
        let counts: bool = self.one(COUNTS, &[], |row| row.try_get(0).ok()).await?;
        if !counts {
            return unknown(
                "the server does not count dead rows: set track_counts = on in its configuration",
            );
        }
        let rows = self.catalogue(BLOAT, &[&(LISTED_MAX as i64)]).await?;
        let read = |row: &Row| {
            Some(Bloat {
                table: table(row)?,
                bytes: count(row, 2)?,
                share: row.try_get(3).ok()?,
                what: "of its rows are dead",
            })
        };
        Ok(Listed::all(all(&rows, read)?))
    }

    /// The first of what a statement lists; each row says how many there are in all.
    async fn listed<T>(
        &self,
        sql: &str,
        read: impl Fn(&Row) -> Option<(T, u64)>,
    ) -> Answer<Listed<T>> {
        let rows = self.catalogue(sql, &[&(LISTED_MAX as i64)]).await?;
        let in_all = all(&rows, read)?;
        let counted = in_all.first().map_or(0, |(_, count)| *count);
        let listed: Vec<T> = in_all.into_iter().map(|(one, _)| one).collect();
        Ok(Listed {
            more: counted.saturating_sub(listed.len() as u64),
            listed,
            hidden: None,
        })
    }
}

/// The table whose schema and name are the first two columns.
fn table(row: &Row) -> Option<TableName> {
    let (schema, name): (String, String) = (row.try_get(0).ok()?, row.try_get(1).ok()?);
    TableName::new(Some(&schema), &name).ok()
}

fn id(row: &Row) -> Option<(IdUse, bool)> {
    let column: String = row.try_get(2).ok()?;
    let may: bool = row.try_get(3).ok()?;
    let last: Option<i64> = row.try_get(4).ok()?;
    let [start, step, min, max]: [i64; 4] = [
        row.try_get(5).ok()?,
        row.try_get(6).ok()?,
        row.try_get(7).ok()?,
        row.try_get(8).ok()?,
    ];
    let of_type = super::super::ids::bounds(row.try_get(9).ok()?);
    let limit = if step > 0 {
        max.min(of_type.1)
    } else {
        min.max(of_type.0)
    };
    let next = last.map_or(i128::from(start), |last| {
        i128::from(last) + i128::from(step)
    });
    let id = IdUse {
        table: table(row)?,
        column: column.parse().ok()?,
        next,
        limit: i128::from(limit),
    };
    Some((id, may))
}
