//! `analyze`: a migration's SQL, or its schemaHints, judged against a live database or a snapshot of one. Nothing is
//! written anywhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dbop_database::{Administer, Target};
use dbop_engine::Clock as _;
use dbop_model::finding::{Gate, HintPolicy, gate};
use dbop_model::operation::Statement;
use dbop_model::table::{FactRequest, TableFactsSet};
use dbop_model::writes::WriteWatch;
use dbop_model::{Engine, Migration, ServerInfo, SqlSource};
use dbop_snapshot::{Snapshot, SnapshotError};

use super::{Console, Done, Exit, directory, dsn_file, note, read_text};
use crate::backends;
use crate::cli::AnalyzeArgs;
use crate::render::Failure;
use crate::render::analysis::{self, Analysis, FactsView};
use crate::shell::SystemClock;

/// Migrations are written by people and tools; what is larger is a dump.
const INPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Ten thousand tables of a hundred columns are a tenth of it.
const SNAPSHOT_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Facts of a snapshot that are older are told to be old: tables grow by themselves.
const SNAPSHOT_DAYS_MAX: i64 = 7;

pub(super) async fn run(args: AnalyzeArgs, console: Console) -> Done {
    let source = Source::of(&args)?;
    let ground = Ground::of(&args).await?;
    let server = ground.server();
    let Subject {
        name,
        statements,
        policy,
    } = source.subject(server.engine)?;
    let policy = HintPolicy {
        large_table_rows: args.large_table_rows,
        probe_timeout: args.probe_timeout.unwrap_or(policy.probe_timeout),
        ..policy
    };
    let wanted = dbop_hints::facts_wanted(&statements);
    let facts = ground.facts(&wanted, policy.probe_timeout).await?;
    let now = SystemClock.now();
    let judgement = dbop_hints::judge(&server, &statements, &facts, &policy, now);
    let stopped = gate(&judgement, &policy) != Gate::Clear;
    let of = match &ground {
        Ground::Live(_) => None,
        Ground::Saved(snapshot) => Some(FactsView::of(snapshot.taken_at, now, SNAPSHOT_DAYS_MAX)),
    };
    let text = analysis::text(
        &name,
        &server,
        &statements,
        &judgement,
        of.as_ref(),
        stopped,
        now,
    );
    let analysis = Analysis::new(&server, &statements, &judgement, of);
    console.result(&text, &analysis)?;
    if let Some(old) = analysis.old_facts() {
        note(&old);
    }
    Ok(if stopped || analysis.has_unread() {
        Exit::Blocked
    } else {
        Exit::Done
    })
}

/// What statements are judged against.
enum Ground {
    Live(Box<Live>),
    Saved(Box<Snapshot>),
}

/// A database, and how to get to it again.
struct Live {
    dsn_file: PathBuf,
    target: Target,
    observe: Option<Duration>,
    database: Box<dyn Administer>,
}

impl Ground {
    async fn of(args: &AnalyzeArgs) -> Result<Self, Vec<Failure>> {
        if let Some(path) = &args.facts {
            return Ok(Ground::Saved(Box::new(saved(path)?)));
        }
        let Some(path) = &args.dsn_file else {
            return Err(Failure::new("neither --dsn-file nor --facts is given").into());
        };
        let target = dsn_file::target(path)?;
        Ok(Ground::Live(Box::new(Live {
            database: connect(path, &target).await?,
            dsn_file: path.clone(),
            target,
            observe: args.observe,
        })))
    }

    fn server(&self) -> ServerInfo {
        match self {
            Ground::Live(live) => live.database.server_info(),
            Ground::Saved(snapshot) => snapshot.server.clone(),
        }
    }

    async fn facts(
        &self,
        wanted: &BTreeSet<FactRequest>,
        probe_timeout: Duration,
    ) -> Result<TableFactsSet, Failure> {
        let live = match self {
            Ground::Saved(snapshot) => return Ok(snapshot.facts(wanted)),
            Ground::Live(live) => live,
        };
        let wrong = |error| dsn_file::failure(&live.dsn_file, &error);
        let writes: BTreeSet<FactRequest> = wanted
            .iter()
            .filter(|request| matches!(request, FactRequest::Writes(_)))
            .cloned()
            .collect();
        let (Some(span), false) = (live.observe, writes.is_empty()) else {
            let facts = live.database.table_facts(wanted, probe_timeout).await;
            return facts.map_err(wrong);
        };
        let mut watch = WriteWatch::default();
        let before = live.database.table_facts(&writes, probe_timeout).await;
        watch.look(&mut before.map_err(wrong)?);
        tokio::time::sleep(span).await;
        // Servers end sessions that are silent for as long as that.
        let again = connect(&live.dsn_file, &live.target).await?;
        let mut facts = again
            .table_facts(wanted, probe_timeout)
            .await
            .map_err(wrong)?;
        watch.look(&mut facts);
        Ok(facts)
    }
}

async fn connect(path: &Path, target: &Target) -> Result<Box<dyn Administer>, Failure> {
    let connected = backends::connector().connect(target).await;
    connected.map_err(|error| dsn_file::failure(path, &error))
}

fn saved(path: &Path) -> Result<Snapshot, Failure> {
    let text = read_text("--facts", path, SNAPSHOT_BYTES_MAX)?;
    dbop_snapshot::read(&text).map_err(|error| {
        Failure::new(format!("--facts {}: {error}", path.display())).or(match error {
            SnapshotError::Version(_) => {
                "take it anew with this program, or read it with the one that took it"
            }
            _ => "`database-operator snapshot --dsn-file FILE --out FILE` writes one",
        })
    })
}

/// What is judged, and how.
struct Subject {
    /// The file, or the migration.
    name: String,
    statements: Vec<Statement>,
    policy: HintPolicy,
}

/// What was given, before anybody knows which server it is for.
enum Source {
    Sql {
        name: String,
        text: String,
    },
    Migration {
        migration: Box<Migration>,
        sql: Option<String>,
    },
}

impl Source {
    fn of(args: &AnalyzeArgs) -> Result<Self, Vec<Failure>> {
        let stdin = Path::new("-");
        let (option, path) = match (&args.sql, &args.migration) {
            (Some(sql), _) => ("--sql", sql),
            (None, Some(migration)) => ("--migration", migration),
            (None, None) => {
                return Err(Failure::new("neither --sql nor --migration is given").into());
            }
        };
        for (other, given) in [("--dsn-file", &args.dsn_file), ("--facts", &args.facts)] {
            if path == stdin && given.as_deref() == Some(stdin) {
                let failure = Failure::new(format!("{other} and {option} are both stdin"));
                return Err(failure.or("write one of them to a file").into());
            }
        }
        let text = read_text(option, path, INPUT_BYTES_MAX)?;
        if args.sql.is_some() {
            let name = match path.file_name() {
                Some(name) if path != stdin => name.to_string_lossy().into_owned(),
                _ => "stdin".to_owned(),
            };
            return Ok(Source::Sql { name, text });
        }
        of_migration(path, &text)
    }

    fn subject(self, engine: Engine) -> Result<Subject, Failure> {
        Ok(match self {
            Source::Sql { name, text } => Subject {
                statements: dbop_sql::read(engine, &text),
                name,
                policy: HintPolicy::default(),
            },
            Source::Migration { migration, sql } => {
                let hints = migration.hints.as_deref().unwrap_or_default();
                Subject {
                    name: migration.name.to_string(),
                    statements: dbop_sql::of_migration(engine, sql.as_deref(), hints),
                    policy: HintPolicy::default().for_migration(&migration.name, &migration.accept),
                }
            }
        })
    }
}

/// The one DatabaseMigration of a file, with its SQL: a ConfigMap that it names stands in the file as well.
fn of_migration(path: &Path, text: &str) -> Result<Source, Vec<Failure>> {
    let found = dbop_local::manifests::migrations(path, text).map_err(|problems| {
        let failures = problems
            .iter()
            .map(|problem| directory::problem(Path::new(""), problem));
        failures.collect::<Vec<_>>()
    })?;
    let shown = path.display();
    let several: Vec<_> = found.migrations.iter().collect();
    let (id, migration) = match several.as_slice() {
        [(id, one)] => (id, &one.migration),
        [] => {
            let failure = Failure::new(format!(
                "--migration {shown}: it holds no DatabaseMigration"
            ));
            return Err(failure.or("for a SQL file write --sql").into());
        }
        several => {
            let names = several
                .iter()
                .map(|(_, one)| one.migration.name.to_string());
            let names = directory::few(names);
            let what = format!("--migration {shown}: it holds several DatabaseMigrations: {names}");
            return Err(Failure::new(what).or("give a file with one of them").into());
        }
    };
    if migration.hints.is_none() && migration.sql.is_none() {
        let what = format!(
            "DatabaseMigration {}: it does not say what it does to the schema",
            migration.name
        );
        let failure = Failure::new(what)
            .or("write spec.sql or spec.schemaHints, [] if it does nothing to the schema");
        return Err(failure.or("or give its SQL with --sql").into());
    }
    let sql = match &migration.sql {
        None => None,
        Some(SqlSource::Inline(text)) => Some(text.to_string()),
        Some(SqlSource::ConfigMap(at)) => {
            let value = found.config_map_value(id.namespace(), at);
            Some(value.map_err(|error| {
                let name = &migration.name;
                let failure = Failure::new(format!(
                    "DatabaseMigration {name}: spec.sql.configMap: {error}"
                ));
                failure.or(format!(
                    "put the ConfigMap into {shown} as well, or give its SQL with --sql"
                ))
            })?)
        }
    };
    Ok(Source::Migration {
        migration: Box::new(migration.clone()),
        sql,
    })
}
