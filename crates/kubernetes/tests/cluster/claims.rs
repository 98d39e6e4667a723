//! Whose a database is: one owner, a new one only by a person's word, and one of equal name goes on.

use dbop_api::{ManagedDatabase, TAKE_OVER_ANNOTATION};
use kube::api::DeleteParams;
use serde_json::json;

use crate::kubelet::Kubelet;
use crate::site::{Site, eventually};

#[tokio::test]
async fn another_owner_is_refused_until_a_person_says_take_over() {
    let mut first = Site::new("claim-a").await;
    let _kubelet = Kubelet::start(&first);
    first.migrations(1).await;
    first.database("shop", "v1").await;
    first.start().await;
    first.at_rest("shop", "v1").await;
    first.stop().await;
    let logins = first.server.application_logins();

    let mut second = Site::new("claim-b").await;
    second.server = first.server.clone();
    second.migrations(1).await;
    second.database("shop", "v1").await;
    second.start().await;
    second.shows("shop", "blocked:").await;
    let status = second.status("shop").await;
    let stalled = status
        .conditions
        .iter()
        .find(|c| c.type_ == "Stalled")
        .unwrap();
    assert_eq!(stalled.reason, "ClaimedElsewhere");
    assert!(
        stalled.message.contains(&first.namespace),
        "{}",
        stalled.message
    );
    assert!(second.secret("shop-v1").await.is_none());

    let word = json!({ "metadata": { "annotations": { TAKE_OVER_ANNOTATION: "true" } } });
    second.patch::<ManagedDatabase>("shop", word).await;
    second.at_rest("shop", "v1").await;
    assert_eq!(
        second.server.application_logins(),
        logins,
        "no login has another name"
    );
    assert!(second.secret("shop-v1").await.is_some());
}

#[tokio::test]
async fn an_object_that_is_made_anew_goes_on_with_what_was_there() {
    let mut site = Site::new("anew").await;
    let kubelet = Kubelet::start(&site);
    site.migrations(2).await;
    site.database("shop", "v1").await;
    site.start().await;
    site.at_rest("shop", "v1").await;
    let before = site.secret("shop-v1").await.unwrap();
    let api = site.api::<ManagedDatabase>();
    api.delete("shop", &DeleteParams::default()).await.unwrap();
    eventually("it is gone", async || {
        api.get_opt("shop").await.unwrap().is_none()
    })
    .await;
    let again = crate::site::database("shop", "v2");
    site.create::<ManagedDatabase>(again).await;
    site.at_rest("shop", "v2").await;
    let after = site.secret("shop-v1").await.unwrap();
    assert_eq!(after.metadata.uid, before.metadata.uid);
    assert_eq!(after.data, before.data, "applications did not notice");
    assert_eq!(kubelet.runs(), 2);
}

#[tokio::test]
async fn paused_starts_nothing_and_goes_on_when_it_is_not() {
    let mut site = Site::new("paused").await;
    let kubelet = Kubelet::start(&site);
    site.migrations(2).await;
    site.database("shop", "v1").await;
    site.start().await;
    site.at_rest("shop", "v1").await;
    let paused =
        |paused: bool| json!({ "spec": { "paused": paused, "desiredSchemaVersion": "v2" } });
    site.patch::<ManagedDatabase>("shop", paused(true)).await;
    site.shows("shop", "paused by a person").await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(kubelet.runs(), 1);
    site.patch::<ManagedDatabase>("shop", paused(false)).await;
    site.at_rest("shop", "v2").await;
}
