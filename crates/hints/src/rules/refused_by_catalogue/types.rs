//! Types that do not turn into each other by themselves, and columns that the server fills by itself.

use dbop_model::Fact;
use dbop_model::dependent::{DependentKind, PartOf};
use dbop_model::operation::{
    Column, ConstraintKind, Filling, Operation, ServerDefault, TableChange,
};
use dbop_model::table::{ColumnFacts, ColumnName, Generated, TableFacts};

use super::dependents::known;
use super::{Refusal, one, seen};
use crate::case::Case;
use crate::steps::ColumnStanding;

/// `SET EXPRESSION` came with PostgreSQL 17.
const FIRST_WITH_SET_EXPRESSION: u32 = 17;

/// A type to which the server makes no values of the old ones by itself, or not of the default.
pub(super) fn no_cast(case: &Case<'_>) -> Vec<Refusal> {
    let (Some(facts), Operation::AlterColumn { columns, .. }) =
        (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    let refusals = columns.iter().filter_map(|column| {
        let new = column.sql_type.as_ref()?.name();
        let ColumnStanding::Present(today, old) = case.step.column(&column.name, facts) else {
            return None;
        };
        let Fact::Known(known) = facts.type_named(new) else {
            return None;
        };
        if !known.needs_using(&today) {
            return None;
        }
        let name = &column.name;
        if column.using.is_none() {
            let dialect = case.dialect();
            return Some(seen(
                case,
                format!("no cast from {} to {new} in assignments", old.sql_type),
                format!(
                    "column {name}: the server does not turn {} into {new} by itself",
                    old.sql_type
                ),
                vec![
                    format!(
                        "say how, and see that it holds of every row: ... TYPE {new} USING {}::{new}",
                        dialect.column(name)
                    ),
                    "or add a new column, fill it in batches, and drop the old one in a later migration"
                        .to_owned(),
                ],
            ));
        }
        let defaulted = old.has_default
            && old.generated.is_none()
            && !is_identity(facts, &today)
            && !drops_default(case, name);
        defaulted.then(|| {
            seen(
                case,
                format!("a default of type {}", old.sql_type),
                format!(
                    "column {name}: its default does not turn into {new} by itself, whatever USING says"
                ),
                vec![format!(
                    "in the same statement, DROP DEFAULT before the type and SET DEFAULT behind it: \
                     ALTER COLUMN {name} DROP DEFAULT, ALTER COLUMN {name} TYPE {new} USING ..., \
                     ALTER COLUMN {name} SET DEFAULT ..."
                )],
            )
        })
    });
    refusals.collect()
}

/// Does the statement, or one before, drop the default of a column?
fn drops_default(case: &Case<'_>, name: &ColumnName) -> bool {
    case.step.lost_default(name)
        || case.step.statement.operations.iter().any(|operation| {
            matches!(operation, Operation::AlterColumn { columns, .. }
                if columns.iter().any(|c| c.name == *name && c.default == ServerDefault::Absent))
        })
}

fn is_identity(facts: &TableFacts, column: &ColumnName) -> bool {
    known(facts).iter().any(|dependent| {
        dependent.kind == DependentKind::Identity && dependent.on == PartOf::Column(column.clone())
    })
}

/// A default of a column that the server fills by itself, and what is done to the latter where it does not.
pub(super) fn filled(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    match case.step.operation {
        Operation::AlterColumn { columns, .. } => columns
            .iter()
            .filter_map(|column| default_of_filled(case, facts, column))
            .collect(),
        Operation::ChangeTable {
            change: TableChange::Filling { column, change },
            ..
        } => one(refilled(case, facts, column, *change)),
        _ => Vec::new(),
    }
}

fn default_of_filled(case: &Case<'_>, facts: &TableFacts, column: &Column) -> Option<Refusal> {
    if column.default == ServerDefault::NotSaid {
        return None;
    }
    let ColumnStanding::Present(today, old) = case.step.column(&column.name, facts) else {
        return None;
    };
    let what = match old.generated {
        Some(_) => "a generated column",
        None if is_identity(facts, &today) => "an identity column",
        None => return None,
    };
    let changed = case.step.statement.operations.iter().any(|operation| {
        matches!(
            operation,
            Operation::ChangeTable {
                change: TableChange::Filling { .. },
                ..
            }
        )
    });
    (!changed && !case.step.has_refilled(&column.name)).then(|| {
        seen(
            case,
            what,
            format!(
                "column {} is {what}, and has no default to change",
                column.name
            ),
            vec![
                "drop what fills it before: ALTER COLUMN ... DROP EXPRESSION, or DROP IDENTITY"
                    .to_owned(),
            ],
        )
    })
}

fn refilled(
    case: &Case<'_>,
    facts: &TableFacts,
    column: &ColumnName,
    change: Filling,
) -> Option<Refusal> {
    let ColumnStanding::Present(today, old) = case.step.column(column, facts) else {
        return None;
    };
    if case.step.has_refilled(column) {
        return None;
    }
    let identity = is_identity(facts, &today);
    let (why, advice) = obstacle(case, facts, &old, identity, change)?;
    Some(seen(
        case,
        why,
        format!("{}: column {column} {why}", case.step.operation),
        vec![advice.to_owned()],
    ))
}

/// What stands in the way, and the way out.
fn obstacle(
    case: &Case<'_>,
    facts: &TableFacts,
    old: &ColumnFacts,
    identity: bool,
    change: Filling,
) -> Option<(&'static str, &'static str)> {
    let checked = || {
        facts
            .constraints
            .is_known_and(|all| all.iter().any(|one| one.kind == ConstraintKind::Check))
    };
    let is_virtual = old.generated == Some(Generated::Virtual);
    Some(match change {
        Filling::AddIdentity if identity => (
            "is an identity column already",
            "leave it out, or change it with SET GENERATED",
        ),
        Filling::AddIdentity if old.nullable => (
            "may hold NULL, and an identity column may not",
            "make it NOT NULL before",
        ),
        Filling::AddIdentity if old.has_default => (
            "has a default, and an identity column has none",
            "drop the default before: ALTER COLUMN ... DROP DEFAULT",
        ),
        Filling::SetIdentity | Filling::DropIdentity { if_exists: false } if !identity => (
            "is no identity column",
            "write DROP IDENTITY IF EXISTS, or ADD GENERATED ... AS IDENTITY",
        ),
        Filling::DropExpression { if_exists: false } if old.generated.is_none() => (
            "is no generated column",
            "write DROP EXPRESSION IF EXISTS, or leave it out",
        ),
        Filling::DropExpression { .. } if is_virtual => (
            "is a virtual generated column, which has no values to keep",
            "add a plain column, fill it in batches, and drop this one",
        ),
        Filling::SetExpression if old.generated.is_none() => (
            "is no generated column",
            "add a generated column, and drop this one",
        ),
        Filling::SetExpression if case.server.major < FIRST_WITH_SET_EXPRESSION => (
            "keeps its expression: the server has no SET EXPRESSION before version 17",
            "add a generated column with the new expression, and drop this one",
        ),
        Filling::SetExpression if is_virtual && checked() => (
            "is virtual, and the table has CHECKs, which would not be held against its new values",
            "add a generated column with the new expression, and drop this one",
        ),
        _ => return None,
    })
}
