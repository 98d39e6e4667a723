//! `refused-statement`: the server refuses a statement whatever the data are: its version lacks it, or the place is wrong.

use std::collections::BTreeSet;

use dbop_model::finding::{Finding, Verdict};
use dbop_model::table::FactRequest;

use crate::case::Case;
use crate::rules::Rule;
use crate::steps::Step;

pub(crate) const RULE: Rule = Rule {
    id: "refused-statement",
    title: "The server refuses a statement whatever the data are",
    page: &crate::pages::REFUSED_STATEMENT,
    wants,
    judge,
};

/// What the effect rests on is asked for with every operation.
fn wants(_step: &Step<'_>, _wanted: &mut BTreeSet<FactRequest>) {}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    match &case.prediction.refused {
        Some(refusal) if !refusal.pinned => vec![Finding {
            evidence: case.seen_on_copy().into_iter().collect(),
            advice: refusal.advice.clone(),
            ..case.finding(
                RULE.id,
                Verdict::WillFail,
                format!("{}: {}", case.step.operation, refusal.why),
            )
        }],
        _ => Vec::new(),
    }
}
