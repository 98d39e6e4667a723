//! Indexes: what they are over, whether they can be used, and which table one of a name is of.

use dbop_model::operation::{IndexKind, IndexPart};
use dbop_model::table::{ColumnName, IndexFacts, TableName, UniqueKey};
use tokio_postgres::Row;

use super::ask::all;
use super::parse::{self, Located};
use super::{Look, NAME_BYTES_MAX};
use dbop_database::answer::Answer;

/// Indexes of the table `$1`: name, unique, primary, valid, immediate, NULLs equal, predicate, bytes with its
/// partitions; of each key its column, where it is a whole one that is compared as the column is, and its text.
///
/// `indnullsnotdistinct` is there from 15 on; as JSON it is NULL before. An index whose collation or operator class
/// is not the column's own need not tell apart what the column's does.
const INDEXES: &str = "
    SELECT c.relname::text, i.indisunique, i.indisprimary, i.indisvalid AND i.indisready,
           i.indimmediate,
           coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false),
           pg_get_expr(i.indpred, i.indrelid),
           coalesce((SELECT sum(pg_relation_size(p.relid))::int8
                     FROM pg_partition_tree(i.indexrelid) p), pg_relation_size(i.indexrelid)),
           keys.columns, keys.texts
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    CROSS JOIN LATERAL (
        SELECT array_agg(CASE WHEN k.own THEN k.attname END ORDER BY k.n) AS columns,
               array_agg(pg_get_indexdef(i.indexrelid, k.n, false)
                   || CASE WHEN k.collated THEN ' COLLATE ' || quote_ident(k.collname) ELSE '' END
                   || CASE WHEN k.classed THEN ' ' || quote_ident(k.opcname) ELSE '' END
                   ORDER BY k.n) AS texts
        FROM (
            SELECT n, a.attname::text, l.collname::text, o.opcname::text,
                   a.attnum IS NOT NULL AND i.indcollation[n - 1] <> a.attcollation
                       AND l.oid IS NOT NULL AS collated,
                   NOT o.opcdefault AS classed,
                   a.attnum IS NOT NULL AND i.indcollation[n - 1] = a.attcollation
                       AND o.opcdefault AS own
            FROM generate_series(1, i.indnkeyatts::int4) n
            JOIN pg_opclass o ON o.oid = i.indclass[n - 1]
            LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n - 1]
            LEFT JOIN pg_collation l ON l.oid = i.indcollation[n - 1]
        ) k
    ) keys
    WHERE i.indrelid = $1 AND i.indislive
    ORDER BY c.relname";

/// Tables with an index of the name `$1`, in the schema `$2` or, where that is NULL, in any of users'.
const OF_INDEX: &str = "
    SELECT t.oid, n.nspname::text, t.relname::text, t.relkind::text
    FROM pg_class c
    JOIN pg_index i ON i.indexrelid = c.oid
    JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE c.relname = $1::name
      AND CASE WHEN $2::text IS NULL
               THEN n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
               ELSE n.nspname::text = $2::text END
    ORDER BY n.nspname";

impl Look<'_> {
    pub(super) async fn indexes(&self, table: &Located) -> Answer<Vec<IndexFacts>> {
        let rows = self.catalogue(INDEXES, &[&table.oid]).await?;
        all(&rows, index)
    }

    /// The table that an index is of. The index is in its table's schema.
    pub(super) async fn table_of(&self, index: &TableName) -> Answer<Option<TableName>> {
        if index.name().len() > NAME_BYTES_MAX {
            return Ok(None);
        }
        let rows = self
            .catalogue(OF_INDEX, &[&index.name(), &index.schema()])
            .await?;
        let found = all(&rows, parse::located)?;
        parse::choose(index, found)
            .map(|found| found.map(|table| table.name))
            .map_err(dbop_database::answer::Failure::Unknown)
    }
}

fn index(row: &Row) -> Option<IndexFacts> {
    let name: String = row.try_get(0).ok()?;
    let unique: bool = row.try_get(1).ok()?;
    let bytes: Option<i64> = row.try_get(7).ok()?;
    let columns: Vec<Option<String>> = row.try_get(8).ok()?;
    let texts: Vec<Option<String>> = row.try_get(9).ok()?;
    let parts = columns.into_iter().zip(texts).map(|(column, text)| {
        Some(match column {
            Some(column) => IndexPart::Column(ColumnName::new(&column).ok()?),
            None => IndexPart::Expression(text?),
        })
    });
    Some(IndexFacts {
        name: ColumnName::new(&name).ok()?,
        key: UniqueKey {
            parts: parts.collect::<Option<_>>()?,
            predicate: row.try_get(6).ok()?,
            nulls_equal: row.try_get(5).ok()?,
        },
        kind: if unique {
            IndexKind::Unique
        } else {
            IndexKind::Plain
        },
        primary: row.try_get(2).ok()?,
        valid: row.try_get(3).ok()?,
        immediate: row.try_get(4).ok()?,
        bytes: bytes.and_then(|bytes| bytes.try_into().ok()),
    })
}
