//! The simulation: exhaustive single faults of a walk of three migrations, and random histories.
//!
//! `DBOP_SEED` repeats a run, `DBOP_HISTORIES` says how many histories, `DBOP_PROVE=full` makes it the long one.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot make its names should fail"
)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use dbop_model::MigrationName;
use dbop_plan::example;
use dbop_testkit::sim::actors::{Application, Habit};
use dbop_testkit::sim::fleet::{Failure, Story, shrink};
use dbop_testkit::sim::world::{FaultKind, Race, World};
use dbop_testkit::sim::{Rng, Sim, faults};
use jiff::{SignedDuration, Timestamp};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Histories of a bounded run.
const HISTORIES: u64 = 300;
/// Histories of `DBOP_PROVE=full`, unless `DBOP_HISTORIES` says otherwise.
const HISTORIES_FULL: u64 = 100_000;
/// Somebody who waits for a long run is told this often.
const PROGRESS_EVERY: u64 = 10_000;
/// A planted fault is found in fewer histories than this.
const PLANTED_HISTORIES_MAX: u64 = 500;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is not a number: {text}")),
    )
}

fn is_full() -> bool {
    std::env::var("DBOP_PROVE").is_ok_and(|value| value == "full")
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
    let story = world.told();
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
    let story = world.told();
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

/// At rest at v2, with v3 wanted, which v1's code cannot live with; nobody is connected.
fn about_to_retire() -> Sim {
    let mut desired = example::desired(3).unwrap();
    desired.database.credentials.quiet_window = std::time::Duration::from_secs(5);
    desired.database.desired = v("v2");
    let mut sim = Sim::new(World::new(desired), 1);
    assert!(sim.settle(SignedDuration::from_hours(1)));
    sim.world().desired.database.desired = v("v3");
    sim
}

/// Is the last thing that happened that a login was locked?
fn is_just_locked(world: &World) -> bool {
    let last = world.story.back();
    last.is_some_and(|line| line.ends_with(": lock_login"))
}

/// Tells, asked whenever time has passed, whether the operator is in the close row of looks before a lock: nowhere else
/// does it look again and again within hundredths of a second.
fn close_row() -> impl FnMut(&World) -> bool {
    let (mut last, mut close) = (Timestamp::UNIX_EPOCH, 0);
    move |world| {
        let is_close = world.now.duration_since(last) <= SignedDuration::from_millis(20);
        close = if is_close { close + 1 } else { 0 };
        last = world.now;
        close == 10
    }
}

/// Turns until what is to happen meanwhile has; v1 has to be watched anew then, and stays as it is.
#[track_caller]
fn check_nothing_is_locked(mut sim: Sim) {
    let end = sim.world().now + SignedDuration::from_mins(1);
    while sim.world().meanwhile.is_some() && sim.world().now < end {
        sim.turn();
    }
    sim.pass(SignedDuration::from_secs(4));
    let world = sim.world();
    let story = world.told();
    assert!(world.meanwhile.is_none(), "its moment never came\n{story}");
    assert!(!story.contains(": lock_login"), "{story}");
    assert!(world.violations.is_empty(), "{story}");
}

#[test]
fn who_is_there_for_a_moment_right_before_the_lock_keeps_the_login() {
    let sim = about_to_retire();
    let (mut is_moment, mut session) = (close_row(), None);
    sim.world().meanwhile = Some(Box::new(move |world| {
        if let Some(session) = session.take() {
            world.db.close_session(session);
            return true;
        }
        if is_moment(world) {
            let secret = world.secret_of(&v("v1")).unwrap();
            let value = |key: &str| secret.data[key].as_str();
            let opened = world.db.open_session(value("username"), value("password"));
            session = Some(opened.unwrap());
        }
        false
    }));
    check_nothing_is_locked(sim);
}

#[test]
fn close_looks_that_take_long_do_not_end_the_row_that_they_are_of() {
    let mut sim = about_to_retire();
    let mut last = Timestamp::UNIX_EPOCH;
    sim.world().meanwhile = Some(Box::new(move |world| {
        // A server under load answers each of them late: all together they take longer than a row may pause.
        if world.now.duration_since(last) <= SignedDuration::from_millis(60) {
            world.now += SignedDuration::from_millis(40);
        }
        last = world.now;
        false
    }));
    sim.pass(SignedDuration::from_mins(1));
    let world = sim.world();
    let story = world.told();
    assert!(story.contains(": drop_login"), "{story}");
    assert!(world.violations.is_empty(), "{story}");
}

#[test]
fn a_person_who_pauses_right_before_the_lock_is_heard() {
    let sim = about_to_retire();
    let mut is_moment = close_row();
    sim.world().meanwhile = Some(Box::new(move |world| {
        let is_moment = is_moment(world);
        world.desired.database.paused |= is_moment;
        is_moment
    }));
    check_nothing_is_locked(sim);
}

#[test]
fn a_session_that_was_let_in_before_the_lock_and_shows_after_it_gets_its_login_back() {
    let mut sim = about_to_retire();
    sim.world().meanwhile = Some(Box::new(|world| {
        let is_moment = is_just_locked(world);
        if is_moment {
            let secret = world.secret_of(&v("v1")).unwrap().clone();
            let login = &secret.data["username"];
            // The server looked at the login before it was locked, and begins the session now.
            world.db.set_open(login, true);
            let opened = world.db.open_session(login, &secret.data["password"]);
            world.db.set_open(login, false);
            opened.unwrap();
            world.tell("late comes");
        }
        is_moment
    }));
    sim.pass(SignedDuration::from_mins(1));
    let world = sim.world();
    let story = world.told();
    assert!(world.violations.is_empty(), "{story}");
    assert!(story.contains("late comes"), "{story}");
    assert!(story.contains(": unlock_login"), "{story}");
    // The looks after the lock see it, and not only the one after the Secret: that stays.
    assert!(!story.contains("delete Secret"), "{story}");
    assert!(!story.contains(": drop_login"), "{story}");
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
fn every_pair_of_faults_ends_as_the_undisturbed_walk_does() {
    let world = || {
        let mut world = three_migrations_with_an_application();
        world.later = Some(v("v3"));
        world
    };
    let kinds: &[FaultKind] = match is_full() {
        true => &faults::KINDS,
        false => &[FaultKind::FailBefore, FaultKind::FailAfter],
    };
    let broken = faults::pairs(world, kinds, 1);
    println!(
        "proof: faults: two migrations, {} writes, {} walks with every fault and every pair of faults, each in {} \
         ways, {} ended otherwise",
        broken.writes,
        broken.walks,
        kinds.len(),
        broken.failures.len()
    );
    assert!(broken.failures.is_empty(), "{}", broken.failures[0]);
}

/// Runs histories on every core; the failure of the one with the lowest number, where there is one.
fn run_histories(seed: u64, histories: u64) -> (BTreeMap<String, u64>, Option<(u64, Failure)>) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let work = || {
        let mut covered: BTreeMap<String, u64> = BTreeMap::new();
        let mut failure = None;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= histories.min(failed.load(Ordering::Relaxed)) {
                return (covered, failure);
            }
            if index > 0 && index % PROGRESS_EVERY == 0 {
                // Not captured, as what is printed is: somebody waits for it.
                let line = format!("progress: {index} of {histories} histories\n");
                let _ = std::io::stderr().write_all(line.as_bytes());
            }
            let one = seed_of(seed, index);
            match Story::drawn(one).run() {
                Ok(writes) => {
                    for (kind, count) in writes {
                        // By the kind of write, whatever migration it was of.
                        let kind = kind.split(" the run of ").next().unwrap_or(&kind);
                        *covered.entry(kind.to_owned()).or_default() += count;
                    }
                }
                Err(broken) => {
                    failed.fetch_min(index, Ordering::Relaxed);
                    failure = Some((one, broken));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut covered: BTreeMap<String, u64> = BTreeMap::new();
        let mut failure = None;
        for thread in threads {
            let (of_thread, failed) = thread.join().unwrap();
            for (kind, count) in of_thread {
                *covered.entry(kind).or_default() += count;
            }
            failure = failure.or(failed);
        }
        (covered, failure)
    })
}

/// The first history's seed is the run's own, so that one history can be repeated by its seed.
fn seed_of(run: u64, index: u64) -> u64 {
    match index {
        0 => run,
        index => Rng::new(run.wrapping_add(index.wrapping_mul(0x9E37_79B9))).bits(),
    }
}

/// A failing history, made short, for people.
fn told(story: &Story, failure: &Failure, prepare: impl Fn(&mut World) + Copy) -> String {
    let (story, failure) = shrink(story, failure, prepare);
    format!("{story}\n{failure}")
}

#[test]
fn random_histories_break_no_invariant() {
    let seed = seed();
    let default = if is_full() { HISTORIES_FULL } else { HISTORIES };
    let histories = number("DBOP_HISTORIES").unwrap_or(default);
    println!("seed {seed}; repeat one history with DBOP_SEED=<its seed> DBOP_HISTORIES=1");
    let (covered, failure) = run_histories(seed, histories);
    if let Some((one, failure)) = failure {
        // A long history takes its time to become short.
        eprintln!(
            "history {one} breaks {}: {}",
            failure.invariant, failure.detail
        );
        let text = told(&Story::drawn(one), &failure, |_| {});
        panic!("{text}\nrepeat the whole: DBOP_SEED={one} DBOP_HISTORIES=1");
    }
    let covered: Vec<String> = covered
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    println!("proof: simulation: writes made: {}", covered.join(", "));
    println!("proof: simulation: {histories} random histories of seed {seed}, no invariant broken");
}

#[test]
fn a_planted_fault_is_found_and_told_as_a_short_story() {
    // The platform does not tell who refers to a Secret: sooner or later a login goes that somebody needs.
    let blind = |world: &mut World| world.blind = true;
    let broken = (0..PLANTED_HISTORIES_MAX).find_map(|seed| {
        let story = Story::drawn(seed);
        // Which of two clusters is first to claim a database hangs on all that is drawn before it.
        let mut databases = story.setup.databases.iter();
        if databases.any(|one| one.same_as.is_some()) {
            return None;
        }
        let failure = story.run_with(blind).err()?;
        Some((story, failure))
    });
    let (story, failure) = broken.expect("no history shows the planted fault");
    assert_eq!(failure.invariant, "referred_login_is_never_dropped");
    let (short, failure) = shrink(&story, &failure, blind);
    let text = format!("{short}\n{failure}");
    assert_eq!(failure.invariant, "referred_login_is_never_dropped");
    // Somebody deploys an application, something newer is wanted, and time passes.
    assert!(short.entries.len() <= 4, "{text}");
    assert_eq!(short.setup.databases.len(), 1, "{text}");
    assert!(
        text.contains("is deployed, which refers to the Secret"),
        "{text}"
    );
    assert!(text.contains("refers to the Secret of shop_v"), "{text}");
    // It can be run again as it is told.
    assert_eq!(short.run_with(blind).unwrap_err(), failure);
    short.run().unwrap();
    println!("{text}");
}
