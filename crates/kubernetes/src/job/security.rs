//! Rights of a migration's Pod where the user says nothing of them: such that Pod Security `restricted` lets
//! it in (Kubernetes documentation, "Pod Security Standards").
//!
//! What the user says counts, field by field; a default that would contradict it, so that the API server or
//! the kubelet refused the Pod, is left out.

use k8s_openapi::api::core::v1::{
    Capabilities, PodSecurityContext, SeccompProfile, SecurityContext,
};

const ROOT: i64 = 0;

/// The Pod's: what its user says, and defaults; `container` is what counts for its one container.
pub(super) fn of_pod(
    user: Option<&PodSecurityContext>,
    container: &SecurityContext,
) -> PodSecurityContext {
    let mut pod = user.cloned().unwrap_or_default();
    let user_id = container.run_as_user.or(pod.run_as_user);
    if pod.run_as_non_root.is_none() && user_id != Some(ROOT) {
        pod.run_as_non_root = Some(true);
    }
    pod.seccomp_profile.get_or_insert_with(|| SeccompProfile {
        type_: "RuntimeDefault".to_owned(),
        localhost_profile: None,
    });
    pod
}

/// The container's: what it says itself, else what holds for all, else defaults.
pub(super) fn of_container(
    own: Option<&SecurityContext>,
    all: Option<&SecurityContext>,
) -> SecurityContext {
    let mut merged = over(own, all);
    // To a privileged container neither means anything, and the API server refuses the first.
    if merged.privileged == Some(true) {
        return merged;
    }
    let capabilities = merged
        .capabilities
        .get_or_insert_with(Capabilities::default);
    if capabilities.drop.is_none() {
        capabilities.drop = Some(vec!["ALL".to_owned()]);
    }
    let adds_admin = capabilities
        .add
        .iter()
        .flatten()
        .any(|name| matches!(name.as_str(), "SYS_ADMIN" | "CAP_SYS_ADMIN"));
    if merged.allow_privilege_escalation.is_none() && !adds_admin {
        merged.allow_privilege_escalation = Some(false);
    }
    merged
}

fn over(own: Option<&SecurityContext>, all: Option<&SecurityContext>) -> SecurityContext {
    // Each field is named, so that a new one is not forgotten.
    let SecurityContext {
        allow_privilege_escalation,
        app_armor_profile,
        capabilities,
        privileged,
        proc_mount,
        read_only_root_filesystem,
        run_as_group,
        run_as_non_root,
        run_as_user,
        se_linux_options,
        seccomp_profile,
        windows_options,
    } = own.cloned().unwrap_or_default();
    let all = all.cloned().unwrap_or_default();
    SecurityContext {
        allow_privilege_escalation: allow_privilege_escalation.or(all.allow_privilege_escalation),
        app_armor_profile: app_armor_profile.or(all.app_armor_profile),
        capabilities: capabilities.or(all.capabilities),
        privileged: privileged.or(all.privileged),
        proc_mount: proc_mount.or(all.proc_mount),
        read_only_root_filesystem: read_only_root_filesystem.or(all.read_only_root_filesystem),
        run_as_group: run_as_group.or(all.run_as_group),
        run_as_non_root: run_as_non_root.or(all.run_as_non_root),
        run_as_user: run_as_user.or(all.run_as_user),
        se_linux_options: se_linux_options.or(all.se_linux_options),
        seccomp_profile: seccomp_profile.or(all.seccomp_profile),
        windows_options: windows_options.or(all.windows_options),
    }
}
