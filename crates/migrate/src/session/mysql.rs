//! A run's connection to MySQL or MariaDB.
//!
//! What is different from PostgreSQL: most DDL commits at once, so that a file is no transaction. sqlx
//! therefore records a file before it runs, without success, and a file that ended half way is one with
//! such a record. And a session cannot be made as new without giving up the lock, so what a file SET is
//! put back.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::migrate::{Migrate, Migration};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection, Either, Executor};

use super::{
    CANCEL_INTERVAL, CONNECT_TIMEOUT, Failed, Left, Session, SessionError, lock_key, migrate, own,
    select_recorded,
};
use crate::directives::after_comments;
use crate::dsn::Dsn;
use crate::engine::Engine;
use crate::files::{File, Files};
use crate::order::Recorded;
use crate::said::Said;

/// The longest waits for locks that both servers take, in seconds: a year, and InnoDB's own.
const METADATA_LOCK_MAX_S: u32 = 31_536_000;
const ROW_LOCK_MAX_S: u32 = 1_073_741_824;
/// Settings that move by themselves, and are put back in other ways or not at all.
const MOVING: &[&str] = &[
    "error_count",
    "identity",
    "in_transaction",
    "insert_id",
    "last_gtid",
    "last_insert_id",
    "pseudo_thread_id",
    "rand_seed1",
    "rand_seed2",
    "statement_id",
    "timestamp",
    "warning_count",
];
/// What the server says of a setting that no session has of its own: no file can have changed it here.
const NOT_OF_A_SESSION: &[u16] = &[1193, 1229, 1238, 1621];
/// Putting one setting back can move another; more rounds than this are never needed.
const ROUNDS_MAX: usize = 4;
/// Statements that leave nothing behind when they fail (MySQL 8, MariaDB 10.6 and later). A DROP of
/// several tables may have dropped some.
const WHOLE_OR_NOT_AT_ALL: &[&str] = &["ALTER TABLE ", "CREATE "];

/// A connection for one run.
pub(crate) struct MySql {
    conn: MySqlConnection,
    number: i64,
    /// The quoted name of the database.
    database: String,
    /// The name of sqlx's lock for this database.
    key: String,
    /// The statement that takes the login's roles as a new session has them.
    role: String,
    /// The settings of the session as it began.
    settings: BTreeMap<String, String>,
    /// The full name of sqlx's table.
    table: String,
}

impl Session for MySql {
    const NUMBER: &'static str = "connection";
    const LOCKS: &'static str = "look for it in SHOW PROCESSLIST, by its number; KILL ends it";

    async fn connect(dsn: &Dsn, lock_timeout_ms: Option<u32>) -> Result<Self, SessionError> {
        let failed = |said| SessionError::Connect {
            place: dsn.place(),
            said,
        };
        let mut conn = connect(dsn).await.map_err(failed)?;
        let doing = "prepare the session";
        let sql = "SELECT CAST(CONNECTION_ID() AS SIGNED), DATABASE(), VERSION(), CURRENT_ROLE()";
        let (number, name, version, role): (i64, String, String, Option<String>) =
            sqlx::query_as(sql)
                .fetch_one(&mut conn)
                .await
                .map_err(own(doing))?;
        // The driver asks for IGNORE_SPACE, which makes reserved words of functions' names.
        let mut first = "SET SESSION sql_mode = DEFAULT".to_owned();
        if let Some(ms) = lock_timeout_ms {
            first.push_str(&format!("; {}", lock_timeouts(ms)));
        }
        let first = AssertSqlSafe(first);
        conn.execute(first).await.map_err(own(doing))?;
        let settings = settings(&mut conn).await.map_err(own(doing))?;
        let database = quoted(&name);
        Ok(Self {
            number,
            key: format!("{:x}", lock_key(&name)),
            table: format!("{database}._sqlx_migrations"),
            database,
            role: match (version.contains("MariaDB"), role) {
                (false, _) => "SET ROLE DEFAULT".to_owned(),
                (true, Some(role)) if role != "NONE" => format!("SET ROLE {}", quoted(&role)),
                (true, _) => "SET ROLE NONE".to_owned(),
            },
            settings,
            conn,
        })
    }

    fn number(&self) -> i64 {
        self.number
    }

    async fn try_lock(&mut self) -> Result<bool, sqlx::Error> {
        let taken: Option<i64> = sqlx::query_scalar("SELECT CAST(GET_LOCK(?, 0) AS SIGNED)")
            .bind(&self.key)
            .fetch_one(&mut self.conn)
            .await?;
        Ok(taken == Some(1))
    }

    async fn lock_holder(&mut self) -> Result<Option<i64>, sqlx::Error> {
        sqlx::query_scalar("SELECT CAST(IS_USED_LOCK(?) AS SIGNED)")
            .bind(&self.key)
            .fetch_one(&mut self.conn)
            .await
    }

    async fn open_table(&mut self, _schema: Option<&str>) -> Result<(), SessionError> {
        let exists: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_name = '_sqlx_migrations'",
        )
        .fetch_one(&mut self.conn)
        .await
        .map_err(own("open the table _sqlx_migrations"))?;
        if exists == 0 {
            let created = self.conn.ensure_migrations_table(&self.table).await;
            created.map_err(migrate("create the table _sqlx_migrations"))?;
        }
        Ok(())
    }

    async fn recorded(&mut self) -> Result<Vec<Recorded>, SessionError> {
        let rows: Vec<(i64, bool, Vec<u8>)> =
            sqlx::query_as(AssertSqlSafe(select_recorded(&self.table)))
                .fetch_all(&mut self.conn)
                .await
                .map_err(own("read the table _sqlx_migrations"))?;
        Ok(rows.into_iter().map(Recorded::from).collect())
    }

    async fn renew(&mut self) -> Result<(), SessionError> {
        let first = format!(
            "UNLOCK TABLES; USE {}; SET timestamp = DEFAULT; {}",
            self.database, self.role
        );
        self.put_back(first)
            .await
            .map_err(own("prepare the session"))
    }

    async fn execute(&mut self, sql: String) -> Result<(), sqlx::Error> {
        self.conn.execute(AssertSqlSafe(sql)).await.map(|_| ())
    }

    /// As sqlx does it, but that its statements are counted, and that a record is taken back where nothing
    /// of the file remains.
    async fn apply(&mut self, files: &mut Files, version: i64) -> Result<(), Failed> {
        let Some(file) = files.get(version) else {
            return Ok(());
        };
        let migration = &file.migration;
        let mut done = 0;
        let Err(error) = self.run(migration, &mut done).await else {
            return Ok(());
        };
        let said = Said::new(&error, None);
        let left = match error {
            sqlx::Error::Database(_) => self.left_by(migration, done).await,
            _ => None,
        };
        Err(Failed {
            said,
            left: left.unwrap_or(Left::Unknown),
        })
    }

    async fn change(&mut self, file: &File) -> Result<u64, sqlx::Error> {
        // As a prepared statement, in which the server takes no second one.
        let done = sqlx::query(file.migration.sql.clone())
            .execute(&mut self.conn)
            .await?;
        Ok(done.rows_affected())
    }

    async fn count(&mut self, query: &str) -> Result<Option<i64>, sqlx::Error> {
        let sql = format!("SELECT CAST((\n{query}\n) AS SIGNED)");
        let mut tx = self.conn.begin_with("START TRANSACTION READ ONLY").await?;
        let count = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut *tx)
            .await?;
        tx.rollback().await?;
        Ok(count)
    }

    async fn record(&mut self, file: &File, elapsed: Duration) -> Result<(), SessionError> {
        let doing = "record the file in _sqlx_migrations";
        let mut tx = self.conn.begin().await.map_err(own(doing))?;
        let inserted = tx.skip(&self.table, &file.migration).await;
        inserted.map_err(migrate(doing))?;
        let sql = format!(
            "UPDATE {} SET execution_time = ? WHERE version = ?",
            self.table
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(nanoseconds(elapsed))
            .bind(file.version)
            .execute(&mut *tx)
            .await
            .map_err(own(doing))?;
        tx.commit().await.map_err(own(doing))
    }

    async fn close(self) {
        // Everything is committed by now: a failure here changes nothing.
        let _ = tokio::time::timeout(CONNECT_TIMEOUT, self.conn.close()).await;
    }

    async fn cancel_until_dropped(dsn: &Dsn, number: i64) {
        let Ok(mut conn) = connect(dsn).await else {
            return;
        };
        let cancel = format!("KILL QUERY {number}");
        while conn.execute(AssertSqlSafe(cancel.clone())).await.is_ok() {
            tokio::time::sleep(CANCEL_INTERVAL).await;
        }
    }
}

impl MySql {
    /// Runs `first`, and then sets what is otherwise than when the session began.
    async fn put_back(&mut self, first: String) -> Result<(), sqlx::Error> {
        self.execute(first).await?;
        for _ in 0..ROUNDS_MAX {
            let now = settings(&mut self.conn).await?;
            let mut moved = false;
            for (name, value) in &self.settings {
                if now.get(name) == Some(value) {
                    continue;
                }
                let set = AssertSqlSafe(format!("SET SESSION {name} = {}", literal(value)));
                match self.conn.execute(set).await {
                    Ok(_) => moved = true,
                    Err(sqlx::Error::Database(error)) if is_not_of_a_session(&*error) => {}
                    Err(error) => return Err(error),
                }
            }
            if !moved {
                break;
            }
        }
        Ok(())
    }

    /// Runs a file between its record without success and with it. `done` counts what the server has
    /// answered to, which is a statement each but for CALL.
    async fn run(&mut self, migration: &Migration, done: &mut usize) -> Result<(), sqlx::Error> {
        let begun = tokio::time::Instant::now();
        let table = &self.table;
        let mut tx = self.conn.begin().await?;
        let insert = format!(
            "INSERT INTO {table} (version, description, success, checksum, execution_time) \
             VALUES (?, ?, FALSE, ?, -1)"
        );
        sqlx::query(AssertSqlSafe(insert))
            .bind(migration.version)
            .bind(&*migration.description)
            .bind(&*migration.checksum)
            .execute(&mut *tx)
            .await?;
        let mut answers = (&mut *tx).fetch_many(migration.sql.clone());
        while let Some(answer) = answers.try_next().await? {
            if let Either::Left(_) = answer {
                *done += 1;
            }
        }
        drop(answers);
        let update = format!("UPDATE {table} SET success = TRUE WHERE version = ?");
        sqlx::query(AssertSqlSafe(update))
            .bind(migration.version)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        let update = format!("UPDATE {table} SET execution_time = ? WHERE version = ?");
        sqlx::query(AssertSqlSafe(update))
            .bind(nanoseconds(begun.elapsed()))
            .bind(migration.version)
            .execute(&mut self.conn)
            .await?;
        Ok(())
    }

    /// What a file left that failed after `done` answers; absent where that cannot be found out.
    async fn left_by(&mut self, migration: &Migration, done: usize) -> Option<Left> {
        // What ran in a transaction is rolled back, its record too.
        let rolled_back = self.conn.execute("ROLLBACK").await;
        rolled_back.ok()?;
        let sql = format!("SELECT COUNT(*) FROM {} WHERE version = ?", self.table);
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(migration.version)
            .fetch_one(&mut self.conn)
            .await
            .ok()?;
        let statement = migration.sql.as_str();
        if rows == 0 {
            return Some(Left::Nothing);
        }
        if done > 0 || !is_whole_or_not_at_all(statement) {
            return Some(Left::Recorded((!has_call(statement)).then_some(done)));
        }
        let sql = format!(
            "DELETE FROM {} WHERE version = ? AND success = FALSE",
            self.table
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(migration.version)
            .execute(&mut self.conn)
            .await
            .ok()?;
        Some(Left::Nothing)
    }
}

async fn connect(dsn: &Dsn) -> Result<MySqlConnection, Said> {
    let options = dsn
        .mysql()
        .ok_or_else(|| Said::text("it names no MySQL or MariaDB"))?;
    super::connect(options).await
}

/// The settings of a session, without those that move by themselves.
async fn settings(conn: &mut MySqlConnection) -> Result<BTreeMap<String, String>, sqlx::Error> {
    let rows: Vec<(String, String)> = sqlx::query_as("SHOW SESSION VARIABLES")
        .fetch_all(conn)
        .await?;
    let known = |(name, _): &(String, String)| !MOVING.contains(&name.as_str());
    Ok(rows.into_iter().filter(known).collect())
}

fn is_not_of_a_session(error: &dyn sqlx::error::DatabaseError) -> bool {
    let mysql = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>();
    mysql.is_some_and(|error| NOT_OF_A_SESSION.contains(&error.number()))
}

/// Both lock timeouts, in whole seconds, upwards: the servers know no smaller unit. 0 waits without limit.
fn lock_timeouts(ms: u32) -> String {
    let seconds = ms.div_ceil(1000);
    let or_most = |most: u32| {
        if seconds == 0 {
            most
        } else {
            seconds.min(most)
        }
    };
    format!(
        "SET SESSION lock_wait_timeout = {}, SESSION innodb_lock_wait_timeout = {}",
        or_most(METADATA_LOCK_MAX_S),
        or_most(ROW_LOCK_MAX_S)
    )
}

/// Whether the file's first statement leaves nothing when it fails.
fn is_whole_or_not_at_all(sql: &str) -> bool {
    let text = after_comments(sql, Engine::MySql);
    let words: Vec<&str> = text.split_whitespace().take(3).collect();
    let begin = format!("{} ", words.join(" ").to_ascii_uppercase());
    let replaces = begin.starts_with("CREATE OR ");
    !replaces
        && WHOLE_OR_NOT_AT_ALL
            .iter()
            .any(|known| begin.starts_with(known))
}

/// Whether a statement may have several answers.
fn has_call(sql: &str) -> bool {
    sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .any(|word| word.eq_ignore_ascii_case("CALL"))
}

fn nanoseconds(elapsed: Duration) -> i64 {
    i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX)
}

/// A setting's value as SET takes it: numbers are no texts there.
fn literal(value: &str) -> String {
    if value.parse::<f64>().is_ok() {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// An identifier, quoted.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_quoted() {
        assert_eq!(quoted("shop"), "`shop`");
        assert_eq!(quoted("a`; DROP"), "`a``; DROP`");
        assert_eq!(literal("1000"), "1000");
        assert_eq!(literal("0.5"), "0.5");
        assert_eq!(literal("+00:00"), "'+00:00'");
        assert_eq!(literal("a'b\\"), "'a''b\\\\'");
    }

    #[test]
    fn lock_timeouts_are_whole_seconds() {
        assert!(
            lock_timeouts(300)
                .contains("lock_wait_timeout = 1, SESSION innodb_lock_wait_timeout = 1")
        );
        assert!(lock_timeouts(5000).contains("innodb_lock_wait_timeout = 5"));
        assert!(lock_timeouts(0).contains("lock_wait_timeout = 31536000,"));
    }

    #[test]
    fn statements_that_leave_nothing_are_known() {
        for sql in [
            "-- a\nALTER TABLE t ADD c int",
            "create index i on t (c);",
            "CREATE TABLE t (c int)",
        ] {
            assert!(is_whole_or_not_at_all(sql), "{sql}");
        }
        for sql in [
            "DROP TABLE a, b",
            "CREATE OR REPLACE TABLE t (c int)",
            "RENAME TABLE a TO b",
            "ALTER DATABASE d",
        ] {
            assert!(!is_whole_or_not_at_all(sql), "{sql}");
        }
        assert!(has_call("UPDATE t SET c = 1;\ncall p();") && !has_call("SELECT recall FROM t"));
    }
}
