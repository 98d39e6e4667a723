//! The Pod that a migration runs in, as far as it is the user's: a reduced Pod template, of
//! Kubernetes' own types.
//!
//! What is left out is what a run needs to be as it is: the containers (the migration names its
//! own), `restartPolicy`, and the host's namespaces. Nothing is merged here: the platform that makes
//! the Job does that.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, HostAlias, LocalObjectReference, PodDNSConfig, PodSecurityContext,
    ResourceRequirements, SecurityContext, Toleration, TopologySpreadConstraint, Volume,
    VolumeMount,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::pattern;

/// How many entries each list and map here has: several times what Pods in use have, few enough that
/// the API server can bound the cost of the rules over them.
pub const ENTRIES_MAX: u32 = 32;
/// Bytes of an annotation's value. Kubernetes bounds only all of them together, at 256 KiB.
const ANNOTATION_BYTES_MAX: u32 = 8192;
/// A day: a Pod that takes longer to end is not ending.
const GRACE_SECS_MAX: i64 = 86_400;

/// What of a migration's Pod is the user's.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels and annotations of the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<PodMetadata>,
    /// Where and as whom the Pod runs, and what can be mounted in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<PodSettings>,
    /// What holds for each migration's container, where the container itself does not say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerDefaults>,
}

/// Labels and annotations of the Pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodMetadata {
    /// Labels of the Pod, besides the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Pod, such as those that keep a service mesh's proxy out of it: a proxy that
    /// does not end keeps the run from ending.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// Where and as whom the Pod runs, and what can be mounted in it: fields of Kubernetes' PodSpec.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSettings {
    /// The ServiceAccount of the Pod; by default that of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SUBDOMAIN))]
    pub service_account_name: Option<String>,
    /// Is the ServiceAccount's token mounted? By default no: a migration talks to its database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
    /// The Secrets with which images are pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ENTRIES_MAX))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// The labels that a node has where the Pod may run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub node_selector: BTreeMap<String, String>,
    /// The taints of nodes that the Pod tolerates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ENTRIES_MAX))]
    pub tolerations: Vec<Toleration>,
    /// The nodes and Pods near which the Pod runs, or far from which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How Pods are spread over the cluster: of use with parallelism.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ENTRIES_MAX))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// The PriorityClass of the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SUBDOMAIN))]
    pub priority_class_name: Option<String>,
    /// The RuntimeClass of the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SUBDOMAIN))]
    pub runtime_class_name: Option<String>,
    /// As whom the Pod runs, and with what rights; by default such that Pod Security "restricted" lets
    /// it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurityContext>,
    /// What containers can mount; names that begin with dbop- are the operator's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = ENTRIES_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub volumes: Vec<Volume>,
    /// Lines of the Pod's /etc/hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ENTRIES_MAX))]
    pub host_aliases: Vec<HostAlias>,
    /// How the Pod resolves names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "dns_policy")]
    pub dns_policy: Option<String>,
    /// Nameservers and search domains besides; with dnsPolicy None, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<PodDNSConfig>,
    /// How long the Pod has to end once it is told to; by default 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = GRACE_SECS_MAX))]
    pub termination_grace_period_seconds: Option<i64>,
}

/// Defaults for each migration's container.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerDefaults {
    /// What it needs and may use; a container that has resources of its own keeps those alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// As whom it runs, and with what rights; a field that a container has itself counts there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
    /// What it mounts of the volumes, besides what a container mounts itself; at the same path the
    /// container's own counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = ENTRIES_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mountPath"])
    )]
    pub volume_mounts: Vec<VolumeMount>,
}

pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": ENTRIES_MAX,
        "additionalProperties": {
            "type": "string",
            "minLength": 0,
            "maxLength": 63,
            "pattern": pattern::LABEL_VALUE,
        },
    })
}

fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": ENTRIES_MAX,
        "additionalProperties": {
            "type": "string",
            "minLength": 0,
            "maxLength": ANNOTATION_BYTES_MAX,
        },
    })
}

/// Kubernetes documentation, "Pod's DNS Policy".
fn dns_policy(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "enum": ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
    })
}
