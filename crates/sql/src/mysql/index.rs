//! Indexes, as CREATE INDEX, CREATE TABLE and ALTER TABLE have them (MySQL 8.4 manual, section 15.1.15).

use dbop_model::operation::{Index, IndexKind, IndexPart};
use dbop_model::table::ColumnName;

use super::cursor::{Cursor, Unread};

/// `(parts) options`, behind the index's name.
pub(super) fn body(
    at: &mut Cursor<'_>,
    kind: IndexKind,
    name: Option<ColumnName>,
) -> Result<Index, Unread> {
    using(at)?;
    let mut index = Index::new(kind, Vec::new());
    index.name = name;
    index.parts = parts(at)?;
    options(at)?;
    Ok(index)
}

/// `USING BTREE`, which may stand before the parts.
pub(super) fn using(at: &mut Cursor<'_>) -> Result<(), Unread> {
    if at.take_any(&["using", "type"]) {
        at.value()?;
    }
    Ok(())
}

/// `(a, b(10) DESC, (lower(c)))`.
pub(super) fn parts(at: &mut Cursor<'_>) -> Result<Vec<IndexPart>, Unread> {
    at.expect_sign("(")?;
    let mut parts = Vec::new();
    loop {
        parts.push(part(at)?);
        if !at.sign(",") {
            break;
        }
    }
    at.expect_sign(")")?;
    Ok(parts)
}

fn part(at: &mut Cursor<'_>) -> Result<IndexPart, Unread> {
    let part = if at.is_sign("(") {
        IndexPart::Expression(at.parentheses()?)
    } else {
        let column = at.name()?;
        if at.is_sign("(") {
            let length = at.parentheses()?;
            let length = length
                .trim()
                .parse()
                .map_err(|_| "the length of an index's part is no number".to_owned())?;
            IndexPart::Prefix(column, length)
        } else {
            IndexPart::Column(column)
        }
    };
    // MariaDB's period of a unique key.
    if at.take(&["without", "overlaps"]) {
        return Err("WITHOUT OVERLAPS is not known yet".to_owned());
    }
    at.take_any(&["asc", "desc"]);
    Ok(part)
}

/// What stands behind the parts, and decides neither what it takes nor what it holds.
pub(super) fn options(at: &mut Cursor<'_>) -> Result<(), Unread> {
    loop {
        if at.take_any(&[
            "key_block_size",
            "comment",
            "engine_attribute",
            "secondary_engine_attribute",
            "clustering",
            "using",
            "type",
        ]) {
            at.value()?;
        } else if at.take(&["with", "parser"]) {
            at.skip();
        } else if !(at.take_any(&["visible", "invisible", "ignored"])
            || at.take(&["not", "ignored"]))
        {
            return Ok(());
        }
    }
}
