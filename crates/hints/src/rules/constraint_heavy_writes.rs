//! `constraint-heavy-writes`: a constraint shuts writers out of a large table under heavy writes.
//!
//! It rests on a measured rate; without one, size alone speaks. Changes of types and whole tables are judged here, too:
//! to a writer it is all one why it waits.

use std::collections::BTreeSet;

use dbop_model::finding::Finding;
use dbop_model::operation::Operation;
use dbop_model::table::FactRequest;

use crate::case::Case;
use crate::judge::heavy_writes;
use crate::rules::{Rule, words};
use crate::steps::Step;

pub(crate) const RULE: Rule = Rule {
    id: "constraint-heavy-writes",
    title: "A constraint or another change shuts writers out of a large table under heavy writes",
    page: &crate::pages::CONSTRAINT_HEAVY_WRITES,
    wants,
    judge,
};

fn what(operation: &Operation) -> Option<String> {
    words::constraining(operation)
        .or_else(|| words::not_null(operation))
        .or_else(|| words::altering(operation))
        .or_else(|| words::changing(operation))
}

fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    if what(step.operation).is_some() {
        wanted.extend(step.tables().iter().cloned().map(FactRequest::Writes));
        wanted.extend(step.others().iter().cloned().map(FactRequest::Writes));
    }
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    match what(case.step.operation) {
        Some(what) => heavy_writes::judge(case, RULE.id, &what),
        None => Vec::new(),
    }
}
