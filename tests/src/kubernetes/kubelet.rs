//! The kubelet that is not there: runs the containers of migrations' Pods as child processes of this machine, and
//! says in the Pods' status how they are. What a container needs besides command and environment it does not have.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{Api, now};

/// How often it looks for Pods, and how soon it repeats what an API server that was away did not hear.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often it looks whether a Pod that runs is to end.
const CHECK_EVERY: Duration = Duration::from_millis(300);

/// One container that ran.
#[derive(Debug, Clone)]
pub struct Run {
    /// The database.
    pub database: String,
    /// The migration.
    pub to: String,
    /// The Job.
    pub job: String,
    /// When it was started, in microseconds of this machine's clock.
    pub started: i64,
    /// When it ended.
    pub ended: Option<i64>,
}

/// The kubelet of one namespace; it ends when it is dropped, its processes with it.
pub struct Kubelet {
    runs: Arc<Mutex<Vec<Run>>>,
    task: JoinHandle<()>,
}

impl Kubelet {
    /// Starts. Containers run in `folder`.
    #[must_use]
    pub fn start(api: Api, namespace: &str, folder: PathBuf) -> Kubelet {
        let runs: Arc<Mutex<Vec<Run>>> = Arc::default();
        let node = Node {
            pods: format!("/api/v1/namespaces/{namespace}/pods"),
            secrets: format!("/api/v1/namespaces/{namespace}/secrets"),
            api,
            folder,
            runs: runs.clone(),
        };
        Kubelet {
            runs,
            task: tokio::spawn(node.run()),
        }
    }

    /// What ran and runs, in order.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        self.runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many containers of this database and migration were started.
    #[must_use]
    pub fn count(&self, database: &str, to: &str) -> usize {
        let runs = self.runs();
        runs.iter()
            .filter(|run| run.database == database && run.to == to)
            .count()
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Node {
    api: Api,
    pods: String,
    secrets: String,
    folder: PathBuf,
    runs: Arc<Mutex<Vec<Run>>>,
}

impl Node {
    async fn run(self) {
        let mut known = BTreeSet::new();
        let mut attending = tokio::task::JoinSet::new();
        let list = format!(
            "{}?labelSelector=app.kubernetes.io/component=migration",
            self.pods
        );
        loop {
            if let Ok(found) = self.api.send(Method::GET, &list, None).await {
                for pod in found["items"].as_array().into_iter().flatten() {
                    if known.insert(text(pod, "/metadata/uid")) {
                        attending.spawn(self.clone().attend(pod.clone()));
                    }
                }
            }
            while attending.try_join_next().is_some() {}
            sleep(LOOK_EVERY).await;
        }
    }

    /// One Pod, from its beginning to its end.
    async fn attend(self, pod: Value) {
        if !self.is_wanted(&pod).await {
            return self.gone(&pod).await;
        }
        let Some(environment) = self.environment(&pod).await else {
            return self.gone(&pod).await;
        };
        let running = json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } });
        self.say(&pod, "Running", &running).await;
        let mut child = self.start(&pod, environment);
        let nth = self.note(&pod);
        let code = loop {
            tokio::select! {
                status = child.wait() => break status.ok().and_then(|status| status.code()),
                () = sleep(CHECK_EVERY) => {}
            }
            if !self.is_wanted(&pod).await {
                // Killed, and waited for.
                let _ = child.kill().await;
                break None;
            }
        };
        if let Some(run) = self
            .runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(nth)
        {
            run.ended = Some(now());
        }
        let code = code.unwrap_or(137);
        let (phase, reason) = match code {
            0 => ("Succeeded", "Completed"),
            _ => ("Failed", "Error"),
        };
        let ended = json!({ "terminated": {
            "exitCode": code, "reason": reason,
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
        }});
        self.say(&pod, phase, &ended).await;
        // It stays as long as somebody wants it.
        while self.is_wanted(&pod).await {
            sleep(CHECK_EVERY).await;
        }
        self.gone(&pod).await;
    }

    fn start(&self, pod: &Value, environment: Vec<(String, String)>) -> Child {
        let container = &pod["spec"]["containers"][0];
        let words = |field: &str| {
            let words = container[field].as_array().into_iter().flatten();
            words.filter_map(Value::as_str).map(str::to_owned)
        };
        let mut command = words("command").chain(words("args"));
        let program = command.next().expect("a migration has a command");
        let log = self
            .folder
            .join(format!("{}.log", text(pod, "/metadata/name")));
        let log = std::fs::File::create(log).expect("a test's folder is writable");
        let errors = log.try_clone().expect("a file can be shared");
        Command::new(program)
            .args(command)
            .current_dir(&self.folder)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .expect("a migration's program can be started")
    }

    fn note(&self, pod: &Value) -> usize {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.push(Run {
            database: text(pod, "/metadata/labels/database-operator.dev~1database"),
            to: text(pod, "/metadata/annotations/database-operator.dev~1to"),
            job: text(pod, "/metadata/labels/batch.kubernetes.io~1job-name"),
            started: now(),
            ended: None,
        });
        runs.len() - 1
    }

    /// The container's environment; `None`: its Secret is gone, so it can never start.
    async fn environment(&self, pod: &Value) -> Option<Vec<(String, String)>> {
        let mut environment = Vec::new();
        let variables = pod["spec"]["containers"][0]["env"].as_array();
        for variable in variables.into_iter().flatten() {
            let name = text(variable, "/name");
            let secret = &variable["valueFrom"]["secretKeyRef"];
            let value = match secret["name"].as_str() {
                Some(secret_name) => {
                    let at = format!("{}/{secret_name}", self.secrets);
                    let found = self.stubbornly(Method::GET, &at, None).await?;
                    let key = secret["key"].as_str().unwrap_or_default();
                    decoded(found["data"][key].as_str()?)?
                }
                None => text(variable, "/value").replace("$$", "$"),
            };
            environment.push((name, value));
        }
        Some(environment)
    }

    async fn is_wanted(&self, pod: &Value) -> bool {
        let at = format!("{}/{}", self.pods, text(pod, "/metadata/name"));
        let found = self.stubbornly(Method::GET, &at, None).await;
        found.is_some_and(|found| {
            found["metadata"]["uid"] == pod["metadata"]["uid"]
                && found["metadata"]["deletionTimestamp"].is_null()
        })
    }

    /// Lets a Pod go whose processes have ended.
    async fn gone(&self, pod: &Value) {
        let at = format!("{}/{}", self.pods, text(pod, "/metadata/name"));
        let now =
            json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": pod["metadata"]["uid"] } });
        let _ = self.stubbornly(Method::DELETE, &at, Some(&now)).await;
    }

    async fn say(&self, pod: &Value, phase: &str, state: &Value) {
        let container = &pod["spec"]["containers"][0];
        let status = json!({ "status": { "phase": phase, "containerStatuses": [{
            "name": container["name"], "image": container["image"], "imageID": "",
            "ready": phase == "Running", "restartCount": 0, "started": true, "state": state,
        }]}});
        let at = format!("{}/{}/status", self.pods, text(pod, "/metadata/name"));
        let _ = self.stubbornly(Method::PATCH, &at, Some(&status)).await;
    }

    /// As often as it takes: an API server that is away comes back. `None`: refused.
    async fn stubbornly(&self, method: Method, at: &str, body: Option<&Value>) -> Option<Value> {
        loop {
            match self.api.send(method.clone(), at, body).await {
                Ok(answer) => return Some(answer),
                Err((404 | 409 | 422, _)) => return None,
                Err(_) => sleep(LOOK_EVERY).await,
            }
        }
    }
}

fn text(value: &Value, at: &str) -> String {
    let text = value.pointer(at).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// A Secret's value.
pub(crate) fn decoded(value: &str) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(value)
        .ok()?;
    String::from_utf8(bytes).ok()
}
