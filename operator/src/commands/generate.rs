//! `generate`: DatabaseMigrations from the files of a migration tool. They go to stdout, what people should know
//! of them to stderr.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use dbop_api::database::LiquibaseVersion;
use dbop_generate::hints::{self, Line};
use dbop_generate::liquibase::By;
use dbop_generate::manifests::{self, Settings};
use dbop_generate::{Chain, GenerateError, Tool, alembic, flyway, liquibase, sql, text};
use dbop_model::Engine;

use super::{Console, Done, Exit, note, print};
use crate::cli::{GenerateArgs, GenerateTool, Output};
use crate::render::Failure;

/// What a tool prints of all its migrations is smaller.
const SQL_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(super) fn run(args: &GenerateArgs, console: Console) -> Done {
    misplaced(args)?;
    let tool = match (args.tool, args.by) {
        (GenerateTool::Alembic, _) => Tool::Alembic,
        (GenerateTool::Flyway, _) => Tool::Flyway,
        (GenerateTool::Liquibase, Some(LiquibaseVersion::ChangeSet)) => Tool::LiquibaseChangeSets,
        (GenerateTool::Liquibase, _) => Tool::LiquibaseTags,
        (GenerateTool::Sql, _) => Tool::Sql,
    };
    let change_log = args.path.to_str().map(|path| path.replace('\\', "/"));
    let mut chain = read(tool, args, change_log.as_deref().unwrap_or_default()).map_err(failure)?;
    if args.engine.is_some() {
        printed(tool, args, &mut chain)?;
    }
    let settings = Settings {
        image: args.image.clone(),
        namespace: args.namespace.clone(),
        change_log: change_log.filter(|_| args.tool == GenerateTool::Liquibase),
        from_empty: args.from_empty,
        engine: args.engine,
    };
    match console.output() {
        Output::Text => {
            let yaml = manifests::yaml(tool, &chain, &settings).map_err(failure)?;
            print(yaml.trim_end())?;
        }
        Output::Json => {
            let objects = manifests::manifests(tool, &chain, &settings).map_err(failure)?;
            console.result("", &objects)?;
        }
    }
    for text in &chain.notes {
        note(text);
    }
    if let Some(engine) = args.engine {
        incomplete(engine, &chain)
            .iter()
            .for_each(|text| note(text));
    }
    Ok(Exit::Done)
}

/// Puts the SQL that the tool prints beside its parts.
fn printed(tool: Tool, args: &GenerateArgs, chain: &mut Chain) -> Result<(), Failure> {
    let (file, printed) = match (&args.sql, tool) {
        (Some(path), _) if path == Path::new("-") => (
            "stdin".to_owned(),
            super::read_text("--sql", path, SQL_BYTES_MAX)?,
        ),
        (Some(path), _) => {
            let text = super::read_text("--sql", path, SQL_BYTES_MAX)?;
            (path.display().to_string(), text)
        }
        (None, Tool::Alembic) => match by_alembic(&args.path, chain) {
            Ok(text) => {
                note(
                    "the SQL is what `alembic upgrade --sql` printed, which runs env.py and the revisions offline",
                );
                ("alembic upgrade --sql".to_owned(), text)
            }
            Err(why) => {
                note(&format!(
                    "there are no hints, for {why}: give what `alembic upgrade base:head --sql` prints by --sql"
                ));
                return Ok(());
            }
        },
        (None, _) => return Ok(()),
    };
    let sections = match tool {
        Tool::Alembic => text::alembic(&printed),
        _ => text::liquibase(&printed),
    };
    let filled = text::fill(chain, &file, &sections);
    if filled == 0 {
        let heading = match tool {
            Tool::Alembic => "`-- Running upgrade ... -> REVISION`",
            _ => "`-- Changeset PATH::ID::AUTHOR`",
        };
        return Err(Failure::new(format!(
            "--sql {file}: no line {heading} in it is of one of these migrations"
        ))
        .or("give what the tool printed for the same files, with its comments"));
    }
    Ok(())
}

/// Has Alembic print what it would run, offline.
fn by_alembic(path: &Path, chain: &Chain) -> Result<String, String> {
    let head = chain
        .steps
        .last()
        .map_or("head", |step| step.version.as_str());
    let ran = Command::new("alembic")
        .args(["upgrade", &format!("base:{head}"), "--sql"])
        .current_dir(path)
        .stdin(Stdio::null())
        .output();
    match ran {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err("there is no alembic on the PATH".to_owned())
        }
        Err(error) => Err(format!("alembic cannot be run: {error}")),
        Ok(output) if !output.status.success() => {
            // The last line of Python's report is the error itself. What a URL in it could hold is not shown.
            let report = String::from_utf8_lossy(&output.stderr);
            let last = report.lines().rev().find(|line| !line.trim().is_empty());
            let last = last
                .filter(|line| !line.contains("://"))
                .unwrap_or("it says nothing");
            Err(format!(
                "`alembic upgrade base:{head} --sql` failed: {}",
                last.trim()
            ))
        }
        Ok(output) => String::from_utf8(output.stdout)
            .map_err(|_| "what alembic printed is not UTF-8".to_owned()),
    }
}

/// So many missing lines are named one by one.
const NAMED_MAX: usize = 20;

/// What the hints lack, by version and line.
fn incomplete(engine: Engine, chain: &Chain) -> Vec<String> {
    let hints = hints::of(engine, chain);
    let mut missing: Vec<String> = Vec::new();
    for (step, hints) in chain.steps.iter().zip(&hints) {
        for line in &hints.lines {
            if let Line::Missing(what) = line {
                missing.push(format!("version {}: {what}", step.version));
            }
        }
    }
    let more = missing.len().saturating_sub(NAMED_MAX);
    missing.truncate(NAMED_MAX);
    if more > 0 {
        missing.push(format!(
            "{more} more lines are missing in hints; each is a comment in the YAML"
        ));
    }
    missing
}

fn read(tool: Tool, args: &GenerateArgs, change_log: &str) -> Result<Chain, GenerateError> {
    let root = args.search_path.as_deref().unwrap_or(Path::new("."));
    match tool {
        Tool::Alembic => alembic::read(&args.path, args.head.as_deref()),
        Tool::Flyway => flyway::read(&args.path),
        Tool::LiquibaseTags => liquibase::read(root, change_log, By::Tag),
        Tool::LiquibaseChangeSets => liquibase::read(root, change_log, By::ChangeSet),
        Tool::Sql => sql::read(&args.path),
    }
}

/// Options that belong to another tool.
fn misplaced(args: &GenerateArgs) -> Result<(), Failure> {
    for (option, is_given, tool, name) in [
        (
            "--head",
            args.head.is_some(),
            GenerateTool::Alembic,
            "alembic",
        ),
        (
            "--search-path",
            args.search_path.is_some(),
            GenerateTool::Liquibase,
            "liquibase",
        ),
        (
            "--by",
            args.by.is_some(),
            GenerateTool::Liquibase,
            "liquibase",
        ),
        (
            "--sql",
            args.sql.is_some() && args.tool != GenerateTool::Liquibase,
            GenerateTool::Alembic,
            "alembic and liquibase",
        ),
    ] {
        if is_given && args.tool != tool {
            return Err(Failure::new(format!("{option} goes with {name} alone")));
        }
    }
    Ok(())
}

fn failure(error: GenerateError) -> Vec<Failure> {
    let failure = Failure::of(&error);
    vec![match error.way_out() {
        Some(way_out) => failure.or(way_out),
        None => failure,
    }]
}
