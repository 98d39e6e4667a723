//! Who refers to a credential holds back the migration that its code cannot live with, by name.

use std::time::Duration;

use dbop_api::ManagedDatabase;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use crate::kubelet::Kubelet;
use crate::site::Site;

fn pod_spec() -> Value {
    json!({ "restartPolicy": "Never", "containers": [{
        "name": "api", "image": "shop/api:1",
        "env": [{ "name": "DATABASE_URL", "valueFrom": { "secretKeyRef": { "name": "shop-v1", "key": "uri" } } }],
    }]})
}

#[tokio::test]
async fn a_deployment_a_suspended_cron_job_and_a_pod_hold_the_walk_back_by_name() {
    let mut site = Site::new("references").await;
    let kubelet = Kubelet::start(&site);
    site.migrations(3).await;
    site.database("shop", "v2").await;
    site.start().await;
    site.at_rest("shop", "v2").await;

    let labels = json!({ "app": "api" });
    let mut template = pod_spec();
    template["restartPolicy"] = json!("Always");
    let deployment = json!({ "metadata": { "name": "api" }, "spec": {
        "replicas": 0, "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": template },
    }});
    site.create::<Deployment>(deployment).await;
    let cron = json!({ "metadata": { "name": "report" }, "spec": {
        "schedule": "0 0 1 1 *", "suspend": true,
        "jobTemplate": { "spec": { "template": { "spec": pod_spec() } } },
    }});
    site.create::<CronJob>(cron).await;
    site.create::<Pod>(json!({ "metadata": { "name": "shell" }, "spec": pod_spec() }))
        .await;

    site.desire("shop", "v3").await;
    site.shows("shop", "Deployment api").await;
    let status = site.status("shop").await;
    let waits = status
        .conditions
        .iter()
        .find(|c| c.type_ == "Ready")
        .unwrap();
    assert_eq!(waits.reason, "CredentialInUse");
    for text in [
        "Deployment api",
        "scaled to zero",
        "CronJob report",
        "suspended",
        "Pod shell",
    ] {
        assert!(waits.message.contains(text), "{text}: {}", waits.message);
    }
    let now = kube::api::DeleteParams::default().grace_period(0);
    site.api::<CronJob>().delete("report", &now).await.unwrap();
    site.api::<Pod>().delete("shell", &now).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    site.shows("shop", "Deployment api").await;
    assert_eq!(kubelet.runs(), 2, "v3 did not run");
    assert!(site.secret("shop-v1").await.is_some());
    site.api::<Deployment>().delete("api", &now).await.unwrap();
    site.at_rest("shop", "v3").await;
    assert!(site.secret("shop-v1").await.is_none());
}

#[tokio::test]
async fn a_kind_that_cannot_be_listed_is_unknown_and_never_unused() {
    let mut site = Site::new("kinds").await;
    let kubelet = Kubelet::start(&site);
    site.migrations(3).await;
    site.database("shop", "v2").await;
    site.start().await;
    site.at_rest("shop", "v2").await;
    let rollouts = json!({ "spec": { "credentials": { "podTemplates": [
        { "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout" },
    ]}}});
    site.patch::<ManagedDatabase>("shop", rollouts).await;
    site.desire("shop", "v3").await;
    site.shows("shop", "kind Rollout of argoproj.io/v1alpha1")
        .await;
    assert_eq!(kubelet.runs(), 2);
    assert!(site.secret("shop-v1").await.is_some());
}

#[tokio::test]
async fn a_workload_that_says_its_schema_is_not_left_behind() {
    let mut site = Site::new("declared").await;
    let kubelet = Kubelet::start(&site);
    site.migrations(3).await;
    site.database("shop", "v2").await;
    site.start().await;
    site.at_rest("shop", "v2").await;
    assert_eq!(site.status("shop").await.supported_versions, ["v2", "v1"]);

    // It has a password of its own: nothing else tells that it is there.
    let labels = json!({ "app": "api" });
    let deployment = json!({
        "metadata": { "name": "api", "labels": { "schema.database-operator.dev/shop": "v1" } },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": {
                "containers": [{ "name": "api", "image": "shop/api:1" }],
            } },
        },
    });
    site.create::<Deployment>(deployment).await;
    site.desire("shop", "v3").await;
    site.shows(
        "shop",
        "v3 would strand what runs, by its own label: Deployment api (v1)",
    )
    .await;
    assert_eq!(kubelet.runs(), 2, "v3 did not run");
    assert!(
        site.secret("shop-v1").await.is_some(),
        "nothing was revoked"
    );
    let moved = json!({ "metadata": { "labels": { "schema.database-operator.dev/shop": "v2" } } });
    site.patch::<Deployment>("api", moved).await;
    site.at_rest("shop", "v3").await;
}
