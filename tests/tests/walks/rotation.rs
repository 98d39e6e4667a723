//! Rotation beside applications at work: nobody is cut off, and the login before goes when nobody holds it.

use std::time::Duration;

use dbop_tests::local::{Application, Step, until};
use dbop_tests::{on_each_engine, on_newest};

use super::{ADD_PHONE, CREATE, PATIENCE, WORK, site};

/// As short as it may be.
const ROTATE_EVERY: &str = "/spec/credentials/rotateEvery";

#[tokio::test]
async fn a_rotation_cuts_nobody_off_and_the_login_before_goes_after_that() {
    on_each_engine(async |server| {
        let steps = [Step::new(CREATE), Step::new(ADD_PHONE)];
        let site = site(&server, "walk_rotation", &steps).await;
        site.desire("v2");
        site.directory.local().await.exits(0);
        let (before, other) = (site.published("v2"), site.published("v1"));
        let staying = Application::staying(&before, WORK).await;
        let visiting = Application::visiting(
            &before,
            WORK,
            Duration::from_millis(100),
            Duration::from_millis(500),
        );
        let said = site.directory.ask(&["rotate", &site.name, "v2"]).await;
        said.exits(0)
            .says("credential v2 gets another login")
            .says(before.get("username"));

        let walk = site.directory.local().await;
        walk.exits(3)
            .says(&format!(
                "login {} of credential v2 was replaced and is still used by",
                before.get("username")
            ))
            .does_not_say(before.get("password"));
        let after = site.published("v2");
        walk.does_not_say(after.get("password"));
        // Where names have to be short, more of it is cut than of the first.
        assert!(after.get("username").ends_with("_2"), "{after:?}");
        assert!(after.get("username") != before.get("username"), "{after:?}");
        assert!(after.get("password") != before.get("password"), "the same");
        for working in [&before, &after] {
            working.connect().await.unwrap();
        }
        after.connect_by_uri().await.unwrap();
        let status = site.status();
        let credentials = status["credentials"].as_array().unwrap();
        let seen = credentials.iter().find(|c| c["migration"] == "v2").unwrap();
        assert_eq!(seen["username"], after.get("username"), "{status:#}");
        let replaced = &seen["replaced"];
        assert_eq!(replaced["username"], before.get("username"), "{status:#}");
        assert_eq!(replaced["inUse"], true, "{status:#}");
        assert!(
            replaced["usedBy"].to_string().contains("session pid"),
            "{status:#}"
        );
        // A second one waits, and says so.
        let again = site.directory.ask(&["rotate", &site.name, "v2"]).await;
        again.exits(0).says("once").says("the one before");
        site.directory
            .local()
            .await
            .exits(3)
            .says("the next rotation of v2 waits for that");
        assert_eq!(site.logins().await.len(), 3);

        // A client that comes for a moment alone keeps it, and is never refused.
        staying.stop().await.is_undisturbed();
        site.set("/spec/credentials/quietWindow", "2s");
        let watch = site.directory.start(&["--watch"]);
        tokio::time::sleep(Duration::from_secs(5)).await;
        visiting.stop().await.is_undisturbed();
        // The second rotation comes now, and its login before is held by nobody.
        until("both rotations' ends", PATIENCE, async || {
            site.summary() == "at rest"
                && site.published("v2").get("username") == before.get("username")
                && site.logins().await.len() == 2
        })
        .await;
        watch.stop(PATIENCE).await;
        site.has_credentials(&["v1", "v2"]).await;
        let last = site.published("v2");
        assert!(last.get("password") != before.get("password"), "the first");
        assert!(after.connect().await.is_err(), "it was dropped");
        assert!(before.connect().await.is_err(), "its password is another");
        assert!(
            other.data() == site.published("v1").data(),
            "v1 was touched"
        );
        site.directory.local().await.exits(0);
    })
    .await;
}

#[tokio::test]
async fn a_rotation_comes_while_a_run_that_failed_stops_the_walk() {
    on_newest(async |server| {
        let steps = [Step::new(CREATE), Step::new("SELECT 1 FROM no_such_table;")];
        let site = site(&server, "walk_rotation_failed", &steps).await;
        site.desire("v2");
        site.directory.local().await.exits(4);
        let before = site.published("v1");
        let said = site.directory.ask(&["rotate", &site.name]).await;
        said.exits(0).says("credential v1 gets another login");
        site.directory.local().await.exits(4);
        let after = site.published("v1");
        assert!(after.get("username") != before.get("username"), "it is not");
        after.connect().await.unwrap();
        assert!(before.connect().await.is_err(), "it was dropped");
        site.has_credentials(&["v1"]).await;
    })
    .await;
}

#[tokio::test]
async fn by_age_nothing_happens_before_its_time_and_short_ages_are_refused() {
    on_newest(async |server| {
        let site = site(&server, "walk_rotation_age", &[Step::new(CREATE)]).await;
        site.set(ROTATE_EVERY, "10m");
        site.directory.local().await.exits(0);
        let before = site.snapshot().await;
        site.directory.local().await.exits(0);
        before.is_still(&site.snapshot().await);

        let named = site.published("v1");
        site.age("v1");
        site.directory.local().await.exits(0);
        let after = site.published("v1");
        assert!(after.get("username") != named.get("username"), "it is not");
        site.has_credentials(&["v1"]).await;

        site.set(ROTATE_EVERY, "9m59s");
        site.directory
            .local()
            .await
            .exits(1)
            .says("spec.credentials.rotateEvery");
    })
    .await;
}
