//! Constraints of a table, and the foreign keys of other tables to it, as far as the admin may see those.

use dbop_database::DatabaseError;
use dbop_model::Engine;
use dbop_model::operation::ConstraintKind;
use dbop_model::table::{ColumnName, ConstraintFacts, TableName};

use super::Look;
use super::parse::{self, Located};
use crate::parse::{Columns, Values as _};
use crate::query::text;
use dbop_database::answer::Answer;

/// Columns of all constraints of one table.
const ROWS_MAX: usize = 5000;
/// What a rule of a foreign key says where a change goes on to the other table.
const CASCADES: &str = "('CASCADE', 'SET NULL', 'SET DEFAULT')";

/// Keys of a table, a row for each of their columns: name, kind, column, database and table at the other end, is it
/// that table's, changes rows at the other end, writes NULL. A foreign key can have been added unchecked (`foreign_key_checks=0`).
fn keys(table: &Located) -> Result<String, DatabaseError> {
    let (database, name) = (text(&table.database)?, text(table.name.name())?);
    Ok(format!(
        "SELECT t.CONSTRAINT_NAME, t.CONSTRAINT_TYPE, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, \
         k.REFERENCED_TABLE_NAME, 0, COALESCE(r.UPDATE_RULE IN {CASCADES} OR r.DELETE_RULE IN {CASCADES}, 0), \
         COALESCE('SET NULL' IN (r.UPDATE_RULE, r.DELETE_RULE), 0) \
         FROM information_schema.TABLE_CONSTRAINTS t \
         JOIN information_schema.KEY_COLUMN_USAGE k ON k.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA \
         AND k.CONSTRAINT_NAME = t.CONSTRAINT_NAME AND k.TABLE_SCHEMA = t.TABLE_SCHEMA \
         AND k.TABLE_NAME = t.TABLE_NAME \
         AND (k.REFERENCED_TABLE_NAME IS NOT NULL) = (t.CONSTRAINT_TYPE = 'FOREIGN KEY') \
         LEFT JOIN information_schema.REFERENTIAL_CONSTRAINTS r ON t.CONSTRAINT_TYPE = 'FOREIGN KEY' \
         AND r.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = t.CONSTRAINT_NAME \
         AND r.TABLE_NAME = t.TABLE_NAME \
         WHERE t.TABLE_SCHEMA = {database} AND t.TABLE_NAME = {name} \
         ORDER BY t.CONSTRAINT_NAME, t.CONSTRAINT_TYPE, k.ORDINAL_POSITION LIMIT {ROWS_MAX}"
    ))
}

/// The same of foreign keys of other tables.
fn incoming(table: &Located) -> Result<String, DatabaseError> {
    let (database, name) = (text(&table.database)?, text(table.name.name())?);
    Ok(format!(
        "SELECT k.CONSTRAINT_NAME, 'FOREIGN KEY', k.REFERENCED_COLUMN_NAME, k.TABLE_SCHEMA, k.TABLE_NAME, 1, \
         r.UPDATE_RULE IN {CASCADES} OR r.DELETE_RULE IN {CASCADES}, \
         'SET NULL' IN (r.UPDATE_RULE, r.DELETE_RULE) \
         FROM information_schema.KEY_COLUMN_USAGE k \
         JOIN information_schema.REFERENTIAL_CONSTRAINTS r ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA \
         AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME \
         WHERE k.REFERENCED_TABLE_SCHEMA = {database} AND k.REFERENCED_TABLE_NAME = {name} \
         AND NOT (k.TABLE_SCHEMA = {database} AND k.TABLE_NAME = {name}) \
         ORDER BY k.CONSTRAINT_NAME, k.TABLE_SCHEMA, k.TABLE_NAME, k.ORDINAL_POSITION LIMIT {ROWS_MAX}"
    ))
}

/// CHECKs: name, condition, known to hold of every row, the column in whose definition it stands. MariaDB's are not
/// held against old rows in every case, and a session can turn them off.
fn checks(table: &Located, engine: Engine) -> Result<String, DatabaseError> {
    let (database, name) = (text(&table.database)?, text(table.name.name())?);
    Ok(match engine {
        Engine::MariaDb => format!(
            "SELECT k.CONSTRAINT_NAME, k.CHECK_CLAUSE, 0, IF(k.LEVEL = 'Column', k.CONSTRAINT_NAME, NULL) \
             FROM information_schema.CHECK_CONSTRAINTS k \
             WHERE k.CONSTRAINT_SCHEMA = {database} AND k.TABLE_NAME = {name} \
             ORDER BY k.CONSTRAINT_NAME LIMIT {ROWS_MAX}"
        ),
        _ => format!(
            "SELECT k.CONSTRAINT_NAME, k.CHECK_CLAUSE, t.ENFORCED = 'YES', NULL \
             FROM information_schema.TABLE_CONSTRAINTS t \
             JOIN information_schema.CHECK_CONSTRAINTS k \
             ON k.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND k.CONSTRAINT_NAME = t.CONSTRAINT_NAME \
             WHERE t.TABLE_SCHEMA = {database} AND t.TABLE_NAME = {name} AND t.CONSTRAINT_TYPE = 'CHECK' \
             ORDER BY k.CONSTRAINT_NAME LIMIT {ROWS_MAX}"
        ),
    })
}

impl Look<'_> {
    pub(super) async fn constraints(&self, table: &Located) -> Answer<Vec<ConstraintFacts>> {
        let mut rows = self.catalogue(keys(table), key).await?;
        rows.extend(self.catalogue(incoming(table), key).await?);
        let mut found: Vec<ConstraintFacts> = Vec::new();
        for one in rows.into_iter().flatten() {
            match found.last_mut() {
                Some(last) if is_same(last, &one) => last.columns.extend(one.columns),
                _ => found.push(one),
            }
        }
        let sql = checks(table, self.server.engine);
        found.extend(self.catalogue(sql, check).await?);
        Ok(found)
    }
}

fn is_same(one: &ConstraintFacts, other: &ConstraintFacts) -> bool {
    (&one.name, one.kind, one.incoming, &one.other)
        == (&other.name, other.kind, other.incoming, &other.other)
}

/// A key with one of its columns; `None`: it is none that is known here.
fn key(columns: &mut Columns<'_>) -> Result<Option<ConstraintFacts>, DatabaseError> {
    let name = parse::column_name(columns)?;
    let kind = match columns.text()? {
        "PRIMARY KEY" => ConstraintKind::PrimaryKey,
        "UNIQUE" => ConstraintKind::Unique,
        "FOREIGN KEY" => ConstraintKind::ForeignKey,
        _ => return Ok(None),
    };
    let column = parse::column_name(columns)?;
    let (database, table) = (columns.nullable()?, columns.nullable()?);
    let other = table
        .map(|table| TableName::new(database, table))
        .transpose();
    Ok(Some(ConstraintFacts {
        name,
        kind,
        columns: vec![column],
        condition: None,
        validated: kind != ConstraintKind::ForeignKey,
        other: other.map_err(|error| columns.unreadable(&format!("a table's name {error}")))?,
        incoming: columns.boolean()?,
        cascades: columns.boolean()?,
        sets_null: columns.boolean()?,
    }))
}

fn check(columns: &mut Columns<'_>) -> Result<ConstraintFacts, DatabaseError> {
    let name = parse::column_name(columns)?;
    let condition = columns.text()?.to_owned();
    let validated = columns.boolean()?;
    let column = columns
        .nullable()?
        .map(ColumnName::ignoring_case)
        .transpose();
    let column = column.map_err(|error| columns.unreadable(&format!("a column's name {error}")))?;
    Ok(ConstraintFacts {
        name,
        kind: ConstraintKind::Check,
        columns: column.into_iter().collect(),
        condition: Some(condition),
        validated,
        other: None,
        incoming: false,
        cascades: false,
        sets_null: false,
    })
}
