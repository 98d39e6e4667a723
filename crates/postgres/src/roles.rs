//! Roles of ours: found by their marks, made with them, and made ready (owner and migrator).
//!
//! From PostgreSQL 16 the right to create roles gives no rights of the roles created: the admin gives them to
//! itself, with INHERIT and SET. Before, it makes itself a member (manual, section 22.4).

use std::collections::BTreeSet;

use dbop_credentials::names;
use dbop_database::{DatabaseError, Scope};
use dbop_model::{
    AccessPolicy, ClaimId, ClaimOwner, Engine, ForeignObject, LoginTurn, MigrationName,
    MissingPrivilege,
};

use crate::claim::{self, shown};
use crate::link::Hold;
use crate::mark::Mark;
use crate::parse::Values as _;
use crate::parse::{self, Admin, KnownRole, MarkedRole};
use crate::query;

/// The first version whose memberships have options of their own.
const MEMBERSHIP_OPTIONS_SINCE: u32 = 16;

/// The roles of one claim.
pub(crate) struct Marked {
    rows: Vec<MarkedRole>,
}

impl Marked {
    pub(crate) async fn read(
        hold: &Hold<'_>,
        claim: &ClaimId,
        group: &str,
    ) -> Result<Marked, DatabaseError> {
        let rows = hold.rows(&query::roles_of(claim, group)?).await?;
        let mut rows = parse::all(hold.operation(), &rows, parse::marked_role)?;
        rows.retain(|row| row.mark.as_ref().is_some_and(|mark| mark.claim() == claim));
        Ok(Marked { rows })
    }

    /// The roles with their marks.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&MarkedRole, &Mark)> {
        self.rows
            .iter()
            .filter_map(|row| Some((row, row.mark.as_ref()?)))
    }

    fn name_where(&self, is_it: impl Fn(&Mark) -> bool) -> Option<&str> {
        self.iter()
            .find(|(_, mark)| is_it(mark))
            .map(|(row, _)| row.name.as_str())
    }

    /// The role that owns the objects, where it is one of ours and there.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.name_where(|mark| matches!(mark, Mark::Owner { .. }))
    }

    /// The migrator, where it is there.
    pub(crate) fn migrator(&self) -> Option<&str> {
        self.name_where(|mark| matches!(mark, Mark::Migrator { .. }))
    }

    /// The login that users' queries run as, where it is there.
    pub(crate) fn reader(&self) -> Option<&str> {
        self.name_where(|mark| matches!(mark, Mark::Reader { .. }))
    }

    /// The login of a migration, where it is there.
    pub(crate) fn login(&self, wanted: &MigrationName, wanted_turn: LoginTurn) -> Option<&str> {
        self.name_where(|mark| match mark {
            Mark::Login {
                migration, turn, ..
            } => migration == wanted && *turn == wanted_turn,
            _ => false,
        })
    }

    /// Names that we would give, and which of these somebody else's roles bear.
    pub(crate) async fn foreign(
        &self,
        hold: &Hold<'_>,
        owner: &ClaimOwner,
        claim: &ClaimId,
        access: &AccessPolicy,
        migrations: &BTreeSet<MigrationName>,
    ) -> Result<Vec<ForeignObject>, DatabaseError> {
        let object = &owner.object;
        let mut wanted: Vec<(&str, String)> = Vec::new();
        if self.owner().is_none() && access.owner_role.is_none() {
            wanted.push(("role", names::owner_role(object, claim).to_string()));
        }
        if self.migrator().is_none() {
            wanted.push((
                "login",
                names::migrator(Engine::PostgreSql, object, claim).to_string(),
            ));
        }
        for migration in migrations {
            for turn in LoginTurn::ALL {
                if self.login(migration, turn).is_none() {
                    let engine = Engine::PostgreSql;
                    let name = names::login_in_turn(engine, object, migration, claim, turn);
                    wanted.push(("login", name.to_string()));
                }
            }
        }
        let there = known(hold, wanted.iter().map(|(_, name)| name.as_str()).collect()).await?;
        wanted.retain(|(_, name)| there.iter().any(|role| role.name == *name));
        let object = |(kind, name): (&str, String)| ForeignObject {
            kind: kind.to_owned(),
            name,
        };
        Ok(wanted.into_iter().map(object).collect())
    }
}

/// Who we are.
pub(crate) async fn admin(hold: &Hold<'_>) -> Result<Admin, DatabaseError> {
    parse::one(
        hold.operation(),
        &hold.rows(query::ADMIN).await?,
        parse::admin,
    )
}

/// Roles by name, those that are there.
pub(crate) async fn known(
    hold: &Hold<'_>,
    names: BTreeSet<&str>,
) -> Result<Vec<KnownRole>, DatabaseError> {
    let rows = hold.rows(&query::roles_named(&names)?).await?;
    parse::all(hold.operation(), &rows, parse::known_role)
}

/// Makes a role that nobody logs in to, with its mark, in the caller's transaction.
///
/// # Errors
/// [`DatabaseError::Foreign`] where the name is taken.
pub(crate) async fn create(
    hold: &Hold<'_>,
    name: &str,
    kind: &str,
    mark: &Mark,
) -> Result<(), DatabaseError> {
    let made = hold
        .run(&format!("CREATE ROLE {} NOLOGIN", query::name(name)?))
        .await;
    match made {
        // duplicate_object; or unique_violation, where another made it at the same moment.
        Err(DatabaseError::Server { code, .. }) if code == "42710" || code == "23505" => {
            let object = ForeignObject {
                kind: kind.to_owned(),
                name: name.to_owned(),
            };
            Err(DatabaseError::Foreign(object))
        }
        Err(other) => Err(other),
        Ok(()) => hold.run(&comment(name, mark)?).await,
    }
}

/// The statement that marks a role.
pub(crate) fn comment(name: &str, mark: &Mark) -> Result<String, DatabaseError> {
    Ok(format!(
        "COMMENT ON ROLE {} IS {}",
        query::name(name)?,
        query::text(&mark.to_comment())?
    ))
}

/// The statement by which the admin gets the rights of a role: to see its sessions, to give away what it owns.
pub(crate) fn take_rights(name: &str, major: u32) -> Result<String, DatabaseError> {
    let options = if major >= MEMBERSHIP_OPTIONS_SINCE {
        " WITH INHERIT TRUE, SET TRUE"
    } else {
        ""
    };
    Ok(format!(
        "GRANT {} TO CURRENT_USER{options}",
        query::name(name)?
    ))
}

/// The statement that makes `member` a member of `role`; `acts`: it may also act as it.
pub(crate) fn join(
    role: &str,
    member: &str,
    acts: bool,
    major: u32,
) -> Result<String, DatabaseError> {
    let options = match (major >= MEMBERSHIP_OPTIONS_SINCE, acts) {
        (true, true) => " WITH INHERIT TRUE, SET TRUE",
        (true, false) => " WITH INHERIT TRUE, SET FALSE",
        (false, _) => "",
    };
    Ok(format!(
        "GRANT {} TO {}{options}",
        query::name(role)?,
        query::name(member)?
    ))
}

/// What is to be done so that owner and migrator are there and can do their work.
#[derive(Default)]
pub(crate) struct RolesPlan {
    /// The role that owns the objects: the user's or ours, there or yet to be made.
    pub(crate) owner: String,
    /// Roles to be made, each with its mark.
    pub(crate) new: Vec<(String, &'static str, Mark)>,
    /// Statements after that.
    pub(crate) statements: Vec<String>,
    /// What the admin lacks for it.
    pub(crate) missing: Vec<MissingPrivilege>,
}

impl RolesPlan {
    /// Is there nothing to do?
    pub(crate) fn is_done(&self) -> bool {
        self.new.is_empty() && self.statements.is_empty() && self.missing.is_empty()
    }
}

/// Plans for a claim and its group role.
pub(crate) async fn plan(
    hold: &Hold<'_>,
    scope: &Scope,
    group: &str,
    marked: &Marked,
    admin: &Admin,
    major: u32,
) -> Result<RolesPlan, DatabaseError> {
    let mut plan = RolesPlan {
        missing: claim::missing(admin),
        ..RolesPlan::default()
    };
    let database = query::name(&admin.database)?;
    plan.missing
        .extend(unadministered(hold, marked, admin, major).await?);
    if on_database(hold, group)
        .await?
        .is_none_or(|(may_connect, _)| !may_connect)
    {
        plan.statements.push(format!(
            "GRANT CONNECT ON DATABASE {database} TO {}",
            query::name(group)?
        ));
    }

    match &scope.access.owner_role {
        Some(theirs) => {
            plan.owner = theirs.as_str().to_owned();
            plan.missing
                .extend(missing_of_owner(hold, &plan.owner, admin, major).await?);
        }
        None => {
            let claim = scope.claim.clone();
            plan.owner = match marked.owner() {
                Some(there) => there.to_owned(),
                None => names::owner_role(&scope.owner.object, &claim)
                    .as_str()
                    .to_owned(),
            };
            if marked.owner().is_none() {
                plan.new
                    .push((plan.owner.clone(), "role", Mark::Owner { claim }));
                plan.statements.push(take_rights(&plan.owner, major)?);
            } else if !known(hold, [plan.owner.as_str()].into())
                .await?
                .iter()
                .any(|r| r.is_inherited)
            {
                plan.statements.push(take_rights(&plan.owner, major)?);
            }
            if on_database(hold, &plan.owner)
                .await?
                .is_none_or(|(_, may_create)| !may_create)
            {
                plan.statements.push(format!(
                    "GRANT CREATE, TEMPORARY ON DATABASE {database} TO {}",
                    query::name(&plan.owner)?
                ));
            }
        }
    }
    plan_migrator(hold, &mut plan, scope, marked, &database, major).await?;
    Ok(plan)
}

async fn plan_migrator(
    hold: &Hold<'_>,
    plan: &mut RolesPlan,
    scope: &Scope,
    marked: &Marked,
    database: &str,
    major: u32,
) -> Result<(), DatabaseError> {
    let migrator = match marked.migrator() {
        Some(there) => there.to_owned(),
        None => {
            let claim = scope.claim.clone();
            let name = names::migrator(Engine::PostgreSql, &scope.owner.object, &claim)
                .as_str()
                .to_owned();
            plan.new
                .push((name.clone(), "login", Mark::Migrator { claim }));
            plan.statements.push(take_rights(&name, major)?);
            name
        }
    };
    let rows = hold
        .rows(&query::migrator(&migrator, &plan.owner, major)?)
        .await?;
    let state = parse::first(hold.operation(), &rows, |c| {
        Ok((c.boolean()?, c.boolean()?, c.boolean()?, c.boolean()?))
    })?;
    // Where one of the two is yet to be made, nothing of it is so.
    let (is_member, acts_as_owner, may_connect, owns) = state.unwrap_or_default();
    let quoted = query::name(&migrator)?;
    if !is_member {
        plan.statements
            .push(join(&plan.owner, &migrator, true, major)?);
    }
    if !acts_as_owner {
        // What it makes belongs to the owner role, whatever the migration's tool does.
        plan.statements.push(format!(
            "ALTER ROLE {quoted} IN DATABASE {database} SET role TO {}",
            query::text(&plan.owner)?
        ));
    }
    if !may_connect {
        plan.statements
            .push(format!("GRANT CONNECT ON DATABASE {database} TO {quoted}"));
    }
    if owns {
        // Made after a SET ROLE NONE: the next run, as the owner, could not change it.
        plan.statements.push(format!(
            "REASSIGN OWNED BY {quoted} TO {}",
            query::name(&plan.owner)?
        ));
    }
    Ok(())
}

/// Connects by a grant of its own; creates. `None`: there is no such role.
async fn on_database(hold: &Hold<'_>, role: &str) -> Result<Option<(bool, bool)>, DatabaseError> {
    let rows = hold.rows(&query::on_database(role)?).await?;
    parse::first(hold.operation(), &rows, |c| {
        Ok((c.boolean()?, c.boolean()?))
    })
}

/// What the admin lacks to work through the user's own role.
pub(crate) async fn missing_of_owner(
    hold: &Hold<'_>,
    owner: &str,
    admin: &Admin,
    major: u32,
) -> Result<Vec<MissingPrivilege>, DatabaseError> {
    let (role, name) = (shown(owner), shown(&admin.name));
    let needs = |needed_for: String, grant| Ok(vec![MissingPrivilege { needed_for, grant }]);
    let there = known(hold, [owner].into()).await?;
    let Some(known) = there.first() else {
        return needs(
            format!("own objects as {role} (migrations.ownerRole), which does not exist"),
            format!("CREATE ROLE {role} NOLOGIN"),
        );
    };
    let options = if major >= MEMBERSHIP_OPTIONS_SINCE {
        " WITH ADMIN TRUE, INHERIT TRUE, SET TRUE"
    } else {
        ""
    };
    if let Some(why) = too_mighty(hold, owner, admin).await? {
        let made =
            format!("CREATE ROLE \"app_owner\" NOLOGIN; GRANT \"app_owner\" TO {name}{options}");
        return needs(
            format!(
                "run migrations without more rights than over their own objects ({why}; give the objects to a \
                 role that is none, and name that one)"
            ),
            match known.is_superuser {
                // What the server itself needs is a superuser's, too: which objects are meant, a person knows.
                true => made,
                false => format!("{made}; REASSIGN OWNED BY {role} TO \"app_owner\""),
            },
        );
    }
    let can_give = known.is_administered
        || admin.is_superuser
        || (major < MEMBERSHIP_OPTIONS_SINCE && !known.is_superuser);
    if known.is_inherited && can_give {
        return Ok(Vec::new());
    }
    let grant = if known.is_superuser && options.is_empty() {
        format!("GRANT {role} TO {name} WITH ADMIN OPTION")
    } else {
        format!("GRANT {role} TO {name}{options}")
    };
    needs(
        format!("work through {role} (migrations.ownerRole), which owns the objects"),
        grant,
    )
}

/// Why migrations must not work as a role: whoever may edit a ManagedDatabase names it, and a migration may do all that it
/// may.
async fn too_mighty(
    hold: &Hold<'_>,
    owner: &str,
    admin: &Admin,
) -> Result<Option<String>, DatabaseError> {
    let role = shown(owner);
    if owner == admin.name {
        return Ok(Some(format!(
            "migrations.ownerRole is {role}, the admin itself"
        )));
    }
    let rows = hold.rows(&query::too_mighty(owner)?).await?;
    parse::first(hold.operation(), &rows, |c| {
        let (name, what) = (c.text()?.to_owned(), c.text()?.to_owned());
        Ok(match name == owner {
            true => format!("migrations.ownerRole is {role}, {what}"),
            false => format!(
                "migrations.ownerRole is {role}, which may become {}, {what}",
                shown(&name)
            ),
        })
    })
}

/// Roles of ours that another admin made: from 16 only who administers a role can change it.
async fn unadministered(
    hold: &Hold<'_>,
    marked: &Marked,
    admin: &Admin,
    major: u32,
) -> Result<Vec<MissingPrivilege>, DatabaseError> {
    if major < MEMBERSHIP_OPTIONS_SINCE || admin.is_superuser {
        return Ok(Vec::new());
    }
    let ours = marked.iter().map(|(row, _)| row.name.as_str()).collect();
    let mut lacking = known(hold, ours).await?;
    lacking.retain(|role| !role.is_administered);
    if lacking.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = lacking.iter().map(|role| shown(&role.name)).collect();
    Ok(vec![MissingPrivilege {
        needed_for: "change the roles that another admin made".to_owned(),
        grant: format!(
            "GRANT {} TO {} WITH ADMIN TRUE, INHERIT TRUE, SET TRUE",
            names.join(", "),
            shown(&admin.name)
        ),
    }])
}
