//! The program that all components of a cluster are: built from its Go modules, once for each
//! version of its sources, and kept in the cache.
//!
//! No package registry holds a kube-apiserver, but every Go proxy holds its modules. The sources are
//! `xtask/kubernetes`; nothing of Kubernetes is changed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::cache::{Cache, hex};
use crate::go;
use crate::process::{self, Event};
use crate::progress::Progress;
use crate::workspace;

/// The version of Kubernetes, as in `xtask/kubernetes/go.mod`. A kubelet of 1.36 no longer speaks
/// to containerd 1.x, which is what Debian 12 has.
pub(crate) const VERSION: &str = "1.35.4";
/// Where the sources are, below the checkout.
const SOURCES: &str = "xtask/kubernetes";
/// How many packages a build goes through, to show how far it is.
const PACKAGES: usize = 2_800;

/// The built programs.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// Where they are.
    pub(crate) folder: PathBuf,
    /// Every component, by its first argument.
    pub(crate) kubernetes: PathBuf,
    /// What holds a Pod's namespaces open.
    pub(crate) pause: PathBuf,
}

impl Programs {
    /// The programs in this folder.
    pub(crate) fn at(folder: &Path) -> Programs {
        Programs {
            folder: folder.to_owned(),
            kubernetes: folder.join("kubernetes"),
            pause: folder.join("pause"),
        }
    }

    /// From the cache, or built now: six minutes on two cores.
    pub(crate) fn provide(cache: &Cache) -> Result<Programs> {
        let sources = workspace::root()?.join(SOURCES);
        let name = format!("kubernetes-{VERSION}-{}", fingerprint(&sources)?);
        let folder = cache.folder(&name, |folder| build(&sources, folder))?;
        Ok(Programs::at(&folder))
    }
}

fn build(sources: &Path, folder: &Path) -> Result<()> {
    if !go::is_installed() {
        bail!(
            "the test cluster is built from Go modules, and `go` is not installed: see \
             https://go.dev/dl, or name a cluster of yours in DBOP_TEST_KUBECONFIG"
        );
    }
    eprintln!("building Kubernetes {VERSION} once, for the cache (minutes, two gigabytes of disk)");
    let place = Programs::at(folder);
    compile(sources, &place.pause, "./pause", &[])?;
    let numbers: Vec<&str> = VERSION.split('.').collect();
    let stamp =
        |name: &str, value: &str| format!("-X k8s.io/component-base/version.{name}={value}");
    let stamps = [
        stamp("gitVersion", &format!("v{VERSION}")),
        stamp("gitMajor", numbers[0]),
        stamp("gitMinor", numbers[1]),
    ];
    compile(sources, &place.kubernetes, ".", &stamps)
}

fn compile(sources: &Path, output: &Path, package: &str, stamps: &[String]) -> Result<()> {
    let mut command = go::build(sources);
    command
        .args(["-v", "-ldflags"])
        .arg(format!("-s -w {}", stamps.join(" ")))
        .arg("-o")
        .arg(output)
        .arg(package);
    let mut progress = Progress::new(format!("Kubernetes {VERSION}"));
    let (mut packages, mut lines) = (0, Vec::new());
    let status = process::run(&mut command, &mut |event| match event {
        Event::Line(line) if is_package(line) => packages += 1,
        Event::Line(line) => lines.push(line.to_owned()),
        Event::Tick if packages == 0 => progress.tick("looking at the modules, or linking"),
        Event::Tick => progress.tick(&format!("package {packages} of about {PACKAGES}")),
    })?;
    go::succeeded(status.success(), SOURCES, &lines)
}

/// Whether a line of `go build -v` is the name of a package that it builds, and no message.
fn is_package(line: &str) -> bool {
    !line.is_empty() && !line.starts_with('#') && !line.contains([' ', ':'])
}

/// Short hash of the sources: names and bytes of all files.
fn fingerprint(sources: &Path) -> Result<String> {
    let mut files = Vec::new();
    collect(sources, &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let bytes =
            std::fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let name = file.strip_prefix(sources).unwrap_or(&file);
        hash.update(name.as_os_str().as_encoded_bytes());
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    }
    Ok(hex(&hash.finalize()[..6]))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let path = entry.context("a folder cannot be read")?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_of_the_modules() {
        let modules = include_str!("../../kubernetes/go.mod");
        let line = format!("k8s.io/kubernetes v{VERSION}\n");
        assert!(modules.contains(&line), "go.mod does not name {line}");
    }

    #[test]
    fn packages_are_told_from_errors() {
        assert!(is_package("k8s.io/api/core/v1"));
        assert!(!is_package("# k8s.io/api"));
        assert!(!is_package("main.go:3:1: syntax error"));
        assert!(!is_package("go: downloading k8s.io/api v0.35.4"));
    }

    #[test]
    fn every_source_counts_for_the_fingerprint() {
        let folder = std::env::temp_dir().join(format!(
            "dbop-fingerprint-test-{}",
            crate::cache::random_hex(8).unwrap()
        ));
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        std::fs::write(folder.join("go.mod"), "a").unwrap();
        let first = fingerprint(&folder).unwrap();
        std::fs::write(folder.join("sub/main.go"), "b").unwrap();
        let second = fingerprint(&folder).unwrap();
        std::fs::write(folder.join("sub/main.go"), "c").unwrap();
        let third = fingerprint(&folder).unwrap();
        assert!(first != second && second != third);
        assert_eq!(third, fingerprint(&folder).unwrap());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
