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
    page: &crate::pages::PINNED_ALGORITHM,
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

#[cfg(test)]
mod tests {
    use dbop_model::Engine;
    use dbop_model::finding::HintPolicy;
    use dbop_model::operation::{Algorithm, Operation, Statement};

    use crate::testing::{column, facts_of, large, other};
    use crate::{judge as judge_all, testing::NOW};

    /// It fails before it does anything: nothing is said to block.
    #[test]
    fn what_the_server_cannot_do_fails_and_does_not_block() {
        let stored = column("c").with_type("int generated always as (1) stored".parse().unwrap());
        let operation = Operation::add_column("users".parse().unwrap(), vec![stored]).unwrap();
        let statements = [Statement {
            algorithm: Some(Algorithm::Instant),
            ..Statement::from(operation)
        }];
        let facts = facts_of(&statements, large());
        let server = other(Engine::MySql, 8, 4);
        let judgement = judge_all(&server, &statements, &facts, &HintPolicy::default(), NOW);
        let got: Vec<String> = judgement
            .findings
            .iter()
            .map(|f| format!("{} {}: {}", f.rule, f.verdict, f.claim))
            .collect();
        assert_eq!(
            got,
            [
                "pinned-algorithm WILL FAIL: addColumn users.c int generated always as (1) stored: \
                 ALGORITHM=INSTANT is not possible here: it needs ALGORITHM=COPY, LOCK=SHARED"
            ]
        );
    }
}
