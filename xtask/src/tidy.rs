//! `cargo xtask tidy`: enforces what the architecture promises, beyond what the compiler checks.
//!
//! Each check gives violations of one line: file, what, way out. The checks on text are pure
//! functions, tested on fixtures that violate them (`tidy/sources.rs`, `tidy/dependencies.rs`).

mod dependencies;
mod sources;
mod threats;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::clock;
use crate::codegen;
use crate::progress;
use crate::workspace;

/// The most lines of a tool's output that are shown for one check: the rest is more of the same.
const LINES_SHOWN: usize = 120;

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    file: String,
    what: String,
    way_out: String,
}

impl Violation {
    pub(crate) fn new(
        file: impl Into<String>,
        what: impl Into<String>,
        way_out: impl Into<String>,
    ) -> Violation {
        Violation {
            file: file.into(),
            what: what.into(),
            way_out: way_out.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.file, self.what, self.way_out)
    }
}

/// What one check found: nothing, or lines to show.
type Findings = Result<Vec<String>>;

/// The name of a check and how to make it.
type Check<'a> = (&'static str, Box<dyn Fn() -> Findings + 'a>);

/// Makes all checks, building what they need, and tells whether nothing was found.
pub(crate) fn run_alone() -> Result<bool> {
    let (passed, failed) = run(&workspace::root()?, None);
    println!("\n{} passed, {} failed", passed.len(), failed.len());
    Ok(failed.is_empty())
}

/// Makes all checks and prints their findings; gives the names of those that passed and failed.
/// `operator` is the built binary where there is one: else it is built for the check.
pub(crate) fn run(root: &Path, operator: Option<&Path>) -> (Vec<String>, Vec<String>) {
    let checks: Vec<Check<'_>> = vec![
        ("format", Box::new(|| format(root))),
        ("lockfile", Box::new(|| lockfile(root))),
        (
            "layers",
            Box::new(|| Ok(show(&dependencies::layers(root)?))),
        ),
        (
            "purity",
            Box::new(|| Ok(show(&dependencies::purity(root)?))),
        ),
        ("bans", Box::new(|| Ok(show(&dependencies::bans(root)?)))),
        ("sources", Box::new(|| Ok(show(&sources::check(root)?)))),
        ("threats", Box::new(|| Ok(show(&threats::check(root)?)))),
        ("clippy", Box::new(|| clippy(root))),
        ("generated files", Box::new(|| generated(root, operator))),
    ];
    let (mut passed, mut failed) = (Vec::new(), Vec::new());
    for (name, check) in checks {
        let started = clock::now();
        let lines = check().unwrap_or_else(|error| vec![crate::spell(&error)]);
        let took = clock::spell(started.elapsed());
        if lines.is_empty() {
            println!("  {name:<24} ok        {took:>12}");
            passed.push(name.to_owned());
            continue;
        }
        println!("  {name:<24} FAILED    {took:>12}");
        for line in lines.iter().take(LINES_SHOWN) {
            println!("    {line}");
        }
        if lines.len() > LINES_SHOWN {
            println!("    and {} lines more", lines.len() - LINES_SHOWN);
        }
        failed.push(name.to_owned());
    }
    (passed, failed)
}

fn show(violations: &[Violation]) -> Vec<String> {
    violations.iter().map(ToString::to_string).collect()
}

fn format(root: &Path) -> Findings {
    let mut lines = tool(
        "cargo fmt",
        workspace::cargo(root).args(["fmt", "--all", "--check"]),
    )?;
    if !lines.is_empty() {
        lines.insert(0, "the code is not formatted; run `cargo fmt --all`".into());
    }
    Ok(lines)
}

fn clippy(root: &Path) -> Findings {
    let mut cargo = workspace::cargo(root);
    cargo.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--quiet",
    ]);
    tool("cargo clippy", cargo.args(["--", "--deny", "warnings"]))
}

fn lockfile(root: &Path) -> Findings {
    let mut cargo = workspace::cargo(root);
    let locked = cargo.args(["tree", "--workspace", "--locked", "--depth", "0"]);
    let output = progress::run("cargo tree", locked)?;
    Ok(if output.succeeded {
        Vec::new()
    } else {
        vec![
            "Cargo.lock: is not in step with Cargo.toml; run `cargo check` and commit it".into(),
            output.output.join(" "),
        ]
    })
}

fn generated(root: &Path, operator: Option<&Path>) -> Findings {
    let built;
    let operator = match operator {
        Some(operator) => operator,
        None => {
            built = codegen::build_operator(root)?;
            &built
        }
    };
    Ok(show(&codegen::check(root, operator)?))
}

/// Runs a tool that prints its findings and fails where it has some.
fn tool(what: &str, command: &mut Command) -> Findings {
    let outcome = progress::run(what, command)?;
    Ok(match outcome.succeeded {
        true => Vec::new(),
        false if outcome.output.is_empty() => vec![format!("{what} failed without a word")],
        false => outcome.output,
    })
}
