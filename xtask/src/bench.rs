//! `cargo xtask bench`: what the operator weighs, asks and takes, with up to ten thousand databases.
//!
//! The release binary is measured from outside, in a process of its own, against an API server of the test cluster's
//! light form. What is measured, and how, is in `tests/bench`; here is only what it needs: the static builds, the
//! cluster, a PostgreSQL server, and the page.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::cache::Cache;
use crate::cluster::Cluster;
use crate::dist::link::{self, Profile};
use crate::process;
use crate::prove;
use crate::servers::{NEWEST_POSTGRES, Server};
use crate::workspace;

/// The packages that are built: the measured program with fakes behind it, the benchmark, and the program itself.
const PACKAGES: [&str; 2] = ["dbop-bench", "database-operator"];
/// The page that people read, and where the tables are in it.
const PAGE: &str = "docs/bench.md";
const TABLES_BEGIN: &str = "<!-- cargo xtask bench --write: begin -->\n";
const TABLES_END: &str = "<!-- cargo xtask bench --write: end -->\n";
/// The same for programs.
const JSON: &str = "docs/bench/results.json";

/// The arguments of `cargo xtask bench`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Numbers of fake databases.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NUMBERS",
        default_value = "0,1,100,1000,10000"
    )]
    counts: Vec<usize>,
    /// Numbers of fake databases, each with ten tables in spec.metrics, whose metrics are scraped.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NUMBERS",
        default_value = "1,100,1000"
    )]
    scrapes: Vec<usize>,
    /// Numbers of real databases, on a PostgreSQL server of their own; 1000 take 8 GB of disk.
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    real: Vec<usize>,
    /// The number of fake databases beside which failover and outages are measured.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    outages_at: usize,
    /// Seconds that are looked at rest.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    window: u64,
    /// Write the result into docs/, not only below the target folder.
    #[arg(long)]
    write: bool,
}

/// Builds, measures, and says where the result is.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let root = workspace::root()?;
    let commit = prove::commit(&root)?;
    let programs = link::build(&root, Profile::Release, &PACKAGES)?;
    let out = workspace::target(&root).join("bench");
    std::fs::create_dir_all(&out)
        .with_context(|| format!("{} cannot be created", out.display()))?;
    let cluster = Cluster::light("bench")?;
    ensure!(
        cluster.audit_log().is_some(),
        "requests are counted in the API server's audit log, which this cluster does not show: let xtask start one"
    );
    let server = match arguments.real.is_empty() {
        true => None,
        false => Some(Server::start(NEWEST_POSTGRES, &Cache::open()?)?),
    };
    let (json, tables) = (out.join("results.json"), out.join("tables.md"));
    let list = |numbers: &[usize]| {
        let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        numbers.join(",")
    };
    let mut bench = Command::new(programs.join("dbop-bench"));
    bench
        .arg(format!("--counts={}", list(&arguments.counts)))
        .arg(format!("--scrapes={}", list(&arguments.scrapes)))
        .arg(format!("--outages-at={}", arguments.outages_at))
        .arg(format!("--window={}", arguments.window))
        .arg(format!("--commit={commit}"))
        .arg("--fake-operator")
        .arg(programs.join("bench-operator"))
        .arg("--real-operator")
        .arg(programs.join("database-operator"))
        .arg("--scratch")
        .arg(&out)
        .arg("--json")
        .arg(&json)
        .arg("--tables")
        .arg(&tables)
        .envs(cluster.environment()?);
    if let Some(server) = &server {
        bench
            .arg(format!("--real={}", list(&arguments.real)))
            .envs(server.environment());
    }
    let passed = process::run_shared(&mut bench, &mut || {})?.success();
    println!("\n{}\n{}", json.display(), tables.display());
    if passed && arguments.write {
        write(&root, &json, &tables)?;
    }
    Ok(passed)
}

/// Puts the result into the documentation.
fn write(root: &Path, json: &Path, tables: &Path) -> Result<()> {
    let copy = root.join(JSON);
    if let Some(folder) = copy.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be created", folder.display()))?;
    }
    std::fs::copy(json, &copy).with_context(|| format!("{JSON} cannot be written"))?;
    let page: PathBuf = root.join(PAGE);
    let text = std::fs::read_to_string(&page).with_context(|| format!("{PAGE} cannot be read"))?;
    let tables = std::fs::read_to_string(tables).context("the tables cannot be read")?;
    let text = between(&text, &tables).with_context(|| {
        format!("{PAGE} has lost the lines between which the tables are; put them back")
    })?;
    std::fs::write(&page, text).with_context(|| format!("{PAGE} cannot be written"))?;
    println!("written to {PAGE} and {JSON}");
    Ok(())
}

/// The page with these tables in place of its own.
fn between(page: &str, tables: &str) -> Option<String> {
    let (before, rest) = page.split_once(TABLES_BEGIN)?;
    let (_, after) = rest.split_once(TABLES_END)?;
    Some(format!(
        "{before}{TABLES_BEGIN}\n{}\n\n{TABLES_END}{after}",
        tables.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tables_of_the_page_are_replaced() {
        let page = format!("before\n{TABLES_BEGIN}old\n{TABLES_END}after\n");
        let new = between(&page, "new\n").unwrap();
        assert_eq!(
            new,
            format!("before\n{TABLES_BEGIN}\nnew\n\n{TABLES_END}after\n")
        );
        assert_eq!(between(&new, "new\n").as_ref(), Some(&new));
        assert_eq!(between("no marks", "new"), None);
    }
}
