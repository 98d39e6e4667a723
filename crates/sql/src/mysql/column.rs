//! Column definitions (MySQL 8.4 manual, sections 15.1.20 and 15.1.9; MariaDB, CREATE TABLE).

use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Referential, ServerDefault, Validity,
};
use dbop_model::table::ColumnName;

use super::cursor::{Cursor, Unread};

/// What can come behind a type or a default in a definition.
const ATTRIBUTES: [&str; 35] = [
    "not",
    "null",
    "default",
    "comment",
    "auto_increment",
    "on",
    "unique",
    "primary",
    "key",
    "check",
    "constraint",
    "references",
    "collate",
    "visible",
    "invisible",
    "first",
    "after",
    "generated",
    "as",
    "virtual",
    "stored",
    "persistent",
    "column_format",
    "storage",
    "engine_attribute",
    "secondary_engine_attribute",
    "srid",
    "with",
    "without",
    "character",
    "charset",
    "compressed",
    "ref_system_id",
    // What may stand behind all definitions of a statement.
    "partition",
    "remove",
];

/// Words that a type's name is made of, behind its first.
const TYPE_WORDS: [&str; 12] = [
    "precision",
    "varying",
    "varchar",
    "varbinary",
    "char",
    "character",
    "national",
    "unsigned",
    "signed",
    "zerofill",
    "large",
    "object",
];

/// A definition without the column's name, which the cursor is behind: up to a comma, a parenthesis or the end.
pub(super) fn definition(at: &mut Cursor<'_>, name: ColumnName) -> Result<Column, Unread> {
    let mut column = Column::new(name);
    let mut sql_type = type_name(at, &mut column)?;
    let ends = |at: &Cursor<'_>| {
        at.at_end()
            || at.is_sign(",")
            || at.is_sign(")")
            || (at.is("partition") && at.is_then("by"))
            || (at.is("remove") && at.is_then("partitioning"))
    };
    while !ends(at) {
        attribute(at, &mut column, &mut sql_type)?;
    }
    column.sql_type = Some(
        sql_type
            .parse()
            .map_err(|error| format!("its type cannot be read: {error}"))?,
    );
    Ok(column)
}

/// The type with what belongs to it, but for its character set and collation.
fn type_name(at: &mut Cursor<'_>, column: &mut Column) -> Result<String, Unread> {
    // An alias with constraints in it (MySQL 8.4 manual, section 13.1.1).
    if at.take(&["serial"]) {
        column.nullable = Some(false);
        column
            .constraints
            .push(of_column(ConstraintKind::Unique, column)?);
        return Ok("bigint unsigned AUTO_INCREMENT".to_owned());
    }
    if at.at_end() || at.is_any(&ATTRIBUTES) || at.is_sign(",") || at.is_sign("(") {
        return Err(at.unexpected("a type"));
    }
    let start = at.place();
    at.skip();
    loop {
        // CHARACTER SET is no part of the type's name, CHARACTER VARYING is.
        if at.is_sign("(") {
            at.parentheses()?;
        } else if at.is_any(&TYPE_WORDS)
            && !(at.is_any(&["character", "char"]) && at.is_then("set"))
        {
            at.skip();
        } else {
            return Ok(at.text(start, at.place()));
        }
    }
}

fn attribute(
    at: &mut Cursor<'_>,
    column: &mut Column,
    sql_type: &mut String,
) -> Result<(), Unread> {
    if at.take(&["not", "null"]) {
        column.nullable = Some(false);
    } else if at.take(&["null"]) {
        column.nullable = Some(true);
    } else if at.take(&["default"]) {
        column.default = ServerDefault::Expression(expression(at)?);
    } else if at.take(&["serial", "default", "value"]) {
        sql_type.push_str(" AUTO_INCREMENT");
        column.nullable = Some(false);
        column
            .constraints
            .push(of_column(ConstraintKind::Unique, column)?);
    } else if at.take(&["on", "update"]) {
        at.until(&ATTRIBUTES)?;
    } else if at.take(&["auto_increment"]) {
        sql_type.push_str(" AUTO_INCREMENT");
    } else if at.take(&["unique"]) {
        at.take_any(&["key", "index"]);
        column
            .constraints
            .push(of_column(ConstraintKind::Unique, column)?);
    } else if at.take(&["primary", "key"]) || at.take(&["primary"]) || at.take(&["key"]) {
        column.nullable = Some(false);
        column
            .constraints
            .push(of_column(ConstraintKind::PrimaryKey, column)?);
    } else if at.take(&["character", "set"]) || at.take(&["char", "set"]) || at.take(&["charset"]) {
        column.charset = Some(word(at)?);
    } else if at.take(&["collate"]) {
        column.collation = Some(word(at)?);
    } else if at.take_any(&["ascii", "unicode", "byte", "binary"]) {
        // Old names of a character set or a collation: what the server makes of them is not said here.
        column.collation.get_or_insert_with(|| "binary".to_owned());
    } else if at.take(&["generated", "always", "as"]) || at.take(&["as"]) {
        let computed = at.parentheses()?;
        let kept = if at.take_any(&["stored", "persistent"]) {
            "STORED"
        } else {
            // The default (MySQL 8.4 manual, section 15.1.20.8; MariaDB, Generated Columns).
            at.take(&["virtual"]);
            "VIRTUAL"
        };
        sql_type.push_str(&format!(" GENERATED ALWAYS AS ({computed}) {kept}"));
    } else if at.is("references") {
        let name = column.name.clone();
        column.constraints.push(references(at, vec![name])?);
    } else if at.is_any(&["constraint", "check"]) {
        let (named, _) = named(at)?;
        let mut check = check(at, vec![column.name.clone()])?;
        check.name = named;
        column.constraints.push(check);
    } else if at.take(&["first"]) {
        column.placed = true;
    } else if at.take(&["after"]) {
        column.after = Some(at.column()?);
        column.placed = true;
    } else if at.take_any(&["visible", "invisible"]) {
        // Who reads `*` sees it or not; its rows are the same.
    } else if at.take_any(&[
        "comment",
        "column_format",
        "storage",
        "engine_attribute",
        "secondary_engine_attribute",
        "srid",
        "ref_system_id",
    ]) {
        at.value()?;
    } else if at.take(&["compressed"]) {
        if at.is_sign("=") {
            at.value()?;
        }
    } else if at.take(&["with", "system", "versioning"])
        || at.take(&["without", "system", "versioning"])
    {
    } else {
        return Err(at.unexpected("a clause of a column"));
    }
    Ok(())
}

/// A default, with the parentheses that stand around the whole of it: MySQL takes it for another thing by them.
pub(super) fn expression(at: &mut Cursor<'_>) -> Result<String, Unread> {
    if at.is_sign("(") {
        return Ok(format!("({})", at.parentheses()?));
    }
    at.until(&ATTRIBUTES)
}

/// A name or a string, without quotes.
fn word(at: &mut Cursor<'_>) -> Result<String, Unread> {
    Ok(at.value()?.trim_matches(['\'', '"', '`']).to_owned())
}

fn of_column(kind: ConstraintKind, column: &Column) -> Result<Constraint, Unread> {
    Constraint::new(kind, vec![column.name.clone()]).map_err(|error| error.to_string())
}

/// `CONSTRAINT [IF NOT EXISTS] [name]`, where it comes next; and whether one of the name is passed over.
pub(super) fn named(at: &mut Cursor<'_>) -> Result<(Option<ColumnName>, bool), Unread> {
    if !at.take(&["constraint"]) {
        return Ok((None, false));
    }
    let passes = at.take(&["if", "not", "exists"]);
    let name = at.name_unless(&["primary", "unique", "foreign", "check"])?;
    Ok((name, passes))
}

/// `CHECK (...) [[NOT] ENFORCED]`.
pub(super) fn check(at: &mut Cursor<'_>, columns: Vec<ColumnName>) -> Result<Constraint, Unread> {
    at.expect(&["check"])?;
    let mut check =
        Constraint::new(ConstraintKind::Check, columns).map_err(|error| error.to_string())?;
    check.expression = Some(at.parentheses()?);
    if at.take(&["not", "enforced"]) {
        check.validity = Validity::NoRow;
    } else {
        at.take(&["enforced"]);
    }
    Ok(check)
}

/// `REFERENCES table (columns) [MATCH ...] [ON DELETE ...] [ON UPDATE ...]`.
pub(super) fn references(
    at: &mut Cursor<'_>,
    columns: Vec<ColumnName>,
) -> Result<Constraint, Unread> {
    at.expect(&["references"])?;
    let mut key =
        Constraint::new(ConstraintKind::ForeignKey, columns).map_err(|error| error.to_string())?;
    key.references = Some(at.table()?);
    if at.is_sign("(") {
        key.referenced = at.names()?;
    }
    loop {
        if at.take(&["match"]) {
            at.skip();
        } else if at.take(&["on", "delete"]) {
            key.on_delete = referential(at)?;
        } else if at.take(&["on", "update"]) {
            key.on_update = referential(at)?;
        } else {
            return Ok(key);
        }
    }
}

/// Behind `ON DELETE` and `ON UPDATE`.
fn referential(at: &mut Cursor<'_>) -> Result<Referential, Unread> {
    Ok(match () {
        () if at.take(&["set", "null"]) => Referential::SetNull,
        () if at.take(&["set", "default"]) => Referential::SetDefault,
        () if at.take(&["cascade"]) => Referential::Cascade,
        () if at.take(&["restrict"]) || at.take(&["no", "action"]) => Referential::Refuse,
        () => return Err(at.unexpected("what ON DELETE or ON UPDATE does")),
    })
}
