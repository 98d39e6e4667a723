//! Jobs: created suspended and never adopted, released, let go. What a Job is and what it says of itself is in
//! [`crate::job`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dbop_api::database::Migrations;
use dbop_api::marks::{
    DATABASE_LABEL, FIELD_MANAGER, FINALIZER, MANAGED_BY, MANAGED_BY_LABEL, OUTCOME_ANNOTATION,
};
use dbop_api::report::{Event, EventKind};
use dbop_api::{DATABASE_MIGRATION, DatabaseMigration};
use dbop_engine::{JobSpec, PlatformError, Read};
use dbop_model::{JobFacts, JobName, JobPhase, ObjectRef, Outcome, RunRecord};
use futures_util::future::join;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event as KubernetesEvent, Pod, Secret};
use kube::api::{
    DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, Preconditions,
    PropagationPolicy,
};
use kube::{Api, ResourceExt as _};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::KubernetesPlatform;
use super::slots::is_over;
use super::subject::object_name;
use crate::cache::seen::{MigrationSeen, has_finalizer, owner};
use crate::cache::table::revision;
use crate::cache::{JobEntry, PodEntry};
use crate::call::{self, CallError};
use crate::job::{self, PodSeen};
use crate::references::Prune as _;

/// Lines of a failed Pod's log that are looked at for what it said last.
const LOG_LINES: i64 = 20;
/// Events about one Job that are looked through for why it has no Pod.
const EVENTS_MAX: u32 = 50;
/// Bytes of it.
const LOG_BYTES_MAX: i64 = 16 * 1024;

/// What failed Pods said last, by the uid of their Job: read once, so that every look says the same.
#[derive(Default)]
pub(super) struct Logs {
    said: Mutex<BTreeMap<String, Option<Arc<str>>>>,
}

impl KubernetesPlatform {
    fn jobs_of(&self, namespace: &str) -> Api<Job> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(super) async fn find_jobs(
        &self,
        database: &ObjectRef,
        read: Read,
    ) -> Result<Vec<JobFacts>, PlatformError> {
        let (jobs, pods) = match (&self.caches, read) {
            (Some(_), Read::Cached) => self.cached_jobs(database),
            _ => self.listed_jobs(database).await?,
        };
        let mut all = Vec::new();
        for job in &jobs {
            let name = job.name_any();
            let of_job: Vec<PodSeen> = pods
                .iter()
                .filter(|pod| *pod.job == *name)
                .cloned()
                .collect();
            let facts = match job::facts(job, &of_job) {
                Ok(facts) => facts,
                // Its outcome was recorded long ago: what somebody does to it since is of no matter.
                Err(_) if !has_finalizer(&job.metadata) && is_over(job) => continue,
                Err(error) => return Err(error.into()),
            };
            all.push(self.with_words(facts, job, &of_job).await);
        }
        Ok(all)
    }

    fn cached_jobs(&self, database: &ObjectRef) -> (Vec<Arc<Job>>, Vec<PodSeen>) {
        let (mut jobs, mut pods) = (Vec::new(), Vec::new());
        if let Some(caches) = &self.caches {
            caches
                .jobs
                .each_of(database.namespace(), database.name(), |_, entry| {
                    if let JobEntry::Ours { database: of, job } = entry
                        && of == database
                    {
                        jobs.push(job.clone());
                    }
                });
            caches
                .pods
                .each_of(database.namespace(), database.name(), |_, entry| {
                    if let PodEntry::Run { database: of, pod } = entry
                        && of == database
                    {
                        pods.push(pod.clone());
                    }
                });
        }
        (jobs, pods)
    }

    async fn listed_jobs(
        &self,
        database: &ObjectRef,
    ) -> Result<(Vec<Arc<Job>>, Vec<PodSeen>), PlatformError> {
        let namespace = database.namespace();
        let ours = ListParams::default().labels(&format!(
            "{MANAGED_BY_LABEL}={MANAGED_BY},{DATABASE_LABEL}={}",
            database.name()
        ));
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let jobs = self.jobs_of(namespace);
        let (jobs, pods) = join(call::read(jobs.list(&ours)), call::read(pods.list(&ours))).await;
        let of = |what: &str| format!("the {what} of ManagedDatabase {database}");
        let jobs = jobs.map_err(|error| error.of("listing", &of("Jobs")))?;
        let pods = pods.map_err(|error| error.of("listing", &of("migrations' Pods")))?;
        for job in &jobs.items {
            self.take_in_job(job.clone());
        }
        Ok((
            jobs.items.into_iter().map(Arc::new).collect(),
            pods.items.iter().filter_map(PodSeen::from_pod).collect(),
        ))
    }

    fn take_in_job(&self, job: Job) {
        if let (Some(caches), Some(namespace)) = (&self.caches, job.namespace()) {
            let name = job.name_any();
            let at = revision(job.metadata.resource_version.as_deref());
            let _ = caches
                .jobs
                .put(&namespace, &name, at, Some(JobEntry::prune(job)));
        }
    }

    pub(super) fn has_foreign_job(&self, database: &ObjectRef, job: &JobName) -> bool {
        let caches = self.caches.as_ref();
        let entry = caches.and_then(|caches| caches.jobs.get(database.namespace(), job.as_str()));
        match entry {
            Some(JobEntry::Other(_)) => true,
            Some(JobEntry::Ours { database: of, .. }) => of != *database,
            None => false,
        }
    }

    /// The facts of a Job, with what only others know of it: what a failed Pod said last, and why there is no Pod.
    async fn with_words(&self, mut facts: JobFacts, job: &Job, pods: &[PodSeen]) -> JobFacts {
        match &mut facts.phase {
            JobPhase::Finished {
                succeeded: false, ..
            } if facts.finalizer => match self.last_words(job, pods).await {
                Some(said) => job::with_said(facts, &said),
                None => facts,
            },
            JobPhase::Pending { reason } if pods.is_empty() => {
                *reason = self.why_no_pod(job).await.or_else(|| reason.take());
                facts
            }
            _ => facts,
        }
    }

    /// What the Pod of a failed Job said last, redacted. What cannot be had is not asked for again.
    async fn last_words(&self, job: &Job, pods: &[PodSeen]) -> Option<Arc<str>> {
        let uid = job.uid()?;
        if let Some(said) = self.logs.get(&uid) {
            return said;
        }
        let namespace = job.namespace()?;
        let said = match job::failed_pod(job, pods) {
            Some(pod) => self.log_of(&namespace, pod, &job.name_any()).await,
            None => None,
        };
        self.logs.keep(uid, said.clone());
        said
    }

    /// What keeps a Job from having a Pod, by the Events about it.
    async fn why_no_pod(&self, job: &Job) -> Option<String> {
        let events: Api<KubernetesEvent> = Api::namespaced(self.client.clone(), &job.namespace()?);
        let about = ListParams::default()
            .fields(&format!("involvedObject.uid={}", job.uid()?))
            .limit(EVENTS_MAX);
        let events = call::read(events.list(&about)).await.ok()?;
        job::why_no_pod(&events.items)
    }

    async fn log_of(&self, namespace: &str, pod: &PodSeen, job: &str) -> Option<Arc<str>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        // The migration's own: others (a mesh's proxy) say nothing of it.
        let found = call::read(pods.get(&pod.name)).await.ok();
        let container = found.as_ref().and_then(job::main_container);
        let tail = LogParams {
            container: container.map(str::to_owned),
            tail_lines: Some(LOG_LINES),
            limit_bytes: Some(LOG_BYTES_MAX),
            ..LogParams::default()
        };
        let log = call::read(pods.logs(&pod.name, &tail)).await;
        let text = match log.ok().filter(|text| !text.trim().is_empty()) {
            Some(text) => text,
            // It never came to write any: that there is no such program, say.
            None => pod.said()?.to_owned(),
        };
        // Without the Job's Secret nobody knows what must not be shown.
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = call::read(secrets.get(job)).await.ok()?;
        job::log_message(&text, &job::secrets_in(&secret)).map(Arc::from)
    }

    /// The migration of a run and the settings of its database, read now: the Job was decided on what the watches
    /// told, and is not created for an object that is gone, or from a migration that has changed.
    async fn run_as_it_is(
        &self,
        spec: &JobSpec,
    ) -> Result<(DatabaseMigration, Migrations), PlatformError> {
        let (namespace, name) = (spec.database.namespace(), spec.run.to.as_str());
        let migrations: Api<DatabaseMigration> = Api::namespaced(self.client.clone(), namespace);
        let (migration, database) = join(
            call::read(migrations.get(name)),
            self.database(&spec.database, Read::Live),
        )
        .await;
        let what = format!("{DATABASE_MIGRATION} {namespace}/{name}");
        let migration = migration.map_err(|error| error.of("reading", &what))?;
        let changed = |what: String| Err(PlatformError::Conflict { what });
        let seen = MigrationSeen::new(&migration).migration;
        if !seen.is_ok_and(|migration| migration.digest == spec.run.digest) {
            return changed(what);
        }
        match database? {
            Some(seen) if seen.held && !seen.deleting => {
                Ok((migration, seen.runs.as_deref().cloned().unwrap_or_default()))
            }
            _ => changed(object_name(&spec.database)),
        }
    }

    pub(super) async fn put_job(&self, spec: &JobSpec) -> Result<(), PlatformError> {
        let database = &spec.database;
        let namespace = database.namespace();
        let (migration, settings) = self.run_as_it_is(spec).await?;
        let push_address = self.settings.push_address.as_deref();
        let job = job::build(spec, &migration, &settings, push_address);
        let api = self.jobs_of(namespace);
        let what = job_name(database, &spec.run.job);
        let created = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let there = match call::write(api.create(&created, &job)).await {
            Ok(created) => created,
            Err(CallError::Exists) => {
                let there = call::read(api.get(spec.run.job.as_str())).await;
                let there = there.map_err(|error| error.of("reading", &what))?;
                if job::is_same_run(&there, spec) {
                    there
                } else if job::identity(&there).as_ref() == Ok(&spec.run)
                    && owner(&there.metadata).as_ref() == Some(database)
                    && is_over(&there)
                    && !has_finalizer(&there.metadata)
                {
                    // It was recorded and let go, and the record is lost: the same step is taken again.
                    self.delete(&there, database, &spec.run.job).await?;
                    let created = call::write(api.create(&created, &job)).await;
                    created.map_err(|error| error.of("creating", &what))?
                } else {
                    self.take_in_job(there);
                    return Err(PlatformError::Foreign { what });
                }
            }
            Err(error) => return Err(error.of("creating", &what)),
        };
        self.take_in_job(there);
        Ok(())
    }

    /// The Job as it is now, if it is this database's.
    async fn job(&self, database: &ObjectRef, job: &JobName) -> Result<Option<Job>, PlatformError> {
        let found = call::find(self.jobs_of(database.namespace()).get(job.as_str())).await;
        let found = found.map_err(|error| error.of("reading", &job_name(database, job)))?;
        match found {
            Some(found) if owner(&found.metadata).as_ref() != Some(database) => {
                Err(PlatformError::Foreign {
                    what: job_name(database, job),
                })
            }
            found => Ok(found),
        }
    }

    pub(super) async fn put_job_secret(
        &self,
        database: &ObjectRef,
        name: &JobName,
        environment: &BTreeMap<String, SecretString>,
    ) -> Result<(), PlatformError> {
        let job = self.job(database, name).await?;
        let what = format!("Secret {}/{name}", database.namespace());
        let uid = job.and_then(|job| job.uid()).ok_or_else(|| {
            PlatformError::Missing(format!("{} does not exist", job_name(database, name)))
        })?;
        let wanted = job::own_secret(database, name, &uid, environment);
        let api: Api<Secret> = Api::namespaced(self.client.clone(), database.namespace());
        let created = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match call::write(api.create(&created, &wanted)).await {
            Ok(_) => return Ok(()),
            Err(CallError::Exists) => {}
            Err(error) => return Err(error.of("creating", &what)),
        }
        let there = call::read(api.get(name.as_str())).await;
        let there = there.map_err(|error| error.of("reading", &what))?;
        if !there
            .owner_references()
            .iter()
            .any(|owner| owner.uid == uid)
        {
            return Err(PlatformError::Foreign { what });
        }
        let mut wanted = wanted;
        wanted.metadata.resource_version = there.resource_version();
        let ours = PatchParams::apply(FIELD_MANAGER).force();
        let patched = call::write(api.patch(name.as_str(), &ours, &Patch::Apply(&wanted))).await;
        patched.map_err(|error| error.of("writing", &what))?;
        Ok(())
    }

    pub(super) async fn unsuspend(
        &self,
        database: &ObjectRef,
        name: &JobName,
    ) -> Result<(), PlatformError> {
        let job = self.job(database, name).await?.ok_or_else(|| {
            PlatformError::Missing(format!("{} does not exist", job_name(database, name)))
        })?;
        if job.spec.as_ref().and_then(|spec| spec.suspend) != Some(true) {
            return Ok(());
        }
        let release = job::release_patch(self.clock.now());
        self.patch_job(&job, database, name, release)
            .await
            .map(drop)
    }

    /// Changes a Job that still is what was looked at.
    async fn patch_job(
        &self,
        job: &Job,
        database: &ObjectRef,
        name: &JobName,
        mut change: Value,
    ) -> Result<Option<Job>, PlatformError> {
        change["metadata"]["resourceVersion"] = json!(job.metadata.resource_version);
        change["metadata"]["uid"] = json!(job.metadata.uid);
        let api = self.jobs_of(database.namespace());
        let ours = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match call::write(api.patch(name.as_str(), &ours, &Patch::Merge(&change))).await {
            Ok(job) => {
                self.take_in_job(job.clone());
                Ok(Some(job))
            }
            Err(CallError::NotFound) => Ok(None),
            Err(error) => Err(error.of("changing", &job_name(database, name))),
        }
    }

    pub(super) async fn remove_job(
        &self,
        database: &ObjectRef,
        name: &JobName,
    ) -> Result<(), PlatformError> {
        let Some(job) = self.job(database, name).await? else {
            return Ok(());
        };
        match self.without_finalizer(job, database, name).await? {
            Some(job) => self.delete(&job, database, name).await,
            None => Ok(()),
        }
    }

    /// Deletes a Job that still is what was looked at.
    async fn delete(
        &self,
        job: &Job,
        database: &ObjectRef,
        name: &JobName,
    ) -> Result<(), PlatformError> {
        let only_this = DeleteParams {
            preconditions: Some(Preconditions {
                uid: job.metadata.uid.clone(),
                resource_version: job.metadata.resource_version.clone(),
            }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let api = self.jobs_of(database.namespace());
        match call::write(api.delete(name.as_str(), &only_this)).await {
            Ok(_) | Err(CallError::NotFound) => {
                if let Some(caches) = &self.caches {
                    let _ = caches.jobs.take(database.namespace(), name.as_str());
                }
                Ok(())
            }
            Err(error) => Err(error.of("deleting", &job_name(database, name))),
        }
    }

    /// Takes our finalizer off; `None`: the Job is gone with it.
    async fn without_finalizer(
        &self,
        job: Job,
        database: &ObjectRef,
        name: &JobName,
    ) -> Result<Option<Job>, PlatformError> {
        if !has_finalizer(&job.metadata) {
            return Ok(Some(job));
        }
        let mut finalizers = job.metadata.finalizers.clone().unwrap_or_default();
        finalizers.retain(|one| one != FINALIZER);
        let change = json!({ "metadata": { "finalizers": finalizers } });
        let is_last = finalizers.is_empty() && job.metadata.deletion_timestamp.is_some();
        let after = self.patch_job(&job, database, name, change).await?;
        Ok(after.filter(|_| !is_last))
    }

    pub(super) async fn let_job_go(
        &self,
        database: &ObjectRef,
        name: &JobName,
    ) -> Result<(), PlatformError> {
        let seen = self.database(database, Read::Cached).await?;
        let gateway = seen.and_then(|seen| seen.runs.as_ref()?.pushgateway.clone());
        self.progress.forget(name, gateway.as_deref());
        let Some(job) = self.job(database, name).await? else {
            return Ok(());
        };
        let uid = job.uid().unwrap_or_default();
        self.remove_own_secret(database, name, &uid).await?;
        self.without_finalizer(job, database, name).await?;
        self.logs.forget(&uid);
        Ok(())
    }

    /// The Job's own Secret goes with the run: the door that it opens is closed.
    async fn remove_own_secret(
        &self,
        database: &ObjectRef,
        name: &JobName,
        job_uid: &str,
    ) -> Result<(), PlatformError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), database.namespace());
        let what = format!("Secret {}/{name}", database.namespace());
        let found = call::find(api.get_metadata(name.as_str())).await;
        let Some(secret) = found.map_err(|error| error.of("reading", &what))? else {
            return Ok(());
        };
        if !secret
            .owner_references()
            .iter()
            .any(|owner| owner.uid == job_uid)
        {
            return Ok(());
        }
        let only_this = DeleteParams {
            preconditions: Some(Preconditions {
                uid: secret.metadata.uid.clone(),
                resource_version: secret.metadata.resource_version.clone(),
            }),
            ..DeleteParams::default()
        };
        match call::write(api.delete(name.as_str(), &only_this)).await {
            Ok(_) | Err(CallError::NotFound) => Ok(()),
            Err(error) => Err(error.of("deleting", &what)),
        }
    }

    /// Says on the Job what happened: an annotation, and an Event.
    pub(super) async fn note_outcome(
        &self,
        database: &ObjectRef,
        run: &RunRecord,
    ) -> Result<(), PlatformError> {
        // A person's word about a run may come when its Job is long gone.
        let Some(job) = self.job(database, &run.job).await? else {
            return Ok(());
        };
        let (kind, reason, text) = outcome(run);
        if job.annotations().get(OUTCOME_ANNOTATION) == Some(&text) {
            return Ok(());
        }
        let change = json!({ "metadata": { "annotations": { OUTCOME_ANNOTATION: text } } });
        self.patch_job(&job, database, &run.job, change).await?;
        let event = Event {
            kind,
            reason,
            message: text,
            job: Some(run.job.clone()),
        };
        self.events.of_job(database, &run.job, job.uid(), event);
        Ok(())
    }
}

fn outcome(run: &RunRecord) -> (EventKind, &'static str, String) {
    let migration = &run.migration;
    let said = match run.message.is_empty() {
        true => String::new(),
        false => format!(": {}", run.message),
    };
    match run.outcome {
        Outcome::Completed => (
            EventKind::Normal,
            "MigrationSucceeded",
            format!("{migration} is done, and the database says so"),
        ),
        Outcome::Accepted => (
            EventKind::Normal,
            "MigrationSucceeded",
            format!("{migration} is taken as done, by a person's word"),
        ),
        Outcome::Failed => (
            EventKind::Warning,
            "MigrationFailed",
            format!("{migration} failed{said}"),
        ),
        Outcome::VersionNotReached => (
            EventKind::Warning,
            "MigrationFailed",
            format!(
                "{migration} ended well, but the database does not say that it is at its version{said}"
            ),
        ),
    }
}

impl Logs {
    fn get(&self, uid: &str) -> Option<Option<Arc<str>>> {
        self.lock().get(uid).cloned()
    }

    fn keep(&self, uid: String, said: Option<Arc<str>>) {
        self.lock().insert(uid, said);
    }

    fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Option<Arc<str>>>> {
        // Entries are put in whole.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn job_name(database: &ObjectRef, job: &JobName) -> String {
    format!("Job {}/{job}", database.namespace())
}
