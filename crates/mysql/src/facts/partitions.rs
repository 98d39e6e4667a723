//! By what a table is split, and into which partitions.

use dbop_database::DatabaseError;
use dbop_database::answer::Answer;
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
