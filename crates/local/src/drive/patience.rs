//! For how long a database is expected to go on by itself.
//!
//! Quiet windows and running Jobs are waited for. What somebody else must end is not; but what looks like it for
//! an instant (a session that is just being closed) gets that instant.

use std::time::Duration;

use dbop_engine::Next;
use dbop_model::MigrationName;
use dbop_plan::{Decision, WaitingOn};
use jiff::{SignedDuration, Timestamp};

/// A database that does not answer is tried so often, which takes some three seconds.
const TRIES_MAX: u32 = 3;
/// A session in the way that is older than this does not end by itself.
const IN_USE: Duration = Duration::from_secs(2);
/// A dead run's statement may live on at the server for as long as it takes; most do not take longer.
const MIGRATOR_SESSIONS: Duration = Duration::from_secs(30);
/// A session that a migration would queue behind.
const HINTS: Duration = Duration::from_secs(10);
/// A fact that cannot be had now: two looks at it.
const UNKNOWN: Duration = Duration::from_secs(8);
/// A quiet window that starts anew so often belongs to a login that is used all the time, briefly.
const RESTARTS_MAX: u32 = 3;
/// An end of the window that moves by less is the same window, looked at by another clock.
const SAME_WINDOW: SignedDuration = SignedDuration::from_millis(500);

/// Can a database go on by itself?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not without somebody else.
    Settled,
    /// It can; judge again at this time, where there is one.
    Going(Option<Timestamp>),
}

/// What one database's reconciles have come to so far.
#[derive(Default)]
pub(super) struct Patience {
    /// What it waits for, by the wait's name, and since when.
    waits: Option<(&'static str, Timestamp)>,
    failures: u32,
    window: Option<Window>,
}

struct Window {
    migration: MigrationName,
    until: Timestamp,
    restarts: u32,
}

impl Patience {
    pub(super) fn judge(&mut self, next: &Next, now: Timestamp) -> Verdict {
        let on = match (&next.failure, &next.decision) {
            (Some(failure), _) => {
                self.waits = None;
                return self.failed(failure.is_transient());
            }
            (None, Some(Decision::Wait { on, .. })) => on,
            (None, Some(Decision::Act { .. })) => return self.free(Verdict::Going(None)),
            (None, None | Some(Decision::Converged { .. } | Decision::Blocked { .. })) => {
                return self.free(Verdict::Settled);
            }
        };
        if let WaitingOn::Database { why } = on {
            return self.failed(why.is_passing());
        }
        self.failures = 0;
        if let WaitingOn::QuietWindow {
            migration, until, ..
        } = on
        {
            self.waits = None;
            return self.quiet(migration, *until);
        }
        let span = match on {
            WaitingOn::Run { .. } | WaitingOn::Slot { .. } => {
                return self.free(Verdict::Going(None));
            }
            WaitingOn::Paused | WaitingOn::ReadOnly => return self.free(Verdict::Settled),
            WaitingOn::CredentialInUse { .. } | WaitingOn::ReplacedInUse { .. } => IN_USE,
            WaitingOn::MigratorSessions { .. } | WaitingOn::ToolLock { .. } => MIGRATOR_SESSIONS,
            WaitingOn::Hints { .. } => HINTS,
            WaitingOn::Unknown { .. }
            | WaitingOn::Database { .. }
            | WaitingOn::QuietWindow { .. } => UNKNOWN,
        };
        let since = match self.waits {
            Some((reason, since)) if reason == on.reason() => since,
            _ => now,
        };
        self.waits = Some((on.reason(), since));
        let end = since.checked_add(span).unwrap_or(Timestamp::MAX);
        if now >= end {
            Verdict::Settled
        } else {
            Verdict::Going(Some(end))
        }
    }

    fn failed(&mut self, transient: bool) -> Verdict {
        self.failures = self.failures.saturating_add(1);
        if transient && self.failures < TRIES_MAX {
            Verdict::Going(None)
        } else {
            Verdict::Settled
        }
    }

    fn quiet(&mut self, migration: &MigrationName, until: Timestamp) -> Verdict {
        let restarts = match &self.window {
            Some(window) if window.migration == *migration => {
                let moved = until.duration_since(window.until) > SAME_WINDOW;
                window.restarts + u32::from(moved)
            }
            _ => 0,
        };
        self.window = Some(Window {
            migration: migration.clone(),
            until,
            restarts,
        });
        if restarts > RESTARTS_MAX {
            Verdict::Settled
        } else {
            Verdict::Going(None)
        }
    }

    fn free(&mut self, verdict: Verdict) -> Verdict {
        self.waits = None;
        self.failures = 0;
        self.window = None;
        verdict
    }
}

#[cfg(test)]
mod tests {
    use dbop_engine::{PlatformError, StepError};
    use dbop_model::{JobName, LoginName, Why};
    use dbop_plan::Use;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    fn waiting(on: WaitingOn) -> Next {
        let decision = Some(Decision::Wait { on, wake_at: at(0) });
        Next {
            decision,
            failure: None,
            wake_at: at(0),
        }
    }

    fn v1() -> MigrationName {
        MigrationName::new("v1").unwrap()
    }

    fn in_use() -> Next {
        waiting(WaitingOn::CredentialInUse {
            credentials: vec![(v1(), Use::Sessions(Vec::new()))],
            next: None,
            move_to: v1(),
        })
    }

    fn quiet(until: i64) -> Next {
        waiting(WaitingOn::QuietWindow {
            watched: dbop_plan::Watched::Credential,
            migration: v1(),
            login: LoginName::new("shop_v1").unwrap(),
            until: at(until),
        })
    }

    #[test]
    fn a_run_is_waited_for_however_long_it_takes() {
        let mut patience = Patience::default();
        let job = JobName::new("job").unwrap();
        let run = waiting(WaitingOn::Run {
            job,
            migration: v1(),
            not_started: None,
        });
        for ms in [0, 1_000, 1_000_000_000] {
            assert_eq!(patience.judge(&run, at(ms)), Verdict::Going(None));
        }
    }

    #[test]
    fn a_session_gets_its_instant() {
        let mut patience = Patience::default();
        assert_eq!(
            patience.judge(&in_use(), at(0)),
            Verdict::Going(Some(at(2_000)))
        );
        assert_eq!(
            patience.judge(&in_use(), at(1_999)),
            Verdict::Going(Some(at(2_000)))
        );
        assert_eq!(patience.judge(&in_use(), at(2_000)), Verdict::Settled);
        assert_eq!(
            patience.judge(&quiet(60_000), at(2_100)),
            Verdict::Going(None)
        );
        assert_eq!(
            patience.judge(&in_use(), at(3_000)),
            Verdict::Going(Some(at(5_000)))
        );
    }

    #[test]
    fn a_window_that_always_starts_anew_never_ends() {
        let mut patience = Patience::default();
        assert_eq!(patience.judge(&quiet(60_000), at(0)), Verdict::Going(None));
        assert_eq!(
            patience.judge(&quiet(60_100), at(1)),
            Verdict::Going(None),
            "the same window"
        );
        for until in [65_000, 70_000, 75_000] {
            assert_eq!(patience.judge(&in_use(), at(until - 60_100)), {
                Verdict::Going(Some(at(until - 58_100)))
            });
            assert_eq!(
                patience.judge(&quiet(until), at(until - 60_000)),
                Verdict::Going(None)
            );
        }
        assert_eq!(patience.judge(&quiet(80_000), at(20_000)), Verdict::Settled);
    }

    #[test]
    fn a_failure_is_tried_again_while_it_can_pass() {
        let unreachable = waiting(WaitingOn::Database {
            why: Why::passing("it does not answer"),
        });
        let mut patience = Patience::default();
        assert_eq!(patience.judge(&unreachable, at(0)), Verdict::Going(None));
        assert_eq!(
            patience.judge(&unreachable, at(1_000)),
            Verdict::Going(None)
        );
        assert_eq!(patience.judge(&unreachable, at(3_000)), Verdict::Settled);
        let mut patience = Patience::default();
        let refused = Next {
            decision: None,
            failure: Some(StepError::Platform(PlatformError::Refused("no".to_owned()))),
            wake_at: at(0),
        };
        assert_eq!(patience.judge(&refused, at(0)), Verdict::Settled);
        let wrong_password = waiting(WaitingOn::Database {
            why: Why::new("the server refused the password"),
        });
        let mut patience = Patience::default();
        assert_eq!(patience.judge(&wrong_password, at(0)), Verdict::Settled);
    }
}
