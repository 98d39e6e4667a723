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
            Ok(printed) => {
                note(
                    "the SQL is what `alembic upgrade --sql` printed, which runs env.py and the revisions offline",
                );
                note_those_that_fail(&printed.fail);
                ("alembic upgrade --sql".to_owned(), printed.sql)
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

/// What Alembic printed offline.
#[derive(Default)]
struct Printed {
    sql: String,
    /// The revisions that it cannot print, such as those that ask the database, each with its error.
    fail: Vec<(String, String)>,
}

/// Has Alembic print what it would run, offline. A revision that fails is left out, and those after it are printed by
/// a further run.
fn by_alembic(path: &Path, chain: &Chain) -> Result<Printed, String> {
    let versions: Vec<&str> = chain
        .steps
        .iter()
        .map(|step| step.version.as_str())
        .collect();
    let head = versions.last().copied().unwrap_or("head");
    let mut printed = Printed::default();
    let mut done = 0;
    loop {
        let from = match done {
            0 => "base",
            _ => versions[done - 1],
        };
        let (sql, error) = upgrade_offline(path, &format!("{from}:{head}"))?;
        let Some(error) = error else {
            printed.sql.push_str(&sql);
            return Ok(printed);
        };
        let Some((before, revision)) = text::alembic_before_failure(&sql) else {
            return Err(error);
        };
        let in_step = chain.steps.iter().skip(done).position(|step| {
            let mut parts = step.parts.iter();
            parts.any(|part| part.name == revision)
        });
        let Some(further) = in_step else {
            return Err(error);
        };
        printed.sql.push_str(before);
        printed.fail.push((revision.to_owned(), error));
        done += further + 1;
        if done == versions.len() {
            return Ok(printed);
        }
    }
}

/// What `alembic upgrade RANGE --sql` prints, and its error if it fails.
fn upgrade_offline(path: &Path, range: &str) -> Result<(String, Option<String>), String> {
    let ran = Command::new("alembic")
        .args(["upgrade", range, "--sql"])
        .current_dir(path)
        .stdin(Stdio::null())
        .output();
    let output = ran.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no alembic on the PATH".to_owned(),
        _ => format!("alembic cannot be run: {error}"),
    })?;
    let sql = String::from_utf8(output.stdout)
        .map_err(|_| "what alembic printed is not UTF-8".to_owned())?;
    let error = (!output.status.success()).then(|| {
        // The last line of Python's report is the error itself. What a URL in it could hold is not shown.
        let report = String::from_utf8_lossy(&output.stderr);
        let last = report.lines().rev().find(|line| !line.trim().is_empty());
        let last = last
            .filter(|line| !line.contains("://"))
            .unwrap_or("it says nothing");
        format!("`alembic upgrade {range} --sql` failed: {}", last.trim())
    });
    Ok((sql, error))
}

/// Says which revisions have no hints, and what to do about them.
fn note_those_that_fail(fail: &[(String, String)]) {
    for (revision, error) in fail.iter().take(NAMED_MAX) {
        note(&format!("revision {revision} has no hints, for {error}"));
    }
    let more = fail.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        note(&format!(
            "{more} more revisions have no hints, as they fail likewise"
        ));
    }
    if !fail.is_empty() {
        note(
            "a revision that asks the database cannot be printed offline: write its hints by hand, or put it under \
             `if not context.is_offline_mode()`",
        );
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
