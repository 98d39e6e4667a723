//! Partitions of MySQL and MariaDB: which are there, which bounds can be added, and tables that cannot be split (MySQL 8.4
//! manual, sections 26.3 and 26.6; errors 1178, 1214, 1480 to 1520, 1659, 1735).

mod bounds;
mod key;

use std::collections::BTreeSet;

use dbop_model::Engine;
use dbop_model::dependent::{Partition, Partitioned};
use dbop_model::operation::{
    ConstraintKind, IndexKind, Operation, PartitionMethod, PartitionVerb, Partitioning, TableChange,
};
use dbop_model::table::{ColumnName, FactRequest, IndexFacts, TableFacts, TableKind};

use super::super::{Refusal, of_table, one, seen};
use super::foreign_keys::keys;
use crate::case::Case;
use crate::effect::mysql::Type;
use crate::steps::{Object, Step};

/// Why the server refuses, and a way out.
type Why = Option<(String, &'static str)>;

pub(in super::super) fn wants_partitions(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    let Operation::ChangeTable {
        change: TableChange::Partitioning(partitioning),
        ..
    } = step.operation
    else {
        return;
    };
    of_table(step, wanted, FactRequest::Dependents);
    if partitioning.with.is_some() {
        for other in step.others() {
            wanted.insert(FactRequest::Table(other.clone()));
            wanted.insert(FactRequest::Constraints(other.clone()));
            wanted.insert(FactRequest::Indexes(other.clone()));
            wanted.insert(FactRequest::Storage(other.clone()));
        }
    }
}

/// What is done to partitions, and cannot be.
pub(in super::super) fn partitions_do_not_fit(case: &Case<'_>) -> Vec<Refusal> {
    let (
        Some(facts),
        Operation::ChangeTable {
            change: TableChange::Partitioning(partitioning),
            ..
        },
    ) = (case.present(), case.step.operation)
    else {
        return Vec::new();
    };
    // What these cannot do, they say in a row, and is no error.
    if matches!(
        partitioning.verb,
        PartitionVerb::Check | PartitionVerb::Optimize
    ) || !matches!(facts.kind, TableKind::Ordinary | TableKind::Partitioned)
    {
        return Vec::new();
    }
    let found = match partitioning.verb {
        PartitionVerb::By => key::misfit(case, facts, partitioning),
        _ => managed(case, facts, partitioning),
    };
    one(found.map(|(why, advice)| {
        seen(
            case,
            why.clone(),
            format!("{}: {why}", case.step.operation),
            vec![advice.to_owned()],
        )
    }))
}

/// Partitions of a table that has some, or has none.
fn managed(case: &Case<'_>, facts: &TableFacts, it: &Partitioning) -> Why {
    if facts.kind == TableKind::Ordinary {
        let split = split_before(case);
        return (!split).then(|| {
            (
                format!("{} is not partitioned", case.table()),
                "leave it out, or partition the table before",
            )
        });
    }
    // What was done to its partitions before, the catalogue does not say.
    if split_before(case) {
        return None;
    }
    let how = facts.partitioned.known()?.as_ref()?;
    let method = PartitionMethod::named(how.by.split('(').next()?)?;
    if method == PartitionMethod::Time {
        return None;
    }
    // Those that the migration has dropped before are gone.
    let how = &Partitioned {
        by: how.by.clone(),
        partitions: how
            .partitions
            .iter()
            .filter(|one| made_before(case, one.table.name()) != Some(false))
            .cloned()
            .collect(),
    };
    let names = missing(case, how, it).or_else(|| taken(case, how, it));
    if names.is_some() || case.step.has_added_partitions() {
        return names;
    }
    of_method(how, method, it)
        .or_else(|| bounds::misfit(method, how, it))
        .or_else(|| exchanged(case, facts, it))
}

/// Has the migration changed partitions of the table before?
fn split_before(case: &Case<'_>) -> bool {
    case.step.has_repartitioned()
}

fn named<'a>(how: &'a Partitioned, name: &ColumnName) -> Option<&'a Partition> {
    how.partitions
        .iter()
        .find(|one| one.table.name().to_lowercase() == name.as_str().to_lowercase())
}

/// Has the migration made a partition of this name before, or dropped it?
fn made_before(case: &Case<'_>, name: &str) -> Option<bool> {
    let name = ColumnName::ignoring_case(name).ok()?;
    case.step
        .is_made(&Object::OwnPartition(case.step.names(), name))
}

/// A partition that it is about, and that is not there.
fn missing(case: &Case<'_>, how: &Partitioned, it: &Partitioning) -> Why {
    // Parts of partitions have names, too, which are not listed.
    let has_parts = how.by.contains("SUBPARTITION") && it.verb != PartitionVerb::Drop;
    let gone = it
        .of
        .iter()
        .find(|name| named(how, name).is_none() && made_before(case, name.as_str()) != Some(true));
    gone.filter(|_| !has_parts).map(|name| {
        (
            format!("there is no partition {name}"),
            "correct the partition's name, or leave it out",
        )
    })
}

/// What partitions of one kind can do and those of another cannot.
fn of_method(how: &Partitioned, method: PartitionMethod, it: &Partitioning) -> Why {
    let kind = method.as_str();
    let has_bounds = it.makes.iter().any(|made| made.bound.is_some());
    let count = it.count.unwrap_or(0) as usize;
    Some(match it.verb {
        PartitionVerb::Drop if !method.has_values() => (
            format!("a partition of a {kind} cannot be dropped, for its rows would have none"),
            "write COALESCE PARTITION, which puts its rows into the others",
        ),
        PartitionVerb::Drop if it.of.len() >= how.partitions.len() => (
            "no partition would be left".to_owned(),
            "drop the table, or write REMOVE PARTITIONING",
        ),
        PartitionVerb::Coalesce if method.has_values() => (
            format!("partitions of a {kind} are not coalesced"),
            "write REORGANIZE PARTITION",
        ),
        PartitionVerb::Coalesce if count >= how.partitions.len() => (
            "no partition would be left".to_owned(),
            "write REMOVE PARTITIONING",
        ),
        PartitionVerb::Add if has_bounds && !method.has_values() => (
            format!("a partition of a {kind} has no VALUES"),
            "write ADD PARTITION PARTITIONS 1",
        ),
        PartitionVerb::Add if !has_bounds && method.has_values() => (
            format!("a partition of a {kind} needs VALUES"),
            "say which rows are its",
        ),
        _ => return None,
    })
}

/// Names of new partitions that others have, which stay.
fn taken(case: &Case<'_>, how: &Partitioned, it: &Partitioning) -> Why {
    let taken = it.makes.iter().enumerate().find(|(at, made)| {
        let again = it.makes[..*at].iter().any(|other| other.name == made.name);
        let there =
            named(how, &made.name).is_some() || made_before(case, made.name.as_str()) == Some(true);
        again || there && !it.of.contains(&made.name)
    });
    taken.map(|(_, made)| {
        (
            format!("there is a partition {} already", made.name),
            "choose another name",
        )
    })
}

/// A table that changes places with a partition has the same columns, and neither partitions nor foreign keys.
fn exchanged(case: &Case<'_>, facts: &TableFacts, it: &Partitioning) -> Why {
    let with = it.with.as_ref()?;
    let others = case.step.others();
    let Some(other) = others.iter().find_map(|name| case.facts_of(name)) else {
        let gone = !others.is_empty() && others.iter().all(|name| case.is_missing(name));
        return gone.then(|| {
            (
                format!("there is no table {with}"),
                "correct the table's name",
            )
        });
    };
    if case.step.has_altered() || case.step.has_changed(with) {
        return None;
    }
    let has_key = other
        .constraints
        .is_known_and(|all| all.iter().any(|one| one.kind == ConstraintKind::ForeignKey));
    let why = match () {
        () if other.kind == TableKind::Partitioned => format!("{with} is partitioned itself"),
        () if other.kind != TableKind::Ordinary => format!("{with} is no table"),
        () if has_key => format!("{with} has a foreign key, or is referred to"),
        () => unlike(facts, other)
            .or_else(|| other_engine(facts, other))
            .or_else(|| other_indexes(facts, other))?,
    };
    Some((why, "make the two tables alike before"))
}

/// Tables of two storage engines (error 1497).
fn other_engine(facts: &TableFacts, other: &TableFacts) -> Option<String> {
    let (one, two) = (facts.storage.known()?, other.storage.known()?);
    let differ = !one.engine.eq_ignore_ascii_case(&two.engine);
    differ.then(|| format!("one is of {}, the other of {}", one.engine, two.engine))
}

/// An index that only one of the two has (error 1736).
fn other_indexes(facts: &TableFacts, other: &TableFacts) -> Option<String> {
    let (one, two) = (facts.indexes.known()?, other.indexes.known()?);
    let lacks = |one: &[IndexFacts], two: &[IndexFacts]| {
        let has = |index: &IndexFacts| {
            let mut others = two.iter();
            others.any(|other| other.kind == index.kind && other.key.parts == index.key.parts)
        };
        one.iter()
            .find(|index| !has(index))
            .map(|index| index.name.clone())
    };
    let name = lacks(one, two).or_else(|| lacks(two, one))?;
    Some(format!("only one of the two has the index {name}"))
}

fn unlike(facts: &TableFacts, other: &TableFacts) -> Option<String> {
    let lacks = |one: &TableFacts, two: &TableFacts| {
        let mut names = one.columns.keys();
        names.find(|name| !two.columns.contains_key(name)).cloned()
    };
    if let Some(name) = lacks(facts, other).or_else(|| lacks(other, facts)) {
        return Some(format!("only one of the two has a column {name}"));
    }
    let differs = facts.columns.iter().find(|(name, column)| {
        other.columns.get(*name).is_some_and(|own| {
            own.sql_type != column.sql_type
                || own.nullable != column.nullable
                || own.charset != column.charset
        })
    });
    differs.map(|(name, column)| format!("its column {name} is {}", column.sql_type))
}

/// Does the server refuse geometries in a partitioned table? MariaDB 10.11.5 does (error 1178), 11.4.5 takes them
/// (measured); MySQL does (manual, section 26.6).
fn keeps_geometries_whole(case: &Case<'_>) -> bool {
    case.server.engine == Engine::MySql || case.server.major < 11
}

/// What partitioned tables cannot have, and comes to one (MySQL 8.4 manual, section 26.6).
pub(in super::super) fn partitioned_table_cannot_have(case: &Case<'_>) -> Vec<Refusal> {
    let Some(facts) = case.present().filter(|facts| {
        facts.kind == TableKind::Partitioned && !removes(case) && !split_before(case)
    }) else {
        return Vec::new();
    };
    let mysql = case.server.engine == Engine::MySql;
    let why = match case.step.operation {
        Operation::CreateIndex { index, .. } if mysql && index.kind == IndexKind::Fulltext => {
            "it is partitioned, and has no FULLTEXT index for that".to_owned()
        }
        Operation::CreateIndex { index, .. } if mysql && index.kind == IndexKind::Spatial => {
            "it is partitioned, and has no SPATIAL index for that".to_owned()
        }
        Operation::AddColumn { columns, .. } if keeps_geometries_whole(case) => {
            let shape = columns.iter().find(|column| {
                let of = column.sql_type.as_ref().map(|of| Type::read(of.name()));
                of.flatten().is_some_and(|of| of.is_geometry())
                    && !facts.columns.contains_key(&column.name)
            });
            match shape {
                Some(column) => format!("it is partitioned, and {} is a geometry", column.name),
                None => return Vec::new(),
            }
        }
        Operation::ChangeTable {
            change: TableChange::Engine { engine },
            ..
        } if mysql => format!("it is partitioned, which {engine} cannot be"),
        _ => return Vec::new(),
    };
    vec![seen(
        case,
        "a partitioned table",
        format!("{} of {}: {why}", case.step.operation.op(), case.table()),
        vec!["remove the partitions before, or leave it out".to_owned()],
    )]
}

/// Does the same statement take the partitions away?
fn removes(case: &Case<'_>) -> bool {
    case.step.statement.operations.iter().any(|one| {
        matches!(one, Operation::ChangeTable { change: TableChange::Partitioning(it), .. }
            if it.verb == PartitionVerb::Remove)
    })
}

/// A foreign key at either end of the table.
fn foreign_key(case: &Case<'_>, facts: &TableFacts) -> Option<String> {
    let added = case
        .step
        .statement
        .operations
        .iter()
        .find_map(|one| match one {
            Operation::AddConstraint { constraint, .. }
                if constraint.kind() == ConstraintKind::ForeignKey =>
            {
                Some("of the same statement".to_owned())
            }
            _ => None,
        });
    keys(case, facts)
        .next()
        .map(|key| key.name.to_string())
        .or(added)
}
