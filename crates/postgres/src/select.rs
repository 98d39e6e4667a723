//! A statement of the user's: held to one SELECT by being made a cursor, in a transaction of the caller's that only
//! reads. It may name tables of the schema `public` without saying so, unless somebody put a function or an operator
//! there that could be taken for one of the server's.

use dbop_database::DatabaseError;
use dbop_versions::Row;

use crate::link::Hold;
use crate::{parse, query};

/// Makes names mean what they mean to users; does not where somebody's functions could be taken for the server's.
/// Was it done?
pub(crate) async fn see_public(hold: &Hold<'_>) -> Result<bool, DatabaseError> {
    let is_shadowed = parse::boolean(hold.operation(), &hold.rows(query::SHADOWS).await?)?;
    if !is_shadowed {
        hold.run("SET LOCAL search_path TO pg_catalog, public, pg_temp")
            .await?;
    }
    Ok(!is_shadowed)
}

/// The first rows of a statement, and no more than so many.
pub(crate) async fn rows(
    hold: &Hold<'_>,
    sql: &str,
    rows_max: usize,
) -> Result<Vec<Row>, DatabaseError> {
    hold.run_single(&format!("DECLARE dbop_select NO SCROLL CURSOR FOR {sql}"))
        .await?;
    hold.rows(&format!("FETCH FORWARD {rows_max} FROM dbop_select"))
        .await
}
