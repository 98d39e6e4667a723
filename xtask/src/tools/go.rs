//! golang-migrate, goose and gh-ost, built from their Go modules: their own command lines.
//!
//! Folders of `xtask/tools` pin them, with the hashes of all that they are built from.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::go;
use crate::progress;
use crate::workspace;

/// Programs of modules that are pinned together.
pub(super) struct Programs {
    /// For people.
    title: &'static str,
    /// The pins' folder in `xtask/tools`, and the cache's.
    folder: &'static str,
    packages: &'static [&'static str],
    /// Tags of the build.
    tags: &'static str,
}

/// `migrate` and `goose`, for PostgreSQL and MySQL alone: golang-migrate is told which databases it knows, goose which
/// it does not.
pub(super) const MIGRATORS: Programs = Programs {
    title: "golang-migrate and goose",
    folder: "go",
    packages: &[
        "github.com/golang-migrate/migrate/v4/cmd/migrate",
        "github.com/pressly/goose/v3/cmd/goose",
    ],
    tags: "postgres mysql no_clickhouse no_libsql no_mssql no_sqlite3 no_vertica no_ydb",
};

/// The first release that knows how MySQL is asked for its log since 8.4.
pub(super) const GH_OST: Programs = Programs {
    title: "gh-ost",
    folder: "gh-ost",
    packages: &["github.com/github/gh-ost/go/cmd/gh-ost"],
    tags: "",
};

impl Programs {
    /// From the cache, or built now: a minute.
    pub(super) fn provide(&self, cache: &Cache) -> Result<PathBuf> {
        let pins = format!("xtask/tools/{}", self.folder);
        let sources = workspace::root()?.join(&pins);
        let fingerprint = go::fingerprint(&sources, self.tags)?;
        let name = format!("tools-{}-{fingerprint}", self.folder);
        cache.folder(&name, |folder| {
            self.build(&pins, &sources, &folder.join("bin"))
        })
    }

    fn build(&self, pins: &str, sources: &Path, programs: &Path) -> Result<()> {
        if !go::is_installed() {
            bail!(
                "it is built from its Go module, and `go` is not installed: see https://go.dev/dl"
            );
        }
        eprintln!("building {} once, for the cache (a minute)", self.title);
        // With a slash at its end it is a folder, whatever is built.
        let output = format!("{}/", programs.display());
        let mut command = go::build(sources);
        command
            .args(["-ldflags", "-s -w", "-tags", self.tags, "-o", &output])
            .args(self.packages);
        let outcome = progress::run("go build", &mut command)?;
        go::succeeded(outcome.succeeded, pins, &outcome.output)
    }
}
