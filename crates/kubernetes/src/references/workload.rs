//! Kubernetes' own kinds that run Pods: which of their objects count, and what has to be said of them.

use std::borrow::Cow;

use dbop_api::marks;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodTemplateSpec};
use kube::Resource;
use kube::api::ObjectMeta;

use super::{Holder, Labels};

/// What is said of an object that somebody deleted, and that is still there.
const BEING_DELETED: &str = "being deleted";
pub(super) const SCALED_TO_ZERO: &str = "scaled to zero";
pub(super) const SUSPENDED: &str = "suspended";

/// A kind whose objects run Pods.
pub trait Workload: Resource<DynamicType = ()> + k8s_openapi::Resource {
    /// What refers to Secrets, where it does and where it counts; `None`: it holds nothing back.
    fn holder(&self) -> Option<Holder>;
}

impl Workload for Pod {
    fn holder(&self) -> Option<Holder> {
        let phase = self.status.as_ref().and_then(|s| s.phase.as_deref());
        if matches!(phase, Some("Succeeded" | "Failed")) || is_migration(&self.metadata) {
            return None;
        }
        let holder = holder::<Self>(&self.metadata, None, self.spec.as_ref(), &None)?;
        let made_at = self.metadata.creation_timestamp.as_ref();
        Some(Holder {
            made_at: made_at.map(|time| time.0),
            ..holder
        })
    }
}

impl Workload for Deployment {
    fn holder(&self) -> Option<Holder> {
        let spec = self.spec.as_ref()?;
        let note = note_of(spec.replicas == Some(0), SCALED_TO_ZERO);
        holder_of::<Self>(&self.metadata, note, &spec.template)
    }
}

impl Workload for StatefulSet {
    fn holder(&self) -> Option<Holder> {
        let spec = self.spec.as_ref()?;
        let note = note_of(spec.replicas == Some(0), SCALED_TO_ZERO);
        holder_of::<Self>(&self.metadata, note, &spec.template)
    }
}

impl Workload for DaemonSet {
    fn holder(&self) -> Option<Holder> {
        let spec = self.spec.as_ref()?;
        holder_of::<Self>(&self.metadata, None, &spec.template)
    }
}

/// Without replicas, wanted or there, it is a Deployment's memory of an older template: it holds nothing
/// back, or no credential could be retired before ten more releases.
impl Workload for ReplicaSet {
    fn holder(&self) -> Option<Holder> {
        let spec = self.spec.as_ref()?;
        let there = self.status.as_ref().map_or(0, |status| status.replicas);
        // The API server's default where nothing is said.
        if spec.replicas.unwrap_or(1) == 0 && there == 0 {
            return None;
        }
        holder_of::<Self>(&self.metadata, None, spec.template.as_ref()?)
    }
}

impl Workload for Job {
    fn holder(&self) -> Option<Holder> {
        let spec = self.spec.as_ref()?;
        let conditions = self.status.iter().flat_map(|s| s.conditions.iter());
        let finished = conditions
            .flatten()
            .any(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True");
        if finished || is_migration(&self.metadata) {
            return None;
        }
        let note = note_of(spec.suspend == Some(true), SUSPENDED);
        holder_of::<Self>(&self.metadata, note, &spec.template)
    }
}

impl Workload for CronJob {
    fn holder(&self) -> Option<Holder> {
        let spec = self.spec.as_ref()?;
        let template = &spec.job_template.spec.as_ref()?.template;
        let note = note_of(spec.suspend == Some(true), SUSPENDED);
        holder_of::<Self>(&self.metadata, note, template)
    }
}

fn holder_of<K: k8s_openapi::Resource>(
    metadata: &ObjectMeta,
    note: Option<&'static str>,
    template: &PodTemplateSpec,
) -> Option<Holder> {
    let of_template = template.metadata.as_ref().and_then(|of| of.labels.clone());
    holder::<K>(metadata, note, template.spec.as_ref(), &of_template)
}

fn holder<K: k8s_openapi::Resource>(
    metadata: &ObjectMeta,
    note: Option<&'static str>,
    pod: Option<&PodSpec>,
    of_template: &Labels,
) -> Option<Holder> {
    Holder::new(
        Cow::Borrowed(K::KIND),
        metadata.name.as_deref(),
        noted(metadata, note),
        pod?,
        &[&metadata.labels, of_template],
    )
}

/// That it is being deleted goes first: the way on is to wait.
pub(super) fn noted(metadata: &ObjectMeta, note: Option<&'static str>) -> Option<&'static str> {
    match metadata.deletion_timestamp {
        Some(_) => Some(BEING_DELETED),
        None => note,
    }
}

fn note_of(holds: bool, note: &'static str) -> Option<&'static str> {
    holds.then_some(note)
}

/// Is it of a migration run of ours? That one is no application, and is waited for as a run.
fn is_migration(metadata: &ObjectMeta) -> bool {
    metadata.labels.as_ref().is_some_and(|labels| {
        let ours = labels.get(marks::MANAGED_BY_LABEL);
        ours.is_some_and(|by| by == marks::MANAGED_BY) && labels.contains_key(marks::DATABASE_LABEL)
    })
}
