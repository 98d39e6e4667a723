//! Unpacks the binaries that Maven Central holds: a jar (zip) with one `.txz` (tar in xz) inside, or
//! with the files themselves.
//!
//! No system tool is needed. The archive's SHA-256 was checked before, so the limits here only
//! guard against a wrong pin; links and paths that lead out of the folder are refused by `tar`.

use std::io::{Cursor, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use flate2::bufread::DeflateDecoder;
use lzma_rust2::XzReader;
use rawzip::{CompressionMethod, ZipArchive};

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
    let archive = ZipArchive::from_slice(jar)?;
    let mut entries = archive.entries();
    let mut left = UNPACKED_BYTES_MAX;
    while let Some(entry) = entries.next_entry()? {
        let path = entry.file_path().try_normalize()?.as_ref().to_owned();
        let packed = archive.get_entry(entry.wayfinder())?;
        let bytes = || -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            let data = packed.data();
            match entry.compression_method() {
                CompressionMethod::DEFLATE => packed
                    .verifying_reader(DeflateDecoder::new(data))
                    .take(left.min(UNPACKED_BYTES_MAX))
                    .read_to_end(&mut bytes)?,
                CompressionMethod::STORE => packed
                    .verifying_reader(data)
                    .take(left)
                    .read_to_end(&mut bytes)?,
                _ => anyhow::bail!("{path} is packed in a way that is not known here"),
            };
            Ok(bytes)
        };
        if path.ends_with(".txz") {
            return unpack_tar(&bytes()?, folder);
        }
        let Some((_, name)) = path.split_once(FILES_BELOW) else {
            continue;
        };
        if !path.ends_with('/') && FOLDERS.iter().any(|begin| name.starts_with(begin)) {
            let bytes = bytes()?;
            left = left.saturating_sub(bytes.len() as u64);
            ensure!(left > 0, "it holds more than a server has");
            write(&folder.join(name), &bytes)?;
        }
    }
    Ok(())
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
