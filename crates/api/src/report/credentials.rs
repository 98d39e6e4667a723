//! The credentials that exist, and by whom they are used.

use std::collections::BTreeSet;

use dbop_credentials::names;
use dbop_model::{DatabaseFacts, Fact, LoginFacts, MigrationName, Proof};
use dbop_plan::{Decision, Reference, WaitingOn};

use super::Pass;
use crate::migration::LIST_ITEMS_MAX;
use crate::status::{CredentialState, CredentialStatus, ReplacedLogin};

/// How many users of a credential are named: enough to find them, however many there are.
const NAMED_MAX: usize = 10;

/// Every credential that exists in any part. While the database or the Secrets cannot be seen: as
/// last seen.
pub(super) fn of(pass: &Pass<'_>, old: &[CredentialStatus]) -> Vec<CredentialStatus> {
    let (Fact::Known(database), Fact::Known(secrets)) = (&pass.facts.database, &pass.facts.secrets)
    else {
        return old.to_vec();
    };
    let logins = database.all_logins().map(|(migration, _)| migration);
    let all: BTreeSet<&MigrationName> = logins.chain(secrets.keys()).collect();
    all.into_iter()
        .take(LIST_ITEMS_MAX as usize)
        .map(|migration| {
            let login = database.logins.get(migration);
            let references = match &pass.facts.references {
                Fact::Known(all) => Some(all.get(migration).map_or(&[][..], Vec::as_slice)),
                Fact::Unknown(_) => None,
            };
            let (in_use, used_by) = usage(login, references, waited_for(pass.decision, migration));
            CredentialStatus {
                migration: migration.to_string(),
                username: login.map(|login| login.name.to_string()),
                secret_name: names::secret(&pass.desired.database.id, migration).to_string(),
                issued_at: secrets.get(migration).and_then(|secret| secret.issued_at),
                state: state(pass, migration),
                in_use,
                used_by,
                replaced: replaced(pass, database, migration),
            }
        })
        .collect()
}

/// The login that was replaced. Somebody has to start anew who is named here, so sessions are named as well.
fn replaced(
    pass: &Pass<'_>,
    database: &DatabaseFacts,
    migration: &MigrationName,
) -> Option<ReplacedLogin> {
    let login = database.replaced.get(migration)?;
    let holders = pass.facts.holders_of_replaced(migration);
    let holders = holders.known().map(Vec::as_slice);
    let (in_use, used_by) = usage(Some(login), holders, true);
    Some(ReplacedLogin {
        username: login.name.to_string(),
        in_use,
        used_by,
    })
}

fn state(pass: &Pass<'_>, migration: &MigrationName) -> CredentialState {
    let login = pass.facts.login(migration);
    let secret = pass.facts.secret(migration);
    match (login, secret, pass.facts.proofs.get(migration)) {
        (Some(login), ..) if login.locked => CredentialState::Retiring,
        (None, ..) | (_, None, _) => CredentialState::Defective,
        (Some(login), Some(secret), _) if !login.granted || !secret.intact => {
            CredentialState::Defective
        }
        (_, _, Some(Proof::Refused)) => CredentialState::Defective,
        (_, _, Some(Proof::Works)) => CredentialState::Ready,
        (_, _, Some(Proof::Unknown(_)) | None) => CredentialState::Unknown,
    }
}

/// Is a login used, and by whom? Sessions come and go: each is named only while somebody waits for it to
/// end.
fn usage(
    login: Option<&LoginFacts>,
    references: Option<&[Reference]>,
    waits: bool,
) -> (Option<bool>, Vec<String>) {
    let sessions = match login.map(|login| &login.sessions) {
        None => Some(&[][..]),
        Some(sessions) => sessions.known().map(Vec::as_slice),
    };
    let some = |any: Option<bool>| any == Some(true);
    let by_session = sessions.map(|sessions| !sessions.is_empty());
    let by_reference = references.map(|references| !references.is_empty());
    let in_use = if some(by_session) || some(by_reference) {
        Some(true)
    } else {
        // Both must be known to say that nobody uses it.
        by_session.and(by_reference)
    };
    let mut used_by: Vec<String> = references
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect();
    if waits {
        used_by.extend(
            sessions
                .unwrap_or_default()
                .iter()
                .map(|session| format!("session {session}")),
        );
    }
    used_by.truncate(NAMED_MAX);
    (in_use, used_by)
}

fn waited_for(decision: &Decision, migration: &MigrationName) -> bool {
    match decision {
        Decision::Wait {
            on: WaitingOn::CredentialInUse { credentials, .. },
            ..
        } => credentials.iter().any(|(of, _)| of == migration),
        _ => false,
    }
}
