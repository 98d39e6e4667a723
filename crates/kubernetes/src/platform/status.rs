//! The status of both kinds, by server-side apply at the revision that was looked at: written only where it
//! differs from what stands there.

use std::sync::Arc;

use dbop_api::marks::{FIELD_MANAGER, FINALIZER};
use dbop_api::report::{self, Change, Event, SESSIONS_WRITTEN_EVERY, managed_database_status};
use dbop_api::status::LastRun;
use dbop_api::{
    API_VERSION, DATABASE_MIGRATION, DatabaseMigration, DatabaseMigrationStatus, MANAGED_DATABASE,
    ManagedDatabase, ManagedDatabaseStatus, Refusals,
};
use dbop_engine::{PlatformError, Read, Report};
use dbop_model::{ObjectRef, RunRecord};
use dbop_plan::Decision;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::Serialize;
use serde_json::json;

use super::KubernetesPlatform;
use super::subject::object_name;
use crate::cache::seen::{DatabaseSeen, MigrationSeen};
use crate::cache::table::revision;
use crate::call;

impl KubernetesPlatform {
    fn databases_of(&self, namespace: &str) -> Api<ManagedDatabase> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The status after a pass, and what people are to be told.
    pub(super) async fn show(
        &self,
        id: &ObjectRef,
        report: &Report<'_>,
    ) -> Result<Vec<Event>, PlatformError> {
        let Some(seen) = self.database(id, Read::Cached).await? else {
            return Ok(Vec::new());
        };
        let live = report.facts.jobs.known();
        let live = live.and_then(|jobs| jobs.iter().find(|job| job.is_live()));
        let gateway = report.desired.database.runs.pushgateway.as_deref();
        let pass = report::Pass {
            desired: report.desired,
            facts: report.facts,
            decision: report.decision,
            failure: report.failure,
            health: report.health,
            unsampled: report.unsampled,
            generation: seen.generation,
            progress: live.and_then(|job| self.progress.completion(&job.name, gateway)),
            now: report.now,
        };
        let standing = seen.status();
        let standing = standing.as_ref();
        let next = managed_database_status(&pass, standing);
        // What was done is told when it is done (`acted`), not when it is no longer decided.
        let mut events = report::events(&pass, None, standing, &next);
        let write = {
            let mut all = self.shown();
            let shown = all.entry(id.clone()).or_default();
            match report.failure {
                // A step that fails again for the same reason is no news.
                Some(failure) if shown.failure.as_deref() == Some(failure) => events.clear(),
                Some(failure) => shown.failure = Some(failure.into()),
                None if matches!(report.decision, Decision::Act { .. }) => {}
                None => shown.failure = None,
            }
            let write = match report::change(standing, &next) {
                Change::None => false,
                Change::Sessions => shown.written_at.is_none_or(|at| {
                    report.now.duration_since(at).unsigned_abs() >= SESSIONS_WRITTEN_EVERY
                }),
                Change::Yes => true,
            };
            if write {
                shown.written_at = Some(report.now);
            }
            write
        };
        if write {
            self.write_status(id, &seen, &next).await?;
        }
        Ok(events)
    }

    /// Shows that an object's spec, or a migration that it needs, is refused.
    pub(crate) async fn show_refusals(
        &self,
        id: &ObjectRef,
        refusals: &Refusals,
        now: jiff::Timestamp,
    ) -> Result<(), PlatformError> {
        let Some(seen) = self.database(id, Read::Cached).await? else {
            return Ok(());
        };
        let standing = seen.status();
        let next = report::refused_status(refusals, seen.generation, now, standing.as_ref());
        if standing.as_ref() == Some(&next) {
            return Ok(());
        }
        self.write_status(id, &seen, &next).await
    }

    async fn write_status(
        &self,
        id: &ObjectRef,
        seen: &DatabaseSeen,
        status: &ManagedDatabaseStatus,
    ) -> Result<(), PlatformError> {
        let api = self.databases_of(id.namespace());
        let body = applied(MANAGED_DATABASE, id.name(), &seen.resource_version, status);
        let ours = PatchParams::apply(FIELD_MANAGER).force();
        let patched = call::write(api.patch_status(id.name(), &ours, &Patch::Apply(&body))).await;
        let object =
            patched.map_err(|error| error.of("writing the status of", &object_name(id)))?;
        let _ = self.take_in(id, &object);
        Ok(())
    }

    /// Writes `status.lastRun`, on the object as it is now.
    pub(super) async fn write_record(
        &self,
        id: &ObjectRef,
        run: &RunRecord,
    ) -> Result<(), PlatformError> {
        let seen = self.database(id, Read::Live).await?;
        let seen = seen
            .ok_or_else(|| PlatformError::Missing(format!("{} does not exist", object_name(id))))?;
        let mut status = seen.status().unwrap_or_default();
        status.last_run = Some(LastRun::from(run));
        self.write_status(id, &seen, &status).await
    }

    /// Puts our finalizer on the object, or takes it off.
    pub(super) async fn set_finalizer(
        &self,
        id: &ObjectRef,
        wanted: bool,
    ) -> Result<(), PlatformError> {
        let api = self.databases_of(id.namespace());
        let found = call::find(api.get(id.name())).await;
        let found = found.map_err(|error| error.of("reading", &object_name(id)))?;
        let Some(object) = found else {
            // What is gone holds nothing and needs no hold: the next look finds it gone.
            return Ok(());
        };
        let mut finalizers = object.metadata.finalizers.clone().unwrap_or_default();
        let before = finalizers.len();
        finalizers.retain(|one| one != FINALIZER);
        if wanted {
            finalizers.push(FINALIZER.to_owned());
        }
        if finalizers.len() == before {
            return Ok(());
        }
        let body = json!({ "metadata": {
            "resourceVersion": object.metadata.resource_version,
            "uid": object.metadata.uid,
            "finalizers": finalizers,
        }});
        let ours = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match call::write(api.patch(id.name(), &ours, &Patch::Merge(&body))).await {
            Ok(object) if wanted => {
                let _ = self.take_in(id, &object);
                Ok(())
            }
            Ok(_) | Err(call::CallError::NotFound) if !wanted => Ok(()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.of("writing the finalizers of", &object_name(id))),
        }
    }

    /// Writes the status of a migration, where it is not what it was.
    pub(crate) async fn show_migration(
        &self,
        id: &ObjectRef,
        seen: &MigrationSeen,
        status: &DatabaseMigrationStatus,
    ) -> Result<(), PlatformError> {
        if seen.status.as_deref() == Some(status) {
            return Ok(());
        }
        let api: Api<DatabaseMigration> = Api::namespaced(self.client.clone(), id.namespace());
        let body = applied(
            DATABASE_MIGRATION,
            id.name(),
            &seen.resource_version,
            status,
        );
        let ours = PatchParams::apply(FIELD_MANAGER).force();
        let patched = call::write(api.patch_status(id.name(), &ours, &Patch::Apply(&body))).await;
        let what = format!("{DATABASE_MIGRATION} {id}");
        let object = patched.map_err(|error| error.of("writing the status of", &what))?;
        if let Some(caches) = &self.caches {
            let at = revision(object.metadata.resource_version.as_deref());
            let _ = caches.migrations.put(
                id.namespace(),
                id.name(),
                at,
                Some(MigrationSeen {
                    status: object.status.clone().map(Arc::new),
                    resource_version: object.metadata.resource_version.unwrap_or_default(),
                    migration: seen.migration.clone(),
                }),
            );
        }
        Ok(())
    }
}

/// The body of an apply to a status: nothing but the status is in it, so nothing else becomes ours.
fn applied(
    kind: &str,
    name: &str,
    resource_version: &str,
    status: &impl Serialize,
) -> serde_json::Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": { "name": name, "resourceVersion": resource_version },
        "status": status,
    })
}
