//! The status of DatabaseMigrations: their digest, and the databases to whose chain they belong.
//!
//! Both follow from the caches alone, for a whole namespace at once: a chain may serve a thousand databases, and a
//! new one of them is one look, not a thousand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dbop_api::DatabaseMigrationStatus;
use dbop_api::migration::LIST_ITEMS_MAX;
use dbop_model::{MigrationName, ObjectRef};

use crate::cache::Caches;
use crate::cache::chains::Namespace;
use crate::cache::seen::MigrationSeen;
use crate::platform::KubernetesPlatform;

/// What comes within this is one change: an apply of a directory creates many objects.
const SETTLE: Duration = Duration::from_secs(1);
/// A status that could not be written is tried again after this.
const AGAIN: Duration = Duration::from_secs(15);

/// Keeps the statuses true, for good.
pub(super) async fn keep_statuses(platform: Arc<KubernetesPlatform>, caches: Arc<Caches>) {
    loop {
        let namespaces = caches.take_touched();
        let mut failed = BTreeSet::new();
        for namespace in namespaces {
            if !show(&platform, &caches, &namespace).await {
                failed.insert(namespace);
            }
        }
        let pause = if failed.is_empty() {
            caches.touched.notified().await;
            SETTLE
        } else {
            caches.touch_again(failed);
            AGAIN
        };
        tokio::time::sleep(pause).await;
    }
}

/// False: some could not be written.
async fn show(platform: &KubernetesPlatform, caches: &Caches, namespace: &str) -> bool {
    let mut all_written = true;
    for (name, seen, status) in statuses(caches, namespace) {
        let Ok(id) = ObjectRef::new(namespace, name.as_str()) else {
            continue;
        };
        if let Err(error) = platform.show_migration(&id, &seen, &status).await {
            tracing::warn!(migration = %id, %error, "the status of a DatabaseMigration could not be written");
            all_written = false;
        }
    }
    all_written
}

/// The status of each migration of a namespace that parses.
fn statuses(
    caches: &Caches,
    namespace: &str,
) -> Vec<(MigrationName, MigrationSeen, DatabaseMigrationStatus)> {
    let chains = Namespace::of(&caches.migrations, namespace);
    let mut users: BTreeMap<MigrationName, BTreeSet<String>> = BTreeMap::new();
    caches.databases.each_in(namespace, |name, database| {
        if let Ok(spec) = &database.spec {
            let users = users.entry(spec.desired.clone()).or_default();
            users.insert(name.to_owned());
        }
    });
    let mut used_by: BTreeMap<MigrationName, BTreeSet<&String>> = BTreeMap::new();
    for (desired, names) in &users {
        for migration in chains.connected(desired) {
            used_by.entry(migration).or_default().extend(names);
        }
    }
    let mut statuses = Vec::new();
    caches.migrations.each_in(namespace, |_, seen| {
        let Ok(migration) = &seen.migration else {
            return;
        };
        let names = used_by.get(&migration.name).into_iter().flatten();
        let status = DatabaseMigrationStatus {
            digest: Some(migration.digest.to_string()),
            used_by: names
                .take(LIST_ITEMS_MAX as usize)
                .map(|name| (*name).clone())
                .collect(),
        };
        statuses.push((migration.name.clone(), seen.clone(), status));
    });
    statuses
}
