//! What people and machines do to a migration that runs: no second run by itself, and never two at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{background, by_force, condition, foreground, text, until};
use crate::install::kill_processes;
use crate::site::{SHOP, Site, decode};

/// The migration program, as the kernel knows it.
const PROCESS: &str = "dbop-migrate";
/// How long it is looked whether nothing happens.
const STAYS: Duration = Duration::from_secs(4);
/// A statement that goes on in the server when its client is gone without a word, as behind a broken network.
const DEAF: &str = "SET client_connection_check_interval = 0; SELECT pg_sleep(45)";

/// The migrator's sessions whose statement runs now: one that has only connected ends with its client.
async fn migrators(site: &Site) -> BTreeSet<i32> {
    let superuser = site.database.superuser().await;
    let rows = superuser
        .query(
            "SELECT pid FROM pg_stat_activity
             WHERE datname = $1 AND state = 'active' AND query LIKE '%pg_sleep(%' AND pid <> pg_backend_pid()",
            &[&site.database.name()],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_pod_deleted_by_force_while_its_statement_runs_is_waited_for_and_not_run_again() {
    let site = Site::new("forced").await;
    site.chain(&["CREATE TABLE t (id int)", DEAF]).await;
    site.database("v1", json!({})).await;
    site.at_rest("v1").await;
    site.desire("v2").await;
    let pod = site.running("v2").await;
    until("its statement runs", async || {
        (!migrators(&site).await.is_empty()).then_some(())
    })
    .await;
    let first = migrators(&site).await;
    // SIGKILL first: what SIGTERM reaches cancels its statement.
    let killed = kill_processes(text(&pod, "/metadata/uid"), PROCESS);
    site.api
        .delete(&site.at("Pod", text(&pod, "/metadata/name")), by_force())
        .await;
    assert!(
        killed > 0,
        "the node is this machine, so the migration's process is seen"
    );

    let waiting = site.shows("still").await;
    assert_eq!(
        condition(&waiting, "Reconciling").1,
        "MigratorConnected",
        "{:#}",
        waiting["status"]
    );
    assert_eq!(migrators(&site).await, first, "the statement runs on");
    // A retry is heard, and waits for the session.
    let blocked = site.shows("blocked: the run of v2").await;
    assert!(
        migrators(&site).await.is_empty(),
        "it is over before the run counts as failed"
    );
    assert_eq!(text(&blocked, "/status/lastRun/outcome"), "Failed");
    tokio::time::sleep(STAYS).await;
    assert_eq!(site.uids(&site.jobs, "v2"), 1, "no second run by itself");
    site.say("retry").await;
    site.at_rest("v2").await;
    assert_eq!(site.uids(&site.jobs, "v2"), 2);
    assert_eq!(site.uids(&site.pods, "v2"), 2);
    site.end().await;
}

#[tokio::test]
async fn a_job_deleted_by_hand_is_a_failed_run_and_no_second_one() {
    let site = Site::new("by-hand").await;
    site.chain(&["CREATE TABLE t (id int)", "SELECT pg_sleep(200)"])
        .await;
    site.database("v1", json!({})).await;
    site.at_rest("v1").await;
    site.desire("v2").await;
    let pod = site.running("v2").await;
    until("its statement runs", async || {
        (!migrators(&site).await.is_empty()).then_some(())
    })
    .await;
    let job = text(&pod, "/metadata/ownerReferences/0/name").to_owned();
    // As kubectl deletes it. Our finalizer holds the Job, and nobody takes its Pod: the run goes on.
    site.api.delete(&site.at("Job", &job), background()).await;
    tokio::time::sleep(STAYS).await;
    assert_eq!(migrators(&site).await.len(), 1, "its statement runs on");
    site.shows("migration v2 is running").await;
    // With its Pods.
    site.api.delete(&site.at("Job", &job), foreground()).await;
    site.shows("blocked: the run of v2").await;
    assert!(migrators(&site).await.is_empty(), "nothing of it runs");
    until("the Job is let go", async || {
        site.get("Job", &job).await.is_none().then_some(())
    })
    .await;
    tokio::time::sleep(STAYS).await;
    assert_eq!(site.uids(&site.jobs, "v2"), 1, "no second run by itself");
    // What the migration does is shorter the second time: its files are mounted, and not part of it.
    site.files(&["CREATE TABLE t (id int)", "SELECT 1"]).await;
    site.say("retry").await;
    site.at_rest("v2").await;
    assert_eq!(site.uids(&site.jobs, "v2"), 2);
    site.end().await;
}

#[tokio::test]
async fn what_a_failed_migration_said_is_told_without_its_password() {
    let site = Site::new("failed").await;
    let secrets = crate::record::Record::of(&site.api, &site.namespace, "v1", "Secret");
    // It says what it was given: the password, in the name of a folder that does not exist.
    let says = json!({ "container": { "command": ["dbop-migrate", "--dir", "/$(DBA_OP_PASSWORD)/here"] } });
    site.files(&["SELECT 1"]).await;
    site.migration(1, says).await;
    site.database("v1", json!({})).await;
    let blocked = site.shows("blocked: the run of v1").await;
    let job = text(&blocked, "/status/lastRun/job").to_owned();
    let states = secrets.states();
    let own = states
        .iter()
        .rfind(|secret| text(secret, "/metadata/name") == job);
    let password = text(
        own.expect("the Job had a Secret of its own"),
        "/data/DBA_OP_PASSWORD",
    );
    let password = String::from_utf8(decode(password)).unwrap();
    assert!(password.len() >= 20, "that is a password");

    let pods = site.all("Pod").await;
    let log = site
        .api
        .log(&site.namespace, text(&pods[0], "/metadata/name"))
        .await;
    assert!(log.contains(&password), "the log does hold it: {log}");
    let run = &blocked["status"]["lastRun"];
    assert!(
        text(run, "/message").contains("/here"),
        "its last words are told: {run:#}"
    );
    assert_eq!(run["exitCode"], 2);
    let object = site.get("Job", &job).await.unwrap();
    let outcome = text(
        &object,
        "/metadata/annotations/database-operator.dev~1outcome",
    );
    assert!(outcome.contains("/here"), "the Job says it, too: {outcome}");
    until("Events tell it", async || {
        let of_job = site.events("Job", &job).await;
        let of_database = site.events("ManagedDatabase", SHOP).await;
        let failed = |told: &[(String, String)]| {
            told.iter()
                .any(|(reason, note)| reason == "MigrationFailed" && note.contains("/here"))
        };
        (failed(&of_job) && failed(&of_database)).then_some(())
    })
    .await;
    for kind in ["ManagedDatabase", "Job", "Event", "DatabaseMigration"] {
        let told = Value::from(site.all(kind).await).to_string();
        assert!(!told.contains(&password), "a {kind} holds the password");
    }
    for record in [&site.databases, &site.jobs, &site.pods] {
        assert!(!Value::from(record.states()).to_string().contains(&password));
    }
    site.end().await;
}
