//! What looks back at the whole run, and what needs the operator for itself: one after the other, by their names.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dbop_tests::is_full_proof;
use serde_json::{Value, json};

use crate::api::{Api, at, background, objects, root, text, until};
use crate::audit::{self, Request};
use crate::install;
use crate::site::Site;

/// How long the operator is watched at rest.
const IDLE: Duration = Duration::from_secs(60);
const IDLE_IN_PROOF: Duration = Duration::from_secs(300);
/// How often it looks meanwhile: so often that a minute has many looks.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How often their health is looked at: so often that the last look during a walk is soon followed by one at rest.
const HEALTH_INTERVAL: Duration = Duration::from_secs(10);
/// How many databases are at rest.
const DATABASES: usize = 3;
/// What is asked on behalf of no rule: whether one is there, and what the server is.
const RULELESS: [&str; 2] = ["authorization.k8s.io", "authentication.k8s.io"];

/// The rules of some files in `deploy/rbac`.
fn rules(folders: &[&str]) -> Vec<Value> {
    let read = |folder: &&str| {
        let path = root().join(format!("deploy/rbac/{folder}/rbac.yaml"));
        objects(&std::fs::read_to_string(path).unwrap())
    };
    folders.iter().flat_map(read).collect()
}

/// No request was denied, and no rule is unused.
#[track_caller]
fn judge(requests: &[Request], folders: &[&str]) {
    let rules = rules(folders);
    let (denied, unused) = audit::compare(requests, &rules);
    let kinds: BTreeSet<(&str, &str)> = requests
        .iter()
        .map(|request| (request.verb.as_str(), request.resource.as_str()))
        .collect();
    println!(
        "proof: {} requests of the operator, {} kinds of them, {} denied; {} rules unused {unused:?} ({})",
        requests.len(),
        kinds.len(),
        denied.len(),
        unused.len(),
        folders.join(" and ")
    );
    assert!(denied.is_empty(), "{denied:#?}");
    assert!(unused.is_empty(), "no request used these: {unused:#?}");
    assert!(requests.len() > 100, "there was a run");
}

/// A walk with everything that takes a rule: a Job that gets no Pod, a wait for a Pod, a failure, a repaired Secret,
/// a Job made anew, a deletion.
async fn everything_that_takes_a_rule(site: &Site) {
    site.files(&[
        "CREATE TABLE t (id int)",
        "SELECT 1",
        "SELECT 1",
        "SELECT 1",
    ])
    .await;
    site.first_migration().await;
    site.migration(2, json!({})).await;
    site.migration(
        3,
        json!({ "container": { "command": ["dbop-migrate", "--dir", "/nowhere"] } }),
    )
    .await;
    site.migration(
        4,
        json!({ "container": { "image": "dbop-test/nothing:0" } }),
    )
    .await;
    let app = site.application("v1").await;
    let more = json!({
        "deletionPolicy": "Revoke",
        "migrations": { "podTemplate": { "spec": { "serviceAccountName": "migrator" } } },
    });
    site.database("v2", more).await;
    site.shows("serviceaccount \"migrator\" not found").await;
    site.apply("v1", "ServiceAccount", "migrator", json!({}))
        .await;
    site.at_rest("v2").await;
    site.desire("v3").await;
    site.shows("credential v1 is still used").await;
    site.end_pod(&app).await;
    site.shows("blocked: the run of v3").await;
    site.migration(3, json!({})).await;
    site.at_rest("v3").await;
    site.api
        .merge(
            &site.at("Secret", "shop-v3"),
            json!({ "stringData": { "host": "elsewhere" } }),
        )
        .await;
    until("the Secret is put back", async || {
        let secret = site.get("Secret", "shop-v3").await?;
        let host = String::from_utf8(crate::site::decode(text(&secret, "/data/host"))).unwrap();
        (host != "elsewhere").then_some(())
    })
    .await;
    site.desire("v4").await;
    site.shows("ErrImageNeverPull").await;
    site.migration(4, json!({})).await;
    site.at_rest("v4").await;
    site.api
        .delete(&site.at("ManagedDatabase", crate::site::SHOP), background())
        .await;
    site.gone().await;
}

#[tokio::test]
async fn all_namespaces_no_request_was_denied_and_no_rule_is_unused() {
    let site = Site::new("rules").await;
    let api = site.api.clone();
    everything_that_takes_a_rule(&site).await;
    api.delete(&at("Namespace", "", &site.namespace), background())
        .await;
    // A watch is in the log once it has ended.
    install::scale(&api, 0).await;
    let requests = audit::requests(audit::begin());
    judge(&requests, &["operator", "cluster"]);
}

#[tokio::test]
async fn idle_it_writes_nothing_and_reads_at_most_once_a_look() {
    let api = Api::of_environment().await;
    let heartbeat = format!("--heartbeat={}s", HEARTBEAT.as_secs());
    install::install_for_all(&api, &[&heartbeat]).await;
    install::scale(&api, 2).await;
    let mut sites = Vec::new();
    for nth in 0..DATABASES {
        let site = Site::without_operator(api.clone(), &format!("idle-{nth}")).await;
        site.chain(&["CREATE TABLE t (id int)", "SELECT 1"]).await;
        let interval = format!("{}s", HEALTH_INTERVAL.as_secs());
        site.database("v2", json!({ "health": { "interval": interval } }))
            .await;
        sites.push(site);
    }
    for site in &sites {
        site.at_rest("v2").await;
    }
    // What the end of the walks still causes is over: health may have been looked at before there was a table, and what the
    // next look finds shows with the pass after it.
    tokio::time::sleep(2 * HEALTH_INTERVAL + 2 * HEARTBEAT).await;
    let (from, states) = (
        audit::length(),
        sites
            .iter()
            .map(|site| site.databases.count())
            .sum::<usize>(),
    );
    let idle = if is_full_proof() { IDLE_IN_PROOF } else { IDLE };
    let (mut looks, mut connected) = (0, 0);
    let names: Vec<&str> = sites.iter().map(|site| site.database.name()).collect();
    let superuser = sites[0].database.server().superuser().await;
    let look_every = Duration::from_millis(500);
    while looks * look_every.as_millis() < idle.as_millis() {
        tokio::time::sleep(look_every).await;
        let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = ANY ($1)";
        let row = superuser.query_one(query, &[&names]).await.unwrap();
        connected += u64::from(row.get::<_, i64>(0) > 0);
        looks += 1;
    }
    let requests = audit::requests(from);
    let after: usize = sites.iter().map(|site| site.databases.count()).sum();
    assert_eq!(states, after, "no state of a database changed");

    let of_lease = |request: &&Request| request.resource == "leases";
    let is_read = |request: &&Request| matches!(request.verb.as_str(), "get" | "list" | "watch");
    let (lease, others): (Vec<&Request>, Vec<&Request>) = requests.iter().partition(of_lease);
    let (reads, writes): (Vec<&Request>, Vec<&Request>) = others.into_iter().partition(is_read);
    let (watches, reads): (Vec<&Request>, Vec<&Request>) =
        reads.into_iter().partition(|read| read.verb == "watch");
    let mut by_kind: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for read in &reads {
        *by_kind.entry((&read.verb, &read.resource)).or_default() += 1;
    }
    let seconds = idle.as_secs();
    let reconciles = DATABASES as u64 * (seconds / HEARTBEAT.as_secs());
    println!(
        "proof: {DATABASES} databases at rest for {seconds} s, about {reconciles} looks at them: {} writes but for {} calls \
         about the Lease, {} reads ({by_kind:?}), {} watches ended; a connection to PostgreSQL in {connected} of {looks} moments",
        writes.len(),
        lease.len(),
        reads.len(),
        watches.len(),
    );
    assert!(writes.is_empty(), "{writes:#?}");
    assert!(!lease.is_empty(), "somebody leads");
    assert!(reads.len() as u64 <= reconciles, "{reads:#?}");
    assert!(
        u128::from(connected) * 2 < looks,
        "no connection stays open at rest"
    );
    for site in sites {
        site.end().await;
    }
}

#[tokio::test]
async fn roles_alone_are_enough_for_one_namespace_and_none_of_their_rules_is_unused() {
    let api = Api::of_environment().await;
    install::scale(&api, 0).await;
    let from = audit::length();
    let site = Site::without_operator(api.clone(), "roles").await;
    // It makes the Lease itself.
    let lease = at("Lease", install::OPERATOR, install::OPERATOR);
    api.delete(&lease, json!({})).await;
    install::install_for(&api, &site.namespace, &[]).await;
    install::scale(&api, 2).await;

    everything_that_takes_a_rule(&site).await;

    install::scale(&api, 0).await;
    let requests = audit::requests(from);
    judge(&requests, &["operator", "namespaced"]);
    // Nothing outside, but for the Lease and the cluster's id.
    for request in &requests {
        let inside = request.namespace == site.namespace
            || request.namespace == install::OPERATOR
            || request.name == "kube-system"
            || RULELESS.contains(&request.group.as_str())
            || request.resource.is_empty();
        assert!(inside, "{request:?}");
    }
    api.delete(&at("Namespace", "", &site.namespace), background())
        .await;
}
