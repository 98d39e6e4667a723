//! Go modules that are pinned below the checkout: what all builds of programs from them have in common.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::cache::hex;
use crate::workspace::capture;

/// How many lines of a failed build are shown.
const LINES_SHOWN: usize = 20;

/// Is there a `go`?
pub(crate) fn is_installed() -> bool {
    capture(Command::new("go").arg("version")).is_ok()
}

/// Short hash of what decides a build: the module's pins, and the build's settings.
pub(crate) fn fingerprint(sources: &Path, settings: &str) -> Result<String> {
    let mut hash = Sha256::new();
    for file in ["go.mod", "go.sum"] {
        let file = sources.join(file);
        let bytes =
            std::fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        hash.update(bytes);
    }
    hash.update(settings);
    Ok(hex(&hash.finalize()[..6]))
}

/// `go build` of the module in this folder; further flags, and the packages, are the caller's to add.
pub(crate) fn build(sources: &Path) -> Command {
    let mut command = go(sources);
    command
        .args(["build", "-trimpath"])
        // Static, so that it runs in containers too.
        .env("CGO_ENABLED", "0");
    command
}

/// `go` in a module's folder, without anybody's own settings.
fn go(sources: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(sources)
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off");
    command
}

/// A failed build shows the end of what it said; `sources` is the module's folder below the checkout.
pub(crate) fn succeeded(is_success: bool, sources: &str, lines: &[String]) -> Result<()> {
    if !is_success {
        let shown = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
        bail!("`go build` of {sources} failed:\n{}", shown.join("\n"));
    }
    Ok(())
}
