//! How far a run is, in what a cluster shows of it.

use dbop_model::{JobFacts, JobPhase};

use super::*;

const CREATED: &str = "2026-01-01T00:00:00Z";
const ENDED: &str = "2026-01-01T00:01:00Z";
const CONCLUDED: &str = "2026-01-01T00:01:01Z";
const DELETED: &str = "2026-01-01T00:00:30Z";

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// A Job with these fields over those that every Job of ours has.
fn job(spec: Value, status: Value) -> Value {
    let identity = json!({"database-operator.dev/to": "v2", "database-operator.dev/digest": "d1"});
    let mut job = json!({
        "metadata": {
            "name": "j", "namespace": "shop", "uid": "u1", "creationTimestamp": CREATED,
            "labels": {
                "app.kubernetes.io/managed-by": "database-operator",
                "database-operator.dev/database": "shop",
            },
            "annotations": identity, "finalizers": ["database-operator.dev/finalizer"],
        },
        "spec": {"suspend": false, "completions": 1,
            "template": {"metadata": {"annotations": identity}, "spec": {}}},
        "status": status,
    });
    let spec = spec.as_object().unwrap().clone();
    job["spec"].as_object_mut().unwrap().extend(spec);
    job
}

fn suspended() -> Value {
    job(json!({"suspend": true}), json!({}))
}

fn released() -> Value {
    job(json!({}), json!({"active": 1}))
}

fn concluded(kind: &str, reason: &str) -> Value {
    let condition = json!({"type": kind, "status": "True", "reason": reason, "message": "m",
        "lastTransitionTime": CONCLUDED});
    job(json!({}), json!({"failed": 1, "conditions": [condition]}))
}

fn deleted(mut job: Value) -> Value {
    job["metadata"]["deletionTimestamp"] = json!(DELETED);
    job
}

/// A Pod of the Job.
fn pod(status: Value) -> Value {
    json!({
        "metadata": {"name": "j-x", "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u1", "controller": true}]},
        "spec": {"containers": [{"name": "migrate"}]},
        "status": status,
    })
}

fn waits(reason: &str, message: &str) -> Value {
    pod(json!({"phase": "Pending", "containerStatuses": [
        {"name": "migrate", "state": {"waiting": {"reason": reason, "message": message}}}]}))
}

fn runs() -> Value {
    pod(json!({"phase": "Running", "containerStatuses": [
        {"name": "migrate", "state": {"running": {"startedAt": CREATED}}}]}))
}

fn ended(phase: &str, exit_code: i32, more: Value) -> Value {
    let mut terminated = json!({"exitCode": exit_code, "finishedAt": ENDED, "reason": "Error"});
    let more = more.as_object().unwrap().clone();
    terminated.as_object_mut().unwrap().extend(more);
    pod(json!({"phase": phase, "containerStatuses": [
        {"name": "migrate", "state": {"terminated": terminated}}]}))
}

fn failed() -> Value {
    ended("Failed", 3, json!({}))
}

fn seen(pods: &[Value]) -> Vec<PodSeen> {
    pods.iter()
        .map(|pod| PodSeen::from_pod(&parse::<Pod>(pod.clone())).unwrap())
        .collect()
}

fn facts_of(job: Value, pods: &[Value]) -> JobFacts {
    facts(&parse(job), &seen(pods)).unwrap()
}

#[track_caller]
fn check(job: Value, pods: &[Value], expect: JobPhase) {
    assert_eq!(facts_of(job, pods).phase, expect);
}

#[track_caller]
fn pending(job: Value, pods: &[Value], reason: &str) {
    let reason = Some(reason.to_owned());
    check(job, pods, JobPhase::Pending { reason });
}

fn finished(exit_code: Option<i32>, finished_at: &str, message: &str) -> JobPhase {
    JobPhase::Finished {
        succeeded: exit_code == Some(0),
        exit_code,
        finished_at: at(finished_at),
        message: message.to_owned(),
    }
}

#[test]
fn a_job_says_which_run_it_is_of() {
    let facts = facts_of(suspended(), &[]);
    assert_eq!((facts.name.as_str(), facts.to.as_str()), ("j", "v2"));
    assert_eq!((facts.from, facts.created_at), (None, at(CREATED)));
    assert!(facts.finalizer);
    let mut let_go = suspended();
    let_go["metadata"]["finalizers"] = json!([]);
    assert!(!facts_of(let_go, &[]).finalizer);
}

#[test]
fn suspended_is_what_has_no_pod_and_was_never_let_run() {
    check(suspended(), &[], JobPhase::Suspended);
    // Suspended by hand while it ran: its Pods end some time later, or were never seen.
    check(suspended(), &[runs()], JobPhase::Running);
    check(suspended(), &[failed()], JobPhase::Running);
    check(
        suspended(),
        &[waits("ContainerCreating", "")],
        JobPhase::Running,
    );
    let suspend = json!({"suspend": true});
    for status in [
        json!({"active": 1}),
        json!({"terminating": 1}),
        json!({"uncountedTerminatedPods": {"failed": ["u"]}}),
    ] {
        check(job(suspend.clone(), status), &[], JobPhase::Running);
    }
    // Its Pods are gone, and it does not tell that it had some.
    let mut by_hand = suspended();
    by_hand["metadata"]["annotations"][RELEASED_ANNOTATION] = json!(CREATED);
    check(by_hand, &[], JobPhase::Running);
    // A Pod that an earlier Job of this name has left behind is of the same run.
    let mut left = runs();
    left["metadata"]["ownerReferences"][0]["uid"] = json!("u0");
    check(suspended(), &[left], JobPhase::Running);
    let mut left = failed();
    left["metadata"]["ownerReferences"][0]["uid"] = json!("u0");
    check(suspended(), &[left], JobPhase::Suspended);
    // Other Jobs' Pods are no news.
    let mut other = runs();
    other["metadata"]["ownerReferences"][0]["name"] = json!("other");
    check(suspended(), &[other], JobPhase::Suspended);
}

#[test]
fn pending_is_what_has_no_container_that_ever_started() {
    pending(job(json!({}), json!({})), &[], "it has no Pod yet");
    pending(
        released(),
        &[pod(json!({}))],
        "its Pod is not scheduled yet",
    );
    pending(
        released(),
        &[pod(
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/3 nodes are available"}]}),
        )],
        "Unschedulable: 0/3 nodes are available",
    );
    pending(
        released(),
        &[waits("ContainerCreating", "")],
        "its container is being created",
    );
    pending(
        released(),
        &[waits(
            "CreateContainerConfigError",
            "secret \"x\" not found",
        )],
        "CreateContainerConfigError: secret \"x\" not found",
    );
    pending(
        released(),
        &[waits(
            "RunContainerError",
            "exec: \"psql postgresql://m:secret@db\"",
        )],
        "RunContainerError",
    );
    // While it tries, and in between: the same words, so that the status is not written each time.
    for (reason, message) in [
        ("ErrImagePull", "m:2: not found"),
        (
            "ImagePullBackOff",
            "Back-off pulling image \"m:2\": ErrImagePull: m:2: not found",
        ),
    ] {
        pending(
            released(),
            &[waits(reason, message)],
            "ImagePullBackOff: m:2: not found",
        );
    }
    // What may have started has.
    for status in [
        json!({"phase": "Running"}),
        json!({"phase": "Unknown"}),
        json!({"phase": "Pending", "initContainerStatuses": [
            {"name": "mesh", "state": {"running": {}}}]}),
        json!({"phase": "Pending", "containerStatuses": [{"name": "migrate", "restartCount": 1,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}),
        json!({"phase": "Pending", "containerStatuses": [
            {"name": "migrate", "state": {"terminated": {"exitCode": 1}}}]}),
    ] {
        check(released(), &[pod(status)], JobPhase::Running);
    }
    let mut going = waits("ImagePullBackOff", "");
    going["metadata"]["deletionTimestamp"] = json!(DELETED);
    check(released(), &[going], JobPhase::Running);
    // The status counts a Pod that is not seen.
    check(released(), &[], JobPhase::Running);
    check(job(json!({}), json!({"failed": 1})), &[], JobPhase::Running);
}

#[test]
fn running_is_all_that_has_not_ended() {
    check(released(), &[runs()], JobPhase::Running);
    // Until Kubernetes has concluded.
    check(released(), &[failed()], JobPhase::Running);
    let interim = concluded("FailureTarget", "BackoffLimitExceeded");
    check(interim, &[failed()], JobPhase::Running);
    // Whatever it has concluded.
    for kind in ["Complete", "Failed"] {
        check(concluded(kind, "x"), &[runs()], JobPhase::Running);
    }
    // Deleted by hand; its Pod runs on, with its Job or without.
    check(deleted(released()), &[runs()], JobPhase::Running);
    let mut orphan = runs();
    orphan["metadata"]["ownerReferences"] = json!([]);
    orphan["metadata"]["labels"] = json!({"batch.kubernetes.io/job-name": "j",
        "batch.kubernetes.io/controller-uid": "u1"});
    check(
        deleted(job(json!({}), json!({}))),
        &[orphan],
        JobPhase::Running,
    );
    check(deleted(released()), &[], JobPhase::Running);
}

#[test]
fn a_run_that_ended_says_how() {
    let success = ended("Succeeded", 0, json!({"reason": "Completed"}));
    let complete = || concluded("Complete", "CompletionsReached");
    check(complete(), &[success], finished(Some(0), CONCLUDED, ""));
    check(complete(), &[], finished(Some(0), CONCLUDED, ""));

    let exceeded = || concluded("Failed", "BackoffLimitExceeded");
    let failure = |code, message| finished(code, CONCLUDED, message);
    check(exceeded(), &[failed()], failure(Some(3), ""));
    check(
        exceeded(),
        &[],
        failure(None, "its Pod failed, and is gone"),
    );
    check(
        exceeded(),
        &[ended("Failed", 137, json!({"reason": "OOMKilled"}))],
        failure(Some(137), "container migrate: OOMKilled"),
    );
    check(
        exceeded(),
        &[ended("Failed", 139, json!({"signal": 11}))],
        failure(Some(139), "container migrate: ended by signal 11"),
    );
    check(
        exceeded(),
        &[ended(
            "Failed",
            137,
            json!({"reason": "ContainerStatusUnknown"}),
        )],
        failure(None, "container migrate: ContainerStatusUnknown"),
    );
    let mut evicted = failed();
    evicted["status"]["reason"] = json!("Evicted");
    evicted["status"]["message"] = json!("The node was low on\nresource: memory");
    check(
        exceeded(),
        &[evicted],
        failure(Some(3), "Evicted: The node was low on resource: memory"),
    );
    let mut preempted = failed();
    preempted["status"]["conditions"] = json!([{"type": "DisruptionTarget", "status": "True",
        "reason": "PreemptionByScheduler", "message": "x"}]);
    check(
        exceeded(),
        &[preempted],
        failure(Some(3), "PreemptionByScheduler: x"),
    );
    let mut by_hand = ended("Failed", 143, json!({}));
    by_hand["metadata"]["deletionTimestamp"] = json!(DELETED);
    check(
        exceeded(),
        &[by_hand.clone()],
        failure(Some(143), "its Pod was deleted"),
    );
    let mut late = concluded("Failed", "DeadlineExceeded");
    late["spec"]["activeDeadlineSeconds"] = json!(60);
    check(
        late,
        &[by_hand],
        failure(
            Some(143),
            "it took longer than activeDeadlineSeconds (60) allows",
        ),
    );
    check(
        concluded("Failed", "PodFailurePolicy"),
        &[failed()],
        failure(Some(3), "PodFailurePolicy: m"),
    );
}

#[test]
fn another_container_may_be_the_one_that_failed() {
    let of = |main: i32, mesh: i32| {
        let end = |code: i32| json!({"terminated": {"exitCode": code, "finishedAt": ENDED}});
        let mut pod = pod(json!({"phase": "Failed", "containerStatuses": [
            {"name": "mesh", "state": end(mesh)}, {"name": "migrate", "state": end(main)}]}));
        pod["metadata"]["annotations"] =
            json!({"kubectl.kubernetes.io/default-container": "migrate"});
        pod
    };
    let name = |pod: Value| main_container(&parse(pod)).map(str::to_owned);
    assert_eq!(name(of(0, 0)).as_deref(), Some("migrate"));
    let mesh_first =
        json!({"metadata": {}, "spec": {"containers": [{"name": "mesh"}, {"name": "a"}]}});
    assert_eq!(name(mesh_first).as_deref(), Some("mesh"));
    let exceeded = || concluded("Failed", "BackoffLimitExceeded");
    check(exceeded(), &[of(3, 1)], finished(Some(3), CONCLUDED, ""));
    let facts = facts_of(exceeded(), &[of(0, 1)]);
    assert!(matches!(
        facts.phase,
        JobPhase::Finished {
            succeeded: false,
            exit_code: Some(1),
            ..
        }
    ));
}

#[test]
fn of_parts_the_first_that_failed_is_named() {
    let part = |index: u32, deleting: bool, finished: &str| {
        let mut pod = failed();
        pod["metadata"]["name"] = json!(format!("j-{index}"));
        pod["metadata"]["annotations"] =
            json!({"batch.kubernetes.io/job-completion-index": index.to_string()});
        pod["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"] =
            json!(finished);
        pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = json!(index);
        if deleting {
            pod["metadata"]["deletionTimestamp"] = json!(DELETED);
        }
        pod
    };
    let mut job = concluded("Failed", "BackoffLimitExceeded");
    job["spec"]["completions"] = json!(9);
    // The others were made to end because of it, and may have ended before it is written that it did.
    let pods = [
        part(1, true, CREATED),
        part(4, false, ENDED),
        part(7, false, CONCLUDED),
    ];
    let failed = "part 4 of 9 (from 0) failed";
    check(job.clone(), &pods, finished(Some(4), CONCLUDED, failed));
    let seen = seen(&pods);
    let first = failed_pod(&parse(job), &seen).unwrap();
    assert_eq!(&*first.name, "j-4");
}

#[test]
fn a_job_that_was_deleted_by_hand_has_failed_once_nothing_of_it_runs() {
    let idle = || deleted(job(json!({}), json!({})));
    let by_hand = "the Job was deleted by hand";
    check(idle(), &[], finished(None, DELETED, by_hand));
    check(idle(), &[failed()], finished(Some(3), ENDED, by_hand));
    let never = "the Job was deleted by hand before it ran";
    check(deleted(suspended()), &[], finished(None, DELETED, never));
    // It came through all the same; Kubernetes has yet to say so, or does.
    let success = || ended("Succeeded", 0, json!({}));
    check(idle(), &[success()], finished(Some(0), ENDED, ""));
    let complete = deleted(concluded("Complete", "x"));
    check(complete, &[], finished(Some(0), CONCLUDED, ""));
    // One part of two is not all.
    let mut parts = idle();
    parts["spec"]["completions"] = json!(2);
    let part = |name: &str, index: &str| {
        let mut part = success();
        part["metadata"]["name"] = json!(name);
        part["metadata"]["annotations"] =
            json!({"batch.kubernetes.io/job-completion-index": index});
        part
    };
    let twice = [part("a", "0"), part("b", "0")];
    check(parts.clone(), &twice, finished(None, ENDED, by_hand));
    let both = [part("a", "0"), part("b", "1")];
    check(parts, &both, finished(Some(0), ENDED, ""));
}

#[test]
fn what_a_pod_said_is_added_to_how_a_run_failed() {
    let exceeded = || concluded("Failed", "BackoffLimitExceeded");
    let message = |facts: JobFacts| match facts.phase {
        JobPhase::Finished { message, .. } => message,
        other => panic!("{other:?}"),
    };
    let plain = with_said(facts_of(exceeded(), &[failed()]), "error: no");
    assert_eq!(message(plain), "error: no");
    let oom = ended(
        "Failed",
        137,
        json!({"reason": "OOMKilled", "message": "secret"}),
    );
    let pods = seen(std::slice::from_ref(&oom));
    let told = with_said(facts_of(exceeded(), &[oom]), "row 7");
    assert_eq!(
        message(told),
        "container migrate: OOMKilled; it last said: row 7"
    );
    assert_eq!(pods[0].said(), Some("secret"));
    assert_eq!(seen(&[runs()])[0].said(), None);
    let complete = facts_of(concluded("Complete", "x"), &[]);
    assert_eq!(message(with_said(complete, "bye")), "");
}

#[test]
fn a_pod_of_no_job_is_none() {
    let alone = json!({"metadata": {"name": "p"}, "spec": {"containers": []}});
    assert_eq!(PodSeen::from_pod(&parse(alone)), None);
}

#[test]
fn releasing_says_when() {
    assert_eq!(
        release_patch(at(CREATED)),
        json!({"metadata": {"annotations": {RELEASED_ANNOTATION: CREATED}}, "spec": {"suspend": false}})
    );
}
