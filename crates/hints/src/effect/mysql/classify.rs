//! From an operation on MySQL or MariaDB to its forms: by its text, and by what the catalogue says of the table.

use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Filled, Index, IndexKind, IndexPart, Operation,
    PartitionChange, SqlType, TableChange, Validity,
};
use dbop_model::table::{
    ColumnName, ConstraintFacts, Generated, IndexFacts, NamedKind, TableFacts, TableKind,
};
use dbop_model::{Engine, Fact, Why};

use super::Form;
use super::change::convert_charset;
use super::columns::{add_column, alter_column, drop_column, is_over, refused_check};
use super::known;
use super::types::{Implicit, Type};
use super::ways::Shape;
use crate::case::Case;
use crate::effect::{Class, ON_NEW_TABLE};
use crate::passes::is_passed_over;
use crate::steps::Standing;

/// What MySQL writes into rows that are there for a NOT NULL column of this type without a default.
pub(crate) fn implicit_value(sql_type: &SqlType) -> Implicit {
    Type::read(sql_type.name()).map_or(Implicit::Value, |of| of.implicit_value())
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
    let is_innodb = storage.engine.eq_ignore_ascii_case("innodb");
    if !(is_innodb
        || COPIED
            .iter()
            .any(|one| storage.engine.eq_ignore_ascii_case(one)))
    {
        return Err(Why::new(format!(
            "the table is of the storage engine {}, which was never measured",
            storage.engine
        )));
    }
    let mariadb = case.server.engine == Engine::MariaDb;
    let cascades = match &facts.constraints {
        Fact::Known(constraints) => constraints
            .iter()
            .any(|constraint| constraint.cascades && !constraint.incoming),
        // Only MariaDB 11.2 and later copy while writes go on.
        Fact::Unknown(why) if mariadb => return Err(why.clone()),
        Fact::Unknown(_) => false,
    };
    let virtual_indexed = match &facts.indexes {
        Fact::Known(indexes) => facts.columns.iter().any(|(name, column)| {
            column.generated == Some(Generated::Virtual)
                && indexes.iter().any(|index| is_over(index, name))
        }),
        Fact::Unknown(why) if mariadb => return Err(why.clone()),
        Fact::Unknown(_) => false,
    };
    let row_format = storage.row_format.as_deref().unwrap_or_default();
    Ok(Shape {
        copied: !is_innodb,
        fulltext: storage.fulltext,
        compressed: row_format.eq_ignore_ascii_case("compressed"),
        redundant: row_format.eq_ignore_ascii_case("redundant"),
        partitioned: storage.partitions > 0,
        stored: facts
            .columns
            .values()
            .any(|column| column.generated == Some(Generated::Stored)),
        virtual_indexed,
        versions_full: match (mariadb, storage.row_versions) {
            (true, _) => Some(false),
            (false, versions) => versions.map(|versions| versions >= row_versions_max),
        },
        cascades,
    })
}

/// Storage engines that have no way but to copy.
const COPIED: [&str; 2] = ["MyISAM", "Aria"];

/// The forms of an operation.
pub(super) fn classify(case: &Case<'_>) -> Class<Form> {
    if is_passed_over(case) {
        return Class::one(
            Form::Metadata,
            "it is done already, and the statement says that nothing happens then",
        );
    }
    if let Operation::ChangeTable {
        table,
        change: TableChange::DropNamedTrigger { .. },
    } = case.step.operation
    {
        return match case.named(NamedKind::Trigger, table) {
            Some(_) => Class::one(Form::Metadata, "a trigger only changes the catalogue"),
            None => Class::Undecided(Why::new("the trigger was not looked up"), None),
        };
    }
    let facts = match (&case.standing, case.step.operation) {
        (Standing::New, _) | (_, Operation::CreateTable { .. } | Operation::CreateView { .. }) => {
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
    let of_views = matches!(
        case.step.operation,
        Operation::DropView { .. }
            | Operation::RenameTable { .. }
            | Operation::ChangeTable {
                change: TableChange::AlterView,
                ..
            }
    );
    if matches!(facts.kind, TableKind::View | TableKind::Other) && !of_views {
        return Class::Undecided(Why::new(format!("{} is a view", case.table())), None);
    }
    match case.step.operation {
        Operation::AddColumn { columns, .. } => {
            Class::together(columns.iter().map(|column| add_column(case, facts, column)))
        }
        Operation::AlterColumn { columns, .. } => Class::together(
            columns
                .iter()
                .map(|column| alter_column(case, facts, column)),
        ),
        Operation::DropColumn { columns, .. } => Class::together(
            columns
                .iter()
                .map(|column| drop_column(case, facts, column)),
        ),
        Operation::RenameColumn { .. } => {
            Class::one(Form::RenameColumn, "a rename only changes the catalogue")
        }
        Operation::CreateIndex { index, .. } => create_index(case, facts, index),
        Operation::DropIndex {
            name: Some(name),
            dropping,
            ..
        } if dropping.if_exists && !has_index(facts, name) => {
            Class::one(Form::Default, "there is no index of its name")
        }
        Operation::DropIndex { .. } => {
            Class::one(Form::DropIndex, "an index is dropped while writes go on")
        }
        Operation::AddConstraint { constraint, .. } => add_constraint(case, facts, constraint),
        Operation::DropConstraint { constraint, .. } => drop_constraint(facts, constraint),
        Operation::RenameTable { .. } => {
            Class::one(Form::RenameTable, "a rename only changes the catalogue")
        }
        Operation::DropTable { .. } | Operation::DropView { .. } => {
            Class::one(Form::Metadata, "dropping a table reads none of its rows")
        }
        Operation::ChangeTable { change, .. } => change_table(case, facts, change),
        Operation::CreateTable { .. } | Operation::CreateView { .. } => {
            Class::one(Form::NewTable, ON_NEW_TABLE)
        }
    }
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
            if expression && case.server.engine == Engine::MariaDb =>
        {
            Class::refused(
                "MariaDB has no index over an expression",
                "add a virtual generated column, and an index over it",
            )
        }
        IndexKind::Unique if case.server.engine == Engine::MariaDb && is_hashed(facts, index) => {
            Class::one(
                Form::AddUniqueComputed,
                "for a unique index over hashes the server copies the table",
            )
        }
        IndexKind::Unique if expression => Class::one(
            Form::AddUniqueComputed,
            "for a unique index over an expression the server copies the table",
        ),
        IndexKind::Plain | IndexKind::Unique if computed => Class::one(
            Form::AddIndexComputed,
            "an index over an expression is built while writes wait",
        ),
        IndexKind::Plain | IndexKind::Unique => {
            Class::one(Form::AddIndex, "the index is built while writes go on")
        }
    }
}

fn has_index(facts: &TableFacts, name: &ColumnName) -> bool {
    let is = |index: &IndexFacts| index.name.as_str().eq_ignore_ascii_case(name.as_str());
    facts
        .indexes
        .known()
        .is_none_or(|indexes| indexes.iter().any(is))
}

/// Is a key longer than an index can hold, so that a unique one of MariaDB holds hashes?
fn is_hashed(facts: &TableFacts, index: &Index) -> bool {
    let bytes = index.parts.iter().map(|part| match part {
        IndexPart::Column(name) => {
            let column = facts.columns.get(name);
            let of = column.and_then(|column| Some((column, Type::read(&column.sql_type)?)));
            match of {
                Some((_, of)) if of.is_long() => u64::MAX,
                Some((column, of)) => of.row_bytes(column.charset.as_deref()).unwrap_or(0),
                None => 0,
            }
        }
        IndexPart::Prefix(..) | IndexPart::Expression(_) => 0,
    });
    bytes.fold(0, u64::saturating_add) > KEY_BYTES_MAX
}

/// What an index of InnoDB holds of a row.
const KEY_BYTES_MAX: u64 = 3072;

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
    if let Some(refused) = refused_check(case, facts, constraint, None) {
        return refused;
    }
    let is_there = |known: &[ConstraintFacts]| {
        known
            .iter()
            .any(|known| Some(&known.name) == constraint.name.as_ref() && !known.incoming)
    };
    if constraint.if_not_exists && facts.constraints.is_known_and(|known| is_there(known)) {
        return Class::one(Form::Default, "a constraint of its name is there already");
    }
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
        (ConstraintKind::PrimaryKey, _) if has_computed(case, facts, constraint) => Class::refused(
            "a primary key cannot be over a computed column (errors 1903, 3106)",
            "make it a unique index, or fill a plain column",
        ),
        (ConstraintKind::PrimaryKey, _) => Class::one(
            Form::AddPrimaryKey,
            "every row is written anew in the key's order, while writes go on",
        ),
        (ConstraintKind::NotNull, _) => Class::together(constraint.columns().iter().map(|name| {
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
        (ConstraintKind::ForeignKey, _) => match case.foreign_key_checks() {
            Fact::Known(true) => Class::one(
                Form::ForeignKey,
                "with foreign_key_checks on, the server copies the table",
            ),
            Fact::Known(false) => Class::one(
                Form::ForeignKeyUnchecked,
                "with foreign_key_checks off, no row is looked at",
            ),
            Fact::Unknown(why) => Class::Undecided(
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

/// Is a key over a column that is computed: a virtual one, and of MariaDB any?
fn has_computed(case: &Case<'_>, facts: &TableFacts, constraint: &Constraint) -> bool {
    let any = case.server.engine == Engine::MariaDb;
    constraint.columns().iter().any(|name| {
        let column = facts.columns.get(name);
        match column.and_then(|column| column.generated) {
            Some(Generated::Virtual) => true,
            Some(Generated::Stored) => any,
            None => false,
        }
    })
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

fn change_table(case: &Case<'_>, facts: &TableFacts, change: &TableChange) -> Class<Form> {
    match change {
        TableChange::Truncate { .. } => {
            Class::one(Form::Truncate, "its file is replaced, whatever its size")
        }
        TableChange::Rebuild => Class::one(
            Form::Rebuild,
            "every row is written anew while writes go on",
        ),
        TableChange::ConvertCharset { charset, collation } => {
            convert_charset(case, facts, charset, collation.as_deref())
        }
        TableChange::Order { .. } => Class::one(Form::Copied, "every row is copied in that order"),
        TableChange::Options => Class::one(
            Form::Options,
            "it is a hint to storage engines, which InnoDB passes over",
        ),
        TableChange::Keys { enable: true } => Class::one(
            Form::EnableKeys,
            "indexes that were put off are built, of which InnoDB has none",
        ),
        TableChange::Keys { enable: false } => Class::one(Form::Default, "no row is looked at"),
        TableChange::Versioning { add } => versioning(case, *add),
        TableChange::DefaultCharset { charset, collation } => {
            match known::refused_letters(case, charset.as_deref(), collation.as_deref()) {
                Some(refused) => refused,
                None => Class::one(Form::Catalogue, "columns that are there keep theirs"),
            }
        }
        TableChange::Engine { engine } if known::is_substituted(case, engine) => Class::one(
            Form::Options,
            "the server lacks the storage engine, and keeps the one that the table has",
        ),
        TableChange::Engine { engine } => match known::refused_engine(case, facts, engine) {
            Some(refused) => refused,
            None => Class::one(
                Form::Copied,
                format!("every row is copied to the storage engine {engine}"),
            ),
        },
        TableChange::Catalogue
        | TableChange::Parameters
        | TableChange::RenameOwnIndex { .. }
        | TableChange::HideIndex { .. }
        | TableChange::Unenforce { .. }
        | TableChange::HideColumn { .. } => {
            Class::one(Form::Catalogue, "it only changes the catalogue")
        }
        TableChange::AlterView => Class::one(Form::Metadata, "a view has no rows of its own"),
        TableChange::Template => Class::one(Form::NewTable, "only its definition is read"),
        TableChange::Trigger
        | TableChange::CreateTrigger { .. }
        | TableChange::DropTrigger { .. }
        | TableChange::DropNamedTrigger { .. } => {
            Class::one(Form::Metadata, "a trigger only changes the catalogue")
        }
        TableChange::Partitioning(partitions) => change_partitions(partitions.change()),
        TableChange::ValidateConstraint { .. } if case.server.engine == Engine::MySql => {
            Class::one(
                Form::Check,
                "the server copies the table to check every row",
            )
        }
        TableChange::ValidateConstraint { .. }
        | TableChange::SetLogged { .. }
        | TableChange::Move
        | TableChange::Reindex { .. }
        | TableChange::AttachPartition { .. }
        | TableChange::DetachPartition { .. }
        | TableChange::CreatePartition { .. }
        | TableChange::RenameIndex { .. }
        | TableChange::RenameConstraint { .. }
        | TableChange::Filling { .. }
        | TableChange::RowSecurity => Class::refused(
            "MySQL and MariaDB have no such statement",
            "write the statement for this server",
        ),
    }
}

fn versioning(case: &Case<'_>, add: bool) -> Class<Form> {
    match case.server.engine {
        Engine::MariaDb if !add => Class::one(
            Form::DropVersioning,
            "every row is written anew without its period, and what was before it goes",
        ),
        Engine::MariaDb => Class::one(Form::Copied, "every row is copied with its period"),
        _ => Class::refused(
            "MySQL has no system versioning",
            "keep the history yourself",
        ),
    }
}

fn change_partitions(change: PartitionChange) -> Class<Form> {
    match change {
        PartitionChange::Add => {
            Class::one(Form::PartitionFiles, "a partition without rows is added")
        }
        PartitionChange::Drop => Class::one(
            Form::PartitionFiles,
            "a partition's file goes, whatever its size",
        ),
        PartitionChange::Truncate => Class::one(
            Form::PartitionTruncated,
            "a partition's file is replaced, whatever its size",
        ),
        PartitionChange::Rehash => Class::one(
            Form::PartitionHashed,
            "rows of every partition go to another one while writes wait",
        ),
        PartitionChange::Redistribute | PartitionChange::Rebuild => Class::one(
            Form::PartitionRows,
            "the rows of partitions are written anew while writes wait",
        ),
        PartitionChange::Whole => Class::one(
            Form::PartitionWhole,
            "every row is put into a partition anew",
        ),
        PartitionChange::Exchange => Class::one(
            Form::PartitionExchanged,
            "a partition and a table change places, whatever their size",
        ),
        PartitionChange::Check => Class::Undecided(
            Why::new("what becomes of the partitions' rows is not predicted"),
            Some("try it on a copy of the table"),
        ),
    }
}
