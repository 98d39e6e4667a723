//! The Job of a run: suspended, with the user's Pod and container, the contract's environment, and Kubernetes
//! told to try exactly once.

use std::collections::BTreeMap;

use dbop_api::DatabaseMigration;
use dbop_api::database::{MigrationConfig, Migrations};
use dbop_api::marks::{CONFIG_VOLUME, FINALIZER, MIGRATION_LABEL, fits_label};
use dbop_api::pod_template::{ContainerDefaults, PodMetadata, PodSettings, PodTemplate};
use dbop_credentials::binding::MIGRATOR_VARIABLES;
use dbop_engine::JobSpec;
use k8s_openapi::api::batch::v1::{Job, JobSpec as Spec};
use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, PodSpec, PodTemplateSpec, SecretKeySelector,
    SecretVolumeSource, Volume, VolumeMount,
};
use kube::api::ObjectMeta;

use super::{SERVER_ANNOTATION, identity, labels, security};

/// Where a container sends its metrics.
const PUSH_ADDRESS: &str = "DBA_OP_PROMETHEUS_PUSH_GATEWAY_ADDR";
/// What the names of the contract begin with, and those of them that a user may give.
const CONTRACT: &str = "DBA_OP_";
const USER_LABEL: &str = "DBA_OP_LABEL_";
/// Which of a Pod's containers is meant where none is named: by kubectl, and by us where a mesh adds its own.
pub(super) const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// The Job of a run. `push_address` is where metrics go unless the database says otherwise.
pub fn build(
    spec: &JobSpec,
    migration: &DatabaseMigration,
    settings: &Migrations,
    push_address: Option<&str>,
) -> Job {
    let mut own_labels = labels(&spec.database);
    if fits_label(spec.run.to.as_str()) {
        own_labels.insert(MIGRATION_LABEL.to_owned(), spec.run.to.to_string());
    }
    let mut annotations = identity::annotations(&spec.run);
    annotations.insert(SERVER_ANNOTATION.to_owned(), spec.server.clone());
    let parts = migration.spec.parallelism;
    let (mode, pods, completions) = match parts {
        Some(parts) => ("Indexed", parts.pods, parts.completions),
        None => ("NonIndexed", 1, 1),
    };
    Job {
        metadata: ObjectMeta {
            name: Some(spec.run.job.to_string()),
            namespace: Some(spec.database.namespace().to_owned()),
            labels: Some(own_labels.clone()),
            annotations: Some(annotations),
            finalizers: Some(vec![FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: Some(Spec {
            suspend: Some(true),
            // Once: whether to try again is a person's word.
            backoff_limit: Some(0),
            // No Pod takes a lost one's place before that one is certainly gone.
            pod_replacement_policy: Some("Failed".to_owned()),
            completion_mode: Some(mode.to_owned()),
            parallelism: Some(pods),
            completions: Some(completions),
            active_deadline_seconds: settings.active_deadline_seconds,
            template: pod(
                spec,
                &migration.spec.container,
                settings,
                push_address,
                own_labels,
            ),
            ..Spec::default()
        }),
        status: None,
    }
}

fn pod(
    spec: &JobSpec,
    own: &Container,
    settings: &Migrations,
    push_address: Option<&str>,
    own_labels: BTreeMap<String, String>,
) -> PodTemplateSpec {
    let PodTemplate {
        metadata,
        spec: user,
        container: defaults,
    } = settings.pod_template.clone().unwrap_or_default();
    let PodMetadata {
        mut labels,
        mut annotations,
    } = metadata.unwrap_or_default();
    labels.extend(own_labels);
    annotations.extend(identity::annotations(&spec.run));
    annotations
        .entry(DEFAULT_CONTAINER.to_owned())
        .or_insert_with(|| own.name.clone());
    let config = settings.config.as_ref();
    let container = container(
        spec,
        own,
        &defaults.unwrap_or_default(),
        config,
        push_address,
    );
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(pod_spec(user.unwrap_or_default(), container, config)),
    }
}

fn pod_spec(user: PodSettings, container: Container, config: Option<&MigrationConfig>) -> PodSpec {
    // Each field is named, so that a new one is not forgotten.
    let PodSettings {
        service_account_name,
        automount_service_account_token,
        image_pull_secrets,
        node_selector,
        tolerations,
        affinity,
        topology_spread_constraints,
        priority_class_name,
        runtime_class_name,
        security_context,
        mut volumes,
        host_aliases,
        dns_policy,
        dns_config,
        termination_grace_period_seconds,
    } = user;
    volumes.extend(config.map(|config| Volume {
        name: CONFIG_VOLUME.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(config.secret.clone()),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }));
    let rights = container.security_context.clone().unwrap_or_default();
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        enable_service_links: Some(false),
        automount_service_account_token: Some(automount_service_account_token.unwrap_or(false)),
        security_context: Some(security::of_pod(security_context.as_ref(), &rights)),
        containers: vec![container],
        service_account_name,
        image_pull_secrets: some(image_pull_secrets),
        node_selector: (!node_selector.is_empty()).then_some(node_selector),
        tolerations: some(tolerations),
        affinity,
        topology_spread_constraints: some(topology_spread_constraints),
        priority_class_name,
        runtime_class_name,
        volumes: some(volumes),
        host_aliases: some(host_aliases),
        dns_policy,
        dns_config,
        termination_grace_period_seconds,
        ..PodSpec::default()
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn container(
    spec: &JobSpec,
    own: &Container,
    all: &ContainerDefaults,
    config: Option<&MigrationConfig>,
    push_address: Option<&str>,
) -> Container {
    let mut container = own.clone();
    if container.resources.is_none() {
        container.resources = all.resources.clone();
    }
    let rights =
        security::of_container(own.security_context.as_ref(), all.security_context.as_ref());
    container.security_context = Some(rights);
    let mut mounts = container.volume_mounts.take().unwrap_or_default();
    let config = config.map(|config| VolumeMount {
        name: CONFIG_VOLUME.to_owned(),
        mount_path: config.mount_path.clone(),
        read_only: Some(true),
        ..VolumeMount::default()
    });
    for mount in all.volume_mounts.iter().cloned().chain(config) {
        if !mounts.iter().any(|m| m.mount_path == mount.mount_path) {
            mounts.push(mount);
        }
    }
    container.volume_mounts = some(mounts);
    container.env = Some(environment(spec, own.env.as_deref(), push_address));
    container
}

/// The contract's variables first: `$(NAME)` finds what stands before it. They win over `envFrom` anyway.
fn environment(spec: &JobSpec, own: Option<&[EnvVar]>, push_address: Option<&str>) -> Vec<EnvVar> {
    let secret = MIGRATOR_VARIABLES.map(|name| EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: spec.run.job.to_string(),
                key: name.to_owned(),
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    });
    let mut plain = spec.environment.clone();
    if let Some(address) = push_address {
        plain
            .entry(PUSH_ADDRESS.to_owned())
            .or_insert_with(|| address.to_owned());
    }
    // A dollar is the contract's own, and no reference: "$$" is one.
    let plain = plain.iter().map(|(name, value)| EnvVar {
        name: name.clone(),
        value: Some(value.replace('$', "$$")),
        value_from: None,
    });
    let contract: Vec<EnvVar> = secret.into_iter().chain(plain).collect();
    let is_users = |variable: &&EnvVar| {
        let name = variable.name.as_str();
        let reserved = name.starts_with(CONTRACT) && !name.starts_with(USER_LABEL);
        !reserved && contract.iter().all(|c| c.name != name)
    };
    let own: Vec<EnvVar> = own
        .unwrap_or_default()
        .iter()
        .filter(is_users)
        .cloned()
        .collect();
    contract.into_iter().chain(own).collect()
}
