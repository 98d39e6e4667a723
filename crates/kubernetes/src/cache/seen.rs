//! What is kept of each object: parsed once, when it comes, and only what a look needs.

use std::sync::Arc;

use dbop_api::database::{ManagedDatabaseSpec, Migrations, PodTemplateKind};
use dbop_api::marks::{
    DATABASE_LABEL, FINALIZER, MANAGED_BY, MANAGED_BY_LABEL, MIGRATION_ANNOTATION,
};
use dbop_api::record::{self, RecordError};
use dbop_api::{DatabaseMigration, DatabaseMigrationStatus, ManagedDatabase};
use dbop_api::{ManagedDatabaseStatus, Refusals};
use dbop_model::{DatabaseSpec, Migration, MigrationName, ObjectRef};
use dbop_plan::ObjectFacts;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;

use super::packed::Packed;
use super::table::Keys;

/// A ManagedDatabase.
pub(crate) struct DatabaseSeen {
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) generation: Option<i64>,
    /// Our finalizer is on it.
    pub(crate) held: bool,
    /// It is being deleted.
    pub(crate) deleting: bool,
    /// Its spec, or what is wrong with it.
    pub(crate) spec: Result<Arc<DatabaseSpec>, Arc<Refusals>>,
    /// What the planner reads beside the spec.
    pub(crate) said: Result<ObjectFacts, RecordError>,
    status: Option<Packed<ManagedDatabaseStatus>>,
    /// What its Jobs are made with, where anything is said of it.
    pub(crate) runs: Option<Arc<Migrations>>,
    /// Further kinds that hold a Pod template.
    pub(crate) kinds: Arc<[PodTemplateKind]>,
}

impl DatabaseSeen {
    pub(crate) fn new(object: &ManagedDatabase) -> Self {
        let ManagedDatabaseSpec {
            migrations,
            credentials,
            ..
        } = &object.spec;
        let runs = (migrations != &Migrations::default()).then(|| Arc::new(migrations.clone()));
        Self {
            uid: object.uid().unwrap_or_default(),
            resource_version: object.resource_version().unwrap_or_default(),
            generation: object.metadata.generation,
            held: has_finalizer(&object.metadata),
            deleting: object.metadata.deletion_timestamp.is_some(),
            spec: DatabaseSpec::try_from(object)
                .map(Arc::new)
                .map_err(Arc::new),
            said: record::object_facts(object),
            status: object.status.as_ref().and_then(Packed::new),
            runs,
            kinds: credentials.pod_templates.clone().into(),
        }
    }

    /// The status as it stands.
    pub(crate) fn status(&self) -> Option<ManagedDatabaseStatus> {
        self.status.as_ref().and_then(Packed::value)
    }

    /// Is there anything to look at anew, after it was `before`? Our own words in the status are no news.
    pub(crate) fn is_news_after(&self, before: &DatabaseSeen) -> bool {
        self.uid != before.uid
            || self.generation != before.generation
            || self.deleting != before.deleting
            || self.said != before.said
            || (before.held && !self.held)
    }
}

/// By the Secrets that it needs; those of another namespace by `namespace/name`.
impl Keys for DatabaseSeen {
    fn keys(&self, each: &mut dyn FnMut(&str)) {
        if let Ok(spec) = &self.spec {
            for dsn in std::iter::once(&spec.dsn).chain(&spec.replicas) {
                // No name of a Secret has a slash.
                match dsn.secret.namespace() == spec.id.namespace() {
                    true => each(dsn.secret.name()),
                    false => each(&dsn.secret.to_string()),
                }
            }
            if let Some(ca) = &spec.ca_secret {
                each(ca.name());
            }
        }
    }
}

/// A DatabaseMigration.
#[derive(Clone)]
pub(crate) struct MigrationSeen {
    pub(crate) resource_version: String,
    pub(crate) migration: Result<Arc<Migration>, Arc<Refusals>>,
    pub(crate) status: Option<Arc<DatabaseMigrationStatus>>,
}

/// They are few, and each is found by its name.
impl Keys for MigrationSeen {
    fn keys(&self, _: &mut dyn FnMut(&str)) {}
}

impl MigrationSeen {
    pub(crate) fn new(object: &DatabaseMigration) -> Self {
        Self {
            resource_version: object.resource_version().unwrap_or_default(),
            migration: Migration::try_from(object).map(Arc::new).map_err(Arc::new),
            status: object.status.clone().map(Arc::new),
        }
    }

    /// Does it say the same as `before`, its status aside?
    pub(crate) fn says_the_same(&self, before: &MigrationSeen) -> bool {
        match (&self.migration, &before.migration) {
            (Ok(one), Ok(other)) => one == other,
            (Err(one), Err(other)) => one.to_string() == other.to_string(),
            _ => false,
        }
    }
}

/// A Secret: nothing of its content.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretMeta {
    pub(crate) resource_version: Box<str>,
    /// The database and the migration that it is a credential's of, by our marks.
    pub(crate) of: Option<Arc<(ObjectRef, MigrationName)>>,
}

impl SecretMeta {
    pub(crate) fn new(metadata: &ObjectMeta) -> Self {
        Self {
            resource_version: metadata.resource_version.clone().unwrap_or_default().into(),
            of: credential(metadata).map(Arc::new),
        }
    }
}

/// By the database whose credential it is.
impl Keys for SecretMeta {
    fn keys(&self, each: &mut dyn FnMut(&str)) {
        if let Some(of) = &self.of {
            each(of.0.name());
        }
    }
}

/// What a Secret is a credential of, by its marks.
pub(crate) fn credential(metadata: &ObjectMeta) -> Option<(ObjectRef, MigrationName)> {
    let database = owner(metadata)?;
    let annotations = metadata.annotations.as_ref()?;
    let migration = MigrationName::new(annotations.get(MIGRATION_ANNOTATION)?).ok()?;
    Some((database, migration))
}

/// The database that an object of ours belongs to, by its labels.
pub(crate) fn owner(metadata: &ObjectMeta) -> Option<ObjectRef> {
    let labels = metadata.labels.as_ref()?;
    if labels.get(MANAGED_BY_LABEL).map(String::as_str) != Some(MANAGED_BY) {
        return None;
    }
    let namespace = metadata.namespace.as_deref()?;
    ObjectRef::new(namespace, labels.get(DATABASE_LABEL)?).ok()
}

/// Is our finalizer on it?
pub(crate) fn has_finalizer(metadata: &ObjectMeta) -> bool {
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    finalizers.iter().any(|one| one == FINALIZER)
}
