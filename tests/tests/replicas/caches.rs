//! Caches that are wrong: watches that tell everything late, and lists of long ago after a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use dbop_tests::kubernetes::{Gateway, Stage, Way, now, seconds};
use dbop_tests::local::until;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{API_SERVER, MIGRATION, STAGES, WALK, postgres, undisturbed};

/// Watches tell everything so much later.
const LAG: Duration = Duration::from_secs(4);
/// A restarted operator is looked at for so long, while its caches are wrong and after.
const WATCHED: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_with_watches_that_lag_ends_like_any_other() {
    let (_api, _turn) = (API_SERVER.read().await, STAGES.acquire().await);
    let undisturbed = undisturbed().await;
    let stage = Stage::new(&postgres(), "lag", MIGRATION).await;
    let gateway = Gateway::open(&stage.api, &stage.namespace, "a").await;
    gateway.lag(LAG);
    stage.manage("v2").await;
    let mut a = stage.operator_by("a", Way::Through(&gateway)).await;
    stage.at_rest("v2", 2 * WALK).await;
    let began = now();
    stage.desire("v3").await;
    stage.at_rest("v3", 2 * WALK).await;
    println!(
        "proof: watches {LAG:?} late: v2 to v3 took {:.1} s, one run per migration",
        seconds(began, now())
    );
    sleep(2 * LAG).await;
    a.lives();
    stage.ran_once();
    assert_eq!(stage.end().await, undisturbed);
    a.stop().await;
    stage.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_list_after_a_restart_takes_nothing_away() {
    let (_api, _turn) = (API_SERVER.read().await, STAGES.acquire().await);
    let stage = Stage::new(&postgres(), "old", MIGRATION).await;
    let gateway = Gateway::open(&stage.api, &stage.namespace, "a").await;
    stage.manage("v2").await;
    let a = stage.operator_by("a", Way::Through(&gateway)).await;
    stage.at_rest("v2", WALK).await;
    a.stop().await;

    // What is listed at v2 at rest, and again in the middle of the run to v3.
    let a = stage.operator_by("a", Way::Through(&gateway)).await;
    a.leads(WALK).await;
    let at_rest = watched(gateway.lists());
    let audit = stage.audit.from_now();
    stage.desire("v3").await;
    audit.seen(|entry| entry.what == "create jobs").await;
    a.kill().await;
    let a = stage.operator_by("a", Way::Through(&gateway)).await;
    a.leads(WALK).await;
    let in_the_run = watched(gateway.lists());
    stage.at_rest("v3", WALK).await;

    // Since then an application of v2 has come, which holds back v4.
    let application = application("shop-v2");
    stage
        .api
        .create(&stage.path("deployments"), &application)
        .await;
    stage.desire("v4").await;
    until("v4 waits for the application", WALK, async || {
        summary(&stage).await.contains("waits")
    })
    .await;
    a.stop().await;
    let before = credentials(&stage).await;
    assert_eq!(before.len(), 2, "{before:?}");

    gateway.lag(LAG);
    for (what, lists) in [("at rest", at_rest), ("in the run", in_the_run)] {
        let kinds = lists.len();
        gateway.replay(lists);
        let replayed = gateway.replayed().len();
        let mut a = stage.operator_by("a", Way::Through(&gateway)).await;
        a.leads(WALK).await;
        sleep(WATCHED).await;
        let replayed = gateway.replayed().len() - replayed;
        assert!(
            replayed >= 9,
            "{replayed} of {kinds} lists were asked for: {:?}",
            gateway.replayed()
        );
        a.lives();
        a.stop().await;
        assert_eq!(
            credentials(&stage).await,
            before,
            "the lists were of {what}"
        );
        stage.ran_once();
        println!(
            "proof: {replayed} lists of v2 {what} replayed after a restart at v3, watches {LAG:?} late: nothing touched"
        );
    }

    // And now it goes on.
    gateway.lag(Duration::ZERO);
    let a = stage.operator_by("a", Way::Through(&gateway)).await;
    until("v4 waits for the application", WALK, async || {
        summary(&stage).await.contains("waits")
    })
    .await;
    let at = format!("{}/old-app", stage.path("deployments"));
    let gone = stage.api.send(http::Method::DELETE, &at, None).await;
    assert!(gone.is_ok(), "{gone:?}");
    stage.at_rest("v4", WALK).await;
    stage.ran_once();
    let end = stage.end().await;
    assert_eq!(
        (end.credentials, end.steps),
        (vec!["v3".to_owned(), "v4".to_owned()], vec![1, 2, 3, 4])
    );
    a.stop().await;
    stage.leave().await;
}

/// The lists of the watches alone: what is looked at live, before an action, has a selector of its own.
fn watched<T>(mut lists: BTreeMap<String, T>) -> BTreeMap<String, T> {
    lists.retain(|asked, _| !asked.contains("labelSelector"));
    lists
}

/// The published credentials, to the byte.
async fn credentials(stage: &Stage) -> BTreeMap<String, (Value, Value, Value)> {
    let secrets = stage.api.list(&stage.path("secrets")).await;
    let of = secrets
        .into_iter()
        .filter(|secret| secret["data"]["username"].is_string());
    of.map(|secret| {
        let meta = &secret["metadata"];
        let name = meta["name"].as_str().unwrap_or_default().to_owned();
        (
            name,
            (
                meta["uid"].clone(),
                meta["resourceVersion"].clone(),
                secret["data"].clone(),
            ),
        )
    })
    .collect()
}

async fn summary(stage: &Stage) -> String {
    let status = stage.status("shop").await;
    status["summary"].as_str().unwrap_or_default().to_owned()
}

/// A Deployment whose Pods take this Secret. Nobody runs them.
fn application(secret: &str) -> Value {
    let labels = json!({ "app": "old" });
    json!({
        "metadata": { "name": "old-app" },
        "spec": {
            "replicas": 0,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{
                    "name": "app", "image": "test/app:1",
                    "envFrom": [{ "secretRef": { "name": secret } }],
                }]},
            },
        },
    })
}
