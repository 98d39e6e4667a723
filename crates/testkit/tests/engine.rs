//! The engine on the fake platform and the fake database: what it does where something is not as usual.
//!
//! Each test is a short story; the world's own record of it is what is compared.

#[path = "support/story.rs"]
mod support;

use dbop_credentials::names;
use dbop_database::Connector;
use dbop_engine::Dress;
use dbop_model::{
    DeletionPolicy, Engine, MissingPrivilege, ObservedVersion, SchemaVersion, SecretName,
};
use dbop_plan::{Decision, example};
use dbop_testkit::fake_database::Mark;
use dbop_testkit::sim::Sim;
use dbop_testkit::sim::actors::{Application, Habit, Script};
use dbop_testkit::sim::world::{End, Stored, World};
use jiff::SignedDuration;
use std::collections::BTreeMap;
use support::{HOUR, MINUTE, check_shows, story, v, world};

/// At rest at `v<count>`.
fn at_rest(count: usize) -> Sim {
    let mut sim = Sim::new(world(count), 1);
    assert!(sim.settle(HOUR), "{}", story(&sim));
    sim
}

/// Where the world stands, and how often the operator wrote to it. The lock on the world is free again.
fn seen(sim: &Sim) -> (End, u64) {
    let world = sim.world();
    (world.end(), world.writes)
}

#[test]
fn a_second_reconcile_at_rest_changes_nothing() {
    let mut sim = at_rest(3);
    let before = seen(&sim);
    sim.restart();
    assert!(sim.settle(HOUR));
    assert_eq!(seen(&sim), before, "{}", story(&sim));
}

#[test]
fn read_only_writes_nothing_whatever_is_wrong() {
    let mut sim = at_rest(3);
    let mut later = example::desired(4).unwrap();
    later.database.read_only = true;
    sim.world().desired = later;
    let secret = names::secret(&sim.world().desired.database.id, &v("v3"));
    sim.world().secrets.remove(&secret);
    let writes = sim.world().writes;
    check_shows(&mut sim, "waits: readOnly");
    assert_eq!(sim.world().writes, writes);
}

#[test]
fn paused_starts_nothing_and_goes_on_afterwards() {
    let mut sim = at_rest(2);
    let mut later = example::desired(3).unwrap();
    later.database.paused = true;
    sim.world().desired = later;
    let writes = sim.world().writes;
    check_shows(&mut sim, "waits: paused");
    assert_eq!(sim.world().writes, writes);
    sim.world().desired.database.paused = false;
    assert!(sim.settle(HOUR), "{}", story(&sim));
    assert_eq!(sim.world().current(), Some(v("v3")));
}

#[test]
fn a_run_under_way_is_recorded_while_paused() {
    let mut sim = at_rest(1);
    sim.world().desired = example::desired(2).unwrap();
    sim.world().scripts.insert(
        v("v2"),
        Script {
            takes: SignedDuration::from_secs(40),
            ..Script::default()
        },
    );
    sim.pass(SignedDuration::from_secs(5));
    sim.world().desired.database.paused = true;
    check_shows(&mut sim, "waits: paused");
    let world = sim.world();
    assert!(!world.db.door_open(), "{}", world.told());
    assert_eq!(
        world
            .object
            .last_run
            .as_ref()
            .map(|run| run.migration.clone()),
        Some(v("v2"))
    );
}

#[test]
fn a_foreign_secret_blocks_and_stays_as_it_is() {
    let mut world = world(2);
    let name = names::secret(&world.desired.database.id, &v("v2"));
    let foreign = Stored {
        claim: None,
        ours: false,
        revision: 1,
        migration: None,
        kind: "Opaque".to_owned(),
        data: BTreeMap::from([("password".to_owned(), "theirs".to_owned())]),
        dress: Dress::default(),
        issued_at: None,
    };
    world.secrets.insert(name.clone(), foreign.clone());
    let mut sim = Sim::new(world, 1);
    check_shows(&mut sim, "blocked: Secret shop-v2 exists and is not ours");
    assert_eq!(sim.world().secrets.get(&name), Some(&foreign));
    assert_eq!(seen(&sim).1, 0, "{}", story(&sim));
}

#[test]
fn a_missing_privilege_is_named_before_anything_is_written() {
    let world = world(2);
    world.db.set_missing(vec![MissingPrivilege {
        needed_for: "create logins".to_owned(),
        grant: "ALTER ROLE admin CREATEROLE".to_owned(),
    }]);
    let mut sim = Sim::new(world, 1);
    check_shows(&mut sim, "blocked: the admin may not create logins");
    assert_eq!(seen(&sim).1, 0, "{}", story(&sim));
    sim.world().db.set_missing(Vec::new());
    assert!(sim.settle(HOUR), "{}", story(&sim));
}

#[test]
fn an_unreachable_database_is_waited_for_ever_longer() {
    let mut sim = at_rest(2);
    sim.world().db.set_reachable(false);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let before = sim.world().now;
        let next = sim.turn();
        assert!(
            next.decision.unwrap().to_string().starts_with("waits: "),
            "{}",
            story(&sim)
        );
        waits.push(next.wake_at.duration_since(before).as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8, 10, 10, 10, 10]);
    sim.world().db.set_reachable(true);
    assert!(sim.settle(HOUR), "{}", story(&sim));
}

#[test]
fn a_rotated_admin_password_is_taken_up_without_a_restart() {
    let mut sim = at_rest(2);
    sim.world().db.set_admin_password("rotated");
    sim.world().db.break_connections();
    sim.world().desired = example::desired(3).unwrap();
    assert!(sim.settle(HOUR), "{}", story(&sim));
    assert_eq!(sim.world().current(), Some(v("v3")));
}

#[track_caller]
fn check_secret(sim: &Sim, name: &SecretName, expect: &BTreeMap<String, String>) {
    let held = sim
        .world()
        .secrets
        .get(name)
        .map(|secret| secret.data.clone());
    assert_eq!(held.as_ref(), Some(expect), "{}", story(sim));
}

#[test]
fn hand_edits_are_put_back() {
    let mut sim = at_rest(2);
    let secret = names::secret(&sim.world().desired.database.id, &v("v2"));
    let before = sim.world().secrets[&secret].data.clone();
    {
        let mut world = sim.world();
        let stored = world.secrets.get_mut(&secret).unwrap();
        stored.revision += 1;
        stored
            .data
            .insert("host".to_owned(), "elsewhere".to_owned());
    }
    sim.pass(MINUTE);
    check_secret(&sim, &secret, &before);

    // The Secret is the truth about the password: a login changed by hand follows it.
    let login = before["username"].clone();
    sim.world().db.set_password(&login, "changed by hand");
    sim.pass(MINUTE);
    check_secret(&sim, &secret, &before);
    assert!(
        sim.world().end().logins.values().all(|works| *works),
        "{}",
        story(&sim)
    );

    sim.world().db.drop_role(&login);
    sim.pass(MINUTE);
    check_secret(&sim, &secret, &before);
    assert!(
        sim.world().end().logins.values().all(|works| *works),
        "{}",
        story(&sim)
    );
}

#[test]
fn a_failed_run_stops_until_a_person_says_retry() {
    let mut sim = at_rest(1);
    let fails = Script {
        moves_version: false,
        succeeds: false,
        ..Script::default()
    };
    sim.world().scripts.insert(v("v2"), fails);
    sim.world().desired = example::desired(2).unwrap();
    check_shows(
        &mut sim,
        "blocked: the run of v2 that ended at 1970-01-01T00:00:31Z failed with exit status 1",
    );
    let runs = sim.world().ledger.runs[&v("v2")];
    sim.pass(HOUR);
    assert_eq!(
        sim.world().ledger.runs[&v("v2")],
        runs,
        "it does not run again by itself"
    );
    sim.world().scripts.clear();
    let job = sim.world().object.last_run.clone().unwrap().job;
    sim.world().object.retry = Some(job);
    sim.world().ledger.started.clear();
    assert!(sim.settle(HOUR), "{}", story(&sim));
    assert_eq!(sim.world().ledger.runs[&v("v2")], runs + 1);
}

#[test]
fn deletion_retains_by_default() {
    let mut sim = at_rest(2);
    let before = sim.world().end();
    sim.world().object.deleting = true;
    sim.pass(MINUTE);
    let let_go = sim.world().let_go;
    assert!(let_go, "{}", story(&sim));
    assert_eq!(sim.world().end().logins, before.logins);
}

#[test]
fn deletion_revokes_what_is_unused_and_keeps_what_is_used() {
    let mut sim = at_rest(2);
    let mut application = Application::new("api", &v("v2"), Habit::Pool);
    let now = sim.world().now;
    application.next = now;
    sim.world().applications.push(application);
    sim.pass(MINUTE);
    sim.world().desired.database.deletion = DeletionPolicy::Revoke;
    sim.world().object.deleting = true;
    sim.pass(MINUTE);
    let let_go = sim.world().let_go;
    assert!(let_go, "{}", story(&sim));
    let end = sim.world().end();
    assert_eq!(
        end.logins.keys().cloned().collect::<Vec<_>>(),
        [v("v2")],
        "{}",
        story(&sim)
    );
}

#[test]
fn deletion_ends_although_the_database_is_gone() {
    let mut sim = at_rest(2);
    sim.world().db.set_reachable(false);
    sim.world().desired.database.deletion = DeletionPolicy::Revoke;
    sim.world().object.deleting = true;
    sim.pass(HOUR);
    let let_go = sim.world().let_go;
    assert!(let_go, "{}", story(&sim));
}

#[test]
fn hidden_sessions_are_never_taken_for_none() {
    let mut sim = at_rest(2);
    sim.world().desired = example::desired(3).unwrap();
    sim.world()
        .db
        .hide_sessions(Some(dbop_model::Why::new("pg_stat_activity is hidden")));
    check_shows(&mut sim, "waits: ");
    assert!(
        sim.world().end().logins.contains_key(&v("v1")),
        "{}",
        story(&sim)
    );
    sim.world().db.hide_sessions(None);
    assert!(sim.settle(HOUR), "{}", story(&sim));
}

#[test]
fn a_restored_backup_is_walked_forward_again() {
    let mut sim = at_rest(3);
    sim.world().restore(&v("v2"));
    assert!(sim.settle(HOUR), "{}", story(&sim));
    let world = sim.world();
    assert_eq!(world.current(), Some(v("v3")));
    assert_eq!(world.ledger.runs[&v("v3")], 2);
    assert!(world.violations.is_empty(), "{:?}", world.violations);
}

/// At rest at v2; then the data came back on a server that has none of the roles. Gives the Secrets from before.
fn without_roles(prepare: impl Fn(&World)) -> (Sim, BTreeMap<SecretName, Stored>) {
    let mut sim = Sim::new(world(2), 1);
    let empty = sim.world().db.back_up();
    assert!(sim.settle(HOUR), "{}", story(&sim));
    let secrets = sim.world().secrets.clone();
    {
        let world = sim.world();
        world.db.restore(&empty);
        let at_v2 = world.version_of(&v("v2")).map(ObservedVersion::At);
        world.db.set_version(at_v2.unwrap_or(ObservedVersion::None));
        prepare(&world);
    }
    (sim, secrets)
}

#[test]
fn roles_that_are_lost_get_their_names_again() {
    let (mut sim, secrets) = without_roles(|_| {});
    assert!(sim.settle(HOUR), "{}", story(&sim));
    let world = sim.world();
    for (name, before) in &secrets {
        assert_eq!(world.secrets[name].data, before.data, "{name}");
        assert!(world.works(&world.secrets[name]), "{name}");
    }
    assert_eq!(world.ledger.runs[&v("v2")], 1);
    assert!(world.violations.is_empty(), "{:?}", world.violations);
}

#[test]
fn a_name_that_somebody_else_has_meanwhile_is_left_to_them() {
    let group = |secret: &Stored| {
        let claim = secret.claim.clone().unwrap();
        let object = example::desired(2).unwrap().database.id;
        names::group_role(Engine::PostgreSql, &object, &claim)
    };
    let (_, secrets) = without_roles(|_| {});
    let taken = group(secrets.values().next().unwrap());
    let (mut sim, secrets) = without_roles(|world| world.db.add_role(taken.as_str(), None));
    assert!(sim.settle(HOUR), "{}", story(&sim));
    let world = sim.world();
    for (name, before) in &secrets {
        let now = &world.secrets[name];
        assert_ne!(now.data["username"], before.data["username"], "{name}");
        assert_eq!(now.data["password"], before.data["password"], "{name}");
        assert!(world.works(now), "{name}");
    }
    assert!(
        world.db.roles().contains_key(taken.as_str()),
        "it was theirs"
    );
    assert!(world.violations.is_empty(), "{:?}", world.violations);
}

#[test]
fn a_version_of_nobody_is_named_and_nothing_is_done() {
    let sim = at_rest(2);
    let mut sim = sim;
    sim.world()
        .db
        .set_version(ObservedVersion::At(SchemaVersion::new("v9").unwrap()));
    let before = sim.world().end();
    check_shows(&mut sim, "blocked: the database is at version v9");
    assert_eq!(sim.world().end().logins, before.logins);
}

#[test]
fn a_plan_writes_nothing() {
    let sim = at_rest(2);
    sim.world().desired = example::desired(4).unwrap();
    let before = seen(&sim);
    let plan = sim.plan().unwrap();
    assert!(matches!(
        plan.forecast.decisions.last(),
        Some(Decision::Converged { .. })
    ));
    assert_eq!(seen(&sim), before);
}

#[test]
fn a_database_that_lost_its_roles_is_put_back_in_order_and_walks_on() {
    let mut sim = at_rest(2);
    let old = names::secret(&sim.world().desired.database.id, &v("v1"));
    {
        // Another server: the data is there, the roles are not.
        let mut world = sim.world();
        let roles: Vec<String> = world.db.roles().into_keys().collect();
        for role in roles.iter().filter(|role| role.starts_with("shop_")) {
            world.db.drop_role(role);
        }
        world.desired = example::desired(3).unwrap();
    }
    assert!(sim.settle(HOUR), "{}", story(&sim));
    let (end, _) = seen(&sim);
    assert_eq!(
        end.logins.keys().cloned().collect::<Vec<_>>(),
        [v("v2"), v("v3")]
    );
    let there = sim.world().secrets.contains_key(&old);
    assert!(!there, "{}", story(&sim));
}

#[tokio::test]
async fn another_operators_lock_is_waited_for() {
    let mut sim = at_rest(1);
    let db = sim.world().db.clone();
    let other = db.connect(&db.target()).await.unwrap();
    assert!(other.try_lock().await.unwrap());
    sim.world().desired = example::desired(2).unwrap();
    let (_, writes) = seen(&sim);
    sim.pass(MINUTE);
    assert_eq!(seen(&sim).1, writes, "{}", story(&sim));
    other.unlock().await.unwrap();
    assert!(sim.settle(HOUR), "{}", story(&sim));
    assert_eq!(sim.world().current(), Some(v("v2")));
}

#[test]
fn a_cache_that_lags_retires_nothing() {
    let mut sim = at_rest(2);
    let mut next = example::desired(3).unwrap();
    next.database.credentials.quiet_window = std::time::Duration::from_secs(5);
    sim.world().desired = next;
    sim.world().watches_stopped = true;
    // The quiet window passes, but for its last look.
    sim.turn();
    // What the watches still tell would have v1's credential retired.
    sim.world().desired.database.paused = true;
    let (end, writes) = seen(&sim);
    let shown: Vec<String> = (0..4)
        .filter_map(|_| sim.turn().decision)
        .map(|decision| decision.to_string())
        .collect();
    // It was decided on, and is not tried over and over while the watches are behind: what is live counts.
    assert!(
        story(&sim).contains("retire credential v1"),
        "{}",
        story(&sim)
    );
    assert!(
        shown.iter().any(|shown| shown.starts_with("waits: paused")),
        "{shown:?}"
    );
    assert_eq!(seen(&sim), (end, writes), "{}", story(&sim));
    sim.world().desired.database.paused = false;
    sim.world().watches_stopped = false;
    assert!(sim.settle(HOUR), "{}", story(&sim));
    assert_eq!(sim.world().current(), Some(v("v3")));
}

/// A block is looked at live before it is told. Where that finds a run to begin, it begins: what the watches still tell
/// would have it decided again and again.
#[test]
fn a_run_that_the_watches_have_not_heard_of_begins_at_once() {
    let mut sim = at_rest(1);
    // The watches hear of a wish that cannot be had, and then of nothing more.
    sim.world().desired.database.desired = v("v9");
    sim.world().watches_stopped = true;
    sim.world().db.set_reachable(false);
    sim.turn();
    sim.world().db.set_reachable(true);
    sim.world().desired = example::desired(2).unwrap();
    let shown = sim.turn().decision.map(|decision| decision.to_string());
    assert_eq!(
        shown.as_deref(),
        Some("waits: migration v2 is running"),
        "{}",
        story(&sim)
    );
}

#[test]
fn a_job_gets_the_migrator_and_nobody_else() {
    let sim = at_rest(2);
    let world = sim.world();
    let admin = "admin-password";
    assert!(secrecy::ExposeSecret::expose_secret(&world.db.target().dsn).contains(admin));
    let roles = world.db.roles();
    for job in world.jobs.values() {
        let (login, _) = job.login.as_ref().unwrap();
        assert!(
            matches!(roles[login].mark, Some(Mark::Migrator { .. })),
            "{login}"
        );
        let told = job.environment.values().find(|value| value.contains(admin));
        assert_eq!(told, None);
        assert!(job.environment["DBA_OP_CONNECTION_STRING"].contains(login.as_str()));
    }
    assert_eq!(world.jobs.len(), 2);
}
