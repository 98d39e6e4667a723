//! What belongs to somebody else is not touched, and who says "stop" is heard.

use std::path::Path;
use std::time::Duration;

use dbop_tests::local::{Directory, managed_database, secret, until};
use dbop_tests::{Engine, on_each_engine, on_newest};
use serde_json::json;

use super::{goes_on, refused, site_on};

#[tokio::test]
async fn a_second_owner() {
    on_each_engine(async |server| {
        let site = site_on(&server, "error_owner").await;
        goes_on(&site, "v1").await;
        let application = site.published("v1");

        // The same manifests elsewhere: another owner, of equal name.
        let other = Directory::new("error_owner");
        for (kind, name) in [
            ("ManagedDatabase", site.name.as_str()),
            ("Secret", &format!("{}-admin", site.name)),
            ("DatabaseMigration", "v1"),
            ("DatabaseMigration", "v2"),
        ] {
            other.put(&site.directory.get(kind, name));
        }
        let before = site.snapshot().await;
        let ended = other.local().await;
        ended.exits(3).says(&format!(
            "the database belongs to ManagedDatabase default/{}",
            site.name
        ));
        ended.says(
            "delete that object, or set the annotation database-operator.dev/take-over on this one",
        );
        before.is_still(&site.snapshot().await);
        assert!(other.secrets().is_empty());

        let annotations = json!({ "database-operator.dev/take-over": "true" });
        other.change(
            "ManagedDatabase",
            &site.name,
            "/metadata/annotations",
            annotations,
        );
        other.local().await.exits(0);
        let taken = other.secret(&site.secret_name("v1")).unwrap();
        assert_eq!(
            taken.get("username"),
            application.get("username"),
            "names outlive their owner"
        );
        taken.connect().await.unwrap();
        // Now the first one is the stranger.
        site.directory
            .local()
            .await
            .exits(3)
            .says("the database belongs to");
    })
    .await;
}

#[tokio::test]
async fn two_objects_for_one_database() {
    on_newest(async |server| {
        let site = site_on(&server, "error_two").await;
        goes_on(&site, "v1").await;
        let files = &site.directory;
        let dsn = site.database.admin_dsn();
        files.put(&managed_database("second", "v2"));
        files.put(&secret("second-admin", &[("dsn", &dsn)]));
        let sentence = format!(
            "the database belongs to ManagedDatabase default/{}",
            site.name
        );
        refused(&site, 3, &sentence).await;
        let status = files.status("second");
        let conditions = status["conditions"].as_array().unwrap();
        assert!(
            conditions.iter().any(|c| c["reason"] == "ClaimedElsewhere"),
            "{status:#}"
        );
        // The first goes on as if there were no other.
        site.desire("v2");
        files.local().await.exits(3);
        assert_eq!(site.status()["currentVersion"], "v2");
        site.has_credentials(&["v1", "v2"]).await;
        assert!(
            !files
                .secrets()
                .iter()
                .any(|name| name.starts_with("second-v"))
        );
    })
    .await;
}

#[tokio::test]
async fn a_foreign_secret_is_not_touched() {
    on_newest(async |server| {
        let site = site_on(&server, "error_secret").await;
        let name = site.secret_name("v1");
        let folder = site.directory.secret_folder(&name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("password"), "of somebody else").unwrap();
        let ended = refused(&site, 3, &format!("Secret {name}")).await;
        ended.says("exists and is not ours; nothing of it was changed: rename or remove it");
        std::fs::remove_dir_all(&folder).unwrap();
        goes_on(&site, "v1").await;
    })
    .await;
}

#[tokio::test]
async fn a_foreign_login_is_not_touched() {
    on_each_engine(async |server| {
        let site = site_on(&server, "login").await;
        goes_on(&site, "v1").await;
        let of_v1 = site.published("v1").get("username").to_owned();
        let login = of_v1.replace("_v1_", "_v2_");
        let account = site.database.account(&login);
        let identified = match server.engine() {
            Engine::Postgres => "PASSWORD 'of somebody else'",
            Engine::MariaDb | Engine::MySql => "IDENTIFIED BY 'of somebody else'",
        };
        let create = format!("CREATE USER {account} {identified}");
        site.database.run(&create).await;
        site.desire("v2");
        let before = site.snapshot().await;
        let ended = site.directory.local().await;
        ended.exits(3).says(&login).says("exists and is not ours");
        before.is_still(&site.snapshot().await);
        site.database.run(&format!("DROP USER {account}")).await;
        goes_on(&site, "v2").await;
    })
    .await;
}

#[tokio::test]
async fn a_second_local_at_the_same_time() {
    on_newest(async |server| {
        let site = site_on(&server, "error_busy").await;
        let first = site.directory.start(&["--watch"]);
        until(
            "the first one is at rest",
            Duration::from_secs(60),
            async || site.summary() == "at rest",
        )
        .await;
        let sentence = format!(
            "another `local` (process {}) works on the state directory",
            first.id()
        );
        refused(&site, 1, &sentence).await.says("--state");
        // To look is never refused.
        site.directory.ask(&["plan"]).await.exits(0);
        site.directory.ask(&["status"]).await.exits(0);
        first.stop(Duration::from_secs(30)).await;
        goes_on(&site, "v1").await;
    })
    .await;
}

#[tokio::test]
async fn paused_and_read_only_write_nothing() {
    on_each_engine(async |server| {
        let site = site_on(&server, "error_held").await;
        for (field, sentence) in [
            (
                "/spec/paused",
                "paused by a person; set spec.paused to false to go on",
            ),
            (
                "/spec/readOnly",
                "readOnly is set: only observed; set spec.readOnly to false to go on",
            ),
        ] {
            site.set(field, true);
            refused(&site, 3, sentence).await;
            site.set(field, false);
        }
        goes_on(&site, "v1").await;
        // Not even what is broken is repaired.
        let secret = site.directory.secret_folder(&site.secret_name("v1"));
        site.set("/spec/readOnly", true);
        std::fs::remove_dir_all(&secret).unwrap();
        // What is left of a Secret that somebody removed is swept at the start: it is nobody's any more.
        site.directory.local().await.exits(3);
        refused(&site, 3, "readOnly is set").await;
        assert!(!Path::exists(&secret));
        site.set("/spec/readOnly", false);
        goes_on(&site, "v1").await;
        site.has_credentials(&["v1"]).await;
    })
    .await;
}
