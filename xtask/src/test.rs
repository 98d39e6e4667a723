//! `cargo xtask test`: all tests, tier by tier, on one build of the workspace.
//!
//! Test programs are run by name and not through `cargo test -p`, because each other choice of
//! packages would build the dependencies once more with other features. `DBOP_SEED` repeats a run.

mod libtest;
mod node;
mod programs;
mod tiers;

pub(crate) use libtest::Tally;
pub(crate) use node::Node;
pub(crate) use programs::{Program, Programs};
pub(crate) use tiers::Tier;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cache::Cache;
use crate::clock;
use crate::cluster::Cluster;
use crate::histories::{self, History};
use crate::progress::{self, Progress};
use crate::python;
use crate::servers::{
    self, MYSQL, NEWEST_POSTGRES, Name, OUTER_MYSQL, OUTER_POSTGRES, REPLICATED_MYSQL,
    REPLICATED_POSTGRES, Server, TOOL_SERVERS,
};
use crate::tidy;
use crate::tools::{self, Tool};
use crate::workspace;
use libtest::Reader;

/// The packages whose own tests need a server; tests of all others need nothing.
const WITH_SERVERS: &[&str] = &["dbop-postgres", "dbop-migrate", "dbop-tests"];
/// The packages whose own tests need MySQL and MariaDB, all of them.
const WITH_MYSQL: &[&str] = &["dbop-mysql"];
/// The test that needs MySQL and MariaDB, in packages whose other tests need PostgreSQL.
const MYSQL_TEST: &str = "mysql";
/// The programs of `dbop-tests` whose tests are the same on every engine, or are apart by the names of their modules.
const ON_ANY_ENGINE: &[&str] = &[
    "support", "errors", "canary", "walks", "crashes", "analyze", "snapshot", "standby", "races",
];
/// What a module is called whose tests are for one kind of server alone, as libtest leaves it out.
const SKIP_ON_MYSQL: &[&str] = &["--skip", "on_mysql::"];
const ORACLE_ON_POSTGRES: &[&str] = &["--show-output", "on_postgres::", "catalogue::"];
const ORACLE_ON_MYSQL: &[&str] = &["--show-output", "on_mysql::"];
const SKIP_ON_POSTGRES: &[&str] = &["--skip", "on_postgres::", "--show-output"];
/// The simulation, and the package that it is in.
pub(crate) const SIMULATION: (&str, &str) = ("dbop-testkit", "simulation");
/// The walks that are killed at many points, and the package that they are in.
pub(crate) const CRASHES: (&str, &str) = ("dbop-tests", "crashes");
/// One server of each kind for what is done through an API server: which version it is makes no difference there.
pub(crate) const REPLICAS_SERVERS: [Name; 2] = [NEWEST_POSTGRES, MYSQL[1]];
/// The table of what an API server refuses, and the package that it is in.
const ADMISSION: (&str, &str) = ("dbop-tests", "admission");
/// That every way to install gives the same, and that an API server takes it.
const INSTALL: (&str, &str) = ("dbop-tests", "install");
/// The operator in a Pod, and the package that these tests are in.
pub(crate) const NODE: (&str, &str) = ("dbop-tests", "cluster");
/// The operator when it fails, or what it stands on does, and the package that these tests are in.
pub(crate) const REPLICAS: (&str, &str) = ("dbop-tests", "replicas");
/// Clients of a credential that is being retired, and the package that they are in.
pub(crate) const RACES: (&str, &str) = ("dbop-tests", "races");
/// Walks of published applications' migrations, and the package that they are in.
pub(crate) const HISTORIES: (&str, &str) = ("dbop-tests", "histories");
/// Of these, the one that is only walked by `prove histories`: it takes long, and a large environment.
const LONG_HISTORY: &str = "mlflow";
/// Walks with real migration tools, and the package that they are in.
pub(crate) const TOOLS: (&str, &str) = ("dbop-tests", "tools");
/// What servers do with statements against what is said of them, and the package that it is in.
pub(crate) const ORACLE: (&str, &str) = ("dbop-tests", "oracle");
/// What looks at large tables cost, and the package that this is in.
pub(crate) const PROBES: (&str, &str) = ("dbop-tests", "probes");
/// The nine scenarios of the hints, and the package that they are in.
pub(crate) const SCENARIOS: (&str, &str) = ("dbop-tests", "scenarios");
/// The package whose own tests need an API server.
const WITH_API_SERVER: &str = "dbop-kubernetes";
/// Tests with servers mostly wait, so that more of them run side by side than there are cores.
const THREADS_WITH_SERVERS: &str = "6";
/// Each test walks on three servers at once, and tools, Java above all, compute more than they wait: with more of them
/// the looks at sessions come too far apart for a quiet window.
pub(crate) const THREADS_WITH_TOOLS: &str = "2";

/// Prints the tiers, runs those that are named (all, if none is), and tells whether all passed.
pub(crate) fn run(tiers: &[Tier], only_list: bool) -> Result<bool> {
    tiers::print_table();
    if only_list {
        return Ok(true);
    }
    let seed = seed()?;
    println!("\nseed of this run: {seed}; to repeat it: DBOP_SEED={seed} cargo xtask test");
    let mut run = Run::new(workspace::root()?, seed);
    let mut total = Tally::default();
    for tier in Tier::ALL {
        if !tiers.is_empty() && !tiers.contains(&tier) {
            continue;
        }
        println!("\n== {tier}: {}", tier.covers());
        let started = clock::now();
        let mut tally = Tally::default();
        if let Err(error) = run.tier(tier, &mut tally) {
            println!("  {}", crate::spell(&error));
            tally.fail(format!("{tier}: {}", first_line(&crate::spell(&error))));
        }
        if tally.count() == 0 {
            tally.fail(format!("{tier}: ran no test"));
        }
        println!(
            "== {tier}: {} passed, {} failed in {}",
            tally.passed,
            tally.failed.len(),
            clock::spell(started.elapsed())
        );
        total.add(tally);
    }
    drop(run);
    summarize(&total);
    Ok(total.failed.is_empty())
}

/// The seed of this run: `DBOP_SEED`, else a fresh one.
pub(crate) fn seed() -> Result<u64> {
    match std::env::var("DBOP_SEED") {
        Ok(text) if !text.is_empty() => text
            .parse()
            .with_context(|| format!("DBOP_SEED is a whole number below 2^64, not {text:?}")),
        // Nine digits are enough to differ, and short enough to copy.
        _ => Ok(u64::from_str_radix(&crate::cache::random_hex(7)?, 16)? % 1_000_000_000),
    }
}

/// Runs a test program out of sight, with these variables and arguments, and adds to `tally`.
/// Gives the lines that begin with `proof: `, without that word.
pub(crate) fn run_program(
    program: &Program,
    environment: &[(String, String)],
    arguments: &[&str],
    tally: &mut Tally,
) -> Result<Vec<String>> {
    let mut command = program.command();
    command.envs(environment.iter().cloned()).args(arguments);
    observe(&program.label(), &program.package, &mut command, tally)
}

fn summarize(total: &Tally) {
    println!();
    if !total.failed.is_empty() {
        println!("failed:");
        for name in &total.failed {
            println!("  {name}");
        }
        println!();
    }
    println!("{} passed, {} failed", total.passed, total.failed.len());
}

/// What tiers share: the build, the servers, Alembic.
struct Run {
    root: PathBuf,
    seed: u64,
    programs: Option<Programs>,
    servers: Vec<Server>,
}

impl Run {
    fn new(root: PathBuf, seed: u64) -> Run {
        Run {
            root,
            seed,
            programs: None,
            servers: Vec::new(),
        }
    }

    fn tier(&mut self, tier: Tier, tally: &mut Tally) -> Result<()> {
        match tier {
            Tier::Tidy => {
                let operator = self.programs()?.binary("database-operator")?;
                let (passed, failed) = tidy::run(&self.root, Some(&operator));
                tally.passed += passed.len();
                for name in failed {
                    tally.fail(format!("tidy: {name}"));
                }
                Ok(())
            }
            Tier::Unit => {
                self.select(tally, &[], |program| {
                    !program.is_integration()
                        || (!WITH_SERVERS.contains(&program.package.as_str())
                            && !needs_mysql(program)
                            && program.package != WITH_API_SERVER
                            && !program.is(SIMULATION))
                })?;
                let mut cargo = workspace::cargo(&self.root);
                cargo.args(["test", "--workspace", "--doc", "--no-fail-fast", "--locked"]);
                observe("examples in docs", "docs", &mut cargo, tally).map(drop)
            }
            Tier::Docs => docs(&self.root, tally),
            Tier::Simulation => {
                self.select(tally, &["--show-output"], |program| program.is(SIMULATION))
            }
            Tier::Postgres => {
                let alembic = python::alembic(&Cache::open()?)?;
                let [oldest, newest] = OUTER_POSTGRES;
                let mut environment = self.servers(&[oldest, newest, REPLICATED_POSTGRES])?;
                environment.push((
                    "DBOP_TEST_ALEMBIC_VENV".into(),
                    alembic.display().to_string(),
                ));
                self.select_with(tally, &environment, SKIP_ON_MYSQL, |program| {
                    program.is_integration()
                        && WITH_SERVERS.contains(&program.package.as_str())
                        && !needs_mysql(program)
                        && !program.is(CRASHES)
                        && !program.is(ADMISSION)
                        && !program.is(INSTALL)
                        && !program.is(REPLICAS)
                        && !program.is(NODE)
                        && !program.is(TOOLS)
                        && !program.is(HISTORIES)
                        && !program.is(ORACLE)
                        && !program.is(PROBES)
                        && !program.is(SCENARIOS)
                })?;
                // A part of the cases, another one with another seed.
                self.select_with(tally, &environment, ORACLE_ON_POSTGRES, |program| {
                    program.is(ORACLE)
                })
            }
            Tier::MySql => {
                let environment = self.servers(&OUTER_MYSQL)?;
                self.select_with(tally, &environment, &[], needs_mysql)?;
                self.select_with(tally, &environment, ORACLE_ON_MYSQL, |program| {
                    program.is(ORACLE)
                })?;
                // A walk is the same on the older MariaDB, whose backend was tested just now.
                let [mariadb, mysql] = REPLICATED_MYSQL;
                let environment = self.servers(&[MYSQL[1], MYSQL[3], mariadb, mysql])?;
                self.select_with(tally, &environment, SKIP_ON_POSTGRES, |program| {
                    let mut names = ON_ANY_ENGINE.iter();
                    names.any(|name| program.is(("dbop-tests", name)))
                })
            }
            Tier::Tools => {
                let mut environment = tools::environment(&tools::ONE_PER_FAMILY, &Cache::open()?)?;
                environment.extend(self.servers(&TOOL_SERVERS)?);
                environment.push(("RUST_TEST_THREADS".into(), THREADS_WITH_TOOLS.into()));
                let filters = tools::ONE_PER_FAMILY.map(Tool::filter);
                let mut arguments: Vec<&str> = filters.iter().map(String::as_str).collect();
                arguments.push("--show-output");
                self.select_with(tally, &environment, &arguments, |program| program.is(TOOLS))?;
                // With a way out that is one of these tools.
                self.select_with(tally, &environment, &["--show-output"], |program| {
                    program.is(SCENARIOS) || program.is(PROBES)
                })?;
                environment.extend(histories::environment(&[History::Uaa], &Cache::open()?)?);
                let slice = ["--show-output", "--skip", LONG_HISTORY];
                self.select_with(tally, &environment, &slice, |program| program.is(HISTORIES))
            }
            Tier::Cluster => {
                let cluster = Cluster::light("tests")?;
                let environment = cluster.environment()?;
                self.select_with(tally, &environment, &[], |program| {
                    program.is(ADMISSION)
                        || program.is(INSTALL)
                        || (program.is_integration() && program.package == WITH_API_SERVER)
                })
            }
            Tier::Failures => {
                let cluster = Cluster::light("tests")?;
                let mut environment = self.servers(&REPLICAS_SERVERS)?;
                environment.extend(cluster.environment()?);
                environment.extend(tools::environment(&[Tool::Prometheus], &Cache::open()?)?);
                self.select_with(tally, &environment, &["--show-output"], |program| {
                    program.is(REPLICAS)
                })
            }
            Tier::Node => {
                let node = Node::provide(&self.root)?;
                for round in Node::ROUNDS {
                    self.select_with(tally, node.environment(), round, |program| program.is(NODE))?;
                }
                Ok(())
            }
            Tier::Crashes => {
                let environment = self.servers(&OUTER_POSTGRES)?;
                self.select_with(tally, &environment, &["--show-output"], |program| {
                    program.is(CRASHES)
                })
            }
        }
    }

    fn select(
        &mut self,
        tally: &mut Tally,
        arguments: &[&str],
        chosen: impl Fn(&Program) -> bool,
    ) -> Result<()> {
        self.select_with(tally, &[], arguments, chosen)
    }

    fn select_with(
        &mut self,
        tally: &mut Tally,
        environment: &[(String, String)],
        arguments: &[&str],
        chosen: impl Fn(&Program) -> bool,
    ) -> Result<()> {
        let mut environment = environment.to_vec();
        environment.push(("DBOP_SEED".into(), self.seed.to_string()));
        for program in self.programs()?.tests().filter(|program| chosen(program)) {
            for line in run_program(program, &environment, arguments, tally)? {
                println!("    {line}");
            }
        }
        Ok(())
    }

    /// All programs of the workspace, built once.
    fn programs(&mut self) -> Result<&Programs> {
        if self.programs.is_none() {
            self.programs = Some(Programs::build(&self.root)?);
        }
        self.programs
            .as_ref()
            .context("the workspace was built a moment ago")
    }

    /// The variables by which tests find these servers. Each is started once, and lives as long as the run.
    fn servers(&mut self, names: &[Name]) -> Result<Vec<(String, String)>> {
        for name in names {
            if self.servers.iter().any(|server| server.name() == *name) {
                continue;
            }
            let server = Server::provide(*name, &Cache::open()?)?;
            println!("  {}", server.describe());
            self.servers.push(server);
        }
        let servers = self.servers.iter();
        Ok(server_environment(
            servers.filter(|server| names.contains(&server.name())),
        ))
    }
}

/// Whether a program's tests need MySQL and MariaDB.
pub(crate) fn needs_mysql(program: &Program) -> bool {
    let package = program.package.as_str();
    program.is_integration() && (WITH_MYSQL.contains(&package) || program.is((package, MYSQL_TEST)))
}

/// The variables by which tests find these servers and know that there are no others.
pub(crate) fn server_environment<'a>(
    servers: impl Iterator<Item = &'a Server>,
) -> Vec<(String, String)> {
    let mut environment = servers::environment(servers);
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        environment.push(("RUST_TEST_THREADS".into(), THREADS_WITH_SERVERS.into()));
    }
    environment
}

fn docs(root: &Path, tally: &mut Tally) -> Result<()> {
    let mut cargo = workspace::cargo(root);
    cargo.args(["doc", "--workspace", "--no-deps", "--locked"]);
    cargo.env("RUSTDOCFLAGS", "--deny warnings");
    let outcome = progress::run("cargo doc", &mut cargo)?;
    if outcome.succeeded {
        tally.passed += 1;
    } else {
        for line in &outcome.output {
            println!("    {line}");
        }
        tally.fail("docs: cargo doc".to_owned());
    }
    Ok(())
}

/// Runs a program that reports like libtest, shows what failed, and adds to `tally`.
fn observe(
    label: &str,
    package: &str,
    command: &mut Command,
    tally: &mut Tally,
) -> Result<Vec<String>> {
    let mut progress = Progress::new(label);
    let mut reader = Reader::new(package, label);
    let status = crate::process::run(command, &mut |event| match event {
        crate::process::Event::Line(line) => reader.line(line),
        crate::process::Event::Tick => progress.tick(&reader.to_string()),
    })?;
    let finished = reader.finish(status.success());
    if finished.tally.count() > 0 {
        let took = clock::spell(progress.elapsed());
        let (passed, failed) = (finished.tally.passed, finished.tally.failed.len());
        let failures = if failed == 0 {
            String::new()
        } else {
            format!(", {failed} FAILED")
        };
        progress.line(&format!(
            "  {label:<34} {passed:>5} passed{failures}  {took:>12}"
        ));
    }
    for line in &finished.shown {
        progress.line(&format!("    {line}"));
    }
    tally.add(finished.tally);
    Ok(finished.proofs)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
