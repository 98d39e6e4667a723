//! One release of the application as a process, and what it has counted so far.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::tell;
use crate::process::Background;

/// What a process of the application counted, from its last line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Queries that gave what they should.
    pub(super) queries: u64,
    /// Queries and logins that did not.
    pub(super) failed: u64,
    /// Logins.
    pub(super) logins: u64,
    /// Customers added.
    pub(super) added: u64,
    /// The server's process id of the session that stays.
    pub(super) pid: Option<u64>,
    /// Its login.
    pub(super) user: Option<String>,
}

impl Tally {
    /// Reads `queries=12 failed=0 logins=1 added=2 pid=4711 user=shop_v1_0a1b2c3d`.
    fn parse(line: &str) -> Option<Tally> {
        let mut tally = Tally::default();
        for word in line.split(' ') {
            let (key, value) = word.split_once('=')?;
            match key {
                "queries" => tally.queries = value.parse().ok()?,
                "failed" => tally.failed = value.parse().ok()?,
                "logins" => tally.logins = value.parse().ok()?,
                "added" => tally.added = value.parse().ok()?,
                "pid" => tally.pid = Some(value.parse().ok()?),
                "user" => tally.user = Some(value.to_owned()),
                _ => return None,
            }
        }
        Some(tally)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_read_and_other_lines_are_not() {
        let tally =
            Tally::parse("queries=12 failed=0 logins=3 added=2 pid=47 user=shop_v1_a").unwrap();
        assert_eq!((tally.queries, tally.logins, tally.added), (12, 3, 2));
        assert_eq!(
            (tally.pid, tally.user.as_deref()),
            (Some(47), Some("shop_v1_a"))
        );
        assert!(Tally::parse("FAILED: permission denied").is_none());
        assert!(Tally::parse("").is_none());
    }
}
