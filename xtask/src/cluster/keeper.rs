//! The keeper of a cluster: a small process that owns all of it from its first file to its last.
//!
//! As with servers (`servers/keeper.rs`), xtask starts itself once more and holds a pipe to it; when
//! the pipe closes, the cluster ends and its folder goes. `cluster up` lets go of the keeper once
//! the cluster is ready, and `cluster down` ends it by a signal. When the keeper itself is killed,
//! the next `up` or `down` removes what it left (`sweep.rs`).

use std::ffi::OsStr;
use std::io::{BufRead as _, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::Form;
use super::binary::Programs;
use super::component::{Component, Spec, tail};
use super::control::{self, Ports};
use super::state::{Lock, State};
use super::sweep;
use super::{kind, machine, node};
use crate::cache::Cache;
use crate::clock;
use crate::process;
use crate::servers::{Keeper, watch_for_the_end};

/// How often a running cluster is looked at, and how soon a wish is seen.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long each component may take to be ready; three seconds are usual.
const START_PATIENCE: Duration = Duration::from_secs(90);
/// Another program can take a free port before our server does: tried again this often.
const PORT_TRIES: usize = 4;
/// What servers say when their port is taken.
const PORT_TAKEN: &str = "address already in use";

/// What the keeper says first: from then on it cleans up by itself.
const KEEPING: &str = "keeping";
/// What it says when the cluster is ready.
const READY: &str = "ready";
/// What it says before the reason why there is no cluster.
const FAILED: &str = "failed";

/// Starts a keeper and waits until its cluster is ready; gives the number for `process::release`.
pub(crate) fn start(
    state: &State,
    form: Form,
    programs: Option<&Programs>,
    tell: &mut dyn FnMut(&str),
) -> Result<u64> {
    let mut report = None;
    let number = process::keep(|| {
        let mut arguments = vec![
            OsStr::new("keep-cluster"),
            OsStr::new(state.name()),
            OsStr::new(form.name()),
        ];
        arguments.extend(programs.map(|programs| programs.folder.as_os_str()));
        // It may live on after us, and must not hold open what others read until its end.
        let (keeper, reader) = Keeper::launch(&arguments, Stdio::null())?;
        report = Some(reader);
        Ok(keeper)
    })?;
    let mut report = report.context("the keeper has no output")?;
    let mut line = String::new();
    loop {
        line.clear();
        let count = report
            .read_line(&mut line)
            .context("the keeper cannot be read")?;
        process::stop_if_interrupted();
        match line.trim_end() {
            READY => return Ok(number),
            FAILED => {
                let mut reason = String::new();
                // Half a reason is better than none.
                let _ = report.read_to_string(&mut reason);
                process::release(number);
                bail!("{}", reason.trim_end());
            }
            _ if count == 0 => {
                process::release(number);
                bail!(
                    "the keeper of cluster {} ended without a word",
                    state.name()
                );
            }
            KEEPING => {}
            step => tell(step),
        }
    }
}

/// The keeper's own main function, behind the hidden command `keep-cluster`.
pub(crate) fn keep(name: &str, form: &str, programs: Option<&Path>) -> Result<()> {
    let stop = watch_for_the_end()?;
    let outcome = (|| {
        let state = State::of(&Cache::open()?, name)?;
        let form = Form::parse(form).context("no such form of a cluster")?;
        let lock = state.lock()?;
        say(KEEPING);
        let programs = Programs::at(programs.unwrap_or(Path::new("")));
        run(state, lock, form, &programs, &stop)
    })();
    if let Err(error) = outcome {
        say(FAILED);
        say(&crate::spell(&error));
    }
    // What went wrong has been said where somebody reads it.
    Ok(())
}

fn run(
    state: State,
    lock: Lock,
    form: Form,
    programs: &Programs,
    stop: &Receiver<()>,
) -> Result<()> {
    let node = match form {
        Form::Node => Some(lock_node()?),
        Form::Light | Form::Kind => None,
    };
    let mut kept = Kept {
        state,
        lock: Some(lock),
        node,
        components: Vec::new(),
        tell: say,
    };
    kept.start(form, programs, stop)?;
    say(READY);
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(LOOK_EVERY) {
        for component in &mut kept.components {
            if let Some(told) = component.ended()? {
                kept.state.write("trouble", &told)?;
            }
            component.attend()?;
        }
    }
    Ok(())
}

/// Tells xtask, if it still listens.
fn say(line: &str) {
    let mut out = std::io::stdout();
    // Where nobody reads it, xtask is gone, which the closed pipe tells elsewhere.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A cluster in the keeper's hands. Dropping it ends the cluster and removes its folder.
struct Kept {
    state: State,
    lock: Option<Lock>,
    /// The lock of the machine's one node.
    node: Option<Lock>,
    components: Vec<Component>,
    /// Hears what is being done.
    tell: fn(&str),
}

impl Kept {
    fn start(&mut self, form: Form, programs: &Programs, stop: &Receiver<()>) -> Result<()> {
        for attempt in 1.. {
            self.clear();
            // What an earlier keeper left, or an attempt whose port was taken.
            self.state.wipe()?;
            self.state.create(form)?;
            self.state
                .write("keeper", &std::process::id().to_string())?;
            match self.start_all(form, programs, stop) {
                Err(error) if attempt < PORT_TRIES && crate::spell(&error).contains(PORT_TAKEN) => {
                }
                outcome => return outcome,
            }
        }
        Ok(())
    }

    fn start_all(&mut self, form: Form, programs: &Programs, stop: &Receiver<()>) -> Result<()> {
        if form == Form::Kind {
            (self.tell)("kind makes a cluster");
            return kind::create(&self.state, &mut || {
                !matches!(
                    stop.recv_timeout(LOOK_EVERY),
                    Err(RecvTimeoutError::Timeout)
                )
            });
        }
        let program = &programs.kubernetes;
        if form == Form::Node {
            machine::record(&self.state)?;
            node::make_bridge()?;
            machine::make_cgroups()?;
            node::write_files(&self.state)?;
            self.add(node::containerd(&self.state))?;
        }
        let ports = Ports::free()?;
        make_keys(program, &control::keys(&self.state, form, ports))?;
        control::write_files(&self.state)?;
        (self.tell)("starting etcd and the API server");
        self.add(control::etcd(program, &self.state, ports))?;
        self.add(control::api_server(program, &self.state, form, ports))?;
        self.await_answer(program, &["--raw", "/readyz"], "ok", stop)?;
        (self.tell)("starting the controllers");
        self.add(control::controllers(program, &self.state))?;
        if form == Form::Node {
            self.start_node(programs, stop)?;
        }
        // Without it no Pod can be created: it is the controllers' first work.
        let account = ["serviceaccount/default", "--namespace=default", "-o=name"];
        self.await_answer(program, &account, "serviceaccount/default", stop)?;
        // It appears last: who finds it may use the cluster.
        let kubeconfig = std::fs::read_to_string(self.state.keys().join("admin.kubeconfig"))
            .context("the kubeconfig cannot be read")?;
        self.state.write("kubeconfig", &kubeconfig)
    }

    fn start_node(&mut self, programs: &Programs, stop: &Receiver<()>) -> Result<()> {
        let program = &programs.kubernetes;
        self.add(control::scheduler(program, &self.state))?;
        (self.tell)("starting containerd");
        self.await_condition("containerd", stop, &mut || Ok(node::containerd_answers()))?;
        node::load_images(&self.state, &programs.pause)?;
        (self.tell)("starting the kubelet");
        self.add(node::kubelet(program, &self.state))?;
        self.add(node::proxy(program, &self.state))?;
        // Ready, and none of the marks left that keep Pods away until then.
        let ready = r#"-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}{.spec.taints}"#;
        let node = format!("node/{}", control::NODE);
        self.await_answer(program, &[&node, ready], "True", stop)
    }

    fn add(&mut self, spec: Spec) -> Result<()> {
        self.components.push(Component::start(spec, &self.state)?);
        Ok(())
    }

    /// Waits until `kubectl get` of this gives what is expected.
    fn await_answer(
        &mut self,
        program: &Path,
        get: &[&str],
        expected: &str,
        stop: &Receiver<()>,
    ) -> Result<()> {
        let kubeconfig = self.state.keys().join("admin.kubeconfig");
        let mut last = String::new();
        self.await_condition("the answer", stop, &mut || {
            let mut kubectl = super::kubectl(Some(program), &kubeconfig);
            kubectl.arg("get").args(get).arg("--request-timeout=5s");
            let output = kubectl.output().context("kubectl cannot be started")?;
            let (out, errors) = (&output.stdout, &output.stderr);
            last = String::from_utf8_lossy(&[&out[..], &errors[..]].concat()).into_owned();
            Ok(String::from_utf8_lossy(out).trim() == expected)
        })
        .with_context(|| format!("`kubectl get {}` gives {:?}", get.join(" "), last.trim()))
    }

    /// Waits until something is so, as long as every component lives.
    fn await_condition(
        &mut self,
        what: &str,
        stop: &Receiver<()>,
        is_so: &mut dyn FnMut() -> Result<bool>,
    ) -> Result<()> {
        let started = clock::now();
        while started.elapsed() < START_PATIENCE {
            if is_so()? {
                return Ok(());
            }
            for component in &mut self.components {
                if let Some(told) = component.ended()? {
                    bail!("{told}");
                }
            }
            if !matches!(
                stop.recv_timeout(LOOK_EVERY),
                Err(RecvTimeoutError::Timeout)
            ) {
                bail!("told to end while starting");
            }
        }
        let logs: Vec<String> = self
            .components
            .iter()
            .map(|component| {
                let log = tail(&self.state.log(component.name()));
                format!("{}:\n{log}", component.name())
            })
            .collect();
        bail!(
            "{what} is not there after {}\n{}",
            clock::spell(START_PATIENCE),
            logs.join("\n")
        )
    }

    /// Ends everything and removes what a cluster leaves on the machine, but for its lock.
    fn clear(&mut self) {
        // The API server before etcd: the other way round it waits for a minute.
        while let Some(component) = self.components.pop() {
            drop(component);
        }
        match self.state.form() {
            Some(Form::Kind) => kind::delete(&self.state),
            _ => sweep::end_processes(&self.state),
        }
        if self.node.is_some() {
            machine::restore(&self.state);
        }
    }
}

/// The lock of the one node that a machine has.
fn lock_node() -> Result<Lock> {
    let lock = Lock::take(Path::new(node::LOCK))?;
    lock.context(
        "a cluster with a node runs already on this machine, and there is room for one; `cargo \
         xtask cluster status` shows it",
    )
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.clear();
        if let Some(lock) = self.lock.take() {
            // What cannot be removed is tried again by the next `up` or `down`.
            let _ = self.state.remove(lock);
        }
        if let Some(lock) = self.node.take() {
            lock.remove();
        }
    }
}

fn make_keys(program: &Path, arguments: &[String]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .context("the keys cannot be made")?;
    ensure!(
        output.status.success(),
        "the keys cannot be made: {}",
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(())
}

#[cfg(test)]
mod tests;
