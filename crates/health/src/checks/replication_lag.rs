//! Do replicas follow? One that stopped is worse than any lag.

use std::time::Duration;

use dbop_model::Why;
use dbop_model::health::{Check, Lag, Problem, ReplicaLag, State};

use super::{Case, CheckRow, Judge, known, outcome};
use crate::words::span;

pub(super) const ROW: CheckRow = CheckRow {
    check: Check::ReplicationLag,
    title: "how far replicas are behind",
    judge: Judge::Looked(|case| known(judge(case))),
};

fn judge<'a>(case: &Case<'a>) -> Result<State, &'a Why> {
    let replicas = case.facts.replicas.as_result()?;
    let problems = replicas
        .iter()
        .filter_map(|one| problem(one, case.spec.replication_lag));
    let hidden = replicas.iter().find_map(|one| one.lag.unknown());
    Ok(outcome(problems.collect(), hidden))
}

fn problem(replica: &ReplicaLag, threshold: Duration) -> Option<Problem> {
    let (message, advice) = match replica.lag.known()? {
        Lag::Behind(lag) if *lag >= threshold => (
            format!(
                "replica {} is {} or more behind",
                replica.replica,
                span(*lag, threshold)
            ),
            "look for a long statement or transaction there, for a disk that is too slow, or for many writes at once",
        ),
        Lag::Behind(_) => return None,
        Lag::Stopped(why) => (
            format!("replica {} does not follow: {why}", replica.replica),
            "start replication there, or take the replica out of use",
        ),
    };
    Some(Problem {
        table: None,
        message,
        advice: advice.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use dbop_model::Fact;

    use super::*;
    use crate::testing::{is_ok, is_unknown, problem, well};

    fn with(lags: Vec<Fact<Lag>>) -> dbop_model::health::HealthFacts {
        let mut facts = well();
        let replicas = lags.into_iter().enumerate();
        let replica = |(nth, lag)| ReplicaLag {
            replica: format!("r{nth}"),
            lag,
        };
        facts.replicas = Fact::Known(replicas.map(replica).collect());
        facts
    }

    fn behind(seconds: f64) -> Fact<Lag> {
        Fact::Known(Lag::Behind(Duration::from_secs_f64(seconds)))
    }

    #[test]
    fn it_fires_at_the_threshold() {
        is_ok(
            &with(vec![behind(29.9), behind(0.0)]),
            Check::ReplicationLag,
        );
        let said = problem(
            &with(vec![behind(1.0), behind(30.0)]),
            Check::ReplicationLag,
        );
        assert!(
            said.starts_with("replica r1 is 30s or more behind; "),
            "{said}"
        );
    }

    #[test]
    fn one_that_stopped_is_told() {
        let stopped = Fact::Known(Lag::Stopped("its applier is off".to_owned()));
        let said = problem(&with(vec![stopped]), Check::ReplicationLag);
        assert!(
            said.starts_with("replica r0 does not follow: its applier is off; "),
            "{said}"
        );
    }

    #[test]
    fn unseen_is_unknown_unless_another_is_behind() {
        let unseen = || Fact::Unknown(Why::new("no right"));
        is_unknown(
            &with(vec![behind(1.0), unseen()]),
            Check::ReplicationLag,
            "no right",
        );
        problem(&with(vec![unseen(), behind(31.0)]), Check::ReplicationLag);
        let mut facts = well();
        facts.replicas = Fact::Unknown(Why::new("no right"));
        is_unknown(&facts, Check::ReplicationLag, "no right");
    }
}
