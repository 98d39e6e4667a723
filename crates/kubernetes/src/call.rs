//! One call to the API server: with a time limit, and an error that says what was under way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dbop_engine::PlatformError;

use crate::gate;

/// A read: a list of a namespace's Pods takes milliseconds, and a server under load a second.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// A write: what was sent when the lease was still ours has arrived, or never will, before another may lead
/// ([`crate::election::Terms`]).
const WRITE_TIMEOUT: Duration = Duration::from_secs(4);
/// What of an API server's message is shown.
const MESSAGE_CHARS_MAX: usize = 600;

/// What a call came to, where not to an object.
#[derive(Debug)]
pub(crate) enum CallError {
    /// There is no such object (404).
    NotFound,
    /// The object has changed, or is not the one that was meant (409 with a precondition).
    Conflict,
    /// An object of that name exists (409 on create).
    Exists,
    /// Everything else.
    Other(PlatformError),
}

impl CallError {
    /// As an error of the platform; `what` is the object, as in "Secret shop/shop-v2".
    pub(crate) fn of(self, operation: &str, what: &str) -> PlatformError {
        match self {
            CallError::NotFound => PlatformError::Missing(format!("{what} does not exist")),
            CallError::Conflict => PlatformError::Conflict {
                what: what.to_owned(),
            },
            CallError::Exists => PlatformError::Foreign {
                what: what.to_owned(),
            },
            CallError::Other(PlatformError::Failed { reason, .. }) => PlatformError::Failed {
                operation: format!("{operation} {what}"),
                reason,
            },
            CallError::Other(error) => error,
        }
    }
}

/// A call that reads.
pub(crate) async fn read<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    within(READ_TIMEOUT, call).await
}

/// A call that reads one object, which may not be there.
pub(crate) async fn find<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<Option<T>, CallError> {
    match read(call).await {
        Ok(object) => Ok(Some(object)),
        Err(CallError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A call that writes.
pub(crate) async fn write<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    within(WRITE_TIMEOUT, call).await
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(object)) => {
            count(Answer::Ok);
            Ok(object)
        }
        Ok(Err(error)) => {
            count(Answer::of(&error));
            Err(sorted(&error))
        }
        Err(_) => {
            count(Answer::Timeout);
            Err(failed(format!(
                "the API server did not answer within {} s",
                limit.as_secs()
            )))
        }
    }
}

/// What became of a call, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Ok,
    NotFound,
    Conflict,
    Forbidden,
    Invalid,
    Overloaded,
    Server,
    KeptBack,
    Timeout,
    Unreachable,
}

impl Answer {
    const ALL: [(Self, &'static str); 10] = [
        (Answer::Ok, "ok"),
        (Answer::NotFound, "not_found"),
        (Answer::Conflict, "conflict"),
        (Answer::Forbidden, "forbidden"),
        (Answer::Invalid, "invalid"),
        (Answer::Overloaded, "overloaded"),
        (Answer::Server, "server"),
        (Answer::KeptBack, "kept_back"),
        (Answer::Timeout, "timeout"),
        (Answer::Unreachable, "unreachable"),
    ];

    fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                404 => Answer::NotFound,
                409 => Answer::Conflict,
                401 | 403 => Answer::Forbidden,
                429 => Answer::Overloaded,
                500.. => Answer::Server,
                _ => Answer::Invalid,
            },
            error if gate::kept_back(error).is_some() => Answer::KeptBack,
            _ => Answer::Unreachable,
        }
    }
}

/// Calls since the program began, by what became of them: one process has one API server.
static ANSWERED: [AtomicU64; Answer::ALL.len()] = [const { AtomicU64::new(0) }; Answer::ALL.len()];

fn count(answer: Answer) {
    ANSWERED[answer as usize].fetch_add(1, Ordering::Relaxed);
}

/// How many calls to the API server there were since the program began, by what became of them, in one word.
pub fn answered() -> impl Iterator<Item = (&'static str, u64)> {
    let counts = ANSWERED.iter().map(|count| count.load(Ordering::Relaxed));
    Answer::ALL.iter().map(|(_, word)| *word).zip(counts)
}

fn failed(reason: String) -> CallError {
    CallError::Other(PlatformError::Failed {
        operation: "calling the API server".to_owned(),
        reason,
    })
}

fn sorted(error: &kube::Error) -> CallError {
    match error {
        kube::Error::Api(status) => match (status.code, status.reason.as_str()) {
            (404, _) => CallError::NotFound,
            (409, "AlreadyExists") => CallError::Exists,
            (409, _) => CallError::Conflict,
            // What the server finds wrong with an object is mended by whoever wrote it.
            (400 | 422, _) => CallError::Other(PlatformError::Refused(shown(&status.message))),
            _ => failed(shown(&status.message)),
        },
        error => failed(explained(error)),
    }
}

/// A failure of the client, in words for people: its own text holds what `Debug` shows.
pub fn explained(error: &kube::Error) -> String {
    if let Some(kept) = gate::kept_back(error) {
        return kept.to_string();
    }
    match error {
        kube::Error::Api(status) => shown(&status.message),
        error => {
            let mut deepest: &dyn std::error::Error = error;
            while let Some(source) = deepest.source() {
                deepest = source;
            }
            format!(
                "the API server cannot be reached: {}",
                shown(&deepest.to_string())
            )
        }
    }
}

fn shown(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        None => message.to_owned(),
        Some((end, _)) => format!("{}...", &message[..end]),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn api(code: u16, reason: &str, message: &str) -> kube::Error {
        kube::Error::Api(Box::new(Status::failure(message, reason).with_code(code)))
    }

    #[track_caller]
    fn check(error: kube::Error, expect: &str) {
        let shown = sorted(&error).of("writing", "Secret shop/shop-v2");
        assert_eq!(shown.to_string(), expect);
    }

    #[test]
    fn errors_say_what_and_why() {
        check(
            api(404, "NotFound", "gone"),
            "Secret shop/shop-v2 does not exist",
        );
        check(
            api(409, "Conflict", "other"),
            "Secret shop/shop-v2 has changed since it was read",
        );
        check(
            api(409, "AlreadyExists", "there"),
            "Secret shop/shop-v2 exists and is not ours",
        );
        check(
            api(403, "Forbidden", "no rule lets it"),
            "writing Secret shop/shop-v2: no rule lets it",
        );
        check(api(422, "Invalid", "spec.x is wrong"), "spec.x is wrong");
    }

    #[test]
    fn answers_are_counted_by_class() {
        for (at, (answer, word)) in Answer::ALL.into_iter().enumerate() {
            assert_eq!(answer as usize, at, "{word}");
        }
        let class = |code| Answer::of(&api(code, "", ""));
        assert_eq!(class(404), Answer::NotFound);
        assert_eq!(class(409), Answer::Conflict);
        assert_eq!(class(403), Answer::Forbidden);
        assert_eq!(class(422), Answer::Invalid);
        assert_eq!(class(429), Answer::Overloaded);
        assert_eq!(class(503), Answer::Server);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_not_waited_for() {
        let silent = std::future::pending::<Result<(), kube::Error>>();
        let error = write(silent)
            .await
            .unwrap_err()
            .of("deleting", "Job shop/a");
        assert_eq!(
            error.to_string(),
            "deleting Job shop/a: the API server did not answer within 4 s"
        );
    }
}
