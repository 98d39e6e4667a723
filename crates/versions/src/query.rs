//! Query: one read-only statement of the user's, giving one value. No row and NULL are no version; more
//! than one row or column is a mistake in the statement, and is named as one.

use dbop_model::{ObservedVersion, SchemaVersion, Why};

use crate::dialect::QuoteError;
use crate::reading::{Author, Row, Statement};

pub(crate) fn statement(query: &str) -> Result<Statement, QuoteError> {
    if query.trim().is_empty() {
        return Err(QuoteError::Empty);
    }
    if query.contains('\0') {
        return Err(QuoteError::Nul);
    }
    // The second row is read only to know that there is one.
    Ok(Statement {
        sql: query.to_owned(),
        author: Author::User,
        rows_max: 2,
    })
}

pub(crate) fn interpret(rows: &[Row]) -> Result<ObservedVersion, Why> {
    let row = match rows {
        [] => return Ok(ObservedVersion::None),
        [row] => row,
        _ => {
            return Err(Why::new(
                "schemaVersion.query gives more than one row; it must give one value",
            ));
        }
    };
    match row.as_slice() {
        [None] => Ok(ObservedVersion::None),
        [Some(value)] => SchemaVersion::new(value.as_str())
            .map(ObservedVersion::At)
            .map_err(|error| Why::new(format!("schemaVersion.query gives a value that {error}"))),
        columns => Err(Why::new(format!(
            "schemaVersion.query gives {} columns; it must give one value",
            columns.len()
        ))),
    }
}
