//! A retirement: look closely, lock, look twice, delete the Secret, look once more, drop. Of a login that was replaced, the Secret
//! names another, and is left alone.
//!
//! The login is locked before anything is taken away, so that nobody can come in between the last look and
//! the drop; a session found after all gives everything back.

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_credentials::names;
use dbop_model::{LoginFacts, LoginName, LoginTurn, MigrationName};

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

/// Retires a credential, with all logins that it has.
pub(super) async fn retire(
    step: &mut Step<'_>,
    migration: &MigrationName,
) -> Result<Done, StepError> {
    if !is_quiet(step, migration, &LoginTurn::ALL).await? {
        return Ok(Done::Not);
    }
    if !lock(step, migration, &LoginTurn::ALL).await? {
        return give_back(step, migration, &LoginTurn::ALL, None).await;
    }
    let secret = step.seen.secrets.get(migration).cloned();
    if let Some(secret) = &secret {
        let platform = &step.engine.platform;
        platform
            .delete_secret(step.database, &secret.name, &secret.revision)
            .await?;
        let has_login = !logins(step, migration, &LoginTurn::ALL).is_empty();
        if has_login && !step.still().await? {
            return give_back(step, migration, &LoginTurn::ALL, Some(secret)).await;
        }
    }
    // Of a credential of which only the Secret was left, nothing is left now, and no claim was needed.
    drop_all(step, migration, &LoginTurn::ALL).await
}

/// Retires the login that a rotation has replaced.
pub(super) async fn retire_replaced(
    step: &mut Step<'_>,
    migration: &MigrationName,
) -> Result<Done, StepError> {
    let database = step.seen.facts.database.known();
    let replaced = database.and_then(|database| database.replaced.get(migration));
    let turns = [replaced
        .ok_or(StepError::Gone("the login that was replaced"))?
        .turn];
    if !is_quiet(step, migration, &turns).await? {
        return Ok(Done::Not);
    }
    if !lock(step, migration, &turns).await? {
        return give_back(step, migration, &turns, None).await;
    }
    drop_all(step, migration, &turns).await
}

/// The logins of a credential of these turns, as far as they are there.
fn logins(step: &Step<'_>, migration: &MigrationName, turns: &[LoginTurn]) -> Vec<LoginFacts> {
    let database = step.seen.facts.database.known().into_iter();
    let all = database.flat_map(|database| database.all_logins());
    let is_it = |(of, login): &(&MigrationName, &LoginFacts)| {
        *of == migration && turns.contains(&login.turn)
    };
    all.filter(is_it).map(|(_, login)| login.clone()).collect()
}

/// Locks the logins, and looks twice. False: it is not to go on, and what was locked is to be opened.
async fn lock(
    step: &mut Step<'_>,
    migration: &MigrationName,
    turns: &[LoginTurn],
) -> Result<bool, StepError> {
    for login in logins(step, migration, turns) {
        let scope = step.scope()?;
        step.admin()?
            .lock_login(&scope, migration, login.turn)
            .await?;
        if !is_replayed(step, &login.name).await {
            return Ok(false);
        }
    }
    if !step.still().await? {
        return Ok(false);
    }
    step.engine.clock.sleep(LOOK_AGAIN_AFTER).await;
    step.still().await
}

async fn drop_all(
    step: &Step<'_>,
    migration: &MigrationName,
    turns: &[LoginTurn],
) -> Result<Done, StepError> {
    for login in logins(step, migration, turns) {
        let scope = step.scope()?;
        step.admin()?
            .drop_login(&scope, migration, login.turn)
            .await?;
    }
    Ok(Done::Whole)
}

/// Is nobody there in a close row of looks? The watch through the quiet window looks less often, and the last of it is
/// as old as getting here took: who has begun since would be shut out.
async fn is_quiet(
    step: &mut Step<'_>,
    migration: &MigrationName,
    turns: &[LoginTurn],
) -> Result<bool, StepError> {
    let all = logins(step, migration, turns).into_iter();
    let open = all.filter(|login| !login.locked);
    let open: BTreeSet<LoginName> = open.map(|login| login.name).collect();
    if open.is_empty() {
        return Ok(true);
    }
    for _ in 0..CLOSE_LOOKS {
        step.engine.clock.sleep(CLOSE_STEP).await;
        let admin = step.admin()?;
        let replicas = &step.memory.replicas;
        let Some(in_use) = replicas.in_use_anywhere(admin.as_ref(), &open).await? else {
            return Ok(false);
        };
        if let Some(login) = in_use.first() {
            step.memory.watch.forget(login);
            return Ok(false);
        }
        // Where a look takes long, fifty of them take longer than a row may pause.
        step.memory.watch.go_on(&open, step.engine.clock.now());
    }
    // Half a second has gone by: what was wanted may have changed.
    step.still().await
}

/// Has every replica taken over that the login is locked? Who comes in at one that has not would not be seen to.
async fn is_replayed(step: &mut Step<'_>, login: &LoginName) -> bool {
    let spec = &step.seen.desired.database;
    let replicas = &mut step.memory.replicas;
    replicas.replayed(step.engine, spec, login).await
}

/// Somebody came after all: the logins are opened, and the same Secret put back. Under `readOnly`, set in the
/// meantime, nothing is written any more.
async fn give_back(
    step: &Step<'_>,
    migration: &MigrationName,
    turns: &[LoginTurn],
    secret: Option<&SecretSeen>,
) -> Result<Done, StepError> {
    if step.seen.desired.database.read_only {
        return Ok(Done::Not);
    }
    let scope = step.scope()?;
    for login in logins(step, migration, turns) {
        step.admin()?
            .unlock_login(&scope, migration, login.turn)
            .await?;
    }
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
        issued_at: secret.issued_at,
        undress: Dress::default(),
    };
    step.engine.platform.write_secret(&secret, None).await?;
    Ok(Done::Not)
}
