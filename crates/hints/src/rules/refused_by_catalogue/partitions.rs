//! Partitions whose rows are another's already, and tables that are none.

use std::collections::BTreeSet;

use dbop_model::dependent::{Partition, Partitioned};
use dbop_model::operation::{Operation, TableChange};
use dbop_model::table::{FactRequest, TableFacts, TableKind, TableName};
use dbop_model::{Fact, Why};

use super::{Refusal, of_table, one, seen};
use crate::case::Case;
use crate::partition::{is_default, meet};
use crate::steps::{Object, Step};

pub(super) fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    let asks = matches!(
        step.operation,
        Operation::ChangeTable {
            change: TableChange::AttachPartition { .. }
                | TableChange::CreatePartition { .. }
                | TableChange::DetachPartition { .. },
            ..
        }
    );
    if asks {
        of_table(step, wanted, FactRequest::Dependents);
    }
}

/// How the table is partitioned; `Err`: a refusal, where it is not.
fn partitioned<'a>(
    case: &Case<'_>,
    facts: &'a TableFacts,
) -> Result<Option<&'a Partitioned>, Refusal> {
    if facts.kind != TableKind::Partitioned {
        return Err(seen(
            case,
            "a table that is not partitioned",
            format!("{} is not partitioned", case.table()),
            vec![
                "make a partitioned table under another name, attach this one to it as a partition, \
                 and swap the names"
                    .to_owned(),
            ],
        ));
    }
    let unseen: &Fact<Option<Partitioned>> = &facts.partitioned;
    let known: Result<_, &Why> = unseen.as_result();
    Ok(known.ok().and_then(Option::as_ref))
}

/// A partition that is attached or created.
pub(super) fn attach(case: &Case<'_>) -> Vec<Refusal> {
    let Operation::ChangeTable { change, .. } = case.step.operation else {
        return Vec::new();
    };
    let (partition, bound, attached) = match change {
        TableChange::AttachPartition { partition, bound } => (partition, bound, true),
        TableChange::CreatePartition { partition, bound } => (partition, bound, false),
        _ => return Vec::new(),
    };
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    let how = match partitioned(case, facts) {
        Ok(Some(how)) => how,
        Ok(None) => return Vec::new(),
        Err(refusal) => return vec![refusal],
    };
    let stands = |known: &&Partition| {
        let of = &known.table;
        case.step.is_made(&Object::Relation(of.clone())) != Some(false)
            && !case.step.has_detached(of)
    };
    let mut refusals = Vec::new();
    let mut there = how.partitions.iter().filter(stands);
    if attached && there.clone().any(|known| partition.may_be(&known.table)) {
        refusals.push(seen(
            case,
            format!("partition {partition}"),
            format!("{partition} is a partition of {} already", case.table()),
            vec!["leave it out".to_owned()],
        ));
    }
    if let Some(bound) = bound
        && let Some(taken) = there.find(|known| meet(bound, &known.bound) == Some(true))
    {
        refusals.push(seen(
            case,
            format!("partition {} {}", taken.table, taken.bound),
            format!(
                "{partition} {bound} would overlap the partition {} {}",
                taken.table, taken.bound
            ),
            vec!["choose bounds that no partition has".to_owned()],
        ));
    }
    if attached {
        refusals.extend(unlike(case, facts, partition));
    }
    refusals
}

/// A table that becomes a partition has the parent's columns, no others, and NOT NULL where the parent has it.
fn unlike(case: &Case<'_>, parent: &TableFacts, partition: &TableName) -> Option<Refusal> {
    if case.step.has_changed(partition) || case.step.has_altered() {
        return None;
    }
    let facts = case
        .step
        .others()
        .iter()
        .find_map(|name| case.facts_of(name))?;
    let why = parent
        .columns
        .iter()
        .find_map(|(name, column)| match facts.columns.get(name) {
            None => Some(format!("{partition} has no column {name}")),
            Some(own) if own.sql_type != column.sql_type => Some(format!(
                "its column {name} is of type {}, and the parent's of {}",
                own.sql_type, column.sql_type
            )),
            Some(own) if own.nullable && !column.nullable => Some(format!(
                "its column {name} may hold NULL, and the parent's may not"
            )),
            Some(_) => None,
        })
        .or_else(|| {
            let more = facts
                .columns
                .keys()
                .find(|name| !parent.columns.contains_key(name))?;
            Some(format!("the parent has no column {more}"))
        })?;
    Some(seen(
        case,
        why.clone(),
        format!("{partition} cannot become a partition: {why}"),
        vec!["give it the parent's columns before".to_owned()],
    ))
}

/// A partition that is detached, and is none; or concurrently, beside a default partition (manual, ALTER TABLE).
pub(super) fn detach(case: &Case<'_>) -> Vec<Refusal> {
    let Operation::ChangeTable {
        change: TableChange::DetachPartition { partition, online },
        ..
    } = case.step.operation
    else {
        return Vec::new();
    };
    let Some(facts) = case.present() else {
        return Vec::new();
    };
    let how = match partitioned(case, facts) {
        Ok(Some(how)) => how,
        Ok(None) => return Vec::new(),
        Err(refusal) => return vec![refusal],
    };
    let is_one = how
        .partitions
        .iter()
        .any(|known| partition.may_be(&known.table));
    let made = case.step.has_attached(partition);
    if !(is_one || made) {
        return vec![seen(
            case,
            format!(
                "{} partitions, none of them {partition}",
                how.partitions.len()
            ),
            format!("{partition} is no partition of {}", case.table()),
            vec!["leave it out, or correct the name".to_owned()],
        )];
    }
    let default = how.partitions.iter().find(|known| is_default(&known.bound));
    one(default.filter(|_| *online).map(|default| {
        seen(
            case,
            format!("default partition {}", default.table),
            format!(
                "no partition of {} is detached CONCURRENTLY beside the default partition {}",
                case.table(),
                default.table
            ),
            vec![
                "detach it without CONCURRENTLY, with a lock_timeout: that takes an instant"
                    .to_owned(),
            ],
        )
    }))
}
