//! The last look at a status before it is written: whatever a server, a client or a migration said is harmless in it.
//!
//! Every field is named, so that a new one cannot be forgotten. All are bounded: what is to end otherwise than cut is cut
//! where it is made.

use std::borrow::Cow;

use dbop_model::visible;

use super::{MESSAGE_CHARS_MAX, shortened};
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
        condition.message = bounded(visible::lines(&condition.message), MESSAGE_CHARS_MAX);
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
    bounded(visible::line(&text), ITEM_CHARS_MAX)
}

fn whole(text: String) -> String {
    bounded(visible::line(&text), MESSAGE_CHARS_MAX)
}

/// What was cut before is not cut again: a status that is read and written anew is the same.
fn bounded(text: Cow<'_, str>, chars_max: usize) -> String {
    match text.chars().count() > chars_max + "...".len() {
        true => shortened(text, chars_max),
        false => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dbop_model::finding::{Evidence, Verdict};
    use dbop_model::health::{Check, Checked, Health, Problem, State};
    use dbop_model::visible::hostile;
    use dbop_model::{Fact, UnmanagedLogin, Why};
    use dbop_plan::{Decision, Hints, Reference, WaitingOn};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
    use serde_json::Value;

    use super::super::tests::{at, at_v2, credential, in_use, judgement, name, pass};
    use super::super::{Pass, events, managed_database_status, refused_status};
    use super::*;
    use crate::refusal::{Refusal, Refusals, Subject};
    use crate::status::{CredentialState, RunOutcome};

    /// Every text of it: as JSON shows them, escaped, nothing is harmful.
    fn texts(status: &ManagedDatabaseStatus) -> Vec<(String, String)> {
        fn walk(path: &str, value: &Value, into: &mut Vec<(String, String)>) {
            match value {
                Value::String(text) => into.push((path.to_owned(), text.clone())),
                Value::Array(all) => all.iter().for_each(|one| walk(path, one, into)),
                Value::Object(all) => {
                    for (name, one) in all {
                        walk(&format!("{path}.{name}"), one, into);
                    }
                }
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        let mut into = Vec::new();
        walk("", &serde_json::to_value(status).unwrap(), &mut into);
        into
    }

    #[track_caller]
    fn check(status: &ManagedDatabaseStatus, longest: usize) {
        for (path, text) in texts(status) {
            assert_eq!(hostile::harm(&text), "", "{path}: {text}");
            assert!(text.chars().count() <= longest, "{path}: {text}");
        }
    }

    /// A status whose every text somebody else wrote.
    fn full(text: &str) -> ManagedDatabaseStatus {
        let (text, time) = (|| text.to_owned(), at("00:00:00"));
        ManagedDatabaseStatus {
            observed_generation: Some(1),
            conditions: vec![Condition {
                type_: "Ready".to_owned(),
                status: "False".to_owned(),
                reason: "Paused".to_owned(),
                message: text().replace('\n', " "),
                observed_generation: None,
                last_transition_time: Time(time),
            }],
            summary: Some(text()),
            engine: Some(text()),
            current_version: Some(text()),
            desired_version: Some(text()),
            supported_versions: vec![text()],
            path: vec![text()],
            migration: Some(RunningMigration {
                name: text(),
                job: text(),
                started_at: time,
                progress: None,
            }),
            last_run: Some(LastRun {
                migration: text(),
                from: Some(text()),
                job: text(),
                digest: text(),
                outcome: RunOutcome::Failed,
                started_at: time,
                finished_at: time,
                exit_code: None,
                message: text(),
            }),
            credentials: vec![CredentialStatus {
                migration: text(),
                username: Some(text()),
                secret_name: text(),
                issued_at: None,
                state: CredentialState::Ready,
                in_use: None,
                used_by: vec![text()],
                replaced: Some(ReplacedLogin {
                    username: text(),
                    in_use: None,
                    used_by: vec![text()],
                }),
            }],
            unmanaged_logins: vec![UnmanagedLoginStatus {
                username: text(),
                admin: false,
                used_by: vec![text()],
            }],
            findings: vec![FindingStatus {
                migration: text(),
                rule: text(),
                verdict: text(),
                table: text(),
                evidence: text(),
                advice: vec![text()],
                accepted: Some(text()),
            }],
            binding: Some(Binding { name: text() }),
        }
    }

    #[test]
    fn every_text_of_a_status_is_harmless_whoever_wrote_it() {
        for text in hostile::texts() {
            let once = harmless(full(&text));
            check(&once, MESSAGE_CHARS_MAX + 3);
            // Nothing is written because it was looked at once more.
            assert_eq!(harmless(once.clone()), once);
        }
    }

    #[test]
    fn what_servers_clients_and_migrations_say_is_harmless_in_status_and_events() {
        for text in hostile::texts() {
            let (mut desired, mut facts) = at_v2();
            desired.database.hints.mode = dbop_model::finding::HintMode::Block;
            desired.database.metrics = Some(dbop_model::sample::MetricsSpec {
                interval: std::time::Duration::from_secs(60),
                sizes: Vec::new(),
                next_ids: Vec::new(),
                queries: Vec::new(),
            });
            credential(&mut facts, &desired, "v1", &[4711]);
            let Fact::Known(database) = &mut facts.database else {
                unreachable!("the example is reachable")
            };
            database.server.address.clone_from(&text);
            let mut addresses = std::collections::BTreeSet::new();
            addresses.insert(text.clone());
            database.unmanaged = Fact::Known(vec![UnmanagedLogin {
                name: text.clone(),
                addresses,
            }]);
            let login = database.logins.get_mut(&name("v1")).unwrap();
            let Fact::Known(sessions) = &mut login.sessions else {
                unreachable!("the example's sessions are seen")
            };
            sessions[0].application = Some(text.clone());
            sessions[0].address = Some(text.clone());
            let reference = Reference {
                kind: "Pod".to_owned(),
                name: "api".to_owned(),
                how: text.clone(),
                made_at: None,
            };
            facts.references = Fact::Known(BTreeMap::from([(name("v1"), vec![reference])]));
            let mut judged = judgement(Some(Verdict::WillFail));
            let finding = &mut judged.findings[0];
            finding.claim.clone_from(&text);
            finding.advice = vec![text.clone()];
            finding.table = "users\u{202e}\u{feff}x".parse().unwrap();
            finding.evidence = vec![Evidence {
                value: text.clone(),
                source: text.clone(),
                taken_at: at("00:00:00"),
            }];
            facts.hints = Some(Hints {
                migration: name("v3"),
                judged: Fact::Known(judged),
            });
            let health = Health {
                checks: vec![Checked {
                    check: Check::Bloat,
                    state: State::Degraded(vec![Problem {
                        table: None,
                        message: text.clone(),
                        advice: text.clone(),
                    }]),
                }],
                unseen: None,
            };
            let unsampled = [text.clone()];
            let unreachable = Decision::Wait {
                on: WaitingOn::Database {
                    why: Why::new(text.clone()),
                },
                wake_at: at("01:00:00"),
            };
            for decision in [in_use(&facts), unreachable] {
                for failure in [None, Some(text.as_str())] {
                    let pass = Pass {
                        failure,
                        health: &health,
                        unsampled: Some(&unsampled),
                        ..pass(&desired, &facts, &decision, "00:00:00")
                    };
                    let status = managed_database_status(&pass, None);
                    check(&status, MESSAGE_CHARS_MAX + 3);
                    let summary = status.summary.clone().unwrap();
                    assert!(summary.chars().count() <= 260, "{summary}");
                    for event in events(&pass, None, None, &status) {
                        assert_eq!(hostile::harm(&event.message), "", "{}", event.message);
                    }
                }
            }
        }
    }

    #[test]
    fn a_refused_object_makes_no_lines_of_its_own() {
        let refusal = |problem: String| Refusal {
            object: Subject {
                kind: "ManagedDatabase".to_owned(),
                namespace: "shop".to_owned(),
                name: "shop".to_owned(),
            },
            field: "spec.x".to_owned(),
            way_out: problem.clone(),
            problem,
        };
        for text in hostile::texts() {
            let two = vec![refusal(text.clone()), refusal("is wrong".to_owned())];
            let two = Refusals::unless_none((), two).unwrap_err();
            let mut status = refused_status(&two, None, at("00:00:00"), None);
            for condition in &mut status.conditions {
                let lines: Vec<&str> = condition.message.split('\n').collect();
                let cut = condition.message.ends_with("...");
                assert_eq!(lines.len(), if cut { 1 } else { 2 }, "{lines:?}");
                condition.message = condition.message.replace('\n', " ");
            }
            check(&status, MESSAGE_CHARS_MAX + 3);
        }
    }
}
