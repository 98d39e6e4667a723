//! golang-migrate and goose, built from their Go modules: their own command lines, for PostgreSQL and MySQL alone.
//!
//! `xtask/tools/go` pins them, with the hashes of all that they are built from.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::cache::{Cache, hex};
use crate::progress;
use crate::workspace::{self, capture};

/// Where the pins are, below the checkout.
const SOURCES: &str = "xtask/tools/go";
/// The programs: `migrate` and `goose`.
const PACKAGES: &[&str] = &[
    "github.com/golang-migrate/migrate/v4/cmd/migrate",
    "github.com/pressly/goose/v3/cmd/goose",
];
/// golang-migrate is told which databases it knows, goose which it does not.
const TAGS: &str = "postgres mysql no_clickhouse no_libsql no_mssql no_sqlite3 no_vertica no_ydb";
/// How many lines of a failed build are shown.
const LINES_SHOWN: usize = 20;

/// From the cache, or built now: a minute.
pub(super) fn provide(cache: &Cache) -> Result<PathBuf> {
    let sources = workspace::root()?.join(SOURCES);
    let mut hash = Sha256::new();
    for file in ["go.mod", "go.sum"] {
        let bytes = std::fs::read(sources.join(file))
            .with_context(|| format!("{SOURCES}/{file} cannot be read"))?;
        hash.update(bytes);
    }
    hash.update(TAGS);
    let name = format!("tools-go-{}", hex(&hash.finalize()[..6]));
    cache.folder(&name, |folder| build(&sources, &folder.join("bin")))
}

fn build(sources: &Path, programs: &Path) -> Result<()> {
    if capture(Command::new("go").arg("version")).is_err() {
        bail!("it is built from its Go module, and `go` is not installed: see https://go.dev/dl");
    }
    eprintln!("building golang-migrate and goose once, for the cache (a minute)");
    // With a slash at its end it is a folder, whatever is built.
    let output = format!("{}/", programs.display());
    let mut command = Command::new("go");
    command
        .current_dir(sources)
        .args([
            "build",
            "-trimpath",
            "-ldflags",
            "-s -w",
            "-tags",
            TAGS,
            "-o",
            &output,
        ])
        .args(PACKAGES)
        // Static, and nobody's own settings.
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off");
    let outcome = progress::run("go build", &mut command)?;
    if !outcome.succeeded {
        let shown = &outcome.output[outcome.output.len().saturating_sub(LINES_SHOWN)..];
        bail!("`go build` of {SOURCES} failed:\n{}", shown.join("\n"));
    }
    Ok(())
}
