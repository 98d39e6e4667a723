//! DatabaseMigrations as YAML, one document for each step of a chain.

use std::collections::BTreeMap;

use dbop_model::{Engine, MigrationName, SchemaVersion, visible};
use serde::Serialize;

use crate::Tool;
use crate::chain::{Chain, Step};
use crate::error::GenerateError;
use crate::hints::{self, Hint, Hints, Line};
use crate::{flow, name};

/// What stands in an image's name for the name of the migration.
pub const NAME: &str = "{name}";

/// What the files do not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The image of every migration's container; `{name}` in it is the migration's name.
    pub image: String,
    /// The namespace of the objects; `None`: whichever they are applied to.
    pub namespace: Option<String>,
    /// With Liquibase, the change log as the container finds it.
    pub change_log: Option<String>,
    /// Is an empty database taken straight to the newest version? Every tool here does that by itself.
    pub from_empty: bool,
    /// Whose SQL the steps are in; `None`: no hints are made of it.
    pub engine: Option<Engine>,
}

/// A DatabaseMigration, in the order in which people write its fields.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Serialize)]
struct Metadata {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    from_empty: bool,
    container: Container,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_hints: Option<Vec<Hint>>,
}

#[derive(Debug, Serialize)]
struct Container {
    name: &'static str,
    image: String,
    command: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<Variable>,
}

#[derive(Debug, Serialize)]
struct Variable {
    name: &'static str,
    value: String,
}

/// The objects, the first version first.
///
/// # Errors
/// A version that no schema-version engine could report, or an image that cannot stop where it must.
pub fn manifests(
    tool: Tool,
    chain: &Chain,
    settings: &Settings,
) -> Result<Vec<Manifest>, GenerateError> {
    let mut manifests = without_hints(tool, chain, settings)?;
    let hints = settings.engine.map(|engine| hints::of(engine, chain));
    for (manifest, hints) in manifests.iter_mut().zip(hints.into_iter().flatten()) {
        if hints.is_whole {
            let said = hints.lines.into_iter().filter_map(|line| match line {
                Line::Hint(hint) => Some(hint),
                Line::LeftOut(_) | Line::Missing(_) => None,
            });
            manifest.spec.schema_hints = Some(said.collect());
        }
    }
    Ok(manifests)
}

fn without_hints(
    tool: Tool,
    chain: &Chain,
    settings: &Settings,
) -> Result<Vec<Manifest>, GenerateError> {
    if tool == Tool::LiquibaseChangeSets && !settings.image.contains(NAME) {
        return Err(GenerateError::set(
            "Liquibase stops at no change set, so that each needs an image that holds the change log up to it",
            "put {name} into the image's name, or tag versions with tagDatabase",
        ));
    }
    let names = name::names(&chain.steps);
    let mut versions: BTreeMap<&str, &Step> = BTreeMap::new();
    let mut previous = None;
    let mut manifests = Vec::with_capacity(chain.steps.len());
    let newest = chain.steps.len().saturating_sub(1);
    for (nth, (step, name)) in chain.steps.iter().zip(&names).enumerate() {
        SchemaVersion::new(step.version.as_str()).map_err(|error| {
            GenerateError::file(&step.source, format!("its version {error}"), "")
        })?;
        MigrationName::new(name.as_str()).map_err(|error| {
            GenerateError::file(
                &step.source,
                format!("the name {name} made of it {error}"),
                "",
            )
        })?;
        if let Some(first) = versions.insert(&step.version, step) {
            return Err(GenerateError::set(
                format!(
                    "{} and {} both bring the version {}",
                    first.source, step.source, step.version
                ),
                "give each a version of its own",
            ));
        }
        manifests.push(Manifest {
            api_version: "database-operator.dev/v1alpha1",
            kind: "DatabaseMigration",
            metadata: Metadata {
                name: name.clone(),
                namespace: settings.namespace.clone(),
            },
            spec: Spec {
                version: step.version.clone(),
                previous: previous.replace(name.clone()),
                from_empty: step.from_empty || (settings.from_empty && nth == newest),
                container: Container {
                    name: "migrate",
                    image: settings.image.replace(NAME, name),
                    command: command(tool),
                    env: environment(tool, settings.change_log.as_deref()),
                },
                schema_hints: None,
            },
        });
    }
    Ok(manifests)
}

/// The same as YAML, each document with the file that it comes from.
///
/// # Errors
/// As [`manifests`].
pub fn yaml(tool: Tool, chain: &Chain, settings: &Settings) -> Result<String, GenerateError> {
    let mut yaml = String::new();
    let mut hints = settings
        .engine
        .map(|engine| hints::of(engine, chain).into_iter());
    let manifests = without_hints(tool, chain, settings)?;
    for (manifest, step) in manifests.iter().zip(&chain.steps) {
        let document = serde_saphyr::to_string(manifest).map_err(|error| {
            GenerateError::file(
                &step.source,
                format!("it cannot be written as YAML: {error}"),
                "",
            )
        })?;
        let source = visible::line(&step.source);
        yaml.push_str(&format!("---\n# {source}\n{document}"));
        if let Some(hints) = hints.as_mut().and_then(Iterator::next) {
            yaml.push_str(&block(&hints));
        }
    }
    Ok(yaml)
}

/// The hints as lines of `spec`. What is not whole says nothing of the schema: then all of it is a comment.
fn block(hints: &Hints) -> String {
    let lines = hints.lines.iter().map(|line| match line {
        Line::Hint(hint) => flow::hint(hint),
        Line::LeftOut(what) => {
            flow::comment(&format!("{what}: no hint says it, and it does no harm"))
        }
        Line::Missing(what) => flow::comment(&format!("MISSING: {what}")),
    });
    let mut text = match (hints.is_whole, hints.lines.is_empty()) {
        (true, true) => "  schemaHints: []\n".to_owned(),
        (true, false) => "  schemaHints:\n".to_owned(),
        (false, _) => "  # What is MISSING below could not be told from the SQL: add it and take the # away, or nothing \
                       is analysed.\n  # schemaHints:\n"
            .to_owned(),
    };
    let says_any = hints.lines.iter().any(|line| matches!(line, Line::Hint(_)));
    if hints.is_whole && !hints.lines.is_empty() && !says_any {
        text = "  schemaHints: []\n".to_owned();
    }
    let indent = if hints.is_whole { "    " } else { "  #   " };
    for line in lines {
        text.push_str(&format!("{indent}{line}\n"));
    }
    text
}

/// What runs up to the migration's version and no further.
fn command(tool: Tool) -> Vec<&'static str> {
    match tool {
        Tool::Alembic => vec!["alembic", "upgrade", "$(DBA_OP_TARGET_VERSION)"],
        Tool::Flyway => vec!["flyway", "migrate"],
        Tool::LiquibaseTags => vec![
            "liquibase",
            "update-to-tag",
            "--tag=$(DBA_OP_TARGET_VERSION)",
        ],
        Tool::LiquibaseChangeSets => vec!["liquibase", "update"],
        Tool::Sql => vec!["dbop-migrate"],
    }
}

/// How the tool is told of the database. Passwords come by the environment alone: arguments show in process lists.
fn environment(tool: Tool, change_log: Option<&str>) -> Vec<Variable> {
    let variables: &[(&str, &str)] = match tool {
        // Its env.py takes the URL from DBA_OP_CONNECTION_STRING.
        Tool::Alembic | Tool::Sql => &[],
        Tool::Flyway => &[
            ("FLYWAY_URL", "$(DBA_OP_JDBC_URL)"),
            ("FLYWAY_USER", "$(DBA_OP_USERNAME)"),
            ("FLYWAY_PASSWORD", "$(DBA_OP_PASSWORD)"),
            ("FLYWAY_TARGET", "$(DBA_OP_TARGET_VERSION)"),
        ],
        Tool::LiquibaseTags | Tool::LiquibaseChangeSets => &[
            ("LIQUIBASE_COMMAND_URL", "$(DBA_OP_JDBC_URL)"),
            ("LIQUIBASE_COMMAND_USERNAME", "$(DBA_OP_USERNAME)"),
            ("LIQUIBASE_COMMAND_PASSWORD", "$(DBA_OP_PASSWORD)"),
        ],
    };
    let change_log = change_log.map(|file| ("LIQUIBASE_COMMAND_CHANGELOG_FILE", file));
    variables
        .iter()
        .copied()
        .chain(change_log)
        .map(|(name, value)| Variable {
            name,
            value: value.to_owned(),
        })
        .collect()
}
