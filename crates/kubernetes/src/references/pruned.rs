//! An object of which only what matters is kept, from the moment that it is decoded: a list of thousands
//! never stands in memory as whole objects.
//!
//! To kube's clients it is the object: same paths, same kind. It cannot be written back.

use std::fmt;
use std::marker::PhantomData;

use kube::Resource;
use kube::api::ObjectMeta;
use serde::{Deserialize, Deserializer};

/// What is kept of a `K`.
pub trait Prune<K> {
    /// Takes it out of the object, which is gone afterwards.
    fn prune(object: K) -> Self;
}

/// Of a `K`: its identity, and a `T`.
pub struct Pruned<K, T> {
    metadata: ObjectMeta,
    /// What is kept.
    pub kept: T,
    kind: PhantomData<fn() -> K>,
}

impl<K: Resource, T: Prune<K>> Pruned<K, T> {
    /// Keeps what matters.
    pub fn of(object: K) -> Self {
        let metadata = object.meta();
        Self {
            // What a watch needs to tell objects and their revisions apart.
            metadata: ObjectMeta {
                name: metadata.name.clone(),
                namespace: metadata.namespace.clone(),
                uid: metadata.uid.clone(),
                resource_version: metadata.resource_version.clone(),
                ..ObjectMeta::default()
            },
            kept: T::prune(object),
            kind: PhantomData,
        }
    }
}

impl<'de, K: Resource + Deserialize<'de>, T: Prune<K>> Deserialize<'de> for Pruned<K, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        K::deserialize(deserializer).map(Self::of)
    }
}

impl<K: Resource, T> Resource for Pruned<K, T> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &K::DynamicType) -> std::borrow::Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &K::DynamicType) -> std::borrow::Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &K::DynamicType) -> std::borrow::Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &K::DynamicType) -> std::borrow::Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<K, T: Clone> Clone for Pruned<K, T> {
    fn clone(&self) -> Self {
        Self {
            metadata: self.metadata.clone(),
            kept: self.kept.clone(),
            kind: PhantomData,
        }
    }
}

impl<K, T: fmt::Debug> fmt::Debug for Pruned<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pruned")
            .field("name", &self.metadata.name)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}
