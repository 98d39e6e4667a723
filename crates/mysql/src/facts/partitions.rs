//! By what a table is split, and into which partitions.

use dbop_database::DatabaseError;
use dbop_database::answer::{Answer, unknown};
use dbop_model::dependent::{Partition, Partitioned};
use dbop_model::table::TableName;

use super::Look;
use super::parse::Located;
use crate::parse::Columns;
use crate::query::text;

/// The servers allow 8192 partitions.
const PARTITIONS_MAX: usize = 9000;

/// Partitions in their order: method, what it is over, name, description of its values. Those that are split in turn are
/// listed once for each part.
fn statement(table: &Located) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT DISTINCT p.PARTITION_METHOD, COALESCE(p.PARTITION_EXPRESSION, ''), p.PARTITION_NAME, \
         COALESCE(p.PARTITION_DESCRIPTION, ''), p.PARTITION_ORDINAL_POSITION \
         FROM information_schema.PARTITIONS p WHERE p.TABLE_SCHEMA = {} AND p.TABLE_NAME = {} \
         AND p.PARTITION_NAME IS NOT NULL ORDER BY p.PARTITION_ORDINAL_POSITION LIMIT {PARTITIONS_MAX}",
        text(&table.database)?,
        text(table.name.name())?
    ))
}

impl Look<'_> {
    pub(super) async fn partitioned(&self, table: &Located) -> Answer<Option<Partitioned>> {
        let rows = self.catalogue(statement(table), partition).await?;
        let by = rows.first().map(|(by, _)| by.clone());
        Ok(by.map(|by| Partitioned {
            by,
            partitions: rows.into_iter().map(|(_, partition)| partition).collect(),
        }))
    }
}

impl Look<'_> {
    /// What is true of the rows of a partition.
    pub(super) async fn within_partition(&self, parent: &TableName, name: &str) -> Answer<String> {
        let located = self.locate(parent).await?;
        let how = match &located {
            Some(located) => self.partitioned(located).await?,
            None => None,
        };
        let condition = how.as_ref().and_then(|how| within(how, name));
        match condition {
            Some(condition) => Ok(condition),
            None => unknown(format!("which rows the partition {name} of {parent} takes")),
        }
    }
}

/// `None`: there is no such partition, or by what it takes its rows is not followed.
fn within(how: &Partitioned, name: &str) -> Option<String> {
    let at = how
        .partitions
        .iter()
        .position(|one| one.table.name().eq_ignore_ascii_case(name))?;
    let (method, over) = how.by.split_once(" (")?;
    let over = over.strip_suffix(')')?;
    let bound = |at: usize| how.partitions.get(at).map(|one| one.bound.as_str());
    let own = bound(at)?;
    match method {
        "RANGE" | "RANGE COLUMNS" if !own.contains(',') => {
            let upper = match own {
                "MAXVALUE" => "TRUE".to_owned(),
                own => format!("({over}) < ({own})"),
            };
            Some(match at.checked_sub(1).and_then(bound) {
                // NULL is below all.
                None => format!("(({over}) IS NULL OR {upper})"),
                Some(lower) => {
                    format!("(({over}) IS NOT NULL AND ({over}) >= ({lower}) AND {upper})")
                }
            })
        }
        "LIST" | "LIST COLUMNS" if !over.contains(',') && !own.is_empty() => {
            let (nulls, values): (Vec<&str>, Vec<&str>) = own
                .split(',')
                .partition(|value| value.eq_ignore_ascii_case("null"));
            let listed = match values.is_empty() {
                true => "FALSE".to_owned(),
                false => format!("({over}) IN ({})", values.join(",")),
            };
            Some(match nulls.is_empty() {
                true => format!("(({over}) IS NOT NULL AND {listed})"),
                false => format!("(({over}) IS NULL OR {listed})"),
            })
        }
        "HASH" => Some(format!(
            "(COALESCE(ABS(({over}) MOD {}), 0) = {at})",
            how.partitions.len()
        )),
        _ => None,
    }
}

fn partition(columns: &mut Columns<'_>) -> Result<(String, Partition), DatabaseError> {
    let (method, over) = (columns.text()?, columns.text()?);
    let by = format!("{method} ({over})");
    let name = columns.text()?;
    let table = TableName::new(None, name)
        .map_err(|error| columns.unreadable(&format!("a partition's name {error}")))?;
    let bound = columns.text()?.to_owned();
    let rows = None;
    Ok((by, Partition { table, bound, rows }))
}
