//! The proof `mutants`: every protection of docs/safety.md is taken out, one at a time, and a named test must see it.
//!
//! [`list`] says what is taken out, and by which test it is seen. Nothing is changed in the checkout: all of it
//! happens in a copy below the target folder, with a target folder of its own, so that builds are incremental. The
//! same tests have to pass on the unchanged copy first: a test that fails anyhow shows nothing.

mod list;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::Page;
use crate::cache::Cache;
use crate::clock;
use crate::cluster::Cluster;
use crate::progress;
use crate::servers::{MYSQL, NEWEST_POSTGRES, Server};
use crate::test;
use crate::workspace::{self, capture};

/// So many of the tests that see one are named: the rest is more of the same.
const NAMED_MAX: usize = 3;
/// So much is shown of what was said by one that is broken.
const LINES_SHOWN: usize = 20;

/// Packages that are optimised for tests that decide millions of times, of which none is named in the list.
const QUICK_TO_BUILD: [&str; 3] = ["dbop-plan", "dbop-engine", "dbop-testkit"];

/// The page with the table that the list is about.
#[cfg(test)]
const SAFETY: &str = "docs/safety.md";

/// A protection taken out.
struct Mutant {
    /// The row of docs/safety.md that it belongs to: the beginning of its first cell.
    row: &'static str,
    /// What is missing then, for people; `--only` looks into it.
    without: &'static str,
    file: &'static str,
    /// This text, which stands once in the file, ...
    take: &'static str,
    /// ... becomes this.
    put: &'static str,
    /// What sees it: the arguments of `cargo test`.
    seen_by: &'static [&'static str],
    needs: Needs,
}

/// What a test needs beside cargo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Needs {
    Nothing,
    Postgres,
    MySql,
    Cluster,
}

/// What became of a mutant.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// These tests failed.
    Killed(Vec<String>),
    Survived,
    /// It shows nothing: it does not compile, or the test program ended before it told anything.
    Broken,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Killed(by) => write!(f, "killed by {}", few(by)),
            Fate::Survived => f.write_str("SURVIVED"),
            Fate::Broken => f.write_str("BROKEN, shows nothing"),
        }
    }
}

/// Takes each out and sees it killed; with `only` those whose description contains one of these.
pub(super) fn prove(root: &Path, only: &[String]) -> Result<Page> {
    let is_chosen =
        |mutant: &&Mutant| only.is_empty() || only.iter().any(|only| mutant.without.contains(only));
    let chosen: Vec<&Mutant> = list::ALL.iter().filter(is_chosen).collect();
    ensure!(
        !chosen.is_empty(),
        "nothing in xtask/src/prove/mutants/list.rs has {only:?} in what it is without"
    );
    let copy = Copy::of(root, &workspace::target(root).join("mutants"))?;
    let mut lines = vec![
        "| what must hold | without | seen by |".to_owned(),
        "|---|---|---|".to_owned(),
    ];
    let (mut failures, mut killed, mut versions) = (Vec::new(), 0, Vec::new());
    for needs in [
        Needs::Nothing,
        Needs::Postgres,
        Needs::MySql,
        Needs::Cluster,
    ] {
        let of_these = chosen.iter().filter(|mutant| mutant.needs == needs);
        let mutants: Vec<&Mutant> = of_these.copied().collect();
        if mutants.is_empty() {
            continue;
        }
        let surroundings = Surroundings::provide(needs)?;
        versions.extend(surroundings.servers.iter().map(Server::title));
        let environment = surroundings.environment()?;
        unchanged(&copy, &mutants, &environment)?;
        for mutant in mutants {
            let started = clock::now();
            let fate = copy.without(mutant, || run(&copy, mutant, &environment))?;
            let told = format!("without {}: {fate}", mutant.without);
            println!("  {told}; {}", clock::spell(started.elapsed()));
            match fate {
                Fate::Killed(by) => {
                    killed += 1;
                    lines.push(line(mutant, &by));
                }
                Fate::Survived | Fate::Broken => failures.push(told),
            }
        }
    }
    println!();
    failures.iter().for_each(|one| println!("  {one}"));
    Ok(Page {
        versions,
        result: format!(
            "{killed} protections taken out and each seen by a test, {} not seen",
            failures.len()
        ),
        lines,
        passed: failures.is_empty(),
    })
}

/// A row of the page.
fn line(mutant: &Mutant, by: &[String]) -> String {
    format!(
        "| {} | {} (`{}`) | {} |",
        mutant.row,
        mutant.without,
        mutant.file,
        few(by)
    )
}

/// The first of these tests, and how many more there are.
fn few(tests: &[String]) -> String {
    let named: Vec<String> = tests
        .iter()
        .take(NAMED_MAX)
        .map(|name| format!("`{name}`"))
        .collect();
    let named = named.join(", ");
    match tests.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Each test passes on the code as it is.
fn unchanged(copy: &Copy, mutants: &[&Mutant], environment: &[(String, String)]) -> Result<()> {
    let tests: BTreeSet<&[&str]> = mutants.iter().map(|mutant| mutant.seen_by).collect();
    for test in tests {
        let outcome = copy.test(test, environment)?;
        let shown = test.join(" ");
        ensure!(
            outcome.succeeded,
            "`cargo test {shown}` fails on the code as it is:\n{}",
            outcome.output.join("\n")
        );
        ensure!(
            ran_something(&outcome.output),
            "`cargo test {shown}` runs no test: the name in the list is not, or no longer, one"
        );
    }
    Ok(())
}

/// Did any test run, and not merely a program with all of them filtered out?
fn ran_something(output: &[String]) -> bool {
    let passed = |line: &String| {
        let counts = line.strip_prefix("test result: ok. ")?;
        counts.split(' ').next()?.parse::<u32>().ok()
    };
    output.iter().filter_map(passed).any(|count| count > 0)
}

fn run(copy: &Copy, mutant: &Mutant, environment: &[(String, String)]) -> Result<Fate> {
    let outcome = copy.test(mutant.seen_by, environment)?;
    if outcome.succeeded {
        return Ok(Fate::Survived);
    }
    let failed = failed(&outcome.output);
    if failed.is_empty() {
        let said = outcome.output.iter().take(LINES_SHOWN);
        said.for_each(|line| println!("    {line}"));
        return Ok(Fate::Broken);
    }
    Ok(Fate::Killed(failed))
}

/// The tests that failed, as the test program names them. A program that was not built names none.
fn failed(output: &[String]) -> Vec<String> {
    let named = |line: &String| {
        let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
        // Behind it libtest says `- should panic`, where that is what did not come.
        Some(name.split(' ').next()?.to_owned())
    };
    output.iter().filter_map(named).collect()
}

/// A copy of the files that git tracks or would track. It stays from run to run, and only what differs is written
/// anew, so that cargo builds no more than that.
pub(super) struct Copy {
    folder: PathBuf,
    target: PathBuf,
}

impl Copy {
    pub(super) fn of(root: &Path, below: &Path) -> Result<Copy> {
        let folder = below.join("checkout");
        let files = files(root)?;
        remove_others(&folder, &folder, &files)?;
        for file in &files {
            let cannot = || format!("{} cannot be copied", file.display());
            let text = std::fs::read(root.join(file)).with_context(cannot)?;
            let to = folder.join(file);
            // One that a run left mutated when it was ended differs too.
            if std::fs::read(&to).is_ok_and(|there| there == text) {
                continue;
            }
            std::fs::create_dir_all(to.parent().unwrap_or(&folder)).with_context(cannot)?;
            std::fs::write(&to, text).with_context(cannot)?;
        }
        Ok(Copy {
            folder,
            target: below.join("target"),
        })
    }

    /// Does something while a protection is missing.
    fn without<T>(&self, mutant: &Mutant, what: impl FnOnce() -> Result<T>) -> Result<T> {
        let path = self.folder.join(mutant.file);
        let cannot = || format!("{} cannot be read or written", mutant.file);
        let text = std::fs::read_to_string(&path).with_context(cannot)?;
        std::fs::write(&path, mutated(mutant, &text)?).with_context(cannot)?;
        let done = what();
        std::fs::write(&path, text).with_context(cannot)?;
        done
    }

    /// A `cargo` command in the copy.
    pub(super) fn cargo(&self) -> Command {
        let mut cargo = workspace::cargo(&self.folder);
        cargo
            .env("CARGO_TARGET_DIR", &self.target)
            // Each is built to be run once, and nobody debugs it here: the quickest build is the best one.
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            // What is taken out leaves things unused behind.
            .env("RUSTFLAGS", "--cap-lints=warn");
        cargo
    }

    fn test(
        &self,
        arguments: &[&str],
        environment: &[(String, String)],
    ) -> Result<progress::Outcome> {
        let mut cargo = self.cargo();
        cargo
            .envs(environment.iter().cloned())
            // With the operator the dependencies have the same features for every test, and are built once.
            .args([
                "test",
                "--locked",
                "--no-fail-fast",
                "-p",
                "database-operator",
            ])
            .args(QUICK_TO_BUILD.iter().flat_map(|package| {
                let setting = format!("profile.dev.package.{package}.opt-level=0");
                ["--config".to_owned(), setting]
            }))
            .args(arguments);
        progress::run(&format!("cargo test {}", arguments.join(" ")), &mut cargo)
    }
}

/// The files that git tracks or would track, as far as they are there.
fn files(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut git = Command::new("git");
    git.current_dir(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = capture(&mut git)?;
    let files = listed.lines().map(PathBuf::from);
    Ok(files.filter(|file| root.join(file).is_file()).collect())
}

/// Removes what is in the copy and not, or no longer, in the checkout: cargo finds tests by their files.
fn remove_others(copy: &Path, folder: &Path, files: &BTreeSet<PathBuf>) -> Result<()> {
    let cannot = || format!("{} cannot be tidied up", folder.display());
    if !folder.exists() {
        return Ok(());
    }
    for entry in folder.read_dir().with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let is_there = path
            .strip_prefix(copy)
            .is_ok_and(|file| files.contains(file));
        if path.is_dir() {
            remove_others(copy, &path, files)?;
        } else if !is_there {
            std::fs::remove_file(&path).with_context(cannot)?;
        }
    }
    Ok(())
}

/// The file without the protection.
fn mutated(mutant: &Mutant, text: &str) -> Result<String> {
    match text.matches(mutant.take).count() {
        1 => Ok(text.replacen(mutant.take, mutant.put, 1)),
        count => bail!(
            "{}: what is to be taken out stands in it {count} times ({}); adapt xtask/src/prove/mutants/list.rs",
            mutant.file,
            mutant.without
        ),
    }
}

/// What tests need, kept as long as they run.
struct Surroundings {
    servers: Vec<Server>,
    cluster: Option<Cluster>,
}

impl Surroundings {
    fn provide(needs: Needs) -> Result<Surroundings> {
        let names = match needs {
            Needs::Nothing | Needs::Cluster => Vec::new(),
            Needs::Postgres => vec![NEWEST_POSTGRES],
            // A MariaDB and a MySQL: accounts and roles differ between them.
            Needs::MySql => vec![MYSQL[1], MYSQL[3]],
        };
        let cluster = match needs {
            Needs::Cluster => Some(Cluster::light("mutants")?),
            Needs::Nothing | Needs::Postgres | Needs::MySql => None,
        };
        let cache = Cache::open()?;
        let servers = names.into_iter().map(|name| Server::provide(name, &cache));
        Ok(Surroundings {
            servers: servers.collect::<Result<_>>()?,
            cluster,
        })
    }

    fn environment(&self) -> Result<Vec<(String, String)>> {
        let mut all = match self.servers.is_empty() {
            true => Vec::new(),
            false => test::server_environment(self.servers.iter()),
        };
        if let Some(cluster) = &self.cluster {
            all.extend(cluster.environment()?);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str) -> String {
        let path = workspace::root().unwrap().join(file);
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// The rows of the page's table: what must hold, and what shows it.
    fn rows() -> Vec<(String, String)> {
        let text = read(SAFETY);
        let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
        let cells = rows.filter_map(|line| line.split_once(" | "));
        let cells = cells.map(|(row, shown)| (row.to_owned(), shown.to_owned()));
        cells.skip(1).collect()
    }

    /// The sources in which a test may be.
    fn sources() -> Vec<PathBuf> {
        let all = files(&workspace::root().unwrap()).unwrap().into_iter();
        all.filter(|file| file.extension().is_some_and(|is| is == "rs"))
            .collect()
    }

    #[test]
    fn what_is_to_be_taken_out_stands_where_the_list_says() {
        let wrong: Vec<String> = list::ALL
            .iter()
            .filter_map(|mutant| mutated(mutant, &read(mutant.file)).err())
            .map(|error| error.to_string())
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_row_of_the_table_has_a_mutant() {
        let rows = rows();
        assert!(rows.len() > 15, "{rows:?}");
        for (row, _) in &rows {
            let has_one = list::ALL.iter().any(|one| row.starts_with(one.row));
            assert!(has_one, "{row}");
        }
        for mutant in list::ALL {
            let has_row = rows.iter().any(|(row, _)| row.starts_with(mutant.row));
            assert!(has_row, "{}", mutant.row);
        }
    }

    #[test]
    fn what_shows_a_row_is_there() {
        // What stands in code font on the page and is no test.
        let others = [
            "ClaimedElsewhere",
            "cargo xtask tidy",
            "paused",
            "search_path",
        ];
        let sources = sources();
        let is_there = |name: &str| {
            sources.iter().any(|file| {
                let mut parts = file.iter().filter_map(|part| part.to_str());
                parts.any(|part| part.strip_suffix(".rs").unwrap_or(part) == name)
            })
        };
        for (row, shown) in rows() {
            let mut named = shown.split('`').skip(1).step_by(2).peekable();
            let has_page = shown.contains("](proof/");
            assert!(
                has_page || named.peek().is_some(),
                "{row}: nothing shows it"
            );
            for name in named.filter(|name| !others.contains(name)) {
                let name = name.strip_prefix("tests/").unwrap_or(name);
                assert!(is_there(name), "{row}: there are no tests {name}");
            }
        }
    }

    #[test]
    fn what_sees_a_mutant_is_there() {
        let root = workspace::root().unwrap();
        let texts: Vec<String> = sources()
            .iter()
            .map(|file| std::fs::read_to_string(root.join(file)).unwrap())
            .collect();
        for mutant in list::ALL {
            // What follows the name of a program is a part of the name of a test.
            let [.., before, name] = mutant.seen_by else {
                panic!("{}: no test", mutant.without);
            };
            if matches!(*before, "--test" | "-p") || *name == "--lib" {
                continue;
            }
            let is_named = |line: &str| line.contains("fn ") && line.contains(name);
            let is_there = texts.iter().any(|text| text.lines().any(is_named));
            assert!(is_there, "{}: there is no test {name}", mutant.without);
        }
    }

    #[test]
    fn a_run_without_a_test_is_told() {
        let line = |text: &str| vec![text.to_owned()];
        assert!(ran_something(&line(
            "test result: ok. 2 passed; 0 failed; 0 ignored"
        )));
        assert!(!ran_something(&line(
            "test result: ok. 0 passed; 0 failed; 9 filtered out"
        )));
        assert!(!ran_something(&line(
            "test result: FAILED. 1 passed; 1 failed"
        )));
    }

    #[test]
    fn only_a_test_that_failed_is_one_that_sees_it() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let ran = "test a::one ... FAILED\ntest two ... ok\ntest three - should panic ... FAILED";
        assert_eq!(failed(&lines(ran)), ["a::one", "three"]);
        let not_built = "error[E0425]: cannot find value\nerror: could not compile `dbop-plan`";
        assert_eq!(failed(&lines(not_built)), Vec::<String>::new());
    }
}
