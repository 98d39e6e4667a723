//! The embedded receiver of migration metrics, to which a Pushgateway's clients can push.
//!
//! `PUT`, `POST` and `DELETE` of `/metrics/job/<job>{/<label>/<value>}` with the text format; `GET /metrics`
//! gives back what was pushed. For `local` a [`Receiver`] listens on loopback, and nothing is kept on disk but
//! the port's number: a child that outlives its parent goes on pushing to the same port. In a cluster the same
//! routes stand behind the port of `run`, and a replica that does not lead hands on to the one that does. A
//! run's outcome is never read from here.

pub(crate) mod exposition;
mod gateways;
mod group;
mod relay;
mod store;

use std::borrow::Cow;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use dbop_model::visible;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::metrics::Series;
pub(crate) use gateways::Gateways;
pub(crate) use relay::Relay;
pub use store::RunMetrics;
use store::Store;

/// A push's body: a thousand times what a migration has to say.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// A body that takes longer than this over loopback will not come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The port's file in the state directory.
const PORT_FILE: &str = "receiver.port";
/// `Content-Type` of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Why there is no receiver.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// No port to listen on.
    #[error("no port of 127.0.0.1 can be listened on for metrics")]
    Listen(#[source] io::Error),
    /// The port cannot be noted.
    #[error("{} cannot be written", path.display())]
    Note {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A receiver that listens, until it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    metrics: Metrics,
    serving: JoinHandle<()>,
}

/// What was pushed so far. Clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    store: Arc<Mutex<Store>>,
}

impl Receiver {
    /// Listens on the port that is noted in this directory; where none is, or another program has taken it,
    /// on a free one, which is noted.
    ///
    /// # Errors
    /// [`ReceiverError`].
    pub async fn start(state: &Path) -> Result<Self, ReceiverError> {
        let path = state.join(PORT_FILE);
        let noted = std::fs::read_to_string(&path).ok();
        let noted = noted.and_then(|text| text.trim().parse::<u16>().ok());
        let listener = listen(noted).await.map_err(ReceiverError::Listen)?;
        let address = listener.local_addr().map_err(ReceiverError::Listen)?;
        if noted != Some(address.port()) {
            let write = || {
                std::fs::create_dir_all(state)?;
                std::fs::write(&path, format!("{}\n", address.port()))
            };
            write().map_err(|source| ReceiverError::Note {
                path: path.clone(),
                source,
            })?;
            if let Some(noted) = noted {
                tracing::warn!(
                    "port {noted} is taken by another program; metrics are received on port {}, and a \
                     migration that still runs cannot show its progress",
                    address.port()
                );
            }
        }
        let metrics = Metrics::default();
        let router = router(metrics.clone(), None, None).route("/healthz", get(async || "ok\n"));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, "metrics are no longer received");
            }
        });
        Ok(Self {
            address,
            metrics,
            serving,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is pushed to it.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Metrics {
    /// What the run of this id (`DBA_OP_JOB_ID`) says of itself; `None`: nothing yet.
    pub fn run(&self, job_id: &str) -> Option<RunMetrics> {
        self.lock().run(job_id)
    }

    /// The run of this id is over: what it pushed is not kept.
    pub fn forget(&self, job_id: &str) {
        self.lock().forget(job_id);
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        // What a panic may have left behind is at worst a metric that the next push replaces.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn listen(noted: Option<u16>) -> io::Result<TcpListener> {
    if let Some(port) = noted
        && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
    {
        return Ok(listener);
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

/// What receives pushes, and gives them back.
#[derive(Clone)]
struct Intake {
    metrics: Metrics,
    relay: Option<Relay>,
    own: Option<Series>,
}

/// The routes of a receiver; with a relay, pushes go to another replica as long as that one leads. `own` are series of
/// ours that stand before what was pushed.
pub(crate) fn router(metrics: Metrics, relay: Option<Relay>, own: Option<Series>) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .fallback(push)
        .with_state(Intake {
            metrics,
            relay,
            own,
        })
}

async fn scrape(State(intake): State<Intake>) -> impl IntoResponse {
    let text = exposed(intake.own.as_ref(), &intake.metrics);
    ([(CONTENT_TYPE, TEXT_FORMAT)], text)
}

/// Everything that a scrape gets. Whoever pushed, and whatever a server's names hold, a person may read it on a
/// terminal.
pub(crate) fn exposed(own: Option<&Series>, pushed: &Metrics) -> String {
    let mut text = own.map(Series::render).unwrap_or_default();
    let pushed = pushed.lock().render(&text);
    text.push_str(&pushed);
    let harmless = match visible::metrics(&text) {
        Cow::Borrowed(_) => None,
        Cow::Owned(harmless) => Some(harmless),
    };
    harmless.unwrap_or(text)
}

async fn push(State(intake): State<Intake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let group = match group::labels(parts.uri.path()) {
        Ok(group) => group,
        Err(error @ group::PathError::Elsewhere) => return refuse(StatusCode::NOT_FOUND, &error),
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error),
    };
    if ![Method::PUT, Method::POST, Method::DELETE].contains(&parts.method) {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, &"push with PUT or POST");
    }
    let content_type = parts.headers.get(CONTENT_TYPE);
    if content_type.is_some_and(|value| {
        value
            .as_bytes()
            .starts_with(b"application/vnd.google.protobuf")
    }) {
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &"push the text format, not protobuf",
        );
    }
    let text = match read(body).await {
        Ok(text) => text,
        Err(refusal) => return refusal,
    };
    let families = match exposition::parse(&text) {
        Ok(families) => families,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error),
    };
    if let Some(answer) = relay::hand_on(intake.relay.as_ref(), &parts, &text).await {
        return answer;
    }
    let mut store = intake.metrics.lock();
    if parts.method == Method::DELETE {
        store.delete(&group);
        return StatusCode::ACCEPTED.into_response();
    }
    if parts.method == Method::PUT {
        store.replace(group, families);
    } else {
        store.update(group, families);
    }
    StatusCode::OK.into_response()
}

async fn read(body: Body) -> Result<String, Response> {
    let bytes = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            let what = "the body broke off or is larger than 256 KiB";
            return Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, &what));
        }
        Err(_) => {
            return Err(refuse(
                StatusCode::REQUEST_TIMEOUT,
                &"the body did not come",
            ));
        }
    };
    String::from_utf8(bytes.into())
        .map_err(|_| refuse(StatusCode::BAD_REQUEST, &"the body is not UTF-8"))
}

fn refuse(status: StatusCode, why: &dyn std::fmt::Display) -> Response {
    (status, format!("{}\n", visible::line(&why.to_string()))).into_response()
}

#[cfg(test)]
pub(crate) mod testing {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    /// One request as curl sends it: the status line's number, and the body.
    pub(crate) async fn http(
        address: SocketAddr,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> (u16, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\n\
             Connection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        (status, body)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::http;
    use super::*;

    /// A state directory of its own, gone at the end of the test.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let name = format!("dbop-receiver-{}-{name}", std::process::id());
            Dir(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

    #[tokio::test]
    async fn pushed_by_curl_read_by_job_id() {
        let dir = Dir::new("curl");
        let receiver = Receiver::start(&dir.0).await.unwrap();
        let (address, metrics) = (receiver.address(), receiver.metrics());
        let path = "/metrics/job/mine/job_id/shop-v2-1a/database/shop";
        let body = "migration_completion_percent 0.25\nmigration_items_complete_total 5000\n";
        assert_eq!(http(address, "PUT", path, FORM, body).await.0, 200);
        let run = metrics.run("shop-v2-1a").unwrap();
        assert_eq!((run.completion, run.items), (Some(0.25), Some(5000)));

        // POST keeps what it does not name, PUT does not.
        http(
            address,
            "POST",
            path,
            FORM,
            "migration_completion_percent 0.5\n",
        )
        .await;
        let run = metrics.run("shop-v2-1a").unwrap();
        assert_eq!((run.completion, run.items), (Some(0.5), Some(5000)));
        http(
            address,
            "PUT",
            path,
            FORM,
            "migration_completion_percent 1\nmigration_complete_total 1\n",
        )
        .await;
        let run = metrics.run("shop-v2-1a").unwrap();
        assert_eq!(
            (run.completion, run.items, run.complete),
            (Some(1.0), None, true)
        );

        let (status, text) = http(address, "GET", "/metrics", "", "").await;
        assert_eq!(status, 200);
        assert!(
            text.contains(
                "migration_complete_total{database=\"shop\",job=\"mine\",job_id=\"shop-v2-1a\"} 1"
            ),
            "{text}"
        );
        assert_eq!(http(address, "DELETE", path, "", "").await.0, 202);
        assert_eq!(metrics.run("shop-v2-1a"), None);
        assert_eq!(
            http(address, "GET", "/healthz", "", "").await,
            (200, "ok\n".to_owned())
        );
    }

    #[tokio::test]
    async fn pushed_by_python_prometheus_client() {
        let dir = Dir::new("python");
        let receiver = Receiver::start(&dir.0).await.unwrap();
        let headers = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\nAccept-Encoding: identity\r\n";
        let body = "# HELP migration_completion_percent Completion percentage\n\
                    # TYPE migration_completion_percent gauge\n\
                    migration_completion_percent{job_id=\"j1\"} 0.5\n\
                    # HELP migration_complete_total Complete\n\
                    # TYPE migration_complete_total counter\n\
                    migration_complete_total{job_id=\"j1\"} 0.0\n\
                    # HELP migration_complete_created Complete\n\
                    # TYPE migration_complete_created gauge\n\
                    migration_complete_created{job_id=\"j1\"} 1.7640000001234567e+09\n";
        let path = "/metrics/job/migrate/database@base64/c2hvcC9jdXN0b21lcnM=";
        let (status, _) = http(receiver.address(), "PUT", path, headers, body).await;
        assert_eq!(status, 200);
        let run = receiver.metrics().run("j1").unwrap();
        assert_eq!((run.completion, run.complete), (Some(0.5), false));
    }

    #[tokio::test]
    async fn what_is_no_push_is_refused_with_the_reason() {
        let dir = Dir::new("refused");
        let receiver = Receiver::start(&dir.0).await.unwrap();
        let address = receiver.address();
        let check = async |method, path, headers, body, expect: (u16, &str)| {
            let (status, text) = http(address, method, path, headers, body).await;
            assert_eq!((status, text.as_str()), expect, "{method} {path}");
        };
        check(
            "PUT",
            "/elsewhere",
            "",
            "a 1",
            (404, "push to /metrics/job/<job>{/<label>/<value>}\n"),
        )
        .await;
        check(
            "PUT",
            "/metrics/job/x/y",
            "",
            "a 1",
            (400, "the path ends with a label that has no value\n"),
        )
        .await;
        check(
            "PUT",
            "/metrics/job/x",
            "",
            "a\n",
            (400, "line 1: there is a name without a value\n"),
        )
        .await;
        check(
            "GET",
            "/metrics/job/x",
            "",
            "",
            (405, "push with PUT or POST\n"),
        )
        .await;
        let proto = "Content-Type: application/vnd.google.protobuf; encoding=delimited\r\n";
        check(
            "POST",
            "/metrics/job/x",
            proto,
            "a 1",
            (415, "push the text format, not protobuf\n"),
        )
        .await;
        let large = "a 1\n".repeat(BODY_BYTES_MAX / 4 + 1);
        let (status, _) = http(address, "PUT", "/metrics/job/x", "", &large).await;
        assert_eq!(status, 413);
        assert_eq!(
            http(address, "GET", "/metrics", "", "").await,
            (200, String::new())
        );
    }

    #[tokio::test]
    async fn a_restart_listens_where_it_did_and_gives_way_to_others() {
        let dir = Dir::new("port");
        let first = Receiver::start(&dir.0).await.unwrap();
        let address = first.address();
        let beside = Receiver::start(&dir.0).await.unwrap();
        assert_ne!(beside.address(), address);
        let noted = beside.address();
        drop((first, beside));
        // The task's socket closes once the runtime has dropped it.
        tokio::task::yield_now().await;
        let again = Receiver::start(&dir.0).await.unwrap();
        assert_eq!(again.address(), noted);
    }
}
