//! Who refers to a Secret: unfinished Pods, and the objects that would make more of them.
//!
//! Pure: objects in, references out. What is kept of an object is a [`Holder`], some dozens of bytes, so
//! that a cache of thousands of workloads holds no whole objects. Nothing is watched or listed here.
//!
//! A reference counts as long as the object could still make a process with the Secret in it: a Deployment
//! that is scaled to zero, a CronJob that is suspended and a Pod that is being deleted count, and are named
//! as such.

mod pruned;
mod secrets;
mod template;
mod workload;

use std::borrow::Cow;
use std::collections::BTreeMap;

use dbop_api::marks::SCHEMA_LABEL_PREFIX;
use dbop_plan::{Declared, Reference};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodSpec;

pub use pruned::{Prune, Pruned};
pub use secrets::{SecretUse, secrets_of};
pub use template::{Unreadable, holder_of_template, is_built_in};
pub use workload::Workload;

use workload::{SCALED_TO_ZERO, SUSPENDED};

/// An object that refers to Secrets: what a cache keeps of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its kind: `Pod`, `Deployment`.
    pub kind: Cow<'static, str>,
    /// Its name.
    pub name: Box<str>,
    /// What people have to know of it: "scaled to zero".
    pub note: Option<&'static str>,
    /// When it was made, of a Pod.
    pub made_at: Option<Timestamp>,
    /// The Secrets, each once, with how it is referred to: "container api, env DATABASE_URL".
    pub uses: Box<[(Box<str>, Box<str>)]>,
    /// Databases, each with the migration whose schema the code is for, as labels say.
    pub schemas: Box<[(Box<str>, Box<str>)]>,
}

/// Labels, where there are any.
pub(crate) type Labels = Option<BTreeMap<String, String>>;

/// The key by which those are found that say which schema of a database they are for. No name of a Secret has a slash.
pub(crate) fn schema_key(database: &str) -> String {
    format!("{SCHEMA_LABEL_PREFIX}{database}")
}

impl Holder {
    /// `None`: the Pods refer to no Secret, and none of these labels says which schema they are for.
    fn new(
        kind: Cow<'static, str>,
        name: Option<&str>,
        note: Option<&'static str>,
        pod: &PodSpec,
        labels: &[&Labels],
    ) -> Option<Self> {
        let schemas: BTreeMap<&str, &str> = labels
            .iter()
            .flat_map(|labels| labels.iter().flatten())
            .filter_map(|(key, value)| Some((key.strip_prefix(SCHEMA_LABEL_PREFIX)?, &**value)))
            .collect();
        let mut uses: BTreeMap<String, (String, usize)> = BTreeMap::new();
        for SecretUse { secret, how } in secrets_of(pod) {
            uses.entry(secret)
                .and_modify(|(_, more)| *more += 1)
                .or_insert((how, 0));
        }
        if uses.is_empty() && schemas.is_empty() {
            return None;
        }
        let told = |how: String, more| match more {
            0 => how.into_boxed_str(),
            more => format!("{how}, and {more} more").into_boxed_str(),
        };
        Some(Self {
            kind,
            name: name.unwrap_or_default().into(),
            note,
            made_at: None,
            uses: uses
                .into_iter()
                .map(|(secret, (how, more))| (secret.into_boxed_str(), told(how, more)))
                .collect(),
            schemas: schemas
                .into_iter()
                .map(|(database, migration)| (database.into(), migration.into()))
                .collect(),
        })
    }

    /// Which schema of the database its code is for, where it says so and runs.
    pub fn declares(&self, database: &str) -> Option<Declared> {
        let (_, migration) = self.schemas.iter().find(|(of, _)| **of == *database)?;
        let rests = matches!(self.note, Some(SCALED_TO_ZERO | SUSPENDED));
        (!rests).then(|| Declared {
            kind: self.kind.to_string(),
            name: self.name.to_string(),
            migration: migration.to_string(),
        })
    }

    /// Its reference to a Secret, where it has one.
    pub fn reference_to(&self, secret: &str) -> Option<Reference> {
        let (_, how) = self.uses.iter().find(|(name, _)| **name == *secret)?;
        Some(Reference {
            kind: self.kind.to_string(),
            name: self.name.to_string(),
            how: match self.note {
                Some(note) => format!("{note}; {how}"),
                None => how.to_string(),
            },
            made_at: self.made_at,
        })
    }
}

#[cfg(test)]
mod tests;
