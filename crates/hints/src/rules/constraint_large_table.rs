//! `constraint-large-table`: a constraint is held against every row of a large table while others wait.

use std::collections::BTreeSet;

use dbop_model::Fact;
use dbop_model::finding::{Finding, Verdict};
use dbop_model::operation::{ConstraintKind, Operation, TableChange};
use dbop_model::table::{FactRequest, TableFacts, TableName};

use crate::case::{Case, unknown};
use crate::judge::large_table;
use crate::partition::implied;
use crate::rules::{Rule, words};
use crate::size::{Size, in_words, weigh};
use crate::steps::Step;

pub(crate) const RULE: Rule = Rule {
    id: "constraint-large-table",
    title: "A constraint is held against every row of a large table while others wait",
    page: &crate::pages::CONSTRAINT_LARGE_TABLE,
    wants,
    judge,
};

/// The table that becomes a partition.
fn attached(operation: &Operation) -> Option<&TableName> {
    match operation {
        Operation::ChangeTable {
            change: TableChange::AttachPartition { partition, .. },
            ..
        } => Some(partition),
        _ => None,
    }
}

/// The predicted effect and the size are asked for with every operation.
fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    if attached(step.operation).is_some() {
        wanted.extend(step.others().iter().cloned().map(FactRequest::Constraints));
        wanted.extend(step.others().iter().cloned().map(FactRequest::Indexes));
    }
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    let Some(what) = words::constraining(case.step.operation) else {
        return Vec::new();
    };
    let mut findings = large_table::judge(case, RULE.id, &what);
    if case.prediction.refused.is_none() {
        findings.extend(judge_attached(case, &what));
    }
    findings
}

/// The partition itself is read under ACCESS EXCLUSIVE, unless a valid CHECK implies its bound (manual, ALTER TABLE,
/// ATTACH PARTITION), and every index of the parent is there already.
fn judge_attached(case: &Case<'_>, what: &str) -> Option<Finding> {
    let partition = attached(case.step.operation)?;
    let facts = case
        .step
        .others()
        .iter()
        .find_map(|name| case.facts_of(name))?;
    if facts.any_row.is_known_and(|any| !any) {
        return None;
    }
    let proven = is_proven(case, facts) && has_every_index(case, facts);
    let reads = format!("{what}: every row of {partition} is read while nobody reads or writes it");
    let (verdict, claim) = match weigh(facts, case.policy) {
        _ if proven => return None,
        Size::Small => return None,
        Size::Large => (Verdict::Blocks, reads),
        Size::Unknown(why) => (
            unknown(&why),
            format!("{reads}, and how large it is cannot be seen: {why}"),
        ),
    };
    let table = case.dialect().table(partition);
    Some(Finding {
        evidence: in_words(facts)
            .map(|(value, source)| case.seen(value, source))
            .into_iter()
            .collect(),
        advice: vec![format!(
            "give {table} a CHECK that implies its bound first, as NOT VALID; validate that in another \
             transaction; then attach it"
        )],
        ..case.finding(RULE.id, verdict, claim)
    })
}

/// Do valid CHECKs of the partition, or those that this migration has validated, imply the bound?
fn is_proven(case: &Case<'_>, facts: &TableFacts) -> bool {
    let Operation::ChangeTable {
        change: TableChange::AttachPartition {
            bound: Some(bound), ..
        },
        ..
    } = case.step.operation
    else {
        return false;
    };
    let how = case.present().and_then(|parent| parent.partitioned.known());
    let (Some(Some(how)), Fact::Known(constraints)) = (how, &facts.constraints) else {
        return false;
    };
    let known = constraints
        .iter()
        .filter(|known| known.kind == ConstraintKind::Check && known.validated)
        .filter_map(|known| known.condition.as_deref());
    let made = case
        .step
        .made_there()
        .iter()
        .filter(|made| made.validated && made.constraint.kind() == ConstraintKind::Check)
        .filter_map(|made| made.constraint.expression.as_deref());
    let conditions: Vec<String> = known
        .chain(made)
        .map(|condition| condition.replace(" and ", " AND "))
        .collect();
    let conditions: Vec<&str> = conditions.iter().map(String::as_str).collect();
    let key = how.by.split_once(" (").map_or("", |(_, key)| key);
    let not_null = facts
        .columns
        .iter()
        .any(|(name, column)| key.trim_end_matches(')') == name.as_str() && !column.nullable);
    implied(&how.by, bound, &conditions, not_null)
}

/// Has the partition an index for each of the parent's, so that none is built?
fn has_every_index(case: &Case<'_>, facts: &TableFacts) -> bool {
    let parent = case.present().and_then(|parent| parent.indexes.known());
    let (Some(parent), Fact::Known(own)) = (parent, &facts.indexes) else {
        return false;
    };
    parent.iter().all(|index| {
        own.iter()
            .any(|own| own.key == index.key && own.kind >= index.kind && own.valid)
    })
}

#[cfg(test)]
mod tests {
    use dbop_model::dependent::Partitioned;

    use super::*;
    use crate::testing::{check, large, present};

    #[test]
    fn a_large_partition_without_a_check_is_read() {
        let attach = [Operation::ChangeTable {
            table: "users".parse().unwrap(),
            change: TableChange::AttachPartition {
                partition: "users_9".parse().unwrap(),
                bound: Some("FOR VALUES FROM (1) TO (9)".to_owned()),
            },
        }];
        let parent = "Clean: attaching users_9 to users: the parent itself is not read";
        check(
            RULE.id,
            &attach,
            &large(),
            &format!(
                "{parent}\nBlocks: attaching users_9 to users: every row of users_9 is read while \
                 nobody reads or writes it"
            ),
        );
        check(RULE.id, &attach, &present(), parent);
        let mut checked: TableFacts = large();
        checked.constraints = dbop_model::Fact::Known(vec![dbop_model::table::ConstraintFacts {
            name: crate::testing::name("bound"),
            kind: ConstraintKind::Check,
            columns: vec![crate::testing::name("id")],
            condition: Some("((id >= 1) AND (id < 9))".to_owned()),
            validated: true,
            other: None,
            incoming: false,
            cascades: false,
            sets_null: false,
        }]);
        checked.partitioned = Fact::Known(Some(Partitioned {
            by: "RANGE (id)".to_owned(),
            partitions: Vec::new(),
        }));
        check(RULE.id, &attach, &checked, parent);
    }
}
