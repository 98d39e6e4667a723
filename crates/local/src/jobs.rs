//! Jobs as directories: `jobs/<namespace>/<job>/`, with a process of the migration's own.
//!
//! | file | what |
//! |---|---|
//! | `job.yaml` | which run of which database, and whether its outcome still has to be recorded |
//! | `alive` | empty; locked as long as a supervisor or a process of the migration lives |
//! | `secret.json` | environment with the migrator's credential; gone once the run is recorded |
//! | `launch.json` | what to start; gone once it is started |
//! | `runtime` | the container runtime, where one runs it |
//! | `started` | made right before the process is: past it, the run is never started again |
//! | `log` | what the process said |
//! | `exit` | how it ended |
//! | `record.yaml` | the record in the status, in case somebody removes that |
//!
//! What runs is told by the lock: it goes with the last process that holds it, whatever became of the others,
//! and no process id that was used again can deceive. A container holds no lock of ours; where whoever ran it is
//! gone, its runtime is asked.

mod layout;
mod leftover;
mod output;
mod supervise;

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dbop_api::status::LastRun;
use dbop_engine::{JobSpec, PlatformError};
use dbop_model::{JobFacts, JobName, JobPhase, ObjectRef};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use crate::container::{self, Contract};
use crate::file::{self, FileError};
use crate::manifests::Manifests;
use crate::runtime::Runtime;
pub(crate) use layout::log_path;
use layout::{ExitFile, JobFile, LaunchFile};
pub use supervise::supervise;

/// Recorded runs whose logs are kept, for each database.
const HISTORY_MAX: usize = 20;
/// A look at a lock holds it for microseconds; who wants it for good tries again.
const LOCK_TRIES: usize = 50;
const LOCK_TRY_EVERY: Duration = Duration::from_millis(20);
/// A supervisor starts its process within milliseconds. One that takes longer is waited for no further: the
/// run is under way all the same.
const START_TRIES: usize = 1000;
const START_TRY_EVERY: Duration = Duration::from_millis(10);

/// What a supervisor is started with: a program and its first arguments. The job's directory comes after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<String>,
}

/// The Jobs of a state directory.
pub(crate) struct Jobs {
    root: PathBuf,
    directory: PathBuf,
    runtime: Runtime,
    supervisor: Supervisor,
}

impl Jobs {
    pub(crate) fn new(
        state: &Path,
        directory: &Path,
        runtime: Runtime,
        supervisor: Supervisor,
    ) -> Self {
        let root = state.join("jobs");
        Self {
            root,
            directory: directory.to_owned(),
            runtime,
            supervisor,
        }
    }

    /// The Jobs of a database whose outcome still has to be recorded.
    pub(crate) fn list(&self, database: &ObjectRef) -> Result<Vec<JobFacts>, PlatformError> {
        let mut jobs = Vec::new();
        for (name, file) in self.files(database.namespace())? {
            if file.finalizer && file.is_of(database) {
                jobs.push(self.facts(database.namespace(), name, &file)?);
            }
        }
        Ok(jobs)
    }

    /// How many Jobs of other databases are under way.
    pub(crate) fn live_beside(&self, database: &ObjectRef) -> Result<usize, PlatformError> {
        let mut live = 0;
        for namespace in file::names(&self.root)? {
            for (name, file) in self.files(&namespace)? {
                if file.finalizer
                    && !file.is_of(database)
                    && self.facts(&namespace, name, &file)?.is_live()
                {
                    live += 1;
                }
            }
        }
        Ok(live)
    }

    /// One Job's phase; `None`: there is no such Job.
    pub(crate) fn phase(
        &self,
        namespace: &str,
        job: &JobName,
    ) -> Result<Option<JobPhase>, PlatformError> {
        let path = self.path(namespace, job);
        match layout::read_job(&path)? {
            Some(_) => Ok(Some(phase(&path)?)),
            None => Ok(None),
        }
    }

    /// Creates a run's Job, suspended.
    pub(crate) fn create(&self, job: &JobSpec, now: Timestamp) -> Result<(), PlatformError> {
        let namespace = job.database.namespace();
        let path = self.path(namespace, &job.run.job);
        let file = JobFile::new(job, now);
        match layout::read_job(&path)? {
            Some(stands) if stands.is_same_run(&file) && stands.finalizer => return Ok(()),
            // The run was recorded once, and its record is no longer the last: its name is free again.
            Some(stands) if !stands.finalizer => file::remove_directory(&path)?,
            Some(_) => return Err(foreign(namespace, &job.run.job)),
            None if path.exists() => return Err(foreign(namespace, &job.run.job)),
            None => {}
        }
        let parent = file::parent(&path);
        file::create_directory(parent)?;
        let new = file::create_beside(&path)?;
        layout::write_job(&new, &file)?;
        let alive = layout::alive_path(&new);
        file::create(&alive, b"").map_err(FileError::of("write", &alive))?;
        fs::rename(&new, &path).map_err(FileError::of("write", &path))?;
        Ok(file::sync_directory(parent).map_err(FileError::of("write", parent))?)
    }

    /// Writes the environment with the migrator's credential.
    pub(crate) fn write_secret(
        &self,
        namespace: &str,
        job: &JobName,
        environment: &BTreeMap<String, SecretString>,
    ) -> Result<(), PlatformError> {
        let plain: BTreeMap<&str, &str> = environment
            .iter()
            .map(|(k, v)| (k.as_str(), v.expose_secret()))
            .collect();
        layout::write_json(&layout::secret_path(&self.path(namespace, job)), &plain)
    }

    /// Starts the supervisor of a suspended Job, and returns once the process has been started.
    pub(crate) async fn release(
        &self,
        namespace: &str,
        job: &JobName,
        manifests: &Manifests,
    ) -> Result<(), PlatformError> {
        let path = self.path(namespace, job);
        let what = format!("Job {namespace}/{job}");
        let Some(file) = layout::read_job(&path)? else {
            return Err(PlatformError::Missing(format!(
                "{what} does not exist any more"
            )));
        };
        let Some(lock) = take(&path).await? else {
            return Ok(());
        };
        let launch = self.launch(&path, namespace, job, &file, manifests)?;
        layout::write_runtime(&path, self.runtime.program())?;
        layout::write_json(&layout::launch_path(&path), &launch)?;
        let mut child = self.start(&path, lock)?;
        for _ in 0..START_TRIES {
            if layout::is_started(&path) {
                break;
            }
            if let Ok(Some(status)) = child.try_wait() {
                // It may have come as far as to start, and then end.
                if layout::is_started(&path) {
                    return Ok(());
                }
                return Err(PlatformError::Failed {
                    operation: format!("starting {what}"),
                    reason: format!(
                        "its supervisor ended with {status} before it started the migration{}",
                        output::first_line(&layout::supervisor_log_path(&path))
                    ),
                });
            }
            tokio::time::sleep(START_TRY_EVERY).await;
        }
        reap(child);
        Ok(())
    }

    fn launch(
        &self,
        path: &Path,
        namespace: &str,
        job: &JobName,
        file: &JobFile,
        manifests: &Manifests,
    ) -> Result<LaunchFile, PlatformError> {
        let migration = file.migration()?;
        let Some(object) = manifests.migrations.get(&migration) else {
            return Err(PlatformError::Missing(format!(
                "DatabaseMigration {migration} does not stand in the manifests any more"
            )));
        };
        if object.migration.digest.as_str() != file.digest {
            return Err(PlatformError::Conflict {
                what: format!("DatabaseMigration {migration}"),
            });
        }
        let secret = layout::read_secret(path)?.ok_or_else(|| {
            PlatformError::Missing(format!(
                "Job {namespace}/{job}: its environment is not there"
            ))
        })?;
        let container = &object.object.spec.container;
        let contract = Contract {
            plain: &file.environment,
            secret: &secret,
        };
        let mut launch = container::launch(&migration, container, &contract, manifests)?;
        if let Some(program) = self.runtime.program() {
            launch.command = container::runtime_command(program, job.as_str(), container, &launch);
            launch.working_directory = None;
        }
        Ok(LaunchFile {
            directory: container::working_directory(&self.directory, &launch),
            command: launch.command,
            environment: launch.environment,
            secrets: launch
                .secrets
                .iter()
                .map(|s| s.expose_secret().to_owned())
                .collect(),
        })
    }

    /// The supervisor gets the lock as its standard input: a file's lock goes along with it.
    fn start(&self, path: &Path, lock: File) -> Result<Child, PlatformError> {
        let said = layout::supervisor_log_path(path);
        file::remove(&said)?;
        Command::new(&self.supervisor.program)
            .args(&self.supervisor.arguments)
            .arg(path)
            .stdin(Stdio::from(lock))
            .stdout(Stdio::null())
            .stderr(Stdio::from(file::append(&said)?))
            .spawn()
            .map_err(|error| PlatformError::Failed {
                operation: format!("starting {}", self.supervisor.program.display()),
                reason: error.to_string(),
            })
    }

    /// Deletes a Job that never ran.
    pub(crate) async fn delete(&self, namespace: &str, job: &JobName) -> Result<(), PlatformError> {
        let path = self.path(namespace, job);
        if layout::read_job(&path)?.is_none() {
            return Ok(());
        }
        match take(&path).await? {
            // The lock is given up with the directory: nobody can start what is gone.
            Some(_lock) => Ok(file::remove_directory(&path)?),
            None => Err(PlatformError::Conflict {
                what: format!("Job {namespace}/{job}"),
            }),
        }
    }

    /// Marks a Job's outcome as recorded, and removes its secrets and the oldest logs.
    pub(crate) fn finish(&self, database: &ObjectRef, job: &JobName) -> Result<(), PlatformError> {
        let path = self.path(database.namespace(), job);
        let Some(mut file) = layout::read_job(&path)? else {
            return Ok(());
        };
        file::remove(&layout::launch_path(&path))?;
        file::remove(&layout::secret_path(&path))?;
        if file.finalizer {
            file.finalizer = false;
            layout::write_job(&path, &file)?;
        }
        self.prune(database)
    }

    fn prune(&self, database: &ObjectRef) -> Result<(), PlatformError> {
        let mut recorded: Vec<(Timestamp, JobName)> = self
            .files(database.namespace())?
            .into_iter()
            .filter(|(_, file)| !file.finalizer && file.is_of(database))
            .map(|(name, file)| (file.created_at, name))
            .collect();
        recorded.sort();
        let surplus = recorded.len().saturating_sub(HISTORY_MAX);
        for (_, name) in recorded.into_iter().take(surplus) {
            file::remove_directory(&self.path(database.namespace(), &name))?;
        }
        Ok(())
    }

    /// Keeps a run's record beside its log.
    pub(crate) fn keep_record(
        &self,
        database: &ObjectRef,
        job: &JobName,
        record: &LastRun,
    ) -> Result<(), PlatformError> {
        let path = self.path(database.namespace(), job);
        if path.exists() {
            layout::write_record(&path, record)
        } else {
            Ok(())
        }
    }

    /// The newest record that stands beside a log.
    pub(crate) fn last_record(
        &self,
        database: &ObjectRef,
    ) -> Result<Option<LastRun>, PlatformError> {
        let mut newest: Option<LastRun> = None;
        for (name, file) in self.files(database.namespace())? {
            if !file.is_of(database) {
                continue;
            }
            let record = layout::read_record(&self.path(database.namespace(), &name))?;
            if let Some(record) = record
                && newest
                    .as_ref()
                    .is_none_or(|newest| newest.started_at < record.started_at)
            {
                newest = Some(record);
            }
        }
        Ok(newest)
    }

    /// Removes what writes that a crash cut short have left.
    pub(crate) fn sweep(&self) -> Result<(), FileError> {
        for namespace in file::names(&self.root)? {
            file::sweep(&self.root.join(namespace))?;
        }
        Ok(())
    }

    /// Where a Job's files are.
    pub(crate) fn path(&self, namespace: &str, job: &JobName) -> PathBuf {
        self.root.join(namespace).join(job.as_str())
    }

    fn files(&self, namespace: &str) -> Result<Vec<(JobName, JobFile)>, PlatformError> {
        let mut files = Vec::new();
        for name in file::names(&self.root.join(namespace))? {
            // What bears no Job's name, or holds no Job, is not ours.
            let Ok(name) = JobName::new(name) else {
                continue;
            };
            if let Some(file) = layout::read_job(&self.path(namespace, &name))? {
                files.push((name, file));
            }
        }
        Ok(files)
    }

    fn facts(
        &self,
        namespace: &str,
        name: JobName,
        file: &JobFile,
    ) -> Result<JobFacts, PlatformError> {
        let path = self.path(namespace, &name);
        file.facts(name, phase(&path)?)
    }
}

/// How far a Job is. The order of the looks matters: the outcome is written before the lock is given up.
fn phase(path: &Path) -> Result<JobPhase, PlatformError> {
    if let Some(exit) = layout::read_exit(path)? {
        return Ok(exit.phase());
    }
    if is_held(path)? {
        return Ok(JobPhase::Running);
    }
    if let Some(exit) = layout::read_exit(path)? {
        return Ok(exit.phase());
    }
    if !layout::is_started(path) {
        return Ok(JobPhase::Suspended);
    }
    if let Some(program) = layout::read_runtime(path)?
        && leftover::is_running(&program, path)?
    {
        return Ok(JobPhase::Running);
    }
    let secret = layout::read_secret(path)?.unwrap_or_default();
    let secrets: Vec<String> = secret
        .values()
        .map(|value| value.expose_secret().to_owned())
        .collect();
    let mut message = "its supervisor and processes are gone without a recorded exit".to_owned();
    // Without the secrets, what it said cannot be shown safely.
    if let Some(line) = output::last_line(&log_path(path), &secrets).filter(|_| !secrets.is_empty())
    {
        message.push_str(&format!("; it last said: {line}"));
    }
    Ok(ExitFile {
        code: None,
        signal: None,
        finished_at: layout::last_sign(path)?,
        message,
    }
    .phase())
}

/// Does somebody hold the Job's lock?
fn is_held(path: &Path) -> Result<bool, PlatformError> {
    let alive = layout::alive_path(path);
    let file = match File::open(&alive) {
        Ok(file) => file,
        Err(error) if file::is_missing(&error) => return Ok(false),
        Err(error) => return Err(FileError::of("read", &alive)(error).into()),
    };
    match file.try_lock_shared() {
        Ok(()) => {
            // Not by closing alone: a process that is being started may share the file for an instant.
            file.unlock().map_err(FileError::of("unlock", &alive))?;
            Ok(false)
        }
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(FileError::of("lock", &alive)(error).into()),
    }
}

/// Takes the lock of a Job that has not been started; `None`: it has been.
async fn take(path: &Path) -> Result<Option<File>, PlatformError> {
    let alive = layout::alive_path(path);
    let file = File::open(&alive).map_err(FileError::of("open", &alive))?;
    for _ in 0..LOCK_TRIES {
        if layout::is_started(path) {
            return Ok(None);
        }
        match file.try_lock() {
            // Started and ended between the two looks?
            Ok(()) if layout::is_started(path) => {
                file.unlock().map_err(FileError::of("unlock", &alive))?;
                return Ok(None);
            }
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_TRY_EVERY).await,
            Err(TryLockError::Error(error)) => {
                return Err(FileError::of("lock", &alive)(error).into());
            }
        }
    }
    Err(PlatformError::Conflict {
        what: format!("the lock {}", alive.display()),
    })
}

/// Waits for a child so that its end leaves nothing behind, for as long as this process lives.
fn reap(mut child: Child) {
    std::thread::spawn(move || {
        if let Err(error) = child.wait() {
            tracing::debug!(%error, "a supervisor could not be waited for");
        }
    });
}

fn foreign(namespace: &str, job: &JobName) -> PlatformError {
    PlatformError::Foreign {
        what: format!("Job {namespace}/{job}"),
    }
}
