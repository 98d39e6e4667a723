//! golang-migrate and goose, built from their Go modules: their own command lines, for PostgreSQL and MySQL alone.
//!
//! `xtask/tools/go` pins them, with the hashes of all that they are built from.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::go;
use crate::progress;
use crate::workspace;

/// Where the pins are, below the checkout.
const SOURCES: &str = "xtask/tools/go";
/// The programs: `migrate` and `goose`.
const PACKAGES: &[&str] = &[
    "github.com/golang-migrate/migrate/v4/cmd/migrate",
    "github.com/pressly/goose/v3/cmd/goose",
];
/// golang-migrate is told which databases it knows, goose which it does not.
const TAGS: &str = "postgres mysql no_clickhouse no_libsql no_mssql no_sqlite3 no_vertica no_ydb";
/// From the cache, or built now: a minute.
pub(super) fn provide(cache: &Cache) -> Result<PathBuf> {
    let sources = workspace::root()?.join(SOURCES);
    let name = format!("tools-go-{}", go::fingerprint(&sources, TAGS)?);
    cache.folder(&name, |folder| build(&sources, &folder.join("bin")))
}

fn build(sources: &Path, programs: &Path) -> Result<()> {
    if !go::is_installed() {
        bail!("it is built from its Go module, and `go` is not installed: see https://go.dev/dl");
    }
    eprintln!("building golang-migrate and goose once, for the cache (a minute)");
    // With a slash at its end it is a folder, whatever is built.
    let output = format!("{}/", programs.display());
    let mut command = go::build(sources);
    command
        .args(["-ldflags", "-s -w", "-tags", TAGS, "-o", &output])
        .args(PACKAGES);
    let outcome = progress::run("go build", &mut command)?;
    go::succeeded(outcome.succeeded, SOURCES, &outcome.output)
}
