//! The fake platform: objects, Secrets and Jobs of a [`World`], with the failures that the test asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};

use async_trait::async_trait;
use dbop_credentials::names;
use dbop_database::Target;
use dbop_engine::{
    AppSecret, ConfigMapLacks, JobSpec, Platform, PlatformError, Read, Report, Revision,
    SecretSeen, Subject, Workloads,
};
use dbop_model::{
    ClaimId, ConfigMapKey, DatabaseSpec, Fact, JobFacts, JobName, JobPhase, MigrationName,
    ObjectRef, RunRecord, SecretName, ServerRole,
};
use dbop_plan::{Reference, Slots};
use secrecy::{ExposeSecret, SecretString};

use super::pace::Pace;
use super::world::{Job, Stored, World, plain};
use super::{Shared, invariants};
use crate::fake_database::WriteFate;

/// The platform of a simulated world.
pub struct SimPlatform {
    world: Shared,
    pace: Option<Arc<Pace>>,
}

impl SimPlatform {
    /// The platform of this world.
    pub fn new(world: &Shared) -> Self {
        Self {
            world: world.clone(),
            pace: None,
        }
    }

    /// The same, where calls take time, in which others act.
    pub fn at_pace(world: &Shared, pace: &Arc<Pace>) -> Self {
        Self {
            world: world.clone(),
            pace: Some(pace.clone()),
        }
    }

    /// The call takes its time. `open`: nothing follows from what was seen before it, so that people may act.
    async fn pause(&self, open: bool) {
        if let Some(pace) = &self.pace {
            pace.call(open).await;
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every look is a chance to see an invariant broken by what came before it.
    fn look(&self) -> MutexGuard<'_, World> {
        let mut world = self.world();
        invariants::check(&mut world);
        world
    }

    /// Does a write, or lets it meet its fate.
    async fn write(
        &self,
        name: &str,
        change: impl FnOnce(&mut World) -> Result<(), PlatformError>,
    ) -> Result<(), PlatformError> {
        self.pause(false).await;
        self.write_now(name, change)
    }

    fn write_now(
        &self,
        name: &str,
        change: impl FnOnce(&mut World) -> Result<(), PlatformError>,
    ) -> Result<(), PlatformError> {
        let mut world = self.world();
        let lost = || PlatformError::Failed {
            operation: name.to_owned(),
            reason: "the connection was lost".to_owned(),
        };
        let done = match world.write(name) {
            WriteFate::Apply => {
                let done = change(&mut world);
                if done.is_ok() {
                    world.show_own_write();
                }
                done
            }
            WriteFate::FailBefore if std::mem::take(&mut world.conflict) => {
                Err(PlatformError::Conflict {
                    what: name.to_owned(),
                })
            }
            WriteFate::FailBefore => Err(lost()),
            WriteFate::FailAfter => change(&mut world).and_then(|()| Err(lost())),
        };
        invariants::check(&mut world);
        done
    }
}

#[async_trait]
impl Platform for SimPlatform {
    fn cluster(&self) -> String {
        self.world().cluster.clone()
    }

    async fn subject(&self, _: &ObjectRef, read: Read) -> Result<Option<Subject>, PlatformError> {
        self.pause(true).await;
        let mut world = self.look();
        if read == Read::Cached {
            world.show();
        }
        if world.let_go {
            return Ok(None);
        }
        let (desired, object) = match world.late(read) {
            Some(shown) => (&shown.desired, &shown.object),
            None => (&world.desired, &world.object),
        };
        Ok(Some(Subject {
            desired: desired.clone(),
            object: object.clone(),
            held: true,
        }))
    }

    async fn target(
        &self,
        spec: &DatabaseSpec,
        role: ServerRole,
        _: Read,
    ) -> Result<Target, PlatformError> {
        let db = &self.world().db;
        match role {
            ServerRole::Primary => Ok(db.target()),
            // Its Secret bears the name of its host.
            ServerRole::Replica(_) => {
                let at = spec.dsn_of(role);
                let at = at.ok_or_else(|| PlatformError::no_server(&spec.id, role))?;
                Ok(db.replica_target(at.secret.name()))
            }
        }
    }

    async fn jobs(&self, _: &ObjectRef, read: Read) -> Result<Vec<JobFacts>, PlatformError> {
        let world = self.look();
        let jobs = world.late(read).map_or(&world.jobs, |shown| &shown.jobs);
        Ok(jobs
            .iter()
            .map(|(name, job)| job_facts(name, job))
            .collect())
    }

    async fn secrets(
        &self,
        _: &ObjectRef,
        names: &BTreeMap<MigrationName, SecretName>,
        read: Read,
    ) -> Result<BTreeMap<MigrationName, SecretSeen>, PlatformError> {
        self.pause(false).await;
        let world = self.look();
        let secrets = world.late(read);
        let secrets = secrets.map_or(&world.secrets, |shown| &shown.secrets);
        let ours = secrets
            .iter()
            .filter_map(|(name, stored)| Some((stored.migration.clone()?, (name, stored))));
        let named = names
            .iter()
            .filter_map(|(migration, name)| Some((migration.clone(), (name, secrets.get(name)?))));
        Ok(ours
            .chain(named)
            .map(|(migration, (name, stored))| (migration, seen(name, stored)))
            .collect())
    }

    async fn workloads(
        &self,
        database: &ObjectRef,
        secrets: &BTreeSet<SecretName>,
        _: Read,
    ) -> Fact<Workloads> {
        self.pause(false).await;
        let world = self.look();
        let mut references: BTreeMap<SecretName, Vec<Reference>> = BTreeMap::new();
        for application in world.applications.iter().filter(|_| !world.blind) {
            let secret = application.refers_to();
            if let Some(secret) = secret.map(|migration| names::secret(database, &migration))
                && secrets.contains(&secret)
            {
                references.entry(secret).or_default().push(Reference {
                    kind: "Deployment".to_owned(),
                    name: application.name.clone(),
                    how: "container app, env DATABASE_URL".to_owned(),
                    made_at: None,
                });
            }
        }
        Fact::Known(Workloads {
            references,
            declared: world.declared.clone(),
        })
    }

    async fn config_map_value(
        &self,
        namespace: &str,
        at: &ConfigMapKey,
    ) -> Result<String, PlatformError> {
        let value = self.look().config_maps.get(&at.name).cloned();
        let lacks = ConfigMapLacks::Map;
        value.ok_or_else(|| PlatformError::no_config_map_value(namespace, at, lacks))
    }

    async fn slots(&self, _: &ObjectRef, _: Option<&str>) -> Slots {
        self.world().slots
    }

    async fn write_secret(
        &self,
        secret: &AppSecret,
        at: Option<&Revision>,
    ) -> Result<(), PlatformError> {
        self.write(&format!("write Secret {}", secret.name), |world| {
            let what = format!("Secret {}", secret.name);
            let held = world.secrets.get(&secret.name);
            let revision = match (held, at) {
                (Some(held), _) if !held.ours => return Err(PlatformError::Foreign { what }),
                (None, Some(_)) => 1,
                (None, None) => 1,
                (Some(held), Some(at)) if at.0 == held.revision.to_string() => held.revision + 1,
                (Some(_), _) => return Err(PlatformError::Conflict { what }),
            };
            let before = held.map(|held| secret_data(&held.data)).unwrap_or_default();
            let kind = held.map_or(&secret.kind, |held| &held.kind);
            let stored = Stored {
                ours: true,
                revision,
                migration: Some(secret.migration.clone()),
                kind: kind.clone(),
                data: plain(&secret.over(&before)),
                dress: secret.dress.clone(),
                claim: ClaimId::new(&secret.claim).ok(),
                issued_at: secret.issued_at.or(held.and_then(|held| held.issued_at)),
            };
            invariants::published(world, &secret.name, &secret.migration, &stored);
            world.secrets.insert(secret.name.clone(), stored);
            Ok(())
        })
        .await
    }

    async fn delete_secret(
        &self,
        _: &ObjectRef,
        name: &SecretName,
        at: &Revision,
    ) -> Result<(), PlatformError> {
        self.write(&format!("delete Secret {name}"), |world| {
            match world.secrets.get(name) {
                None => Ok(()),
                Some(held) if held.ours && held.revision.to_string() == at.0 => {
                    let taken = held.data.clone();
                    world.ledger.taken.insert(name.clone(), taken);
                    world.secrets.remove(name);
                    Ok(())
                }
                Some(_) => Err(PlatformError::Conflict {
                    what: format!("Secret {name}"),
                }),
            }
        })
        .await
    }

    async fn create_job(&self, job: &JobSpec) -> Result<(), PlatformError> {
        self.write(&format!("create Job {}", job.run.job), |world| {
            let created_at = world.now;
            world
                .jobs
                .entry(job.run.job.clone())
                .or_insert_with(|| Job {
                    from: job.run.from.clone(),
                    to: job.run.to.clone(),
                    digest: job.run.digest.clone(),
                    created_at,
                    environment: BTreeMap::new(),
                    login: None,
                    released_at: None,
                    session: None,
                    end: None,
                    finalizer: true,
                });
            Ok(())
        })
        .await
    }

    async fn write_job_secret(
        &self,
        _: &ObjectRef,
        job: &JobName,
        environment: &BTreeMap<String, SecretString>,
    ) -> Result<(), PlatformError> {
        self.write(&format!("write Secret of Job {job}"), |world| {
            let value = |key: &str| {
                environment
                    .get(key)
                    .map(|v| v.expose_secret().to_owned())
                    .unwrap_or_default()
            };
            if let Some(job) = world.jobs.get_mut(job) {
                job.environment = plain(environment);
                job.login = Some((value("DBA_OP_USERNAME"), value("DBA_OP_PASSWORD")));
            }
            Ok(())
        })
        .await
    }

    async fn release_job(&self, _: &ObjectRef, job: &JobName) -> Result<(), PlatformError> {
        self.write(&format!("release Job {job}"), |world| {
            let now = world.now;
            match world.jobs.get_mut(job) {
                Some(found) if found.released_at.is_none() => {
                    found.released_at = Some(now);
                    let found = found.clone();
                    invariants::released(world, job, &found);
                    Ok(())
                }
                Some(_) => Ok(()),
                None => Err(PlatformError::Missing(format!("Job {job} does not exist"))),
            }
        })
        .await
    }

    async fn delete_job(&self, _: &ObjectRef, job: &JobName) -> Result<(), PlatformError> {
        self.write(&format!("delete Job {job}"), |world| {
            if world
                .jobs
                .get(job)
                .is_some_and(|job| job.released_at.is_some() && job.end.is_none())
            {
                world
                    .violations
                    .push(format!("Job {job} was deleted while it may run"));
            }
            world.jobs.remove(job);
            Ok(())
        })
        .await
    }

    async fn finish_job(&self, _: &ObjectRef, job: &JobName) -> Result<(), PlatformError> {
        self.write(&format!("let Job {job} go"), |world| {
            if let Some(job) = world.jobs.get_mut(job) {
                job.finalizer = false;
            }
            Ok(())
        })
        .await
    }

    async fn record_run(&self, _: &ObjectRef, run: &RunRecord) -> Result<(), PlatformError> {
        let line = format!("record the run of {}: {:?}", run.migration, run.outcome);
        self.write(&line, |world| {
            world.object.last_run = Some(run.clone());
            Ok(())
        })
        .await
    }

    async fn let_go(&self, _: &ObjectRef) -> Result<(), PlatformError> {
        self.write("remove the finalizers", |world| {
            world.let_go = true;
            for job in world.jobs.values_mut() {
                job.finalizer = false;
            }
            Ok(())
        })
        .await
    }

    async fn publish(&self, _: &ObjectRef, report: &Report<'_>) -> Result<(), PlatformError> {
        let mut world = self.look();
        let line = match report.failure {
            Some(failure) => format!("{}; failed: {failure}", report.decision),
            None => report.decision.to_string(),
        };
        if !world.dead && world.story.back().is_none_or(|last| !last.ends_with(&line)) {
            world.tell(line);
        }
        Ok(())
    }

    async fn unsampled(&self, _: &ObjectRef, problem: &str) {
        self.world().tell(format!("no sample: {problem}"));
    }
}

fn job_facts(name: &JobName, job: &Job) -> JobFacts {
    let phase = match (job.released_at, job.end) {
        (None, _) => JobPhase::Suspended,
        (Some(_), None) => JobPhase::Running,
        (Some(_), Some((succeeded, finished_at))) => JobPhase::Finished {
            succeeded,
            exit_code: Some(if succeeded { 0 } else { 1 }),
            finished_at,
            message: String::new(),
        },
    };
    JobFacts {
        name: name.clone(),
        from: job.from.clone(),
        to: job.to.clone(),
        digest: job.digest.clone(),
        created_at: job.created_at,
        phase,
        finalizer: job.finalizer,
    }
}

fn seen(name: &SecretName, stored: &Stored) -> SecretSeen {
    let data = match stored.ours {
        true => secret_data(&stored.data),
        false => BTreeMap::new(),
    };
    SecretSeen {
        name: name.clone(),
        ours: stored.ours,
        revision: Revision(stored.revision.to_string()),
        kind: stored.kind.clone(),
        data,
        dress: stored.dress.clone(),
        claim: stored.claim.clone(),
        issued_at: stored.issued_at,
        created_at: None,
    }
}

fn secret_data(data: &BTreeMap<String, String>) -> BTreeMap<String, SecretString> {
    data.iter()
        .map(|(key, value)| (key.clone(), value.clone().into()))
        .collect()
}
