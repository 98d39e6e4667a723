//! The claim: whose a database is. It is the mark on a group role, tied to the database by the CONNECT
//! privilege; so it follows a database that is renamed, and several owners can share a server.

use dbop_credentials::names;
use dbop_database::{DatabaseError, Scope};
use dbop_model::{Claim, ClaimId, ClaimOwner, Engine, ForeignObject, MissingPrivilege};

use crate::link::Hold;
use crate::mark::{self, Mark};
use crate::parse::{self, Admin, Claimed};
use crate::{query, roles};

/// The claim's turn, as an advisory lock of its own ("dbop", 2): [`crate::lock`] has 1.
const TURN: (i32, i32) = (0x6462_6f70, 2);

/// What the marks on a server say of one database.
pub(crate) struct Claims {
    rows: Vec<Claimed>,
}

impl Claims {
    /// Those that are tied to the database, and `asking`'s own elsewhere.
    pub(crate) async fn seen(
        hold: &Hold<'_>,
        asking: &ClaimOwner,
    ) -> Result<Claims, DatabaseError> {
        Self::read(hold, &[mark::owned_by(&asking.object)]).await
    }

    /// The same, and the claim that is written, whoever has it.
    async fn written(hold: &Hold<'_>, scope: &Scope) -> Result<Claims, DatabaseError> {
        let marks = [
            mark::owned_by(&scope.owner.object),
            mark::of_claim(&scope.claim),
        ];
        Self::read(hold, &marks).await
    }

    async fn read(hold: &Hold<'_>, marks: &[String]) -> Result<Claims, DatabaseError> {
        let rows = hold.rows(&query::claims(marks)?).await?;
        Ok(Claims {
            rows: parse::all(hold.operation(), &rows, parse::claimed)?,
        })
    }

    /// Whose the database is, as `asking` sees it, and the group role that says so.
    ///
    /// Another's claim goes before one's own: where both are tied to the database, nothing is written. A claim
    /// of one's own that is tied to no database at all (it was restored without its privileges) goes on.
    pub(crate) fn seen_by(&self, asking: &ClaimOwner) -> (Claim, Option<&str>) {
        let marks = self.rows.iter().filter_map(|row| match &row.mark {
            Some(Mark::Group { claim, owner }) => Some((row, claim, owner)),
            _ => None,
        });
        let mut ours: Option<(&Claimed, &ClaimId)> = None;
        for (row, claim, owner) in marks {
            if row.is_here && owner != asking {
                let elsewhere = Claim::Elsewhere {
                    id: claim.clone(),
                    owner: owner.clone(),
                };
                return (elsewhere, Some(&row.group));
            }
            let counts = owner == asking && (row.is_here || !row.is_anywhere);
            // Where there are several, one that is tied counts, and then the first.
            if counts && ours.is_none_or(|(best, _)| row.is_here && !best.is_here) {
                ours = Some((row, claim));
            }
        }
        match ours {
            Some((row, claim)) => (Claim::Ours(claim.clone()), Some(&row.group)),
            None => (Claim::None, None),
        }
    }

    /// The group role of a claim, whoever its owner is.
    fn group_of(&self, claim: &ClaimId) -> Option<&Claimed> {
        let is_it =
            |row: &&Claimed| matches!(&row.mark, Some(Mark::Group { claim: c, .. }) if c == claim);
        self.rows.iter().find(is_it)
    }
}

/// Refuses what is to be written under a claim that is not on the database, or not its owner's; gives the
/// group role.
pub(crate) async fn hold_claim(hold: &Hold<'_>, scope: &Scope) -> Result<String, DatabaseError> {
    let claims = Claims::written(hold, scope).await?;
    match claims.seen_by(&scope.owner) {
        (Claim::Ours(id), Some(group)) if id == scope.claim => Ok(group.to_owned()),
        (Claim::Ours(id), _) => Err(foreign_claim(id.as_str())),
        (Claim::Elsewhere { owner, .. }, _) => Err(foreign_claim(&owner.to_string())),
        (Claim::None, _) => Err(DatabaseError::Server {
            operation: hold.operation(),
            code: "42704".to_owned(),
            message: format!("the database bears no claim {}", scope.claim),
        }),
    }
}

/// Marks the database, in the caller's transaction.
pub(crate) async fn claim(hold: &Hold<'_>, scope: &Scope) -> Result<(), DatabaseError> {
    hold.run(&query::claim_turn(TURN)).await?;
    let claims = Claims::written(hold, scope).await?;
    match claims.seen_by(&scope.owner) {
        (Claim::Elsewhere { owner, .. }, _) => return Err(foreign_claim(&owner.to_string())),
        (Claim::Ours(id), _) if id != scope.claim => return Err(foreign_claim(id.as_str())),
        (Claim::Ours(_) | Claim::None, _) => {}
    }
    let admin = roles::admin(hold).await?;
    if let Some(missing) = missing(&admin).into_iter().next() {
        return Err(DatabaseError::Privilege(missing));
    }
    let group = match claims.group_of(&scope.claim) {
        // It may have lost its tie to the database.
        Some(row)
            if row
                .mark
                .as_ref()
                .is_some_and(|m| is_owned_by(m, &scope.owner)) =>
        {
            row.group.clone()
        }
        Some(row) => return Err(foreign_role(&row.group)),
        None => {
            let group = names::group_role(Engine::PostgreSql, &scope.owner.object, &scope.claim);
            let mark = Mark::Group {
                claim: scope.claim.clone(),
                owner: scope.owner.clone(),
            };
            roles::create(hold, group.as_str(), "role", &mark).await?;
            group.as_str().to_owned()
        }
    };
    hold.run(&format!(
        "GRANT CONNECT ON DATABASE {} TO {}",
        query::name(&admin.database)?,
        query::name(&group)?
    ))
    .await
}

/// Writes another owner into the mark, in the caller's transaction.
pub(crate) async fn take_over(hold: &Hold<'_>, scope: &Scope) -> Result<(), DatabaseError> {
    hold.run(&query::claim_turn(TURN)).await?;
    let claims = Claims::written(hold, scope).await?;
    let Some(row) = claims.group_of(&scope.claim).filter(|row| row.is_here) else {
        return Err(DatabaseError::Server {
            operation: hold.operation(),
            code: "42704".to_owned(),
            message: format!("the database bears no claim {}", scope.claim),
        });
    };
    let mark = Mark::Group {
        claim: scope.claim.clone(),
        owner: scope.owner.clone(),
    };
    hold.run(&roles::comment(&row.group, &mark)?).await
}

/// What the admin lacks to claim the database.
pub(crate) fn missing(admin: &Admin) -> Vec<MissingPrivilege> {
    let mut missing = Vec::new();
    let name = shown(&admin.name);
    if !admin.is_superuser && !admin.can_create_roles {
        missing.push(MissingPrivilege {
            needed_for: "make logins and roles".to_owned(),
            grant: format!("ALTER ROLE {name} CREATEROLE"),
        });
    }
    if !(admin.can_grant_connect && admin.can_grant_create) {
        missing.push(MissingPrivilege {
            needed_for: "let logins connect and migrations create".to_owned(),
            grant: format!(
                "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {} TO {name} WITH GRANT OPTION",
                shown(&admin.database)
            ),
        });
    }
    missing
}

fn is_owned_by(mark: &Mark, asking: &ClaimOwner) -> bool {
    matches!(mark, Mark::Group { owner, .. } if owner == asking)
}

fn foreign_claim(name: &str) -> DatabaseError {
    let object = ForeignObject {
        kind: "claim".to_owned(),
        name: name.to_owned(),
    };
    DatabaseError::Foreign(object)
}

fn foreign_role(name: &str) -> DatabaseError {
    let object = ForeignObject {
        kind: "role".to_owned(),
        name: name.to_owned(),
    };
    DatabaseError::Foreign(object)
}

/// A name that the server gave, quoted for a statement that a person runs.
pub(crate) fn shown(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
