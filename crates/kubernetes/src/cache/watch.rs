//! One watch: folds what the API server tells of one kind of object into its table.
//!
//! kube's watcher lists, watches, and lists again where it has to; here is only what becomes of an object, and
//! who hears of it. A watch that fails goes on by itself, later and later up to some seconds.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::{Resource, ResourceExt as _};
use tokio::sync::watch::Sender;
use tokio::time::Instant;

use super::table::{Change, Key, Keys, Table, revision};

/// A watch that fails goes on after this ...
const AGAIN_FIRST: Duration = Duration::from_millis(500);
/// ... then after twice as long each time, up to this: ten watches ask an API server that is away a few times a
/// second, and one that is back is heard a few seconds later, however long it was away.
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// One that did not fail for so long starts from the first pause.
const STEADY: Duration = Duration::from_secs(60);

/// The pauses of a watch that fails.
#[derive(Default)]
struct Pauses {
    last: Option<(Instant, Duration)>,
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let pause = match self.last {
            Some((at, pause)) if now - at <= STEADY => (2 * pause).min(AGAIN_MAX),
            _ => AGAIN_FIRST,
        };
        self.last = Some((now, pause));
        Some(pause)
    }
}

impl Backoff for Pauses {
    /// One that works for a moment, and fails again, goes on as it was: each time it may list everything anew.
    fn reset(&mut self) {}
}

/// One kind of object, in one namespace or in all.
pub(crate) struct Watch<V> {
    /// Its kind, for the log.
    pub(crate) kind: &'static str,
    /// The namespace; `None`: all.
    pub(crate) within: Option<String>,
    /// Where it goes.
    pub(crate) table: Arc<Table<V>>,
    /// Becomes true when everything was listed once.
    pub(crate) listed: Sender<bool>,
}

impl<V: Clone + Keys + Send + Sync + 'static> Watch<V> {
    /// Follows the stream for good. `seen` makes of an object what is kept of it (`None`: nothing), and
    /// `changed` hears of each entry that is not what it was.
    pub(crate) async fn follow<K, S>(
        self,
        stream: S,
        seen: impl Fn(K) -> Option<V> + Send,
        changed: impl Fn(&str, &str, Option<&V>, Option<&V>) + Send,
    ) where
        K: Resource<DynamicType: Default> + Clone + Debug + Send + 'static,
        S: Stream<Item = watcher::Result<Event<K>>> + Send,
    {
        let mut stream = std::pin::pin!(stream.backoff(Pauses::default()));
        let mut listing: BTreeSet<Key> = BTreeSet::new();
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init) => listing.clear(),
                Ok(Event::InitApply(object)) => {
                    let key = key(&object);
                    self.apply(object, &seen, &changed);
                    listing.insert(key);
                }
                Ok(Event::InitDone) => {
                    let within = self.within.as_deref();
                    for ((namespace, name), before) in self.table.keep(within, &listing) {
                        changed(&namespace, &name, Some(&before), None);
                    }
                    listing = BTreeSet::new();
                    self.listed.send_replace(true);
                }
                Ok(Event::Apply(object)) => self.apply(object, &seen, &changed),
                Ok(Event::Delete(object)) => {
                    let (namespace, name) = key(&object);
                    if let Some(before) = self.table.take(&namespace, &name) {
                        changed(&namespace, &name, Some(&before), None);
                    }
                }
                Err(error) => self.tell(&error),
            }
        }
    }

    fn apply<K: Resource<DynamicType: Default>>(
        &self,
        object: K,
        seen: &impl Fn(K) -> Option<V>,
        changed: &impl Fn(&str, &str, Option<&V>, Option<&V>),
    ) {
        let (namespace, name) = key(&object);
        let at = revision(object.meta().resource_version.as_deref());
        if let Change::To { before, after } = self.table.put(&namespace, &name, at, seen(object))
            && (before.is_some() || after.is_some())
        {
            changed(&namespace, &name, before.as_ref(), after.as_ref());
        }
    }

    fn tell(&self, error: &watcher::Error) {
        let why = match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => crate::call::explained(error),
            // A watch that has fallen behind lists again: that is how watches are.
            watcher::Error::WatchError(status) if status.code == 410 => return,
            watcher::Error::WatchError(status) => status.message.clone(),
            watcher::Error::NoResourceVersion => "it gives no resourceVersion".to_owned(),
        };
        tracing::warn!(kind = self.kind, within = self.within, %why, "the watch is interrupted");
    }
}

fn key<K: Resource<DynamicType: Default>>(object: &K) -> Key {
    let namespace = object.namespace().unwrap_or_default();
    (namespace.into(), object.name_any().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_seconds_and_start_anew_after_a_steady_minute() {
        let mut pauses = Pauses::default();
        let mut seconds = Vec::new();
        for _ in 0..6 {
            let pause = pauses.next().unwrap();
            // A try that works for a moment changes nothing.
            pauses.reset();
            tokio::time::sleep(pause).await;
            seconds.push(pause.as_secs_f64());
        }
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]);
        tokio::time::sleep(STEADY).await;
        assert_eq!(pauses.next(), Some(AGAIN_FIRST));
    }
}
