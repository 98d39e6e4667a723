//! Application Secrets as files: `secrets/<namespace>/<name>/<key>`.
//!
//! `<name>` is a link to a directory that is never changed once it is linked to, so that a Secret changes at
//! one stroke, its marks with it, and no reader ever finds half of one:
//!
//! ```text
//! secrets/shop/shop-v2 -> .data/shop-v2/3/keys
//! secrets/shop/.data/shop-v2/3/meta.yaml          whose it is
//! secrets/shop/.data/shop-v2/3/keys/password      and so on
//! ```
//!
//! Anything else that bears the name is not ours, and never touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use dbop_engine::{AppSecret, Dress, PlatformError, Revision, SecretSeen};
use dbop_model::{ClaimId, MigrationName, ObjectRef, SecretName};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::file::{self, FileError, is_missing};

/// Where the content of the links lies. No Secret's name starts with a dot.
const DATA: &str = ".data";
/// A crash leaves at most one directory behind for each write, and the next start sweeps them.
const GENERATIONS_MAX: u32 = 10_000;

/// The Secrets of a state directory.
pub(crate) struct Secrets {
    root: PathBuf,
}

/// Whose a Secret is, and what else it has beside its keys: what labels and annotations are in a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    namespace: String,
    database: String,
    migration: String,
    claim: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    /// The keys that are by a template.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    keys: BTreeSet<String>,
    /// Since when it names its login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_at: Option<Timestamp>,
}

/// What bears a Secret's name.
enum Found {
    Nothing,
    /// A link of ours whose content somebody has removed.
    Dangling,
    Foreign,
    Ours {
        meta: Box<Meta>,
        data: BTreeMap<String, SecretString>,
        generation: PathBuf,
    },
}

impl Secrets {
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            root: state.join("secrets"),
        }
    }

    /// The Secrets of a database, and what bears one of `names`; by migration.
    pub(crate) fn list(
        &self,
        database: &ObjectRef,
        names: &BTreeMap<MigrationName, SecretName>,
    ) -> Result<BTreeMap<MigrationName, SecretSeen>, FileError> {
        let mut seen = BTreeMap::new();
        for (migration, name) in names {
            if let Some(secret) = self.look(database, migration, name)? {
                seen.insert(migration.clone(), secret);
            }
        }
        // Those of migrations that no longer belong to the chain are ours all the same.
        for name in file::names(&self.root.join(database.namespace()))? {
            let Ok(name) = SecretName::new(name) else {
                continue;
            };
            if let Found::Ours { meta, .. } = self.find(database.namespace(), &name)?
                && meta.is_of(database)
                && let Ok(migration) = MigrationName::new(meta.migration)
                && !seen.contains_key(&migration)
                && let Some(secret) = self.look(database, &migration, &name)?
            {
                seen.insert(migration, secret);
            }
        }
        Ok(seen)
    }

    fn look(
        &self,
        database: &ObjectRef,
        migration: &MigrationName,
        name: &SecretName,
    ) -> Result<Option<SecretSeen>, FileError> {
        Ok(match self.find(database.namespace(), name)? {
            Found::Nothing | Found::Dangling => None,
            Found::Ours { meta, data, .. }
                if meta.is_of(database) && meta.migration == migration.as_str() =>
            {
                Some(SecretSeen {
                    name: name.clone(),
                    ours: true,
                    revision: revision(&meta, &data),
                    dress: meta.dress(),
                    claim: ClaimId::new(&meta.claim).ok(),
                    issued_at: meta.issued_at,
                    created_at: None,
                    kind: meta.kind,
                    data,
                })
            }
            Found::Foreign | Found::Ours { .. } => Some(SecretSeen {
                name: name.clone(),
                ours: false,
                revision: Revision(String::new()),
                kind: String::new(),
                data: BTreeMap::new(),
                dress: Dress::default(),
                claim: None,
                issued_at: None,
                created_at: None,
            }),
        })
    }

    /// Creates a Secret (`at`: `None`), or replaces ours at that revision.
    pub(crate) fn write(
        &self,
        secret: &AppSecret,
        at: Option<&Revision>,
    ) -> Result<(), PlatformError> {
        let namespace = secret.database.namespace();
        let mut meta = Meta {
            namespace: namespace.to_owned(),
            database: secret.database.name().to_owned(),
            migration: secret.migration.to_string(),
            claim: secret.claim.clone(),
            kind: secret.kind.clone(),
            labels: secret.dress.labels.clone(),
            annotations: secret.dress.annotations.clone(),
            keys: secret.dress.keys.clone(),
            issued_at: secret.issued_at,
        };
        let mut whole = secret.data.clone();
        let changed = || PlatformError::Conflict {
            what: what(namespace, &secret.name),
        };
        let old = match self.find(namespace, &secret.name)? {
            Found::Foreign => return Err(foreign(namespace, &secret.name)),
            Found::Nothing | Found::Dangling if at.is_some() => return Err(changed()),
            Found::Nothing => None,
            Found::Dangling => {
                file::remove(&self.path(namespace, &secret.name))?;
                None
            }
            Found::Ours {
                meta: stands,
                data,
                generation,
            } => {
                if !stands.is_of(&secret.database) || stands.migration != meta.migration {
                    return Err(foreign(namespace, &secret.name));
                }
                let standing = revision(&stands, &data);
                meta.issued_at = meta.issued_at.or(stands.issued_at);
                meta.kind = stands.kind;
                whole = secret.over(&data);
                if standing == revision(&meta, &whole) {
                    return Ok(());
                }
                if at != Some(&standing) {
                    return Err(changed());
                }
                Some(generation)
            }
        };
        let generation = self.fill(namespace, &secret.name, &meta, &whole)?;
        self.link(namespace, &secret.name, &generation, old.is_some())?;
        match old {
            Some(old) => Ok(file::remove_directory(&old)?),
            None => Ok(()),
        }
    }

    /// Deletes a Secret of ours at that revision. One that is gone is deleted.
    pub(crate) fn delete(
        &self,
        database: &ObjectRef,
        name: &SecretName,
        at: &Revision,
    ) -> Result<(), PlatformError> {
        let namespace = database.namespace();
        match self.find(namespace, name)? {
            Found::Nothing => Ok(()),
            Found::Dangling => Ok(file::remove(&self.path(namespace, name))?),
            Found::Ours {
                meta,
                data,
                generation,
            } if meta.is_of(database) => {
                if revision(&meta, &data) != *at {
                    return Err(PlatformError::Conflict {
                        what: what(namespace, name),
                    });
                }
                file::remove(&self.path(namespace, name))?;
                Ok(file::remove_directory(&generation)?)
            }
            Found::Foreign | Found::Ours { .. } => Err(foreign(namespace, name)),
        }
    }

    /// Removes content that no link leads to: what a crash between two steps left.
    pub(crate) fn sweep(&self) -> Result<(), FileError> {
        for namespace in file::names(&self.root)? {
            let directory = self.root.join(&namespace);
            file::sweep(&directory)?;
            for name in file::names(&directory.join(DATA))? {
                let all = directory.join(DATA).join(&name);
                file::sweep(&all)?;
                let linked = fs::read_link(directory.join(&name)).unwrap_or_default();
                for number in file::names(&all)? {
                    if linked != target(&name, &number) {
                        file::remove_directory(&all.join(number))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn find(&self, namespace: &str, name: &SecretName) -> Result<Found, FileError> {
        let path = self.path(namespace, name);
        let target = match fs::read_link(&path) {
            Ok(target) => target,
            Err(error) if is_missing(&error) => return Ok(Found::Nothing),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(Found::Foreign),
            Err(error) => return Err(FileError::of("read", &path)(error)),
        };
        let keys = file::parent(&path).join(&target);
        let Some(generation) = keys.parent().map(Path::to_owned) else {
            return Ok(Found::Foreign);
        };
        let in_place = generation.parent() == Some(&self.data(namespace, name));
        if in_place && !generation.exists() {
            return Ok(Found::Dangling);
        }
        let meta = match in_place
            .then(|| file::read(&generation.join("meta.yaml")))
            .transpose()?
        {
            Some(Some(meta)) => meta,
            _ => return Ok(Found::Foreign),
        };
        let Ok(meta) = serde_saphyr::from_str(&String::from_utf8_lossy(&meta)) else {
            return Ok(Found::Foreign);
        };
        let mut data = BTreeMap::new();
        for key in file::names(&keys)? {
            if let Some(value) = file::read(&keys.join(&key))? {
                data.insert(key, String::from_utf8_lossy(&value).into_owned().into());
            }
        }
        Ok(Found::Ours {
            meta,
            data,
            generation,
        })
    }

    /// Writes the content to a place that nobody looks at yet.
    fn fill(
        &self,
        namespace: &str,
        name: &SecretName,
        meta: &Meta,
        data: &BTreeMap<String, SecretString>,
    ) -> Result<PathBuf, PlatformError> {
        let all = self.data(namespace, name);
        file::create_directory(&all)?;
        let taken = |number: &u32| !all.join(number.to_string()).exists();
        let Some(number) = (1..GENERATIONS_MAX).find(taken) else {
            return Err(PlatformError::Failed {
                operation: format!("writing {}", what(namespace, name)),
                reason: format!("{} is full", all.display()),
            });
        };
        let generation = all.join(number.to_string());
        let new = file::create_beside(&generation)?;
        let write = |path: PathBuf, content: &[u8]| {
            file::create(&path, content).map_err(FileError::of("write", &path))
        };
        let meta = serde_saphyr::to_string(meta).map_err(|error| PlatformError::Failed {
            operation: format!("writing {}", what(namespace, name)),
            reason: error.to_string(),
        })?;
        write(new.join("meta.yaml"), meta.as_bytes())?;
        let keys = new.join("keys");
        file::create_directory(&keys)?;
        for (key, value) in data {
            write(keys.join(key), value.expose_secret().as_bytes())?;
        }
        for directory in [&keys, &new] {
            file::sync_directory(directory).map_err(FileError::of("write", directory))?;
        }
        fs::rename(&new, &generation).map_err(FileError::of("write", &generation))?;
        file::sync_directory(&all).map_err(FileError::of("write", &all))?;
        Ok(generation)
    }

    /// Makes the name lead to a generation, in one step.
    fn link(
        &self,
        namespace: &str,
        name: &SecretName,
        generation: &Path,
        replaces: bool,
    ) -> Result<(), PlatformError> {
        let path = self.path(namespace, name);
        let wrong = |error| FileError::of("write", &path)(error);
        let number = generation.file_name().unwrap_or_default().to_string_lossy();
        let target = target(name.as_str(), &number);
        if replaces {
            // A link is not replaced in place: a new one takes its name.
            let new = file::create_beside(&path)?;
            symlink(&target, new.join("link")).map_err(wrong)?;
            fs::rename(new.join("link"), &path).map_err(wrong)?;
            fs::remove_dir(&new).map_err(wrong)?;
        } else {
            match symlink(&target, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(foreign(namespace, name));
                }
                done => done.map_err(wrong)?,
            }
        }
        Ok(file::sync_directory(file::parent(&path)).map_err(wrong)?)
    }

    fn path(&self, namespace: &str, name: &SecretName) -> PathBuf {
        self.root.join(namespace).join(name.as_str())
    }

    fn data(&self, namespace: &str, name: &SecretName) -> PathBuf {
        self.root.join(namespace).join(DATA).join(name.as_str())
    }
}

impl Meta {
    fn is_of(&self, database: &ObjectRef) -> bool {
        self.namespace == database.namespace() && self.database == database.name()
    }

    fn dress(&self) -> Dress {
        Dress {
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            keys: self.keys.clone(),
        }
    }
}

/// What the link of a Secret holds.
fn target(name: &str, number: &str) -> PathBuf {
    [DATA, name, number, "keys"].iter().collect()
}

/// The revision is the content: what was changed by hand and changed back is unchanged.
fn revision(meta: &Meta, data: &BTreeMap<String, SecretString>) -> Revision {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    for text in [
        &meta.namespace,
        &meta.database,
        &meta.migration,
        &meta.claim,
        &meta.kind,
    ] {
        part(text);
    }
    for map in [&meta.labels, &meta.annotations] {
        part(&map.len().to_string());
        for (name, value) in map {
            part(name);
            part(value);
        }
    }
    if let Some(issued_at) = &meta.issued_at {
        part(&issued_at.to_string());
    }
    part(&meta.keys.len().to_string());
    for key in &meta.keys {
        part(key);
    }
    for (key, value) in data {
        part(key);
        part(value.expose_secret());
    }
    Revision(
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    )
}

fn what(namespace: &str, name: &SecretName) -> String {
    format!("Secret {namespace}/{name}")
}

fn foreign(namespace: &str, name: &SecretName) -> PlatformError {
    PlatformError::Foreign {
        what: what(namespace, name),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::scratch::Scratch;

    fn shop() -> ObjectRef {
        ObjectRef::new("shop", "shop").unwrap()
    }

    fn v(name: &str) -> MigrationName {
        MigrationName::new(name).unwrap()
    }

    fn secret(migration: &str, password: &str) -> AppSecret {
        let data = [
            ("username", "shop_v1"),
            ("password", password),
            ("ca.crt", "---\n"),
        ];
        AppSecret {
            database: shop(),
            migration: v(migration),
            name: SecretName::new(format!("shop-{migration}")).unwrap(),
            kind: "servicebinding.io/postgresql".to_owned(),
            claim: "9f31c0de".to_owned(),
            data: data
                .map(|(key, value)| (key.to_owned(), value.to_owned().into()))
                .into(),
            dress: Dress::default(),
            issued_at: None,
            undress: Dress::default(),
        }
    }

    fn names(of: &[&str]) -> BTreeMap<MigrationName, SecretName> {
        let name = |m: &&str| (v(m), SecretName::new(format!("shop-{m}")).unwrap());
        of.iter().map(name).collect()
    }

    #[test]
    fn a_secret_is_files_for_its_owner_alone() {
        let scratch = Scratch::new();
        let secrets = Secrets::new(scratch.path());
        secrets.write(&secret("v1", "one"), None).unwrap();
        let password = scratch.path().join("secrets/shop/shop-v1/password");
        assert_eq!(fs::read_to_string(&password).unwrap(), "one");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&password), 0o600);
        for directory in password.ancestors().skip(1).take(3) {
            assert_eq!(mode(directory), 0o700, "{}", directory.display());
        }
        let seen = secrets.list(&shop(), &names(&["v1", "v2"])).unwrap();
        assert_eq!(seen.keys().collect::<Vec<_>>(), [&v("v1")]);
        assert!(seen[&v("v1")].ours);
        assert_eq!(seen[&v("v1")].data["ca.crt"].expose_secret(), "---\n");
        assert!(!format!("{seen:?}").contains("one"));
    }

    #[test]
    fn a_write_needs_the_revision_that_stands() {
        let scratch = Scratch::new();
        let secrets = Secrets::new(scratch.path());
        let revision = |of: &Secrets| {
            of.list(&shop(), &names(&["v1"])).unwrap()[&v("v1")]
                .revision
                .clone()
        };
        let conflict = Err(PlatformError::Conflict {
            what: "Secret shop/shop-v1".to_owned(),
        });
        let stale = Revision("stale".to_owned());

        assert_eq!(secrets.write(&secret("v1", "one"), Some(&stale)), conflict);
        secrets.write(&secret("v1", "one"), None).unwrap();
        let first = revision(&secrets);
        secrets
            .write(&secret("v1", "one"), None)
            .expect("the same again is done");
        assert_eq!(secrets.write(&secret("v1", "two"), None), conflict);
        assert_eq!(secrets.write(&secret("v1", "two"), Some(&stale)), conflict);
        secrets.write(&secret("v1", "two"), Some(&first)).unwrap();
        secrets
            .write(&secret("v1", "two"), Some(&first))
            .expect("the same again is done");
        let password = scratch.path().join("secrets/shop/shop-v1/password");
        assert_eq!(fs::read_to_string(&password).unwrap(), "two");

        // A change by hand is a change.
        let second = revision(&secrets);
        fs::write(&password, "by hand").unwrap();
        assert_ne!(revision(&secrets), second);
        assert_eq!(
            secrets.delete(&shop(), &secret("v1", "").name, &second),
            conflict
        );
        secrets
            .delete(&shop(), &secret("v1", "").name, &revision(&secrets))
            .unwrap();
        secrets
            .delete(&shop(), &secret("v1", "").name, &second)
            .expect("gone is deleted");
        assert!(secrets.list(&shop(), &names(&["v1"])).unwrap().is_empty());
        let left = file::names(&scratch.path().join("secrets/shop/.data/shop-v1")).unwrap();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn what_is_not_ours_is_never_touched() {
        let scratch = Scratch::new();
        let secrets = Secrets::new(scratch.path());
        scratch.write("secrets/shop/shop-v1/password", "theirs");
        // The Secret of another database that happens to bear the name.
        let mut other = secret("v2", "other");
        other.database = ObjectRef::new("shop", "other").unwrap();
        secrets.write(&other, None).unwrap();
        let seen = secrets.list(&shop(), &names(&["v1", "v2"])).unwrap();
        for migration in ["v1", "v2"] {
            let secret = secret(migration, "mine");
            let found = &seen[&v(migration)];
            assert!(!found.ours && found.data.is_empty());
            let foreign = Err(PlatformError::Foreign {
                what: format!("Secret shop/{}", secret.name),
            });
            assert_eq!(secrets.write(&secret, None), foreign);
            assert_eq!(secrets.write(&secret, Some(&found.revision)), foreign);
            assert_eq!(
                secrets.delete(&shop(), &secret.name, &found.revision),
                foreign
            );
        }
        let theirs = scratch.path().join("secrets/shop/shop-v1/password");
        assert_eq!(fs::read_to_string(theirs).unwrap(), "theirs");
        let other = scratch.path().join("secrets/shop/shop-v2/password");
        assert_eq!(fs::read_to_string(other).unwrap(), "other");
    }

    #[test]
    fn a_secret_outside_of_the_chain_is_seen() {
        let scratch = Scratch::new();
        let secrets = Secrets::new(scratch.path());
        secrets.write(&secret("v1", "one"), None).unwrap();
        let seen = secrets.list(&shop(), &names(&["v7"])).unwrap();
        assert!(seen[&v("v1")].ours);
    }

    #[test]
    fn a_secret_removed_by_hand_can_be_written_again() {
        let scratch = Scratch::new();
        let secrets = Secrets::new(scratch.path());
        let namespace = scratch.path().join("secrets/shop");
        for gone in ["shop-v1", ".data", ".data/shop-v1/1/keys"] {
            secrets.write(&secret("v1", "one"), None).unwrap();
            fs::remove_dir_all(namespace.join(gone)).unwrap();
            let seen = secrets.list(&shop(), &names(&["v1"])).unwrap();
            let at = seen.get(&v("v1")).map(|secret| secret.revision.clone());
            secrets.write(&secret("v1", "two"), at.as_ref()).unwrap();
            let password = fs::read_to_string(namespace.join("shop-v1/password")).unwrap();
            assert_eq!(password, "two");
            fs::remove_dir_all(&namespace).unwrap();
        }
    }

    #[test]
    fn what_a_crash_left_is_swept() {
        let scratch = Scratch::new();
        let secrets = Secrets::new(scratch.path());
        secrets.write(&secret("v1", "one"), None).unwrap();
        let data = scratch.path().join("secrets/shop/.data");
        scratch.write("secrets/shop/.data/shop-v1/7/keys/password", "never linked");
        scratch.write("secrets/shop/.data/shop-v2/1/keys/password", "never linked");
        scratch.write("secrets/shop/.data/shop-v2/.new.1.1/keys/password", "half");
        secrets.sweep().unwrap();
        assert_eq!(file::names(&data.join("shop-v1")).unwrap(), ["1"]);
        assert_eq!(fs::read_dir(data.join("shop-v2")).unwrap().count(), 0);
        assert!(secrets.list(&shop(), &names(&["v1"])).unwrap()[&v("v1")].ours);
    }
}
