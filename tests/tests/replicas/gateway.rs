//! A Pushgateway of the user's, the real one: progress is read from it, what a run pushed is deleted from it, and its death in
//! the middle of a migration changes nothing about the migration. Nor does that of a Prometheus.

use std::path::Path;
use std::time::Duration;

use dbop_tests::kubernetes::{NAME, Operator, Stage, Way};
use dbop_tests::local::until;
use dbop_tests::prometheus::{Prometheus, Pushgateway};
use serde_json::{Value, json};

use crate::{API_SERVER, STAGES, WALK, postgres};

/// How long each file takes: long enough to be struck at, and for the push of a heartbeat after it.
const LONG: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn a_pushgateway_that_dies_takes_nothing_with_it() {
    let (_api, _turn) = (API_SERVER.read().await, STAGES.acquire().await);
    let stage = Stage::new(&postgres(), "gateway", LONG).await;
    let gateway = Pushgateway::start(stage.folder(), "127.0.0.1:0").await;
    let address = gateway.address().to_owned();
    stage.add("big", 4, None).await;
    stage.add("next", 5, Some("big")).await;
    stage.manage("big").await;
    let at = format!("{}/{NAME}", stage.path("manageddatabases"));
    let change = json!({ "spec": { "migrations": { "pushgateway": address } } });
    stage.api.change(&at, &change).await;
    let a = Operator::start(
        &stage.api,
        &stage.namespace,
        stage.folder(),
        "a",
        Way::Straight,
        &["--log-format=json"],
    )
    .await;
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
    let job = stage.status(NAME).await["migration"]["job"].clone();
    let job = job.as_str().expect("the status names the Job").to_owned();
    let is_named = |text: &str| text.contains(&format!(r#"job_id="{job}""#));
    assert!(groups.contains(&job), "what is pushed bears the run's id");
    assert!(
        is_named(&a.metrics().await),
        "the operator's series name the run that is under way"
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
    let prometheus = Prometheus::start(stage.folder(), &[a.address()], rules).await;
    stage.at_rest("big", WALK).await;
    stage.ran_once();
    tells_of_progress(&stage, &job).await;
    let told = [
        "MigrationStarted",
        "MigrationProgress",
        "MigrationSucceeded",
    ];
    until("the log tells what the Events tell", WALK, async || {
        let log = a.log();
        let named = stage.api.list(&stage.events()).await;
        told.iter()
            .all(|reason| is_logged(&log, reason, &job, &named))
    })
    .await;
    assert!(
        !is_named(&a.metrics().await),
        "the run is not under way any more"
    );
    until("Prometheus scrapes again", WALK, async || {
        let done = r#"dba_operator_migrations_total{result="succeeded"} == 1"#;
        !prometheus.query(done).await.is_empty()
    })
    .await;
    until("nothing of the run is left there", WALK, async || {
        !gateway.groups().await.contains(&stage.namespace)
    })
    .await;

    // Away from beginning to end.
    gateway.kill().await;
    stage.desire("next").await;
    stage.at_rest("next", WALK).await;
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

/// Do Events tell how far the migration was, and which Job it was?
async fn tells_of_progress(stage: &Stage, job: &str) {
    until("Events tell of progress", WALK, async || {
        let events = stage.api.list(&stage.events()).await;
        events.iter().any(|event| {
            let note = event["note"].as_str().unwrap_or_default();
            event["reason"] == "MigrationProgress"
                && event["regarding"]["name"] == NAME
                && event["related"]["kind"] == "Job"
                && event["related"]["name"] == job
                && note.starts_with("big is at ")
                && note.ends_with(&format!(" % (Job {job})"))
        })
    })
    .await;
}

/// Is there a line of the log, which is JSON, about this run, with the name of the Event that says the same?
fn is_logged(log: &str, reason: &str, job: &str, events: &[Value]) -> bool {
    let lines = log.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("each line of the log is JSON");
        line["fields"].clone()
    });
    lines
        .filter(|fields| fields["reason"] == reason && fields["job"] == job)
        .any(|fields| {
            let same = |event: &&Value| event["metadata"]["name"] == fields["event"];
            let event = events.iter().find(same);
            event.is_some_and(|event| event["note"] == fields["message"])
        })
}
