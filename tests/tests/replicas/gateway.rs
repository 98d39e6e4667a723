//! A Pushgateway of the user's, the real one: progress is read from it, what a run pushed is deleted from it, and its death in
//! the middle of a migration changes nothing about the migration. Nor does that of a Prometheus.

use std::path::Path;
use std::time::Duration;

use dbop_tests::kubernetes::{NAME, Stage};
use dbop_tests::local::until;
use dbop_tests::prometheus::{Prometheus, Pushgateway};
use serde_json::json;

use crate::{API_SERVER, STAGES, WALK, postgres};

/// Long enough to be struck at, and for the push of a heartbeat after it.
const LONG: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread")]
async fn a_pushgateway_that_dies_takes_nothing_with_it() {
    let (_api, _turn) = (API_SERVER.read().await, STAGES.acquire().await);
    let stage = Stage::new(&postgres(), "gateway", LONG).await;
    let gateway = Pushgateway::start(stage.folder(), "127.0.0.1:0").await;
    let address = gateway.address().to_owned();
    stage.manage("v1").await;
    let at = format!("{}/{NAME}", stage.path("manageddatabases"));
    let change = json!({ "spec": { "migrations": { "pushgateway": address } } });
    stage.api.change(&at, &change).await;
    let a = stage.operator("a").await;
    until("progress is read from the Pushgateway", WALK, async || {
        is_under_way(&stage).await
    })
    .await;
    let rules = Path::new(crate::dashboards::RULES);
    let prometheus = Prometheus::start(stage.folder(), &[a.address()], rules).await;
    let groups = gateway.groups().await;
    assert!(
        groups.contains(&stage.namespace),
        "its groups bear the namespace: {groups}"
    );
    gateway.kill().await;
    drop(prometheus);
    // It has lost all that it knew; the migration tells it again.
    let gateway = Pushgateway::start(stage.folder(), &address).await;
    until("the migration pushes again", WALK, async || {
        gateway
            .groups()
            .await
            .contains("migration_completion_percent")
    })
    .await;
    assert!(
        is_under_way(&stage).await,
        "it is the same run, still on its way"
    );
    stage.at_rest("v1", WALK).await;
    stage.ran_once();
    until("nothing of the run is left there", WALK, async || {
        !gateway.groups().await.contains(&stage.namespace)
    })
    .await;

    // Away from beginning to end.
    gateway.kill().await;
    stage.desire("v2").await;
    stage.at_rest("v2", WALK).await;
    stage.ran_once();
    a.stop().await;
    stage.leave().await;
}

/// Does the status show how far the migration is?
async fn is_under_way(stage: &Stage) -> bool {
    let status = stage.status(NAME).await;
    let progress = status["migration"]["progress"].as_i64();
    progress.is_some_and(|progress| (1..100).contains(&progress))
}
