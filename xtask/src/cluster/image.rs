//! Archives of container images, in the form of `docker save`, made without Docker: one layer.
//!
//! Only for the two images that every node has; the operator's own image is made elsewhere.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::cache::hex;
use crate::workspace::capture;

/// What holds a Pod's namespaces open. The registry's name is part of it, because containerd asks
/// for images by their full names.
pub(crate) const PAUSE: &str = "docker.io/dbop-test/pause:1";
/// A shell with the usual commands.
const SHELL: &str = "docker.io/dbop-test/busybox:1";
/// Where Debian's busybox-static is.
pub(crate) const BUSYBOX: &str = "/bin/busybox";
/// The users that an image knows by name.
const USERS: &str = "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n";

/// An image of one layer.
pub(crate) struct Image {
    name: &'static str,
    program: PathBuf,
    place: &'static str,
    links: Vec<String>,
    command: &'static str,
}

impl Image {
    /// The image that every Pod's sandbox is made of.
    pub(crate) fn pause(program: &Path) -> Image {
        Image {
            name: PAUSE,
            program: program.to_owned(),
            place: "pause",
            links: Vec::new(),
            command: r#""Entrypoint": ["/pause"]"#,
        }
    }

    /// The shell for tests.
    pub(crate) fn shell() -> Result<Image> {
        let applets = capture(Command::new(BUSYBOX).arg("--list"))?;
        Ok(Image {
            name: SHELL,
            program: BUSYBOX.into(),
            place: "bin/busybox",
            links: applets
                .lines()
                .filter(|applet| *applet != "busybox")
                .map(|applet| format!("bin/{applet}"))
                .collect(),
            command: r#""Cmd": ["/bin/sh"]"#,
        })
    }

    /// Writes the archive.
    pub(crate) fn write(&self, archive: &Path) -> Result<()> {
        let layer = self.layer()?;
        let config = self.config(&hex(&Sha256::digest(&layer)));
        let manifest = format!(
            r#"[{{"Config": "config.json", "RepoTags": ["{}"], "Layers": ["layer.tar"]}}]"#,
            self.name
        );
        let describe = || format!("{} cannot be written", archive.display());
        let mut tar = tar::Builder::new(File::create(archive).with_context(describe)?);
        for (name, bytes) in [
            ("manifest.json", manifest.as_bytes()),
            ("config.json", config.as_bytes()),
            ("layer.tar", &layer),
        ] {
            add(&mut tar, name, 0o644, bytes).with_context(describe)?;
        }
        tar.into_inner().with_context(describe)?;
        Ok(())
    }

    fn layer(&self) -> Result<Vec<u8>> {
        let program = std::fs::read(&self.program)
            .with_context(|| format!("{} cannot be read", self.program.display()))?;
        // A program that needs libraries would only say "no such file" in a container.
        ensure!(
            is_static(&program),
            "{} is not a static program; install busybox-static",
            self.program.display()
        );
        let mut tar = tar::Builder::new(Vec::new());
        let describe = "a layer cannot be made";
        for (folder, mode) in [("bin/", 0o755), ("etc/", 0o755), ("tmp/", 0o1777)] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(mode);
            header.set_size(0);
            tar.append_data(&mut header, folder, std::io::empty())
                .context(describe)?;
        }
        add(&mut tar, "etc/passwd", 0o644, USERS.as_bytes()).context(describe)?;
        add(&mut tar, self.place, 0o755, &program).context(describe)?;
        for link in &self.links {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            tar.append_link(&mut header, link, format!("/{}", self.place))
                .context(describe)?;
        }
        tar.into_inner().context(describe)
    }

    fn config(&self, layer: &str) -> String {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        format!(
            r#"{{"architecture": "{architecture}", "os": "linux", "config": {{"Env": ["PATH=/bin"], {}}},
"rootfs": {{"type": "layers", "diff_ids": ["sha256:{layer}"]}}}}"#,
            self.command
        )
    }
}

fn add<W: std::io::Write>(
    tar: &mut tar::Builder<W>,
    name: &str,
    mode: u32,
    bytes: &[u8],
) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, name, bytes)
}

/// Whether an ELF program of 64 bits asks for no interpreter, which would load its libraries.
fn is_static(program: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let slice = program.get(at..at + bytes)?;
        Some(
            slice
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        )
    };
    let headers = || -> Option<Vec<usize>> {
        let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        (0..count)
            .map(|index| number(start + index * size, 4))
            .collect()
    };
    program.starts_with(b"\x7fELF\x02\x01")
        && headers().is_some_and(|kinds| !kinds.contains(&(INTERPRETER as usize)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::random_hex;
    use std::io::Read as _;

    /// The start of a program with one header of this kind.
    fn elf(kind: u8) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01".to_vec();
        bytes.resize(120, 0);
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64] = kind;
        bytes
    }

    #[test]
    fn a_program_with_an_interpreter_is_not_static() {
        assert!(is_static(&elf(1)));
        assert!(!is_static(&elf(3)));
        assert!(!is_static(b"#!/bin/sh"));
        assert!(!is_static(&elf(1)[..60]));
    }

    #[test]
    fn an_archive_names_its_layer_by_its_hash() {
        let folder = std::env::temp_dir().join(format!("dbop-image-{}", random_hex(8).unwrap()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("program"), elf(1)).unwrap();
        let archive = folder.join("image.tar");
        Image::pause(&folder.join("program"))
            .write(&archive)
            .unwrap();
        let mut files = std::collections::BTreeMap::new();
        for entry in tar::Archive::new(File::open(&archive).unwrap())
            .entries()
            .unwrap()
        {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(name, bytes);
        }
        let hash = hex(&Sha256::digest(&files["layer.tar"]));
        let config = String::from_utf8(files["config.json"].clone()).unwrap();
        assert!(config.contains(&format!("sha256:{hash}")), "{config}");
        let manifest = String::from_utf8(files["manifest.json"].clone()).unwrap();
        assert!(manifest.contains(PAUSE), "{manifest}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
