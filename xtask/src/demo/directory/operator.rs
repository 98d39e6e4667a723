//! The operator's commands, run and shown as a reader would run and see them.

use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};

use super::stage::{DIRECTORY, Stage};
use crate::clock;
use crate::demo::status::Status;
use crate::demo::{LOOK_EVERY, tell};
use crate::process::{self, Background};

/// How often it is looked at whether the operator has written a new status.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// Its status is written before it says so: what it says is waited for, for so long.
const WORDS_AFTER: Duration = Duration::from_millis(150);
/// The longest that a command, or a thing that is waited for, may take: all are done in seconds.
const PATIENCE: Duration = Duration::from_secs(60);

impl Stage {
    /// Runs `database-operator` with these arguments, shows what it says, and checks its exit
    /// status, which is a part of what it says.
    pub(super) fn operate(&mut self, arguments: &[&str], expected: i32) -> Result<()> {
        let shown = format!("database-operator {}", arguments.join(" "));
        tell::command(&shown);
        let mut running = Background::start(self.operator_command().args(arguments))?;
        let started = clock::now();
        let status = loop {
            let ended = running.ended()?;
            while let Some(line) = running.line() {
                tell::line(&line);
            }
            if let Some(status) = ended {
                break status;
            }
            ensure!(started.elapsed() < PATIENCE, "`{shown}` takes too long");
            self.tend()?;
            pause();
        };
        while let Some(line) = running.line_or_end() {
            tell::line(&line);
        }
        ensure!(
            status.code() == Some(expected),
            "`{shown}` ended with {status}, expected was exit status {expected}"
        );
        Ok(())
    }

    /// Starts the operator for good.
    pub(super) fn watch(&mut self) -> Result<()> {
        let arguments = ["local", DIRECTORY, "--watch"];
        tell::command(&format!("database-operator {}", arguments.join(" ")));
        let operator = Background::start(self.operator_command().args(arguments))?;
        self.operator = Some(operator);
        Ok(())
    }

    /// What the operator's status says now.
    pub(super) fn status(&self) -> Result<Status> {
        let mut command = self.operator_command();
        command.args(["status", "--local", DIRECTORY, "--output", "json"]);
        let output = command.output().context("the operator cannot be asked")?;
        ensure!(
            output.status.success(),
            "`database-operator status` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        Status::parse(&String::from_utf8_lossy(&output.stdout))
    }

    /// Waits until the operator's status is as it should be, and gives it.
    pub(super) fn until(&mut self, what: &str, fits: impl Fn(&Status) -> bool) -> Result<Status> {
        let started = clock::now();
        let mut seen = None;
        loop {
            // To ask is to start a process, so it is done when there is something new to hear.
            let written = self.status_written();
            if written.is_none() || written != seen {
                seen = written;
                let status = self.status()?;
                if fits(&status) {
                    self.tend_for(WORDS_AFTER)?;
                    return Ok(status);
                }
            }
            if started.elapsed() > PATIENCE {
                let status = self.status()?;
                let said = status.message().unwrap_or("nothing");
                bail!("{what} did not come; the operator says: {said}");
            }
            self.tend_for(ASK_EVERY)?;
        }
    }

    /// When the operator last wrote its status.
    fn status_written(&self) -> Option<SystemTime> {
        let file = self
            .manifests()
            .join(".dbop/status/default/ManagedDatabase/shop.yaml");
        file.metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
    }

    /// Shows for a while what the programs say.
    pub(super) fn tend_for(&mut self, time: Duration) -> Result<()> {
        let started = clock::now();
        while started.elapsed() < time {
            self.tend()?;
            pause();
        }
        Ok(())
    }

    /// Waits until something is the case, and shows meanwhile what the programs say.
    pub(super) fn until_true(
        &mut self,
        what: &str,
        fits: impl Fn(&mut Stage) -> Result<bool>,
    ) -> Result<()> {
        let started = clock::now();
        while !fits(self)? {
            ensure!(started.elapsed() < PATIENCE, "{what} did not come");
            self.tend()?;
            pause();
        }
        Ok(())
    }

    fn operator_command(&self) -> Command {
        let mut command = Command::new(self.operator_program());
        command
            .current_dir(self.folder())
            .env("PATH", self.search_path());
        command
    }
}

fn pause() {
    process::stop_if_interrupted();
    std::thread::sleep(LOOK_EVERY);
}
