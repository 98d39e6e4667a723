//! Python environments with real migration tools, for the tests that drive one. They live in the cache, and each
//! is made anew when a version below changes or the system's Python went away.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cache::Cache;
use crate::progress;
use crate::workspace::capture;

/// What an environment holds.
pub(crate) struct Environment {
    /// The entry of the cache.
    entry: &'static str,
    /// What it is for, in words.
    what: &'static str,
    /// Everything that is installed, so that each run has the same. Python 3.10 and later.
    pins: &'static [&'static str],
    /// What can be imported where it is whole.
    imports: &'static str,
}

/// Alembic, with drivers for PostgreSQL, MySQL and MariaDB.
pub(crate) const ALEMBIC: Environment = Environment {
    entry: "python-alembic",
    what: "Alembic",
    pins: &[
        "alembic==1.20.1",
        "greenlet==3.5.6",
        "mako==1.4.3",
        "markupsafe==3.0.4",
        "psycopg[binary]==3.3.9",
        "pymysql==1.2.4",
        "sqlalchemy==2.0.58",
        "typing_extensions==4.16.0",
    ],
    imports: "alembic, sqlalchemy, psycopg, pymysql",
};

/// Django, with the same drivers.
pub(crate) const DJANGO: Environment = Environment {
    entry: "python-django",
    what: "Django",
    pins: &[
        "asgiref==3.13.0",
        "django==5.2.19",
        "psycopg[binary]==3.3.9",
        "pymysql==1.2.4",
        "sqlparse==0.6.1",
        "typing_extensions==4.16.0",
    ],
    imports: "django, psycopg, pymysql",
};

/// mlflow without what it serves and learns with, which is enough for its migrations; with Alembic and drivers.
pub(crate) const MLFLOW: Environment = Environment {
    entry: "python-mlflow-3.17.2",
    what: "mlflow 3.17.2",
    pins: &[
        "alembic==1.20.1",
        "annotated-doc==0.0.7",
        "annotated-types==0.8.0",
        "anyio==4.16.0",
        "cachetools==7.3.3",
        "certifi==2026.10.19.post1",
        "cffi==2.1.1",
        "charset-normalizer==3.5.3",
        "click==8.5.1",
        "cloudpickle==3.1.3",
        "cryptography==50.0.2",
        "databricks-sdk==0.162.0",
        "fastapi==0.165.0",
        "gitdb==4.0.12",
        "gitpython==3.2.1",
        "google-auth==2.63.0",
        "greenlet==3.5.6",
        "h11==0.16.0",
        "idna==3.20",
        "importlib_metadata==9.1.0",
        "mako==1.4.3",
        "markupsafe==3.0.4",
        "mlflow-skinny==3.17.2",
        "opentelemetry-api==1.45.2",
        "opentelemetry-proto==1.45.2",
        "opentelemetry-sdk==1.45.2",
        "opentelemetry-semantic-conventions==0.66b2",
        "packaging==26.4",
        "protobuf==7.36.2",
        "psycopg[binary]==3.3.9",
        "pyasn1==0.6.5",
        "pyasn1_modules==0.4.2",
        "pycparser==3.12",
        "pydantic==2.14.4",
        "pydantic_core==2.50.5",
        "pymysql==1.2.4",
        "python-dotenv==1.2.4",
        "pyyaml==6.0.4",
        "requests==2.34.2",
        "smmap==5.0.3",
        "sqlalchemy==2.0.58",
        "sqlparse==0.6.1",
        "starlette==1.10.0",
        "typing-inspection==0.4.5",
        "typing_extensions==4.16.0",
        "urllib3==2.8.0",
        "uvicorn==0.54.0",
        "zipp==4.1.2",
    ],
    // mlflow itself takes seconds to import, and tells its makers so.
    imports: "alembic, sqlalchemy, psycopg, pymysql",
};

/// The file that says what an environment holds; written last, so that it is complete.
const MARKER: &str = "dbop-pins";
/// The way out where Python or its module for environments is missing.
const INSTALL: &str = "tests with Alembic and Django need Python 3.10 or later with its venv module \
                       (Debian: apt-get install python3-venv)";

/// The folder of Alembic's environment.
pub(crate) fn alembic(cache: &Cache) -> Result<PathBuf> {
    ALEMBIC.provide(cache)
}

impl Environment {
    /// Its folder; it is made if need be, which needs the network once.
    pub(crate) fn provide(&self, cache: &Cache) -> Result<PathBuf> {
        let place = cache.entry(self.entry);
        // Scripts in an environment name its folder, so it is made in its place, under a lock.
        let _lock = cache.lock(self.entry)?;
        if self.is_complete(&place) {
            return Ok(place);
        }
        if place.exists() {
            std::fs::remove_dir_all(&place)
                .with_context(|| format!("{} cannot be removed", place.display()))?;
        }
        let version = capture(Command::new("python3").arg("--version")).context(INSTALL)?;
        eprintln!("preparing {version} with {}", self.what);
        step(
            "python3 -m venv",
            Command::new("python3").args(["-m", "venv"]).arg(&place),
        )
        .context(INSTALL)?;
        let mut pip = Command::new(place.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
        ])
        .args(["--retries", "5", "--timeout", "60"])
        .args(self.pins);
        step("pip install", &mut pip)
            .with_context(|| format!("{} cannot be installed from PyPI", self.what))?;
        std::fs::write(place.join(MARKER), self.pins.join("\n"))
            .context("the cache cannot be written")?;
        ensure!(
            self.is_complete(&place),
            "the Python environment in {} does not work",
            place.display()
        );
        Ok(place)
    }

    fn is_complete(&self, place: &Path) -> bool {
        let pins = std::fs::read_to_string(place.join(MARKER)).unwrap_or_default();
        let mut python = Command::new(place.join("bin/python"));
        let import = format!("import {}", self.imports);
        pins == self.pins.join("\n") && capture(python.args(["-c", &import])).is_ok()
    }
}

fn step(what: &str, command: &mut Command) -> Result<()> {
    let outcome = progress::run(what, command)?;
    if !outcome.succeeded {
        bail!("{what} failed:\n{}", outcome.output.join("\n"));
    }
    Ok(())
}
