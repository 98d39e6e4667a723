//! The claim: whose a database is. It is the mark on the group's account, which names the database; so several
//! owners can share a server. A database that is restored under another name bears no claim there.

use dbop_credentials::names;
use dbop_database::{DatabaseError, Scope};
use dbop_model::{Claim, ClaimOwner, Engine, ForeignObject, MissingPrivilege};

use crate::connect::Server;
use crate::grants;
use crate::link::Hold;
use crate::mark::Mark;
use crate::roles::{self, Account, Admin, Marked};
use crate::{lock, parse, query};

/// How long the claim's turn is waited for: claiming is two statements.
const TURN_SECONDS: u64 = 10;

/// Whose the database is, as `asking` sees it. Another's claim goes before one's own: where both are on the
/// database, nothing is written.
pub(crate) fn seen_by(marked: &Marked, database: &str, asking: &ClaimOwner) -> Claim {
    let mut ours = None;
    for account in marked.all() {
        let Mark::Group {
            claim,
            owner,
            database: of,
        } = &account.mark
        else {
            continue;
        };
        if of != database {
            continue;
        }
        if owner != asking {
            return Claim::Elsewhere {
                id: claim.clone(),
                owner: owner.clone(),
            };
        }
        // Where there are several, the first counts.
        ours.get_or_insert_with(|| claim.clone());
    }
    ours.map_or(Claim::None, Claim::Ours)
}

/// Refuses what is to be written under a claim that is not on the database, or not its owner's; gives all
/// marked accounts.
pub(crate) async fn hold_claim(
    hold: &Hold<'_>,
    scope: &Scope,
    server: &Server,
) -> Result<Marked, DatabaseError> {
    let marked = Marked::read(hold, server.engine).await?;
    match seen_by(&marked, &server.database, &scope.owner) {
        Claim::Ours(id) if id == scope.claim => Ok(marked),
        Claim::Ours(id) => Err(foreign("claim", id.as_str())),
        Claim::Elsewhere { owner, .. } => Err(foreign("claim", &owner.to_string())),
        Claim::None => Err(no_claim(hold, scope)),
    }
}

fn no_claim(hold: &Hold<'_>, scope: &Scope) -> DatabaseError {
    DatabaseError::Server {
        operation: hold.operation(),
        code: "42704".to_owned(),
        message: format!("the database bears no claim {}", scope.claim),
    }
}

/// Marks the database.
pub(crate) async fn claim(
    hold: &Hold<'_>,
    scope: &Scope,
    server: &Server,
) -> Result<(), DatabaseError> {
    let admin = roles::admin(hold).await?;
    if let Some(missing) = missing(&admin, server).into_iter().next() {
        return Err(DatabaseError::Privilege(missing));
    }
    take_turn(hold, server).await?;
    let claimed = in_turn(hold, scope, server).await;
    give_turn(hold, server, claimed).await
}

async fn in_turn(hold: &Hold<'_>, scope: &Scope, server: &Server) -> Result<(), DatabaseError> {
    let marked = Marked::read(hold, server.engine).await?;
    match seen_by(&marked, &server.database, &scope.owner) {
        Claim::Elsewhere { owner, .. } => return Err(foreign("claim", &owner.to_string())),
        Claim::Ours(id) if id != scope.claim => return Err(foreign("claim", id.as_str())),
        Claim::Ours(_) | Claim::None => {}
    }
    let mark = Mark::Group {
        claim: scope.claim.clone(),
        owner: scope.owner.clone(),
        database: server.database.clone(),
    };
    let there = marked.all().find(|account| is_group_of(account, scope));
    match there {
        Some(account) if account.mark == mark && account.is_there => Ok(()),
        // A mark of MariaDB's without its account: one of us was interrupted, or a person dropped it.
        Some(account) if account.mark == mark => {
            roles::create(hold, server.engine, &account.name, &mark, true).await
        }
        Some(account) => Err(foreign("role", &account.name)),
        None => {
            let name = names::group_role(server.engine, &scope.owner.object, &scope.claim);
            roles::create(hold, server.engine, name.as_str(), &mark, true).await
        }
    }
}

fn is_group_of(account: &Account, scope: &Scope) -> bool {
    matches!(&account.mark, Mark::Group { claim, .. } if *claim == scope.claim)
}

/// Writes another owner into the mark.
pub(crate) async fn take_over(
    hold: &Hold<'_>,
    scope: &Scope,
    server: &Server,
) -> Result<(), DatabaseError> {
    take_turn(hold, server).await?;
    let taken = take_over_in_turn(hold, scope, server).await;
    give_turn(hold, server, taken).await
}

async fn take_over_in_turn(
    hold: &Hold<'_>,
    scope: &Scope,
    server: &Server,
) -> Result<(), DatabaseError> {
    let marked = Marked::read(hold, server.engine).await?;
    let is_here = |account: &&Account| {
        is_group_of(account, scope)
            && matches!(&account.mark, Mark::Group { database, .. } if *database == server.database)
    };
    let groups: Vec<&Account> = marked.all().filter(is_here).collect();
    let Some(group) = groups.first() else {
        return Err(no_claim(hold, scope));
    };
    let mark = Mark::Group {
        claim: scope.claim.clone(),
        owner: scope.owner.clone(),
        database: server.database.clone(),
    };
    if server.engine != Engine::MariaDb {
        return hold
            .run(&format!(
                "ALTER USER {} ATTRIBUTE {}",
                query::account(&group.name)?,
                query::plain_text(&mark.to_attribute())?
            ))
            .await;
    }
    // First the new mark, then away with the old: between the two the database is the old owner's and the new
    // one's, so that neither writes, and this is done again.
    roles::add_mark(hold, &group.name, &mark).await?;
    for old in groups.iter().filter(|group| group.mark != mark) {
        roles::remove_mark(hold, &old.name, &old.mark).await?;
    }
    Ok(())
}

/// Waits for the claim's turn, so that two owners cannot both find none.
async fn take_turn(hold: &Hold<'_>, server: &Server) -> Result<(), DatabaseError> {
    let turn = lock::name("claim", &server.database);
    let rows = hold.rows(&query::try_lock(&turn, TURN_SECONDS)?).await?;
    if parse::boolean(hold.operation(), &rows)? {
        return Ok(());
    }
    Err(DatabaseError::Timeout {
        operation: hold.operation(),
    })
}

async fn give_turn<T>(
    hold: &Hold<'_>,
    server: &Server,
    result: Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    if matches!(result, Err(DatabaseError::Lost { .. })) {
        return result;
    }
    hold.run(&query::unlock(&lock::name("claim", &server.database))?)
        .await?;
    result
}

/// What the admin lacks to claim the database and to work with it.
pub(crate) fn missing(admin: &Admin, server: &Server) -> Vec<MissingPrivilege> {
    let mut missing = Vec::new();
    if !admin.holds_everywhere("CREATE USER") {
        missing.push(MissingPrivilege {
            needed_for: "make logins".to_owned(),
            grant: format!("GRANT CREATE USER ON *.* TO {}", admin.shown()),
        });
    }
    let is_literal = server.names_are_literal;
    if !(admin.can_grant_on_database(is_literal)
        && admin.holds_on_database(is_literal, grants::MIGRATOR))
    {
        missing.push(MissingPrivilege {
            needed_for: "let logins and migrations into the database".to_owned(),
            grant: grant_on_database(admin, is_literal),
        });
    }
    missing
}

/// The statement that gives the admin its database.
pub(crate) fn grant_on_database(admin: &Admin, names_are_literal: bool) -> String {
    format!(
        "GRANT ALL PRIVILEGES ON {} TO {} WITH GRANT OPTION",
        query::whole(&admin.database, names_are_literal),
        admin.shown()
    )
}

/// What of the server's own tables the admin cannot read, without which nothing is known of accounts and grants.
pub(crate) async fn unreadable(
    hold: &Hold<'_>,
    admin: &Admin,
    engine: Engine,
) -> Result<Option<MissingPrivilege>, DatabaseError> {
    for (what, question) in query::catalogue(engine) {
        match hold.rows(question).await {
            Ok(_) => {}
            // Denied: on a table, a column, the schema.
            Err(DatabaseError::Server { code, .. })
                if matches!(code.as_str(), "1142" | "1143" | "1044") =>
            {
                return Ok(Some(MissingPrivilege {
                    needed_for: "see accounts and what they may do".to_owned(),
                    grant: format!("GRANT {what} TO {}", admin.shown()),
                }));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn foreign(kind: &str, name: &str) -> DatabaseError {
    DatabaseError::Foreign(ForeignObject {
        kind: kind.to_owned(),
        name: name.to_owned(),
    })
}
