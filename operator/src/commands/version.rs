//! `version`: what the schema-version engine reads in one database. Nothing is written there.

use dbop_api::database::{SchemaVersionSource, VersionEngine};
use dbop_database::{DatabaseError, Look, Target};
use dbop_model::table::TableName;
use dbop_model::{
    AccessPolicy, ClaimOwner, DatabaseFacts, Fact, ObjectRef, ObservedVersion, VersionSource,
};
use serde::Serialize;

use super::{Console, Done, Exit, dsn_file};
use crate::backends;
use crate::cli::VersionArgs;
use crate::render::Failure;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Result {
    server: String,
    address: String,
    /// Absent: none is recorded, or there is more than one.
    version: Option<String>,
    /// All of them, where there is more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    versions: Vec<String>,
    /// The tool's own mark that the version is half applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    dirty: Option<String>,
    has_tables: bool,
}

pub(super) async fn run(args: VersionArgs, console: Console) -> Done {
    let source = source(&args)?;
    let target = dsn_file::target(&args.dsn_file)?;
    let facts = observe(&target, source)
        .await
        .map_err(|error| dsn_file::failure(&args.dsn_file, &error))?;
    let version = match &facts.version {
        Fact::Known(version) => version,
        Fact::Unknown(why) => {
            let address = &facts.server.address;
            return Err(
                Failure::new(format!("the version of {address} cannot be read: {why}")).into(),
            );
        }
    };
    let (text, result) = result(&facts, version);
    console.result(&text, &result)?;
    Ok(Exit::Done)
}

async fn observe(
    target: &Target,
    source: VersionSource,
) -> std::result::Result<DatabaseFacts, DatabaseError> {
    let admin = backends::connector().connect(target).await?;
    admin.observe(&look(source)?).await
}

/// A look by nobody in particular: whose the database is does not matter here.
fn look(source: VersionSource) -> std::result::Result<Look, DatabaseError> {
    let nobody = ObjectRef::new("none", "none").map_err(|error| DatabaseError::Unreadable {
        operation: "reading the version",
        detail: error.to_string(),
    })?;
    Ok(Look {
        owner: ClaimOwner {
            cluster: "none".to_owned(),
            object: nobody,
        },
        access: AccessPolicy {
            privileges: Default::default(),
            schemas: None,
            version_table: source.table().cloned(),
            tool_tables: source.companions().into_iter().collect(),
            owner_role: None,
        },
        version_source: source,
        migrations: Default::default(),
    })
}

fn source(args: &VersionArgs) -> std::result::Result<VersionSource, Failure> {
    let wrong =
        |option: &str, error: &dyn std::fmt::Display| Failure::new(format!("{option}: {error}"));
    let table = args.table.as_deref().or(args.engine.table());
    let table: Option<TableName> = table
        .map(str::parse)
        .transpose()
        .map_err(|error| wrong("--table", &error))?;
    let table = match (table, &args.schema) {
        (Some(table), Some(_)) if table.schema().is_some() => {
            return Err(
                Failure::new("--schema is given, and --table names a schema too")
                    .or("leave out one of the two"),
            );
        }
        (Some(table), Some(schema)) => {
            let table = TableName::new(Some(schema), table.name());
            Some(table.map_err(|error| wrong("--schema", &error))?)
        }
        (table, _) => table,
    };
    for (option, is_given, engine) in [
        ("--query", args.query.is_some(), VersionEngine::Query),
        ("--app", args.app.is_some(), VersionEngine::Django),
        ("--by", args.by.is_some(), VersionEngine::Liquibase),
    ] {
        if is_given && args.engine != engine {
            return Err(Failure::new(format!(
                "{option} goes with --engine {engine:?} alone"
            )));
        }
    }
    let source = SchemaVersionSource {
        engine: args.engine,
        query: args.query.clone(),
        table: None,
        schema: None,
        app: args.app.clone(),
        version_is: args.by,
    };
    source.of_table(table).ok_or_else(|| {
        let option = match args.engine {
            VersionEngine::Django => "--app",
            _ => "--query",
        };
        Failure::new(format!("--engine {:?} needs {option}", args.engine))
    })
}

fn result(facts: &DatabaseFacts, version: &ObservedVersion) -> (String, Result) {
    let mut result = Result {
        server: facts.server.to_string(),
        address: facts.server.address.clone(),
        version: None,
        versions: Vec::new(),
        dirty: None,
        has_tables: facts.has_tables,
    };
    let text = match version {
        ObservedVersion::None => "none".to_owned(),
        ObservedVersion::At(version) => {
            result.version = Some(version.to_string());
            version.to_string()
        }
        ObservedVersion::Several(versions) => {
            result.versions = versions.iter().map(ToString::to_string).collect();
            result.versions.join("\n")
        }
        ObservedVersion::Dirty { version, detail } => {
            result.version = Some(version.to_string());
            result.dirty = Some(detail.clone());
            format!("{version} (half applied: {detail})")
        }
    };
    (text, result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expect: std::result::Result<&str, &str>) {
        use clap::Parser;
        let line = format!("x version --dsn-file f {line}");
        let cli = crate::cli::Cli::try_parse_from(line.split_whitespace()).unwrap();
        let crate::cli::Command::Version(args) = cli.command else {
            panic!("version")
        };
        let got = source(&args)
            .map(|source| source.table().map(ToString::to_string).unwrap_or_default())
            .map_err(|failure| failure.what);
        assert_eq!(got.as_deref().map_err(String::as_str), expect, "{line}");
    }

    #[test]
    fn where_the_version_is() {
        check("--engine Alembic", Ok("alembic_version"));
        check("--engine Sqlx --schema app", Ok("app._sqlx_migrations"));
        check("--engine Alembic --table app.versions", Ok("app.versions"));
        check("--engine Query --query q", Ok(""));
        check("--engine Flyway", Ok("flyway_schema_history"));
        check("--engine Liquibase --by Tag", Ok("databasechangelog"));
        check("--engine Django --app shop", Ok("django_migrations"));
        check("--engine GolangMigrate", Ok("schema_migrations"));
        check(
            "--engine Rails --app shop",
            Err("--app goes with --engine Django alone"),
        );
        check(
            "--engine Flyway --by Tag",
            Err("--by goes with --engine Liquibase alone"),
        );
        check(
            "--engine Alembic --table app.v --schema app",
            Err("--schema is given, and --table names a schema too"),
        );
        check(
            "--engine Alembic --query q",
            Err("--query goes with --engine Query alone"),
        );
    }
}
