//! The simulation: exhaustive single faults of a walk of three migrations, and random histories.
//!
//! `DBOP_SEED` repeats a run, `DBOP_HISTORIES` says how many histories, `DBOP_PROVE=full` makes it the long one.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot make its names should fail"
)]

use std::collections::BTreeMap;

use dbop_model::MigrationName;
use dbop_plan::example;
use dbop_testkit::sim::actors::{Application, Habit};
use dbop_testkit::sim::world::{Race, World};
use dbop_testkit::sim::{Rng, Sim, faults, histories};
use jiff::SignedDuration;

/// Histories of a bounded run.
const HISTORIES: u64 = 300;
/// Histories of `DBOP_PROVE=full`, unless `DBOP_HISTORIES` says otherwise.
const HISTORIES_FULL: u64 = 20_000;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is not a number: {text}")),
    )
}

fn seed() -> u64 {
    number("DBOP_SEED").unwrap_or_else(|| u64::from(std::process::id()))
}

fn v(text: &str) -> MigrationName {
    MigrationName::new(text).unwrap()
}

/// At rest at v1 with an application that keeps a session and moves on when told; v4 is wanted.
fn three_migrations_with_an_application() -> World {
    let mut desired = example::desired(4).unwrap();
    desired.database.credentials.quiet_window = std::time::Duration::from_secs(5);
    desired.database.desired = v("v1");
    let mut world = World::new(desired);
    world.later = Some(v("v4"));
    let mut application = Application::new("api", &v("v1"), Habit::Pool);
    application.moves_on = Some(SignedDuration::from_secs(3));
    world.applications.push(application);
    let mut brief = Application::new(
        "cron",
        &v("v1"),
        Habit::Brief {
            every: SignedDuration::from_secs(2),
        },
    );
    brief.moves_on = Some(SignedDuration::from_secs(8));
    world.applications.push(brief);
    world
}

#[test]
fn an_undisturbed_walk_ends_at_rest_and_refuses_nobody() {
    let mut sim = Sim::new(three_migrations_with_an_application(), 1);
    assert!(sim.settle(SignedDuration::from_hours(1)));
    sim.world().desired.database.desired = v("v4");
    let settled = sim.settle(SignedDuration::from_hours(1));
    let world = sim.world();
    let story = world.story.join("\n");
    assert!(settled && world.violations.is_empty(), "{story}");
    let end = world.end();
    assert_eq!(
        end.logins
            .keys()
            .map(MigrationName::as_str)
            .collect::<Vec<_>>(),
        ["v3", "v4"]
    );
    for application in &world.applications {
        assert!(
            application.queries > 0,
            "{} never connected\n{story}",
            application.name
        );
        assert_eq!(application.refused, 0, "{}\n{story}", application.name);
    }
    println!("{story}");
}

/// Somebody comes in the middle of a retirement: nothing is lost, and the walk goes on once they moved.
#[track_caller]
fn check_race(race: Race, expect: &[&str]) {
    let mut sim = Sim::new(three_migrations_with_an_application(), 1);
    assert!(sim.settle(SignedDuration::from_hours(1)));
    sim.world().race = Some(race);
    sim.world().desired.database.desired = v("v4");
    let settled = sim.settle(SignedDuration::from_hours(1));
    let world = sim.world();
    let story = world.story.join("\n");
    assert!(settled && world.violations.is_empty(), "{story}");
    let mut lines = world.story.iter();
    for wanted in expect {
        assert!(
            lines.any(|line| line.contains(wanted)),
            "no line {wanted:?} in its place:\n{story}"
        );
    }
}

#[test]
fn a_session_that_comes_before_the_lock_gets_its_login_back() {
    check_race(
        Race::SessionBeforeLock,
        &[
            "late-v1 comes",
            "lock_login",
            "unlock_login",
            "late-v1 moves",
            "lock_login",
            "drop_login",
        ],
    );
}

#[test]
fn a_workload_that_comes_before_the_secret_is_deleted_gets_it_back() {
    check_race(
        Race::ReferenceBeforeDelete,
        &[
            "lock_login",
            "late-v1 comes",
            "delete Secret",
            "unlock_login",
            "write Secret shop-v1",
        ],
    );
}

#[test]
fn every_single_fault_ends_as_the_undisturbed_walk_does() {
    let broken = faults::single(three_migrations_with_an_application, 1);
    println!(
        "proof: faults: {} writes, {} walks with one fault each, {} ended otherwise",
        broken.writes,
        broken.walks,
        broken.failures.len()
    );
    assert!(broken.failures.is_empty(), "{}", broken.failures[0]);
}

#[test]
fn random_histories_break_no_invariant() {
    let seed = seed();
    let full = std::env::var("DBOP_PROVE").is_ok_and(|value| value == "full");
    let default = if full { HISTORIES_FULL } else { HISTORIES };
    let histories = number("DBOP_HISTORIES").unwrap_or(default);
    println!("seed {seed}; repeat one history with DBOP_SEED=<its seed> DBOP_HISTORIES=1");
    let mut seeds = Rng::new(seed);
    let mut covered: BTreeMap<String, u64> = BTreeMap::new();
    for index in 0..histories {
        // The first history's seed is the run's own, so that one history can be repeated by its seed.
        let one = if index == 0 { seed } else { seeds.bits() };
        match histories::run(one) {
            Ok(writes) => {
                for (kind, count) in writes {
                    *covered.entry(kind).or_default() += count;
                }
            }
            Err(story) => panic!(
                "{story}\nhistory {index} of seed {seed}; repeat: DBOP_SEED={one} DBOP_HISTORIES=1"
            ),
        }
    }
    let covered: Vec<String> = covered
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    println!("proof: simulation: writes made: {}", covered.join(", "));
    println!("proof: simulation: {histories} random histories of seed {seed}, no invariant broken");
}
