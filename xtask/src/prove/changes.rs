//! The proof `changes`: every small change that cargo-mutants can make in the planner and in the life of credentials, one at
//! a time, and a test of the same crate must see it.
//!
//! Changes that change nothing are listed here, each with the reason; all others must be seen. A change after which a test
//! does not end counts as seen. All of it happens in a copy below the target folder.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::Page;
use super::mutants::Copy;
use crate::cache::Cache;
use crate::clock;
use crate::process::{self, Event};
use crate::progress::Progress;
use crate::tools::CARGO_MUTANTS;
use crate::workspace::{self, capture};

/// What is changed: the crates that decide about other people's logins.
const PACKAGES: [&str; 2] = ["dbop-credentials", "dbop-plan"];
/// Seconds after which a test that does not end is ended: so many that none takes as long on a machine that does other
/// things too, where it would count as seen and was not.
const SECONDS_MAX: u32 = 300;

/// Changes that change nothing that anybody could see: what they are called, and why that is so.
const EQUIVALENT: [(&str, &str); 0] = [];

/// What came of changes, each by the name that cargo-mutants gives it.
#[derive(Default)]
struct Outcomes {
    caught: BTreeSet<String>,
    missed: BTreeSet<String>,
    /// A test did not end.
    ended: BTreeSet<String>,
    unviable: BTreeSet<String>,
}

impl Outcomes {
    /// The lists, with the names of their files.
    fn lists(&mut self) -> [(&'static str, &mut BTreeSet<String>); 4] {
        [
            ("caught.txt", &mut self.caught),
            ("missed.txt", &mut self.missed),
            ("timeout.txt", &mut self.ended),
            ("unviable.txt", &mut self.unviable),
        ]
    }

    fn read(folder: &Path) -> Result<Outcomes> {
        let mut outcomes = Outcomes::default();
        for (file, list) in outcomes.lists() {
            let file = folder.join(file);
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            list.extend(text.lines().map(str::to_owned));
        }
        Ok(outcomes)
    }

    fn write(&mut self, folder: &Path) -> Result<()> {
        for (file, list) in self.lists() {
            let file = folder.join(file);
            let text: String = list.iter().map(|change| format!("{change}\n")).collect();
            std::fs::write(&file, text)
                .with_context(|| format!("{} cannot be written", file.display()))?;
        }
        Ok(())
    }
}

/// Makes them all, and tells what came of it; `again`: only those that no run before has seen, and those of code that is
/// another since.
pub(super) fn prove(root: &Path, again: bool) -> Result<Page> {
    let program = CARGO_MUTANTS.provide(&Cache::open()?)?;
    let folder = workspace::target(root).join("changes");
    let copy = Copy::of(root, &folder)?;
    let mut known = Outcomes::default();
    let mut chosen = Vec::new();
    if again {
        let list = capture(cargo_mutants(&copy, &program)?.arg("--list"))?;
        let all: BTreeSet<&str> = list.lines().collect();
        known = Outcomes::read(&folder).context("--again needs a run before")?;
        known.missed.clear();
        for (_, list) in known.lists() {
            list.retain(|change| all.contains(change.as_str()));
        }
        let is_known = |change: &&str| {
            let lists = [&known.caught, &known.ended, &known.unviable];
            lists.iter().any(|list| list.contains(*change))
        };
        let left = all.iter().filter(|change| !is_known(change));
        chosen = left.map(|change| exactly(change)).collect();
        ensure!(!chosen.is_empty(), "the run before has seen all of them");
    }
    let before = known.caught.len() + known.ended.len();
    let mut command = cargo_mutants(&copy, &program)?;
    command
        .args(["--in-place", "--no-shuffle", "--colors", "never"])
        .args(["--timeout", &SECONDS_MAX.to_string()])
        // What is built for one change is run once: the quickest build is the best one.
        .args(PACKAGES.iter().map(|package| {
            format!("--cargo-arg=--config=profile.dev.package.{package}.opt-level=0")
        }))
        .args(chosen.iter().flat_map(|change| ["--re", change]))
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
    let failed = || format!("cargo mutants failed:\n{}", said.join("\n"));
    let mut now = Outcomes::read(&folder.join("mutants.out")).with_context(failed)?;
    // 2: some were missed; 3: some did not end.
    let told = matches!(status.code(), Some(0 | 2 | 3));
    ensure!(told && !now.caught.is_empty(), failed());
    for ((_, all), (_, new)) in known.lists().into_iter().zip(now.lists()) {
        all.append(new);
    }
    known.write(&folder)?;
    let Outcomes {
        caught,
        missed,
        ended,
        unviable,
    } = known;
    let mut lines = vec![
        "| crate | seen by a test | a test does not end | does not compile | not seen |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for package in PACKAGES {
        let below = format!("crates/{}/", package.trim_start_matches("dbop-"));
        let count = |changes: &BTreeSet<String>| {
            changes.iter().filter(|one| one.starts_with(&below)).count()
        };
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
    if again {
        lines.push(format!(
            "{before} of those that were seen were seen at an earlier commit, where their lines stood just the same"
        ));
    }
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

/// `cargo mutants` in the copy, for what is changed here.
fn cargo_mutants(copy: &Copy, program: &Path) -> Result<Command> {
    let mut command = copy.cargo();
    // It looks for itself as cargo would call it.
    command
        .arg("mutants")
        .env("PATH", path_with(&program.join("bin"))?)
        .args(PACKAGES.iter().flat_map(|package| ["-p", package]))
        .args(
            EQUIVALENT
                .iter()
                .flat_map(|(change, _)| ["--exclude-re", change]),
        );
    Ok(command)
}

/// The expression that fits this text and no other.
fn exactly(text: &str) -> String {
    const SPECIAL: &str = r"\.+*?()|[]{}^$#&-~";
    let mut expression = "^".to_owned();
    for c in text.chars() {
        if SPECIAL.contains(c) {
            expression.push('\\');
        }
        expression.push(c);
    }
    expression.push('$');
    expression
}

/// The search path with a folder before all others.
fn path_with(folder: &Path) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).context("the search path cannot be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changes_name_is_an_expression_of_itself_alone() {
        let name = "walk.rs:1:2: replace && with || in <impl A for B<'_>>::f -> Option<usize>";
        assert_eq!(
            exactly(name),
            r"^walk\.rs:1:2: replace \&\& with \|\| in <impl A for B<'_>>::f \-> Option<usize>$"
        );
    }
}
