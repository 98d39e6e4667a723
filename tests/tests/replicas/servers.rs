//! Database servers that are away and come back.

use std::time::Duration;

use dbop_tests::is_full_proof;
use dbop_tests::kubernetes::{Door, Stage, now, seconds};
use dbop_tests::local::until;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::{API_SERVER, MIGRATION, STAGES, WALK, at_v2, postgres, side_by_side, undisturbed};

/// How long a server is away.
const AWAY: Duration = Duration::from_secs(30);
/// A database is worked on so soon after its server's return.
const WORKED_ON: Duration = Duration::from_secs(15);
/// How long a dead server's databases are watched, once all of them know.
const WINDOW: Duration = Duration::from_secs(20);
/// One attempt per server in five seconds (`dbop-engine`, servers.rs), and one at the edge of the window.
const ATTEMPTS_MAX: usize = 5;
/// Databases of the dead server.
const DATABASES: usize = 200;

#[derive(Clone, Copy, Debug)]
enum Away {
    /// Whoever comes is turned away, and the walk begins meanwhile.
    Refuses,
    /// Whoever comes hears nothing.
    Silent,
    /// It goes in the middle of a retirement.
    InRetirement,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_away_is_worked_on_soon_after_its_return() {
    let ways = [Away::Refuses, Away::Silent, Away::InRetirement];
    let walks = ways.map(|how| async move {
        let (_api, _turn) = (API_SERVER.read().await, STAGES.acquire().await);
        away(how).await;
    });
    side_by_side(walks).await;
}

async fn away(how: Away) {
    let undisturbed = undisturbed().await;
    let (stage, mut a) = at_v2("server").await;
    match how {
        Away::Refuses => {
            stage.door.close();
            stage.desire("v3").await;
        }
        Away::Silent => {
            stage.door.fall_silent();
            stage.desire("v3").await;
        }
        Away::InRetirement => {
            let audit = stage.audit.from_now();
            stage.desire("v3").await;
            let deleted = audit.seen(|entry| entry.what == "delete secrets");
            timeout(WALK, deleted).await.expect("v1 is retired");
            stage.door.close();
        }
    }
    sleep(AWAY).await;
    let back = now();
    stage.door.reopen();
    let mut first = None;
    until("a statement that writes", 2 * WORKED_ON, async || {
        let said = stage.door.said().into_iter();
        first = said
            .filter(|said| said.at > back && said.is_write())
            .map(|said| said.at)
            .min();
        first.is_some()
    })
    .await;
    let took = seconds(back, first.unwrap_or_default());
    stage.at_rest("v3", WALK).await;
    println!(
        "proof: server away ({how:?}) for {AWAY:?}: written to {took:.1} s after its return, at rest after {:.1} s",
        seconds(back, now())
    );
    assert!(took < WORKED_ON.as_secs_f64(), "{how:?}");
    a.lives();
    stage.ran_once();
    assert_eq!(stage.end().await, undisturbed, "{how:?}");
    a.stop().await;
    stage.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_databases_of_a_dead_server_cost_little() {
    let (_api, _turn) = (API_SERVER.read().await, STAGES.acquire().await);
    let databases = if is_full_proof() {
        5 * DATABASES
    } else {
        DATABASES
    };
    let stage = Stage::new(&postgres(), "dead", MIGRATION).await;
    let theirs = postgres().database("failures_dead").await;
    // Tables without a version: each of its databases says so when it is reached, and no more is done there.
    let table = theirs
        .superuser()
        .await
        .batch_execute("CREATE TABLE theirs ()")
        .await;
    table.expect("a superuser may make a table");
    let dead = Door::open(postgres().address()).await;
    dead.close();
    let dsn = |door: &Door| {
        let (user, password) = (theirs.admin(), theirs.admin_password());
        format!(
            "postgresql://{user}:{password}@{}/{}?sslmode=disable",
            door.address(),
            theirs.name()
        )
    };
    stage.secret("dead-admin", &dsn(&dead)).await;
    for nth in 0..databases {
        stage
            .manage_as(&format!("dead-{nth}"), "dead-admin", "v1")
            .await;
    }
    let mut a = stage.operator("a").await;
    until("all of them say so", 2 * WALK, async || {
        say(&stage, "cannot reach").await == databases
    })
    .await;
    // The Events of that are written one after the other.
    until("all of them have told it", 2 * WALK, async || {
        let audit = stage.audit.from_now();
        sleep(Duration::from_secs(5)).await;
        let all = audit.entries();
        !all.iter()
            .any(|entry| entry.by == a.name && entry.what == "create events")
    })
    .await;

    let (audit, came) = (stage.audit.from_now(), dead.came().len());
    sleep(WINDOW).await;
    let attempts = dead.came().len() - came;
    let asked: Vec<_> = audit
        .entries()
        .into_iter()
        .filter(|entry| entry.by == a.name && !entry.what.ends_with(" leases"))
        .collect();
    let writes = asked.iter().filter(|entry| entry.is_write()).count();
    println!(
        "proof: {databases} databases of a dead server: {attempts} attempts and {} requests ({writes} writes) in {WINDOW:?}",
        asked.len()
    );
    assert!(
        attempts <= ATTEMPTS_MAX,
        "{attempts} attempts in {WINDOW:?}"
    );
    // The status of the one that tried, where it heard other words than before.
    assert!(writes <= attempts, "{asked:?}");

    // One elsewhere does not wait for them: its DSN is wrong first, and then right.
    stage
        .secret(
            "shop-admin",
            "postgresql://nobody:wrong@127.0.0.1:9/nothing?sslmode=disable",
        )
        .await;
    stage.manage_as("shop", "shop-admin", "v1").await;
    until("it says so", WALK, async || {
        let status = stage.status("shop").await;
        status["summary"]
            .as_str()
            .is_some_and(|text| text.contains("cannot reach"))
    })
    .await;
    sleep(Duration::from_secs(5)).await;
    let repaired = now();
    let change = serde_json::json!({ "stringData": { "dsn": stage.dsn() } });
    stage
        .api
        .change(&format!("{}/shop-admin", stage.path("secrets")), &change)
        .await;
    stage.at_rest("v1", WALK).await;
    let said = stage.door.said();
    let first = said.iter().map(|said| said.at).min().unwrap_or_default();
    println!(
        "proof: a database elsewhere is worked on {:.2} s after its repair",
        seconds(repaired, first)
    );
    assert!(seconds(repaired, first) < WORKED_ON.as_secs_f64());

    let back = now();
    dead.reopen();
    let patience = WALK * u32::try_from(databases / DATABASES).expect("it is a small number");
    until("all were looked at", patience, async || {
        say(&stage, "cannot reach").await == 0
    })
    .await;
    let first = dead
        .said()
        .iter()
        .map(|said| said.at)
        .min()
        .unwrap_or_default();
    println!(
        "proof: its return: the first is worked on after {:.1} s, all {databases} were looked at after {:.1} s",
        seconds(back, first),
        seconds(back, now())
    );
    assert!(seconds(back, first) < WORKED_ON.as_secs_f64());
    a.lives();
    a.stop().await;
    stage.leave().await;
}

/// How many databases of the dead server say this.
async fn say(stage: &Stage, words: &str) -> usize {
    let all = stage.api.list(&stage.path("manageddatabases")).await;
    let says = |object: &&Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let summary = object["status"]["summary"].as_str().unwrap_or_default();
        name.starts_with("dead-") && summary.contains(words)
    };
    all.iter().filter(says).count()
}
