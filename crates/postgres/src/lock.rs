//! The advisory lock: one operator at a time writes to a database. The server gives it up when the
//! connection ends, however it ends.

use dbop_database::DatabaseError;

use crate::link::Hold;
use crate::{parse, query};

/// "dbop", 1. Advisory locks are a database's own, so the key need not tell databases apart.
const KEY: (i32, i32) = (0x6462_6f70, 1);

/// Takes it, without waiting. False: another connection has it.
pub(crate) async fn try_lock(hold: &Hold<'_>) -> Result<bool, DatabaseError> {
    parse::boolean(hold.operation(), &hold.rows(&query::try_lock(KEY)).await?)
}

/// Gives it up, where this connection has it.
pub(crate) async fn unlock(hold: &Hold<'_>) -> Result<(), DatabaseError> {
    hold.rows(&query::unlock(KEY)).await.map(drop)
}
