//! gh-ost, as Vitess carries it in its Go module: the program itself, of openark's fork, which no package has.
//!
//! `xtask/tools/gh-ost` pins the module with its hash; nothing is built. There is one program, for Linux on x86-64.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::cache::Cache;
use crate::go;
use crate::workspace::{self, capture};

/// Where the pin is, below the checkout.
const SOURCES: &str = "xtask/tools/gh-ost";
/// The module.
const MODULE: &str = "vitess.io/vitess";
/// Where the program is in it.
const FILE: &str = "resources/bin/gh-ost";
/// Its name in the tool's folder.
const PROGRAM: &str = "gh-ost";

/// From the cache, or fetched now: 21 MB.
pub(super) fn provide(cache: &Cache) -> Result<PathBuf> {
    ensure!(
        cfg!(all(target_os = "linux", target_arch = "x86_64")),
        "Vitess carries gh-ost for Linux on x86-64 alone, and this is {} on {}: leave its tests out",
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let sources = workspace::root()?.join(SOURCES);
    let name = format!("tools-gh-ost-{}", go::fingerprint(&sources, FILE)?);
    cache.folder(&name, |folder| fill(&sources, &folder.join("bin")))
}

fn fill(sources: &Path, programs: &Path) -> Result<()> {
    let module = go::module(sources, MODULE)?;
    let program = programs.join(PROGRAM);
    std::fs::create_dir(programs).context("the cache cannot be written")?;
    std::fs::copy(module.join(FILE), &program)
        .with_context(|| format!("{FILE} of {MODULE} cannot be copied"))?;
    // A module's files are nobody's programs: that it was one is lost.
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))
        .context("the cache cannot be written")?;
    capture(Command::new(&program).arg("--version"))
        .context("gh-ost does not run here: it wants the C library of GNU (glibc)")?;
    Ok(())
}
