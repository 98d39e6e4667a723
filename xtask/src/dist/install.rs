//! `install.yaml`: the files of the kustomize base, the CRDs and the permissions, one after the other.
//!
//! Text and not objects, so that the comments stay. That it is what kustomize and Helm make of the same
//! files is checked by `tests/tests/install`, on objects.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::codegen::Files;

/// The one with the default image, in the tree.
pub(crate) const FILE: &str = "deploy/install.yaml";
/// What it begins with.
const HEADER: &str = "\
# Database Operator, for the databases of all namespaces.
#
#   kubectl apply --server-side --filename install.yaml
#
# Generated from deploy/kustomize, deploy/crds and deploy/rbac by `cargo xtask codegen`; do not edit.
# `cargo xtask dist --image NAME` makes one with another image. With Roles instead of ClusterRoles:
# deploy/kustomize/namespaced, or the Helm chart with `namespaces`.
";
/// What it consists of, in the order in which it is applied.
const PARTS: [&str; 9] = [
    "deploy/kustomize/base/namespace.yaml",
    "deploy/crds/databasemigrations.yaml",
    "deploy/crds/manageddatabases.yaml",
    "deploy/kustomize/base/serviceaccount.yaml",
    "deploy/rbac/operator/rbac.yaml",
    "deploy/rbac/cluster/rbac.yaml",
    "deploy/kustomize/base/service.yaml",
    "deploy/kustomize/base/deployment.yaml",
    "deploy/kustomize/base/poddisruptionbudget.yaml",
];

/// The image that the files of the tree name.
pub(crate) fn default_image() -> String {
    format!("database-operator:{}", env!("CARGO_PKG_VERSION"))
}

/// The manifests with this image. `generated` goes before what is in the tree.
pub(crate) fn render(root: &Path, generated: &Files, image: &str) -> Result<String> {
    let mut text = HEADER.to_owned();
    for part in PARTS {
        let read;
        let part_text = match generated.get(part) {
            Some(text) => text,
            None => {
                read = std::fs::read_to_string(root.join(part))
                    .with_context(|| format!("{part} cannot be read"))?;
                &read
            }
        };
        text += "---\n";
        text += part_text.trim_end();
        text += "\n";
    }
    let line = format!("image: {}\n", default_image());
    ensure!(
        text.matches(&line).count() == 1,
        "the Deployment in deploy/kustomize/base does not name the image {}",
        default_image()
    );
    Ok(text.replace(&line, &format!("image: {image}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn another_image_is_the_only_difference() {
        let root = workspace::root().unwrap();
        let usual = render(&root, &Files::new(), &default_image()).unwrap();
        let other = render(&root, &Files::new(), "registry.example.com/x:1").unwrap();
        let differ: Vec<(&str, &str)> = usual
            .lines()
            .zip(other.lines())
            .filter(|(usual, other)| usual != other)
            .collect();
        assert_eq!(differ.len(), 1, "{differ:?}");
        assert_eq!(differ[0].1.trim(), "image: registry.example.com/x:1");
    }

    #[test]
    fn every_file_of_the_base_is_a_part() {
        let root = workspace::root().unwrap();
        for entry in std::fs::read_dir(root.join("deploy/kustomize/base")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let part = format!("deploy/kustomize/base/{name}");
            assert!(
                name == "kustomization.yaml" || PARTS.contains(&part.as_str()),
                "{part}"
            );
        }
    }

    #[test]
    fn the_chart_is_of_the_same_version() {
        let chart = include_str!("../../../deploy/chart/Chart.yaml");
        let version = env!("CARGO_PKG_VERSION");
        assert!(chart.contains(&format!("\nversion: {version}\n")));
        assert!(chart.contains(&format!("\nappVersion: \"{version}\"\n")));
    }
}
