//! Where a database stands, for people: from its status, as `local` and the operator publish it.

use dbop_api::ManagedDatabaseStatus;
use dbop_api::status::{CredentialState, CredentialStatus, LastRun, RunOutcome, RunningMigration};
use dbop_model::ObjectRef;
use jiff::Timestamp;

use super::text::{COLUMNS, labelled, span, width, wrap, wrap_lines};

/// Columns before a part.
const INDENT: usize = 2;
/// Columns of a part's label.
const LABEL: usize = 13;
/// Of a long way, so many migrations are named.
const PATH_NAMED_MAX: usize = 6;

/// How urgently a person should look: the order in which databases are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// It needs somebody.
    Stalled,
    /// It is at work, or waits.
    Reconciling,
    /// Nothing was seen of it yet.
    Unseen,
    /// At rest.
    Ready,
}

/// How urgent a status is.
pub(crate) fn urgency(status: Option<&ManagedDatabaseStatus>) -> Urgency {
    match status {
        None => Urgency::Unseen,
        Some(status) if is_true(status, "Stalled") => Urgency::Stalled,
        Some(status) if is_true(status, "Ready") => Urgency::Ready,
        Some(_) => Urgency::Reconciling,
    }
}

/// Is this condition `True`?
pub(crate) fn is_true(status: &ManagedDatabaseStatus, condition: &str) -> bool {
    condition_status(status, condition) == Some("True")
}

/// A condition's status.
pub(crate) fn condition_status<'a>(
    status: &'a ManagedDatabaseStatus,
    name: &str,
) -> Option<&'a str> {
    let found = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == name);
    found.map(|condition| condition.status.as_str())
}

/// The lines of one database.
pub(crate) fn lines(
    id: &ObjectRef,
    wanted: Option<&str>,
    status: Option<&ManagedDatabaseStatus>,
    now: Timestamp,
) -> Vec<String> {
    let Some(status) = status else {
        let desired = wanted
            .map(|name| format!(", desired {name}"))
            .unwrap_or_default();
        return vec![
            format!("{id}{desired}"),
            format!(
                "{:INDENT$}nothing has been seen of it yet; the operator or `local` looks; see: plan",
                ""
            ),
        ];
    };
    let mut lines = wrap("", "  ", &headline(id, wanted, status), COLUMNS);
    if let Some(text) = what_goes_on(status) {
        lines.extend(wrap_lines("  ", "    ", &text, COLUMNS));
    }
    let mut part = |label: &str, text: &str| lines.extend(labelled(INDENT, label, LABEL, text));
    if let Some(running) = &status.migration {
        part("running", &running_text(running, now));
    }
    if !status.path.is_empty() {
        part("still to run", &path_text(&status.path));
    }
    let names = status.credentials.iter().map(|one| width(&one.migration));
    let names = names.max().unwrap_or_default();
    for (nth, credential) in status.credentials.iter().enumerate() {
        let mut texts = credential_texts(credential, names).into_iter();
        part(
            if nth == 0 { "credentials" } else { "" },
            &texts.next().unwrap_or_default(),
        );
        texts.for_each(|text| part("", &text));
    }
    for (nth, login) in status.unmanaged_logins.iter().enumerate() {
        let whose = if login.admin {
            ", the operator's own"
        } else {
            ""
        };
        part(
            if nth == 0 { "not managed" } else { "" },
            &format!("login {}{whose}", login.username),
        );
        for user in &login.used_by {
            part("", &format!("  used by {user}"));
        }
    }
    for (nth, finding) in status.findings.iter().enumerate() {
        let accepted = finding
            .accepted
            .as_ref()
            .map(|why| format!(", accepted: {why}"));
        let text = format!(
            "{} {}: {}{}",
            finding.migration,
            finding.verdict,
            finding.evidence,
            accepted.unwrap_or_default()
        );
        part(if nth == 0 { "findings" } else { "" }, &text);
        for advice in finding
            .advice
            .iter()
            .take(1)
            .filter(|_| finding.accepted.is_none())
        {
            part("", &format!("do: {advice}"));
        }
    }
    let condition = |name: &str| {
        let mut all = status.conditions.iter();
        all.find(|condition| condition.type_ == name && condition.status == "False")
    };
    if let Some(healthy) = condition("Healthy") {
        part("not well", &healthy.message);
    }
    if let Some(sampled) = condition("MetricsSampled") {
        part("not sampled", &sampled.message);
    }
    if let Some(run) = &status.last_run {
        part("last run", &last_run_text(run));
    }
    lines
}

fn headline(id: &ObjectRef, wanted: Option<&str>, status: &ManagedDatabaseStatus) -> String {
    let engine = status
        .engine
        .as_deref()
        .map(|engine| format!(" ({engine})"))
        .unwrap_or_default();
    let at = match &status.current_version {
        Some(current) => format!("at {current}"),
        None if is_true(status, "DatabaseReachable") => "empty".to_owned(),
        None => "version not known".to_owned(),
    };
    let desired = wanted.or(status.desired_version.as_deref());
    let desired = match desired {
        Some(desired) if status.current_version.as_deref() != Some(desired) => {
            format!(", desired {desired}")
        }
        _ => String::new(),
    };
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready");
    let rest = match ready.filter(|ready| ready.status == "True") {
        _ if is_outdated(wanted, status) => ", not looked at since the manifest changed",
        Some(ready) if ready.reason == "AheadAndCompatible" => ", at rest: newer and compatible",
        Some(_) => ", at rest",
        None => "",
    };
    format!("{id}{engine}: {at}{desired}{rest}")
}

/// Does the manifest desire another version than the one that the status is about?
fn is_outdated(wanted: Option<&str>, status: &ManagedDatabaseStatus) -> bool {
    matches!((wanted, status.desired_version.as_deref()), (Some(wanted), Some(seen)) if wanted != seen)
}

/// The reason of a wait or a block, whole: the summary is cut for tables.
fn what_goes_on(status: &ManagedDatabaseStatus) -> Option<String> {
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready");
    match ready {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(ready.message.clone()),
        None => status.summary.clone(),
    }
}

fn running_text(running: &RunningMigration, now: Timestamp) -> String {
    let progress = running
        .progress
        .map(|percent| format!(", {percent} %"))
        .unwrap_or_default();
    format!(
        "{}{progress}, since {} (Job {})",
        running.name,
        ago(running.started_at, now),
        running.job
    )
}

fn path_text(path: &[String]) -> String {
    match path {
        [first @ .., last] if path.len() > PATH_NAMED_MAX => format!(
            "{} ... {last} ({} migrations)",
            first[..PATH_NAMED_MAX - 1].join(", "),
            path.len()
        ),
        few => few.join(", "),
    }
}

/// The credential in as few lines as it fits in, and a line for each of its users.
fn credential_texts(credential: &CredentialStatus, names: usize) -> Vec<String> {
    let state = match (credential.state, credential.in_use) {
        (CredentialState::Ready, Some(true)) => "in use",
        (CredentialState::Ready, Some(false)) => "unused",
        (CredentialState::Ready, None) => "use not known",
        (CredentialState::Defective, _) => "not in order",
        (CredentialState::Retiring, _) => "retiring",
        (CredentialState::Unknown, _) => "not known",
    };
    let state = format!("{:<names$}   {state}", credential.migration);
    let secret = format!("Secret {}", credential.secret_name);
    let login = credential
        .username
        .as_ref()
        .map(|name| format!("login {name}"));
    let parts: Vec<String> = std::iter::once(secret).chain(login).collect();
    let fits = |line: &str| INDENT + LABEL + width(line) <= COLUMNS;
    let (in_one, in_two) = (
        format!("{state}   {}", parts.join(", ")),
        format!("  {}", parts.join(", ")),
    );
    let mut texts = if fits(&in_one) {
        vec![in_one]
    } else if fits(&in_two) {
        vec![state, in_two]
    } else {
        let parts = parts.into_iter().map(|part| format!("  {part}"));
        std::iter::once(state).chain(parts).collect()
    };
    texts.extend(
        credential
            .used_by
            .iter()
            .map(|user| format!("  used by {user}")),
    );
    if let Some(replaced) = &credential.replaced {
        let used = match replaced.in_use {
            Some(true) => "still in use",
            Some(false) => "unused",
            None => "use not known",
        };
        texts.push(format!("  replaces login {}, {used}", replaced.username));
        let by = replaced.used_by.iter();
        texts.extend(by.map(|user| format!("    used by {user}")));
    }
    texts
}

fn last_run_text(run: &LastRun) -> String {
    let outcome = match run.outcome {
        RunOutcome::Completed => "completed",
        RunOutcome::Failed => "failed",
        RunOutcome::VersionNotReached => "succeeded, but the database does not show its version",
        RunOutcome::Accepted => "did not complete, accepted by a person",
    };
    let code = match (run.outcome, run.exit_code) {
        (RunOutcome::Failed, Some(code)) => format!(" with exit status {code}"),
        _ => String::new(),
    };
    let took = run
        .finished_at
        .duration_since(run.started_at)
        .unsigned_abs();
    let said = if run.message.is_empty() {
        String::new()
    } else {
        format!(": {}", run.message)
    };
    format!(
        "{} {outcome}{code}; it ran {}, until {} (Job {}){said}",
        run.migration,
        span(took),
        run.finished_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        run.job
    )
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    span(now.duration_since(at).unsigned_abs())
}

#[cfg(test)]
mod tests;
