//! Sessions on replicas: who is connected there keeps a credential, and so does a replica that cannot be asked.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot make its world should fail"
)]

#[path = "support/story.rs"]
mod support;

use dbop_credentials::names;
use dbop_model::{DsnKeys, DsnSource, ObjectRef};
use dbop_plan::example;
use dbop_testkit::fake_database::OpenError;
use dbop_testkit::sim::Sim;
use support::{HOUR, MINUTE, story, v, world};

const REPLICA: &str = "replica-1";

/// At rest at `v2`, with a replica; `v3` is wanted next, which `v1`'s code cannot live with.
fn at_rest(named: bool) -> Sim {
    let mut sim = Sim::new(world(2), 1);
    assert!(sim.settle(HOUR), "{}", story(&sim));
    {
        let mut world = sim.world();
        world.db.add_replica(REPLICA);
        world.desired = example::desired(3).unwrap();
        if named {
            world.desired.database.replicas = vec![DsnSource {
                secret: ObjectRef::new("shop", REPLICA).unwrap(),
                keys: DsnKeys::Whole("dsn".to_owned()),
            }];
        }
    }
    sim
}

fn old_login(sim: &Sim) -> String {
    let world = sim.world();
    let secret = names::secret(&world.desired.database.id, &v("v1"));
    world.secrets[&secret].data["username"].clone()
}

/// After a minute, what is waited for is said so.
#[track_caller]
fn check_shows(sim: &mut Sim, expect: &str) {
    sim.pass(MINUTE);
    let shown = sim.turn().decision.unwrap().to_string();
    assert!(shown.contains(expect), "{shown}\n{}", story(sim));
}

#[track_caller]
fn check_goes_on(sim: &mut Sim) {
    assert!(sim.settle(HOUR), "{}", story(sim));
    let world = sim.world();
    assert_eq!(world.current(), Some(v("v3")));
    assert!(world.violations.is_empty(), "{:?}", world.violations);
    assert!(!world.end().logins.contains_key(&v("v1")));
}

#[test]
fn a_session_on_a_replica_keeps_the_credential() {
    let mut sim = at_rest(true);
    let login = old_login(&sim);
    let session = sim.world().db.open_on_replica(REPLICA, &login).unwrap();
    check_shows(&mut sim, "on replica replica-1:5432");
    assert!(sim.world().end().logins.contains_key(&v("v1")));
    sim.world().db.close_on_replica(REPLICA, session);
    check_goes_on(&mut sim);
}

#[test]
fn a_short_session_on_a_replica_begins_the_quiet_window_anew() {
    let mut sim = at_rest(true);
    let login = old_login(&sim);
    sim.pass(MINUTE / 2);
    let session = sim.world().db.open_on_replica(REPLICA, &login).unwrap();
    sim.turn();
    sim.world().db.close_on_replica(REPLICA, session);
    sim.pass(MINUTE / 2);
    assert!(
        sim.world().end().logins.contains_key(&v("v1")),
        "{}",
        story(&sim)
    );
    check_goes_on(&mut sim);
}

#[test]
fn a_replica_that_nobody_named_keeps_it_until_it_is_named_or_ignored() {
    let mut sim = at_rest(false);
    check_shows(
        &mut sim,
        "the server has 1 replicas (replica-1), and spec.connection.replicas leads to 0 of them",
    );
    sim.world().desired.database.credentials.ignore_replicas = true;
    check_goes_on(&mut sim);
}

#[test]
fn a_replica_that_cannot_be_asked_keeps_it() {
    let mut sim = at_rest(true);
    sim.world().db.set_replica_reachable(REPLICA, false);
    check_shows(
        &mut sim,
        "replica replica-1:5432: cannot reach replica-1:5432: connection refused (DSN from Secret shop/replica-1, key dsn)",
    );
    sim.pass(HOUR);
    assert!(sim.world().end().logins.contains_key(&v("v1")));
    sim.world().db.set_replica_reachable(REPLICA, true);
    check_goes_on(&mut sim);
}

#[test]
fn a_replica_that_lags_gets_the_credential_back() {
    let mut sim = at_rest(true);
    let login = old_login(&sim);
    sim.world().db.set_replica_replays(REPLICA, false);
    let mut shown = String::new();
    for _ in 0..1_000 {
        shown = sim.turn().decision.unwrap().to_string();
        if shown.contains("had not replayed after 3 s") {
            break;
        }
    }
    assert!(shown.contains("replica-1:5432 had not replayed"), "{shown}");
    let open = sim.world().db.roles()[&login].login;
    assert!(open, "{}", story(&sim));
    let session = sim.world().db.open_on_replica(REPLICA, &login).unwrap();
    sim.world().db.close_on_replica(REPLICA, session);
    sim.world().db.set_replica_replays(REPLICA, true);
    check_goes_on(&mut sim);
    let refused = sim.world().db.open_on_replica(REPLICA, &login).unwrap_err();
    assert!(matches!(refused, OpenError::Refused(_)));
}
