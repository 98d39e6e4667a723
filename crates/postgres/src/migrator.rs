//! The migrator: one account per database, whose door is open for a run and closed between runs.

use dbop_credentials::names;
use dbop_database::{DatabaseError, Scope};
use dbop_model::{Engine, ForeignObject, LoginName};

use crate::claim::hold_claim;
use crate::link::Hold;
use crate::query;
use crate::roles::{self, Marked};

/// Gives it a new password and lets it log in, in the caller's transaction.
pub(crate) async fn open(
    hold: &Hold<'_>,
    scope: &Scope,
    verifier: &str,
) -> Result<LoginName, DatabaseError> {
    let name = find(hold, scope)
        .await?
        .ok_or_else(|| DatabaseError::Server {
            operation: hold.operation(),
            code: "42704".to_owned(),
            message: "the migrator does not exist".to_owned(),
        })?;
    hold.run(&format!(
        "ALTER ROLE {} LOGIN PASSWORD {} VALID UNTIL 'infinity'",
        query::name(&name)?,
        query::text(verifier)?
    ))
    .await?;
    LoginName::new(name).map_err(|error| DatabaseError::Unreadable {
        operation: hold.operation(),
        detail: format!("the migrator's name {error}"),
    })
}

/// Lets nobody log in, and forgets the password. One that is not there is closed.
pub(crate) async fn close(hold: &Hold<'_>, scope: &Scope) -> Result<(), DatabaseError> {
    match find(hold, scope).await? {
        None => Ok(()),
        Some(name) => {
            hold.run(&format!(
                "ALTER ROLE {} NOLOGIN PASSWORD NULL",
                query::name(&name)?
            ))
            .await
        }
    }
}

async fn find(hold: &Hold<'_>, scope: &Scope) -> Result<Option<String>, DatabaseError> {
    let group = hold_claim(hold, scope).await?;
    let marked = Marked::read(hold, &scope.claim, &group).await?;
    if let Some(name) = marked.migrator() {
        return Ok(Some(name.to_owned()));
    }
    let name = names::migrator(Engine::PostgreSql, &scope.owner.object, &scope.claim);
    if roles::known(hold, [name.as_str()].into()).await?.is_empty() {
        return Ok(None);
    }
    let (kind, name) = ("login".to_owned(), name.to_string());
    Err(DatabaseError::Foreign(ForeignObject { kind, name }))
}
