//! Dashboards and recording rules on a real Prometheus that scrapes an operator after a walk: each query finds something.

#![expect(
    clippy::unwrap_used,
    reason = "a dashboard that cannot be read should fail"
)]

use std::path::Path;
use std::time::Duration;

use dbop_tests::kubernetes::{NAME, Stage};
use dbop_tests::prometheus::Prometheus;
use dbop_tests::{Engine, TestServer};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{API_SERVER, MIGRATION, STAGES, WALK, postgres};

const DASHBOARDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/dashboards");
pub(crate) const RULES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../deploy/alerts/database-operator.rules.yaml"
);
/// What MariaDB does not count as it comes: it wants `userstat` or `performance_schema`, which are off.
const NOT_ON_MARIADB: &str = "database_table_writes_per_second";

#[tokio::test(flavor = "multi_thread")]
async fn each_query_finds_something_on_postgresql() {
    every_query_finds_something(&postgres()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_query_finds_something_on_mariadb() {
    let servers = dbop_tests::servers();
    let mariadb = servers
        .iter()
        .find(|server| server.engine() == Engine::MariaDb);
    every_query_finds_something(mariadb.expect("a MariaDB server")).await;
}

async fn every_query_finds_something(server: &TestServer) {
    let (_api, _turn) = (API_SERVER.read().await, STAGES.acquire().await);
    let what = format!("dashboards-{}", server.engine().scheme());
    let stage = Stage::new(server, &what, MIGRATION).await;
    stage.manage("v1").await;
    let a = stage.operator("a").await;
    let rules = Path::new(RULES);
    stage.at_rest("v1", WALK).await;
    let prometheus = Prometheus::start(stage.folder(), &[a.address()], rules).await;
    let metrics = json!({
        "interval": "10s", "tableEstimatedSize": ["steps"], "tableNextId": ["steps"],
        "sqlQuery": [{ "name": "steps_done", "help": "Steps.", "query": "SELECT count(*) FROM steps" }],
    });
    let at = format!("{}/{NAME}", stage.path("manageddatabases"));
    stage
        .api
        .change(&at, &json!({ "spec": { "metrics": metrics } }))
        .await;
    // A walk while it scrapes, so that what is counted goes up.
    stage.desire("v2").await;
    stage.at_rest("v2", WALK).await;
    let mut left = queries();
    assert!(left.len() > 40, "{left:?}");
    if server.engine() == Engine::MariaDb {
        left.retain(|(_, expression)| !expression.contains(NOT_ON_MARIADB));
    }
    let began = Instant::now();
    while !left.is_empty() {
        let mut empty = Vec::new();
        for (of, expression) in left {
            let asked = filled_in(&expression, &stage.namespace);
            if prometheus.query(&asked).await.is_empty() {
                empty.push((of, expression));
            }
        }
        left = empty;
        assert!(began.elapsed() < WALK, "nothing is shown by {left:#?}");
        sleep(Duration::from_secs(1)).await;
    }
    a.stop().await;
    stage.leave().await;
}

/// The queries of all dashboards' panels and variables and of the recording rules, each with where it stands.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(DASHBOARDS).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let board: Value = serde_json::from_str(&text).unwrap();
        let title = board["title"].as_str().unwrap();
        for panel in board["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                let of = format!("{title}, {}", panel["title"]);
                queries.push((of, target["expr"].as_str().unwrap().to_owned()));
            }
        }
    }
    let rules: Value = serde_saphyr::from_str(&std::fs::read_to_string(RULES).unwrap()).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    for rule in groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
    {
        if let Some(record) = rule["record"].as_str() {
            queries.push((format!("rule {record}"), record.to_owned()));
        }
    }
    queries
}

/// What Grafana does with a query before it asks.
fn filled_in(expression: &str, namespace: &str) -> String {
    expression
        .replace("$namespace", namespace)
        .replace("$name", NAME)
        .replace("$__rate_interval", "1m")
}
