//! The reader: the login that users' queries run as, and a session of it. It may read what applications may use, and
//! nothing else; what is made later comes to it by default privileges.

use std::time::Duration;

use async_trait::async_trait;
use dbop_credentials::names;
use dbop_database::{DatabaseError, Reader, Scope, number};
use dbop_model::{AccessPolicy, Engine, Fact, LoginName, Privilege};

use crate::claim::{self, hold_claim};
use crate::grants::{self, Parties};
use crate::link::{Hold, Link, in_transaction};
use crate::mark::Mark;
use crate::roles::{self, Marked};
use crate::{logins, query, select};

/// Each round takes a bounded number of tables: a database of so many rounds is not fully readable at first.
const ROUNDS_MAX: usize = 20;

/// Makes the login with this password, and gives it what it may read.
pub(crate) async fn ensure(
    hold: &Hold<'_>,
    scope: &Scope,
    verifier: &str,
    major: u32,
) -> Result<LoginName, DatabaseError> {
    let login = in_transaction!(hold, make(hold, scope, verifier, major))?;
    for _ in 0..ROUNDS_MAX {
        if in_transaction!(hold, give(hold, scope, &login))? {
            break;
        }
    }
    Ok(login)
}

async fn make(
    hold: &Hold<'_>,
    scope: &Scope,
    verifier: &str,
    major: u32,
) -> Result<LoginName, DatabaseError> {
    let group = hold_claim(hold, scope).await?;
    let marked = Marked::read(hold, &scope.claim, &group).await?;
    let admin = roles::admin(hold).await?;
    let login = match marked.reader() {
        Some(there) => logins::parsed(hold, there)?,
        None => {
            if let Some(missing) = claim::missing(&admin).into_iter().next() {
                return Err(DatabaseError::Privilege(missing));
            }
            let login = names::reader(Engine::PostgreSql, &scope.owner.object, &scope.claim);
            let claim = scope.claim.clone();
            roles::create(hold, login.as_str(), "login", &Mark::Reader { claim }).await?;
            login
        }
    };
    let quoted = query::name(login.as_str())?;
    hold.run(&format!(
        "ALTER ROLE {quoted} LOGIN PASSWORD {} VALID UNTIL 'infinity'; \
         GRANT CONNECT ON DATABASE {} TO {quoted}",
        query::text(verifier)?,
        query::name(&admin.database)?
    ))
    .await?;
    let known = roles::known(hold, [login.as_str()].into()).await?;
    if !known.iter().any(|role| role.is_inherited) {
        // So that the admin can take back what was granted to it.
        hold.run(&roles::take_rights(login.as_str(), major)?)
            .await?;
    }
    Ok(login)
}

/// One round of grants; true: there is nothing left to give. What the admin cannot give is not given.
async fn give(hold: &Hold<'_>, scope: &Scope, login: &LoginName) -> Result<bool, DatabaseError> {
    let group = hold_claim(hold, scope).await?;
    let marked = Marked::read(hold, &scope.claim, &group).await?;
    let admin = roles::admin(hold).await?;
    let owner = scope.access.owner_role.as_ref();
    let access = AccessPolicy {
        privileges: [Privilege::Select].into(),
        ..scope.access.clone()
    };
    let parties = Parties {
        admin: &admin,
        group: Some(login.as_str()),
        owner: owner.map(|role| role.as_str()).or(marked.owner()),
        access: &access,
    };
    let plan = grants::plan(hold, &parties).await?;
    for statement in &plan.statements {
        hold.run(statement).await?;
    }
    Ok(plan.statements.is_empty())
}

/// Drops the login, with all that was given to it, in the caller's transaction.
pub(crate) async fn drop(hold: &Hold<'_>, scope: &Scope, major: u32) -> Result<(), DatabaseError> {
    let group = hold_claim(hold, scope).await?;
    let marked = Marked::read(hold, &scope.claim, &group).await?;
    let Some(login) = marked.reader() else {
        return Ok(());
    };
    logins::drop_role(hold, scope, login, major).await
}

/// A session of the reader.
pub(crate) struct Session {
    link: Link,
}

impl Session {
    pub(crate) fn new(link: Link) -> Self {
        Self { link }
    }
}

#[async_trait]
impl Reader for Session {
    async fn number(&self, sql: &str, limit: Duration) -> Result<Fact<f64>, DatabaseError> {
        let hold = self.link.hold("spec.metrics.sqlQuery").await?;
        let given = asked(&hold, sql, limit).await;
        // Nothing of it lasts, and the next one begins anew.
        let given = match given {
            Err(lost @ DatabaseError::Lost { .. }) => Err(lost),
            given => hold.run("ROLLBACK").await.and(given),
        };
        match hold.release(given) {
            Ok(value) => Ok(value),
            Err(error) => number::of_error(error, limit),
        }
    }
}

async fn asked(hold: &Hold<'_>, sql: &str, limit: Duration) -> Result<Fact<f64>, DatabaseError> {
    hold.run(&format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL statement_timeout = {}",
        limit.as_millis()
    ))
    .await?;
    select::see_public(hold).await?;
    let rows = select::rows(hold, sql, number::ROWS).await?;
    Ok(number::of_rows(&rows))
}
