//! A real server as a place for the conformance suite: other hands in it, by the driver and not by our crate.

#![expect(clippy::unwrap_used, reason = "it is for tests")]
#![allow(dead_code, reason = "not every test file needs every hand")]

#[path = "server.rs"]
mod server;

use std::sync::Arc;

use async_trait::async_trait;
use dbop_database::{Connector, Target};
use dbop_model::table::TableName;
use dbop_model::{Privilege, RoleName};
use dbop_mysql::MySql;
use dbop_testkit::conformance::{Client, Nature, OpenRefused, Site};
use dbop_tests::TestDatabase;
use jiff::Timestamp;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, OptsBuilder};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

pub(crate) use server::{TestServer, on_each};

/// A fresh database with the least admin.
pub(crate) struct MySite {
    pub(crate) server: TestServer,
    pub(crate) name: String,
    pub(crate) admin: String,
    pub(crate) password: String,
    database: Arc<TestDatabase>,
    mysql: MySql,
    /// Accounts that a person made; the database's own clean-up does not know them.
    made: std::sync::Mutex<Vec<String>>,
}

pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A database's name in a grant, where `_` and `%` are wildcards.
pub(crate) fn whole(name: &str) -> String {
    let escaped = name
        .replace('\\', "\\\\")
        .replace('_', "\\_")
        .replace('%', "\\%");
    format!("{}.*", quoted(&escaped))
}

pub(crate) fn target(dsn: &str) -> Target {
    Target {
        dsn: dsn.to_owned().into(),
        tls: None,
        ca_certificate: None,
    }
}

impl MySite {
    pub(crate) async fn on(server: &TestServer) -> MySite {
        MySite::of(server, server.known.database("dbop_conf").await)
    }

    /// A database of this name.
    pub(crate) async fn named(server: &TestServer, name: &str) -> MySite {
        MySite::of(server, server.known.database_named(name).await)
    }

    fn of(server: &TestServer, database: TestDatabase) -> MySite {
        MySite {
            server: server.clone(),
            name: database.name().to_owned(),
            admin: database.admin().to_owned(),
            password: database.admin_password().to_owned(),
            database: Arc::new(database),
            mysql: MySql::new(|| Timestamp::UNIX_EPOCH),
            made: std::sync::Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn dsn(&self, user: &str, password: &str, database: &str) -> String {
        let (host, port) = self.server.address();
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        format!(
            "mysql://{}:{}@{host}:{port}/{}",
            encoded(user),
            encoded(password),
            encoded(database)
        )
    }

    pub(crate) fn sql_name(&self, table: &TableName) -> String {
        let schema = table.schema().unwrap_or(&self.name);
        format!("{}.{}", quoted(schema), quoted(table.name()))
    }

    /// Logs in by the driver alone; into the database, where the login may enter it.
    pub(crate) async fn login(&self, login: &str, password: &str) -> Result<Conn, Error> {
        let (host, port) = self.server.address();
        let opts = |database: Option<&str>| {
            OptsBuilder::default()
                .ip_or_hostname(host.clone())
                .tcp_port(port)
                .user(Some(login))
                .pass(Some(password))
                .db_name(database)
                .prefer_socket(false)
        };
        match Conn::new(opts(Some(&self.name))).await {
            Err(Error::Server(error)) if error.code == 1044 => Conn::new(opts(None)).await,
            result => result,
        }
    }

    /// The accounts that a role's name stands for: the group's for all logins of its claim.
    async fn accounts(&self, role: &str) -> Vec<String> {
        let Some(claim) = role.strip_suffix("_app").and_then(|r| r.rsplit('_').next()) else {
            return vec![role.to_owned()];
        };
        let users = self
            .server
            .reads("SELECT User FROM mysql.user WHERE Host = '%'")
            .await;
        let ends = format!("_{claim}");
        users
            .into_iter()
            .filter(|user| user.ends_with(&ends))
            .collect()
    }
}

impl Drop for MySite {
    fn drop(&mut self) {
        let made = std::mem::take(self.made.get_mut().unwrap());
        if made.is_empty() {
            return;
        }
        let (server, database) = (self.server.clone(), Arc::clone(&self.database));
        // A runtime of its own: this may run inside a test's runtime, which must not be blocked on.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            for person in made {
                let account = database.account(&person);
                runtime.block_on(server.runs(&format!("DROP USER IF EXISTS {account}")));
            }
        });
        if cleaning.join().is_err() {
            eprintln!("people's accounts on {} could not be removed", self.name);
        }
    }
}

#[async_trait]
impl Site for MySite {
    fn nature(&self) -> Nature {
        Nature::of_mysql(self.server.engine)
    }

    fn connector(&self) -> &dyn Connector {
        &self.mysql
    }

    fn target(&self) -> Target {
        target(&self.dsn(&self.admin, &self.password, &self.name))
    }

    fn target_with_wrong_password(&self) -> Target {
        target(&self.dsn(&self.admin, "wrong", &self.name))
    }

    fn target_without_database(&self) -> Target {
        let nowhere = format!("{}_nowhere", self.name);
        target(&self.dsn(&self.admin, &self.password, &nowhere))
    }

    fn target_unreachable(&self) -> Target {
        // Port 1 is a service that nobody runs any more.
        target(&format!("mysql://admin:x@127.0.0.1:1/{}", self.name))
    }

    async fn beside(&self) -> Box<dyn Site> {
        Box::new(MySite::on(&self.server).await)
    }

    async fn open(
        &self,
        login: &str,
        password: &SecretString,
    ) -> Result<Box<dyn Client>, OpenRefused> {
        let conn = self
            .login(login, password.expose_secret())
            .await
            .map_err(|_| OpenRefused)?;
        Ok(Box::new(MyClient {
            conn,
            database: self.name.clone(),
        }))
    }

    async fn person_makes_login(&self, name: &str, password: &SecretString) {
        self.made.lock().unwrap().push(name.to_owned());
        let (name, password) = (quoted(name), password.expose_secret());
        self.server
            .runs(&format!(
                "CREATE USER {name}@'%' IDENTIFIED BY '{password}'"
            ))
            .await;
    }

    async fn person_grants(
        &self,
        privilege: Privilege,
        table: &TableName,
        role: &str,
        given: bool,
    ) {
        let (verb, to) = if given {
            ("GRANT", "TO")
        } else {
            ("REVOKE", "FROM")
        };
        let (privilege, table) = (privilege.sql(), self.sql_name(table));
        for account in self.accounts(role).await {
            let account = quoted(&account);
            self.server
                .runs(&format!("{verb} {privilege} ON {table} {to} {account}@'%'"))
                .await;
        }
    }

    async fn person_allows_create(&self, role: &str) {
        let (whole, role) = (whole(&self.name), quoted(role));
        self.server
            .runs(&format!(
                "GRANT CREATE, CREATE VIEW ON {whole} TO {role}@'%'"
            ))
            .await;
    }

    async fn person_drops_owned(&self, role: &str) {
        let (whole, role) = (whole(&self.name), quoted(role));
        self.server
            .runs(&format!("REVOKE ALL PRIVILEGES ON {whole} FROM {role}@'%'"))
            .await;
    }

    async fn person_weakens_admin(&self) {
        let admin = quoted(&self.admin);
        self.server
            .runs(&format!("REVOKE CREATE USER ON *.* FROM {admin}@'%'"))
            .await;
    }

    async fn person_runs(&self, statement: &str) {
        self.server.runs(statement).await;
    }

    async fn owner_of(&self, _: &TableName) -> Option<RoleName> {
        None
    }

    async fn has_role(&self, name: &str) -> bool {
        let name = name.replace('\'', "''");
        !self
            .server
            .reads(&format!(
                "SELECT User FROM mysql.user WHERE User = '{name}'"
            ))
            .await
            .is_empty()
    }
}

struct MyClient {
    conn: Conn,
    database: String,
}

/// A table, a column, a database, something of the server.
const DENIED: [u16; 4] = [1142, 1143, 1044, 1227];

impl MyClient {
    async fn tries(&mut self, sql: &str) -> bool {
        match self.conn.query_drop(sql).await {
            Ok(()) => true,
            Err(Error::Server(error)) if DENIED.contains(&error.code) => false,
            Err(error) => panic!("{sql}: {error}"),
        }
    }

    fn sql_name(&self, table: &TableName) -> String {
        let schema = table.schema().unwrap_or(&self.database);
        format!("{}.{}", quoted(schema), quoted(table.name()))
    }
}

#[async_trait]
impl Client for MyClient {
    async fn may(&mut self, privilege: Privilege, table: &TableName) -> bool {
        let name = self.sql_name(table);
        let is_version = table.name() == "alembic_version";
        let insert = if is_version {
            "(version_num) VALUES ('x')"
        } else {
            "() VALUES ()"
        };
        let column = if is_version { "version_num" } else { "note" };
        let sql = match privilege {
            Privilege::Select => format!("SELECT 1 FROM {name} LIMIT 1"),
            Privilege::Insert => format!("INSERT INTO {name} {insert}"),
            Privilege::Update => format!("UPDATE {name} SET {column} = 'x'"),
            Privilege::Delete => format!("DELETE FROM {name}"),
            Privilege::Truncate => format!("TRUNCATE {name}"),
            Privilege::References | Privilege::Trigger => panic!("no case tries {privilege:?}"),
        };
        // What a case tries it does not want to keep.
        self.conn.query_drop("BEGIN").await.unwrap();
        let done = self.tries(&sql).await;
        self.conn.query_drop("ROLLBACK").await.unwrap();
        done
    }

    async fn create_table(&mut self, table: &TableName) -> bool {
        let name = self.sql_name(table);
        self.tries(&format!(
            "CREATE TABLE {name} (id bigint AUTO_INCREMENT PRIMARY KEY, note text)"
        ))
        .await
    }

    async fn create_schema(&mut self, schema: &str) -> bool {
        self.tries(&format!("CREATE SCHEMA {}", quoted(schema)))
            .await
    }

    async fn set_version(&mut self, heads: &[&str]) -> bool {
        let rows: Vec<String> = heads.iter().map(|head| format!("('{head}')")).collect();
        let exists = "SELECT 1 FROM information_schema.TABLES \
                      WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'alembic_version'";
        let is_there: Option<u8> = self.conn.query_first(exists).await.unwrap();
        let create = "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)";
        if is_there.is_none() && !self.tries(create).await {
            return false;
        }
        self.tries("DELETE FROM alembic_version").await
            && self
                .tries(&format!(
                    "INSERT INTO alembic_version VALUES {}",
                    rows.join(", ")
                ))
                .await
    }

    async fn is_alive(&mut self) -> bool {
        self.conn.query_drop("SELECT 1").await.is_ok()
    }

    async fn close(self: Box<Self>) {
        self.conn.disconnect().await.unwrap();
    }
}
