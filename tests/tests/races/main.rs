//! Races for a credential that is being retired: nobody who was let in is cut off, nobody's credential goes who was
//! seen, and the windows that remain are measured.
//!
//! A client begins before a walk that retires its credential, or at any moment of it. Ten minutes of it are
//! `cargo xtask prove races`; `cargo xtask test` runs a few rounds that differ from run to run.

#![expect(
    clippy::disallowed_methods,
    reason = "how long real servers take is measured by a real clock"
)]

mod client;

use std::time::{Duration, Instant};

use dbop_tests::local::{Site, Step};
use dbop_tests::random::Random;
use dbop_tests::{TestServer, is_full_proof, on_newest, seed};

use client::{Account, Gate, Manner, client, gate};

const CREATE: &str = "CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(20))";
/// So long a credential has to be unused.
const QUIET: &str = "1s";
/// Rounds of the slice, on each server.
const ROUNDS: usize = 6;
/// Looks at a client in a tight loop, to know how often it is seen.
const LOOKS: usize = 200;
/// Between two of them.
const LOOK_STEP: Duration = Duration::from_millis(10);
/// How long a proof goes on.
const FULL: Duration = Duration::from_secs(600);
/// A client that begins so much before the lock, or after it, begins close to it.
const CLOSE: Duration = Duration::from_millis(150);
/// A client in a tight loop is seen within this: the close row of looks right before the lock takes half a second. What
/// is measured here stands in docs/applications.md.
const UNSEEN_MAX: Duration = Duration::from_millis(500);

/// When a client begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    /// Before the walk.
    Before,
    /// So long after the walk began.
    After(Duration),
}

/// What came of the rounds on one server.
#[derive(Debug, Default)]
struct Tally {
    rounds: usize,
    kept: usize,
    gone: usize,
    /// Locked, found in use by another look, and opened again.
    undone: usize,
    let_in: usize,
    /// The longest time before the lock in which a client had begun that was not seen.
    unseen: Duration,
    /// How many were not seen.
    missed: usize,
    /// The longest time for which a lock that was undone shut out.
    shut_out: Duration,
    /// The longest time from the lock to the end of the login.
    retiring: Duration,
}

/// A credential on its way out, as the gate showed it.
#[derive(Debug, Default)]
struct Retirement {
    locked: Option<Instant>,
    opened: Option<Instant>,
    gone: Option<Instant>,
}

#[tokio::test]
async fn nobody_who_was_let_in_is_cut_off() {
    let seed = seed();
    println!("DBOP_SEED={seed}");
    on_newest(move |server| async move {
        let mut random = Random::new(seed ^ server.title().len() as u64);
        let tally = race(&server, &mut random).await;
        println!(
            "proof: {}: {} clients, let in {} times and none of them cut off; {} kept their credential, {} of them after \
             a lock that was undone and had shut them out for {} ms at most; {} found it gone, {} of whom had been let in \
             before the lock, {} ms at most; from the lock to the end of a login: {} ms at most",
            server.title(),
            tally.rounds,
            tally.let_in,
            tally.kept,
            tally.undone,
            tally.shut_out.as_millis(),
            tally.gone,
            tally.missed,
            tally.unseen.as_millis(),
            tally.retiring.as_millis(),
        );
        assert!(tally.kept > 0, "a client from before keeps its credential");
    })
    .await;
}

async fn race(server: &TestServer, random: &mut Random) -> Tally {
    let site = Site::new(server, "races").await;
    site.set("/spec/credentials/quietWindow", QUIET);
    site.steps(0, &[Step::new(CREATE), nothing(2)]);
    for version in ["v1", "v2"] {
        site.desire(version);
        site.directory.local().await.exits(0);
    }
    let started = Instant::now();
    println!(
        "proof: {}: a client in a tight loop was there in {} of {LOOKS} looks",
        server.title(),
        seen(&site).await
    );
    // When the lock comes is known from a round that nobody disturbs.
    let mut until_lock = undisturbed(&site, 3).await;
    let mut tally = Tally::default();
    for version in 4.. {
        let is_over = match is_full_proof() {
            true => started.elapsed() > FULL,
            false => tally.rounds == ROUNDS,
        };
        if is_over {
            break;
        }
        // Of six rounds one begins before, one at any moment, and four close to the lock.
        let begins = match tally.rounds % 6 {
            0 => Begins::Before,
            1 => Begins::After(up_to(random, until_lock)),
            _ => Begins::After(until_lock.saturating_sub(CLOSE) + up_to(random, CLOSE * 2)),
        };
        let manner = random.pick(&[Manner::Tight, Manner::Tight, Manner::Staying]);
        if let Some(took) = round(&site, version, begins, manner, &mut tally).await {
            until_lock = took;
        }
    }
    tally
}

/// How many looks in a row see a client in a tight loop.
async fn seen(site: &Site) -> usize {
    let credential = site.published("v2");
    let (uri, login) = (credential.get("uri"), credential.get("username"));
    let client = client(uri.to_owned(), Manner::Tight, Duration::ZERO);
    let person = site.database.person().await;
    let mut seen = 0;
    for _ in 0..LOOKS {
        tokio::time::sleep(LOOK_STEP).await;
        let sessions = site.database.sessions(&person, login).await;
        seen += usize::from(!sessions.is_empty());
    }
    person.close().await;
    assert_eq!(client.end().broken, None);
    seen
}

/// A walk to `version` while nobody uses the credential that it retires; gives the time until the lock.
async fn undisturbed(site: &Site, version: usize) -> Duration {
    site.steps(version - 1, &[nothing(version)]);
    site.desire(&format!("v{version}"));
    let old = site.published(&format!("v{}", version - 2));
    let gate = gate(&site.database, old.get("username"));
    let began = Instant::now();
    site.directory.local().await.exits(0);
    let retired = retirement(&gate.end());
    retired.locked.expect("it was locked").duration_since(began)
}

/// A walk to `version` beside a client of the credential that it retires; gives the time until the lock, if it came.
async fn round(
    site: &Site,
    version: usize,
    begins: Begins,
    manner: Manner,
    tally: &mut Tally,
) -> Option<Duration> {
    site.steps(version - 1, &[nothing(version)]);
    let what = format!("v{version}, {manner:?}, {begins:?}");
    let old = site.published(&format!("v{}", version - 2));
    let gate = gate(&site.database, old.get("username"));
    let beside = |begins| client(old.get("uri").to_owned(), manner, begins);
    site.desire(&format!("v{version}"));
    let (clients, began) = match begins {
        Begins::Before => {
            let early = beside(Duration::ZERO);
            tokio::time::sleep(CLOSE).await;
            (early, Instant::now())
        }
        Begins::After(time) => {
            let began = Instant::now();
            (beside(time), began)
        }
    };
    let walk = site.directory.local().await;
    // A client that begins after the end of the walk has begun all the same.
    tokio::time::sleep(CLOSE).await;
    let (account, retired) = (clients.end(), retirement(&gate.end()));
    assert_eq!(account.broken, None, "{what}");
    judge(&what, begins, manner, &account, &retired, tally);
    match retired.gone {
        Some(_) => drop(walk.exits(0)),
        None => {
            walk.exits(3).says("is still used by");
            // The credential goes when its client has gone.
            old.connect().await.expect(&what).close().await;
            site.directory.local().await.exits(0);
        }
    }
    assert_eq!(
        site.status()["currentVersion"],
        format!("v{version}"),
        "{what}"
    );
    retired.locked.map(|at| at.duration_since(began))
}

/// Checks what must hold of a round, and counts.
fn judge(
    what: &str,
    begins: Begins,
    manner: Manner,
    account: &Account,
    retired: &Retirement,
    tally: &mut Tally,
) {
    tally.rounds += 1;
    tally.let_in += account.visits.len();
    let (first, last) = (account.visits.first(), account.visits.last());
    if let (Some(locked), Some(opened)) = (retired.locked, retired.opened) {
        tally.undone += 1;
        tally.shut_out = tally.shut_out.max(opened.duration_since(locked));
    }
    if begins == Begins::Before {
        assert_eq!(retired.gone, None, "{what}: it was in use all the time");
    }
    let Some(gone) = retired.gone else {
        tally.kept += 1;
        let last = last.unwrap_or_else(|| panic!("{what}: it is kept for somebody who was let in"));
        if let Some(refused) = account.refused.last() {
            assert!(last.served > *refused, "{what}: at the end it is let in");
        }
        return;
    };
    tally.gone += 1;
    let locked = retired.locked.expect("a login that goes was locked");
    tally.retiring = tally.retiring.max(gone.duration_since(locked));
    let Some(first) = first else { return };
    assert_eq!(manner, Manner::Tight, "{what}: who stays is seen");
    tally.missed += 1;
    let unseen = locked.saturating_duration_since(first.came);
    tally.unseen = tally.unseen.max(unseen);
    assert!(
        unseen < UNSEEN_MAX,
        "{what}: it went on for {unseen:?} before the lock"
    );
}

/// The last lock, and what became of it.
fn retirement(gate: &Gate) -> Retirement {
    let mut retirement = Retirement::default();
    for (at, is_open) in gate {
        match is_open {
            Some(false) => retirement.locked = Some(*at),
            Some(true) if retirement.locked.is_some() => retirement.opened = Some(*at),
            Some(true) => {}
            None => retirement.gone = Some(*at),
        }
    }
    retirement
}

/// A step that does not touch what clients use.
fn nothing(version: usize) -> Step {
    Step::new(&format!("CREATE TABLE step_{version} (id INT)"))
}

fn up_to(random: &mut Random, time: Duration) -> Duration {
    let micros = u64::try_from(time.as_micros()).expect("a short time");
    Duration::from_micros(random.below(micros))
}
