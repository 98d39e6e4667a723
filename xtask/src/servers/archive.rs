//! Unpacks the binaries that Maven Central holds: a jar (zip) with one `.txz` (tar in xz) inside.
//!
//! No system tool is needed. The archive's SHA-256 was checked before, so the limits here only
//! guard against a wrong pin; links and paths that lead out of the folder are refused by `tar`.

use std::io::{Cursor, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use flate2::bufread::DeflateDecoder;
use lzma_rust2::XzReader;
use rawzip::{CompressionMethod, ZipArchive};

/// No archive of a server is nearly this large (they have 11 to 25 MB).
const PACKED_BYTES_MAX: u64 = 200 << 20;
/// Nor is one this large when unpacked (45 to 80 MB).
const UNPACKED_BYTES_MAX: u64 = 1 << 30;

/// Unpacks `jar` into `folder`, which then holds `bin`, `lib` and `share`.
pub(crate) fn unpack(jar: &Path, folder: &Path) -> Result<()> {
    let bytes = std::fs::read(jar).with_context(|| format!("{} cannot be read", jar.display()))?;
    let packed =
        inner_archive(&bytes).with_context(|| format!("{} holds no PostgreSQL", jar.display()))?;
    let unpacked = XzReader::new(Cursor::new(packed), true).take(UNPACKED_BYTES_MAX);
    let mut archive = tar::Archive::new(unpacked);
    archive.set_preserve_mtime(false);
    archive
        .unpack(folder)
        .with_context(|| format!("{} cannot be unpacked", jar.display()))?;
    ensure!(
        folder.join("bin/postgres").is_file(),
        "{} holds no bin/postgres",
        jar.display()
    );
    Ok(())
}

/// The bytes of the first entry that ends in `.txz`.
fn inner_archive(jar: &[u8]) -> Result<Vec<u8>> {
    let archive = ZipArchive::from_slice(jar)?;
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry()? {
        if !entry
            .file_path()
            .try_normalize()?
            .as_ref()
            .ends_with(".txz")
        {
            continue;
        }
        ensure!(
            entry.compression_method() == CompressionMethod::DEFLATE,
            "its .txz is packed in a way that is not known here"
        );
        let packed = archive.get_entry(entry.wayfinder())?;
        let reader = packed.verifying_reader(DeflateDecoder::new(packed.data()));
        let mut bytes = Vec::new();
        reader.take(PACKED_BYTES_MAX).read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    anyhow::bail!("it has no .txz inside")
}
