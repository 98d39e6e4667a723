//! Operations of which a statement itself says that they may be done already (`IF EXISTS`, `IF NOT EXISTS`), and are:
//! nothing happens, so that nothing is judged (MySQL, MariaDB). On PostgreSQL the rules say so one by one.

use dbop_model::Engine;
use dbop_model::operation::{Constraint, Operation, PartitionVerb, Partitioning, TableChange};
use dbop_model::table::{ColumnName, TableFacts};

use crate::case::Case;
use crate::steps::{ColumnStanding, Object, Standing};

/// Does nothing happen?
pub(crate) fn is_passed_over(case: &Case<'_>) -> bool {
    let statement = case.step.statement;
    // CREATE TABLE IF NOT EXISTS of one that is there, or the statement fails for its name.
    if matches!(case.standing, Standing::Present(_)) && statement.defines(case.step.operation) {
        let relation = Object::Relation(case.step.operation.table().clone());
        return case.step.was_made(&relation) != Some(false);
    }
    if case.server.engine == Engine::PostgreSql {
        return false;
    }
    match (&case.standing, case.step.operation) {
        (
            Standing::Missing,
            Operation::DropTable { dropping, .. } | Operation::DropView { dropping, .. },
        ) => dropping.if_exists,
        (Standing::Missing, _) => statement.if_table_exists,
        (Standing::Present(facts), operation) => is_done(case, facts, operation),
        (Standing::New | Standing::Unknown(_), _) => false,
    }
}

fn is_done(case: &Case<'_>, facts: &TableFacts, operation: &Operation) -> bool {
    let missing =
        |name: &ColumnName| matches!(case.step.column(name, facts), ColumnStanding::Missing);
    match operation {
        Operation::AddColumn { columns, .. } => columns
            .iter()
            .all(|column| column.if_not_exists && !missing(&column.name)),
        Operation::AlterColumn { columns, .. } => columns
            .iter()
            .all(|column| column.if_exists && missing(&column.name)),
        Operation::RenameColumn {
            from, if_exists, ..
        } => {
            let before = case.step.column_before(from, facts);
            *if_exists && matches!(before, ColumnStanding::Missing)
        }
        Operation::DropColumn {
            columns, dropping, ..
        } => dropping.if_exists && columns.iter().all(missing),
        Operation::CreateIndex { index, .. } => {
            let named = index.name.as_ref().filter(|_| index.if_not_exists);
            named.is_some_and(|name| index_stands(case, facts, name) == Some(true))
        }
        Operation::DropIndex {
            name: Some(name),
            dropping,
            ..
        } => dropping.if_exists && index_stands(case, facts, name) == Some(false),
        Operation::AddConstraint { constraint, .. } => {
            constraint.if_not_exists && constraint_stands(case, facts, constraint) == Some(true)
        }
        Operation::DropConstraint {
            constraint,
            dropping,
            ..
        } => {
            let key = constraint.kind_said && constraint.name.is_none();
            dropping.if_exists
                && match key {
                    true => !has_primary_key(case, facts),
                    false => constraint_stands(case, facts, constraint) == Some(false),
                }
        }
        Operation::ChangeTable { change, .. } => is_changed(case, facts, change),
        _ => false,
    }
}

fn is_changed(case: &Case<'_>, facts: &TableFacts, change: &TableChange) -> bool {
    match change {
        TableChange::RenameOwnIndex {
            from: name,
            if_exists,
            ..
        }
        | TableChange::HideIndex {
            name, if_exists, ..
        } => *if_exists && index_stands(case, facts, name) == Some(false),
        TableChange::Partitioning(partitioning) => {
            partitioning.passes && partitions_are_so(facts, partitioning)
        }
        _ => false,
    }
}

fn partitions_are_so(facts: &TableFacts, partitioning: &Partitioning) -> bool {
    let Some(Some(how)) = facts.partitioned.known() else {
        return false;
    };
    let there = |name: &ColumnName| {
        let mut all = how.partitions.iter();
        all.any(|one| one.table.name().eq_ignore_ascii_case(name.as_str()))
    };
    match partitioning.verb {
        PartitionVerb::Add => partitioning.makes.iter().any(|made| there(&made.name)),
        PartitionVerb::Drop => !partitioning.of.iter().any(there),
        _ => false,
    }
}

/// Is an index of this name there before the statement? `None`: it is not known.
pub(crate) fn index_stands(case: &Case<'_>, facts: &TableFacts, name: &ColumnName) -> Option<bool> {
    let object = Object::Index(case.step.names(), name.clone());
    let of_constraint = Object::Constraint(case.step.names(), name.clone());
    let indexes = facts.indexes.known()?;
    let known = indexes.iter().find(|known| known.name == *name);
    match case.step.was_made(&object) {
        Some(made) => Some(made),
        None if known.is_some() => Some(true),
        // A foreign key brings an index of its name, where there is none for it.
        None if case.step.was_made(&of_constraint) == Some(true) => None,
        None if case.step.has_unnamed() => None,
        None => Some(false),
    }
}

/// Has the table a primary key before the statement?
pub(crate) fn has_primary_key(case: &Case<'_>, facts: &TableFacts) -> bool {
    let made = case.step.was_made(&Object::PrimaryKey(case.step.names()));
    // One that cannot be seen may be there.
    made.unwrap_or_else(|| {
        facts
            .indexes
            .known()
            .is_none_or(|indexes| indexes.iter().any(|index| index.primary))
    })
}

/// Is a constraint of this name there before the operation, of its kind where that is said? `None`: it is not known.
pub(crate) fn constraint_stands(
    case: &Case<'_>,
    facts: &TableFacts,
    constraint: &Constraint,
) -> Option<bool> {
    let name = constraint.name.as_ref()?;
    let of_kind = constraint.kind_said && case.server.engine != Engine::PostgreSql;
    let object = Object::Constraint(case.step.names(), name.clone());
    if let Some(made) = case.step.is_made(&object) {
        return Some(made);
    }
    let constraints = facts.constraints.known()?;
    let found = constraints.iter().find(|known| {
        !known.incoming && known.name == *name && (!of_kind || known.kind == constraint.kind())
    });
    Some(match found {
        Some(found) => !found.columns.iter().any(|c| case.step.is_dropped(c)),
        None if case.step.has_unnamed() => return None,
        None => false,
    })
}
