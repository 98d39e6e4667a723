//! The platform: a directory behind the engine's port.
//!
//! Files are small and on a local disk, so they are read and written in place, without a thread for each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dbop_api::report::{
    self, Change, Event, SESSIONS_WRITTEN_EVERY, action_event, managed_database_status,
};
use dbop_api::status::LastRun;
use dbop_api::{ManagedDatabaseStatus, marks};
use dbop_credentials::parts;
use dbop_database::Target;
use dbop_engine::{
    AppSecret, Clock, Entropy, JobSpec, Platform, PlatformError, Read, Report, Revision,
    SecretSeen, Subject, Workloads, connection_value,
};
use dbop_model::{
    ConfigMapKey, DatabaseSpec, DsnKeys, Fact, JobFacts, JobName, JobPhase, MigrationName,
    ObjectRef, RunRecord, SecretName, ServerRole,
};
use dbop_plan::{Action, Because, Decision, Slots};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use crate::events::EventLog;
use crate::jobs::{self, Jobs, Supervisor};
use crate::manifests::{Manifests, Reader, SecretObject};
use crate::observer::{Observer, Progress, ProgressSource};
use crate::requests;
use crate::runtime::Runtime;
use crate::secrets::Secrets;
use crate::state::{OpenError, State, existing, state_directory};
use crate::status::Statuses;
use crate::subject;

/// Where migrations push their metrics, as the container contract names it.
const PUSH_ADDRESS: &str = "DBA_OP_PROMETHEUS_PUSH_GATEWAY_ADDR";
/// The key of a CA certificate's Secret.
const CA_KEY: &str = "ca.crt";

/// What a directory is worked with.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// The manifests.
    pub directory: PathBuf,
    /// The state directory; default [`STATE_DIRECTORY`](crate::STATE_DIRECTORY) below the manifests.
    pub state: Option<PathBuf>,
    /// What runs migrations.
    pub runtime: Runtime,
    /// What a migration's supervisor is started with.
    pub supervisor: Supervisor,
}

/// A directory as a platform.
pub struct LocalPlatform {
    reader: Mutex<Reader>,
    state: State,
    secrets: Secrets,
    jobs: Jobs,
    statuses: Statuses,
    events: EventLog,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    progress: Arc<dyn ProgressSource>,
    push_address: Option<String>,
    /// What was shown of each database, and the lock around every change of a status.
    shown: Mutex<BTreeMap<ObjectRef, Shown>>,
}

/// What was shown of a database.
#[derive(Default)]
struct Shown {
    written_at: Option<Timestamp>,
    /// The failure that people were told of last.
    failure: Option<String>,
}

impl LocalPlatform {
    /// Opens a directory to work on it. Its state directory is made where it is missing, and locked.
    ///
    /// # Errors
    /// A directory that is none, a state directory that another works on or that cannot be written, a container
    /// runtime that is not installed.
    pub fn open(
        options: LocalOptions,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, OpenError> {
        let directory = existing(&options.directory)?;
        if let Some(program) = options.runtime.program()
            && !options
                .runtime
                .is_installed(&std::env::var_os("PATH").unwrap_or_default())
        {
            return Err(OpenError::NoRuntime { program });
        }
        let state = State::open(
            &state_directory(&directory, options.state.as_deref())?,
            entropy,
        )?;
        let platform = Self::new(directory, options, state, clock);
        platform.secrets.sweep()?;
        platform.jobs.sweep()?;
        Ok(platform)
    }

    /// Opens a directory to look at it, whoever else works on it. Every write of it fails, and the state
    /// directory need not be there.
    ///
    /// # Errors
    /// A directory that is none, a state directory that cannot be read.
    pub fn read(options: LocalOptions, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let directory = existing(&options.directory)?;
        let state = State::read(&state_directory(&directory, options.state.as_deref())?)?;
        Ok(Self::new(directory, options, state, clock))
    }

    fn new(directory: PathBuf, options: LocalOptions, state: State, clock: Arc<dyn Clock>) -> Self {
        let LocalOptions {
            runtime,
            supervisor,
            ..
        } = options;
        let root = state.root();
        Self {
            reader: Mutex::new(Reader::new(&directory, root, runtime)),
            secrets: Secrets::new(root),
            jobs: Jobs::new(root, &directory, runtime, supervisor),
            statuses: Statuses::new(root),
            events: EventLog::new(root),
            clock,
            observer: Arc::new(()),
            progress: Arc::new(()),
            push_address: None,
            shown: Mutex::default(),
            state,
        }
    }

    /// The same, with somebody who looks on.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// The same, with a receiver: `address` is the `host:port` that migrations push their metrics to, unless
    /// a database names a Pushgateway of its own, and `progress` knows what they pushed.
    #[must_use]
    pub fn with_receiver(mut self, address: String, progress: Arc<dyn ProgressSource>) -> Self {
        self.push_address = Some(address);
        self.progress = progress;
        self
    }

    /// The state directory, by its full name.
    pub fn state_directory(&self) -> &Path {
        self.state.root()
    }

    /// The manifests as they are now.
    pub fn manifests(&self) -> Arc<Manifests> {
        let now = self.clock.now();
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.refresh(now)
    }

    /// The status of a database as it was written last; `None`: never.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn status(
        &self,
        database: &ObjectRef,
    ) -> Result<Option<ManagedDatabaseStatus>, PlatformError> {
        self.statuses.database(database)
    }

    /// The record of a database's last run.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn last_run(&self, database: &ObjectRef) -> Result<Option<LastRun>, PlatformError> {
        match self
            .statuses
            .database(database)?
            .and_then(|status| status.last_run)
        {
            Some(last_run) => Ok(Some(last_run)),
            // Where somebody has removed the status, the record beside the run's log tells.
            None => self.jobs.last_record(database),
        }
    }

    /// How far a Job is; `None`: there is no such Job.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn job_phase(
        &self,
        database: &ObjectRef,
        job: &JobName,
    ) -> Result<Option<JobPhase>, PlatformError> {
        self.jobs.phase(database.namespace(), job)
    }

    /// The file with what a Job's process has said so far.
    pub fn job_log(&self, database: &ObjectRef, job: &JobName) -> PathBuf {
        jobs::log_path(&self.jobs.path(database.namespace(), job))
    }

    /// What the run of a Job has said of itself last.
    pub fn job_progress(&self, job: &JobName) -> Option<Progress> {
        self.progress.progress(job)
    }

    /// Those who look on.
    pub(crate) fn observer(&self) -> &dyn Observer {
        self.observer.as_ref()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn writable(&self) -> Result<(), PlatformError> {
        if self.state.is_writable() {
            return Ok(());
        }
        Err(PlatformError::Failed {
            operation: format!("writing {}", self.state.root().display()),
            reason: "it was opened to be read".to_owned(),
        })
    }

    fn shown(&self) -> MutexGuard<'_, BTreeMap<ObjectRef, Shown>> {
        // What a panic may have left behind is at worst an Event told twice.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, database: &ObjectRef, event: &Event) {
        if let Err(error) = self.events.add(database, event, self.clock.now()) {
            tracing::warn!(%database, %error, "an event could not be written");
        }
        self.observer.event(database, event);
    }

    /// A Secret of the manifests that the spec names; `keys` is what it is needed for.
    fn named(
        &self,
        spec: &DatabaseSpec,
        field: &str,
        secret: &ObjectRef,
        keys: &DsnKeys,
    ) -> Result<SecretObject, PlatformError> {
        let id = &spec.id;
        let found = self.manifests().secrets.get(secret).cloned();
        let is_elsewhere = secret.namespace() != id.namespace();
        let found = found.filter(|found| !is_elsewhere || marks::is_lent(&found.annotations, id));
        found.ok_or_else(|| {
            let what = match is_elsewhere {
                true => marks::not_lent(secret, id),
                false => format!(
                    "Secret {secret} does not stand in the directory's manifests; add it, with the {keys}"
                ),
            };
            PlatformError::not_in_place(id, field, &what)
        })
    }

    /// The status of each migration of the chain, where it is not what it was.
    fn publish_migrations(&self, report: &Report<'_>) -> Result<(), PlatformError> {
        let desired = report.desired;
        let manifests = self.manifests();
        let namespace = desired.database.id.namespace();
        let databases: Vec<&DatabaseSpec> = manifests
            .databases
            .iter()
            .filter(|(id, _)| id.namespace() == namespace)
            .map(|(_, database)| &database.spec)
            .collect();
        for name in desired.chain.connected(&desired.database.desired) {
            let (Some(migration), Ok(id)) = (
                desired.chain.get(name),
                ObjectRef::new(namespace, name.as_str()),
            ) else {
                continue;
            };
            let status = report::database_migration_status(
                migration,
                &desired.chain,
                databases.iter().copied(),
            );
            if self.statuses.migration(&id).ok().flatten().as_ref() != Some(&status) {
                self.statuses.write_migration(&id, &status)?;
            }
        }
        Ok(())
    }

    /// What a pass gives to be told, and its status, where that is not what it was.
    fn show(
        &self,
        database: &ObjectRef,
        report: &Report<'_>,
        shown: &mut Shown,
    ) -> Result<Vec<Event>, PlatformError> {
        let jobs = report.facts.jobs.known();
        let live = jobs.and_then(|jobs| jobs.iter().find(|job| job.is_live()));
        let progress = live.and_then(|job| self.progress.progress(&job.name));
        let pass = report::Pass {
            desired: report.desired,
            facts: report.facts,
            decision: report.decision,
            failure: report.failure,
            health: report.health,
            unsampled: report.unsampled,
            generation: None,
            progress: progress.and_then(|progress| progress.completion),
            now: report.now,
        };
        let standing = self.statuses.database(database)?;
        let next = managed_database_status(&pass, standing.as_ref());
        // What was done is told when it is done (`acted`), not when it is no longer decided.
        let mut events = report::events(&pass, None, standing.as_ref(), &next);
        let acts = matches!(report.decision, Decision::Act { .. });
        match report.failure {
            // A step that fails again for the same reason is no news.
            Some(failure) if shown.failure.as_deref() == Some(failure) => events.clear(),
            Some(failure) => shown.failure = Some(failure.to_owned()),
            None if acts => {}
            None => shown.failure = None,
        }
        let write = match report::change(standing.as_ref(), &next) {
            Change::None => false,
            Change::Sessions => shown.written_at.is_none_or(|at| {
                report.now.duration_since(at).unsigned_abs() >= SESSIONS_WRITTEN_EVERY
            }),
            Change::Yes => true,
        };
        if write {
            self.statuses.write_database(database, &next)?;
            shown.written_at = Some(report.now);
        }
        Ok(events)
    }
}

#[async_trait]
impl Platform for LocalPlatform {
    fn cluster(&self) -> String {
        self.state.cluster().to_owned()
    }

    async fn subject(
        &self,
        database: &ObjectRef,
        _: Read,
    ) -> Result<Option<Subject>, PlatformError> {
        let requests = requests::read(self.state.root(), database)?;
        let last_run = self.last_run(database)?;
        subject::subject(&self.manifests(), &requests, last_run, database)
    }

    async fn target(
        &self,
        spec: &DatabaseSpec,
        role: ServerRole,
        _: Read,
    ) -> Result<Target, PlatformError> {
        let at = spec
            .dsn_of(role)
            .ok_or_else(|| PlatformError::no_server(&spec.id, role))?;
        let held = self.named(spec, &role.to_string(), &at.secret, &at.keys)?;
        let dsn = parts::dsn(&at.keys, |key| {
            connection_value(&spec.id, &at.field(role), &at.secret, held.data(), key)
        })?;
        let ca = spec.ca_secret.as_ref().map(|secret| {
            let (field, keys) = ("tls.caSecret", DsnKeys::Whole(CA_KEY.to_owned()));
            let held = self.named(spec, field, secret, &keys)?;
            connection_value(&spec.id, field, secret, held.data(), CA_KEY)
        });
        let ca = ca.transpose()?;
        Ok(Target {
            dsn,
            tls: spec.tls,
            ca_certificate: ca.map(|ca| ca.expose_secret().to_owned()),
        })
    }

    async fn jobs(&self, database: &ObjectRef, _: Read) -> Result<Vec<JobFacts>, PlatformError> {
        self.jobs.list(database)
    }

    async fn secrets(
        &self,
        database: &ObjectRef,
        names: &BTreeMap<MigrationName, SecretName>,
        _: Read,
    ) -> Result<BTreeMap<MigrationName, SecretSeen>, PlatformError> {
        Ok(self.secrets.list(database, names)?)
    }

    async fn workloads(
        &self,
        _database: &ObjectRef,
        _secrets: &BTreeSet<SecretName>,
        _: Read,
    ) -> Fact<Workloads> {
        // A directory has none: who uses a credential shows by its sessions alone.
        Fact::Known(Workloads::default())
    }

    async fn config_map_value(
        &self,
        namespace: &str,
        at: &ConfigMapKey,
    ) -> Result<String, PlatformError> {
        self.manifests().config_map_value(namespace, at)
    }

    async fn slots(&self, database: &ObjectRef, _: Option<&str>) -> Slots {
        // Without a limit, that others cannot be counted takes nothing away.
        Slots {
            taken: self.jobs.live_beside(database).unwrap_or_default(),
            limit: None,
        }
    }

    async fn write_secret(
        &self,
        secret: &AppSecret,
        at: Option<&Revision>,
    ) -> Result<(), PlatformError> {
        self.writable()?;
        self.secrets.write(secret, at)
    }

    async fn delete_secret(
        &self,
        database: &ObjectRef,
        name: &SecretName,
        at: &Revision,
    ) -> Result<(), PlatformError> {
        self.writable()?;
        self.secrets.delete(database, name, at)
    }

    async fn create_job(&self, job: &JobSpec) -> Result<(), PlatformError> {
        self.writable()?;
        let mut job = job.clone();
        if let Some(address) = &self.push_address {
            job.environment
                .entry(PUSH_ADDRESS.to_owned())
                .or_insert_with(|| address.clone());
        }
        self.jobs.create(&job, self.clock.now())
    }

    async fn write_job_secret(
        &self,
        database: &ObjectRef,
        job: &JobName,
        environment: &BTreeMap<String, SecretString>,
    ) -> Result<(), PlatformError> {
        self.writable()?;
        self.jobs
            .write_secret(database.namespace(), job, environment)
    }

    async fn release_job(&self, database: &ObjectRef, job: &JobName) -> Result<(), PlatformError> {
        self.writable()?;
        self.jobs
            .release(database.namespace(), job, &self.manifests())
            .await
    }

    async fn delete_job(&self, database: &ObjectRef, job: &JobName) -> Result<(), PlatformError> {
        self.writable()?;
        self.jobs.delete(database.namespace(), job).await
    }

    async fn finish_job(&self, database: &ObjectRef, job: &JobName) -> Result<(), PlatformError> {
        self.writable()?;
        self.jobs.finish(database, job)
    }

    async fn record_run(&self, database: &ObjectRef, run: &RunRecord) -> Result<(), PlatformError> {
        self.writable()?;
        let _one_at_a_time = self.shown();
        let record = LastRun::from(run);
        self.jobs.keep_record(database, &run.job, &record)?;
        let mut status = self.statuses.database(database)?.unwrap_or_default();
        status.last_run = Some(record);
        self.statuses.write_database(database, &status)
    }

    async fn let_go(&self, _database: &ObjectRef) -> Result<(), PlatformError> {
        // A manifest that is taken away is gone at once; nothing holds it.
        Ok(())
    }

    async fn publish(
        &self,
        database: &ObjectRef,
        report: &Report<'_>,
    ) -> Result<(), PlatformError> {
        self.writable()?;
        let events = {
            let mut all = self.shown();
            self.show(database, report, all.entry(database.clone()).or_default())?
        };
        for event in events {
            self.tell(database, &event);
        }
        self.observer.published(database, report);
        self.publish_migrations(report)
    }

    async fn acted(&self, database: &ObjectRef, action: &Action, because: &Because) {
        if let Some(event) = action_event(action, because) {
            self.tell(database, &event);
        }
    }
}
