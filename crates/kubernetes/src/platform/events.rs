//! Events of Kubernetes: written one after the other by a task of their own, so that none holds up a step.
//!
//! Each is an object of its own (events.k8s.io/v1). kube's recorder is not used: it puts Events of one reason into
//! a series with the words of the first, and which migration started is in the words.

use std::sync::Arc;

use dbop_api::marks::FIELD_MANAGER;
use dbop_api::report::{Event, EventKind};
use dbop_api::{API_VERSION, MANAGED_DATABASE};
use dbop_engine::Clock;
use dbop_model::{JobName, ObjectRef, visible};
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
    queue: mpsc::Sender<Told>,
    clock: Arc<dyn Clock>,
}

/// An Event that is to be written.
struct Told {
    database: ObjectRef,
    regarding: ObjectReference,
    related: Option<ObjectReference>,
    event: Event,
    at: Timestamp,
}

impl Events {
    /// Starts the task that writes them; it ends when nobody can tell any more. `instance` is this operator's
    /// own name, such as its Pod's.
    pub(crate) fn start(client: Client, instance: String, clock: Arc<dyn Clock>) -> Self {
        let (queue, mut told) = mpsc::channel::<Told>(QUEUE_MAX);
        tokio::spawn(async move {
            let mut nth: u32 = 0;
            while let Some(told) = told.recv().await {
                nth = nth.wrapping_add(1);
                let object = object(&told, &instance, nth);
                let namespace = told.database.namespace();
                let api: Api<KubernetesEvent> = Api::namespaced(client.clone(), namespace);
                let created = call::write(api.create(&PostParams::default(), &object)).await;
                match created {
                    Ok(_) => told.log(object.metadata.name.as_deref()),
                    Err(error) => {
                        told.log(None);
                        let error = error.of("writing", "an Event");
                        tracing::warn!(database = %told.database, %error, reason = told.event.reason, "an Event is not written");
                    }
                }
            }
        });
        Self { queue, clock }
    }

    /// Tells of a database; of one of its runs, where the Event is about one.
    pub(crate) fn of_database(&self, id: &ObjectRef, uid: Option<String>, event: Event) {
        let regarding = ObjectReference { uid, ..managed(id) };
        let related = event.job.as_ref().map(|name| job(id, name));
        self.tell(id, regarding, related, event);
    }

    /// Tells of the Job of a database's run.
    pub(crate) fn of_job(&self, id: &ObjectRef, name: &JobName, uid: Option<String>, event: Event) {
        let regarding = ObjectReference {
            uid,
            ..job(id, name)
        };
        self.tell(id, regarding, Some(managed(id)), event);
    }

    fn tell(
        &self,
        id: &ObjectRef,
        regarding: ObjectReference,
        related: Option<ObjectReference>,
        event: Event,
    ) {
        let told = Told {
            database: id.clone(),
            regarding,
            related,
            event,
            at: self.clock.now(),
        };
        if let Err(refused) = self.queue.try_send(told) {
            let told = refused.into_inner();
            told.log(None);
            tracing::warn!(database = %told.database, reason = told.event.reason, "an Event is not written: too many wait");
        }
    }
}

impl Told {
    /// Says the same in the log, with the name of the object that says it, and the id of the run.
    fn log(&self, name: Option<&str>) {
        let Event {
            kind,
            reason,
            message,
            job,
        } = &self.event;
        let (database, job) = (&self.database, job.as_ref().map(tracing::field::display));
        match kind {
            EventKind::Normal => {
                tracing::info!(%database, reason, job, event = name, "{message}");
            }
            EventKind::Warning => {
                tracing::warn!(%database, reason, job, event = name, "{message}");
            }
        }
    }
}

fn managed(id: &ObjectRef) -> ObjectReference {
    ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(MANAGED_DATABASE.to_owned()),
        name: Some(id.name().to_owned()),
        namespace: Some(id.namespace().to_owned()),
        ..ObjectReference::default()
    }
}

fn job(id: &ObjectRef, name: &JobName) -> ObjectReference {
    ObjectReference {
        api_version: Some("batch/v1".to_owned()),
        kind: Some("Job".to_owned()),
        name: Some(name.to_string()),
        namespace: Some(id.namespace().to_owned()),
        ..ObjectReference::default()
    }
}

fn object(told: &Told, instance: &str, nth: u32) -> KubernetesEvent {
    let Told {
        regarding,
        related,
        event,
        at,
        ..
    } = told;
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
        event_time: Some(MicroTime(*at)),
        type_: Some(event.kind.as_str().to_owned()),
        reason: Some(event.reason.to_owned()),
        action: Some(event.reason.to_owned()),
        note: Some(cut(&visible::line(&event.message)).to_owned()),
        regarding: Some(regarding.clone()),
        related: related.clone(),
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
    use dbop_model::visible::hostile;

    use super::*;

    fn told(message: String) -> Told {
        let shop = ObjectRef::new("shop", "main").unwrap();
        let run = JobName::new("main-v2-1").unwrap();
        Told {
            regarding: managed(&shop),
            related: Some(job(&shop, &run)),
            event: Event {
                kind: EventKind::Warning,
                reason: "MigrationFailed",
                message,
                job: Some(run),
            },
            at: Timestamp::from_second(1).unwrap(),
            database: shop,
        }
    }

    #[test]
    fn an_event_has_a_name_of_its_own_and_a_note_that_fits_and_names_its_run() {
        let told = told("é".repeat(1000));
        let of = |nth| object(&told, "pod-1", nth);
        assert_ne!(of(1).metadata.name, of(2).metadata.name);
        let object = of(1);
        assert_eq!(object.note.unwrap().len(), NOTE_BYTES_MAX);
        assert_eq!(object.metadata.namespace.as_deref(), Some("shop"));
        let name = |of: Option<ObjectReference>| of.unwrap().name.unwrap();
        assert_eq!(name(object.regarding), "main");
        assert_eq!(name(object.related), "main-v2-1");
    }

    #[test]
    fn a_note_is_harmless_and_fits_whatever_is_told() {
        for message in hostile::texts() {
            let note = object(&told(message), "pod-1", 1).note.unwrap();
            assert_eq!(hostile::harm(&note), "", "{note}");
            assert!(note.len() <= NOTE_BYTES_MAX, "{note}");
        }
    }
}
