//! The gate for writes: a request that changes anything leaves only while this operator leads.
//!
//! A tower layer around the whole stack of a [`kube::Client`]: what it refuses is never sent. It asks at the
//! moment of sending, and takes the request back when the leadership ends before the answer is there. It does
//! not replace the resourceVersions of writes nor the database's lock: a request that is on its way when the
//! process is stopped, arrives.
//!
//! ```no_run
//! use dbop_kubernetes::gate::{self, Gate};
//!
//! # fn example(config: kube::Config) -> Result<(), kube::Error> {
//! // For commands that only look: this client cannot write.
//! let client = gate::client(config, &Gate::closed())?;
//! # Ok(())
//! # }
//! ```

mod connections;

pub use connections::Connections;

use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{HeaderValue, USER_AGENT};
use http::{Method, Request};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::{BoxError, Layer, Service};

use crate::election::Leadership;

/// Reviews: they are POSTs that change nothing.
const REVIEWS: &str = "/apis/authorization.k8s.io/";
/// What our requests bear as their `User-Agent`.
const AGENT: &str = concat!("database-operator/", env!("CARGO_PKG_VERSION"));

/// Why a request was not sent, or its answer not waited for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// It was not sent.
    #[error("this operator no longer leads: {what} was not sent")]
    NotLeading {
        /// Method and path.
        what: String,
    },
    /// It may have been sent.
    #[error("this operator no longer leads: the answer to {what} was not waited for")]
    Ended {
        /// Method and path.
        what: String,
    },
    /// It was not sent.
    #[error("this command only looks: {what} was not sent")]
    OnlyLooks {
        /// Method and path.
        what: String,
    },
}

/// When writes may leave.
#[derive(Debug, Clone)]
pub struct Gate {
    leadership: Option<Leadership>,
}

impl Gate {
    /// While this leadership lasts.
    pub fn leading(leadership: Leadership) -> Self {
        Self {
            leadership: Some(leadership),
        }
    }

    /// Never.
    pub fn closed() -> Self {
        Self { leadership: None }
    }
}

/// A client behind a gate. It repeats no request by itself: what is sent again passes the gate again.
///
/// # Errors
/// Where no client can be made of the configuration.
pub fn client(config: Config, gate: &Gate) -> Result<Client, kube::Error> {
    let builder = ClientBuilder::try_from(without_repeats(config))?;
    Ok(builder.with_layer(gate).build())
}

/// A client for the Lease alone: without a gate, and it repeats no request by itself.
///
/// # Errors
/// Where no client can be made of the configuration.
pub fn ungated(config: Config) -> Result<Client, kube::Error> {
    Ok(ClientBuilder::try_from(without_repeats(config))?.build())
}

/// kube's own repeats are below the gate, and would go on after it has closed. The API server's logs are to
/// tell our requests from others'.
fn without_repeats(mut config: Config) -> Config {
    config.default_retry = false;
    if !config.headers.iter().any(|(name, _)| name == USER_AGENT) {
        let agent = HeaderValue::from_static(AGENT);
        config.headers.push((USER_AGENT, agent));
    }
    config
}

/// Was a call kept back by a gate?
pub fn kept_back(error: &kube::Error) -> Option<&GateError> {
    match error {
        kube::Error::Service(source) => source.downcast_ref(),
        _ => None,
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated {
            gate: self.clone(),
            inner,
        }
    }
}

/// A service behind a gate.
#[derive(Debug, Clone)]
pub struct Gated<S> {
    gate: Gate,
    inner: S,
}

impl<S, Response> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !changes_something(&request) {
            let answer = self.inner.call(request);
            return Box::pin(async { answer.await.map_err(Into::into) });
        }
        let what = format!("{} {}", request.method(), request.uri().path());
        let Some(leadership) = self.gate.leadership.clone() else {
            return refused(GateError::OnlyLooks { what });
        };
        if !leadership.may_write() {
            return refused(GateError::NotLeading { what });
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            // The end is asked first: one that was stopped and goes on does not send what it had begun.
            tokio::select! {
                biased;
                () = leadership.lost() => Err(GateError::Ended { what }.into()),
                answer = answer => answer.map_err(Into::into),
            }
        })
    }
}

fn refused<T>(error: GateError) -> Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>> {
    Box::pin(async { Err(error.into()) })
}

fn changes_something(request: &Request<Body>) -> bool {
    let is_review = request.method() == Method::POST && request.uri().path().starts_with(REVIEWS);
    !(is_review || [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::election::leadership::{lasting, pair};

    /// Counts what reaches it, and answers after a second.
    #[derive(Clone, Default)]
    struct Server(Arc<AtomicU32>);

    impl Service<Request<Body>> for Server {
        type Response = u16;
        type Error = BoxError;
        type Future = Pin<Box<dyn Future<Output = Result<u16, BoxError>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            let count = self.0.clone();
            Box::pin(async move {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(200)
            })
        }
    }

    fn request(method: &str, path: &str) -> Request<Body> {
        let request = Request::builder().method(method).uri(path);
        request.body(Body::empty()).unwrap()
    }

    const JOBS: &str = "/apis/batch/v1/namespaces/shop/jobs";
    const REVIEW: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

    #[track_caller]
    fn told(answer: Result<u16, BoxError>) -> Result<u16, GateError> {
        answer.map_err(|error| error.downcast_ref::<GateError>().unwrap().clone())
    }

    async fn send(
        gate: &Gate,
        server: &Server,
        method: &str,
        path: &str,
    ) -> Result<u16, GateError> {
        told(gate.layer(server.clone()).call(request(method, path)).await)
    }

    #[tokio::test(start_paused = true)]
    async fn looks_pass_always_and_writes_while_we_lead() {
        let (_keeper, leads) = lasting(Duration::from_secs(60));
        let (_waits, follows) = pair();
        let not_sent = |method: &str| GateError::NotLeading {
            what: format!("{method} {JOBS}"),
        };
        let only = |method: &str| GateError::OnlyLooks {
            what: format!("{method} {JOBS}"),
        };
        for (gate, error) in [
            (Gate::leading(leads), None),
            (
                Gate::leading(follows),
                Some(not_sent as fn(&str) -> GateError),
            ),
            (Gate::closed(), Some(only)),
        ] {
            let server = Server::default();
            for method in ["GET", "HEAD"] {
                assert_eq!(send(&gate, &server, method, JOBS).await, Ok(200));
            }
            assert_eq!(send(&gate, &server, "POST", REVIEW).await, Ok(200));
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                let answer = send(&gate, &server, method, JOBS).await;
                match error {
                    Some(error) => assert_eq!(answer, Err(error(method))),
                    None => assert_eq!(answer, Ok(200)),
                }
            }
            let reached = server.0.load(Ordering::Relaxed);
            assert_eq!(reached, if error.is_some() { 3 } else { 7 });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_ends_with_the_leadership() {
        let (_keeper, leads) = lasting(Duration::from_millis(500));
        let answer = send(&Gate::leading(leads), &Server::default(), "PUT", JOBS).await;
        let error = answer.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("this operator no longer leads: the answer to PUT {JOBS} was not waited for")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_before_a_stop_is_not_sent_after_it() {
        let (_keeper, leads) = lasting(Duration::from_secs(10));
        let server = Server::default();
        let mut service = Gate::leading(leads).layer(server.clone());
        let call = service.call(request("DELETE", JOBS));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(matches!(told(call.await), Err(GateError::Ended { .. })));
        assert_eq!(server.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_a_gate_keeps_back_is_known_from_the_error() {
        let what = "PUT /x".to_owned();
        let error = GateError::NotLeading { what };
        let of_kube = kube::Error::Service(error.clone().into());
        assert_eq!(kept_back(&of_kube), Some(&error));
        assert_eq!(kept_back(&kube::Error::TlsRequired), None);
    }
}
