//! How a database was left, and what the command line's exit status says of all of them.

use dbop_api::status::RunOutcome;
use dbop_engine::Next;
use dbop_model::ObjectRef;
use dbop_plan::{Blocker, Decision, WaitingOn};

/// Bad input, or a database that cannot be reached.
pub(super) const FAILED_STATUS: u8 = 1;
const HELD_STATUS: u8 = 3;
const RUN_INCOMPLETE_STATUS: u8 = 4;

/// How a database was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At desired, or ahead and compatible.
    AtRest,
    /// Its last run did not complete.
    RunIncomplete,
    /// Blocked otherwise, or waiting for sessions, references or a person.
    Held,
    /// Its manifests are wrong, or it cannot be reached, logged in to or worked with.
    Failed,
}

/// One database, as it was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseEnd {
    /// The database.
    pub database: ObjectRef,
    /// How it was left.
    pub end: End,
    /// Why, in words.
    pub says: String,
}

/// The exit status of the command line: 0 all at rest; 1 something failed, so that nobody knows how that
/// database stands; else 4 a last run did not complete; else 3.
pub fn exit_status(ends: impl IntoIterator<Item = End>) -> u8 {
    let rank = |end: End| match end {
        End::AtRest => (0, 0),
        End::Held => (1, HELD_STATUS),
        End::RunIncomplete => (2, RUN_INCOMPLETE_STATUS),
        End::Failed => (3, FAILED_STATUS),
    };
    ends.into_iter()
        .map(rank)
        .max()
        .map_or(0, |(_, status)| status)
}

/// How a reconcile has left a database, whose last recorded run had this outcome.
pub fn end_of(next: &Next, last_run: Option<RunOutcome>) -> End {
    if next.failure.is_some() {
        return End::Failed;
    }
    let incomplete = matches!(
        last_run,
        Some(RunOutcome::Failed | RunOutcome::VersionNotReached)
    );
    match &next.decision {
        // Its manifest is gone, and with it everything that could be asked of it.
        None => End::AtRest,
        Some(Decision::Converged { .. }) => End::AtRest,
        Some(Decision::Wait {
            on: WaitingOn::Database { .. },
            ..
        }) => End::Failed,
        Some(Decision::Blocked {
            by: Blocker::RunIncomplete { .. },
        }) => End::RunIncomplete,
        Some(Decision::Act { .. } | Decision::Wait { .. } | Decision::Blocked { .. }) => {
            if incomplete {
                End::RunIncomplete
            } else {
                End::Held
            }
        }
    }
}

/// Where a reconcile has left a database, in words.
pub(super) fn says(next: &Next) -> String {
    match (&next.failure, &next.decision) {
        (Some(failure), _) => failure.to_string(),
        (None, Some(decision)) => decision.to_string(),
        (None, None) => "its manifest is gone".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use dbop_engine::{PlatformError, StepError};
    use dbop_model::Why;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn the_worst_end_gives_the_exit_status() {
        use End::{AtRest, Failed, Held, RunIncomplete};
        let table: [(&[End], u8); 8] = [
            (&[], 0),
            (&[AtRest, AtRest], 0),
            (&[AtRest, Held], 3),
            (&[RunIncomplete], 4),
            (&[Held, RunIncomplete, AtRest], 4),
            (&[Failed], 1),
            (&[AtRest, Failed], 1),
            (&[Failed, RunIncomplete, Held], 1),
        ];
        for (ends, status) in table {
            assert_eq!(exit_status(ends.iter().copied()), status, "{ends:?}");
        }
    }

    #[test]
    fn each_decision_has_its_end() {
        use RunOutcome::{Accepted, Completed, Failed, VersionNotReached};
        let wake_at = Timestamp::UNIX_EPOCH;
        let wait = |on| Decision::Wait { on, wake_at };
        let converged = Decision::Converged {
            ahead: true,
            look_again: wake_at,
        };
        let unreachable = wait(WaitingOn::Database {
            why: Why::new("it does not answer"),
        });
        let blocked = Decision::Blocked {
            by: Blocker::TablesWithoutVersion,
        };
        let table = [
            (Some(converged.clone()), None, End::AtRest),
            // Somebody went back to where the failed run had come from.
            (Some(converged), Some(Failed), End::AtRest),
            (None, Some(Failed), End::AtRest),
            (Some(unreachable.clone()), None, End::Failed),
            (Some(unreachable), Some(Failed), End::Failed),
            (Some(wait(WaitingOn::Paused)), None, End::Held),
            (Some(wait(WaitingOn::Paused)), Some(Completed), End::Held),
            (Some(wait(WaitingOn::ReadOnly)), Some(Accepted), End::Held),
            (Some(blocked.clone()), None, End::Held),
            // The run has left tables, and no version: it is the run that a person must look at.
            (Some(blocked.clone()), Some(Failed), End::RunIncomplete),
            (Some(blocked), Some(VersionNotReached), End::RunIncomplete),
        ];
        for (decision, last_run, end) in table {
            let next = Next {
                decision,
                failure: None,
                wake_at,
            };
            assert_eq!(end_of(&next, last_run), end, "{next:?}");
        }
        let failure = Some(StepError::Platform(PlatformError::Refused("no".to_owned())));
        let next = Next {
            decision: None,
            failure,
            wake_at,
        };
        assert_eq!(end_of(&next, None), End::Failed);
        assert_eq!(says(&next), "no");
    }
}
