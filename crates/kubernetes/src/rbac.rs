//! What the operator may do in a cluster: one table, from which the manifests are made.
//!
//! `cargo xtask codegen` writes them to `deploy/rbac` and into the chart. A rule is added here with the
//! request that needs it, and its reason stands beside it in the manifests, for those who review them. The
//! text is made here and not by a YAML writer, which would lose the reasons. Nothing here asks a cluster.

use std::fmt::Write as _;

/// The name of the operator's objects, its ServiceAccount and its namespace.
pub const NAME: &str = "database-operator";
/// The name of the Lease that the leading replica holds.
pub const LEASE: &str = "database-operator";
/// The namespace whose uid is the cluster's id: every cluster has it, and it is never made anew.
pub const CLUSTER_ID_NAMESPACE: &str = "kube-system";
/// ClusterRoles with this label give the operator more: to list the kinds in `credentials.podTemplates`.
pub const AGGREGATION_LABEL: &str = "rbac.authorization.k8s.io/aggregate-to-database-operator";

/// Where a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In each namespace whose databases are looked after: all of them by a ClusterRole, or some by Roles.
    Watched,
    /// In the operator's own namespace.
    Own,
    /// In [`CLUSTER_ID_NAMESPACE`]: a Role there covers the Namespace object itself, so that the cluster
    /// has the same id for an operator that has Roles only.
    ClusterId,
}

/// What may be done with some resources, and why.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Where.
    pub scope: Scope,
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The resources, as paths of the API name them.
    pub resources: &'static [&'static str],
    /// Only objects of these names; empty: all. `create`, `list` and `watch` know no names.
    pub names: &'static [&'static str],
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// What for, for those who review the manifests.
    pub why: &'static str,
}

/// Everything that the operator may do.
pub const RULES: &[Rule] = &[
    Rule {
        scope: Scope::Watched,
        group: "database-operator.dev",
        resources: &["manageddatabases"],
        names: &[],
        verbs: &["get", "list", "watch", "patch"],
        why: "What is wanted; its finalizer, and the annotation of a person's word once it was heard.",
    },
    Rule {
        scope: Scope::Watched,
        group: "database-operator.dev",
        resources: &["databasemigrations"],
        names: &[],
        verbs: &["get", "list", "watch"],
        why: "The chain of migrations. Nothing of it is written but its status.",
    },
    Rule {
        scope: Scope::Watched,
        group: "database-operator.dev",
        resources: &["manageddatabases/status", "databasemigrations/status"],
        names: &[],
        verbs: &["patch"],
        why: "Where each database stands.",
    },
    Rule {
        scope: Scope::Watched,
        group: "batch",
        resources: &["jobs"],
        names: &[],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        why: "Migration runs. Jobs of others are looked at: their templates may refer to a credential.",
    },
    Rule {
        scope: Scope::Watched,
        group: "",
        resources: &["secrets"],
        names: &[],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        why: "The admin's connection string is read, application credentials are published and retired. \
              Lists and watches ask for metadata alone.",
    },
    Rule {
        scope: Scope::Watched,
        group: "",
        resources: &["configmaps"],
        names: &[],
        verbs: &["get"],
        why: "The SQL that a migration names in spec.sql.configMap, when that migration is next.",
    },
    Rule {
        scope: Scope::Watched,
        group: "",
        resources: &["pods"],
        names: &[],
        verbs: &["get", "list", "watch"],
        why: "Who uses a credential's Secret, before it is retired; how a migration's Pod ended.",
    },
    Rule {
        scope: Scope::Watched,
        group: "",
        resources: &["pods/log"],
        names: &[],
        verbs: &["get"],
        why: "The last lines of a migration that failed.",
    },
    Rule {
        scope: Scope::Watched,
        group: "apps",
        resources: &["deployments", "statefulsets", "daemonsets", "replicasets"],
        names: &[],
        verbs: &["list", "watch"],
        why: "Whose templates refer to a credential's Secret.",
    },
    Rule {
        scope: Scope::Watched,
        group: "batch",
        resources: &["cronjobs"],
        names: &[],
        verbs: &["list", "watch"],
        why: "Whose templates refer to a credential's Secret.",
    },
    Rule {
        scope: Scope::Watched,
        group: "events.k8s.io",
        resources: &["events"],
        names: &[],
        verbs: &["create"],
        why: "What happened, beside the object that it happened to.",
    },
    Rule {
        scope: Scope::Watched,
        group: "",
        resources: &["events"],
        names: &[],
        verbs: &["list"],
        why: "Why a migration's Job has no Pod: those about that Job, and only then.",
    },
    Rule {
        scope: Scope::Own,
        group: "coordination.k8s.io",
        resources: &["leases"],
        names: &[],
        verbs: &["create"],
        why: "Which replica leads. A rule for `create` cannot name the Lease.",
    },
    Rule {
        scope: Scope::Own,
        group: "coordination.k8s.io",
        resources: &["leases"],
        names: &[LEASE],
        verbs: &["get", "update"],
        why: "Which replica leads.",
    },
    Rule {
        scope: Scope::ClusterId,
        group: "",
        resources: &["namespaces"],
        names: &[CLUSTER_ID_NAMESPACE],
        verbs: &["get"],
        why: "Its uid is the cluster's id in the mark that says who owns a database.",
    },
];

/// A file of manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manifest {
    /// What every installation needs: the Roles in the operator's own namespace and for the cluster's id.
    Operator,
    /// Every namespace is watched.
    Cluster,
    /// One namespace is watched: objects without a namespace, to be applied to each.
    Namespaced,
    /// The rules alone, as named templates of the Helm chart.
    Chart,
}

impl Manifest {
    /// All of them, each with its name on the command line.
    pub const ALL: [(&str, Manifest); 4] = [
        ("operator", Manifest::Operator),
        ("cluster", Manifest::Cluster),
        ("namespaced", Manifest::Namespaced),
        ("chart", Manifest::Chart),
    ];
}

/// The text of a file.
///
/// ```
/// use dbop_kubernetes::rbac::{Manifest, yaml};
///
/// assert!(yaml(Manifest::Cluster).contains("kind: ClusterRole\n"));
/// assert!(!yaml(Manifest::Namespaced).contains("ClusterRole"));
/// ```
pub fn yaml(manifest: Manifest) -> String {
    let cluster_id = format!("{NAME}-cluster-id");
    match manifest {
        Manifest::Operator => [
            role(NAME, Some(NAME), Scope::Own),
            binding(NAME, Some(NAME)),
            role(&cluster_id, Some(CLUSTER_ID_NAMESPACE), Scope::ClusterId),
            binding(&cluster_id, Some(CLUSTER_ID_NAMESPACE)),
        ]
        .join("---\n"),
        Manifest::Cluster => {
            let extra = format!("{NAME}-pod-templates");
            [
                format!(
                    "{}{}",
                    head("ClusterRole", NAME, None),
                    rules(Scope::Watched)
                ),
                cluster_binding(NAME),
                format!("{}{}", head("ClusterRole", &extra, None), aggregation()),
                cluster_binding(&extra),
            ]
            .join("---\n")
        }
        Manifest::Namespaced => {
            // Another name than in the operator's own namespace, which may be watched as well.
            let name = format!("{NAME}-databases");
            [role(&name, None, Scope::Watched), binding(&name, None)].join("---\n")
        }
        Manifest::Chart => [
            ("rules.watched", rules(Scope::Watched)),
            ("rules.own", rules(Scope::Own)),
            ("rules.clusterId", rules(Scope::ClusterId)),
            ("aggregation", aggregation()),
        ]
        .map(|(name, text)| {
            let text = text.trim_end();
            format!("{{{{- define \"{NAME}.{name}\" -}}}}\n{text}\n{{{{- end }}}}\n")
        })
        .join("\n"),
    }
}

fn head(kind: &str, name: &str, namespace: Option<&str>) -> String {
    let mut text = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\n"
    );
    if let Some(namespace) = namespace {
        text += &format!("  namespace: {namespace}\n");
    }
    text + &format!("  labels:\n    app.kubernetes.io/name: {NAME}\n")
}

fn role(name: &str, namespace: Option<&str>, scope: Scope) -> String {
    head("Role", name, namespace) + &rules(scope)
}

fn binding(name: &str, namespace: Option<&str>) -> String {
    head("RoleBinding", name, namespace) + &bound("Role", name)
}

fn cluster_binding(name: &str) -> String {
    head("ClusterRoleBinding", name, None) + &bound("ClusterRole", name)
}

/// What stands in place of the rules in a ClusterRole whose rules the cluster fills in.
fn aggregation() -> String {
    let reason = "The kinds that credentials.podTemplates name, beyond Kubernetes' own: give a ClusterRole \
                  that may list and watch them this label.";
    format!(
        "{}aggregationRule:\n  clusterRoleSelectors:\n  - matchLabels:\n      {AGGREGATION_LABEL}: \"true\"\n",
        comment(reason),
    )
}

fn bound(kind: &str, name: &str) -> String {
    format!(
        "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {name}\n\
         subjects:\n- kind: ServiceAccount\n  name: {NAME}\n  namespace: {NAME}\n"
    )
}

/// The rules of a scope, each below its reason.
fn rules(scope: Scope) -> String {
    let mut text = String::from("rules:\n");
    for rule in RULES.iter().filter(|rule| rule.scope == scope) {
        text += &comment(rule.why);
        // Writing to a String does not fail.
        let _ = writeln!(text, "- apiGroups: [{}]", quoted(&[rule.group]));
        let _ = writeln!(text, "  resources: [{}]", quoted(rule.resources));
        if !rule.names.is_empty() {
            let _ = writeln!(text, "  resourceNames: [{}]", quoted(rule.names));
        }
        let _ = writeln!(text, "  verbs: [{}]", quoted(rule.verbs));
    }
    text
}

/// Words in double quotes: the empty group needs them, so that all have them.
fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    words.join(", ")
}

/// The widest that a line of a comment is.
const COMMENT_COLUMNS: usize = 100;

/// A text as comment lines.
fn comment(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::from("#"));
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > COMMENT_COLUMNS {
            lines += &line;
            lines += "\n";
            line = String::from("#");
        }
        line += " ";
        line += word;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_is_a_blank_cheque() {
        for rule in RULES {
            let words = [rule.resources, rule.verbs, rule.names, &[rule.group]].concat();
            assert!(words.iter().all(|word| !word.contains('*')), "{rule:?}");
            assert!(
                !rule.verbs.is_empty() && !rule.resources.is_empty(),
                "{rule:?}"
            );
            assert!(rule.why.ends_with('.'), "{rule:?}");
            // The API server lets a rule with names match no request that has none.
            let nameless = ["create", "list", "watch"];
            let useless = rule.verbs.iter().any(|verb| nameless.contains(verb));
            assert!(rule.names.is_empty() || !useless, "{rule:?}");
        }
    }

    #[test]
    fn nothing_is_allowed_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for rule in RULES {
            for resource in rule.resources {
                for verb in rule.verbs {
                    let place = format!("{:?}", rule.scope);
                    assert!(seen.insert((place, rule.group, resource, verb)), "{rule:?}");
                }
            }
        }
    }

    #[test]
    fn roles_only_means_roles_only() {
        for manifest in [Manifest::Operator, Manifest::Namespaced] {
            assert!(!yaml(manifest).contains("ClusterRole"), "{manifest:?}");
        }
        // To be applied to any namespace, it names none but the ServiceAccount's.
        assert_eq!(yaml(Manifest::Namespaced).matches("namespace:").count(), 1);
    }

    #[test]
    fn both_installations_allow_the_same_in_a_watched_namespace() {
        let rules = rules(Scope::Watched);
        for manifest in [Manifest::Cluster, Manifest::Namespaced, Manifest::Chart] {
            assert_eq!(yaml(manifest).matches(&rules).count(), 1, "{manifest:?}");
        }
    }

    #[test]
    fn a_role_reads_like_this() {
        let wanted = r#"apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: database-operator-cluster-id
  namespace: kube-system
  labels:
    app.kubernetes.io/name: database-operator
rules:
# Its uid is the cluster's id in the mark that says who owns a database.
- apiGroups: [""]
  resources: ["namespaces"]
  resourceNames: ["kube-system"]
  verbs: ["get"]
"#;
        assert!(yaml(Manifest::Operator).contains(wanted));
    }
}
