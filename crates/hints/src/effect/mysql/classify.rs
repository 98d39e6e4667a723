//! From an operation on MySQL or MariaDB to its forms: by its text, and by what the catalogue says of the table.

use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Filled, Index, IndexKind, IndexPart, Operation,
    ServerDefault, SqlType, TableChange, Validity,
};
use dbop_model::table::{
    ColumnFacts, ColumnName, Generated, IndexFacts, Storage, TableFacts, TableKind, Volatility,
};
use dbop_model::{Engine, Fact, Why};

use super::types::{self, Change, Type};
use super::{Form, Shape};
use crate::case::Case;
use crate::effect::{Class, ON_NEW_TABLE, Part};
use crate::expression;
use crate::steps::{ColumnStanding, Standing};

/// Does a strict MySQL refuse to add a NOT NULL column of this type without a default to rows that are there?
pub(crate) fn without_implicit_value(sql_type: &SqlType) -> bool {
    Type::read(sql_type.name()).is_some_and(|of| of.has_no_implicit_value())
}

/// Does the operation ask for a way that lets writes go on, without an `ALGORITHM` of its own?
pub(super) fn asks_online(case: &Case<'_>) -> bool {
    match case.step.operation {
        Operation::CreateIndex { index, .. } => index.online,
        Operation::DropIndex { online, .. } => *online,
        _ => false,
    }
}

/// What of the table decides besides the form.
///
/// # Errors
/// The reason where that is not known.
pub(super) fn shape(case: &Case<'_>, row_versions_max: u32) -> Result<Shape, Why> {
    let Some(facts) = case.present() else {
        return Err(Why::new(format!("there is no table {}", case.table())));
    };
    let storage = facts.storage.as_result().map_err(Clone::clone)?;
    if !storage.engine.eq_ignore_ascii_case("innodb") {
        return Err(Why::new(format!(
            "the table is of the storage engine {}, and only InnoDB was measured",
            storage.engine
        )));
    }
    let cascades = match (&facts.constraints, case.server.engine) {
        (Fact::Known(constraints), _) => constraints
            .iter()
            .any(|constraint| constraint.cascades && !constraint.incoming),
        // Only MariaDB 11.2 and later copy while writes go on.
        (Fact::Unknown(why), Engine::MariaDb) => return Err(why.clone()),
        (Fact::Unknown(_), _) => false,
    };
    let compressed = storage
        .row_format
        .as_deref()
        .is_some_and(|format| format.eq_ignore_ascii_case("compressed"));
    Ok(Shape {
        fulltext: storage.fulltext,
        compressed,
        versions_full: storage
            .row_versions
            .is_some_and(|versions| versions >= row_versions_max),
        cascades,
    })
}

/// The forms of an operation.
pub(super) fn classify(case: &Case<'_>) -> Class<Form> {
    let facts = match (&case.standing, case.step.operation) {
        (Standing::New, _) | (_, Operation::CreateTable { .. }) => {
            return Class::one(Form::NewTable, ON_NEW_TABLE);
        }
        (Standing::Missing, _) => {
            return Class::Undecided(
                Why::new(format!("there is no table {}", case.table())),
                None,
            );
        }
        (Standing::Unknown(why), _) => return Class::Undecided(why.clone(), None),
        (Standing::Present(facts), _) => facts,
    };
    if facts.kind == TableKind::Other {
        return Class::Undecided(Why::new(format!("{} is a view", case.table())), None);
    }
    match case.step.operation {
        Operation::AddColumn { columns, .. } => {
            together(columns.iter().map(|column| add_column(case, facts, column)))
        }
        Operation::AlterColumn { columns, .. } => together(
            columns
                .iter()
                .map(|column| alter_column(case, facts, column)),
        ),
        Operation::DropColumn { columns, .. } => together(
            columns
                .iter()
                .map(|column| drop_column(case, facts, column)),
        ),
        Operation::RenameColumn { .. } => {
            Class::one(Form::RenameColumn, "a rename only changes the catalogue")
        }
        Operation::CreateIndex { index, .. } => create_index(case, facts, index),
        Operation::DropIndex { .. } => {
            Class::one(Form::DropIndex, "an index is dropped while writes go on")
        }
        Operation::AddConstraint { constraint, .. } => add_constraint(case, facts, constraint),
        Operation::DropConstraint { constraint, .. } => drop_constraint(facts, constraint),
        Operation::RenameTable { .. } => {
            Class::one(Form::Metadata, "a rename only changes the catalogue")
        }
        Operation::DropTable { .. } => {
            Class::one(Form::Metadata, "dropping a table reads none of its rows")
        }
        Operation::ChangeTable { change, .. } => change_table(change),
        Operation::CreateTable { .. } => Class::one(Form::NewTable, ON_NEW_TABLE),
    }
}

/// Several classes as one: the first that is refused or undecided, else all forms.
fn together(classes: impl Iterator<Item = Class<Form>>) -> Class<Form> {
    let (mut parts, mut undecided) = (Vec::new(), None);
    for class in classes {
        match class {
            Class::Refused(refusal) => return Class::Refused(refusal),
            Class::Undecided(why, say) => undecided = undecided.or(Some((why, say))),
            Class::Forms(more) => parts.extend(more),
        }
    }
    match undecided {
        Some((why, say)) => Class::Undecided(why, say),
        None => Class::Forms(parts),
    }
}

fn add_column(case: &Case<'_>, facts: &TableFacts, column: &Column) -> Class<Form> {
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

fn alter_column(case: &Case<'_>, facts: &TableFacts, column: &Column) -> Class<Form> {
    let (name, old) = match case.step.column(&column.name, facts) {
        ColumnStanding::Present(name, old) => (name, old),
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
        parts.push(Part::new(
            Form::Default,
            "a default only changes the catalogue",
        ));
    }
    Class::Forms(parts)
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

fn drop_column(case: &Case<'_>, facts: &TableFacts, column: &ColumnName) -> Class<Form> {
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

fn create_index(case: &Case<'_>, facts: &TableFacts, index: &Index) -> Class<Form> {
    if index.if_not_exists && index.name.is_some() {
        match facts.indexes.as_result() {
            Ok(indexes) if indexes.iter().any(|i| Some(&i.name) == index.name.as_ref()) => {
                return Class::one(Form::Default, "an index of its name is there already");
            }
            Ok(_) => {}
            Err(why) => return Class::Undecided(why.clone(), None),
        }
    }
    let expression = index
        .parts
        .iter()
        .any(|part| matches!(part, IndexPart::Expression(_)));
    // An index over a virtual column of the same statement is one over an expression, too.
    let computed = expression || index.columns().any(|column| is_new_virtual(case, column));
    match index.kind {
        IndexKind::Fulltext => {
            let has_one = match facts.storage.as_result() {
                Ok(storage) => storage.fulltext,
                Err(why) => return Class::Undecided(why.clone(), None),
            };
            let made = case.step.created_indexes().iter();
            if has_one || made.clone().any(|made| made.kind == IndexKind::Fulltext) {
                let why = "a FULLTEXT index is built while writes wait";
                Class::one(Form::AddFulltext, why)
            } else {
                let why = "the first FULLTEXT index adds a hidden column, so every row is written \
                           anew while writes wait";
                Class::one(Form::AddFulltextFirst, why)
            }
        }
        IndexKind::Spatial => Class::one(
            Form::AddSpatial,
            "a SPATIAL index is built while writes wait",
        ),
        IndexKind::Plain | IndexKind::Unique
            if computed && case.server.engine == Engine::MariaDb =>
        {
            Class::refused(
                "MariaDB has no index over an expression",
                "add a virtual generated column, and an index over it",
            )
        }
        IndexKind::Plain | IndexKind::Unique if computed => Class::one(
            Form::AddIndexComputed,
            "an index over an expression is built while writes wait",
        ),
        IndexKind::Plain | IndexKind::Unique => {
            Class::one(Form::AddIndex, "the index is built while writes go on")
        }
    }
}

fn is_new_virtual(case: &Case<'_>, name: &ColumnName) -> bool {
    let operations = case.step.statement.operations.iter();
    operations
        .filter_map(|operation| match operation {
            Operation::AddColumn { columns, .. } => Some(columns),
            _ => None,
        })
        .flatten()
        .any(|column| {
            let filled = column.sql_type.as_ref().map(SqlType::filled);
            column.name == *name
                && matches!(filled, Some(Filled::Virtual | Filled::StoredOrVirtual))
        })
}

fn add_constraint(case: &Case<'_>, facts: &TableFacts, constraint: &Constraint) -> Class<Form> {
    match (constraint.kind(), constraint.validity) {
        (_, Validity::NewRows) => Class::refused(
            format!("{} has no NOT VALID", case.server.engine),
            "leave NOT VALID out",
        ),
        (kind, Validity::NoRow) if kind != ConstraintKind::Check => Class::refused(
            format!("only a CHECK can be NOT ENFORCED on {}", case.server.engine),
            "leave NOT ENFORCED out",
        ),
        (ConstraintKind::Unique, _) => Class::one(
            Form::AddIndex,
            "its unique index is built while writes go on",
        ),
        (ConstraintKind::PrimaryKey, _) => Class::one(
            Form::AddPrimaryKey,
            "every row is written anew in the key's order, while writes go on",
        ),
        (ConstraintKind::NotNull, _) => together(constraint.columns().iter().map(|name| {
            let column = Column::new(name.clone()).with_nullable(false);
            alter_column(case, facts, &column)
        })),
        (ConstraintKind::Check, Validity::NoRow) if case.server.engine == Engine::MariaDb => {
            Class::refused("MariaDB has no NOT ENFORCED", "leave NOT ENFORCED out")
        }
        (ConstraintKind::Check, Validity::NoRow) => {
            Class::one(Form::CheckUnenforced, "it is held against no row")
        }
        (ConstraintKind::Check, _) => Class::one(
            Form::Check,
            "the server copies the table to check every row",
        ),
        (ConstraintKind::ForeignKey, _) => match case.settings().as_result() {
            Ok(settings) if settings.foreign_key_checks => Class::one(
                Form::ForeignKey,
                "with foreign_key_checks on, the server copies the table",
            ),
            Ok(_) => Class::one(
                Form::ForeignKeyUnchecked,
                "with foreign_key_checks off, no row is looked at",
            ),
            Err(why) => Class::Undecided(
                Why::new(format!("whether foreign_key_checks is on: {why}")),
                None,
            ),
        },
        (ConstraintKind::Exclude, _) => Class::refused(
            format!("{} has no EXCLUDE", case.server.engine),
            "leave it to the application",
        ),
    }
}

fn drop_constraint(facts: &TableFacts, constraint: &Constraint) -> Class<Form> {
    // A name alone does not say what it is; the catalogue does.
    let by_name = facts.constraints.known().and_then(|constraints| {
        let named = constraints
            .iter()
            .find(|c| Some(&c.name) == constraint.name.as_ref() && !c.incoming);
        named.map(|c| c.kind)
    });
    match by_name.unwrap_or(constraint.kind()) {
        ConstraintKind::ForeignKey => Class::one(
            Form::DropForeignKey,
            "dropping a foreign key only changes the catalogue",
        ),
        ConstraintKind::Unique => {
            Class::one(Form::DropIndex, "its index is dropped while writes go on")
        }
        ConstraintKind::PrimaryKey => {
            Class::one(Form::DropPrimaryKey, "rows are ordered by another key")
        }
        ConstraintKind::NotNull => Class::one(
            Form::Nullable,
            "every row is written anew with room for NULL",
        ),
        ConstraintKind::Check | ConstraintKind::Exclude => Class::one(
            Form::DropCheck,
            "dropping a CHECK only changes the catalogue",
        ),
    }
}

fn change_table(change: &TableChange) -> Class<Form> {
    match change {
        TableChange::Truncate => {
            Class::one(Form::Metadata, "its file is replaced, whatever its size")
        }
        TableChange::Rebuild => Class::one(
            Form::Rebuild,
            "every row is written anew while writes go on",
        ),
        TableChange::ConvertCharset { charset } => Class::one(
            Form::Convert,
            format!("every text is converted to {charset}"),
        ),
        TableChange::Catalogue | TableChange::Parameters => {
            Class::one(Form::Catalogue, "it only changes the catalogue")
        }
        TableChange::Trigger => Class::one(Form::Metadata, "a trigger only changes the catalogue"),
        TableChange::Partitioning => Class::Undecided(
            Why::new("what becomes of the partitions' rows is not predicted"),
            Some("try it on a copy of the table"),
        ),
        TableChange::ValidateConstraint { .. }
        | TableChange::SetLogged
        | TableChange::Move
        | TableChange::Reindex { .. }
        | TableChange::AttachPartition { .. }
        | TableChange::DetachPartition { .. }
        | TableChange::RowSecurity => Class::refused(
            "MySQL and MariaDB have no such statement",
            "write the statement for this server",
        ),
    }
}
