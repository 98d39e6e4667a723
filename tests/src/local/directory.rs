//! A directory of manifests, and what `database-operator` makes of it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::application::Credential;
use super::manifest::Object;
use super::process::{Finished, Process, Running, processes};
use crate::Scratch;

/// A kind.
pub const MANAGED_DATABASE: &str = "ManagedDatabase";
/// A kind.
pub const MIGRATION: &str = "DatabaseMigration";
/// A kind.
pub const SECRET: &str = "Secret";

/// The namespace of objects that name none.
const NAMESPACE: &str = "default";
/// How long one command may take: many times what it does on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(120);

/// A directory of manifests with its state and the output of everything that ran on it. When it goes, the
/// processes that it has left go too.
pub struct Directory {
    scratch: Scratch,
    environment: Vec<(OsString, OsString)>,
    runs: AtomicU32,
}

impl Directory {
    /// An empty one.
    ///
    /// # Panics
    /// When the system gives no room for it.
    #[must_use]
    #[track_caller]
    pub fn new(prefix: &str) -> Directory {
        let directory = Directory {
            scratch: Scratch::new(prefix),
            environment: Vec::new(),
            runs: AtomicU32::new(0),
        };
        for folder in [directory.path(), directory.output()] {
            std::fs::create_dir_all(folder).expect("a test's folder can be written");
        }
        directory
    }

    /// The same, with a variable in the environment of every command.
    #[must_use]
    pub fn with_environment(mut self, name: &str, value: &str) -> Directory {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The variables that every command has besides.
    pub fn environment(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.environment
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// The directory that `local` is given.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.scratch.path().join("manifests")
    }

    /// Where `local` keeps its state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path().join(".dbop")
    }

    /// Where stdout and stderr of every command are kept.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.scratch.path().join("output")
    }

    /// Writes any file below the directory; one that is there is replaced at one stroke, as editors do.
    ///
    /// # Panics
    /// When it cannot be written.
    #[track_caller]
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        let folder = path.parent().expect("a file is in a folder");
        std::fs::create_dir_all(folder).expect("a test's folder can be written");
        let draft = path.with_extension("draft");
        std::fs::write(&draft, text).expect("a test's folder can be written");
        std::fs::rename(&draft, &path).expect("a test's folder can be written");
    }

    /// Writes an object to the file of its kind and name.
    ///
    /// # Panics
    /// When it cannot be written.
    #[track_caller]
    pub fn put(&self, object: &Object) {
        self.write(&file(object.kind(), object.name()), &object.yaml());
    }

    /// An object that was put.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn get(&self, kind: &str, name: &str) -> Object {
        Object::new(read_yaml(&self.path().join(file(kind, name))))
    }

    /// Sets one field of an object that was put.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn change(&self, kind: &str, name: &str, path: &str, value: impl Into<Value>) {
        self.put(&self.get(kind, name).set(path, value));
    }

    /// Takes an object away.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn remove(&self, kind: &str, name: &str) {
        let path = self.path().join(file(kind, name));
        std::fs::remove_file(&path).expect("the object was put before");
    }

    /// Runs `local` on it until it ends by itself.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn local(&self) -> Finished {
        self.start(&[]).finish(PATIENCE).await
    }

    /// Runs a command of `database-operator` until it ends.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn run(&self, arguments: &[&str]) -> Finished {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        self.spawn(&arguments).finish(PATIENCE).await
    }

    /// Runs a command that is given this directory with `--local`.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn ask(&self, arguments: &[&str]) -> Finished {
        let mut arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        arguments.extend(["--local".into(), self.path().into_os_string()]);
        self.spawn(&arguments).finish(PATIENCE).await
    }

    /// Starts `local` on it, with further arguments such as `--watch`.
    #[must_use]
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut whole = vec!["local".into(), self.path().into_os_string()];
        whole.extend(arguments.iter().map(OsString::from));
        self.spawn(&whole)
    }

    /// The status of an object as `local` wrote it; null where it wrote none.
    ///
    /// # Panics
    /// When it is no YAML.
    #[must_use]
    pub fn status_of(&self, kind: &str, name: &str) -> Value {
        let path = self
            .state()
            .join(format!("status/{NAMESPACE}/{kind}/{name}.yaml"));
        if !path.is_file() {
            return Value::Null;
        }
        let mut document = read_yaml(&path);
        match document.get_mut("status") {
            Some(status) => status.take(),
            None => document,
        }
    }

    /// The status of a ManagedDatabase.
    ///
    /// # Panics
    /// When it is no YAML.
    #[must_use]
    pub fn status(&self, database: &str) -> Value {
        self.status_of(MANAGED_DATABASE, database)
    }

    /// The names of all Secrets that `local` has published, in order.
    ///
    /// # Panics
    /// When the state cannot be read.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let folder = self.state().join("secrets").join(NAMESPACE);
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("the state can be read").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names
    }

    /// The content of a Secret that `local` has published, as an application that mounts it sees it.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<Credential> {
        let folder = self.secret_folder(name);
        let mut data = BTreeMap::new();
        for entry in std::fs::read_dir(folder).ok()? {
            let entry = entry.ok()?;
            let key = entry.file_name().to_string_lossy().into_owned();
            if !key.starts_with('.') {
                data.insert(key, std::fs::read_to_string(entry.path()).ok()?);
            }
        }
        Some(Credential::new(data))
    }

    /// The folder of a Secret, whether there is one or not.
    #[must_use]
    pub fn secret_folder(&self, name: &str) -> PathBuf {
        self.state().join("secrets").join(NAMESPACE).join(name)
    }

    /// What the Job's process wrote, for every Job.
    #[must_use]
    pub fn job_logs(&self) -> BTreeMap<String, String> {
        let Ok(entries) = std::fs::read_dir(self.state().join("jobs").join(NAMESPACE)) else {
            return BTreeMap::new();
        };
        entries
            .flatten()
            .filter_map(|entry| {
                let log = std::fs::read(entry.path().join("log")).ok()?;
                let job = entry.file_name().to_string_lossy().into_owned();
                Some((job, String::from_utf8_lossy(&log).into_owned()))
            })
            .collect()
    }

    /// The processes that work on this directory: `local`, supervisors, migrations.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        processes(&self.path())
    }

    /// Kills every process that works on this directory, and returns when there is none.
    pub fn kill_all(&self) {
        // One that is just being forked is not seen, so looking once is not enough.
        for _ in 0..500 {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            left.iter().for_each(Process::kill);
            std::thread::sleep(Duration::from_millis(10));
        }
        eprintln!(
            "some processes of the test do not end: {:?}",
            self.processes()
        );
    }

    fn spawn(&self, arguments: &[OsString]) -> Running {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let file = |kind: &str| self.output().join(format!("{number:03}.{kind}"));
        let (stdout, stderr) = (file("stdout"), file("stderr"));
        let create =
            |path: &Path| std::fs::File::create(path).expect("a test's folder is writable");
        let mut command = Command::new(crate::binary("database-operator"));
        command
            .args(arguments)
            .env_remove("RUST_LOG")
            .env_remove("RUST_BACKTRACE")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(create(&stdout))
            .stderr(create(&stderr));
        Running::start(command, stdout, stderr)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.kill_all();
    }
}

fn file(kind: &str, name: &str) -> String {
    format!("{}-{name}.yaml", kind.to_lowercase())
}

#[track_caller]
fn read_yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    serde_saphyr::from_str(&text)
        .unwrap_or_else(|error| panic!("{} is no YAML: {error}\n{text}", path.display()))
}
