//! The operator in the cluster, from the very manifests in `deploy`: only the image is another one.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};

use crate::api::{Api, all, at, by_force, kubectl, objects, root, text, until};

/// The operator's namespace, Deployment, Lease and ServiceAccount.
pub(crate) const OPERATOR: &str = "database-operator";
/// The namespace that the overlay with Roles watches as it stands.
const OVERLAY_NAMESPACE: &str = "shop";
/// How the kernel shortens the program's name.
const PROCESS: &str = "database-operat";

/// Installed once for all tests that run side by side.
static INSTALLED: OnceCell<()> = OnceCell::const_new();
/// Held by a test while it kills, stops or changes the operator: one at a time.
pub(crate) static DISTURBING: Mutex<()> = Mutex::const_new(());

/// The operator for the databases of all namespaces, if it is not there yet.
pub(crate) async fn for_all_namespaces(api: &Api) {
    let install = async || {
        // As in a cluster that had none: it makes the Lease itself.
        api.delete(&at("Lease", OPERATOR, OPERATOR), json!({}))
            .await;
        install_for_all(api, &[]).await;
    };
    INSTALLED.get_or_init(install).await;
}

/// Installs it anew, with more arguments.
pub(crate) async fn install_for_all(api: &Api, arguments: &[&str]) {
    let manifests = fs::read_to_string(root().join("deploy/install.yaml")).unwrap();
    install(api, objects(&manifests), arguments).await;
}

/// Installs it for one namespace, with Roles alone.
pub(crate) async fn install_for(api: &Api, namespace: &str, arguments: &[&str]) {
    for name in [OPERATOR, "database-operator-pod-templates"] {
        for kind in ["ClusterRoleBinding", "ClusterRole"] {
            api.delete(&at(kind, "", name), json!({})).await;
        }
    }
    let (succeeded, manifests) = kubectl(&["kustomize", "deploy/kustomize/namespaced"]).await;
    assert!(succeeded, "{manifests}");
    let mut objects = objects(&manifests);
    for object in &mut objects {
        assert!(
            !text(object, "/kind").starts_with("ClusterRole"),
            "{object}"
        );
        if text(object, "/metadata/namespace") == OVERLAY_NAMESPACE {
            object["metadata"]["namespace"] = json!(namespace);
        }
        if let Some(Value::Array(arguments)) =
            object.pointer_mut("/spec/template/spec/containers/0/args")
        {
            for argument in arguments {
                if *argument == format!("--namespace={OVERLAY_NAMESPACE}") {
                    *argument = json!(format!("--namespace={namespace}"));
                }
            }
        }
    }
    install(api, objects, arguments).await;
}

async fn install(api: &Api, objects: Vec<Value>, arguments: &[&str]) {
    let image = std::env::var("DBOP_TEST_IMAGE_OPERATOR")
        .expect("DBOP_TEST_IMAGE_OPERATOR is not set: run `cargo xtask test node`");
    for mut object in objects {
        if object["kind"] == "Deployment" {
            let container = object
                .pointer_mut("/spec/template/spec/containers/0")
                .unwrap();
            container["image"] = json!(image);
            container["imagePullPolicy"] = json!("Never");
            let all = container["args"].as_array_mut().unwrap();
            all.extend(arguments.iter().map(|argument| json!(argument)));
        }
        api.apply(&object).await;
    }
    ready(api).await;
}

async fn deployment(api: &Api) -> Value {
    api.get(&at("Deployment", OPERATOR, OPERATOR))
        .await
        .unwrap()
}

/// Waits until all replicas of the newest generation are there, no older one is, and one leads.
pub(crate) async fn ready(api: &Api) {
    until("the operator is ready", async || {
        let deployment = deployment(api).await;
        let replicas = &deployment["spec"]["replicas"];
        let status = &deployment["status"];
        let counts = ["replicas", "updatedReplicas", "availableReplicas"];
        let settled = status["observedGeneration"] == deployment["metadata"]["generation"]
            && counts.iter().all(|count| status[count] == *replicas);
        if !settled {
            return None;
        }
        let leader = leader(api).await?;
        let pods = pods(api).await;
        pods.iter()
            .any(|pod| text(pod, "/metadata/name") == leader)
            .then_some(())
    })
    .await;
}

/// The Pods of the operator that are not told to end.
pub(crate) async fn pods(api: &Api) -> Vec<Value> {
    let mut pods = api.list(&all("Pod", OPERATOR)).await;
    pods.retain(|pod| pod.pointer("/metadata/deletionTimestamp").is_none());
    pods
}

/// Who holds the Lease, with the number that it was taken over.
pub(crate) async fn holder(api: &Api) -> Option<(String, u64)> {
    let lease = api.get(&at("Lease", OPERATOR, OPERATOR)).await?;
    let holder = text(&lease, "/spec/holderIdentity").to_owned();
    let transitions = lease
        .pointer("/spec/leaseTransitions")
        .and_then(Value::as_u64);
    (!holder.is_empty()).then_some((holder, transitions.unwrap_or(0)))
}

/// The Pod that leads.
pub(crate) async fn leader(api: &Api) -> Option<String> {
    let (holder, _) = holder(api).await?;
    holder.rsplit_once('_').map(|(pod, _)| pod.to_owned())
}

/// Kills the leader as a machine that loses its power would: SIGKILL. A new Pod takes the place of the old one, so
/// that the kubelet's growing pauses between restarts do not slow the tests.
pub(crate) async fn kill_leader(api: &Api) {
    let Some(name) = leader(api).await else {
        return;
    };
    let place = at("Pod", OPERATOR, &name);
    let Some(pod) = api.get(&place).await else {
        return;
    };
    // On a node that is another machine, the Pod's deletion has to do.
    let killed = kill_processes(text(&pod, "/metadata/uid"), PROCESS);
    if killed == 0 {
        eprintln!("no process of {name} is seen on this machine: its Pod is deleted by force");
    }
    api.delete(&place, by_force()).await;
}

/// Kills the processes of a Pod on this machine that have this name; how many.
pub(crate) fn kill_processes(pod_uid: &str, name: &str) -> usize {
    let spellings = [pod_uid.to_owned(), pod_uid.replace('-', "_")];
    let mut killed = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let number = entry.file_name().to_string_lossy().parse().ok();
        let Some(process) = number.and_then(Pid::from_raw) else {
            continue;
        };
        let cgroup = read("cgroup");
        let is_its = spellings.iter().any(|uid| cgroup.contains(uid.as_str()));
        if is_its && read("comm").starts_with(name) {
            killed += usize::from(kill_process(process, Signal::KILL).is_ok());
        }
    }
    killed
}

/// Sets the number of replicas, and waits until that many are there.
pub(crate) async fn scale(api: &Api, replicas: u32) {
    let place = at("Deployment", OPERATOR, OPERATOR);
    api.merge(&place, json!({ "spec": { "replicas": replicas } }))
        .await;
    match replicas {
        0 => {
            until("the operator's Pods are gone", async || {
                api.list(&all("Pod", OPERATOR))
                    .await
                    .is_empty()
                    .then_some(())
            })
            .await;
        }
        _ => ready(api).await,
    }
}

/// A new version of the Deployment: new Pods, one after the other.
pub(crate) async fn roll_out(api: &Api) {
    let place = at("Deployment", OPERATOR, OPERATOR);
    let generation = deployment(api).await["metadata"]["generation"].to_string();
    let mark = json!({ "database-operator.dev/test-upgrade": generation });
    let template = json!({ "metadata": { "annotations": mark } });
    api.merge(&place, json!({ "spec": { "template": template } }))
        .await;
    // The controller has to notice first.
    tokio::time::sleep(Duration::from_secs(1)).await;
    ready(api).await;
}
