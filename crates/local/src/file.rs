//! Files that nobody ever sees half written, readable by their owner alone.
//!
//! What stands in the state directory must be valid after a SIGKILL at any point: a file is written beside
//! its place, brought to the disk, and renamed. No formats here.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use dbop_engine::PlatformError;

/// Secrets lie among the files: nobody but their owner reads them.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
/// No file of the state is larger; what is was not written by us, and is not read into memory.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// A file that is being written, until its rename. What a crash leaves of them is swept at the next start.
const NEW_PREFIX: &str = ".new.";
/// A directory on its way out.
const GONE_PREFIX: &str = ".gone.";

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}", path.display())]
pub struct FileError {
    /// What was under way: a verb.
    pub(crate) doing: &'static str,
    /// The file or directory.
    pub(crate) path: PathBuf,
    /// What the system said.
    #[source]
    pub(crate) source: io::Error,
}

impl FileError {
    /// For use with `map_err`.
    pub(crate) fn of(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self {
            doing,
            path,
            source,
        }
    }
}

impl From<FileError> for PlatformError {
    fn from(error: FileError) -> Self {
        PlatformError::Failed {
            operation: error.to_string(),
            reason: error.source.to_string(),
        }
    }
}

/// Makes a directory and those above it, where they are missing.
pub(crate) fn create_directory(path: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)
        .map_err(FileError::of("create", path))
}

/// Writes a file, whole or not at all; on the disk when this returns.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), FileError> {
    let wrong = |source| FileError {
        doing: "write",
        path: path.to_owned(),
        source,
    };
    let parent = parent(path);
    let new = parent.join(unique(NEW_PREFIX));
    let written = create(&new, content)
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| sync_directory(parent));
    if written.is_err() {
        // The error of the write is the one to tell; a leftover is swept later.
        let _ = fs::remove_file(&new);
    }
    written.map_err(wrong)
}

/// Writes a file that must not exist yet.
pub(crate) fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Opens a file to write at its end, making it where it is missing.
pub(crate) fn append(path: &Path) -> Result<File, FileError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(FileError::of("write", path))
}

/// Reads a file; `None`: there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let wrong = |source| FileError {
        doing: "read",
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(wrong(error)),
    };
    let mut content = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .map_err(wrong)?;
    if content.len() as u64 > FILE_BYTES_MAX {
        let text = format!("it is larger than {FILE_BYTES_MAX} bytes");
        return Err(wrong(io::Error::new(io::ErrorKind::FileTooLarge, text)));
    }
    Ok(Some(content))
}

/// Removes a file; one that is not there is removed.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if !is_missing(&error) => Err(FileError::of("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a directory with all that is in it, at one stroke for those who look; one that is not there is
/// removed.
pub(crate) fn remove_directory(path: &Path) -> Result<(), FileError> {
    let gone = parent(path).join(unique(GONE_PREFIX));
    match fs::rename(path, &gone) {
        Ok(()) => fs::remove_dir_all(&gone).map_err(FileError::of("remove", path)),
        Err(error) if is_missing(&error) => Ok(()),
        Err(error) => Err(FileError::of("remove", path)(error)),
    }
}

/// A new directory beside `path`, to be filled and then renamed to it.
pub(crate) fn create_beside(path: &Path) -> Result<PathBuf, FileError> {
    let new = parent(path).join(unique(NEW_PREFIX));
    create_directory(&new)?;
    Ok(new)
}

/// The names in a directory that do not start with a dot, sorted; a directory that is not there has none.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>, FileError> {
    let wrong = |source| FileError {
        doing: "read",
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(wrong(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        // A name that is no text is none of ours.
        if let Ok(name) = entry.map_err(wrong)?.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Removes what writes that a crash cut short have left in a directory.
pub(crate) fn sweep(directory: &Path) -> Result<(), FileError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(()),
        Err(error) => return Err(FileError::of("read", directory)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(FileError::of("read", directory))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(NEW_PREFIX) || name.starts_with(GONE_PREFIX) {
            let path = entry.path();
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            match removed {
                Err(error) if !is_missing(&error) => {
                    return Err(FileError::of("remove", &path)(error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Brings a directory's entries to the disk.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Is there nothing of that name? A file where a directory should be counts as nothing.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The directory that a path is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// A name that no other process, and nothing else in this one, uses.
fn unique(prefix: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}{}.{number}", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_file_is_replaced_whole_and_is_the_owners_alone() {
        let scratch = Scratch::new();
        let path = scratch.path().join("a/b/file");
        create_directory(parent(&path)).unwrap();
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), FILE_MODE);
        assert_eq!(mode(parent(&path)), DIRECTORY_MODE);
        assert_eq!(names(parent(&path)).unwrap(), ["file"]);
        assert_eq!(
            fs::read_dir(parent(&path)).unwrap().count(),
            1,
            "nothing else is left"
        );
    }

    #[test]
    fn what_a_crash_left_is_swept_and_nothing_else() {
        let scratch = Scratch::new();
        for name in [".new.1.2", ".gone.1.3", "kept", ".kept"] {
            fs::write(scratch.path().join(name), "x").unwrap();
        }
        let directory = create_beside(&scratch.path().join("x")).unwrap();
        fs::write(directory.join("y"), "z").unwrap();
        sweep(scratch.path()).unwrap();
        assert_eq!(names(scratch.path()).unwrap(), ["kept"]);
        assert!(scratch.path().join(".kept").exists());
        assert!(!directory.exists());
    }

    #[test]
    fn what_is_missing_is_no_error() {
        let scratch = Scratch::new();
        let path = scratch.path().join("none");
        assert!(read(&path).unwrap().is_none());
        remove(&path).unwrap();
        remove_directory(&path).unwrap();
        assert!(names(&path).unwrap().is_empty());
        let error = replace(&path.join("file"), b"").unwrap_err();
        assert!(
            PlatformError::from(error)
                .to_string()
                .contains("No such file")
        );
    }
}
