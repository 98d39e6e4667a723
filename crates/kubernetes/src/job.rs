//! A migration run as a Job: what is made of it, and what is seen of it.
//!
//! Pure: values in, values out. Nothing is created, listed or read from a log here.
//!
//! A Job is created suspended, with the run's identity in its annotations and in those of its Pods, which
//! nobody can edit once it was released. The migrator's credential stands in a Secret of the same name that
//! belongs to the Job and goes with it.

mod build;
mod facts;
mod identity;
mod pod;
mod security;

use std::collections::BTreeMap;

use dbop_api::marks;
use dbop_credentials::{binding, said};
use dbop_model::{JobName, ObjectRef};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Event, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

pub use build::build;
pub use facts::{facts, failed_pod, with_said};
pub use identity::{JobError, database_of, identity, is_same_run, server_of};
pub use pod::{PodSeen, PodState, main_container};

/// Which part of the operator's work an object is for (Kubernetes documentation, "Recommended labels").
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// The value of [`COMPONENT_LABEL`] on Jobs, their Pods and their Secrets.
pub const COMPONENT: &str = "migration";
/// On a Job: the server, `host:port`, that it works on.
pub const SERVER_ANNOTATION: &str = "database-operator.dev/server";
/// On a Job: when it was let run. One that is suspended in spite of it was suspended by somebody else, and
/// may have run.
pub const RELEASED_ANNOTATION: &str = "database-operator.dev/released";

/// The merge patch that lets a suspended Job run.
pub fn release_patch(now: Timestamp) -> Value {
    json!({
        "metadata": {"annotations": {RELEASED_ANNOTATION: now.to_string()}},
        "spec": {"suspend": false},
    })
}

/// The Job's own Secret: the environment with the migrator's credential. It is not immutable: a step that is
/// begun anew has a new password.
pub fn own_secret(
    database: &ObjectRef,
    job: &JobName,
    uid: &str,
    environment: &BTreeMap<String, SecretString>,
) -> Secret {
    let data = environment
        .iter()
        .map(|(name, value)| {
            let value = value.expose_secret().as_bytes().to_vec();
            (name.clone(), ByteString(value))
        })
        .collect();
    Secret {
        metadata: ObjectMeta {
            name: Some(job.to_string()),
            namespace: Some(database.namespace().to_owned()),
            labels: Some(labels(database)),
            // Not the Job's controller, and nothing that a deletion of the Job waits for.
            owner_references: Some(vec![OwnerReference {
                api_version: "batch/v1".to_owned(),
                kind: "Job".to_owned(),
                name: job.to_string(),
                uid: uid.to_owned(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        data: Some(data),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// What of a Job's own Secret must not be shown.
pub fn secrets_in(secret: &Secret) -> Vec<SecretString> {
    secret
        .data
        .iter()
        .flatten()
        .filter(|(name, _)| !binding::MIGRATOR_VARIABLES_SHOWN.contains(&name.as_str()))
        .map(|(_, value)| String::from_utf8_lossy(&value.0).into_owned().into())
        .collect()
}

/// The line of a failed Pod's log that tells most, for the status; `None`: there is none, or it is not known
/// what must not be shown.
pub fn log_message(tail: &str, secrets: &[SecretString]) -> Option<String> {
    if secrets.is_empty() {
        return None;
    }
    let secrets: Vec<&str> = secrets.iter().map(|s| s.expose_secret()).collect();
    said::last_line(tail, &secrets)
}

/// Why a Job has no Pod, by its Events: what refuses them. Which Pod it was is left out: each try has
/// another name, and the same words are no news.
pub fn why_no_pod<'a>(events: impl IntoIterator<Item = &'a Event>) -> Option<String> {
    let time = |event: &Event| {
        let series = event
            .series
            .as_ref()
            .and_then(|s| s.last_observed_time.clone());
        let precise = series.or(event.event_time.clone()).map(|time| time.0);
        precise.max(event.last_timestamp.as_ref().map(|time| time.0))
    };
    let last = events
        .into_iter()
        .filter(|event| event.reason.as_deref() == Some("FailedCreate"))
        .max_by_key(|event| time(event))?;
    let message = last.message.as_deref().unwrap_or_default();
    let why = message.strip_prefix("Error creating: ").unwrap_or(message);
    let why = why
        .split_once("\" is forbidden: ")
        .map_or(why, |(_, forbidden)| forbidden);
    Some(said::one_line(&format!("no Pod can be created: {why}")))
}

/// The labels of a Job, of its Secret and of its Pods.
fn labels(database: &ObjectRef) -> BTreeMap<String, String> {
    BTreeMap::from(
        [
            (marks::MANAGED_BY_LABEL, marks::MANAGED_BY),
            (marks::DATABASE_LABEL, database.name()),
            (COMPONENT_LABEL, COMPONENT),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    )
}

#[cfg(test)]
mod tests;
