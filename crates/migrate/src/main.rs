//! `dbop-migrate`: arguments, environment, signals, output and exit status around
//! [`dbop_migrate::run`].
//!
//! It deliberately decides nothing about migrations, and reads no secret from its arguments.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use dbop_migrate::progress::{Outcome, Progress};
use dbop_migrate::push::Gateway;
use dbop_migrate::run::{self, Places, RunError};
use dbop_migrate::settings::Environment;
use dbop_migrate::tell::{Stopper, Tell};
use tokio::signal::unix::{SignalKind, signal};

/// The migration did not reach its target.
const FAILED: u8 = 1;
/// Arguments, environment or files are at fault; no database was asked. clap exits so as well.
const BAD_INPUT: u8 = 2;
/// As a shell reports a program that a signal ended: 128 and the signal's number.
const BY_SIGNAL: u8 = 128;

/// Runs the plain SQL files of a directory on a PostgreSQL, MySQL or MariaDB database, up to a version.
///
/// It keeps the migration container contract of Database Operator: the connection string, the
/// target version and everything else about the database come from the environment
/// (DBA_OP_CONNECTION_STRING, DBA_OP_TARGET_VERSION, DBA_OP_PREVIOUS_VERSION,
/// DBA_OP_LOCK_TIMEOUT, DBA_OP_PROMETHEUS_PUSH_GATEWAY_ADDR, DBA_OP_JOB_ID, DBA_OP_LABEL_*).
///
/// Exit status: 0 the database is at the target; 1 it is not; 2 arguments, environment or files
/// cannot be used; 130 and 143 stopped by SIGINT and SIGTERM.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The directory of SQL files, named like 0001_create_customers.sql
    #[arg(long, default_value = "migrations")]
    dir: PathBuf,
    /// PostgreSQL: the schema of the table _sqlx_migrations [default: the first of the search_path]
    #[arg(long)]
    table_schema: Option<String>,
}

/// Lines to stdout, warnings to stderr. A closed pipe must not end a migration, so failures to
/// write are ignored.
struct Console;

impl Tell for Console {
    fn say(&self, line: &str) {
        let _ = writeln!(std::io::stdout(), "{line}");
    }

    fn warn(&self, line: &str) {
        let _ = writeln!(std::io::stderr(), "warning: {line}");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let environment = Environment::new(std::env::vars_os());
    let progress = Progress::default();
    let (gateway, warnings) = Gateway::read(&environment);
    for warning in warnings {
        Console.warn(&warning);
    }
    let view = progress.watch();
    let pushing = async {
        if let Some(gateway) = gateway {
            gateway.follow(view, &Console).await;
        }
    };
    let migrating = async {
        let status = migrate(&arguments, &environment, &progress).await;
        let outcome = if status == 0 {
            Outcome::Complete
        } else {
            Outcome::Failed
        };
        progress.finish(outcome);
        status
    };
    let (status, ()) = tokio::join!(migrating, pushing);
    ExitCode::from(status)
}

/// Runs the migration until its end or a signal: the exit status.
async fn migrate(arguments: &Arguments, environment: &Environment, progress: &Progress) -> u8 {
    let (mut terminate, mut interrupt) = match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => {
            let _ = writeln!(
                std::io::stderr(),
                "error: cannot listen to signals: {error}"
            );
            return FAILED;
        }
    };
    let places = Places {
        dir: arguments.dir.clone(),
        table_schema: arguments.table_schema.clone(),
    };
    let stopper = Stopper::default();
    let stop = stopper.stop();
    let running = async {
        let settings = environment.settings()?;
        run::run(&settings, &places, progress, &Console, &stop).await
    };
    tokio::pin!(running);
    let (ended, by_signal) = tokio::select! {
        ended = &mut running => (ended, 0),
        number = async { tokio::select! {
            _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
            _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
        } } => {
            Console.warn("asked to stop: cancelling what the server does");
            stopper.ask();
            ((&mut running).await, u8::try_from(number).unwrap_or_default())
        }
    };
    match ended {
        Ok(()) => 0,
        Err(error) => {
            report(&error);
            match error {
                RunError::Stopped { .. } => BY_SIGNAL.saturating_add(by_signal),
                error if error.is_bad_input() => BAD_INPUT,
                _ => FAILED,
            }
        }
    }
}

/// One sentence, then the way out.
fn report(error: &RunError) {
    let _ = writeln!(
        std::io::stderr(),
        "error: {error}\n       {}",
        error.advice()
    );
}
