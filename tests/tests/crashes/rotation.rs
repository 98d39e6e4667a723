//! Rotations that are killed at every write: the published Secret works all the time, the login before goes, and
//! nothing is left over.
//!
//! Points are found as those of walks are, in a rotation that nobody disturbs. An application reads its Secret for each
//! login, as one does that is told of the change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dbop_tests::local::{Credential, Site};
use dbop_tests::random::Random;
use dbop_tests::{TestServer, is_full_proof};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::end::End;
use crate::events::{Event, Point};
use crate::walk::{Blow, History, Phase, Strike, WORK, go, site};
use crate::{WALKS, random, servers};

/// What has its credential rotated.
const REST: Phase = Phase {
    name: "to v1",
    desired: "v1",
    exit: 0,
};
const ROTATION: Phase = Phase {
    name: "the rotation",
    desired: "v1",
    exit: 0,
};
/// How often the application logs in.
const LOGIN_EVERY: Duration = Duration::from_millis(20);
/// A Secret's keys are exchanged together; who reads them meanwhile reads them again.
const READS_MAX: usize = 100;
/// A blow comes at most so much after its event.
const DELAY_MS_MAX: u64 = 30;
/// So many points of each rotation are tried where it is no proof.
const SLICE: usize = 2;

/// Why a login is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Somebody said `rotate`.
    Said,
    /// It is older than `rotateEvery`.
    Age,
}

/// One rotation, to its end.
async fn rotated(server: &TestServer, wish: Wish, strike: Option<&Strike>) -> History {
    let site = Arc::new(site(server, "crash_rotation").await);
    let mut history = History::begun(false);
    site.desire(REST.desired);
    go(&site, &REST, None, &mut history).await;
    let before = site.published("v1");
    match wish {
        Wish::Said => {
            let said = site.directory.ask(&["rotate", &site.name, "v1"]).await;
            said.exits(0);
        }
        Wish::Age => {
            site.set("/spec/credentials/rotateEvery", "10m");
            site.age("v1");
        }
    }
    let over = Arc::new(AtomicBool::new(false));
    let application = tokio::spawn(logs_in(site.clone(), over.clone()));
    let mut rotation = History::begun(strike.is_none());
    go(&site, &ROTATION, strike, &mut rotation).await;
    over.store(true, Ordering::Release);
    rotation.queries = application.await.expect("the application was refused");

    let after = site.published("v1");
    assert!(
        after.get("username") != before.get("username"),
        "{before:?} was not replaced"
    );
    assert!(after.get("password") != before.get("password"));
    if let Ok(_session) = before.connect().await {
        panic!("{before:?} was replaced and still works");
    }
    // One login alone: the other one is gone, whichever it was.
    site.has_credentials(&["v1"]).await;
    let at_rest = site.snapshot().await;
    site.directory.local().await.exits(0);
    at_rest.is_still(&site.snapshot().await);
    rotation.end = End::of(&site).await;
    rotation
}

/// An application that logs in by what is published, again and again: it is never refused. Gives how often.
async fn logs_in(site: Arc<Site>, over: Arc<AtomicBool>) -> u64 {
    let mut logins = 0;
    while !over.load(Ordering::Acquire) {
        let published = published(&site).await;
        match published.connect().await {
            Ok(session) => {
                if let Err(error) = session.run(WORK).await {
                    panic!("{published:?} is published and cannot work: {error}");
                }
                logins += 1;
            }
            // On a busy machine it was exchanged since it was read, and whoever is told of it reads it again.
            Err(error) => assert!(
                self::published(&site).await.data() != published.data(),
                "{published:?} is published and refused: {error:?}"
            ),
        }
        sleep(LOGIN_EVERY).await;
    }
    logins
}

/// The Secret as it is, and not half of one and half of the next.
async fn published(site: &Site) -> Credential {
    let mut last = None;
    for _ in 0..READS_MAX {
        let now = site.credential("v1");
        if let (Some(last), Some(now)) = (&last, &now)
            && Credential::data(last) == now.data()
        {
            return now.clone();
        }
        last = now;
        sleep(Duration::from_millis(1)).await;
    }
    panic!("Secret v1 was not to be read");
}

/// Each event, at once and a little later.
fn strikes(events: &[Event], random: &mut Random) -> Vec<Strike> {
    let mut strikes = Vec::new();
    for event in events {
        for delay in [0, 1 + random.below(DELAY_MS_MAX)] {
            strikes.push(Strike {
                point: Point {
                    phase: 0,
                    event: event.clone(),
                    delay: Duration::from_millis(delay),
                },
                blow: Blow::Local,
                pause: Duration::from_millis(random.below(2) * random.below(400)),
            });
        }
    }
    random.shuffle(&mut strikes);
    strikes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_killed_at_any_write_ends_with_one_login_that_works() {
    for server in servers() {
        for (nth, wish) in (5..).zip([Wish::Said, Wish::Age]) {
            of_wish(&server, wish, &mut random(&server, nth)).await;
        }
    }
}

async fn of_wish(server: &TestServer, wish: Wish, random: &mut Random) {
    let undisturbed = rotated(server, wish, None).await;
    let events = &undisturbed.seen.first().expect("it was watched").events;
    let has = |words: &str| events.iter().any(|event| event.label.contains(words));
    assert!(has("CREATE ") && has("DROP "), "{events:?}");
    let mut all = strikes(events, random);
    if !is_full_proof() {
        all.truncate(SLICE);
    }
    let asked = all.len();
    let mut walks = JoinSet::new();
    for strike in all {
        let (server, undisturbed) = (server.clone(), undisturbed.end.clone());
        walks.spawn(async move {
            let _turn = WALKS.acquire().await.expect("nobody closes it");
            let told = format!("{wish:?}: {}", spell(&strike));
            println!("{}: {told}", server.title());
            let history = rotated(&server, wish, Some(&strike)).await;
            history.end.is_like(&undisturbed, None, &told);
            history
        });
    }
    let (mut failed, mut logins) = (0, 0);
    let mut struck_after: BTreeMap<String, usize> = BTreeMap::new();
    while let Some(walked) = walks.join_next().await {
        // The panic itself is among the output.
        let Ok(history) = walked else {
            failed += 1;
            continue;
        };
        logins += history.queries;
        if let Some(event) = history.struck_after {
            *struck_after.entry(event).or_default() += 1;
        }
    }
    assert!(failed == 0, "{failed} rotations did not end as they should");
    let hits: usize = struck_after.values().sum();
    let least = if is_full_proof() { asked / 2 } else { 1 };
    assert!(hits >= least, "only {hits} of {asked} points were hit");
    let by = match wish {
        Wish::Said => "by `rotate`",
        Wish::Age => "by age",
    };
    let title = server.title();
    println!(
        "proof: {title}: a rotation {by} killed at {hits} points, {} of them different: each ended with one login, which \
         the Secret names, the one before refused; {logins} logins by the published Secret meanwhile, none refused",
        struck_after.len()
    );
    let points: Vec<String> = struck_after
        .iter()
        .map(|(event, times)| format!("`{event}` ({times} times)"))
        .collect();
    println!(
        "proof: {title}, a rotation {by}: right after {}",
        points.join("; ")
    );
}

fn spell(strike: &Strike) -> String {
    format!(
        "killed {:?} after `{}` (no. {}), next command {:?} later",
        strike.point.delay, strike.point.event.label, strike.point.event.nth, strike.pause
    )
}
