//! Is there room for further sessions? Where there is none, applications that start do not connect.

use dbop_model::health::{Check, Connections, Problem, State};

use super::{Case, CheckRow, Judge, known, outcome};
use crate::words::{percent, step};

pub(super) const ROW: CheckRow = CheckRow {
    check: Check::Connections,
    title: "sessions against the connections that applications can have",
    judge: Judge::Looked(|case| known(judge(case))),
};

fn judge<'a>(case: &Case<'a>) -> Result<State, &'a dbop_model::Why> {
    let limits = case.facts.connections.as_result()?.iter();
    let full = limits.filter_map(|limit| problem(limit, case.spec.connections_percent));
    Ok(outcome(full.collect(), None))
}

fn problem(limit: &Connections, threshold: u8) -> Option<Problem> {
    let used = percent(limit.used, limit.room());
    (used >= u64::from(threshold)).then(|| Problem {
        table: None,
        message: format!(
            "{} % or more of the {} connections that {} has for applications are used",
            step(used.min(100)),
            limit.room(),
            limit.of
        ),
        advice: "end sessions that nobody needs, put a pooler between, or raise the limit"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use dbop_model::{Fact, Why};

    use super::*;
    use crate::testing::{is_ok, is_unknown, problem, well};

    fn with(used: u64, max: u64, reserved: u64) -> dbop_model::health::HealthFacts {
        let mut facts = well();
        facts.connections = Fact::Known(vec![Connections {
            of: "the server",
            used,
            max,
            reserved,
        }]);
        facts
    }

    #[test]
    fn it_fires_at_the_threshold_of_what_is_not_reserved() {
        is_ok(&with(79, 103, 3), Check::Connections);
        assert_eq!(
            problem(&with(80, 103, 3), Check::Connections),
            "80 % or more of the 100 connections that the server has for applications are used; \
             end sessions that nobody needs, put a pooler between, or raise the limit"
        );
        // All of them, and a superuser's besides.
        assert!(problem(&with(103, 103, 3), Check::Connections).starts_with("100 %"));
    }

    #[test]
    fn what_changes_a_little_says_the_same() {
        let said = |used| problem(&with(used, 103, 3), Check::Connections);
        assert_eq!(said(80), said(84));
        assert_ne!(said(84), said(85));
    }

    #[test]
    fn unseen_is_unknown() {
        let mut facts = well();
        facts.connections = Fact::Unknown(Why::new("no right"));
        is_unknown(&facts, Check::Connections, "no right");
    }
}
