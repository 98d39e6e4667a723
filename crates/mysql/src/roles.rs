//! Accounts of ours: found by their marks, made with them, and made ready (the migrator).
//!
//! There are no roles with grants here: each login has its own. A session's roles are in its own hands (`SET
//! ROLE`), MariaDB lets only who writes to the schema `mysql` set another account's default role, and MySQL wants
//! the right to give any role to anybody; of privileges on tables, each change is in force at once.

use std::collections::BTreeSet;

use dbop_credentials::names;
use dbop_database::{DatabaseError, Scope};
use dbop_model::{
    ClaimId, ClaimOwner, Engine, ForeignObject, LoginTurn, MigrationName, MissingPrivilege,
};

use crate::connect::Server;
use crate::link::Hold;
use crate::mark::Mark;
use crate::parse::Values as _;
use crate::parse::{self, ALL, Held, KnownAccount, On};
use crate::{password, query};

/// The host of accounts of ours: any.
pub(crate) const HOST: &str = "%";

/// An account that bears a mark.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) mark: Mark,
    /// It is there: a mark of MariaDB's outlives it.
    pub(crate) is_there: bool,
    pub(crate) is_locked: bool,
}

/// The marked accounts of a server.
pub(crate) struct Marked {
    all: Vec<Account>,
}

impl Marked {
    pub(crate) async fn read(hold: &Hold<'_>, engine: Engine) -> Result<Marked, DatabaseError> {
        let operation = hold.operation();
        if engine != Engine::MariaDb {
            let rows = hold.rows(&query::marked_accounts()).await?;
            let rows = parse::all(operation, &rows, |c| {
                let (name, is_locked) = (c.text()?.to_owned(), c.boolean()?);
                let mark = Mark::of_attribute(c.text()?);
                Ok(mark.map(|mark| Account {
                    name,
                    mark,
                    is_there: true,
                    is_locked,
                }))
            })?;
            return Ok(Marked {
                all: rows.into_iter().flatten().collect(),
            });
        }
        let rows = hold.rows(&query::marking_roles()).await?;
        let roles = parse::all(operation, &rows, |c| c.text())?;
        let marks = Mark::of_roles(roles.into_iter());
        let names = marks.iter().map(|(name, _)| name.as_str()).collect();
        let known = known(hold, engine, &names).await?;
        let all = marks.iter().map(|(name, mark)| {
            let there = known
                .iter()
                .find(|account| account.name == *name && account.host == HOST);
            Account {
                name: name.clone(),
                mark: mark.clone(),
                is_there: there.is_some(),
                is_locked: there.is_some_and(|account| account.is_locked),
            }
        });
        Ok(Marked { all: all.collect() })
    }

    /// All marked accounts, of whatever claim.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Account> {
        self.all.iter()
    }

    /// The accounts of a claim that are there.
    pub(crate) fn of<'a>(&'a self, claim: &'a ClaimId) -> impl Iterator<Item = &'a Account> {
        self.all
            .iter()
            .filter(move |account| account.is_there && account.mark.claim() == claim)
    }

    fn find(&self, claim: &ClaimId, is_it: impl Fn(&Mark) -> bool) -> Option<&Account> {
        self.all
            .iter()
            .find(|a| a.is_there && a.mark.claim() == claim && is_it(&a.mark))
    }

    /// The migrator of a claim, where it is there.
    pub(crate) fn migrator(&self, claim: &ClaimId) -> Option<&Account> {
        self.find(claim, |mark| matches!(mark, Mark::Migrator { .. }))
    }

    /// The login that users' queries run as, where it is there.
    pub(crate) fn reader(&self, claim: &ClaimId) -> Option<&Account> {
        self.find(claim, |mark| matches!(mark, Mark::Reader { .. }))
    }

    /// The login of a migration, where it is there.
    pub(crate) fn login(
        &self,
        claim: &ClaimId,
        wanted: &MigrationName,
        wanted_turn: LoginTurn,
    ) -> Option<&Account> {
        self.find(claim, |mark| match mark {
            Mark::Login {
                migration, turn, ..
            } => migration == wanted && *turn == wanted_turn,
            _ => false,
        })
    }

    /// The logins of a claim that are there.
    pub(crate) fn logins<'a>(&'a self, claim: &'a ClaimId) -> impl Iterator<Item = &'a Account> {
        self.of(claim)
            .filter(|account| matches!(account.mark, Mark::Login { .. }))
    }

    /// Accounts of somebody else's that bear a name of ours, or would: those of other hosts too, as they take the
    /// clients of these hosts away from ours.
    pub(crate) async fn foreign(
        &self,
        hold: &Hold<'_>,
        engine: Engine,
        owner: &ClaimOwner,
        claim: &ClaimId,
        migrations: &BTreeSet<MigrationName>,
    ) -> Result<Vec<ForeignObject>, DatabaseError> {
        let object = &owner.object;
        let mut wanted: BTreeSet<String> = self.of(claim).map(|a| a.name.clone()).collect();
        let ours = wanted.clone();
        if self.migrator(claim).is_none() {
            wanted.insert(names::migrator(engine, object, claim).to_string());
        }
        for migration in migrations {
            for turn in LoginTurn::ALL {
                if self.login(claim, migration, turn).is_none() {
                    let name = names::login_in_turn(engine, object, migration, claim, turn);
                    wanted.insert(name.to_string());
                }
            }
        }
        let there = known(hold, engine, &wanted.iter().map(String::as_str).collect()).await?;
        Ok(there
            .iter()
            .filter(|account| {
                account.host != HOST || !(ours.contains(&account.name) || account.is_blank)
            })
            .map(foreign)
            .collect())
    }
}

fn foreign(account: &KnownAccount) -> ForeignObject {
    ForeignObject {
        kind: "login".to_owned(),
        name: if account.host == HOST {
            account.name.clone()
        } else {
            format!("{}@{}", account.name, account.host)
        },
    }
}

/// Accounts by name, those that are there, of whatever host.
pub(crate) async fn known(
    hold: &Hold<'_>,
    engine: Engine,
    names: &BTreeSet<&str>,
) -> Result<Vec<KnownAccount>, DatabaseError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let rows = hold.rows(&query::accounts_named(engine, names)?).await?;
    let mut known = parse::all(hold.operation(), &rows, parse::known_account)?;
    known.retain(|account| names.contains(account.name.as_str()));
    Ok(known)
}

/// Refuses a name that somebody else's account bears, at whatever host.
pub(crate) async fn refuse_foreign(
    hold: &Hold<'_>,
    engine: Engine,
    name: &str,
) -> Result<(), DatabaseError> {
    let there = known(hold, engine, &[name].into()).await?;
    match there.iter().find(|a| !(a.host == HOST && a.is_blank)) {
        Some(theirs) => Err(DatabaseError::Foreign(foreign(theirs))),
        None => Ok(()),
    }
}

/// Makes an account to which nobody can log in yet, with its mark.
///
/// On MySQL that is one statement. On MariaDB it is two; what is left between them bears a password's hash that no
/// password has, and is known by it.
///
/// # Errors
/// [`DatabaseError::Foreign`] where the name is taken.
pub(crate) async fn create(
    hold: &Hold<'_>,
    engine: Engine,
    name: &str,
    mark: &Mark,
    is_locked: bool,
) -> Result<(), DatabaseError> {
    refuse_foreign(hold, engine, name).await?;
    let lock = if is_locked { " ACCOUNT LOCK" } else { "" };
    let account = query::account(name)?;
    let identified = password::unusable(engine, name);
    if engine != Engine::MariaDb {
        let attribute = query::plain_text(&mark.to_attribute())?;
        let made = hold
            .run_secret(&format!(
                "CREATE USER {account} {identified} PASSWORD EXPIRE NEVER{lock} ATTRIBUTE {attribute}"
            ))
            .await;
        return made.map_err(|error| taken(error, name));
    }
    // One that is there is blank, as was seen just now.
    let made = hold
        .run_secret(&format!(
            "CREATE USER {account} {identified} PASSWORD EXPIRE NEVER{lock}"
        ))
        .await;
    if let Err(error) = made {
        match taken(error, name) {
            DatabaseError::Foreign(_) => refuse_foreign(hold, engine, name).await?,
            other => return Err(other),
        }
    }
    add_mark(hold, name, mark).await
}

/// ER_CANNOT_USER: another made it at the same moment.
fn taken(error: DatabaseError, name: &str) -> DatabaseError {
    match error {
        DatabaseError::Server { code, .. } if code == "1396" => {
            let (kind, name) = ("login".to_owned(), name.to_owned());
            DatabaseError::Foreign(ForeignObject { kind, name })
        }
        other => other,
    }
}

/// Marks an account of ours on MariaDB.
pub(crate) async fn add_mark(
    hold: &Hold<'_>,
    name: &str,
    mark: &Mark,
) -> Result<(), DatabaseError> {
    for role in mark.to_roles(name) {
        hold.run(&format!("CREATE ROLE IF NOT EXISTS {}", query::role(&role)))
            .await?;
    }
    Ok(())
}

/// Takes a mark away on MariaDB.
pub(crate) async fn remove_mark(
    hold: &Hold<'_>,
    name: &str,
    mark: &Mark,
) -> Result<(), DatabaseError> {
    for role in mark.to_roles(name) {
        hold.run(&format!("DROP ROLE IF EXISTS {}", query::role(&role)))
            .await?;
    }
    Ok(())
}

/// Who we are, and what we may do.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    pub(crate) name: String,
    host: String,
    pub(crate) database: String,
    held: Vec<Held>,
}

/// Looks it up. The server's answer can hold the hash of our own password: nothing of it is kept but privileges.
pub(crate) async fn admin(hold: &Hold<'_>) -> Result<Admin, DatabaseError> {
    let rows = hold.rows(query::ADMIN).await?;
    let (name, host, database) = parse::one(hold.operation(), &rows, |c| {
        Ok((
            c.text()?.to_owned(),
            c.text()?.to_owned(),
            c.text()?.to_owned(),
        ))
    })?;
    let rows = hold.rows(query::GRANTS).await?;
    let held = parse::all(hold.operation(), &rows, |c| Ok(parse::held(c.text()?)))?;
    Ok(Admin {
        name,
        host,
        database,
        held: held.into_iter().flatten().collect(),
    })
}

impl Admin {
    /// The account, quoted for a statement that a person runs.
    pub(crate) fn shown(&self) -> String {
        format!("{}@{}", query::role(&self.name), query::role(&self.host))
    }

    pub(crate) fn holds_everywhere(&self, privilege: &str) -> bool {
        self.held.iter().any(|held| {
            held.on == On::Everything
                && (held.privileges.contains(ALL) || held.privileges.contains(privilege))
        })
    }

    /// May we see the names of databases on which we have no right?
    pub(crate) fn sees_all_databases(&self) -> bool {
        self.holds_everywhere("SHOW DATABASES")
    }

    /// Do we have these privileges on the whole database?
    pub(crate) fn holds_on_database(&self, names_are_literal: bool, wanted: &[&str]) -> bool {
        let on_it = self.on_database(names_are_literal);
        let holds = |privilege: &str| {
            on_it
                .iter()
                .any(|h| h.privileges.contains(ALL) || h.privileges.contains(privilege))
        };
        wanted.iter().all(|privilege| holds(privilege))
    }

    /// Can we give on what we have on the whole database?
    pub(crate) fn can_grant_on_database(&self, names_are_literal: bool) -> bool {
        self.on_database(names_are_literal)
            .iter()
            .any(|held| held.can_grant)
    }

    fn on_database(&self, names_are_literal: bool) -> Vec<&Held> {
        let is_on_it = |held: &&Held| match &held.on {
            On::Everything => true,
            On::Database(pattern) => matches(pattern, &self.database, names_are_literal),
            On::Other => false,
        };
        self.held.iter().filter(is_on_it).collect()
    }
}

/// Does a grant on databases of this name or pattern cover a database?
pub(crate) fn matches(pattern: &str, database: &str, names_are_literal: bool) -> bool {
    if names_are_literal {
        return pattern == database;
    }
    let (pattern, database): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), database.chars().collect());
    // The rows are what is left of the pattern, the columns what is left of the name.
    let mut row = vec![false; database.len() + 1];
    row[database.len()] = true;
    let mut at = pattern.len();
    while at > 0 {
        at -= 1;
        let is_escaped = at > 0
            && pattern[..at]
                .iter()
                .rev()
                .take_while(|c| **c == '\\')
                .count()
                % 2
                == 1;
        let mut before = vec![false; database.len() + 1];
        match pattern[at] {
            '%' if !is_escaped => {
                let mut any = false;
                for left in (0..=database.len()).rev() {
                    any |= row[left];
                    before[left] = any;
                }
            }
            c => {
                let is_any = c == '_' && !is_escaped;
                for left in 0..database.len() {
                    before[left] = row[left + 1] && (is_any || database[left] == c);
                }
            }
        }
        if is_escaped {
            // The backslash before it is no character of the name.
            at -= 1;
        }
        row = before;
    }
    row[0]
}

/// What is to be done so that group and migrator are there.
#[derive(Default)]
pub(crate) struct RolesPlan {
    /// Accounts to be made, each with its mark.
    pub(crate) new: Vec<(String, Mark)>,
    /// What the admin lacks for it.
    pub(crate) missing: Vec<MissingPrivilege>,
}

impl RolesPlan {
    /// Is there nothing to do?
    pub(crate) fn is_done(&self) -> bool {
        self.new.is_empty() && self.missing.is_empty()
    }
}

/// Plans for a claim.
pub(crate) fn plan(scope: &Scope, marked: &Marked, admin: &Admin, server: &Server) -> RolesPlan {
    let mut plan = RolesPlan {
        missing: crate::claim::missing(admin, server),
        ..RolesPlan::default()
    };
    let claim = &scope.claim;
    for account in marked.all() {
        // On MariaDB the mark outlives what it marks.
        if matches!(&account.mark, Mark::Group { claim: c, .. } if c == claim) && !account.is_there
        {
            plan.new.push((account.name.clone(), account.mark.clone()));
        }
    }
    if marked.migrator(claim).is_none() {
        let name = names::migrator(server.engine, &scope.owner.object, claim);
        let claim = claim.clone();
        plan.new
            .push((name.as_str().to_owned(), Mark::Migrator { claim }));
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, database: &str, expect: bool) {
        assert_eq!(
            matches(pattern, database, false),
            expect,
            "{pattern} on {database}"
        );
    }

    #[test]
    fn patterns_match_as_the_servers_do() {
        check("shop", "shop", true);
        check("a\\_b", "a_b", true);
        check("a\\_b", "axb", false);
        check("a_b", "axb", true);
        check("a%", "abc", true);
        check("a%", "a", true);
        check("%", "", true);
        check("a\\%", "abc", false);
        check("a\\%", "a%", true);
        check("%b%", "abc", true);
        check("%b_", "ab", false);
        check("a\\\\b", "a\\b", true);
        check("a\\\\_", "a\\x", true);
        check("", "a", false);
        assert!(!matches("a_b", "axb", true));
        assert!(matches("a_b", "a_b", true));
        for name in ["a_b", "100%", "a\\b", "a\\_b", "%_\\", "plain"] {
            let pattern = query::pattern(name, false);
            assert!(matches(&pattern, name, false), "{pattern}");
            for other in ["axb", "100", "ab", "a\\xb"] {
                assert!(!matches(&pattern, other, false), "{pattern} on {other}");
            }
        }
    }
}
