//! A table of what was seen of one kind of object: by namespace and name, only what is needed of each.
//!
//! A namespace may hold the objects of ten thousand databases: a look takes its own by an index, and goes through
//! no others.
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

/// By what else an object is found than by its name.
pub(crate) trait Keys {
    /// Calls `each` with every such key: the database that it belongs to, the Secrets that it refers to.
    fn keys(&self, each: &mut dyn FnMut(&str));
}

impl<V: Keys> Keys for Arc<V> {
    fn keys(&self, each: &mut dyn FnMut(&str)) {
        (**self).keys(each);
    }
}

/// What was seen in one namespace.
struct Space<V> {
    entries: BTreeMap<Box<str>, Entry<V>>,
    /// The names of the entries that bear a key, in order.
    index: BTreeMap<Box<str>, Vec<Box<str>>>,
}

impl<V> Default for Space<V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            index: BTreeMap::new(),
        }
    }
}

impl<V: Keys> Space<V> {
    fn put(&mut self, name: &str, entry: Entry<V>) -> Option<V> {
        // What stays is put back: an entry seldom changes its keys, and then it costs little more.
        let before = self.remove(name);
        let index = &mut self.index;
        entry.value.keys(&mut |key| match index.get_mut(key) {
            Some(names) => {
                if let Err(at) = names.binary_search_by(|one| (**one).cmp(name)) {
                    // Most keys have one or two.
                    names.reserve_exact(1);
                    names.insert(at, name.into());
                }
            }
            None => {
                index.insert(key.into(), vec![name.into()]);
            }
        });
        self.entries.insert(name.into(), entry);
        before
    }

    fn remove(&mut self, name: &str) -> Option<V> {
        let entry = self.entries.remove(name)?;
        let index = &mut self.index;
        entry.value.keys(&mut |key| {
            let Some(names) = index.get_mut(key) else {
                return;
            };
            names.retain(|one| &**one != name);
            if names.is_empty() {
                index.remove(key);
            }
        });
        Some(entry.value)
    }
}

type Spaces<V> = BTreeMap<Arc<str>, Space<V>>;

/// What was seen of one kind of object.
pub(crate) struct Table<V> {
    namespaces: RwLock<Spaces<V>>,
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

impl<V: Clone + Keys> Table<V> {
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<V> {
        let all = self.read();
        let entry = all.get(namespace)?.entries.get(name)?;
        Some(entry.value.clone())
    }

    /// Calls `each` with every entry of a namespace, in the order of their names.
    pub(crate) fn each_in(&self, namespace: &str, mut each: impl FnMut(&str, &V)) {
        if let Some(space) = self.read().get(namespace) {
            for (name, entry) in &space.entries {
                each(name, &entry.value);
            }
        }
    }

    /// Calls `each` with the entries of a namespace that bear this key, in the order of their names.
    pub(crate) fn each_of(&self, namespace: &str, key: &str, mut each: impl FnMut(&str, &V)) {
        if let Some(space) = self.read().get(namespace)
            && let Some(names) = space.index.get(key)
        {
            for name in names {
                if let Some(entry) = space.entries.get(name) {
                    each(name, &entry.value);
                }
            }
        }
    }

    /// Calls `each` with namespace and name of the entries of any namespace that bear this key.
    pub(crate) fn each_with(&self, key: &str, mut each: impl FnMut(&str, &str)) {
        for (namespace, space) in self.read().iter() {
            for name in space.index.get(key).into_iter().flatten() {
                each(namespace, name);
            }
        }
    }

    /// Calls `each` with every entry.
    pub(crate) fn each(&self, mut each: impl FnMut(&str, &str, &V)) {
        for (namespace, space) in self.read().iter() {
            for (name, entry) in &space.entries {
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
        let space = all.entry(namespace).or_default();
        if space
            .entries
            .get(name)
            .is_some_and(|entry| revision != 0 && entry.revision > revision)
        {
            return Change::Stale;
        }
        let after = value.clone();
        let before = match value {
            Some(value) => space.put(name, Entry { revision, value }),
            None => space.remove(name),
        };
        Change::To { before, after }
    }

    /// Takes out what is no more. A deletion is never stale: an object that was made anew since has a later
    /// event of its own.
    pub(crate) fn take(&self, namespace: &str, name: &str) -> Option<V> {
        let mut all = self.write();
        all.get_mut(namespace)?.remove(name)
    }

    /// Takes out all that was not listed, in one namespace or in all.
    pub(crate) fn keep(&self, within: Option<&str>, listed: &BTreeSet<Key>) -> Vec<(Key, V)> {
        let mut gone = Vec::new();
        for (namespace, space) in self.write().iter_mut() {
            if within.is_some_and(|within| within != &**namespace) {
                continue;
            }
            let missing: Vec<Box<str>> = space
                .entries
                .keys()
                .filter(|name| !listed.contains(&(namespace.clone(), (*name).clone())))
                .cloned()
                .collect();
            for name in missing {
                if let Some(value) = space.remove(&name) {
                    gone.push(((namespace.clone(), name), value));
                }
            }
        }
        gone
    }

    fn read(&self) -> RwLockReadGuard<'_, Spaces<V>> {
        // Entries are put in whole: a panic leaves none half made.
        self.namespaces
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Spaces<V>> {
        self.namespaces
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its words are its keys.
    impl Keys for &'static str {
        fn keys(&self, each: &mut dyn FnMut(&str)) {
            self.split(' ').for_each(each);
        }
    }

    #[test]
    fn a_key_finds_those_that_bear_it_and_no_longer_those_that_did() {
        let table = Table::default();
        let found = |key: &str| {
            let mut names = Vec::new();
            table.each_of("shop", key, |name, _| names.push(name.to_owned()));
            names.join(" ")
        };
        for (name, words) in [("b", "red"), ("a", "red blue red"), ("c", "blue")] {
            let _ = table.put("shop", name, 1, Some(words));
        }
        let _ = table.put("other", "d", 1, Some("red"));
        assert_eq!((found("red"), found("blue")), ("a b".into(), "a c".into()));
        let mut anywhere = Vec::new();
        table.each_with("red", |space, name| {
            anywhere.push(format!("{space}/{name}"))
        });
        assert_eq!(anywhere, ["other/d", "shop/a", "shop/b"]);
        let _ = table.put("shop", "a", 2, Some("blue"));
        let _ = table.put("shop", "a", 1, Some("red"));
        assert_eq!((found("red"), found("blue")), ("b".into(), "a c".into()));
        let _ = table.take("shop", "c");
        let _ = table.put("shop", "b", 3, None);
        assert_eq!((found("red"), found("blue")), ("".into(), "a".into()));
        let _ = table.keep(None, &BTreeSet::new());
        assert_eq!(found("blue"), "");
    }

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
