//! Objects as people write them, and who refers to what.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use kube::api::DynamicObject;
use kube::core::ObjectList;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

fn parse<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

/// The references of a Pod of this spec: `secret: how`.
#[track_caller]
fn uses(spec: Value, expect: &[&str]) {
    let found: Vec<String> = secrets_of(&parse::<PodSpec>(spec))
        .into_iter()
        .map(|SecretUse { secret, how }| format!("{secret}: {how}"))
        .collect();
    assert_eq!(found, expect);
}

#[test]
fn every_way_to_refer_to_a_secret_is_seen() {
    let key = |secret: &str| json!({"secretKeyRef": {"name": secret, "key": "uri"}});
    uses(
        json!({"containers": [
            {"name": "api", "env": [{"name": "DATABASE_URL", "valueFrom": key("a")}, {"name": "X", "value": "a"}],
             "envFrom": [{"secretRef": {"name": "b", "optional": true}}, {"configMapRef": {"name": "no"}}]},
            {"name": "side", "volumeMounts": [{"name": "creds", "mountPath": "/c"}]}],
          "initContainers": [{"name": "wait", "env": [{"name": "U", "valueFrom": key("a")}]}],
          "ephemeralContainers": [{"name": "debug", "envFrom": [{"prefix": "P_", "secretRef": {"name": "c"}}]}],
          "imagePullSecrets": [{"name": "registry"}],
          "volumes": [
            {"name": "creds", "secret": {"secretName": "d"}},
            {"name": "idle", "secret": {"secretName": "e"}},
            {"name": "mix", "projected": {"sources": [{"configMap": {"name": "no"}}, {"secret": {"name": "f"}},
              {"secret": {"name": "g"}}]}},
            {"name": "tmp", "emptyDir": {}}]}),
        &[
            "a: container api, env DATABASE_URL",
            "b: container api, envFrom",
            "a: init container wait, env U",
            "c: ephemeral container debug, envFrom",
            "d: container side, volume creds",
            "e: volume idle",
            "f: volume mix",
            "g: volume mix",
        ],
    );
    let volumes = json!([
        {"name": "v", "azureFile": {"secretName": "s1", "shareName": "x"}},
        {"name": "v", "cephfs": {"monitors": [], "secretRef": {"name": "s2"}}},
        {"name": "v", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "s3"}}},
        {"name": "v", "flexVolume": {"driver": "d", "secretRef": {"name": "s4"}}},
        {"name": "v", "iscsi": {"iqn": "i", "lun": 0, "targetPortal": "p", "secretRef": {"name": "s5"}}},
        {"name": "v", "rbd": {"image": "i", "monitors": [], "secretRef": {"name": "s6"}}},
        {"name": "v", "scaleIO": {"gateway": "g", "system": "s", "secretRef": {"name": "s7"}}},
        {"name": "v", "storageos": {"secretRef": {"name": "s8"}}},
    ]);
    let mut found: Vec<String> = secrets_of(&parse(json!({"volumes": volumes})))
        .into_iter()
        .map(|found| found.secret)
        .collect();
    found.sort();
    assert_eq!(found, ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"]);
    uses(
        json!({"volumes": [{"name": "v", "secret": {}}], "containers": [{"name": "a"}]}),
        &[],
    );
    uses(
        json!({"volumes": [{"name": "v", "secret": {"secretName": "a"}}], "containers": [
            {"name": "one", "volumeMounts": [{"name": "v", "mountPath": "/a"}]},
            {"name": "two", "volumeMounts": [{"name": "v", "mountPath": "/b"}, {"name": "v", "mountPath": "/c"}]}]}),
        &["a: container one, volume v", "a: container two, volume v"],
    );
}

/// A Pod's spec that refers to `shop-v2`.
fn app() -> Value {
    json!({"containers": [{"name": "api", "envFrom": [{"secretRef": {"name": "shop-v2"}}]}]})
}

fn told(holder: Option<Holder>) -> Option<String> {
    holder.map(|holder| {
        let reference = holder.reference_to("shop-v2").unwrap();
        assert_eq!(holder.reference_to("shop-v1"), None);
        reference.to_string()
    })
}

#[track_caller]
fn check<K: Workload + DeserializeOwned>(object: Value, expect: Option<&str>) {
    assert_eq!(told(parse::<K>(object).holder()).as_deref(), expect);
}

fn pod(labels: Value, status: Value) -> Value {
    json!({"metadata": {"name": "p", "labels": labels}, "spec": app(), "status": status})
}

#[test]
fn an_unfinished_pod_counts() {
    let counts = Some("Pod p (container api, envFrom)");
    for phase in ["Pending", "Running", "Unknown"] {
        check::<Pod>(pod(json!({}), json!({"phase": phase})), counts);
    }
    check::<Pod>(pod(json!({}), json!({})), counts);
    check::<Pod>(pod(json!({}), json!({"phase": "Succeeded"})), None);
    check::<Pod>(pod(json!({}), json!({"phase": "Failed"})), None);
    let mut terminating = pod(json!({}), json!({"phase": "Running"}));
    terminating["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    check::<Pod>(
        terminating,
        Some("Pod p (being deleted; container api, envFrom)"),
    );
    check::<Pod>(
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "api"}]}}),
        None,
    );
}

#[test]
fn a_migration_of_ours_is_no_application() {
    let managed = "app.kubernetes.io/managed-by";
    let database = "database-operator.dev/database";
    let ours = json!({managed: "database-operator", database: "shop"});
    check::<Pod>(pod(ours.clone(), json!({"phase": "Running"})), None);
    let job =
        json!({"metadata": {"name": "j", "labels": ours}, "spec": {"template": {"spec": app()}}});
    check::<Job>(job, None);
    // One of the two may be an application's own.
    for labels in [
        json!({managed: "database-operator"}),
        json!({database: "shop"}),
    ] {
        check::<Pod>(
            pod(labels, json!({})),
            Some("Pod p (container api, envFrom)"),
        );
    }
}

fn templated(replicas: Option<i32>, status: Value) -> Value {
    let mut object = json!({
        "metadata": {"name": "w"},
        "spec": {"selector": {}, "template": {"metadata": {}, "spec": app()}},
        "status": status,
    });
    if let Some(replicas) = replicas {
        object["spec"]["replicas"] = json!(replicas);
    }
    object
}

#[test]
fn templates_count_while_they_could_make_a_pod() {
    let none = json!({});
    let how = "container api, envFrom";
    let plain = |kind: &str| format!("{kind} w ({how})");
    let noted = |kind: &str, note: &str| format!("{kind} w ({note}; {how})");

    check::<Deployment>(templated(Some(2), none.clone()), Some(&plain("Deployment")));
    check::<Deployment>(templated(None, none.clone()), Some(&plain("Deployment")));
    let zero = noted("Deployment", "scaled to zero");
    check::<Deployment>(templated(Some(0), none.clone()), Some(&zero));
    check::<StatefulSet>(templated(None, none.clone()), Some(&plain("StatefulSet")));
    let zero = noted("StatefulSet", "scaled to zero");
    check::<StatefulSet>(templated(Some(0), none.clone()), Some(&zero));
    check::<DaemonSet>(templated(None, none.clone()), Some(&plain("DaemonSet")));

    check::<ReplicaSet>(templated(Some(1), none.clone()), Some(&plain("ReplicaSet")));
    check::<ReplicaSet>(templated(None, none.clone()), Some(&plain("ReplicaSet")));
    check::<ReplicaSet>(templated(Some(0), json!({"replicas": 0})), None);
    let going = templated(Some(0), json!({"replicas": 1}));
    check::<ReplicaSet>(going, Some(&plain("ReplicaSet")));

    let condition =
        |kind: &str, status: &str| json!({"conditions": [{"type": kind, "status": status}]});
    check::<Job>(templated(None, none.clone()), Some(&plain("Job")));
    check::<Job>(templated(None, condition("Complete", "True")), None);
    check::<Job>(templated(None, condition("Failed", "True")), None);
    for going in [
        condition("FailureTarget", "True"),
        condition("Complete", "False"),
    ] {
        check::<Job>(templated(None, going), Some(&plain("Job")));
    }
    let mut suspended = templated(None, none);
    suspended["spec"]["suspend"] = json!(true);
    check::<Job>(suspended, Some(&noted("Job", "suspended")));

    let cron = |suspend: bool| {
        json!({"metadata": {"name": "w"}, "spec": {"schedule": "@daily", "suspend": suspend,
            "jobTemplate": {"spec": {"template": {"spec": app()}}}}})
    };
    check::<CronJob>(cron(false), Some(&plain("CronJob")));
    check::<CronJob>(cron(true), Some(&noted("CronJob", "suspended")));
}

fn rollout(spec: Value) -> Result<Option<String>, String> {
    let object: DynamicObject = parse(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "r"}, "spec": spec,
    }));
    holder_of_template("Rollout", &object)
        .map(told)
        .map_err(|error| error.to_string())
}

#[test]
fn further_kinds_are_read_leniently_and_never_taken_for_empty() {
    let counts = |text: &str| Ok(Some(text.to_owned()));
    let how = "container api, envFrom";
    let plain = format!("Rollout r ({how})");
    assert_eq!(
        rollout(json!({"replicas": 2, "strategy": {"canary": {}}, "template": {"spec": app()}})),
        counts(&plain)
    );
    let mut knative = app();
    knative["containerConcurrency"] = json!(10);
    knative["containers"][0]["name"] = Value::Null;
    assert_eq!(
        rollout(json!({"template": {"spec": knative}})),
        counts("Rollout r (container , envFrom)")
    );
    assert_eq!(
        rollout(json!({"replicas": 0, "template": {"spec": app()}})),
        counts(&format!("Rollout r (scaled to zero; {how})"))
    );
    assert_eq!(
        rollout(json!({"suspend": true, "jobTemplate": {"spec": {"template": {"spec": app()}}}})),
        counts(&format!("Rollout r (suspended; {how})"))
    );
    assert_eq!(
        rollout(json!({"jobTargetRef": {"template": {"spec": app()}}})),
        counts(&plain)
    );
    assert_eq!(
        rollout(json!({"template": {"spec": {"containers": []}}})),
        Ok(None)
    );
    assert_eq!(
        rollout(
            json!({"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w"}})
        ),
        Ok(None)
    );
    let way_out = "mend it, or take the kind out of credentials.podTemplates";
    for spec in [
        json!({}),
        json!({"template": {"spec": null}}),
        json!({"workloadRef": {"kind": "ReplicaSet", "name": "w"}}),
    ] {
        assert_eq!(
            rollout(spec),
            Err(format!(
                "Rollout r: has no Pod template at spec.template; {way_out}"
            ))
        );
    }
    for spec in [
        json!("text"),
        json!({"containers": "text"}),
        json!({"containers": [{"name": "a", "env": {"A": "b"}}]}),
    ] {
        let error = rollout(json!({"template": {"spec": spec}})).unwrap_err();
        assert!(
            error.starts_with("Rollout r: its spec.template.spec is no Pod's: "),
            "{error}"
        );
    }
    assert!(is_built_in("apps/v1", "Deployment") && is_built_in("v1", "Pod"));
    assert!(!is_built_in("argoproj.io/v1alpha1", "Rollout"));
}

#[test]
fn several_references_to_one_secret_are_one() {
    let deployment = json!({"metadata": {"name": "w"}, "spec": {"selector": {}, "template": {"spec": {
        "containers": [
            {"name": "a", "envFrom": [{"secretRef": {"name": "shop-v2"}}, {"secretRef": {"name": "b"}}]},
            {"name": "c", "envFrom": [{"secretRef": {"name": "shop-v2"}}, {"secretRef": {"name": "shop-v2"}}]}]}}}});
    let holder = parse::<Deployment>(deployment).holder().unwrap();
    assert_eq!(holder.uses.len(), 2);
    assert_eq!(
        told(Some(holder)).as_deref(),
        Some("Deployment w (container a, envFrom, and 2 more)")
    );
}

#[derive(Clone, Debug)]
struct Kept(Option<Holder>);

impl Prune<Pod> for Kept {
    fn prune(object: Pod) -> Self {
        Self(object.holder())
    }
}

#[test]
fn a_list_is_pruned_as_it_is_decoded() {
    let mut item = pod(json!({"a": "b"}), json!({}));
    item["metadata"]["resourceVersion"] = json!("7");
    let list = json!({"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "9"}, "items": [item]});
    let list: ObjectList<Pruned<Pod, Kept>> = parse(list);
    let only = &list.items[0];
    assert_eq!(only.meta().resource_version.as_deref(), Some("7"));
    assert_eq!(only.meta().labels, None);
    assert!(
        only.kept
            .0
            .as_ref()
            .unwrap()
            .reference_to("shop-v2")
            .is_some()
    );
    assert_eq!(
        Pruned::<Pod, Kept>::url_path(&(), Some("shop")),
        Pod::url_path(&(), Some("shop"))
    );
}

fn declares(holder: Option<Holder>) -> Option<String> {
    let declared = holder?.declares("shop")?;
    Some(declared.to_string())
}

#[test]
fn a_label_says_which_schema_a_workload_is_for() {
    let label = |version: &str| json!({"schema.database-operator.dev/shop": version, "app": "x"});
    let plain = json!({"containers": [{"name": "api"}]});
    let template = |labels: Value| json!({"metadata": {"labels": labels}, "spec": plain});
    let deployment = |own: Value, of_template: Value, replicas: i32| {
        let object = json!({
            "metadata": {"name": "api", "labels": own},
            "spec": {"replicas": replicas, "selector": {}, "template": template(of_template)},
        });
        declares(parse::<Deployment>(object).holder())
    };
    let says = |version: &str| Some(format!("Deployment api ({version})"));
    assert_eq!(deployment(label("v2"), json!({}), 1), says("v2"));
    assert_eq!(deployment(json!({}), label("v2"), 1), says("v2"));
    // What runs is by the template.
    assert_eq!(deployment(label("v1"), label("v2"), 1), says("v2"));
    assert_eq!(deployment(label("v2"), json!({}), 0), None, "nothing runs");
    assert_eq!(deployment(json!({"app": "x"}), json!({}), 1), None);
    let other = json!({"schema.database-operator.dev/crm": "v2"});
    assert_eq!(deployment(other, json!({}), 1), None, "of another database");
    let pod = |phase: &str| {
        let object = json!({
            "metadata": {"name": "p", "labels": label("v2")}, "spec": plain, "status": {"phase": phase},
        });
        declares(parse::<Pod>(object).holder())
    };
    assert_eq!(pod("Running").as_deref(), Some("Pod p (v2)"));
    assert_eq!(pod("Succeeded"), None);
    let rollout: DynamicObject = parse(json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "r"},
        "spec": {"template": template(label("v2"))},
    }));
    let rollout = holder_of_template("Rollout", &rollout).unwrap();
    assert_eq!(declares(rollout).as_deref(), Some("Rollout r (v2)"));
}
