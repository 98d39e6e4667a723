//! The applications: what they are, where the environment has them, and what a user writes to run their migrations
//! in a directory. Both are as they were published; of ours are the few lines that say where the database is.

use std::path::{Path, PathBuf};

use dbop_tests::Engine;
use dbop_tests::local::Directory;

/// A published application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Application {
    /// mlflow, from PyPI: Alembic.
    Mlflow,
    /// Cloud Foundry's UAA, from Maven Central: Flyway. Its six migrations in Java move rows of databases that are
    /// older than its use of Flyway, and are for a Flyway of those days: those in SQL are walked.
    Uaa,
}

/// How Alembic reaches the database. mlflow makes its first tables itself where there is none, then calls Alembic
/// (`mlflow/store/db/utils.py`, `_initialize_tables`): so does this.
const ENVIRONMENT: &str = r#"
import os

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")

from alembic import context
from mlflow.store.tracking.dbmodels.initial_models import Base
from sqlalchemy import URL, create_engine, inspect, pool

if context.is_offline_mode():
    context.configure(dialect_name=os.environ["HISTORY_DIALECT"], literal_binds=True, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    raise SystemExit

scheme = os.environ["DBA_OP_CONNECTION_STRING"].split(":")[0]
engine = create_engine(
    URL.create(
        {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}[scheme],
        username=os.environ["DBA_OP_USERNAME"],
        password=os.environ["DBA_OP_PASSWORD"],
        host=os.environ["DBA_OP_HOST"],
        port=int(os.environ["DBA_OP_PORT"]),
        database=os.environ["DBA_OP_DATABASE"],
    ),
    poolclass=pool.NullPool,
)
if all(table.startswith("alembic_") for table in inspect(engine).get_table_names()):
    Base.metadata.create_all(engine)
with engine.connect() as connection:
    context.configure(connection=connection, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
"#;

impl Application {
    /// What it is, with its version: that of the pin in `xtask/src/histories.rs`.
    pub(crate) fn title(self) -> String {
        let folder = self.folder();
        let version = folder.file_name().unwrap_or_default().to_string_lossy();
        let version = version.rsplit('-').next().unwrap_or_default();
        match self {
            Application::Mlflow => format!("mlflow {version}"),
            Application::Uaa => format!("Cloud Foundry UAA {version}"),
        }
    }

    /// What runs its migrations, which is also the engine of its schema version.
    pub(crate) fn tool(self) -> &'static str {
        match self {
            Application::Mlflow => "Alembic",
            Application::Uaa => "Flyway",
        }
    }

    /// The fewest revisions that it is known to have: fewer were read wrongly.
    pub(crate) fn revisions_min(self) -> usize {
        match self {
            Application::Mlflow => 60,
            Application::Uaa => 65,
        }
    }

    /// A directory in which its migrations can be run: the programs that objects of `generate` name on the PATH, and
    /// what the tool has to know. The program notes in `spans` how long it ran.
    pub(crate) fn directory(self, prefix: &str, engine: Engine) -> Directory {
        let directory = Directory::new(prefix);
        let place = directory.path();
        let (program, extra) = match self {
            Application::Mlflow => ("alembic", ""),
            // It asks Redgate whether there is a newer one, otherwise.
            Application::Uaa => ("flyway", "-skipCheckForUpdate "),
        };
        let tool = self.tool_folder().join("bin").join(program);
        assert!(tool.is_file(), "there is no {}", tool.display());
        directory.write(
            &format!("bin/{program}"),
            &format!(
                "#!/bin/sh\nbegun=$(date +%s%N)\n'{}' {extra}\"$@\"\nstatus=$?\n\
                 echo \"$begun $(date +%s%N)\" >> '{}'\nexit $status\n",
                tool.display(),
                place.join("spans").display()
            ),
        );
        make_runnable(&place.join("bin").join(program));
        let path = std::env::var("PATH").unwrap_or_default();
        let directory =
            directory.with_environment("PATH", &format!("{}/bin:{path}", place.display()));
        let migrations = self.migrations(engine);
        match self {
            Application::Mlflow => {
                directory.write("alembic.ini", "[alembic]\nscript_location = db\n");
                directory.write("db/env.py", ENVIRONMENT);
                let versions = place.join("db/versions");
                std::os::unix::fs::symlink(migrations.join("versions"), versions).unwrap();
                directory.with_environment("HISTORY_DIALECT", engine.scheme())
            }
            Application::Uaa => directory
                .with_environment(
                    "FLYWAY_LOCATIONS",
                    &format!("filesystem:{}", migrations.display()),
                )
                .with_environment("REDGATE_DISABLE_TELEMETRY", "true"),
        }
    }

    /// What `generate` is asked for, of a directory of this application.
    pub(crate) fn generate(self, engine: Engine, directory: &Directory) -> Vec<String> {
        let tool = self.tool().to_lowercase();
        let files = match self {
            Application::Mlflow => directory.path().display().to_string(),
            Application::Uaa => self.migrations(engine).display().to_string(),
        };
        let title = engine.title();
        let arguments = [
            "generate",
            &*tool,
            &*files,
            "--image",
            "published:1",
            "--engine",
            title,
        ];
        arguments.map(str::to_owned).to_vec()
    }

    /// Its own migrations for a server, as files in their order: Flyway's names begin with a version.
    pub(crate) fn files(self, engine: Engine) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.migrations(engine)).unwrap();
        let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|end| end == "sql"));
        paths.sort_by_key(|path| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let version = name
                .trim_start_matches('V')
                .split("__")
                .next()
                .unwrap_or_default();
            let numbers = version
                .split(['_', '.'])
                .map(|number| number.parse::<u32>().unwrap());
            numbers.collect::<Vec<u32>>()
        });
        paths
    }

    /// Its own migrations for a server.
    fn migrations(self, engine: Engine) -> PathBuf {
        let folder = self.folder();
        match self {
            Application::Mlflow => {
                let pythons = std::fs::read_dir(folder.join("lib")).unwrap().flatten();
                let mut packages = pythons.map(|python| python.path().join("site-packages"));
                let package = packages.find(|packages| packages.join("mlflow").is_dir());
                package.unwrap().join("mlflow/store/db_migrations")
            }
            Application::Uaa => folder.join(match engine {
                Engine::Postgres => "postgresql",
                Engine::MariaDb | Engine::MySql => "mysql",
            }),
        }
    }

    /// Where it is.
    fn folder(self) -> PathBuf {
        named(match self {
            Application::Mlflow => "DBOP_TEST_HISTORY_MLFLOW",
            Application::Uaa => "DBOP_TEST_HISTORY_UAA",
        })
    }

    /// Where the tool's programs are.
    fn tool_folder(self) -> PathBuf {
        match self {
            Application::Mlflow => self.folder(),
            Application::Uaa => named("DBOP_TEST_TOOL_FLYWAY"),
        }
    }
}

#[track_caller]
fn named(variable: &str) -> PathBuf {
    let folder = std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} is not set: run `cargo xtask prove histories`, which fetches it")
    });
    PathBuf::from(folder)
}

fn make_runnable(program: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(program, PermissionsExt::from_mode(0o755)).unwrap();
}
