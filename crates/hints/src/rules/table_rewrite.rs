//! `table-rewrite`: any other change rewrites or reads a large table while others wait.

use std::collections::BTreeSet;

use dbop_model::finding::Finding;
use dbop_model::table::FactRequest;

use crate::case::Case;
use crate::judge::large_table;
use crate::rules::{Rule, words};
use crate::steps::Step;

pub(crate) const RULE: Rule = Rule {
    id: "table-rewrite",
    title: "Another change rewrites or reads a large table while others wait",
    page: &crate::pages::TABLE_REWRITE,
    wants,
    judge,
};

/// The predicted effect and the size decide, and both are asked for with every operation.
fn wants(_step: &Step<'_>, _wanted: &mut BTreeSet<FactRequest>) {}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    match words::changing(case.step.operation) {
        Some(what) => large_table::judge(case, RULE.id, &what),
        None => Vec::new(),
    }
}
