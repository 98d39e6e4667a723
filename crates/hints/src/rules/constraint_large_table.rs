//! `constraint-large-table`: a constraint is held against every row of a large table while others wait.

use std::collections::BTreeSet;

use dbop_model::finding::{Finding, Verdict};
use dbop_model::operation::{ConstraintKind, Operation, TableChange};
use dbop_model::table::{FactRequest, TableName};

use crate::case::{Case, unknown};
use crate::judge::large_table;
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
            change: TableChange::AttachPartition { partition },
            ..
        } => Some(partition),
        _ => None,
    }
}

/// The predicted effect and the size are asked for with every operation.
fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    if attached(step.operation).is_some() {
        wanted.extend(step.others().iter().cloned().map(FactRequest::Constraints));
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
/// ATTACH PARTITION). Which bound that is, the operation does not say: a valid CHECK is taken to be for it.
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
    let has_check = facts.constraints.is_known_and(|constraints| {
        constraints
            .iter()
            .any(|c| c.kind == ConstraintKind::Check && c.validated)
    });
    let reads = format!("{what}: every row of {partition} is read while nobody reads or writes it");
    let (verdict, claim) = match weigh(facts, case.policy) {
        _ if has_check => return None,
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
            "give it a CHECK that implies its bound first: ALTER TABLE {table} ADD CONSTRAINT ... \
             CHECK (...) NOT VALID; then, in another transaction, VALIDATE CONSTRAINT; then attach it"
        )],
        ..case.finding(RULE.id, verdict, claim)
    })
}

#[cfg(test)]
mod tests {
    use dbop_model::table::TableFacts;

    use super::*;
    use crate::testing::{check, large, present};

    #[test]
    fn a_large_partition_without_a_check_is_read() {
        let attach = [Operation::ChangeTable {
            table: "users".parse().unwrap(),
            change: TableChange::AttachPartition {
                partition: "users_9".parse().unwrap(),
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
            condition: None,
            validated: true,
            other: None,
            incoming: false,
            cascades: false,
        }]);
        check(RULE.id, &attach, &checked, parent);
    }
}
