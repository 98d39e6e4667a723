//! What a person sees while a child works: a line that is drawn anew on a terminal, else a line
//! now and then, so that silence never lasts.

use std::io::{IsTerminal as _, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::clock;
use crate::process::{self, Event};

/// How long it may be silent where there is no terminal.
const SILENCE_MAX: Duration = Duration::from_secs(25);
/// The width of a drawn line: longer ones would wrap and stay.
const COLUMNS: usize = 79;
/// How many lines of a child's output are kept to show when it fails.
const LINES_KEPT: usize = 4_000;

/// The display of one piece of work.
pub(crate) struct Progress {
    what: String,
    started: Instant,
    told: Instant,
    terminal: bool,
    drawn: bool,
}

impl Progress {
    /// Begins; nothing is shown yet.
    pub(crate) fn new(what: impl Into<String>) -> Progress {
        let now = clock::now();
        let terminal = std::io::stdout().is_terminal();
        Progress {
            what: what.into(),
            started: now,
            told: now,
            terminal,
            drawn: false,
        }
    }

    /// Shows what goes on, if it is time to.
    pub(crate) fn tick(&mut self, status: &str) {
        let elapsed = clock::spell(self.started.elapsed());
        if self.terminal {
            let text = format!("  {}: {elapsed}, {status}", self.what);
            print!(
                "\r\x1b[2K{}",
                text.chars().take(COLUMNS).collect::<String>()
            );
            // A terminal that is gone cannot be told so.
            let _ = std::io::stdout().flush();
            self.drawn = true;
        } else if self.told.elapsed() >= SILENCE_MAX {
            self.told = clock::now();
            println!("  ... {}: {elapsed}, {status}", self.what);
        }
    }

    /// Prints a line that stays.
    pub(crate) fn line(&mut self, text: &str) {
        self.clear();
        println!("{text}");
        self.told = clock::now();
    }

    /// How long it has taken so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            print!("\r\x1b[2K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// How a command ended that was run out of sight.
pub(crate) struct Outcome {
    /// Whether its status was 0.
    pub(crate) succeeded: bool,
    /// Its output, without cargo's lines about what it builds.
    pub(crate) output: Vec<String>,
    /// Its wall-clock time.
    pub(crate) took: Duration,
}

/// Runs a command with a sign of life; its output is kept for when it fails.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<Outcome> {
    let mut progress = Progress::new(what);
    let mut output = Vec::new();
    let mut building = Building::default();
    let status = process::run(command, &mut |event| match event {
        Event::Line(line) if building.notice(line) => {}
        Event::Line(line) if output.len() < LINES_KEPT => output.push(line.to_owned()),
        Event::Line(_) => {}
        Event::Tick => progress.tick(&building.to_string()),
    })?;
    Ok(Outcome {
        succeeded: status.success(),
        output,
        took: progress.elapsed(),
    })
}

/// What cargo has said about a build.
#[derive(Default)]
pub(crate) struct Building {
    crates: usize,
    last: String,
}

impl Building {
    /// Whether the line is about the progress of a build, and no more.
    pub(crate) fn notice(&mut self, line: &str) -> bool {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("Compiling" | "Checking" | "Documenting") => {
                self.crates += 1;
                self.last = words.next().unwrap_or_default().to_owned();
                true
            }
            Some("Blocking" | "Downloading" | "Downloaded" | "Finished" | "Fresh" | "Locking") => {
                line.starts_with(' ')
            }
            Some("Adding" | "Updating" | "Generated") => line.starts_with(' '),
            _ => false,
        }
    }
}

impl std::fmt::Display for Building {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.crates == 0 {
            f.write_str("running")
        } else {
            write!(
                f,
                "building, {} crates so far, now {}",
                self.crates, self.last
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_a_build_are_told_from_its_errors() {
        let mut building = Building::default();
        assert!(building.notice("   Compiling libc v0.2.191"));
        assert!(building.notice("    Finished `dev` profile in 3s"));
        assert!(!building.notice("error[E0433]: cannot find type"));
        assert!(!building.notice("Finished"));
        assert_eq!(building.to_string(), "building, 1 crates so far, now libc");
    }
}
