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
    let (undisturbed, writes) = walk(world(), None, seed).unwrap_or_else(|story| panic!("{story}"));
    let mut broken = Broken {
        writes,
        walks: 0,
        failures: Vec::new(),
    };
    for at in 1..=writes {
        for kind in KINDS {
            broken.walks += 1;
            match walk(world(), Some(Fault { at, kind }), seed) {
                Ok((end, _)) if end == undisturbed => {}
                Ok((end, _)) => broken.failures.push(format!(
                    "write {at}, {kind:?}: it ended otherwise\n  expected {undisturbed:?}\n  got      {end:?}"
                )),
                Err(story) => broken.failures.push(format!("write {at}, {kind:?}:\n{story}")),
            }
        }
    }
    broken
}

/// A walk to its end, with the number of writes that it took.
///
/// # Errors
/// The story, where it did not come to rest or broke an invariant.
pub fn walk(mut world: World, fault: Option<Fault>, seed: u64) -> Result<(End, u64), String> {
    world.fault = fault;
    let mut sim = Sim::new(world, seed);
    let mut settled = sim.settle(SETTLED_WITHIN);
    let later = sim.world().later.take();
    if let Some(goal) = later {
        sim.world().desired.database.desired = goal;
        settled &= sim.settle(SETTLED_WITHIN);
    }
    let world = sim.world();
    if settled && world.violations.is_empty() {
        return Ok((world.end(), world.writes));
    }
    let reason = if settled {
        "an invariant was broken"
    } else {
        "it did not come to rest"
    };
    Err(format!("{reason}\n{}", world.story.join("\n")))
}
