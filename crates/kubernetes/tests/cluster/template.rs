//! What `secretTemplate` adds to a credential's Secret: written, put back, and taken away with the template.

use std::collections::BTreeMap;

use dbop_api::ManagedDatabase;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::kubelet::Kubelet;
use crate::site::{Site, eventually};

const SECRET: &str = "shop-v1";

/// Of what a person or the template adds: labels, annotations and keys, by name; what is absent is not there.
async fn dress(site: &Site) -> BTreeMap<String, String> {
    let secret = site.secret(SECRET).await.unwrap();
    let mut found = BTreeMap::new();
    for name in ["team", "theirs"] {
        let label = secret.labels().get(name).cloned();
        found.extend(label.map(|value| (format!("label {name}"), value)));
    }
    for name in ["example.com/match", "example.com/theirs"] {
        let annotation = secret.annotations().get(name).cloned();
        found.extend(annotation.map(|value| (format!("annotation {name}"), value)));
    }
    let data = secret.data.unwrap_or_default();
    for name in ["dsn", "theirs"] {
        let value = data.get(name).map(|value| value.0.clone());
        let value = value.map(|value| String::from_utf8(value).unwrap());
        found.extend(value.map(|value| (format!("key {name}"), value)));
    }
    found
}

async fn becomes(site: &Site, expect: &[(&str, &str)]) {
    let expect: BTreeMap<String, String> = expect
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    eventually(&format!("{expect:?}"), async || dress(site).await == expect).await;
}

async fn says(site: &Site, template: Value) {
    let change = json!({ "spec": { "credentials": { "secretTemplate": template } } });
    site.patch::<ManagedDatabase>("shop", change).await;
}

#[tokio::test]
async fn a_template_is_written_put_back_and_taken_away() {
    let mut site = Site::new("template").await;
    let _kubelet = Kubelet::start(&site);
    site.migrations(1).await;
    let template = json!({
        "labels": { "team": "shop" },
        "annotations": { "example.com/match": "true" },
        "keys": { "dsn": "{host}:{port}" },
    });
    let credentials = json!({ "credentials": { "secretTemplate": template } });
    site.database_with("shop", "v1", credentials).await;
    site.start().await;
    site.at_rest("shop", "v1").await;
    let whole = [
        ("label team", "shop"),
        ("annotation example.com/match", "true"),
        ("key dsn", "fake.test:5432"),
    ];
    becomes(&site, &whole).await;
    let password = site.value(SECRET, "password").await;

    // Changed by hand, then taken out by hand; what people add of their own stays.
    let edited = json!({
        "metadata": {
            "labels": { "team": "other", "theirs": "stays" },
            "annotations": { "example.com/match": "false", "example.com/theirs": "stays" },
        },
        "stringData": { "dsn": "elsewhere", "theirs": "stays" },
    });
    site.patch::<Secret>(SECRET, edited).await;
    let theirs = [
        ("label theirs", "stays"),
        ("annotation example.com/theirs", "stays"),
        ("key theirs", "stays"),
    ];
    let both: Vec<_> = whole.iter().chain(&theirs).copied().collect();
    becomes(&site, &both).await;
    let taken = json!({
        "metadata": { "labels": { "team": null }, "annotations": { "example.com/match": null } },
        "data": { "dsn": null },
    });
    site.patch::<Secret>(SECRET, taken).await;
    becomes(&site, &both).await;

    // The template drops a part, then all.
    says(
        &site,
        json!({ "labels": null, "keys": { "dsn": "{database}" } }),
    )
    .await;
    let less = [
        ("annotation example.com/match", "true"),
        ("key dsn", "shop"),
    ];
    let less: Vec<_> = less.iter().chain(&theirs).copied().collect();
    becomes(&site, &less).await;
    says(&site, Value::Null).await;
    becomes(&site, &theirs).await;
    assert_eq!(site.value(SECRET, "password").await, password);
    site.at_rest("shop", "v1").await;
    site.stop().await;
}
