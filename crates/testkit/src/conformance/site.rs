//! What a case needs of a server: one fresh database, and somebody else's hands in it.
//!
//! The hands are not the operator's: nothing here goes through the ports.

use async_trait::async_trait;
use dbop_database::{Connector, Target};
use dbop_model::table::TableName;
use dbop_model::{Privilege, RoleName};
use secrecy::SecretString;

/// One fresh database with an admin that has no more than it needs.
///
/// Its schema version is kept in Alembic's table `alembic_version`, in the schema `public`.
#[async_trait]
pub trait Site: Send + Sync {
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

    /// A person gives a role a privilege on a table, or takes it.
    async fn person_grants(&self, privilege: Privilege, table: &TableName, role: &str, given: bool);

    /// A person lets a role create tables in the schema `public`.
    async fn person_allows_create(&self, role: &str);

    /// A person drops all that a role owns in this database, and takes its privileges here.
    async fn person_drops_owned(&self, role: &str);

    /// A person takes the privilege to make logins from the admin.
    async fn person_weakens_admin(&self);

    /// A person runs the statement that a missing privilege names.
    async fn person_runs(&self, statement: &str);

    /// Who owns a table.
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
