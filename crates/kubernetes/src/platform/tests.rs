//! What is deleted is what was looked at: on an API server that holds one object, and sees to preconditions.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use dbop_api::marks::{DATABASE_LABEL, MANAGED_BY, MANAGED_BY_LABEL};

/// What stands there, and what somebody whose look is older still sees of it.
#[derive(Clone)]
struct Server {
    seen: Value,
    standing: Arc<Mutex<Option<Value>>>,
}

impl tower::Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = futures_util::future::BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            if request.method() == Method::GET {
                return Ok(answer(200, &server.seen));
            }
            assert_eq!(request.method(), Method::DELETE);
            let how = request.into_body().collect_bytes().await.unwrap();
            let how: Value = serde_json::from_slice(&how).unwrap();
            Ok(server.delete(&how["preconditions"]))
        })
    }
}

impl Server {
    fn delete(&self, only: &Value) -> Response<Body> {
        let mut standing = self.standing.lock().unwrap();
        let there = &standing.as_ref().unwrap()["metadata"];
        let differs = |key: &str| !only[key].is_null() && only[key] != there[key];
        if differs("uid") || differs("resourceVersion") {
            let conflict = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "reason": "Conflict", "code": 409, "message": "the precondition does not hold" });
            return answer(409, &conflict);
        }
        let gone = standing.take().unwrap();
        answer(200, &gone)
    }
}

fn answer(status: u16, body: &Value) -> Response<Body> {
    let body = Body::from(serde_json::to_vec(body).unwrap());
    Response::builder().status(status).body(body).unwrap()
}

struct Epoch;

#[async_trait]
impl Clock for Epoch {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, _: Duration) {}
}

/// An object of ours at this revision.
fn object(kind: &str, api: &str, uid: &str, revision: &str) -> Value {
    json!({ "apiVersion": api, "kind": kind, "metadata": {
        "name": "shop-v1", "namespace": "shop", "uid": uid, "resourceVersion": revision,
        "labels": { MANAGED_BY_LABEL: MANAGED_BY, DATABASE_LABEL: "shop" },
    } })
}

/// A platform on which `seen` was looked at, where `standing` stands.
fn platform(seen: Value, standing: Value) -> (KubernetesPlatform, Arc<Mutex<Option<Value>>>) {
    let standing = Arc::new(Mutex::new(Some(standing)));
    let server = Server {
        seen,
        standing: standing.clone(),
    };
    let client = Client::new(server, "shop");
    let platform = KubernetesPlatform::looking(client, Settings::default(), Arc::new(Epoch));
    (platform, standing)
}

fn shop() -> ObjectRef {
    ObjectRef::new("shop", "shop").unwrap()
}

#[tokio::test]
async fn a_secret_that_has_changed_since_it_was_looked_at_is_not_deleted() {
    let secret = |revision| object("Secret", "v1", "a", revision);
    let (platform, standing) = platform(secret("7"), secret("8"));
    let name = SecretName::new("shop-v1").unwrap();
    let delete = async |revision: &str| {
        let revision = Revision(revision.to_owned());
        platform.delete_secret(&shop(), &name, &revision).await
    };
    let refused = delete("7").await.unwrap_err();
    assert!(
        matches!(refused, PlatformError::Conflict { .. }),
        "{refused}"
    );
    assert!(standing.lock().unwrap().is_some());
    delete("8").await.unwrap();
    assert!(standing.lock().unwrap().is_none());
}

#[tokio::test]
async fn a_job_that_is_another_than_the_one_looked_at_is_not_deleted() {
    let job = |uid, revision| object("Job", "batch/v1", uid, revision);
    for (other, goes) in [
        (job("b", "7"), false),
        (job("a", "8"), false),
        (job("a", "7"), true),
    ] {
        let (platform, standing) = platform(job("a", "7"), other);
        let name = JobName::new("shop-v1").unwrap();
        let deleted = platform.delete_job(&shop(), &name).await;
        let is_conflict = matches!(deleted, Err(PlatformError::Conflict { .. }));
        assert_eq!((deleted.is_ok(), is_conflict), (goes, !goes), "{deleted:?}");
        assert_eq!(standing.lock().unwrap().is_none(), goes);
    }
}
