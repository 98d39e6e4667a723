//! `generate`: DatabaseMigrations from the files of a migration tool. They go to stdout, what people should know
//! of them to stderr.

use std::path::Path;

use dbop_api::database::LiquibaseVersion;
use dbop_generate::liquibase::By;
use dbop_generate::manifests::{self, Settings};
use dbop_generate::{Chain, GenerateError, Tool, alembic, flyway, liquibase, sql};

use super::{Console, Done, Exit, note, print};
use crate::cli::{GenerateArgs, GenerateTool, Output};
use crate::render::Failure;

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
    let chain = read(tool, args, change_log.as_deref().unwrap_or_default()).map_err(failure)?;
    let settings = Settings {
        image: args.image.clone(),
        namespace: args.namespace.clone(),
        change_log: change_log.filter(|_| args.tool == GenerateTool::Liquibase),
        from_empty: args.from_empty,
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
    Ok(Exit::Done)
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
