//! The kubelet that is not there: runs migrations' Pods by a script, and says so in their status.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dbop_model::SchemaVersion;
use dbop_testkit::fake_database::FakeDatabase;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::site::Site;

/// What a migration does when its Pod runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Moves the version, exits with 0.
    Succeeds,
    /// Exits with 1, and does nothing.
    Fails,
    /// Runs until it is told otherwise.
    Hangs,
    /// Its image cannot be pulled.
    NoImage,
}

/// The kubelet; it ends when it is dropped.
pub(crate) struct Kubelet {
    scripts: Arc<Mutex<BTreeMap<String, Script>>>,
    /// The Jobs whose container started, in order.
    pub(crate) started: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Kubelet {
    pub(crate) fn start(site: &Site) -> Self {
        let scripts: Arc<Mutex<BTreeMap<String, Script>>> = Arc::default();
        let started: Arc<Mutex<Vec<String>>> = Arc::default();
        let node = Node {
            client: site.client.clone(),
            namespace: site.namespace.clone(),
            server: site.server.clone(),
            scripts: scripts.clone(),
            started: started.clone(),
        };
        let task = tokio::spawn(async move {
            loop {
                node.look().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self {
            scripts,
            started,
            task,
        }
    }

    /// What the migration of this name does from now on.
    pub(crate) fn script(&self, migration: &str, script: Script) {
        self.scripts
            .lock()
            .unwrap()
            .insert(migration.to_owned(), script);
    }

    pub(crate) fn runs(&self) -> usize {
        self.started.lock().unwrap().len()
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Node {
    client: Client,
    namespace: String,
    server: FakeDatabase,
    scripts: Arc<Mutex<BTreeMap<String, Script>>>,
    started: Arc<Mutex<Vec<String>>>,
}

impl Node {
    async fn look(&self) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let migrations = ListParams::default().labels("app.kubernetes.io/component=migration");
        // An API server that a test has stopped gives no Pods.
        let Ok(all) = pods.list(&migrations).await else {
            return;
        };
        for pod in all.items {
            let status = pod.status.clone().unwrap_or_default();
            let phase = status.phase.unwrap_or_default();
            if pod.metadata.deletion_timestamp.is_some() {
                let now = kube::api::DeleteParams::default().grace_period(0);
                let _ = pods.delete(&pod.name_any(), &now).await;
            } else if phase == "Pending" || phase == "Running" {
                self.attend(&pods, &pod, &phase).await;
            }
        }
    }

    async fn attend(&self, pods: &Api<Pod>, pod: &Pod, phase: &str) {
        let migration = pod.annotations()["database-operator.dev/to"].clone();
        let job = pod.labels()["batch.kubernetes.io/job-name"].clone();
        let script = self.scripts.lock().unwrap().get(&migration).copied();
        let script = script.unwrap_or(Script::Succeeds);
        if script == Script::NoImage {
            let waiting = json!({ "waiting": { "reason": "ImagePullBackOff",
                "message": "Back-off pulling image \"test/migrate:1\"" } });
            self.say(pods, pod, "Pending", waiting, false).await;
            return;
        }
        if phase == "Pending" {
            let running = json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } });
            self.say(pods, pod, "Running", running, true).await;
            self.started.lock().unwrap().push(job);
            return;
        }
        let (phase, code) = match script {
            Script::Hangs | Script::NoImage => return,
            Script::Fails => ("Failed", 1),
            Script::Succeeds => match self.migrate(&job, &migration).await {
                Ok(()) => ("Succeeded", 0),
                Err(error) => {
                    eprintln!("Job {job}: {error}");
                    ("Failed", 2)
                }
            },
        };
        let terminated = json!({ "terminated": {
            "exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" },
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
        }});
        self.say(pods, pod, phase, terminated, true).await;
    }

    async fn migrate(&self, job: &str, migration: &str) -> Result<(), String> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = secrets.get(job).await.map_err(|e| e.to_string())?;
        let data = secret.data.unwrap_or_default();
        let value = |key: &str| String::from_utf8(data[key].0.clone()).unwrap();
        let database = self.server.named(&value("DBA_OP_DATABASE"));
        let version = SchemaVersion::new(migration).unwrap();
        database
            .run_migration(
                &value("DBA_OP_USERNAME"),
                &value("DBA_OP_PASSWORD"),
                &version,
            )
            .map_err(|error| error.to_string())
    }

    async fn say(
        &self,
        pods: &Api<Pod>,
        pod: &Pod,
        phase: &str,
        state: serde_json::Value,
        started: bool,
    ) {
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let status = json!({ "status": { "phase": phase, "containerStatuses": [{
            "name": container.name, "image": "test/migrate:1", "imageID": "", "ready": phase == "Running",
            "restartCount": 0, "started": started, "state": state,
        }]}});
        let _ = pods
            .patch_status(
                &pod.name_any(),
                &PatchParams::default(),
                &Patch::Merge(&status),
            )
            .await;
    }
}
