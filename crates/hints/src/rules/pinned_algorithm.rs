//! `pinned-algorithm`: a statement asks for an ALGORITHM or LOCK that the server cannot give it (MySQL, MariaDB).
//!
//! Asking is the safe way: such a statement fails before it does anything, rather than taking a slower way.

use std::collections::BTreeSet;

use dbop_model::finding::{Finding, Verdict};
use dbop_model::table::FactRequest;

use crate::case::Case;
use crate::judge::advice;
use crate::rules::Rule;
use crate::steps::Step;

pub(crate) const RULE: Rule = Rule {
    id: "pinned-algorithm",
    title: "A statement asks for an ALGORITHM or LOCK that the server cannot give it",
    wants,
    judge,
};

/// What the effect rests on is asked for with every operation.
fn wants(_step: &Step<'_>, _wanted: &mut BTreeSet<FactRequest>) {}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    match &case.prediction.refused {
        Some(refusal) if refusal.pinned => {
            let mut advice =
                vec!["leave it out, if the table may be locked for as long as it takes".to_owned()];
            advice.extend(advice::copied_outside(case));
            vec![Finding {
                advice,
                ..case.finding(
                    RULE.id,
                    Verdict::WillFail,
                    format!("{}: {}", case.step.operation, refusal.why),
                )
            }]
        }
        _ => Vec::new(),
    }
}
