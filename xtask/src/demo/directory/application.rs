//! One release of the application as a process, and what it has counted so far.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::demo::tally::Tally;
use crate::demo::tell;
use crate::process::Background;

/// A running release.
pub(super) struct Application {
    /// Its release, such as `v1`.
    pub(super) release: String,
    /// What it has counted.
    pub(super) tally: Tally,
    process: Background,
}

impl Application {
    /// Starts a release with the directory in which its Secret is, or will be.
    pub(super) fn start(program: &Path, release: &str, secret: &Path) -> Result<Application> {
        let mut command = Command::new(program);
        command.arg(release).arg(secret);
        Ok(Application {
            release: release.to_owned(),
            tally: Tally::default(),
            process: Background::start(&mut command)?,
        })
    }

    /// Its name in front of its lines.
    fn name(&self) -> String {
        format!("release {}", self.release)
    }

    /// Reads what it has said since; it must be alive, and nothing must have failed.
    pub(super) fn tend(&mut self) -> Result<()> {
        let ended = self.process.ended()?;
        self.listen();
        let name = self.name();
        ensure!(
            ended.is_none(),
            "{name} ended by itself, in the middle of its work"
        );
        ensure!(
            self.tally.failed == 0,
            "a query of {name} failed; it is shown above"
        );
        Ok(())
    }

    /// Reads what it has said since.
    pub(super) fn listen(&mut self) {
        while let Some(line) = self.process.line() {
            self.hear(&line);
        }
    }

    /// Stops it, and waits until its sessions are closed.
    pub(super) fn stop(mut self) -> Result<Tally> {
        let status = self.process.stop()?;
        while let Some(line) = self.process.line_or_end() {
            self.hear(&line);
        }
        let name = self.name();
        ensure!(status.success(), "{name} ended with {status}");
        ensure!(
            self.tally.failed == 0,
            "a query of {name} failed; it is shown above"
        );
        self.tally
            .pid
            .with_context(|| format!("{name} never had a session"))?;
        Ok(self.tally)
    }

    fn hear(&mut self, line: &str) {
        match Tally::parse(line) {
            Some(tally) => self.tally = tally,
            None => tell::line(&format!("{}: {line}", self.name())),
        }
    }
}
