//! Records every state of some objects, as a watch shows them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, WatchEvent, WatchParams};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::api::Api;

/// Before a watch that has ended begins anew.
const PAUSE: Duration = Duration::from_millis(200);
/// How long one watch lasts: the server ends it, and the next goes on where it was.
const WATCH_SECONDS: u32 = 200;

/// What a watch has shown since the record began.
pub(crate) struct Record {
    seen: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

impl Record {
    /// Records all objects of a kind in a namespace that has none yet.
    pub(crate) fn of(api: &Api, namespace: &str, version: &str, kind: &str) -> Record {
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let all: kube::Api<DynamicObject> =
            kube::Api::namespaced_with(api.client.clone(), namespace, &resource);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut from = "0".to_owned();
            loop {
                let how = WatchParams::default().timeout(WATCH_SECONDS);
                if let Ok(watch) = all.watch(&how, &from).await {
                    let mut watch = std::pin::pin!(watch);
                    while let Some(Ok(event)) = watch.next().await {
                        let (WatchEvent::Added(object)
                        | WatchEvent::Modified(object)
                        | WatchEvent::Deleted(object)) = event
                        else {
                            continue;
                        };
                        from = object.metadata.resource_version.clone().unwrap_or(from);
                        let value = serde_json::to_value(&object).unwrap();
                        into.lock().unwrap().push(value);
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Record { seen, task }
    }

    /// All states so far, oldest first.
    pub(crate) fn states(&self) -> Vec<Value> {
        self.seen.lock().unwrap().clone()
    }

    /// How many states there were so far.
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.task.abort();
    }
}
