//! Preparing: roles first, then grants in rounds until none is left. Each round is a transaction, so that a
//! large database is not held up by one; what a round has done stays done.

use dbop_database::{DatabaseError, Scope};

use crate::claim::hold_claim;
use crate::grants::{self, Parties};
use crate::link::{Hold, in_transaction};
use crate::roles::{self, Marked};

/// Each round takes up to [`crate::query::OBJECTS_PER_ROUND`] relations: a million, far beyond any database,
/// and an end where something gives no way.
const ROUNDS_MAX: usize = 500;

/// Makes owner and migrator where missing, and applies all grants.
pub(crate) async fn prepare(
    hold: &Hold<'_>,
    scope: &Scope,
    major: u32,
) -> Result<(), DatabaseError> {
    in_transaction!(hold, prepare_roles(hold, scope, major))?;
    let mut before = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let done = in_transaction!(hold, prepare_grants(hold, scope))?;
        let Some(first) = done.first() else {
            return Ok(());
        };
        if done == before {
            return Err(DatabaseError::Server {
                operation: hold.operation(),
                code: "01000".to_owned(),
                message: format!("the server took this statement without any effect: {first}"),
            });
        }
        before = done;
    }
    Ok(())
}

async fn prepare_roles(hold: &Hold<'_>, scope: &Scope, major: u32) -> Result<(), DatabaseError> {
    let group = hold_claim(hold, scope).await?;
    let marked = Marked::read(hold, &scope.claim, &group).await?;
    let admin = roles::admin(hold).await?;
    let plan = roles::plan(hold, scope, &group, &marked, &admin, major).await?;
    if let Some(missing) = plan.missing.into_iter().next() {
        return Err(DatabaseError::Privilege(missing));
    }
    for (name, kind, mark) in &plan.new {
        roles::create(hold, name, kind, mark).await?;
    }
    for statement in &plan.statements {
        hold.run(statement).await?;
    }
    Ok(())
}

/// One round; gives the statements that it took.
async fn prepare_grants(hold: &Hold<'_>, scope: &Scope) -> Result<Vec<String>, DatabaseError> {
    let group = hold_claim(hold, scope).await?;
    let marked = Marked::read(hold, &scope.claim, &group).await?;
    let admin = roles::admin(hold).await?;
    let owner = match &scope.access.owner_role {
        Some(theirs) => Some(theirs.as_str()),
        None => marked.owner(),
    };
    let parties = Parties {
        admin: &admin,
        group: Some(&group),
        owner,
        access: &scope.access,
    };
    let plan = grants::plan(hold, &parties).await?;
    if let Some(missing) = plan.missing.into_iter().next() {
        return Err(DatabaseError::Privilege(missing));
    }
    for statement in &plan.statements {
        hold.run(statement).await?;
    }
    Ok(plan.statements)
}
