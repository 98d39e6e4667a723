//! A credential, made or put back in order: login, grants, proof by connecting, Secret last.

use dbop_credentials::{names, password};
use dbop_model::{MigrationName, Proof};
use secrecy::SecretString;

use super::Step;
use crate::error::StepError;
use crate::platform::{AppSecret, Entropy};
use crate::wanted::Wanted;

/// Makes the credential of a migration, or brings it back in order.
///
/// An existing Secret of ours is the truth about the password; one is generated only where there is none.
pub(super) async fn ensure(
    step: &mut Step<'_>,
    migration: &MigrationName,
) -> Result<(), StepError> {
    let scope = step.prepared().await?;
    let admin = step.admin()?;
    let place = step.place()?;
    let held = step.seen.secrets.get(migration).cloned();
    let password = held
        .as_ref()
        .and_then(|secret| secret.data.get("password").cloned())
        .filter(|password| !secrecy::ExposeSecret::expose_secret(password).is_empty())
        .unwrap_or_else(|| generated(step.engine.entropy.as_ref()));
    let login = admin.ensure_login(&scope, migration, &password).await?;
    let not_proven = |why: String| StepError::NotProven {
        migration: migration.clone(),
        why,
    };
    match step
        .engine
        .connector
        .prove(&place.target, &login, &password)
        .await
    {
        Proof::Works => {}
        Proof::Refused => return Err(not_proven("the server refused the login".to_owned())),
        Proof::Unknown(why) => return Err(not_proven(why.to_string())),
    }
    let template = &step.seen.desired.database.credentials.secret_template;
    let wanted = Wanted::new(&place, template, &login, &password);
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
