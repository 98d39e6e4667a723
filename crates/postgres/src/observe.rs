//! One look: everything a pass needs to know, from one snapshot of the catalogue, nothing written.

use std::collections::{BTreeMap, BTreeSet};

use dbop_database::{DatabaseError, Look, Scope};
use dbop_model::{
    Claim, DatabaseFacts, Fact, LoginFacts, LoginName, MigratorFacts, MissingPrivilege, Session,
    UnmanagedLogin,
};

use crate::claim::{self, Claims};
use crate::connect::Server;
use crate::grants::{self, GrantsPlan, Parties};
use crate::link::Hold;
use crate::mark::Mark;
use crate::parse::{self, Admin};
use crate::roles::{self, Marked};
use crate::{query, replica, sessions, version};

/// Looks, in a transaction of its own.
pub(crate) async fn observe(
    hold: &Hold<'_>,
    look: &Look,
    server: &Server,
) -> Result<DatabaseFacts, DatabaseError> {
    hold.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    let facts = in_snapshot(hold, look, server).await;
    match hold.run("ROLLBACK").await {
        Ok(()) => facts,
        Err(_) => Err(DatabaseError::Lost {
            operation: hold.operation(),
        }),
    }
}

async fn in_snapshot(
    hold: &Hold<'_>,
    look: &Look,
    server: &Server,
) -> Result<DatabaseFacts, DatabaseError> {
    let admin = roles::admin(hold).await?;
    let claims = Claims::seen(hold, &look.owner).await?;
    let (claim, group) = claims.seen_by(&look.owner);
    let mut facts = DatabaseFacts {
        server: server.info(),
        admin: admin.name.clone(),
        claim,
        version: version::read(hold, &look.version_source).await?,
        locks: version::locks(hold, &look.version_source).await?,
        has_tables: false,
        logins: BTreeMap::new(),
        replaced: BTreeMap::new(),
        migrator: None,
        roles_ready: false,
        replication: Fact::Known(replica::replication(hold).await?),
        unmanaged: Fact::Known(Vec::new()),
        reader: None,
        missing: Vec::new(),
        foreign: Vec::new(),
    };
    let plan = match (facts.claim.clone(), group) {
        (Claim::Ours(id), Some(group)) => {
            let scope = Scope {
                owner: look.owner.clone(),
                claim: id,
                access: look.access.clone(),
            };
            ours(hold, look, server, &scope, group, &admin, &mut facts).await?
        }
        (Claim::Elsewhere { .. }, _) => grants_of(hold, look, &admin, None, None).await?,
        (Claim::None | Claim::Ours(_), _) => {
            facts.missing = claim::missing(&admin);
            let theirs = look.access.owner_role.as_ref().map(|role| role.as_str());
            if let Some(owner) = theirs {
                let missing = roles::missing_of_owner(hold, owner, &admin, server.major).await?;
                facts.missing.extend(missing);
            }
            grants_of(hold, look, &admin, None, theirs).await?
        }
    };
    facts.has_tables = plan.has_tables;
    facts.unmanaged = Fact::Known(unmanaged(hold, &facts).await?);
    if !matches!(facts.claim, Claim::Elsewhere { .. }) {
        merge(&mut facts.missing, plan.missing);
    }
    Ok(facts)
}

/// What is seen where the claim is ours.
async fn ours(
    hold: &Hold<'_>,
    look: &Look,
    server: &Server,
    scope: &Scope,
    group: &str,
    admin: &Admin,
    facts: &mut DatabaseFacts,
) -> Result<GrantsPlan, DatabaseError> {
    let marked = Marked::read(hold, &scope.claim, group).await?;
    accounts(hold, &marked, facts).await?;
    let (owner, claim) = (&scope.owner, &scope.claim);
    facts.foreign = marked
        .foreign(hold, owner, claim, &look.access, &look.migrations)
        .await?;
    let roles = roles::plan(hold, scope, group, &marked, admin, server.major).await?;
    let is_there = roles.new.iter().all(|(name, _, _)| *name != roles.owner);
    let there = is_there.then_some(roles.owner.as_str());
    let plan = grants_of(hold, look, admin, Some(group), there).await?;
    facts.roles_ready = roles.is_done() && plan.is_done();
    facts.missing = roles.missing;
    Ok(plan)
}

/// Who else is connected.
async fn unmanaged(
    hold: &Hold<'_>,
    facts: &DatabaseFacts,
) -> Result<Vec<UnmanagedLogin>, DatabaseError> {
    let rows = hold.rows(&query::unmanaged(&facts.accounts())?).await?;
    parse::unmanaged(hold.operation(), &rows)
}

/// The logins and the migrator, with their sessions.
async fn accounts(
    hold: &Hold<'_>,
    marked: &Marked,
    facts: &mut DatabaseFacts,
) -> Result<(), DatabaseError> {
    let named = |name: &str| {
        LoginName::new(name).map_err(|error| DatabaseError::Unreadable {
            operation: hold.operation(),
            detail: format!("a login's name {error}"),
        })
    };
    let is_account = |mark: &Mark| matches!(mark, Mark::Login { .. } | Mark::Migrator { .. });
    let names = marked
        .iter()
        .filter(|(_, mark)| is_account(mark))
        .map(|(row, _)| named(&row.name))
        .collect::<Result<BTreeSet<_>, _>>()?;
    let mut sessions = sessions::of(hold, &names).await?;
    let mut of = |name: &LoginName| -> Fact<Vec<Session>> {
        Fact::Known(sessions.remove(name).unwrap_or_default())
    };
    for (row, mark) in marked.iter() {
        match mark {
            Mark::Login {
                migration, turn, ..
            } => {
                let name = named(&row.name)?;
                let login = LoginFacts {
                    turn: *turn,
                    locked: !row.can_login,
                    granted: row.is_granted,
                    sessions: of(&name),
                    name,
                };
                facts.add_login(migration.clone(), login);
            }
            Mark::Migrator { .. } => {
                let name = named(&row.name)?;
                facts.migrator = Some(MigratorFacts {
                    open: row.can_login,
                    sessions: of(&name),
                    name,
                });
            }
            Mark::Reader { .. } => facts.reader = Some(named(&row.name)?),
            Mark::Group { .. } | Mark::Owner { .. } => {}
        }
    }
    Ok(())
}

async fn grants_of(
    hold: &Hold<'_>,
    look: &Look,
    admin: &Admin,
    group: Option<&str>,
    owner: Option<&str>,
) -> Result<GrantsPlan, DatabaseError> {
    grants::plan(
        hold,
        &Parties {
            admin,
            group,
            owner,
            access: &look.access,
        },
    )
    .await
}

fn merge(missing: &mut Vec<MissingPrivilege>, more: Vec<MissingPrivilege>) {
    for privilege in more {
        if !missing.contains(&privilege) {
            missing.push(privilege);
        }
    }
}
