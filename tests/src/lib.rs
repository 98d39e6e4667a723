//! Support for tests on real servers: a database of one's own with the least admin that the
//! operator promises to work with, the built binaries, and the seed of a run.
//!
//! Servers are not started here: `cargo xtask test` and `cargo xtask servers` do that and name
//! them in `DBOP_TEST_POSTGRES_18`, `DBOP_TEST_MYSQL_9_7` and the like. A test that lacks its server fails and says so.
//! Everything here panics with a sentence instead of returning errors, because only tests call it.

pub mod advice;
pub mod argocd;
mod database;
pub mod http;
pub mod kubernetes;
pub mod local;
pub mod prometheus;
pub mod random;
mod server;
mod session;
pub mod tool;
pub mod writer;

pub use database::TestDatabase;
pub use server::{
    Engine, TestServer, majors, named, newest, on_each, on_each_engine, on_newest, replicated,
    server, servers,
};
pub use session::{Refused, Session};

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};

/// The built binary of this name, such as `database-operator`, from the same build as this test.
///
/// # Panics
/// When it has not been built: cargo builds binaries of other packages only when asked to.
#[must_use]
#[track_caller]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    // Tests lie in target/<profile>/deps, binaries beside that folder.
    let folder = test
        .ancestors()
        .nth(2)
        .expect("a test lies in target/<profile>/deps");
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is not built: run the tests with `cargo xtask test`, or build it first with \
         `cargo build -p {name}`",
        path.display()
    );
    path
}

/// The folder with the programs of a Python environment that has Alembic: `alembic`, `python`.
///
/// # Panics
/// When `DBOP_TEST_ALEMBIC_VENV` does not name one.
#[must_use]
#[track_caller]
pub fn alembic_programs() -> PathBuf {
    let environment = std::env::var_os("DBOP_TEST_ALEMBIC_VENV").unwrap_or_else(|| {
        panic!(
            "DBOP_TEST_ALEMBIC_VENV is not set: run `cargo xtask test postgres`, which prepares \
             a Python environment with Alembic"
        )
    });
    let programs = Path::new(&environment).join("bin");
    assert!(
        programs.join("alembic").is_file(),
        "{} holds no alembic",
        programs.display()
    );
    programs
}

/// The seed of this run, from `DBOP_SEED`, else a fresh one. A test that uses it prints it, so
/// that a failure can be repeated: `DBOP_SEED=... cargo test ...`.
///
/// # Panics
/// When `DBOP_SEED` is not a whole number.
#[must_use]
#[track_caller]
pub fn seed() -> u64 {
    match std::env::var("DBOP_SEED") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("DBOP_SEED is a whole number below 2^64, not {text:?}")),
        Err(_) => random(),
    }
}

/// Whether this run is a proof, which takes the time it needs, and not the bounded slice of it
/// that `cargo xtask test` runs.
#[must_use]
pub fn is_full_proof() -> bool {
    std::env::var_os("DBOP_PROVE").is_some_and(|value| value == "full")
}

/// A folder for one test, removed when it is dropped, unless the test panics: then it stays, and
/// its path is printed, for a person to look at.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new empty folder.
    ///
    /// # Panics
    /// When the system gives none.
    #[must_use]
    #[track_caller]
    pub fn new(prefix: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("dbop-{prefix}-{:016x}", random()));
        std::fs::create_dir_all(&path).expect("a folder for temporary files can be created");
        Scratch(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the test's folder is kept: {}", self.0.display());
        } else {
            // It lies among temporary files, so what cannot be removed harms nothing.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// A number that differs from run to run; the standard library seeds its hash maps with it.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
