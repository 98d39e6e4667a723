//! A database of one test's own, with the least admin that the operator promises to work with.
//!
//! On PostgreSQL the admin may create roles and owns the database; on MySQL and MariaDB it has what
//! `docs/mysql-admin.md` says. It is no superuser and has no other right: what managed services give. All
//! that the test leaves behind goes with the [`TestDatabase`].

mod mysql;
mod postgres;

use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU32, Ordering};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;
use tokio_postgres::Client;

use crate::random;
use crate::server::{Engine, TestServer};
use crate::session::Session;

/// Names are cut to 63 bytes by PostgreSQL: this leaves room for a process and a number.
const PREFIX_BYTES_MAX: usize = 30;
/// What stays as it is in a connection string.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Distinguishes the databases of one process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A fresh database. Dropping it drops the database, its admin, and every account made for it.
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
        let admin = match self.engine() {
            Engine::Postgres => format!("{name}_admin"),
            // An account's name has 32 characters at most.
            Engine::MariaDb | Engine::MySql => admin_of(number),
        };
        self.database_of(name, admin).await
    }

    /// A new empty database of exactly this name.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn database_named(&self, name: &str) -> TestDatabase {
        let admin = admin_of(NEXT.fetch_add(1, Ordering::Relaxed));
        self.database_of(name.to_owned(), admin).await
    }

    async fn database_of(&self, name: String, admin: String) -> TestDatabase {
        let database = TestDatabase {
            server: self.clone(),
            admin,
            password: format!("{:016x}{:016x}", random(), random()),
            name,
        };
        let statements = match self.engine() {
            Engine::Postgres => postgres::creation(&database),
            Engine::MariaDb | Engine::MySql => mysql::creation(&database),
        };
        let person = self.person(None).await;
        for statement in statements {
            if let Err(error) = person.run(&statement).await {
                panic!("database {} cannot be created: {error}", database.name);
            }
        }
        person.close().await;
        database
    }
}

fn admin_of(number: u32) -> String {
    format!("adm_{}_{number}", std::process::id())
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

    /// The kind of that server.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.server.engine()
    }

    /// The name of its admin.
    #[must_use]
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Its admin, as an account is called in a statement.
    #[must_use]
    pub fn admin_account(&self) -> String {
        self.account(&self.admin)
    }

    /// A login, as an account is called in a statement.
    #[must_use]
    pub fn account(&self, login: &str) -> String {
        let quoted = self.engine().quoted(login);
        match self.engine() {
            Engine::Postgres => quoted,
            Engine::MariaDb | Engine::MySql => format!("{quoted}@'%'"),
        }
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

    /// The DSN of some other login; the password must need no escape in a URL, or have it.
    #[must_use]
    pub fn dsn(&self, user: &str, password: &str) -> String {
        self.dsn_in(&self.name, user, password)
    }

    /// The same for another database of this server.
    #[must_use]
    pub fn dsn_in(&self, database: &str, user: &str, password: &str) -> String {
        let (host, port) = self.server.address();
        let (scheme, user) = (self.engine().scheme(), utf8_percent_encode(user, ESCAPED));
        let database = utf8_percent_encode(database, ESCAPED);
        format!("{scheme}://{user}:{password}@{host}:{port}/{database}")
    }

    /// A person with every right, in this database: for what the operator must not be able to do, and to look
    /// at what it did.
    ///
    /// # Panics
    /// When the server does not let it in.
    pub async fn person(&self) -> Session {
        self.server.person(Some(&self.name)).await
    }

    /// A person with every right runs statements in this database.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn run(&self, sql: &str) {
        let person = self.person().await;
        if let Err(error) = person.run(sql).await {
            panic!("`{sql}` fails on {}: {error}", self.server.title());
        }
        person.close().await;
    }

    /// The rows that a person with every right reads in this database: each as text, a blank between its values.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn read(&self, sql: &str) -> Vec<String> {
        let person = self.person().await;
        let rows = person.read(sql).await;
        person.close().await;
        rows.unwrap_or_else(|error| panic!("`{sql}` fails on {}: {error}", self.server.title()))
    }

    /// A connection as the admin, by whom a database was used before the operator came.
    ///
    /// # Panics
    /// When the server does not let it in.
    pub async fn as_admin(&self) -> Session {
        match Session::by_uri(&self.admin_dsn()).await {
            Ok(session) => session,
            Err(error) => panic!(
                "the admin cannot log in to {}: {error}",
                self.server.title()
            ),
        }
    }

    /// A connection of PostgreSQL's superuser to this database.
    ///
    /// # Panics
    /// When the server does not let it in, or is no PostgreSQL.
    pub async fn superuser(&self) -> Client {
        self.server.superuser_in(&self.name).await
    }

    /// The names of all roles and accounts made for this database, its admin among them, in order; on MariaDB
    /// also those roles that are marks.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn roles(&self) -> Vec<String> {
        let mut names = match self.engine() {
            Engine::Postgres => postgres::roles(self).await,
            Engine::MariaDb | Engine::MySql => mysql::roles(self).await,
        };
        names.sort();
        names.dedup();
        names
    }

    /// The names of the logins of applications that were made for this database.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn logins(&self) -> Vec<String> {
        let mut names = match self.engine() {
            Engine::Postgres => postgres::logins(self).await,
            Engine::MariaDb | Engine::MySql => mysql::logins(self).await,
        };
        names.sort();
        names
    }

    /// The logins of migrations that were made for this database, and whether each can be logged in to now.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn migrators(&self) -> Vec<(String, bool)> {
        match self.engine() {
            Engine::Postgres => postgres::migrators(self).await,
            Engine::MariaDb | Engine::MySql => mysql::migrators(self).await,
        }
    }

    /// Whether an account of this name can be logged in to; `None`: there is none.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn is_open(&self, login: &str) -> Option<bool> {
        let rows = self.server.read(&self.asks_whether_open(login)).await;
        rows.first().map(|open| open == "1")
    }

    /// The question of [`Self::is_open`]: one row with 1 or 0, or none.
    #[must_use]
    pub fn asks_whether_open(&self, login: &str) -> String {
        match self.engine() {
            Engine::Postgres => {
                format!("SELECT rolcanlogin::int FROM pg_roles WHERE rolname = '{login}'")
            }
            Engine::MariaDb => format!(
                "SELECT COALESCE(JSON_VALUE(Priv, '$.account_locked'), '0') NOT IN ('1', 'true') \
                 FROM mysql.global_priv WHERE User = '{login}' AND Host = '%'"
            ),
            Engine::MySql => format!(
                "SELECT account_locked = 'N' FROM mysql.user WHERE User = '{login}' AND Host = '%'"
            ),
        }
    }

    /// The ids of all sessions of the logins whose names are like this pattern, in this database.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn sessions(&self, person: &Session, like: &str) -> Vec<String> {
        let name = self.name.replace('\'', "''");
        let sql = match self.engine() {
            Engine::Postgres => format!(
                "SELECT pid FROM pg_stat_activity WHERE usename LIKE '{like}' AND datname = '{name}'"
            ),
            Engine::MariaDb | Engine::MySql => format!(
                "SELECT ID FROM information_schema.PROCESSLIST WHERE USER LIKE '{like}' AND DB = '{name}'"
            ),
        };
        let ids = person.read(&sql).await;
        ids.unwrap_or_else(|error| panic!("`{sql}` fails: {error}"))
    }

    /// The server ends these sessions, by a person's hand; gives how many there were.
    ///
    /// # Panics
    /// When the server refuses to say which there are.
    pub async fn end_sessions(&self, person: &Session, like: &str) -> usize {
        let ids = self.sessions(person, like).await;
        for id in &ids {
            let sql = match self.engine() {
                Engine::Postgres => format!("SELECT pg_terminate_backend({id})"),
                Engine::MariaDb | Engine::MySql => format!("KILL {id}"),
            };
            // One may have ended by itself meanwhile.
            let _ = person.run(&sql).await;
        }
        ids.len()
    }

    /// What accounts are marked with on MySQL and MariaDB, one line each.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn marks(&self) -> Vec<String> {
        match self.engine() {
            Engine::Postgres => Vec::new(),
            Engine::MariaDb | Engine::MySql => mysql::marks_as_text(self).await,
        }
    }

    async fn removal(&self) -> Vec<String> {
        match self.engine() {
            Engine::Postgres => postgres::removal(self).await,
            Engine::MariaDb | Engine::MySql => mysql::removal(self).await,
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // It must not be dropped once more, whatever happens to it.
        let gone = ManuallyDrop::new(TestDatabase {
            server: self.server.clone(),
            name: self.name.clone(),
            admin: self.admin.clone(),
            password: String::new(),
        });
        // A runtime of its own: this may run inside a test's runtime, which must not be blocked on.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                runtime.block_on(remove(&gone));
            }
        });
        if beside_the_runtime(|| cleaning.join()).is_err() {
            eprintln!("database {} could not be removed", self.name);
        }
    }
}

/// Waits without keeping the other tasks of a test's runtime from their work: PostgreSQL drops a database only when every
/// session has taken note of it, and one that is just logging in does so when its task answers.
fn beside_the_runtime<T>(wait: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        // Within a `LocalSet` it would panic, and two panics at once end the program before the first one is told.
        Ok(RuntimeFlavor::MultiThread) if !std::thread::panicking() => block_in_place(wait),
        _ => wait(),
    }
}

async fn remove(database: &TestDatabase) {
    // Accounts are found through the database, so they are looked up before it goes.
    let statements = database.removal().await;
    let person = database.server.person(None).await;
    for statement in statements {
        if let Err(error) = person.run(&statement).await {
            eprintln!("after the test, `{statement}` failed: {error}");
        }
    }
    person.close().await;
}
