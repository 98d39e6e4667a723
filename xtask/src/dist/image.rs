//! An image in an archive, made without Docker: an OCI image layout in a tar, with the one file more
//! that `docker load` wants. containerd, Docker, Podman and kind read it.
//!
//! One layer. Equal files, names and times give equal bytes: entries are sorted, nothing of the machine
//! gets in, and gzip gets no time.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};

use crate::cache::hex;

/// Who programs run as: nobody that an image or a node knows, as distroless images have it.
const USER: u32 = 65532;
/// The media types of the OCI image specification 1.0.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A file to be put into an image.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Where in the image, without the slash at the beginning.
    place: String,
    /// Where now.
    from: PathBuf,
    mode: u32,
}

impl Source {
    /// A file that can be run.
    pub(crate) fn program(place: impl Into<String>, from: impl Into<PathBuf>) -> Source {
        Source {
            place: place.into(),
            from: from.into(),
            mode: 0o755,
        }
    }

    /// A file to be read.
    pub(crate) fn text(place: impl Into<String>, from: impl Into<PathBuf>) -> Source {
        Source {
            mode: 0o644,
            ..Source::program(place, from)
        }
    }
}

/// What an image is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    /// Its name with a tag, as a Pod names it.
    pub(crate) name: String,
    /// What is in it, and nothing besides.
    pub(crate) files: Vec<Source>,
    /// The command that arguments are added to.
    pub(crate) entrypoint: Vec<String>,
    /// Variables, as `NAME=value`.
    pub(crate) environment: Vec<String>,
    /// Where the command runs; empty: in the root.
    pub(crate) directory: String,
    /// Labels, sorted by their names.
    pub(crate) labels: Vec<(String, String)>,
    /// The time that everything bears, in seconds since 1970.
    pub(crate) created: u64,
}

impl Image {
    /// Writes the archive.
    pub(crate) fn write(&self, archive: &Path) -> Result<()> {
        let describe = || format!("{} cannot be written", archive.display());
        let (layer, layer_hash) = self.layer()?;
        let layer_blob = Blob::new(layer);
        let config = Blob::new(self.config(&layer_hash).into_bytes());
        let manifest = Blob::new(
            format!(
                r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{},"layers":[{}]}}"#,
                config.descriptor(CONFIG, ""),
                layer_blob.descriptor(LAYER, ""),
            )
            .into_bytes(),
        );
        // containerd takes the first annotation for the image's name, others the second.
        let annotations = format!(
            r#","annotations":{{"io.containerd.image.name":{},"org.opencontainers.image.ref.name":{}}}"#,
            text(&full_name(&self.name)),
            text(tag(&self.name).unwrap_or_default()),
        );
        let index = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}}"#,
            manifest.descriptor(MANIFEST, &annotations),
        );
        let for_docker = format!(
            r#"[{{"Config":"{}","RepoTags":[{}],"Layers":["{}"]}}]"#,
            config.place(),
            text(&self.name),
            layer_blob.place(),
        );

        let file = File::create(archive).with_context(describe)?;
        let mut tar = tar::Builder::new(io::BufWriter::new(file));
        let layout: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
        for (place, bytes) in [
            ("oci-layout", layout),
            ("index.json", index.as_bytes()),
            ("manifest.json", for_docker.as_bytes()),
        ] {
            append(&mut tar, place, 0o644, self.created, bytes).with_context(describe)?;
        }
        for folder in ["blobs/", "blobs/sha256/"] {
            append_folder(&mut tar, folder, self.created).with_context(describe)?;
        }
        for blob in [&manifest, &config, &layer_blob] {
            append(&mut tar, &blob.place(), 0o644, self.created, &blob.bytes)
                .with_context(describe)?;
        }
        let written = tar.into_inner().and_then(|mut file| file.flush());
        written.with_context(describe)
    }

    /// The layer, compressed, and the hash of it as it is not compressed.
    fn layer(&self) -> Result<(Vec<u8>, String)> {
        let mut files: Vec<&Source> = self.files.iter().collect();
        files.sort_by(|a, b| a.place.cmp(&b.place));
        let mut tar = tar::Builder::new(Vec::new());
        for folder in folders(&files) {
            append_folder(&mut tar, &folder, self.created).context("a layer cannot be made")?;
        }
        for pair in files.windows(2) {
            ensure!(
                pair[0].place != pair[1].place,
                "two files are {}",
                pair[0].place
            );
        }
        for file in files {
            let bytes = std::fs::read(&file.from)
                .with_context(|| format!("{} cannot be read", file.from.display()))?;
            append(&mut tar, &file.place, file.mode, self.created, &bytes)
                .with_context(|| format!("{} cannot be put into an image", file.place))?;
        }
        let plain = tar.into_inner().context("a layer cannot be made")?;
        let mut zip = GzBuilder::new()
            .mtime(0)
            .write(Vec::new(), Compression::default());
        zip.write_all(&plain)
            .context("a layer cannot be compressed")?;
        let zipped = zip.finish().context("a layer cannot be compressed")?;
        Ok((zipped, hex(&Sha256::digest(&plain))))
    }

    fn config(&self, layer_hash: &str) -> String {
        let created = spell(self.created);
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|(name, value)| format!("{}:{}", text(name), text(value)))
            .collect();
        let list = |words: &[String]| {
            let words: Vec<String> = words.iter().map(|word| text(word)).collect();
            words.join(",")
        };
        let directory = match self.directory.as_str() {
            "" => "/",
            directory => directory,
        };
        format!(
            r#"{{"created":"{created}","architecture":"{}","os":"linux","config":{{"User":"{USER}:{USER}","Env":[{}],"Entrypoint":[{}],"WorkingDir":{},"Labels":{{{}}}}},"rootfs":{{"type":"layers","diff_ids":["sha256:{layer_hash}"]}},"history":[{{"created":"{created}","created_by":"cargo xtask dist"}}]}}"#,
            architecture(),
            list(&self.environment),
            list(&self.entrypoint),
            text(directory),
            labels.join(","),
        )
    }
}

/// Bytes that are found by their hash.
struct Blob {
    bytes: Vec<u8>,
    hash: String,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Blob {
        let hash = hex(&Sha256::digest(&bytes));
        Blob { bytes, hash }
    }

    fn place(&self) -> String {
        format!("blobs/sha256/{}", self.hash)
    }

    /// How a manifest refers to it; `more` begins with a comma.
    fn descriptor(&self, media_type: &str, more: &str) -> String {
        format!(
            r#"{{"mediaType":"{media_type}","digest":"sha256:{}","size":{}{more}}}"#,
            self.hash,
            self.bytes.len()
        )
    }
}

/// The name with a tag: where it has none, with the version.
pub(crate) fn with_tag(name: &str) -> Result<String> {
    let strange = |c: char| !(c.is_ascii_alphanumeric() || "./:_-".contains(c));
    if name.is_empty() || name.contains(strange) || name.ends_with([':', '/']) {
        bail!(
            "{name:?} is no name of an image; write registry.example.com/database-operator:1.2.3"
        );
    }
    Ok(match tag(name) {
        Some(_) => name.to_owned(),
        None => format!("{name}:{}", env!("CARGO_PKG_VERSION")),
    })
}

/// The name of another program's image in the same place, with the same tag.
pub(crate) fn sibling(name: &str, program: &str) -> String {
    let folder = name.rsplit_once('/').map(|(folder, _)| folder);
    let tag = tag(name).map_or(String::new(), |tag| format!(":{tag}"));
    match folder {
        Some(folder) => format!("{folder}/{program}{tag}"),
        None => format!("{program}{tag}"),
    }
}

/// What stands after the colon: not that of a registry's port.
fn tag(name: &str) -> Option<&str> {
    let last = name.rsplit('/').next()?;
    last.split_once(':').map(|(_, tag)| tag)
}

/// The name that containerd and a kubelet make of it.
fn full_name(name: &str) -> String {
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

/// The processor's name, as images have it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The folders that the files lie in, outer ones first.
fn folders(files: &[&Source]) -> BTreeSet<String> {
    let mut folders = BTreeSet::new();
    for file in files {
        for (index, _) in file.place.match_indices('/') {
            folders.insert(file.place[..=index].to_owned());
        }
    }
    folders
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    place: &str,
    mode: u32,
    time: u64,
    bytes: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(mode);
    header.set_mtime(time);
    header.set_size(bytes.len() as u64);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, place, bytes)
}

fn append_folder<W: Write>(tar: &mut tar::Builder<W>, place: &str, time: u64) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o755);
    header.set_mtime(time);
    header.set_size(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, place, io::empty())
}

/// A JSON string.
fn text(text: &str) -> String {
    let mut json = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c < ' ' => json += &format!("\\u{:04x}", c as u32),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

/// Seconds since 1970 as RFC 3339 has them, by the days of the civil calendar.
fn spell(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that the odd day is the last; 719468 days from the year 0 to 1970.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, after) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + after;
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;
    use crate::cache::random_hex;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            let name = format!("dbop-image-test-{}", random_hex(8).unwrap());
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            Scratch(folder)
        }

        fn file(&self, name: &str, bytes: &str) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn image(scratch: &Scratch) -> Image {
        Image {
            name: "shop-migrations:1".into(),
            files: vec![
                Source::program("usr/bin/migrate", scratch.file("migrate", "program")),
                Source::text("app/1.sql", scratch.file("1.sql", "SELECT 1")),
            ],
            entrypoint: vec!["/usr/bin/migrate".into()],
            labels: vec![("title".into(), "a \"quoted\" one".into())],
            created: 1_700_000_000,
            ..Image::default()
        }
    }

    type Entries = BTreeMap<String, (u32, Vec<u8>)>;

    fn read(bytes: &[u8]) -> Entries {
        let mut entries = Entries::new();
        for entry in tar::Archive::new(bytes).entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 1_700_000_000);
            assert_eq!(entry.header().uid().unwrap(), 0);
            let place = entry.path().unwrap().to_str().unwrap().to_owned();
            let mode = entry.header().mode().unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            entries.insert(place, (mode, bytes));
        }
        entries
    }

    #[test]
    fn equal_images_are_equal_bytes() {
        let scratch = Scratch::new();
        let (one, two) = (scratch.0.join("one.tar"), scratch.0.join("two.tar"));
        let mut image = image(&scratch);
        image.write(&one).unwrap();
        image.files.reverse();
        image.write(&two).unwrap();
        assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    }

    #[test]
    fn everything_is_found_by_its_hash() {
        let scratch = Scratch::new();
        let archive = scratch.0.join("image.tar");
        image(&scratch).write(&archive).unwrap();
        let entries = read(&std::fs::read(&archive).unwrap());
        let string = |place: &str| String::from_utf8(entries[place].1.clone()).unwrap();

        let blobs: Vec<&String> = entries
            .keys()
            .filter(|place| place.starts_with("blobs/sha256/") && !place.ends_with('/'))
            .collect();
        assert_eq!(blobs.len(), 3);
        for place in &blobs {
            assert!(
                place.ends_with(&hex(&Sha256::digest(&entries[*place].1))),
                "{place}"
            );
        }
        // From the index to the manifest, from there to the other two, from the config to the files.
        let digest_in = |text: &str, key: &str| {
            let start = text.find(key).unwrap();
            let start = start + text[start..].find("sha256:").unwrap() + "sha256:".len();
            text[start..start + 64].to_owned()
        };
        let index = string("index.json");
        assert!(
            index.contains(r#""io.containerd.image.name":"docker.io/library/shop-migrations:1""#)
        );
        let manifest = string(&format!("blobs/sha256/{}", digest_in(&index, "manifests")));
        let config_place = format!("blobs/sha256/{}", digest_in(&manifest, "config"));
        let layer_place = format!("blobs/sha256/{}", digest_in(&manifest, "layers"));
        let size = format!("\"size\":{}}}", entries[&layer_place].1.len());
        assert!(manifest.contains(&size), "{manifest}");
        let docker = string("manifest.json");
        assert!(docker.contains(&config_place) && docker.contains(&layer_place));

        let config = string(&config_place);
        assert!(config.contains(r#""User":"65532:65532""#));
        assert!(config.contains(r#""title":"a \"quoted\" one""#));
        assert!(config.contains(r#""created":"2023-11-14T22:13:20Z""#));
        let mut layer = Vec::new();
        flate2::read::GzDecoder::new(entries[&layer_place].1.as_slice())
            .read_to_end(&mut layer)
            .unwrap();
        assert_eq!(digest_in(&config, "diff_ids"), hex(&Sha256::digest(&layer)));
        let files = read(&layer);
        assert_eq!(
            files.keys().collect::<Vec<_>>(),
            ["app/", "app/1.sql", "usr/", "usr/bin/", "usr/bin/migrate"]
        );
        assert_eq!(files["usr/bin/migrate"], (0o755, b"program".to_vec()));
        assert_eq!(files["app/1.sql"], (0o644, b"SELECT 1".to_vec()));
    }

    #[test]
    fn names() {
        for (name, full) in [
            (
                "database-operator:1",
                "docker.io/library/database-operator:1",
            ),
            ("somebody/x:1", "docker.io/somebody/x:1"),
            ("localhost/x:1", "localhost/x:1"),
            ("localhost:5000/x:1", "localhost:5000/x:1"),
            ("registry.example.com/a/b:1", "registry.example.com/a/b:1"),
        ] {
            assert_eq!(full_name(name), full);
        }
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(with_tag("x").unwrap(), format!("x:{version}"));
        assert_eq!(with_tag("h:5000/x").unwrap(), format!("h:5000/x:{version}"));
        assert_eq!(with_tag("h:5000/x:2").unwrap(), "h:5000/x:2");
        assert_eq!(sibling("h:5000/a/x:2", "y"), "h:5000/a/y:2");
        assert_eq!(sibling("x:2", "y"), "y:2");
        for wrong in ["", "a b", "x:", "a\"b", "x/"] {
            assert!(with_tag(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times() {
        for (seconds, spelled) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(spell(seconds), spelled);
        }
    }

    #[test]
    fn two_files_in_one_place_are_refused() {
        let scratch = Scratch::new();
        let mut image = image(&scratch);
        image.files.push(image.files[0].clone());
        assert!(image.write(&scratch.0.join("x.tar")).is_err());
    }
}
