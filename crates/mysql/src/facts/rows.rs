//! Questions about rows: does one not meet a condition, has one no partner in another table, does a value of one not
//! become one of another type?
//!
//! Each is one statement that ends at the first row found. **What a migration wrote is computed as the admin**, so it is
//! taken apart first, as with [`super::duplicates`].

use dbop_database::answer::{Answer, unknown};
use dbop_model::dependent::{NewColumn, RowProbe, RowsProbed};
use dbop_model::operation::ConstraintKind;
use dbop_model::table::{ColumnName, TableFacts, TableName};

use super::Look;
use super::ask::unasked;
use super::duplicates::only_computes;
use super::fits::{Fit, fit};
use super::parse::Located;
use crate::query::{name, qualified};

impl Look<'_> {
    /// `facts` hold the table's columns.
    pub(super) async fn rows(
        &self,
        table: &Located,
        facts: &TableFacts,
        probe: &RowProbe,
    ) -> Answer<RowsProbed> {
        self.readable(table)?;
        match probe {
            RowProbe::Violates { condition, with } => {
                self.violates(table, condition, with.as_ref()).await
            }
            RowProbe::OutOfPartitions { condition } => self.violates(table, condition, None).await,
            RowProbe::Unmet { constraint } => self.unmet(table, constraint).await,
            RowProbe::Orphan {
                columns,
                other,
                referenced,
                with,
            } => {
                self.orphan(table, columns, other, referenced, with.as_ref())
                    .await
            }
            RowProbe::Unconvertible {
                column, sql_type, ..
            } => self.unconvertible(table, facts, column, sql_type).await,
            RowProbe::OutOfBound { parent, bound } => {
                let condition = self.within_partition(parent, bound).await?;
                self.violates(table, &condition, None).await
            }
            RowProbe::InDefault { .. } => unknown("no table becomes a partition on this server"),
            RowProbe::NoValueOf { .. } => unknown("this server has no domains"),
            RowProbe::Uncomputable { with } => self.uncomputable(table, facts, with).await,
            RowProbe::Unsayable { text } => self.unsayable(table, facts, text).await,
            RowProbe::Alike { columns } => self.alike(table, facts, columns).await,
        }
    }

    async fn violates(
        &self,
        table: &Located,
        condition: &str,
        with: Option<&NewColumn>,
    ) -> Answer<RowsProbed> {
        let condition = only_computes("the condition", condition)?;
        self.nobody_made("the condition", &condition).await?;
        let source = self.source(table, with).await?;
        self.exists(&format!("{source} AS dbop_row WHERE NOT {condition}"))
            .await
    }

    async fn unmet(&self, table: &Located, constraint: &ColumnName) -> Answer<RowsProbed> {
        let constraints = self.constraints(table).await?;
        let found = constraints.into_iter().find(|known| {
            known.name == *constraint && known.kind == ConstraintKind::Check && !known.incoming
        });
        match found.and_then(|known| known.condition) {
            // The catalogue has quotes with a backslash before them.
            Some(condition) => {
                self.violates(table, &condition.replace("\\'", "'"), None)
                    .await
            }
            None => unknown(format!("{} has no CHECK {constraint}", table.name)),
        }
    }

    async fn orphan(
        &self,
        table: &Located,
        columns: &[ColumnName],
        other: &TableName,
        referenced: &[ColumnName],
        with: Option<&NewColumn>,
    ) -> Answer<RowsProbed> {
        let Some(target) = self.locate(other).await? else {
            return unknown(format!("there is no table {other} yet"));
        };
        self.readable(&target)?;
        let key = if referenced.is_empty() {
            self.primary_key(&target).await?
        } else {
            referenced.to_vec()
        };
        if key.len() != columns.len() || key.is_empty() {
            return unknown(format!("to which columns of {other} it refers"));
        }
        let quoted = |column: &ColumnName| name(column.as_str()).map_err(unasked);
        let (mut present, mut equal) = (Vec::new(), Vec::new());
        for (column, to) in columns.iter().zip(&key) {
            let (column, to) = (quoted(column)?, quoted(to)?);
            present.push(format!("dbop_row.{column} IS NOT NULL"));
            equal.push(format!("dbop_other.{to} = dbop_row.{column}"));
        }
        let source = self.source(table, with).await?;
        let other = qualified(&target.database, target.name.name()).map_err(unasked)?;
        self.exists(&format!(
            "{source} AS dbop_row WHERE {} AND NOT EXISTS (SELECT 1 FROM {other} AS dbop_other WHERE {})",
            present.join(" AND "),
            equal.join(" AND ")
        ))
        .await
    }

    async fn primary_key(&self, table: &Located) -> Answer<Vec<ColumnName>> {
        let constraints = self.constraints(table).await?;
        let key = constraints
            .into_iter()
            .find(|known| known.kind == ConstraintKind::PrimaryKey && !known.incoming);
        Ok(key.map(|key| key.columns).unwrap_or_default())
    }

    async fn unconvertible(
        &self,
        table: &Located,
        facts: &TableFacts,
        column: &ColumnName,
        sql_type: &str,
    ) -> Answer<RowsProbed> {
        let Some(old) = facts.columns.get(column) else {
            return unknown(format!("the table has no column {column} yet"));
        };
        let quoted = name(column.as_str()).map_err(unasked)?;
        let value = format!("dbop_row.{quoted}");
        let condition =
            match fit(self.server.engine, &value, &old.sql_type, sql_type).map_err(unasked)? {
                Fit::Always => {
                    return Ok(RowsProbed {
                        found: false,
                        took: std::time::Duration::ZERO,
                    });
                }
                Fit::Unless(condition) => condition,
                Fit::NotKnown => {
                    return unknown(format!(
                        "which values become {sql_type} is not followed from {}",
                        old.sql_type
                    ));
                }
            };
        let from = qualified(&table.database, table.name.name()).map_err(unasked)?;
        self.exists(&format!("{from} AS dbop_row WHERE {condition}"))
            .await
    }

    /// The table's rows, with the column that the statement adds.
    async fn source(&self, table: &Located, with: Option<&NewColumn>) -> Answer<String> {
        let from = qualified(&table.database, table.name.name()).map_err(unasked)?;
        let Some(with) = with else {
            return Ok(from);
        };
        let value = match &with.value {
            None => "NULL".to_owned(),
            Some(value) => {
                let value = only_computes("the default", value)?;
                self.nobody_made("the default", &value).await?;
                value
            }
        };
        let column = name(with.name.as_str()).map_err(unasked)?;
        Ok(format!(
            "(SELECT dbop_table.*, {value} AS {column} FROM {from} AS dbop_table)"
        ))
    }

    pub(super) async fn exists(&self, rows: &str) -> Answer<RowsProbed> {
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {rows} LIMIT 1)");
        let (rows, took) = self.probe(&sql).await?;
        let found = crate::parse::boolean(self.hold.operation(), &rows).map_err(unasked)?;
        Ok(RowsProbed { found, took })
    }
}
