//! The operator in the demo's own namespaces: what `deploy/kustomize/namespaced` makes, with other names.
//!
//! Nothing of it lies outside of these namespaces but the custom resources, which a cluster has once. Where
//! they are there already, somebody's databases may be described by them: they are left alone, here and at
//! the end.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::kubectl::Kubectl;
use super::{CLUSTER_ID, LABEL, NAMESPACE, OPERATOR_NAMESPACE, images};
use crate::dist::install::default_image;

/// The operator's own objects, below the checkout.
const OPERATOR: [&str; 5] = [
    "deploy/kustomize/base/namespace.yaml",
    "deploy/kustomize/base/serviceaccount.yaml",
    "deploy/rbac/operator/rbac.yaml",
    "deploy/kustomize/base/service.yaml",
    "deploy/kustomize/base/deployment.yaml",
];
/// What it may do in the namespace of the databases.
const DATABASES: &str = "deploy/rbac/namespaced/rbac.yaml";
/// The custom resources.
const CRDS: [&str; 2] = [
    "deploy/crds/databasemigrations.yaml",
    "deploy/crds/manageddatabases.yaml",
];

/// The demo must be the first, and alone.
pub(super) fn check(kubectl: &Kubectl) -> Result<()> {
    let left = kubectl.ask(&[
        "get",
        "namespace",
        NAMESPACE,
        OPERATOR_NAMESPACE,
        "--ignore-not-found",
        "--output=name",
    ])?;
    ensure!(
        left.is_empty(),
        "the cluster has the demo's namespaces already ({}): one runs, or was killed; `cargo xtask demo \
         --cluster --remove` with the same --kubeconfig removes it",
        left.replace('\n', ", ")
    );
    let another = kubectl.ask(&[
        "get",
        "clusterrolebinding",
        "database-operator",
        "--ignore-not-found",
        "--output=name",
    ])?;
    ensure!(
        another.is_empty(),
        "an operator for all namespaces is installed in this cluster ({another}), and would work on the \
         demo's database, too; take another cluster"
    );
    Ok(())
}

/// Installs the custom resources, where they are missing, and the operator.
pub(super) fn install(kubectl: &Kubectl, root: &Path) -> Result<()> {
    let read = |file: &str| {
        std::fs::read_to_string(root.join(file)).with_context(|| format!("{file} cannot be read"))
    };
    for file in CRDS {
        let path = root.join(file).display().to_string();
        let there = ["get", "-f", &path, "--ignore-not-found", "--output=name"];
        if kubectl.ask(&there)?.is_empty() {
            let name = kubectl.ask(&["create", "-f", &path, "--output=name"])?;
            kubectl.ask(&["label", &name, &format!("{LABEL}=true")])?;
        }
        kubectl.run(&[
            "wait",
            "--for=condition=Established",
            "--timeout=30s",
            "-f",
            &path,
        ])?;
    }
    let mut texts = Vec::new();
    for file in OPERATOR {
        texts.push(read(file)?);
    }
    let text = of_the_demo(&texts.join("---\n"))?;
    kubectl.feed(&["create", "-f", "-"], &text, false)?;
    let bound = read(DATABASES)?.replace(
        "namespace: database-operator\n",
        &format!("namespace: {OPERATOR_NAMESPACE}\n"),
    );
    kubectl.feed(&["create", "-f", "-"], &bound, false)?;
    Ok(())
}

/// Waits until the operator is ready; if it is not, its log says why.
pub(super) fn wait(kubectl: &Kubectl) -> Result<()> {
    let namespace = format!("--namespace={OPERATOR_NAMESPACE}");
    let deployment = "deployment/database-operator";
    let waited = kubectl.run(&["rollout", "status", deployment, &namespace, "--timeout=90s"]);
    waited.map(drop).with_context(|| {
        let log = kubectl.ask(&["logs", deployment, &namespace, "--tail=8"]);
        let log = log.unwrap_or_else(|error| crate::spell(&error));
        format!("the operator is not ready; it says:\n{log}\n")
    })
}

/// The operator's objects in the demo's namespace, for the demo's databases alone. Without the Role in
/// kube-system, which is for the cluster's id: the demo gives an id of its own.
fn of_the_demo(text: &str) -> Result<String> {
    let documents: Vec<&str> = text
        .split("---\n")
        .filter(|document| !document.contains("namespace: kube-system\n"))
        .collect();
    let mut text = documents.join("---\n");
    for (old, new) in [
        (
            "kind: Namespace\nmetadata:\n  name: database-operator\n  labels:\n",
            format!(
                "kind: Namespace\nmetadata:\n  name: {OPERATOR_NAMESPACE}\n  labels:\n    {LABEL}: \"true\"\n"
            ),
        ),
        (
            "        args:\n        - run\n",
            format!(
                "        args:\n        - run\n        - --namespace={NAMESPACE}\n        - \
                 --cluster-id={CLUSTER_ID}\n"
            ),
        ),
        (
            &format!("        image: {}\n", default_image()),
            format!(
                "        image: {}\n        imagePullPolicy: Never\n",
                images::OPERATOR
            ),
        ),
    ] {
        ensure!(
            text.matches(old).count() == 1,
            "deploy/kustomize/base does not say once: {old}"
        );
        text = text.replace(old, &new);
    }
    Ok(text.replace(
        "namespace: database-operator\n",
        &format!("namespace: {OPERATOR_NAMESPACE}\n"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn everything_lies_in_the_demos_namespaces() {
        let root = workspace::root().unwrap();
        let texts = OPERATOR.map(|file| std::fs::read_to_string(root.join(file)).unwrap());
        let text = of_the_demo(&texts.join("---\n")).unwrap();
        let namespaces: Vec<&str> = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("namespace: "))
            .collect();
        assert!(namespaces.len() >= 5, "{namespaces:?}");
        assert!(namespaces.iter().all(|name| *name == OPERATOR_NAMESPACE));
        assert!(text.contains(CLUSTER_ID) && text.contains(images::OPERATOR));
        assert!(
            !text.contains("kind: Cluster"),
            "no right outside of a namespace"
        );
    }
}
