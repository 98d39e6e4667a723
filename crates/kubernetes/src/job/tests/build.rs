//! What a Job is made of.

use dbop_api::DatabaseMigration;
use dbop_api::database::Migrations;
use dbop_engine::JobSpec;
use dbop_plan::Run;

use super::*;

fn spec() -> JobSpec {
    JobSpec {
        database: shop(),
        run: Run {
            job: JobName::new("shop-v2-0a").unwrap(),
            from: Some("v1".parse().unwrap()),
            to: "v2".parse().unwrap(),
            digest: "d1".parse().unwrap(),
        },
        server: "db:5432".to_owned(),
        environment: BTreeMap::from([("DBA_OP_TARGET_VERSION".to_owned(), "2$(A)".to_owned())]),
    }
}

fn made(migration: Value, settings: Value, push_address: Option<&str>) -> Value {
    let migration: DatabaseMigration = parse(json!({
        "apiVersion": "database-operator.dev/v1alpha1", "kind": "DatabaseMigration",
        "metadata": {"name": "v2", "namespace": "shop"}, "spec": migration,
    }));
    let settings: Migrations = parse(settings);
    serde_json::to_value(build(&spec(), &migration, &settings, push_address)).unwrap()
}

fn from_secret() -> Vec<Value> {
    [
        "DBA_OP_CONNECTION_STRING",
        "DBA_OP_JDBC_URL",
        "DBA_OP_HOST",
        "DBA_OP_PORT",
        "DBA_OP_DATABASE",
        "DBA_OP_USERNAME",
        "DBA_OP_PASSWORD",
    ]
    .map(|name| {
        json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "shop-v2-0a", "key": name}}})
    })
    .into()
}

#[test]
fn a_migration_without_wishes_runs_once_and_without_rights() {
    let mut env = from_secret();
    env.push(json!({"name": "DBA_OP_TARGET_VERSION", "value": "2$$(A)"}));
    let ours = json!({
        "app.kubernetes.io/managed-by": "database-operator",
        "app.kubernetes.io/component": "migration",
        "database-operator.dev/database": "shop",
        "database-operator.dev/migration": "v2",
    });
    assert_eq!(
        made(
            json!({"container": {"name": "migrate", "image": "m:2"}}),
            json!({}),
            None
        ),
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": "shop-v2-0a", "namespace": "shop", "labels": ours,
                "annotations": {
                    "database-operator.dev/from": "v1",
                    "database-operator.dev/to": "v2",
                    "database-operator.dev/digest": "d1",
                    "database-operator.dev/server": "db:5432",
                },
                "finalizers": ["database-operator.dev/finalizer"],
            },
            "spec": {
                "suspend": true, "backoffLimit": 0, "podReplacementPolicy": "Failed",
                "completionMode": "NonIndexed", "parallelism": 1, "completions": 1,
                "template": {
                    "metadata": {
                        "labels": ours,
                        "annotations": {
                            "database-operator.dev/from": "v1",
                            "database-operator.dev/to": "v2",
                            "database-operator.dev/digest": "d1",
                            "kubectl.kubernetes.io/default-container": "migrate",
                        },
                    },
                    "spec": {
                        "restartPolicy": "Never",
                        "enableServiceLinks": false,
                        "automountServiceAccountToken": false,
                        "securityContext": {
                            "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "containers": [{
                            "name": "migrate", "image": "m:2", "env": env,
                            "securityContext": {
                                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                            },
                        }],
                    },
                },
            },
        })
    );
}

#[test]
fn what_a_user_wishes_of_the_pod_counts() {
    let job = made(
        json!({
            "container": {
                "name": "migrate", "image": "m:2",
                "resources": {"limits": {"cpu": "1"}},
                "volumeMounts": [{"name": "own", "mountPath": "/tls"}],
                "securityContext": {"readOnlyRootFilesystem": false},
            },
            "parallelism": {"pods": 2, "completions": 10},
        }),
        json!({
            "activeDeadlineSeconds": 60,
            "config": {"secret": "settings", "mountPath": "/etc/migration"},
            "podTemplate": {
                "metadata": {
                    "labels": {"team": "a", "app.kubernetes.io/managed-by": "me"},
                    "annotations": {"sidecar.istio.io/inject": "false", "database-operator.dev/to": "v9"},
                },
                "spec": {
                    "serviceAccountName": "migrator", "automountServiceAccountToken": true,
                    "imagePullSecrets": [{"name": "registry"}],
                    "nodeSelector": {"disk": "ssd"}, "priorityClassName": "high",
                    "tolerations": [{"key": "db", "operator": "Exists"}],
                    "securityContext": {"runAsUser": 1000, "fsGroup": 2000},
                    "volumes": [{"name": "own", "emptyDir": {}}, {"name": "tls", "secret": {"secretName": "t"}}],
                    "terminationGracePeriodSeconds": 600,
                },
                "container": {
                    "resources": {"limits": {"cpu": "9"}},
                    "volumeMounts": [{"name": "tls", "mountPath": "/tls"}, {"name": "own", "mountPath": "/tmp"}],
                    "securityContext": {"readOnlyRootFilesystem": true, "runAsGroup": 3},
                },
            },
        }),
        None,
    );
    let spec = &job["spec"];
    assert_eq!(spec["activeDeadlineSeconds"], 60);
    assert_eq!(spec["completionMode"], "Indexed");
    assert_eq!(
        (&spec["parallelism"], &spec["completions"]),
        (&json!(2), &json!(10))
    );
    assert_eq!(spec["backoffLimit"], 0);
    assert_eq!(spec.get("ttlSecondsAfterFinished"), None);
    let template = &spec["template"];
    assert_eq!(template["metadata"]["labels"]["team"], "a");
    assert_eq!(
        template["metadata"]["labels"]["app.kubernetes.io/managed-by"],
        "database-operator"
    );
    let annotations = &template["metadata"]["annotations"];
    assert_eq!(annotations["sidecar.istio.io/inject"], "false");
    assert_eq!(annotations["database-operator.dev/to"], "v2");
    let pod = &template["spec"];
    for (field, value) in [
        ("serviceAccountName", json!("migrator")),
        ("automountServiceAccountToken", json!(true)),
        ("imagePullSecrets", json!([{"name": "registry"}])),
        ("nodeSelector", json!({"disk": "ssd"})),
        ("priorityClassName", json!("high")),
        ("tolerations", json!([{"key": "db", "operator": "Exists"}])),
        ("terminationGracePeriodSeconds", json!(600)),
        (
            "securityContext",
            json!({"runAsUser": 1000, "fsGroup": 2000, "runAsNonRoot": true,
                "seccompProfile": {"type": "RuntimeDefault"}}),
        ),
        (
            "volumes",
            json!([{"name": "own", "emptyDir": {}}, {"name": "tls", "secret": {"secretName": "t"}},
                {"name": "dbop-config", "secret": {"secretName": "settings"}}]),
        ),
    ] {
        assert_eq!(pod[field], value, "{field}");
    }
    let container = &pod["containers"][0];
    assert_eq!(container["resources"], json!({"limits": {"cpu": "1"}}));
    assert_eq!(
        container["volumeMounts"],
        json!([
            {"name": "own", "mountPath": "/tls"},
            {"name": "own", "mountPath": "/tmp"},
            {"name": "dbop-config", "mountPath": "/etc/migration", "readOnly": true},
        ])
    );
    assert_eq!(
        container["securityContext"],
        json!({"readOnlyRootFilesystem": false, "runAsGroup": 3, "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]}})
    );
}

#[track_caller]
fn rights(pod: Value, container: Value, expect_pod: Value, expect_container: Value) {
    let job = made(
        json!({"container": {"name": "m", "securityContext": container}}),
        json!({"podTemplate": {"spec": {"securityContext": pod}}}),
        None,
    );
    let spec = &job["spec"]["template"]["spec"];
    let seccomp = json!({"type": "RuntimeDefault"});
    let mut expect_pod = expect_pod;
    if expect_pod.get("seccompProfile").is_none() {
        expect_pod["seccompProfile"] = seccomp;
    }
    assert_eq!(spec["securityContext"], expect_pod);
    assert_eq!(spec["containers"][0]["securityContext"], expect_container);
}

#[test]
fn no_default_contradicts_what_the_user_says_of_rights() {
    let least = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let with = |more: Value| {
        let mut all = least.clone();
        let more = more.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(more);
        all
    };
    // Root, by name.
    rights(
        json!({"runAsUser": 0}),
        json!({}),
        json!({"runAsUser": 0}),
        least.clone(),
    );
    rights(
        json!({}),
        json!({"runAsUser": 0}),
        json!({}),
        with(json!({"runAsUser": 0})),
    );
    // The container's user counts, not the Pod's.
    rights(
        json!({"runAsUser": 0}),
        json!({"runAsUser": 7}),
        json!({"runAsUser": 0, "runAsNonRoot": true}),
        with(json!({"runAsUser": 7})),
    );
    rights(
        json!({"runAsNonRoot": false, "seccompProfile": {"type": "Unconfined"}}),
        json!({"allowPrivilegeEscalation": true}),
        json!({"runAsNonRoot": false, "seccompProfile": {"type": "Unconfined"}}),
        with(json!({"allowPrivilegeEscalation": true})),
    );
    rights(
        json!({}),
        json!({"privileged": true}),
        json!({"runAsNonRoot": true}),
        json!({"privileged": true}),
    );
    rights(
        json!({}),
        json!({"capabilities": {"add": ["SYS_ADMIN"]}}),
        json!({"runAsNonRoot": true}),
        json!({"capabilities": {"add": ["SYS_ADMIN"], "drop": ["ALL"]}}),
    );
    rights(
        json!({}),
        json!({"capabilities": {"drop": ["NET_RAW"]}}),
        json!({"runAsNonRoot": true}),
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["NET_RAW"]}}),
    );
}

#[track_caller]
fn environment(env: Value, push_address: Option<&str>, expect: &[(&str, &str)]) {
    let job = made(
        json!({"container": {"name": "m", "env": env}}),
        json!({}),
        push_address,
    );
    let env = job["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    let env = env.as_array().unwrap();
    // What `$(NAME)` in the user's own may name stands before them.
    assert_eq!(env[..7], from_secret()[..]);
    let rest: Vec<(&str, &str)> = env[7..]
        .iter()
        .map(|v| {
            (
                v["name"].as_str().unwrap(),
                v["value"].as_str().unwrap_or("-"),
            )
        })
        .collect();
    assert_eq!(rest, expect);
}

#[test]
fn the_contracts_environment_comes_first_and_cannot_be_taken() {
    let version = ("DBA_OP_TARGET_VERSION", "2$$(A)");
    let push = "DBA_OP_PROMETHEUS_PUSH_GATEWAY_ADDR";
    environment(json!([]), None, &[version]);
    environment(
        json!([]),
        Some("push:9091"),
        &[(push, "push:9091"), version],
    );
    environment(
        json!([
            {"name": "URL", "value": "http://$(DBA_OP_HOST)"},
            {"name": "DBA_OP_HOST", "value": "forged"},
            {"name": "DBA_OP_TARGET_VERSION", "value": "forged"},
            {"name": "DBA_OP_NEW", "value": "forged"},
            {"name": "DBA_OP_LABEL_TEAM", "value": "a"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ]),
        None,
        &[
            version,
            ("URL", "http://$(DBA_OP_HOST)"),
            ("DBA_OP_LABEL_TEAM", "a"),
            ("TOKEN", "-"),
        ],
    );
}

#[test]
fn a_name_that_fits_no_label_is_in_the_annotations_alone() {
    let mut spec = spec();
    spec.run.from = None;
    spec.run.to = "v".repeat(64).parse().unwrap();
    let migration: DatabaseMigration = parse(json!({
        "metadata": {"name": "v2"}, "spec": {"container": {"name": "m"}},
    }));
    let job = build(&spec, &migration, &Migrations::default(), None);
    let labels = job.metadata.labels.as_ref().unwrap();
    assert!(!labels.contains_key("database-operator.dev/migration"));
    assert_eq!(identity(&job), Ok(spec.run.clone()));
    assert_eq!(database_of(&job), Some("shop"));
    assert_eq!(server_of(&job), Some("db:5432"));
    assert!(is_same_run(&job, &spec));
    let mut other = spec.clone();
    other.run.digest = "d2".parse().unwrap();
    assert!(!is_same_run(&job, &other));
    let mut let_go = job.clone();
    let_go.metadata.finalizers = None;
    assert!(!is_same_run(&let_go, &spec));
}

#[test]
fn an_edited_or_foreign_job_is_told() {
    let job = made(json!({"container": {"name": "m"}}), json!({}), None);
    let error = |edit: &dyn Fn(&mut Value)| {
        let mut edited = job.clone();
        edit(&mut edited);
        identity(&parse::<Job>(edited)).unwrap_err()
    };
    let foreign = JobError::Foreign {
        job: "shop/shop-v2-0a".to_owned(),
    };
    assert_eq!(error(&|job| job["metadata"]["labels"] = json!({})), foreign);
    assert_eq!(
        error(&|job| job["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm")),
        foreign
    );
    let to = "database-operator.dev/to";
    assert_eq!(
        error(&|job| job["metadata"]["annotations"][to] = json!("v3")).to_string(),
        "Job shop/shop-v2-0a: its annotation database-operator.dev/to was edited: it is \"v3\", and \"v2\" \
         in the Pod template; make it what the template has"
    );
    assert_eq!(
        error(&|job| {
            job["metadata"]["annotations"]
                .as_object_mut()
                .unwrap()
                .remove("database-operator.dev/from");
        })
        .to_string(),
        "Job shop/shop-v2-0a: its annotation database-operator.dev/from was edited: it is absent, and \"v1\" \
         in the Pod template; make it what the template has"
    );
    assert_eq!(
        error(&|job| {
            job["metadata"]["annotations"] = json!({});
            job["spec"]["template"]["metadata"]["annotations"] = json!({});
        })
        .to_string(),
        "Job shop/shop-v2-0a: its annotation database-operator.dev/to is missing; delete the Job if nothing of \
         it runs any more"
    );
    assert_eq!(
        error(&|job| {
            for at in ["/metadata", "/spec/template/metadata"] {
                job.pointer_mut(at).unwrap()["annotations"][to] = json!("V_2");
            }
        })
        .to_string(),
        "Job shop/shop-v2-0a: its annotation database-operator.dev/to must be lower-case letters, digits, '-' or \
         '.', and start and end with a letter or digit; delete the Job if nothing of it runs any more"
    );
}
