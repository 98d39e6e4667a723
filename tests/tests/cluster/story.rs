//! The demo's story, end to end: five releases of a shop and five versions of its schema, all of them Pods.

use std::fs;
use std::time::Duration;

use dbop_tests::argocd::health;
use serde_json::{Value, json};

use crate::api::{condition, kubectl, root, text, until};
use crate::site::{SHOP, Site, is_ready_at};

/// How long it is looked whether something stays as it is.
const STAYS: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_shop_walks_through_five_versions_while_its_releases_come_and_go() {
    let site = Site::new("story").await;
    let folder = root().join("deploy/examples/demo/shop");
    let sql: Vec<String> = files(&folder.join("migrations"));
    site.files(&sql.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    for nth in 1..=5 {
        let path = folder.join(format!("v{nth}.yaml"));
        let of_demo: Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let hints = of_demo["spec"]["schemaHints"].clone();
        site.migration(nth, json!({ "schemaHints": hints })).await;
    }

    // The application is there first: its Pod waits by itself, for a Secret that nobody has made.
    let v1 = site.application("v1").await;
    until("the Pod of v1 waits", async || {
        (site.waits(&v1).await == "ContainerCreating").then_some(())
    })
    .await;
    site.database("v1", json!({})).await;
    site.at_rest("v1").await;
    site.runs(&v1).await;
    tells(&site, "v1", "v1", "True", "at rest").await;

    // A version that the old release can live with: both at once. A Pod that takes the credential from its
    // environment waits as well.
    let v2 = site.application("v2").await;
    let variable = json!({ "name": "USER_OF_V2", "valueFrom": { "secretKeyRef": { "name": "shop-v2", "key": "username" } } });
    let container = json!({ "args": ["v2", "/nowhere"], "env": [variable] });
    site.pod("by-environment", container, json!([])).await;
    until("the Pod waits for its variable", async || {
        (site.waits("by-environment").await == "CreateContainerConfigError").then_some(())
    })
    .await;
    site.desire("v2").await;
    site.at_rest("v2").await;
    site.runs(&v2).await;
    site.runs("by-environment").await;
    site.runs(&v1).await;
    site.end_pod("by-environment").await;

    // One that it cannot live with: the walk waits, and says for whom.
    let v3 = site.application("v3").await;
    site.desire("v3").await;
    let waiting = site.shows("credential v1 is still used").await;
    assert_eq!(condition(&waiting, "Ready").0, "False");
    assert_eq!(condition(&waiting, "Reconciling").1, "CredentialInUse");
    let said = condition(&waiting, "Ready").2;
    assert!(said.contains(&v1), "it names the Pod: {said}");
    let credentials = waiting
        .pointer("/status/credentials")
        .and_then(Value::as_array)
        .unwrap();
    let of_v1 = credentials.iter().find(|c| c["migration"] == "v1").unwrap();
    assert_eq!(of_v1["inUse"], true);
    assert!(of_v1["usedBy"].to_string().contains(&v1), "{of_v1}");
    tokio::time::sleep(STAYS).await;
    assert_eq!(site.uids(&site.jobs, "v3"), 0, "v3 waits");
    assert_eq!(
        site.waits(&v3).await,
        "ContainerCreating",
        "the release v3 waits"
    );
    site.runs(&v1).await;
    tells(&site, "v2", "v3", "False", "credential v1 is still used").await;

    // It is gone, and the walk goes on by itself.
    served(&site, &v1).await;
    site.end_pod(&v1).await;
    site.at_rest("v3").await;
    site.runs(&v3).await;
    assert!(
        site.get("Secret", "shop-v1").await.is_none(),
        "the credential of v1 is retired"
    );
    tells(&site, "v3", "v3", "True", "at rest").await;

    // Two steps at once: the second waits for the release between them.
    served(&site, &v2).await;
    site.end_pod(&v2).await;
    site.desire("v5").await;
    let waiting = site.shows("credential v3 is still used").await;
    assert_eq!(text(&waiting, "/status/currentVersion"), "v4");
    let v5 = site.application("v5").await;
    served(&site, &v3).await;
    site.end_pod(&v3).await;
    site.at_rest("v5").await;
    site.runs(&v5).await;
    served(&site, &v5).await;
    site.end_pod(&v5).await;

    site.ran_once(5);
    judge(&site);
    let secrets: Vec<String> = site
        .all("Secret")
        .await
        .iter()
        .map(|secret| text(secret, "/metadata/name").to_owned())
        .collect();
    assert_eq!(secrets, ["shop-admin", "shop-v4", "shop-v5"]);
    let told = site.events("ManagedDatabase", SHOP).await;
    let count = |reason: &str| told.iter().filter(|(of, _)| of == reason).count();
    assert_eq!(
        (count("MigrationStarted"), count("MigrationSucceeded")),
        (5, 5),
        "{told:?}"
    );
    println!(
        "proof: {} states of the database, each as Argo CD's check should see it",
        site.databases.count()
    );
    site.end().await;
}

/// What `kubectl get` shows, and what `kubectl wait` does.
async fn tells(site: &Site, current: &str, desired: &str, ready: &str, status: &str) {
    let (succeeded, shown) = kubectl(&["get", "mdb", SHOP, "--namespace", &site.namespace]).await;
    assert!(succeeded, "{shown}");
    let row = shown.lines().find(|line| line.starts_with(SHOP)).unwrap();
    assert!(row.contains(status), "{shown}");
    let cells: Vec<&str> = row.split_whitespace().collect();
    let at = cells.iter().position(|cell| *cell == current).unwrap();
    assert_eq!(cells[at..at + 3], [current, desired, ready], "{shown}");
    let wait = [
        "wait",
        "mdb",
        SHOP,
        "--for=condition=Ready",
        "--timeout=1s",
        "--namespace",
    ];
    let (succeeded, said) = kubectl(&[&wait[..], &[&site.namespace]].concat()).await;
    assert_eq!(succeeded, ready == "True", "{said}");
}

/// The application has worked, and nothing of what it did failed.
async fn served(site: &Site, pod: &str) {
    until(&format!("{pod} serves"), async || {
        let log = site.api.log(&site.namespace, pod).await;
        let last = log.lines().last().unwrap_or_default().to_owned();
        assert!(
            !log.contains("FAILED") && !last.contains("error"),
            "{pod}: {log}"
        );
        (last.starts_with("queries=") && !last.contains("logins=0")).then(|| {
            assert!(last.contains(" failed=0 "), "{pod}: {last}");
        })
    })
    .await;
}

/// Every state that there was: its conditions say what is so, and Argo CD's check agrees.
fn judge(site: &Site) {
    let mut seen = std::collections::BTreeSet::new();
    for state in site.databases.states() {
        let (ready, reason, said) = condition(&state, "Ready");
        let desired = text(&state, "/spec/desiredSchemaVersion");
        let told = health(&state);
        let is_of_spec =
            state.pointer("/status/observedGeneration") == state.pointer("/metadata/generation");
        let is_there = text(&state, "/status/currentVersion") == desired;
        if ready == "True" {
            assert_eq!(reason, "AtRest", "{state:#}");
            let of_then = text(&state, "/status/desiredVersion");
            assert_eq!(text(&state, "/status/currentVersion"), of_then, "{state:#}");
        }
        let expected = match is_of_spec {
            true if is_ready_at(&state, desired) => "Healthy",
            _ => "Progressing",
        };
        assert_eq!(told.status, expected, "{state:#}");
        assert!(expected != "Healthy" || is_there);
        if is_of_spec && !said.is_empty() {
            assert_eq!(told.message, said, "{state:#}");
        }
        seen.insert(told.status);
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        ["Healthy", "Progressing"]
    );
}

/// The texts of a folder's files, by their names.
fn files(folder: &std::path::Path) -> Vec<String> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}
