//! An application at work while the schema moves: who is waited for, and who is not.

use std::time::Duration;

use dbop_tests::local::{Application, Site, Step, until};
use dbop_tests::{on_each_engine, on_newest};

use super::{ADD_CITY, ADD_PHONE, CREATE, PATIENCE, WORK, runs, site};

#[tokio::test]
async fn two_compatible_migrations_walk_through_while_the_old_application_stays() {
    on_each_engine(async |server| {
        let site = Site::new(&server, "walk_compatible").await;
        site.steps(
            0,
            &[
                Step::new(CREATE),
                Step::new(ADD_PHONE).compatible_from("v1"),
                Step::new(ADD_CITY).compatible_from("v1"),
            ],
        );
        site.directory.local().await.exits(0);
        let old = Application::staying(&site.published("v1"), WORK).await;

        site.desire("v3");
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v3");
        site.has_credentials(&["v1", "v2", "v3"]).await;
        old.stop().await.is_undisturbed();

        // Going back to a version that the schema still serves is no migration.
        let (before, ran) = (site.snapshot().await, runs(&site));
        site.desire("v1");
        let revert = site.directory.local().await;
        revert.exits(0);
        assert_eq!(
            site.summary(),
            "at rest, newer than desired and compatible with it"
        );
        assert_eq!(site.status()["currentVersion"], "v3");
        before.is_still(&site.snapshot().await);
        assert_eq!(runs(&site), ran);
    })
    .await;
}

#[tokio::test]
async fn without_compatibility_the_walk_waits_and_says_which_version_to_deploy() {
    on_each_engine(async |server| {
        let site = Site::new(&server, "walk_waits").await;
        site.steps(
            0,
            &[Step::new(CREATE), Step::new(ADD_PHONE), Step::new(ADD_CITY)],
        );
        site.directory.local().await.exits(0);
        let old = Application::staying(&site.published("v1"), WORK).await;

        site.desire("v3");
        let walk = site.directory.local().await;
        let user = site.published("v1").get("username").to_owned();
        walk.exits(3)
            .says("credential v1 is still used by")
            .says("its code cannot live with v3: deploy the application of v2 first");
        let status = site.status();
        assert_eq!(status["currentVersion"], "v2", "{status:#}");
        // Two migrations old, as seen from v3: who uses it stands in the status.
        let credentials = status["credentials"].as_array().unwrap();
        let used = credentials.iter().find(|c| c["migration"] == "v1").unwrap();
        assert_eq!(used["inUse"], true, "{status:#}");
        let by = used["usedBy"][0].as_str().unwrap();
        for part in [format!("pid {}", old.pid()), user, "127.0.0.1".to_owned()] {
            assert!(by.contains(&part), "{part} is missing: {by}");
        }
        // The application has somewhere to move to, and nothing was taken from it.
        site.has_credentials(&["v1", "v2"]).await;
        let before = site.snapshot().await;
        site.directory.local().await.exits(3);
        before.is_still(&site.snapshot().await);

        let new = Application::staying(&site.published("v2"), WORK).await;
        old.stop().await.is_undisturbed();
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v3");
        site.has_credentials(&["v2", "v3"]).await;
        new.stop().await.is_undisturbed();
    })
    .await;
}

#[tokio::test]
async fn back_to_an_incompatible_version_is_blocked_and_changes_nothing() {
    on_newest(async |server| {
        let site = site(
            &server,
            "walk_back",
            &[Step::new(CREATE), Step::new(ADD_PHONE), Step::new(ADD_CITY)],
        )
        .await;
        site.desire("v3");
        site.directory.local().await.exits(0);
        let before = site.snapshot().await;
        site.desire("v1");
        site.directory.local().await.exits(3).says(
            "the database is at v3, newer than v1, whose code cannot live with it; set \
             desiredSchemaVersion to v3 or later, or restore a backup",
        );
        before.is_still(&site.snapshot().await);
        assert_eq!(runs(&site), 3);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_comes_for_a_moment_is_seen_and_never_refused() {
    on_newest(async |server| {
        let site = site(
            &server,
            "walk_visitor",
            &[Step::new(CREATE), Step::new(ADD_PHONE), Step::new(ADD_CITY)],
        )
        .await;
        site.desire("v2");
        site.directory.local().await.exits(0);
        site.set("/spec/credentials/quietWindow", "8s");
        let visitor = Application::visiting(
            &site.published("v1"),
            WORK,
            Duration::from_millis(200),
            Duration::from_secs(5),
        );
        site.desire("v3");
        let mut watch = site.directory.start(&["--watch"]);
        // Long enough for a window to end between its visits, if it were not seen.
        until("three visits", PATIENCE, async || {
            visitor.tally().logins >= 3
        })
        .await;
        assert!(watch.is_running(), "{}", watch.output());
        assert_eq!(site.status()["currentVersion"], "v2", "{:#}", site.status());
        site.has_credentials(&["v1", "v2"]).await;
        visitor.stop().await.is_undisturbed();

        until("the walk's end", PATIENCE, async || {
            site.status()["currentVersion"] == "v3"
        })
        .await;
        until("rest", PATIENCE, async || site.summary() == "at rest").await;
        watch.stop(PATIENCE).await;
        site.has_credentials(&["v2", "v3"]).await;
    })
    .await;
}
