//! `cargo xtask demo`: a story that a stranger can follow, played by the real programs.
//!
//! A column of a table with real rows is renamed, in four phases, while an application works on it.
//! The operator, the migrations, the application and PostgreSQL run as processes of their own; this
//! is the person who edits manifests, rolls out releases, and tells what is seen. Each act is
//! checked against the operator's status and against the server itself, and the demo fails if one
//! did not happen. It deliberately asks for no key, and leaves nothing behind.

mod acts;
mod application;
mod operator;
mod proof;
mod stage;
mod status;
mod tell;

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cache::Cache;
use crate::clock;
use crate::progress;
use crate::servers::Server;
use crate::workspace;

use stage::Stage;

/// What the demo builds, besides xtask itself.
pub(crate) const PACKAGES: &[&str] = &["database-operator", "dbop-migrate", "dbop-demo-app"];
/// The server's major version: the newest.
const MAJOR: u8 = 18;
/// How often the processes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Plays the whole demo; with `keep` it ends at Ctrl-C alone.
pub(crate) fn run(keep: bool) -> Result<bool> {
    let root = workspace::root()?;
    tell::opening();
    build(&root)?;
    let started = clock::now();
    let server = Server::start(MAJOR, &Cache::open()?)?;
    tell::line(&format!("  started {}", server.describe()));
    let mut stage = Stage::set(&root, server)?;
    let seen = acts::play(&mut stage)?;
    proof::show(&mut stage, &seen, started.elapsed())?;
    if keep {
        tell::keep(&stage);
        stage.leave_alone();
    }
    tell::next_steps(&root);
    Ok(true)
}

fn build(root: &std::path::Path) -> Result<()> {
    let mut command = workspace::cargo(root);
    command.args(["build", "--locked"]);
    for package in PACKAGES {
        command.args(["--package", package]);
    }
    tell::line("First the programs are built, which takes minutes the first time.");
    let outcome = progress::run("building", &mut command)?;
    ensure!(
        outcome.succeeded,
        "the programs of the demo do not build:\n{}",
        outcome.output.join("\n")
    );
    tell::line(&format!(
        "  built the operator, dbop-migrate and the application in {}",
        clock::spell(outcome.took)
    ));
    Ok(())
}
