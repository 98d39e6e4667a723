//! The kinds of servers: how a test connects to one, and the SQL of tests that is not the same on all.

use sqlx::migrate::{Migrate, Migrator};
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection};

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Postgres,
    MariaDb,
    MySql,
}

impl Kind {
    /// The kind that names of servers begin with.
    pub(crate) fn named(prefix: &str) -> Option<Kind> {
        match prefix {
            "postgres" => Some(Kind::Postgres),
            "mariadb" => Some(Kind::MariaDb),
            "mysql" => Some(Kind::MySql),
            _ => None,
        }
    }

    pub(crate) fn is_postgres(self) -> bool {
        self == Kind::Postgres
    }

    /// One of two texts.
    pub(crate) fn pick<'t>(self, postgres: &'t str, mysql: &'t str) -> &'t str {
        if self.is_postgres() { postgres } else { mysql }
    }

    /// The scheme of its connection strings.
    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Kind::Postgres => "postgresql",
            Kind::MariaDb => "mariadb",
            Kind::MySql => "mysql",
        }
    }

    /// A table of customers with `rows` rows.
    pub(crate) fn customers(self, rows: u32) -> String {
        match self {
            Kind::Postgres => format!(
                "CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \
                 name text NOT NULL, touched int NOT NULL DEFAULT 0);\n\
                 INSERT INTO customers (name) SELECT 'c' || n FROM generate_series(1, {rows}) n;\n"
            ),
            Kind::MariaDb | Kind::MySql => format!(
                "CREATE TABLE customers (id bigint AUTO_INCREMENT PRIMARY KEY, \
                 name varchar(100) NOT NULL, touched int NOT NULL DEFAULT 0);\n\
                 INSERT INTO customers (name) WITH RECURSIVE counter (n) AS (SELECT 1 UNION ALL \
                 SELECT n + 1 FROM counter WHERE n < {rows}) SELECT CONCAT('c', n) FROM counter;\n"
            ),
        }
    }

    /// A new column of customers.
    pub(crate) fn full_name(self) -> &'static str {
        self.pick(
            "ALTER TABLE customers ADD COLUMN full_name text;\n",
            "ALTER TABLE customers ADD COLUMN full_name varchar(100);\n",
        )
    }

    /// Its backfill, ten rows at a time.
    pub(crate) fn backfill(self) -> &'static str {
        self.pick(
            "UPDATE customers SET full_name = name, touched = touched + 1\n \
             WHERE id IN (SELECT id FROM customers WHERE full_name IS NULL\n              \
             ORDER BY id LIMIT 10);\n",
            "UPDATE customers SET full_name = name, touched = touched + 1\n \
             WHERE full_name IS NULL ORDER BY id LIMIT 10;\n",
        )
    }

    /// A statement that takes so long.
    pub(crate) fn sleep(self, seconds: u32) -> String {
        let function = self.pick("pg_sleep", "SLEEP");
        format!("SELECT {function}({seconds});")
    }

    /// A condition: this table is there.
    pub(crate) fn has_table(self, table: &str) -> String {
        let schema = self.pick("current_schema()", "DATABASE()");
        format!(
            "(SELECT count(*) FROM information_schema.tables WHERE table_schema = {schema} \
             AND table_name = '{table}') = 1"
        )
    }

    /// A condition: another session than the test's own is in the database.
    pub(crate) fn connected(self) -> &'static str {
        self.pick(
            "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'dbop-migrate')",
            "EXISTS (SELECT 1 FROM information_schema.processlist WHERE db = DATABASE() \
             AND id <> CONNECTION_ID())",
        )
    }

    /// A condition: a session in the database sleeps in a statement.
    pub(crate) fn sleeping(self) -> &'static str {
        self.pick(
            "EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
             AND wait_event = 'PgSleep')",
            "EXISTS (SELECT 1 FROM information_schema.processlist WHERE db = DATABASE() \
             AND state = 'User sleep')",
        )
    }
}

/// A connection to a server.
pub(crate) enum Conn {
    Postgres(PgConnection),
    MySql(MySqlConnection),
}

impl Conn {
    pub(crate) async fn open(kind: Kind, dsn: &str) -> Self {
        match kind {
            Kind::Postgres => Conn::Postgres(PgConnection::connect(dsn).await.unwrap()),
            Kind::MariaDb | Kind::MySql => {
                Conn::MySql(MySqlConnection::connect(dsn).await.unwrap())
            }
        }
    }

    pub(crate) async fn execute(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Conn::Postgres(conn) => conn.execute(sql).await.map(drop),
            Conn::MySql(conn) => conn.execute(sql).await.map(drop),
        }
        .unwrap();
    }

    /// The one number that `sql` gives.
    pub(crate) async fn number(&mut self, sql: &str) -> i64 {
        match self {
            Conn::Postgres(conn) => {
                let sql = AssertSqlSafe(format!("SELECT ({sql})::bigint"));
                sqlx::query_scalar(sql).fetch_one(conn).await
            }
            Conn::MySql(conn) => {
                let sql = AssertSqlSafe(format!("SELECT CAST(({sql}) AS SIGNED)"));
                sqlx::query_scalar(sql).fetch_one(conn).await
            }
        }
        .unwrap()
    }

    /// Whether a condition holds.
    pub(crate) async fn holds(&mut self, condition: &str) -> bool {
        let sql = format!("SELECT CASE WHEN {condition} THEN 1 ELSE 0 END");
        self.number(&sql).await == 1
    }

    /// The versions recorded with or without success, in order.
    pub(crate) async fn versions(&mut self, success: bool) -> Vec<i64> {
        let sql = AssertSqlSafe(format!(
            "SELECT version FROM _sqlx_migrations WHERE success = {success} ORDER BY version"
        ));
        match self {
            Conn::Postgres(conn) => sqlx::query_scalar(sql).fetch_all(conn).await,
            Conn::MySql(conn) => sqlx::query_scalar(sql).fetch_all(conn).await,
        }
        .unwrap()
    }

    /// Runs files by sqlx itself.
    pub(crate) async fn migrate(&mut self, migrator: &Migrator) {
        match self {
            Conn::Postgres(conn) => migrator.run(conn).await,
            Conn::MySql(conn) => migrator.run(conn).await,
        }
        .unwrap();
    }

    /// Takes the lock that sqlx takes.
    pub(crate) async fn lock(&mut self) {
        match self {
            Conn::Postgres(conn) => conn.lock().await,
            Conn::MySql(conn) => conn.lock().await,
        }
        .unwrap();
    }

    /// Gives it back.
    pub(crate) async fn unlock(&mut self) {
        match self {
            Conn::Postgres(conn) => conn.unlock().await,
            Conn::MySql(conn) => conn.unlock().await,
        }
        .unwrap();
    }
}
