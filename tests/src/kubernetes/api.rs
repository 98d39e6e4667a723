//! The API server as the test asks it: plain requests, as the cluster's administrator.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

use crate::binary;
use crate::local::until;

/// The test's own requests bear this.
const AGENT: &str = "dbop-tests";
/// A request that is not answered by then is as good as refused: an API server that is stopped answers nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// A read that is not answered is tried so often.
const TRIES: u32 = 5;

/// The way to the API server.
#[derive(Clone)]
pub struct Api {
    client: Client,
    kubeconfig: Arc<Value>,
    path: PathBuf,
}

/// The kinds are the whole cluster's, and applied once.
static KINDS: OnceCell<()> = OnceCell::const_new();

impl Api {
    /// The API server of `DBOP_TEST_KUBECONFIG`, with our kinds.
    ///
    /// # Panics
    /// When the variable names none, or it does not answer.
    pub async fn with_our_kinds() -> Self {
        let path = std::env::var_os("DBOP_TEST_KUBECONFIG").map(PathBuf::from);
        let path = path.expect(
            "DBOP_TEST_KUBECONFIG is not set: run `cargo xtask cluster up --light -- cargo test ...`",
        );
        let text = std::fs::read_to_string(&path).expect("the kubeconfig can be read");
        let kubeconfig: Value = serde_saphyr::from_str(&text).expect("the kubeconfig is YAML");
        let api = Self {
            client: client(&kubeconfig).await,
            kubeconfig: Arc::new(kubeconfig),
            path,
        };
        KINDS.get_or_init(|| api.apply_kinds()).await;
        api
    }

    /// The kubeconfig's file.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.path
    }

    /// The same cluster, for somebody else.
    #[must_use]
    pub fn kubeconfig_for(&self, user: &str, token: &str, namespace: &str) -> Value {
        let mut config = (*self.kubeconfig).clone();
        let cluster = config["clusters"][0]["name"].clone();
        config["users"] = json!([{ "name": user, "user": { "token": token } }]);
        config["contexts"] = json!([{ "name": user, "context": {
            "cluster": cluster, "user": user, "namespace": namespace,
        }}]);
        config["current-context"] = json!(user);
        config
    }

    /// One request. The error is the status code, 0 where nobody answered, and what was said.
    ///
    /// # Errors
    /// The API server's.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, (u16, String)> {
        let kind = match method {
            Method::PATCH if path.contains("fieldManager=") => "application/apply-patch+yaml",
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, kind)
            .body(body)
            .expect("a path is a URI");
        match timeout(PATIENCE, self.client.request::<Value>(request)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(kube::Error::Api(status))) => Err((status.code, status.message.clone())),
            Ok(Err(error)) => Err((0, error.to_string())),
            Err(_) => Err((0, "no answer".to_owned())),
        }
    }

    /// An object, if it is there.
    ///
    /// # Panics
    /// When the API server does not say.
    pub async fn find(&self, path: &str) -> Option<Value> {
        for tried in 1.. {
            match self.send(Method::GET, path, None).await {
                Ok(found) => return Some(found),
                Err((404, _)) => return None,
                // A busy machine.
                Err((0, _)) if tried < TRIES => {}
                Err((code, said)) => panic!("GET {path}: {code} {said}"),
            }
        }
        None
    }

    /// The objects of a collection.
    ///
    /// # Panics
    /// When the API server does not say.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let list = self.find(path).await.unwrap_or_default();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Creates an object.
    ///
    /// # Panics
    /// When the API server does not take it.
    pub async fn create(&self, path: &str, object: &Value) -> Value {
        match self.send(Method::POST, path, Some(object)).await {
            Ok(created) => created,
            Err((code, said)) => panic!("POST {path}: {code} {said}"),
        }
    }

    /// Changes some fields.
    ///
    /// # Panics
    /// When the API server does not take it.
    pub async fn change(&self, path: &str, change: &Value) {
        if let Err((code, said)) = self.send(Method::PATCH, path, Some(change)).await {
            panic!("PATCH {path}: {code} {said}");
        }
    }

    /// A client like the one behind this, with this kubeconfig.
    ///
    /// # Panics
    /// When the kubeconfig is none.
    pub(crate) async fn client_of(kubeconfig: &Value) -> Client {
        client(kubeconfig).await
    }

    async fn apply_kinds(&self) {
        let printed = std::process::Command::new(binary("database-operator"))
            .arg("crds")
            .output()
            .expect("database-operator can be run");
        let text = String::from_utf8(printed.stdout).expect("YAML is text");
        for crd in documents(&text) {
            let name = crd["metadata"]["name"].as_str().expect("a CRD has a name");
            let at = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
            let apply = format!("{at}?fieldManager=database-operator-tests&force=true");
            self.change(&apply, &crd).await;
            until("the kind is served", 2 * PATIENCE, async || {
                let crd = self.find(&at).await.unwrap_or_default();
                let conditions = crd["status"]["conditions"].as_array();
                conditions
                    .into_iter()
                    .flatten()
                    .any(|c| c["type"] == "Established" && c["status"] == "True")
            })
            .await;
        }
        // It is served a moment after it is said to be.
        sleep(Duration::from_millis(500)).await;
    }
}

async fn client(kubeconfig: &Value) -> Client {
    let file: Kubeconfig = serde_json::from_value(kubeconfig.clone()).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    let mut config = config.expect("the kubeconfig names a cluster and a user");
    config
        .headers
        .push((USER_AGENT, HeaderValue::from_static(AGENT)));
    config.default_retry = false;
    Client::try_from(config).expect("a client can be made")
}

/// The documents of a YAML file.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    text.split("\n---\n")
        .map(|part| part.trim_start_matches("---\n"))
        .filter(|part| {
            part.lines()
                .any(|line| !line.is_empty() && !line.starts_with('#'))
        })
        .map(|part| serde_saphyr::from_str(part).expect("YAML"))
        .collect()
}
