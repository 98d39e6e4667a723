//! The real Prometheus: a process that scrapes what it is told to every second, its promtool, and its answers.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::local::until;
use crate::{http, tool};

/// How long it may take to begin.
const START: Duration = Duration::from_secs(60);

/// A program that listens. Dropped, it is killed.
struct Listening {
    address: String,
    child: Child,
}

impl Listening {
    /// Starts it, and waits until it is ready.
    async fn start(program: &str, log: &Path, arguments: &[String]) -> Listening {
        let output = File::create(log).expect("a test's folder is writable");
        let child = Command::new(programs().join(program))
            .args(arguments)
            .arg("--log.format=json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
        let mut address = None;
        until(&format!("{program} listens"), START, async || {
            address = listens(log);
            match &address {
                Some(address) => http::get(address, "/-/ready").await.is_ok(),
                None => false,
            }
        })
        .await;
        Listening {
            address: address.unwrap_or_default(),
            child,
        }
    }
}

/// A Pushgateway at work. Dropped, it is killed.
pub struct Pushgateway(Listening);

impl Pushgateway {
    /// Starts one that keeps nothing on disk, at this address (`host:port`, or port 0 for any).
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(folder: &Path, address: &str) -> Pushgateway {
        let log = folder.join("pushgateway.log");
        let arguments = [format!("--web.listen-address={address}")];
        Pushgateway(Listening::start("prometheus-pushgateway", &log, &arguments).await)
    }

    /// Where it listens, as `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// Kills it, and waits for its end.
    pub async fn kill(mut self) {
        // It fails only where it has ended by itself.
        let _ = self.0.child.kill().await;
    }

    /// What it holds, as it lists it.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn groups(&self) -> String {
        let answer = http::get(self.address(), "/api/v1/metrics").await;
        answer.unwrap_or_else(|error| panic!("the Pushgateway: {error}"))
    }
}

/// A Prometheus at work. Dropped, it is killed.
pub struct Prometheus(Listening);

impl Prometheus {
    /// Starts one that keeps its data below `folder`, and scrapes these addresses (`host:port`) by these rules.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(folder: &Path, targets: &[String], rules: &Path) -> Prometheus {
        let config = serde_json::json!({
            "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
            "rule_files": [rules],
            "scrape_configs": [{
                "job_name": "database-operator",
                "honor_labels": true,
                "static_configs": [{ "targets": targets }],
            }],
        });
        // JSON is YAML.
        let file = folder.join("prometheus.yaml");
        std::fs::write(&file, config.to_string()).expect("a test's folder is writable");
        let arguments = [
            format!("--config.file={}", file.display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            "--web.listen-address=127.0.0.1:0".to_owned(),
        ];
        let log = folder.join("prometheus.log");
        Prometheus(Listening::start("prometheus", &log, &arguments).await)
    }

    /// What an expression gives now.
    ///
    /// # Panics
    /// When it is none.
    pub async fn query(&self, expression: &str) -> Vec<Value> {
        let encoded = utf8_percent_encode(expression, NON_ALPHANUMERIC);
        let path = format!("/api/v1/query?query={encoded}");
        let answer = http::get(&self.0.address, &path).await;
        let answer = answer.unwrap_or_else(|error| panic!("{expression}: {error}"));
        let answer: Value = serde_json::from_str(&answer).expect("it answers in JSON");
        let result = answer["data"]["result"].as_array();
        result.cloned().unwrap_or_default()
    }
}

/// What promtool finds wrong with an exposition: its names, types and helps.
///
/// # Panics
/// When it cannot be run.
#[must_use]
pub fn complaints(exposition: &str) -> String {
    let mut promtool = std::process::Command::new(programs().join("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool can be started");
    let mut stdin = promtool.stdin.take().expect("a pipe was asked for");
    stdin.write_all(exposition.as_bytes()).expect("it reads");
    drop(stdin);
    let said = promtool.wait_with_output().expect("it ends");
    let text = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    match said.status.success() {
        true => text,
        false => format!("{}: {text}", said.status),
    }
}

fn programs() -> PathBuf {
    tool::programs("prometheus")
}

/// The address that it says it listens on.
fn listens(log: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log).ok()?;
    let said = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut listening = said.filter(|line| line["msg"] == "Listening on");
    listening.next()?["address"].as_str().map(str::to_owned)
}
