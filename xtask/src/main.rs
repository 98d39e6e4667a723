//! The project's automation: `cargo xtask <command>`. Each command is a module of its name.
//!
//! xtask depends on none of the project's crates, so that it builds in seconds and can test,
//! measure and check them from outside.

mod cache;
mod clock;
mod process;
mod servers;
mod workspace;

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
    /// Runs PostgreSQL servers for development, until Ctrl-C or as long as COMMAND runs.
    ///
    /// Prints the environment variables by which tests find the servers. With a command, the
    /// command gets them: cargo xtask servers postgres-18 -- cargo test -p dbop-postgres
    Servers {
        /// Which ones: postgres-14 to postgres-18. Default: the oldest and the newest.
        names: Vec<servers::Name>,
        /// Run this with the servers, then stop them.
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// Owns one server for xtask (see servers/keeper.rs).
    #[command(hide = true)]
    KeepPostgres {
        /// The major version.
        major: u8,
        /// The folder of its binaries.
        bin: PathBuf,
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
    if let Task::KeepPostgres { major, bin } = &task {
        servers::keep(*major, bin)?;
        return Ok(ExitCode::SUCCESS);
    }
    process::watch_signals()?;
    match task {
        Task::Servers { names, command } => match servers::serve(&names, &command)? {
            Some(status) if !status.success() => Ok(ExitCode::FAILURE),
            _ => Ok(ExitCode::SUCCESS),
        },
        Task::KeepPostgres { .. } => Ok(ExitCode::SUCCESS),
    }
}

/// An error and its causes in one sentence.
fn spell(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
