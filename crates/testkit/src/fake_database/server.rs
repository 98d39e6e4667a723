//! The state of the server in memory, and the rules by which it lets somebody do something.
//!
//! The rules are those that the conformance suite asks for, no more: a role has what it was granted, what
//! the roles it is a member of have, and everything on what those own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dbop_model::health::HealthFacts;
use dbop_model::table::{TableFacts, TableName};
use dbop_model::trial::Trial;
use dbop_model::{
    ClaimId, ClaimOwner, Fact, LoginTurn, MigrationName, MissingPrivilege, ObservedVersion,
    Privilege, Why,
};
use jiff::Timestamp;

use super::deeds::Deed;
use super::{ADMIN, DEFAULT_SCHEMA, Denied, HOST, OpenError, SUPERUSER, WriteFate};

/// Schema and name.
pub(super) type Qualified = (String, String);

pub(super) type Hook = Arc<dyn Fn(&str) -> WriteFate + Send + Sync>;

pub(super) struct Server {
    pub(super) now: Timestamp,
    pub(super) reachable: bool,
    pub(super) admin_password: String,
    /// The authority of its certificate, where it is verified.
    pub(super) ca: Option<String>,
    pub(super) missing: Vec<MissingPrivilege>,
    pub(super) sessions_hidden: Option<Why>,
    pub(super) on_write: Option<Hook>,
    pub(super) roles: BTreeMap<String, Role>,
    pub(super) databases: BTreeMap<String, Database>,
    pub(super) sessions: BTreeMap<u64, OpenSession>,
    /// By their hosts.
    pub(super) replicas: BTreeMap<String, ReplicaState>,
    /// What the health of each of its databases is judged by; `None`: it cannot be told.
    pub(super) health: Option<HealthFacts>,
    /// What trials of statements come to, by their numbers.
    pub(super) trials: BTreeMap<usize, Trial>,
    /// How many statements were tried.
    pub(super) tried: usize,
    /// How often facts of tables were asked for.
    pub(super) looks_at_tables: u64,
    /// Connections of the operator, each with its database.
    pub(super) connections: BTreeMap<u64, String>,
    /// Where it is found.
    pub(super) host: String,
    /// What was done to logins, since somebody last asked.
    pub(super) deeds: Vec<Deed>,
    last_id: u64,
}

/// A role of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    /// Whose it is, where it is one of ours.
    pub mark: Option<Mark>,
    /// Can somebody log in to it?
    pub login: bool,
    /// Its password, where it has one.
    pub password: Option<String>,
    /// The roles it is a member of.
    pub member_of: BTreeSet<String>,
    /// The role that its sessions act as; its own where `None`.
    pub acts_as: Option<String>,
}

/// The mark on a role of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// It holds the grants, and the claim.
    Group {
        /// The claim.
        claim: ClaimId,
        /// Whose it is.
        owner: ClaimOwner,
    },
    /// It owns the objects.
    Owner {
        /// The claim.
        claim: ClaimId,
    },
    /// Migrations run as it.
    Migrator {
        /// The claim.
        claim: ClaimId,
    },
    /// Users' queries run as it.
    Reader {
        /// The claim.
        claim: ClaimId,
    },
    /// Applications of a migration use it.
    Login {
        /// The claim.
        claim: ClaimId,
        /// The migration.
        migration: MigrationName,
        /// Which of its logins.
        turn: LoginTurn,
    },
}

impl Mark {
    /// The claim that it bears.
    pub fn claim(&self) -> &ClaimId {
        match self {
            Mark::Group { claim, .. }
            | Mark::Owner { claim }
            | Mark::Migrator { claim }
            | Mark::Reader { claim }
            | Mark::Login { claim, .. } => claim,
        }
    }
}

#[derive(Clone)]
pub(super) struct Database {
    /// The group roles that were granted CONNECT: that is how a claim is tied to a database. Everybody
    /// may connect, as on a new server.
    pub(super) connect: BTreeSet<String>,
    pub(super) schemas: BTreeMap<String, Schema>,
    pub(super) tables: BTreeMap<Qualified, Table>,
    pub(super) defaults: Option<Defaults>,
    pub(super) version: Fact<ObservedVersion>,
    pub(super) version_table: Qualified,
    /// The connection that holds the advisory lock.
    pub(super) lock: Option<u64>,
}

impl Database {
    /// Drops all that a role owns here, and its privileges.
    pub(super) fn forget(&mut self, role: &str) {
        self.connect.remove(role);
        self.tables.retain(|_, table| table.owner != role);
        for table in self.tables.values_mut() {
            table.grants.remove(role);
        }
        for schema in self.schemas.values_mut() {
            schema.usage.remove(role);
            schema.creators.remove(role);
        }
    }
}

#[derive(Clone, Default)]
pub(super) struct Schema {
    pub(super) usage: BTreeSet<String>,
    pub(super) creators: BTreeSet<String>,
}

#[derive(Clone)]
pub(super) struct Table {
    pub(super) owner: String,
    pub(super) grants: BTreeMap<String, BTreeSet<Privilege>>,
    pub(super) facts: Option<TableFacts>,
    /// How many rows were inserted, changed or deleted.
    pub(super) written: u64,
}

impl Table {
    pub(super) fn owned_by(owner: &str) -> Self {
        Self {
            owner: owner.to_owned(),
            grants: BTreeMap::new(),
            facts: None,
            written: 0,
        }
    }
}

/// What the group gets on what the owner role makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Defaults {
    pub(super) owner: String,
    pub(super) group: String,
    pub(super) privileges: BTreeSet<Privilege>,
    pub(super) schemas: Option<BTreeSet<String>>,
}

/// A replica: its own sessions, and what it has replayed.
#[derive(Default)]
pub(super) struct ReplicaState {
    pub(super) is_down: bool,
    /// The logins that could log in when it stopped replaying; `None`: it replays at once.
    pub(super) stopped_at: Option<BTreeSet<String>>,
    pub(super) sessions: BTreeMap<u64, OpenSession>,
}

pub(super) struct OpenSession {
    pub(super) login: String,
    pub(super) opened_at: Timestamp,
    pub(super) address: String,
    pub(super) application: String,
}

/// The key of a table; a name without a schema is one in `public`.
pub(super) fn qualified(table: &TableName) -> Qualified {
    (
        table.schema().unwrap_or(DEFAULT_SCHEMA).to_owned(),
        table.name().to_owned(),
    )
}

impl Server {
    pub(super) fn new() -> Self {
        let mut roles = BTreeMap::new();
        roles.insert(ADMIN.to_owned(), Role::default());
        roles.insert(SUPERUSER.to_owned(), Role::default());
        Self {
            now: Timestamp::UNIX_EPOCH,
            reachable: true,
            admin_password: "admin-password".to_owned(),
            ca: None,
            missing: Vec::new(),
            sessions_hidden: None,
            on_write: None,
            roles,
            databases: BTreeMap::new(),
            sessions: BTreeMap::new(),
            replicas: BTreeMap::new(),
            health: None,
            trials: BTreeMap::new(),
            tried: 0,
            looks_at_tables: 0,
            connections: BTreeMap::new(),
            host: HOST.to_owned(),
            deeds: Vec::new(),
            last_id: 0,
        }
    }

    /// The logins that can log in.
    pub(super) fn open_logins(&self) -> BTreeSet<String> {
        let open = self.roles.iter().filter(|(_, role)| role.login);
        open.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn add_database(&mut self, name: &str) {
        let database = Database {
            connect: BTreeSet::new(),
            schemas: BTreeMap::from([(DEFAULT_SCHEMA.to_owned(), Schema::default())]),
            tables: BTreeMap::new(),
            defaults: None,
            version: Fact::Known(ObservedVersion::None),
            version_table: (DEFAULT_SCHEMA.to_owned(), "alembic_version".to_owned()),
            lock: None,
        };
        self.databases.insert(name.to_owned(), database);
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// A database of a handle; handles are made with their database, so it is there.
    pub(super) fn database(&self, name: &str) -> &Database {
        &self.databases[name]
    }

    pub(super) fn database_mut(&mut self, name: &str) -> &mut Database {
        self.databases
            .get_mut(name)
            .expect("handles are made with their database")
    }

    pub(super) fn break_connections(&mut self) {
        self.connections.clear();
        for database in self.databases.values_mut() {
            database.lock = None;
        }
    }

    pub(super) fn add_role(&mut self, name: &str, password: Option<&str>) {
        let role = Role {
            login: password.is_some(),
            password: password.map(str::to_owned),
            ..Role::default()
        };
        self.roles.insert(name.to_owned(), role);
    }

    /// Drops a role with all it has, whoever it is.
    pub(super) fn remove_role(&mut self, name: &str) {
        self.roles.remove(name);
        for role in self.roles.values_mut() {
            role.member_of.remove(name);
        }
        for database in self.databases.values_mut() {
            database.forget(name);
        }
    }

    pub(super) fn admits(&self, login: &str, password: &str) -> Result<(), OpenError> {
        if !self.reachable {
            return Err(OpenError::Unreachable);
        }
        let role = self.roles.get(login).filter(|role| role.login);
        if role.is_none_or(|role| role.password.as_deref() != Some(password)) {
            return Err(OpenError::Refused(login.to_owned()));
        }
        Ok(())
    }

    /// The role and all that it is a member of, directly or not.
    pub(super) fn all_roles_of(&self, role: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![role.to_owned()];
        while let Some(next) = open.pop() {
            if let Some(role) = self.roles.get(&next)
                && found.insert(next)
            {
                open.extend(role.member_of.iter().cloned());
            }
        }
        found
    }

    /// Whom a session acts as.
    pub(super) fn actor(&self, session: u64) -> Result<String, Denied> {
        let session = self
            .sessions
            .get(&session)
            .ok_or_else(|| Denied("the session is closed".into()))?;
        let role = self
            .roles
            .get(&session.login)
            .ok_or_else(|| Denied(format!("role {} does not exist", session.login)))?;
        Ok(role
            .acts_as
            .clone()
            .unwrap_or_else(|| session.login.clone()))
    }

    pub(super) fn may(
        &self,
        database: &str,
        actor: &str,
        privilege: Privilege,
        table: &Qualified,
    ) -> Result<(), Denied> {
        let database = self.database(database);
        let denied = || Denied(format!("permission denied for {}.{}", table.0, table.1));
        let found = database
            .tables
            .get(table)
            .ok_or_else(|| Denied(format!("relation {}.{} does not exist", table.0, table.1)))?;
        let roles = self.all_roles_of(actor);
        if roles.contains(&found.owner) {
            return Ok(());
        }
        let usage = |schema: &Schema| schema.usage.iter().any(|role| roles.contains(role));
        let reachable =
            table.0 == DEFAULT_SCHEMA || database.schemas.get(&table.0).is_some_and(usage);
        let held = |role: &String| {
            found
                .grants
                .get(role)
                .is_some_and(|privileges| privileges.contains(&privilege))
        };
        if reachable && roles.iter().any(held) {
            Ok(())
        } else {
            Err(denied())
        }
    }

    pub(super) fn create_table(
        &mut self,
        database: &str,
        actor: &str,
        table: Qualified,
    ) -> Result<(), Denied> {
        let roles = self.all_roles_of(actor);
        let database = self.database_mut(database);
        let creators = database
            .schemas
            .get(&table.0)
            .map(|schema| &schema.creators);
        if creators.is_none_or(|creators| creators.is_disjoint(&roles)) {
            return Err(Denied(format!("permission denied for schema {}", table.0)));
        }
        let mut made = Table::owned_by(actor);
        if let Some(defaults) = database.defaults.as_ref()
            && defaults.owner == actor
            && defaults
                .schemas
                .as_ref()
                .is_none_or(|schemas| schemas.contains(&table.0))
        {
            made.grants
                .insert(defaults.group.clone(), defaults.privileges.clone());
        }
        if database.tables.contains_key(&table) {
            return Err(Denied(format!(
                "relation {}.{} already exists",
                table.0, table.1
            )));
        }
        database.tables.insert(table, made);
        Ok(())
    }

    pub(super) fn create_schema(
        &mut self,
        database: &str,
        actor: &str,
        name: &str,
    ) -> Result<(), Denied> {
        let is_owner = self
            .roles
            .values()
            .any(|role| role.acts_as.as_deref() == Some(actor));
        if !is_owner {
            return Err(Denied(format!("permission denied to create schema {name}")));
        }
        let database = self.database_mut(database);
        let mut schema = Schema {
            creators: [actor.to_owned()].into(),
            ..Schema::default()
        };
        if let Some(defaults) = database.defaults.as_ref()
            && defaults.owner == actor
            && defaults.schemas.is_none()
        {
            schema.usage.insert(defaults.group.clone());
        }
        database.schemas.insert(name.to_owned(), schema);
        Ok(())
    }

    /// Sets the version as somebody who may; the version table comes with the first.
    pub(super) fn write_version(
        &mut self,
        database: &str,
        actor: &str,
        version: Fact<ObservedVersion>,
    ) {
        let database = self.database_mut(database);
        let table = database.version_table.clone();
        if version.is_known_and(|version| *version != ObservedVersion::None) {
            database
                .tables
                .entry(table)
                .or_insert_with(|| Table::owned_by(actor));
        }
        database.version = version;
    }
}
