//! The ids that tables' next rows get: of identity columns, and of columns whose sequence belongs to them (`serial`).
//!
//! A sequence that was set back by hand and not used since tells its start, not what it was set to.

use std::collections::{BTreeMap, BTreeSet};

use dbop_database::DatabaseError;
use dbop_database::answer::{Answer, fact, unknown};
use dbop_model::Fact;
use dbop_model::sample::NextId;
use dbop_model::table::TableName;
use tokio_postgres::Row;

use super::Look;
use super::ask::all;
use super::parse::Located;

/// Sequences of the columns of the table `$1`: column, may they be read, last value (none: not used yet), start, step,
/// bounds, and how many bytes an integer column has (none: it is of another type).
const NEXT_IDS: &str = "
    SELECT a.attname::text,
           r.may,
           CASE WHEN r.may THEN pg_sequence_last_value(s.seqrelid) END,
           s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
           CASE WHEN a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN a.attlen END
    FROM pg_depend d
    JOIN pg_sequence s ON s.seqrelid = d.objid
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    CROSS JOIN LATERAL (SELECT has_sequence_privilege(s.seqrelid, 'USAGE, SELECT') AS may) r
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = $1 AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
    ORDER BY a.attnum, s.seqrelid LIMIT 100";

impl Look<'_> {
    pub(super) async fn next_ids(
        &self,
        tables: &BTreeSet<TableName>,
    ) -> Result<BTreeMap<TableName, Fact<Vec<NextId>>>, DatabaseError> {
        let mut found = BTreeMap::new();
        for table in tables {
            found.insert(table.clone(), fact(self.ids_of(table).await)?);
        }
        Ok(found)
    }

    async fn ids_of(&self, name: &TableName) -> Answer<Vec<NextId>> {
        let Some(table) = self.locate(name).await? else {
            return unknown(format!("there is no table {name}"));
        };
        self.readable(&table)?;
        let rows = self.catalogue(NEXT_IDS, &[&table.oid]).await?;
        match all(&rows, next_id)?.into_iter().collect::<Option<Vec<_>>>() {
            None => unknown(hidden(&table)),
            Some(ids) if ids.is_empty() => unknown(format!(
                "{} has no column that counts by itself",
                table.name
            )),
            Some(ids) => Ok(ids),
        }
    }
}

fn hidden(table: &Located) -> String {
    format!(
        "the admin may not read the sequence of {}; GRANT SELECT on it shows the id",
        table.name
    )
}

/// The numbers that an integer column of so many bytes can hold; none: it is of another type.
pub(super) fn bounds(bytes: Option<i16>) -> (i64, i64) {
    match bytes {
        Some(2) => (i64::from(i16::MIN), i64::from(i16::MAX)),
        Some(4) => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

/// `Some(None)`: it may not be read.
fn next_id(row: &Row) -> Option<Option<NextId>> {
    let column: String = row.try_get(0).ok()?;
    let may: bool = row.try_get(1).ok()?;
    let last: Option<i64> = row.try_get(2).ok()?;
    let [start, step, min, max]: [i64; 4] = [
        row.try_get(3).ok()?,
        row.try_get(4).ok()?,
        row.try_get(5).ok()?,
        row.try_get(6).ok()?,
    ];
    let bytes: Option<i16> = row.try_get(7).ok()?;
    if !may {
        return Some(None);
    }
    let of_type = bounds(bytes);
    let limit = if step > 0 {
        max.min(of_type.1)
    } else {
        min.max(of_type.0)
    };
    Some(Some(NextId {
        column: column.parse().ok()?,
        next: last.map_or(i128::from(start), |last| {
            i128::from(last) + i128::from(step)
        }),
        limit: i128::from(limit),
    }))
}
