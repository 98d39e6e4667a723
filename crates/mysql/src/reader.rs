//! The reader: the login that users' queries run as, and a session of it. It may read what applications may use, and
//! nothing else. What is made later it may not read before it is made sure of again: these servers know no default
//! privileges.

use std::time::Duration;

use async_trait::async_trait;
use dbop_credentials::names;
use dbop_database::{DatabaseError, Reader, Scope, number};
use dbop_model::{AccessPolicy, Engine, Fact, LoginName, Privilege};

use crate::claim::{self, hold_claim};
use crate::connect::Server;
use crate::grants::{self, Parties};
use crate::link::{Hold, Link};
use crate::mark::Mark;
use crate::{logins, query, roles, select};

/// Makes the login with this password, and gives it what it may read. A new one has a password that nobody knows until
/// it has its grants.
pub(crate) async fn ensure(
    hold: &Hold<'_>,
    scope: &Scope,
    identified: &str,
    server: &Server,
) -> Result<LoginName, DatabaseError> {
    let marked = hold_claim(hold, scope, server).await?;
    let admin = roles::admin(hold).await?;
    if let Some(missing) = claim::missing(&admin, server).into_iter().next() {
        return Err(DatabaseError::Privilege(missing));
    }
    let login = match marked.reader(&scope.claim) {
        Some(there) => logins::parsed(hold, &there.name)?,
        None => {
            let mark = Mark::Reader {
                claim: scope.claim.clone(),
            };
            let login = names::reader(server.engine, &scope.owner.object, &scope.claim);
            roles::create(hold, server.engine, login.as_str(), &mark, false).await?;
            login
        }
    };
    let access = AccessPolicy {
        privileges: [Privilege::Select].into(),
        ..scope.access.clone()
    };
    let parties = Parties {
        logins: [login.as_str()].into(),
        // Routines run with their definers' rights: it calls none.
        base: &[],
        migrator: None,
        access: &access,
    };
    let plan = grants::plan(hold, server, &parties).await?;
    grants::carry_out(hold, &plan).await?;
    hold.run_secret(&format!(
        "ALTER USER {} {identified} PASSWORD EXPIRE NEVER ACCOUNT UNLOCK",
        query::account(login.as_str())?
    ))
    .await?;
    Ok(login)
}

/// Drops the login, and its mark.
pub(crate) async fn drop(
    hold: &Hold<'_>,
    scope: &Scope,
    server: &Server,
) -> Result<(), DatabaseError> {
    let marked = hold_claim(hold, scope, server).await?;
    if let Some(reader) = marked.reader(&scope.claim) {
        hold.run(&format!("DROP USER {}", query::account(&reader.name)?))
            .await?;
    }
    if server.engine == Engine::MariaDb {
        let is_readers =
            |mark: &Mark| matches!(mark, Mark::Reader { claim } if *claim == scope.claim);
        for left in marked.all().filter(|account| is_readers(&account.mark)) {
            roles::remove_mark(hold, &left.name, &left.mark).await?;
        }
    }
    Ok(())
}

/// A session of the reader.
pub(crate) struct Session {
    link: Link,
    engine: Engine,
}

impl Session {
    pub(crate) fn new(link: Link, engine: Engine) -> Self {
        Self { link, engine }
    }
}

#[async_trait]
impl Reader for Session {
    async fn number(&self, sql: &str, limit: Duration) -> Result<Fact<f64>, DatabaseError> {
        let hold = self.link.hold("spec.metrics.sqlQuery").await?;
        let given = asked(&hold, sql, limit, self.engine).await;
        match hold.release(given) {
            Ok(value) => Ok(value),
            Err(error) => number::of_error(error, limit),
        }
    }
}

async fn asked(
    hold: &Hold<'_>,
    sql: &str,
    limit: Duration,
    engine: Engine,
) -> Result<Fact<f64>, DatabaseError> {
    select::limit(hold, engine, limit).await?;
    let rows = select::rows(hold, sql, number::ROWS).await?;
    Ok(number::of_rows(&rows))
}
