//! `cargo xtask prove NAME`: what takes too long for every change, with its result written down.
//!
//! A proof is a test program at full length (or a measurement) and a page in `docs/proof/` with
//! date, versions and seed, so that anybody can repeat it. A proof that fails changes no page.

mod changes;
mod fuzz;
mod mutants;
mod size;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};

use crate::cache::Cache;
use crate::clock;
use crate::cluster::Cluster;
use crate::histories::{self, History};
use crate::python;
use crate::servers::{
    MYSQL, NEWEST_POSTGRES, Name, OUTER_POSTGRES, POSTGRES, Server, TOOL_SERVERS,
};
use crate::test::{
    self, CRASHES, HISTORIES, NODE, Node, ORACLE, PROBES, Program, Programs, RACES, REPLICAS,
    REPLICAS_SERVERS, SCENARIOS, SIMULATION, THREADS_WITH_TOOLS, TOOLS, Tally,
};
use crate::tools::{self, Tool};
use crate::workspace::{self, capture};

/// Where the pages are.
const FOLDER: &str = "docs/proof";

/// Where the oracle writes what it saw.
const LINES: &str = "target/oracle";

/// Most programs run once, with all that they have to say.
const ONCE: &[&[&str]] = &[&["--show-output"]];

/// What can be proved.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Proof {
    /// Walks killed at many points, on real servers, end like undisturbed ones.
    Crashes,
    /// The same in simulation, exhaustively for single faults and pairs of them, and random histories.
    Simulation,
    /// Each protection of docs/safety.md is taken out, and a test sees it.
    Mutants,
    /// Every small change of the planner and of credentials that cargo-mutants makes is seen by a test.
    Changes,
    /// What reads connection strings, versions, SQL and manifests, some minutes each with texts that libFuzzer makes up.
    Fuzz,
    /// The release binary is static and small, and a cold build of the demo is short.
    Size,
    /// The backends behave alike on every version that can be had.
    Conformance,
    /// Clients that connect again and again with the credential that is being retired, on every engine.
    Races,
    /// Operators killed, stopped and cut off at moments of every action, on an API server and PostgreSQL.
    Replicas,
    /// The operator and its Jobs as Pods, with five idle minutes at its end.
    Node,
    /// Published applications' own migrations, walked one revision at a time.
    Histories,
    /// Every migration tool itself, walked, failing and killed, on PostgreSQL, MariaDB and MySQL.
    Tools,
    /// What `analyze` says of statements, compared with what every server does with them.
    Oracle,
    /// The linter squawk and `analyze` on the oracle's statements, compared with what PostgreSQL does with them.
    Squawk,
    /// What looks at tables of ten million rows cost those who use them, on every engine.
    Probes,
    /// The nine scenarios of the hints on large tables: found, and got round as is advised, beside a writer.
    Scenarios,
}

impl Proof {
    fn name(self) -> &'static str {
        match self {
            Proof::Crashes => "crashes",
            Proof::Simulation => "simulation",
            Proof::Mutants => "mutants",
            Proof::Changes => "changes",
            Proof::Fuzz => "fuzz",
            Proof::Size => "size",
            Proof::Conformance => "conformance",
            Proof::Races => "races",
            Proof::Replicas => "replicas",
            Proof::Node => "node",
            Proof::Histories => "histories",
            Proof::Tools => "tools",
            Proof::Oracle => "oracle",
            Proof::Squawk => "squawk",
            Proof::Probes => "probes",
            Proof::Scenarios => "scenarios",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Proof::Crashes => "A killed walk ends like an undisturbed one, on real servers",
            Proof::Simulation => {
                "Every fault and pair of faults in simulation, and random histories"
            }
            Proof::Mutants => "Every protection taken out, and seen by a test",
            Proof::Changes => {
                "Every small change of the planner and of credentials, seen by a test"
            }
            Proof::Fuzz => {
                "Connection strings, versions, SQL and manifests that a fuzzer makes up: no promise is broken"
            }
            Proof::Size => "Size of the release binary, and time of a cold build",
            Proof::Conformance => "The backends and dbop-migrate on every version that can be had",
            Proof::Races => {
                "Clients of a credential that is being retired: nobody is cut off, and the windows that remain"
            }
            Proof::Replicas => {
                "Operators that fail, and what they stand on: nothing runs twice, nothing is lost"
            }
            Proof::Node => "The operator and its Jobs as Pods, its requests, and five idle minutes",
            Proof::Histories => {
                "Published applications, walked one revision at a time to the schema that their tool makes"
            }
            Proof::Tools => "Real migration tools: walked, failing, and killed in the middle",
            Proof::Oracle => {
                "What is predicted of a statement, compared with what every server does with it"
            }
            Proof::Squawk => {
                "The linter squawk and analyze: who is right about what PostgreSQL does"
            }
            Proof::Probes => "Looks at ten million rows: how long, and who waits for them",
            Proof::Scenarios => {
                "Nine dangerous changes of large tables: found, and got round while a writer goes on"
            }
        }
    }
}

/// The facts of a page.
struct Page {
    versions: Vec<String>,
    result: String,
    lines: Vec<String>,
    passed: bool,
}

/// The arguments of `cargo xtask prove`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// What to prove.
    name: Proof,
    /// Repeat a run with its seed.
    #[arg(long)]
    seed: Option<u64>,
    /// How many random histories the simulation runs.
    #[arg(long)]
    histories: Option<u64>,
    /// The oracle compares nothing and writes no page: it writes down what servers do.
    #[arg(long)]
    observe_only: bool,
    /// Of the mutants only those that are without something that has this in its description; may be repeated.
    /// No page is written.
    #[arg(long)]
    only: Vec<String>,
    /// Of the changes only those that the run before has not seen, and those of code that is another since.
    #[arg(long)]
    again: bool,
    /// How long each function is fuzzed: 3 where nothing is said.
    #[arg(long)]
    minutes: Option<u64>,
}

/// Proves, writes the page, and tells whether it held.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let root = workspace::root()?;
    let Arguments {
        name: proof,
        seed,
        histories,
        observe_only,
        ref only,
        again,
        minutes,
    } = *arguments;
    for (flag, is_given, of, is_of) in [
        (
            "--observe-only",
            observe_only,
            "oracle",
            matches!(proof, Proof::Oracle),
        ),
        (
            "--only",
            !only.is_empty(),
            "mutants",
            matches!(proof, Proof::Mutants),
        ),
        ("--again", again, "changes", matches!(proof, Proof::Changes)),
        (
            "--minutes",
            minutes.is_some(),
            "fuzz",
            matches!(proof, Proof::Fuzz),
        ),
    ] {
        if is_given && !is_of {
            bail!("{flag} is for `prove {of}` alone");
        }
    }
    let seed = match seed {
        Some(seed) => seed,
        None => test::seed()?,
    };
    let commit = commit(&root)?;
    // A measurement has nothing that a seed could repeat.
    let without_seed = matches!(
        proof,
        Proof::Size
            | Proof::Mutants
            | Proof::Changes
            | Proof::Fuzz
            | Proof::Histories
            | Proof::Oracle
            | Proof::Squawk
            | Proof::Probes
            | Proof::Scenarios
    );
    let shown_seed = (!without_seed).then_some(seed);
    println!(
        "{}{}",
        proof.title(),
        shown_seed.map_or(String::new(), |seed| format!("; seed {seed}"))
    );
    let started = clock::now();
    let page = match proof {
        Proof::Size => size::measure(&root)?,
        Proof::Mutants => mutants::prove(&root, only)?,
        Proof::Changes => changes::prove(&root, again)?,
        Proof::Fuzz => fuzz::prove(&root, minutes.unwrap_or(fuzz::MINUTES))?,
        Proof::Simulation => {
            let mut environment = vec![];
            if let Some(histories) = histories {
                environment.push(("DBOP_HISTORIES".to_owned(), histories.to_string()));
            }
            let programs = Programs::optimised(&root, SIMULATION)?;
            let chosen = |program: &Program| program.is(SIMULATION);
            run_programs(&programs, seed, environment, Vec::new(), ONCE, chosen)?
        }
        Proof::Crashes => {
            let alembic = python::alembic(&Cache::open()?)?;
            let environment = vec![(
                "DBOP_TEST_ALEMBIC_VENV".to_owned(),
                alembic.display().to_string(),
            )];
            // Of MariaDB the newer one: a walk takes the same statements on both.
            let names: Vec<Name> = OUTER_POSTGRES
                .into_iter()
                .chain([MYSQL[1], MYSQL[3]])
                .collect();
            with_programs(&root, seed, environment, start(&names)?, ONCE, |program| {
                program.is(CRASHES)
            })?
        }
        Proof::Races => with_programs(
            &root,
            seed,
            Vec::new(),
            start(&TOOL_SERVERS)?,
            ONCE,
            |program| program.is(RACES),
        )?,
        Proof::Replicas => {
            let cluster = Cluster::light("prove")?;
            let mut environment = cluster.environment()?;
            environment.extend(tools::environment(&[Tool::Prometheus], &Cache::open()?)?);
            with_programs(
                &root,
                seed,
                environment,
                start(&REPLICAS_SERVERS)?,
                ONCE,
                |program| program.is(REPLICAS),
            )?
        }
        Proof::Node => {
            let node = Node::provide(&root)?;
            let environment = node.environment().to_vec();
            with_programs(
                &root,
                seed,
                environment,
                Vec::new(),
                &Node::ROUNDS,
                |program| program.is(NODE),
            )?
        }
        Proof::Histories => with_programs(
            &root,
            seed,
            histories::environment(&History::ALL, &Cache::open()?)?,
            start(&TOOL_SERVERS)?,
            ONCE,
            |program| program.is(HISTORIES),
        )?,
        Proof::Tools => {
            let mut environment = tools::environment(&Tool::ALL, &Cache::open()?)?;
            environment.push(("RUST_TEST_THREADS".into(), THREADS_WITH_TOOLS.into()));
            with_programs(
                &root,
                seed,
                environment,
                start(&TOOL_SERVERS)?,
                ONCE,
                |program| program.is(TOOLS),
            )?
        }
        Proof::Squawk => with_programs(
            &root,
            seed,
            Vec::new(),
            start(&[NEWEST_POSTGRES])?,
            &[&["beside_squawk", "--show-output"]],
            |program| program.is(ORACLE),
        )?,
        Proof::Probes => with_programs(
            &root,
            seed,
            vec![("RUST_TEST_THREADS".into(), "1".into())],
            start(&TOOL_SERVERS)?,
            ONCE,
            |program| program.is(PROBES),
        )?,
        Proof::Scenarios => {
            let mut environment = tools::environment(&[Tool::PerconaToolkit], &Cache::open()?)?;
            // Pauses are measured: nothing else is to go on.
            environment.push(("RUST_TEST_THREADS".into(), "1".into()));
            with_programs(
                &root,
                seed,
                environment,
                start(&TOOL_SERVERS)?,
                ONCE,
                |program| program.is(SCENARIOS),
            )?
        }
        Proof::Conformance => {
            let names: Vec<Name> = POSTGRES.into_iter().chain(MYSQL).collect();
            with_programs(&root, seed, Vec::new(), start(&names)?, ONCE, |program| {
                (program.is_integration() && program.package == "dbop-postgres")
                    || test::needs_mysql(program)
            })?
        }
        Proof::Oracle => {
            let lines = root.join(LINES);
            std::fs::create_dir_all(&lines)
                .with_context(|| format!("{LINES} cannot be created"))?;
            println!("what is seen is written to {LINES}, one file for each server");
            let mut environment =
                vec![("DBOP_ORACLE_LINES".to_owned(), lines.display().to_string())];
            if observe_only {
                environment.push(("DBOP_ORACLE".to_owned(), "observe".to_owned()));
            }
            let names: Vec<Name> = POSTGRES.into_iter().chain(MYSQL).collect();
            let without_squawk: &[&[&str]] = &[&["--show-output", "--skip", "beside_squawk"]];
            with_programs(
                &root,
                seed,
                environment,
                start(&names)?,
                without_squawk,
                |program| program.is(ORACLE),
            )?
        }
    };
    println!("\n{}", page.result);
    if !page.passed || observe_only || !only.is_empty() {
        return Ok(page.passed);
    }
    let took = clock::spell(started.elapsed());
    let path = write(&root, proof, shown_seed, &commit, &took, &page)?;
    println!("written to {}", path.display());
    Ok(true)
}

fn start(names: &[Name]) -> Result<Vec<Server>> {
    let cache = Cache::open()?;
    let mut servers = Vec::new();
    for name in names {
        let server = Server::provide(*name, &cache)?;
        println!("  {}", server.describe());
        servers.push(server);
    }
    Ok(servers)
}

/// Runs test programs at full length, with each round's arguments, and makes a page of what they say.
fn with_programs(
    root: &Path,
    seed: u64,
    environment: Vec<(String, String)>,
    servers: Vec<Server>,
    rounds: &[&[&str]],
    chosen: impl Fn(&Program) -> bool,
) -> Result<Page> {
    let programs = Programs::build(root)?;
    run_programs(&programs, seed, environment, servers, rounds, chosen)
}

fn run_programs(
    programs: &Programs,
    seed: u64,
    mut environment: Vec<(String, String)>,
    servers: Vec<Server>,
    rounds: &[&[&str]],
    chosen: impl Fn(&Program) -> bool,
) -> Result<Page> {
    let chosen: Vec<&Program> = programs.tests().filter(|program| chosen(program)).collect();
    if chosen.is_empty() {
        bail!("the workspace has no test program for this proof");
    }
    environment.push(("DBOP_SEED".into(), seed.to_string()));
    environment.push(("DBOP_PROVE".into(), "full".into()));
    if !servers.is_empty() {
        // What a proof says itself comes last, and counts.
        let mut with_servers = test::server_environment(servers.iter());
        with_servers.append(&mut environment);
        environment = with_servers;
    }
    let (mut tally, mut lines) = (Tally::default(), Vec::new());
    for program in chosen {
        for arguments in rounds {
            for line in test::run_program(program, &environment, arguments, &mut tally)? {
                println!("    {line}");
                lines.push(line);
            }
        }
    }
    Ok(Page {
        versions: servers.iter().map(Server::title).collect(),
        result: format!("{} passed, {} failed", tally.passed, tally.failed.len()),
        lines,
        passed: tally.failed.is_empty() && tally.passed > 0,
    })
}

/// The commit that was proved, and whether files differed from it.
pub(crate) fn commit(root: &Path) -> Result<String> {
    let git = |arguments: &[&str]| {
        capture(
            std::process::Command::new("git")
                .current_dir(root)
                .args(arguments),
        )
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Ok(if changed.is_empty() {
        commit
    } else {
        format!("{commit}, with changes not committed")
    })
}

/// The lines as a list; those of a table, which begin with a bar, as the table.
fn body(lines: &[String]) -> String {
    let mut text = String::new();
    let mut in_table = false;
    for (at, line) in lines.iter().enumerate() {
        let of_table = line.starts_with('|');
        if of_table != in_table && at > 0 {
            text.push('\n');
        }
        in_table = of_table;
        let mark = if of_table { "" } else { "- " };
        text.push_str(&format!("{mark}{line}\n"));
    }
    text
}

fn write(
    root: &Path,
    proof: Proof,
    seed: Option<u64>,
    commit: &str,
    took: &str,
    page: &Page,
) -> Result<PathBuf> {
    let mut versions = vec![capture(workspace::cargo(root).arg("--version"))?];
    versions.extend(page.versions.iter().cloned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let machine = format!(
        "{} {}, {cores} cores",
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let name = proof.name();
    let mut text = format!("# {}\n\n", proof.title());
    let with_seed = seed.map_or(String::new(), |seed| format!(" --seed {seed}"));
    text.push_str(&format!(
        "Made by `cargo xtask prove {name}{with_seed}`.\n\n| | |\n|---|---|\n"
    ));
    for (what, value) in [
        ("date", clock::today().as_str()),
        ("commit", commit),
        ("versions", &versions.join("; ")),
        ("machine", &machine),
        ("took", took),
        ("result", &page.result),
    ] {
        text.push_str(&format!("| {what} | {value} |\n"));
    }
    text.push('\n');
    text.push_str(&body(&page.lines));
    let folder = root.join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("{FOLDER} cannot be created"))?;
    let path = folder.join(format!("{name}.md"));
    std::fs::write(&path, text).with_context(|| format!("{FOLDER}/{name}.md cannot be written"))?;
    Ok(path.strip_prefix(root).unwrap_or(&path).to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_among_the_lines_stays_a_table() {
        let lines = ["one", "| a | b |", "| --- | --- |", "two"].map(str::to_owned);
        let expect = "- one\n\n| a | b |\n| --- | --- |\n\n- two\n";
        assert_eq!(body(&lines), expect);
        assert_eq!(body(&lines[1..2]), "| a | b |\n");
    }
}
