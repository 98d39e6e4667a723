//! Is a run failed, or stuck? This check alone needs no look at the database.

use std::time::Duration;

use dbop_model::health::{Check, HealthSpec, Problem, Runs, State};
use dbop_model::{JobFacts, JobPhase, Outcome, RunRecord};

use super::{CheckRow, Judge, outcome};
use crate::words::span;

/// A run of which no container has started after this waits for more than an image.
const STARTS_WITHIN: Duration = Duration::from_secs(15 * 60);
/// The platform ends a run at its deadline; so much later it should be over.
const DEADLINE_GRACE: Duration = Duration::from_secs(5 * 60);

pub(super) const ROW: CheckRow = CheckRow {
    check: Check::Migrations,
    title: "a last run that did not complete; a run that does not start or end",
    judge: Judge::Runs(judge),
};

fn judge(spec: &HealthSpec, runs: &Runs<'_>) -> State {
    let problem = match (runs.live, runs.last) {
        (Some(live), _) => stuck(live, spec, runs),
        (None, Some(last)) if !runs.at_rest => failed(last),
        (None, _) => None,
    };
    outcome(problem.into_iter().collect(), None)
}

fn failed(last: &RunRecord) -> Option<Problem> {
    let how = match last.outcome {
        Outcome::Completed | Outcome::Accepted => return None,
        Outcome::Failed => "failed",
        Outcome::VersionNotReached => "succeeded, and the database does not show its version",
    };
    Some(Problem {
        table: None,
        message: format!(
            "the last run of {} {how} (Job {})",
            last.migration, last.job
        ),
        advice: "see its log; then change the migration, or say retry".to_owned(),
    })
}

fn stuck(live: &JobFacts, spec: &HealthSpec, runs: &Runs<'_>) -> Option<Problem> {
    let age = runs.now.duration_since(live.created_at);
    let age = Duration::try_from(age).unwrap_or_default();
    let deadline = spec
        .migration_deadline
        .map(|deadline| deadline.saturating_add(DEADLINE_GRACE));
    let (migration, job) = (&live.to, &live.name);
    let (message, advice) = match (&live.phase, deadline) {
        (JobPhase::Pending { reason }, _) if age >= STARTS_WITHIN => (
            format!(
                "{migration} has not started for {} or more (Job {job}){}",
                span(age, STARTS_WITHIN),
                reason
                    .as_ref()
                    .map(|reason| format!(": {reason}"))
                    .unwrap_or_default()
            ),
            "mend what its Pod waits for, or change the migration",
        ),
        (JobPhase::Running, Some(deadline)) if age >= deadline => (
            format!("{migration} runs beyond its activeDeadlineSeconds (Job {job})"),
            "see why its Pod does not end: a node that is gone keeps it",
        ),
        (JobPhase::Running, _) if age >= spec.long_migration => (
            format!(
                "{migration} runs for {} or more (Job {job})",
                span(age, spec.long_migration)
            ),
            "see its log and what its statement waits for; raise spec.health.longMigration where it may take so long",
        ),
        _ => return None,
    };
    Some(Problem {
        table: None,
        message,
        advice: advice.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use dbop_model::{Digest, JobName, MigrationName};
    use jiff::Timestamp;

    use super::*;
    use crate::whole;

    const HOUR: u64 = 3600;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_second(seconds as i64).unwrap()
    }

    fn record(outcome: Outcome) -> RunRecord {
        RunRecord {
            job: JobName::new("shop-v2-a").unwrap(),
            from: None,
            migration: MigrationName::new("v2").unwrap(),
            digest: Digest::new("d").unwrap(),
            outcome,
            started_at: at(0),
            finished_at: at(1),
            exit_code: None,
            message: String::new(),
        }
    }

    fn job(phase: JobPhase) -> JobFacts {
        JobFacts {
            name: JobName::new("shop-v2-b").unwrap(),
            from: None,
            to: MigrationName::new("v2").unwrap(),
            digest: Digest::new("d").unwrap(),
            created_at: at(0),
            phase,
            finalizer: true,
        }
    }

    fn says(spec: &HealthSpec, runs: &Runs<'_>) -> Option<String> {
        let health = whole(&[], spec, runs);
        let (_, problems) = health.degraded().next()?;
        Some(problems[0].message.clone())
    }

    #[track_caller]
    fn of_last(outcome: Outcome, at_rest: bool, expect: Option<&str>) {
        let last = record(outcome);
        let runs = Runs {
            last: Some(&last),
            live: None,
            at_rest,
            now: at(10),
        };
        let said = says(&HealthSpec::default(), &runs);
        assert_eq!(said.as_deref(), expect);
    }

    #[track_caller]
    fn of_live(deadline: Option<u64>, phase: JobPhase, age: u64, expect: Option<&str>) {
        let spec = HealthSpec {
            migration_deadline: deadline.map(Duration::from_secs),
            ..HealthSpec::default()
        };
        // A retry is under way: the run before no longer matters.
        let (last, live) = (record(Outcome::Failed), job(phase));
        let runs = Runs {
            last: Some(&last),
            live: Some(&live),
            at_rest: false,
            now: at(age),
        };
        assert_eq!(says(&spec, &runs).as_deref(), expect);
    }

    #[test]
    fn a_run_that_did_not_complete_is_told_until_nobody_waits_for_it() {
        let failed = "the last run of v2 failed (Job shop-v2-a)";
        of_last(Outcome::Failed, false, Some(failed));
        of_last(Outcome::Failed, true, None);
        of_last(Outcome::Completed, false, None);
        of_last(Outcome::Accepted, false, None);
        let not_reached = "the last run of v2 succeeded, and the database does not show its version (Job shop-v2-a)";
        of_last(Outcome::VersionNotReached, false, Some(not_reached));
    }

    #[test]
    fn a_run_that_does_not_end_is_stuck() {
        of_live(None, JobPhase::Running, 24 * HOUR - 1, None);
        of_live(
            None,
            JobPhase::Running,
            24 * HOUR,
            Some("v2 runs for 1d or more (Job shop-v2-b)"),
        );
        of_live(Some(HOUR), JobPhase::Running, HOUR + 299, None);
        let late = "v2 runs beyond its activeDeadlineSeconds (Job shop-v2-b)";
        of_live(Some(HOUR), JobPhase::Running, HOUR + 300, Some(late));
    }

    #[test]
    fn a_run_that_does_not_start_is_stuck() {
        let phase = || JobPhase::Pending {
            reason: Some("no such image".to_owned()),
        };
        of_live(None, phase(), 899, None);
        let waits = "v2 has not started for 15m or more (Job shop-v2-b): no such image";
        of_live(None, phase(), 900, Some(waits));
    }

    #[test]
    fn a_person_can_accept_it() {
        let spec = HealthSpec {
            ignore: vec![dbop_model::health::Ignore {
                check: Check::Migrations,
                table: None,
                reason: "known".to_owned(),
            }],
            ..HealthSpec::default()
        };
        let last = record(Outcome::Failed);
        let runs = Runs {
            last: Some(&last),
            live: None,
            at_rest: false,
            now: at(10),
        };
        assert!(whole(&[], &spec, &runs).checks.is_empty());
    }
}
