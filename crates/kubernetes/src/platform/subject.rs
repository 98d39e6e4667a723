//! The subject of a pass: the ManagedDatabase and the chain around its desired migration.
//!
//! A live look asks for the object itself and for each migration of its chain; of a long chain it asks for the
//! revisions in one list, and reads what differs from the cache.

use std::collections::BTreeSet;
use std::sync::Arc;

use dbop_api::{DATABASE_MIGRATION, DatabaseMigration, MANAGED_DATABASE, ManagedDatabase};
use dbop_engine::{PlatformError, Read, Subject};
use dbop_model::{Chain, MigrationName, ObjectRef};
use dbop_plan::Desired;
use futures_util::future::{join, join_all};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use super::{KubernetesPlatform, READ_SINGLY_MAX};
use crate::cache::Caches;
use crate::cache::chains::Namespace;
use crate::cache::seen::{DatabaseSeen, MigrationSeen};
use crate::cache::table::revision;
use crate::call;

impl KubernetesPlatform {
    /// The database object; `None`: there is none.
    pub(crate) async fn database(
        &self,
        id: &ObjectRef,
        read: Read,
    ) -> Result<Option<Arc<DatabaseSeen>>, PlatformError> {
        if let (Read::Cached, Some(caches)) = (read, &self.caches) {
            return Ok(caches.databases.get(id.namespace(), id.name()));
        }
        let api: Api<ManagedDatabase> = Api::namespaced(self.client.clone(), id.namespace());
        let object = call::find(api.get(id.name())).await;
        let object = object.map_err(|error| error.of("reading", &object_name(id)))?;
        Ok(object.map(|object| self.take_in(id, &object)))
    }

    /// What is kept of an object that came from the API server just now: as the cache has it where that is of
    /// the same revision, else it goes into the cache.
    pub(crate) fn take_in(&self, id: &ObjectRef, object: &ManagedDatabase) -> Arc<DatabaseSeen> {
        let Some(caches) = &self.caches else {
            return Arc::new(DatabaseSeen::new(object));
        };
        let held = caches.databases.get(id.namespace(), id.name());
        if let Some(held) = held
            && object.metadata.resource_version.as_ref() == Some(&held.resource_version)
        {
            return held;
        }
        let seen = Arc::new(DatabaseSeen::new(object));
        let at = revision(Some(&seen.resource_version));
        let _ = caches
            .databases
            .put(id.namespace(), id.name(), at, Some(seen.clone()));
        seen
    }

    pub(super) async fn find_subject(
        &self,
        id: &ObjectRef,
        read: Read,
    ) -> Result<Option<Subject>, PlatformError> {
        let (database, namespace) = match (&self.caches, read) {
            (Some(caches), Read::Live) => self.read_live(caches, id).await?,
            (Some(caches), Read::Cached) => {
                let migrations = Namespace::of(&caches.migrations, id.namespace());
                (self.database(id, read).await?, migrations)
            }
            (None, _) => {
                let both = join(
                    self.database(id, read),
                    self.migrations_without_caches(id.namespace()),
                )
                .await;
                (both.0?, both.1?)
            }
        };
        let Some(database) = database else {
            return Ok(None);
        };
        let spec = database
            .spec
            .as_ref()
            .map_err(|refusals| PlatformError::Refused(refusals.to_string()))?;
        let object = database.said.clone().map_err(|error| {
            PlatformError::Refused(format!(
                "{}: {error}; put it back, or remove status.lastRun by `kubectl edit --subresource=status`",
                object_name(id)
            ))
        })?;
        let chain: Chain = match namespace.chain(&spec.desired) {
            Ok(chain) => chain,
            // A deletion goes no way: what is wrong with a migration does not hold it up.
            Err(_) if database.deleting => Chain::default(),
            Err(refusals) => return Err(PlatformError::Refused(refusals.to_string())),
        };
        Ok(Some(Subject {
            desired: Desired {
                database: (**spec).clone(),
                chain,
            },
            object,
            held: database.held,
        }))
    }

    /// The object and the chain around what it desires, each as it is now. A short chain is read one by one: a
    /// list waits until the API server's own cache has caught up, up to a tenth of a second.
    async fn read_live(
        &self,
        caches: &Arc<Caches>,
        id: &ObjectRef,
    ) -> Result<(Option<Arc<DatabaseSeen>>, Namespace), PlatformError> {
        let namespace = id.namespace();
        let migrations = || Namespace::of(&caches.migrations, namespace);
        let connected = |all: &Namespace, seen: Option<&Arc<DatabaseSeen>>| {
            let spec = seen.and_then(|seen| seen.spec.as_ref().ok());
            let names = spec.map(|spec| all.connected(&spec.desired));
            names.unwrap_or_default()
        };
        let cached = caches.databases.get(namespace, id.name());
        let mut read = connected(&migrations(), cached.as_ref());
        let (database, chain) = join(
            self.database(id, Read::Live),
            self.refresh(caches, namespace, &read),
        )
        .await;
        let database = database?;
        chain?;
        // What was read may lead to what was not: another desired version, another predecessor.
        loop {
            let all = migrations();
            let mut further = connected(&all, database.as_ref());
            further.retain(|name| !read.contains(name));
            if further.is_empty() {
                return Ok((database, all));
            }
            self.refresh(caches, namespace, &further).await?;
            read.append(&mut further);
        }
    }

    /// Brings these migrations of the cache to what they are now.
    async fn refresh(
        &self,
        caches: &Arc<Caches>,
        namespace: &str,
        names: &BTreeSet<MigrationName>,
    ) -> Result<(), PlatformError> {
        if names.len() > READ_SINGLY_MAX {
            return self.refresh_all(caches, namespace).await;
        }
        let all = names
            .iter()
            .map(|name| self.refresh_one(caches, namespace, name.as_str()));
        join_all(all).await.into_iter().collect()
    }

    async fn refresh_one(
        &self,
        caches: &Arc<Caches>,
        namespace: &str,
        name: &str,
    ) -> Result<(), PlatformError> {
        let api: Api<DatabaseMigration> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("{DATABASE_MIGRATION} {namespace}/{name}");
        let found = call::find(api.get(name)).await;
        match found.map_err(|error| error.of("reading", &what))? {
            Some(object) => {
                take_in_migration(caches, namespace, &object);
            }
            None => {
                let _ = caches.migrations.take(namespace, name);
            }
        }
        Ok(())
    }

    /// The migrations of a namespace, without caches.
    async fn migrations_without_caches(&self, namespace: &str) -> Result<Namespace, PlatformError> {
        let mut all = Namespace::default();
        for object in self.list_migrations(namespace).await? {
            all.add(&object.name_any(), &MigrationSeen::new(&object).migration);
        }
        Ok(all)
    }

    /// Brings the cache's migrations of a namespace to what they are now.
    async fn refresh_all(
        &self,
        caches: &Arc<Caches>,
        namespace: &str,
    ) -> Result<(), PlatformError> {
        let api: Api<DatabaseMigration> = Api::namespaced(self.client.clone(), namespace);
        let all = call::read(api.list_metadata(&ListParams::default())).await;
        let all = all.map_err(|error| error.of("listing", &migrations_of(namespace)))?;
        let mut changed = Vec::new();
        let mut listed = std::collections::BTreeSet::new();
        for one in &all.items {
            let name = one.name_any();
            let held = caches.migrations.get(namespace, &name);
            if held.is_none_or(|held| {
                Some(&held.resource_version) != one.metadata.resource_version.as_ref()
            }) {
                changed.push(name.clone());
            }
            listed.insert((Arc::from(namespace), name.into()));
        }
        let _ = caches.migrations.keep(Some(namespace), &listed);
        if changed.len() > READ_SINGLY_MAX {
            for object in self.list_migrations(namespace).await? {
                take_in_migration(caches, namespace, &object);
            }
            return Ok(());
        }
        for name in changed {
            self.refresh_one(caches, namespace, &name).await?;
        }
        Ok(())
    }

    async fn list_migrations(
        &self,
        namespace: &str,
    ) -> Result<Vec<DatabaseMigration>, PlatformError> {
        let api: Api<DatabaseMigration> = Api::namespaced(self.client.clone(), namespace);
        let all = call::read(api.list(&ListParams::default())).await;
        let all = all.map_err(|error| error.of("listing", &migrations_of(namespace)))?;
        Ok(all.items)
    }
}

/// Puts a migration that came from the API server just now into the cache, unless that has it at this revision.
fn take_in_migration(caches: &Caches, namespace: &str, object: &DatabaseMigration) {
    let (name, version) = (object.name_any(), &object.metadata.resource_version);
    let held = caches.migrations.get(namespace, &name);
    if held.is_none_or(|held| Some(&held.resource_version) != version.as_ref()) {
        let (at, seen) = (revision(version.as_deref()), MigrationSeen::new(object));
        let _ = caches.migrations.put(namespace, &name, at, Some(seen));
    }
}

/// A ManagedDatabase as messages name it.
pub(crate) fn object_name(id: &ObjectRef) -> String {
    format!("{MANAGED_DATABASE} {id}")
}

fn migrations_of(namespace: &str) -> String {
    format!("the DatabaseMigrations of namespace {namespace}")
}
