//! Is there a row for which what is computed for a new column is no value of it?
//!
//! The server says of which type an expression is by the names of a result's columns, without computing it for any row;
//! what becomes of values of that type, [`super::fits`] knows.

use std::time::Duration;

use dbop_database::answer::{Answer, Failure, unknown};
use dbop_database::expression::{Grammar, read};
use dbop_model::dependent::{NewColumn, RowsProbed};
use dbop_model::table::TableFacts;
use mysql_async::Column;
use mysql_async::consts::{ColumnFlags, ColumnType};

use super::Look;
use super::ask::{CATALOGUE_TIMEOUT, unasked};
use super::duplicates::{GRAMMAR, only_computes};
use super::fits::{Fit, fit};
use super::parse::{self, Located};
use crate::query::{name, qualified};
use dbop_database::DatabaseError;

/// The character set of bytes.
const BINARY: u16 = 63;

impl Look<'_> {
    pub(super) async fn uncomputable(
        &self,
        table: &Located,
        facts: &TableFacts,
        with: &NewColumn,
    ) -> Answer<RowsProbed> {
        let Some(text) = &with.value else {
            return unknown("the operation does not say what it is computed by");
        };
        let value = only_computes("the expression", text)?;
        self.nobody_made("the expression", &value).await?;
        let from = qualified(&table.database, table.name.name()).map_err(unasked)?;
        let old = self
            .type_of(&format!("SELECT (SELECT {value} FROM {from} LIMIT 0)"))
            .await?;
        let Some(old) = old else {
            return unknown("of which type the expression is");
        };
        let misfit = match fit(self.server.engine, &value, &old, &with.sql_type).map_err(unasked)? {
            Fit::Always => None,
            Fit::Unless(condition) => Some(condition),
            Fit::NotKnown => {
                return unknown(format!(
                    "which values become {} is not followed from {old}, of which the expression is",
                    with.sql_type
                ));
            }
        };
        let absent = (!with.nullable).then(|| format!("{value} IS NULL"));
        let by_zero = divided_by_zero(text, &value, facts)?;
        let conditions: Vec<String> = [absent, misfit, by_zero].into_iter().flatten().collect();
        if conditions.is_empty() {
            return Ok(RowsProbed {
                found: false,
                took: Duration::ZERO,
            });
        }
        self.exists(&format!(
            "{from} AS dbop_row WHERE {}",
            conditions.join(" OR ")
        ))
        .await
    }

    /// The type of the only column of a result.
    async fn type_of(&self, sql: &str) -> Answer<Option<String>> {
        match self.hold.first_column(sql, CATALOGUE_TIMEOUT).await {
            Ok(column) => Ok(column.as_ref().and_then(type_name)),
            Err(lost @ DatabaseError::Lost { .. }) => Err(Failure::Broken(lost)),
            Err(error) => Err(Failure::Unknown(parse::refusal(&error, CATALOGUE_TIMEOUT))),
        }
    }
}

/// The condition of rows that divide by zero, which a strict server refuses (`ERROR_FOR_DIVISION_BY_ZERO`): there is no
/// value though there is one of each column. What calls a function or chooses between cases may mean to have none.
fn divided_by_zero(text: &str, value: &str, facts: &TableFacts) -> Answer<Option<String>> {
    let Ok(found) = read(text, Grammar::MySql) else {
        return Ok(None);
    };
    let has = |word: &str| found.words.contains(word);
    let called = |word: &str| found.calls.iter().any(|call| call.trim_end() == word);
    let divides =
        text.contains(['/', '%']) || ["div", "mod"].iter().any(|word| has(word) || called(word));
    let computes = |call: &String| GRAMMAR.contains(&call.trim_end());
    let chooses = has("case") || has("null") || found.calls.contains("case ");
    if !divides || chooses || !found.calls.iter().all(computes) {
        return Ok(None);
    }
    let mut conditions = vec![format!("{value} IS NULL")];
    for column in facts.columns.keys() {
        if has(&column.as_str().to_lowercase()) {
            let quoted = name(column.as_str()).map_err(unasked)?;
            conditions.push(format!("dbop_row.{quoted} IS NOT NULL"));
        }
    }
    Ok(Some(format!("({})", conditions.join(" AND "))))
}

/// As a statement would write it; of texts the longest, for a result does not say what a value cannot be.
fn type_name(column: &Column) -> Option<String> {
    use ColumnType::{
        MYSQL_TYPE_BLOB, MYSQL_TYPE_DATE, MYSQL_TYPE_DATETIME, MYSQL_TYPE_DECIMAL,
        MYSQL_TYPE_DOUBLE, MYSQL_TYPE_FLOAT, MYSQL_TYPE_GEOMETRY, MYSQL_TYPE_INT24,
        MYSQL_TYPE_JSON, MYSQL_TYPE_LONG, MYSQL_TYPE_LONG_BLOB, MYSQL_TYPE_LONGLONG,
        MYSQL_TYPE_MEDIUM_BLOB, MYSQL_TYPE_NEWDECIMAL, MYSQL_TYPE_SHORT, MYSQL_TYPE_STRING,
        MYSQL_TYPE_TIME, MYSQL_TYPE_TIMESTAMP, MYSQL_TYPE_TINY, MYSQL_TYPE_TINY_BLOB,
        MYSQL_TYPE_VAR_STRING, MYSQL_TYPE_VARCHAR, MYSQL_TYPE_YEAR,
    };
    let integer = |name: &str| match column.flags().contains(ColumnFlags::UNSIGNED_FLAG) {
        true => format!("{name} unsigned"),
        false => name.to_owned(),
    };
    Some(match column.column_type() {
        MYSQL_TYPE_TINY => integer("tinyint"),
        MYSQL_TYPE_SHORT => integer("smallint"),
        MYSQL_TYPE_INT24 => integer("mediumint"),
        MYSQL_TYPE_LONG => integer("int"),
        MYSQL_TYPE_LONGLONG => integer("bigint"),
        MYSQL_TYPE_YEAR => integer("smallint"),
        MYSQL_TYPE_FLOAT => "float".to_owned(),
        MYSQL_TYPE_DOUBLE => "double".to_owned(),
        MYSQL_TYPE_DECIMAL | MYSQL_TYPE_NEWDECIMAL => format!("decimal(65,{})", column.decimals()),
        MYSQL_TYPE_DATE => "date".to_owned(),
        MYSQL_TYPE_DATETIME => "datetime".to_owned(),
        MYSQL_TYPE_TIMESTAMP => "timestamp".to_owned(),
        MYSQL_TYPE_TIME => "time".to_owned(),
        MYSQL_TYPE_JSON => "json".to_owned(),
        MYSQL_TYPE_GEOMETRY => "geometry".to_owned(),
        MYSQL_TYPE_VARCHAR
        | MYSQL_TYPE_VAR_STRING
        | MYSQL_TYPE_STRING
        | MYSQL_TYPE_TINY_BLOB
        | MYSQL_TYPE_BLOB
        | MYSQL_TYPE_MEDIUM_BLOB
        | MYSQL_TYPE_LONG_BLOB => match column.character_set() {
            BINARY => "longblob".to_owned(),
            _ => "longtext".to_owned(),
        },
        _ => return None,
    })
}
