//! The admin's DSN in a namespace of its own, out of reach of the applications' Pods.

use dbop_api::ManagedDatabase;
use dbop_api::marks::LENT_ANNOTATION;
use k8s_openapi::api::core::v1::Secret;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::kubelet::Kubelet;
use crate::site::{Site, database};

#[tokio::test]
async fn a_dsn_of_another_namespace_is_used_as_long_as_that_one_allows_it() {
    let vault = Site::new("lent-vault").await;
    let mut site = Site::new("lent").await;
    let _kubelet = Kubelet::start(&site);
    site.migrations(1).await;
    let dsn = site.server.target().dsn.expose_secret().to_owned();
    vault
        .create::<Secret>(json!({
            "metadata": { "name": "shop-admin" },
            "stringData": { "dsn": dsn },
        }))
        .await;
    let mut object = database("shop", "v1");
    object["spec"]["connection"]["dsnSecret"]["namespace"] = json!(vault.namespace);
    site.create::<ManagedDatabase>(object).await;
    site.start().await;

    let refused = format!(
        "Secret {}/shop-admin does not exist, or does not allow it",
        vault.namespace
    );
    let allow = async |who: Option<&str>| {
        let annotations = json!({ "metadata": { "annotations": { LENT_ANNOTATION: who } } });
        vault.patch::<Secret>("shop-admin", annotations).await;
    };
    site.shows("shop", &refused).await;
    allow(Some("elsewhere/shop")).await;
    site.shows("shop", &refused).await;
    assert!(site.server.roles().keys().all(|role| !role.contains("v1")));

    let us = format!("elsewhere/shop, {}/shop", site.namespace);
    allow(Some(&us)).await;
    site.at_rest("shop", "v1").await;

    allow(None).await;
    site.shows("shop", &refused).await;
}
