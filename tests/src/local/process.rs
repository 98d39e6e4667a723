//! Commands that ran, commands that run, and the processes that they leave.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// How often something that is waited for is looked at.
const STEP: Duration = Duration::from_millis(20);

/// A command that ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The exit status; `None`: a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
    arguments: String,
}

impl Finished {
    /// Checks the exit status.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn exits(&self, status: i32) -> &Finished {
        assert!(
            self.status == Some(status),
            "exit status {status} was expected of {self}"
        );
        self
    }

    /// Checks that it says this, wherever its lines break.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn says(&self, sentence: &str) -> &Finished {
        assert!(
            self.words().contains(&one_line(sentence)),
            "'{sentence}' was expected of {self}"
        );
        self
    }

    /// Checks that it does not say this.
    ///
    /// # Panics
    /// When it does.
    #[track_caller]
    pub fn does_not_say(&self, words: &str) -> &Finished {
        assert!(
            !self.words().contains(&one_line(words)),
            "'{words}' was not expected of {self}"
        );
        self
    }

    /// What it wrote to stdout, as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("JSON was expected ({error}) of {self}"))
    }

    /// All that it said, on one line.
    #[must_use]
    pub fn words(&self) -> String {
        one_line(&format!("{}\n{}", self.stdout, self.stderr))
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = self.status.map_or("a signal".to_owned(), |s| s.to_string());
        write!(
            f,
            "`{}`, which ended with {status} after {:.1?}\n--- stdout\n{}--- stderr\n{}---",
            self.arguments, self.took, self.stdout, self.stderr
        )
    }
}

/// Line breaks and indentation are for the eye, and so is whether the way out follows its sentence after a
/// semicolon or on a line of its own: what is said is the same.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace("; ", " ")
}

/// A command that runs. Dropped, it is killed; what it started lives on.
pub struct Running {
    child: Child,
    started: Instant,
    stdout: PathBuf,
    stderr: PathBuf,
    arguments: String,
}

impl Running {
    /// Starts a command whose output goes to these files.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub(crate) fn start(mut command: Command, stdout: PathBuf, stderr: PathBuf) -> Running {
        let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        let arguments = format!("database-operator {}", arguments.join(" "));
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("`{arguments}` cannot be started: {error}"));
        Running {
            child,
            started: Instant::now(),
            stdout,
            stderr,
            arguments,
        }
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has written so far, to stdout and stderr.
    #[must_use]
    pub fn output(&self) -> String {
        format!("{}{}", text(&self.stdout), text(&self.stderr))
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it does not do so in time.
    pub async fn finish(mut self, patience: Duration) -> Finished {
        while self.is_running() {
            if self.started.elapsed() > patience {
                let finished = self.kill();
                panic!("an end within {patience:?} was expected of {finished}");
            }
            sleep(STEP).await;
        }
        self.finished()
    }

    /// Waits until its output contains `text`.
    ///
    /// # Panics
    /// When it does not in time, or ends before.
    pub async fn says(&mut self, words: &str, patience: Duration) {
        let started = Instant::now();
        let words = one_line(words);
        loop {
            // Asked first, so that nothing is missed that it says at the very end.
            let running = self.is_running();
            if one_line(&self.output()).contains(&words) {
                return;
            }
            assert!(
                running,
                "'{words}' was expected before the end of {}",
                self.finished()
            );
            assert!(
                started.elapsed() < patience,
                "'{words}' was expected within {patience:?}; so far:\n{}",
                self.output()
            );
            sleep(STEP).await;
        }
    }

    /// Ends it with SIGKILL, and nothing that it started.
    pub fn kill(&mut self) -> Finished {
        // It fails only where the process has ended by itself.
        let _ = self.child.kill();
        self.finished()
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn stop(self, patience: Duration) -> Finished {
        signal(self.id(), Signal::TERM);
        let limit = self.started.elapsed() + patience;
        self.finish(limit).await
    }

    fn finished(&mut self) -> Finished {
        let status = self.child.wait().expect("a child's end can be waited for");
        Finished {
            status: status.code(),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
            took: self.started.elapsed(),
            arguments: self.arguments.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_running() {
            self.kill();
        }
    }
}

/// Waits until `holds`, asked every few milliseconds.
///
/// # Panics
/// When it does not hold in time; `what` says what was waited for.
pub async fn until(what: &str, patience: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(
            started.elapsed() < patience,
            "not within {patience:?}: {what}"
        );
        sleep(STEP).await;
    }
}

/// A process of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: u32,
    /// Its arguments, joined by spaces.
    pub arguments: String,
}

impl Process {
    /// Ends it with SIGKILL.
    pub fn kill(&self) {
        signal(self.id, Signal::KILL);
    }

    /// A variable of its environment, as it began; `None`: it has none of that name, or has ended.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        let environment = std::fs::read(format!("/proc/{}/environ", self.id)).ok()?;
        environment.split(|byte| *byte == 0).find_map(|variable| {
            let variable = std::str::from_utf8(variable).ok()?;
            let (found, value) = variable.split_once('=')?;
            (found == name).then(|| value.to_owned())
        })
    }

    /// Whether it is `local`'s supervisor of a migration.
    #[must_use]
    pub fn is_supervisor(&self) -> bool {
        self.arguments.contains(" supervise ")
    }
}

/// The processes whose arguments name the directory or that work in it, without this one.
pub(crate) fn processes(directory: &Path) -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let name = directory.as_os_str().as_bytes();
    entries
        .flatten()
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let arguments = std::fs::read(entry.path().join("cmdline")).ok()?;
            let works_there = std::fs::read_link(entry.path().join("cwd"))
                .is_ok_and(|folder| folder.starts_with(directory));
            let names_it = arguments.windows(name.len()).any(|part| part == name);
            // A process that has ended and was not waited for yet has no arguments.
            let ours = !arguments.is_empty() && (works_there || names_it);
            let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
            (ours && id != std::process::id()).then_some(Process { id, arguments })
        })
        .collect()
}

fn signal(id: u32, signal: Signal) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    if let Some(id) = id {
        // It fails only where the process has ended meanwhile.
        let _ = kill_process(id, signal);
    }
}

fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
