//! The project's automation: `cargo xtask <command>`. Each command is a module of its name.
//!
//! xtask depends on none of the project's crates, so that it builds in seconds and can test,
//! measure and check them from outside.

mod bench;
mod cache;
mod clock;
mod cluster;
mod codegen;
mod debian;
mod demo;
mod dist;
mod go;
mod histories;
mod maven;
mod process;
mod progress;
mod prove;
mod python;
mod servers;
mod test;
mod tidy;
mod tools;
mod workspace;
mod zip;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The automation of Database Operator.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs the tests: prints the tiers, runs them, and counts.
    Test {
        /// Only these tiers.
        tiers: Vec<test::Tier>,
        /// Print the tiers and run none.
        #[arg(long)]
        list: bool,
    },
    /// Checks what the architecture promises: layers, purity, headers, generated files, lints.
    Tidy,
    /// Writes the files that are generated from code: CRDs and permissions, and what repeats them.
    Codegen {
        /// Write nothing: tell what is not in step.
        #[arg(long)]
        check: bool,
    },
    /// Runs what takes long, and writes its result to docs/proof.
    Prove(prove::Arguments),
    /// Tells a story in five minutes of reading: a column is renamed while an application works.
    ///
    /// In a directory, in less than a minute; with --cluster in Kubernetes, as Deployments, Secrets and Jobs.
    Demo(demo::Arguments),
    /// Measures memory, requests and times with up to ten thousand databases (half an hour).
    Bench(bench::Arguments),
    /// Makes what is given to others: a static binary, an image without Docker, install.yaml.
    Dist(dist::Arguments),
    /// Runs the Helm that the chart is tested with, built once from its Go module.
    Helm {
        /// What Helm gets.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs database servers for development, until Ctrl-C or as long as COMMAND runs.
    ///
    /// Prints the environment variables by which tests find the servers. With a command, the
    /// command gets them: cargo xtask servers postgres-18 -- cargo test -p dbop-postgres
    Servers {
        /// Which ones: postgres-14 to postgres-18, mariadb-10.11, mariadb-11.4, mariadb-11.8, mysql-9.7.
        /// Default: the oldest and the newest PostgreSQL.
        names: Vec<servers::Name>,
        /// Run this with the servers, then stop them.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Provides real migration tools for development: fetches or builds them once, and prints the variables by which
    /// tests find them.
    ///
    /// With a command, the command gets them: cargo xtask servers postgres-18 -- cargo xtask tools flyway --
    /// cargo test -p dbop-tests --test tools
    Tools {
        /// Which ones: alembic, django, flyway, liquibase, golang-migrate, goose, sqlx, diesel. Default: one of each
        /// family.
        names: Vec<tools::Tool>,
        /// Run this with the tools.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Runs a Kubernetes cluster for development and tests: your own, kind's, or one built here.
    ///
    /// In this order: the cluster of the kubeconfig that you name, with --kubeconfig or in
    /// DBOP_TEST_KUBECONFIG; one that kind makes, where kind and a Docker daemon are; else one built
    /// from the Go modules of Kubernetes (needs `go`; six minutes the first time, then cached). Your
    /// own kubeconfig is neither read nor written.
    ///
    /// `up --light` has no Pods, needs no root and is ready in seconds: enough for most tests.
    Cluster(cluster::Arguments),
    /// Owns one cluster for xtask (see cluster/keeper.rs).
    #[command(hide = true)]
    KeepCluster {
        /// The cluster's name.
        name: String,
        /// `light`, `node` or `kind`.
        form: String,
        /// The folder of its programs, where it is one of ours.
        programs: Option<PathBuf>,
    },
    /// Removes a demo from a cluster when xtask is gone (see demo/cluster/keeper.rs).
    #[command(hide = true)]
    KeepDemo {
        /// The folder with the cluster's kubeconfig.
        folder: PathBuf,
        /// Our program with a kubectl, where the installed one is not used.
        program: Option<PathBuf>,
    },
    /// Owns one server for xtask (see servers/keeper.rs).
    #[command(hide = true)]
    KeepServer {
        /// The server's name.
        name: servers::Name,
        /// The folder of its files.
        root: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = run(arguments.command);
    process::stop_if_interrupted();
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", spell(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    // A keeper has signal handlers of its own.
    if !matches!(
        task,
        Task::KeepServer { .. } | Task::KeepCluster { .. } | Task::KeepDemo { .. }
    ) {
        process::watch_signals()?;
    }
    let passed = match task {
        Task::Test { tiers, list } => test::run(&tiers, list)?,
        Task::Tidy => tidy::run_alone()?,
        Task::Codegen { check } => codegen::run(check)?,
        Task::Prove(arguments) => prove::run(&arguments)?,
        Task::Demo(arguments) => demo::run(&arguments)?,
        Task::Bench(arguments) => bench::run(&arguments)?,
        Task::Dist(arguments) => {
            dist::run(&arguments)?;
            true
        }
        Task::Helm { arguments } => dist::helm::run(&arguments)?,
        Task::Servers { names, command } => servers::serve(&names, &command)?,
        Task::Tools { names, command } => tools::run(&names, &command)?,
        Task::Cluster(arguments) => cluster::run(arguments)?,
        Task::KeepCluster {
            name,
            form,
            programs,
        } => {
            cluster::keep(&name, &form, programs.as_deref())?;
            true
        }
        Task::KeepDemo { folder, program } => {
            demo::keep(&folder, program.as_deref())?;
            true
        }
        Task::KeepServer { name, root } => {
            servers::keep(name, &root)?;
            true
        }
    };
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// An error and its causes in one sentence.
fn spell(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
