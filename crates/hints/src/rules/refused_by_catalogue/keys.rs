//! Keys that do not fit: a second primary key, an index that cannot become a constraint's, a foreign key to no key.

use std::collections::BTreeSet;

use dbop_model::dependent::{DependentKind, PartOf};
use dbop_model::operation::{Constraint, ConstraintKind, IndexKind, IndexPart, Operation};
use dbop_model::table::{ColumnName, FactRequest, IndexFacts, TableFacts, TableKind};
use dbop_model::{Engine, Fact};

use super::dependents::known;
use super::{Refusal, one, seen};
use crate::case::Case;
use crate::steps::{ColumnStanding, Object, Standing, Step};

/// The constraints that an operation adds, with those of the columns that it adds.
fn added<'a>(case: &Case<'a>) -> Vec<&'a Constraint> {
    match case.step.operation {
        Operation::AddConstraint { constraint, .. } => vec![constraint],
        Operation::AddColumn { columns, .. } => columns
            .iter()
            .filter(|column| {
                // IF NOT EXISTS passes over the column with all that it has.
                let there = case
                    .present()
                    .is_some_and(|facts| facts.columns.contains_key(&column.name));
                !there
            })
            .flat_map(|column| &column.constraints)
            .collect(),
        _ => Vec::new(),
    }
}

/// A primary key for a table that has one.
pub(super) fn second_primary_key(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    let adds = added(case)
        .iter()
        .any(|constraint| constraint.kind() == ConstraintKind::PrimaryKey);
    let Fact::Known(indexes) = &facts.indexes else {
        return Vec::new();
    };
    let drops = |operation: &Operation| {
        matches!(operation, Operation::DropConstraint { constraint, .. }
            if constraint.kind_said && constraint.kind() == ConstraintKind::PrimaryKey)
    };
    // Dropped by its kind, in this statement or before (MySQL, and hints).
    let replaced = case.step.statement.operations.iter().any(drops) || case.step.has_lost_key();
    let primary = indexes.iter().find(|index| index.primary);
    let stands = |index: &&IndexFacts| {
        let object = Object::Constraint(case.step.names(), index.name.clone());
        let lost = index.key.parts.iter().any(|part| match part {
            IndexPart::Column(column) => case.step.is_dropped(column),
            _ => false,
        });
        case.step.is_made(&object) != Some(false) && !lost && !replaced
    };
    one(primary.filter(stands).filter(|_| adds).map(|index| {
        let name = &index.name;
        seen(
            case,
            format!("primary key {name}"),
            format!("{} has a primary key already: {name}", case.table()),
            vec![
                "drop the old one in the same statement".to_owned(),
                "or make the columns unique and NOT NULL, which is a key to all but its name"
                    .to_owned(),
            ],
        )
    }))
}

/// An index that cannot become a constraint's own (manual, ALTER TABLE, ADD table_constraint_using_index): it is there,
/// unique, over whole columns and all rows, valid, and sorted as usual.
pub(super) fn using_index(case: &Case<'_>) -> Vec<Refusal> {
    let (Some(facts), Operation::AddConstraint { constraint, .. }) =
        (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    let (Some(name), Fact::Known(indexes)) = (&constraint.using_index, &facts.indexes) else {
        return Vec::new();
    };
    let refused = |why: String, advice: &str| {
        seen(
            case,
            why.clone(),
            format!("the index {name} cannot become the constraint's: {why}"),
            vec![advice.to_owned()],
        )
    };
    let made = case
        .step
        .created_indexes()
        .iter()
        .rev()
        .find(|index| index.name.as_ref() == Some(name));
    if let Some(made) = made {
        let computed = made
            .parts
            .iter()
            .any(|part| matches!(part, IndexPart::Expression(_)));
        let why = match () {
            () if made.kind != IndexKind::Unique => "it is not unique",
            () if computed => "it is over an expression",
            () if made.predicate.is_some() => "it is over only some of the rows",
            () => return Vec::new(),
        };
        return vec![refused(
            why.to_owned(),
            "create a unique index on whole columns",
        )];
    }
    let object = Object::Index(case.step.names(), name.clone());
    let found = indexes.iter().find(|index| index.name == *name);
    let Some(found) = found.filter(|_| case.step.is_made(&object) != Some(false)) else {
        return vec![refused(
            format!("{} has no index {name}", case.table()),
            "create the unique index first, CONCURRENTLY, in a file of its own",
        )];
    };
    let computed = found
        .key
        .parts
        .iter()
        .any(|part| matches!(part, IndexPart::Expression(_)));
    let owned = facts.constraints.is_known_and(|constraints| {
        constraints.iter().any(|known| {
            known.name == *name
                && !known.incoming
                && matches!(
                    known.kind,
                    ConstraintKind::Unique | ConstraintKind::PrimaryKey | ConstraintKind::Exclude
                )
        })
    });
    let why = match () {
        () if owned => "it is a constraint's already",
        () if !found.valid => "it is invalid",
        () if found.kind != IndexKind::Unique => "it is not unique",
        () if computed => "it is over an expression, or sorted in a way of its own",
        () if found.key.predicate.is_some() => "it is over only some of the rows",
        () => return Vec::new(),
    };
    vec![refused(
        why.to_owned(),
        "create a unique index on whole columns, CONCURRENTLY, in a file of its own",
    )]
}

/// A unique index or constraint of a partitioned table holds the whole partition key (manual, section 5.12.2.3).
pub(super) fn without_partition_key(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case
        .present()
        .filter(|facts| facts.kind == TableKind::Partitioned)
    else {
        return Vec::new();
    };
    let mut keys: Vec<Vec<&ColumnName>> = added(case)
        .into_iter()
        .filter(|constraint| constraint.using_index.is_none())
        .filter(|constraint| {
            matches!(
                constraint.kind(),
                ConstraintKind::Unique | ConstraintKind::PrimaryKey
            )
        })
        .map(|constraint| constraint.columns().iter().collect())
        .collect();
    if let Operation::CreateIndex { index, .. } = case.step.operation
        && index.kind == IndexKind::Unique
    {
        keys.push(
            index
                .parts
                .iter()
                .filter_map(|part| match part {
                    IndexPart::Column(name) => Some(name),
                    _ => None,
                })
                .collect(),
        );
    }
    let by_expression = facts
        .partitioned
        .is_known_and(|how| how.as_ref().is_some_and(|how| computed(&how.by)))
        // MySQL and MariaDB ask for the columns that the expression reads.
        && case.server.engine == Engine::PostgreSql;
    let key_columns = || {
        known(facts)
            .iter()
            .filter_map(|dependent| match &dependent.on {
                PartOf::Column(name) if dependent.kind == DependentKind::PartitionKey => Some(name),
                _ => None,
            })
    };
    let refusals = keys.into_iter().filter_map(|key| {
        let left_out = key_columns().find(|column| {
            !key.iter().any(|name| {
                matches!(case.step.column(name, facts), ColumnStanding::Present(today, _) if today == **column)
            })
        });
        let why = match left_out {
            Some(column) => format!("it leaves out {column}, by which the table is partitioned"),
            None if by_expression => "the table is partitioned by an expression".to_owned(),
            None => return None,
        };
        Some(seen(
            case,
            why.clone(),
            format!("{} cannot be: {why}", case.step.operation),
            vec![
                "add the columns of the partition key to it".to_owned(),
                "or make it unique in each partition, which does not hold across them".to_owned(),
            ],
        ))
    });
    refusals.collect()
}

/// Is a partition key as `pg_get_partkeydef` writes it (`RANGE (lower(name))`) more than columns?
fn computed(by: &str) -> bool {
    let inner = by.split_once('(').map_or("", |(_, rest)| rest);
    inner.trim_end_matches(')').contains('(')
}

/// NULL in a primary key's or an identity column.
pub(super) fn nullable_key(case: &Case<'_>) -> Vec<Refusal> {
    let (Some(facts), Operation::AlterColumn { columns, .. }) =
        (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    let nullable = columns
        .iter()
        .filter(|column| column.nullable == Some(true) && !column.redefined);
    let refusals = nullable.filter_map(|column| {
        let ColumnStanding::Present(today, _) = case.step.column(&column.name, facts) else {
            return None;
        };
        let in_key = facts.indexes.known().and_then(|indexes| {
            indexes.iter().find(|index| {
                let object = Object::Constraint(case.step.names(), index.name.clone());
                index.primary
                    && index.key.parts.contains(&IndexPart::Column(today.clone()))
                    && case.step.is_made(&object) != Some(false)
            })
        });
        let identity = known(facts).iter().any(|dependent| {
            dependent.kind == DependentKind::Identity
                && dependent.on == PartOf::Column(today.clone())
        });
        let why = match in_key {
            Some(index) => format!("it is in the primary key {}", index.name),
            None if identity => "it is an identity column".to_owned(),
            None => return None,
        };
        Some(seen(
            case,
            why.clone(),
            format!("column {} cannot hold NULL: {why}", column.name),
            vec!["drop the key or the identity before, if the column is to hold NULL".to_owned()],
        ))
    });
    refusals.collect()
}

/// Of the table that a foreign key refers to, what keys it has.
pub(super) fn wants_other(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    let references = match step.operation {
        Operation::AddConstraint { constraint, .. } => {
            constraint.kind() == ConstraintKind::ForeignKey
        }
        Operation::AddColumn { columns, .. } => columns
            .iter()
            .flat_map(|column| &column.constraints)
            .any(|constraint| constraint.kind() == ConstraintKind::ForeignKey),
        _ => false,
    };
    if references {
        for other in step.others() {
            wanted.insert(FactRequest::Table(other.clone()));
            wanted.insert(FactRequest::Indexes(other.clone()));
            wanted.insert(FactRequest::Storage(other.clone()));
        }
    }
}

/// A foreign key to a table that is not there, or to columns that are no key of it (manual, section 5.5.5).
pub(super) fn refers_to_no_key(case: &Case<'_>) -> Vec<Refusal> {
    if matches!(case.standing, Standing::Missing | Standing::Unknown(_)) {
        return Vec::new();
    }
    let keys = added(case)
        .into_iter()
        .filter(|constraint| constraint.kind() == ConstraintKind::ForeignKey);
    keys.filter_map(|constraint| refers_nowhere(case, constraint))
        .collect()
}

fn refers_nowhere(case: &Case<'_>, constraint: &Constraint) -> Option<Refusal> {
    let other = constraint.references.as_ref()?;
    let itself = case.step.operation.table().may_be(other);
    // A table of the same migration: its statement says what keys it has, if it says all of it.
    let made = case.step.is_made(&Object::Relation(other.clone())) == Some(true);
    let defined = match itself {
        // Keys that stand behind in the same statement are not told yet.
        true => None,
        false => case
            .step
            .other_defined(other, case.server.engine)
            .filter(|_| made),
    };
    if itself {
        return refers_to_itself(case, constraint);
    }
    if made && defined.is_none() {
        return None;
    }
    let today: Vec<_> = case
        .step
        .others()
        .iter()
        .filter(|name| name.name() == other.name() || case.step.others().len() == 1)
        .collect();
    let found = today.iter().find_map(|name| case.facts_of(name));
    let found = defined.as_ref().or(found);
    let Some(facts) = found else {
        let missing = !today.is_empty() && today.iter().all(|name| case.is_missing(name));
        let gone = case.step.is_made(&Object::Relation(other.clone())) == Some(false);
        return (missing || gone).then(|| {
            seen(
                case,
                format!("no table {other}"),
                format!("there is no table {other} to refer to"),
                vec!["correct the table's name, or create it before".to_owned()],
            )
        });
    };
    if let Some(why) = unlike(case, constraint, facts) {
        return Some(seen(
            case,
            why.clone(),
            format!("the foreign key cannot refer to {other}: {why}"),
            vec!["give both columns the same type first".to_owned()],
        ));
    }
    let Fact::Known(indexes) = &facts.indexes else {
        return None;
    };
    if defined.is_none() && case.step.has_changed(other) {
        return None;
    }
    let whole: Vec<Vec<&ColumnName>> = indexes
        .iter()
        .filter(|index| index.kind == IndexKind::Unique && index.valid && index.immediate)
        .filter(|index| index.key.predicate.is_none())
        .filter_map(whole_columns)
        .collect();
    let primary = indexes.iter().find(|index| index.primary);
    let why = if constraint.referenced.is_empty() {
        if !case.step.statement.is_sql() {
            return None;
        }
        match primary.and_then(whole_columns) {
            None => format!("{other} has no primary key"),
            Some(key) if key.len() != constraint.columns().len() => format!(
                "it has {} columns, and the primary key of {other} {}",
                constraint.columns().len(),
                key.len()
            ),
            Some(_) => return None,
        }
    } else if constraint.referenced.len() != constraint.columns().len() {
        format!(
            "it has {} columns, and refers to {}",
            constraint.columns().len(),
            constraint.referenced.len()
        )
    } else if let Some(column) = constraint
        .referenced
        .iter()
        .find(|column| !facts.columns.contains_key(column))
    {
        format!("{other} has no column {column}")
    } else {
        let wanted: BTreeSet<&ColumnName> = constraint.referenced.iter().collect();
        let is_key = whole
            .iter()
            .any(|key| key.iter().copied().collect::<BTreeSet<_>>() == wanted);
        if is_key {
            return None;
        }
        let columns: Vec<&str> = wanted.iter().map(|column| column.as_str()).collect();
        format!("no unique key of {other} is over {}", columns.join(", "))
    };
    Some(seen(
        case,
        why.clone(),
        format!("the foreign key cannot refer to {other}: {why}"),
        vec![
            "make a unique index on the columns first, and a constraint of it (USING INDEX)"
                .to_owned(),
            "or refer to a key of the table".to_owned(),
        ],
    ))
}

/// A foreign key of a new table to itself: the keys that its own statement says.
fn refers_to_itself(case: &Case<'_>, constraint: &Constraint) -> Option<Refusal> {
    let operations = &case.step.statement.operations;
    let complete = operations
        .iter()
        .any(|one| matches!(one, Operation::CreateTable { complete: true, .. }));
    let wanted: BTreeSet<&ColumnName> = constraint.referenced.iter().collect();
    let mut keys = operations.iter().filter_map(|one| match one {
        Operation::AddConstraint { constraint, .. } => Some(constraint),
        _ => None,
    });
    let is_key = keys.any(|one| match one.kind() {
        ConstraintKind::PrimaryKey | ConstraintKind::Unique => {
            wanted.is_empty() && one.kind() == ConstraintKind::PrimaryKey
                || one.columns().iter().collect::<BTreeSet<_>>() == wanted
        }
        _ => false,
    });
    let refused = complete && case.step.statement.defines(case.step.operation) && !is_key;
    refused.then(|| {
        let why = match wanted.is_empty() {
            true => "it has no primary key".to_owned(),
            false => {
                let columns: Vec<&str> = wanted.iter().map(|column| column.as_str()).collect();
                format!("no unique key of it is over {}", columns.join(", "))
            }
        };
        seen(
            case,
            why.clone(),
            format!("the foreign key cannot refer to {}: {why}", case.table()),
            vec!["give the table a key over these columns in the same statement".to_owned()],
        )
    })
}

/// Columns at the two ends whose values are not compared with each other.
fn unlike(case: &Case<'_>, constraint: &Constraint, other: &TableFacts) -> Option<String> {
    let own = case.present()?;
    let primary = other
        .indexes
        .known()
        .and_then(|indexes| indexes.iter().find(|index| index.primary))
        .and_then(whole_columns);
    let referenced: Vec<&ColumnName> = match constraint.referenced.as_slice() {
        [] => primary?,
        named => named.iter().collect(),
    };
    constraint
        .columns()
        .iter()
        .zip(referenced)
        .find_map(|(column, key)| {
            let from = match case.step.column(column, own) {
                ColumnStanding::Present(_, known) => known.sql_type,
                ColumnStanding::Added(added) => added.sql_type.as_ref()?.name().to_owned(),
                ColumnStanding::Missing => return None,
            };
            let to = &other.columns.get(key)?.sql_type;
            (family(&from)? != family(to)?)
                .then(|| format!("{column} is of type {from}, and {key} of {to}"))
        })
}

/// Types that are compared with each other, as the server or a migration writes them; `None`: not followed here.
fn family(sql_type: &str) -> Option<&'static str> {
    let lower = sql_type.to_ascii_lowercase();
    let bare = lower
        .split_once('(')
        .map_or(lower.as_str(), |(bare, _)| bare)
        .trim();
    Some(match bare {
        "smallint" | "integer" | "bigint" | "int" | "int2" | "int4" | "int8" | "numeric"
        | "decimal" | "real" | "double precision" => "number",
        "text" | "character varying" | "varchar" | "character" | "char" => "text",
        "uuid" => "uuid",
        "boolean" | "bool" => "boolean",
        "date" => "date",
        "bytea" => "bytes",
        _ => return None,
    })
}

/// The columns of an index, where it is over nothing else.
fn whole_columns(index: &IndexFacts) -> Option<Vec<&ColumnName>> {
    index
        .key
        .parts
        .iter()
        .map(|part| match part {
            IndexPart::Column(name) => Some(name),
            IndexPart::Prefix(..) | IndexPart::Expression(_) => None,
        })
        .collect()
}
