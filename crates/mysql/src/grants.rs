//! Grants: what logins have, against what the policy wants. One plan serves both sides: a look asks whether it is
//! empty, `prepare` and the making of a login carry it out.
//!
//! Privileges only add up on these servers, so none that writes is given on the whole database: each table has its
//! own, but the version table and what else the migration tool keeps for itself: these are readable at most, and so
//! is a view of one. What a migration makes is
//! therefore given when its run ends. A grant is on a name: it outlives a table that is made anew or swapped.

use std::collections::{BTreeMap, BTreeSet};

use dbop_database::DatabaseError;
use dbop_model::{AccessPolicy, MissingPrivilege, Privilege};

use crate::connect::Server;
use crate::link::Hold;
use crate::parse::Values as _;
use crate::roles::matches;
use crate::{parse, query};

/// What every application's login has on the whole database, whatever the policy: it may enter, call routines (which run with
/// their definers' rights or the caller's), and make temporary tables of its own. As on PostgreSQL, where
/// everybody may.
pub(crate) const BASE: &[&str] = &["CREATE TEMPORARY TABLES", "EXECUTE"];

/// What migrations have on the whole database: all that there is, and no right to give it on.
pub(crate) const MIGRATOR: &[&str] = &[
    "ALTER",
    "ALTER ROUTINE",
    "CREATE",
    "CREATE ROUTINE",
    "CREATE TEMPORARY TABLES",
    "CREATE VIEW",
    "DELETE",
    "DROP",
    "EVENT",
    "EXECUTE",
    "INDEX",
    "INSERT",
    "LOCK TABLES",
    "REFERENCES",
    "SELECT",
    "SHOW VIEW",
    "TRIGGER",
    "UPDATE",
];

/// By these, on the table or on the whole database, a login could write the version.
const WRITES: &[&str] = &[
    "ALTER", "CREATE", "DELETE", "DROP", "INSERT", "TRIGGER", "UPDATE",
];
/// What is taken back of a whole database. CREATE makes what is not there, and a version table is.
const WRITES_ON_DATABASE: &[&str] = &["ALTER", "DELETE", "DROP", "INSERT", "TRIGGER", "UPDATE"];

/// What is to be done.
#[derive(Default)]
pub(crate) struct GrantsPlan {
    /// Statements, none of which depends on another.
    pub(crate) statements: Vec<String>,
    /// Accounts that they are about.
    pub(crate) unready: BTreeSet<String>,
    /// Is there a table besides the migration tool's own?
    pub(crate) has_tables: bool,
}

/// Whose grants these are.
pub(crate) struct Parties<'a> {
    pub(crate) logins: BTreeSet<&'a str>,
    /// What these have on the whole database.
    pub(crate) base: &'static [&'static str],
    /// `None`: it is not there, or nothing is to be done about it.
    pub(crate) migrator: Option<&'a str>,
    pub(crate) access: &'a AccessPolicy,
}

/// A table or a view, and what the policy gives on it.
struct Table {
    name: String,
    wanted: BTreeSet<&'static str>,
    is_guarded: bool,
}

/// Plans.
pub(crate) async fn plan(
    hold: &Hold<'_>,
    server: &Server,
    parties: &Parties<'_>,
) -> Result<GrantsPlan, DatabaseError> {
    let mut plan = GrantsPlan::default();
    let tables = tables(hold, server, parties.access, &mut plan).await?;
    plan.on_tables(hold, server, parties, &tables).await?;
    plan.on_database(hold, server, parties).await?;
    Ok(plan)
}

/// Carries a plan out. What the admin may not do (take back what was given on a pattern of names) is named.
pub(crate) async fn carry_out(hold: &Hold<'_>, plan: &GrantsPlan) -> Result<(), DatabaseError> {
    for statement in &plan.statements {
        match hold.run(statement).await {
            // The table went away since: nothing is lacking on it.
            Err(DatabaseError::Server { code, .. }) if code == "1146" => {}
            Err(DatabaseError::Server { code, .. })
                if matches!(code.as_str(), "1044" | "1142" | "1143" | "1227") =>
            {
                return Err(DatabaseError::Privilege(MissingPrivilege {
                    needed_for: "give logins what the policy says, and no more".to_owned(),
                    grant: statement.clone(),
                }));
            }
            result => result?,
        }
    }
    Ok(())
}

async fn tables(
    hold: &Hold<'_>,
    server: &Server,
    access: &AccessPolicy,
    plan: &mut GrantsPlan,
) -> Result<Vec<Table>, DatabaseError> {
    let (operation, database) = (hold.operation(), server.database.as_str());
    let rows = hold.rows(&query::tables(database)?).await?;
    if rows.len() > query::TABLES_MAX {
        return Err(DatabaseError::Server {
            operation,
            code: "54000".to_owned(),
            message: format!("the database has more than {} tables", query::TABLES_MAX),
        });
    }
    let found = parse::all(operation, &rows, |c| {
        Ok((c.text()?, c.text()?.to_owned(), c.text()? == "v"))
    })?;
    let found: Vec<(String, bool)> = found
        .into_iter()
        .filter(|(schema, _, _)| *schema == database)
        .map(|(_, name, is_view)| (name, is_view))
        .collect();
    let mut guarded = tools_tables(access, database);
    let is_covered = access
        .schemas
        .as_ref()
        .is_none_or(|schemas| schemas.contains(database));
    plan.has_tables = is_covered
        && found
            .iter()
            .any(|(name, is_view)| !is_view && !is_in(&guarded, name));
    if !guarded.is_empty() && found.iter().any(|(_, is_view)| *is_view) {
        add_views(hold, database, &mut guarded).await?;
    }
    let table = |(name, _): (String, bool)| {
        let is_guarded = is_in(&guarded, &name);
        let privileges = access
            .privileges
            .iter()
            .filter(|p| !is_guarded || !p.writes());
        Table {
            wanted: if is_covered {
                privileges.map(|privilege| keyword(*privilege)).collect()
            } else {
                BTreeSet::new()
            },
            is_guarded,
            name,
        }
    };
    Ok(found.into_iter().map(table).collect())
}

/// The version table and the others that the migration tool keeps for itself, where they are of this database.
fn tools_tables(access: &AccessPolicy, database: &str) -> Vec<String> {
    let own = access.version_table.iter().chain(&access.tool_tables);
    own.filter(|table| table.schema().is_none_or(|schema| schema == database))
        .map(|table| table.name().to_owned())
        .collect()
}

/// Servers may tell letters' cases apart in names or not; guarding one table too many is the lesser harm.
fn is_in(guarded: &[String], name: &str) -> bool {
    guarded
        .iter()
        .any(|other| other.to_lowercase() == name.to_lowercase())
}

/// Views through which a guarded table, or such a view, could be written; and those that we may not see.
async fn add_views(
    hold: &Hold<'_>,
    database: &str,
    guarded: &mut Vec<String>,
) -> Result<(), DatabaseError> {
    let rows = hold.rows(&query::views(database)?).await?;
    let views = parse::all(hold.operation(), &rows, |c| {
        Ok((c.text()?, c.text()?, c.text()?.to_lowercase()))
    })?;
    let mut rest: Vec<(&str, String)> = views
        .into_iter()
        .filter(|(schema, _, _)| *schema == database)
        .map(|(_, name, definition)| (name, definition))
        .collect();
    loop {
        let names = guarded
            .iter()
            .map(|name| Ok(query::qualified(database, name)?.to_lowercase()))
            .collect::<Result<Vec<_>, DatabaseError>>()?;
        let (found, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(_, definition)| {
            definition.is_empty() || names.iter().any(|name| definition.contains(name))
        });
        if found.is_empty() {
            return Ok(());
        }
        guarded.extend(found.into_iter().map(|(name, _)| name.to_owned()));
        rest = others;
    }
}

/// The keyword of a privilege. Emptying a table is dropping and making it anew here.
fn keyword(privilege: Privilege) -> &'static str {
    match privilege {
        Privilege::Truncate => "DROP",
        other => other.sql(),
    }
}

impl GrantsPlan {
    /// Is there nothing to do?
    pub(crate) fn is_done(&self) -> bool {
        self.statements.is_empty()
    }

    async fn on_tables(
        &mut self,
        hold: &Hold<'_>,
        server: &Server,
        parties: &Parties<'_>,
        tables: &[Table],
    ) -> Result<(), DatabaseError> {
        if parties.logins.is_empty() {
            return Ok(());
        }
        let database = server.database.as_str();
        let rows = hold
            .rows(&query::table_grants(database, &parties.logins)?)
            .await?;
        let mut held: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
        for (user, table, privileges) in parse::all(hold.operation(), &rows, |c| {
            Ok((c.text()?, c.text()?, c.privileges()?))
        })? {
            held.entry((table, user)).or_default().extend(privileges);
        }
        let none = BTreeSet::new();
        for table in tables {
            let name = query::qualified(database, &table.name)?;
            // By what is done, so that one statement does it to all logins.
            let mut grants: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            let mut revokes: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            for user in &parties.logins {
                let held = held.get(&(table.name.as_str(), *user)).unwrap_or(&none);
                let lacking: Vec<&str> = table
                    .wanted
                    .iter()
                    .filter(|privilege| !held.contains(**privilege))
                    .copied()
                    .collect();
                if !lacking.is_empty() {
                    grants.entry(lacking.join(", ")).or_default().push(user);
                }
                let surplus = surplus(table, held);
                if !surplus.is_empty() {
                    revokes.entry(surplus.join(", ")).or_default().push(user);
                }
            }
            for (privileges, users) in grants {
                let to = query::accounts(users.iter().copied())?;
                self.add(format!("GRANT {privileges} ON {name} TO {to}"), &users);
            }
            for (privileges, users) in revokes {
                let from = query::accounts(users.iter().copied())?;
                self.add(format!("REVOKE {privileges} ON {name} FROM {from}"), &users);
            }
        }
        let guarded: BTreeSet<&str> = tables
            .iter()
            .filter(|table| table.is_guarded)
            .map(|table| table.name.as_str())
            .collect();
        self.on_columns(hold, database, parties, &guarded).await
    }

    /// Takes back what was given on columns of what is guarded.
    async fn on_columns(
        &mut self,
        hold: &Hold<'_>,
        database: &str,
        parties: &Parties<'_>,
        guarded: &BTreeSet<&str>,
    ) -> Result<(), DatabaseError> {
        if guarded.is_empty() {
            return Ok(());
        }
        let rows = hold
            .rows(&query::column_grants(database, &parties.logins)?)
            .await?;
        for (user, table, column, privileges) in parse::all(hold.operation(), &rows, |c| {
            Ok((c.text()?, c.text()?, c.text()?, c.privileges()?))
        })? {
            if !guarded.contains(table) {
                continue;
            }
            let (name, column) = (query::qualified(database, table)?, query::name(column)?);
            for privilege in ["INSERT", "UPDATE"] {
                if privileges.contains(privilege) {
                    let from = query::account(user)?;
                    let statement = format!("REVOKE {privilege} ({column}) ON {name} FROM {from}");
                    self.add(statement, &[user]);
                }
            }
        }
        Ok(())
    }

    async fn on_database(
        &mut self,
        hold: &Hold<'_>,
        server: &Server,
        parties: &Parties<'_>,
    ) -> Result<(), DatabaseError> {
        let users: BTreeSet<&str> = parties
            .logins
            .iter()
            .copied()
            .chain(parties.migrator)
            .collect();
        if users.is_empty() {
            return Ok(());
        }
        let is_literal = server.names_are_literal;
        let own = query::pattern(&server.database, is_literal);
        let whole = query::whole(&server.database, is_literal);
        let is_guarded = !tools_tables(parties.access, &server.database).is_empty();
        let rows = hold.rows(&query::database_grants(&users)?).await?;
        let held = parse::all(hold.operation(), &rows, |c| {
            Ok((c.text()?, c.text()?, c.privileges()?))
        })?;
        for user in users {
            let is_login = parties.logins.contains(user);
            let wanted = if is_login { parties.base } else { MIGRATOR };
            let has = |privilege: &str| {
                held.iter()
                    .any(|(u, on, held)| *u == user && *on == own && held.contains(privilege))
            };
            let lacking: Vec<&str> = wanted.iter().filter(|p| !has(p)).copied().collect();
            if !lacking.is_empty() {
                let (privileges, to) = (lacking.join(", "), query::account(user)?);
                self.add(format!("GRANT {privileges} ON {whole} TO {to}"), &[user]);
            }
            if !is_login || !is_guarded {
                continue;
            }
            for (of, on, held) in &held {
                let surplus: Vec<&str> = WRITES_ON_DATABASE
                    .iter()
                    .filter(|privilege| held.contains(**privilege))
                    .copied()
                    .collect();
                if *of == user && !surplus.is_empty() && matches(on, &server.database, is_literal) {
                    let (privileges, from) = (surplus.join(", "), query::account(user)?);
                    let on = query::role(on);
                    self.add(
                        format!("REVOKE {privileges} ON {on}.* FROM {from}"),
                        &[user],
                    );
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, statement: String, users: &[&str]) {
        self.statements.push(statement);
        self.unready
            .extend(users.iter().map(|user| (*user).to_owned()));
    }
}

/// What a login has on a table and should not: of what the policy could give, and of what writes what is guarded.
fn surplus(table: &Table, held: &BTreeSet<String>) -> Vec<&'static str> {
    let policys = Privilege::ALL.into_iter().map(keyword);
    let writes = WRITES.iter().copied().filter(|_| table.is_guarded);
    let known: BTreeSet<&str> = policys.chain(writes).collect();
    known
        .into_iter()
        .filter(|privilege| held.contains(*privilege) && !table.wanted.contains(privilege))
        .collect()
}
