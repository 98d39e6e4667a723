//! One statement, read and compared with what is expected of it in one line.

#[path = "shown.rs"]
mod shown;

use dbop_model::Engine;

/// Reads one statement and compares.
#[track_caller]
pub(crate) fn one(engine: Engine, sql: &str, expect: &str) {
    let statements = dbop_sql::read(engine, sql);
    assert_eq!(statements.len(), 1, "{sql}: {statements:?}");
    assert_eq!(shown::shown(&statements[0]), expect, "{sql}");
}
