//! A connection of the operator to the server in memory: looking and changing, as the ports say it.
//!
//! Each write asks the fate that the test gave it, and is otherwise all or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::MutexGuard;
use std::time::Duration;

use async_trait::async_trait;
use dbop_credentials::names;
use dbop_database::{Administer, DatabaseError, Introspect, Look, Scope};
use dbop_model::table::{
    FactRequest, RowEstimate, RowSource, TableFacts, TableFactsSet, TableKind, TableState,
};
use dbop_model::{
    AccessPolicy, Claim, ClaimId, ClaimOwner, DatabaseFacts, Engine, Fact, ForeignObject,
    LoginFacts, LoginName, MigrationName, MigratorFacts, Privilege, ServerInfo, Session,
};
use secrecy::{ExposeSecret, SecretString};

use super::server::{Defaults, Mark, Qualified, Role, Server, Table, qualified};
use super::{FakeDatabase, WriteFate};

pub(super) struct Connection {
    database: FakeDatabase,
    id: u64,
    address: String,
}

impl Connection {
    pub(super) fn new(database: FakeDatabase, id: u64, address: String) -> Self {
        Self {
            database,
            id,
            address,
        }
    }

    /// The server, where it can be reached by this connection.
    fn server(&self, operation: &'static str) -> Result<MutexGuard<'_, Server>, DatabaseError> {
        let server = self.database.locked();
        if server.reachable && server.connections.contains_key(&self.id) {
            Ok(server)
        } else {
            Err(DatabaseError::Lost { operation })
        }
    }

    /// Does a write, or lets it meet its fate.
    fn write<T>(
        &self,
        operation: &'static str,
        change: impl FnOnce(&mut Server, &str) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        // The hook is called without the lock, so that it may look at the database.
        let hook = self.server(operation)?.on_write.clone();
        let fate = hook.map_or(WriteFate::Apply, |hook| hook(operation));
        let mut server = self.server(operation)?;
        let lost = |server: &mut Server| {
            server.disconnect(self.id);
            Err(DatabaseError::Lost { operation })
        };
        if fate == WriteFate::FailBefore {
            return lost(&mut server);
        }
        if let Some(missing) = server.missing.first() {
            return Err(DatabaseError::Privilege(missing.clone()));
        }
        let done = change(&mut server, &self.database.name);
        if fate == WriteFate::FailAfter {
            lost(&mut server)
        } else {
            done
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.database.locked().disconnect(self.id);
    }
}

#[async_trait]
impl Introspect for Connection {
    async fn observe(&self, look: &Look) -> Result<DatabaseFacts, DatabaseError> {
        let server = self.server("look at the database")?;
        let name = &self.database.name;
        let claim = server.claim_on(name, &look.owner);
        let database = server.database(name);
        let mut facts = DatabaseFacts {
            server: ServerInfo {
                engine: Engine::PostgreSql,
                major: 18,
                minor: 0,
                address: format!("{}/{name}", self.address),
            },
            version: database.version.clone(),
            has_tables: server.has_tables(name, &look.access),
            logins: BTreeMap::new(),
            migrator: None,
            roles_ready: false,
            missing: server.missing.clone(),
            foreign: Vec::new(),
            claim,
        };
        let Some(id) = facts.claim.ours().cloned() else {
            return Ok(facts);
        };
        let scope = Scope {
            owner: look.owner.clone(),
            claim: id.clone(),
            access: look.access.clone(),
        };
        let group = server.group_of(&id).unwrap_or_default();
        for (role_name, role) in &server.roles {
            let Ok(login) = LoginName::new(role_name.as_str()) else {
                continue;
            };
            match &role.mark {
                Some(Mark::Login { claim, migration }) if *claim == id => {
                    let login = LoginFacts {
                        locked: !role.login,
                        granted: role.member_of.contains(&group),
                        sessions: server.sessions_of(&login),
                        name: login,
                    };
                    facts.logins.insert(migration.clone(), login);
                }
                Some(Mark::Migrator { claim }) if *claim == id => {
                    let sessions = server.sessions_of(&login);
                    facts.migrator = Some(MigratorFacts {
                        open: role.login,
                        sessions,
                        name: login,
                    });
                }
                _ => {}
            }
        }
        facts.roles_ready = server.is_prepared(name, &scope);
        facts.foreign = server.foreign(&scope, &look.migrations);
        Ok(facts)
    }

    async fn sessions(
        &self,
        logins: &BTreeSet<LoginName>,
    ) -> Result<BTreeMap<LoginName, Vec<Session>>, DatabaseError> {
        let server = self.server("list sessions")?;
        if let Some(why) = &server.sessions_hidden {
            let (operation, detail) = ("list sessions", why.to_string());
            return Err(DatabaseError::Unreadable { operation, detail });
        }
        let of = |login: &LoginName| server.open_sessions_of(login);
        Ok(logins
            .iter()
            .map(|login| (login.clone(), of(login)))
            .collect())
    }

    async fn table_facts(
        &self,
        wanted: &BTreeSet<FactRequest>,
        _probe_timeout: Duration,
    ) -> Result<TableFactsSet, DatabaseError> {
        let server = self.server("look at tables")?;
        let mut set = TableFactsSet::new(server.now);
        for table in wanted.iter().map(FactRequest::table) {
            let state = match server
                .database(&self.database.name)
                .tables
                .get(&qualified(table))
            {
                None => TableState::Missing,
                Some(found) => {
                    TableState::Present(Box::new(found.facts.clone().unwrap_or_else(empty_table)))
                }
            };
            set.tables.insert(table.clone(), Fact::Known(state));
        }
        Ok(set)
    }
}

#[async_trait]
impl Administer for Connection {
    async fn try_lock(&self) -> Result<bool, DatabaseError> {
        let mut server = self.server("take the advisory lock")?;
        let lock = &mut server.database_mut(&self.database.name).lock;
        Ok(*lock.get_or_insert(self.id) == self.id)
    }

    async fn unlock(&self) -> Result<(), DatabaseError> {
        let mut server = self.server("release the advisory lock")?;
        let lock = &mut server.database_mut(&self.database.name).lock;
        if *lock == Some(self.id) {
            *lock = None;
        }
        Ok(())
    }

    async fn claim(&self, scope: &Scope) -> Result<(), DatabaseError> {
        self.write("claim", |server, database| {
            match server.claim_on(database, &scope.owner) {
                Claim::Elsewhere { owner, .. } => return Err(foreign("claim", &owner.to_string())),
                Claim::Ours(id) if id != scope.claim => {
                    return Err(foreign("claim", id.as_str()));
                }
                Claim::Ours(_) | Claim::None => {}
            }
            let group = names::group_role(&scope.owner.object, &scope.claim);
            let mark = Mark::Group {
                claim: scope.claim.clone(),
                owner: scope.owner.clone(),
            };
            server.make_role(group.as_str(), "role", mark)?;
            let database = server.database_mut(database);
            database.connect.insert(group.as_str().to_owned());
            Ok(())
        })
    }

    async fn take_over(&self, scope: &Scope) -> Result<(), DatabaseError> {
        self.write("take_over", |server, database| {
            let group = server
                .groups_on(database)
                .into_iter()
                .find(|name| server.claim_of(name).as_ref() == Some(&scope.claim))
                .ok_or_else(|| missing_role("take the claim over", scope.claim.as_str()))?;
            let mark = Mark::Group {
                claim: scope.claim.clone(),
                owner: scope.owner.clone(),
            };
            server.role_mut(&group).mark = Some(mark);
            Ok(())
        })
    }

    async fn prepare(&self, scope: &Scope) -> Result<(), DatabaseError> {
        self.write("prepare", |server, database| {
            server.prepare(database, scope)
        })
    }

    async fn ensure_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError> {
        self.write("ensure_login", |server, database| {
            server.hold_claim(database, scope)?;
            let login = server.login_of(scope, migration);
            let group = server.group_of(&scope.claim).unwrap_or_default();
            let mark = Mark::Login {
                claim: scope.claim.clone(),
                migration: migration.clone(),
            };
            let is_new = server.make_role(login.as_str(), "login", mark)?;
            let role = server.role_mut(login.as_str());
            role.login |= is_new;
            role.password = Some(password.expose_secret().to_owned());
            role.member_of.insert(group);
            Ok(login)
        })
    }

    async fn lock_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
    ) -> Result<(), DatabaseError> {
        self.write("lock_login", |server, database| {
            server.set_login(database, scope, migration, false)
        })
    }

    async fn unlock_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
    ) -> Result<(), DatabaseError> {
        self.write("unlock_login", |server, database| {
            server.set_login(database, scope, migration, true)
        })
    }

    async fn drop_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
    ) -> Result<(), DatabaseError> {
        self.write("drop_login", |server, database| {
            server.hold_claim(database, scope)?;
            let login = server.login_of(scope, migration);
            if !server.is_ours(&login, scope)? {
                return Ok(());
            }
            let owns = |table: &Table| table.owner == login.as_str();
            let elsewhere = server
                .databases
                .iter()
                .find(|(name, found)| *name != database && found.tables.values().any(owns));
            if let Some((name, _)) = elsewhere {
                let (login, detail) = (login.to_string(), format!("in database {name}"));
                return Err(DatabaseError::StillOwns { login, detail });
            }
            let owner = server.owner_of(scope);
            for table in server.database_mut(database).tables.values_mut() {
                if table.owner == login.as_str() {
                    table.owner = owner.clone();
                }
            }
            server.remove_role(login.as_str());
            Ok(())
        })
    }

    async fn open_migrator(
        &self,
        scope: &Scope,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError> {
        self.write("open_migrator", |server, database| {
            server.hold_claim(database, scope)?;
            let migrator = server.migrator_of(scope);
            if !server.is_ours(&migrator, scope)? {
                return Err(missing_role("open the migrator", migrator.as_str()));
            }
            let role = server.role_mut(migrator.as_str());
            role.login = true;
            role.password = Some(password.expose_secret().to_owned());
            Ok(migrator)
        })
    }

    async fn close_migrator(&self, scope: &Scope) -> Result<(), DatabaseError> {
        self.write("close_migrator", |server, database| {
            server.hold_claim(database, scope)?;
            let migrator = server.migrator_of(scope);
            if server.is_ours(&migrator, scope)? {
                let role = server.role_mut(migrator.as_str());
                role.login = false;
                role.password = None;
            }
            Ok(())
        })
    }
}

fn foreign(kind: &str, name: &str) -> DatabaseError {
    DatabaseError::Foreign(ForeignObject {
        kind: kind.to_owned(),
        name: name.to_owned(),
    })
}

fn missing_role(operation: &'static str, role: &str) -> DatabaseError {
    DatabaseError::Server {
        operation,
        code: "42704".to_owned(),
        message: format!("role \"{role}\" does not exist"),
    }
}

/// What a look at a table sees of which the test said nothing.
fn empty_table() -> TableFacts {
    let mut facts = TableFacts::new(TableKind::Ordinary);
    facts.rows = Fact::Known(RowEstimate {
        rows: 0,
        source: RowSource::Statistics,
        age: None,
    });
    facts.bytes = Fact::Known(0);
    facts.any_row = Fact::Known(false);
    facts
}

impl Server {
    fn disconnect(&mut self, connection: u64) {
        if let Some(name) = self.connections.remove(&connection) {
            let lock = &mut self.database_mut(&name).lock;
            if *lock == Some(connection) {
                *lock = None;
            }
        }
    }

    fn role_mut(&mut self, name: &str) -> &mut Role {
        self.roles
            .get_mut(name)
            .expect("the caller has just seen it")
    }

    fn claim_of(&self, role: &str) -> Option<ClaimId> {
        Some(self.roles.get(role)?.mark.as_ref()?.claim().clone())
    }

    /// The role with a mark of this kind, whatever it is called: a claim that was taken over keeps the
    /// names that it gave.
    fn marked(&self, is_it: impl Fn(&Mark) -> bool) -> Option<String> {
        let marked = |role: &Role| role.mark.as_ref().is_some_and(&is_it);
        Some(self.roles.iter().find(|(_, role)| marked(role))?.0.clone())
    }

    fn group_of(&self, claim: &ClaimId) -> Option<String> {
        self.marked(|mark| matches!(mark, Mark::Group { claim: c, .. } if c == claim))
    }

    /// The role that owns the objects.
    fn owner_of(&self, scope: &Scope) -> String {
        if let Some(role) = &scope.access.owner_role {
            return role.as_str().to_owned();
        }
        let wanted = Mark::Owner {
            claim: scope.claim.clone(),
        };
        self.marked(|mark| *mark == wanted).unwrap_or_else(|| {
            names::owner_role(&scope.owner.object, &scope.claim)
                .as_str()
                .to_owned()
        })
    }

    fn migrator_of(&self, scope: &Scope) -> LoginName {
        let wanted = Mark::Migrator {
            claim: scope.claim.clone(),
        };
        let found = self
            .marked(|mark| *mark == wanted)
            .and_then(|name| LoginName::new(name).ok());
        found.unwrap_or_else(|| names::migrator(&scope.owner.object, &scope.claim))
    }

    fn login_of(&self, scope: &Scope, migration: &MigrationName) -> LoginName {
        let wanted = Mark::Login {
            claim: scope.claim.clone(),
            migration: migration.clone(),
        };
        let found = self
            .marked(|mark| *mark == wanted)
            .and_then(|name| LoginName::new(name).ok());
        found.unwrap_or_else(|| names::login(&scope.owner.object, migration, &scope.claim))
    }

    /// The group roles of claims on a database.
    fn groups_on(&self, database: &str) -> Vec<String> {
        let is_group = |name: &&String| {
            self.roles
                .get(*name)
                .is_some_and(|r| matches!(r.mark, Some(Mark::Group { .. })))
        };
        self.database(database)
            .connect
            .iter()
            .filter(is_group)
            .cloned()
            .collect()
    }

    fn claim_on(&self, database: &str, asking: &ClaimOwner) -> Claim {
        let marks = self.groups_on(database).into_iter().filter_map(|name| {
            match self.roles[&name].mark.clone()? {
                Mark::Group { claim, owner } => Some((claim, owner)),
                _ => None,
            }
        });
        let (ours, others): (Vec<_>, Vec<_>) = marks.partition(|(_, owner)| owner == asking);
        match (others.into_iter().next(), ours.into_iter().next()) {
            (Some((id, owner)), _) => Claim::Elsewhere { id, owner },
            (None, Some((id, _))) => Claim::Ours(id),
            (None, None) => Claim::None,
        }
    }

    /// Refuses a write under a claim that is not on the database, or not its owner's.
    fn hold_claim(&self, database: &str, scope: &Scope) -> Result<(), DatabaseError> {
        match self.claim_on(database, &scope.owner) {
            Claim::Ours(id) if id == scope.claim => Ok(()),
            Claim::Ours(id) => Err(foreign("claim", id.as_str())),
            Claim::Elsewhere { owner, .. } => Err(foreign("claim", &owner.to_string())),
            Claim::None => Err(missing_role("change roles", scope.claim.as_str())),
        }
    }

    /// Makes a role where there is none; true: it is new.
    fn make_role(
        &mut self,
        name: &str,
        kind: &'static str,
        mark: Mark,
    ) -> Result<bool, DatabaseError> {
        match self.roles.get(name) {
            Some(role) if role.mark.as_ref() == Some(&mark) => Ok(false),
            Some(_) => Err(foreign(kind, name)),
            None => {
                self.roles.insert(
                    name.to_owned(),
                    Role {
                        mark: Some(mark),
                        ..Role::default()
                    },
                );
                Ok(true)
            }
        }
    }

    /// Is the role there (and then ours)?
    fn is_ours(&self, login: &LoginName, scope: &Scope) -> Result<bool, DatabaseError> {
        match self.roles.get(login.as_str()) {
            None => Ok(false),
            Some(_) if self.claim_of(login.as_str()).as_ref() == Some(&scope.claim) => Ok(true),
            Some(_) => Err(foreign("login", login.as_str())),
        }
    }

    fn set_login(
        &mut self,
        database: &str,
        scope: &Scope,
        migration: &MigrationName,
        open: bool,
    ) -> Result<(), DatabaseError> {
        self.hold_claim(database, scope)?;
        let login = self.login_of(scope, migration);
        if self.is_ours(&login, scope)? {
            self.role_mut(login.as_str()).login = open;
        }
        Ok(())
    }

    fn foreign(&self, scope: &Scope, migrations: &BTreeSet<MigrationName>) -> Vec<ForeignObject> {
        let mut wanted = vec![("login", self.migrator_of(scope).to_string())];
        if scope.access.owner_role.is_none() {
            wanted.push(("role", self.owner_of(scope)));
        }
        for migration in migrations {
            wanted.push(("login", self.login_of(scope, migration).to_string()));
        }
        wanted.retain(|(_, name)| {
            self.roles.contains_key(name) && self.claim_of(name).as_ref() != Some(&scope.claim)
        });
        let object = |(kind, name): (&str, String)| ForeignObject {
            kind: kind.to_owned(),
            name,
        };
        wanted.into_iter().map(object).collect()
    }

    fn has_tables(&self, database: &str, access: &AccessPolicy) -> bool {
        let counts = |(schema, _): &&Qualified| in_policy(access, schema);
        let mut tables = self.database(database).tables.keys().filter(counts);
        tables.any(|key| !is_version_table(access, key))
    }

    /// The privileges that the group should have on each table of the policy's schemas.
    fn wanted_on_tables(
        &self,
        database: &str,
        access: &AccessPolicy,
    ) -> BTreeMap<Qualified, BTreeSet<Privilege>> {
        let wanted = |key: &Qualified| {
            let mut privileges = access.privileges.clone();
            if is_version_table(access, key) {
                privileges.retain(|privilege| !privilege.writes());
            }
            (key.clone(), privileges)
        };
        let tables = self.database(database).tables.keys();
        tables
            .filter(|(schema, _)| in_policy(access, schema))
            .map(wanted)
            .collect()
    }

    /// Nothing is given in advance while the version table is yet to be made: it would be given too.
    fn wanted_defaults(&self, database: &str, scope: &Scope, group: &str) -> Option<Defaults> {
        let access = &scope.access;
        let tables = &self.database(database).tables;
        let is_there = tables.keys().any(|key| is_version_table(access, key));
        (access.version_table.is_none() || is_there).then(|| Defaults {
            owner: self.owner_of(scope),
            group: group.to_owned(),
            privileges: access.privileges.clone(),
            schemas: access.schemas.clone(),
        })
    }

    fn is_prepared(&self, database: &str, scope: &Scope) -> bool {
        let Some(group) = self.group_of(&scope.claim) else {
            return false;
        };
        let owner = self.owner_of(scope);
        let migrator = self.migrator_of(scope);
        let migrator_ready = self.roles.get(migrator.as_str()).is_some_and(|role| {
            role.member_of.contains(&owner) && role.acts_as.as_deref() == Some(&owner)
        });
        let found = self.database(database);
        let nothing = BTreeSet::new();
        let granted = self
            .wanted_on_tables(database, &scope.access)
            .iter()
            .all(|(key, wanted)| {
                found.tables[key].grants.get(&group).unwrap_or(&nothing) == wanted
            });
        let mut schemas = found
            .schemas
            .iter()
            .filter(|(name, _)| in_policy(&scope.access, name));
        self.roles.contains_key(&owner)
            && migrator_ready
            && granted
            && schemas.all(|(_, schema)| schema.usage.contains(&group))
            && found
                .schemas
                .values()
                .any(|schema| schema.creators.contains(&owner))
            && found.defaults == self.wanted_defaults(database, scope, &group)
    }

    fn prepare(&mut self, database: &str, scope: &Scope) -> Result<(), DatabaseError> {
        self.hold_claim(database, scope)?;
        let claim = scope.claim.clone();
        let group = self.group_of(&claim).unwrap_or_default();
        let owner = self.owner_of(scope);
        if scope.access.owner_role.is_none() {
            self.make_role(
                &owner,
                "role",
                Mark::Owner {
                    claim: claim.clone(),
                },
            )?;
        } else if !self.roles.contains_key(&owner) {
            return Err(missing_role("prepare", &owner));
        }
        let migrator = self.migrator_of(scope);
        self.make_role(migrator.as_str(), "login", Mark::Migrator { claim })?;
        let role = self.role_mut(migrator.as_str());
        role.member_of.insert(owner.clone());
        role.acts_as = Some(owner.clone());
        let wanted = self.wanted_on_tables(database, &scope.access);
        let defaults = self.wanted_defaults(database, scope, &group);
        let database = self.database_mut(database);
        for (key, privileges) in wanted {
            if let Some(table) = database.tables.get_mut(&key) {
                if is_version_table(&scope.access, &key) {
                    for held in table.grants.values_mut() {
                        held.retain(|privilege| !privilege.writes());
                    }
                }
                table.grants.insert(group.clone(), privileges);
            }
        }
        for (name, schema) in &mut database.schemas {
            schema.creators.insert(owner.clone());
            if in_policy(&scope.access, name) {
                schema.usage.insert(group.clone());
            }
        }
        database.defaults = defaults;
        Ok(())
    }

    fn sessions_of(&self, login: &LoginName) -> Fact<Vec<Session>> {
        match &self.sessions_hidden {
            Some(why) => Fact::Unknown(why.clone()),
            None => Fact::Known(self.open_sessions_of(login)),
        }
    }

    fn open_sessions_of(&self, login: &LoginName) -> Vec<Session> {
        let of_login = self
            .sessions
            .iter()
            .filter(|(_, s)| s.login == login.as_str());
        of_login
            .map(|(id, open)| Session {
                pid: i64::try_from(*id).unwrap_or(i64::MAX),
                user: login.clone(),
                address: Some(open.address.clone()),
                application: Some(open.application.clone()).filter(|name| !name.is_empty()),
                age: Duration::try_from(self.now.duration_since(open.opened_at)).ok(),
            })
            .collect()
    }
}

fn in_policy(access: &AccessPolicy, schema: &str) -> bool {
    access
        .schemas
        .as_ref()
        .is_none_or(|schemas| schemas.contains(schema))
}

fn is_version_table(access: &AccessPolicy, (schema, name): &Qualified) -> bool {
    access.version_table.as_ref().is_some_and(|table| {
        table.name() == name && table.schema().is_none_or(|wanted| wanted == schema)
    })
}
