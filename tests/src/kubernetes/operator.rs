//! An operator: a process of its own with a ServiceAccount of its own, so that audit log and door tell who it was.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Api, Gateway};
use crate::local::until;
use crate::{binary, http};

/// How long a token lasts: longer than any test.
const TOKEN_SECONDS: u32 = 7200;
/// How long an operator may take to stop: its own limits, and some.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How an operator reaches the API server.
#[derive(Clone, Copy)]
pub enum Way<'a> {
    /// Itself.
    Straight,
    /// Through this.
    Through(&'a Gateway),
}

/// An operator at work. Dropped, it is killed.
pub struct Operator {
    /// Its name in the audit log.
    pub name: String,
    child: Child,
    pid: Pid,
    log: PathBuf,
}

impl Operator {
    /// Starts one in this namespace, with the Roles that are there.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn start(
        api: &Api,
        namespace: &str,
        folder: &Path,
        name: &str,
        way: Way<'_>,
        arguments: &[&str],
    ) -> Operator {
        let kubeconfig = match way {
            Way::Straight => account(api, namespace, name).await,
            Way::Through(gateway) => gateway.kubeconfig(namespace),
        };
        let file = folder.join(format!("{name}.kubeconfig"));
        std::fs::write(&file, kubeconfig.to_string()).expect("a test's folder is writable");
        let log = folder.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log);
        let child = Command::new(binary("database-operator"))
            .args(["run", "--listen", "127.0.0.1:0", "--cluster-id", "failures"])
            // Nobody is there: a push fails at once.
            .args(["--push-address", "127.0.0.1:9"])
            .args(["--namespace", namespace, "--lease-namespace", namespace])
            .arg(format!("--kubeconfig={}", file.display()))
            .args(arguments)
            .env("RUST_LOG", "info,dbop_kubernetes=debug,dbop_engine=debug")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output.expect("a test's folder is writable"))
            .kill_on_drop(true)
            .spawn()
            .expect("database-operator can be started");
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Operator {
            name: name.to_owned(),
            child,
            pid: id.and_then(Pid::from_raw).expect("a process has an id"),
            log,
        }
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Waits until it leads, since it was started last.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn leads(&self, patience: Duration) {
        let what = format!("{} leads", self.name);
        until(&what, patience, async || {
            let log = self.log();
            let starts = log.rfind("database-operator starts").unwrap_or_default();
            log[starts..].contains("this operator leads")
        })
        .await;
    }

    /// Lets it go on, after [`freeze`] has stopped it.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits until it waits for another to lead.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn waits(&self, patience: Duration) {
        let what = format!("{} waits for another", self.name);
        until(&what, patience, async || {
            self.log().contains("leads; this operator waits")
        })
        .await;
    }

    /// Kills it, and waits for its end.
    pub async fn kill(mut self) {
        // It fails only where it has ended by itself.
        let _ = self.child.kill().await;
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    ///
    /// # Panics
    /// When it does not, or ends with another status than 0.
    pub async fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = timeout(STOP_LIMIT, self.child.wait()).await;
        let status = status.expect("an operator stops when it is told to");
        let status = status.expect("a child's end can be waited for");
        assert!(status.success(), "it ended with {status}:\n{}", self.log());
    }

    /// Checks that it has not ended.
    ///
    /// # Panics
    /// When it has.
    pub fn lives(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            panic!("the operator ended by itself, {status}:\n{}", self.log());
        }
    }

    /// Where it listens, as `host:port`.
    ///
    /// # Panics
    /// When it does not say.
    #[must_use]
    pub fn address(&self) -> String {
        let log = self.log();
        // As text, or as JSON.
        let ways = ["listens=", r#""listens":""#];
        let listens = ways.iter().find_map(|way| Some(log.rsplit_once(way)?.1));
        let listens = listens.expect("an operator says where it listens");
        let address = listens.split([' ', '"', '\n']).next();
        address.unwrap_or_default().to_owned()
    }

    /// What `/metrics` of it shows.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn metrics(&self) -> String {
        let answer = http::get(&self.address(), "/metrics").await;
        answer.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        send(self.pid, signal);
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(8000);
            let from = log.ceil_char_boundary(from);
            eprintln!(
                "--- the last words of operator {}\n{}",
                self.name,
                &log[from..]
            );
        }
    }
}

/// Stops a process where it is (SIGSTOP).
pub fn freeze(id: i32) {
    if let Some(pid) = Pid::from_raw(id) {
        send(pid, Signal::STOP);
    }
}

/// Ends a process where it is (SIGKILL).
pub fn shoot(id: i32) {
    if let Some(pid) = Pid::from_raw(id) {
        send(pid, Signal::KILL);
    }
}

fn send(pid: Pid, signal: Signal) {
    // It fails only where it has ended.
    let _ = kill_process(pid, signal);
}

/// An account in the namespace that may what our manifests say.
async fn account(api: &Api, namespace: &str, name: &str) -> Value {
    let token = token(api, namespace, name).await;
    api.kubeconfig_for(name, &token, namespace)
}

/// A token of such an account, which is made where it is not there.
pub(crate) async fn token(api: &Api, namespace: &str, name: &str) -> String {
    let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    if api.find(&format!("{accounts}/{name}")).await.is_none() {
        api.create(&accounts, &json!({ "metadata": { "name": name } }))
            .await;
        let group = "/apis/rbac.authorization.k8s.io/v1";
        let roles = format!("{group}/namespaces/{namespace}/roles");
        for role in api.list(&roles).await {
            let role = role["metadata"]["name"]
                .as_str()
                .expect("a Role has a name");
            let binding = json!({
                "metadata": { "name": format!("{role}-{name}") },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role },
                "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": namespace }],
            });
            let bindings = format!("{group}/namespaces/{namespace}/rolebindings");
            api.create(&bindings, &binding).await;
        }
    }
    let request = json!({ "spec": { "expirationSeconds": TOKEN_SECONDS } });
    let made = api
        .create(&format!("{accounts}/{name}/token"), &request)
        .await;
    let token = made["status"]["token"]
        .as_str()
        .expect("a token was asked for");
    token.to_owned()
}
