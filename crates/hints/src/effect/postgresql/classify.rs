//! From an operation on PostgreSQL to its forms: what it is by its text, and by what the catalogue says of the table.

use std::collections::BTreeSet;

use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Filled, Filling, IndexPart, Operation, ServerDefault,
    TableChange, Validity,
};
use dbop_model::table::{ColumnName, FactRequest, Generated, IndexFacts, TableFacts, TableKind};
use dbop_model::{Fact, Why};

use super::Form;
use super::columns::{add_column, alter_column, set_not_null};
use crate::case::Case;
use crate::effect::{Class, ON_NEW_TABLE};
use crate::expression;
use crate::partition::is_default;
use crate::steps::{ColumnStanding, Standing, Step};

/// PostgreSQL 18 brought virtual generated columns, and made them the default form; constraints that are not
/// enforced; NOT NULL constraints that are not valid; and foreign keys of partitioned tables that are not valid.
pub(super) const FIRST_WITH_VIRTUAL: u32 = 18;

/// The facts that only this classifier needs.
pub(crate) fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    let columns = match step.operation {
        Operation::AddColumn { columns, .. } | Operation::AlterColumn { columns, .. } => columns,
        _ => return,
    };
    for column in columns {
        for table in step.tables() {
            let altered = matches!(step.operation, Operation::AlterColumn { .. });
            let sql_type = column.sql_type.as_ref().map(|t| t.name());
            if let Some(sql_type) = sql_type.filter(|_| altered).or(looked_up(column)) {
                let (table, sql_type) = (table.clone(), sql_type.to_owned());
                wanted.insert(FactRequest::Type { table, sql_type });
            }
            if let ServerDefault::Expression(text) = &column.default {
                let functions = expression::read(text)
                    .map(|e| e.functions)
                    .unwrap_or_default();
                wanted.extend(
                    functions
                        .into_iter()
                        .map(|function| FactRequest::Volatility {
                            table: table.clone(),
                            function,
                        }),
                );
            }
        }
    }
}

/// The type of a column, where what it is matters: it does not where the column is filled by the type.
pub(super) fn looked_up(column: &Column) -> Option<&str> {
    column
        .sql_type
        .as_ref()
        .filter(|t| t.filled() == Filled::No)
        .map(|t| t.name())
}

/// The forms of an operation.
pub(super) fn classify(case: &Case<'_>) -> Class<Form> {
    if let Operation::ChangeTable {
        change: TableChange::DropNamedTrigger { .. },
        ..
    } = case.step.operation
    {
        return Class::refused(
            "PostgreSQL drops a trigger of a table",
            "name the table: DROP TRIGGER ... ON ...",
        );
    }
    let facts = match (&case.standing, case.step.operation) {
        (Standing::New, _) | (_, Operation::CreateTable { .. } | Operation::CreateView { .. }) => {
            return Class::one(Form::NewTable, ON_NEW_TABLE);
        }
        // An index that is not there, or that this migration makes.
        (Standing::Missing, Operation::DropIndex { online, .. }) if is_looked_up(case) => {
            return drop_index(case, *online);
        }
        (
            Standing::Missing,
            Operation::ChangeTable {
                change: TableChange::RenameIndex { .. },
                ..
            },
        ) if is_looked_up(case) => {
            return Class::one(Form::Parameters, "a rename only changes the catalogue");
        }
        (Standing::Missing, operation) if passes_without(case, operation) => {
            return Class::one(
                Form::Catalogue,
                "it is not there, and IF EXISTS passes over that",
            );
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
        if matches!(case.step.operation, Operation::DropView { .. }) {
            return Class::one(
                Form::Catalogue,
                "dropping a view only changes the catalogue",
            );
        }
        let why = format!("{} is a view or a foreign table", case.table());
        return Class::Undecided(Why::new(why), None);
    }
    let catalogue = |why: &str| Class::one(Form::Catalogue, why);
    match case.step.operation {
        Operation::AddColumn { columns, .. } => {
            Class::together(columns.iter().map(|column| add_column(case, facts, column)))
        }
        Operation::AlterColumn { columns, .. } => Class::together(
            columns
                .iter()
                .map(|column| alter_column(case, facts, column)),
        ),
        Operation::CreateIndex { .. } => create_index(case, facts),
        Operation::DropIndex { online, .. } => drop_index(case, *online),
        Operation::AddConstraint { constraint, .. } => add_constraint(case, facts, constraint),
        Operation::DropConstraint { .. } => Class::one(
            Form::DropIndex,
            "dropping a constraint only changes the catalogue",
        ),
        Operation::DropColumn { .. } => catalogue("dropping a column only changes the catalogue"),
        Operation::RenameColumn { .. } | Operation::RenameTable { .. } => {
            catalogue("a rename only changes the catalogue")
        }
        Operation::DropTable { .. } | Operation::DropView { .. } => {
            catalogue("dropping a table reads none of its rows")
        }
        Operation::ChangeTable { change, .. } => change_table(case, facts, change),
        Operation::CreateTable { .. } | Operation::CreateView { .. } => {
            Class::one(Form::NewTable, ON_NEW_TABLE)
        }
    }
}

fn create_index(case: &Case<'_>, facts: &TableFacts) -> Class<Form> {
    let Operation::CreateIndex { index, table } = case.step.operation else {
        return Class::Undecided(Why::new("it is no index"), None);
    };
    if index.online && case.step.statement.transaction.is_some() {
        return Class::refused(
            "CREATE INDEX CONCURRENTLY cannot run inside a transaction",
            "have the migration run it outside of a transaction, in a file of its own",
        );
    }
    if index.online && facts.kind == TableKind::Partitioned {
        return Class::refused(
            format!("{table} is partitioned, and CONCURRENTLY is refused on a partitioned table"),
            "create it ON ONLY the parent, CONCURRENTLY on each partition, and attach each \
             (ALTER INDEX, ATTACH PARTITION)",
        );
    }
    let there = |indexes: &Vec<IndexFacts>| {
        indexes
            .iter()
            .any(|known| Some(&known.name) == index.name.as_ref())
    };
    if index.if_not_exists {
        match &facts.indexes {
            Fact::Known(indexes) if there(indexes) => {
                let why = "an index of its name is there already";
                return Class::one(Form::CreateIndexNothing, why);
            }
            Fact::Known(_) => {}
            Fact::Unknown(why) if index.name.is_some() => {
                return Class::Undecided(why.clone(), None);
            }
            Fact::Unknown(_) => {}
        }
    }
    if index.only && facts.kind == TableKind::Partitioned {
        let why = "ON ONLY the parent, it holds no row";
        return Class::one(Form::CreateIndexNothing, why);
    }
    if index.online {
        Class::one(
            Form::CreateIndexConcurrently,
            "CONCURRENTLY, it is built while reads and writes go on",
        )
    } else {
        Class::one(
            Form::CreateIndex,
            "without CONCURRENTLY, writes wait until the index is built",
        )
    }
}

fn drop_index(case: &Case<'_>, online: bool) -> Class<Form> {
    if online && case.step.statement.transaction.is_some() {
        return Class::refused(
            "DROP INDEX CONCURRENTLY cannot run inside a transaction",
            "have the migration run it outside of a transaction, in a file of its own",
        );
    }
    if online {
        Class::one(
            Form::DropIndexConcurrently,
            "CONCURRENTLY, it waits for nobody's lock",
        )
    } else {
        Class::one(
            Form::DropIndex,
            "dropping an index only changes the catalogue",
        )
    }
}

/// Was it looked up whose index it is that the operation names alone?
fn is_looked_up(case: &Case<'_>) -> bool {
    let index = case.step.index_named();
    let table = index.and_then(|index| case.table_of_index(index));
    table.is_some_and(|table| table.known().is_some())
}

/// Does a statement pass over what is not there?
fn passes_without(case: &Case<'_>, operation: &Operation) -> bool {
    match operation {
        Operation::DropTable { dropping, .. } | Operation::DropView { dropping, .. } => {
            dropping.if_exists
        }
        _ => case.step.statement.if_table_exists,
    }
}

fn add_constraint(case: &Case<'_>, facts: &TableFacts, constraint: &Constraint) -> Class<Form> {
    let partitioned = facts.kind == TableKind::Partitioned;
    let server = case.server;
    if constraint.validity == Validity::NoRow && server.major < FIRST_WITH_VIRTUAL {
        return Class::refused(
            format!("{server} has no constraints that are NOT ENFORCED"),
            "write NOT VALID",
        );
    }
    let unchecked = constraint.validity != Validity::AllRows;
    match constraint.kind() {
        ConstraintKind::NotNull if constraint.validity == Validity::NoRow => Class::refused(
            "NOT NULL cannot be NOT ENFORCED",
            "write it as a CHECK that is NOT ENFORCED",
        ),
        ConstraintKind::NotNull if unchecked && server.major < FIRST_WITH_VIRTUAL => {
            Class::refused(
                format!("{server} has no NOT NULL constraints that are NOT VALID"),
                "write it as a CHECK that is NOT VALID",
            )
        }
        ConstraintKind::NotNull if unchecked => {
            Class::one(Form::Unchecked, "NOT VALID, it holds for new rows only")
        }
        ConstraintKind::NotNull => Class::Forms(
            constraint
                .columns()
                .iter()
                .map(|name| set_not_null(case, facts, &Column::new(name.clone())))
                .collect(),
        ),
        ConstraintKind::Check if unchecked => {
            Class::one(Form::Unchecked, "it is not held against the rows of today")
        }
        ConstraintKind::Check => Class::one(Form::Check, "it is held against every row"),
        ConstraintKind::ForeignKey
            if partitioned
                && constraint.validity == Validity::NewRows
                && server.major < FIRST_WITH_VIRTUAL =>
        {
            Class::refused(
                format!("{server} refuses a foreign key that is NOT VALID on a partitioned table"),
                "add it to each partition as NOT VALID, validate each, then add it to the parent",
            )
        }
        ConstraintKind::ForeignKey if unchecked => Class::one(
            Form::ForeignKeyUnchecked,
            "it is not held against the rows of today",
        ),
        ConstraintKind::ForeignKey => Class::one(
            Form::ForeignKey,
            "every row is looked up in the other table, while writes to both wait",
        ),
        ConstraintKind::Exclude => Class::one(
            Form::IndexConstraint,
            "its index is built, and there is no way to build it while writes go on",
        ),
        ConstraintKind::Unique | ConstraintKind::PrimaryKey => {
            index_constraint(case, facts, constraint)
        }
    }
}

fn index_constraint(case: &Case<'_>, facts: &TableFacts, constraint: &Constraint) -> Class<Form> {
    if constraint.using_index.is_none() {
        return Class::one(
            Form::IndexConstraint,
            "its unique index is built under ACCESS EXCLUSIVE",
        );
    }
    if facts.kind == TableKind::Partitioned {
        return Class::refused(
            format!(
                "{} is partitioned, and USING INDEX is refused on a partitioned table",
                case.table()
            ),
            "create the unique index ON ONLY the parent and attach one built on each partition",
        );
    }
    if constraint.kind() == ConstraintKind::Unique {
        return Class::one(
            Form::IndexConstraintReady,
            "it takes an index that is there",
        );
    }
    let proven =
        |name| set_not_null(case, facts, &Column::new(name)).form == Form::SetNotNullProven;
    // The statement names the index, not its columns: those are in the catalogue or in this migration.
    let columns = index_columns(case, facts, constraint);
    match columns {
        Ok(columns) if columns.iter().cloned().all(proven) => Class::one(
            Form::IndexConstraintReady,
            "it takes an index that is there, over columns that are NOT NULL",
        ),
        Ok(_) => Class::one(
            Form::PrimaryKeyReadyNullable,
            "a column of its index may hold NULL, so every row is looked at",
        ),
        Err(why) => Class::Undecided(why, None),
    }
}

fn index_columns(
    case: &Case<'_>,
    facts: &TableFacts,
    constraint: &Constraint,
) -> Result<Vec<ColumnName>, Why> {
    let name = constraint.using_index.as_ref();
    let made = case.step.created_indexes().iter();
    if let Some(index) = made
        .rev()
        .find(|index| index.name.is_some() && index.name.as_ref() == name)
    {
        return Ok(index.columns().cloned().collect());
    }
    let indexes = facts.indexes.as_result().map_err(Clone::clone)?;
    let found = indexes.iter().find(|index| Some(&index.name) == name);
    let columns = found.map(|index| {
        index.key.parts.iter().filter_map(|part| match part {
            IndexPart::Column(name) => Some(name.clone()),
            _ => None,
        })
    });
    match columns {
        Some(columns) => Ok(columns.collect()),
        None => Ok(constraint.columns().to_vec()),
    }
}

fn change_table(case: &Case<'_>, facts: &TableFacts, change: &TableChange) -> Class<Form> {
    match change {
        TableChange::ValidateConstraint { name } => {
            let valid = facts.constraints.is_known_and(|constraints| {
                constraints.iter().any(|c| c.name == *name && c.validated)
            });
            if valid {
                Class::one(Form::Validated, "the constraint is valid already")
            } else {
                let why = "every row is looked at, while reads and writes go on";
                Class::one(Form::Validate, why)
            }
        }
        TableChange::Truncate { .. } => Class::one(
            Form::Truncate,
            "its files are replaced, whatever their size",
        ),
        TableChange::Rebuild => Class::one(Form::Rewrite, "every row is written anew"),
        TableChange::SetLogged { logged }
            if facts.storage.is_known_and(|s| s.logged == Some(*logged)) =>
        {
            Class::one(Form::Catalogue, "it is so already")
        }
        TableChange::SetLogged { .. } => Class::one(
            Form::Rewrite,
            "every row is written anew, to the log or without",
        ),
        TableChange::Move => Class::one(Form::Rewrite, "every row is copied"),
        TableChange::Reindex { online: true, .. } if case.step.statement.transaction.is_some() => {
            Class::refused(
                "REINDEX CONCURRENTLY cannot run inside a transaction",
                "have the migration run it outside of a transaction, in a file of its own",
            )
        }
        TableChange::Reindex { online: true, .. } => Class::one(
            Form::ReindexConcurrently,
            "CONCURRENTLY, indexes are built while reads and writes go on",
        ),
        TableChange::Reindex { online: false, .. } => Class::one(
            Form::Reindex,
            "its indexes are built anew, and no query can be planned meanwhile",
        ),
        TableChange::AttachPartition { bound, .. } => {
            match beside_default(case, facts, bound.as_deref()) {
                Some(class) => class,
                None => Class::one(Form::Attach, "the parent itself is not read"),
            }
        }
        TableChange::CreatePartition { bound, .. } => {
            match beside_default(case, facts, bound.as_deref()) {
                Some(class) => class,
                None => Class::one(Form::CreatePartition, "the new partition has no rows"),
            }
        }
        TableChange::DetachPartition { online: true, .. }
            if case.step.statement.transaction.is_some() =>
        {
            Class::refused(
                "DETACH PARTITION CONCURRENTLY cannot run inside a transaction",
                "have the migration run it outside of a transaction, in a file of its own",
            )
        }
        TableChange::DetachPartition { online: true, .. } => Class::one(
            Form::Parameters,
            "CONCURRENTLY, a partition is detached while reads and writes go on",
        ),
        TableChange::DetachPartition { online: false, .. } => {
            Class::one(Form::Detach, "detaching only changes the catalogue")
        }
        TableChange::Trigger => Class::one(Form::Trigger, "a trigger only changes the catalogue"),
        TableChange::Parameters => {
            Class::one(Form::Parameters, "parameters only change the catalogue")
        }
        TableChange::DropTrigger { .. } => Class::one(
            Form::Catalogue,
            "dropping a trigger only changes the catalogue",
        ),
        // The table itself is not locked (manual, ALTER INDEX).
        TableChange::RenameIndex { .. } => {
            Class::one(Form::Parameters, "a rename only changes the catalogue")
        }
        TableChange::Filling {
            column,
            change: Filling::SetExpression,
        } => set_expression(case, facts, column),
        TableChange::Filling { .. } | TableChange::RenameConstraint { .. } => {
            Class::one(Form::Catalogue, "it only changes the catalogue")
        }
        TableChange::Catalogue | TableChange::RowSecurity => {
            Class::one(Form::Catalogue, "it only changes the catalogue")
        }
        TableChange::ConvertCharset { .. }
        | TableChange::Partitioning(_)
        | TableChange::Order { .. }
        | TableChange::RenameOwnIndex { .. }
        | TableChange::HideIndex { .. }
        | TableChange::Unenforce { .. }
        | TableChange::HideColumn { .. }
        | TableChange::CreateTrigger { .. }
        | TableChange::DropNamedTrigger { .. }
        | TableChange::AlterView
        | TableChange::Template
        | TableChange::Options
        | TableChange::Keys { .. }
        | TableChange::Versioning { .. }
        | TableChange::DefaultCharset { .. }
        | TableChange::Engine { .. } => Class::refused(
            "PostgreSQL has no such statement",
            "write the statement for PostgreSQL",
        ),
    }
}

/// A new partition takes rows from the default one, which is read for those that are its (manual, ALTER TABLE, ATTACH
/// PARTITION). Where it is small, nobody waits for long.
fn beside_default(case: &Case<'_>, facts: &TableFacts, bound: Option<&str>) -> Option<Class<Form>> {
    let how = facts.partitioned.known()?.as_ref()?;
    let default = how
        .partitions
        .iter()
        .find(|known| is_default(&known.bound))?;
    let small = default
        .rows
        .is_some_and(|rows| !case.policy.is_large(Some(rows), None));
    if small || bound.is_some_and(is_default) || case.step.has_detached(&default.table) {
        return None;
    }
    Some(Class::one(
        Form::BesideDefault,
        format!(
            "the default partition {} is read for rows that are not its own any more",
            default.table
        ),
    ))
}

/// A stored column's values are all computed anew (manual, ALTER TABLE, section Notes); a virtual one has none.
fn set_expression(case: &Case<'_>, facts: &TableFacts, column: &ColumnName) -> Class<Form> {
    match case.step.column(column, facts) {
        ColumnStanding::Present(_, known) if known.generated == Some(Generated::Virtual) => {
            Class::one(Form::Catalogue, "a virtual generated column stores nothing")
        }
        _ => Class::one(
            Form::Rewrite,
            "the values of the generated column are computed anew",
        ),
    }
}
