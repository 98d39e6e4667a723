//! What a migration's Pods can be given, and what they tell while they run.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::text;
use crate::site::{Site, migration_of};

#[tokio::test]
async fn the_parts_of_an_indexed_job_are_pods_of_their_own() {
    let site = Site::new("indexed").await;
    site.files(&["CREATE TABLE t (id int)", "SELECT pg_sleep(2)"])
        .await;
    site.migration(1, json!({})).await;
    site.migration(2, json!({ "parallelism": { "completions": 4, "pods": 2 } }))
        .await;
    site.database("v2", json!({})).await;
    site.at_rest("v2").await;
    let states = site.pods.states();
    let of_v2 = states.iter().filter(|pod| migration_of(pod) == "v2");
    let index = |pod: &Value| {
        text(
            pod,
            "/metadata/annotations/batch.kubernetes.io~1job-completion-index",
        )
        .to_owned()
    };
    let parts: BTreeSet<(String, String)> = of_v2
        .map(|pod| (index(pod), text(pod, "/metadata/uid").to_owned()))
        .collect();
    let numbers: Vec<&str> = parts.iter().map(|(index, _)| index.as_str()).collect();
    assert_eq!(numbers, ["0", "1", "2", "3"], "one Pod for each part");
    assert_eq!(site.uids(&site.jobs, "v2"), 1);
    site.end().await;
}

#[tokio::test]
async fn a_migration_gets_its_configuration_and_the_users_pod() {
    let site = Site::new("podtemplate").await;
    site.apply(
        "v1",
        "Secret",
        "files",
        json!({ "stringData": { "0001_step.sql": "CREATE TABLE t (id int)" } }),
    )
    .await;
    site.apply("v1", "ServiceAccount", "migrator", json!({}))
        .await;
    site.migration(
        1,
        json!({ "container": { "command": ["dbop-migrate", "--dir", "/etc/files"] } }),
    )
    .await;
    site.files(&[]).await;
    let migrations = json!({ "migrations": {
        "config": { "secret": "files", "mountPath": "/etc/files" },
        "activeDeadlineSeconds": 120,
        "podTemplate": {
            "metadata": { "labels": { "team": "shop" }, "annotations": { "example.com/cost": "7" } },
            "spec": { "serviceAccountName": "migrator", "terminationGracePeriodSeconds": 7 },
            "container": { "resources": { "requests": { "cpu": "5m" } } },
        },
    } });
    site.database("v1", migrations).await;
    site.at_rest("v1").await;
    let pods = site.all("Pod").await;
    let [pod] = pods.as_slice() else {
        panic!("one Pod, not {}", pods.len())
    };
    assert_eq!(text(pod, "/metadata/labels/team"), "shop");
    assert_eq!(text(pod, "/metadata/annotations/example.com~1cost"), "7");
    assert_eq!(text(pod, "/spec/serviceAccountName"), "migrator");
    assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], 7);
    assert_eq!(text(pod, "/spec/containers/0/resources/requests/cpu"), "5m");
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    let jobs = site.all("Job").await;
    assert_eq!(jobs[0]["spec"]["activeDeadlineSeconds"], 120);
    site.end().await;
}

#[tokio::test]
async fn progress_that_a_migration_pushes_to_the_service_shows_in_the_status() {
    let site = Site::new("progress").await;
    let slow = "-- dbop:batch\n-- dbop:total SELECT count(*) FROM rows WHERE NOT done\n-- dbop:pause 500ms\n\
                UPDATE rows SET done = true WHERE id IN (SELECT id FROM rows WHERE NOT done LIMIT 100)";
    let table = "CREATE TABLE rows (id int PRIMARY KEY, done bool NOT NULL DEFAULT false);\
                 INSERT INTO rows SELECT generate_series(1, 1200)";
    site.chain(&[table, slow]).await;
    site.database("v2", json!({})).await;
    site.at_rest("v2").await;
    let states = site.databases.states();
    let of_v2 = states
        .iter()
        .filter(|state| text(state, "/status/migration/name") == "v2");
    let progress: BTreeSet<u64> = of_v2
        .filter_map(|state| {
            state
                .pointer("/status/migration/progress")
                .and_then(Value::as_u64)
        })
        .collect();
    let between = progress
        .iter()
        .filter(|percent| (1..100).contains(*percent))
        .count();
    assert!(between >= 2, "{progress:?}");
    assert!(
        progress.iter().all(|percent| percent % 5 == 0),
        "{progress:?}"
    );
    let running = site.pods.states();
    let of_v2 = running
        .iter()
        .find(|pod| migration_of(pod) == "v2")
        .unwrap();
    let environment = of_v2.pointer("/spec/containers/0/env").unwrap().to_string();
    assert!(
        environment.contains("DBA_OP_PROMETHEUS_PUSH_GATEWAY_ADDR"),
        "{environment}"
    );
    println!(
        "proof: progress of a migration in a Pod, as the status showed it: {progress:?} percent"
    );
    site.end().await;
}

#[tokio::test]
async fn a_job_whose_image_is_not_there_is_made_anew_when_its_migration_is_corrected() {
    let site = Site::new("image").await;
    site.files(&["CREATE TABLE t (id int)"]).await;
    site.migration(
        1,
        json!({ "container": { "image": "dbop-test/nothing:0" } }),
    )
    .await;
    site.database("v1", json!({})).await;
    site.shows("ErrImageNeverPull").await;
    site.migration(1, json!({})).await;
    site.at_rest("v1").await;
    assert_eq!(site.uids(&site.jobs, "v1"), 2);
    let succeeded = site.jobs.states().into_iter();
    let succeeded = succeeded.filter(|job| job["status"]["succeeded"] == 1);
    let uids: BTreeSet<String> = succeeded
        .map(|job| text(&job, "/metadata/uid").to_owned())
        .collect();
    assert_eq!(uids.len(), 1, "the first never ran");
    site.end().await;
}
