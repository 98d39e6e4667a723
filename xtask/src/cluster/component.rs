//! One component of a cluster as a process: started, stopped, paused, watched.
//!
//! What others want of it stands in `wanted/NAME`, what it is in `seen/NAME`: files, so that a test
//! needs no protocol to stop an API server. The keeper alone starts and ends processes.

use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use super::state::State;
use crate::clock;

/// How long a component may take to end after SIGTERM. An API server would wait a minute for its
/// watchers; its data are safe without that.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// How often a component that is ending is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How much of a log is shown when a component does not work.
const LOG_LINES_SHOWN: usize = 12;

/// How a component is started.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// Its name, as in `stop kube-apiserver`.
    pub(crate) name: &'static str,
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
}

/// What a component is, or is wanted to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Its process runs.
    Running,
    /// It was stopped on purpose.
    Stopped,
    /// Its process was made to stand still.
    Paused,
    /// It ended by itself.
    Ended,
}

impl Condition {
    const ALL: [Condition; 4] = [
        Condition::Running,
        Condition::Stopped,
        Condition::Paused,
        Condition::Ended,
    ];

    fn parse(text: &str) -> Option<Condition> {
        Condition::ALL
            .into_iter()
            .find(|condition| condition.to_string() == text)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Condition::Running => "running",
            Condition::Stopped => "stopped",
            Condition::Paused => "paused",
            Condition::Ended => "ended",
        })
    }
}

/// A component in the hands of its keeper. Dropping it kills its process.
pub(crate) struct Component {
    spec: Spec,
    state: State,
    child: Option<Child>,
    condition: Condition,
}

impl Component {
    /// Starts it.
    pub(crate) fn start(spec: Spec, state: &State) -> Result<Component> {
        let mut component = Component {
            spec,
            state: state.clone(),
            child: None,
            condition: Condition::Stopped,
        };
        component.launch()?;
        want(state, component.spec.name, Condition::Running)?;
        Ok(component)
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        self.spec.name
    }

    /// Whether it ended by itself, with the last lines of its log.
    pub(crate) fn ended(&mut self) -> Result<Option<String>> {
        let Some(child) = &mut self.child else {
            return Ok(None);
        };
        let Some(status) = child.try_wait().context("a component cannot be watched")? else {
            return Ok(None);
        };
        self.child = None;
        self.set(Condition::Ended)?;
        Ok(Some(format!(
            "{} ended by itself ({status}):\n{}",
            self.spec.name,
            tail(&self.state.log(self.spec.name))
        )))
    }

    /// Does what is wanted of it, if that is something else than what it is.
    pub(crate) fn attend(&mut self) -> Result<()> {
        let wanted = self.state.read(&format!("wanted/{}", self.spec.name));
        let Some(wanted) = wanted.as_deref().and_then(Condition::parse) else {
            return Ok(());
        };
        match (self.condition, wanted) {
            (Condition::Running, Condition::Paused) => self.signal(Signal::STOP, wanted),
            (Condition::Paused, Condition::Running) => self.signal(Signal::CONT, wanted),
            (Condition::Running | Condition::Paused, Condition::Stopped) => self.stop(),
            (Condition::Stopped, Condition::Running) => self.launch(),
            // One that ended by itself is started again only after it was stopped on purpose.
            (Condition::Ended, Condition::Stopped) => self.set(Condition::Stopped),
            _ => Ok(()),
        }
    }

    /// Stops it: politely at first, then by force.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            let group = Pid::from_child(&child);
            // Errors mean that it has ended, which is what we want.
            let _ = kill_process_group(group, Signal::TERM);
            let _ = kill_process_group(group, Signal::CONT);
            let started = clock::now();
            while started.elapsed() < STOP_PATIENCE && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(LOOK_EVERY);
            }
            end(group, &mut child);
        }
        self.set(Condition::Stopped)
    }

    fn launch(&mut self) -> Result<()> {
        let place = self.state.log(self.spec.name);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&place)
            .with_context(|| format!("{} cannot be created", place.display()))?;
        let errors = log.try_clone().context("a log cannot be shared")?;
        let mut command = Command::new(&self.spec.program);
        command
            .args(&self.spec.arguments)
            .current_dir(self.state.folder())
            // Nobody's own settings, and above all nobody's own kubeconfig.
            .env_clear()
            .env("HOME", self.state.folder())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0);
        let child = command
            .spawn()
            .with_context(|| format!("{} cannot be started", self.spec.name))?;
        self.child = Some(child);
        self.set(Condition::Running)
    }

    fn signal(&mut self, signal: Signal, becomes: Condition) -> Result<()> {
        if let Some(child) = &self.child {
            kill_process_group(Pid::from_child(child), signal)
                .with_context(|| format!("{} cannot be signalled", self.spec.name))?;
        }
        self.set(becomes)
    }

    fn set(&mut self, condition: Condition) -> Result<()> {
        self.condition = condition;
        let process = self.child.as_ref().map_or(0, Child::id);
        self.state.write(
            &format!("seen/{}", self.spec.name),
            &format!("{condition} {process}"),
        )
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            end(Pid::from_child(&child), &mut child);
        }
    }
}

fn end(group: Pid, child: &mut Child) {
    // Errors mean that it has ended, which is what we want.
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
}

/// Asks the keeper for a component's condition.
pub(crate) fn want(state: &State, component: &str, condition: Condition) -> Result<()> {
    state.write(&format!("wanted/{component}"), &condition.to_string())
}

/// What a component is, and the number of its process (0: none), as its keeper saw it last.
pub(crate) fn seen(state: &State, component: &str) -> Option<(Condition, u32)> {
    let text = state.read(&format!("seen/{component}"))?;
    let (condition, process) = text.split_once(' ')?;
    Some((Condition::parse(condition)?, process.parse().ok()?))
}

/// The components that a cluster has, by name.
pub(crate) fn names(state: &State) -> Vec<String> {
    let entries = std::fs::read_dir(state.folder().join("seen"));
    let mut names: Vec<String> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.ends_with(".new"))
        .collect();
    names.sort();
    names
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Cache, random_hex};
    use crate::cluster::Form;

    /// Whether the process stands still, runs, or is gone, as `ps` shows it.
    fn letter(process: u32) -> Option<char> {
        let mut ps = Command::new("ps");
        let output = ps
            .args(["-o", "state=", "-p", &process.to_string()])
            .output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        text.trim().chars().next()
    }

    #[test]
    fn a_component_follows_what_is_wanted_of_it() {
        let name = format!("dbop-component-test-{}", random_hex(8).unwrap());
        let cache = Cache::at(std::env::temp_dir().join(name)).unwrap();
        let state = State::of(&cache, "one").unwrap();
        state.create(Form::Light).unwrap();
        let spec = Spec {
            name: "sleeper",
            program: "sleep".into(),
            arguments: vec!["600".into()],
        };
        let mut component = Component::start(spec, &state).unwrap();
        let (condition, first) = seen(&state, "sleeper").unwrap();
        assert_eq!(condition, Condition::Running);

        want(&state, "sleeper", Condition::Paused).unwrap();
        component.attend().unwrap();
        assert_eq!(seen(&state, "sleeper").unwrap().0, Condition::Paused);
        assert_eq!(letter(first), Some('T'));

        want(&state, "sleeper", Condition::Running).unwrap();
        component.attend().unwrap();
        assert_ne!(letter(first), Some('T'));

        // Also one that stands still ends.
        want(&state, "sleeper", Condition::Paused).unwrap();
        component.attend().unwrap();
        want(&state, "sleeper", Condition::Stopped).unwrap();
        component.attend().unwrap();
        assert_eq!(seen(&state, "sleeper"), Some((Condition::Stopped, 0)));
        assert_eq!(letter(first), None);
        assert!(component.ended().unwrap().is_none());

        want(&state, "sleeper", Condition::Running).unwrap();
        component.attend().unwrap();
        let (_, second) = seen(&state, "sleeper").unwrap();
        assert_ne!(first, second);

        let _ = kill_process_group(Pid::from_raw(second as i32).unwrap(), Signal::KILL);
        let started = clock::now();
        let told = loop {
            if let Some(told) = component.ended().unwrap() {
                break told;
            }
            assert!(started.elapsed() < STOP_PATIENCE);
        };
        assert!(told.starts_with("sleeper ended by itself"), "{told}");
        assert_eq!(seen(&state, "sleeper"), Some((Condition::Ended, 0)));
        assert_eq!(names(&state), ["sleeper"]);
        std::fs::remove_dir_all(cache.entry("")).unwrap();
    }
}
