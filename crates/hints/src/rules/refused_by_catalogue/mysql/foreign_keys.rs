//! What a foreign key asks of the columns and indexes at both its ends (MySQL 8.4 manual, section 15.1.20.5; errors 1506,
//! 1553, 1832, 1833, 3780; MariaDB, Foreign Keys).

use dbop_model::operation::{Constraint, ConstraintKind, IndexPart, Operation};
use dbop_model::table::{
    ColumnFacts, ColumnName, ConstraintFacts, IndexFacts, TableFacts, TableKind,
};
use dbop_model::{Engine, Fact};

use super::super::{Refusal, seen};
use crate::case::Case;
use crate::effect::Form as AnyForm;
use crate::effect::mysql::{Form, Type};
use crate::steps::{ColumnStanding, Object};

/// Foreign keys of the table, at either end, that the migration has not dropped.
fn keys<'a>(
    case: &'a Case<'_>,
    facts: &'a TableFacts,
) -> impl Iterator<Item = &'a ConstraintFacts> {
    let all = facts.constraints.known().map_or(&[][..], Vec::as_slice);
    all.iter()
        .filter(|known| known.kind == ConstraintKind::ForeignKey)
        .filter(move |known| {
            let of = match (&known.other, known.incoming) {
                (Some(other), true) => vec![other.clone()],
                _ => case.step.names(),
            };
            let gone = case
                .step
                .is_made(&Object::Constraint(of, known.name.clone()))
                == Some(false);
            let goes = case.step.statement.operations.iter().any(|other| {
                matches!(other, Operation::DropConstraint { constraint, .. }
                    if constraint.name.as_ref() == Some(&known.name) && !known.incoming)
            });
            !gone && !goes
        })
}

/// A column that a foreign key is over, and that gets another type or other letters.
pub(in super::super) fn foreign_key_holds_a_type(case: &Case<'_>) -> Vec<Refusal> {
    let (Some(facts), Operation::AlterColumn { columns, .. }) =
        (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    // MySQL asks whether the two ends still fit, and a longer text does; MariaDB takes no other type at all.
    let mariadb = case.server.engine == Engine::MariaDb;
    let changes = case.prediction.forms.iter().any(|form| match form {
        AnyForm::MySql(
            Form::Convert
            | Form::Charset
            | Form::CharsetIndexed
            | Form::Collation
            | Form::CollationIndexed,
        ) => true,
        AnyForm::MySql(Form::Longer | Form::LongerShort | Form::LongerAcross) => mariadb,
        _ => false,
    });
    if !changes {
        return Vec::new();
    }
    let held = columns.iter().filter_map(|column| {
        let ColumnStanding::Present(today, _) = case.step.column(&column.name, facts) else {
            return None;
        };
        let key = keys(case, facts).find(|key| key.columns.contains(&today))?;
        Some(refused(
            case,
            format!("foreign key {}", key.name),
            format!(
                "column {} cannot get another type: the foreign key {} is over it",
                column.name, key.name
            ),
            "drop the foreign key first, change both its ends, and make it anew",
        ))
    });
    held.collect()
}

/// An index that a foreign key needs, at either end, and that no other one does for.
pub(in super::super) fn foreign_key_needs_an_index(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    let primary = |constraint: &Constraint| {
        constraint.kind_said && constraint.kind() == ConstraintKind::PrimaryKey
    };
    let dropped = |index: &IndexFacts, operation: &Operation| match operation {
        Operation::DropIndex {
            name: Some(name), ..
        } => index.name.as_str().eq_ignore_ascii_case(name.as_str()),
        Operation::DropConstraint { constraint, .. } if primary(constraint) => index.primary,
        _ => false,
    };
    let Fact::Known(indexes) = &facts.indexes else {
        return Vec::new();
    };
    // MySQL needs it even where foreign_key_checks is off.
    let unchecked = case.foreign_key_checks().is_known_and(|on| !on);
    if case.server.engine == Engine::MariaDb && unchecked {
        return Vec::new();
    }
    let operations = &case.step.statement.operations;
    let Some(index) = indexes
        .iter()
        .find(|index| dropped(index, case.step.operation))
    else {
        return Vec::new();
    };
    let others = indexes
        .iter()
        .filter(|other| !operations.iter().any(|operation| dropped(other, operation)))
        .map(|other| other.key.parts.as_slice());
    let made = case
        .step
        .created_indexes()
        .iter()
        .map(|made| made.parts.as_slice());
    let added: Vec<Vec<IndexPart>> = operations
        .iter()
        .filter_map(|operation| match operation {
            Operation::CreateIndex { index, .. } => Some(index.parts.clone()),
            Operation::AddConstraint { constraint, .. } => {
                let columns = constraint.columns().iter().cloned();
                Some(columns.map(IndexPart::Column).collect())
            }
            _ => None,
        })
        .collect();
    let remaining: Vec<&[IndexPart]> = others
        .chain(made)
        .chain(added.iter().map(Vec::as_slice))
        .collect();
    let needed = keys(case, facts).find(|key| {
        begins(&index.key.parts, &key.columns)
            && !remaining.iter().any(|parts| begins(parts, &key.columns))
    });
    needed
        .map(|key| {
            refused(
                case,
                format!("foreign key {}", key.name),
                format!(
                    "index {} cannot be dropped: the foreign key {} needs it",
                    index.name, key.name
                ),
                "drop the foreign key in the same statement, or add another index on its columns",
            )
        })
        .into_iter()
        .collect()
}

/// Does an index begin with these columns?
fn begins(parts: &[IndexPart], columns: &[ColumnName]) -> bool {
    parts.len() >= columns.len()
        && parts
            .iter()
            .zip(columns)
            .all(|(part, column)| matches!(part, IndexPart::Column(name) if name == column))
}

/// A foreign key whose two ends do not fit each other.
pub(in super::super) fn foreign_key_does_not_fit(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    let constraints: Vec<&Constraint> = match case.step.operation {
        Operation::AddConstraint { constraint, .. } => vec![constraint],
        Operation::AddColumn { columns, .. } => {
            let new = columns
                .iter()
                .filter(|column| !facts.columns.contains_key(&column.name));
            new.flat_map(|column| &column.constraints).collect()
        }
        _ => return Vec::new(),
    };
    constraints
        .into_iter()
        .filter(|constraint| constraint.kind() == ConstraintKind::ForeignKey)
        .filter_map(|constraint| misfit(case, facts, constraint))
        .map(|why| {
            refused(
                case,
                why.clone(),
                format!("{} cannot be: {why}", case.step.operation),
                "make both ends alike, and give the other one a key",
            )
        })
        .collect()
}

fn misfit(case: &Case<'_>, facts: &TableFacts, constraint: &Constraint) -> Option<String> {
    let references = constraint.references.as_ref()?;
    if facts.kind == TableKind::Partitioned {
        return Some(format!("{} is partitioned", case.table()));
    }
    let itself = case.step.operation.table().may_be(references);
    let found = case
        .step
        .others()
        .iter()
        .find_map(|name| case.facts_of(name));
    let other = if itself { Some(facts) } else { found };
    let Some(other) = other else {
        let others = case.step.others();
        let missing = !others.is_empty() && others.iter().all(|name| case.is_missing(name));
        let unchecked = case.foreign_key_checks().is_known_and(|on| !on);
        return (missing && !unchecked).then(|| format!("there is no table {references}"));
    };
    match other.kind {
        TableKind::Partitioned => return Some(format!("{references} is partitioned")),
        TableKind::Other => return Some(format!("{references} is a view")),
        TableKind::Ordinary => {}
    }
    if case.step.has_changed(references) {
        return None;
    }
    for (column, to) in constraint.columns().iter().zip(&constraint.referenced) {
        let Some(target) = other.columns.get(to) else {
            return Some(format!("{references} has no column {to}"));
        };
        if let ColumnStanding::Present(_, own) = case.step.column(column, facts)
            && differ(&own, target)
        {
            return Some(format!(
                "{column} is {}, and {to} of {references} is {}",
                own.sql_type, target.sql_type
            ));
        }
    }
    let Fact::Known(indexes) = &other.indexes else {
        return None;
    };
    // MySQL 8.4 and later want a unique key of these columns and no others (restrict_fk_on_non_standard_key).
    let standard =
        case.server.engine == Engine::MySql && (case.server.major, case.server.minor) >= (8, 4);
    let wanted = &constraint.referenced;
    let is_key = indexes.iter().any(|index| {
        begins(&index.key.parts, wanted)
            && (!standard
                || index.key.parts.len() == wanted.len()
                    && (index.primary || index.kind == dbop_model::operation::IndexKind::Unique))
    });
    (!wanted.is_empty() && !is_key).then(|| {
        let columns: Vec<&str> = wanted.iter().map(ColumnName::as_str).collect();
        format!("no key of {references} is over {}", columns.join(", "))
    })
}

/// Can one not refer to the other? Lengths of texts may differ.
fn differ(one: &ColumnFacts, two: &ColumnFacts) -> bool {
    let (Some(first), Some(second)) = (Type::read(&one.sql_type), Type::read(&two.sql_type)) else {
        return false;
    };
    !first.is_alike(&second) || one.charset != two.charset || one.collation != two.collation
}

fn refused(case: &Case<'_>, value: String, claim: String, advice: &str) -> Refusal {
    seen(case, value, claim, vec![advice.to_owned()])
}
