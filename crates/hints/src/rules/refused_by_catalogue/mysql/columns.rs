//! Places among columns, and a table without any.

use dbop_model::operation::{Column, IndexKind, IndexPart, Operation, TableChange};
use dbop_model::table::{ColumnName, TableFacts};

use super::super::{Refusal, one, seen};
use crate::case::Case;
use crate::steps::ColumnStanding;

/// `AFTER` a column that is not there. It names columns as they are called when the statement is done.
pub(in super::super) fn place_is_missing(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    let (Operation::AddColumn { columns, .. } | Operation::AlterColumn { columns, .. }) =
        case.step.operation
    else {
        return Vec::new();
    };
    let lost = |column: &Column| {
        let after = column.after.as_ref()?;
        is_lost(case, facts, column, after).then(|| {
            seen(
                case,
                format!("{} columns, none of them {after}", facts.columns.len()),
                format!(
                    "{} cannot stand behind {after}, which is not there",
                    column.name
                ),
                vec!["name another column, or leave AFTER out".to_owned()],
            )
        })
    };
    columns.iter().filter_map(lost).collect()
}

fn is_lost(case: &Case<'_>, facts: &TableFacts, column: &Column, after: &ColumnName) -> bool {
    // Of several that are added, one stands behind those before it; a rename counts wherever it stands.
    let renamed = case
        .step
        .statement
        .operations
        .iter()
        .any(|one| matches!(one, Operation::RenameColumn { to, .. } if to == after));
    let standing = case.step.column(after, facts);
    let there = !matches!(standing, ColumnStanding::Missing);
    let added = matches!(standing, ColumnStanding::Added(_));
    *after == column.name || !(renamed || there) || case.frees(after) && !added && !renamed
}

/// `ORDER BY` a column that is not there; InnoDB keeps the order of its key, and looks at none.
pub(in super::super) fn order_is_missing(case: &Case<'_>) -> Vec<Refusal> {
    let (
        Some(facts),
        Operation::ChangeTable {
            change: TableChange::Order { columns },
            ..
        },
    ) = (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    let never_null = |part: &IndexPart| match part {
        IndexPart::Column(name) => facts.columns.get(name).is_some_and(|of| !of.nullable),
        IndexPart::Prefix(..) | IndexPart::Expression(_) => false,
    };
    let keyed = facts.indexes.known().is_none_or(|indexes| {
        indexes
            .iter()
            .any(|index| index.kind == IndexKind::Unique && index.key.parts.iter().all(never_null))
    });
    if keyed {
        return Vec::new();
    }
    let missing = columns
        .iter()
        .find(|name| matches!(case.step.column(name, facts), ColumnStanding::Missing));
    one(missing.map(|name| {
        seen(
            case,
            format!("{} columns, none of them {name}", facts.columns.len()),
            format!("there is no column {name} in {}", case.table()),
            vec!["correct the column's name".to_owned()],
        )
    }))
}

/// The last columns of a table cannot be dropped.
pub(in super::super) fn every_column_goes(case: &Case<'_>) -> Vec<Refusal> {
    let (Some(facts), Operation::DropColumn { .. }) = (case.present(), case.step.operation) else {
        return Vec::new();
    };
    let operations = &case.step.statement.operations;
    let drops = |one: &Operation| matches!(one, Operation::DropColumn { .. });
    // It is said once, of the last of them.
    let is_last = operations
        .iter()
        .rev()
        .find(|one| drops(one))
        .is_some_and(|one| std::ptr::eq(one, case.step.operation));
    let adds = operations
        .iter()
        .any(|one| matches!(one, Operation::AddColumn { .. }));
    let goes = |name: &ColumnName| {
        case.step.is_dropped(name)
            || operations.iter().any(|one| match one {
                Operation::DropColumn { columns, .. } => columns.iter().any(|column| {
                    matches!(case.step.column_before(column, facts),
                        ColumnStanding::Present(today, _) if today == *name)
                }),
                _ => false,
            })
    };
    let refused = is_last && !adds && !case.step.has_added() && facts.columns.keys().all(goes);
    one(refused.then(|| {
        seen(
            case,
            format!("{} columns", facts.columns.len()),
            format!("{} would have no column left", case.table()),
            vec!["drop the table".to_owned()],
        )
    }))
}
