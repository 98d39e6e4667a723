//! `blocking-index-large-table`: an index is built on a large table while others wait.

use std::collections::BTreeSet;

use dbop_model::finding::Finding;
use dbop_model::table::FactRequest;

use crate::case::Case;
use crate::judge::large_table;
use crate::rules::{Rule, words};
use crate::steps::Step;

pub(crate) const RULE: Rule = Rule {
    id: "blocking-index-large-table",
    title: "An index is built on a large table while others wait",
    page: &crate::pages::BLOCKING_INDEX_LARGE_TABLE,
    wants,
    judge,
};

/// The predicted effect and the size decide, and both are asked for with every operation.
fn wants(_step: &Step<'_>, _wanted: &mut BTreeSet<FactRequest>) {}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    match words::indexing(case.step.operation) {
        Some(what) => large_table::judge(case, RULE.id, &what),
        None => Vec::new(),
    }
}
