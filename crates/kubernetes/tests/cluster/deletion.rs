//! Deletion: `Retain` and `Revoke` end, whatever state the database is in, and lose nothing that is in use.

use dbop_api::ManagedDatabase;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::json;

use crate::kubelet::{Kubelet, Script};
use crate::site::{Site, eventually};

async fn gone(site: &Site, name: &str) {
    eventually("the object is gone", async || {
        let found = site.api::<ManagedDatabase>().get_opt(name).await.unwrap();
        found.is_none()
    })
    .await;
}

async fn at_rest(name: &str, policy: &str) -> (Site, Kubelet) {
    let mut site = Site::new(name).await;
    let kubelet = Kubelet::start(&site);
    site.migrations(2).await;
    let policy = json!({ "deletionPolicy": policy });
    site.database_with("shop", "v2", policy).await;
    site.start().await;
    site.at_rest("shop", "v2").await;
    (site, kubelet)
}

#[tokio::test]
async fn retain_leaves_logins_and_secrets_also_in_a_foreground_deletion() {
    let (site, _kubelet) = at_rest("retain", "Retain").await;
    let object: ManagedDatabase = site.api().get("shop").await.unwrap();
    assert_eq!(object.finalizers(), ["database-operator.dev/finalizer"]);
    let logins = site.server.application_logins();
    let api = site.api::<ManagedDatabase>();
    api.delete("shop", &DeleteParams::foreground())
        .await
        .unwrap();
    gone(&site, "shop").await;
    assert_eq!(site.server.application_logins(), logins);
    for name in ["shop-v1", "shop-v2"] {
        assert!(site.secret(name).await.is_some(), "{name} stays");
    }
}

#[tokio::test]
async fn revoke_drops_what_is_unused_and_keeps_what_is_used() {
    let (site, _kubelet) = at_rest("revoke", "Revoke").await;
    let login = site.value("shop-v2", "username").await;
    let password = site.value("shop-v2", "password").await;
    let _session = site.server.open_session(&login, &password).unwrap();
    let api = site.api::<ManagedDatabase>();
    api.delete("shop", &DeleteParams::default()).await.unwrap();
    gone(&site, "shop").await;
    assert!(site.secret("shop-v1").await.is_none());
    assert!(site.secret("shop-v2").await.is_some(), "it is in use");
    assert_eq!(
        site.server
            .application_logins()
            .into_iter()
            .collect::<Vec<_>>(),
        [login]
    );
}

#[tokio::test]
async fn a_deletion_ends_with_the_database_gone_and_while_paused() {
    let (site, _kubelet) = at_rest("gone", "Revoke").await;
    let paused = json!({ "spec": { "paused": true } });
    site.patch::<ManagedDatabase>("shop", paused).await;
    site.server.set_reachable(false);
    let api = site.api::<ManagedDatabase>();
    api.delete("shop", &DeleteParams::default()).await.unwrap();
    gone(&site, "shop").await;
    assert!(
        site.secret("shop-v2").await.is_some(),
        "nobody knows that it is unused"
    );
    site.server.set_reachable(true);
    assert_eq!(site.server.application_logins().len(), 2);
}

#[tokio::test]
async fn a_deletion_during_a_run_waits_for_its_end() {
    let (site, kubelet) = at_rest("during", "Retain").await;
    site.create::<dbop_api::DatabaseMigration>(crate::site::migration(3))
        .await;
    kubelet.script("v3", Script::Hangs);
    site.desire("shop", "v3").await;
    eventually("v3 runs", async || kubelet.runs() == 3).await;
    let api = site.api::<ManagedDatabase>();
    api.delete("shop", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(
        api.get_opt("shop").await.unwrap().is_some(),
        "the run is not cut off"
    );
    kubelet.script("v3", Script::Succeeds);
    gone(&site, "shop").await;
    let jobs = site.api::<k8s_openapi::api::batch::v1::Job>();
    let all = jobs.list(&kube::api::ListParams::default()).await.unwrap();
    assert!(
        all.iter().all(|job| job.finalizers().is_empty()),
        "every Job is let go"
    );
}

#[tokio::test]
async fn read_only_writes_nothing_but_its_status() {
    let mut site = Site::new("read-only").await;
    let kubelet = Kubelet::start(&site);
    site.migrations(1).await;
    site.database_with("shop", "v1", json!({ "readOnly": true }))
        .await;
    let before = site.server.roles();
    site.start().await;
    site.shows("shop", "readOnly").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(kubelet.runs(), 0);
    let object: ManagedDatabase = site.api().get("shop").await.unwrap();
    assert!(object.finalizers().is_empty());
    assert_eq!(site.server.roles(), before);
}
