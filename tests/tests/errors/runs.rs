//! A run that did not complete: nothing happens by itself, and a word or a change makes it go on.

use dbop_tests::local::{Directory, Object, Step, migration};
use dbop_tests::{on_each_engine, on_newest};
use serde_json::json;

use super::{ADD_PHONE, goes_on, refused, site_on};

/// A migration that leaves a trace of each of its runs.
fn traced(name: &str, previous: &str, script: &str) -> Object {
    let script = format!("echo run >> runs.txt; {script}");
    migration(name, Some(previous), &["sh", "-c", &script]).set("/spec/version", "2")
}

fn times_run(directory: &Directory) -> usize {
    let text = std::fs::read_to_string(directory.path().join("runs.txt")).unwrap_or_default();
    text.lines().count()
}

#[tokio::test]
async fn a_failing_migration_runs_again_only_when_somebody_says_so_or_changes_it() {
    on_each_engine(async |server| {
        let site = site_on(&server, "error_failing").await;
        goes_on(&site, "v1").await;
        let files = &site.directory;
        files.put(&traced("v2", "v1", "echo the disk is on fire >&2; exit 7"));
        site.desire("v2");
        let ended = files.local().await;
        ended
            .exits(4)
            .says("the run of v2 that ended at")
            .says("failed with exit status 7")
            .says("change v2, or say retry");
        let status = site.status();
        assert_eq!(status["lastRun"]["outcome"], "Failed", "{status:#}");
        assert_eq!(status["lastRun"]["exitCode"], 7, "{status:#}");
        assert_eq!(status["currentVersion"], "v1", "{status:#}");
        site.has_credentials(&["v1"]).await;
        let logs: String = files.job_logs().into_values().collect();
        assert!(logs.contains("the disk is on fire"), "{logs}");

        // By itself it never runs again, and the database stays as it is.
        refused(&site, 4, "failed with exit status 7").await;
        assert_eq!(times_run(files), 1);
        let migrators = site.database.migrators().await;
        assert!(
            migrators.len() == 1 && !migrators[0].1,
            "nobody can log in as the migrator: {migrators:?}"
        );

        files.ask(&["retry", &site.name]).await.exits(0);
        files.local().await.exits(4);
        assert_eq!(times_run(files), 2);
        refused(&site, 4, "failed with exit status 7").await;
        assert_eq!(times_run(files), 2, "a word counts once");

        // Changed, it runs without a word.
        site.steps(1, &[Step::new(ADD_PHONE)]);
        goes_on(&site, "v2").await;
        assert_eq!(times_run(files), 2);
        site.has_credentials(&["v1", "v2"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_migration_that_does_not_move_the_version() {
    on_each_engine(async |server| {
        let site = site_on(&server, "error_unmoved").await;
        goes_on(&site, "v1").await;
        let files = &site.directory;
        files.put(&traced("v2", "v1", "true"));
        site.desire("v2");
        let ended = files.local().await;
        ended
            .exits(4)
            .says("succeeded, but the database did not show its version")
            .says("change v2, or say retry");
        assert_eq!(site.status()["lastRun"]["outcome"], "VersionNotReached");
        assert_eq!(site.status()["currentVersion"], "v1");
        refused(
            &site,
            4,
            "succeeded, but the database did not show its version",
        )
        .await;
        assert_eq!(times_run(files), 1);
        site.has_credentials(&["v1"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_run_that_moved_the_version_and_failed_can_be_accepted() {
    on_each_engine(async |server| {
        let site = site_on(&server, "error_accept").await;
        goes_on(&site, "v1").await;
        let files = &site.directory;
        let program = dbop_tests::binary("dbop-migrate");
        let script = format!("{} --dir migrations && exit 9", program.display());
        files.put(&traced("v2", "v1", &script));
        site.desire("v2");
        files.local().await.exits(4).says("failed with exit status 9").says(
            "the database shows its version all the same: say retry to run it again, or accept-run to go on",
        );
        refused(&site, 4, "failed with exit status 9").await;
        files.ask(&["accept-run", &site.name]).await.exits(0);
        goes_on(&site, "v2").await;
        assert_eq!(times_run(files), 1);
        assert_eq!(site.status()["lastRun"]["outcome"], "Accepted");
        site.has_credentials(&["v1", "v2"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_command_that_does_not_exist() {
    on_newest(async |server| {
        let site = site_on(&server, "error_command").await;
        goes_on(&site, "v1").await;
        let missing = migration("v2", Some("v1"), &["no-such-program"]).set("/spec/version", "2");
        site.directory.put(&missing);
        site.desire("v2");
        let ended = site.directory.local().await;
        ended.exits(4).says("no-such-program");
        refused(&site, 4, "no-such-program").await;
        site.steps(1, &[Step::new(ADD_PHONE)]);
        goes_on(&site, "v2").await;
    })
    .await;
}

#[tokio::test]
async fn a_container_without_a_command() {
    on_newest(async |server| {
        let site = site_on(&server, "error_nocommand").await;
        goes_on(&site, "v1").await;
        let image = migration("v2", Some("v1"), &[])
            .set("/spec/version", "2")
            .set(
                "/spec/container",
                json!({ "name": "m", "image": "registry.example.com/migrate:1" }),
            );
        site.directory.put(&image);
        site.desire("v2");
        let ended = site.directory.local().await;
        ended.says("command").says("v2");
        assert_ne!(ended.status, Some(0), "{ended}");
        assert_eq!(site.status()["currentVersion"], "v1");
    })
    .await;
}
