//! How far a run is, from its Job and the Pods that bear the Job's name.
//!
//! Judged to the safe side: finished is what Kubernetes calls finished and no Pod contradicts; suspended,
//! what has no Pod and was never let run; pending, what certainly has no container that started. All else may
//! be running.

use dbop_api::marks::FINALIZER;
use dbop_credentials::said;
use dbop_model::{JobFacts, JobPhase};
use dbop_plan::Run;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use kube::ResourceExt as _;

use super::RELEASED_ANNOTATION;
use super::identity::{JobError, identity, spoilt};
use super::pod::{PodSeen, PodState};

/// A Job's facts. `pods` are those of its namespace that bear its name; others do no harm.
///
/// # Errors
/// [`JobError`]: it is not ours, or somebody has edited what it says of its run.
pub fn facts(job: &Job, pods: &[PodSeen]) -> Result<JobFacts, JobError> {
    let Run {
        job: name,
        from,
        to,
        digest,
    } = identity(job)?;
    let created_at = job.metadata.creation_timestamp.as_ref().ok_or_else(|| {
        let problem = "is missing; look at it with kubectl";
        spoilt(job, "its creationTimestamp".to_owned(), problem.to_owned())
    })?;
    let pods: Vec<&PodSeen> = pods
        .iter()
        .filter(|pod| *pod.job == *name.as_str())
        .collect();
    Ok(JobFacts {
        phase: phase(job, &pods, created_at.0),
        finalizer: job.finalizers().iter().any(|f| f == FINALIZER),
        created_at: created_at.0,
        name,
        from,
        to,
        digest,
    })
}

/// The Pod that made a run fail: the first that did by itself.
pub fn failed_pod<'a>(job: &Job, pods: &'a [PodSeen]) -> Option<&'a PodSeen> {
    failed(&own(job, pods.iter()))
}

/// A failed run with what its Pod said last, as [`super::log_message`] gives it.
pub fn with_said(mut facts: JobFacts, line: &str) -> JobFacts {
    if let JobPhase::Finished {
        succeeded: false,
        message,
        ..
    } = &mut facts.phase
    {
        *message = match message.is_empty() {
            true => line.to_owned(),
            false => format!("{message}; it last said: {line}"),
        };
    }
    facts
}

fn phase(job: &Job, pods: &[&PodSeen], created_at: Timestamp) -> JobPhase {
    let own = own(job, pods.iter().copied());
    // One of an earlier Job of this name, too: it is of the same run.
    let live = pods.iter().any(|pod| pod.is_live());
    let deleted_at = job.metadata.deletion_timestamp.as_ref().map(|at| at.0);
    let last_end = own.iter().filter_map(|pod| finished_at(pod)).max();
    let counted = job.status.as_ref().is_some_and(has_had_pods);
    if let Some(condition) = condition(job, "Complete").filter(|_| !live) {
        return succeeded(ended_at(job, condition).or(last_end).unwrap_or(created_at));
    }
    if let Some(condition) = condition(job, "Failed").filter(|_| !live) {
        let failed = failed(&own);
        return JobPhase::Finished {
            succeeded: false,
            exit_code: failed.and_then(exit_code),
            finished_at: ended_at(job, condition).or(last_end).unwrap_or(created_at),
            message: message(job, condition, failed),
        };
    }
    if let Some(deleted_at) = deleted_at
        && !live
        && !is_active(job)
    {
        if has_succeeded(job, &own) {
            return succeeded(last_end.unwrap_or(deleted_at));
        }
        let failed = failed(&own);
        let ran = counted || !own.is_empty() || was_released(job);
        let message = match ran {
            true => "the Job was deleted by hand",
            false => "the Job was deleted by hand before it ran",
        };
        return JobPhase::Finished {
            succeeded: false,
            exit_code: failed.and_then(exit_code),
            finished_at: last_end.unwrap_or(deleted_at),
            message: message.to_owned(),
        };
    }
    let waits = |pod: &&PodSeen| matches!(pod.state, PodState::Waiting { .. }) && !pod.deleting;
    let of_another = |pod: &&PodSeen| pod.is_live() && !is_own(job, pod);
    // The status may be newer than what is seen of the Pods, and the other way round.
    let unseen = own.is_empty() && is_active(job);
    if counted || unseen || !own.iter().all(waits) || pods.iter().any(of_another) {
        return JobPhase::Running;
    }
    if is_suspended(job) {
        // Suspended by somebody while it ran, its Pods are gone now, and nobody says whether they ran.
        return match own.is_empty() && !was_released(job) {
            true => JobPhase::Suspended,
            false => JobPhase::Running,
        };
    }
    let reason = own.iter().find_map(|pod| match &pod.state {
        PodState::Waiting { reason } => Some(reason.to_string()),
        _ => None,
    });
    JobPhase::Pending {
        reason: Some(reason.unwrap_or_else(|| "it has no Pod yet".to_owned())),
    }
}

/// The Pods of this very Job, in the order of their names.
fn own<'a>(job: &Job, pods: impl Iterator<Item = &'a PodSeen>) -> Vec<&'a PodSeen> {
    let mut own: Vec<&PodSeen> = pods.filter(|pod| is_own(job, pod)).collect();
    own.sort_by(|a, b| a.name.cmp(&b.name));
    own
}

fn is_own(job: &Job, pod: &PodSeen) -> bool {
    let (name, uid) = (&job.metadata.name, &job.metadata.uid);
    name.as_deref() == Some(&*pod.job)
        && (pod.job_uid.is_none() || pod.job_uid.as_deref() == uid.as_deref())
}

fn condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|c| c.type_ == kind && c.status == "True")
}

fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true)
}

fn was_released(job: &Job) -> bool {
    !is_suspended(job) || job.annotations().contains_key(RELEASED_ANNOTATION)
}

fn is_active(job: &Job) -> bool {
    let status = job.status.as_ref();
    status.and_then(|status| status.active).unwrap_or(0) > 0
}

/// Does the status count a Pod? Its Pods may be seen later than it, and be gone before it is.
fn has_had_pods(status: &JobStatus) -> bool {
    let uncounted = status.uncounted_terminated_pods.as_ref();
    let lists = uncounted.map(|u| [&u.failed, &u.succeeded]);
    let counts = [status.failed, status.succeeded, status.terminating];
    counts.into_iter().flatten().any(|count| count > 0)
        || lists
            .into_iter()
            .flatten()
            .flatten()
            .any(|list| !list.is_empty())
}

/// Did all that there was to do succeed, though the Job does not say so (yet)?
fn has_succeeded(job: &Job, own: &[&PodSeen]) -> bool {
    let completions = job.spec.as_ref().and_then(|spec| spec.completions);
    let wanted = usize::try_from(completions.unwrap_or(1)).unwrap_or(usize::MAX);
    let mut done: Vec<(Option<u32>, &str)> = own
        .iter()
        .filter(|pod| {
            matches!(
                pod.state,
                PodState::Ended {
                    succeeded: true,
                    ..
                }
            )
        })
        .map(|pod| match pod.index {
            Some(index) => (Some(index), ""),
            None => (None, &*pod.name),
        })
        .collect();
    done.sort_unstable();
    done.dedup();
    done.len() >= wanted
}

fn succeeded(finished_at: Timestamp) -> JobPhase {
    JobPhase::Finished {
        succeeded: true,
        exit_code: Some(0),
        finished_at,
        message: String::new(),
    }
}

fn ended_at(job: &Job, condition: &JobCondition) -> Option<Timestamp> {
    let completed = job.status.as_ref()?.completion_time.as_ref();
    completed
        .or(condition.last_transition_time.as_ref())
        .map(|at| at.0)
}

fn finished_at(pod: &PodSeen) -> Option<Timestamp> {
    match pod.state {
        PodState::Ended { finished_at, .. } => finished_at,
        _ => None,
    }
}

fn exit_code(pod: &PodSeen) -> Option<i32> {
    match pod.state {
        PodState::Ended { exit_code, .. } => exit_code,
        _ => None,
    }
}

/// The first that failed by itself, else the first that was made to end.
fn failed<'a>(own: &[&'a PodSeen]) -> Option<&'a PodSeen> {
    let at = |pod: &PodSeen| finished_at(pod).unwrap_or(Timestamp::MAX);
    own.iter()
        .copied()
        .filter(|pod| {
            matches!(
                pod.state,
                PodState::Ended {
                    succeeded: false,
                    ..
                }
            )
        })
        .min_by_key(|pod| (pod.deleting, at(pod)))
}

fn message(job: &Job, condition: &JobCondition, failed: Option<&PodSeen>) -> String {
    let of_job = match condition.reason.as_deref() {
        // Its Pod knows more.
        Some("BackoffLimitExceeded") if failed.is_some() => None,
        Some("BackoffLimitExceeded") => Some("its Pod failed, and is gone".to_owned()),
        Some("DeadlineExceeded") => {
            let limit = job.spec.as_ref().and_then(|s| s.active_deadline_seconds);
            Some(format!(
                "it took longer than activeDeadlineSeconds ({}) allows",
                limit.unwrap_or_default()
            ))
        }
        reason => Some(format!(
            "{}: {}",
            reason.unwrap_or("Failed"),
            condition.message.as_deref().unwrap_or_default()
        )),
    };
    let part = failed.and_then(|pod| pod.index).map(|index| {
        let parts = job.spec.as_ref().and_then(|spec| spec.completions);
        format!(
            "part {index} of {} (from 0) failed",
            parts.unwrap_or_default()
        )
    });
    let of_pod = failed.and_then(|pod| match &pod.state {
        PodState::Ended { why: Some(why), .. } => Some(why.to_string()),
        _ if pod.deleting && of_job.is_none() => Some("its Pod was deleted".to_owned()),
        _ => None,
    });
    let clauses: Vec<String> = [of_job, part, of_pod].into_iter().flatten().collect();
    said::one_line(&clauses.join("; "))
}
