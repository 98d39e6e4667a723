//! Files in a zip, which jars are too. No system tool is needed.
//!
//! The archive's SHA-256 was checked before, so the limit only guards against a wrong pin; a path that leads out of
//! the folder loses what would lead there.

use std::io::Read as _;

use anyhow::{Result, bail, ensure};
use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, ZipArchive};

/// Gives each file whose path is wanted to `take`; all of them together have at most `bytes_max` when unpacked.
pub(crate) fn files(
    archive: &[u8],
    bytes_max: u64,
    wanted: impl Fn(&str) -> bool,
    mut take: impl FnMut(&str, Vec<u8>) -> Result<()>,
) -> Result<()> {
    let archive = ZipArchive::from_slice(archive)?;
    let mut entries = archive.entries();
    let mut left = bytes_max;
    while let Some(entry) = entries.next_entry()? {
        let path = entry.file_path().try_normalize()?.as_ref().to_owned();
        if path.ends_with('/') || !wanted(&path) {
            continue;
        }
        let packed = archive.get_entry(entry.wayfinder())?;
        let mut bytes = Vec::new();
        match entry.compression_method() {
            CompressionMethod::DEFLATE => packed
                .verifying_reader(DeflateDecoder::new(packed.data()))
                .take(left)
                .read_to_end(&mut bytes)?,
            CompressionMethod::STORE => packed
                .verifying_reader(packed.data())
                .take(left)
                .read_to_end(&mut bytes)?,
            _ => bail!("{path} is packed in a way that is not known here"),
        };
        left = left.saturating_sub(bytes.len() as u64);
        ensure!(left > 0, "it holds more than it should");
        take(&path, bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;
    use rawzip::ZipArchiveWriter;

    use super::*;

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut archive = ZipArchiveWriter::new(Vec::new());
        for name in names {
            let file = archive
                .new_file(*name)
                .compression_method(CompressionMethod::DEFLATE);
            let (mut entry, config) = file.start().unwrap();
            let encoder = DeflateEncoder::new(&mut entry, Compression::default());
            let mut writer = config.wrap(encoder);
            writer.write_all(name.as_bytes()).unwrap();
            let (encoder, descriptor) = writer.finish().unwrap();
            encoder.finish().unwrap();
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap()
    }

    #[test]
    fn wanted_files_are_given_up_to_a_limit() {
        let archive = archive(&["db/1.sql", "db/2.sql", "db/x.class"]);
        let read = |bytes_max| {
            let mut found = Vec::new();
            files(
                &archive,
                bytes_max,
                |path| path.ends_with(".sql"),
                |path, bytes| {
                    assert_eq!(path.as_bytes(), bytes);
                    found.push(path.to_owned());
                    Ok(())
                },
            )
            .map(|()| found)
        };
        assert_eq!(read(100).unwrap(), ["db/1.sql", "db/2.sql"]);
        let error = read(10).unwrap_err().to_string();
        assert_eq!(error, "it holds more than it should");
    }
}
