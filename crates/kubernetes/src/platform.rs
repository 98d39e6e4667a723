//! The platform: a cluster behind the engine's port.
//!
//! Cached reads come from the watches, live ones from the API server. What a write gives back goes into the cache at
//! once, so that the next pass goes on from it. Without caches (the commands that only look) every read is live.

mod config_maps;
pub(crate) mod contents;
mod dress;
pub(crate) mod events;

mod jobs;
mod references;
mod secrets;
mod slots;
mod status;
mod subject;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dbop_api::report::{action_event, unsampled_event};
use dbop_database::Target;
use dbop_engine::{
    AppSecret, Clock, JobSpec, Platform, PlatformError, Read, Report, Revision, SecretSeen,
    Subject, Workloads,
};
use dbop_model::{
    ConfigMapKey, DatabaseSpec, Fact, JobFacts, JobName, MigrationName, ObjectRef, RunRecord,
    SecretName, ServerRole,
};
use dbop_plan::{Action, Because, DeletionStep, Slots};
use jiff::Timestamp;
use kube::Client;
use secrecy::SecretString;

use crate::cache::Caches;
use contents::Contents;
use events::Events;
use jobs::Logs;

/// So many objects are read one by one; more of them in one list, which waits until the API server's own cache has
/// caught up.
const READ_SINGLY_MAX: usize = 12;

/// What migrations say of their progress.
pub trait ProgressSource: Send + Sync {
    /// How far the run of this Job is by its own account, 0.0 to 1.0; `None`: it has not said. It pushes to the
    /// Pushgateway at `gateway`; `None`: to the operator's own receiver.
    fn completion(&self, job: &JobName, gateway: Option<&str>) -> Option<f64>;

    /// The Job's outcome is recorded: nothing more is asked of it, and what it pushed goes.
    fn forget(&self, _job: &JobName, _gateway: Option<&str>) {}
}

impl ProgressSource for () {
    fn completion(&self, _: &JobName, _: Option<&str>) -> Option<f64> {
        None
    }
}

/// What a cluster is worked with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// An id of the cluster that claims carry: the uid of its `kube-system` namespace, unless somebody gives
    /// another.
    pub cluster: String,
    /// This operator's own name, such as its Pod's: Events carry it.
    pub instance: String,
    /// How many migrations may run at once in all; `None`: any number.
    pub jobs_max: Option<usize>,
    /// How many may run at once on one server.
    pub jobs_per_server_max: Option<usize>,
    /// `host:port` that migrations push their metrics to, unless a database names a Pushgateway of its own.
    pub push_address: Option<String>,
}

/// A cluster as a platform.
pub struct KubernetesPlatform {
    pub(crate) client: Client,
    pub(crate) caches: Option<Arc<Caches>>,
    settings: Settings,
    progress: Arc<dyn ProgressSource>,
    contents: Contents,
    clock: Arc<dyn Clock>,
    events: Events,
    logs: Logs,
    /// What was shown of each database.
    shown: Mutex<BTreeMap<ObjectRef, Shown>>,
}

/// What was shown of a database.
#[derive(Default)]
struct Shown {
    written_at: Option<Timestamp>,
    /// The failure that people were told of last.
    failure: Option<Box<str>>,
}

impl KubernetesPlatform {
    /// A platform that works: with caches that the watches fill.
    pub fn new(
        client: Client,
        caches: Arc<Caches>,
        settings: Settings,
        progress: Arc<dyn ProgressSource>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::with(client, Some(caches), settings, progress, clock)
    }

    /// A platform that looks: each read asks the API server. Whether it can write is its client's affair
    /// ([`crate::gate::Gate::closed`]).
    pub fn looking(client: Client, settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self::with(client, None, settings, Arc::new(()), clock)
    }

    fn with(
        client: Client,
        caches: Option<Arc<Caches>>,
        settings: Settings,
        progress: Arc<dyn ProgressSource>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            events: Events::start(client.clone(), settings.instance.clone(), clock.clone()),
            clock,
            client,
            caches,
            settings,
            progress,
            contents: Contents::default(),
            logs: Logs::default(),
            shown: Mutex::default(),
        }
    }

    fn shown(&self) -> MutexGuard<'_, BTreeMap<ObjectRef, Shown>> {
        // What a panic may have left behind is at worst an Event told twice.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The uid of a database object, as it was seen last.
    fn uid(&self, id: &ObjectRef) -> Option<String> {
        let caches = self.caches.as_ref()?;
        let seen = caches.databases.get(id.namespace(), id.name())?;
        Some(seen.uid.clone())
    }

    /// A database is gone: nothing more is remembered of it.
    pub(crate) fn forget(&self, id: &ObjectRef) {
        self.shown().remove(id);
    }
}

#[async_trait]
impl Platform for KubernetesPlatform {
    fn cluster(&self) -> String {
        self.settings.cluster.clone()
    }

    async fn subject(
        &self,
        database: &ObjectRef,
        read: Read,
    ) -> Result<Option<Subject>, PlatformError> {
        self.find_subject(database, read).await
    }

    async fn target(
        &self,
        spec: &DatabaseSpec,
        role: ServerRole,
        read: Read,
    ) -> Result<Target, PlatformError> {
        self.find_target(spec, role, read).await
    }

    async fn jobs(&self, database: &ObjectRef, read: Read) -> Result<Vec<JobFacts>, PlatformError> {
        self.find_jobs(database, read).await
    }

    async fn is_foreign_job(&self, database: &ObjectRef, job: &JobName) -> bool {
        self.has_foreign_job(database, job)
    }

    async fn secrets(
        &self,
        database: &ObjectRef,
        names: &BTreeMap<MigrationName, SecretName>,
        read: Read,
    ) -> Result<BTreeMap<MigrationName, SecretSeen>, PlatformError> {
        self.find_secrets(database, names, read).await
    }

    async fn workloads(
        &self,
        database: &ObjectRef,
        secrets: &BTreeSet<SecretName>,
        read: Read,
    ) -> Fact<Workloads> {
        Fact::from(self.find_workloads(database, secrets, read).await)
    }

    async fn config_map_value(
        &self,
        namespace: &str,
        at: &ConfigMapKey,
    ) -> Result<String, PlatformError> {
        self.read_config_map_value(namespace, at).await
    }

    async fn slots(&self, database: &ObjectRef, server: Option<&str>) -> Slots {
        self.count_slots(database, server)
    }

    async fn hold(&self, database: &ObjectRef) -> Result<(), PlatformError> {
        self.set_finalizer(database, true).await
    }

    async fn write_secret(
        &self,
        secret: &AppSecret,
        at: Option<&Revision>,
    ) -> Result<(), PlatformError> {
        self.put_secret(secret, at).await
    }

    async fn delete_secret(
        &self,
        database: &ObjectRef,
        name: &SecretName,
        at: &Revision,
    ) -> Result<(), PlatformError> {
        self.remove_secret(database, name, at).await
    }

    async fn create_job(&self, job: &JobSpec) -> Result<(), PlatformError> {
        self.put_job(job).await
    }

    async fn write_job_secret(
        &self,
        database: &ObjectRef,
        job: &JobName,
        environment: &BTreeMap<String, SecretString>,
    ) -> Result<(), PlatformError> {
        self.put_job_secret(database, job, environment).await
    }

    async fn release_job(&self, database: &ObjectRef, job: &JobName) -> Result<(), PlatformError> {
        self.unsuspend(database, job).await
    }

    async fn delete_job(&self, database: &ObjectRef, job: &JobName) -> Result<(), PlatformError> {
        self.remove_job(database, job).await
    }

    async fn finish_job(&self, database: &ObjectRef, job: &JobName) -> Result<(), PlatformError> {
        self.let_job_go(database, job).await
    }

    async fn record_run(&self, database: &ObjectRef, run: &RunRecord) -> Result<(), PlatformError> {
        self.write_record(database, run).await?;
        self.note_outcome(database, run).await
    }

    async fn let_go(&self, database: &ObjectRef) -> Result<(), PlatformError> {
        let jobs = self.find_jobs(database, Read::Live).await?;
        for job in jobs.iter().filter(|job| job.finalizer) {
            self.let_job_go(database, &job.name).await?;
        }
        self.set_finalizer(database, false).await
    }

    async fn publish(
        &self,
        database: &ObjectRef,
        report: &Report<'_>,
    ) -> Result<(), PlatformError> {
        for event in self.show(database, report).await? {
            self.events.of_database(database, self.uid(database), event);
        }
        Ok(())
    }

    async fn acted(&self, database: &ObjectRef, action: &Action, because: &Because) {
        if let Action::Delete(DeletionStep::Finish { .. }) = action {
            self.forget(database);
        }
        if let Some(event) = action_event(action, because) {
            self.events.of_database(database, self.uid(database), event);
        }
    }

    async fn unsampled(&self, database: &ObjectRef, problem: &str) {
        let event = unsampled_event(problem);
        self.events.of_database(database, self.uid(database), event);
    }
}
