//! What is given to those who install: that all ways give the same objects, and that a real API server takes
//! them, the operator's Pod and those of the examples under Pod Security `restricted`.
//!
//! `DBOP_XTASK` and `DBOP_TEST_KUBECONFIG` say where kubectl and Helm come from and which cluster it is:
//! `cargo xtask cluster up --light -- cargo test -p dbop-tests --test install`. Nothing is stored in the
//! cluster but the CRDs and a namespace for the time of a test.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// The annotation that keeps the CRDs when a Helm release is uninstalled.
const KEEP: &str = "/metadata/annotations";
/// Kinds that are in no namespace.
const CLUSTER_SCOPED: [&str; 4] = [
    "Namespace",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs xtask, and gives whether it succeeded, its stdout and its stderr.
fn xtask(arguments: &[&str], input: &str) -> (bool, String, String) {
    let program = std::env::var_os("DBOP_XTASK").expect(
        "DBOP_XTASK is not set; run `cargo xtask test cluster`, or \
         `cargo xtask cluster up --light -- cargo test -p dbop-tests --test install`",
    );
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[track_caller]
fn succeeds(arguments: &[&str], input: &str) -> String {
    let (succeeded, stdout, stderr) = xtask(arguments, input);
    assert!(succeeded, "{arguments:?}: {stderr}\n{stdout}");
    stdout
}

fn kubectl<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["cluster", "kubectl", "--"], arguments].concat()
}

/// The objects of a stream.
fn objects(stream: &str) -> Vec<Value> {
    let stream = format!("\n{stream}");
    let documents = stream.split("\n---\n").map(|text| {
        serde_saphyr::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
    });
    let mut objects: Vec<Value> = documents.filter(|document| !document.is_null()).collect();
    objects.iter_mut().for_each(even_numbers);
    objects
}

/// Writes 5.0 as 5: kustomize does, and an API server does not tell one from the other.
fn even_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0);
            if let Some(whole) = whole {
                *value = json!(whole as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(even_numbers),
        Value::Object(fields) => fields.values_mut().for_each(even_numbers),
        _ => {}
    }
}

type Named = BTreeMap<String, Value>;

/// Objects by kind, namespace and name.
fn named(stream: &str) -> Named {
    let mut all = Named::new();
    for object in objects(stream) {
        let text = |pointer: &str| {
            let value = object.pointer(pointer);
            value.and_then(Value::as_str).unwrap_or("-").to_owned()
        };
        let place = [
            text("/kind"),
            text("/metadata/namespace"),
            text("/metadata/name"),
        ];
        assert!(
            all.insert(place.join(" "), object).is_none(),
            "{place:?} twice"
        );
    }
    all
}

#[track_caller]
fn same(one: &Named, other: &Named) {
    let (names, others): (Vec<_>, Vec<_>) = (one.keys().collect(), other.keys().collect());
    assert_eq!(names, others);
    for (name, object) in one {
        assert_eq!(object, &other[name], "{name}");
    }
}

fn installed() -> Named {
    named(include_str!("../../deploy/install.yaml"))
}

fn kustomized(folder: &str) -> Named {
    named(&succeeds(&kubectl(&["kustomize", folder]), ""))
}

fn charted(values: &[&str]) -> Named {
    let place = ["--namespace", "database-operator"];
    let render = ["helm", "template", "database-operator", "deploy/chart"];
    named(&succeeds(&[&render[..], &place, values].concat(), ""))
}

/// Takes out of an installation what Helm alone does otherwise: the Namespace is its own, and the CRDs stay
/// when it uninstalls.
#[track_caller]
fn as_helm_does_it(mut objects: Named) -> Named {
    assert!(objects.remove("Namespace - database-operator").is_some());
    let mut kept = 0;
    for object in objects.values_mut() {
        if object["kind"] == "CustomResourceDefinition" {
            assert_eq!(object.pointer(KEEP), None);
            object["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
            kept += 1;
        }
    }
    assert_eq!(kept, 2);
    objects
}

/// A namespace that enforces Pod Security `restricted`, for the time of a test.
struct Restricted(String);

impl Restricted {
    fn new(what: &str) -> Restricted {
        let name = format!("dbop-{what}-{}", std::process::id());
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels},
        });
        succeeds(&kubectl(&["create", "-f", "-"]), &object.to_string());
        // Pods are refused as long as their ServiceAccount is not there.
        succeeds(
            &kubectl(&[
                "wait",
                "--for=create",
                "serviceaccount/default",
                "-n",
                &name,
                "--timeout=30s",
            ]),
            "",
        );
        Restricted(name)
    }

    /// An object as it would be here.
    fn settle(&self, mut object: Value) -> Value {
        let kind = object["kind"].as_str().unwrap();
        if kind == "Namespace" {
            object["metadata"]["name"] = json!(format!("{}-too", self.0));
        } else if !CLUSTER_SCOPED.contains(&kind)
            && object["metadata"]["namespace"] != "kube-system"
        {
            object["metadata"]["namespace"] = json!(self.0);
        }
        object
    }

    /// What the API server says to these objects, storing none.
    fn dry_run(&self, objects: Vec<Value>) -> (bool, String, String) {
        let objects: Vec<Value> = objects
            .into_iter()
            .map(|object| self.settle(object))
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let apply = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
        ];
        xtask(
            &kubectl(&[&apply[..], &["--force-conflicts", "-f", "-"]].concat()),
            &list,
        )
    }

    #[track_caller]
    fn takes(&self, what: &str, objects: Vec<Value>) {
        let (succeeded, _, stderr) = self.dry_run(objects);
        assert!(succeeded, "{what}: {stderr}");
        // Pod Security only warns about what makes Pods.
        assert!(!stderr.contains("violate PodSecurity"), "{what}: {stderr}");
    }
}

impl Drop for Restricted {
    fn drop(&mut self) {
        let _ = xtask(
            &kubectl(&["delete", "namespace", &self.0, "--wait=false"]),
            "",
        );
    }
}

/// The Pods that the Deployments among these objects would make.
fn pods(objects: &[Value]) -> Vec<Value> {
    let deployments = objects
        .iter()
        .filter(|object| object["kind"] == "Deployment");
    let pods = deployments.map(|deployment| {
        let mut pod = deployment["spec"]["template"].clone();
        pod["apiVersion"] = json!("v1");
        pod["kind"] = json!("Pod");
        pod["metadata"]["name"] = deployment["metadata"]["name"].clone();
        // It is checked before Pod Security looks, and is not stored here.
        pod["spec"]["serviceAccountName"] = json!("default");
        pod
    });
    pods.collect()
}

fn install_the_crds() {
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "-k",
        "deploy/crds",
    ];
    succeeds(&kubectl(&apply), "");
    let wait = [
        "wait",
        "--for=condition=Established",
        "--timeout=30s",
        "customresourcedefinition/manageddatabases.database-operator.dev",
        "customresourcedefinition/databasemigrations.database-operator.dev",
    ];
    succeeds(&kubectl(&wait), "");
}

#[test]
fn kustomize_gives_what_install_yaml_has() {
    same(&kustomized("deploy/kustomize/cluster"), &installed());
}

#[test]
fn the_chart_gives_what_install_yaml_has() {
    same(&charted(&[]), &as_helm_does_it(installed()));
}

#[test]
fn with_namespaces_the_chart_gives_what_kustomize_does() {
    let roles_only = kustomized("deploy/kustomize/namespaced");
    assert!(
        roles_only
            .keys()
            .all(|name| !name.starts_with("ClusterRole"))
    );
    assert!(roles_only.contains_key("Role shop database-operator-databases"));
    same(
        &charted(&["--set", "namespaces={shop}"]),
        &as_helm_does_it(roles_only),
    );
}

#[test]
fn each_value_of_the_chart_has_its_place() {
    let objects = charted(&[
        "--set=image.repository=registry.example.com/x",
        "--set-string=image.tag=9",
        "--set=image.pullPolicy=Always",
        "--set=imagePullSecrets[0].name=registry",
        "--set=replicas=1",
        "--set=namespaces={crm,shop}",
        "--set=crds.install=false",
        "--set=extraArgs={--max-jobs=3}",
        "--set=resources.limits.memory=1Gi",
        "--set=nodeSelector.disk=ssd",
        "--set=tolerations[0].operator=Exists",
        "--set-string=podAnnotations.prometheus\\.io/scrape=false",
    ]);
    let deployment = &objects["Deployment database-operator database-operator"];
    let check = |pointer: &str, expected: Value| {
        let found = deployment.pointer(&format!("/spec{pointer}"));
        assert_eq!(found, Some(&expected), "{pointer}");
    };
    check("/replicas", json!(1));
    let container = "/template/spec/containers/0";
    check(
        &format!("{container}/image"),
        json!("registry.example.com/x:9"),
    );
    check(&format!("{container}/imagePullPolicy"), json!("Always"));
    let arguments = json!(["run", "--namespace=crm", "--namespace=shop", "--max-jobs=3"]);
    check(&format!("{container}/args"), arguments);
    check(
        &format!("{container}/resources/limits/memory"),
        json!("1Gi"),
    );
    check(
        "/template/spec/imagePullSecrets",
        json!([{"name": "registry"}]),
    );
    let scraped = "/template/metadata/annotations/prometheus.io~1scrape";
    check(scraped, json!("false"));
    check("/template/spec/nodeSelector", json!({"disk": "ssd"}));
    check(
        "/template/spec/tolerations",
        json!([{"operator": "Exists"}]),
    );
    for namespace in ["crm", "shop"] {
        assert!(objects.contains_key(&format!("Role {namespace} database-operator-databases")));
    }
    assert!(
        objects
            .keys()
            .all(|name| !name.starts_with("CustomResourceDefinition"))
    );
}

#[test]
fn the_charts_pod_monitor_is_the_one_that_is_shipped() {
    let file = std::fs::read_to_string(root().join("deploy/monitors/podmonitor.yaml")).unwrap();
    let name = "PodMonitor database-operator database-operator";
    let charted = charted(&["--set=podMonitor.enabled=true"]);
    assert_eq!(charted[name], named(&file)[name]);
    let labelled = [
        "--set=podMonitor.enabled=true",
        "--set=podMonitor.labels.release=prom",
    ];
    let labelled = &self::charted(&labelled)[name];
    assert_eq!(labelled["metadata"]["labels"]["release"], "prom");
    // It finds the Pods and the port that are installed.
    let installed = installed();
    let deployment = &installed["Deployment database-operator database-operator"];
    let spec = &labelled["spec"];
    assert_eq!(
        spec["selector"]["matchLabels"],
        deployment["spec"]["template"]["metadata"]["labels"]
    );
    let ports = &deployment["spec"]["template"]["spec"]["containers"][0]["ports"];
    assert_eq!(spec["podMetricsEndpoints"][0]["port"], ports[0]["name"]);
}

#[test]
fn a_value_that_does_not_exist_is_refused() {
    let render = ["helm", "template", "x", "deploy/chart", "--set=replica=3"];
    let (succeeded, _, stderr) = xtask(&render, "");
    assert!(!succeeded && stderr.contains("replica"), "{stderr}");
    succeeds(&["helm", "lint", "--strict", "deploy/chart"], "");
}

#[test]
fn an_api_server_takes_the_installation_and_its_pod_under_restricted() {
    let restricted = Restricted::new("install");
    let objects: Vec<Value> = installed().into_values().collect();
    let pods = pods(&objects);
    assert_eq!(pods.len(), 1);
    restricted.takes("install.yaml", objects);
    restricted.takes("the operator's Pod", pods.clone());

    // That it looks at all: without a part of its security context the Pod is refused.
    let mut root = pods[0].clone();
    root["spec"]["securityContext"]["runAsNonRoot"] = json!(false);
    let (succeeded, _, stderr) = restricted.dry_run(vec![root]);
    assert!(!succeeded && stderr.contains("runAsNonRoot"), "{stderr}");
}

#[test]
fn an_api_server_takes_each_example_and_its_pods_under_restricted() {
    install_the_crds();
    let restricted = Restricted::new("examples");
    let (mut examples, mut with_pods) = (0, 0);
    for folder in std::fs::read_dir(root().join("deploy/examples")).unwrap() {
        let folder = folder.unwrap().path();
        let mut found = Vec::new();
        // The demo's manifests are a folder deeper.
        for folder in [folder.clone(), folder.join("shop")] {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|ending| ending == "yaml") {
                    found.extend(objects(&std::fs::read_to_string(path).unwrap()));
                }
            }
        }
        let name = folder.display().to_string();
        assert!(!found.is_empty(), "{name} has no manifests");
        let pods = pods(&found);
        with_pods += pods.len();
        restricted.takes(&name, found);
        if !pods.is_empty() {
            restricted.takes(&name, pods);
        }
        examples += 1;
    }
    assert!(
        examples >= 5 && with_pods >= 2,
        "{examples} examples, {with_pods} with Pods"
    );
}
