//! The way to a cluster, on a real API server: what is missing is named, and a person's word is put on the object
//! that was looked at.
//!
//! `cargo xtask cluster up --light -- cargo test -p dbop-kubernetes --test access`

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

use std::path::PathBuf;
use std::time::Duration;

use dbop_api::{ManagedDatabase, RETRY_ANNOTATION};
use dbop_kubernetes::access::{self, Access, AccessError, Cluster, Place, check};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::config::Kubeconfig;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

/// What takes longer than this does not come.
const LIMIT: Duration = Duration::from_secs(60);
const NAMESPACE: &str = "default";

fn kubeconfig() -> PathBuf {
    let path = std::env::var_os("DBOP_TEST_KUBECONFIG").expect(
        "DBOP_TEST_KUBECONFIG is not set: cargo xtask cluster up --light -- \
         cargo test -p dbop-kubernetes --test access",
    );
    path.into()
}

async fn found(kubeconfig: PathBuf) -> Cluster {
    let access = Access {
        kubeconfig: Some(kubeconfig),
        context: None,
    };
    Cluster::find(&access).await.unwrap()
}

/// The test cluster's kubeconfig with a change, in a file of its own.
fn changed(name: &str, change: impl Fn(&mut Kubeconfig)) -> PathBuf {
    let mut config = Kubeconfig::read_from(kubeconfig()).unwrap();
    change(&mut config);
    let name = format!("dbop-access-{}-{name}", std::process::id());
    let path = std::env::temp_dir().join(name);
    // JSON is YAML, too.
    std::fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
    path
}

/// Our kinds, as they are now.
async fn with_kinds(client: &Client) {
    let kinds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let how = PatchParams::apply("dbop-test").force();
    for kind in dbop_api::crds() {
        let name = kind.name_any();
        kinds
            .patch(&name, &how, &Patch::Apply(&kind))
            .await
            .unwrap();
    }
    let databases: Api<ManagedDatabase> = Api::namespaced(client.clone(), NAMESPACE);
    let served = async {
        while databases.list(&ListParams::default()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, served).await.unwrap();
}

#[tokio::test]
async fn an_api_server_that_is_not_there_is_told() {
    let path = changed("nowhere", |config| {
        let cluster = config.clusters[0].cluster.as_mut().unwrap();
        // Port 9 is nobody's.
        cluster.server = Some("https://127.0.0.1:9".to_owned());
    });
    let cluster = found(path.clone()).await;
    std::fs::remove_file(path).unwrap();
    let client = cluster.looking().unwrap();
    let error = cluster.answers(&client).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "the API server https://127.0.0.1:9/ cannot be worked with: Connection refused (os error 111)"
    );
}

#[tokio::test]
async fn what_an_account_may_not_do_is_named() {
    let path = changed("nobody", |config| {
        let user = config.auth_infos[0].auth_info.as_mut().unwrap();
        user.impersonate = Some("system:serviceaccount:default:dbop-nobody".to_owned());
        user.impersonate_groups = Some(vec!["system:authenticated".to_owned()]);
    });
    let place = Place {
        namespaces: &["shop".to_owned()],
        own: NAMESPACE,
        lease: "lease",
        id_is_given: true,
    };
    let own = found(kubeconfig()).await;
    with_kinds(&own.unguarded().unwrap()).await;
    check(&own.looking().unwrap(), &place).await.unwrap();

    let nobody = found(path.clone()).await;
    std::fs::remove_file(path).unwrap();
    let error = check(&nobody.looking().unwrap(), &place).await.unwrap_err();
    let AccessError::Forbidden { missing } = error else {
        panic!("{error}");
    };
    let first = "get/list/watch/patch manageddatabases in database-operator.dev, in namespace shop";
    assert_eq!(missing[0], first);
    assert!(
        missing.last().unwrap().ends_with(" more rules"),
        "{missing:?}"
    );
}

#[tokio::test]
async fn a_word_is_put_on_the_object_that_was_seen() {
    let cluster = found(kubeconfig()).await;
    let client = cluster.unguarded().unwrap();
    with_kinds(&client).await;
    let name = format!("dbop-access-{}", std::process::id());
    let object: ManagedDatabase = serde_json::from_value(json!({
        "apiVersion": dbop_api::API_VERSION,
        "kind": dbop_api::MANAGED_DATABASE,
        "metadata": {"name": name},
        "spec": {
            "connection": {"dsnSecret": {"name": "nowhere"}},
            "desiredSchemaVersion": "v1",
            "schemaVersion": {"engine": "Sqlx"},
        },
    }))
    .unwrap();
    let databases: Api<ManagedDatabase> = Api::namespaced(client.clone(), NAMESPACE);
    databases
        .create(&PostParams::default(), &object)
        .await
        .unwrap();

    let seen = async || access::database(&client, NAMESPACE, &name).await.unwrap();
    let before = seen().await.unwrap();
    let somebody = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let how = PatchParams::default();
    databases.patch(&name, &how, &somebody).await.unwrap();
    let stale = access::annotate(&client, &before, RETRY_ANNOTATION, "job-1").await;
    assert!(
        matches!(stale, Err(AccessError::Changed { .. })),
        "{stale:?}"
    );

    let now = seen().await.unwrap();
    assert!(now.annotations().get(RETRY_ANNOTATION).is_none());
    access::annotate(&client, &now, RETRY_ANNOTATION, "job-1")
        .await
        .unwrap();
    let word = seen()
        .await
        .unwrap()
        .annotations()
        .get(RETRY_ANNOTATION)
        .cloned();
    assert_eq!(word.as_deref(), Some("job-1"));
    // A client that only looks puts no word on anything.
    let looking = cluster.looking().unwrap();
    let now = seen().await.unwrap();
    let refused = access::annotate(&looking, &now, RETRY_ANNOTATION, "job-2").await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("this command only looks"), "{refused}");

    let all = access::databases(&client, Some(NAMESPACE)).await.unwrap();
    assert!(all.iter().any(|one| one.name_any() == name));
    databases.delete(&name, &Default::default()).await.unwrap();
    assert!(seen().await.is_none());
}
