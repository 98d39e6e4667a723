//! Alembic: the table holds one row for each head, the revision's id (Alembic's `alembic.runtime.migration`).
//! Two rows are two heads: branches that nobody merged.

use dbop_model::{ObservedVersion, SchemaVersion, Why};

use crate::dialect::Dialect;
use crate::reading::{Row, Statement, VERSIONS_MAX, engine_statement};

pub(crate) fn statement(from: &str, dialect: Dialect) -> Statement {
    engine_statement(format!(
        "SELECT {} FROM {from} AS t ORDER BY 1 LIMIT {}",
        dialect.text(&dialect.column("version_num")),
        VERSIONS_MAX + 1
    ))
}

pub(crate) fn interpret(rows: &[Row]) -> Result<ObservedVersion, Why> {
    if rows.len() > VERSIONS_MAX {
        return Err(Why::new(format!(
            "the version table holds more than {VERSIONS_MAX} heads"
        )));
    }
    let mut heads = rows.iter().map(|row| match row.as_slice() {
        [Some(revision)] => SchemaVersion::new(revision.as_str())
            .map_err(|error| Why::new(format!("the version table holds a revision that {error}"))),
        _ => Err(Why::new("the version table holds a row without a revision")),
    });
    match (heads.next(), rows.len()) {
        (None, _) => Ok(ObservedVersion::None),
        (Some(head), 1) => Ok(ObservedVersion::At(head?)),
        (Some(first), _) => {
            let mut several = vec![first?];
            several.extend(heads.collect::<Result<Vec<_>, _>>()?);
            Ok(ObservedVersion::Several(several))
        }
    }
}
