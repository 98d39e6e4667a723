//! A cluster's folder: its name, its lock, and the files through which others see and steer it.
//!
//! All clusters of a user lie below `clusters` in the cache. Each folder has a lock file beside it,
//! which the cluster's keeper holds: who gets that lock knows that nobody keeps the cluster. Nothing
//! here starts or ends a process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Form, machine};
use crate::cache::Cache;
use crate::clock;

/// The folder of all clusters, in the cache.
const CLUSTERS: &str = "clusters";
/// What the names of lock files end with.
const LOCK_SUFFIX: &str = ".lock";
/// The longest name: it is a part of paths and of the names of containers.
const NAME_MAX: usize = 40;
/// How long a keeper tries for its lock: others take it for a moment, to see
/// whether it is held, or to remove what was left.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is tried meanwhile.
const LOCK_EVERY: Duration = Duration::from_millis(20);

/// A cluster's folder, whether it is there or not.
#[derive(Debug, Clone)]
pub(crate) struct State {
    name: String,
    folder: PathBuf,
}

impl State {
    /// The folder of the cluster of this name.
    pub(crate) fn of(cache: &Cache, name: &str) -> Result<State> {
        check_name(name)?;
        Ok(State {
            name: name.to_owned(),
            folder: cache.entry(CLUSTERS).join(name),
        })
    }

    /// The cluster whose folder this is.
    pub(crate) fn at(folder: &Path) -> Option<State> {
        let name = folder.file_name()?.to_str()?.to_owned();
        check_name(&name).ok()?;
        Some(State {
            name,
            folder: folder.to_owned(),
        })
    }

    /// The cluster whose administrator's kubeconfig this is, where it is one that we made.
    pub(crate) fn of_kubeconfig(file: &Path) -> Option<State> {
        let state = State::at(file.parent()?)?;
        (state.form().is_some() && state.kubeconfig() == file).then_some(state)
    }

    /// The clusters that have a folder, by name.
    pub(crate) fn all(cache: &Cache) -> Vec<State> {
        let folder = cache.entry(CLUSTERS);
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut all: Vec<State> = entries
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| State::of(cache, entry.file_name().to_str()?).ok())
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The cluster's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The administrator's kubeconfig; it is there once the cluster is ready.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The API server's audit log.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// The folder of keys, certificates and the components' own kubeconfigs.
    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// What a component has printed.
    pub(crate) fn log(&self, component: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{component}.log"))
    }

    /// The kind of cluster, as its folder tells.
    pub(crate) fn form(&self) -> Option<Form> {
        let text = std::fs::read_to_string(self.folder.join("form")).ok()?;
        Form::parse(text.trim())
    }

    /// Creates the folder, closed to others, with the folders in it.
    pub(crate) fn create(&self, form: Form) -> Result<()> {
        for folder in [
            &self.folder,
            &self.keys(),
            &self.folder.join("logs"),
            &self.folder.join("wanted"),
            &self.folder.join("seen"),
        ] {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .with_context(|| format!("{} cannot be created", folder.display()))?;
        }
        self.write("form", form.name())
    }

    /// Writes a file in the folder whole: a reader sees all of it or none.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<()> {
        let place = self.folder.join(file);
        let describe = || format!("{} cannot be written", place.display());
        let beside = self.folder.join(format!("{file}.new"));
        let mut new = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)
            .with_context(describe)?;
        new.write_all(text.as_bytes()).with_context(describe)?;
        std::fs::rename(&beside, &place).with_context(describe)
    }

    /// The text of a file in the folder, if it is there.
    pub(crate) fn read(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.join(file)).ok()
    }

    /// The lock, if nobody holds it.
    pub(crate) fn try_lock(&self) -> Result<Option<Lock>> {
        Lock::take(&self.lock_path())
    }

    /// Takes the lock for a keeper.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let started = clock::now();
        while started.elapsed() < LOCK_PATIENCE {
            if let Some(lock) = self.try_lock()? {
                return Ok(lock);
            }
            std::thread::sleep(LOCK_EVERY);
        }
        bail!(
            "a cluster named {0} is running already; `cargo xtask cluster down --name {0}` ends it",
            self.name
        )
    }

    /// Removes the folder and the lock; the cluster itself must be gone.
    pub(crate) fn remove(&self, lock: Lock) -> Result<()> {
        self.wipe()?;
        lock.remove();
        Ok(())
    }

    /// Removes the folder, unless something is mounted in it, which would be emptied too.
    pub(crate) fn wipe(&self) -> Result<()> {
        let mounts = machine::mounts_below(&self.folder);
        ensure!(
            mounts.is_empty(),
            "{} is not removed: {} is still mounted; unmount it and try again",
            self.folder.display(),
            mounts[0].display()
        );
        match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{} cannot be removed", self.folder.display()))
            }
            _ => Ok(()),
        }
    }

    fn lock_path(&self) -> PathBuf {
        self.folder
            .with_file_name(format!("{}{LOCK_SUFFIX}", self.name))
    }
}

/// A lock file that this process holds.
pub(crate) struct Lock {
    path: PathBuf,
    /// Held until this is dropped.
    _file: File,
}

impl Lock {
    /// The lock at this place, if nobody holds it.
    pub(crate) fn take(path: &Path) -> Result<Option<Lock>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("{} cannot be created", folder.display()))?;
        }
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)
                .with_context(|| format!("the lock {} cannot be created", path.display()))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => {
                    return Err(error)
                        .with_context(|| format!("{} cannot be locked", path.display()));
                }
            }
            // Its last holder may have removed the file after we opened it: then this is the lock
            // of nothing.
            let ours = file.metadata().map(|file| file.ino()).ok();
            if ours.is_some() && path.metadata().map(|file| file.ino()).ok() == ours {
                return Ok(Some(Lock {
                    path: path.to_owned(),
                    _file: file,
                }));
            }
        }
    }

    /// Removes the file and lets go of it.
    pub(crate) fn remove(self) {
        // An empty file that stays harms nothing.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    ensure!(
        !name.is_empty() && name.len() <= NAME_MAX && name.chars().all(allowed),
        "{name:?} is no name for a cluster; it has 1 to {NAME_MAX} of the characters a-z, 0-9 and -"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::random_hex;

    fn scratch() -> Cache {
        let name = format!("dbop-cluster-test-{}", random_hex(8).unwrap());
        Cache::at(std::env::temp_dir().join(name)).unwrap()
    }

    #[test]
    fn names_that_are_paths_or_nothing_are_refused() {
        for name in ["dev", "test-12", "a"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a/b", "A", "a b", &"x".repeat(NAME_MAX + 1)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_lock_has_one_holder_and_its_file_goes_with_the_folder() {
        let cache = scratch();
        let state = State::of(&cache, "one").unwrap();
        let lock = state.lock().unwrap();
        state.create(Form::Light).unwrap();
        assert!(state.try_lock().unwrap().is_none());
        assert!(
            state
                .lock()
                .err()
                .unwrap()
                .to_string()
                .contains("is running already")
        );
        assert_eq!(state.form(), Some(Form::Light));
        assert_eq!(State::all(&cache).len(), 1);
        state.remove(lock).unwrap();
        assert!(State::all(&cache).is_empty());
        assert!(!state.lock_path().exists());
        assert!(state.try_lock().unwrap().is_some());
        std::fs::remove_dir_all(cache.entry("")).unwrap();
    }
}
