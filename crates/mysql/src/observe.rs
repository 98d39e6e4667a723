//! One look: everything a pass needs to know, nothing written. The server's catalogue has no snapshots, so a look is
//! a row of them; what it decides on is looked at again before it is done.

use std::collections::{BTreeMap, BTreeSet};

use dbop_database::{DatabaseError, Look, Scope};
use dbop_model::{Claim, DatabaseFacts, Fact, LoginFacts, LoginName, MigratorFacts, Session, Why};

use crate::claim;
use crate::connect::Server;
use crate::grants::{self, GrantsPlan, Parties};
use crate::link::Hold;
use crate::logins;
use crate::mark::Mark;
use crate::roles::{self, Admin, Marked};
use crate::sessions::{self, Counters};
use crate::{parse, query, replica, version};

/// Looks.
pub(crate) async fn observe(
    hold: &Hold<'_>,
    look: &Look,
    server: &Server,
    counters: &Counters,
) -> Result<DatabaseFacts, DatabaseError> {
    let admin = roles::admin(hold).await?;
    if let Some(missing) = claim::unreadable(hold, &admin, server.engine).await? {
        return Err(DatabaseError::Privilege(missing));
    }
    let marked = Marked::read(hold, server.engine).await?;
    let (version, locks) = version::read(hold, &look.version_source, server).await?;
    let mut facts = DatabaseFacts {
        server: server.info(),
        admin: admin.name.clone(),
        claim: claim::seen_by(&marked, &server.database, &look.owner),
        version,
        locks,
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
    match facts.claim.clone() {
        Claim::Ours(id) => {
            let scope = Scope {
                owner: look.owner.clone(),
                claim: id,
                access: look.access.clone(),
            };
            let eyes = Eyes {
                hold,
                server,
                counters,
            };
            ours(&eyes, look, &scope, &marked, &admin, &mut facts).await?;
        }
        claim @ (Claim::Elsewhere { .. } | Claim::None) => {
            if claim == Claim::None {
                facts.missing = claim::missing(&admin, server);
            }
            let nobody = Parties {
                logins: BTreeSet::new(),
                base: grants::BASE,
                migrator: None,
                access: &look.access,
            };
            facts.has_tables = grants::plan(hold, server, &nobody).await?.has_tables;
        }
    }
    let unmanaged = query::unmanaged(&server.database, &facts.accounts())?;
    let rows = hold.rows(&unmanaged).await?;
    facts.unmanaged = Fact::Known(parse::unmanaged(hold.operation(), &rows)?);
    Ok(facts)
}

/// What a look looks with.
struct Eyes<'a> {
    hold: &'a Hold<'a>,
    server: &'a Server,
    counters: &'a Counters,
}

/// What is seen where the claim is ours.
async fn ours(
    eyes: &Eyes<'_>,
    look: &Look,
    scope: &Scope,
    marked: &Marked,
    admin: &Admin,
    facts: &mut DatabaseFacts,
) -> Result<(), DatabaseError> {
    let (hold, server, claim) = (eyes.hold, eyes.server, &scope.claim);
    facts.foreign = marked
        .foreign(hold, server.engine, &scope.owner, claim, &look.migrations)
        .await?;
    let roles = roles::plan(scope, marked, admin, server);
    let parties = Parties {
        logins: marked.logins(claim).map(|a| a.name.as_str()).collect(),
        base: grants::BASE,
        migrator: marked.migrator(claim).map(|a| a.name.as_str()),
        access: &look.access,
    };
    let plan = grants::plan(hold, server, &parties).await?;
    accounts(eyes, marked, scope, &plan, facts).await?;
    facts.has_tables = plan.has_tables;
    facts.roles_ready = roles.is_done() && plan.is_done();
    facts.missing = roles.missing;
    Ok(())
}

/// The logins and the migrator, with their sessions.
async fn accounts(
    eyes: &Eyes<'_>,
    marked: &Marked,
    scope: &Scope,
    plan: &GrantsPlan,
    facts: &mut DatabaseFacts,
) -> Result<(), DatabaseError> {
    let hold = eyes.hold;
    let is_account = |mark: &Mark| matches!(mark, Mark::Login { .. } | Mark::Migrator { .. });
    let names = marked
        .of(&scope.claim)
        .filter(|account| is_account(&account.mark))
        .map(|account| logins::parsed(hold, &account.name))
        .collect::<Result<BTreeSet<_>, _>>()?;
    let mut sessions = match sessions::of(hold, &names, eyes.server, eyes.counters).await {
        Ok(sessions) => Ok(sessions),
        Err(denied @ DatabaseError::Privilege(_)) => Err(Why::new(denied.to_string())),
        Err(error) => return Err(error),
    };
    let mut of = |name: &LoginName| -> Fact<Vec<Session>> {
        match &mut sessions {
            Ok(sessions) => Fact::Known(sessions.remove(name).unwrap_or_default()),
            Err(why) => Fact::Unknown(why.clone()),
        }
    };
    for account in marked.of(&scope.claim) {
        let name = logins::parsed(hold, &account.name)?;
        match &account.mark {
            Mark::Login {
                migration, turn, ..
            } => {
                let login = LoginFacts {
                    turn: *turn,
                    locked: account.is_locked,
                    granted: !plan.unready.contains(&account.name),
                    sessions: of(&name),
                    name,
                };
                facts.add_login(migration.clone(), login);
            }
            Mark::Migrator { .. } => {
                facts.migrator = Some(MigratorFacts {
                    open: !account.is_locked,
                    sessions: of(&name),
                    name,
                });
            }
            Mark::Reader { .. } => facts.reader = Some(name),
            Mark::Group { .. } => {}
        }
    }
    Ok(())
}
