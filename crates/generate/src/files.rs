//! Reading directories, in an order that does not depend on the file system.

use std::path::{Path, PathBuf};

use crate::error::GenerateError;

/// More files than this are not a directory of migrations.
const FILES_MAX: usize = 20_000;
/// A larger file is a dump, or no migration at all.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Directories within directories; a link to one above would otherwise never end.
const DEPTH_MAX: usize = 16;

/// A file's text.
pub(crate) fn text(path: &Path) -> Result<String, GenerateError> {
    let unreadable = |source| GenerateError::Unreadable {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(GenerateError::TooMuch {
            path: path.to_owned(),
            problem: "is larger than 64 MiB",
        });
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| {
        GenerateError::file(
            path.display().to_string(),
            "it is not UTF-8 text",
            "save it as UTF-8",
        )
    })?;
    // Editors of some systems put it first, and no tool counts it.
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// The files of a directory, sorted by their paths below it; `deep`: with those of its directories. Hidden ones
/// are passed over.
pub(crate) fn below(dir: &Path, deep: bool) -> Result<Vec<PathBuf>, GenerateError> {
    let mut found = Vec::new();
    gather(dir, deep, 0, &mut found)?;
    found.sort();
    Ok(found)
}

fn gather(
    dir: &Path,
    deep: bool,
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> Result<(), GenerateError> {
    let unreadable = |source| GenerateError::Unreadable {
        path: dir.to_owned(),
        source,
    };
    let too_much = |problem| GenerateError::TooMuch {
        path: dir.to_owned(),
        problem,
    };
    if depth > DEPTH_MAX {
        return Err(too_much("holds directories too deep below each other"));
    }
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if name(&path).starts_with('.') {
            continue;
        }
        let metadata = std::fs::metadata(&path).map_err(|source| GenerateError::Unreadable {
            path: path.clone(),
            source,
        })?;
        if metadata.is_dir() {
            if deep {
                gather(&path, deep, depth + 1, found)?;
            }
        } else if found.len() >= FILES_MAX {
            return Err(too_much("holds more than 20,000 files"));
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// The last part of a path, as text.
pub(crate) fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// A path below a directory, with `/` between its parts whatever the system.
pub(crate) fn relative(dir: &Path, path: &Path) -> String {
    let below = path.strip_prefix(dir).unwrap_or(path);
    let parts: Vec<_> = below
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    parts.join("/")
}
