//! A run, started and recorded.
//!
//! Started: Job suspended, migrator's password, Job's Secret, door open, release; before each write `decide`
//! must still say so. Recorded: door closed, grants reapplied (to what the run made), outcome in the status,
//! finalizer off.

use std::collections::BTreeMap;

use dbop_credentials::names;
use dbop_model::{ClaimId, MigrationName, RunRecord};
use dbop_plan::{Desired, Run};

use super::credential::generated;
use super::{Done, Step};
use crate::error::StepError;
use crate::platform::JobSpec;

pub(super) async fn start(step: &mut Step<'_>, run: &Run) -> Result<Done, StepError> {
    let platform = step.engine.platform.clone();
    // Where that wrote nothing, the look under the lock was a moment ago.
    let was_prepared = step.seen.is_prepared();
    let scope = step.prepared().await?;
    if !was_prepared && !still_under(step, &scope.claim).await? {
        return Ok(Done::Not);
    }
    let environment = environment(&step.seen.desired, run);
    platform
        .create_job(&JobSpec {
            database: step.database.clone(),
            run: run.clone(),
            server: step.place()?.server(),
            environment,
        })
        .await?;
    if !still_under(step, &scope.claim).await? {
        return Ok(Done::Not);
    }
    let place = step.place()?;
    let password = generated(step.engine.entropy.as_ref());
    // A claim that was taken over keeps the names that it came with.
    let seen = step.seen.facts.database.known();
    let migrator = seen.and_then(|seen| seen.migrator.as_ref()).map_or_else(
        || names::migrator(place.endpoint.engine, step.database, &scope.claim),
        |migrator| migrator.name.clone(),
    );
    let secrets = place.binding(&migrator, &password).variables();
    platform
        .write_job_secret(step.database, &run.job, &secrets)
        .await?;
    if !still_under(step, &scope.claim).await? {
        return Ok(Done::Not);
    }
    step.admin()?.open_migrator(&scope, &password).await?;
    if !still_under(step, &scope.claim).await? {
        // The next pass finds the door open without a run and closes it.
        return Ok(Done::Not);
    }
    platform.release_job(step.database, &run.job).await?;
    Ok(Done::Whole)
}

/// Looks again: is the run still the one to start, and the database still under the claim that it began with?
/// A database that moved to another server in between has another claim, and another migrator.
async fn still_under(step: &mut Step<'_>, claim: &ClaimId) -> Result<bool, StepError> {
    Ok(step.still().await? && step.scope()?.claim == *claim)
}

pub(super) async fn record(
    step: &Step<'_>,
    record: &RunRecord,
    with_database: bool,
) -> Result<(), StepError> {
    if with_database {
        let (admin, scope) = (step.admin()?, step.scope()?);
        admin.close_migrator(&scope).await?;
        admin.prepare(&scope).await?;
    }
    let platform = &step.engine.platform;
    platform.record_run(step.database, record).await?;
    Ok(platform.finish_job(step.database, &record.job).await?)
}

/// The container's environment that is no secret.
fn environment(desired: &Desired, run: &Run) -> BTreeMap<String, String> {
    let version = |name: &MigrationName| {
        desired
            .chain
            .get(name)
            .map_or_else(|| name.to_string(), |m| m.version.to_string())
    };
    let mut environment = BTreeMap::from([
        ("DBA_OP_JOB_ID".to_owned(), run.job.to_string()),
        (
            "DBA_OP_LABEL_DATABASE".to_owned(),
            desired.database.id.name().to_owned(),
        ),
        (
            "DBA_OP_LABEL_NAMESPACE".to_owned(),
            desired.database.id.namespace().to_owned(),
        ),
        ("DBA_OP_LABEL_MIGRATION".to_owned(), run.to.to_string()),
        ("DBA_OP_TARGET_VERSION".to_owned(), version(&run.to)),
    ]);
    if let Some(from) = &run.from {
        environment.insert("DBA_OP_PREVIOUS_VERSION".to_owned(), version(from));
    }
    let runs = &desired.database.runs;
    if let Some(timeout) = runs.lock_timeout {
        environment.insert(
            "DBA_OP_LOCK_TIMEOUT".to_owned(),
            format!("{}ms", timeout.as_millis()),
        );
    }
    if let Some(gateway) = &runs.pushgateway {
        environment.insert(
            "DBA_OP_PROMETHEUS_PUSH_GATEWAY_ADDR".to_owned(),
            gateway.clone(),
        );
    }
    environment
}
