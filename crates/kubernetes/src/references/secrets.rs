//! Every way in which a Pod can refer to a Secret of its namespace, but for `imagePullSecrets`: those log in
//! to a registry, and the kubelet alone reads them. A Secret of a database's credential is of no use there.
//!
//! `optional: true` is a reference like any other: the Pod uses the Secret as long as it is there.

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVar, PodSpec, Volume, VolumeMount};

/// A reference of a Pod to a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUse {
    /// The Secret's name.
    pub secret: String,
    /// How, for people: "container api, env DATABASE_URL".
    pub how: String,
}

/// Every reference to a Secret in a Pod or a Pod template.
pub fn secrets_of(pod: &PodSpec) -> Vec<SecretUse> {
    let containers: Vec<Parts<'_>> = parts(pod).collect();
    let mut uses = Vec::new();
    for container in &containers {
        container.environment(&mut uses);
    }
    for volume in pod.volumes.iter().flatten() {
        let mounting: Vec<&str> = containers
            .iter()
            .filter(|container| container.mounts(&volume.name))
            .map(|container| container.what.as_str())
            .collect();
        for secret in secrets_of_volume(volume) {
            let use_of = |how: String| SecretUse {
                secret: secret.to_owned(),
                how,
            };
            let name = &volume.name;
            if mounting.is_empty() {
                uses.push(use_of(format!("volume {name}")));
            }
            for container in &mounting {
                uses.push(use_of(format!("{container}, volume {name}")));
            }
        }
    }
    uses
}

/// What the three kinds of containers have in common.
struct Parts<'a> {
    what: String,
    env: &'a [EnvVar],
    env_from: &'a [EnvFromSource],
    volume_mounts: &'a [VolumeMount],
}

fn parts(pod: &PodSpec) -> impl Iterator<Item = Parts<'_>> {
    let of = |what: &str, container: &'_ Container| format!("{what} {}", container.name);
    let containers = pod.containers.iter().map(move |c| (of("container", c), c));
    let init = pod
        .init_containers
        .iter()
        .flatten()
        .map(move |c| (of("init container", c), c));
    let ephemeral = pod.ephemeral_containers.iter().flatten().map(|c| Parts {
        what: format!("ephemeral container {}", c.name),
        env: c.env.as_deref().unwrap_or_default(),
        env_from: c.env_from.as_deref().unwrap_or_default(),
        volume_mounts: c.volume_mounts.as_deref().unwrap_or_default(),
    });
    containers
        .chain(init)
        .map(|(what, c)| Parts {
            what,
            env: c.env.as_deref().unwrap_or_default(),
            env_from: c.env_from.as_deref().unwrap_or_default(),
            volume_mounts: c.volume_mounts.as_deref().unwrap_or_default(),
        })
        .chain(ephemeral)
}

impl Parts<'_> {
    fn environment(&self, uses: &mut Vec<SecretUse>) {
        let what = &self.what;
        for variable in self.env {
            let key = variable
                .value_from
                .as_ref()
                .and_then(|from| from.secret_key_ref.as_ref());
            if let Some(key) = key.filter(|key| !key.name.is_empty()) {
                uses.push(SecretUse {
                    secret: key.name.clone(),
                    how: format!("{what}, env {}", variable.name),
                });
            }
        }
        for source in self.env_from {
            if let Some(from) = source.secret_ref.as_ref().filter(|r| !r.name.is_empty()) {
                uses.push(SecretUse {
                    secret: from.name.clone(),
                    how: format!("{what}, envFrom"),
                });
            }
        }
    }

    fn mounts(&self, volume: &str) -> bool {
        self.volume_mounts.iter().any(|mount| mount.name == volume)
    }
}

/// The Secrets that a volume's content comes from, or that its driver logs in with.
fn secrets_of_volume(volume: &Volume) -> impl Iterator<Item = &str> {
    let projected = volume
        .projected
        .iter()
        .flat_map(|projected| projected.sources.iter().flatten())
        .filter_map(|source| Some(source.secret.as_ref()?.name.as_str()));
    // Kubernetes' own list of volumes, as far as they name a Secret (API reference, "Volume").
    let direct = [
        volume
            .secret
            .as_ref()
            .and_then(|v| v.secret_name.as_deref()),
        volume.azure_file.as_ref().map(|v| v.secret_name.as_str()),
        volume.scale_io.as_ref().map(|v| v.secret_ref.name.as_str()),
    ];
    let by_reference = [
        volume.cephfs.as_ref().map(|v| &v.secret_ref),
        volume.csi.as_ref().map(|v| &v.node_publish_secret_ref),
        volume.flex_volume.as_ref().map(|v| &v.secret_ref),
        volume.iscsi.as_ref().map(|v| &v.secret_ref),
        volume.rbd.as_ref().map(|v| &v.secret_ref),
        volume.storageos.as_ref().map(|v| &v.secret_ref),
    ];
    let by_reference = by_reference
        .into_iter()
        .flatten()
        .filter_map(|secret| Some(secret.as_ref()?.name.as_str()));
    direct
        .into_iter()
        .flatten()
        .chain(projected)
        .chain(by_reference)
        .filter(|name| !name.is_empty())
}
