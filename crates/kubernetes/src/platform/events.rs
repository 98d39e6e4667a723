//! Events of Kubernetes: written one after the other by a task of their own, so that none holds up a step.
//!
//! Each is an object of its own (events.k8s.io/v1). kube's recorder is not used: it puts Events of one reason into
//! a series with the words of the first, and which migration started is in the words.

use std::sync::Arc;

use dbop_api::marks::FIELD_MANAGER;
use dbop_api::report::Event;
use dbop_api::{API_VERSION, MANAGED_DATABASE};
use dbop_engine::Clock;
use dbop_model::{JobName, ObjectRef};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as KubernetesEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::mpsc;

use crate::call;

/// Events that wait to be written: more than a thousand databases tell at once. What does not fit is in the log.
const QUEUE_MAX: usize = 4096;
/// A note may hold 1024 bytes (Kubernetes API, Event v1 events.k8s.io).
const NOTE_BYTES_MAX: usize = 1024;

/// Where Events are written to.
#[derive(Clone)]
pub(crate) struct Events {
    queue: mpsc::Sender<(ObjectReference, Event, Timestamp)>,
    clock: Arc<dyn Clock>,
}

impl Events {
    /// Starts the task that writes them; it ends when nobody can tell any more. `instance` is this operator's
    /// own name, such as its Pod's.
    pub(crate) fn start(client: Client, instance: String, clock: Arc<dyn Clock>) -> Self {
        let (queue, mut told) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(async move {
            let mut nth: u32 = 0;
            while let Some((regarding, event, at)) = told.recv().await {
                nth = nth.wrapping_add(1);
                let object = object(&regarding, &event, at, &instance, nth);
                let namespace = regarding.namespace.as_deref().unwrap_or("default");
                let api: Api<KubernetesEvent> = Api::namespaced(client.clone(), namespace);
                let created = call::write(api.create(&PostParams::default(), &object)).await;
                if let Err(error) = created {
                    let error = error.of("writing", "an Event");
                    tracing::warn!(%error, reason = event.reason, "{}", event.message);
                }
            }
        });
        Self { queue, clock }
    }

    /// Tells of a database.
    pub(crate) fn of_database(&self, id: &ObjectRef, uid: Option<String>, event: Event) {
        let regarding = ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some(MANAGED_DATABASE.to_owned()),
            name: Some(id.name().to_owned()),
            namespace: Some(id.namespace().to_owned()),
            uid,
            ..ObjectReference::default()
        };
        self.tell(regarding, event);
    }

    /// Tells of a Job.
    pub(crate) fn of_job(&self, namespace: &str, job: &JobName, uid: Option<String>, event: Event) {
        let regarding = ObjectReference {
            api_version: Some("batch/v1".to_owned()),
            kind: Some("Job".to_owned()),
            name: Some(job.to_string()),
            namespace: Some(namespace.to_owned()),
            uid,
            ..ObjectReference::default()
        };
        self.tell(regarding, event);
    }

    fn tell(&self, regarding: ObjectReference, event: Event) {
        let (reason, message) = (event.reason, event.message.clone());
        let at = self.clock.now();
        if self.queue.try_send((regarding, event, at)).is_err() {
            tracing::warn!(reason, "an Event is not written, too many wait: {message}");
        }
    }
}

fn object(
    regarding: &ObjectReference,
    event: &Event,
    at: Timestamp,
    instance: &str,
    nth: u32,
) -> KubernetesEvent {
    let name = regarding.name.as_deref().unwrap_or_default();
    KubernetesEvent {
        metadata: ObjectMeta {
            // As Kubernetes' own components name them; the number tells apart what is told at one instant.
            name: Some(format!(
                "{name}.{:x}{:04x}",
                at.as_microsecond(),
                nth & 0xffff
            )),
            namespace: regarding.namespace.clone(),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(at)),
        type_: Some(event.kind.as_str().to_owned()),
        reason: Some(event.reason.to_owned()),
        action: Some(event.reason.to_owned()),
        note: Some(cut(&event.message).to_owned()),
        regarding: Some(regarding.clone()),
        reporting_controller: Some(FIELD_MANAGER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        ..KubernetesEvent::default()
    }
}

/// As much of a text as a note may hold.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(NOTE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use dbop_api::report::EventKind;

    use super::*;

    #[test]
    fn an_event_has_a_name_of_its_own_and_a_note_that_fits() {
        let event = Event {
            kind: EventKind::Warning,
            reason: "MigrationFailed",
            message: "é".repeat(1000),
        };
        let at = Timestamp::from_second(1).unwrap();
        let of = |nth| object(&ObjectReference::default(), &event, at, "pod-1", nth);
        assert_ne!(of(1).metadata.name, of(2).metadata.name);
        assert_eq!(of(1).note.unwrap().len(), NOTE_BYTES_MAX);
    }
}
