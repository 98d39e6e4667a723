//! Claims, marks, grants and sessions of the server in memory: what the ports' calls do to its state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dbop_credentials::names;
use dbop_database::{DatabaseError, Scope};
use dbop_model::table::TableName;
use dbop_model::{
    AccessPolicy, Claim, ClaimId, ClaimOwner, Engine, Fact, ForeignObject, LoginName, LoginTurn,
    MigrationName, Privilege, Session,
};

use super::server::{Defaults, Mark, OpenSession, Qualified, Role, Server};

impl Server {
    pub(super) fn disconnect(&mut self, connection: u64) {
        if let Some(name) = self.connections.remove(&connection) {
            let lock = &mut self.database_mut(&name).lock;
            if *lock == Some(connection) {
                *lock = None;
            }
        }
    }

    pub(super) fn role_mut(&mut self, name: &str) -> &mut Role {
        self.roles
            .get_mut(name)
            .expect("the caller has just seen it")
    }

    pub(super) fn claim_of(&self, role: &str) -> Option<ClaimId> {
        Some(self.roles.get(role)?.mark.as_ref()?.claim().clone())
    }

    /// The role with a mark of this kind, whatever it is called: a claim that was taken over keeps the
    /// names that it gave.
    pub(super) fn marked(&self, is_it: impl Fn(&Mark) -> bool) -> Option<String> {
        let marked = |role: &Role| role.mark.as_ref().is_some_and(&is_it);
        Some(self.roles.iter().find(|(_, role)| marked(role))?.0.clone())
    }

    pub(super) fn group_of(&self, claim: &ClaimId) -> Option<String> {
        self.marked(|mark| matches!(mark, Mark::Group { claim: c, .. } if c == claim))
    }

    /// The role that owns the objects.
    pub(super) fn owner_of(&self, scope: &Scope) -> String {
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

    pub(super) fn migrator_of(&self, scope: &Scope) -> LoginName {
        let wanted = Mark::Migrator {
            claim: scope.claim.clone(),
        };
        let found = self
            .marked(|mark| *mark == wanted)
            .and_then(|name| LoginName::new(name).ok());
        found.unwrap_or_else(|| {
            names::migrator(Engine::PostgreSql, &scope.owner.object, &scope.claim)
        })
    }

    pub(super) fn login_of(
        &self,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
    ) -> LoginName {
        let wanted = Mark::Login {
            claim: scope.claim.clone(),
            migration: migration.clone(),
            turn,
        };
        let found = self
            .marked(|mark| *mark == wanted)
            .and_then(|name| LoginName::new(name).ok());
        found.unwrap_or_else(|| {
            names::login_in_turn(
                Engine::PostgreSql,
                &scope.owner.object,
                migration,
                &scope.claim,
                turn,
            )
        })
    }

    /// The group roles of claims on a database.
    pub(super) fn groups_on(&self, database: &str) -> Vec<String> {
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

    pub(super) fn claim_on(&self, database: &str, asking: &ClaimOwner) -> Claim {
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
    pub(super) fn hold_claim(&self, database: &str, scope: &Scope) -> Result<(), DatabaseError> {
        match self.claim_on(database, &scope.owner) {
            Claim::Ours(id) if id == scope.claim => Ok(()),
            Claim::Ours(id) => Err(foreign("claim", id.as_str())),
            Claim::Elsewhere { owner, .. } => Err(foreign("claim", &owner.to_string())),
            Claim::None => Err(missing_role("change roles", scope.claim.as_str())),
        }
    }

    /// Makes a role where there is none; true: it is new.
    pub(super) fn make_role(
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
    pub(super) fn is_ours(&self, login: &LoginName, scope: &Scope) -> Result<bool, DatabaseError> {
        match self.roles.get(login.as_str()) {
            None => Ok(false),
            Some(_) if self.claim_of(login.as_str()).as_ref() == Some(&scope.claim) => Ok(true),
            Some(_) => Err(foreign("login", login.as_str())),
        }
    }

    pub(super) fn set_login(
        &mut self,
        database: &str,
        scope: &Scope,
        migration: &MigrationName,
        turn: LoginTurn,
        open: bool,
    ) -> Result<(), DatabaseError> {
        self.hold_claim(database, scope)?;
        let login = self.login_of(scope, migration, turn);
        if self.is_ours(&login, scope)? {
            self.role_mut(login.as_str()).login = open;
        }
        Ok(())
    }

    pub(super) fn foreign(
        &self,
        scope: &Scope,
        migrations: &BTreeSet<MigrationName>,
    ) -> Vec<ForeignObject> {
        let mut wanted = vec![("login", self.migrator_of(scope).to_string())];
        if scope.access.owner_role.is_none() {
            wanted.push(("role", self.owner_of(scope)));
        }
        for migration in migrations {
            for turn in LoginTurn::ALL {
                wanted.push(("login", self.login_of(scope, migration, turn).to_string()));
            }
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

    pub(super) fn has_tables(&self, database: &str, access: &AccessPolicy) -> bool {
        let counts = |(schema, _): &&Qualified| in_policy(access, schema);
        let mut tables = self.database(database).tables.keys().filter(counts);
        tables.any(|key| !is_tools_table(access, key))
    }

    /// The privileges that the group should have on each table of the policy's schemas.
    pub(super) fn wanted_on_tables(
        &self,
        database: &str,
        access: &AccessPolicy,
    ) -> BTreeMap<Qualified, BTreeSet<Privilege>> {
        let wanted = |key: &Qualified| {
            let mut privileges = access.privileges.clone();
            if is_tools_table(access, key) {
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
    pub(super) fn wanted_defaults(
        &self,
        database: &str,
        scope: &Scope,
        group: &str,
    ) -> Option<Defaults> {
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

    pub(super) fn is_prepared(&self, database: &str, scope: &Scope) -> bool {
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

    pub(super) fn prepare(&mut self, database: &str, scope: &Scope) -> Result<(), DatabaseError> {
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
                if is_tools_table(&scope.access, &key) {
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

    pub(super) fn sessions_of(&self, login: &LoginName) -> Fact<Vec<Session>> {
        match &self.sessions_hidden {
            Some(why) => Fact::Unknown(why.clone()),
            None => Fact::Known(self.open_sessions_of(login)),
        }
    }

    pub(super) fn open_sessions_of(&self, login: &LoginName) -> Vec<Session> {
        self.shown(&self.sessions, login)
    }

    /// Those of these sessions that are a login's, as a look shows them.
    pub(super) fn shown(
        &self,
        sessions: &BTreeMap<u64, OpenSession>,
        login: &LoginName,
    ) -> Vec<Session> {
        let of_login = sessions.iter().filter(|(_, s)| s.login == login.as_str());
        of_login
            .map(|(id, open)| Session {
                pid: i64::try_from(*id).unwrap_or(i64::MAX),
                user: login.clone(),
                address: Some(open.address.clone()),
                application: Some(open.application.clone()).filter(|name| !name.is_empty()),
                age: Duration::try_from(self.now.duration_since(open.opened_at)).ok(),
                replica: None,
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

fn is_version_table(access: &AccessPolicy, key: &Qualified) -> bool {
    access
        .version_table
        .as_ref()
        .is_some_and(|table| is(table, key))
}

fn is_tools_table(access: &AccessPolicy, key: &Qualified) -> bool {
    is_version_table(access, key) || access.tool_tables.iter().any(|table| is(table, key))
}

fn is(table: &TableName, (schema, name): &Qualified) -> bool {
    table.name() == name && table.schema().is_none_or(|wanted| wanted == schema)
}

pub(super) fn foreign(kind: &str, name: &str) -> DatabaseError {
    DatabaseError::Foreign(ForeignObject {
        kind: kind.to_owned(),
        name: name.to_owned(),
    })
}

pub(super) fn missing_role(operation: &'static str, role: &str) -> DatabaseError {
    DatabaseError::Server {
        operation,
        code: "42704".to_owned(),
        message: format!("role \"{role}\" does not exist"),
    }
}
