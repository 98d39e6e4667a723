//! Where the version table is. On PostgreSQL a name without a schema means the one table of that name, in
//! whichever schema it is: what the tool's own search path was when it made the table cannot be known. On MySQL a
//! schema is a database, and a name without one means the database that is connected to.

use dbop_model::Why;
use dbop_model::table::TableName;

use crate::dialect::{Dialect, QuoteError};
use crate::reading::{Row, Statement, engine_statement};

/// A table that exists.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Located {
    /// The schema that it is in.
    pub(crate) schema: String,
    /// Its name, as the catalogue spells it.
    pub(crate) name: String,
}

/// Rows of (schema, kind of relation, name): every relation that bears the name.
///
/// `spelled_freely`: on MySQL the name may be in other case, as its tables' files may or may not tell case apart
/// and a tool writes its name in capitals; on PostgreSQL, such a name without quotes is in small letters.
pub(crate) fn statement(
    table: &TableName,
    spelled_freely: bool,
    dialect: Dialect,
) -> Result<Statement, QuoteError> {
    // A name that the server would cut cannot be any table's.
    dialect.identifier(table.name())?;
    let name = dialect.literal(table.name())?;
    let (mut sql, schema_column) = match dialect {
        Dialect::PostgreSql => (
            format!(
                "SELECT n.nspname::pg_catalog.text, c.relkind::pg_catalog.text, \
                 c.relname::pg_catalog.text FROM pg_catalog.pg_class c \
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relpersistence <> 't' \
                 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
                 AND c.relname = {name}"
            ),
            "n.nspname",
        ),
        Dialect::MySql => {
            let is_named = if spelled_freely {
                format!("LOWER(t.TABLE_NAME) = LOWER({name})")
            } else {
                format!("t.TABLE_NAME = {name}")
            };
            let sql = format!(
                "SELECT t.TABLE_SCHEMA, IF(t.TABLE_TYPE = 'BASE TABLE', 'r', 'v'), t.TABLE_NAME \
                 FROM information_schema.TABLES AS t WHERE {is_named}{}",
                match table.schema() {
                    Some(_) => "",
                    None => " AND t.TABLE_SCHEMA = DATABASE()",
                }
            );
            (sql, "t.TABLE_SCHEMA")
        }
    };
    if let Some(schema) = table.schema() {
        sql.push_str(&format!(
            " AND {schema_column} = {}",
            dialect.literal(schema)?
        ));
    }
    sql.push_str(" ORDER BY 1, 3 LIMIT 3");
    Ok(engine_statement(sql))
}

/// Where it is; `None`: there is no such table.
pub(crate) fn interpret(
    table: &TableName,
    spelled_freely: bool,
    rows: &[Row],
) -> Result<Option<Located>, Why> {
    let rows = match spelled_freely {
        true => rows,
        false => spelled_alike(table, rows),
    };
    match rows {
        [] => Ok(None),
        [row] => match row.as_slice() {
            [Some(schema), Some(kind), Some(name)] if kind == "r" || kind == "p" => {
                Ok(Some(Located {
                    schema: schema.clone(),
                    name: name.clone(),
                }))
            }
            // Whoever may replace a view could make it say any version, or run code as the admin.
            [Some(schema), Some(_), Some(name)] => Err(Why::new(format!(
                "{schema}.{name} is not a table; name the table itself"
            ))),
            _ => Err(Why::new(
                "the server's catalogue gave an answer of another shape",
            )),
        },
        [one, two, ..] => Err(Why::new(match (part(one, 0), part(two, 0)) {
            (schema, same) if schema == same => format!(
                "there is more than one table of the name in the schema {schema}: {} and {}",
                part(one, 2),
                part(two, 2)
            ),
            (schema, other) => format!(
                "there is more than one table {} (in the schemas {schema} and {other}); \
                     name one: schemaVersion.schema",
                table.name()
            ),
        })),
    }
}

/// Of several in one schema whose names differ in the case of letters, the one that is spelled as the name is: a
/// server may compare names without regard to it, and tell the tables apart.
fn spelled_alike<'r>(table: &TableName, rows: &'r [Row]) -> &'r [Row] {
    let mut schemas = rows.iter().map(|row| part(row, 0));
    let first = schemas.next();
    if !schemas.all(|schema| Some(schema) == first) {
        return rows;
    }
    let alike = rows.iter().position(|row| part(row, 2) == table.name());
    alike.map_or(rows, |at| &rows[at..=at])
}

fn part(row: &Row, nth: usize) -> String {
    row.get(nth).cloned().flatten().unwrap_or_default()
}
