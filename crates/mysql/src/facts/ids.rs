//! The ids that tables' next rows get: of columns with AUTO_INCREMENT. The session has the server keep no old
//! statistics, so the number is today's.

use std::collections::{BTreeMap, BTreeSet};

use dbop_database::DatabaseError;
use dbop_database::answer::{Answer, fact, unknown};
use dbop_model::Fact;
use dbop_model::sample::NextId;
use dbop_model::table::TableName;

use super::Look;
use super::parse::Located;
use crate::parse::Columns;
use crate::query::text;

/// The column that counts, its type with `unsigned`, and the id (none: no row yet).
fn statement(table: &Located) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT c.COLUMN_NAME, LOWER(c.COLUMN_TYPE), t.AUTO_INCREMENT \
         FROM information_schema.COLUMNS c \
         JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME \
         WHERE c.TABLE_SCHEMA = {} AND c.TABLE_NAME = {} AND c.EXTRA LIKE '%auto_increment%' LIMIT 1",
        text(&table.database)?,
        text(table.name.name())?
    ))
}

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
        let ids = self.catalogue(statement(&table), next_id).await?;
        if ids.is_empty() {
            return unknown(format!("{} has no column with AUTO_INCREMENT", table.name));
        }
        Ok(ids)
    }
}

fn next_id(columns: &mut Columns<'_>) -> Result<NextId, DatabaseError> {
    let (column, sql_type) = (columns.text()?, columns.text()?);
    let next = columns.nullable()?.map(str::parse).transpose();
    Ok(NextId {
        column: column
            .parse()
            .map_err(|_| columns.unreadable("a column's name"))?,
        next: next.map_err(|_| columns.unreadable("an id"))?.unwrap_or(1),
        limit: limit(sql_type),
    })
}

/// The largest number of an integer type; of any other that may count (FLOAT), as far as it counts in steps of one.
pub(super) fn limit(sql_type: &str) -> i128 {
    let word = sql_type.split([' ', '(']).next().unwrap_or_default();
    let bits = match word {
        "tinyint" => 8,
        "smallint" => 16,
        "mediumint" => 24,
        "int" => 32,
        "float" => 24,
        "double" => 53,
        _ => 64,
    };
    let is_signed = !sql_type.contains("unsigned") && !matches!(word, "float" | "double");
    (1_i128 << (bits - u32::from(is_signed))) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_limits() {
        for (sql_type, expect) in [
            ("int(11)", 2_147_483_647),
            ("int unsigned", 4_294_967_295),
            ("bigint unsigned", 18_446_744_073_709_551_615),
            ("bigint(20)", 9_223_372_036_854_775_807),
            ("smallint", 32_767),
            ("mediumint(8) unsigned zerofill", 16_777_215),
            ("tinyint", 127),
        ] {
            assert_eq!(limit(sql_type), expect, "{sql_type}");
        }
    }
}
