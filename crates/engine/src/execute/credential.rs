//! A credential, made, put back in order, or given another login: login, grants, proof by connecting, Secret last.

use std::time::Duration;

use dbop_credentials::{names, password};
use dbop_database::Scope;
use dbop_model::{LoginName, LoginTurn, MigrationName, Proof};
use jiff::Timestamp;
use secrecy::SecretString;

use super::Step;
use crate::error::StepError;
use crate::observe::published_turn;
use crate::platform::{AppSecret, Clock, Entropy, SecretSeen};
use crate::wanted::Wanted;

/// Makes the credential of a migration, or brings it back in order.
///
/// An existing Secret of ours is the truth about login and password; one is generated only where there is none.
pub(super) async fn ensure(
    step: &mut Step<'_>,
    migration: &MigrationName,
) -> Result<(), StepError> {
    let scope = step.prepared().await?;
    let held = step.seen.secrets.get(migration).cloned();
    let kept = held
        .as_ref()
        .and_then(|secret| secret.data.get("password").cloned())
        .filter(|password| !secrecy::ExposeSecret::expose_secret(password).is_empty());
    let (turn, has_other) = match step.seen.facts.database.known() {
        Some(database) => (
            published_turn(database, step.database, migration, held.as_ref()),
            database.replaced.contains_key(migration),
        ),
        None => (LoginTurn::First, false),
    };
    // A record that somebody took away is only missed where it tells who holds the other login.
    let is_dated = held.as_ref().is_some_and(|held| held.issued_at.is_some()) || !has_other;
    let issued_at = (kept.is_none() || !is_dated).then(|| step.engine.clock.now());
    let password = kept.unwrap_or_else(|| generated(step.engine.entropy.as_ref()));
    let login = made(step, &scope, migration, turn, &password).await?;
    publish(step, &scope, migration, &login, &password, held, issued_at).await
}

/// Gives the credential the other of its logins. The one before stays as it is.
pub(super) async fn rotate(
    step: &mut Step<'_>,
    migration: &MigrationName,
) -> Result<(), StepError> {
    let scope = step.prepared().await?;
    let before = step.seen.facts.login(migration).map(|login| login.turn);
    let before = before.ok_or(StepError::Gone("the login to replace"))?;
    let held = step.seen.secrets.get(migration).cloned();
    let held = held.ok_or(StepError::Gone("the credential's Secret"))?;
    let password = generated(step.engine.entropy.as_ref());
    let login = made(step, &scope, migration, before.other(), &password).await?;
    let issued_at = Some(next_second(step.engine.clock.as_ref()).await);
    publish(
        step,
        &scope,
        migration,
        &login,
        &password,
        Some(held),
        issued_at,
    )
    .await
}

/// The next full second, when it begins: Kubernetes says of a Pod in which second it was made. One that is made in that
/// second, as soon as the Secret is another, then does not count as older.
async fn next_second(clock: &dyn Clock) -> Timestamp {
    let now = clock.now();
    let next = Timestamp::from_second(now.as_second() + 1).unwrap_or(now);
    let pause = Duration::try_from(next.duration_since(now)).unwrap_or_default();
    clock.sleep(pause).await;
    next
}

/// A login with this password, proven by logging in.
async fn made(
    step: &Step<'_>,
    scope: &Scope,
    migration: &MigrationName,
    turn: LoginTurn,
    password: &SecretString,
) -> Result<LoginName, StepError> {
    let target = &step.place()?.target;
    let admin = step.admin()?;
    let login = admin.ensure_login(scope, migration, turn, password).await?;
    let not_proven = |why: String| StepError::NotProven {
        migration: migration.clone(),
        why,
    };
    match step.engine.connector.prove(target, &login, password).await {
        Proof::Works => Ok(login),
        Proof::Refused => Err(not_proven("the server refused the login".to_owned())),
        Proof::Unknown(why) => Err(not_proven(why.to_string())),
    }
}

/// Writes the Secret: over the one that is `held`, at its revision, where there is one.
async fn publish(
    step: &Step<'_>,
    scope: &Scope,
    migration: &MigrationName,
    login: &LoginName,
    password: &SecretString,
    held: Option<SecretSeen>,
    issued_at: Option<Timestamp>,
) -> Result<(), StepError> {
    let place = step.place()?;
    let template = &step.seen.desired.database.credentials.secret_template;
    let wanted = Wanted::new(&place, template, login, password);
    let undress = held.as_ref().map(|secret| wanted.outdated(secret));
    let secret = AppSecret {
        database: step.database.clone(),
        migration: migration.clone(),
        name: names::secret(step.database, migration),
        kind: held
            .as_ref()
            .map_or(wanted.kind, |secret| secret.kind.clone()),
        claim: scope.claim.to_string(),
        data: wanted.data,
        dress: wanted.dress,
        issued_at,
        undress: undress.unwrap_or_default(),
    };
    let at = held.as_ref().map(|secret| &secret.revision);
    Ok(step.engine.platform.write_secret(&secret, at).await?)
}

/// A new password.
pub(super) fn generated(entropy: &dyn Entropy) -> SecretString {
    let mut random = [0; password::PASSWORD_BYTES];
    entropy.fill(&mut random);
    password::password(random)
}
