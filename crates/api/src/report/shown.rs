//! The last look at a status before it is written: whatever a server, a client or a migration said is harmless in it.
//!
//! Every field is named, so that a new one cannot be forgotten. The longer texts are cut where they are made.

use dbop_model::visible;

use super::shortened;
use crate::status::{
    Binding, CredentialStatus, FindingStatus, LastRun, ManagedDatabaseStatus, ReplacedLogin,
    RunningMigration, UnmanagedLoginStatus,
};

/// A name, or who uses something: longer than any of Kubernetes' and of a server's own making.
const ITEM_CHARS_MAX: usize = 512;

pub(super) fn harmless(status: ManagedDatabaseStatus) -> ManagedDatabaseStatus {
    let ManagedDatabaseStatus {
        observed_generation,
        mut conditions,
        summary,
        engine,
        current_version,
        desired_version,
        supported_versions,
        path,
        migration,
        last_run,
        credentials,
        unmanaged_logins,
        findings,
        binding,
    } = status;
    for condition in &mut conditions {
        // What is wrong with a spec are lines of ours.
        condition.message = visible::lines(&condition.message).into_owned();
    }
    ManagedDatabaseStatus {
        observed_generation,
        conditions,
        summary: summary.map(whole),
        engine: engine.map(item),
        current_version: current_version.map(item),
        desired_version: desired_version.map(item),
        supported_versions: items(supported_versions),
        path: items(path),
        migration: migration.map(running),
        last_run: last_run.map(run),
        credentials: credentials.into_iter().map(credential).collect(),
        unmanaged_logins: unmanaged_logins.into_iter().map(unmanaged).collect(),
        findings: findings.into_iter().map(finding).collect(),
        binding: binding.map(|Binding { name }| Binding { name: item(name) }),
    }
}

fn running(migration: RunningMigration) -> RunningMigration {
    let RunningMigration {
        name,
        job,
        started_at,
        progress,
    } = migration;
    RunningMigration {
        name: item(name),
        job: item(job),
        started_at,
        progress,
    }
}

fn run(run: LastRun) -> LastRun {
    let LastRun {
        migration,
        from,
        job,
        digest,
        outcome,
        started_at,
        finished_at,
        exit_code,
        message,
    } = run;
    LastRun {
        migration: item(migration),
        from: from.map(item),
        job: item(job),
        digest: item(digest),
        outcome,
        started_at,
        finished_at,
        exit_code,
        message: whole(message),
    }
}

fn credential(credential: CredentialStatus) -> CredentialStatus {
    let CredentialStatus {
        migration,
        username,
        secret_name,
        issued_at,
        state,
        in_use,
        used_by,
        replaced,
    } = credential;
    CredentialStatus {
        migration: item(migration),
        username: username.map(item),
        secret_name: item(secret_name),
        issued_at,
        state,
        in_use,
        used_by: items(used_by),
        replaced: replaced.map(|replaced| {
            let ReplacedLogin {
                username,
                in_use,
                used_by,
            } = replaced;
            ReplacedLogin {
                username: item(username),
                in_use,
                used_by: items(used_by),
            }
        }),
    }
}

fn unmanaged(login: UnmanagedLoginStatus) -> UnmanagedLoginStatus {
    let UnmanagedLoginStatus {
        username,
        admin,
        used_by,
    } = login;
    UnmanagedLoginStatus {
        username: item(username),
        admin,
        used_by: items(used_by),
    }
}

fn finding(finding: FindingStatus) -> FindingStatus {
    let FindingStatus {
        migration,
        rule,
        verdict,
        table,
        evidence,
        advice,
        accepted,
    } = finding;
    FindingStatus {
        migration: item(migration),
        rule: item(rule),
        verdict: item(verdict),
        table: item(table),
        evidence: whole(evidence),
        advice: advice.into_iter().map(whole).collect(),
        accepted: accepted.map(whole),
    }
}

fn items(texts: Vec<String>) -> Vec<String> {
    texts.into_iter().map(item).collect()
}

fn item(text: String) -> String {
    let shown = visible::line(&text);
    // What was cut before is not cut again: a status that is read and written anew is the same.
    match shown.chars().count() > ITEM_CHARS_MAX + 3 {
        true => shortened(shown, ITEM_CHARS_MAX),
        false => shown.into_owned(),
    }
}

fn whole(text: String) -> String {
    visible::line(&text).into_owned()
}
