//! A way to the API server that can lag: a plain HTTP server which asks with a ServiceAccount's token. It can hold
//! back what watches tell, and answer once with a list that it gave before.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use kube::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::Api;
use super::operator::token;

/// Requests of the operator are small.
const BODY_MAX: usize = 1 << 22;

struct Shared {
    client: Client,
    lag_ms: AtomicU64,
    /// Lists as they were answered, by what was asked.
    recorded: Mutex<BTreeMap<String, Bytes>>,
    /// Lists to answer with once.
    old: Mutex<BTreeMap<String, Bytes>>,
    /// Which of them were.
    replayed: Mutex<Vec<String>>,
}

/// The gateway; it is gone when this is dropped.
pub struct Gateway {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Gateway {
    /// Opens one, for the account of this name.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn open(api: &Api, namespace: &str, name: &str) -> Gateway {
        let token = token(api, namespace, name).await;
        let kubeconfig = api.kubeconfig_for(name, &token, namespace);
        let shared = Arc::new(Shared {
            client: Api::client_of(&kubeconfig).await,
            lag_ms: AtomicU64::new(0),
            recorded: Mutex::default(),
            old: Mutex::default(),
            replayed: Mutex::default(),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let task = tokio::spawn(async move {
            // It ends with the task.
            let _ = axum::serve(listener, router).await;
        });
        Gateway {
            shared,
            address,
            task,
        }
    }

    /// What an operator is given to come this way.
    #[must_use]
    pub fn kubeconfig(&self, namespace: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "gateway",
            "clusters": [{ "name": "gateway", "cluster": { "server": format!("http://{}", self.address) } }],
            "users": [{ "name": "gateway", "user": {} }],
            "contexts": [{ "name": "gateway", "context": {
                "cluster": "gateway", "user": "gateway", "namespace": namespace,
            }}],
        })
    }

    /// From now on, watches tell everything so much later.
    pub fn lag(&self, lag: Duration) {
        let lag = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        self.shared.lag_ms.store(lag, Ordering::SeqCst);
    }

    /// The lists that were given to operators of this gateway last, by what was asked.
    #[must_use]
    pub fn lists(&self) -> BTreeMap<String, Bytes> {
        locked(&self.shared.recorded).clone()
    }

    /// Answers once with these.
    pub fn replay(&self, lists: BTreeMap<String, Bytes>) {
        *locked(&self.shared.old) = lists;
    }

    /// Which old lists were answered with.
    #[must_use]
    pub fn replayed(&self) -> Vec<String> {
        locked(&self.shared.replayed).clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match shared.answer(request).await {
        Ok(response) => response,
        Err(said) => (StatusCode::BAD_GATEWAY, said).into_response(),
    }
}

impl Shared {
    async fn answer(&self, request: Request) -> Result<Response, String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query();
        let path = path.map_or_else(String::new, ToString::to_string);
        head.uri = path.parse().map_err(|e| said(&e))?;
        head.headers.remove(http::header::HOST);
        let is_watch = path.contains("watch=");
        let is_list = head.method == Method::GET && !is_watch && is_collection(&path);
        if is_list && let Some(old) = locked(&self.old).remove(&asked(&path)) {
            locked(&self.replayed).push(path);
            return Ok(json_response(old));
        }
        let body = axum::body::to_bytes(body, BODY_MAX).await;
        let body = body.map_err(|e| said(&e))?.to_vec();
        let request = http::Request::from_parts(head, kube::client::Body::from(body));
        let response = self.client.send(request).await.map_err(|e| said(&e))?;
        let (mut head, body) = response.into_parts();
        // What is sent on is framed anew.
        head.headers.remove(http::header::TRANSFER_ENCODING);
        let body = Body::new(body);
        if is_watch {
            let lag = Duration::from_millis(self.lag_ms.load(Ordering::SeqCst));
            return Ok(Response::from_parts(head, late(body, lag)));
        }
        let bytes = axum::body::to_bytes(body, usize::MAX).await;
        let bytes = bytes.map_err(|e| said(&e))?;
        if is_list && head.status.is_success() {
            locked(&self.recorded).insert(asked(&path), bytes.clone());
        }
        Ok(Response::from_parts(head, Body::from(bytes)))
    }
}

/// The same, each part so much later than it came, in order.
fn late(body: Body, lag: Duration) -> Body {
    let (parts, mut coming) = tokio::sync::mpsc::unbounded_channel();
    let mut stream = body.into_data_stream();
    tokio::spawn(async move {
        while let Some(part) = stream.next().await {
            if parts.send((Instant::now() + lag, part)).is_err() {
                return;
            }
        }
    });
    let stream = futures_util::stream::poll_fn(move |context| coming.poll_recv(context));
    Body::from_stream(stream.then(|(due, part)| async move {
        sleep_until(due).await;
        part
    }))
}

fn json_response(bytes: Bytes) -> Response {
    let header = [(http::header::CONTENT_TYPE, "application/json")];
    (header, bytes).into_response()
}

/// A list as somebody asks for it: which one, of which objects; not from when.
fn asked(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let wanted = query.split('&').filter(|part| {
        ["labelSelector=", "fieldSelector="]
            .iter()
            .any(|word| part.starts_with(word))
    });
    wanted.fold(path.to_owned(), |all, part| format!("{all}&{part}"))
}

/// `/api/v1/namespaces/NAMESPACE/KIND` or the same of a group.
fn is_collection(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.first() {
        Some(&"api") => parts.len() == 5,
        Some(&"apis") => parts.len() == 6,
        _ => false,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
