//! Secrets: the admin's DSN, and the applications' credentials.
//!
//! A credential's Secret is ours by its marks. It is created, never adopted; replaced and deleted only at the
//! revision that was looked at. It has no owner: deleting the ManagedDatabase in the foreground would take it from
//! applications that a `Retain` leaves in peace.

use std::collections::{BTreeMap, BTreeSet};

use dbop_api::marks::{
    self, CLAIM_ANNOTATION, DATABASE_LABEL, FIELD_MANAGER, ISSUED_ANNOTATION, MANAGED_BY,
    MANAGED_BY_LABEL, MIGRATION_ANNOTATION, MIGRATION_LABEL, TEMPLATE_ANNOTATION, fits_label,
};
use dbop_credentials::parts;
use dbop_database::Target;
use dbop_engine::{AppSecret, Dress, PlatformError, Read, Revision, SecretSeen, connection_value};
use dbop_model::{DatabaseSpec, DsnKeys, MigrationName, ObjectRef, SecretName, ServerRole};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::contents::{Content, Data, data};
use super::dress;
use super::{KubernetesPlatform, READ_SINGLY_MAX};
use crate::cache::seen::{SecretMeta, credential};
use crate::cache::table::revision;
use crate::call::{self, CallError};

/// The key of a CA certificate's Secret.
const CA_KEY: &str = "ca.crt";

/// Secrets of one page of such a list: what is decoded at once is a megabyte.
const PAGE_SIZE: u32 = 250;
/// Namespaces that are read ahead at once.
const NAMESPACES_AT_ONCE: usize = 8;

/// The Secrets of a database that concern it, by migration.
type Seen = BTreeMap<MigrationName, SecretSeen>;

impl KubernetesPlatform {
    fn secrets_of(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// A Secret's content; `None`: there is no such Secret.
    async fn content(
        &self,
        namespace: &str,
        name: &str,
        read: Read,
    ) -> Result<Option<Content>, PlatformError> {
        let Ok(id) = ObjectRef::new(namespace, name) else {
            return Ok(None);
        };
        if let (Read::Cached, Some(caches)) = (read, &self.caches) {
            let Some(meta) = caches.secrets.get(namespace, name) else {
                return Ok(None);
            };
            if let Some(content) = self.contents.get(&id, &meta.resource_version) {
                return Ok(Some(content));
            }
        }
        let found = call::find(self.secrets_of(namespace).get(name)).await;
        let found = found.map_err(|error| error.of("reading", &secret_name(&id)))?;
        Ok(found.map(|secret| self.take_in_secret(&id, &secret)))
    }

    /// Reads the credentials of many databases at once: each of them would ask for its own at the first look. What
    /// cannot be read so is read then.
    pub(crate) async fn read_ahead(&self) {
        let Some(caches) = &self.caches else { return };
        let mut databases: BTreeMap<String, usize> = BTreeMap::new();
        caches.databases.each(|namespace, _, _| {
            *databases.entry(namespace.to_owned()).or_default() += 1;
        });
        let many = databases
            .into_iter()
            .filter(|(_, count)| *count > READ_SINGLY_MAX);
        futures_util::stream::iter(many)
            .for_each_concurrent(NAMESPACES_AT_ONCE, async |(namespace, _)| {
                self.read_ahead_in(&namespace).await;
            })
            .await;
    }

    async fn read_ahead_in(&self, namespace: &str) {
        let api = self.secrets_of(namespace);
        let mut page = ListParams::default()
            .labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"))
            .limit(PAGE_SIZE);
        loop {
            let listed = match call::read(api.list(&page)).await {
                Ok(listed) => listed,
                Err(error) => {
                    let error = error.of("listing", &format!("the Secrets of {namespace}"));
                    tracing::warn!(%error, "credentials are read one by one");
                    return;
                }
            };
            for secret in &listed.items {
                if let Ok(id) = ObjectRef::new(namespace, secret.name_any())
                    && credential(&secret.metadata).is_some()
                {
                    let _ = self.take_in_secret(&id, secret);
                }
            }
            match listed.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page.continue_token = Some(next),
                None => return,
            }
        }
    }

    /// Keeps what came from the API server just now, and gives its content.
    fn take_in_secret(&self, id: &ObjectRef, secret: &Secret) -> Content {
        let content = Content::of(secret);
        if let Some(caches) = &self.caches {
            let meta = SecretMeta::new(&secret.metadata);
            self.contents.keep(id, &meta.resource_version, &content);
            let at = revision(Some(&meta.resource_version));
            let _ = caches
                .secrets
                .put(id.namespace(), id.name(), at, Some(meta));
        }
        content
    }

    /// The content of a Secret of another namespace, which allows this database; `None`: it does not, or there is none.
    /// It is asked for each time: its namespace may be none that is watched.
    async fn lent(
        &self,
        secret: &ObjectRef,
        to: &ObjectRef,
    ) -> Result<Option<Data>, PlatformError> {
        let api = self.secrets_of(secret.namespace());
        let found = call::find(api.get(secret.name())).await;
        let found = found.map_err(|error| error.of("reading", &secret_name(secret)))?;
        Ok(found
            .filter(|found| marks::is_lent(found.annotations(), to))
            .map(|found| data(&found)))
    }

    /// The content of a Secret that the spec names; `keys` is what it is needed for.
    async fn named(
        &self,
        spec: &DatabaseSpec,
        field: &str,
        secret: &ObjectRef,
        keys: &DsnKeys,
        read: Read,
    ) -> Result<Data, PlatformError> {
        let id = &spec.id;
        if secret.namespace() == id.namespace() {
            let held = self.content(secret.namespace(), secret.name(), read);
            held.await?.map(|content| content.data).ok_or_else(|| {
                PlatformError::not_in_place(
                    id,
                    field,
                    &format!("Secret {secret} does not exist; create it, with the {keys}"),
                )
            })
        } else {
            let held = self.lent(secret, id).await?;
            held.ok_or_else(|| PlatformError::not_in_place(id, field, &marks::not_lent(secret, id)))
        }
    }

    pub(super) async fn find_target(
        &self,
        spec: &DatabaseSpec,
        role: ServerRole,
        read: Read,
    ) -> Result<Target, PlatformError> {
        let at = spec
            .dsn_of(role)
            .ok_or_else(|| PlatformError::no_server(&spec.id, role))?;
        let field = role.to_string();
        // Read once: parts of two revisions would be nobody's.
        let held = self.named(spec, &field, &at.secret, &at.keys, read).await?;
        let dsn = parts::dsn(&at.keys, |key| {
            connection_value(&spec.id, &at.field(role), &at.secret, &held, key)
        })?;
        let ca_certificate = match &spec.ca_secret {
            None => None,
            Some(secret) => {
                let field = "tls.caSecret";
                let keys = DsnKeys::Whole(CA_KEY.to_owned());
                let held = self.named(spec, field, secret, &keys, read).await?;
                let ca = connection_value(&spec.id, field, secret, &held, CA_KEY)?;
                Some(ca.expose_secret().to_owned())
            }
        };
        Ok(Target {
            dsn,
            tls: spec.tls,
            ca_certificate,
        })
    }

    pub(super) async fn find_secrets(
        &self,
        database: &ObjectRef,
        names: &BTreeMap<MigrationName, SecretName>,
        read: Read,
    ) -> Result<Seen, PlatformError> {
        match (&self.caches, read) {
            (Some(_), Read::Cached) => self.cached_secrets(database, names).await,
            (Some(caches), Read::Live) => {
                let mut known: BTreeSet<SecretName> = names.values().cloned().collect();
                let (namespace, of) = (database.namespace(), database.name());
                caches.secrets.each_of(namespace, of, |name, _| {
                    known.extend(SecretName::new(name));
                });
                match known.len() <= READ_SINGLY_MAX {
                    true => self.read_secrets(database, names, &known).await,
                    false => self.listed_secrets(database, names).await,
                }
            }
            (None, _) => self.listed_secrets(database, names).await,
        }
    }

    /// As they are now, one by one: those that bear one of these names.
    async fn read_secrets(
        &self,
        database: &ObjectRef,
        names: &BTreeMap<MigrationName, SecretName>,
        known: &BTreeSet<SecretName>,
    ) -> Result<Seen, PlatformError> {
        let namespace = database.namespace();
        let api = self.secrets_of(namespace);
        let all = known.iter().map(|name| call::find(api.get(name.as_str())));
        let mut seen = Seen::new();
        for (name, found) in known.iter().zip(join_all(all).await) {
            let what = format!("Secret {namespace}/{name}");
            let Some(secret) = found.map_err(|error| error.of("reading", &what))? else {
                continue;
            };
            let of = credential(&secret.metadata);
            let ours = of.filter(|(of, _)| of == database);
            if let Some((_, migration)) = ours
                && let Some((id, one)) = seen_secret(namespace, &secret)
            {
                let _ = self.take_in_secret(&id, &secret);
                seen.insert(migration, one);
                continue;
            }
            for (migration, _) in names.iter().filter(|(_, wanted)| *wanted == name) {
                let foreign = foreign(name, &secret.metadata);
                seen.entry(migration.clone()).or_insert(foreign);
            }
        }
        Ok(seen)
    }

    /// By the watch's revisions; a Secret that was not read at its revision is read now.
    async fn cached_secrets(
        &self,
        database: &ObjectRef,
        names: &BTreeMap<MigrationName, SecretName>,
    ) -> Result<Seen, PlatformError> {
        let Some(caches) = &self.caches else {
            return Ok(Seen::new());
        };
        let namespace = database.namespace();
        let mut found: Vec<(MigrationName, SecretName, SecretMeta)> = Vec::new();
        caches
            .secrets
            .each_of(namespace, database.name(), |name, meta| {
                if let (Some(of), Ok(name)) = (&meta.of, SecretName::new(name))
                    && of.0 == *database
                {
                    found.push((of.1.clone(), name, meta.clone()));
                }
            });
        for (migration, name) in names {
            if let Some(meta) = caches.secrets.get(namespace, name.as_str())
                && meta.of.as_ref().is_none_or(|of| of.0 != *database)
            {
                found.push((migration.clone(), name.clone(), meta));
            }
        }
        let mut seen = Seen::new();
        for (migration, name, meta) in found {
            let ours = meta.of.as_ref().is_some_and(|of| of.0 == *database);
            let content = match ours {
                false => None,
                true => match self.content(namespace, name.as_str(), Read::Cached).await? {
                    Some(content) => Some(content),
                    None => continue,
                },
            };
            let revision = Revision(meta.resource_version.to_string());
            seen.insert(migration, seen_with(name, revision, content));
        }
        Ok(seen)
    }

    /// As they are now: ours by their label, and what else bears one of the names.
    async fn listed_secrets(
        &self,
        database: &ObjectRef,
        names: &BTreeMap<MigrationName, SecretName>,
    ) -> Result<Seen, PlatformError> {
        let namespace = database.namespace();
        let api = self.secrets_of(namespace);
        let ours = ListParams::default().labels(&format!(
            "{MANAGED_BY_LABEL}={MANAGED_BY},{DATABASE_LABEL}={}",
            database.name()
        ));
        let listed = call::read(api.list(&ours)).await;
        let what = format!("the Secrets of ManagedDatabase {database}");
        let listed = listed.map_err(|error| error.of("listing", &what))?;
        let mut seen = Seen::new();
        for secret in &listed.items {
            let Some((_, migration)) = credential(&secret.metadata) else {
                continue;
            };
            if let Some((id, one)) = seen_secret(namespace, secret) {
                let _ = self.take_in_secret(&id, secret);
                seen.insert(migration, one);
            }
        }
        for (migration, name) in names {
            if seen.values().any(|one| one.name == *name) || !self.may_exist(namespace, name) {
                continue;
            }
            let found = call::find(api.get_metadata(name.as_str())).await;
            let what = format!("Secret {namespace}/{name}");
            if let Some(found) = found.map_err(|error| error.of("reading", &what))? {
                let foreign = foreign(name, &found.metadata);
                seen.entry(migration.clone()).or_insert(foreign);
            }
        }
        Ok(seen)
    }

    /// May there be a Secret of this name? Creating one that is there fails in any case.
    fn may_exist(&self, namespace: &str, name: &SecretName) -> bool {
        match &self.caches {
            Some(caches) => caches.secrets.get(namespace, name.as_str()).is_some(),
            None => true,
        }
    }

    pub(super) async fn put_secret(
        &self,
        secret: &AppSecret,
        at: Option<&Revision>,
    ) -> Result<(), PlatformError> {
        let namespace = secret.database.namespace();
        let api = self.secrets_of(namespace);
        let what = format!("Secret {namespace}/{}", secret.name);
        let object = object(secret);
        let written = match at {
            None => {
                let created = PostParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    ..PostParams::default()
                };
                match call::write(api.create(&created, &object)).await {
                    Err(CallError::Exists) => self.created_before(&api, secret, &what).await?,
                    other => other.map_err(|error| error.of("creating", &what))?,
                }
            }
            Some(Revision(at)) => {
                let ours = PatchParams {
                    field_manager: Some(FIELD_MANAGER.to_owned()),
                    ..PatchParams::default()
                };
                let patch = Patch::Merge(changes(&object, &secret.undress, at));
                let patched = call::write(api.patch(secret.name.as_str(), &ours, &patch)).await;
                patched.map_err(|error| error.of("writing", &what))?
            }
        };
        if let Ok(id) = ObjectRef::new(namespace, secret.name.as_str()) {
            let _ = self.take_in_secret(&id, &written);
        }
        Ok(())
    }

    /// A Secret that was to be created is there: by our own hand, whose reply was lost, or somebody else's.
    async fn created_before(
        &self,
        api: &Api<Secret>,
        secret: &AppSecret,
        what: &str,
    ) -> Result<Secret, PlatformError> {
        let there = call::read(api.get(secret.name.as_str())).await;
        let there = there.map_err(|error| error.of("reading", what))?;
        let ours = credential(&there.metadata).is_some_and(|(database, migration)| {
            database == secret.database && migration == secret.migration
        });
        if !ours {
            return Err(PlatformError::Foreign {
                what: what.to_owned(),
            });
        }
        let held = data(&there);
        let same = secret.data.iter().all(|(key, value)| {
            held.get(key)
                .is_some_and(|held| held.expose_secret() == value.expose_secret())
        });
        if same {
            Ok(there)
        } else {
            // Somebody else of us was faster: the next look goes on from what is there.
            Err(PlatformError::Conflict {
                what: what.to_owned(),
            })
        }
    }

    pub(super) async fn remove_secret(
        &self,
        database: &ObjectRef,
        name: &SecretName,
        at: &Revision,
    ) -> Result<(), PlatformError> {
        let namespace = database.namespace();
        let only_this = DeleteParams {
            preconditions: Some(Preconditions {
                resource_version: Some(at.0.clone()),
                uid: None,
            }),
            ..DeleteParams::default()
        };
        let api = self.secrets_of(namespace);
        match call::write(api.delete(name.as_str(), &only_this)).await {
            Ok(_) | Err(CallError::NotFound) => {
                if let Ok(id) = ObjectRef::new(namespace, name.as_str()) {
                    self.forget_secret(&id);
                }
                Ok(())
            }
            Err(error) => Err(error.of("deleting", &format!("Secret {namespace}/{name}"))),
        }
    }

    pub(crate) fn forget_secret(&self, id: &ObjectRef) {
        self.contents.forget(id);
        if let Some(caches) = &self.caches {
            let _ = caches.secrets.take(id.namespace(), id.name());
        }
    }
}

/// The Secret as it is written: marks, type and content.
fn object(secret: &AppSecret) -> Secret {
    let AppSecret {
        database,
        migration,
        name,
        kind,
        claim,
        data,
        dress,
        issued_at,
        undress: _,
    } = secret;
    // The marks last: they are nobody else's to set.
    let mut labels = dress.labels.clone();
    labels.extend([
        (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
        (DATABASE_LABEL.to_owned(), database.name().to_owned()),
    ]);
    if fits_label(migration.as_str()) {
        labels.insert(MIGRATION_LABEL.to_owned(), migration.to_string());
    }
    let mut annotations = dress.annotations.clone();
    annotations.extend([
        (MIGRATION_ANNOTATION.to_owned(), migration.to_string()),
        (CLAIM_ANNOTATION.to_owned(), claim.clone()),
    ]);
    annotations.extend(issued_at.map(|at| (ISSUED_ANNOTATION.to_owned(), at.to_string())));
    annotations.extend(dress::record(dress).map(|record| (TEMPLATE_ANNOTATION.to_owned(), record)));
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_string()),
            namespace: Some(database.namespace().to_owned()),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        type_: Some(kind.clone()),
        data: Some(bytes(data)),
        ..Secret::default()
    }
}

/// What a written Secret changes in the one that is there at a revision, as a merge patch: what others have added stays,
/// and what is to go is said, since whoever created a field by another request would keep it in an apply.
fn changes(object: &Secret, undress: &Dress, at: &str) -> serde_json::Value {
    let mut labels = json!(object.metadata.labels);
    let mut annotations = json!(object.metadata.annotations);
    let mut data = json!(object.data);
    if annotations.get(TEMPLATE_ANNOTATION).is_none() {
        annotations[TEMPLATE_ANNOTATION] = serde_json::Value::Null;
    }
    for name in undress.labels.keys() {
        labels[name] = serde_json::Value::Null;
    }
    for name in undress.annotations.keys() {
        annotations[name] = serde_json::Value::Null;
    }
    for key in &undress.keys {
        data[key] = serde_json::Value::Null;
    }
    // No type: it cannot be changed.
    json!({
        "metadata": { "resourceVersion": at, "labels": labels, "annotations": annotations },
        "data": data,
    })
}

/// A Secret of ours as a look sees it.
fn seen_secret(namespace: &str, secret: &Secret) -> Option<(ObjectRef, SecretSeen)> {
    let name = SecretName::new(secret.name_any()).ok()?;
    let id = ObjectRef::new(namespace, name.as_str()).ok()?;
    let revision = Revision(secret.resource_version().unwrap_or_default());
    let seen = seen_with(name, revision, Some(Content::of(secret)));
    Some((id, seen))
}

/// Another's Secret under a name that a credential needs: nothing of its content.
fn foreign(name: &SecretName, metadata: &ObjectMeta) -> SecretSeen {
    let revision = Revision(metadata.resource_version.clone().unwrap_or_default());
    seen_with(name.clone(), revision, None)
}

/// A Secret with its content; without one: it is not ours.
fn seen_with(name: SecretName, revision: Revision, content: Option<Content>) -> SecretSeen {
    let ours = content.is_some();
    let Content {
        data,
        kind,
        dress,
        claim,
        issued_at,
        created_at,
    } = content.unwrap_or_default();
    SecretSeen {
        name,
        ours,
        revision,
        kind,
        data,
        dress,
        claim,
        issued_at,
        created_at,
    }
}

/// A Secret's values as Kubernetes takes them.
pub(crate) fn bytes(data: &BTreeMap<String, SecretString>) -> BTreeMap<String, ByteString> {
    data.iter()
        .map(|(key, value)| {
            let value = value.expose_secret().as_bytes().to_vec();
            (key.clone(), ByteString(value))
        })
        .collect()
}

fn secret_name(id: &ObjectRef) -> String {
    format!("Secret {id}")
}
