//! Rotation, on the fakes: a credential gets another login beside those who use the one before, whatever breaks on the
//! way.

#[path = "support/story.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_credentials::names;
use dbop_model::LoginName;
use dbop_plan::{RotationAsked, example};
use dbop_testkit::sim::Sim;
use dbop_testkit::sim::faults::KINDS;
use dbop_testkit::sim::world::Fault;
use jiff::SignedDuration;
use support::{HOUR, MINUTE, check_shows, story, v, world};

/// At rest at `v2`, two minutes ago.
fn at_rest() -> Sim {
    let mut sim = Sim::new(world(2), 1);
    settle(&mut sim);
    sim.pass(MINUTE + MINUTE);
    sim
}

#[track_caller]
fn settle(sim: &mut Sim) {
    assert!(sim.settle(HOUR), "{}", story(sim));
    let violations = sim.world().violations.clone();
    assert!(violations.is_empty(), "{violations:?}\n{}", story(sim));
}

/// A person wants the credential of v2 rotated, as it is now.
fn ask(sim: &Sim) {
    let mut world = sim.world();
    let until = world.now;
    world.object.rotate = vec![RotationAsked {
        migration: Some(v("v2")),
        until,
    }];
}

fn value(sim: &Sim, key: &str) -> String {
    let world = sim.world();
    let secret = names::secret(&world.desired.database.id, &v("v2"));
    world.secrets[&secret].data[key].clone()
}

/// The logins of v2 that there are.
fn logins(sim: &Sim) -> BTreeSet<String> {
    let all = sim.world().db.application_logins();
    all.into_iter()
        .filter(|login| login.starts_with("shop_v2_"))
        .collect()
}

#[test]
fn who_is_connected_stays_so_and_the_login_before_goes_after_that() {
    let mut sim = at_rest();
    let (before, password) = (value(&sim, "username"), value(&sim, "password"));
    let session = sim.world().db.open_session(&before, &password).unwrap();
    ask(&sim);
    check_shows(
        &mut sim,
        &format!(
            "waits: login {before} of credential v2 was replaced and is still used by a session"
        ),
    );
    let after = value(&sim, "username");
    assert_eq!(after, format!("{before}_2"));
    assert_ne!(value(&sim, "password"), password);
    // Either works: nobody is cut off, also not who connects anew with what it read before.
    let again = sim.world().db.open_session(&before, &password).unwrap();
    let login = LoginName::new(after.as_str()).unwrap();
    let new = value(&sim, "password");
    assert!(sim.world().db.accepts(&login, &new.into()));
    // There are never more than two.
    sim.pass(MINUTE);
    ask(&sim);
    check_shows(&mut sim, "waits: login");
    assert_eq!(
        logins(&sim),
        BTreeSet::from([before.clone(), after.clone()])
    );
    assert!(story(&sim).contains("the next rotation of v2 waits for that"));
    sim.world().db.close_session(session);
    sim.pass(MINUTE);
    assert!(sim.world().db.is_open(again), "{}", story(&sim));
    sim.world().db.close_session(again);
    settle(&mut sim);
    // The second rotation brought the turn back.
    assert_eq!(logins(&sim), BTreeSet::from([before.clone()]));
    assert_eq!(value(&sim, "username"), before);
    assert_ne!(value(&sim, "password"), password);
}

#[test]
fn whatever_breaks_on_the_way_there_is_one_login_in_the_end_and_it_works() {
    let mut undisturbed = at_rest();
    let from = undisturbed.world().writes;
    let before = value(&undisturbed, "username");
    ask(&undisturbed);
    settle(&mut undisturbed);
    let writes = undisturbed.world().writes - from;
    assert!(
        (4..20).contains(&writes),
        "{writes}: {}",
        story(&undisturbed)
    );
    for at in from + 1..=from + writes {
        for kind in KINDS {
            let mut sim = at_rest();
            ask(&sim);
            sim.world().faults = vec![Fault { at, kind }];
            settle(&mut sim);
            let end = sim.world().end();
            assert!(
                end.logins.values().all(|works| *works),
                "{at} {kind:?}: {}",
                story(&sim)
            );
            let after = value(&sim, "username");
            assert_eq!(
                after,
                format!("{before}_2"),
                "{at} {kind:?}: {}",
                story(&sim)
            );
            assert_eq!(
                logins(&sim),
                BTreeSet::from([after]),
                "{at} {kind:?}: {}",
                story(&sim)
            );
        }
    }
}

#[test]
fn a_login_is_replaced_when_it_is_old_and_no_sooner() {
    let mut sim = at_rest();
    let before = value(&sim, "username");
    sim.world().desired.database.credentials.rotate_every = Some(Duration::from_secs(3600));
    sim.pass(SignedDuration::from_mins(50));
    assert_eq!(value(&sim, "username"), before);
    sim.pass(SignedDuration::from_mins(15));
    assert_eq!(
        logins(&sim),
        BTreeSet::from([format!("{before}_2")]),
        "{}",
        story(&sim)
    );
    sim.pass(HOUR);
    assert_eq!(logins(&sim), BTreeSet::from([before]), "{}", story(&sim));
    assert!(sim.world().violations.is_empty());
}

#[test]
fn a_cache_that_lags_replaces_nothing_that_is_paused_by_now() {
    let mut sim = at_rest();
    let before = value(&sim, "username");
    sim.world().desired.database.credentials.rotate_every = Some(Duration::from_secs(3600));
    sim.world().watches_stopped = true;
    sim.turn();
    // The watches still tell what it was; by that the login is replaced once it is an hour old.
    sim.world().desired.database.paused = true;
    let writes = sim.world().writes;
    sim.pass(HOUR + HOUR);
    // The lock on the world is free again before the story is told.
    let after = sim.world().writes;
    assert_eq!(after, writes, "{}", story(&sim));
    sim.world().desired.database.paused = false;
    sim.pass(MINUTE);
    assert_ne!(value(&sim, "username"), before, "{}", story(&sim));
}

#[test]
fn a_walk_goes_on_beside_a_login_that_was_replaced_and_a_credential_goes_with_both() {
    let mut sim = at_rest();
    let (before, password) = (value(&sim, "username"), value(&sim, "password"));
    let session = sim.world().db.open_session(&before, &password).unwrap();
    ask(&sim);
    check_shows(&mut sim, "waits: login");
    let credentials = sim.world().desired.database.credentials.clone();
    sim.world().desired = example::desired(3).unwrap();
    sim.world().desired.database.credentials = credentials.clone();
    check_shows(&mut sim, "waits: login");
    assert_eq!(sim.world().current(), Some(v("v3")));
    // v2 cannot live with v4: neither of its logins is in use when it goes.
    sim.world().desired = example::desired(4).unwrap();
    sim.world().desired.database.credentials = credentials;
    check_shows(&mut sim, "waits: credential v2 is still used by a session");
    sim.world().db.close_session(session);
    settle(&mut sim);
    assert_eq!(sim.world().current(), Some(v("v4")));
    assert_eq!(logins(&sim), BTreeSet::new());
}

#[test]
fn what_people_change_of_two_logins_is_put_in_order() {
    // The published one is dropped by hand: it is made anew, by its Secret.
    let mut sim = at_rest();
    let (before, password) = (value(&sim, "username"), value(&sim, "password"));
    let session = sim.world().db.open_session(&before, &password).unwrap();
    ask(&sim);
    check_shows(&mut sim, "waits: login");
    let (after, new) = (value(&sim, "username"), value(&sim, "password"));
    sim.world().db.drop_role(&after);
    check_shows(&mut sim, "waits: login");
    let login = LoginName::new(after.as_str()).unwrap();
    assert!(
        sim.world().db.accepts(&login, &new.into()),
        "{}",
        story(&sim)
    );
    assert_eq!(value(&sim, "username"), after);
    // So is the one before, which nobody wants any more: it stays away.
    sim.world().db.close_session(session);
    sim.world().db.drop_role(&before);
    settle(&mut sim);
    assert_eq!(logins(&sim), BTreeSet::from([after]));
}
