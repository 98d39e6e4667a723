//! `analyze`: a migration's SQL, or its schemaHints, judged against a live database. Nothing is written anywhere.

use std::io::Read;
use std::path::Path;

use dbop_engine::Clock as _;
use dbop_model::finding::{Gate, HintPolicy, gate};
use dbop_model::operation::Statement;
use dbop_model::table::FactRequest;
use dbop_model::writes::WriteWatch;
use dbop_model::{Engine, Migration, SqlSource};

use super::{Console, Done, Exit, directory, dsn_file};
use crate::backends;
use crate::cli::AnalyzeArgs;
use crate::render::Failure;
use crate::render::analysis::{self, Analysis};
use crate::shell::SystemClock;

/// Migrations are written by people and tools; what is larger is a dump.
const INPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub(super) async fn run(args: AnalyzeArgs, console: Console) -> Done {
    let source = Source::of(&args)?;
    let target = dsn_file::target(&args.dsn_file)?;
    let wrong = |error| dsn_file::failure(&args.dsn_file, &error);
    let database = backends::connector()
        .connect(&target)
        .await
        .map_err(wrong)?;
    let server = database.server_info();
    let Subject {
        name,
        statements,
        policy,
    } = source.subject(server.engine)?;
    let policy = HintPolicy {
        large_table_rows: args.large_table_rows,
        ..policy
    };
    let wanted = dbop_hints::facts_wanted(&statements);
    let mut writes = WriteWatch::default();
    if let Some(span) = args.observe {
        let counters = wanted
            .iter()
            .filter(|one| matches!(one, FactRequest::Writes(_)))
            .cloned()
            .collect();
        let before = database.table_facts(&counters, policy.probe_timeout).await;
        writes.look(&mut before.map_err(wrong)?);
        tokio::time::sleep(span).await;
    }
    let mut facts = database
        .table_facts(&wanted, policy.probe_timeout)
        .await
        .map_err(wrong)?;
    if args.observe.is_some() {
        writes.look(&mut facts);
    }
    let now = SystemClock.now();
    let judgement = dbop_hints::judge(&server, &statements, &facts, &policy, now);
    let stopped = gate(&judgement, &policy) != Gate::Clear;
    let analysis = Analysis::new(&server, &statements, &judgement);
    let text = analysis::text(&name, &server, &statements, &judgement, stopped, now);
    console.result(&text, &analysis)?;
    Ok(if stopped || analysis.has_unread() {
        Exit::Blocked
    } else {
        Exit::Done
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
        if path == stdin && args.dsn_file == stdin {
            let failure = Failure::new(format!("--dsn-file and {option} are both stdin"));
            return Err(failure.or("write one of them to a file").into());
        }
        let text = read(option, path)?;
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
                let statements = match sql {
                    Some(sql) => dbop_sql::with_hints(dbop_sql::read(engine, &sql), hints),
                    None => hints.iter().cloned().map(Statement::from).collect(),
                };
                Subject {
                    name: migration.name.to_string(),
                    statements,
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

/// The text of a file, or of stdin.
fn read(option: &str, path: &Path) -> Result<String, Failure> {
    let wrong =
        |why: &dyn std::fmt::Display| Failure::new(format!("{option} {}: {why}", path.display()));
    let mut bytes = Vec::new();
    let limit = INPUT_BYTES_MAX + 1;
    let read = if path == Path::new("-") {
        std::io::stdin().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| wrong(&format!("it cannot be read: {error}")))?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(wrong(&"it is larger than 16 MiB, which no migration is"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        wrong(&format!("it is not UTF-8 (line {line})")).or("save it as UTF-8")
    })
}
