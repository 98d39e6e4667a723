//! The migrator: one account per database, whose door is open for a run and closed between runs.

use dbop_credentials::names;
use dbop_database::{DatabaseError, Scope};
use dbop_model::LoginName;

use crate::claim::hold_claim;
use crate::connect::Server;
use crate::link::Hold;
use crate::{logins, password, query, roles};

/// Gives it a new password and lets it log in.
pub(crate) async fn open(
    hold: &Hold<'_>,
    scope: &Scope,
    identified: &str,
    server: &Server,
) -> Result<LoginName, DatabaseError> {
    let name = find(hold, scope, server)
        .await?
        .ok_or_else(|| DatabaseError::Server {
            operation: hold.operation(),
            code: "42704".to_owned(),
            message: "the migrator does not exist".to_owned(),
        })?;
    hold.run_secret(&format!(
        "ALTER USER {} {identified} PASSWORD EXPIRE NEVER ACCOUNT UNLOCK",
        query::account(&name)?
    ))
    .await?;
    logins::parsed(hold, &name)
}

/// Lets nobody log in, and forgets the password. One that is not there is closed.
pub(crate) async fn close(
    hold: &Hold<'_>,
    scope: &Scope,
    server: &Server,
) -> Result<(), DatabaseError> {
    match find(hold, scope, server).await? {
        None => Ok(()),
        Some(name) => {
            hold.run_secret(&format!(
                "ALTER USER {} {} PASSWORD EXPIRE NEVER ACCOUNT LOCK",
                query::account(&name)?,
                password::unusable(server.engine, &name)
            ))
            .await
        }
    }
}

async fn find(
    hold: &Hold<'_>,
    scope: &Scope,
    server: &Server,
) -> Result<Option<String>, DatabaseError> {
    let marked = hold_claim(hold, scope, server).await?;
    if let Some(migrator) = marked.migrator(&scope.claim) {
        return Ok(Some(migrator.name.clone()));
    }
    let name = names::migrator(server.engine, &scope.owner.object, &scope.claim);
    roles::refuse_foreign(hold, server.engine, name.as_str()).await?;
    Ok(None)
}
