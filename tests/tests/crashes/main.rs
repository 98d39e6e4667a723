//! Walks that are killed at many points end like undisturbed ones, on real servers.
//!
//! The whole of it is `cargo xtask prove crashes`; `cargo xtask test` runs a slice that differs from run to
//! run. Points are found by what is seen of the walk (`events.rs`), never by anything in the operator.

mod end;
mod events;
mod log;
mod points;
mod rotation;
mod walk;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use dbop_tests::local::{Finished, Running, Site, Step, until};
use dbop_tests::random::Random;
use dbop_tests::{Engine, TestServer, is_full_proof, on_each_engine, seed};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;

use walk::{Blow, History, PHASES, Strike, Trouble, walk};

/// Walks mostly wait, so that more of them run side by side than there are cores; more than this would be
/// slow to strike.
static WALKS: Semaphore = Semaphore::const_new(6);
/// The next command comes at most this much after a killed one: a migration ends within it.
const PAUSE_MS_MAX: u64 = 800;
const PATIENCE: Duration = Duration::from_secs(30);
/// How often blows are struck until each kind of outcome was among them.
const ROUNDS_MAX: usize = 5;

/// An undisturbed walk on each server: what the others are compared with, and where their points are from.
type Reference = Arc<OnceCell<History>>;
static REFERENCES: Mutex<BTreeMap<String, Reference>> = Mutex::new(BTreeMap::new());

async fn reference(server: &TestServer) -> Reference {
    let cell = {
        let mut all = REFERENCES.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(server.title()).or_default().clone()
    };
    cell.get_or_init(async || {
        let undisturbed = walk(server, "cn", &Trouble::None).await;
        assert_eq!(undisturbed.word, None, "nobody had to say anything");
        undisturbed.end.is_complete();
        println!(
            "proof: {}: the undisturbed walk has {} events of {} kinds in {:.1} s",
            server.title(),
            undisturbed
                .seen
                .iter()
                .map(|seen| seen.events.len())
                .sum::<usize>(),
            points::kinds(&undisturbed.seen).len(),
            undisturbed.took.as_secs_f64()
        );
        undisturbed
    })
    .await;
    cell
}

/// What came of many walks.
#[derive(Default)]
struct Account {
    walks: usize,
    missed: usize,
    queries: u64,
    retried: usize,
    accepted: usize,
    /// Half of a migration's work was there.
    halves: usize,
    /// By phase: what was seen last before the blow, how often.
    struck_after: BTreeMap<(usize, String), usize>,
}

/// Strikes walks at these points, and checks that each ends like the undisturbed one.
async fn strike_all(server: &TestServer, strikes: Vec<Strike>) -> Account {
    let cell = reference(server).await;
    let undisturbed = &cell.get().expect("it was initialised").end;
    let (mut account, mut failed) = (Account::default(), 0);
    let mut walks = JoinSet::new();
    for strike in strikes {
        let (server, undisturbed) = (server.clone(), undisturbed.clone());
        walks.spawn(async move {
            let _turn = WALKS.acquire().await.expect("nobody closes it");
            // A panic's message does not say it.
            println!("{}: {}", server.title(), spell(&strike));
            let phase = strike.point.phase;
            let history = walk(&server, "cr", &Trouble::Strike(strike.clone())).await;
            history
                .end
                .is_like(&undisturbed, history.word, &spell(&strike));
            (phase, history)
        });
    }
    while let Some(walked) = walks.join_next().await {
        // The panic itself is among the output.
        let Ok((phase, history)) = walked else {
            failed += 1;
            continue;
        };
        account.walks += 1;
        account.queries += history.queries;
        account.retried += usize::from(history.word == Some("retry"));
        account.accepted += usize::from(history.word == Some("accept-run"));
        account.halves += usize::from(history.half_run);
        match history.struck_after {
            None => account.missed += 1,
            Some(event) => *account.struck_after.entry((phase, event)).or_default() += 1,
        }
    }
    assert!(failed == 0, "{failed} walks did not end as they should");
    account
}

fn spell(strike: &Strike) -> String {
    let Strike { point, blow, pause } = strike;
    format!(
        "{blow:?}, {:?} after `{}` (no. {}) on the way {}, next command {pause:?} later",
        point.delay, point.event.label, point.event.nth, PHASES[point.phase].name
    )
}

/// Was a migration half run, where it can be?
fn is_half_run(account: &Account, server: &TestServer) -> bool {
    account.halves > 0 || server.engine() == Engine::Postgres
}

impl Account {
    fn add(&mut self, more: Account) {
        self.walks += more.walks;
        self.missed += more.missed;
        self.queries += more.queries;
        self.retried += more.retried;
        self.accepted += more.accepted;
        self.halves += more.halves;
        for (point, times) in more.struck_after {
            *self.struck_after.entry(point).or_default() += times;
        }
    }

    fn hits(&self) -> usize {
        self.walks - self.missed
    }

    fn prove(&self, server: &TestServer, what: &str, outcome: &str) {
        let title = server.title();
        println!(
            "proof: {title}: {what} at {} points, {} of them different; {outcome}; {} queries of \
             applications, none failed",
            self.hits(),
            self.struck_after.len(),
            self.queries
        );
        for (at, phase) in PHASES.iter().enumerate() {
            let points: Vec<String> = self
                .struck_after
                .iter()
                .filter(|((of, _), _)| *of == at)
                .map(|((_, event), times)| match times {
                    1 => format!("`{event}`"),
                    times => format!("`{event}` ({times} times)"),
                })
                .collect();
            if !points.is_empty() {
                let list = points.join("; ");
                println!("proof: {title}, {what}, {}: right after {list}", phase.name);
            }
        }
    }
}

/// The seed of a test on a server: of the run's, but another for each.
fn random(server: &TestServer, test: u64) -> Random {
    let seed = seed_of_run();
    println!("DBOP_SEED={seed}");
    let of_server = server.title().bytes().fold(0_u64, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    Random::new(seed ^ (of_server << 24) ^ (test << 56))
}

/// Is an event of this kind in the middle of a migration, with a quarter of a second still to go?
///
/// MariaDB writes down all statements that came together as one, PostgreSQL and MySQL each by itself.
fn is_at_work(kind: &str) -> bool {
    kind.starts_with("migration: ") && kind.contains("INSERT INTO runs")
}

/// The servers of the walks: all of them for a proof, and one that differs from run to run otherwise.
fn servers() -> Vec<TestServer> {
    let mut servers = dbop_tests::servers();
    if !is_full_proof() {
        let at = Random::new(seed_of_run()).below(servers.len() as u64);
        servers = vec![servers.swap_remove(usize::try_from(at).expect("an index fits"))];
    }
    servers
}

/// The seed of this run; every test prints it.
fn seed_of_run() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(seed)
}

fn strikes(points: Vec<events::Point>, blow: Blow, random: &mut Random) -> Vec<Strike> {
    let strike = |point| {
        // At once, or when a migration that lives on may have ended.
        let pause = match random.below(2) {
            0 => 0,
            _ => random.below(PAUSE_MS_MAX),
        };
        let pause = Duration::from_millis(pause);
        Strike { point, blow, pause }
    };
    points.into_iter().map(strike).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_killed_at_any_point_ends_like_undisturbed() {
    for server in servers() {
        let mut random = random(&server, 1);
        let cell = reference(&server).await;
        let walk = &cell.get().expect("it was initialised").seen;
        // All kinds of events, and at least ten points more than are asked for: some may not come again.
        let count = match is_full_proof() {
            true => points::kinds(walk).len().max(35),
            false => 3,
        };
        let chosen = points::choose(walk, count, &mut random, |_| true);
        let mut all = strikes(chosen, Blow::Local, &mut random);
        // One surely meets a migration at work, and is started again at once beside it.
        let at_work = points::choose(walk, 1, &mut random, is_at_work);
        all.extend(at_work.into_iter().map(|point| Strike {
            point,
            blow: Blow::Local,
            pause: Duration::ZERO,
        }));
        let account = strike_all(&server, all).await;
        let least = if is_full_proof() { 25 } else { 1 };
        assert!(
            account.hits() >= least,
            "only {} points were hit",
            account.hits()
        );
        let outcome = "each ended like the undisturbed walk, no migration started twice";
        account.prove(&server, "`local` killed (its child lives on)", outcome);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_with_all_its_processes_it_ends_alike_after_one_word() {
    for server in servers() {
        let mut random = random(&server, 2);
        let cell = reference(&server).await;
        let walk = &cell.get().expect("it was initialised").seen;
        let (within, anywhere) = if is_full_proof() { (6, 10) } else { (1, 0) };
        let done = |kind: &str| kind.starts_with("container: ") && kind.contains(" migrated ");
        let mut account = Account::default();
        // On a busy machine a blow comes late, and what it meets is over already: then more of them are struck.
        for _ in 0..ROUNDS_MAX {
            // While statements of a migration run, when it is done and its container is not, and anywhere.
            let mut chosen = points::choose(walk, within, &mut random, is_at_work);
            chosen.extend(points::choose(walk, within, &mut random, done));
            chosen.extend(points::choose(walk, anywhere, &mut random, |_| true));
            account.add(strike_all(&server, strikes(chosen, Blow::Tree, &mut random)).await);
            if account.retried > 0 && account.accepted > 0 && is_half_run(&account, &server) {
                break;
            }
        }
        let least = if is_full_proof() { 10 } else { 1 };
        assert!(
            account.hits() >= least,
            "only {} points were hit",
            account.hits()
        );
        assert!(
            account.retried > 0 && account.accepted > 0,
            "both words were to be needed: {} times retry, {} times accept-run",
            account.retried,
            account.accepted
        );
        let outcome = format!(
            "{} went on by themselves, {} after `retry` ({} of them were half run, and said to be), {} after \
             `accept-run`",
            account.walks - account.retried - account.accepted,
            account.retried,
            account.halves,
            account.accepted
        );
        assert!(
            is_half_run(&account, &server),
            "DDL is no transaction on {}: a migration was to be half run",
            server.title()
        );
        account.prove(
            &server,
            "`local`, supervisor and migration killed",
            &outcome,
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_the_server_ends_are_recovered_from_without_a_restart() {
    for server in servers() {
        let mut random = random(&server, 3);
        let cell = reference(&server).await;
        let walk = &cell.get().expect("it was initialised").seen;
        let (admin, migrator) = if is_full_proof() { (12, 3) } else { (1, 1) };
        // While it is connected: it is, whenever a statement of its own has just been seen.
        let own = |kind: &str| {
            !["migration: ", "container: ", "file: ", "status: "]
                .iter()
                .any(|other| kind.starts_with(other))
        };
        let chosen = points::choose(walk, admin, &mut random, own);
        let of_admin = strikes(chosen, Blow::AdminSessions, &mut random);
        let chosen = points::choose(walk, migrator, &mut random, is_at_work);
        let of_migrator = strikes(chosen, Blow::MigratorSessions, &mut random);
        let (of_admin, of_migrator) = tokio::join!(
            strike_all(&server, of_admin),
            strike_all(&server, of_migrator)
        );

        assert_eq!(of_admin.retried + of_admin.accepted, 0);
        let outcome = "each command went on by itself and ended as it should";
        of_admin.prove(
            &server,
            "the operator's sessions ended by the server",
            outcome,
        );

        let (retried, hits) = (of_migrator.retried, of_migrator.hits());
        assert_eq!(retried, hits, "a failed run is for a person");
        let outcome = "the run had failed, was named, and each went on after `retry`";
        of_migrator.prove(
            &server,
            "the migrator's session ended by the server",
            outcome,
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again_a_walk_still_ends() {
    for server in servers() {
        let cell = reference(&server).await;
        let _turn = WALKS.acquire().await.expect("nobody closes it");
        let mut random = random(&server, 4);
        let lives = if is_full_proof() { 25 } else { 3 };
        let times: Vec<Duration> = (0..PHASES.len() * lives)
            .map(|_| Duration::from_millis(40 + random.below(460)))
            .collect();
        let history = walk(&server, "cs", &Trouble::Storm(times.clone())).await;
        let undisturbed = &cell.get().expect("it was initialised").end;
        history
            .end
            .is_like(undisturbed, None, &format!("killed after {times:?}"));
        println!(
            "proof: {}: one walk killed {} times, 40 to 500 ms after each start: it ended like the \
             undisturbed one; {} queries of applications, none failed",
            server.title(),
            times.len(),
            history.queries
        );
    }
}

/// A directory with one migration.
async fn small_site(server: &TestServer, prefix: &str) -> Site {
    let site = Site::new(server, prefix).await;
    let create = "CREATE TABLE notes (id serial PRIMARY KEY, text text)";
    let change = "ALTER TABLE notes ADD COLUMN more text";
    site.steps(0, &[Step::new(create), Step::new(change)]);
    site
}

/// `local` on a directory with a state of its own.
fn start_beside(site: &Site, state: &str) -> Running {
    let state = site.directory.output().join(state);
    let state = state.to_str().expect("a test's path is text");
    site.directory.start(&["--state", state])
}

fn is_elsewhere(finished: &Finished) {
    finished
        .exits(3)
        .says("the database belongs to")
        .says("take-over");
}

#[tokio::test]
async fn a_second_state_directory_finds_the_database_claimed() {
    on_each_engine(async |server| {
        let site = small_site(&server, "crash_second").await;
        site.directory.local().await.exits(0);
        // There is something to do for whoever may do it.
        site.desire("v2");
        let before = site.snapshot().await;
        let second = start_beside(&site, "second").finish(PATIENCE).await;
        is_elsewhere(&second);
        before.is_still(&site.snapshot().await);
        assert!(
            !site
                .directory
                .output()
                .join("second/secrets/default")
                .exists()
        );
        site.directory.local().await.exits(0);
        site.has_credentials(&["v1", "v2"]).await;
    })
    .await;
}

#[tokio::test]
async fn of_two_that_begin_at_once_one_gets_the_database() {
    on_each_engine(async |server| {
        let rounds = if is_full_proof() { 8 } else { 1 };
        for _ in 0..rounds {
            let site = small_site(&server, "crash_race").await;
            let (one, two) = (start_beside(&site, "one"), start_beside(&site, "two"));
            let (one, two) = tokio::join!(one.finish(PATIENCE), two.finish(PATIENCE));
            let (winner, loser) = match one.status {
                Some(0) => (&one, &two),
                _ => (&two, &one),
            };
            winner.exits(0);
            is_elsewhere(loser);
            assert_eq!(site.logins().await.len(), 1, "the winner's credential");
            let runs = site
                .database
                .read("SELECT count(*) FROM _sqlx_migrations")
                .await;
            assert_eq!(runs, ["1"]);
        }
        println!(
            "proof: {}: two `local` begun at once on one empty database, {rounds} times: one walked, \
             the other found it claimed and changed nothing",
            server.title()
        );
    })
    .await;
}

#[tokio::test]
async fn a_state_directory_has_one_local_at_a_time() {
    on_each_engine(async |server| {
        let site = small_site(&server, "crash_busy").await;
        let mut first = site.directory.start(&["--watch"]);
        until("the first is at rest", PATIENCE, async || {
            site.credential("v1").is_some() && site.summary().starts_with("at rest")
        })
        .await;
        let before = site.snapshot().await;
        let second = site.directory.local().await;
        let process = format!("another `local` (process {})", first.id());
        second.exits(1).says(&process).says("--state");
        assert!(first.is_running(), "the first goes on");
        before.is_still(&site.snapshot().await);
        // What a killed one held is free at once.
        first.kill();
        site.directory.local().await.exits(0);
        before.is_still(&site.snapshot().await);
    })
    .await;
}
