//! Rotation in a cluster: the Secret is changed in place, and a Pod from before that keeps the login that it may hold.

use std::time::Duration;

use dbop_api::{ManagedDatabase, ROTATE_ANNOTATION};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::kubelet::Kubelet;
use crate::site::{Site, eventually};

fn pod(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "spec": { "restartPolicy": "Never", "containers": [{
        "name": "api", "image": "shop/api:1",
        "env": [{ "name": "DATABASE_URL", "valueFrom": { "secretKeyRef": { "name": "shop-v2", "key": "uri" } } }],
    }]}})
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "a person who asks for a rotation tells the real time"
)]
async fn a_pod_from_before_keeps_the_login_that_it_may_hold() {
    let mut site = Site::new("rotation").await;
    let _kubelet = Kubelet::start(&site);
    site.migrations(2).await;
    site.database("shop", "v2").await;
    site.start().await;
    site.at_rest("shop", "v2").await;
    let before = site.secret("shop-v2").await.unwrap();
    let username = site.value("shop-v2", "username").await;
    site.create::<Pod>(pod("old")).await;
    // Kubernetes tells the second in which a Pod was made.
    tokio::time::sleep(Duration::from_secs(2)).await;

    let said = format!("v2@{}", Timestamp::now());
    let word = json!({ "metadata": { "annotations": { ROTATE_ANNOTATION: said } } });
    site.patch::<ManagedDatabase>("shop", word).await;
    site.shows("shop", "was replaced and is still used by Pod old")
        .await;
    let after = site.secret("shop-v2").await.unwrap();
    assert_eq!(after.metadata.uid, before.metadata.uid, "the same object");
    assert_eq!(after.metadata.labels, before.metadata.labels);
    let renamed = site.value("shop-v2", "username").await;
    assert_eq!(renamed, format!("{username}_2"));
    assert!(site.value("shop-v2", "uri").await.contains(&renamed));
    let status = site.status("shop").await;
    let shown = status.credentials.iter().find(|c| c.migration == "v2");
    let replaced = shown.unwrap().replaced.clone().unwrap();
    assert_eq!(
        (replaced.username, replaced.in_use),
        (username.clone(), Some(true))
    );
    assert!(
        replaced.used_by[0].contains("Pod old"),
        "{:?}",
        replaced.used_by
    );

    // One that is made now reads the Secret as it is now: it is in nobody's way.
    site.create::<Pod>(pod("new")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(
        site.server.application_logins().contains(&username),
        "Pod old may hold it"
    );
    let now = kube::api::DeleteParams::default().grace_period(0);
    site.api::<Pod>().delete("old", &now).await.unwrap();
    site.at_rest("shop", "v2").await;
    eventually("the end of the login before", async || {
        !site.server.application_logins().contains(&username)
    })
    .await;
    assert!(site.server.application_logins().contains(&renamed));
    eventually("the Events", async || {
        let events = site.events("shop").await;
        let told = |reason: &str| events.iter().any(|event| event.contains(reason));
        told("CredentialRotated") && told("LoginRetired")
    })
    .await;
    let status = site.status("shop").await;
    assert!(status.credentials.iter().all(|c| c.replaced.is_none()));
}
