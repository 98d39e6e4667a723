//! The demo in a directory: everything is a process, and a Secret is a folder of files.

mod acts;
mod application;
mod frame;
mod operator;
mod stage;

use std::path::Path;

use anyhow::{Result, ensure};

use super::engine::Engine;
use super::proof::{self, Counted};
use super::{PACKAGES, tell};
use crate::cache::Cache;
use crate::clock;
use crate::progress;
use crate::servers::{Name, Server};
use crate::workspace;

use stage::Stage;

/// Plays the whole demo; with `keep` it ends at Ctrl-C alone.
pub(super) fn run(engine: Engine, keep: bool) -> Result<()> {
    let root = workspace::root()?;
    let traits = engine.traits();
    frame::opening(traits.title);
    build(&root)?;
    let started = clock::now();
    let server = traits.server.parse();
    let server: Name = server.map_err(anyhow::Error::msg)?;
    let server = Server::start(server, &Cache::open()?)?;
    tell::line(&format!("  started {}", server.describe()));
    let mut stage = Stage::set(&root, server, traits)?;
    let seen = acts::play(&mut stage)?;
    stage.tend()?;
    let running = stage.applications.iter().map(|one| &one.tally);
    let stopped = stage.stopped.iter().map(|(_, tally)| tally);
    let counted = Counted {
        rows: stage.sql(&["rows"], &[])?,
        tallies: stopped.chain(running).collect(),
        logins_after: acts::application_logins(&stage)?,
        more: Vec::new(),
        took: started.elapsed(),
    };
    proof::show(&seen, counted)?;
    if keep {
        frame::keep(&stage);
        stage.leave_alone();
    }
    frame::next_steps(&root);
    Ok(())
}

fn build(root: &Path) -> Result<()> {
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
