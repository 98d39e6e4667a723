//! Where the version table is. A name without a schema means the one table of that name, in whichever
//! schema it is: what the tool's own search path was when it made the table cannot be known.

use dbop_model::Why;
use dbop_model::table::TableName;

use crate::dialect::{Dialect, QuoteError};
use crate::reading::{Row, Statement, engine_statement};

/// Rows of (schema, kind of relation): every relation that bears the name.
pub(crate) fn statement(table: &TableName, dialect: Dialect) -> Result<Statement, QuoteError> {
    // A name that the server would cut cannot be any table's.
    dialect.identifier(table.name())?;
    let (mut sql, schema_column) = match dialect {
        Dialect::PostgreSql => (
            format!(
                "SELECT n.nspname::pg_catalog.text, c.relkind::pg_catalog.text \
             FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' \
             AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relname = {}",
                dialect.literal(table.name())?
            ),
            "n.nspname",
        ),
        // A schema is a database here, and a name without one means the database that was connected to.
        Dialect::MySql => (
            format!(
                "SELECT t.TABLE_SCHEMA, IF(t.TABLE_TYPE = 'BASE TABLE', 'r', 'v') \
                 FROM information_schema.TABLES AS t WHERE t.TABLE_NAME = {}{}",
                dialect.literal(table.name())?,
                match table.schema() {
                    Some(_) => "",
                    None => " AND t.TABLE_SCHEMA = DATABASE()",
                }
            ),
            "t.TABLE_SCHEMA",
        ),
    };
    if let Some(schema) = table.schema() {
        sql.push_str(&format!(
            " AND {schema_column} = {}",
            dialect.literal(schema)?
        ));
    }
    sql.push_str(" ORDER BY 1 LIMIT 3");
    Ok(engine_statement(sql))
}

/// The schema; `None`: there is no such table.
pub(crate) fn interpret(table: &TableName, rows: &[Row]) -> Result<Option<String>, Why> {
    match rows {
        [] => Ok(None),
        [row] => match row.as_slice() {
            [Some(schema), Some(kind)] if kind == "r" || kind == "p" => Ok(Some(schema.clone())),
            // Whoever may replace a view could make it say any version, or run code as the admin.
            [Some(schema), Some(_)] => Err(Why::new(format!(
                "{schema}.{} is not a table; name the table itself",
                table.name()
            ))),
            _ => Err(Why::new(
                "the server's catalogue gave an answer of another shape",
            )),
        },
        [one, two, ..] => {
            let schema = |row: &Row| row.first().cloned().flatten().unwrap_or_default();
            Err(Why::new(format!(
                "there is more than one table {} (in the schemas {} and {}); \
                 name one: schemaVersion.schema",
                table.name(),
                schema(one),
                schema(two)
            )))
        }
    }
}
