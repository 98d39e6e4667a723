//! The API server, in JSON: what a test reads and writes, as a person with kubectl would.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

/// What takes longer than this does not come: a walk that is interrupted ten times takes minutes.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);
/// How often a test looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Who sets the fields that the tests apply.
const MANAGER: &str = "database-operator-tests";
/// How often a write is tried that the API server cannot take yet: it makes a namespace's ServiceAccount, and
/// serves a new kind, a moment after it has said so.
const TRIES: usize = 40;

/// Where kinds are served: kind, path up to the version, plural, whether it is in a namespace.
const KINDS: &[(&str, &str, &str, bool)] = &[
    ("Namespace", "/api/v1", "namespaces", false),
    ("ServiceAccount", "/api/v1", "serviceaccounts", true),
    ("Service", "/api/v1", "services", true),
    ("Secret", "/api/v1", "secrets", true),
    ("ConfigMap", "/api/v1", "configmaps", true),
    ("Pod", "/api/v1", "pods", true),
    ("Deployment", "/apis/apps/v1", "deployments", true),
    ("ReplicaSet", "/apis/apps/v1", "replicasets", true),
    ("Job", "/apis/batch/v1", "jobs", true),
    ("Event", "/apis/events.k8s.io/v1", "events", true),
    ("Lease", "/apis/coordination.k8s.io/v1", "leases", true),
    (
        "PodDisruptionBudget",
        "/apis/policy/v1",
        "poddisruptionbudgets",
        true,
    ),
    ("Role", "/apis/rbac.authorization.k8s.io/v1", "roles", true),
    (
        "RoleBinding",
        "/apis/rbac.authorization.k8s.io/v1",
        "rolebindings",
        true,
    ),
    (
        "ClusterRole",
        "/apis/rbac.authorization.k8s.io/v1",
        "clusterroles",
        false,
    ),
    (
        "ClusterRoleBinding",
        "/apis/rbac.authorization.k8s.io/v1",
        "clusterrolebindings",
        false,
    ),
    (
        "CustomResourceDefinition",
        "/apis/apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        false,
    ),
    (
        "ManagedDatabase",
        "/apis/database-operator.dev/v1alpha1",
        "manageddatabases",
        true,
    ),
    (
        "DatabaseMigration",
        "/apis/database-operator.dev/v1alpha1",
        "databasemigrations",
        true,
    ),
];

/// The path of all objects of a kind in a namespace.
pub(crate) fn all(kind: &str, namespace: &str) -> String {
    let found = KINDS.iter().find(|(known, ..)| *known == kind);
    let (_, base, plural, namespaced) = found.unwrap_or_else(|| panic!("no path of a {kind}"));
    match namespaced {
        true => format!("{base}/namespaces/{namespace}/{plural}"),
        false => format!("{base}/{plural}"),
    }
}

/// The path of an object.
pub(crate) fn at(kind: &str, namespace: &str, name: &str) -> String {
    format!("{}/{name}", all(kind, namespace))
}

#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) client: Client,
}

impl Api {
    /// The cluster that the environment names.
    pub(crate) async fn of_environment() -> Api {
        let path = std::env::var_os("DBOP_TEST_KUBECONFIG").map(PathBuf::from);
        let path = path.expect("DBOP_TEST_KUBECONFIG is not set: run `cargo xtask test node`");
        let file = Kubeconfig::read_from(&path).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(file, &options)
            .await
            .unwrap();
        Api {
            client: Client::try_from(config).unwrap(),
        }
    }

    /// An object, while there is one.
    pub(crate) async fn get(&self, at: &str) -> Option<Value> {
        match self.send(Method::GET, at, "", None).await {
            Ok(object) => Some(object),
            Err((404, _)) => None,
            Err((code, said)) => panic!("{at}: {code} {said}"),
        }
    }

    /// All objects there.
    pub(crate) async fn list(&self, at: &str) -> Vec<Value> {
        let listed = self.send(Method::GET, at, "", None).await;
        let list = listed.unwrap_or_else(|(code, said)| panic!("{at}: {code} {said}"));
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Creates an object, or makes it so.
    pub(crate) async fn apply(&self, object: &Value) -> Value {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or("")
        };
        let place = at(
            text("/kind"),
            text("/metadata/namespace"),
            text("/metadata/name"),
        );
        let how = format!("{place}?fieldManager={MANAGER}&force=true");
        let mut said = String::new();
        for _ in 0..TRIES {
            let kind = "application/apply-patch+yaml";
            match self.send(Method::PATCH, &how, kind, Some(object)).await {
                Ok(object) => return object,
                Err((code @ (403 | 404 | 500..), why)) => said = format!("{code} {why}"),
                Err((code, why)) => panic!("{place}: {code} {why}"),
            }
            tokio::time::sleep(LOOK_EVERY * 5).await;
        }
        panic!("{place}: {said}")
    }

    /// Changes a part of an object.
    pub(crate) async fn merge(&self, at: &str, change: Value) -> Value {
        let kind = "application/merge-patch+json";
        let merged = self.send(Method::PATCH, at, kind, Some(&change)).await;
        merged.unwrap_or_else(|(code, said)| panic!("{at}: {code} {said}"))
    }

    /// Deletes an object; it may have gone already.
    pub(crate) async fn delete(&self, at: &str, how: Value) {
        let deleted = self
            .send(Method::DELETE, at, "application/json", Some(&how))
            .await;
        match deleted {
            Ok(_) | Err((404 | 409, _)) => {}
            Err((code, said)) => panic!("{at}: {code} {said}"),
        }
    }

    /// What a container has written.
    pub(crate) async fn log(&self, namespace: &str, pod: &str) -> String {
        let at = format!("{}/log", at("Pod", namespace, pod));
        let request = Request::get(at).body(Vec::new()).unwrap();
        self.client.request_text(request).await.unwrap_or_default()
    }

    /// One request, tried again while the server is too busy to answer.
    async fn send(
        &self,
        method: Method,
        at: &str,
        kind: &str,
        body: Option<&Value>,
    ) -> Result<Value, (u16, String)> {
        let body = body.map_or_else(Vec::new, |body| serde_json::to_vec(body).unwrap());
        let mut tried = 0;
        loop {
            let mut request = Request::builder().method(method.clone()).uri(at);
            if !kind.is_empty() {
                request = request.header("Content-Type", kind);
            }
            let request = request.body(body.clone()).unwrap();
            tried += 1;
            match self.client.request::<Value>(request).await {
                Ok(value) => return Ok(value),
                Err(kube::Error::Api(status)) => return Err((status.code, status.message.clone())),
                Err(error) if tried == TRIES => panic!("{at}: {error}"),
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
}

/// Background deletion, as kubectl's.
pub(crate) fn background() -> Value {
    json!({ "propagationPolicy": "Background" })
}

/// What `kubectl delete --cascade=foreground` asks for.
pub(crate) fn foreground() -> Value {
    json!({ "propagationPolicy": "Foreground" })
}

/// What `kubectl delete --grace-period=0 --force` asks for.
pub(crate) fn by_force() -> Value {
    json!({ "gracePeriodSeconds": 0 })
}

/// kubectl on the test cluster: whether it succeeded, and what it printed.
pub(crate) async fn kubectl(arguments: &[&str]) -> (bool, String) {
    let program =
        std::env::var_os("DBOP_XTASK").expect("DBOP_XTASK is not set: run `cargo xtask test node`");
    let mut command = Command::new(program);
    command
        .current_dir(root())
        .args(["cluster", "kubectl", "--"])
        .args(arguments);
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = ran.await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// The checkout.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Waits until something is there, and gives it.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(LIMIT, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    });
    found
        .await
        .unwrap_or_else(|_| panic!("it never is so: {what}"))
}

/// A text in an object; empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The status, reason and message of a condition.
pub(crate) fn condition<'a>(object: &'a Value, name: &str) -> (&'a str, &'a str, &'a str) {
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let found = conditions.into_iter().flatten().find(|c| c["type"] == name);
    found.map_or(("", "", ""), |c| {
        (text(c, "/status"), text(c, "/reason"), text(c, "/message"))
    })
}

/// The objects of a stream of YAML.
pub(crate) fn objects(stream: &str) -> Vec<Value> {
    let stream = format!("\n{stream}");
    let documents = stream.split("\n---\n").map(|text| {
        serde_saphyr::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
    });
    documents.filter(|document| !document.is_null()).collect()
}
