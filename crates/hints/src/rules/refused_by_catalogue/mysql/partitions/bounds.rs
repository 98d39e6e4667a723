//! Bounds of partitions that are added or defined: ranges that ascend, and lists that share no value.

use std::cmp::Ordering;

use dbop_model::dependent::Partitioned;
use dbop_model::operation::{
    NewPartition, PartitionBound, PartitionMethod, PartitionVerb, Partitioning,
};

use super::Why;
use crate::partition::{compare, share};

const ASCEND: &str =
    "let the bounds ascend, and split the last partition with REORGANIZE PARTITION";

/// Bounds among themselves.
pub(super) fn among(method: PartitionMethod, makes: &[NewPartition]) -> Why {
    let wrong = makes.iter().find(|made| match (method, &made.bound) {
        (PartitionMethod::Range, Some(PartitionBound::LessThan(_)))
        | (PartitionMethod::List, Some(PartitionBound::In(_) | PartitionBound::Default)) => false,
        (PartitionMethod::Range | PartitionMethod::List, _) => true,
        (_, bound) => bound.is_some(),
    });
    if let Some(made) = wrong {
        let why = format!(
            "the VALUES of {} are none of a {}",
            made.name,
            method.as_str()
        );
        return Some((why, "write VALUES as the table is partitioned"));
    }
    let pairs = makes
        .iter()
        .enumerate()
        .flat_map(|(at, made)| makes[..at].iter().map(move |before| (before, made)));
    for (before, made) in pairs {
        if before.name == made.name {
            return Some((
                format!("two partitions are called {}", made.name),
                "choose another name",
            ));
        }
        match (&before.bound, &made.bound) {
            (Some(PartitionBound::LessThan(one)), Some(PartitionBound::LessThan(two)))
                if is_not_above(&joined(one), &joined(two)) =>
            {
                return Some((
                    format!(
                        "the bound of {} is not above that of {}",
                        made.name, before.name
                    ),
                    ASCEND,
                ));
            }
            (Some(PartitionBound::In(one)), Some(PartitionBound::In(two)))
                if share(&joined(one), &joined(two)) =>
            {
                return Some((
                    format!("{} and {} share a value", before.name, made.name),
                    "have each value in one list",
                ));
            }
            _ => {}
        }
    }
    None
}

/// New partitions among those that are there.
pub(super) fn misfit(method: PartitionMethod, how: &Partitioned, it: &Partitioning) -> Why {
    if !method.has_values() || it.makes.is_empty() {
        return None;
    }
    if let Some(why) = among(method, &it.makes) {
        return Some(why);
    }
    match (method, it.verb) {
        (PartitionMethod::Range, PartitionVerb::Add) => {
            let last = how.partitions.last()?;
            let first = bound_of(it.makes.first()?)?;
            is_not_above(&last.bound, &first).then(|| {
                (
                    format!(
                        "the bound of {} is not above that of {}, which is the last",
                        it.makes[0].name,
                        last.table.name()
                    ),
                    ASCEND,
                )
            })
        }
        (PartitionMethod::Range, _) => reorganized(how, it),
        _ => listed(how, it),
    }
}

/// Ranges that are split or joined keep their bounds, but the last one's, which may grow; and are neighbours.
fn reorganized(how: &Partitioned, it: &Partitioning) -> Why {
    let places: Vec<usize> = it
        .of
        .iter()
        .filter_map(|name| {
            let is = |one: &dbop_model::dependent::Partition| {
                one.table.name().eq_ignore_ascii_case(name.as_str())
            };
            how.partitions.iter().position(is)
        })
        .collect();
    if places.windows(2).any(|pair| pair[1] != pair[0] + 1) {
        return Some((
            "its partitions are no neighbours in their order".to_owned(),
            "name them in their order, without one left out",
        ));
    }
    let at = *places.last()?;
    let old = &how.partitions.get(at)?.bound;
    let new = bound_of(it.makes.last()?)?;
    let is_last = at + 1 == how.partitions.len();
    let fits = match compare(&new, old)? {
        Ordering::Equal => true,
        Ordering::Greater => is_last,
        Ordering::Less => false,
    };
    (!fits).then(|| {
        (
            format!("the last bound would be {new}, and was {old}"),
            "let the last of the new partitions end where the last of the old ones does",
        )
    })
}

/// A value of a list that another partition has.
fn listed(how: &Partitioned, it: &Partitioning) -> Why {
    let stays = |one: &&dbop_model::dependent::Partition| {
        !it.of
            .iter()
            .any(|name| one.table.name().eq_ignore_ascii_case(name.as_str()))
    };
    for made in &it.makes {
        let bound = bound_of(made)?;
        let mut others = how.partitions.iter().filter(stays);
        if let Some(other) = others.find(|other| share(&other.bound, &bound)) {
            return Some((
                format!("{} and {} share a value", other.table.name(), made.name),
                "have each value in one list",
            ));
        }
    }
    None
}

fn bound_of(made: &NewPartition) -> Option<String> {
    match made.bound.as_ref()? {
        PartitionBound::LessThan(values) | PartitionBound::In(values) => Some(joined(values)),
        PartitionBound::Default => None,
    }
}

fn joined(values: &[String]) -> String {
    values.join(",")
}

fn is_not_above(one: &str, two: &str) -> bool {
    compare(two, one).is_some_and(|order| order != Ordering::Greater)
}
