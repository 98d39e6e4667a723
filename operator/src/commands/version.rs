//! `version`: what the schema-version engine reads in one database. Nothing is written there.

use std::io::Read;
use std::path::Path;

use dbop_api::database::{SchemaVersionSource, VersionEngine};
use dbop_database::{DatabaseError, Look, Target};
use dbop_model::table::TableName;
use dbop_model::{
    AccessPolicy, ClaimOwner, DatabaseFacts, Fact, ObjectRef, ObservedVersion, VersionSource,
};
use secrecy::SecretString;
use serde::Serialize;

use super::{Console, Done, Exit};
use crate::backends;
use crate::cli::VersionArgs;
use crate::render::Failure;

/// A DSN is a line; what is longer is another file.
const DSN_BYTES_MAX: u64 = 64 * 1024;

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
    let target = Target {
        dsn: dsn(&args.dsn_file)?,
        tls: None,
        ca_certificate: None,
    };
    let facts = observe(&target, source)
        .await
        .map_err(|error| from_file(&args.dsn_file, &error))?;
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

/// The DSN of a file, or of stdin. Nothing of it is ever shown.
fn dsn(path: &Path) -> std::result::Result<SecretString, Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::new(format!(
            "--dsn-file {}: it cannot be read: {why}",
            path.display()
        ))
    };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin()
            .take(DSN_BYTES_MAX + 1)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(DSN_BYTES_MAX + 1).read_to_string(&mut text))
    };
    read.map_err(|error| wrong(&error))?;
    if text.len() as u64 > DSN_BYTES_MAX {
        return Err(wrong(&"it is too long for a DSN"));
    }
    if text.trim().is_empty() {
        return Err(
            Failure::new(format!("--dsn-file {}: it is empty", path.display()))
                .or("it holds postgresql://user:password@host:port/database"),
        );
    }
    Ok(text.trim().to_owned().into())
}

fn from_file(path: &Path, error: &DatabaseError) -> Failure {
    Failure::of(error).or(format!(
        "the DSN is read from {}",
        match path.to_str() {
            Some("-") | None => "stdin".to_owned(),
            Some(path) => path.to_owned(),
        }
    ))
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

    #[test]
    fn a_file_without_a_dsn_is_named() {
        let failure = dsn(Path::new("does/not/exist")).unwrap_err();
        assert!(
            failure
                .what
                .starts_with("--dsn-file does/not/exist: it cannot be read: "),
            "{failure}"
        );
    }
}
