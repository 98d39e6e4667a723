//! The API server that judges: requests as kubectl makes them, and what it answers.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::PathBuf;
use std::time::Duration;

use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

/// How often, and how long apart, an object that is let in is tried again: an API server serves the schema of a CRD
/// a moment after it has stored it.
const TRIES: usize = 20;
const TRY_EVERY: Duration = Duration::from_millis(250);

pub(crate) struct Server {
    client: Client,
}

impl Server {
    /// The server of `DBOP_TEST_KUBECONFIG`, with our CRDs.
    pub(crate) async fn with_our_kinds() -> Self {
        let path = std::env::var_os("DBOP_TEST_KUBECONFIG").map(PathBuf::from);
        let path = path.expect(
            "DBOP_TEST_KUBECONFIG is not set: run `cargo xtask cluster up --light`, which prints it for a \
             cluster of its own",
        );
        let file = Kubeconfig::read_from(&path).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(file, &options)
            .await
            .unwrap();
        let server = Self {
            client: Client::try_from(config).unwrap(),
        };
        for crd in dbop_api::crds() {
            let name = crd.metadata.name.clone().unwrap();
            let at = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
            let apply = format!("{at}?fieldManager=database-operator-tests&force=true");
            let body = serde_json::to_value(&crd).unwrap();
            let applied = server.send(Method::PATCH, &apply, Some(&body)).await;
            assert!(applied.is_ok(), "{name}: {applied:?}");
            server.wait_established(&at).await;
        }
        server
    }

    async fn wait_established(&self, at: &str) {
        for _ in 0..TRIES {
            let crd = self.send(Method::GET, at, None).await.unwrap();
            let conditions = crd["status"]["conditions"].as_array();
            if conditions.into_iter().flatten().any(|condition| {
                condition["type"] == "Established" && condition["status"] == "True"
            }) {
                return;
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
        panic!("{at} is not served");
    }

    /// What is said of an object that is to be refused.
    pub(crate) async fn refusal(&self, object: &Value) -> Result<(), String> {
        for _ in 0..TRIES {
            self.create(object, true).await?;
            tokio::time::sleep(TRY_EVERY).await;
        }
        Ok(())
    }

    /// Creates an object, or asks what would become of it.
    pub(crate) async fn create(&self, object: &Value, dry: bool) -> Result<(), String> {
        let dry = if dry { "&dryRun=All" } else { "" };
        let at = format!("{}?fieldValidation=Strict{dry}", collection(object));
        self.send(Method::POST, &at, Some(object)).await.map(drop)
    }

    /// What would become of an object in place of the one that stands.
    pub(crate) async fn replace(&self, object: &Value) -> Result<(), String> {
        let stands = self.send(Method::GET, &path(object), None).await?;
        let mut object = object.clone();
        object["metadata"]["resourceVersion"] = stands["metadata"]["resourceVersion"].clone();
        let at = format!("{}?fieldValidation=Strict&dryRun=All", path(&object));
        self.send(Method::PUT, &at, Some(&object)).await.map(drop)
    }

    pub(crate) async fn delete(&self, object: &Value) {
        let deleted = self.send(Method::DELETE, &path(object), None).await;
        assert!(deleted.is_ok(), "{deleted:?}");
    }

    /// A namespace that nobody else uses.
    pub(crate) async fn namespace(&self, what: &str) -> String {
        let random = RandomState::new().build_hasher().finish();
        let name = format!("admission-{what}-{random:x}");
        let body = json!({ "metadata": { "name": name } });
        let created = self
            .send(Method::POST, "/api/v1/namespaces", Some(&body))
            .await;
        assert!(created.is_ok(), "{created:?}");
        name
    }

    pub(crate) async fn delete_namespace(&self, name: &str) {
        let at = format!("/api/v1/namespaces/{name}");
        let deleted = self.send(Method::DELETE, &at, None).await;
        assert!(deleted.is_ok(), "{deleted:?}");
    }

    /// One request. What the server says of a refusal is the error.
    async fn send(&self, method: Method, at: &str, body: Option<&Value>) -> Result<Value, String> {
        let kind = match method {
            Method::PATCH => "application/apply-patch+yaml",
            _ => "application/json",
        };
        let body = body.map_or_else(Vec::new, |body| serde_json::to_vec(body).unwrap());
        let request = Request::builder()
            .method(method)
            .uri(at)
            .header("Content-Type", kind)
            .body(body)
            .unwrap();
        match self.client.request::<Value>(request).await {
            Ok(value) => Ok(value),
            Err(kube::Error::Api(status)) => Err(status.message.clone()),
            Err(error) => panic!("{at}: {error}"),
        }
    }
}

fn collection(object: &Value) -> String {
    let namespace = object["metadata"]["namespace"].as_str().unwrap();
    let plural = match object["kind"].as_str().unwrap() {
        dbop_api::MANAGED_DATABASE => "manageddatabases",
        _ => "databasemigrations",
    };
    format!(
        "/apis/{}/namespaces/{namespace}/{plural}",
        dbop_api::API_VERSION
    )
}

fn path(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap();
    format!("{}/{name}", collection(object))
}
