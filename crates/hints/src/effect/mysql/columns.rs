//! From an operation on the columns of a MySQL or MariaDB table to its forms.

use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Filled, IndexPart, ServerDefault, SqlType, Validity,
};
use dbop_model::table::{ColumnFacts, ColumnName, Generated, IndexFacts, TableFacts, Volatility};
use dbop_model::{Engine, Fact, Why};

use super::Form;
use super::classify::implicit_value;
use super::computed::{self, Place};
use super::types::Implicit;
use super::{change, definition};
use crate::case::Case;
use crate::effect::{Class, Part};
use crate::expression;
use crate::steps::ColumnStanding;

pub(super) fn add_column(case: &Case<'_>, facts: &TableFacts, column: &Column) -> Class<Form> {
    if let ColumnStanding::Present(..) = case.step.column(&column.name, facts) {
        return Class::one(Form::Default, "it is there already");
    }
    let table = || {
        facts
            .storage
            .known()
            .and_then(|storage| storage.charset.clone())
    };
    let charset = column.charset.clone().or_else(table);
    let nullable = column.nullable != Some(false);
    if let Some(refused) =
        definition::refused(case, facts, column, None, nullable, charset.as_deref())
    {
        return refused;
    }
    let mut parts = match adding(case, facts, column) {
        Class::Forms(parts) => parts,
        other => return other,
    };
    for constraint in &column.constraints {
        if let Some(refused) = refused_check(case, facts, constraint, Some(&column.name)) {
            return refused;
        }
        parts.push(match constraint.kind() {
            ConstraintKind::Unique => Part::new(
                Form::AddColumnUnique,
                "with its unique index, every row is written anew while writes go on",
            ),
            ConstraintKind::PrimaryKey => {
                Part::new(Form::AddPrimaryKey, "rows are ordered by the new key")
            }
            ConstraintKind::Check if constraint.validity == Validity::AllRows => Part::new(
                Form::AddColumnCheck,
                "with its CHECK, the server copies the table",
            ),
            ConstraintKind::ForeignKey => Part::new(
                Form::AddColumnReferences,
                "with its foreign key, the server copies the table",
            ),
            ConstraintKind::Check | ConstraintKind::NotNull | ConstraintKind::Exclude => continue,
        });
    }
    Class::Forms(parts)
}

/// A CHECK that the server takes over no row.
pub(super) fn refused_check(
    case: &Case<'_>,
    facts: &TableFacts,
    constraint: &Constraint,
    of: Option<&ColumnName>,
) -> Option<Class<Form>> {
    let text = constraint
        .expression
        .as_deref()
        .filter(|_| constraint.kind() == ConstraintKind::Check)?;
    computed::refused(case, facts, Place::Check { of }, text)
}

fn adding(case: &Case<'_>, facts: &TableFacts, column: &Column) -> Class<Form> {
    match column.sql_type.as_ref().map(SqlType::filled) {
        Some(Filled::AutoIncrement | Filled::Serial) => Class::one(
            Form::AddColumnNumbered,
            "AUTO_INCREMENT gives every row a number",
        ),
        Some(Filled::Identity) => Class::refused(
            format!("{} has no IDENTITY", case.server.engine),
            "write AUTO_INCREMENT",
        ),
        Some(Filled::Stored) => Class::one(
            Form::AddColumnStored,
            "a stored generated column is computed for every row",
        ),
        Some(Filled::Virtual | Filled::StoredOrVirtual) => Class::one(
            Form::AddColumnVirtual,
            "a virtual generated column stores nothing",
        ),
        Some(Filled::No) | None => by_default(case, facts, column),
    }
}

fn by_default(case: &Case<'_>, facts: &TableFacts, column: &Column) -> Class<Form> {
    let form = if column.placed && has_virtual(facts) {
        Form::AddColumnAmongVirtual
    } else {
        Form::AddColumn
    };
    let instant = |why: &str| Class::one(form, why);
    let text = match &column.default {
        ServerDefault::NotSaid | ServerDefault::Absent if gets_zero_date(case, column) => {
            return Class::one(
                Form::AddColumnZeroDate,
                "every row is written anew with the zero date, while writes go on",
            );
        }
        ServerDefault::NotSaid | ServerDefault::Absent => {
            return instant("without a default, nothing is written");
        }
        ServerDefault::Present => {
            return Class::Undecided(
                Why::new("the operation does not say which server default the column has"),
                Some("write the default's SQL expression in the operation, as default"),
            );
        }
        ServerDefault::Expression(text) => text.trim(),
    };
    let same = "its default is the same for every row";
    let Some(read) = expression::read(text) else {
        return Class::Undecided(
            Why::new("the default's SQL expression is not understood"),
            Some("write the default as a constant or as plain function calls"),
        );
    };
    if case.server.engine == Engine::MySql {
        // MySQL tells them apart by the parentheses (manual, section 13.6), without which only these are taken.
        let clocks = ["now", "current_timestamp", "localtime", "localtimestamp"];
        let is_constant = read.names.is_empty()
            && read
                .functions
                .iter()
                .all(|function| clocks.contains(&function.as_str()));
        if is_constant && !text.starts_with('(') {
            return instant(same);
        }
        if let Some(function) = read.functions.iter().find(|name| differs_by_server(name))
            && case.settings().is_known_and(|settings| settings.row_log)
        {
            return Class::refused(
                format!(
                    "its default calls {function}(), which gives a replica other values (error 1674)"
                ),
                "add the column without a default, fill it in batches, then set the default",
            );
        }
        let why = "a default in parentheses is computed for every row";
        return Class::one(Form::AddColumnConstant, why);
    }
    if !read.names.is_empty() {
        let why = "its default is computed from other columns of the row";
        return Class::one(Form::AddColumnComputed, why);
    }
    for function in &read.functions {
        match facts.volatility_of(function) {
            Fact::Known(Volatility::Volatile) => {
                let why =
                    format!("its default calls {function}(), which gives every row its own value");
                return Class::one(Form::AddColumnComputed, why);
            }
            Fact::Known(Volatility::Immutable | Volatility::Stable) => {}
            Fact::Unknown(why) => {
                let why = Why::new(format!("its default calls {function}(): {why}"));
                return Class::Undecided(why, None);
            }
        }
    }
    Class::one(Form::AddColumnConstant, same)
}

/// Does MySQL make a date for the rows that are there?
fn gets_zero_date(case: &Case<'_>, column: &Column) -> bool {
    let is_date = column
        .sql_type
        .as_ref()
        .is_some_and(|sql_type| implicit_value(sql_type) == Implicit::ZeroDate);
    case.server.engine == Engine::MySql && column.nullable == Some(false) && is_date
}

/// Functions that give another server other values, so that a statement is not safe to be replayed (MySQL 8.4 manual,
/// section 19.2.1.3).
fn differs_by_server(function: &str) -> bool {
    const DIFFER: [&str; 9] = [
        "current_user",
        "rand",
        "random_bytes",
        "session_user",
        "sysdate",
        "system_user",
        "user",
        "uuid",
        "uuid_short",
    ];
    DIFFER.contains(&function.to_ascii_lowercase().as_str())
}

pub(super) fn alter_column(case: &Case<'_>, facts: &TableFacts, column: &Column) -> Class<Form> {
    let (name, old) = match case.step.column(&column.name, facts) {
        ColumnStanding::Present(name, old) => (name, old),
        // What a column is, the migration says that adds it, and its default is nothing but the catalogue's.
        ColumnStanding::Added(_) if changes_default_alone(column) => {
            return Class::one(Form::Default, DEFAULT_ALONE);
        }
        ColumnStanding::Added(_) | ColumnStanding::Missing => {
            let why = format!("what {} is before is not in the catalogue", column.name);
            return Class::Undecided(Why::new(why), None);
        }
    };
    let nullable = column.nullable.unwrap_or(column.redefined || old.nullable);
    let charset = column.charset.as_deref().or(old.charset.as_deref());
    let old_type = Some(old.sql_type.as_str());
    if let Some(refused) = definition::refused(case, facts, column, old_type, nullable, charset) {
        return refused;
    }
    let indexes = match facts.indexes.as_result() {
        Ok(indexes) => indexes,
        Err(why) => return Class::Undecided(why.clone(), None),
    };
    let in_key = indexes
        .iter()
        .any(|index| index.primary && is_over(index, &name));
    if in_key
        && column.redefined
        && column.nullable == Some(true)
        && case.server.engine == Engine::MySql
    {
        return Class::refused(
            format!("{name} is in the primary key, and cannot hold NULL (error 1171)"),
            "leave NULL out",
        );
    }
    let mut parts: Vec<Part<Form>> = match nullability(case, column, &name, &old, indexes) {
        Ok(part) => part.into_iter().collect(),
        Err(why) => return Class::Undecided(why, None),
    };
    match numbering(facts, column, &name) {
        Ok(part) => parts.extend(part),
        Err(why) => return Class::Undecided(why, None),
    }
    if column.placed {
        let why = "a column in another place is stored in another place";
        parts.push(Part::new(Form::Reorder, why));
    }
    if column.sql_type.is_some() || column.charset.is_some() || column.collation.is_some() {
        let indexed = indexes.iter().any(|index| is_over(index, &name));
        match change::change_type(case, facts, column, &old, indexed) {
            Class::Forms(more) => parts.extend(more),
            other => return other,
        }
    }
    if let Some(refused) = column
        .constraints
        .iter()
        .find_map(|constraint| refused_check(case, facts, constraint, Some(&column.name)))
    {
        return refused;
    }
    let checked = column.constraints.iter().any(|constraint| {
        constraint.kind() == ConstraintKind::Check && constraint.validity == Validity::AllRows
    });
    // MariaDB holds a column's own CHECK against no row of today.
    if checked && case.server.engine == Engine::MySql {
        let why = "with its CHECK, the server copies the table";
        parts.push(Part::new(Form::Check, why));
    }
    if parts.is_empty() {
        parts.push(Part::new(Form::Default, DEFAULT_ALONE));
    }
    Class::Forms(parts)
}

const DEFAULT_ALONE: &str = "a default only changes the catalogue";

/// `ALTER COLUMN ... SET DEFAULT`, `DROP DEFAULT`.
fn changes_default_alone(column: &Column) -> bool {
    column.sql_type.is_none()
        && column.charset.is_none()
        && column.collation.is_none()
        && column.nullable.is_none()
        && !column.placed
        && !column.redefined
}

/// AUTO_INCREMENT, where it comes or goes.
fn numbering(
    facts: &TableFacts,
    column: &Column,
    name: &ColumnName,
) -> Result<Option<Part<Form>>, Why> {
    if !column.redefined {
        return Ok(None);
    }
    let counts_on = match facts.storage.as_result() {
        Ok(storage) => storage.auto_increment.as_ref() == Some(name),
        Err(why) => return Err(why.clone()),
    };
    let filled = column.sql_type.as_ref().map(SqlType::filled);
    let counts_then = matches!(filled, Some(Filled::AutoIncrement | Filled::Serial));
    Ok(match (counts_on, counts_then) {
        (true, false) => Some(Part::new(
            Form::DropNumbering,
            "it is defined anew without AUTO_INCREMENT",
        )),
        (false, true) => Some(Part::new(
            Form::AddNumbering,
            "AUTO_INCREMENT gives rows without a number one",
        )),
        _ => None,
    })
}

fn nullability(
    case: &Case<'_>,
    column: &Column,
    name: &ColumnName,
    old: &ColumnFacts,
    indexes: &[IndexFacts],
) -> Result<Option<Part<Form>>, Why> {
    let in_key = indexes
        .iter()
        .any(|index| index.primary && is_over(index, name));
    let nullable = match column.nullable {
        // Said of a primary key's column, NULL is passed over.
        Some(nullable) => nullable && !(column.redefined && in_key),
        // What is defined anew may hold NULL unless it says otherwise; a primary key's columns never may.
        None if column.redefined && !in_key => true,
        None => old.nullable,
    };
    Ok(match (old.nullable, nullable) {
        (true, false) => {
            let strict = match (case.server.engine, case.strict()) {
                (Engine::MariaDb, _) => true,
                (_, Fact::Known(strict)) => strict,
                (_, Fact::Unknown(why)) => return Err(why),
            };
            Some(if strict {
                Part::new(Form::NotNull, "every row is written anew without NULL")
            } else {
                let why = "sql_mode is not strict, so the server copies the table";
                Part::new(Form::NotNullLoose, why)
            })
        }
        (false, true) => Some(Part::new(
            Form::Nullable,
            "every row is written anew with room for NULL",
        )),
        _ => None,
    })
}

pub(super) fn drop_column(case: &Case<'_>, facts: &TableFacts, column: &ColumnName) -> Class<Form> {
    let (name, old) = match case.step.column(column, facts) {
        ColumnStanding::Present(name, old) => (name, old),
        ColumnStanding::Added(_) | ColumnStanding::Missing => {
            return Class::one(Form::DropColumn, "it is not there");
        }
    };
    if old.generated == Some(Generated::Virtual) {
        let why = "a virtual generated column stores nothing";
        return Class::one(Form::DropColumnVirtual, why);
    }
    let indexes = match facts.indexes.as_result() {
        Ok(indexes) => indexes,
        Err(why) => return Class::Undecided(why.clone(), None),
    };
    let over: Vec<&IndexFacts> = indexes
        .iter()
        .filter(|index| is_over(index, &name))
        .collect();
    if over.iter().any(|index| index.primary) {
        return Class::one(Form::DropPrimaryKey, "rows are ordered by another key");
    }
    match over.first() {
        None if has_virtual(facts) => Class::one(
            Form::DropColumnAmongVirtual,
            "a column before a virtual generated one is dropped",
        ),
        None => Class::one(
            Form::DropColumn,
            "dropping a column only changes the catalogue",
        ),
        Some(_) if over.iter().all(|index| index.key.parts.len() == 1) => {
            let why = "the index over it is dropped with it";
            Class::one(Form::DropColumnOwnIndex, why)
        }
        Some(index) => {
            let why = format!("the index {} is built anew without it", index.name);
            Class::one(Form::DropColumnIndexed, why)
        }
    }
}

fn has_virtual(facts: &TableFacts) -> bool {
    facts
        .columns
        .values()
        .any(|column| column.generated == Some(Generated::Virtual))
}

pub(super) fn is_over(index: &IndexFacts, column: &ColumnName) -> bool {
    index.key.parts.iter().any(|part| match part {
        IndexPart::Column(name) | IndexPart::Prefix(name, _) => name == column,
        IndexPart::Expression(text) => text.contains(column.as_str()),
    })
}
