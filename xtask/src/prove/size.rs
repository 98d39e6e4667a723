//! The proof `size`: the release binary is static, stripped and small, and somebody with a fresh
//! clone does not wait long for the demo. Downloads of crates are not part of the time.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::Page;
use crate::clock;
use crate::demo;
use crate::dist::link::{self, Profile, host_triple, is_static};
use crate::process::TemporaryFolder;
use crate::progress;
use crate::workspace;

/// The largest that the release binary may be.
const BINARY_BYTES_MAX: u64 = 20_000_000;
/// The longest that a cold build of the demo may take, in seconds, on two cores.
const DEMO_BUILD_SECONDS_MAX: u64 = 600;

/// Builds both and measures.
pub(crate) fn measure(root: &Path) -> Result<Page> {
    let triple = host_triple(root)?;
    let mut release = link::command(root, Profile::Release, &["database-operator"])?;
    let release_took = build("the release build", &mut release)?;
    let binary = link::programs(root, Profile::Release)?.join("database-operator");
    let bytes = binary
        .metadata()
        .context("the release build gave no binary")?
        .len();
    let is_static = is_static(&binary)?;

    let fresh = TemporaryFolder::new(workspace::target(root).join("prove-size"))?;
    let mut first = workspace::cargo(root);
    first
        .env("CARGO_TARGET_DIR", fresh.path())
        .args(["build", "--locked", "--package", "xtask"]);
    let mut second = workspace::cargo(root);
    second
        .env("CARGO_TARGET_DIR", fresh.path())
        .args(["build", "--locked"]);
    for package in demo::PACKAGES {
        second.args(["--package", package]);
    }
    let xtask_took = build("the cold build of xtask", &mut first)?;
    let demo_took = xtask_took + build("the cold build of the demo", &mut second)?;

    let passed =
        is_static && bytes < BINARY_BYTES_MAX && demo_took.as_secs() < DEMO_BUILD_SECONDS_MAX;
    let size = format!("{:.1} MB", bytes as f64 / 1e6);
    Ok(Page {
        versions: vec![triple],
        result: format!(
            "{size}, {}; cold build of the demo {}",
            if is_static { "static" } else { "NOT static" },
            clock::spell(demo_took)
        ),
        lines: vec![
            format!("release binary, stripped: {bytes} bytes ({size}; at most 20 MB)"),
            format!(
                "linked statically: {}",
                if is_static { "yes" } else { "no" }
            ),
            format!(
                "release build, dependencies perhaps warm: {}",
                clock::spell(release_took)
            ),
            format!("cold build of xtask: {}", clock::spell(xtask_took)),
            format!(
                "cold build of everything that `cargo xtask demo` needs: {} (at most 10 min)",
                clock::spell(demo_took)
            ),
        ],
        passed,
    })
}

fn build(what: &str, command: &mut Command) -> Result<std::time::Duration> {
    let outcome = progress::run(what, command)?;
    ensure!(
        outcome.succeeded,
        "{what} failed:\n{}",
        outcome.output.join("\n")
    );
    println!("  {what}: {}", clock::spell(outcome.took));
    Ok(outcome.took)
}
