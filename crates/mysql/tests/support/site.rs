//! A real server as a place for the conformance suite: other hands in it, by the driver and not by our crate.

#![expect(clippy::unwrap_used, reason = "it is for tests")]
#![allow(dead_code, reason = "not every test file needs every hand")]

#[path = "server.rs"]
mod server;

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use dbop_database::{Connector, Target};
use dbop_model::table::TableName;
use dbop_model::{Engine, Privilege, RoleName};
use dbop_mysql::MySql;
use dbop_testkit::conformance::{Client, Nature, OpenRefused, Site};
use jiff::Timestamp;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, OptsBuilder};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

pub(crate) use server::{TestServer, on_each};

/// Distinguishes the databases of one process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A fresh database with the least admin.
pub(crate) struct MySite {
    pub(crate) server: TestServer,
    pub(crate) name: String,
    pub(crate) admin: String,
    pub(crate) password: String,
    mysql: MySql,
    /// Accounts that a person made; nothing else knows them.
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
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        MySite::named(
            server,
            &format!("dbop_conf_{}_{number}", std::process::id()),
        )
        .await
    }

    /// A database of this name.
    pub(crate) async fn named(server: &TestServer, name: &str) -> MySite {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let site = MySite {
            server: server.clone(),
            name: name.to_owned(),
            admin: format!("adm_{}_{number}", std::process::id()),
            password: format!("admin-{}-{number}", std::process::id()),
            mysql: MySql::new(|| Timestamp::UNIX_EPOCH),
            made: std::sync::Mutex::new(Vec::new()),
        };
        server
            .runs(&format!("CREATE DATABASE {}", quoted(name)))
            .await;
        for statement in site.grants_of_least_admin() {
            server.runs(&statement).await;
        }
        site
    }

    /// What docs/mysql-admin.md says.
    fn grants_of_least_admin(&self) -> Vec<String> {
        let admin = format!("{}@'%'", quoted(&self.admin));
        let mut statements = vec![
            format!("CREATE USER {admin} IDENTIFIED BY '{}'", self.password),
            format!("GRANT CREATE USER, PROCESS, SHOW DATABASES ON *.* TO {admin}"),
            format!(
                "GRANT ALL PRIVILEGES ON {} TO {admin} WITH GRANT OPTION",
                whole(&self.name)
            ),
        ];
        let own = if self.server.engine == Engine::MariaDb {
            ["SELECT ON mysql.global_priv", "SELECT ON mysql.db"]
        } else {
            [
                "SELECT (Host, User, account_locked) ON mysql.user",
                "SELECT ON performance_schema.accounts",
            ]
        };
        let common = [
            "SELECT ON mysql.db",
            "SELECT ON mysql.tables_priv",
            "SELECT ON mysql.columns_priv",
            "SELECT ON mysql.procs_priv",
        ];
        let grants = own.iter().chain(&common);
        statements.extend(grants.map(|grant| format!("GRANT {grant} TO {admin}")));
        statements
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
        let (server, name) = (self.server.clone(), self.name.clone());
        let mut people = std::mem::take(self.made.get_mut().unwrap());
        people.push(self.admin.clone());
        // A runtime of its own: this may run inside a test's runtime, which must not be blocked on.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(remove(&server, &name, &people));
        });
        if cleaning.join().is_err() {
            eprintln!("database {} could not be removed", self.name);
        }
    }
}

/// Drops the database, people's accounts, and all accounts that have to do with it.
async fn remove(server: &TestServer, name: &str, people: &[String]) {
    let mut conn = server.superuser().await;
    let mut statements = vec![format!("DROP DATABASE IF EXISTS {}", quoted(name))];
    let literal = name.replace('\'', "''").replace('\\', "\\\\");
    let users = format!(
        "SELECT CONCAT('`', REPLACE(User, '`', '``'), '`@`', Host, '`') FROM mysql.db \
         WHERE REPLACE(Db, '\\\\', '') = REPLACE('{literal}', '\\\\', '')"
    );
    let mut drops: Vec<String> = conn.query(users).await.unwrap_or_default();
    drops.extend(
        people
            .iter()
            .map(|person| format!("{}@`%`", quoted(person))),
    );
    statements.extend(
        drops
            .iter()
            .map(|user| format!("DROP USER IF EXISTS {user}")),
    );
    if server.engine == Engine::MariaDb {
        let roles: Vec<String> = conn
            .query("SELECT User FROM mysql.global_priv WHERE Host = '' AND User LIKE 'dbop1.%'")
            .await
            .unwrap_or_default();
        let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
        let encoded = encoded.replace("%5F", "_");
        let claims: Vec<&str> = roles
            .iter()
            .filter(|role| role.contains(&format!(":{encoded}:")))
            .filter_map(|role| role.split(':').nth(1))
            .collect();
        // A mark in several pieces bears the claim in its first, and its hash in all.
        let hashes: Vec<&str> = roles
            .iter()
            .filter(|role| {
                claims
                    .iter()
                    .any(|claim| role.contains(&format!(":{claim}:")))
            })
            .filter_map(|role| role.split('.').nth(1))
            .collect();
        let ours = roles.iter().filter(|role| {
            let hash = role.split('.').nth(1);
            hash.is_some_and(|hash| hashes.contains(&hash))
        });
        statements.extend(ours.map(|role| format!("DROP ROLE IF EXISTS {}", quoted(role))));
        for claim in &claims {
            statements.push(format!("DROP USER IF EXISTS `shop_{claim}_app`@`%`"));
        }
    } else {
        let groups = format!(
            "SELECT CONCAT('`', USER, '`@`%`') FROM information_schema.USER_ATTRIBUTES \
             WHERE JSON_UNQUOTE(JSON_EXTRACT(ATTRIBUTE, '$.database')) = '{literal}'"
        );
        let groups: Vec<String> = conn.query(groups).await.unwrap_or_default();
        statements.extend(
            groups
                .iter()
                .map(|user| format!("DROP USER IF EXISTS {user}")),
        );
    }
    for statement in statements {
        if let Err(error) = conn.query_drop(&statement).await {
            eprintln!("{statement}: {error}");
        }
    }
    let _ = conn.disconnect().await;
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
