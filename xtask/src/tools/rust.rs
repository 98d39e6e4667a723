//! sqlx-cli, diesel_cli and cargo-mutants, installed with cargo from its registry, each by the lock file that was published with
//! it: nothing of them is in this workspace's dependencies.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::cache::Cache;
use crate::progress;
use crate::workspace;

/// A package with a command line.
pub(crate) struct Package {
    name: &'static str,
    version: &'static str,
    features: &'static str,
    /// What it is said to take, on two cores.
    takes: &'static str,
}

/// With rustls, so that no library of the system is needed; the last is for a login of MySQL without TLS.
pub(super) const SQLX: Package = Package {
    name: "sqlx-cli",
    version: "0.9.0",
    features: "postgres,mysql,rustls,mysql-rsa",
    takes: "two minutes",
};

/// With both client libraries built from the sources that come along: that needs a C++ compiler and CMake.
pub(super) const DIESEL: Package = Package {
    name: "diesel_cli",
    version: "2.3.14",
    features: "postgres-bundled,mysql-bundled",
    takes: "ten minutes",
};

/// It makes small changes in code, one at a time, for `prove changes`.
pub(crate) const CARGO_MUTANTS: Package = Package {
    name: "cargo-mutants",
    version: "27.1.0",
    features: "",
    takes: "some minutes",
};

/// How many lines of a failed build are shown.
const LINES_SHOWN: usize = 30;

impl Package {
    /// What it is, for people.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// From the cache, or built now.
    pub(crate) fn provide(&self, cache: &Cache) -> Result<PathBuf> {
        let entry = format!("tools-{}-{}", self.name, self.version);
        cache.folder(&entry, |folder| self.install(folder))
    }

    fn install(&self, folder: &Path) -> Result<()> {
        let Package {
            name,
            version,
            features,
            takes,
        } = self;
        eprintln!("building {name} {version} once, for the cache ({takes})");
        let target = folder.join("target");
        // Outside of the checkout, whose settings are not meant for it.
        let mut command = workspace::cargo(folder);
        command
            .args(["install", "--locked", "--debug", "--no-default-features"])
            .args(["--version", version, "--features", features])
            .arg("--root")
            .arg(folder)
            .arg(name)
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            // xtask itself runs under cargo, with the toolchain of the checkout, which will do.
            .env_remove("RUSTFLAGS");
        let outcome = progress::run(&format!("cargo install {name}"), &mut command)?;
        if !outcome.succeeded {
            let shown = &outcome.output[outcome.output.len().saturating_sub(LINES_SHOWN)..];
            bail!("{name} cannot be installed:\n{}", shown.join("\n"));
        }
        std::fs::remove_dir_all(&target).context("what a build left cannot be removed")
    }
}
