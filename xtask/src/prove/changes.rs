//! The proof `changes`: every small change that cargo-mutants can make in the planner and in the life of credentials, one at
//! a time, and a test of the same crate must see it.
//!
//! Changes that change nothing are listed here, each with the reason; all others must be seen. A change after which a test
//! does not end counts as seen. All of it happens in a copy below the target folder.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::Page;
use super::mutants::Copy;
use crate::cache::Cache;
use crate::clock;
use crate::process::{self, Event};
use crate::progress::Progress;
use crate::tools::CARGO_MUTANTS;
use crate::workspace;

/// What is changed: the crates that decide about other people's logins.
const PACKAGES: [&str; 2] = ["dbop-credentials", "dbop-plan"];
/// Seconds after which a test that does not end is ended: many times what the tests of one crate take.
const SECONDS_MAX: u32 = 60;

/// Changes that change nothing that anybody could see: what they are called, and why that is so.
const EQUIVALENT: [(&str, &str); 0] = [];

/// Makes them all, and tells what came of it.
pub(super) fn prove(root: &Path) -> Result<Page> {
    let cargo_mutants = CARGO_MUTANTS.provide(&Cache::open()?)?;
    let folder = workspace::target(root).join("changes");
    let copy = Copy::of(root, &folder)?;
    let mut command = copy.cargo();
    // It looks for itself as cargo would call it.
    command
        .arg("mutants")
        .env("PATH", path_with(&cargo_mutants.join("bin"))?)
        .args(["--in-place", "--no-shuffle", "--colors", "never"])
        .args(["--timeout", &SECONDS_MAX.to_string()])
        // What is built for one change is run once: the quickest build is the best one.
        .args(PACKAGES.iter().map(|package| {
            format!("--cargo-arg=--config=profile.dev.package.{package}.opt-level=0")
        }))
        .args(PACKAGES.iter().flat_map(|package| ["-p", package]))
        .args(
            EQUIVALENT
                .iter()
                .flat_map(|(change, _)| ["--exclude-re", change]),
        )
        .arg("--output")
        .arg(&folder);
    let mut progress = Progress::new("cargo mutants");
    let mut last = String::new();
    let mut said = Vec::new();
    let status = process::run(&mut command, &mut |event| match event {
        Event::Line(line) => {
            if line.starts_with("MISSED") {
                progress.line(&format!("    {line}"));
            }
            line.clone_into(&mut last);
            said.push(last.clone());
        }
        Event::Tick => progress.tick(&last),
    })?;
    let of = |outcome: &str| -> Result<Vec<String>> {
        let file = folder.join("mutants.out").join(format!("{outcome}.txt"));
        let text = std::fs::read_to_string(&file).with_context(|| {
            format!(
                "cargo mutants left no {}:\n{}",
                file.display(),
                said.join("\n")
            )
        })?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    let (caught, missed) = (of("caught")?, of("missed")?);
    let (ended, unviable) = (of("timeout")?, of("unviable")?);
    // 2: some were missed; 3: some did not end.
    let told = matches!(status.code(), Some(0 | 2 | 3));
    ensure!(
        told && !caught.is_empty(),
        "cargo mutants failed:\n{}",
        said.join("\n")
    );
    let mut lines = vec![
        "| crate | seen by a test | a test does not end | does not compile | not seen |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for package in PACKAGES {
        let below = format!("crates/{}/", package.trim_start_matches("dbop-"));
        let count =
            |changes: &[String]| changes.iter().filter(|one| one.starts_with(&below)).count();
        lines.push(format!(
            "| `{package}` | {} | {} | {} | {} |",
            count(&caught),
            count(&ended),
            count(&unviable),
            count(&missed)
        ));
    }
    lines.extend(missed.iter().map(|change| format!("not seen: `{change}`")));
    lines.extend(
        EQUIVALENT
            .iter()
            .map(|(change, why)| format!("left out, since it changes nothing: `{change}`: {why}")),
    );
    lines.push(format!(
        "the tests are those of the crate that is changed; one that takes longer than {SECONDS_MAX} s is ended, which counts \
         as seen"
    ));
    let seen = caught.len() + ended.len();
    Ok(Page {
        versions: vec![CARGO_MUTANTS.title()],
        result: format!(
            "{seen} of {} changes seen, in {}",
            seen + missed.len(),
            clock::spell(progress.elapsed())
        ),
        lines,
        passed: missed.is_empty(),
    })
}

/// The search path with a folder before all others.
fn path_with(folder: &Path) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).context("the search path cannot be written")
}
