//! The ordinary walk: migrations run as Jobs, Secrets appear and go, the status tells the truth.

use dbop_api::ManagedDatabase;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use crate::kubelet::Kubelet;
use crate::site::{Site, eventually};

#[tokio::test]
async fn a_database_walks_to_its_desired_version_and_back_to_rest() {
    let mut site = Site::new("walk").await;
    let kubelet = Kubelet::start(&site);
    site.migrations(4).await;
    site.database("shop", "v2").await;
    site.start().await;
    site.at_rest("shop", "v2").await;
    assert_eq!(kubelet.runs(), 2, "v1 and v2, once each");
    for version in ["v1", "v2"] {
        let secret = site.secret(&format!("shop-{version}")).await.unwrap();
        assert!(secret.owner_references().is_empty());
        assert_eq!(
            secret.type_.as_deref(),
            Some("servicebinding.io/postgresql")
        );
        let (login, password) = (
            site.value(&secret.name_any(), "username").await,
            site.value(&secret.name_any(), "password").await,
        );
        assert!(site.server.open_session(&login, &password).is_ok());
    }
    // Nobody is connected now.
    for session in site.server.open_sessions().keys() {
        site.server.close_session(*session);
    }

    // v3 takes v1's credential away first, and v4 that of v2.
    site.desire("shop", "v4").await;
    site.at_rest("shop", "v4").await;
    for (version, there) in [("v1", false), ("v2", false), ("v3", true), ("v4", true)] {
        let secret = site.secret(&format!("shop-{version}")).await;
        assert_eq!(secret.is_some(), there, "{version}");
    }
    let status = site.status("shop").await;
    assert_eq!(status.binding.unwrap().name, "shop-v4");
    assert_eq!(status.last_run.unwrap().migration, "v4");
    let ready = status
        .conditions
        .iter()
        .find(|c| c.type_ == "Ready")
        .unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_str()),
        ("True", "AtRest")
    );

    let events = site.events("shop").await;
    let count = |reason: &str| events.iter().filter(|one| *one == reason).count();
    assert_eq!(count("MigrationStarted"), 4, "{events:?}");
    assert_eq!(count("MigrationSucceeded"), 4, "{events:?}");
    assert_eq!(count("CredentialRetired"), 2, "{events:?}");
    site.stop().await;
}

#[tokio::test]
async fn a_jobs_secret_goes_with_the_run_and_its_outcome_stands_on_the_job() {
    let mut site = Site::new("own-secret").await;
    let _kubelet = Kubelet::start(&site);
    site.migrations(1).await;
    site.database("shop", "v1").await;
    site.start().await;
    site.at_rest("shop", "v1").await;
    let jobs = site
        .api::<Job>()
        .list(&ListParams::default())
        .await
        .unwrap();
    let [job] = jobs.items.as_slice() else {
        panic!("one Job, not {}", jobs.items.len())
    };
    assert!(job.finalizers().is_empty(), "it is let go");
    let outcome = &job.annotations()["database-operator.dev/outcome"];
    assert_eq!(outcome, "v1 is done, and the database says so");
    assert_eq!(site.secret(&job.name_any()).await, None);
    eventually("the Job's Event", async || {
        site.events(&job.name_any()).await == ["MigrationSucceeded"]
    })
    .await;
    let secrets = site
        .api::<Secret>()
        .list(&ListParams::default())
        .await
        .unwrap();
    let names: Vec<String> = secrets.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["shop-admin", "shop-v1"]);
}

#[tokio::test]
async fn the_status_of_migrations_says_who_uses_them() {
    let mut site = Site::new("used-by").await;
    let _kubelet = Kubelet::start(&site);
    site.migrations(2).await;
    site.database("shop", "v1").await;
    site.start().await;
    let used_by = async |name: &str| {
        let object: dbop_api::DatabaseMigration = site.api().get(name).await.unwrap();
        object.status.unwrap_or_default().used_by
    };
    eventually("v1 and v2 are of shop's chain", async || {
        used_by("v1").await == ["shop"] && used_by("v2").await == ["shop"]
    })
    .await;
}

#[tokio::test]
async fn a_rest_asks_for_nothing_and_a_repaired_secret_is_acted_on_at_once() {
    let mut site = Site::new("repair").await;
    let _kubelet = Kubelet::start(&site);
    site.migrations(1).await;
    let object = crate::site::database("shop", "v1");
    site.create::<ManagedDatabase>(object).await;
    site.start().await;
    site.shows("shop", "Secret").await;
    let status = site.status("shop").await;
    assert!(
        status
            .summary
            .unwrap()
            .contains("does not exist; create it, with the key dsn"),
        "it says what to do"
    );
    site.admin_secret("shop").await;
    site.at_rest("shop", "v1").await;

    // A Secret that a person spoils is put back; one that is deleted comes back with its password anew.
    let password = site.value("shop-v1", "password").await;
    site.patch::<Secret>("shop-v1", json!({ "stringData": { "host": "elsewhere" } }))
        .await;
    eventually("the host is put back", async || {
        site.value("shop-v1", "host").await == "fake.test"
    })
    .await;
    assert_eq!(site.value("shop-v1", "password").await, password);
    let now = kube::api::DeleteParams::default();
    site.api::<Secret>().delete("shop-v1", &now).await.unwrap();
    eventually("the Secret is put back", async || {
        site.secret("shop-v1").await.is_some()
    })
    .await;
    let login = site.value("shop-v1", "username").await;
    let password = site.value("shop-v1", "password").await;
    assert!(site.server.open_session(&login, &password).is_ok());
}

#[tokio::test]
async fn sql_in_a_config_map_is_waited_for_and_judged_and_nothing_is_touched_meanwhile() {
    let mut site = Site::new("sql").await;
    let kubelet = Kubelet::start(&site);
    site.migrations(1).await;
    let mut v2 = crate::site::migration(2);
    v2["spec"]["sql"] = json!({ "configMap": { "name": "shop-sql", "key": "v2.sql" } });
    site.create::<dbop_api::DatabaseMigration>(v2).await;
    site.database("shop", "v1").await;
    site.start().await;
    site.at_rest("shop", "v1").await;

    site.desire("shop", "v2").await;
    let hints = async |text: &str| {
        eventually(text, async || {
            let conditions = site.status("shop").await.conditions;
            let hints = conditions.iter().find(|one| one.type_ == "HintsClear");
            hints.is_some_and(|one| one.message.contains(text))
        })
        .await;
    };
    hints("shop-sql does not exist; create it, with the SQL under the key v2.sql").await;
    let bytes = json!({ "metadata": { "name": "shop-sql" }, "binaryData": { "v2.sql": "AAE=" } });
    site.create::<ConfigMap>(bytes).await;
    hints("has the key v2.sql in binaryData, and SQL is text").await;
    let change = |text: &str| json!({ "binaryData": null, "data": { "v2.sql": text } });
    site.patch::<ConfigMap>("shop-sql", change("DROP TABLE nowhere"))
        .await;
    site.shows("shop", "there is no table nowhere").await;
    assert_eq!(kubelet.runs(), 1);
    assert!(site.secret("shop-v1").await.is_some());

    // Put right where it was wrong, it goes on by itself.
    site.patch::<ConfigMap>("shop-sql", change("SELECT 1"))
        .await;
    site.at_rest("shop", "v2").await;
    site.stop().await;
}
