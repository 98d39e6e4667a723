//! What the tests of the engine on the fakes share: worlds, and what the operator shows in them.

#![allow(dead_code, reason = "not every test file needs every hand")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot make its names should fail"
)]

use dbop_model::MigrationName;
use dbop_plan::example;
use dbop_testkit::sim::Sim;
use dbop_testkit::sim::world::World;
use jiff::SignedDuration;

pub(crate) const HOUR: SignedDuration = SignedDuration::from_hours(1);
pub(crate) const MINUTE: SignedDuration = SignedDuration::from_mins(1);

pub(crate) fn v(text: &str) -> MigrationName {
    MigrationName::new(text).unwrap()
}

/// A world in which `v<count>` is wanted, with a short quiet window.
pub(crate) fn world(count: usize) -> World {
    let mut desired = example::desired(count).unwrap();
    desired.database.credentials.quiet_window = std::time::Duration::from_secs(5);
    World::new(desired)
}

pub(crate) fn story(sim: &Sim) -> String {
    sim.world().told()
}

/// The last line that the operator showed, after a minute of turns.
#[track_caller]
pub(crate) fn check_shows(sim: &mut Sim, expect: &str) {
    sim.pass(MINUTE);
    let story = story(sim);
    let violations = sim.world().violations.clone();
    assert!(violations.is_empty(), "{violations:?}\n{story}");
    let next = sim.turn();
    let shown = match (&next.decision, &next.failure) {
        (_, Some(failure)) => format!("failed: {failure}"),
        (Some(decision), None) => decision.to_string(),
        (None, None) => "nothing".to_owned(),
    };
    assert!(
        shown.starts_with(expect),
        "it shows {shown:?}, not {expect:?}\n{story}"
    );
}
