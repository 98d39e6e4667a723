//! Exhaustive faults: every single write of a walk broken, in every way, and the end compared with that of an
//! undisturbed walk.

use jiff::SignedDuration;

use super::Sim;
use super::world::{End, Fault, FaultKind, World};

/// Every way in which a write breaks.
pub const KINDS: [FaultKind; 4] = [
    FaultKind::FailBefore,
    FaultKind::FailAfter,
    FaultKind::KillBefore,
    FaultKind::KillAfter,
];
/// A walk with a fault is over after this, in simulated time.
const SETTLED_WITHIN: SignedDuration = SignedDuration::from_hours(2);

/// What came of breaking writes.
#[derive(Debug)]
pub struct Broken {
    /// Writes of the undisturbed walk.
    pub writes: u64,
    /// Walks made, each with other faults.
    pub walks: u64,
    /// Each walk that ended otherwise, or broke an invariant: its story.
    pub failures: Vec<String>,
}

/// Breaks each single write of the walk that `world` makes, in each way.
pub fn single(world: impl Fn() -> World, seed: u64) -> Broken {
    let (undisturbed, writes) = walk(world(), &[], seed).unwrap_or_else(|story| panic!("{story}"));
    let mut broken = Broken {
        writes,
        walks: 0,
        failures: Vec::new(),
    };
    for at in 1..=writes {
        for kind in KINDS {
            let fault = Fault { at, kind };
            broken.judge(&[fault], walk(world(), &[fault], seed), &undisturbed);
        }
    }
    broken
}

/// Breaks each pair of writes of a walk from rest to what `world` wants later, in each pair of these ways. What
/// comes after a first fault has other writes than the undisturbed walk: all of those are the second.
pub fn pairs(world: impl Fn() -> World, kinds: &[FaultKind], seed: u64) -> Broken {
    let on = |faults: &[Fault]| walk_on(world(), faults, seed);
    let (undisturbed, writes) = on(&[]).unwrap_or_else(|story| panic!("{story}"));
    let mut broken = Broken {
        writes,
        walks: 0,
        failures: Vec::new(),
    };
    let each = |from: u64, to: u64| {
        (from..=to).flat_map(move |at| kinds.iter().map(move |kind| Fault { at, kind: *kind }))
    };
    for first in each(1, writes) {
        let Some(writes) = broken.judge(&[first], on(&[first]), &undisturbed) else {
            continue;
        };
        for second in each(first.at + 1, writes) {
            let faults = [first, second];
            broken.judge(&faults, on(&faults), &undisturbed);
        }
    }
    broken
}

impl Broken {
    /// Holds a walk against the undisturbed one; its number of writes, where it came to an end.
    fn judge(
        &mut self,
        faults: &[Fault],
        walked: Result<(End, u64), String>,
        undisturbed: &End,
    ) -> Option<u64> {
        self.walks += 1;
        let broken: Vec<String> = faults
            .iter()
            .map(|Fault { at, kind }| format!("write {at}, {kind:?}"))
            .collect();
        let broken = broken.join("; ");
        match walked {
            Ok((end, writes)) => {
                if end != *undisturbed {
                    self.failures.push(format!(
                        "{broken}: it ended otherwise\n  expected {undisturbed:?}\n  got      {end:?}"
                    ));
                }
                Some(writes)
            }
            Err(story) => {
                self.failures.push(format!("{broken}:\n{story}"));
                None
            }
        }
    }
}

/// A walk to its end, with the number of writes that it took.
///
/// # Errors
/// The story, where it did not come to rest or broke an invariant.
pub fn walk(mut world: World, faults: &[Fault], seed: u64) -> Result<(End, u64), String> {
    world.faults = faults.to_vec();
    let mut sim = Sim::new(world, seed);
    let settled = sim.settle(SETTLED_WITHIN) & go_on(&mut sim);
    ended(&sim, settled, 0)
}

/// The same, where faults are counted from the moment at which something else is wanted.
fn walk_on(world: World, faults: &[Fault], seed: u64) -> Result<(End, u64), String> {
    let mut sim = Sim::new(world, seed);
    let at_rest = sim.settle(SETTLED_WITHIN);
    let before = sim.world().writes;
    let later = faults.iter().map(|fault| Fault {
        at: before + fault.at,
        ..*fault
    });
    sim.world().faults = later.collect();
    let settled = at_rest & go_on(&mut sim);
    ended(&sim, settled, before)
}

/// What is wanted later becomes wanted, where there is something.
fn go_on(sim: &mut Sim) -> bool {
    let later = sim.world().later.take();
    let Some(goal) = later else { return true };
    sim.world().desired.database.desired = goal;
    sim.settle(SETTLED_WITHIN)
}

fn ended(sim: &Sim, settled: bool, before: u64) -> Result<(End, u64), String> {
    let world = sim.world();
    if settled && world.violations.is_empty() {
        return Ok((world.end(), world.writes - before));
    }
    let reason = if settled {
        "an invariant was broken"
    } else {
        "it did not come to rest"
    };
    Err(format!("{reason}\n{}", world.told()))
}
