//! Events: what happened, in one line each. A wait is one Event when it begins and when its reason
//! changes.
//!
//! What was said before is read from the status as it stands, so a restarted operator does not
//! repeat itself.

use dbop_model::{JobName, MigrationName, Outcome};
use dbop_plan::{Action, Because, Blocker, Decision, WaitingOn};

use super::conditions::{STEP_FAILED, reason};
use super::{MESSAGE_CHARS_MAX, Pass, cut};
use crate::status::ManagedDatabaseStatus;

/// The reason of the Events about a running migration.
pub const PROGRESS: &str = "MigrationProgress";
/// So much further is worth an Event, in percent: three of them for a run.
const PROGRESS_TOLD: i32 = 25;

/// Something to tell people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Is it as it should be?
    pub kind: EventKind,
    /// One word, such as `MigrationStarted`.
    pub reason: &'static str,
    /// One line, harmless whoever wrote what it tells.
    pub message: String,
    /// The Job of the run that it is about, where it is about one: what the run pushed bears the same id (`job_id`).
    pub job: Option<JobName>,
}

impl Event {
    fn of_job(self, job: Option<&JobName>) -> Event {
        Event {
            job: job.cloned(),
            ..self
        }
    }
}

/// Kubernetes' two kinds of Events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

impl EventKind {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Normal => "Normal",
            EventKind::Warning => "Warning",
        }
    }
}

fn event(kind: EventKind, reason: &'static str, message: impl Into<String>) -> Event {
    Event {
        kind,
        reason,
        message: cut(&message.into(), MESSAGE_CHARS_MAX),
        job: None,
    }
}

/// Something that `spec.metrics` wants and that cannot be had, by its field.
pub fn unsampled_event(problem: &str) -> Event {
    event(EventKind::Warning, "MetricUnavailable", problem.to_owned())
}

/// What an action did, to be told once it is done; `None`: nothing that people need to hear.
pub fn action_event(action: &Action, because: &Because) -> Option<Event> {
    use EventKind::{Normal, Warning};
    let event = match action {
        Action::StartRun(run) => event(
            Normal,
            "MigrationStarted",
            format!("runs {run}: {because} (Job {})", run.job),
        ),
        Action::RecordRun { record, .. } if record.outcome == Outcome::Completed => event(
            Normal,
            "MigrationSucceeded",
            format!("{} is done (Job {})", record.migration, record.job),
        ),
        Action::RecordRun { record, .. } => {
            let said = if record.message.is_empty() {
                String::new()
            } else {
                format!(": {}", record.message)
            };
            let text = format!(
                "the run of {} did not complete: {because}{said} (Job {})",
                record.migration, record.job
            );
            event(Warning, "MigrationFailed", text)
        }
        Action::AcceptRun { record } => event(
            Normal,
            "MigrationSucceeded",
            format!("{} is taken as done: {because}", record.migration),
        ),
        Action::CreateCredential { migration } => event(
            Normal,
            "CredentialCreated",
            format!("credential {migration}: {because}"),
        ),
        Action::Heal { migration } => event(
            Warning,
            "CredentialRepaired",
            format!("credential {migration}: {because}"),
        ),
        Action::Retire(retirement) => event(
            Normal,
            "CredentialRetired",
            format!("credential {}: {because}", retirement.migration),
        ),
        Action::Rotate { migration, login } => event(
            Normal,
            "CredentialRotated",
            format!(
                "credential {migration} has another login, and login {login} goes once nobody holds it: {because}"
            ),
        ),
        Action::RetireReplaced { migration, login } => event(
            Normal,
            "LoginRetired",
            format!("login {login} of credential {migration}: {because}"),
        ),
        Action::TakeOver => event(Warning, "ClaimTakenOver", because.to_string()),
        Action::Delete(_) | Action::Undo(_) => {
            event(Normal, action.reason(), format!("{action}: {because}"))
        }
        Action::DeleteJob { .. } | Action::ReleaseJob { .. } => return None,
    };
    Some(event.of_job(action.job()))
}

/// What people have not been told yet. The status as it stands is `previous`, and `next` is the one that
/// this pass gives. `last` is the decision of the pass before, unless its step failed or nobody knows: an
/// action in it that is no longer decided has been done.
pub fn events(
    pass: &Pass<'_>,
    last: Option<&Decision>,
    previous: Option<&ManagedDatabaseStatus>,
    next: &ManagedDatabaseStatus,
) -> Vec<Event> {
    let mut events: Vec<Event> = progressed(previous, next).into_iter().collect();
    if let Some(Decision::Act { action, because }) = last.filter(|last| *last != pass.decision) {
        events.extend(action_event(action, because));
    }
    events.extend(moved_back(pass, previous, next));
    events.extend(turned(previous, next, "DatabaseReachable").then(|| {
        let engine = next.engine.clone().unwrap_or_default();
        event(
            EventKind::Normal,
            "DatabaseReachable",
            format!("the database answers again: {engine}"),
        )
    }));
    events.extend(turned(previous, next, "HintsClear").then(|| {
        let text = next
            .conditions
            .iter()
            .find(|condition| condition.type_ == "HintsClear");
        let text = text
            .map(|condition| condition.message.clone())
            .unwrap_or_default();
        event(EventKind::Normal, "HintsClear", text)
    }));
    let told = previous
        .and_then(|status| {
            status
                .conditions
                .iter()
                .find(|condition| condition.type_ == "Ready")
        })
        .is_some_and(|ready| ready.reason == reason(pass.decision, pass.failure));
    if !told {
        let begun = match pass.failure {
            Some(_) => Some(event(EventKind::Warning, STEP_FAILED, pass.summary())),
            None => begins(pass.decision),
        };
        events.extend(begun.map(|event| event.of_job(pass.decision.job())));
    }
    events
}

/// A running migration has come a quarter further. By what stands in the status: one that another operator has told of is
/// not told again. Where it ends is told when its outcome is recorded.
fn progressed(
    previous: Option<&ManagedDatabaseStatus>,
    next: &ManagedDatabaseStatus,
) -> Option<Event> {
    let running = next.migration.as_ref()?;
    let before = previous.and_then(|status| status.migration.as_ref());
    let before = before.filter(|before| before.job == running.job);
    let before = before.and_then(|before| before.progress).unwrap_or(0);
    let progress = running.progress?;
    let is_news = before / PROGRESS_TOLD < progress / PROGRESS_TOLD && progress < 100;
    let job = JobName::new(&running.job).ok();
    let text = format!("{} is at {progress} % (Job {})", running.name, running.job);
    is_news.then(|| event(EventKind::Normal, PROGRESS, text).of_job(job.as_ref()))
}

/// The Event of a wait or a block that begins.
fn begins(decision: &Decision) -> Option<Event> {
    use EventKind::{Normal, Warning};
    match decision {
        // What was done is told when it is done, and rest needs no words.
        Decision::Act { .. } | Decision::Converged { .. } => None,
        Decision::Wait { on, .. } => {
            let (kind, reason) = match on {
                // The run's own start was told.
                WaitingOn::Run {
                    not_started: None, ..
                } => return None,
                WaitingOn::Run { .. } => (Warning, "MigrationWaiting"),
                WaitingOn::Database { .. } => (Warning, "DatabaseUnreachable"),
                WaitingOn::ToolLock { .. } => (Warning, "ToolLocked"),
                WaitingOn::CredentialInUse { .. } => (Warning, "CredentialInUse"),
                WaitingOn::ReplacedInUse { .. } => (Normal, "ReplacedLoginInUse"),
                WaitingOn::QuietWindow { .. } => (Normal, "CredentialRetiring"),
                WaitingOn::MigratorSessions { .. }
                | WaitingOn::Paused
                | WaitingOn::ReadOnly
                | WaitingOn::Unknown { .. }
                | WaitingOn::Hints { .. }
                | WaitingOn::Slot { .. } => (Normal, "MigrationWaiting"),
            };
            Some(event(kind, reason, on.to_string()))
        }
        // The record of the run told it, but not the lock that it left behind.
        Decision::Blocked {
            by: by @ Blocker::RunIncomplete { locks, .. },
        } => (!locks.is_empty()).then(|| event(Warning, "ToolLocked", by.to_string())),
        Decision::Blocked { by } => {
            let reason = match by {
                Blocker::Hints { .. } | Blocker::HintsRequired { .. } => "HintsBlocked",
                other => other.reason(),
            };
            Some(event(Warning, reason, by.to_string()))
        }
    }
}

/// The database was at a later version before: a backup was restored.
fn moved_back(
    pass: &Pass<'_>,
    previous: Option<&ManagedDatabaseStatus>,
    next: &ManagedDatabaseStatus,
) -> Option<Event> {
    let before = previous?.current_version.as_deref()?;
    let was = MigrationName::new(before).ok()?;
    let now = next
        .current_version
        .as_deref()
        .map(MigrationName::new)
        .transpose()
        .ok()?;
    let chain = &pass.desired.chain;
    let back = match &now {
        Some(now) => chain.is_ancestor(now, &was),
        None => pass.facts.database.known().is_some() && chain.get(&was).is_some(),
    };
    let shown = now
        .as_ref()
        .map_or("empty".to_owned(), |now| format!("at {now}"));
    back.then(|| {
        let text =
            format!("the database was at {was} and is {shown}; it goes forward again from there");
        event(EventKind::Warning, "VersionMovedBack", text)
    })
}

/// Did a condition turn from False to True? From Unknown, or from nothing, is no turn.
fn turned(
    previous: Option<&ManagedDatabaseStatus>,
    next: &ManagedDatabaseStatus,
    type_: &str,
) -> bool {
    let is = |status: &ManagedDatabaseStatus, value: &str| {
        let found = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_);
        found.is_some_and(|condition| condition.status == value)
    };
    previous.is_some_and(|previous| is(previous, "False")) && is(next, "True")
}

#[cfg(test)]
mod tests {
    use dbop_model::{Fact, SchemaVersion, Why};
    use dbop_plan::Retirement;

    use super::super::managed_database_status;
    use super::super::tests::{at, at_v2, credential, in_use, name, pass, rest, status};
    use super::*;

    fn said(events: &[Event]) -> Vec<String> {
        events
            .iter()
            .map(|event| format!("{} {}", event.kind.as_str(), event.reason))
            .collect()
    }

    #[test]
    fn a_wait_is_one_event_when_it_begins_and_when_its_reason_changes() {
        let (desired, mut facts) = at_v2();
        credential(&mut facts, &desired, "v1", &[4711]);
        let wait = in_use(&facts);
        let first = status(&desired, &facts, &wait, None, "00:00:00");
        let begun = events(
            &pass(&desired, &facts, &wait, "00:00:00"),
            None,
            None,
            &first,
        );
        assert_eq!(said(&begun), ["Warning CredentialInUse"]);
        assert!(
            begun[0].message.contains("pid 4711"),
            "{}",
            begun[0].message
        );

        // Other sessions, the same wait; also by an operator that was restarted.
        credential(&mut facts, &desired, "v1", &[4712]);
        let wait = in_use(&facts);
        let second = status(&desired, &facts, &wait, Some(&first), "00:00:05");
        let again = events(
            &pass(&desired, &facts, &wait, "00:00:05"),
            None,
            Some(&first),
            &second,
        );
        assert_eq!(said(&again), [""; 0]);

        let quiet = Decision::Wait {
            on: WaitingOn::QuietWindow {
                watched: dbop_plan::Watched::Credential,
                migration: name("v1"),
                login: "shop_v1".parse().unwrap(),
                until: at("00:01:00"),
            },
            wake_at: at("00:01:00"),
        };
        let third = status(&desired, &facts, &quiet, Some(&second), "00:00:10");
        let changed = events(
            &pass(&desired, &facts, &quiet, "00:00:10"),
            None,
            Some(&second),
            &third,
        );
        assert_eq!(said(&changed), ["Normal CredentialRetiring"]);
    }

    #[test]
    fn an_outage_is_two_events() {
        let (desired, facts) = at_v2();
        let first = status(&desired, &facts, &rest(), None, "00:00:00");
        assert_eq!(
            said(&events(
                &pass(&desired, &facts, &rest(), "00:00:00"),
                None,
                None,
                &first
            )),
            [""; 0]
        );
        let mut away = facts.clone();
        away.database = Fact::Unknown(Why::new("connection refused"));
        let on = WaitingOn::Database {
            why: Why::new("connection refused"),
        };
        let wait = Decision::Wait {
            on,
            wake_at: at("01:00:00"),
        };
        let second = status(&desired, &away, &wait, Some(&first), "00:00:05");
        let lost = events(
            &pass(&desired, &away, &wait, "00:00:05"),
            None,
            Some(&first),
            &second,
        );
        assert_eq!(said(&lost), ["Warning DatabaseUnreachable"]);
        let third = status(&desired, &facts, &rest(), Some(&second), "00:00:10");
        let back = events(
            &pass(&desired, &facts, &rest(), "00:00:10"),
            None,
            Some(&second),
            &third,
        );
        assert_eq!(said(&back), ["Normal DatabaseReachable"]);
    }

    #[test]
    fn a_restored_backup_is_told() {
        let (desired, mut facts) = at_v2();
        let first = status(&desired, &facts, &rest(), None, "00:00:00");
        let Fact::Known(database) = &mut facts.database else {
            panic!("it is reachable")
        };
        let version = SchemaVersion::new("v1").unwrap();
        database.version = Fact::Known(dbop_model::ObservedVersion::At(version));
        let decision = rest();
        let pass = pass(&desired, &facts, &decision, "00:00:05");
        let second = managed_database_status(&pass, Some(&first));
        let told = events(&pass, None, Some(&first), &second);
        assert_eq!(said(&told), ["Warning VersionMovedBack"]);
        assert_eq!(
            told[0].message,
            "the database was at v2 and is at v1; it goes forward again from there"
        );
    }

    #[test]
    fn each_quarter_of_a_run_is_told_once() {
        let running = |progress: Option<i32>, job: &str| ManagedDatabaseStatus {
            migration: Some(crate::status::RunningMigration {
                name: "v3".to_owned(),
                job: job.to_owned(),
                started_at: at("00:00:00"),
                progress,
            }),
            ..Default::default()
        };
        let check =
            |before: Option<(Option<i32>, &str)>, now: Option<i32>, expect: Option<&str>| {
                let before = before.map(|(progress, job)| running(progress, job));
                let told = progressed(before.as_ref(), &running(now, "shop-v3"));
                if let Some(told) = &told {
                    assert_eq!((told.kind, told.reason), (EventKind::Normal, PROGRESS));
                    let job = told.job.as_ref().map(JobName::as_str);
                    assert_eq!(job, Some("shop-v3"));
                }
                assert_eq!(told.map(|told| told.message).as_deref(), expect);
            };
        let own = |progress| Some((progress, "shop-v3"));
        check(None, None, None);
        check(None, Some(20), None);
        check(None, Some(25), Some("v3 is at 25 % (Job shop-v3)"));
        check(own(None), Some(30), Some("v3 is at 30 % (Job shop-v3)"));
        check(own(Some(20)), Some(75), Some("v3 is at 75 % (Job shop-v3)"));
        check(own(Some(25)), Some(45), None);
        check(own(Some(75)), Some(95), None);
        // Its end is told with its outcome.
        check(own(Some(75)), Some(100), None);
        // A Pod that begins anew, and another run.
        check(own(Some(75)), Some(5), None);
        let other = Some((Some(75), "shop-v2"));
        check(other, Some(50), Some("v3 is at 50 % (Job shop-v3)"));
        assert_eq!(progressed(None, &ManagedDatabaseStatus::default()), None);
    }

    #[test]
    fn blocks_have_their_own_reasons() {
        let (desired, facts) = at_v2();
        let check = |by: Blocker, expect: &[&str]| {
            let decision = Decision::Blocked { by };
            let pass = pass(&desired, &facts, &decision, "00:00:00");
            let next = managed_database_status(&pass, None);
            assert_eq!(said(&events(&pass, None, None, &next)), expect);
        };
        check(
            Blocker::HintsRequired {
                migration: name("v3"),
                unread: Vec::new(),
            },
            &["Warning HintsBlocked"],
        );
        check(
            Blocker::ForeignObject {
                objects: Vec::new(),
            },
            &["Warning ForeignObject"],
        );
        check(
            Blocker::TablesWithoutVersion,
            &["Warning TablesWithoutVersion"],
        );
    }

    #[test]
    fn actions_are_told_when_they_are_done() {
        let retired = action_event(
            &Action::Retire(Retirement {
                migration: name("v1"),
            }),
            &Because::CredentialOutdated {
                migration: name("v1"),
                schema: name("v3"),
            },
        )
        .unwrap();
        assert_eq!(retired.reason, "CredentialRetired");
        assert_eq!(
            retired.message,
            "credential v1: unused, and its code cannot live with the schema of v3"
        );
        let (desired, facts, now) = dbop_plan::example::empty_database();
        let Decision::Act { action, because } = dbop_plan::decide(&desired, &facts, now) else {
            panic!("the first run starts")
        };
        let started = action_event(&action, &because).unwrap();
        assert_eq!(started.reason, "MigrationStarted");
        assert!(
            started.message.starts_with("runs v1 on the empty database"),
            "{}",
            started.message
        );
        assert!(started.job.is_some() && started.job.as_ref() == action.job());

        // It is told in the pass after, once: not while it is still to be done.
        let start = Decision::Act { action, because };
        let again = pass(&desired, &facts, &start, "00:00:00");
        let before = managed_database_status(&again, None);
        assert_eq!(
            said(&events(&again, Some(&start), Some(&before), &before)),
            [""; 0]
        );
        let wait = Decision::Wait {
            on: WaitingOn::Paused,
            wake_at: at("01:00:00"),
        };
        let later = pass(&desired, &facts, &wait, "00:00:02");
        let after = managed_database_status(&later, Some(&before));
        assert_eq!(
            said(&events(&later, Some(&start), Some(&before), &after)),
            ["Normal MigrationStarted", "Normal MigrationWaiting"]
        );
    }
}
