//! Pushes the four metrics to a Pushgateway, or to anything that speaks its protocol, while a run
//! goes on.
//!
//! It deliberately never fails a run: the first push that fails is one warning, and later ones are
//! tried in silence. Plain HTTP only, as Pushgateways stand beside the Jobs they serve.

mod format;

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::progress::{Outcome, Snapshot};
use crate::settings::Environment;
use crate::tell::Tell;

/// Between two pushes: quick enough for a progress bar, slow enough for a shared Pushgateway.
const INTERVAL: Duration = Duration::from_millis(500);
/// After a push that failed.
const INTERVAL_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// A push even where nothing changed, so that a Pushgateway that lost its memory has it again.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// One push, connection included: a gateway that hangs must not hold the end of a run.
const PUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// How often the last push, which carries the outcome, is tried.
const LAST_ATTEMPTS_MAX: u32 = 3;
/// Between these attempts.
const LAST_INTERVAL: Duration = Duration::from_millis(500);
/// What is read of an answer; more is not a Pushgateway's.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where to push to, and the group to push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    address: String,
    path: String,
}

/// Why one push failed.
#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error("no answer within 3 s")]
    Timeout,
    #[error("{0}")]
    Connect(std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("the request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("it answers {0}")]
    Refused(hyper::StatusCode),
}

impl Gateway {
    /// Reads `DBA_OP_PROMETHEUS_PUSH_GATEWAY_ADDR`, `DBA_OP_JOB_ID` and `DBA_OP_LABEL_*`: the
    /// gateway, if one is named, and a warning for everything in them that cannot be kept.
    #[must_use]
    pub fn read(environment: &Environment) -> (Option<Self>, Vec<String>) {
        let mut warnings = Vec::new();
        let Some(address) = environment.get("PROMETHEUS_PUSH_GATEWAY_ADDR") else {
            return (None, warnings);
        };
        if !format::is_address(address) {
            warnings.push(
                "DBA_OP_PROMETHEUS_PUSH_GATEWAY_ADDR is not host:port; no metrics are pushed"
                    .to_owned(),
            );
            return (None, warnings);
        }
        let labels = format::labels(environment.with_prefix("LABEL_"), &mut warnings);
        let path = format::path(environment.get("JOB_ID"), &labels);
        (
            Some(Self {
                address: address.to_owned(),
                path,
            }),
            warnings,
        )
    }

    /// Pushes every change that `view` shows until the run is over, and the outcome at last.
    pub async fn follow(&self, mut view: watch::Receiver<Snapshot>, tell: &impl Tell) {
        let running = |view: &watch::Receiver<Snapshot>| view.borrow().outcome == Outcome::Running;
        // A view of its own: waiting for the end must not mark changes as seen.
        let mut end = view.clone();
        let mut warned = false;
        let mut warn = |error: &PushError| {
            if !std::mem::replace(&mut warned, true) {
                let address = &self.address;
                tell.warn(&format!(
                    "metrics cannot be pushed to {address}: {error}; the migration goes on \
                     without them (said once)"
                ));
            }
        };
        while running(&view) {
            let snapshot = *view.borrow_and_update();
            let pushed = self.push(&snapshot).await;
            let interval = if pushed.is_ok() {
                INTERVAL
            } else {
                INTERVAL_AFTER_FAILURE
            };
            if let Err(error) = pushed {
                warn(&error);
            }
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                _ = end.wait_for(|now| now.outcome != Outcome::Running) => break,
            }
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                changed = view.changed() => if changed.is_err() { return },
            }
        }
        let last = *view.borrow();
        for attempt in 1..=LAST_ATTEMPTS_MAX {
            match self.push(&last).await {
                Ok(()) => return,
                Err(error) => warn(&error),
            }
            if attempt < LAST_ATTEMPTS_MAX {
                tokio::time::sleep(LAST_INTERVAL).await;
            }
        }
    }

    async fn push(&self, snapshot: &Snapshot) -> Result<(), PushError> {
        let pushed = tokio::time::timeout(PUSH_TIMEOUT, self.put(format::exposition(snapshot)));
        pushed.await.unwrap_or(Err(PushError::Timeout))
    }

    /// One PUT on a connection of its own: a run pushes rarely, and a kept connection would be
    /// closed by the other side just when it is needed.
    async fn put(&self, body: String) -> Result<(), PushError> {
        let stream = TcpStream::connect(&self.address)
            .await
            .map_err(PushError::Connect)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::put(&self.path)
            .header(HOST, &self.address)
            .header(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")
            .header(CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))?;
        let exchange = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            // Read, so that the other side never sees a reset; what it says is of no use.
            let _ = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
                .collect()
                .await;
            if status.is_success() {
                Ok(())
            } else {
                Err(PushError::Refused(status))
            }
        };
        tokio::pin!(exchange);
        tokio::pin!(connection);
        tokio::select! {
            result = &mut exchange => result,
            closed = &mut connection => match closed {
                Ok(()) => exchange.await,
                Err(error) => Err(error.into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Option<Gateway>, Vec<String>) {
        let pairs = pairs
            .iter()
            .map(|(n, v)| (OsString::from(n), OsString::from(v)));
        Gateway::read(&Environment::new(pairs))
    }

    #[test]
    fn the_group_comes_from_the_environment() {
        let (gateway, warnings) = read(&[
            ("DBA_OP_PROMETHEUS_PUSH_GATEWAY_ADDR", "gateway:9091"),
            ("DBA_OP_JOB_ID", "shop-v2-1f"),
            ("DBA_OP_LABEL_DATABASE", "shop"),
            ("DBA_OP_LABEL_MIGRATION", "team/v2"),
        ]);
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(
            gateway.unwrap().path,
            "/metrics/job/dbop-migrate/job_id/shop-v2-1f/database/shop/migration@base64/dGVhbS92Mg"
        );
    }

    #[test]
    fn without_a_gateway_nothing_is_pushed() {
        assert_eq!(read(&[("DBA_OP_JOB_ID", "x")]), (None, vec![]));
        let (gateway, warnings) = read(&[("DBA_OP_PROMETHEUS_PUSH_GATEWAY_ADDR", "http://g:1")]);
        assert_eq!(gateway, None);
        assert_eq!(warnings.len(), 1);
    }
}
