//! A Secret that holds the parts of the admin's DSN.

use dbop_api::ManagedDatabase;
use dbop_api::marks::LENT_ANNOTATION;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::kubelet::Kubelet;
use crate::site::{Site, database};

/// The parts, as the fake server has them; its admin's password is what its site says.
fn parts(site: &Site, login_key: &str) -> Value {
    site.server.set_admin_password("the-admins");
    json!({
        "host": "fake.test", "port": "5432\n", "database": "shop", login_key: "admin", "password": "the-admins",
    })
}

fn with_keys(keys: Value) -> Value {
    let mut object = database("shop", "v1");
    object["spec"]["connection"]["secretKeys"] = keys;
    object
}

#[tokio::test]
async fn the_parts_of_a_dsn_are_put_together_and_a_missing_one_is_named() {
    let mut site = Site::new("parts").await;
    let _kubelet = Kubelet::start(&site);
    site.migrations(1).await;
    let held = parts(&site, "user");
    site.create::<Secret>(json!({ "metadata": { "name": "shop-admin" }, "stringData": held }))
        .await;
    site.create::<ManagedDatabase>(with_keys(json!({ "engine": "PostgreSQL" })))
        .await;
    site.start().await;
    site.shows(
        "shop",
        &format!(
            "spec.connection.secretKeys: Secret {}/shop-admin has no key username that is text; its keys: database, \
             host, password, port, user",
            site.namespace
        ),
    )
    .await;
    let named = json!({ "spec": { "connection": { "secretKeys": { "username": "user" } } } });
    site.patch::<ManagedDatabase>("shop", named).await;
    site.at_rest("shop", "v1").await;

    // What is wrong with a part is told by the Secret and its keys, and shows none of it.
    let change = json!({ "stringData": { "port": "s3cret" } });
    site.patch::<Secret>("shop-admin", change).await;
    site.shows(
        "shop",
        &format!(
            "(DSN from Secret {}/shop-admin, keys host, port, database, user and password)",
            site.namespace
        ),
    )
    .await;
    let summary = site.status("shop").await.summary.unwrap();
    assert!(!summary.contains("s3cret"), "{summary}");
}

/// A host is shown where it cannot be reached: whoever could say which key is the host would be shown what they may not
/// read.
#[tokio::test]
async fn the_parts_of_a_lent_dsn_stand_where_everybody_expects_them() {
    let vault = Site::new("parts-vault").await;
    let mut site = Site::new("parts").await;
    let _kubelet = Kubelet::start(&site);
    site.migrations(1).await;
    vault
        .create::<Secret>(json!({
            "metadata": {
                "name": "shop-admin",
                "annotations": { LENT_ANNOTATION: format!("{}/shop", site.namespace) },
            },
            "stringData": parts(&site, "username"),
        }))
        .await;
    let mut object =
        with_keys(json!({ "engine": "PostgreSQL", "host": "password", "password": "host" }));
    object["spec"]["connection"]["dsnSecret"]["namespace"] = json!(vault.namespace);
    object["apiVersion"] = json!("database-operator.dev/v1alpha1");
    object["kind"] = json!("ManagedDatabase");
    let greedy: ManagedDatabase = serde_json::from_value(object.clone()).unwrap();
    let refused = site.api().create(&PostParams::default(), &greedy).await;
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("chooses keys of a Secret that another namespace lends"),
        "{refused}"
    );
    object["spec"]["connection"]["secretKeys"] = json!({ "engine": "PostgreSQL" });
    site.create::<ManagedDatabase>(object).await;
    site.start().await;
    site.at_rest("shop", "v1").await;
}
