//! The files below a directory that may hold manifests, and when each was last changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::Problem;
use crate::file::is_missing;

/// Directories below directories: far more than people make, few enough to end.
const DEPTH_MAX: usize = 32;
/// Entries looked at: a directory with more is a home directory or a package store, given by mistake.
const ENTRIES_MAX: usize = 100_000;
/// YAML files read.
const FILES_MAX: usize = 10_000;
/// Kubernetes takes no object larger than this, and a file with a hundred objects is still smaller.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The coarsest clock of a file system in use (ext3, HFS+: a second; FAT: two).
const YOUNG: SignedDuration = SignedDuration::from_secs(2);

/// What changes when a file does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: (i64, i64),
    changed: (i64, i64),
    length: u64,
    inode: u64,
}

impl Stamp {
    /// Is the last change so near that another one could bear the same stamp?
    pub(super) fn is_young(&self, now: Timestamp) -> bool {
        let (seconds, nanoseconds) = self.modified;
        let modified = i32::try_from(nanoseconds)
            .ok()
            .and_then(|nanoseconds| Timestamp::new(seconds, nanoseconds).ok());
        modified.is_none_or(|modified| now.duration_since(modified).abs() < YOUNG)
    }
}

/// The YAML files below `directory`, by their path below it.
pub(super) fn files(
    directory: &Path,
    state: &Path,
) -> Result<BTreeMap<PathBuf, Stamp>, Box<Problem>> {
    let mut walk = Walk {
        directory,
        state,
        entries: 0,
        files: BTreeMap::new(),
    };
    walk.enter(Path::new(""), 0)?;
    Ok(walk.files)
}

struct Walk<'a> {
    directory: &'a Path,
    state: &'a Path,
    entries: usize,
    files: BTreeMap<PathBuf, Stamp>,
}

impl Walk<'_> {
    fn enter(&mut self, below: &Path, depth: usize) -> Result<(), Box<Problem>> {
        let path = self.directory.join(below);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            // A directory below may go while it is walked; the one that was named must be there.
            Err(error) if depth > 0 && is_missing(&error) => return Ok(()),
            Err(error) => return Err(unreadable(below, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| unreadable(below, &error))?;
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return Err(too_many(&format!("{ENTRIES_MAX} files and directories")));
            }
            let name = entry.file_name();
            let hidden = name.as_encoded_bytes().starts_with(b".");
            let kind = entry
                .file_type()
                .map_err(|error| unreadable(below, &error))?;
            let here = below.join(&name);
            if kind.is_dir() {
                if !hidden && depth < DEPTH_MAX && entry.path() != self.state {
                    self.enter(&here, depth + 1)?;
                }
            } else if matches!(
                here.extension().and_then(|extension| extension.to_str()),
                Some("yaml" | "yml")
            ) {
                self.add(here)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, file: PathBuf) -> Result<(), Box<Problem>> {
        let metadata = match fs::metadata(self.directory.join(&file)) {
            Ok(metadata) => metadata,
            // Gone again, or a link to nothing (an editor's lock).
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => return Err(unreadable(&file, &error)),
        };
        if !metadata.is_file() {
            return Ok(());
        }
        if self.files.len() == FILES_MAX {
            return Err(too_many(&format!("{FILES_MAX} YAML files")));
        }
        let stamp = Stamp {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            length: metadata.len(),
            inode: metadata.ino(),
        };
        self.files.insert(file, stamp);
        Ok(())
    }
}

/// The text of a file; `None`: it is gone.
pub(super) fn read(directory: &Path, file: &Path) -> Option<Result<String, Box<Problem>>> {
    let path = directory.join(file);
    let bytes = match fs::metadata(&path).map(|metadata| metadata.len()) {
        Ok(length) if length > FILE_BYTES_MAX => {
            let text = format!("is larger than {} MiB", FILE_BYTES_MAX / 1024 / 1024);
            return Some(Err(problem(
                file,
                None,
                &text,
                "keep manifests apart from data",
            )));
        }
        Ok(_) => fs::read(&path),
        Err(error) => Err(error),
    };
    match bytes {
        Ok(bytes) => Some(
            String::from_utf8(bytes)
                .map_err(|_| problem(file, None, "is not UTF-8 text", "save it as UTF-8")),
        ),
        Err(error) if is_missing(&error) => None,
        Err(error) => Some(Err(unreadable(file, &error))),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Box<Problem> {
    problem(path, None, &format!("cannot be read: {error}"), "")
}

fn too_many(what: &str) -> Box<Problem> {
    let text = format!("holds more than {what}");
    problem(
        Path::new(""),
        None,
        &text,
        "give a directory that holds the manifests alone",
    )
}

/// A problem with a file as a whole; without a file, with the directory.
pub(super) fn problem(file: &Path, line: Option<u64>, text: &str, way_out: &str) -> Box<Problem> {
    let this = file.as_os_str().is_empty();
    Box::new(Problem {
        file: if this {
            PathBuf::from(".")
        } else {
            file.to_owned()
        },
        line,
        object: None,
        text: format!("{} {text}", if this { "the directory" } else { "the file" }),
        way_out: way_out.to_owned(),
    })
}
