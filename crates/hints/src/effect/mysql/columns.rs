//! From an operation on the columns of a MySQL or MariaDB table to its forms.

use dbop_model::operation::{
    Column, ConstraintKind, Filled, IndexPart, ServerDefault, SqlType, Validity,
};
use dbop_model::table::{
    ColumnFacts, ColumnName, Generated, IndexFacts, Storage, TableFacts, Volatility,
};
use dbop_model::{Engine, Fact, Why};

use super::Form;
use super::types::{self, Change, Type};
use crate::case::Case;
use crate::effect::{Class, Part};
use crate::expression;
use crate::steps::ColumnStanding;

pub(super) fn add_column(case: &Case<'_>, facts: &TableFacts, column: &Column) -> Class<Form> {
    if let ColumnStanding::Present(..) = case.step.column(&column.name, facts) {
        return Class::one(Form::Default, "it is there already");
    }
    let mut parts = match adding(case, facts, column) {
        Class::Forms(parts) => parts,
        other => return other,
    };
    for constraint in &column.constraints {
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
        // MySQL tells them apart by the parentheses (manual, section 13.6).
        return if text.starts_with('(') {
            let why = "a default in parentheses is computed for every row";
            Class::one(Form::AddColumnConstant, why)
        } else {
            instant(same)
        };
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
    let indexes = match facts.indexes.as_result() {
        Ok(indexes) => indexes,
        Err(why) => return Class::Undecided(why.clone(), None),
    };
    let mut parts: Vec<Part<Form>> = match nullability(case, column, &name, &old, indexes) {
        Ok(part) => part.into_iter().collect(),
        Err(why) => return Class::Undecided(why, None),
    };
    if column.placed {
        let why = "a column in another place is stored in another place";
        parts.push(Part::new(Form::Reorder, why));
    }
    if column.sql_type.is_some() || column.charset.is_some() || column.collation.is_some() {
        let indexed = indexes.iter().any(|index| is_over(index, &name));
        match change_type(facts, column, &old, indexed) {
            Class::Forms(more) => parts.extend(more),
            other => return other,
        }
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
        Some(nullable) => nullable,
        // What is defined anew may hold NULL unless it says otherwise; a primary key's columns never may.
        None if column.redefined && !in_key => true,
        None => old.nullable,
    };
    Ok(match (old.nullable, nullable) {
        (true, false) => {
            let strict = case.settings().as_result().map(|settings| settings.strict);
            let strict = match (case.server.engine, strict) {
                (Engine::MariaDb, _) => true,
                (_, strict) => *strict.as_ref().map_err(|why| (*why).clone())?,
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

fn change_type(
    facts: &TableFacts,
    column: &Column,
    old: &ColumnFacts,
    indexed: bool,
) -> Class<Form> {
    let new_type = column
        .sql_type
        .as_ref()
        .map_or(old.sql_type.as_str(), |t| t.name());
    if column.sql_type.as_ref().is_some_and(|t| {
        matches!(
            t.filled(),
            Filled::Stored | Filled::Virtual | Filled::StoredOrVirtual
        )
    }) {
        let why = "a generated column is computed anew for every row";
        return Class::one(Form::Convert, why);
    }
    let is_text = Type::read(new_type).is_some_and(|new| new.is_text());
    let charset = match new_charset(&facts.storage, column, old, is_text) {
        Ok(charset) => charset,
        Err(why) => {
            let say = "say the column's character set in the operation";
            return Class::Undecided(why, Some(say));
        }
    };
    let words = format!("from {} to {new_type}", old.sql_type);
    let convert = |why: String| Class::one(Form::Convert, why);
    let change = types::change(
        &old.sql_type,
        new_type,
        old.charset.as_deref(),
        charset.as_deref(),
    );
    let mut parts = Vec::new();
    match change {
        Change::Unread => {
            return Class::Undecided(Why::new(format!("{words}: a type is not understood")), None);
        }
        Change::Converted => return convert(format!("{words}: every value is converted")),
        Change::Across(bytes) => {
            let why = format!("{words}: its longest value grows beyond 255 bytes");
            let form = if bytes <= 127 {
                Form::LongerShort
            } else {
                Form::Convert
            };
            parts.push(Part::new(form, why));
        }
        Change::Longer => {
            let why = format!("{words}: lengths take as many bytes as before");
            parts.push(Part::new(Form::Longer, why));
        }
        Change::Appended => {
            let why = "values appended to the list only change the catalogue";
            parts.push(Part::new(Form::EnumAppended, why));
        }
        Change::Same => {}
    }
    let from = old.charset.as_deref().map(utf8);
    let to = charset.as_deref().map(utf8);
    if is_text && from != to {
        let (from, to) = (from.unwrap_or("none"), to.unwrap_or("none"));
        if (from, to) != ("utf8mb3", "utf8mb4") {
            return convert(format!("from {from} to {to}: every value is converted"));
        }
        let why = format!("from {from} to {to}, values are stored alike");
        let form = if indexed {
            Form::CharsetIndexed
        } else {
            Form::Charset
        };
        parts.push(Part::new(form, why));
    } else if is_text && column.collation.is_some() && column.collation != old.collation {
        parts.push(if indexed {
            let why = "an index over it is sorted in another way";
            Part::new(Form::CollationIndexed, why)
        } else {
            let why = "values are stored alike, and no index is over it";
            Part::new(Form::Collation, why)
        });
    }
    Class::Forms(parts)
}

/// The character set that a column has afterwards.
fn new_charset(
    storage: &Fact<Storage>,
    column: &Column,
    old: &ColumnFacts,
    is_text: bool,
) -> Result<Option<String>, Why> {
    if !is_text {
        return Ok(old.charset.clone());
    }
    if let Some(charset) = &column.charset {
        return Ok(Some(charset.to_ascii_lowercase()));
    }
    if let Some(collation) = &column.collation {
        // A collation's name begins with its character set; MariaDB's uca1400 ones leave it out.
        let charset = collation.split('_').next().unwrap_or_default();
        if !charset.starts_with("uca1400") {
            return Ok(Some(charset.to_ascii_lowercase()));
        }
    }
    if column.sql_type.is_none() {
        return Ok(old.charset.clone());
    }
    // A definition without CHARACTER SET takes the table's own (manual, section 12.3.4).
    let storage = storage.as_result().map_err(Clone::clone)?;
    let same = old.charset.is_none()
        || storage.charset.is_none()
        || storage.charset.as_deref().map(utf8) == old.charset.as_deref().map(utf8);
    if same {
        Ok(old.charset.clone().or_else(|| storage.charset.clone()))
    } else if column.redefined {
        Ok(storage.charset.clone())
    } else {
        Err(Why::new(format!(
            "{} has another character set than its table, and the operation does not say which it \
             gets",
            column.name
        )))
    }
}

/// `utf8` has meant utf8mb3 so far.
fn utf8(charset: &str) -> &str {
    if charset == "utf8" {
        "utf8mb3"
    } else {
        charset
    }
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

fn is_over(index: &IndexFacts, column: &ColumnName) -> bool {
    index.key.parts.iter().any(|part| match part {
        IndexPart::Column(name) | IndexPart::Prefix(name, _) => name == column,
        IndexPart::Expression(text) => text.contains(column.as_str()),
    })
}
