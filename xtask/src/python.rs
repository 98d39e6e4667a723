//! A Python environment with a real Alembic, for the tests that drive one. It lives in the cache
//! and is made anew when a version below changes or the system's Python went away.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cache::Cache;
use crate::progress;
use crate::workspace::capture;

/// The entry of the cache.
const ENTRY: &str = "python-alembic";
/// The file that says what an environment holds; written last, so that it is complete.
const MARKER: &str = "dbop-pins";
/// Everything that is installed, so that each run has the same. Python 3.10 and later.
const PINS: &[&str] = &[
    "alembic==1.20.1",
    "greenlet==3.5.6",
    "mako==1.4.3",
    "markupsafe==3.0.4",
    "psycopg[binary]==3.3.9",
    "sqlalchemy==2.0.58",
    "typing_extensions==4.16.0",
];
/// The way out where Python or its module for environments is missing.
const INSTALL: &str = "tests with Alembic need Python 3.10 or later with its venv module \
                       (Debian: apt-get install python3-venv)";

/// The environment's folder; it is made if need be, which needs the network once.
pub(crate) fn alembic(cache: &Cache) -> Result<PathBuf> {
    let place = cache.entry(ENTRY);
    // Scripts in an environment name its folder, so it is made in its place, under a lock.
    let _lock = cache.lock(ENTRY)?;
    if is_complete(&place) {
        return Ok(place);
    }
    if place.exists() {
        std::fs::remove_dir_all(&place)
            .with_context(|| format!("{} cannot be removed", place.display()))?;
    }
    let version = capture(Command::new("python3").arg("--version")).context(INSTALL)?;
    eprintln!("preparing {version} with {}", PINS[0].replace("==", " "));
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
    .args(PINS);
    step("pip install", &mut pip).context("Alembic cannot be installed from PyPI")?;
    std::fs::write(place.join(MARKER), PINS.join("\n")).context("the cache cannot be written")?;
    ensure!(
        is_complete(&place),
        "the Python environment in {} does not work",
        place.display()
    );
    Ok(place)
}

fn is_complete(place: &Path) -> bool {
    let pins = std::fs::read_to_string(place.join(MARKER)).unwrap_or_default();
    let mut python = Command::new(place.join("bin/python"));
    pins == PINS.join("\n")
        && capture(python.args(["-c", "import alembic, sqlalchemy, psycopg"])).is_ok()
}

fn step(what: &str, command: &mut Command) -> Result<()> {
    let outcome = progress::run(what, command)?;
    if !outcome.succeeded {
        bail!("{what} failed:\n{}", outcome.output.join("\n"));
    }
    Ok(())
}
