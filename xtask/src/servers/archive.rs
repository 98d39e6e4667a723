//! Unpacks the binaries that Maven Central holds: a jar (zip) with one `.txz` (tar in xz) inside, or
//! with the files themselves.
//!
//! No system tool is needed. The archive's SHA-256 was checked before, so the limits here only
//! guard against a wrong pin; links and paths that lead out of the folder are refused by `tar`.

use std::io::{Cursor, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use lzma_rust2::XzReader;

use crate::zip;

/// No archive of a server is nearly this large (PostgreSQL's have 11 to 25 MB, MariaDB's 150).
const PACKED_BYTES_MAX: u64 = 300 << 20;
/// Nor is one this large when unpacked (PostgreSQL 45 to 80 MB, MariaDB 370).
const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// What separates the packages' folders in a jar with files from the server's own.
const FILES_BELOW: &str = "/linux/";
/// Of a jar with files, the folders that a server needs.
const FOLDERS: &[&str] = &["bin/mariadbd", "share/"];

/// Unpacks `jar` into `folder`, which then holds `bin` and `share`, and for PostgreSQL `lib`.
pub(crate) fn unpack(jar: &Path, folder: &Path) -> Result<()> {
    let bytes = std::fs::read(jar).with_context(|| format!("{} cannot be read", jar.display()))?;
    unpack_bytes(&bytes, folder).with_context(|| format!("{} cannot be unpacked", jar.display()))
}

fn unpack_bytes(jar: &[u8], folder: &Path) -> Result<()> {
    let own = |path: &str| {
        let (_, name) = path.split_once(FILES_BELOW)?;
        FOLDERS
            .iter()
            .any(|begin| name.starts_with(begin))
            .then(|| name.to_owned())
    };
    zip::files(
        jar,
        UNPACKED_BYTES_MAX,
        |path| path.ends_with(".txz") || own(path).is_some(),
        |path, bytes| match own(path) {
            Some(name) => write(&folder.join(name), &bytes),
            None => unpack_tar(&bytes, folder),
        },
    )
}

/// Writes a file; one of `bin` can be run.
fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let folder = file.parent().context("a file has no folder")?;
    std::fs::create_dir_all(folder)?;
    std::fs::write(file, bytes)?;
    let mode = if folder.ends_with("bin") {
        0o755
    } else {
        0o644
    };
    std::fs::set_permissions(file, PermissionsExt::from_mode(mode))?;
    Ok(())
}

fn unpack_tar(packed: &[u8], folder: &Path) -> Result<()> {
    ensure!(
        packed.len() as u64 <= PACKED_BYTES_MAX,
        "it is larger than a server"
    );
    let unpacked = XzReader::new(Cursor::new(packed), true).take(UNPACKED_BYTES_MAX);
    let mut archive = tar::Archive::new(unpacked);
    archive.set_preserve_mtime(false);
    archive.unpack(folder)?;
    Ok(())
}
