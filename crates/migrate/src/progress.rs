//! How far a run is, as the contract's four metrics see it: one value that the run changes and the
//! pusher watches.
//!
//! It deliberately counts in files and rows only; a rate or a remaining time is for whoever reads
//! the metrics.

use tokio::sync::watch;

/// How a run ended, or that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// Not ended.
    #[default]
    Running,
    /// The database is at the target.
    Complete,
    /// It is not, and this run is over.
    Failed,
}

/// A run at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Snapshot {
    /// Files that this run has to run.
    pub files: usize,
    /// Files of them that are done.
    pub files_done: usize,
    /// The part of the current file that is done, 0.0 to 1.0.
    pub fraction: f64,
    /// Plain files done and rows changed by batch files.
    pub items: u64,
    /// Whether and how it ended.
    pub outcome: Outcome,
}

impl Snapshot {
    /// What `migration_completion_percent` says, 0.0 to 1.0: each file counts the same, and it is
    /// 1.0 only when the database is at the target.
    #[must_use]
    pub fn completion(&self) -> f64 {
        /// What is not complete never rounds up to it.
        const ALMOST: f64 = 0.999;
        if self.outcome == Outcome::Complete {
            return 1.0;
        }
        if self.files == 0 {
            return 0.0;
        }
        // A directory has at most 10,000 files: exact in f64.
        let done = self.files_done as f64 + self.fraction.clamp(0.0, 1.0);
        (done / self.files as f64).clamp(0.0, ALMOST)
    }
}

/// The value that a run changes.
#[derive(Debug)]
pub struct Progress {
    sender: watch::Sender<Snapshot>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            sender: watch::Sender::new(Snapshot::default()),
        }
    }
}

impl Progress {
    /// A view that sees every later change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Snapshot> {
        self.sender.subscribe()
    }

    /// The run is over.
    pub fn finish(&self, outcome: Outcome) {
        self.sender.send_modify(|now| now.outcome = outcome);
    }

    pub(crate) fn begin(&self, files: usize) {
        self.sender.send_modify(|now| now.files = files);
    }

    pub(crate) fn batch(&self, rows: u64, fraction: f64) {
        self.sender.send_modify(|now| {
            now.items = now.items.saturating_add(rows);
            now.fraction = fraction;
        });
    }

    pub(crate) fn file_done(&self, plain: bool) {
        self.sender.send_modify(|now| {
            now.files_done += 1;
            now.fraction = 0.0;
            now.items = now.items.saturating_add(u64::from(plain));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completion_is_one_only_at_the_end() {
        let progress = Progress::default();
        let view = progress.watch();
        let completion = || view.borrow().completion();
        assert_eq!(completion(), 0.0);
        progress.begin(2);
        progress.file_done(true);
        assert_eq!(completion(), 0.5);
        progress.batch(1000, 0.5);
        assert_eq!(completion(), 0.75);
        progress.batch(1000, 7.0);
        assert_eq!(completion(), 0.999);
        progress.file_done(false);
        assert_eq!(completion(), 0.999);
        assert_eq!(view.borrow().items, 2001);
        progress.finish(Outcome::Complete);
        assert_eq!(completion(), 1.0);
    }
}
