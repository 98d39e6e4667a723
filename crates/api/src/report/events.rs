//! Events: what happened, in one line each. A wait is one Event when it begins and when its reason
//! changes.
//!
//! What was said before is read from the status as it stands, so a restarted operator does not
//! repeat itself.

use dbop_model::{MigrationName, Outcome};
use dbop_plan::{Action, Because, Blocker, Decision, WaitingOn};

use super::conditions::{STEP_FAILED, reason};
use super::{MESSAGE_CHARS_MAX, Pass, cut};
use crate::status::ManagedDatabaseStatus;

/// Something to tell people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Is it as it should be?
    pub kind: EventKind,
    /// One word, such as `MigrationStarted`.
    pub reason: &'static str,
    /// One line.
    pub message: String,
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
    Some(event)
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
    let mut events = Vec::new();
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
        .is_some_and(|ready| ready.reason == reason(pass));
    if !told {
        events.extend(match pass.failure {
            Some(_) => Some(event(EventKind::Warning, STEP_FAILED, pass.summary())),
            None => begins(pass.decision),
        });
    }
    events
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
