//! Names that MySQL and MariaDB take or need beside those of tables and columns: indexes that are renamed or hidden, the
//! primary key, foreign keys, CHECKs and triggers of the whole database, and views.

use std::collections::BTreeSet;

use dbop_model::operation::{ConstraintKind, Operation, TableChange};
use dbop_model::table::{ColumnName, FactRequest, NamedKind, TableKind, TableName};

use super::super::{Refusal, one, seen};
use super::indexes::primary;
use crate::case::Case;
use crate::passes::{has_primary_key, index_stands};
use crate::steps::{NAMED, Object, Standing, Step, beside};

/// An index that is renamed to what another one is called, or that is the primary key's.
pub(in super::super) fn index_is_renamed_or_hidden(case: &Case<'_>) -> Vec<Refusal> {
    let (Some(facts), Operation::ChangeTable { change, .. }) =
        (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    let table = case.table();
    let refused = |value: String, claim: String, advice: &str| {
        vec![seen(case, value, claim, vec![advice.to_owned()])]
    };
    match change {
        TableChange::RenameOwnIndex { from, to, .. } if *from == primary() || *to == primary() => {
            refused(
                "PRIMARY".to_owned(),
                format!(
                    "{from} cannot be renamed to {to}: PRIMARY is the primary key's name alone"
                ),
                "choose another name",
            )
        }
        TableChange::RenameOwnIndex { from, to, .. } => {
            let goes = |other: &Operation| match other {
                Operation::DropIndex { name, .. } => name.as_ref() == Some(to),
                Operation::ChangeTable {
                    change: TableChange::RenameOwnIndex { from: other, .. },
                    ..
                } => other == to,
                _ => false,
            };
            let freed = case.step.statement.operations.iter().any(goes);
            if from == to || freed || index_stands(case, facts, to) != Some(true) {
                return Vec::new();
            }
            refused(
                format!("index {to}"),
                format!("{table} has an index {to} already"),
                "choose another name, or drop that index before",
            )
        }
        TableChange::HideIndex {
            name, hidden: true, ..
        } if *name == primary() && has_primary_key(case, facts) => refused(
            "PRIMARY".to_owned(),
            format!("the primary key of {table} cannot be hidden"),
            "leave it out",
        ),
        _ => Vec::new(),
    }
}

/// A primary key that is dropped, and is not there.
pub(in super::super) fn primary_key_is_missing(case: &Case<'_>) -> Vec<Refusal> {
    let (
        Some(facts),
        Operation::DropConstraint {
            constraint,
            dropping,
            ..
        },
    ) = (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    let is_key = constraint.kind_said
        && constraint.kind() == ConstraintKind::PrimaryKey
        && constraint.name.is_none();
    let refused = is_key
        && case.step.statement.is_sql()
        && !dropping.if_exists
        && !has_primary_key(case, facts);
    one(refused.then(|| {
        seen(
            case,
            "no primary key",
            format!("{} has no primary key to drop", case.table()),
            vec!["leave it out".to_owned()],
        )
    }))
}

/// The names that an operation gives to what has a name in its whole database.
fn given(step: &Step<'_>) -> Vec<(NamedKind, TableName)> {
    let constraints = match step.operation {
        Operation::AddConstraint { constraint, .. } => std::slice::from_ref(constraint),
        Operation::AddColumn { columns, .. } => match columns.as_slice() {
            [column] => column.constraints.as_slice(),
            _ => &[],
        },
        Operation::ChangeTable {
            change:
                TableChange::CreateTrigger {
                    name,
                    or_there: false,
                },
            ..
        } => return vec![(NamedKind::Trigger, name.clone())],
        _ => &[],
    };
    let named = constraints.iter().filter(|one| !one.if_not_exists);
    named
        .filter_map(|constraint| {
            let (kind, _) = NAMED.iter().find(|(_, of)| *of == constraint.kind())?;
            let name: &ColumnName = constraint.name.as_ref()?;
            Some((*kind, beside(step.operation.table(), name)))
        })
        .collect()
}

pub(in super::super) fn wants_named(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    for (kind, name) in given(step) {
        wanted.insert(FactRequest::Named { kind, name });
    }
    if let Operation::ChangeTable {
        table,
        change: TableChange::DropNamedTrigger { .. },
    } = step.operation
    {
        wanted.insert(FactRequest::Named {
            kind: NamedKind::Trigger,
            name: table.clone(),
        });
    }
}

/// A foreign key, a CHECK or a trigger of a name that another table's bears.
pub(in super::super) fn name_of_the_database_is_taken(case: &Case<'_>) -> Vec<Refusal> {
    if !case.step.statement.is_sql() || matches!(case.standing, Standing::Missing) {
        return Vec::new();
    }
    let refusals = given(&case.step).into_iter().filter_map(|(kind, name)| {
        let found = case.named(kind, &name);
        let goes = |one: &Operation| {
            matches!(one, Operation::DropConstraint { constraint, .. }
                if constraint.name.as_ref().is_some_and(|gone| gone.as_str().eq_ignore_ascii_case(name.name())))
        };
        if case.step.statement.operations.iter().any(goes) {
            return None;
        }
        let of = match (case.step.is_made(&Object::named(kind, &name)), found) {
            (Some(false), _) | (None, None | Some(None)) => return None,
            // Nothing tells that this server asks for it.
            (Some(true), None) => return None,
            (Some(true), Some(_)) => "made by this migration".to_owned(),
            (None, Some(Some(table))) => {
                let gone = case.step.is_made(&Object::Relation(table.clone())) == Some(false);
                // Of the table itself it is said already.
                let own = kind != NamedKind::Trigger && case.table().may_be(table);
                if gone || own {
                    return None;
                }
                format!("of {table}")
            }
        };
        let what = kind.as_str();
        Some(seen(
            case,
            format!("{what} {} {of}", name.name()),
            format!(
                "the name {} is taken: there is a {what} {of}, and names of each {what} are the whole database's",
                name.name()
            ),
            vec!["choose another name, or drop that one before".to_owned()],
        ))
    });
    refusals.collect()
}

/// A trigger that is dropped, and is not there.
pub(in super::super) fn named_trigger_is_missing(case: &Case<'_>) -> Vec<Refusal> {
    let Operation::ChangeTable {
        table: name,
        change: TableChange::DropNamedTrigger { dropping },
    } = case.step.operation
    else {
        return Vec::new();
    };
    let there = match case.step.is_made(&Object::named(NamedKind::Trigger, name)) {
        Some(made) => made,
        None => case
            .named(NamedKind::Trigger, name)
            .is_none_or(Option::is_some),
    };
    one((!there && !dropping.if_exists).then(|| {
        seen(
            case,
            format!("no trigger {name}"),
            format!("there is no trigger {name}"),
            vec!["write DROP TRIGGER IF EXISTS, or correct the name".to_owned()],
        )
    }))
}

/// What is done to tables alone, of a view; and what is done to views alone, of a table.
pub(in super::super) fn is_of_another_kind(case: &Case<'_>) -> Vec<Refusal> {
    let table = case.table();
    let kind = match case.step.operation {
        // Its facts are looked up as those of a name that is taken.
        Operation::CreateView { .. } => case.facts_of(table).map(|facts| facts.kind),
        _ => case.present().map(|facts| facts.kind),
    };
    let Some(kind) = kind else {
        return Vec::new();
    };
    let (is, needs) = match (kind, case.step.operation) {
        (
            TableKind::Ordinary | TableKind::Partitioned,
            Operation::CreateView { or_there: true, .. }
            | Operation::ChangeTable {
                change: TableChange::AlterView,
                ..
            },
        ) => ("table", "view"),
        // OPTIMIZE says so in a row, and is no error.
        (
            TableKind::View,
            Operation::DropTable { .. }
            | Operation::DropView { .. }
            | Operation::CreateTable { .. }
            | Operation::CreateView { .. }
            | Operation::RenameTable { .. }
            | Operation::ChangeTable {
                change: TableChange::AlterView | TableChange::Rebuild,
                ..
            },
        ) => return Vec::new(),
        (TableKind::View, _) => ("view", "table"),
        _ => return Vec::new(),
    };
    let remade = case
        .step
        .is_made(&Object::Relation(table.clone()))
        .is_some();
    one((!remade).then(|| {
        seen(
            case,
            format!("{is} {table}"),
            format!("{table} is no {needs}: it is a {is}"),
            vec![format!("name a {needs}")],
        )
    }))
}

pub(in super::super) fn wants_replaced(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    if let Operation::CreateView { table, .. } = step.operation {
        wanted.insert(FactRequest::Table(table.clone()));
    }
}
