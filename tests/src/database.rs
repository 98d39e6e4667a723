//! A database of one test's own, with the least admin that the operator promises to work with.
//!
//! The admin may create roles and owns the database; it is no superuser and has no other right:
//! what managed services give. All that the test leaves behind goes with the [`TestDatabase`].

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::Client;

use crate::random;
use crate::server::TestServer;

/// Names are cut to 63 bytes by the server: this leaves room for a process and a number.
const PREFIX_BYTES_MAX: usize = 30;

/// Distinguishes the databases of one process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// All roles that have to do with a database: named in it as owner or in a privilege, or connected
/// with such a role by membership. Superusers and the server's own roles (below the first number
/// given to users) are left out, and nothing is followed through them.
const ROLES_OF_DATABASE: &str = "
    WITH RECURSIVE removable AS (
        SELECT oid, rolname FROM pg_roles WHERE NOT rolsuper AND oid >= 16384
    ), found AS (
        SELECT r.oid FROM removable r
        WHERE r.rolname = $2 OR r.oid IN (
            SELECT d.refobjid FROM pg_shdepend d JOIN pg_database b ON b.datname = $1
            WHERE d.refclassid = 'pg_authid'::regclass
              AND (d.dbid = b.oid OR (d.classid = 'pg_database'::regclass AND d.objid = b.oid)))
        UNION
        SELECT r.oid FROM found f
        JOIN pg_auth_members m ON f.oid IN (m.roleid, m.member)
        JOIN removable r ON r.oid IN (m.roleid, m.member)
    )
    SELECT r.rolname::text FROM found JOIN removable r USING (oid)";

/// A fresh database. Dropping it drops the database, its admin, and every role made for it.
pub struct TestDatabase {
    server: TestServer,
    name: String,
    admin: String,
    password: String,
}

impl TestServer {
    /// A new empty database whose name begins with `prefix` (lower-case letters, digits and `_`).
    ///
    /// # Panics
    /// When the prefix is unfit or the server refuses.
    pub async fn database(&self, prefix: &str) -> TestDatabase {
        let fit = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(
            prefix.len() <= PREFIX_BYTES_MAX && prefix.chars().all(fit),
            "{prefix:?} is no prefix for a database: at most 30 of a-z, 0-9 and _"
        );
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}_{}_{number}", std::process::id());
        let database = TestDatabase {
            server: self.clone(),
            admin: format!("{name}_admin"),
            password: format!("{:016x}{:016x}", random(), random()),
            name,
        };
        database.create().await;
        database
    }
}

impl TestDatabase {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server it is on.
    #[must_use]
    pub fn server(&self) -> &TestServer {
        &self.server
    }

    /// The name of its admin.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// The password of its admin.
    #[must_use]
    pub fn admin_password(&self) -> &str {
        &self.password
    }

    /// The admin's DSN, as a user would put it into `connection.dsnSecret`.
    #[must_use]
    pub fn admin_dsn(&self) -> String {
        self.dsn(&self.admin, &self.password)
    }

    /// The DSN of some other login; the password must need no escape in a URL.
    #[must_use]
    pub fn dsn(&self, user: &str, password: &str) -> String {
        let (host, port) = self.server.address();
        format!("postgresql://{user}:{password}@{host}:{port}/{}", self.name)
    }

    /// A connection of the superuser to this database: for what the operator must not be able to
    /// do, and to look at what it did.
    ///
    /// # Panics
    /// When the server does not let it in.
    pub async fn superuser(&self) -> Client {
        self.server.superuser_in(&self.name).await
    }

    /// The names of all roles made for this database, its admin among them, in order.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn roles(&self) -> Vec<String> {
        roles(&self.server.superuser().await, &self.name, &self.admin).await
    }

    async fn create(&self) {
        let superuser = self.server.superuser().await;
        let TestDatabase {
            name,
            admin,
            password,
            ..
        } = self;
        for statement in [
            format!("CREATE ROLE {admin} LOGIN CREATEROLE PASSWORD '{password}'"),
            // Nobody ever connects to template0, so tests side by side do not disturb each other.
            format!("CREATE DATABASE {name} OWNER {admin} TEMPLATE template0 ENCODING 'UTF8'"),
        ] {
            if let Err(error) = superuser.batch_execute(&statement).await {
                panic!("database {name} cannot be created: {}", spell(&error));
            }
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name, admin) = (self.server.clone(), self.name.clone(), self.admin.clone());
        // A runtime of its own: this may run inside a test's runtime, which must not be blocked on.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                runtime.block_on(remove(&server, &name, &admin));
            }
        });
        if cleaning.join().is_err() {
            eprintln!("database {} could not be removed", self.name);
        }
    }
}

async fn remove(server: &TestServer, name: &str, admin: &str) {
    let superuser = server.superuser().await;
    // Roles are found through the database, so they are looked up before it goes.
    let roles = roles(&superuser, name, admin).await;
    let quoted: Vec<String> = roles
        .iter()
        .map(|role| format!("\"{}\"", role.replace('"', "\"\"")))
        .collect();
    for statement in [
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        // In one statement, because of grants that they made to each other.
        format!("DROP ROLE IF EXISTS {}", quoted.join(", ")),
    ] {
        if let Err(error) = superuser.batch_execute(&statement).await {
            eprintln!("after the test, `{statement}` failed: {}", spell(&error));
        }
    }
}

async fn roles(superuser: &Client, database: &str, admin: &str) -> Vec<String> {
    let rows = match superuser
        .query(ROLES_OF_DATABASE, &[&database, &admin])
        .await
    {
        Ok(rows) => rows,
        Err(error) => panic!(
            "the roles of {database} cannot be listed: {}",
            spell(&error)
        ),
    };
    let mut names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    names.sort();
    names.dedup();
    names
}

/// The server's own words: the error's `Display` says only `db error`.
fn spell(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
