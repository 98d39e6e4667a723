//! A Pod of a Job, as far as it tells how the run goes: small enough to be kept of every one.
//!
//! Whether a container ever started is judged to the safe side: what is not certainly waiting may have
//! touched the database.

use dbop_credentials::said;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus};
use kube::ResourceExt as _;

use super::build::DEFAULT_CONTAINER;

/// Labels that Kubernetes puts on a Job's Pods, the older names last.
const JOB_NAME: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];
const JOB_UID: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
/// Which part of an Indexed Job it does.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// A Pod of a Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSeen {
    /// Its name.
    pub name: Box<str>,
    /// The name of its Job.
    pub job: Box<str>,
    /// The uid of its Job.
    pub job_uid: Option<Box<str>>,
    /// Which part of an Indexed Job it does.
    pub index: Option<u32>,
    /// Somebody has told it to end: a person, or its Job that has failed elsewhere.
    pub deleting: bool,
    /// How far it is.
    pub state: PodState,
}

/// How far a Pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodState {
    /// No container of it ever started.
    Waiting {
        /// What it waits for, for people.
        reason: Box<str>,
    },
    /// A process of it may be running.
    Running,
    /// Nothing of it runs any more, or ever will.
    Ended {
        /// All of its containers exited with 0.
        succeeded: bool,
        /// The exit status of the migration's container.
        exit_code: Option<i32>,
        /// When it ended, where that is known.
        finished_at: Option<Timestamp>,
        /// Why it failed, where that is more than an exit status.
        why: Option<Box<str>>,
        /// What the container left as its last words. It may hold secrets: [`super::log_message`] first.
        said: Option<Box<str>>,
    },
}

impl PodSeen {
    /// `None`: it is no Job's Pod.
    pub fn from_pod(pod: &Pod) -> Option<Self> {
        let owner = pod
            .owner_references()
            .iter()
            .find(|owner| owner.kind == "Job" && owner.controller == Some(true));
        // Its labels stay with it where somebody has deleted the Job and left its Pods behind.
        let label = |keys: [&str; 2]| keys.iter().find_map(|key| pod.labels().get(*key)).cloned();
        let job = owner.map(|o| o.name.clone()).or_else(|| label(JOB_NAME))?;
        let job_uid = owner.map(|o| o.uid.clone()).or_else(|| label(JOB_UID));
        Some(Self {
            name: pod.name_any().into(),
            job: job.into(),
            job_uid: job_uid.map(Into::into),
            index: pod.annotations().get(INDEX).and_then(|i| i.parse().ok()),
            deleting: pod.metadata.deletion_timestamp.is_some(),
            state: state(pod),
        })
    }

    /// What a failed one's container left as its last words, also where it never came to write a log: such as
    /// which program there is not. It may hold secrets: [`super::log_message`] first.
    pub fn said(&self) -> Option<&str> {
        match &self.state {
            PodState::Ended { said, .. } => said.as_deref(),
            _ => None,
        }
    }

    /// May a process of it be running, now or later?
    pub fn is_live(&self) -> bool {
        !matches!(self.state, PodState::Ended { .. })
    }
}

/// The name of the migration's own container: others may have added theirs, before it too.
pub fn main_container(pod: &Pod) -> Option<&str> {
    let named = pod.annotations().get(DEFAULT_CONTAINER);
    let first = || Some(&pod.spec.as_ref()?.containers.first()?.name);
    named.or_else(first).map(String::as_str)
}

fn state(pod: &Pod) -> PodState {
    let Some(status) = &pod.status else {
        return PodState::Waiting {
            reason: NOT_SCHEDULED.into(),
        };
    };
    match status.phase.as_deref() {
        Some("Succeeded") => ended(pod, status, true),
        Some("Failed") => ended(pod, status, false),
        Some("Pending") | None if !statuses(status).any(has_started) => PodState::Waiting {
            reason: waiting(status).into(),
        },
        _ => PodState::Running,
    }
}

/// The migration's container, and what others have added.
fn statuses(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    let lists = [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ];
    lists.into_iter().flatten().flatten()
}

fn has_started(container: &ContainerStatus) -> bool {
    let states = [&container.state, &container.last_state];
    container.restart_count > 0
        || container.started == Some(true)
        || states
            .into_iter()
            .flatten()
            .any(|state| state.running.is_some() || state.terminated.is_some())
}

const NOT_SCHEDULED: &str = "its Pod is not scheduled yet";
const BEING_CREATED: &str = "its container is being created";

/// What keeps a Pod from starting, in words that stay the same as long as it does.
fn waiting(status: &PodStatus) -> String {
    let conditions = status.conditions.iter().flatten();
    let unscheduled = conditions
        .clone()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unscheduled {
        return told(condition.reason.as_deref(), condition.message.as_deref())
            .unwrap_or_else(|| NOT_SCHEDULED.to_owned());
    }
    let waits = statuses(status).filter_map(|c| c.state.as_ref()?.waiting.as_ref());
    let stuck = waits
        .filter_map(|wait| Some((wait.reason.as_deref()?, wait.message.as_deref())))
        .find(|(reason, _)| !matches!(*reason, "ContainerCreating" | "PodInitializing"));
    match stuck {
        // The kubelet says the one while it tries and the other in between.
        Some(("ErrImagePull" | "ImagePullBackOff", message)) => {
            let message = message.unwrap_or_default();
            let cause = message
                .split_once("ErrImagePull: ")
                .map_or(message, |(_, cause)| cause);
            told(Some("ImagePullBackOff"), Some(cause)).unwrap_or_default()
        }
        // Their messages show the command, with what stands for `$(DBA_OP_PASSWORD)`.
        Some((reason @ ("RunContainerError" | "PostStartHookError"), _)) => reason.to_owned(),
        Some((reason, message)) => told(Some(reason), message).unwrap_or_default(),
        None => told(status.reason.as_deref(), status.message.as_deref()).unwrap_or_else(|| {
            let is_scheduled = conditions.clone().any(|c| c.type_ == "PodScheduled");
            let placed = is_scheduled || statuses(status).next().is_some();
            let words = if placed { BEING_CREATED } else { NOT_SCHEDULED };
            words.to_owned()
        }),
    }
}

fn ended(pod: &Pod, status: &PodStatus, succeeded: bool) -> PodState {
    let ends: Vec<(&str, &ContainerStateTerminated)> = statuses(status)
        .filter_map(|c| Some((c.name.as_str(), c.state.as_ref()?.terminated.as_ref()?)))
        .collect();
    let main = main_container(pod);
    let main = ends.iter().find(|(name, _)| main == Some(*name));
    // Another container may be the one that failed.
    let failed = main
        .filter(|(_, end)| succeeded || end.exit_code != 0)
        .or_else(|| ends.iter().find(|(_, end)| end.exit_code != 0))
        .or(main);
    let why = match succeeded {
        true => None,
        false => why(status, failed.copied()),
    };
    let end = failed.map(|(_, end)| *end);
    PodState::Ended {
        succeeded,
        exit_code: end
            // The kubelet's word for "I do not know", with a number that it made up.
            .filter(|end| end.reason.as_deref() != Some(STATUS_UNKNOWN))
            .map(|end| end.exit_code),
        finished_at: ends
            .iter()
            .filter_map(|(_, end)| Some(end.finished_at.as_ref()?.0))
            .max(),
        why: why.map(Into::into),
        said: end
            .and_then(|end| end.message.as_deref())
            .filter(|_| !succeeded)
            .map(Into::into),
    }
}

const STATUS_UNKNOWN: &str = "ContainerStatusUnknown";

/// Why it failed: what was done to the Pod, else to its container.
fn why(status: &PodStatus, container: Option<(&str, &ContainerStateTerminated)>) -> Option<String> {
    let conditions = status.conditions.iter().flatten();
    let disrupted = conditions
        .clone()
        .find(|c| c.type_ == "DisruptionTarget" && c.status == "True");
    if let Some(of_pod) = told(status.reason.as_deref(), status.message.as_deref()) {
        return Some(of_pod);
    }
    if let Some(condition) = disrupted {
        return told(condition.reason.as_deref(), condition.message.as_deref());
    }
    let (name, end) = container?;
    match (end.reason.as_deref(), end.signal) {
        // That is what the exit status says already.
        (None | Some("Error" | "Completed" | ""), None | Some(0)) => None,
        (None | Some("Error" | "Completed" | ""), Some(signal)) => {
            Some(format!("container {name}: ended by signal {signal}"))
        }
        // Its message is the container's own, and not looked through for secrets.
        (Some(reason), _) => Some(said::one_line(&format!("container {name}: {reason}"))),
    }
}

fn told(reason: Option<&str>, message: Option<&str>) -> Option<String> {
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    match (given(reason), given(message)) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => Some(said::one_line(&one)),
        (Some(reason), Some(message)) => Some(said::one_line(&format!("{reason}: {message}"))),
    }
}
