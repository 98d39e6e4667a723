//! Further kinds with a Pod template, which a ManagedDatabase names: Argo Rollouts, Knative Services and
//! their like.
//!
//! Their objects are read as far as they look like Kubernetes' own; fields that are not Kubernetes' are no
//! fault. Where there is no template to be read, that is said: it is never "no reference".

use std::borrow::Cow;

use k8s_openapi::api::core::v1::PodSpec;
use kube::api::DynamicObject;
use serde::Deserialize as _;
use serde_json::Value;

use super::Holder;
use super::workload::{SCALED_TO_ZERO, SUSPENDED, noted};

/// Where templates stand, the usual place first: of workloads, of what makes Jobs, of KEDA's ScaledJob.
const TEMPLATES: [&str; 3] = [
    "/spec/template/spec",
    "/spec/jobTemplate/spec/template/spec",
    "/spec/jobTargetRef/template/spec",
];

/// Kubernetes' own kinds, which are looked at anyway.
const BUILT_IN: [(&str, &str); 8] = [
    ("v1", "Pod"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    // Its objects run nothing: who uses one copies it.
    ("v1", "PodTemplate"),
];

/// An object whose Pods cannot be told: whether it refers to a Secret is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name}: {problem}; mend it, or take the kind out of credentials.podTemplates")]
pub struct Unreadable {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub problem: String,
}

/// Is a kind looked at without being named?
pub fn is_built_in(api_version: &str, kind: &str) -> bool {
    BUILT_IN.contains(&(api_version, kind))
}

/// What refers to Secrets in an object of a kind that has a Pod template; `None`: it refers to none.
///
/// # Errors
/// [`Unreadable`]: it has no Pod template, or one that is none.
pub fn holder_of_template(
    kind: &str,
    object: &DynamicObject,
) -> Result<Option<Holder>, Unreadable> {
    let name = object.metadata.name.as_deref();
    let unreadable = |problem: String| Unreadable {
        kind: kind.to_owned(),
        name: name.unwrap_or_default().to_owned(),
        problem,
    };
    let found = TEMPLATES
        .iter()
        .find_map(|at| Some((at, object.data.pointer(at).filter(|v| !v.is_null())?)));
    let Some((at, template)) = found else {
        // Argo's way to say that a Deployment's template is meant; the Deployment is looked at itself.
        let of = object.data.pointer("/spec/workloadRef/kind");
        if of.and_then(Value::as_str) == Some("Deployment") {
            return Ok(None);
        }
        return Err(unreadable(
            "has no Pod template at spec.template".to_owned(),
        ));
    };
    let pod = PodSpec::deserialize(template).map_err(|error| {
        let path = at.trim_start_matches('/').replace('/', ".");
        unreadable(format!("its {path} is no Pod's: {error}"))
    })?;
    let is = |at: &str, value: Value| object.data.pointer(at) == Some(&value);
    let note = if is("/spec/replicas", Value::from(0)) {
        Some(SCALED_TO_ZERO)
    } else if is("/spec/suspend", Value::from(true)) {
        Some(SUSPENDED)
    } else {
        None
    };
    let kind = Cow::Owned(kind.to_owned());
    let of_template = at.replace("/template/spec", "/template/metadata/labels");
    let of_template = object.data.pointer(&of_template);
    let of_template = of_template.and_then(|labels| serde_json::from_value(labels.clone()).ok());
    let labels = [&object.metadata.labels, &of_template];
    Ok(Holder::new(
        kind,
        name,
        noted(&object.metadata, note),
        &pod,
        &labels,
    ))
}
