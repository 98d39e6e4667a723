//! The end of a foreign key that is referred to: a table of InnoDB that is not partitioned, with columns of the same types
//! and a key over them.

use dbop_model::operation::{Column, Constraint, ConstraintKind, IndexKind, Operation};
use dbop_model::table::{ColumnName, Generated, TableFacts, TableKind, TableName};
use dbop_model::{Engine, Fact};

use super::begins;
use super::own::{End, Ends};
use crate::case::Case;
use crate::steps::Object;

pub(super) fn misfit(
    case: &Case<'_>,
    own: &Ends<'_>,
    constraint: &Constraint,
    references: &TableName,
    unchecked: bool,
) -> Option<String> {
    let itself = case.step.operation.table().may_be(references);
    if case.step.is_made(&Object::Relation(references.clone())) == Some(true) {
        let columns = match itself {
            true => case.step.columns_of_new(),
            false => case.step.columns_of_others(),
        };
        let told = case.step.other_defined(references, case.server.engine);
        return match told.filter(|_| !itself) {
            Some(facts) => columns_of(case, own, constraint, &facts, references)
                .or_else(|| key(case, constraint, &facts, references)),
            None => defined(own, constraint, references, columns).or_else(|| {
                let lacks = itself && lacks_own_key(case, constraint);
                lacks.then(|| "no key of the table itself is over what it refers to".to_owned())
            }),
        };
    }
    let found = case
        .step
        .others()
        .iter()
        .find_map(|name| case.facts_of(name));
    let other = if itself { own.facts } else { found };
    let Some(other) = other else {
        let others = case.step.others();
        let missing = !others.is_empty() && others.iter().all(|name| case.is_missing(name));
        return (missing && !unchecked).then(|| format!("there is no table {references}"));
    };
    match other.kind {
        TableKind::Partitioned => return Some(format!("{references} is partitioned")),
        TableKind::View => return Some(format!("{references} is a view")),
        TableKind::Other => return Some(format!("{references} is no table of InnoDB")),
        TableKind::Ordinary => {}
    }
    if let Fact::Known(storage) = &other.storage
        && !storage.engine.eq_ignore_ascii_case("innodb")
    {
        let engine = &storage.engine;
        return Some(format!("{references} is of the storage engine {engine}"));
    }
    if case.step.has_changed(references) {
        return None;
    }
    columns_of(case, own, constraint, other, references)
        .or_else(|| key(case, constraint, other, references))
}

/// Has a new table, whose statement says all of it, no key that begins with what it refers to in itself?
fn lacks_own_key(case: &Case<'_>, constraint: &Constraint) -> bool {
    let operations = &case.step.statement.operations;
    let complete = |one: &Operation| matches!(one, Operation::CreateTable { complete: true, .. });
    let leads = |one: &Operation| match one {
        Operation::CreateIndex { index, .. } => begins(&index.parts, &constraint.referenced),
        Operation::AddConstraint {
            constraint: key, ..
        } => {
            matches!(
                key.kind(),
                ConstraintKind::PrimaryKey | ConstraintKind::Unique
            ) && key.columns().starts_with(&constraint.referenced)
        }
        _ => false,
    };
    operations.iter().any(complete)
        && case.step.statement.defines(case.step.operation)
        && !operations.iter().any(leads)
}

/// A table that the migration creates: its keys are not followed here.
fn defined(
    own: &Ends<'_>,
    constraint: &Constraint,
    references: &TableName,
    columns: &[Column],
) -> Option<String> {
    if columns.is_empty() {
        return None;
    }
    own.columns
        .iter()
        .zip(&constraint.referenced)
        .find_map(|((name, end), to)| {
            let Some(target) = columns.iter().find(|column| column.name == *to) else {
                return Some(format!("{references} has no column {to}"));
            };
            unlike(name, end.as_ref()?, to, &End::of_new(target), references)
        })
}

fn columns_of(
    case: &Case<'_>,
    own: &Ends<'_>,
    constraint: &Constraint,
    other: &TableFacts,
    references: &TableName,
) -> Option<String> {
    for ((name, end), to) in own.columns.iter().zip(&constraint.referenced) {
        let Some(target) = other.columns.get(to) else {
            return Some(format!("{references} has no column {to}"));
        };
        if target.generated == Some(Generated::Virtual) && case.server.engine == Engine::MySql {
            return Some(format!("{to} of {references} is a virtual column"));
        }
        let target = End::of_known(target);
        if let Some(why) = end
            .as_ref()
            .and_then(|end| unlike(name, end, to, &target, references))
        {
            return Some(why);
        }
    }
    None
}

/// Can one not refer to the other? Lengths of texts may differ. What a new column does not say of its letters, its table
/// does, and is not held against it.
fn unlike(
    name: &ColumnName,
    end: &End,
    to: &ColumnName,
    target: &End,
    references: &TableName,
) -> Option<String> {
    let (first, second) = (end.of.as_ref()?, target.of.as_ref()?);
    let differ = |one: &Option<String>, two: &Option<String>| match (one, two) {
        (Some(one), Some(two)) => !one.eq_ignore_ascii_case(two),
        _ => false,
    };
    let letters =
        differ(&end.charset, &target.charset) || differ(&end.collation, &target.collation);
    (!first.is_alike(second) || letters).then(|| {
        format!(
            "{name} is {}, and {to} of {references} is {}",
            end.sql_type, target.sql_type
        )
    })
}

/// MySQL 8.4 and later want a unique key of these columns and no others (`restrict_fk_on_non_standard_key`).
fn key(
    case: &Case<'_>,
    constraint: &Constraint,
    other: &TableFacts,
    references: &TableName,
) -> Option<String> {
    let indexes = other.indexes.known()?;
    let standard =
        case.server.engine == Engine::MySql && (case.server.major, case.server.minor) >= (8, 4);
    let wanted = &constraint.referenced;
    let is_key = indexes.iter().any(|index| {
        begins(&index.key.parts, wanted)
            && (!standard
                || index.key.parts.len() == wanted.len()
                    && (index.primary || index.kind == IndexKind::Unique))
    });
    (!wanted.is_empty() && !is_key).then(|| {
        let columns: Vec<&str> = wanted.iter().map(ColumnName::as_str).collect();
        format!("no key of {references} is over {}", columns.join(", "))
    })
}
