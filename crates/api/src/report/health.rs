//! The conditions Healthy and MetricsSampled: what is found beside the passes.
//!
//! What was not looked at yet stays as it was last seen: an operator that starts anew writes no status for it.

use dbop_model::health::{Health, Problem, Unseen};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::Pass;
use super::conditions::{FALSE, TRUE, UNKNOWN};

/// A condition's status, reason and message.
pub(super) type Said = (&'static str, String, String);

/// Healthy: False with the worst check as its reason, what is wrong and what to do.
pub(super) fn healthy(health: &Health, old: &[Condition]) -> Said {
    let degraded: Vec<_> = health.degraded().collect();
    if let Some((worst, _)) = degraded.first() {
        let texts = degraded.iter().map(|(check, problems)| {
            let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
            format!("{check}: {}", problems.join(". "))
        });
        let texts: Vec<String> = texts.collect();
        return (FALSE, worst.to_string(), texts.join(". "));
    }
    match &health.unseen {
        Some(Unseen::NotYet) => as_before("Healthy", old).unwrap_or_else(|| {
            let text = "the database has not been looked at for its health yet";
            (UNKNOWN, "NotLookedAt".to_owned(), text.to_owned())
        }),
        Some(Unseen::Failed(why)) => (UNKNOWN, "DatabaseUnreachable".to_owned(), why.to_string()),
        None => {
            let unknown: Vec<String> = health
                .unknown()
                .map(|(check, why)| format!("{check} ({why})"))
                .collect();
            let mut text = "no check finds anything wrong".to_owned();
            if !unknown.is_empty() {
                text.push_str("; not known: ");
                text.push_str(&unknown.join("; "));
            }
            (TRUE, "Healthy".to_owned(), text)
        }
    }
}

/// MetricsSampled: False with the fields that cannot be had; none where no metrics are wanted.
pub(super) fn sampled(pass: &Pass<'_>, old: &[Condition]) -> Option<Said> {
    pass.desired.database.metrics.as_ref()?;
    Some(match pass.unsampled {
        None => as_before("MetricsSampled", old).unwrap_or_else(|| {
            let text = "no sample has been taken yet";
            (UNKNOWN, "NotSampled".to_owned(), text.to_owned())
        }),
        Some([]) => {
            let text = "the last sample has all that spec.metrics wants";
            (TRUE, "Sampled".to_owned(), text.to_owned())
        }
        Some(problems) => (FALSE, "SampleIncomplete".to_owned(), problems.join("; ")),
    })
}

fn as_before(type_: &str, old: &[Condition]) -> Option<Said> {
    let before = old.iter().find(|condition| condition.type_ == type_)?;
    let status = [TRUE, FALSE, UNKNOWN]
        .into_iter()
        .find(|status| *status == before.status)?;
    Some((status, before.reason.clone(), before.message.clone()))
}

#[cfg(test)]
mod tests {
    use dbop_model::Why;
    use dbop_model::health::{Check, Checked, State};

    use super::super::tests::{at_v2, pass, rest};
    use super::super::{Change, MESSAGE_CHARS_MAX, change, managed_database_status};
    use super::*;
    use crate::ManagedDatabaseStatus;

    fn checked(check: Check, state: State) -> Checked {
        Checked { check, state }
    }

    fn degraded(message: &str) -> State {
        State::Degraded(vec![Problem {
            table: None,
            message: message.to_owned(),
            advice: "do something".to_owned(),
        }])
    }

    fn seen(checks: Vec<Checked>) -> Health {
        Health {
            checks,
            unseen: None,
        }
    }

    fn status(
        health: &Health,
        unsampled: Option<&[String]>,
        metrics: bool,
        old: Option<&ManagedDatabaseStatus>,
    ) -> ManagedDatabaseStatus {
        let (mut desired, facts) = at_v2();
        desired.database.metrics = metrics.then(|| dbop_model::sample::MetricsSpec {
            interval: std::time::Duration::from_secs(60),
            sizes: Vec::new(),
            next_ids: Vec::new(),
            queries: Vec::new(),
        });
        let decision = rest();
        let pass = Pass {
            health,
            unsampled,
            ..pass(&desired, &facts, &decision, "00:00:00")
        };
        managed_database_status(&pass, old)
    }

    /// `status reason: message` of a condition.
    fn said(status: &ManagedDatabaseStatus, type_: &str) -> Option<String> {
        let mut all = status.conditions.iter();
        let one = all.find(|condition| condition.type_ == type_)?;
        assert!(one.message.chars().count() <= MESSAGE_CHARS_MAX + 3);
        Some(format!("{} {}: {}", one.status, one.reason, one.message))
    }

    #[track_caller]
    fn check(health: &Health, expect: &str) -> ManagedDatabaseStatus {
        let status = status(health, None, false, None);
        assert_eq!(said(&status, "Healthy").as_deref(), Some(expect));
        status
    }

    #[test]
    fn the_worst_check_is_the_reason_and_the_message_has_all() {
        let health = seen(vec![
            checked(Check::IdExhaustion, State::Ok),
            checked(Check::Connections, degraded("90 % are used")),
            checked(Check::Disk, State::Unknown(Why::new("not told"))),
            checked(Check::PrimaryKeys, degraded("log has none")),
        ]);
        check(
            &health,
            "False Connections: Connections: 90 % are used; do something. PrimaryKeys: log has none; do something",
        );
    }

    #[test]
    fn what_is_not_known_is_not_unhealthy_and_is_said() {
        check(
            &seen(vec![checked(Check::Connections, State::Ok)]),
            "True Healthy: no check finds anything wrong",
        );
        let unknown = State::Unknown(Why::new("not told"));
        check(
            &seen(vec![checked(Check::Disk, unknown)]),
            "True Healthy: no check finds anything wrong; not known: Disk (not told)",
        );
    }

    #[test]
    fn a_database_that_is_not_seen_is_unknown_but_for_its_runs() {
        let unseen = |checks, unseen| Health {
            checks,
            unseen: Some(unseen),
        };
        let gone = || Unseen::Failed(Why::new("cannot reach db"));
        check(
            &unseen(vec![], gone()),
            "Unknown DatabaseUnreachable: cannot reach db",
        );
        let failed = || vec![checked(Check::Migrations, degraded("v2 failed"))];
        check(
            &unseen(failed(), gone()),
            "False Migrations: Migrations: v2 failed; do something",
        );
        let text = "Unknown NotLookedAt: the database has not been looked at for its health yet";
        check(&unseen(vec![], Unseen::NotYet), text);
    }

    #[test]
    fn an_operator_that_starts_anew_leaves_what_was_seen() {
        let before = status(
            &seen(vec![checked(Check::Bloat, degraded("much is dead"))]),
            Some(&["spec.metrics.tableNextId[0]: there is no table gone".to_owned()]),
            true,
            None,
        );
        let not_yet = Health {
            checks: Vec::new(),
            unseen: Some(Unseen::NotYet),
        };
        assert_eq!(status(&not_yet, None, true, Some(&before)), before);
    }

    #[test]
    fn another_text_is_written_at_once() {
        let with = |message| {
            status(
                &seen(vec![checked(Check::Bloat, degraded(message))]),
                None,
                false,
                None,
            )
        };
        let (one, two) = (with("40 %"), with("50 %"));
        assert_eq!(change(Some(&one), &two), Change::Yes);
        assert_eq!(change(Some(&one), &one), Change::None);
    }

    #[test]
    fn what_of_the_metrics_cannot_be_had_is_a_condition() {
        let health = seen(Vec::new());
        let of = |unsampled: Option<&[String]>, metrics| {
            said(&status(&health, unsampled, metrics, None), "MetricsSampled")
        };
        let problems = ["spec.metrics.tableNextId[0]: there is no table gone".to_owned()];
        assert_eq!(
            of(Some(&problems), true).as_deref(),
            Some("False SampleIncomplete: spec.metrics.tableNextId[0]: there is no table gone")
        );
        let all = "True Sampled: the last sample has all that spec.metrics wants";
        assert_eq!(of(Some(&[]), true).as_deref(), Some(all));
        let none = "Unknown NotSampled: no sample has been taken yet";
        assert_eq!(of(None, true).as_deref(), Some(none));
        assert_eq!(of(Some(&problems), false), None, "no metrics are wanted");
    }
}
