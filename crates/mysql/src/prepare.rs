//! Preparing: accounts first, then grants in rounds until none is left. What a statement has done stays done, and
//! what is left is seen again in the next round.

use dbop_database::{DatabaseError, Scope};

use crate::claim::hold_claim;
use crate::connect::Server;
use crate::grants::{self, Parties};
use crate::link::Hold;
use crate::roles;

/// One round gives all; another finds what was made meanwhile, and one more that nothing is left.
const ROUNDS_MAX: usize = 10;

/// Makes group and migrator where missing, and applies all grants.
pub(crate) async fn prepare(
    hold: &Hold<'_>,
    scope: &Scope,
    server: &Server,
) -> Result<(), DatabaseError> {
    let marked = hold_claim(hold, scope, server).await?;
    let admin = roles::admin(hold).await?;
    let plan = roles::plan(scope, &marked, &admin, server);
    if let Some(missing) = plan.missing.into_iter().next() {
        return Err(DatabaseError::Privilege(missing));
    }
    for (name, mark) in &plan.new {
        roles::create(hold, server.engine, name, mark, true).await?;
    }
    let mut before = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let done = prepare_grants(hold, scope, server).await?;
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

/// One round; gives the statements that it took.
async fn prepare_grants(
    hold: &Hold<'_>,
    scope: &Scope,
    server: &Server,
) -> Result<Vec<String>, DatabaseError> {
    let marked = hold_claim(hold, scope, server).await?;
    let claim = &scope.claim;
    let parties = Parties {
        logins: marked.logins(claim).map(|a| a.name.as_str()).collect(),
        base: grants::BASE,
        migrator: marked.migrator(claim).map(|a| a.name.as_str()),
        access: &scope.access,
    };
    let plan = grants::plan(hold, server, &parties).await?;
    grants::carry_out(hold, &plan).await?;
    Ok(plan.statements)
}
