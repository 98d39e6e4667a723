//! The command line, as clap reads it. What the commands do is in `commands`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use dbop_api::database::{LiquibaseVersion, VersionEngine};
use dbop_model::finding::FACTS_AGE_MAX;
use dbop_model::{Engine, writes};

/// Automates the schema migrations of relational databases, and the credentials that go with each schema.
///
/// `run` works on the databases of a Kubernetes cluster, `local` on a directory of manifests: they run
/// migrations in order, make a login for each schema version, and retire it once it is provably unused. The
/// other commands look at a cluster or at such a directory, or are a person's word to it.
#[derive(Debug, Parser)]
#[command(
    name = "database-operator",
    version,
    after_help = "Start with:\n  \
        database-operator lint shop/            are the manifests right?\n  \
        database-operator plan --local shop/    what would happen, and why? Changes nothing\n  \
        database-operator local shop/ --watch   do it, and keep an eye on it\n\
        database-operator status                where do the databases of the cluster stand?\n\n\
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
    /// warn,dbop_engine=debug [default: RUST_LOG, or warn; info for `run`]
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Common")]
    pub log_level: Option<String>,
    /// How the log is written: text or json.
    #[arg(long, global = true, value_enum, hide_possible_values = true, default_value_t = LogFormat::Text, value_name = "FORMAT", help_heading = "Common")]
    pub log_format: LogFormat,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Work on the databases of a cluster: the operator itself.
    ///
    /// Of several replicas one works, by a Lease; the others wait, with everything ready, and one goes on
    /// within 20 seconds when it is gone, or at once when it is stopped with SIGTERM. SIGTERM and Ctrl-C end
    /// it: nothing new is begun, the step under way ends, and the Lease is given back; migrations go on by
    /// themselves. A replica that loses its Lease stops all work at once, and waits again.
    Run(RunArgs),
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
    /// Judge a SQL file, or a DatabaseMigration, against a live database or a snapshot of one. Writes nothing
    /// anywhere.
    ///
    /// It says what each statement would do to its table on this very server, and what it finds: statements
    /// that cannot succeed on today's data, that stop reads or writes of a large table, or that have the server
    /// invent values. It needs no cluster, and a login that can only read is enough; with --facts none at all.
    Analyze(AnalyzeArgs),
    /// Save the facts of a database for `analyze --facts`. Writes nothing to the database.
    ///
    /// The file is JSON: sizes, columns with their types, indexes, constraints, storage, settings, server and,
    /// with --observe, how much is written. It holds no row, no value and no statistics of values, no login and
    /// no password; conditions of CHECKs and of indexes are part of the schema, and in it.
    Snapshot(SnapshotArgs),
    /// Check manifests and the chain of migrations, without a database.
    Lint(LintArgs),
    /// Print DatabaseMigrations made from the migrations that a tool already has.
    ///
    /// The files say which versions there are and how they follow each other; nothing is run, and no database
    /// is asked. What is printed can be applied as it is, and read by `lint`; hints and compatibleFrom are for
    /// you to add, or hints come from the migrations' SQL with --engine.
    Generate(GenerateArgs),
    /// Show where every database stands.
    Status(StatusArgs),
    /// Wait until databases have reached a state.
    Wait(WaitArgs),
    /// Say that the last run, which did not complete, is to run again.
    #[command(after_help = "Examples:\n  \
        database-operator status crm -n shop            what happened?\n  \
        database-operator retry crm -n shop             run it again\n  \
        database-operator retry crm --local shop/       in a directory\n\n\
        A running operator or `local` acts on it at once, otherwise the next one does.\n\n\
        Exit status:\n  \
        0  said\n  \
        1  bad input, or there is no run of which it could be said")]
    Retry(WordArgs),
    /// Say that the version that the last run brought counts as done, though the run did not complete.
    #[command(after_help = "Examples:\n  \
        database-operator status crm -n shop            what happened?\n  \
        database-operator accept-run crm -n shop        go on from the version that it brought\n  \
        database-operator accept-run crm --local shop/  in a directory\n\n\
        A running operator or `local` acts on it at once, otherwise the next one does.\n\n\
        Exit status:\n  \
        0  said\n  \
        1  bad input, or the run did not move the database to its version")]
    AcceptRun(WordArgs),
    /// Give credentials another login and password; the login before goes once nobody holds it.
    #[command(after_help = "Examples:\n  \
        database-operator rotate crm v2 -n shop         a password has leaked\n  \
        database-operator rotate crm -n shop            every credential of the database\n  \
        database-operator rotate crm --local shop/      in a directory\n\n\
        The Secret is changed in place. Applications that hold what it said before go on working, and have to start\n\
        anew for the login before to go; see: status.\n\n\
        Exit status:\n  \
        0  said\n  \
        1  bad input, or there is no such credential")]
    Rotate(RotateArgs),
    /// Read the schema version of one database.
    Version(VersionArgs),
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
    /// Print what objects are checked against: `cargo xtask codegen` keeps it.
    #[command(hide = true)]
    Shapes,
    /// Print the pages of the hint rules: `cargo xtask codegen` keeps them.
    #[command(hide = true)]
    RulePages,
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

/// Which cluster.
#[derive(Debug, Clone, Default, Args)]
pub struct ClusterArgs {
    /// A kubeconfig file [default: KUBECONFIG, ~/.kube/config, or the Pod's own account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// `run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        database-operator run                                     as in deploy/install.yaml\n  \
        database-operator run --namespace shop --namespace crm    with Roles in these namespaces\n  \
        database-operator run --kubeconfig dev.kubeconfig --lease-namespace default\n\n\
        It serves /livez, /readyz and /metrics, and receives what migrations push, on one port.\n\n\
        Exit status:\n  \
        0  it was told to stop\n  \
        1  no API server, no custom resources, no permission (it says which), or a fault of its own")]
pub struct RunArgs {
    /// Only the databases of this namespace; may be given several times. Roles in these namespaces are
    /// enough then [default: all namespaces]
    #[arg(long = "namespace", short = 'n', value_name = "NAMESPACE")]
    pub namespaces: Vec<String>,
    /// How many migrations may run at once in all [default: any number]
    #[arg(long, value_name = "NUMBER")]
    pub max_jobs: Option<NonZeroUsize>,
    /// How many migrations may run at once on one database server [default: any number]
    #[arg(long, value_name = "NUMBER")]
    pub max_jobs_per_server: Option<NonZeroUsize>,
    /// How often a database at rest is looked at without an occasion: 30s, 5m, 1h. Each look is one
    /// connection and a dozen statements.
    #[arg(long, default_value = "30s", value_name = "SPAN", value_parser = heartbeat)]
    pub heartbeat: Duration,
    /// Where probes, metrics and pushes are answered.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Where migrations push their metrics to [default: the Service database-operator, as the Pod's
    /// environment names it]
    #[arg(long, value_name = "HOST:PORT")]
    pub push_address: Option<String>,
    /// The Lease by which one of several replicas works.
    #[arg(long, default_value = dbop_kubernetes::rbac::LEASE, value_name = "NAME")]
    pub lease_name: String,
    /// The Lease's namespace [default: the Pod's own, or that of the kubeconfig's context]
    #[arg(long, value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// What databases are claimed for [default: the uid of the namespace kube-system]. Give the same one to
    /// a cluster that replaces another, and to no other.
    #[arg(long, value_name = "ID")]
    pub cluster_id: Option<String>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// What a command is about: a cluster, or a directory.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The directory of manifests that `local` works on, in place of a cluster.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context", "namespace", "all_namespaces"])]
    pub local: Option<PathBuf>,
    /// With --local: its state [default: DIR/.dbop]
    #[arg(long, value_name = "DIR", requires = "local")]
    pub state: Option<PathBuf>,
    /// The namespace [default: that of the kubeconfig's context]
    #[arg(
        long,
        short,
        value_name = "NAMESPACE",
        conflicts_with = "all_namespaces"
    )]
    pub namespace: Option<String>,
    /// The databases of all namespaces.
    #[arg(long, short = 'A')]
    pub all_namespaces: bool,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// `plan`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        database-operator plan -n shop                             what the operator would do\n  \
        database-operator plan --local shop/                       what `local` would do\n  \
        database-operator plan --local shop/ --output json | jq .  for programs\n\n\
        In a cluster it reads the admin Secrets and asks the databases from where it runs.\n\n\
        Exit status:\n  \
        0  nothing to do\n  \
        1  bad input, or a database that cannot be reached or logged in to\n  \
        2  there are steps\n  \
        3  blocked: findings, a run that did not complete, no way to the desired version")]
pub struct PlanArgs {
    /// Where.
    #[command(flatten)]
    pub place: Place,
    /// What the operator claims databases for, where it was given one [default: the uid of the namespace
    /// kube-system]
    #[arg(long, value_name = "ID", conflicts_with = "local")]
    pub cluster_id: Option<String>,
    /// Only these databases, each as name or namespace/name.
    #[arg(value_name = "DATABASE")]
    pub databases: Vec<String>,
}

/// `analyze`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        database-operator analyze --dsn-file reader.dsn --sql migrations/V8__email.sql\n  \
        database-operator analyze --dsn-file reader.dsn --migration v8.yaml --output json | jq .\n  \
        database-operator analyze --facts shop.snapshot.json --sql migrations/V8__email.sql\n  \
        alembic upgrade v7:v8 --sql | database-operator analyze --dsn-file reader.dsn --sql -\n\n\
        Exit status:\n  \
        0  nothing stands in the way\n  \
        1  bad input, or a database that cannot be reached or logged in to\n  \
        3  findings stand in the way, or a statement cannot be read")]
#[command(group = clap::ArgGroup::new("of").required(true))]
#[command(group = clap::ArgGroup::new("what").required(true))]
#[command(
    override_usage = "database-operator analyze --dsn-file F|--facts F --sql F|--migration F [OPTIONS]"
)]
pub struct AnalyzeArgs {
    /// A file that holds postgresql:// or mysql://user:password@host:port/database; - is stdin.
    #[arg(long, value_name = "FILE", group = "of")]
    pub dsn_file: Option<PathBuf>,
    /// A file that `snapshot` wrote, in place of the database; - is stdin. What only rows and sessions tell is
    /// unknown then.
    #[arg(long, value_name = "FILE", group = "of")]
    pub facts: Option<PathBuf>,
    /// The SQL of one migration; - is stdin.
    #[arg(long, value_name = "FILE", group = "what")]
    pub sql: Option<PathBuf>,
    /// The manifest of one DatabaseMigration, for its schemaHints; - is stdin.
    #[arg(long, value_name = "FILE", group = "what")]
    pub migration: Option<PathBuf>,
    /// A table of so many rows or more is large.
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000)]
    pub large_table_rows: u64,
    /// One probe of a table's rows may take so long on the server, at most 10s; 5s where the manifest says nothing.
    #[arg(long, value_name = "SPAN", value_parser = probe, conflicts_with = "facts")]
    pub probe_timeout: Option<Duration>,
    /// Watch for so long how much is written to the tables, 3s to 60s; without it that is unknown, which matters
    /// for large tables alone.
    #[arg(long, value_name = "SPAN", value_parser = observed, conflicts_with = "facts")]
    pub observe: Option<Duration>,
}

/// `snapshot`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        database-operator snapshot --dsn-file reader.dsn --observe 10s --out shop.snapshot.json\n  \
        database-operator snapshot --dsn-file - < reader.dsn > shop.snapshot.json\n\n\
        A login that can only read is enough. At most 10,000 tables are looked at, for 5 minutes at most; what is\n\
        left out is said, and in the file.\n\n\
        Exit status: 0 saved, 1 not")]
pub struct SnapshotArgs {
    /// A file that holds postgresql:// or mysql://user:password@host:port/database; - is stdin.
    #[arg(long, value_name = "FILE")]
    pub dsn_file: PathBuf,
    /// Where it is written [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Watch for so long how much is written to each table, 3s to 60s; without it that is unknown, which matters
    /// for large tables alone.
    #[arg(long, value_name = "SPAN", value_parser = observed)]
    pub observe: Option<Duration>,
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
        database-operator status -A\n  \
        database-operator status crm -n shop --output json\n  \
        database-operator status --local shop/\n\n\
        It shows what the operator or `local` saw last. `plan` looks for itself.")]
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
        database-operator wait --all -A --timeout 2m\n  \
        database-operator wait crm -n shop --for version=v8\n  \
        database-operator wait crm --for credential=v8 --local shop/ && ./deploy\n\n\
        Exit status:\n  \
        0  reached\n  \
        1  bad input\n  \
        3  not reached in time")]
pub struct WaitArgs {
    /// The database, as name or namespace/name.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub database: Option<String>,
    /// Every database of the namespace (with -A: of all), or of the directory.
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

/// `rotate`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// The database, as name or namespace/name.
    pub database: String,
    /// The migration whose credential it is; without it, all credentials of the database.
    pub migration: Option<String>,
    /// Where.
    #[command(flatten)]
    pub place: Place,
}

/// `generate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
        database-operator generate alembic migrations/ --image registry.example.com/shop-migrations:7 > migrations.yaml\n  \
        database-operator generate flyway src/main/resources/db/migration --image shop-flyway:7\n  \
        database-operator generate liquibase db/changelog/root.xml --search-path src/main/resources --image shop-liquibase:7\n  \
        database-operator generate sql migrations/ --image shop-migrations:7 --namespace shop\n  \
        database-operator generate sql migrations/ --image shop-migrations:7 --engine PostgreSQL\n  \
        alembic upgrade base:head --sql | database-operator generate alembic . --image i --engine MySQL --sql -\n\n\
        Exit status: 0 printed, 1 the files do not say what they must")]
pub struct GenerateArgs {
    /// The tool: alembic, flyway, liquibase, or sql for files as dbop-migrate and sqlx run them.
    #[arg(value_enum, hide_possible_values = true)]
    pub tool: GenerateTool,
    /// The directory of its migrations; with liquibase, the change log, below the search path.
    pub path: PathBuf,
    /// The image of the migrations' container; {name} in it is the migration's name.
    #[arg(long)]
    pub image: String,
    /// The namespace of the objects; by default they have none.
    #[arg(long, short)]
    pub namespace: Option<String>,
    /// Take an empty database to the newest version in one run, as the tools do by themselves, and not through
    /// each version before it.
    #[arg(long)]
    pub from_empty: bool,
    /// Fill in schemaHints, from the SQL of the migrations as it is for PostgreSQL, MySQL or MariaDB: that of their
    /// files, or what the tool prints (--sql). What cannot be read is said by version and line.
    #[arg(long, value_name = "ENGINE", value_parser = sql_engine)]
    pub engine: Option<Engine>,
    /// With alembic and liquibase: what `alembic upgrade base:head --sql` or `liquibase update-sql` printed; - is
    /// stdin. By default alembic is run for it where it is on the PATH, and of liquibase the change sets in SQL are
    /// read.
    #[arg(long, value_name = "FILE", requires = "engine")]
    pub sql: Option<PathBuf>,
    /// With alembic: the revision at which the chain ends, where there are several heads.
    #[arg(long, value_name = "REVISION")]
    pub head: Option<String>,
    /// With liquibase: where it finds its files, as its own --search-path; by default here.
    #[arg(long, value_name = "DIR")]
    pub search_path: Option<PathBuf>,
    /// With liquibase: Tag, a version is a tag that a change set sets, or ChangeSet, each change set is one; by
    /// default Tag.
    #[arg(long, value_name = "WHAT", value_parser = liquibase_version)]
    pub by: Option<LiquibaseVersion>,
}

/// A tool whose migrations `generate` reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GenerateTool {
    /// Alembic.
    Alembic,
    /// Flyway.
    Flyway,
    /// Liquibase.
    Liquibase,
    /// SQL files.
    Sql,
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
    /// What writes the version: Alembic, Flyway, Liquibase, Rails, Django, GolangMigrate, Sqlx (sqlx and
    /// dbop-migrate), Diesel, Goose, Prisma, or Query for any other, by a statement.
    #[arg(long, value_parser = engine)]
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
    /// With Django: the app, by its label.
    #[arg(long, required_if_eq("engine", "Django"))]
    pub app: Option<String>,
    /// With Liquibase: ChangeSet, the change set that ran last, or Tag, the last tag; by default ChangeSet.
    #[arg(long, value_name = "WHAT", value_parser = liquibase_version)]
    pub by: Option<LiquibaseVersion>,
}

/// Reads the arguments of the process.
///
/// # Errors
/// clap's, with its own text for people.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments)
}

/// A heartbeat: one more often than every second is a load, not a look.
fn heartbeat(text: &str) -> Result<Duration, String> {
    let span = duration(text)?;
    if span < Duration::from_secs(1) {
        return Err("a heartbeat is a second or longer".to_owned());
    }
    Ok(span)
}

/// An engine, by its name in any case of letters.
fn sql_engine(text: &str) -> Result<Engine, String> {
    [Engine::PostgreSql, Engine::MySql, Engine::MariaDb]
        .into_iter()
        .find(|engine| engine.to_string().eq_ignore_ascii_case(text))
        .ok_or_else(|| "write PostgreSQL, MySQL or MariaDB".to_owned())
}

/// How long writes are watched: what is shorter tells no rate, and a rate is that of the last minute.
fn observed(text: &str) -> Result<Duration, String> {
    let span = duration(text)?;
    if !(writes::SPAN_MIN..=writes::WINDOW).contains(&span) {
        return Err("writes are watched for 3s to 60s".to_owned());
    }
    Ok(span)
}

/// How long a probe may take: no longer than `hints.probeTimeout` may be.
fn probe(text: &str) -> Result<Duration, String> {
    let span = duration(text)?;
    if span.is_zero() || span > FACTS_AGE_MAX.unsigned_abs() {
        return Err("a probe takes 10s at most, and more than nothing".to_owned());
    }
    Ok(span)
}

/// The name of a schema-version engine, as manifests have it.
fn engine(text: &str) -> Result<VersionEngine, String> {
    let named = |engine: &VersionEngine| format!("{engine:?}") == text;
    VersionEngine::ALL.into_iter().find(named).ok_or_else(|| {
        let all: Vec<_> = VersionEngine::ALL
            .iter()
            .map(|engine| format!("{engine:?}"))
            .collect();
        format!("write one of {}", all.join(", "))
    })
}

fn liquibase_version(text: &str) -> Result<LiquibaseVersion, String> {
    match text {
        "ChangeSet" => Ok(LiquibaseVersion::ChangeSet),
        "Tag" => Ok(LiquibaseVersion::Tag),
        _ => Err("write ChangeSet or Tag".to_owned()),
    }
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
            "x run",
            "x run -n shop --namespace crm --max-jobs 10 --max-jobs-per-server 2 --heartbeat 5m",
            "x run --kubeconfig f --context c --lease-name l --lease-namespace n --listen [::]:80",
            "x run --push-address gateway:9091 --cluster-id one",
            "x local shop --watch --state /var/s --runtime podman",
            "x plan",
            "x plan crm -n shop --kubeconfig f --context c",
            "x plan crm -n shop --cluster-id c",
            "x status -A",
            "x wait --all --all-namespaces",
            "x retry crm --namespace shop",
            "x plan --local shop",
            "x plan --local shop crm shop/crm",
            "x lint shop",
            "x analyze --dsn-file f --sql -",
            "x analyze --dsn-file - --migration v8.yaml",
            "x analyze --dsn-file f --sql s --observe 10s --large-table-rows 5 --probe-timeout 10s",
            "x analyze --facts s.json --sql s",
            "x snapshot --dsn-file f",
            "x snapshot --dsn-file - --out s.json --observe 60s",
            "x status --local shop",
            "x wait crm --for ready --local shop --timeout 90s",
            "x wait --all --local shop",
            "x retry shop/crm --local shop",
            "x accept-run crm --local shop",
            "x version --dsn-file f --engine Alembic --table t --schema s",
            "x version --dsn-file - --engine Query --query q",
            "x generate alembic dir --image i --head abc -n shop",
            "x generate liquibase log.xml --image i --search-path dir --by ChangeSet",
            "x generate sql dir --image i --engine mariadb",
            "x generate alembic dir --image i --engine PostgreSQL --sql -",
            "x crds",
            "x shapes",
            "x rule-pages",
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
        refused("x plan --local shop -n shop", "cannot be used with");
        refused("x plan --local shop --cluster-id c", "cannot be used with");
        refused("x plan --state s", "--local <DIR>");
        refused("x status -A -n shop", "cannot be used with");
        refused("x run --max-jobs 0", "--max-jobs");
        refused("x run --heartbeat 100ms", "a second or longer");
        refused("x wait --local shop", "<DATABASE>");
        refused("x wait crm --all --local shop", "cannot be used with");
        refused("x version --dsn-file f --engine Query", "--query <QUERY>");
        refused("x version --dsn-file f --engine Django", "--app <APP>");
        refused(
            "x version --dsn-file f --engine Liquibase --by tag",
            "ChangeSet or Tag",
        );
        refused("x version --dsn-file f --engine flyway", "Alembic");
        refused(
            "x wait --all --local s --timeout soon",
            "write 90s, 5m or 1h30m",
        );
        refused(
            "x analyze --dsn-file f",
            "<--sql <FILE>|--migration <FILE>>",
        );
        refused(
            "x analyze --dsn-file f --sql a --migration b",
            "cannot be used with",
        );
        refused(
            "x analyze --dsn-file f --sql a --probe-timeout 11s",
            "a probe takes 10s at most",
        );
        refused("x analyze --sql a", "<--dsn-file <FILE>|--facts <FILE>>");
        refused(
            "x analyze --dsn-file f --facts g --sql a",
            "cannot be used with",
        );
        refused(
            "x analyze --facts g --sql a --observe 5s",
            "cannot be used with",
        );
        refused("x snapshot", "--dsn-file <FILE>");
        refused("x snapshot --dsn-file f --observe 2s", "3s to 60s");
        refused("x snapshot --dsn-file f --observe 61s", "3s to 60s");
        refused("x generate", "<TOOL>");
        refused("x generate flyway dir", "--image <IMAGE>");
        refused("x generate rails dir --image i", "rails");
        refused("x generate sql dir --image i --sql f", "--engine <ENGINE>");
        refused(
            "x generate sql dir --image i --engine oracle",
            "PostgreSQL, MySQL or MariaDB",
        );
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
