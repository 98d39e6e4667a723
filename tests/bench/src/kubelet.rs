//! The kubelet that is not there: runs the migrations of Jobs' Pods on the fake databases, and says so in the
//! Pods' status.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use dbop_api::marks::{MANAGED_BY, MANAGED_BY_LABEL, TO_ANNOTATION};
use dbop_model::table::TableName;
use dbop_model::{Privilege, SchemaVersion};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::measure::say;
use crate::server::FakeServer;

/// How often it looks for Pods.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The kubelet; it ends when it is dropped.
pub struct Kubelet {
    task: JoinHandle<()>,
}

impl Kubelet {
    /// Starts in a namespace.
    pub fn start(client: Client, namespace: String, server: Arc<FakeServer>) -> Self {
        let node = Node {
            client,
            namespace,
            server,
        };
        let task = tokio::spawn(async move {
            let mut told = String::new();
            loop {
                // An API server that is stopped gives no Pods. Whatever it is, it is said once.
                if let Err(error) = node.look().await {
                    let error = error.to_string();
                    if error != told {
                        say(&format!("  the Pods: {error}"));
                        told = error;
                    }
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Self { task }
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
    server: Arc<FakeServer>,
}

impl Node {
    async fn look(&self) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let ours = ListParams::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"));
        for pod in pods.list(&ours).await?.items {
            let phase = pod.status.clone().and_then(|status| status.phase);
            if pod.metadata.deletion_timestamp.is_some() {
                let now = DeleteParams::default().grace_period(0);
                pods.delete(&pod.name_any(), &now).await?;
                continue;
            }
            match phase.as_deref() {
                Some("Pending") => {
                    let running = json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } });
                    self.say(&pods, &pod, "Running", running).await?;
                    self.migrate(&pod).await?;
                    let terminated = json!({ "terminated": {
                        "exitCode": 0, "reason": "Completed",
                        "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
                    }});
                    self.say(&pods, &pod, "Succeeded", terminated).await?;
                }
                _ => continue,
            }
        }
        Ok(())
    }

    async fn migrate(&self, pod: &Pod) -> Result<()> {
        let job = &pod.labels()["batch.kubernetes.io/job-name"];
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let data = secrets.get(job).await?.data.unwrap_or_default();
        let value = |key: &str| -> Result<String> {
            let value = data
                .get(key)
                .with_context(|| format!("{job} has no {key}"))?;
            Ok(String::from_utf8(value.0.clone())?)
        };
        let database = self.server.database(&value("DBA_OP_DATABASE")?);
        let database = database.context("the database has gone")?;
        let version = SchemaVersion::new(pod.annotations()[TO_ANNOTATION].as_str())?;
        let (user, password) = (value("DBA_OP_USERNAME")?, value("DBA_OP_PASSWORD")?);
        // The table was there before the operator, and is nobody's whom the migrator acts as.
        let versions = TableName::new(Some("public"), "alembic_version")?;
        for role in database.roles().keys() {
            database.set_grant(&versions, role, Privilege::Update, true);
        }
        Ok(database.run_migration(&user, &password, &version)?)
    }

    async fn say(&self, pods: &Api<Pod>, pod: &Pod, phase: &str, state: Value) -> Result<()> {
        let container = &pod.spec.as_ref().context("a Pod has a spec")?.containers[0];
        let status = json!({ "status": { "phase": phase, "containerStatuses": [{
            "name": container.name, "image": "bench/migrate:1", "imageID": "",
            "ready": phase == "Running", "restartCount": 0, "started": true, "state": state,
        }]}});
        let change = Patch::Merge(&status);
        pods.patch_status(&pod.name_any(), &PatchParams::default(), &change)
            .await?;
        Ok(())
    }
}
