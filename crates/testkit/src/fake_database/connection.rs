//! A connection of the operator to the server in memory: looking and changing, as the ports say it.
//!
//! Each write asks the fate that the test gave it, and is otherwise all or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::MutexGuard;
use std::time::Duration;

use async_trait::async_trait;
use dbop_credentials::names;
use dbop_database::{Administer, DatabaseError, Introspect, Look, Scope};
use dbop_model::catalogue::Catalogue;
use dbop_model::health::HealthFacts;
use dbop_model::table::{FactRequest, TableFactsSet};
use dbop_model::trial::{Attempt, Trial};
use dbop_model::{
    Claim, DatabaseFacts, Engine, Fact, LoginFacts, LoginName, LoginTurn, MigrationName,
    MigratorFacts, Privilege, ServerInfo, Session, Why,
};
use secrecy::{ExposeSecret, SecretString};

use super::ADMIN;
use super::deeds::Done;
use super::rules::{foreign, missing_role};
use super::server::{Mark, Server, Table};
use super::{FakeDatabase, WriteFate, facts};

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
    fn server_info(&self) -> ServerInfo {
        ServerInfo {
            engine: Engine::PostgreSql,
            major: 18,
            minor: 0,
            address: format!("{}/{}", self.address, self.database.name),
        }
    }

    async fn observe(&self, look: &Look) -> Result<DatabaseFacts, DatabaseError> {
        let server = self.server("look at the database")?;
        let name = &self.database.name;
        let claim = server.claim_on(name, &look.owner);
        let database = server.database(name);
        let mut facts = DatabaseFacts {
            server: self.server_info(),
            admin: ADMIN.to_owned(),
            version: database.version.clone(),
            locks: Fact::Known(Vec::new()),
            has_tables: server.has_tables(name, &look.access),
            logins: BTreeMap::new(),
            replaced: BTreeMap::new(),
            migrator: None,
            roles_ready: false,
            replication: Fact::Known(server.replication()),
            unmanaged: Fact::Known(Vec::new()),
            reader: None,
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
                Some(Mark::Login {
                    claim,
                    migration,
                    turn,
                }) if *claim == id => {
                    let login = LoginFacts {
                        turn: *turn,
                        locked: !role.login,
                        granted: role.member_of.contains(&group),
                        sessions: server.sessions_of(&login),
                        name: login,
                    };
                    facts.add_login(migration.clone(), login);
                }
                Some(Mark::Migrator { claim }) if *claim == id => {
                    let sessions = server.sessions_of(&login);
                    facts.migrator = Some(MigratorFacts {
                        open: role.login,
                        sessions,
                        name: login,
                    });
                }
                Some(Mark::Reader { claim }) if *claim == id => facts.reader = Some(login),
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
        let mut server = self.server("look at tables")?;
        server.looks_at_tables += u64::from(!wanted.is_empty());
        Ok(facts::looked_at(&server, &self.database.name, wanted))
    }

    async fn health(&self) -> Result<HealthFacts, DatabaseError> {
        let server = self.server("look at the database's health")?;
        let none = || HealthFacts::unknown(&Why::new("a database in memory has no statistics"));
        Ok(server.health.clone().unwrap_or_else(none))
    }

    async fn catalogue(&self, tables_max: usize) -> Result<Catalogue, DatabaseError> {
        let server = self.server("list tables")?;
        Ok(facts::listed(&server, &self.database.name, tables_max))
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

    async fn try_on_copies(
        &self,
        attempts: &[Attempt],
        _timeout: Duration,
    ) -> Result<BTreeMap<usize, Fact<Trial>>, DatabaseError> {
        let mut server = self.server("try statements on copies")?;
        server.tried += attempts.len();
        let of = |attempt: &Attempt| {
            let set = server.trials.get(&attempt.statement).cloned();
            let none = || Fact::Unknown(Why::new("there are no copies of tables in memory"));
            (attempt.statement, set.map_or_else(none, Fact::Known))
        };
        Ok(attempts.iter().map(of).collect())
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
            let group = names::group_role(Engine::PostgreSql, &scope.owner.object, &scope.claim);
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
        turn: LoginTurn,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError> {
        self.write("ensure_login", |server, database| {
            server.hold_claim(database, scope)?;
            let login = server.login_of(scope, migration, turn);
            let group = server.group_of(&scope.claim).unwrap_or_default();
            let mark = Mark::Login {
                claim: scope.claim.clone(),
                migration: migration.clone(),
                turn,
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
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        self.write("lock_login", |server, database| {
            let login = server.login_of(scope, migration, turn);
            let was_open = server.roles.get(login.as_str()).is_some_and(|r| r.login);
            server.set_login(database, scope, migration, turn, false)?;
            if was_open {
                server.did(Done::Locked, database, &login, migration);
            }
            Ok(())
        })
    }

    async fn unlock_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        self.write("unlock_login", |server, database| {
            server.set_login(database, scope, migration, turn, true)
        })
    }

    async fn drop_login(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> Result<(), DatabaseError> {
        self.write("drop_login", |server, database| {
            server.hold_claim(database, scope)?;
            let login = server.login_of(scope, migration, turn);
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
            server.did(Done::Dropped, database, &login, migration);
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

    async fn ensure_reader(
        &self,
        scope: &Scope,
        password: &SecretString,
    ) -> Result<LoginName, DatabaseError> {
        self.write("ensure_reader", |server, database| {
            server.hold_claim(database, scope)?;
            let reader = names::reader(Engine::PostgreSql, &scope.owner.object, &scope.claim);
            let claim = scope.claim.clone();
            server.make_role(reader.as_str(), "login", Mark::Reader { claim })?;
            let role = server.role_mut(reader.as_str());
            role.login = true;
            role.password = Some(password.expose_secret().to_owned());
            for table in server.database_mut(database).tables.values_mut() {
                let reads = [Privilege::Select].into();
                table.grants.insert(reader.to_string(), reads);
            }
            Ok(reader)
        })
    }

    async fn drop_reader(&self, scope: &Scope) -> Result<(), DatabaseError> {
        self.write("drop_reader", |server, database| {
            server.hold_claim(database, scope)?;
            let reader = names::reader(Engine::PostgreSql, &scope.owner.object, &scope.claim);
            if server.is_ours(&reader, scope)? {
                server.remove_role(reader.as_str());
            }
            Ok(())
        })
    }
}
