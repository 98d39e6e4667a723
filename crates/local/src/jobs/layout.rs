//! The files of a Job's directory: their names, and what stands in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dbop_api::status::LastRun;
use dbop_engine::{JobSpec, PlatformError};
use dbop_model::{Digest, JobFacts, JobName, JobPhase, MigrationName, NameError, ObjectRef};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::file::{self, FileError};

/// `job.yaml`: the run, which never changes, and the finalizer, which goes once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobFile {
    namespace: String,
    database: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    to: String,
    pub(super) digest: String,
    pub(super) created_at: Timestamp,
    pub(super) finalizer: bool,
    pub(super) environment: BTreeMap<String, String>,
}

impl JobFile {
    pub(super) fn new(job: &JobSpec, created_at: Timestamp) -> Self {
        Self {
            namespace: job.database.namespace().to_owned(),
            database: job.database.name().to_owned(),
            from: job.run.from.as_ref().map(ToString::to_string),
            to: job.run.to.to_string(),
            digest: job.run.digest.to_string(),
            created_at,
            finalizer: true,
            environment: job.environment.clone(),
        }
    }

    pub(super) fn is_of(&self, database: &ObjectRef) -> bool {
        self.namespace == database.namespace() && self.database == database.name()
    }

    /// Is it of the same run, whenever it was made?
    pub(super) fn is_same_run(&self, other: &Self) -> bool {
        let run = |of: &Self| {
            (
                of.namespace.clone(),
                of.database.clone(),
                of.from.clone(),
                of.to.clone(),
                of.digest.clone(),
            )
        };
        run(self) == run(other)
    }

    /// The DatabaseMigration that it runs.
    pub(super) fn migration(&self) -> Result<ObjectRef, PlatformError> {
        ObjectRef::new(&self.namespace, &self.to).map_err(|error| spoilt("job.yaml", &error))
    }

    pub(super) fn facts(&self, name: JobName, phase: JobPhase) -> Result<JobFacts, PlatformError> {
        let wrong = |error: NameError| spoilt(&format!("job.yaml of Job {name}"), &error);
        Ok(JobFacts {
            from: self
                .from
                .as_ref()
                .map(MigrationName::new)
                .transpose()
                .map_err(wrong)?,
            to: MigrationName::new(&self.to).map_err(wrong)?,
            digest: Digest::new(&self.digest).map_err(wrong)?,
            created_at: self.created_at,
            phase,
            finalizer: self.finalizer,
            name,
        })
    }
}

/// `launch.json`: what the supervisor starts. Holds passwords: no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LaunchFile {
    pub(super) command: Vec<String>,
    pub(super) directory: PathBuf,
    pub(super) environment: BTreeMap<String, String>,
    /// What must not be shown of what the process says.
    pub(super) secrets: Vec<String>,
}

/// `exit`: how the process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExitFile {
    /// The exit status; `None`: a signal ended it, or it was never started.
    pub(super) code: Option<i32>,
    /// The signal that ended it.
    pub(super) signal: Option<i32>,
    pub(super) finished_at: Timestamp,
    /// For people: one line, secrets redacted.
    pub(super) message: String,
}

impl ExitFile {
    pub(super) fn phase(self) -> JobPhase {
        JobPhase::Finished {
            succeeded: self.code == Some(0),
            exit_code: self.code,
            finished_at: self.finished_at,
            message: self.message,
        }
    }
}

/// Where the migration's output is, within a Job's directory.
pub(crate) fn log_path(job: &Path) -> PathBuf {
    job.join("log")
}

pub(super) fn alive_path(job: &Path) -> PathBuf {
    job.join("alive")
}

pub(super) fn secret_path(job: &Path) -> PathBuf {
    job.join("secret.json")
}

pub(super) fn launch_path(job: &Path) -> PathBuf {
    job.join("launch.json")
}

/// What the supervisor itself had to say; empty as long as all is well.
pub(super) fn supervisor_log_path(job: &Path) -> PathBuf {
    job.join("supervisor.log")
}

fn started_path(job: &Path) -> PathBuf {
    job.join("started")
}

fn exit_path(job: &Path) -> PathBuf {
    job.join("exit")
}

/// The container runtime that a Job was started with; `None`: none.
pub(super) fn read_runtime(job: &Path) -> Result<Option<String>, FileError> {
    let name = file::read(&job.join("runtime"))?;
    Ok(name.map(|name| String::from_utf8_lossy(&name).trim().to_owned()))
}

pub(super) fn write_runtime(job: &Path, program: Option<&str>) -> Result<(), FileError> {
    let path = job.join("runtime");
    match program {
        Some(program) => file::replace(&path, program.as_bytes()),
        None => file::remove(&path),
    }
}

/// Has the process been started, or tried to?
pub(super) fn is_started(job: &Path) -> bool {
    started_path(job).exists() || exit_path(job).exists()
}

pub(super) fn write_started(job: &Path, now: Timestamp) -> Result<(), FileError> {
    // For people alone: that it is there is what counts.
    let process = std::process::id();
    file::replace(
        &started_path(job),
        format!("{now} by supervisor {process}\n").as_bytes(),
    )
}

/// When a run that left no exit gave its last sign. It does not change any more once all of it is gone.
pub(super) fn last_sign(job: &Path) -> Result<Timestamp, FileError> {
    let path = started_path(job);
    let wrong = |doing| FileError::of(doing, &path);
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    let last = modified(&log_path(job))
        .or_else(|_| modified(&path))
        .map_err(wrong("read"))?;
    Ok(Timestamp::try_from(last).unwrap_or(Timestamp::UNIX_EPOCH))
}

pub(super) fn read_job(job: &Path) -> Result<Option<JobFile>, PlatformError> {
    read_yaml(&job.join("job.yaml"))
}

pub(super) fn write_job(job: &Path, file: &JobFile) -> Result<(), PlatformError> {
    write_yaml(&job.join("job.yaml"), file)
}

pub(super) fn read_record(job: &Path) -> Result<Option<LastRun>, PlatformError> {
    read_yaml(&job.join("record.yaml"))
}

pub(super) fn write_record(job: &Path, record: &LastRun) -> Result<(), PlatformError> {
    write_yaml(&job.join("record.yaml"), record)
}

pub(super) fn read_exit(job: &Path) -> Result<Option<ExitFile>, PlatformError> {
    read_json(&exit_path(job))
}

pub(super) fn write_exit(job: &Path, exit: &ExitFile) -> Result<(), PlatformError> {
    write_json(&exit_path(job), exit)
}

pub(super) fn read_secret(
    job: &Path,
) -> Result<Option<BTreeMap<String, SecretString>>, PlatformError> {
    let plain: Option<BTreeMap<String, String>> = read_json(&secret_path(job))?;
    Ok(plain.map(|plain| plain.into_iter().map(|(k, v)| (k, v.into())).collect()))
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, PlatformError> {
    let Some(content) = file::read(path)? else {
        return Ok(None);
    };
    // What serde_json says may quote a value, and these files hold secrets.
    let parsed = serde_json::from_slice(&content);
    parsed.map(Some).map_err(|error| {
        spoilt(
            &path.display().to_string(),
            &format!("line {} is not what was written", error.line()),
        )
    })
}

pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), PlatformError> {
    let text =
        serde_json::to_vec(value).map_err(|error| spoilt(&path.display().to_string(), &error))?;
    Ok(file::replace(path, &text)?)
}

fn read_yaml<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, PlatformError> {
    let Some(content) = file::read(path)? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&content);
    serde_saphyr::from_str(&text)
        .map(Some)
        .map_err(|error| spoilt(&path.display().to_string(), error.without_snippet()))
}

fn write_yaml(path: &Path, value: &impl Serialize) -> Result<(), PlatformError> {
    let text = serde_saphyr::to_string(value)
        .map_err(|error| spoilt(&path.display().to_string(), &error))?;
    Ok(file::replace(path, text.as_bytes())?)
}

/// A file of ours that somebody else has written.
fn spoilt(what: &str, why: &dyn std::fmt::Display) -> PlatformError {
    PlatformError::Failed {
        operation: format!("reading {what}"),
        reason: why.to_string(),
    }
}
