//! `cargo xtask helm`: Helm, of the one version that the chart is tested with, built from its Go module
//! and kept in the cache as the test cluster is.
//!
//! `xtask/helm` pins it, with the versions of Kubernetes' modules that the test cluster has: what Go has
//! compiled for one, it need not compile for the other.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::cache::{Cache, hex};
use crate::process::{self, Event};
use crate::workspace::{self, capture};

/// Where the pins are, below the checkout.
const SOURCES: &str = "xtask/helm";
/// The package.
const PACKAGE: &str = "helm.sh/helm/v3/cmd/helm";
/// What a release of Helm is told when it is built: for which Kubernetes charts are rendered. Without it
/// that would be 1.20.
const STAMPS: &str = "-s -w -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 \
                      -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=35";
/// How many lines of a failed build are shown.
const LINES_SHOWN: usize = 20;

/// Runs Helm with these arguments, and tells whether it succeeded.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let program = provide(&Cache::open()?)?;
    let mut helm = Command::new(program);
    Ok(process::run_shared(helm.args(arguments), &mut || {})?.success())
}

/// From the cache, or built now: a minute after the test cluster was built, else three.
fn provide(cache: &Cache) -> Result<PathBuf> {
    let sources = workspace::root()?.join(SOURCES);
    let mut hash = Sha256::new();
    for file in ["go.mod", "go.sum"] {
        let bytes = std::fs::read(sources.join(file))
            .with_context(|| format!("{SOURCES}/{file} cannot be read"))?;
        hash.update(bytes);
    }
    hash.update(STAMPS);
    let name = format!("helm-{}", hex(&hash.finalize()[..6]));
    let folder = cache.folder(&name, |folder| build(&sources, &folder.join("helm")))?;
    Ok(folder.join("helm"))
}

fn build(sources: &Path, output: &Path) -> Result<()> {
    if capture(Command::new("go").arg("version")).is_err() {
        bail!("Helm is built from its Go module, and `go` is not installed: see https://go.dev/dl");
    }
    let mut command = Command::new("go");
    command
        .current_dir(sources)
        .args(["build", "-trimpath", "-ldflags", STAMPS, "-o"])
        .arg(output)
        .arg(PACKAGE)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off");
    // On stderr: stdout is Helm's, and may be read by a program.
    eprintln!("building Helm once, for the cache (a minute or three)");
    let mut lines = Vec::new();
    let status = process::run(&mut command, &mut |event| {
        if let Event::Line(line) = event {
            lines.push(line.to_owned());
        }
    })?;
    if !status.success() {
        let shown = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
        bail!("`go build` of {SOURCES} failed:\n{}", shown.join("\n"));
    }
    Ok(())
}
