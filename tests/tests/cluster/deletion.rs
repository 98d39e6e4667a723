//! A ManagedDatabase is deleted: `Retain` and `Revoke` both end, and nothing that is in use is lost.

use std::future::Future;

use serde_json::json;
use tokio_postgres::NoTls;

use crate::api::{at, background, text};
use crate::site::{SHOP, Site};

/// What becomes of credentials.
#[derive(Clone, Copy, PartialEq)]
enum Policy {
    Retain,
    Revoke,
}

/// Runs a test with both policies, side by side.
async fn both<F: Future<Output = ()>>(test: impl Fn(Policy) -> F) {
    tokio::join!(test(Policy::Retain), test(Policy::Revoke));
}

/// A database at rest at v2; v1 is compatible with it, so there are two credentials.
async fn at_rest(name: &str, policy: Policy) -> Site {
    let (suffix, policy) = match policy {
        Policy::Retain => ("retain", "Retain"),
        Policy::Revoke => ("revoke", "Revoke"),
    };
    let site = Site::new(&format!("{name}-{suffix}")).await;
    site.chain(&["CREATE TABLE t (id int)", "SELECT 1", "SELECT pg_sleep(8)"])
        .await;
    site.database("v2", json!({ "deletionPolicy": policy }))
        .await;
    site.at_rest("v2").await;
    assert_eq!(secrets(&site).await, ["shop-v1", "shop-v2"]);
    site
}

/// The Secrets of credentials.
async fn secrets(site: &Site) -> Vec<String> {
    let all = site.all("Secret").await;
    let names = all
        .iter()
        .map(|secret| text(secret, "/metadata/name").to_owned());
    names.filter(|name| name.starts_with("shop-v")).collect()
}

/// The application logins that there are.
async fn logins(site: &Site) -> Vec<String> {
    let rows = site
        .database
        .server()
        .superuser()
        .await
        .query(
            "SELECT rolname::text FROM pg_roles WHERE rolcanlogin AND rolname = ANY ($1) ORDER BY 1",
            &[&site.database.roles().await],
        )
        .await
        .unwrap();
    let names = rows.iter().map(|row| row.get::<_, String>(0));
    names.filter(|name| name != site.database.admin()).collect()
}

async fn delete(site: &Site) {
    site.api
        .delete(&site.at("ManagedDatabase", SHOP), background())
        .await;
}

async fn clear(site: Site) {
    site.api
        .delete(&at("Namespace", "", &site.namespace), background())
        .await;
}

#[tokio::test]
async fn at_rest_unused_credentials_are_revoked_and_used_ones_stay() {
    both(async |policy| {
        let site = at_rest("rest", policy).await;
        let secret = site.get("Secret", "shop-v2").await.unwrap();
        let uri = String::from_utf8(crate::site::decode(text(&secret, "/data/uri"))).unwrap();
        let (_session, connection) = tokio_postgres::connect(&uri, NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        delete(&site).await;
        site.gone().await;
        match policy {
            Policy::Retain => {
                assert_eq!(secrets(&site).await, ["shop-v1", "shop-v2"]);
                assert_eq!(logins(&site).await.len(), 2);
            }
            Policy::Revoke => {
                assert_eq!(secrets(&site).await, ["shop-v2"], "a session uses it");
                assert_eq!(logins(&site).await.len(), 1);
            }
        }
        connection.abort();
        clear(site).await;
    })
    .await;
}

#[tokio::test]
async fn during_a_job_its_end_is_waited_for() {
    both(async |policy| {
        let site = at_rest("during", policy).await;
        site.desire("v3").await;
        site.running("v3").await;
        delete(&site).await;
        site.gone().await;
        let jobs = site.all("Job").await;
        let of_v3 = jobs
            .iter()
            .find(|job| crate::site::migration_of(job) == "v3")
            .unwrap();
        assert_eq!(
            of_v3["status"]["succeeded"], 1,
            "it was not cut off: {of_v3:#}"
        );
        for job in &jobs {
            let finalizers = job.pointer("/metadata/finalizers");
            assert!(finalizers.is_none(), "every Job is let go: {finalizers:?}");
        }
        assert_eq!(site.uids(&site.pods, "v3"), 1);
        clear(site).await;
    })
    .await;
}

#[tokio::test]
async fn a_paused_one_goes_too() {
    both(async |policy| {
        let site = at_rest("paused", policy).await;
        site.change(json!({ "spec": { "paused": true } })).await;
        site.shows("paused").await;
        delete(&site).await;
        site.gone().await;
        let (secrets, logins) = (secrets(&site).await, logins(&site).await);
        let left = if policy == Policy::Retain { 2 } else { 0 };
        assert_eq!((secrets.len(), logins.len()), (left, left));
        clear(site).await;
    })
    .await;
}

#[tokio::test]
async fn one_whose_database_is_gone_goes_and_what_may_be_used_stays() {
    both(async |policy| {
        let site = at_rest("gone", policy).await;
        let superuser = site.database.server().superuser().await;
        let roles = site.database.roles().await;
        let drop = format!("DROP DATABASE {} WITH (FORCE)", site.database.name());
        superuser.batch_execute(&drop).await.unwrap();
        delete(&site).await;
        site.gone().await;
        assert_eq!(
            secrets(&site).await,
            ["shop-v1", "shop-v2"],
            "nobody knows whether they are used"
        );
        // Roles are found through their database, so these are the test's own to remove.
        let roles: Vec<String> = roles
            .into_iter()
            .filter(|role| role != site.database.admin())
            .map(|role| format!("\"{role}\""))
            .collect();
        let drop = format!("DROP ROLE IF EXISTS {}", roles.join(", "));
        superuser.batch_execute(&drop).await.unwrap();
        clear(site).await;
    })
    .await;
}
