//! The proof `mutants`: every protection of docs/safety.md is taken out, one at a time, and a named test must see it.
//!
//! [`list`] says what is taken out, and by which test it is seen. Nothing is changed in the checkout: all of it
//! happens in a copy below the target folder, with a target folder of its own, so that builds are incremental. The
//! same tests have to pass on the unchanged copy first: a test that fails anyhow shows nothing.

mod list;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::Page;
use crate::cache::Cache;
use crate::clock;
use crate::cluster::Cluster;
use crate::process::TemporaryFolder;
use crate::progress;
use crate::servers::{MYSQL, NEWEST_POSTGRES, Server};
use crate::test;
use crate::workspace::{self, capture};

/// The page with the table that the list is about.
#[cfg(test)]
const SAFETY: &str = "docs/safety.md";

/// A protection taken out.
struct Mutant {
    /// The row of docs/safety.md that it belongs to: the beginning of its first cell.
    row: &'static str,
    /// What is missing then, for people.
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
    Killed,
    Survived,
    DoesNotBuild,
}

/// Takes each out and sees it killed.
pub(super) fn prove(root: &Path) -> Result<Page> {
    let folder = workspace::target(root).join("mutants");
    let copy = Copy::of(root, folder)?;
    let mut lines = vec![
        "| what must hold | taken out | seen by |".to_owned(),
        "|---|---|---|".to_owned(),
    ];
    let (mut survivors, mut killed, mut versions) = (Vec::new(), 0, Vec::new());
    for needs in [
        Needs::Nothing,
        Needs::Postgres,
        Needs::MySql,
        Needs::Cluster,
    ] {
        let mutants: Vec<&Mutant> = list::ALL.iter().filter(|one| one.needs == needs).collect();
        let surroundings = Surroundings::provide(needs)?;
        versions.extend(surroundings.servers.iter().map(Server::title));
        let environment = surroundings.environment()?;
        unchanged(&copy, &mutants, &environment)?;
        for mutant in mutants {
            let started = clock::now();
            let fate = copy.without(mutant, || run(&copy, mutant, &environment))?;
            let took = clock::spell(started.elapsed());
            println!("  {:?} in {took}: {}", fate, mutant.without);
            match fate {
                Fate::Killed => killed += 1,
                Fate::Survived | Fate::DoesNotBuild => {
                    survivors.push(format!("{:?}: {}", fate, mutant.without));
                }
            }
            lines.push(format!(
                "| {} | {} (`{}`) | `cargo test {}` |",
                mutant.row,
                mutant.without,
                mutant.file,
                mutant.seen_by.join(" ")
            ));
        }
    }
    lines.extend(
        list::ELSEWHERE
            .iter()
            .map(|(row, how)| format!("| {row} | nothing here: {how} | |")),
    );
    println!();
    survivors.iter().for_each(|one| println!("  {one}"));
    Ok(Page {
        versions,
        result: format!(
            "{killed} protections taken out and seen by their tests, {} not seen",
            survivors.len()
        ),
        lines,
        passed: survivors.is_empty(),
    })
}

/// Each test passes on the code as it is.
fn unchanged(copy: &Copy, mutants: &[&Mutant], environment: &[(String, String)]) -> Result<()> {
    let tests: BTreeMap<&[&str], &&Mutant> = mutants
        .iter()
        .map(|mutant| (mutant.seen_by, mutant))
        .collect();
    for (test, _) in tests {
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
    let a_test_failed = outcome
        .output
        .iter()
        .any(|line| line.starts_with("test result: FAILED"));
    Ok(match (outcome.succeeded, a_test_failed) {
        (true, _) => Fate::Survived,
        (false, true) => Fate::Killed,
        (false, false) => {
            outcome
                .output
                .iter()
                .take(20)
                .for_each(|line| println!("    {line}"));
            Fate::DoesNotBuild
        }
    })
}

/// A copy of the files that git tracks or would track.
struct Copy {
    folder: TemporaryFolder,
    target: PathBuf,
}

impl Copy {
    fn of(root: &Path, below: PathBuf) -> Result<Copy> {
        let target = below.join("target");
        let folder = TemporaryFolder::new(below.join("checkout"))?;
        let mut git = Command::new("git");
        git.current_dir(root)
            .args(["ls-files", "--cached", "--others", "--exclude-standard"]);
        for file in capture(&mut git)?.lines() {
            let from = root.join(file);
            // One that was deleted and not yet staged is listed.
            if !from.is_file() {
                continue;
            }
            let to = folder.path().join(file);
            if let Some(above) = to.parent() {
                std::fs::create_dir_all(above)
                    .with_context(|| format!("{} cannot be made", above.display()))?;
            }
            std::fs::copy(&from, &to).with_context(|| format!("{file} cannot be copied"))?;
        }
        Ok(Copy { folder, target })
    }

    /// Does something while a protection is missing.
    fn without<T>(&self, mutant: &Mutant, what: impl FnOnce() -> Result<T>) -> Result<T> {
        let path = self.folder.path().join(mutant.file);
        let cannot = || format!("{} cannot be read or written", mutant.file);
        let text = std::fs::read_to_string(&path).with_context(cannot)?;
        std::fs::write(&path, mutated(mutant, &text)?).with_context(cannot)?;
        let done = what();
        std::fs::write(&path, text).with_context(cannot)?;
        done
    }

    fn test(
        &self,
        arguments: &[&str],
        environment: &[(String, String)],
    ) -> Result<progress::Outcome> {
        let mut cargo = workspace::cargo(self.folder.path());
        cargo
            .env("CARGO_TARGET_DIR", &self.target)
            .envs(environment.iter().cloned())
            // What is taken out leaves things unused behind.
            .env("RUSTFLAGS", "--cap-lints=warn")
            .args(["test", "--locked", "--no-fail-fast"])
            .args(arguments);
        progress::run(&format!("cargo test {}", arguments.join(" ")), &mut cargo)
    }
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

    /// The first cells of the page's table.
    fn rows() -> Vec<String> {
        let text = read(SAFETY);
        let cells = text.lines().filter_map(|line| line.strip_prefix("| "));
        let first = cells.filter_map(|line| line.split_once(" |"));
        first.skip(1).map(|(cell, _)| cell.to_owned()).collect()
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
    fn every_row_of_the_table_has_a_mutant_or_a_reason() {
        let rows = rows();
        assert!(rows.len() > 15, "{rows:?}");
        let listed = list::ALL.iter().map(|mutant| mutant.row);
        let named: Vec<&str> = listed
            .chain(list::ELSEWHERE.iter().map(|(row, _)| *row))
            .collect();
        for row in &rows {
            assert!(named.iter().any(|name| row.starts_with(name)), "{row}");
        }
        for name in named {
            assert!(rows.iter().any(|row| row.starts_with(name)), "{name}");
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
}
