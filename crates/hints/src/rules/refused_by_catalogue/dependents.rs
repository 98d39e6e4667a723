//! What hangs on a part of a table, so that the server neither drops nor changes it.

use std::collections::BTreeSet;

use dbop_model::dependent::{Dependent, DependentKind, PartOf};
use dbop_model::operation::{ConstraintKind, Operation, TableChange};
use dbop_model::table::{ColumnName, FactRequest, TableFacts, TableName};
use dbop_model::{Engine, Fact};

use super::{Refusal, of_table, one, seen};
use crate::case::Case;
use crate::steps::{ColumnStanding, Object, Step};

/// So many dependents are named.
const NAMED_MAX: usize = 4;

/// Asked for where something is dropped, renamed, changed, or is a key.
pub(super) fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    let asks = matches!(
        step.operation,
        Operation::DropColumn { .. }
            | Operation::AlterColumn { .. }
            | Operation::RenameColumn { .. }
            | Operation::DropConstraint { .. }
            | Operation::DropIndex { .. }
            | Operation::DropTable { .. }
            | Operation::DropView { .. }
            | Operation::CreateIndex { .. }
            | Operation::AddConstraint { .. }
            | Operation::AddColumn { .. }
            | Operation::ChangeTable {
                change: TableChange::Filling { .. } | TableChange::DropTrigger { .. },
                ..
            }
    );
    if asks {
        of_table(step, wanted, FactRequest::Dependents);
    }
}

/// What hangs on the table, where that was seen.
pub(super) fn known(facts: &TableFacts) -> &[Dependent] {
    facts.dependents.known().map_or(&[][..], Vec::as_slice)
}

/// Is a dependent there still, after what the migration did before?
fn stands(case: &Case<'_>, dependent: &Dependent) -> bool {
    let step = &case.step;
    let gone = |object: Object| step.is_made(&object) == Some(false);
    let of = || match &dependent.table {
        Some(table) => vec![table.clone()],
        None => step.names(),
    };
    if dependent
        .table
        .as_ref()
        .is_some_and(|table| gone(Object::Relation(table.clone())) || goes_along(case, table))
    {
        return false;
    }
    let Some(name) = &dependent.name else {
        return true;
    };
    match dependent.kind {
        DependentKind::ForeignKey | DependentKind::Check => {
            !gone(Object::Constraint(of(), name.clone()))
        }
        DependentKind::Trigger => !gone(Object::Trigger(of(), name.clone())),
        DependentKind::Index => !gone(Object::Index(of(), name.clone())),
        DependentKind::GeneratedColumn if dependent.table.is_none() => !step.is_dropped(name),
        DependentKind::GeneratedColumn | DependentKind::RowType => {
            !gone(Object::Column(of(), name.clone()))
        }
        _ => true,
    }
}

/// Does the same statement drop the table, too (`DROP TABLE a, b`)?
fn goes_along(case: &Case<'_>, table: &TableName) -> bool {
    case.step.statement.operations.iter().any(|other| {
        matches!(
            (other, case.step.operation),
            (
                Operation::DropTable { table: one, .. } | Operation::DropView { table: one, .. },
                Operation::DropTable { .. } | Operation::DropView { .. },
            ) if one.may_be(table)
        )
    })
}

/// A table, column, constraint or index that is dropped while something hangs on it.
pub(super) fn stop_a_drop(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    let today = |column: &ColumnName| match case.step.column_before(column, facts) {
        ColumnStanding::Present(today, _) => Some(today),
        ColumnStanding::Added(_) | ColumnStanding::Missing => None,
    };
    let (parts, cascade): (Vec<(PartOf, String)>, bool) = match case.step.operation {
        Operation::DropTable { table, dropping } | Operation::DropView { table, dropping } => {
            let part = (PartOf::Table, table.to_string());
            (vec![part], dropping.cascade)
        }
        Operation::DropColumn {
            columns, dropping, ..
        } => {
            let part = |column| {
                let shown = format!("column {column} of {}", case.table());
                Some((PartOf::Column(today(column)?), shown))
            };
            (columns.iter().filter_map(part).collect(), dropping.cascade)
        }
        Operation::DropConstraint {
            constraint,
            dropping,
            ..
        } => (
            dropped_constraint(case, facts, constraint),
            dropping.cascade,
        ),
        Operation::DropIndex {
            table,
            by_name,
            name,
            dropping,
            ..
        } => {
            let own = ColumnName::new(table.name()).ok().filter(|_| *by_name);
            let part = name.clone().or(own).map(|name| {
                let shown = format!("index {name}");
                (PartOf::Index(name), shown)
            });
            (part.into_iter().collect(), dropping.cascade)
        }
        _ => return Vec::new(),
    };
    let refusals = parts.into_iter().filter_map(|(part, shown)| {
        let stops = |dependent: &&Dependent| {
            dependent.on == part
                && dependent.stops.drop
                && !is_unchecked(case, dependent)
                && !(cascade && dependent.cascade)
                && stands(case, dependent)
        };
        let found: Vec<&Dependent> = known(facts).iter().filter(stops).collect();
        (!found.is_empty()).then(|| refusal(case, &shown, "cannot be dropped", &found, true))
    });
    refusals.collect()
}

/// MySQL and MariaDB drop what a foreign key refers to where foreign_key_checks is off.
fn is_unchecked(case: &Case<'_>, dependent: &Dependent) -> bool {
    dependent.kind == DependentKind::ForeignKey
        && dependent.on == PartOf::Table
        && case.server.engine != Engine::PostgreSql
        && case.foreign_key_checks().is_known_and(|on| !on)
}

/// The constraint as the catalogue names it: the one of the name, or a hint's of its kind and columns.
fn dropped_constraint(
    case: &Case<'_>,
    facts: &TableFacts,
    constraint: &dbop_model::operation::Constraint,
) -> Vec<(PartOf, String)> {
    let constraints = facts.constraints.known().map_or(&[][..], Vec::as_slice);
    let found = constraints.iter().find(|known| {
        !known.incoming
            && match &constraint.name {
                Some(name) => known.name == *name,
                None => {
                    known.kind == constraint.kind()
                        && (known.columns == constraint.columns()
                            || known.kind == ConstraintKind::PrimaryKey)
                }
            }
    });
    let part = found.map(|known| {
        (
            PartOf::Constraint(known.name.clone()),
            format!("constraint {} of {}", known.name, case.table()),
        )
    });
    part.into_iter().collect()
}

/// A column whose type is changed, or that is renamed, while something hangs on it that forbids that.
pub(super) fn stop_a_change(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    let (columns, change): (Vec<&ColumnName>, fn(&Dependent) -> bool) = match case.step.operation {
        Operation::AlterColumn { columns, .. } => {
            let typed = columns
                .iter()
                .filter(|column| column.sql_type.is_some() || column.collation.is_some());
            (typed.map(|column| &column.name).collect(), |dependent| {
                dependent.stops.change_type
            })
        }
        Operation::RenameColumn { from, .. } => (vec![from], |dependent| dependent.stops.rename),
        _ => return Vec::new(),
    };
    let rename = matches!(case.step.operation, Operation::RenameColumn { .. });
    let refusals = columns.into_iter().filter_map(|column| {
        // What is renamed is called as before the statement.
        let standing = match rename {
            true => case.step.column_before(column, facts),
            false => case.step.column(column, facts),
        };
        let ColumnStanding::Present(today, _) = standing else {
            return None;
        };
        let part = PartOf::Column(today);
        let stops = |dependent: &&Dependent| {
            dependent.on == part && change(dependent) && stands(case, dependent)
        };
        let found: Vec<&Dependent> = known(facts).iter().filter(stops).collect();
        let what = if rename {
            "cannot be renamed"
        } else {
            "cannot get another type"
        };
        let shown = format!("column {column} of {}", case.table());
        (!found.is_empty()).then(|| refusal(case, &shown, what, &found, false))
    });
    refusals.collect()
}

fn refusal(
    case: &Case<'_>,
    part: &str,
    what: &str,
    found: &[&Dependent],
    is_drop: bool,
) -> Refusal {
    let named: Vec<String> = found
        .iter()
        .take(NAMED_MAX)
        .map(|dependent| dependent.to_string())
        .collect();
    let more = match found.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = format!("{}{more}", named.join(", "));
    let mut advice = Vec::new();
    let fixed = found
        .iter()
        .find(|dependent| !dependent.cascade)
        .map(|dependent| dependent.kind);
    match fixed {
        Some(DependentKind::PartitionKey) => advice.push(
            "make a new table that is partitioned in the new way, and move the rows in batches"
                .to_owned(),
        ),
        Some(DependentKind::Parent) => {
            advice.push("change the parent, which changes this table with it".to_owned());
        }
        _ => advice.push(format!(
            "drop {named} first, and make what is needed of it anew behind it"
        )),
    }
    if is_drop && fixed.is_none() && case.server.engine == Engine::PostgreSql {
        advice.push(format!("or write CASCADE, which drops {named} as well"));
    }
    if !case.step.statement.is_sql() {
        advice.push("or accept the finding, if the migration does that itself".to_owned());
    }
    let claim = format!("{part} {what}: {named} depends on it");
    seen(case, named, claim, advice)
}

/// TRUNCATE of a table to which a foreign key of another refers, valid or not (manual, TRUNCATE).
pub(super) fn references_stop_a_truncate(case: &Case<'_>) -> Vec<Refusal> {
    let (
        Some(facts),
        Operation::ChangeTable {
            change: TableChange::Truncate { cascade: false },
            ..
        },
    ) = (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    let Fact::Known(constraints) = &facts.constraints else {
        return Vec::new();
    };
    let unchecked = case.server.engine != Engine::PostgreSql
        && case.foreign_key_checks().is_known_and(|on| !on);
    if unchecked {
        return Vec::new();
    }
    let truncated = |table: &TableName| {
        case.step
            .statement
            .operations
            .iter()
            .any(|other| other.table().may_be(table))
    };
    let found = constraints.iter().find(|known| {
        let Some(other) = known.other.as_ref().filter(|_| known.incoming) else {
            return false;
        };
        let object = Object::Constraint(vec![other.clone()], known.name.clone());
        !truncated(other)
            && case.step.is_made(&object) != Some(false)
            && case.step.is_made(&Object::Relation(other.clone())) != Some(false)
    });
    one(found.and_then(|known| {
        let other = known.other.as_ref()?;
        let name = &known.name;
        Some(seen(
            case,
            format!("foreign key {name} of {other}"),
            format!(
                "{} cannot be truncated: the foreign key {name} of {other} refers to it",
                case.table()
            ),
            vec![
                format!("truncate {other} in the same statement, or write CASCADE, which empties it as well"),
                "or delete the rows in batches".to_owned(),
            ],
        ))
    }))
}

/// A trigger that is dropped and is not there. What bears a name that a CREATE TRIGGER gave is not said.
pub(super) fn trigger_is_missing(case: &Case<'_>) -> Vec<Refusal> {
    let (
        Some(facts),
        Operation::ChangeTable {
            change: TableChange::DropTrigger { name, dropping },
            ..
        },
    ) = (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    let there = |dependent: &Dependent| {
        dependent.kind == DependentKind::Trigger
            && dependent.on == PartOf::Table
            && dependent.name.as_ref() == Some(name)
    };
    let object = Object::Trigger(case.step.names(), name.clone());
    let gone = case.step.is_made(&object) == Some(false);
    let missing = facts
        .dependents
        .is_known_and(|all| gone || !all.iter().any(there));
    let refused = missing && !dropping.if_exists && !case.step.has_unnamed();
    one(refused.then(|| {
        seen(
            case,
            format!("no trigger {name}"),
            format!("{} has no trigger {name}", case.table()),
            vec!["write DROP TRIGGER IF EXISTS, or correct the name".to_owned()],
        )
    }))
}

/// An index that is a constraint's own: the constraint is dropped, not the index.
pub(super) fn constraint_needs_its_index(case: &Case<'_>) -> Vec<Refusal> {
    let (
        Some(facts),
        Operation::DropIndex {
            table,
            by_name: true,
            ..
        },
    ) = (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    let Fact::Known(constraints) = &facts.constraints else {
        return Vec::new();
    };
    let own = constraints.iter().find(|known| {
        !known.incoming
            && known.name.as_str() == table.name()
            && matches!(
                known.kind,
                ConstraintKind::Unique | ConstraintKind::PrimaryKey | ConstraintKind::Exclude
            )
    });
    one(own.map(|known| {
        let name = &known.name;
        seen(
            case,
            format!("constraint {name}"),
            format!("index {name} cannot be dropped: the constraint {name} needs it"),
            vec![format!(
                "drop the constraint: ALTER TABLE ... DROP CONSTRAINT {name}"
            )],
        )
    }))
}
