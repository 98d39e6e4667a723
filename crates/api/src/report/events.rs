//! Events: what happened, in one line each. A wait is one Event when it begins and when its reason changes.
//!
//! What was said before is read from the status as it stands, so a restarted operator does not repeat itself.

use dbop_model::{MigrationName, Outcome};
use dbop_plan::{Action, Because, Blocker, Decision, WaitingOn};

use super::conditions::reason;
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
        Action::TakeOver => event(Warning, "ClaimTakenOver", because.to_string()),
        Action::Delete(_) | Action::Undo(_) => {
            event(Normal, action.reason(), format!("{action}: {because}"))
        }
        Action::DeleteJob { .. } | Action::ReleaseJob { .. } => return None,
    };
    Some(event)
}

/// What a pass saw that people have not been told: the status as it stands is `previous`, and `next` is the
/// one that this pass gives.
pub fn events(
    pass: &Pass<'_>,
    previous: Option<&ManagedDatabaseStatus>,
    next: &ManagedDatabaseStatus,
) -> Vec<Event> {
    let mut events = Vec::new();
    events.extend(moved_back(pass, previous, next));
    events.extend(
        turned(previous, next, "DatabaseReachable", "True").then(|| {
            let engine = next.engine.clone().unwrap_or_default();
            event(
                EventKind::Normal,
                "DatabaseReachable",
                format!("the database answers again: {engine}"),
            )
        }),
    );
    events.extend(turned(previous, next, "HintsClear", "True").then(|| {
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
        .is_some_and(|ready| ready.reason == reason(pass.decision));
    if !told {
        events.extend(begins(pass.decision));
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
                WaitingOn::CredentialInUse { .. } => (Warning, "CredentialInUse"),
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
        // The record of the run told it.
        Decision::Blocked {
            by: Blocker::RunIncomplete { .. },
        } => None,
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

/// Did a condition turn to `status` from its opposite? From Unknown, or from nothing, is no turn.
fn turned(
    previous: Option<&ManagedDatabaseStatus>,
    next: &ManagedDatabaseStatus,
    type_: &str,
    status: &str,
) -> bool {
    let of = |conditions: &ManagedDatabaseStatus| {
        let found = conditions
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_);
        found.map(|condition| condition.status.clone())
    };
    previous.and_then(of).as_deref() == Some("False") && of(next).as_deref() == Some(status)
}
