//! Indexes: what they are over, and which table one of a name is of.

use dbop_database::DatabaseError;
use dbop_model::operation::{IndexKind, IndexPart};
use dbop_model::table::{ColumnName, IndexFacts, TableName, UniqueKey};
use dbop_model::{Engine, Why};

use super::Look;
use super::ask::unasked;
use super::parse::{self, Located};
use crate::parse::{Columns, Values as _};
use crate::query::text;
use dbop_database::answer::{Answer, Failure};

/// The servers allow 64 indexes of 16 or 32 columns.
const PARTS_MAX: usize = 3000;
/// How many tables with an index of one name are named.
const TABLES_MAX: usize = 10;

/// Parts of a table's indexes, in order: index, not unique, column, length, kind, expression. MariaDB has none of the
/// last.
fn statement(table: &Located, engine: Engine) -> Result<String, DatabaseError> {
    let expression = match engine {
        Engine::MariaDb => "NULL",
        _ => "s.EXPRESSION",
    };
    Ok(format!(
        "SELECT s.INDEX_NAME, s.NON_UNIQUE, s.COLUMN_NAME, s.SUB_PART, s.INDEX_TYPE, {expression} \
         FROM information_schema.STATISTICS s WHERE s.TABLE_SCHEMA = {} AND s.TABLE_NAME = {} \
         ORDER BY s.INDEX_NAME, s.SEQ_IN_INDEX LIMIT {PARTS_MAX}",
        text(&table.database)?,
        text(table.name.name())?
    ))
}

/// Tables of a database with an index of this name.
fn of_index(database: &str, index: &str) -> Result<String, DatabaseError> {
    Ok(format!(
        "SELECT DISTINCT s.TABLE_NAME FROM information_schema.STATISTICS s \
         WHERE s.TABLE_SCHEMA = {} AND s.INDEX_NAME = {} ORDER BY s.TABLE_NAME LIMIT {TABLES_MAX}",
        text(database)?,
        text(index)?
    ))
}

impl Look<'_> {
    pub(super) async fn indexes(&self, table: &Located) -> Answer<Vec<IndexFacts>> {
        let sql = statement(table, self.server.engine);
        let parts = self.catalogue(sql, part).await?;
        let mut indexes: Vec<IndexFacts> = Vec::new();
        for (index, part) in parts {
            match indexes.last_mut() {
                Some(last) if last.name == index.name => last.key.parts.push(part),
                _ => indexes.push(with_part(index, part)),
            }
        }
        Ok(indexes)
    }

    /// The table that an index is of. An index's name is its table's own, so that several can have it.
    pub(super) async fn table_of(&self, index: &TableName) -> Answer<Option<TableName>> {
        let database = index.schema().unwrap_or(&self.server.database);
        let sql = of_index(database, index.name());
        let mut tables = self.catalogue(sql, |c| Ok(c.text()?.to_owned())).await?;
        if tables.len() > 1 {
            return Err(Failure::Unknown(Why::new(format!(
                "{} can be the index of any of {}: write the table in the operation",
                index.name(),
                tables.join(", ")
            ))));
        }
        let Some(table) = tables.pop() else {
            return Ok(None);
        };
        let table = TableName::new(Some(database), &table);
        table.map(Some).map_err(|error| {
            unasked(DatabaseError::Unreadable {
                operation: self.hold.operation(),
                detail: format!("a table's name {error}"),
            })
        })
    }
}

fn with_part(mut index: IndexFacts, part: IndexPart) -> IndexFacts {
    index.key.parts.push(part);
    index
}

/// An index without its parts, and one of these.
fn part(columns: &mut Columns<'_>) -> Result<(IndexFacts, IndexPart), DatabaseError> {
    let name = parse::column_name(columns)?;
    let not_unique = columns.boolean()?;
    let column = columns
        .nullable()?
        .map(ColumnName::ignoring_case)
        .transpose();
    let column = column.map_err(|error| columns.unreadable(&format!("a column's name {error}")))?;
    let length: Option<u32> = columns.nullable()?.and_then(|length| length.parse().ok());
    let kind = columns.text()?;
    let expression = columns.nullable()?;
    let part = match (column, length, expression) {
        // Of these the length is of words or boxes, not of the column's text.
        (Some(column), _, _) if matches!(kind, "FULLTEXT" | "SPATIAL") => IndexPart::Column(column),
        (Some(column), Some(length), _) => IndexPart::Prefix(column, length),
        (Some(column), None, _) => IndexPart::Column(column),
        (None, _, Some(expression)) => IndexPart::Expression(expression.to_owned()),
        (None, _, None) => return Err(columns.unreadable("an index is over nothing")),
    };
    let index = IndexFacts {
        primary: name.as_str() == "PRIMARY",
        name,
        key: UniqueKey {
            parts: Vec::new(),
            predicate: None,
            nulls_equal: false,
        },
        kind: match kind {
            "FULLTEXT" => IndexKind::Fulltext,
            "SPATIAL" => IndexKind::Spatial,
            _ if not_unique => IndexKind::Plain,
            _ => IndexKind::Unique,
        },
        valid: true,
        immediate: true,
        bytes: None,
    };
    Ok((index, part))
}
