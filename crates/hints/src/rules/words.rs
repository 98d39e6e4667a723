//! Which operations a family of rules is about, and how a claim names each: "adding users.code".

use dbop_model::operation::{
    Column, ConstraintKind, Operation, ServerDefault, TableChange, Validity,
};

/// Adding columns.
pub(crate) fn adding(operation: &Operation) -> Option<String> {
    match operation {
        Operation::AddColumn { table, columns } => Some(match columns.as_slice() {
            [one] => format!("adding {table}.{}", one.name),
            several => format!("adding {table}.({})", names(several)),
        }),
        _ => None,
    }
}

/// Creating and building indexes.
pub(crate) fn indexing(operation: &Operation) -> Option<String> {
    match operation {
        Operation::CreateIndex { table, index } => {
            let parts: Vec<String> = index.parts.iter().map(ToString::to_string).collect();
            Some(format!("index on {table}({})", parts.join(", ")))
        }
        Operation::ChangeTable {
            table,
            change: TableChange::Reindex { .. },
        } => Some(format!("reindexing {table}")),
        _ => None,
    }
}

/// Adding, validating and dropping constraints, attaching partitions, whose bounds are constraints. `SET NOT NULL`
/// alone is `not-null-over-nulls`.
pub(crate) fn constraining(operation: &Operation) -> Option<String> {
    match operation {
        Operation::AddConstraint { table, constraint }
            if constraint.kind() != ConstraintKind::NotNull
                || constraint.validity != Validity::AllRows =>
        {
            let kind = match constraint.kind() {
                ConstraintKind::Unique => "unique constraint",
                ConstraintKind::PrimaryKey => "primary key",
                ConstraintKind::NotNull => "NOT NULL",
                ConstraintKind::Check => "CHECK",
                ConstraintKind::ForeignKey => "foreign key",
                ConstraintKind::Exclude => "exclusion",
            };
            let columns: Vec<&str> = constraint.columns().iter().map(|c| c.as_str()).collect();
            let on = if columns.is_empty() {
                format!("{kind} on {table}")
            } else {
                format!("{kind} on {table}({})", columns.join(", "))
            };
            Some(match &constraint.references {
                Some(other) => format!("{on} to {other}"),
                None => on,
            })
        }
        Operation::ChangeTable {
            table,
            change: TableChange::ValidateConstraint { name },
        } => Some(format!("validating {table}.{name}")),
        Operation::ChangeTable {
            table,
            change: TableChange::AttachPartition { partition, .. },
        } => Some(format!("attaching {partition} to {table}")),
        _ => None,
    }
}

/// Making columns NOT NULL and nothing else.
pub(crate) fn not_null(operation: &Operation) -> Option<String> {
    match operation {
        Operation::AlterColumn { table, columns } if columns.iter().all(only_not_null) => {
            Some(format!("NOT NULL on {table}.{}", names(columns)))
        }
        Operation::AddConstraint { table, constraint }
            if constraint.kind() == ConstraintKind::NotNull
                && constraint.validity == Validity::AllRows =>
        {
            let columns: Vec<&str> = constraint.columns().iter().map(|c| c.as_str()).collect();
            Some(format!("NOT NULL on {table}.{}", columns.join(", ")))
        }
        _ => None,
    }
}

fn only_not_null(column: &Column) -> bool {
    column.nullable == Some(false)
        && column.sql_type.is_none()
        && column.default == ServerDefault::NotSaid
        && column.charset.is_none()
        && column.collation.is_none()
        && !column.placed
        && !column.redefined
}

/// Changing the type, the default or the place of columns.
pub(crate) fn altering(operation: &Operation) -> Option<String> {
    match operation {
        Operation::AlterColumn { table, columns } if not_null(operation).is_none() => {
            Some(format!("changing {table}.{}", names(columns)))
        }
        _ => None,
    }
}

/// Everything else that is done to a table.
pub(crate) fn changing(operation: &Operation) -> Option<String> {
    let is_other = [adding, indexing, constraining, not_null, altering]
        .iter()
        .all(|family| family(operation).is_none());
    let creates = matches!(operation, Operation::CreateTable { .. });
    (is_other && !creates).then(|| operation.to_string())
}

fn names(columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.join(", ")
}
