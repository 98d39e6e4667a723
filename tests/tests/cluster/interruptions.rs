//! The operator is killed, replaced and stopped in the middle of its work: the end is the same.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::api::{text, until};
use crate::install::{self, DISTURBING};
use crate::site::Site;

/// How often it is killed in one walk.
const KILLS: usize = 10;
/// The versions of that walk: enough of them that every kill finds something under way.
const VERSIONS: usize = 12;
/// A killed leader is replaced within this time: what the design promises.
const TAKEOVER_LIMIT: Duration = Duration::from_secs(20);
/// A migration that is long enough for a new operator to begin and the old one to go.
const LONG: &str = "SELECT pg_sleep(20)";

#[tokio::test]
async fn killed_at_ten_moments_it_comes_to_the_same_end_with_one_run_each() {
    let site = Site::new("killed").await;
    let sql: Vec<String> = (1..=VERSIONS)
        .map(|nth| match nth {
            1 => "CREATE TABLE runs (version int); INSERT INTO runs VALUES (1)".to_owned(),
            _ => format!("INSERT INTO runs VALUES ({nth})"),
        })
        .collect();
    site.chain(&sql.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    let _alone = DISTURBING.lock().await;
    install::ready(&site.api).await;
    site.database(&format!("v{VERSIONS}"), json!({})).await;

    let mut takeovers = Vec::new();
    let mut moments = Vec::new();
    for nth in 0..KILLS {
        // Some steps after the last kill, at each kind of step in turn: Jobs, credentials, status.
        let (before, steps) = (site.databases.count() + site.jobs.count(), 1 + nth % 4);
        until("the walk goes on", async || {
            (site.databases.count() + site.jobs.count() >= before + steps).then_some(())
        })
        .await;
        let last = site.databases.states().pop().unwrap_or_default();
        moments.push(text(&last, "/status/summary").to_owned());
        let Some((old, _)) = install::holder(&site.api).await else {
            panic!("nobody leads")
        };
        let killed = Instant::now();
        install::kill_leader(&site.api).await;
        until("another leads", async || {
            let (new, _) = install::holder(&site.api).await?;
            (new != old).then_some(())
        })
        .await;
        takeovers.push(killed.elapsed());
    }
    let version = format!("v{VERSIONS}");
    assert_ne!(
        text(&site.shop().await, "/status/currentVersion"),
        version,
        "every kill was within the walk"
    );
    drop(_alone);
    site.at_rest(&version).await;

    site.ran_once(VERSIONS);
    let superuser = site.database.superuser().await;
    let rows = superuser
        .query("SELECT version FROM runs ORDER BY 1", &[])
        .await
        .unwrap();
    let versions: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(versions, (1..=VERSIONS as i32).collect::<Vec<_>>());
    let longest = takeovers.iter().max().unwrap();
    println!(
        "proof: killed {KILLS} times, another led after at most {:.1} s; its status said: {}",
        longest.as_secs_f64(),
        moments.join("; ")
    );
    assert!(*longest < TAKEOVER_LIMIT, "{takeovers:?}");
    site.end().await;
}

#[tokio::test]
async fn upgraded_in_the_middle_of_a_job_it_goes_on_with_it() {
    let site = Site::new("upgraded").await;
    site.chain(&["CREATE TABLE t (id int)", LONG, "DROP TABLE t"])
        .await;
    site.database("v1", json!({})).await;
    site.at_rest("v1").await;
    let _alone = DISTURBING.lock().await;
    site.desire("v3").await;
    site.running("v2").await;
    let before: Vec<_> = install::pods(&site.api).await;
    install::roll_out(&site.api).await;
    let after: Vec<_> = install::pods(&site.api).await;
    let uid = |pod: &serde_json::Value| text(pod, "/metadata/uid").to_owned();
    assert!(
        after
            .iter()
            .all(|pod| before.iter().all(|old| uid(old) != uid(pod))),
        "all Pods are new"
    );
    let running = site.shop().await;
    assert_eq!(
        text(&running, "/status/currentVersion"),
        "v1",
        "the Job still runs: {running:#}"
    );
    drop(_alone);
    site.at_rest("v3").await;
    site.ran_once(3);
    site.end().await;
}

#[tokio::test]
async fn a_time_to_live_removes_no_job_before_its_outcome_is_recorded() {
    let site = Site::new("ttl").await;
    site.chain(&["CREATE TABLE t (id int)", "SELECT pg_sleep(4)"])
        .await;
    site.database("v1", json!({})).await;
    site.at_rest("v1").await;
    let _alone = DISTURBING.lock().await;
    site.desire("v2").await;
    let pod = site.running("v2").await;
    install::scale(&site.api, 0).await;
    let job = text(&pod, "/metadata/ownerReferences/0/name").to_owned();
    let ttl = json!({ "spec": { "ttlSecondsAfterFinished": 0 } });
    site.api.merge(&site.at("Job", &job), ttl).await;
    until("the time to live is over", async || {
        let job = site.get("Job", &job).await.expect("the Job is held");
        job.pointer("/metadata/deletionTimestamp").map(|_| ())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(
        site.get("Job", &job).await.is_some(),
        "the finalizer holds it"
    );
    install::scale(&site.api, 2).await;
    drop(_alone);
    site.at_rest("v2").await;
    let shop = site.shop().await;
    let run = ["job", "outcome", "migration"]
        .map(|field| text(&shop, &format!("/status/lastRun/{field}")));
    assert_eq!(run, [job.as_str(), "Completed", "v2"]);
    until("the Job is let go", async || {
        site.get("Job", &job).await.is_none().then_some(())
    })
    .await;
    site.ran_once(2);
    site.end().await;
}
