{{- /* Generated from crates/kubernetes/src/rbac.rs by `cargo xtask codegen`; do not edit. */ -}}
{{- define "database-operator.rules.watched" -}}
rules:
# What is wanted; its finalizer, and the annotation of a person's word once it was heard.
- apiGroups: ["database-operator.dev"]
  resources: ["manageddatabases"]
  verbs: ["get", "list", "watch", "patch"]
# The chain of migrations. Nothing of it is written but its status.
- apiGroups: ["database-operator.dev"]
  resources: ["databasemigrations"]
  verbs: ["get", "list", "watch"]
# Where each database stands.
- apiGroups: ["database-operator.dev"]
  resources: ["manageddatabases/status", "databasemigrations/status"]
  verbs: ["patch"]
# Migration runs. Jobs of others are looked at: their templates may refer to a credential.
- apiGroups: ["batch"]
  resources: ["jobs"]
  verbs: ["get", "list", "watch", "create", "patch", "delete"]
# The admin's connection string is read, application credentials are published and retired. Lists
# and watches ask for metadata alone.
- apiGroups: [""]
  resources: ["secrets"]
  verbs: ["get", "list", "watch", "create", "patch", "delete"]
# The SQL that a migration names in spec.sql.configMap, when that migration is next.
- apiGroups: [""]
  resources: ["configmaps"]
  verbs: ["get"]
# Who uses a credential's Secret, before it is retired; how a migration's Pod ended.
- apiGroups: [""]
  resources: ["pods"]
  verbs: ["get", "list", "watch"]
# The last lines of a migration that failed.
- apiGroups: [""]
  resources: ["pods/log"]
  verbs: ["get"]
# Whose templates refer to a credential's Secret.
- apiGroups: ["apps"]
  resources: ["deployments", "statefulsets", "daemonsets", "replicasets"]
  verbs: ["list", "watch"]
# Whose templates refer to a credential's Secret.
- apiGroups: ["batch"]
  resources: ["cronjobs"]
  verbs: ["list", "watch"]
# What happened, beside the object that it happened to.
- apiGroups: ["events.k8s.io"]
  resources: ["events"]
  verbs: ["create"]
# Why a migration's Job has no Pod: those about that Job, and only then.
- apiGroups: [""]
  resources: ["events"]
  verbs: ["list"]
{{- end }}

{{- define "database-operator.rules.own" -}}
rules:
# Which replica leads. A rule for `create` cannot name the Lease.
- apiGroups: ["coordination.k8s.io"]
  resources: ["leases"]
  verbs: ["create"]
# Which replica leads.
- apiGroups: ["coordination.k8s.io"]
  resources: ["leases"]
  resourceNames: ["database-operator"]
  verbs: ["get", "update"]
{{- end }}

{{- define "database-operator.rules.clusterId" -}}
rules:
# Its uid is the cluster's id in the mark that says who owns a database.
- apiGroups: [""]
  resources: ["namespaces"]
  resourceNames: ["kube-system"]
  verbs: ["get"]
{{- end }}

{{- define "database-operator.aggregation" -}}
# The kinds that credentials.podTemplates name, beyond Kubernetes' own: give a ClusterRole that may
# list and watch them this label.
aggregationRule:
  clusterRoleSelectors:
  - matchLabels:
      rbac.authorization.k8s.io/aggregate-to-database-operator: "true"
{{- end }}
