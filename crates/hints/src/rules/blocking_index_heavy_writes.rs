//! `blocking-index-heavy-writes`: an index is built on a large table under heavy writes while writers wait.
//!
//! It rests on a measured rate; without one, size alone speaks.

use std::collections::BTreeSet;

use dbop_model::finding::Finding;
use dbop_model::table::FactRequest;

use crate::case::Case;
use crate::judge::heavy_writes;
use crate::rules::{Rule, words};
use crate::steps::Step;

pub(crate) const RULE: Rule = Rule {
    id: "blocking-index-heavy-writes",
    title: "An index is built on a large table under heavy writes while writers wait",
    page: &crate::pages::BLOCKING_INDEX_HEAVY_WRITES,
    wants,
    judge,
};

fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    if words::indexing(step.operation).is_some() {
        wanted.extend(step.tables().iter().cloned().map(FactRequest::Writes));
    }
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    match words::indexing(case.step.operation) {
        Some(what) => heavy_writes::judge(case, RULE.id, &what),
        None => Vec::new(),
    }
}
