//! The Pods of the application, and what each has counted so far: it tells so in its log.

use anyhow::{Result, bail, ensure};

use super::kubectl::Kubectl;
use crate::demo::tally::Tally;
use crate::demo::tell;
use crate::process::Background;

/// A log is followed anew so often, where it ends in the middle.
const TRIES_MAX: usize = 3;

/// Which Pod of which release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// The Pod.
    pub(super) pod: String,
    /// The Deployment.
    pub(super) deployment: String,
    /// The release, such as `v1`.
    pub(super) release: String,
}

/// What is seen of a Pod, line by line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    /// Which one.
    pub(super) name: Name,
    /// `Pending`, `Running` and so on.
    pub(super) phase: String,
}

impl Sighting {
    /// How kubectl tells it.
    pub(super) const TEMPLATE: &str = "--output=jsonpath={.metadata.name} {.metadata.labels.app} \
                                       {.metadata.labels.release} {.status.phase}{\"\\n\"}";

    /// Reads a line of that.
    pub(super) fn parse(line: &str) -> Option<Sighting> {
        let words: Vec<&str> = line.split(' ').collect();
        let [pod, deployment, release, phase] = words[..] else {
            return None;
        };
        // One without these labels is none of the application's.
        (!deployment.is_empty() && !release.is_empty()).then_some(())?;
        Some(Sighting {
            name: Name {
                pod: pod.to_owned(),
                deployment: deployment.to_owned(),
                release: release.to_owned(),
            },
            phase: phase.to_owned(),
        })
    }
}

/// A Pod that runs, or has run.
pub(super) struct Application {
    /// Which one.
    pub(super) name: Name,
    /// What it has counted.
    pub(super) tally: Tally,
    log: Background,
    tries: usize,
}

impl Application {
    /// Follows the log of a Pod that runs.
    pub(super) fn follow(kubectl: &Kubectl, name: Name) -> Result<Application> {
        Ok(Application {
            tally: Tally::default(),
            log: follow(kubectl, &name)?,
            tries: 1,
            name,
        })
    }

    /// Reads what it has said since; it must not end in the middle of its work, and nothing must have failed.
    pub(super) fn tend(&mut self, kubectl: &Kubectl) -> Result<()> {
        let ended = self.log.ended()?;
        self.listen();
        let (deployment, release) = (&self.name.deployment, &self.name.release);
        ensure!(
            self.tally.failed == 0,
            "a query of {deployment}, release {release}, failed; it is shown above"
        );
        if ended.is_none() || self.tally.ended {
            return Ok(());
        }
        // All of it is said once more: a tally holds what came before.
        if self.tries == TRIES_MAX {
            bail!(
                "the log of {deployment}, release {release}, ended in the middle of its work (Pod {})",
                self.name.pod
            );
        }
        self.tries += 1;
        self.log = follow(kubectl, &self.name)?;
        Ok(())
    }

    /// Reads what it has said since.
    pub(super) fn listen(&mut self) {
        while let Some(line) = self.log.line() {
            match Tally::parse(&line) {
                Some(tally) => self.tally = tally,
                None => tell::line(&format!(
                    "{} {}: {line}",
                    self.name.deployment, self.name.release
                )),
            }
        }
    }
}

fn follow(kubectl: &Kubectl, name: &Name) -> Result<Background> {
    Background::start(&mut kubectl.command(&["logs", "--follow", &name.pod]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_read() {
        let seen = Sighting::parse("shop-7d4-x2 shop v1 Running").unwrap();
        assert_eq!(
            (seen.name.deployment.as_str(), seen.name.release.as_str()),
            ("shop", "v1")
        );
        assert_eq!(seen.phase, "Running");
        assert!(Sighting::parse("psql   Running").is_none());
    }
}
