//! The commands: each reads, asks the crates below, and prints. One file per command.
//!
//! Results go to stdout, failures to stderr. A command gives an [`Exit`], or failures, which are bad input
//! or something that cannot be reached.

pub(crate) mod cluster;
pub(crate) mod directory;
pub(crate) mod place;

mod analyze;
mod crds;
mod dsn_file;
mod engine;
mod generate;
mod lint;
mod local;
mod plan;
mod rbac;
mod rotate;
mod snapshot;
mod status;
mod version;
mod wait;
mod word;

use std::io::{self, Read as _, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use dbop_database::Connector;
use dbop_model::visible;
use serde::Serialize;

use crate::backends;
use crate::cli::{Cli, Command, Output};
use crate::render::text::{COLUMNS, wrap};
use crate::render::{Failure, paint};
use crate::screen::LogWriter;
use crate::shell;

/// How a command ended that did what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Nothing is left to do; reached; nothing is wrong.
    Done,
    /// `plan`: there are steps.
    Steps,
    /// Blocked, waiting for somebody, wrong, or not reached in time.
    Blocked,
    /// A last run did not complete.
    RunIncomplete,
    /// A database cannot be reached or logged in to: the failures were shown.
    Failed,
}

impl Exit {
    /// The status of the process.
    pub fn status(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => FAILED,
            Exit::Steps => 2,
            Exit::Blocked => 3,
            Exit::RunIncomplete => 4,
        }
    }
}

/// Bad input, or a database that cannot be reached. clap's own 2 would read as `plan`'s "there are steps".
const FAILED: u8 = 1;

/// What a command gives.
pub(crate) type Done = Result<Exit, Vec<Failure>>;

impl From<Failure> for Vec<Failure> {
    fn from(failure: Failure) -> Self {
        vec![failure]
    }
}

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console {
    output: Output,
}

impl Console {
    pub(crate) fn output(self) -> Output {
        self.output
    }

    /// Prints a result, for people or for programs.
    pub(crate) fn result(self, text: &str, json: &impl Serialize) -> Result<(), Failure> {
        match self.output {
            Output::Text => self.text(text),
            Output::Json => {
                let json = serde_json::to_string_pretty(json).map_err(|error| {
                    Failure::new(format!("the result cannot be written as JSON: {error}"))
                })?;
                print_json(&json)
            }
        }
    }

    /// Prints a text for people, with colour where that is wanted.
    pub(crate) fn text(self, text: &str) -> Result<(), Failure> {
        print(&for_people(text, paint::wanted(&io::stdout())))
    }
}

/// Prints a line, or several, to stdout, as they are: what programs read.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    shell::write_out(&mut io::stdout().lock(), &format!("{text}\n"))
        .map_err(|error| Failure::new(format!("the result cannot be written to stdout: {error}")))
}

/// Prints finished JSON, which somebody may look at on a terminal.
pub(crate) fn print_json(json: &str) -> Result<(), Failure> {
    print(&visible::json(json))
}

/// Shows a failure on stderr.
pub(crate) fn complain(failure: &Failure) {
    let text = for_people(&failure.to_string(), paint::wanted(&io::stderr()));
    // There is nowhere to say that stderr is gone.
    let _ = writeln!(io::stderr(), "{text}");
}

/// The last look at lines for people, whatever went into them: no terminal does anything but show them. Colour is
/// ours, and comes after.
fn for_people(text: &str, coloured: bool) -> String {
    let text = visible::lines(text);
    match coloured {
        true => paint::painted(&text),
        false => text.into_owned(),
    }
}

/// Something that a person should know, and need not act on.
pub(crate) fn note(text: &str) {
    let lines = wrap("note: ", "      ", text, COLUMNS);
    // There is nowhere to say that stderr is gone.
    let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
}

/// The text of a file that an option names, or of stdin.
pub(crate) fn read_text(option: &str, path: &Path, bytes_max: u64) -> Result<String, Failure> {
    let wrong =
        |why: &dyn std::fmt::Display| Failure::new(format!("{option} {}: {why}", path.display()));
    let mut bytes = Vec::new();
    let limit = bytes_max + 1;
    let read = if path == Path::new("-") {
        io::stdin().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| wrong(&format!("it cannot be read: {error}")))?;
    if bytes.len() as u64 > bytes_max {
        let limit = bytes_max / (1024 * 1024);
        return Err(wrong(&format!("it is larger than {limit} MiB")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        wrong(&format!("it is not UTF-8 (line {line})")).or("save it as UTF-8")
    })
}

/// Runs the command line of this process.
pub fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    main_with(arguments, backends::connector())
}

/// The same with another way to the databases of `run`: everything else of the operator can be measured
/// without a thousand database servers.
pub fn main_with(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
    connector: Arc<dyn Connector>,
) -> ExitCode {
    shell::install_tls();
    let cli = match crate::cli::parse(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for; the rest is bad input.
            let status = if error.use_stderr() { FAILED } else { 0 };
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    if let Command::Supervise { jobdir } = &cli.command {
        return dbop_local::supervise(jobdir);
    }
    // The operator is nobody's command line: what it does is in its log.
    let quiet = !matches!(cli.command, Command::Run(_));
    let done = shell::install_log(cli.log_level.as_deref(), quiet, cli.log_format, LogWriter)
        .map_err(|error| {
            let failure = Failure::of(&error);
            failure.or("write error, warn, info, debug or trace, or a filter such as warn,dbop_engine=debug").into()
        })
        .and_then(|()| run(cli, connector));
    match done {
        Ok(exit) => ExitCode::from(exit.status()),
        Err(failures) => {
            failures.iter().for_each(complain);
            ExitCode::from(FAILED)
        }
    }
}

fn run(cli: Cli, connector: Arc<dyn Connector>) -> Done {
    let console = Console { output: cli.output };
    match cli.command {
        Command::Run(args) => block_on(crate::run::run(args, connector)),
        Command::Local(args) => block_on(local::run(args, console)),
        Command::Plan(args) => block_on(plan::run(args, console)),
        Command::Analyze(args) => block_on(analyze::run(args, console)),
        Command::Snapshot(args) => block_on(snapshot::run(args, console)),
        Command::Lint(args) => lint::run(&args, console),
        Command::Generate(args) => generate::run(&args, console),
        Command::Status(args) => block_on(status::run(&args, console)),
        Command::Wait(args) => block_on(wait::run(&args, console)),
        Command::Retry(args) => block_on(word::run(&args, word::Word::Retry, console)),
        Command::AcceptRun(args) => block_on(word::run(&args, word::Word::AcceptRun, console)),
        Command::Rotate(args) => block_on(rotate::run(&args, console)),
        Command::Version(args) => block_on(version::run(args, console)),
        Command::Crds => crds::run(console),
        Command::Shapes => crds::shapes(),
        Command::RulePages => crds::rule_pages(),
        Command::Rbac { manifest } => rbac::run(&manifest),
        // It is answered before there is a log.
        Command::Supervise { .. } => Ok(Exit::Done),
    }
}

/// Runs a command that waits for databases or for an API server.
fn block_on(command: impl Future<Output = Done>) -> Done {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime
        .map_err(|error| Failure::new(format!("the program cannot start its threads: {error}")))?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    use dbop_model::visible::hostile;

    use super::*;

    #[test]
    fn lines_for_people_are_harmless_whatever_went_into_them() {
        for text in hostile::texts() {
            let shown = for_people(&format!("ours\n  error: {text}"), false);
            assert_eq!(hostile::harm(&shown.replace('\n', "")), "", "{shown}");
            // Colours are ours, and nothing else on such a line is.
            let coloured = for_people(&format!("ours\n  error: {text}"), true);
            let ours = coloured.replace("\x1b[31m", "").replace("\x1b[0m", "");
            assert_eq!(ours, shown);
        }
    }

    #[test]
    fn each_end_has_the_status_that_the_documentation_names() {
        let ends = [
            Exit::Done,
            Exit::Failed,
            Exit::Steps,
            Exit::Blocked,
            Exit::RunIncomplete,
        ];
        assert_eq!(ends.map(Exit::status), [0, 1, 2, 3, 4]);
    }
}
