//! What a foreign key asks of the columns and indexes at both its ends (MySQL 8.4 manual, section 15.1.20.5; errors 1506,
//! 1553, 1830, 1832, 1833, 3104, 3733, 3776, 3780; MariaDB, Foreign Keys).

mod other;
mod own;

use dbop_model::operation::{Constraint, ConstraintKind, IndexPart, Operation, TableChange};
use dbop_model::table::{ColumnName, ConstraintFacts, IndexFacts, TableFacts};
use dbop_model::{Engine, Fact};

use super::super::{Refusal, one, seen};
use crate::case::Case;
use crate::effect::Form as AnyForm;
use crate::effect::mysql::Form;
use crate::steps::{ColumnStanding, Object};
use own::Ends;

/// Foreign keys of the table, at either end, that the migration has not dropped.
pub(super) fn keys<'a>(
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
        } => index.name == *name,
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

/// Other letters of a table whose texts refer, or are referred to.
pub(in super::super) fn foreign_key_holds_letters(case: &Case<'_>) -> Vec<Refusal> {
    let (
        Some(facts),
        Operation::ChangeTable {
            change: TableChange::ConvertCharset { charset, collation },
            ..
        },
    ) = (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    // MariaDB asks for it even where foreign_key_checks is off.
    let unchecked = case.foreign_key_checks().is_known_and(|on| !on);
    if unchecked && case.server.engine == Engine::MySql {
        return Vec::new();
    }
    let changes = |column: &ColumnName| {
        let Some(known) = facts.columns.get(column) else {
            return false;
        };
        let other_charset = known
            .charset
            .as_ref()
            .is_some_and(|own| !own.eq_ignore_ascii_case(charset));
        let other_collation = match (&known.collation, collation) {
            (Some(own), Some(new)) => !own.eq_ignore_ascii_case(new),
            _ => false,
        };
        other_charset || other_collation
    };
    let held = keys(case, facts).find_map(|key| {
        let column = key.columns.iter().find(|column| changes(column))?;
        Some((key.name.clone(), column.clone()))
    });
    one(held.map(|(key, column)| {
        refused(
            case,
            format!("foreign key {key}"),
            format!(
                "{} cannot be converted to {charset}: the foreign key {key} is over {column}",
                case.table()
            ),
            "drop the foreign key first, convert both tables, and make it anew",
        )
    }))
}

/// Another storage engine for a table with foreign keys.
pub(in super::super) fn foreign_key_holds_the_engine(case: &Case<'_>) -> Vec<Refusal> {
    let (
        Some(facts),
        Operation::ChangeTable {
            change: TableChange::Engine { engine },
            ..
        },
    ) = (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    let held = keys(case, facts).next();
    one(held.map(|key| {
        refused(
            case,
            format!("foreign key {}", key.name),
            format!(
                "{} cannot get the storage engine {engine}: the foreign key {} is of InnoDB",
                case.table(),
                key.name
            ),
            "drop the foreign keys first",
        )
    }))
}

/// NOT NULL of a column into which a foreign key writes NULL (error 1830).
pub(in super::super) fn foreign_key_sets_null(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    let held = case
        .step
        .operation
        .becoming_not_null()
        .into_iter()
        .find_map(|column| {
            let ColumnStanding::Present(today, _) = case.step.column(column, facts) else {
                return None;
            };
            let key = keys(case, facts)
                .find(|key| key.sets_null && !key.incoming && key.columns.contains(&today))?;
            Some((column, key.name.clone()))
        });
    one(held.map(|(column, key)| {
        refused(
            case,
            format!("foreign key {key} with SET NULL"),
            format!("{column} cannot be NOT NULL: the foreign key {key} writes NULL into it"),
            "make the foreign key anew without SET NULL first",
        )
    }))
}

/// A foreign key whose two ends do not fit each other.
pub(in super::super) fn foreign_key_does_not_fit(case: &Case<'_>) -> Vec<Refusal> {
    let constraints: Vec<&Constraint> = match case.step.operation {
        Operation::AddConstraint { constraint, .. } => vec![constraint],
        // Before MySQL 9 what a column refers to is read and forgotten.
        _ if forgets_references(case) => return Vec::new(),
        Operation::AddColumn { columns, .. } => {
            let new = columns.iter().filter(|column| {
                case.present()
                    .is_none_or(|facts| !facts.columns.contains_key(&column.name))
            });
            new.flat_map(|column| &column.constraints).collect()
        }
        _ => return Vec::new(),
    };
    constraints
        .into_iter()
        .filter(|constraint| constraint.kind() == ConstraintKind::ForeignKey)
        .filter_map(|constraint| misfit(case, constraint))
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

fn forgets_references(case: &Case<'_>) -> bool {
    case.server.engine == Engine::MySql && case.server.major < 9
}

fn misfit(case: &Case<'_>, constraint: &Constraint) -> Option<String> {
    let references = constraint.references.as_ref()?;
    let own = Ends::own(case, constraint)?;
    let unchecked = case.foreign_key_checks().is_known_and(|on| !on);
    own.misfit(case, constraint)
        .or_else(|| {
            let (columns, referenced) = (constraint.columns(), &constraint.referenced);
            let differ = !referenced.is_empty() && columns.len() != referenced.len();
            differ.then(|| {
                format!(
                    "it is over {} columns, and refers to {}",
                    columns.len(),
                    referenced.len()
                )
            })
        })
        .or_else(|| other::misfit(case, &own, constraint, references, unchecked))
}

fn refused(case: &Case<'_>, value: String, claim: String, advice: &str) -> Refusal {
    seen(case, value, claim, vec![advice.to_owned()])
}
