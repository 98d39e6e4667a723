//! `cargo xtask helm`: Helm, of the one version that the chart is tested with, built from its Go module
//! and kept in the cache as the test cluster is.
//!
//! `xtask/helm` pins it, with the versions of Kubernetes' modules that the test cluster has: what Go has
//! compiled for one, it need not compile for the other.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::go;
use crate::process::{self, Event};
use crate::workspace;

/// Where the pins are, below the checkout.
const SOURCES: &str = "xtask/helm";
/// The package.
const PACKAGE: &str = "helm.sh/helm/v3/cmd/helm";
/// What a release of Helm is told when it is built: for which Kubernetes charts are rendered. Without it
/// that would be 1.20.
const STAMPS: &str = "-s -w -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 \
                      -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=35";

/// Runs Helm with these arguments, and tells whether it succeeded.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let program = provide(&Cache::open()?)?;
    let mut helm = Command::new(program);
    Ok(process::run_shared(helm.args(arguments), &mut || {})?.success())
}

/// From the cache, or built now: a minute after the test cluster was built, else three.
fn provide(cache: &Cache) -> Result<PathBuf> {
    let sources = workspace::root()?.join(SOURCES);
    let name = format!("helm-{}", go::fingerprint(&sources, STAMPS)?);
    let folder = cache.folder(&name, |folder| build(&sources, &folder.join("helm")))?;
    Ok(folder.join("helm"))
}

fn build(sources: &Path, output: &Path) -> Result<()> {
    if !go::is_installed() {
        bail!("Helm is built from its Go module, and `go` is not installed: see https://go.dev/dl");
    }
    let mut command = go::build(sources);
    command
        .args(["-ldflags", STAMPS, "-o"])
        .arg(output)
        .arg(PACKAGE);
    // On stderr: stdout is Helm's, and may be read by a program.
    eprintln!("building Helm once, for the cache (a minute or three)");
    let mut lines = Vec::new();
    let status = process::run(&mut command, &mut |event| {
        if let Event::Line(line) = event {
            lines.push(line.to_owned());
        }
    })?;
    go::succeeded(status.success(), SOURCES, &lines)
}
