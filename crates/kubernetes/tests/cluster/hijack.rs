//! Attempts of those who may edit one namespace at what another has, and of a migration at the admin's DSN.

use dbop_api::marks::LENT_ANNOTATION;
use dbop_api::{DatabaseMigration, ManagedDatabase};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::ListParams;
use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::kubelet::{Kubelet, Script};
use crate::site::{Site, database, migration};

#[tokio::test]
async fn a_secret_of_another_namespace_is_not_even_said_to_exist() {
    let vault = Site::new("hijack-vault").await;
    let mut site = Site::new("hijack").await;
    site.migrations(1).await;
    let dsn = site.server.target().dsn.expose_secret().to_owned();
    vault
        .create::<Secret>(json!({ "metadata": { "name": "there" }, "stringData": { "dsn": dsn } }))
        .await;
    for name in ["there", "nowhere"] {
        let mut object = database(name, "v1");
        object["spec"]["connection"]["dsnSecret"] =
            json!({ "name": name, "namespace": vault.namespace });
        site.create::<ManagedDatabase>(object).await;
    }
    let roles = site.server.roles();
    site.start().await;
    for name in ["there", "nowhere"] {
        let refused = format!(
            "spec.connection.dsnSecret: Secret {}/{name} does not exist, or does not allow it",
            vault.namespace
        );
        site.shows(name, &refused).await;
    }
    assert_eq!(
        site.server.roles().keys().collect::<Vec<_>>(),
        roles.keys().collect::<Vec<_>>(),
        "nothing was done with it"
    );
}

/// All objects of a kind in the namespace, as their readers have them.
async fn written<K>(site: &Site) -> String
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + serde::Serialize
        + Clone
        + std::fmt::Debug,
{
    let all = site.api::<K>().list(&ListParams::default()).await.unwrap();
    serde_json::to_string(&all.items).unwrap()
}

/// What Secrets hold, decoded.
async fn held(site: &Site) -> String {
    let all = site.api::<Secret>().list(&ListParams::default()).await;
    let data = all.unwrap().items.into_iter().filter_map(|one| one.data);
    let values = data.flat_map(|data| data.into_values().map(|value| value.0));
    values
        .map(|value| String::from_utf8_lossy(&value).into_owned() + "\n")
        .collect()
}

#[tokio::test]
async fn a_lent_dsn_shows_in_no_object_beside_the_applications() {
    const CANARY: &str = "canary-of-the-admin";
    let vault = Site::new("hijack-vault").await;
    let mut site = Site::new("hijack").await;
    let kubelet = Kubelet::start(&site);
    kubelet.script("v2", Script::Hangs);
    site.server.set_admin_password(CANARY);
    let dsn = site.server.target().dsn.expose_secret().to_owned();
    vault
        .create::<Secret>(json!({
            "metadata": {
                "name": "shop-admin",
                "annotations": { LENT_ANNOTATION: format!("{}/shop", site.namespace) },
            },
            "stringData": { "dsn": dsn },
        }))
        .await;
    // A migration that asks for it by name gets what its own namespace has under that name, which is nothing.
    let mut wants = migration(1);
    wants["spec"]["container"]["env"] = json!([{
        "name": "ADMIN",
        "valueFrom": { "secretKeyRef": { "name": "shop-admin", "key": "dsn", "optional": true } },
    }]);
    site.create::<DatabaseMigration>(wants).await;
    site.create::<DatabaseMigration>(migration(2)).await;
    let mut object = database("shop", "v1");
    object["spec"]["connection"]["dsnSecret"]["namespace"] = json!(vault.namespace);
    site.create::<ManagedDatabase>(object).await;
    site.start().await;
    site.at_rest("shop", "v1").await;
    site.desire("shop", "v2").await;
    site.shows("shop", "Job").await;

    // A run is under way: its Job, its Pod and its Secret are there, beside the application's.
    let secrets = held(&site).await;
    assert!(
        secrets.contains("DBA_OP") || secrets.contains("postgresql://"),
        "there is something to look through"
    );
    let places = [
        ("values of Secrets", secrets),
        ("Secrets", written::<Secret>(&site).await),
        ("Jobs", written::<Job>(&site).await),
        ("Pods", written::<Pod>(&site).await),
        ("ConfigMaps", written::<ConfigMap>(&site).await),
        ("Events", written::<Event>(&site).await),
        ("databases", written::<ManagedDatabase>(&site).await),
        ("migrations", written::<DatabaseMigration>(&site).await),
    ];
    for (place, text) in places {
        assert!(!text.contains(CANARY), "{place}: {text}");
    }
    assert!(site.secret("shop-admin").await.is_none());
}

/// `shop-eu` with v1 and `shop` with eu-v1 would both have a Secret shop-eu-v1.
#[tokio::test]
async fn two_databases_whose_secrets_would_bear_one_name_do_not_share_it() {
    let mut site = Site::new("hijack-names").await;
    let _kubelet = Kubelet::start(&site);
    site.migrations(1).await;
    let mut same = migration(1);
    same["metadata"]["name"] = json!("eu-v1");
    site.create::<DatabaseMigration>(same).await;
    site.database("shop-eu", "v1").await;
    site.start().await;
    site.at_rest("shop-eu", "v1").await;
    let before = site.secret("shop-eu-v1").await.unwrap();

    site.database("shop", "eu-v1").await;
    site.shows("shop", "blocked:").await;
    let status = site.status("shop").await;
    let stalled = status.conditions.iter().find(|one| one.type_ == "Stalled");
    let stalled = stalled.unwrap();
    assert_eq!(stalled.reason, "ForeignObject", "{}", stalled.message);
    assert!(
        stalled.message.contains("Secret shop-eu-v1"),
        "{}",
        stalled.message
    );
    let after = site.secret("shop-eu-v1").await.unwrap();
    assert_eq!(after.resource_version(), before.resource_version());
    site.at_rest("shop-eu", "v1").await;
}
