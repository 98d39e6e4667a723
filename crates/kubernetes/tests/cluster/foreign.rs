//! What bears a name that we need and is not ours: untouched, and named.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use serde_json::json;

use crate::kubelet::{Kubelet, Script};
use crate::site::{Site, eventually};

#[tokio::test]
async fn a_foreign_secret_stalls_and_stays_as_it_is() {
    let mut site = Site::new("foreign-secret").await;
    let _kubelet = Kubelet::start(&site);
    site.migrations(1).await;
    let theirs =
        json!({ "metadata": { "name": "shop-v1" }, "stringData": { "password": "theirs" } });
    let before: Secret = site.create(theirs).await;
    site.database("shop", "v1").await;
    site.start().await;
    site.shows("shop", "blocked:").await;
    let status = site.status("shop").await;
    let stalled = status
        .conditions
        .iter()
        .find(|c| c.type_ == "Stalled")
        .unwrap();
    assert_eq!(
        (stalled.status.as_str(), stalled.reason.as_str()),
        ("True", "ForeignObject")
    );
    assert!(
        stalled.message.contains("Secret shop-v1"),
        "{}",
        stalled.message
    );
    let after = site.secret("shop-v1").await.unwrap();
    assert_eq!(
        after.resource_version(),
        before.resource_version(),
        "untouched"
    );

    // Once it is gone, the walk goes on by itself.
    let now = kube::api::DeleteParams::default();
    site.api::<Secret>().delete("shop-v1", &now).await.unwrap();
    site.at_rest("shop", "v1").await;
}

#[tokio::test]
async fn a_foreign_job_stalls_and_stays_as_it_is() {
    let mut site = Site::new("foreign-job").await;
    let kubelet = Kubelet::start(&site);
    kubelet.script("v1", Script::Succeeds);
    site.migrations(1).await;
    let id = dbop_model::ObjectRef::new(&site.namespace, "shop").unwrap();
    let name = dbop_credentials::names::job(&id, None, &"v1".parse().unwrap(), None);
    let theirs = json!({
        "metadata": { "name": name.as_str() },
        "spec": { "suspend": true, "template": { "spec": {
            "restartPolicy": "Never",
            "containers": [{ "name": "c", "image": "theirs" }],
        }}},
    });
    let before: Job = site.create(theirs).await;
    site.database("shop", "v1").await;
    site.start().await;
    site.shows("shop", "blocked:").await;
    let status = site.status("shop").await;
    let stalled = status
        .conditions
        .iter()
        .find(|c| c.type_ == "Stalled")
        .unwrap();
    assert_eq!(stalled.reason, "ForeignObject");
    assert!(
        stalled.message.contains(name.as_str()),
        "{}",
        stalled.message
    );
    let after: Job = site.api().get(name.as_str()).await.unwrap();
    assert_eq!(after.spec, before.spec, "untouched");
    assert!(after.finalizers().is_empty());
    let now = kube::api::DeleteParams::background();
    site.api::<Job>().delete(name.as_str(), &now).await.unwrap();
    site.at_rest("shop", "v1").await;
    eventually("one run", async || kubelet.runs() == 1).await;
}
