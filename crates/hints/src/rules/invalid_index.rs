//! `invalid-index`: a statement counts on an index that a failed concurrent build left behind (PostgreSQL).
//!
//! `IF NOT EXISTS` skips it with no more than a NOTICE, and it is used by no query; `USING INDEX` refuses it.

use std::collections::BTreeSet;

use dbop_model::Fact;
use dbop_model::finding::{Finding, Verdict};
use dbop_model::operation::Operation;
use dbop_model::table::{ColumnName, FactRequest, IndexFacts};

use crate::case::Case;
use crate::rules::Rule;
use crate::steps::{Standing, Step};

pub(crate) const RULE: Rule = Rule {
    id: "invalid-index",
    title: "A statement counts on an index that a failed build left behind",
    page: &crate::pages::INVALID_INDEX,
    wants,
    judge,
};

/// The index that an operation finds or takes by its name.
fn counted_on(operation: &Operation) -> Option<&ColumnName> {
    match operation {
        Operation::CreateIndex { index, .. } => index.name.as_ref(),
        Operation::AddConstraint { constraint, .. } => constraint.using_index.as_ref(),
        _ => None,
    }
}

fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    if counted_on(step.operation).is_some() {
        wanted.extend(step.tables().iter().cloned().map(FactRequest::Indexes));
    }
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    let (Some(name), Standing::Present(facts)) = (counted_on(case.step.operation), &case.standing)
    else {
        return Vec::new();
    };
    let Fact::Known(indexes) = &facts.indexes else {
        return Vec::new();
    };
    let is_it = |index: &&IndexFacts| index.name == *name && !index.valid;
    if !indexes.iter().any(|index| is_it(&index)) || case.is_empty() {
        return Vec::new();
    }
    let index = case.dialect().column(name);
    let claim = format!(
        "{}: the index {name} is there and cannot be used, since a concurrent build of it failed",
        case.step.operation
    );
    vec![Finding {
        evidence: vec![case.seen(format!("the invalid index {name}"), "the catalogue")],
        advice: vec![format!(
            "drop it first, outside of a transaction: DROP INDEX CONCURRENTLY {index}; then build \
             it again, once what made it fail is gone (duplicates, mostly)"
        )],
        ..case.finding(RULE.id, Verdict::WillFail, claim)
    }]
}

#[cfg(test)]
mod tests {
    use dbop_model::operation::{Constraint, ConstraintKind, Index, IndexKind, IndexPart};
    use dbop_model::table::{TableFacts, UniqueKey};

    use super::*;
    use crate::testing::{check, name, present};

    fn leftover(valid: bool) -> TableFacts {
        let index = IndexFacts {
            name: name("k"),
            key: UniqueKey {
                parts: vec![IndexPart::Column(name("email"))],
                predicate: None,
                nulls_equal: false,
            },
            kind: IndexKind::Unique,
            primary: false,
            valid,
            immediate: true,
            bytes: None,
        };
        TableFacts {
            indexes: Fact::Known(vec![index]),
            ..present()
        }
    }

    #[test]
    fn what_a_failed_build_left_behind_is_no_index() {
        let mut index = Index::new(IndexKind::Unique, vec![name("email")]).with_online(true);
        index.name = Some(name("k"));
        index.if_not_exists = true;
        let create = [Operation::CreateIndex {
            table: "users".parse().unwrap(),
            index,
        }];
        let mut constraint = Constraint::new(ConstraintKind::Unique, vec![name("email")]).unwrap();
        constraint.using_index = Some(name("k"));
        let using = [Operation::AddConstraint {
            table: "users".parse().unwrap(),
            constraint,
        }];
        let claim =
            "the index k is there and cannot be used, since a concurrent build of it failed";
        check(
            RULE.id,
            &create,
            &leftover(false),
            &format!("WillFail: createIndex users(email) unique online: {claim}"),
        );
        check(
            RULE.id,
            &using,
            &leftover(false),
            &format!("WillFail: addConstraint users(email) unique: {claim}"),
        );
        check(RULE.id, &create, &leftover(true), "");
        check(RULE.id, &using, &leftover(true), "");
    }
}
