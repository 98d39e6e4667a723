//! What is typed and waited for, as a reader would type and see it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::stage::Stage;
use crate::clock;
use crate::demo::status::Status;
use crate::demo::{LOOK_EVERY, tell};
use crate::process::{self, Background};

/// The longest that a thing that is waited for may take: all are done in seconds. A Pod that waits for its
/// Secret looks for it at growing intervals, of half a minute at the end.
const PATIENCE: Duration = Duration::from_secs(120);

impl Stage {
    /// Runs kubectl with these arguments, shows what it says, and checks its exit status; what it said.
    pub(super) fn type_in(&mut self, arguments: &[&str], expected: i32) -> Result<Vec<String>> {
        let shown = format!("kubectl {}", arguments.join(" "));
        tell::command(&shown);
        let mut running = Background::start(&mut self.kubectl.command(arguments))?;
        let started = clock::now();
        let status = loop {
            if let Some(status) = running.ended()? {
                break status;
            }
            ensure!(started.elapsed() < PATIENCE, "`{shown}` takes too long");
            self.tend()?;
            pause();
        };
        let mut lines = Vec::new();
        while let Some(line) = running.line_or_end() {
            lines.push(line);
        }
        // Where the last column but the age is a text, it goes on below itself.
        let last = lines.first().and_then(|head| head.find("STATUS"));
        match last.filter(|_| arguments.contains(&"mdb")) {
            Some(last) => tell::wide(&lines, last),
            None => lines.iter().for_each(|line| tell::line(line)),
        }
        ensure!(
            status.code() == Some(expected),
            "`{shown}` ended with {status}, expected was exit status {expected}"
        );
        Ok(lines)
    }

    /// Applies files of the demo.
    pub(super) fn apply(&mut self, files: &[String]) -> Result<()> {
        let mut arguments = vec!["apply"];
        for file in files {
            arguments.extend(["-f", file]);
        }
        self.type_in(&arguments, 0)?;
        Ok(())
    }

    /// Changes `desiredSchemaVersion`, as a release does. What was said before is no news any more.
    pub(super) fn desire(&mut self, version: &str) -> Result<()> {
        self.tend()?;
        self.news.clear();
        let patch = format!(r#"{{"spec":{{"desiredSchemaVersion":"{version}"}}}}"#);
        let shown = format!("kubectl patch mdb shop --type merge -p '{patch}'");
        tell::command(&shown);
        let said = self
            .kubectl
            .ask(&["patch", "mdb", "shop", "--type=merge", "-p", &patch])?;
        tell::line(&said);
        Ok(())
    }

    /// Waits until the operator's status is as it should be, and gives it.
    pub(super) fn until(&mut self, what: &str, fits: impl Fn(&Status) -> bool) -> Result<Status> {
        let started = clock::now();
        loop {
            while let Some(status) = self.news.pop_front() {
                if fits(&status) {
                    return Ok(status);
                }
            }
            if started.elapsed() > PATIENCE {
                let said = self.latest.as_ref().and_then(Status::message);
                let said = said.unwrap_or("nothing");
                bail!("{what} did not come; the operator says: {said}");
            }
            self.tend()?;
            pause();
        }
    }

    /// The newest status that was seen.
    pub(super) fn status(&mut self) -> Result<&Status> {
        self.tend()?;
        let latest = self.latest.as_ref();
        latest.context("nothing has been seen of the ManagedDatabase")
    }

    /// Waits for a while.
    pub(super) fn tend_for(&mut self, time: Duration) -> Result<()> {
        let started = clock::now();
        while started.elapsed() < time {
            self.tend()?;
            pause();
        }
        Ok(())
    }

    /// Waits until something is the case.
    pub(super) fn until_true(&mut self, what: &str, fits: impl Fn(&Stage) -> bool) -> Result<()> {
        let started = clock::now();
        while !fits(self) {
            ensure!(started.elapsed() < PATIENCE, "{what} did not come");
            self.tend()?;
            pause();
        }
        Ok(())
    }
}

fn pause() {
    process::stop_if_interrupted();
    std::thread::sleep(LOOK_EVERY);
}
