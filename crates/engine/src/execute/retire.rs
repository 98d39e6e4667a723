//! A retirement: look closely, lock, look twice, delete the Secret, look once more, drop.
//!
//! The login is locked before anything is taken away, so that nobody can come in between the last look and
//! the drop; a session found after all gives everything back.

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_credentials::names;
use dbop_model::{LoginName, MigrationName};

use super::{Done, Step};
use crate::error::StepError;
use crate::platform::{AppSecret, Dress, SecretSeen};

/// A login attempt that was let in just before the lock shows as a session within this time (the server
/// checks the lock before it starts the session).
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// So many looks in a close row come right before the lock. A client in a tight loop is there in two looks of five,
/// where logging in takes longest (PostgreSQL with SCRAM; `cargo xtask prove races` measures it).
const CLOSE_LOOKS: u32 = 50;
/// Between two of them.
const CLOSE_STEP: Duration = Duration::from_millis(10);

pub(super) async fn retire(
    step: &mut Step<'_>,
    migration: &MigrationName,
) -> Result<Done, StepError> {
    let has_login = |step: &Step<'_>| {
        let database = step.seen.facts.database.known();
        database.is_some_and(|database| database.logins.contains_key(migration))
    };
    if has_login(step) {
        if !is_quiet(step, migration).await? {
            return Ok(Done::Not);
        }
        step.admin()?.lock_login(&step.scope()?, migration).await?;
        if !is_replayed(step, migration).await {
            return give_back(step, migration, None).await;
        }
    }
    if !step.still().await? {
        return give_back(step, migration, None).await;
    }
    step.engine.clock.sleep(LOOK_AGAIN_AFTER).await;
    if !step.still().await? {
        return give_back(step, migration, None).await;
    }
    let secret = step.seen.secrets.get(migration).cloned();
    if let Some(secret) = &secret {
        let platform = &step.engine.platform;
        platform
            .delete_secret(step.database, &secret.name, &secret.revision)
            .await?;
        if has_login(step) && !step.still().await? {
            return give_back(step, migration, Some(secret)).await;
        }
    }
    // Of a credential of which only the Secret was left, nothing is left now, and no claim was needed.
    if has_login(step) {
        step.admin()?.drop_login(&step.scope()?, migration).await?;
    }
    Ok(Done::Whole)
}

/// Is nobody there in a close row of looks? The watch through the quiet window looks less often, and the last of it is
/// as old as getting here took: who has begun since would be shut out.
async fn is_quiet(step: &mut Step<'_>, migration: &MigrationName) -> Result<bool, StepError> {
    let login = step.seen.facts.login(migration);
    let Some(login) = login.filter(|login| !login.locked) else {
        return Ok(true);
    };
    let logins: BTreeSet<LoginName> = BTreeSet::from([login.name.clone()]);
    for _ in 0..CLOSE_LOOKS {
        step.engine.clock.sleep(CLOSE_STEP).await;
        let sessions = step.admin()?.sessions(&logins).await?;
        if sessions.values().any(|sessions| !sessions.is_empty()) {
            step.memory.watch.forget(migration);
            return Ok(false);
        }
    }
    Ok(true)
}

/// Has every replica taken over that the login is locked? Who comes in at one that has not would not be seen to.
async fn is_replayed(step: &mut Step<'_>, migration: &MigrationName) -> bool {
    let Some(login) = step.seen.facts.login(migration) else {
        return true;
    };
    let (spec, login) = (&step.seen.desired.database, login.name.clone());
    let replicas = &mut step.memory.replicas;
    replicas.replayed(step.engine, spec, &login).await
}

/// Somebody came after all: the login is opened, and the same Secret put back. Under `readOnly`, set in the
/// meantime, nothing is written any more.
async fn give_back(
    step: &Step<'_>,
    migration: &MigrationName,
    secret: Option<&SecretSeen>,
) -> Result<Done, StepError> {
    if step.seen.desired.database.read_only {
        return Ok(Done::Not);
    }
    let scope = step.scope()?;
    step.admin()?.unlock_login(&scope, migration).await?;
    let Some(secret) = secret else {
        return Ok(Done::Not);
    };
    let secret = AppSecret {
        database: step.database.clone(),
        migration: migration.clone(),
        name: names::secret(step.database, migration),
        kind: secret.kind.clone(),
        claim: scope.claim.to_string(),
        data: secret.data.clone(),
        dress: secret.dress.clone(),
        undress: Dress::default(),
    };
    step.engine.platform.write_secret(&secret, None).await?;
    Ok(Done::Not)
}
