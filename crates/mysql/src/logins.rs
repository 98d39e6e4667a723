//! Logins of applications: one per migration's credential (two, while they take turns), each with its own grants and nothing else.
//!
//! Each function holds the claim first, and finds its login by the mark; an account of the wanted name without the
//! mark is somebody else's.

use dbop_credentials::names;
use dbop_database::{DatabaseError, Scope};
use dbop_model::{Engine, LoginName, LoginTurn, MigrationName};

use crate::claim::{self, hold_claim};
use crate::connect::Server;
use crate::grants::{self, Parties};
use crate::link::Hold;
use crate::mark::Mark;
use crate::parse::Values as _;
use crate::roles::{self, Account, Marked};
use crate::{parse, query};

/// Makes the login, or brings it to this password and its grants; a lock on it stays.
///
/// A new one has a password that nobody knows until it has its grants, so it never works by halves.
pub(crate) async fn ensure(
    hold: &Hold<'_>,
    scope: &Scope,
    migration: &MigrationName,
    turn: LoginTurn,
    identified: &str,
    server: &Server,
) -> Result<LoginName, DatabaseError> {
    let marked = hold_claim(hold, scope, server).await?;
    let admin = roles::admin(hold).await?;
    if let Some(missing) = claim::missing(&admin, server).into_iter().next() {
        return Err(DatabaseError::Privilege(missing));
    }
    let login = match marked.login(&scope.claim, migration, turn) {
        Some(there) => parsed(hold, &there.name)?,
        None => {
            let mark = Mark::Login {
                claim: scope.claim.clone(),
                migration: migration.clone(),
                turn,
            };
            // On MariaDB a mark outlives what it marks, and says what it was called.
            let before = marked.all().find(|account| account.mark == mark);
            let login = match before {
                Some(gone) => parsed(hold, &gone.name)?,
                None => names::login_in_turn(
                    server.engine,
                    &scope.owner.object,
                    migration,
                    &scope.claim,
                    turn,
                ),
            };
            roles::create(hold, server.engine, login.as_str(), &mark, false).await?;
            remove_left_marks(hold, &marked, scope, &mark).await?;
            login
        }
    };
    let parties = Parties {
        logins: [login.as_str()].into(),
        base: grants::BASE,
        migrator: None,
        access: &scope.access,
    };
    let plan = grants::plan(hold, server, &parties).await?;
    grants::carry_out(hold, &plan).await?;
    hold.run_secret(&format!(
        "ALTER USER {} {identified} PASSWORD EXPIRE NEVER",
        query::account(login.as_str())?
    ))
    .await?;
    Ok(login)
}

/// Lets nobody (or somebody again) log in. A login that is not there needs nothing.
pub(crate) async fn set_open(
    hold: &Hold<'_>,
    scope: &Scope,
    migration: &MigrationName,
    turn: LoginTurn,
    open: bool,
    server: &Server,
) -> Result<(), DatabaseError> {
    match find(hold, scope, migration, turn, server).await? {
        None => Ok(()),
        Some(login) => {
            let keyword = if open { "UNLOCK" } else { "LOCK" };
            let account = query::account(&login.name)?;
            hold.run(&format!("ALTER USER {account} ACCOUNT {keyword}"))
                .await
        }
    }
}

/// Drops the login. What it defines (views, routines, triggers, events) would run no more, and only a person can
/// say in whose name it should; so it is named, and the login stays.
pub(crate) async fn drop(
    hold: &Hold<'_>,
    scope: &Scope,
    migration: &MigrationName,
    turn: LoginTurn,
    server: &Server,
) -> Result<(), DatabaseError> {
    let Some(login) = find(hold, scope, migration, turn, server).await? else {
        return forget(hold, scope, migration, turn, server).await;
    };
    if let Some(detail) = holds_it(hold, &login.name, server).await? {
        let login = login.name;
        return Err(DatabaseError::StillOwns { login, detail });
    }
    let account = query::account(&login.name)?;
    match hold.run(&format!("DROP USER {account}")).await {
        // MySQL's own refusal, of something defined where we cannot look.
        Err(DatabaseError::Server { message, .. }) if message.contains("definer") => {
            return Err(DatabaseError::StillOwns {
                login: login.name,
                detail: message,
            });
        }
        result => result?,
    }
    if server.engine == Engine::MariaDb {
        roles::remove_mark(hold, &login.name, &login.mark).await?;
    }
    Ok(())
}

/// What keeps a login: something that it defines, or rights that a person gave it in another database, where we
/// cannot see what it has made.
async fn holds_it(
    hold: &Hold<'_>,
    login: &str,
    server: &Server,
) -> Result<Option<String>, DatabaseError> {
    let rows = hold.rows(&query::defined_by(login)?).await?;
    let defined = parse::all(hold.operation(), &rows, |c| {
        let (kind, schema, name) = (c.text()?, c.text()?, c.text()?);
        Ok(format!("{kind} {schema}.{name}"))
    })?;
    if !defined.is_empty() {
        return Ok(Some(format!(
            "{}; make it another account's, or drop it",
            defined.join(", ")
        )));
    }
    let rows = hold.rows(&query::databases_of(login)?).await?;
    let own = query::pattern(&server.database, server.names_are_literal);
    let elsewhere = parse::all(hold.operation(), &rows, |c| {
        let (database, is_pattern) = (c.text()?, c.boolean()?);
        let is_here = if is_pattern {
            database == own
        } else {
            database == server.database
        };
        Ok((!is_here).then(|| database.to_owned()))
    })?;
    let elsewhere: Vec<String> = elsewhere.into_iter().flatten().collect();
    if elsewhere.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!(
        "it has rights in other databases ({}), and may define something there; revoke them",
        elsewhere.join(", ")
    )))
}

/// The mark of a login that is gone goes as well.
async fn forget(
    hold: &Hold<'_>,
    scope: &Scope,
    migration: &MigrationName,
    turn: LoginTurn,
    server: &Server,
) -> Result<(), DatabaseError> {
    if server.engine != Engine::MariaDb {
        return Ok(());
    }
    let mark = Mark::Login {
        claim: scope.claim.clone(),
        migration: migration.clone(),
        turn,
    };
    let marked = hold_claim(hold, scope, server).await?;
    for gone in marked.all().filter(|account| account.mark == mark) {
        roles::remove_mark(hold, &gone.name, &mark).await?;
    }
    Ok(())
}

/// A crash behind DROP USER leaves the mark of a login that is gone, and nobody asks for that login any more: the next one
/// that is made takes such marks away. One that was dropped by hand is made anew under the name that it has by itself.
async fn remove_left_marks(
    hold: &Hold<'_>,
    marked: &Marked,
    scope: &Scope,
    made: &Mark,
) -> Result<(), DatabaseError> {
    let is_left = |account: &&Account| {
        let of_login = matches!(&account.mark, Mark::Login { claim, .. } if *claim == scope.claim);
        of_login && !account.is_there && account.mark != *made
    };
    for left in marked.all().filter(is_left) {
        roles::remove_mark(hold, &left.name, &left.mark).await?;
    }
    Ok(())
}

/// The login, where it is there.
async fn find(
    hold: &Hold<'_>,
    scope: &Scope,
    migration: &MigrationName,
    turn: LoginTurn,
    server: &Server,
) -> Result<Option<Account>, DatabaseError> {
    let marked = hold_claim(hold, scope, server).await?;
    if let Some(login) = marked.login(&scope.claim, migration, turn) {
        return Ok(Some(login.clone()));
    }
    let name = names::login_in_turn(
        server.engine,
        &scope.owner.object,
        migration,
        &scope.claim,
        turn,
    );
    roles::refuse_foreign(hold, server.engine, name.as_str()).await?;
    Ok(None)
}

pub(crate) fn parsed(hold: &Hold<'_>, name: &str) -> Result<LoginName, DatabaseError> {
    LoginName::new(name).map_err(|error| DatabaseError::Unreadable {
        operation: hold.operation(),
        detail: format!("a login's name {error}"),
    })
}
