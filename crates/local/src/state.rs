//! The state directory: who may write it, and the id of these surroundings.
//!
//! One `local` works on a state directory at a time; those who only look need no permission. The lock is the
//! file's, not a process id's: it ends with the process that holds it, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use dbop_engine::Entropy;

use crate::file::{self, FileError};

/// Random bytes of the id: surroundings that share a server must not meet by chance.
const CLUSTER_ID_BYTES: usize = 8;
/// The id of a state that nobody has written yet: no claim bears it.
const NO_CLUSTER: &str = "none";
/// The directory's own name below the manifests, unless another is given.
pub const STATE_DIRECTORY: &str = ".dbop";

/// Why a directory cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not there, or is no directory.
    #[error("{} is no directory that can be read", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another `local` works on the state directory.
    #[error(
        "another `local` (process {process}) works on the state directory {}; wait for it to end, or \
         give this one a state of its own with --state",
        path.display()
    )]
    Busy {
        /// The state directory.
        path: PathBuf,
        /// Its process id, as it wrote it.
        process: String,
    },
    /// A file of the state cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The container runtime is not installed.
    #[error("{program} is not on the PATH; install it, or leave out --runtime")]
    NoRuntime {
        /// Its program.
        program: &'static str,
    },
}

/// The state directory.
pub(crate) struct State {
    root: PathBuf,
    cluster: String,
    /// Held as long as this lives; `None`: opened to be read.
    lock: Option<File>,
}

impl State {
    /// Opens it to write, making it where it is missing.
    pub(crate) fn open(root: &Path, entropy: &dyn Entropy) -> Result<Self, OpenError> {
        file::create_directory(root)?;
        let root = &root.canonicalize().map_err(FileError::of("find", root))?;
        let lock = lock(root)?;
        // The state holds passwords: no `git add` may take it along.
        let ignore = root.join(".gitignore");
        if !ignore.exists() {
            file::replace(&ignore, b"*\n")?;
        }
        file::sweep(root)?;
        let path = root.join("cluster");
        let cluster = match file::read(&path)? {
            Some(id) => String::from_utf8_lossy(&id).trim().to_owned(),
            None => {
                let mut random = [0; CLUSTER_ID_BYTES];
                entropy.fill(&mut random);
                let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
                let id = format!("local-{id}");
                file::replace(&path, format!("{id}\n").as_bytes())?;
                id
            }
        };
        Ok(Self {
            root: root.clone(),
            cluster,
            lock: Some(lock),
        })
    }

    /// Opens it to be read; it need not be there.
    pub(crate) fn read(root: &Path) -> Result<Self, OpenError> {
        let cluster = match file::read(&root.join("cluster"))? {
            Some(id) => String::from_utf8_lossy(&id).trim().to_owned(),
            None => NO_CLUSTER.to_owned(),
        };
        Ok(Self {
            root: root.to_owned(),
            cluster,
            lock: None,
        })
    }

    /// Where it is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The id of these surroundings.
    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// May it be written?
    pub(crate) fn is_writable(&self) -> bool {
        self.lock.is_some()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // Not by closing alone: a process that is being started may share the file for an instant.
        if let Some(lock) = &self.lock {
            let _ = lock.unlock();
        }
    }
}

fn lock(root: &Path) -> Result<File, OpenError> {
    let path = root.join("lock");
    let wrong = |doing| FileError::of(doing, &path);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(wrong("open"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let process = file::read(&path)?.unwrap_or_default();
            let process = String::from_utf8_lossy(&process).trim().to_owned();
            return Err(OpenError::Busy {
                path: root.to_owned(),
                process,
            });
        }
        Err(TryLockError::Error(error)) => return Err(wrong("lock")(error).into()),
    }
    // For people alone: the lock is what counts.
    lock.set_len(0).map_err(wrong("write"))?;
    writeln!(lock, "{}", std::process::id()).map_err(wrong("write"))?;
    Ok(lock)
}

/// The state directory of a directory: the one that was given, or the usual one. It need not be there.
///
/// # Errors
/// Where the directory itself is none.
pub fn state_directory(directory: &Path, given: Option<&Path>) -> Result<PathBuf, OpenError> {
    let path = match given {
        Some(given) => given.to_owned(),
        None => existing(directory)?.join(STATE_DIRECTORY),
    };
    // One that is not there yet is taken as it was named, from where we are.
    Ok(path
        .canonicalize()
        .or_else(|_| std::path::absolute(&path))
        .unwrap_or(path))
}

/// A directory that must be there, by its full name.
pub(crate) fn existing(directory: &Path) -> Result<PathBuf, OpenError> {
    let wrong = |source| OpenError::Directory {
        path: directory.to_owned(),
        source,
    };
    let path = directory.canonicalize().map_err(wrong)?;
    if !path.is_dir() {
        return Err(wrong(std::io::ErrorKind::NotADirectory.into()));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    struct Fixed(u8);

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn one_works_and_others_look() {
        let scratch = Scratch::new();
        let root = scratch.path().join("state");
        assert_eq!(State::read(&root).unwrap().cluster(), NO_CLUSTER);
        assert!(!root.exists(), "a look leaves nothing behind");

        let first = State::open(&root, &Fixed(0xab)).unwrap();
        assert_eq!(first.cluster(), "local-abababababababab");
        let error = State::open(&root, &Fixed(1)).err().unwrap().to_string();
        assert!(
            error.contains(&format!("process {}", std::process::id())),
            "{error}"
        );
        let look = State::read(&root).unwrap();
        assert_eq!(
            (look.cluster(), look.is_writable()),
            (first.cluster(), false)
        );

        drop(first);
        let again = State::open(&root, &Fixed(2)).unwrap();
        assert_eq!(
            again.cluster(),
            "local-abababababababab",
            "the id is made once"
        );
        assert_eq!(
            std::fs::read_to_string(root.join(".gitignore")).unwrap(),
            "*\n"
        );
    }

    #[test]
    fn a_directory_must_be_there() {
        let scratch = Scratch::new();
        scratch.write("file", "");
        for name in ["none", "file"] {
            let error = existing(&scratch.path().join(name))
                .unwrap_err()
                .to_string();
            assert!(
                error.ends_with("is no directory that can be read"),
                "{error}"
            );
        }
    }
}
