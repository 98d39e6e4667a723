//! A table of what was seen of one kind of object: by namespace and name, only what is needed of each.
//!
//! What a write gives back goes in at once, so that the next look sees it; an event of the watch that is older
//! does not take it out again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Namespace and name.
pub(crate) type Key = (Arc<str>, Box<str>);

/// An entry, and the revision (`metadata.resourceVersion`) that it was made from.
struct Entry<V> {
    revision: u64,
    value: V,
}

/// What was seen of one kind of object.
pub(crate) struct Table<V> {
    namespaces: RwLock<BTreeMap<Arc<str>, BTreeMap<Box<str>, Entry<V>>>>,
}

/// What became of an object.
pub(crate) enum Change<V> {
    /// It is not what it was; `None`: it was not there, or is not any more.
    To {
        /// What it was.
        before: Option<V>,
        /// What it is.
        after: Option<V>,
    },
    /// What came is older than what is there.
    Stale,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            namespaces: RwLock::default(),
        }
    }
}

/// A resource version as the number that it is (Kubernetes API concepts, "Resource versions": comparable as
/// integers since 1.35, and always made from etcd's revisions before). One that is none is taken as oldest:
/// then the watch's own order counts.
pub(crate) fn revision(resource_version: Option<&str>) -> u64 {
    resource_version
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

impl<V: Clone> Table<V> {
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<V> {
        let all = self.read();
        let entry = all.get(namespace)?.get(name)?;
        Some(entry.value.clone())
    }

    /// Calls `each` with every entry of a namespace, in the order of their names.
    pub(crate) fn each_in(&self, namespace: &str, mut each: impl FnMut(&str, &V)) {
        if let Some(entries) = self.read().get(namespace) {
            for (name, entry) in entries {
                each(name, &entry.value);
            }
        }
    }

    /// Calls `each` with every entry.
    pub(crate) fn each(&self, mut each: impl FnMut(&str, &str, &V)) {
        for (namespace, entries) in self.read().iter() {
            for (name, entry) in entries {
                each(namespace, name, &entry.value);
            }
        }
    }

    /// Puts in what an object is at this revision; `None`: nothing is needed of it.
    pub(crate) fn put(
        &self,
        namespace: &str,
        name: &str,
        revision: u64,
        value: Option<V>,
    ) -> Change<V> {
        let mut all = self.write();
        let namespace = match all.get_key_value(namespace) {
            Some((namespace, _)) => namespace.clone(),
            None => Arc::from(namespace),
        };
        let entries = all.entry(namespace).or_default();
        if entries
            .get(name)
            .is_some_and(|entry| revision != 0 && entry.revision > revision)
        {
            return Change::Stale;
        }
        let after = value.clone();
        let before = match value {
            Some(value) => entries.insert(name.into(), Entry { revision, value }),
            None => entries.remove(name),
        };
        Change::To {
            before: before.map(|entry| entry.value),
            after,
        }
    }

    /// Takes out what is no more. A deletion is never stale: an object that was made anew since has a later
    /// event of its own.
    pub(crate) fn take(&self, namespace: &str, name: &str) -> Option<V> {
        let mut all = self.write();
        all.get_mut(namespace)?
            .remove(name)
            .map(|entry| entry.value)
    }

    /// Takes out all that was not listed, in one namespace or in all.
    pub(crate) fn keep(&self, within: Option<&str>, listed: &BTreeSet<Key>) -> Vec<(Key, V)> {
        let mut gone = Vec::new();
        for (namespace, entries) in self.write().iter_mut() {
            if within.is_some_and(|within| within != &**namespace) {
                continue;
            }
            let missing: Vec<Box<str>> = entries
                .keys()
                .filter(|name| !listed.contains(&(namespace.clone(), (*name).clone())))
                .cloned()
                .collect();
            for name in missing {
                if let Some(entry) = entries.remove(&name) {
                    gone.push(((namespace.clone(), name), entry.value));
                }
            }
        }
        gone
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<Arc<str>, BTreeMap<Box<str>, Entry<V>>>> {
        // Entries are put in whole: a panic leaves none half made.
        self.namespaces
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<Arc<str>, BTreeMap<Box<str>, Entry<V>>>> {
        self.namespaces
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_does_not_replace_what_is_newer() {
        let table = Table::default();
        assert!(matches!(
            table.put("shop", "a", 7, Some("own write")),
            Change::To { before: None, .. }
        ));
        assert!(matches!(
            table.put("shop", "a", 5, Some("late event")),
            Change::Stale
        ));
        assert_eq!(table.get("shop", "a"), Some("own write"));
        assert!(matches!(
            table.put("shop", "a", 7, Some("its own event")),
            Change::To {
                before: Some("own write"),
                after: Some("its own event")
            }
        ));
        assert!(matches!(table.put("shop", "a", 8, None), Change::To { .. }));
        assert_eq!(table.get("shop", "a"), None);
    }

    #[test]
    fn a_new_list_takes_out_what_it_does_not_name() {
        let table = Table::default();
        for (namespace, name) in [("a", "x"), ("a", "y"), ("b", "x")] {
            let _ = table.put(namespace, name, 1, Some(name));
        }
        let listed = BTreeSet::from([("a".into(), "y".into())]);
        let gone = table.keep(Some("a"), &listed);
        assert_eq!(gone.len(), 1);
        assert_eq!(&*gone[0].0.1, "x");
        assert_eq!(table.get("b", "x"), Some("x"), "another namespace");
        let mut left = Vec::new();
        table.each(|namespace, name, _| left.push(format!("{namespace}/{name}")));
        assert_eq!(left, ["a/y", "b/x"]);
    }
}
