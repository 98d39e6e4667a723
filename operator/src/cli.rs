//! The command line, as clap reads it. What the commands do is in `commands`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Automates the schema migrations of relational databases, and the credentials that go with each schema.
///
/// `local` works on a directory of manifests: it runs migrations in order, makes a login for each schema
/// version, and retires it once it is provably unused. The other commands look at such a directory, or are
/// a person's word to it.
#[derive(Debug, Parser)]
#[command(
    name = "database-operator",
    version,
    after_help = "Start with:\n  \
        database-operator lint shop/            are the manifests right?\n  \
        database-operator plan --local shop/    what would happen, and why? Changes nothing\n  \
        database-operator local shop/ --watch   do it, and keep an eye on it\n\n\
        Exit status: 0 as it should be, 1 bad input or a database that cannot be reached; others are in \
        each command's --help.",
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How results are printed: text, for people, or json, for programs.
    #[arg(long, global = true, value_enum, hide_possible_values = true, default_value_t = Output::Text, value_name = "FORMAT", help_heading = "Common")]
    pub output: Output,
    /// What is logged to stderr: error, warn, info, debug, trace, or a filter such as
    /// warn,dbop_engine=debug [default: RUST_LOG, or warn]
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Common")]
    pub log_level: Option<String>,
    /// How the log is written: text or json.
    #[arg(long, global = true, value_enum, hide_possible_values = true, default_value_t = LogFormat::Text, value_name = "FORMAT", help_heading = "Common")]
    pub log_format: LogFormat,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Walk the databases of a directory of manifests to their desired versions.
    ///
    /// DIR holds ManagedDatabase, DatabaseMigration, Secret and ConfigMap objects as YAML: every *.yaml and
    /// *.yml below it, outside hidden directories. A migration's command and args run as a child process in
    /// DIR with the container's environment; it outlives a killed `local`, and the next one finds how it
    /// ended. Without --watch the command ends when no database can go on by itself; quiet windows and
    /// running migrations are waited for. Ctrl-C stops it; a running migration goes on.
    ///
    /// Credentials are published as `STATE/secrets/<namespace>/<name>/<key>`, readable by you alone; status is
    /// in STATE/status, the logs of migrations in `STATE/jobs/<namespace>/<job>/log`.
    Local(LocalArgs),
    /// Show what would happen now, step by step, and why. Writes nothing anywhere.
    Plan(PlanArgs),
    /// Check manifests and the chain of migrations, without a database.
    Lint(LintArgs),
    /// Show where every database stands.
    Status(StatusArgs),
    /// Wait until databases have reached a state.
    Wait(WaitArgs),
    /// Say that the last run, which did not complete, is to run again.
    #[command(after_help = "Example, with the database crm of shop/:\n  \
        database-operator status --local shop/ crm      what happened?\n  \
        database-operator retry crm --local shop/       run it again\n\n\
        A running `local` acts on it at once, otherwise the next one does.\n\n\
        Exit status:\n  \
        0  said\n  \
        1  bad input, or there is no run of which it could be said")]
    Retry(WordArgs),
    /// Say that the version that the last run brought counts as done, though the run did not complete.
    #[command(after_help = "Example, with the database crm of shop/:\n  \
        database-operator status --local shop/ crm      what happened?\n  \
        database-operator accept-run crm --local shop/  go on from the version that it brought\n\n\
        A running `local` acts on it at once, otherwise the next one does.\n\n\
        Exit status:\n  \
        0  said\n  \
        1  bad input, or the run did not move the database to its version")]
    AcceptRun(WordArgs),
    /// Read the schema version of one database.
    Version(VersionArgs),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
    /// Print manifests of what the operator may do in a cluster: `cargo xtask codegen` keeps them.
    #[command(hide = true)]
    Rbac {
        /// operator, cluster, namespaced or chart.
        manifest: String,
    },
    /// Watch over one migration's process: `local` starts it.
    #[command(hide = true)]
    Supervise {
        /// The Job's directory.
        jobdir: PathBuf,
    },
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line each.
    Text,
    /// One JSON object each.
    Json,
}

/// What runs a migration's container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Runtime {
    /// podman runs the image.
    Podman,
    /// docker runs the image.
    Docker,
}

/// `local`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        database-operator local shop/                    until nothing more can be done\n  \
        database-operator local shop/ --watch            and on, whenever a manifest changes\n  \
        database-operator local shop/ --runtime podman   migrations run in their images\n\n\
        Exit status:\n  \
        0  all databases are at rest (at the desired version, or ahead and compatible)\n  \
        1  bad input, or a database that cannot be reached or logged in to\n  \
        3  blocked, or waiting for sessions, references or a person\n  \
        4  a last run did not complete; see `retry` and `accept-run`")]
pub struct LocalArgs {
    /// The directory of manifests.
    pub dir: PathBuf,
    /// Keep going: watch manifests, databases and sessions until stopped.
    #[arg(long)]
    pub watch: bool,
    /// Where status, Secrets and Jobs are kept [default: DIR/.dbop]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Run migrations in their images, by podman or docker, instead of as child processes.
    #[arg(long, value_enum, hide_possible_values = true)]
    pub runtime: Option<Runtime>,
}

/// The directory that a command is about.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The directory of manifests that `local` works on.
    #[arg(long, value_name = "DIR")]
    pub local: PathBuf,
    /// Its state [default: DIR/.dbop]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// `plan`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        database-operator plan --local shop/                       for people\n  \
        database-operator plan --local shop/ --output json | jq .  for programs\n\n\
        Exit status:\n  \
        0  nothing to do\n  \
        1  bad input, or a database that cannot be reached or logged in to\n  \
        2  there are steps\n  \
        3  blocked: findings, a run that did not complete, no way to the desired version")]
pub struct PlanArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// Only these databases, each as name or namespace/name.
    #[arg(value_name = "DATABASE")]
    pub databases: Vec<String>,
}

/// `lint`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
        database-operator lint shop/\n\n\
        Exit status:\n  \
        0  nothing is wrong\n  \
        1  the directory cannot be read\n  \
        3  something is wrong")]
pub struct LintArgs {
    /// The directory of manifests.
    pub dir: PathBuf,
}

/// `status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        database-operator status --local shop/\n  \
        database-operator status --local shop/ crm --output json\n\n\
        It shows what `local` saw last. `plan` looks for itself.")]
pub struct StatusArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// Only these databases, each as name or namespace/name.
    #[arg(value_name = "DATABASE")]
    pub databases: Vec<String>,
}

/// `wait`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        database-operator wait --all --local shop/ --timeout 2m\n  \
        database-operator wait crm --for version=v8 --local shop/\n  \
        database-operator wait crm --for credential=v8 --local shop/ && ./deploy\n\n\
        Exit status:\n  \
        0  reached\n  \
        1  bad input\n  \
        3  not reached in time")]
pub struct WaitArgs {
    /// The database, as name or namespace/name.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub database: Option<String>,
    /// Every database of the directory.
    #[arg(long)]
    pub all: bool,
    /// What for: ready (at the version that the manifest desires), stalled (it needs a person),
    /// version=MIGRATION, credential=MIGRATION (published, and it works), or condition=TYPE[=STATUS].
    #[arg(long = "for", value_name = "STATE", default_value = "ready")]
    pub state_wanted: String,
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// How long: 90s, 5m, 1h30m.
    #[arg(long, default_value = "5m", value_name = "SPAN", value_parser = duration)]
    pub timeout: Duration,
}

/// `retry` and `accept-run`.
#[derive(Debug, Args)]
pub struct WordArgs {
    /// The database, as name or namespace/name.
    pub database: String,
    /// Where.
    #[command(flatten)]
    pub place: Place,
}

/// `version`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        database-operator version --dsn-file admin.dsn --engine Alembic\n  \
        database-operator version --dsn-file admin.dsn --engine Query --query 'SELECT max(v) FROM done'\n  \
        printf %s \"$DSN\" | database-operator version --dsn-file - --engine Sqlx\n\n\
        It prints the version alone; `none` where the tool has recorded none.\n\n\
        Exit status: 0 read, 1 not")]
pub struct VersionArgs {
    /// A file that holds postgresql://user:password@host:port/database; - is stdin.
    #[arg(long, value_name = "FILE")]
    pub dsn_file: PathBuf,
    /// What writes the version: Alembic, Sqlx (sqlx and dbop-migrate), or Query for any other, by a statement.
    #[arg(long, value_enum, hide_possible_values = true)]
    pub engine: VersionEngine,
    /// With Query: one read-only statement that gives one value.
    #[arg(long, required_if_eq("engine", "Query"))]
    pub query: Option<String>,
    /// The version table, where the tool was told another name.
    #[arg(long)]
    pub table: Option<String>,
    /// The schema of the version table.
    #[arg(long)]
    pub schema: Option<String>,
}

/// What writes the schema version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum VersionEngine {
    /// Alembic.
    Alembic,
    /// sqlx, and dbop-migrate.
    Sqlx,
    /// Any other tool, by a statement.
    Query,
}

/// Reads the arguments of the process.
///
/// # Errors
/// clap's, with its own text for people.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments)
}

/// A friendly duration (`90s`, `1h30m`) or seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no duration; write 90s, 5m or 1h30m");
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(span).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[track_caller]
    fn refused(line: &str, part: &str) {
        let text = read(line).unwrap_err().to_string();
        assert!(text.contains(part), "{line}: {text}");
    }

    #[test]
    fn clap_finds_no_fault() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn common_options_stand_anywhere() {
        for line in ["x --output json crds", "x crds --output json"] {
            let cli = read(line).unwrap();
            assert_eq!(cli.output, Output::Json, "{line}");
        }
    }

    #[test]
    fn each_command_is_read() {
        for line in [
            "x local shop --watch --state /var/s --runtime podman",
            "x plan --local shop",
            "x plan --local shop crm shop/crm",
            "x lint shop",
            "x status --local shop",
            "x wait crm --for ready --local shop --timeout 90s",
            "x wait --all --local shop",
            "x retry shop/crm --local shop",
            "x accept-run crm --local shop",
            "x version --dsn-file f --engine Alembic --table t --schema s",
            "x version --dsn-file - --engine Query --query q",
            "x crds",
            "x rbac cluster",
            "x supervise dir",
        ] {
            assert!(
                read(line).is_ok(),
                "{line}: {:?}",
                read(line).err().map(|e| e.to_string())
            );
        }
    }

    #[test]
    fn what_is_missing_or_too_much_is_said() {
        refused("x plan", "--local <DIR>");
        refused("x wait --local shop", "<DATABASE>");
        refused("x wait crm --all --local shop", "cannot be used with");
        refused("x version --dsn-file f --engine Query", "--query <QUERY>");
        refused("x version --dsn-file f --engine Flyway", "Alembic");
        refused(
            "x wait --all --local s --timeout soon",
            "write 90s, 5m or 1h30m",
        );
        refused("x generate", "generate");
    }

    #[test]
    fn durations() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("1h30m", 5400), ("30", 30)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert!(duration("-5s").is_err());
    }

    #[test]
    fn help_fits_a_hundred_columns() {
        use clap::CommandFactory;
        let mut cli = Cli::command().term_width(100);
        cli.build();
        for command in cli.get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            for line in help.lines() {
                assert!(
                    line.chars().count() <= 100,
                    "{}: {line}",
                    command.get_name()
                );
            }
        }
    }
}
