//! `add-column-heavy-writes`: adding a column shuts writers out of a large table under heavy writes.
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
    id: "add-column-heavy-writes",
    title: "Adding a column shuts writers out of a large table under heavy writes",
    page: &crate::pages::ADD_COLUMN_HEAVY_WRITES,
    wants,
    judge,
};

fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    if words::adding(step.operation).is_some() {
        wanted.extend(step.tables().iter().cloned().map(FactRequest::Writes));
    }
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    match words::adding(case.step.operation) {
        Some(what) => heavy_writes::judge(case, RULE.id, &what),
        None => Vec::new(),
    }
}
