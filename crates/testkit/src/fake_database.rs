//! A database server in memory that behaves: logins with passwords, roles and grants, tables, sessions, an
//! advisory lock, and faults on demand. It is deterministic: no clock, no randomness, ordered maps.
//!
//! A [`FakeDatabase`] is a handle: clones share one server. It is a [`dbop_database::Connector`]; the
//! methods here are what applications, migrations and people do to the database from outside, and what a
//! test looks at. It speaks no SQL: a migration is a version that is set.

mod connection;
mod connector;
mod deeds;
mod facts;
mod reader;
mod recovery;
mod replica;
mod rules;
mod server;
mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dbop_database::Target;
use dbop_model::health::HealthFacts;
use dbop_model::table::{TableFacts, TableName};
use dbop_model::trial::Trial;
use dbop_model::{
    Fact, LoginName, MissingPrivilege, ObservedVersion, Privilege, SchemaVersion, TlsMode, Why,
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

pub use deeds::{Deed, Done};
pub use recovery::Backup;
pub use server::{Mark, Role};
use server::{OpenSession, Server, Table};

/// The schema of tables whose name says none.
const DEFAULT_SCHEMA: &str = "public";
/// The admin's login.
const ADMIN: &str = "admin";
/// What owns the tables that a person makes.
const SUPERUSER: &str = "postgres";
/// Where the server is, until it fails over.
const HOST: &str = "fake.test";

/// A database on a server in memory.
#[derive(Clone)]
pub struct FakeDatabase {
    server: Arc<Mutex<Server>>,
    name: String,
}

/// What becomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteFate {
    /// It takes effect, and says so.
    Apply,
    /// The connection breaks before it takes effect.
    FailBefore,
    /// It takes effect, and the connection breaks before the reply.
    FailAfter,
}

/// A session of an application or a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(u64);

/// Why a session is not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The server does not answer.
    #[error("the server does not answer")]
    Unreachable,
    /// There is no such login, it is locked, or the password is wrong.
    #[error("login {0} was refused")]
    Refused(String),
}

/// A session may not do what it tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Denied(String);

impl FakeDatabase {
    /// An empty database on a server of its own, which has only the admin.
    pub fn new(name: &str) -> Self {
        let mut server = Server::new();
        server.add_database(name);
        Self {
            server: Arc::new(Mutex::new(server)),
            name: name.to_owned(),
        }
    }

    /// An empty database beside this one, on the same server.
    pub fn beside(&self, name: &str) -> Self {
        self.locked().add_database(name);
        Self {
            server: Arc::clone(&self.server),
            name: name.to_owned(),
        }
    }

    /// The database of this name on the same server, which must be there.
    pub fn named(&self, name: &str) -> Self {
        Self {
            server: Arc::clone(&self.server),
            name: name.to_owned(),
        }
    }

    /// What the health of databases on the server is judged by, from now on.
    pub fn set_health(&self, facts: HealthFacts) {
        self.locked().health = Some(facts);
    }

    /// What trying a migration's statement comes to, by its number from 0.
    pub fn set_trial(&self, statement: usize, trial: Trial) {
        self.locked().trials.insert(statement, trial);
    }

    /// How many statements were tried, on the whole server.
    pub fn tried(&self) -> usize {
        self.locked().tried
    }

    /// How often facts of tables were asked for, on the whole server.
    pub fn looked_at_tables(&self) -> u64 {
        self.locked().looks_at_tables
    }

    /// Where it is, and the admin's credentials.
    pub fn target(&self) -> Target {
        let server = self.locked();
        let dsn = format!(
            "fake://{ADMIN}:{}@{}:5432/{}",
            server.admin_password, server.host, self.name
        );
        Target {
            dsn: dsn.into(),
            tls: server.ca.as_ref().map(|_| TlsMode::VerifyFull),
            ca_certificate: server.ca.clone(),
        }
    }

    /// From now on its certificate is verified by this CA, or no longer.
    pub fn set_ca(&self, ca: Option<&str>) {
        self.locked().ca = ca.map(str::to_owned);
    }

    /// Calls `fate` before each write, with the write's name: `claim`, `take_over`, `prepare`,
    /// `ensure_login`, `lock_login`, `unlock_login`, `drop_login`, `open_migrator`, `close_migrator`.
    pub fn on_write(&self, fate: impl Fn(&str) -> WriteFate + Send + Sync + 'static) {
        self.locked().on_write = Some(Arc::new(fate));
    }

    /// What the clock says that sessions' ages and the time of table facts are from.
    pub fn set_now(&self, now: Timestamp) {
        self.locked().now = now;
    }

    /// Makes the server answer, or not. What stops answering loses its connections and sessions.
    pub fn set_reachable(&self, reachable: bool) {
        let mut server = self.locked();
        server.reachable = reachable;
        if !reachable {
            server.break_connections();
            server.sessions.clear();
        }
    }

    /// Breaks every connection of the operator; the next one works.
    pub fn break_connections(&self) {
        self.locked().break_connections();
    }

    /// Changes the admin's password; [`FakeDatabase::target`] follows, older targets are refused.
    pub fn set_admin_password(&self, password: &str) {
        self.locked().admin_password = password.to_owned();
    }

    /// Takes privileges from the admin: every write is refused until none is missing.
    pub fn set_missing(&self, missing: Vec<MissingPrivilege>) {
        self.locked().missing = missing;
    }

    /// Makes sessions visible, or Unknown for this reason.
    pub fn hide_sessions(&self, why: Option<Why>) {
        self.locked().sessions_hidden = why;
    }

    /// Sets what the schema-version engine reads, as a restore or a person would.
    pub fn set_version(&self, version: ObservedVersion) {
        let mut server = self.locked();
        server.write_version(&self.name, SUPERUSER, Fact::Known(version));
    }

    /// Makes the version unreadable.
    pub fn set_version_unknown(&self, why: Why) {
        self.locked().database_mut(&self.name).version = Fact::Unknown(why);
    }

    /// What the schema-version engine reads.
    pub fn version(&self) -> Fact<ObservedVersion> {
        self.locked().database(&self.name).version.clone()
    }

    /// Puts a table there, with what a look at it sees; it belongs to a superuser.
    pub fn set_table(&self, table: &TableName, facts: TableFacts) {
        let mut server = self.locked();
        let key = server::qualified(table);
        server
            .database_mut(&self.name)
            .tables
            .entry(key)
            .or_insert_with(|| Table::owned_by(SUPERUSER))
            .facts = Some(facts);
    }

    /// Drops a table.
    pub fn drop_table(&self, table: &TableName) {
        self.locked()
            .database_mut(&self.name)
            .tables
            .remove(&server::qualified(table));
    }

    /// Drops all that a role owns in this database, and its privileges here, as a person would.
    pub fn drop_owned(&self, role: &str) {
        let mut server = self.locked();
        server.database_mut(&self.name).forget(role);
    }

    /// Who owns a table.
    pub fn table_owner(&self, table: &TableName) -> Option<String> {
        let server = self.locked();
        let table = server
            .database(&self.name)
            .tables
            .get(&server::qualified(table))?;
        Some(table.owner.clone())
    }

    /// Every role of the server, by name.
    pub fn roles(&self) -> BTreeMap<String, Role> {
        self.locked().roles.clone()
    }

    /// Makes a role that bears no mark, as a person would.
    pub fn add_role(&self, name: &str, password: Option<&str>) {
        self.locked().add_role(name, password);
    }

    /// Drops a role with everything it owns, as a person would.
    pub fn drop_role(&self, name: &str) {
        self.locked().remove_role(name);
    }

    /// Sets a login's password, as a person would.
    pub fn set_password(&self, login: &str, password: &str) {
        if let Some(role) = self.locked().roles.get_mut(login) {
            role.password = Some(password.to_owned());
        }
    }

    /// Locks a login or opens it, as a person would.
    pub fn set_open(&self, login: &str, open: bool) {
        if let Some(role) = self.locked().roles.get_mut(login) {
            role.login = open;
        }
    }

    /// Takes a grant from a role or gives it one, as a person would.
    pub fn set_grant(&self, table: &TableName, role: &str, privilege: Privilege, given: bool) {
        let mut server = self.locked();
        let Some(table) = server
            .database_mut(&self.name)
            .tables
            .get_mut(&server::qualified(table))
        else {
            return;
        };
        let held = table.grants.entry(role.to_owned()).or_default();
        if given {
            held.insert(privilege)
        } else {
            held.remove(&privilege)
        };
    }

    /// Would these credentials open a session now?
    pub fn accepts(&self, login: &LoginName, password: &SecretString) -> bool {
        self.locked()
            .admits(login.as_str(), password.expose_secret())
            .is_ok()
    }

    /// Opens a session, as an application does.
    ///
    /// # Errors
    /// [`OpenError`] where the server does not let it in.
    pub fn open_session(&self, login: &str, password: &str) -> Result<SessionId, OpenError> {
        self.open_session_from(login, password, "10.0.0.1", "")
    }

    /// Opens a session from an address, under an application's name.
    ///
    /// # Errors
    /// [`OpenError`] where the server does not let it in.
    pub fn open_session_from(
        &self,
        login: &str,
        password: &str,
        address: &str,
        application: &str,
    ) -> Result<SessionId, OpenError> {
        let mut server = self.locked();
        server.admits(login, password)?;
        let id = server.next_id();
        let session = OpenSession {
            login: login.to_owned(),
            opened_at: server.now,
            address: address.to_owned(),
            application: application.to_owned(),
        };
        server.sessions.insert(id, session);
        Ok(SessionId(id))
    }

    /// Closes a session; one that is gone already is closed.
    pub fn close_session(&self, session: SessionId) {
        self.locked().sessions.remove(&session.0);
    }

    /// Is the session open?
    pub fn is_open(&self, session: SessionId) -> bool {
        self.locked().sessions.contains_key(&session.0)
    }

    /// The sessions that are open, with their logins.
    pub fn open_sessions(&self) -> BTreeMap<SessionId, String> {
        let server = self.locked();
        server
            .sessions
            .iter()
            .map(|(id, s)| (SessionId(*id), s.login.clone()))
            .collect()
    }

    /// Can the session do this with the table?
    ///
    /// # Errors
    /// [`Denied`], as the server would say it.
    pub fn uses(
        &self,
        session: SessionId,
        privilege: Privilege,
        table: &TableName,
    ) -> Result<(), Denied> {
        let mut server = self.locked();
        let actor = server.actor(session.0)?;
        let key = server::qualified(table);
        server.may(&self.name, &actor, privilege, &key)?;
        let writes = [Privilege::Insert, Privilege::Update, Privilege::Delete];
        if writes.contains(&privilege)
            && let Some(table) = server.database_mut(&self.name).tables.get_mut(&key)
        {
            table.written += 1;
        }
        Ok(())
    }

    /// Makes a table, as a migration or an application does; it belongs to whom the session acts as.
    ///
    /// # Errors
    /// [`Denied`] where that one may not create in the schema.
    pub fn create_table(&self, session: SessionId, table: &TableName) -> Result<(), Denied> {
        let mut server = self.locked();
        let actor = server.actor(session.0)?;
        server.create_table(&self.name, &actor, server::qualified(table))
    }

    /// Makes a schema, as a migration does.
    ///
    /// # Errors
    /// [`Denied`] where the session acts as somebody who may not.
    pub fn create_schema(&self, session: SessionId, schema: &str) -> Result<(), Denied> {
        let mut server = self.locked();
        let actor = server.actor(session.0)?;
        server.create_schema(&self.name, &actor, schema)
    }

    /// Writes the version in a session, making the version table where there is none.
    ///
    /// # Errors
    /// [`Denied`] where the session may not write that table.
    pub fn write_version(
        &self,
        session: SessionId,
        version: ObservedVersion,
    ) -> Result<(), Denied> {
        let mut server = self.locked();
        let actor = server.actor(session.0)?;
        let table = server.database(&self.name).version_table.clone();
        if server.database(&self.name).tables.contains_key(&table) {
            server.may(&self.name, &actor, Privilege::Update, &table)?;
        } else {
            server.create_table(&self.name, &actor, table)?;
        }
        server.database_mut(&self.name).version = Fact::Known(version);
        Ok(())
    }

    /// A whole migration: logs in, writes the version, logs out.
    ///
    /// # Errors
    /// A sentence that says what the server refused.
    pub fn run_migration(
        &self,
        login: &str,
        password: &str,
        to: &SchemaVersion,
    ) -> Result<(), Denied> {
        let session = self
            .open_session(login, password)
            .map_err(|error| Denied(error.to_string()))?;
        let written = self.write_version(session, ObservedVersion::At(to.clone()));
        self.close_session(session);
        written
    }

    /// What the version is kept in; `public.alembic_version` unless set.
    pub fn set_version_table(&self, table: &TableName) {
        self.locked().database_mut(&self.name).version_table = server::qualified(table);
    }

    /// May this role create in the schema? For those who are not the owner role.
    pub fn allow_create(&self, role: &str, schema: &str) {
        let mut server = self.locked();
        let schemas = &mut server.database_mut(&self.name).schemas;
        schemas
            .entry(schema.to_owned())
            .or_default()
            .creators
            .insert(role.to_owned());
    }

    /// The logins that bear the mark of an application's credential, of whatever claim.
    pub fn application_logins(&self) -> BTreeSet<String> {
        let server = self.locked();
        let is_login = |role: &Role| matches!(role.mark, Some(Mark::Login { .. }));
        server
            .roles
            .iter()
            .filter(|(_, r)| is_login(r))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// A test that panicked while it held the lock must not hide its own message behind another.
    fn locked(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
