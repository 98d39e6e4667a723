//! A real server as a place for the conformance suite: other hands in it, by the driver and not by our crate.

#![expect(clippy::unwrap_used, reason = "it is for tests")]
#![allow(dead_code, reason = "not every test file needs every hand")]

use std::sync::Arc;

use async_trait::async_trait;
use dbop_database::{Connector, Target};
use dbop_model::table::TableName;
use dbop_model::{Privilege, RoleName};
use dbop_postgres::Postgres;
use dbop_testkit::conformance::{Client, OpenRefused, Site};
use dbop_tests::{TestDatabase, TestServer, server};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{Config, NoTls};

/// A fresh database with the least admin.
pub(crate) struct PgSite {
    pub(crate) database: std::sync::Arc<TestDatabase>,
    /// What the database is called now, where a test renamed it.
    name: String,
    postgres: Postgres,
    /// Roles that a person made; the database's own clean-up does not know them.
    made: std::sync::Mutex<Vec<String>>,
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(crate) fn sql_name(table: &TableName) -> String {
    format!(
        "{}.{}",
        quoted(table.schema().unwrap_or("public")),
        quoted(table.name())
    )
}

pub(crate) fn target(dsn: &str) -> Target {
    Target {
        dsn: dsn.to_owned().into(),
        tls: None,
        ca_certificate: None,
    }
}

impl PgSite {
    pub(crate) async fn new(major: u8) -> PgSite {
        PgSite::on(&server(major)).await
    }

    pub(crate) async fn on(server: &TestServer) -> PgSite {
        let database = server.database("dbop_conf").await;
        PgSite {
            name: database.name().to_owned(),
            database: std::sync::Arc::new(database),
            postgres: Postgres::new(|| Timestamp::UNIX_EPOCH),
            made: std::sync::Mutex::new(Vec::new()),
        }
    }

    /// The same database under another name, which a person gave it.
    pub(crate) fn named(&self, name: &str) -> PgSite {
        PgSite {
            database: std::sync::Arc::clone(&self.database),
            name: name.to_owned(),
            postgres: self.postgres.clone(),
            made: std::sync::Mutex::new(Vec::new()),
        }
    }

    /// A person with every right runs statements in the database.
    pub(crate) async fn superuser_runs(&self, sql: &str) {
        let client = self.database.server().superuser_in(&self.name).await;
        if let Err(error) = client.batch_execute(sql).await {
            panic!("{sql}: {}", spelled(&error));
        }
    }

    /// One value that a superuser reads.
    pub(crate) async fn superuser_reads(&self, sql: &str) -> Option<String> {
        let client = self.database.server().superuser_in(&self.name).await;
        let messages = client
            .simple_query(sql)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {}", spelled(&e)));
        messages.into_iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0)?.to_owned()),
            _ => None,
        })
    }

    /// A person with every right makes a role that nobody logs in to.
    pub(crate) async fn superuser_makes_role(&self, name: &str) {
        self.superuser_runs(&format!("CREATE ROLE {} NOLOGIN", quoted(name)))
            .await;
        self.forgets_role_later(name);
    }

    /// The role goes with the site, where nothing holds it any more.
    pub(crate) fn forgets_role_later(&self, name: &str) {
        self.made.lock().unwrap().push(name.to_owned());
    }

    /// Ends every session in the database, and waits until they have gone.
    pub(crate) async fn everybody_leaves(&self) {
        let client = self.database.server().superuser().await;
        let others = "FROM pg_stat_activity WHERE (datname = $1 OR datname = $1 || '_r') \
                      AND pid <> pg_backend_pid()";
        let name = &self.name;
        client
            .query(
                &format!("SELECT pg_terminate_backend(pid) {others}"),
                &[name],
            )
            .await
            .unwrap();
        for _ in 0..500 {
            let left = client
                .query(&format!("SELECT 1 {others}"), &[name])
                .await
                .unwrap();
            if left.is_empty() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("sessions in {name} do not end");
    }

    /// Logs in by the driver alone.
    pub(crate) async fn login(
        &self,
        login: &str,
        password: &str,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let (host, port) = self.database.server().address();
        let (client, connection) = Config::new()
            .host(host)
            .port(port)
            .user(login)
            .password(password)
            .dbname(&self.name)
            .application_name("an application")
            .connect(NoTls)
            .await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Drop for PgSite {
    fn drop(&mut self) {
        let made = std::mem::take(self.made.get_mut().unwrap());
        if made.is_empty() {
            return;
        }
        let server = self.database.server().clone();
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let client = server.superuser().await;
                for role in made {
                    // One that still owns something stays; the server goes after the tests.
                    let _ = client
                        .batch_execute(&format!("DROP ROLE IF EXISTS {}", quoted(&role)))
                        .await;
                }
            });
        });
        let _ = cleaning.join();
    }
}

pub(crate) fn spelled(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |db| db.to_string())
}

#[async_trait]
impl Site for PgSite {
    fn connector(&self) -> &dyn Connector {
        &self.postgres
    }

    fn target(&self) -> Target {
        let (host, port) = self.database.server().address();
        let (admin, password) = (self.database.admin(), self.database.admin_password());
        let name = utf8_percent_encode(&self.name, NON_ALPHANUMERIC);
        target(&format!(
            "postgresql://{admin}:{password}@{host}:{port}/{name}"
        ))
    }

    fn target_with_wrong_password(&self) -> Target {
        target(&self.database.dsn(self.database.admin(), "wrong"))
    }

    fn target_without_database(&self) -> Target {
        target(&format!("{}_nowhere", self.database.admin_dsn()))
    }

    fn target_unreachable(&self) -> Target {
        // Port 1 is a service that nobody runs any more.
        target(&format!(
            "postgresql://admin:x@127.0.0.1:1/{}",
            self.database.name()
        ))
    }

    async fn beside(&self) -> Box<dyn Site> {
        Box::new(PgSite::on(self.database.server()).await)
    }

    async fn open(
        &self,
        login: &str,
        password: &SecretString,
    ) -> Result<Box<dyn Client>, OpenRefused> {
        let client = self
            .login(login, password.expose_secret())
            .await
            .map_err(|_| OpenRefused)?;
        Ok(Box::new(PgClient {
            client: Arc::new(client),
        }))
    }

    async fn person_makes_login(&self, name: &str, password: &SecretString) {
        let password = password.expose_secret();
        self.superuser_runs(&format!(
            "CREATE ROLE {} LOGIN PASSWORD '{password}'",
            quoted(name)
        ))
        .await;
        self.made.lock().unwrap().push(name.to_owned());
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
        let (privilege, table) = (privilege.sql(), sql_name(table));
        let role = quoted(role);
        self.superuser_runs(&format!("{verb} {privilege} ON TABLE {table} {to} {role}"))
            .await;
    }

    async fn person_allows_create(&self, role: &str) {
        // Until 14 everybody may; and a grant that the least admin cannot take back would keep the role.
        let may = format!("SELECT has_schema_privilege('{role}', 'public', 'CREATE')");
        if self.superuser_reads(&may).await.as_deref() == Some("f") {
            let role = quoted(role);
            self.superuser_runs(&format!("GRANT CREATE ON SCHEMA public TO {role}"))
                .await;
        }
    }

    async fn person_drops_owned(&self, role: &str) {
        self.superuser_runs(&format!("DROP OWNED BY {}", quoted(role)))
            .await;
    }

    async fn person_weakens_admin(&self) {
        let admin = quoted(self.database.admin());
        self.superuser_runs(&format!("ALTER ROLE {admin} NOCREATEROLE"))
            .await;
    }

    async fn person_runs(&self, statement: &str) {
        self.superuser_runs(statement).await;
    }

    async fn owner_of(&self, table: &TableName) -> Option<RoleName> {
        let (schema, name) = (table.schema().unwrap_or("public"), table.name());
        let sql = format!(
            "SELECT pg_get_userbyid(c.relowner) FROM pg_class c JOIN pg_namespace n \
             ON n.oid = c.relnamespace WHERE n.nspname = '{schema}' AND c.relname = '{name}'"
        );
        RoleName::new(self.superuser_reads(&sql).await?).ok()
    }

    async fn has_role(&self, name: &str) -> bool {
        self.superuser_reads(&format!("SELECT 1 FROM pg_roles WHERE rolname = '{name}'"))
            .await
            .is_some()
    }
}

struct PgClient {
    client: Arc<tokio_postgres::Client>,
}

/// SQLSTATE insufficient_privilege; and one that a missing right to look shows as.
const DENIED: [&str; 2] = ["42501", "3F000"];

impl PgClient {
    async fn tries(&self, sql: &str) -> bool {
        match self.client.batch_execute(sql).await {
            Ok(()) => true,
            Err(error)
                if error
                    .code()
                    .is_some_and(|code| DENIED.contains(&code.code())) =>
            {
                false
            }
            Err(error) => panic!("{sql}: {}", spelled(&error)),
        }
    }
}

#[async_trait]
impl Client for PgClient {
    async fn may(&mut self, privilege: Privilege, table: &TableName) -> bool {
        let name = sql_name(table);
        let is_version = table.name() == "alembic_version";
        let insert = if is_version {
            "(version_num) VALUES ('x')"
        } else {
            "DEFAULT VALUES"
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
        let done = self.tries(&format!("BEGIN; {sql}; ROLLBACK")).await;
        if !done {
            self.client.batch_execute("ROLLBACK").await.unwrap();
        }
        done
    }

    async fn create_table(&mut self, table: &TableName) -> bool {
        let name = sql_name(table);
        self.tries(&format!(
            "CREATE TABLE {name} (id bigserial PRIMARY KEY, note text)"
        ))
        .await
    }

    async fn create_schema(&mut self, schema: &str) -> bool {
        self.tries(&format!("CREATE SCHEMA {}", quoted(schema)))
            .await
    }

    async fn set_version(&mut self, heads: &[&str]) -> bool {
        let rows: Vec<String> = heads.iter().map(|head| format!("('{head}')")).collect();
        let exists = "SELECT 1 FROM pg_class WHERE relname = 'alembic_version'";
        let is_there = !self.client.query(exists, &[]).await.unwrap().is_empty();
        let create = "CREATE TABLE public.alembic_version (version_num varchar(32) NOT NULL)";
        if !is_there && !self.tries(create).await {
            return false;
        }
        let table = "public.alembic_version";
        self.tries(&format!(
            "DELETE FROM {table}; INSERT INTO {table} VALUES {}",
            rows.join(", ")
        ))
        .await
    }

    async fn is_alive(&mut self) -> bool {
        self.client.batch_execute("SELECT 1").await.is_ok()
    }

    async fn close(self: Box<Self>) {}
}
