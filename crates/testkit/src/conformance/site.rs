//! What a case needs of a server: one fresh database, and somebody else's hands in it.
//!
//! The hands are not the operator's: nothing here goes through the ports.

use async_trait::async_trait;
use dbop_database::{Connector, Target};
use dbop_model::table::TableName;
use dbop_model::{Engine, Privilege, RoleName};
use secrecy::SecretString;

/// How an engine differs from others, as far as cases see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nature {
    /// Which it is.
    pub engine: Engine,
    /// A database has schemas, and the policy chooses among them. Else a database is a schema.
    pub has_schemas: bool,
    /// Tables have owners. Else who makes one has no more of it than others.
    pub has_owners: bool,
    /// What a migration makes can be used before anybody prepares again. Else when its run has ended.
    pub gives_at_once: bool,
}

impl Nature {
    /// PostgreSQL's.
    pub const POSTGRESQL: Nature = Nature {
        engine: Engine::PostgreSql,
        has_schemas: true,
        has_owners: true,
        gives_at_once: true,
    };

    /// MySQL's and MariaDB's.
    pub const fn of_mysql(engine: Engine) -> Nature {
        Nature {
            engine,
            has_schemas: false,
            has_owners: false,
            gives_at_once: false,
        }
    }
}

/// One fresh database with an admin that has no more than it needs.
///
/// Its schema version is kept in Alembic's table `alembic_version`, in the default schema.
#[async_trait]
pub trait Site: Send + Sync {
    /// How its engine differs from others.
    fn nature(&self) -> Nature {
        Nature::POSTGRESQL
    }

    /// The connector under test.
    fn connector(&self) -> &dyn Connector;

    /// The database, and the admin's credentials.
    fn target(&self) -> Target;

    /// The same place with another admin password.
    fn target_with_wrong_password(&self) -> Target;

    /// The same server, a database that is not there.
    fn target_without_database(&self) -> Target;

    /// The same credentials, a place where nobody answers. From here on the site may be unreachable.
    fn target_unreachable(&self) -> Target;

    /// Another fresh database on the same server.
    async fn beside(&self) -> Box<dyn Site>;

    /// Logs in as an application or a migration does.
    async fn open(
        &self,
        login: &str,
        password: &SecretString,
    ) -> Result<Box<dyn Client>, OpenRefused>;

    /// A person makes a login that bears no mark.
    async fn person_makes_login(&self, name: &str, password: &SecretString);

    /// A person gives a role a privilege on a table, or takes it. The group's role stands for all that hold the
    /// applications' grants: where these are each login's own, for the logins.
    async fn person_grants(&self, privilege: Privilege, table: &TableName, role: &str, given: bool);

    /// A person lets a role create tables in the default schema.
    async fn person_allows_create(&self, role: &str);

    /// A person drops all that a role owns or defines in this database, and takes its privileges here.
    async fn person_drops_owned(&self, role: &str);

    /// A person takes the privilege to make logins from the admin.
    async fn person_weakens_admin(&self);

    /// A person runs the statement that a missing privilege names.
    async fn person_runs(&self, statement: &str);

    /// Who owns a table, where tables have owners.
    async fn owner_of(&self, table: &TableName) -> Option<RoleName>;

    /// Is there a role of this name?
    async fn has_role(&self, name: &str) -> bool;
}

/// Somebody's session in a [`Site`].
#[async_trait]
pub trait Client: Send {
    /// Does something to a table that needs this privilege. False: the server denies it.
    async fn may(&mut self, privilege: Privilege, table: &TableName) -> bool;

    /// Makes a table whose key comes from a sequence. False: the server denies it.
    async fn create_table(&mut self, table: &TableName) -> bool;

    /// Makes a schema. False: the server denies it.
    async fn create_schema(&mut self, schema: &str) -> bool;

    /// Writes these heads into the version table, making it where there is none. False: denied.
    async fn set_version(&mut self, heads: &[&str]) -> bool;

    /// Does the session still answer?
    async fn is_alive(&mut self) -> bool;

    /// Logs out.
    async fn close(self: Box<Self>);
}

/// The server refused a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenRefused;
