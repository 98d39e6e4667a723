//! Logins of applications: one per migration's credential (two, while they take turns), members of the group role and nothing else.
//!
//! Each function runs in the caller's transaction, holds the claim first, and finds its login by the mark;
//! a login of the wanted name without the mark is somebody else's.

use dbop_credentials::names;
use dbop_database::{DatabaseError, Scope};
use dbop_model::{Engine, ForeignObject, LoginName, LoginTurn, MigrationName};

use crate::claim::{self, hold_claim};
use crate::link::Hold;
use crate::mark::Mark;
use crate::roles::{self, Marked};
use crate::{parse, query};

/// Makes the login, or brings it to this password and its grants; a lock on it stays.
pub(crate) async fn ensure(
    hold: &Hold<'_>,
    scope: &Scope,
    migration: &MigrationName,
    turn: LoginTurn,
    verifier: &str,
    major: u32,
) -> Result<LoginName, DatabaseError> {
    let group = hold_claim(hold, scope).await?;
    let marked = Marked::read(hold, &scope.claim, &group).await?;
    let login = match marked.login(migration, turn) {
        Some(there) => parsed(hold, there)?,
        None => {
            let admin = roles::admin(hold).await?;
            if let Some(missing) = claim::missing(&admin).into_iter().next() {
                return Err(DatabaseError::Privilege(missing));
            }
            let login = names::login_in_turn(
                Engine::PostgreSql,
                &scope.owner.object,
                migration,
                &scope.claim,
                turn,
            );
            let mark = Mark::Login {
                claim: scope.claim.clone(),
                migration: migration.clone(),
                turn,
            };
            roles::create(hold, login.as_str(), "login", &mark).await?;
            hold.run(&format!(
                "ALTER ROLE {} LOGIN",
                query::name(login.as_str())?
            ))
            .await?;
            login
        }
    };
    let quoted = query::name(login.as_str())?;
    hold.run(&format!(
        "ALTER ROLE {quoted} PASSWORD {} VALID UNTIL 'infinity'",
        query::text(verifier)?
    ))
    .await?;
    hold.run(&roles::join(&group, login.as_str(), false, major)?)
        .await?;
    let known = roles::known(hold, [login.as_str()].into()).await?;
    if !known.iter().any(|role| role.is_inherited) {
        // So that the admin sees where its sessions come from, and can give away what it comes to own.
        hold.run(&roles::take_rights(login.as_str(), major)?)
            .await?;
    }
    Ok(login)
}

/// Lets nobody (or somebody again) log in. A login that is not there needs nothing.
pub(crate) async fn set_open(
    hold: &Hold<'_>,
    scope: &Scope,
    migration: &MigrationName,
    turn: LoginTurn,
    open: bool,
) -> Result<(), DatabaseError> {
    match find(hold, scope, migration, turn).await? {
        None => Ok(()),
        Some(login) => {
            let keyword = if open { "LOGIN" } else { "NOLOGIN" };
            hold.run(&format!("ALTER ROLE {} {keyword}", query::name(&login)?))
                .await
        }
    }
}

/// Drops the login; what it owns in this database goes to the owner role first.
pub(crate) async fn drop(
    hold: &Hold<'_>,
    scope: &Scope,
    migration: &MigrationName,
    turn: LoginTurn,
    major: u32,
) -> Result<(), DatabaseError> {
    let Some(login) = find(hold, scope, migration, turn).await? else {
        return Ok(());
    };
    drop_role(hold, scope, &login, major).await
}

/// Drops a login of ours by its name, likewise.
pub(crate) async fn drop_role(
    hold: &Hold<'_>,
    scope: &Scope,
    login: &str,
    major: u32,
) -> Result<(), DatabaseError> {
    let quoted = query::name(login)?;
    let known = roles::known(hold, [login].into()).await?;
    if !known.iter().any(|role| role.is_inherited) {
        hold.run(&roles::take_rights(login, major)?).await?;
    }
    if parse::boolean(hold.operation(), &hold.rows(&query::owns(login)?).await?)? {
        let owner = owner(hold, scope, login).await?;
        hold.run(&format!(
            "REASSIGN OWNED BY {quoted} TO {}",
            query::name(&owner)?
        ))
        .await?;
    }
    // It owns nothing here any more, so this only takes back what was granted to it.
    if parse::boolean(hold.operation(), &hold.rows(&query::owns(login)?).await?)? {
        return Err(DatabaseError::StillOwns {
            login: login.to_owned(),
            detail: "something in this database that cannot be given to another role".to_owned(),
        });
    }
    hold.run(&format!("DROP OWNED BY {quoted}")).await?;
    match hold.run(&format!("DROP ROLE {quoted}")).await {
        // dependent_objects_still_exist: in another database, which cannot be reached from this one, or a
        // privilege that somebody else granted and the admin cannot take back.
        Err(DatabaseError::Server { code, message, .. }) if code == "2BP01" => {
            Err(DatabaseError::StillOwns {
                login: login.to_owned(),
                detail: message,
            })
        }
        result => result,
    }
}

/// The login, where it is there.
async fn find(
    hold: &Hold<'_>,
    scope: &Scope,
    migration: &MigrationName,
    turn: LoginTurn,
) -> Result<Option<String>, DatabaseError> {
    let group = hold_claim(hold, scope).await?;
    let marked = Marked::read(hold, &scope.claim, &group).await?;
    if let Some(login) = marked.login(migration, turn) {
        return Ok(Some(login.to_owned()));
    }
    let name = names::login_in_turn(
        Engine::PostgreSql,
        &scope.owner.object,
        migration,
        &scope.claim,
        turn,
    );
    if roles::known(hold, [name.as_str()].into()).await?.is_empty() {
        return Ok(None);
    }
    let (kind, name) = ("login".to_owned(), name.to_string());
    Err(DatabaseError::Foreign(ForeignObject { kind, name }))
}

/// Who gets what a login owned.
async fn owner(hold: &Hold<'_>, scope: &Scope, login: &str) -> Result<String, DatabaseError> {
    if let Some(theirs) = &scope.access.owner_role {
        return Ok(theirs.as_str().to_owned());
    }
    let group = hold_claim(hold, scope).await?;
    let marked = Marked::read(hold, &scope.claim, &group).await?;
    marked
        .owner()
        .map(str::to_owned)
        .ok_or_else(|| DatabaseError::StillOwns {
            login: login.to_owned(),
            detail: "and there is no owner role to give it to".to_owned(),
        })
}

pub(crate) fn parsed(hold: &Hold<'_>, name: &str) -> Result<LoginName, DatabaseError> {
    LoginName::new(name).map_err(|error| DatabaseError::Unreadable {
        operation: hold.operation(),
        detail: format!("a login's name {error}"),
    })
}
