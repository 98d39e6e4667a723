//! A history that can be run again: what it begins with, what happens, and the seed of everything else.

use std::collections::BTreeMap;
use std::fmt;

use super::{Entry, Fleet, Setup, draw, millis};
use crate::sim::Rng;

/// Lines of a world's record that belong to what is printed of a failure: the end explains it.
const RECORD_LINES_MAX: usize = 60;

/// A history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// Makes who comes first, what takes time, and every password.
    pub seed: u64,
    /// What it begins with.
    pub setup: Setup,
    /// What happens in it, in this order.
    pub entries: Vec<Entry>,
}

/// What a history broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The name of the invariant.
    pub invariant: String,
    /// What was seen.
    pub detail: String,
    /// The end of the record of the world in which it was seen.
    pub record: Vec<String>,
}

impl Story {
    /// The history of a seed.
    pub fn drawn(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let setup = draw::setup(&mut rng);
        let entries = draw::entries(&mut rng, &setup);
        Self {
            seed,
            setup,
            entries,
        }
    }

    /// Runs it. Gives how often the operators made each kind of write.
    ///
    /// # Errors
    /// The first invariant that it breaks.
    pub fn run(&self) -> Result<BTreeMap<String, u64>, Failure> {
        self.run_with(|_| {})
    }

    /// Runs it in worlds that are prepared so: by tests that plant a fault.
    ///
    /// # Errors
    /// The first invariant that it breaks.
    pub fn run_with(
        &self,
        prepare: impl Fn(&mut crate::sim::World),
    ) -> Result<BTreeMap<String, u64>, Failure> {
        let mut fleet = Fleet::new(&self.setup, self.seed);
        for at in 0..fleet.worlds.len() {
            prepare(&mut fleet.world(at));
        }
        for entry in &self.entries {
            fleet.run_to(fleet.now + millis(entry.after_ms));
            fleet.run_to_open();
            if !fleet.violations().is_empty() {
                break;
            }
            fleet.happen(entry);
        }
        if fleet.violations().is_empty() {
            fleet.cooperate();
        }
        match fleet.violations().into_iter().next() {
            None => Ok(fleet.covered()),
            Some((at, line)) => Err(fleet.failure(at, &line)),
        }
    }
}

impl Fleet {
    fn covered(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for at in 0..self.worlds.len() {
            for (kind, count) in std::mem::take(&mut self.world(at).ledger.covered) {
                *all.entry(kind).or_default() += count;
            }
        }
        all
    }

    fn failure(&self, at: usize, line: &str) -> Failure {
        let line = line.trim_start_matches("INVARIANT BROKEN: ");
        let (invariant, detail) = line.split_once(": ").unwrap_or((line, ""));
        let world = self.world(at);
        let skipped = world.story.len().saturating_sub(RECORD_LINES_MAX);
        let name = self.setup.title(at);
        let record = world.story.iter().skip(skipped);
        Failure {
            invariant: invariant.to_owned(),
            detail: detail.to_owned(),
            record: record.map(|line| format!("{name} {line}")).collect(),
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "At the beginning (seed {}):", self.seed)?;
        write!(f, "{}", self.setup)?;
        writeln!(f, "Then:")?;
        for Entry { after_ms, at, what } in &self.entries {
            let name = self.setup.title((*at).min(self.setup.databases.len() - 1));
            let after = f64::from(u32::try_from(*after_ms).unwrap_or(u32::MAX)) / 1000.0;
            writeln!(f, "  {after:.1} s later, {name}: {what}")?;
        }
        writeln!(f, "Then everybody cooperates.")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "It breaks {}: {}", self.invariant, self.detail)?;
        writeln!(f, "The end of the record:")?;
        for line in &self.record {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}
