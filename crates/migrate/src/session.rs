//! The one connection of a run: its settings, sqlx's lock, and sqlx's table of what ran.
//!
//! It deliberately has no pool: one connection holds the lock and does the work, so that losing it
//! ends both. Nothing here decides what is run.

use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use crate::dsn::Dsn;
use crate::files::{File, Files};
use crate::order::Recorded;
use crate::said::Said;
use crate::tell::{Stop, Tell};

/// Connecting, TLS and login included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the lock is tried.
const LOCK_INTERVAL: Duration = Duration::from_millis(250);
/// How long the lock is waited for: longer than that, a person should look at who holds it.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How soon the server notices that this program is gone, in the middle of a statement: without
/// it, a killed run's UPDATE would go on beside the next run.
const GONE_AFTER: &str = "2s";
/// More recorded versions than any directory may have files.
const RECORDED_MAX: i64 = 20_000;
/// sqlx's own key is this number times the CRC-32 of the database's name. The same key, so that a
/// `sqlx migrate run` and this program never run at once.
const SQLX_LOCK_FACTOR: i64 = 0x3d32_ad9e;

/// A connection for one run.
pub(crate) struct Session {
    conn: PgConnection,
    pid: i32,
    /// The quoted, schema-qualified name of sqlx's table, once [`Session::open_table`] found it.
    table: String,
    lock_timeout_ms: Option<u32>,
}

/// What went wrong with the connection itself.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No connection, or no login.
    #[error("cannot connect to {place}: {said}")]
    Connect {
        /// Database, server and user.
        place: String,
        /// What the server or the driver said.
        said: Said,
    },
    /// A statement of this program itself failed.
    #[error("cannot {doing}: {said}")]
    Own {
        /// What it was for.
        doing: &'static str,
        /// What the server or the driver said.
        said: Said,
    },
    /// No schema on the search path.
    #[error("no schema of the login's search_path exists, so there is none for _sqlx_migrations")]
    NoSchema,
    /// The lock stayed taken.
    #[error("another migration run has held the lock of this database for 24 hours")]
    LockWait,
}

impl SessionError {
    /// The way out, for a person.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Connect { said, .. } => match said.code() {
                Some("28P01" | "28000") => {
                    "check user and password in DBA_OP_CONNECTION_STRING; the operator gives \
                     each run a new password"
                }
                Some("3D000") => "check the database's name in DBA_OP_CONNECTION_STRING",
                Some("53300") => "the server has no connection left: run again when it has",
                _ => {
                    "check host, port and sslmode in DBA_OP_CONNECTION_STRING, and that the \
                     server can be reached from here"
                }
            },
            Self::Own { said, .. } => match said.code() {
                Some("42501") => "grant the login what the message names, and run again",
                _ => "what is recorded is kept: run again when the server answers",
            },
            Self::NoSchema => "name the schema with --table-schema, or create one for the login",
            Self::LockWait => {
                "look for it in pg_locks (locktype = 'advisory') and pg_stat_activity"
            }
        }
    }
}

impl Session {
    /// Connects and makes the server watch for the end of this program.
    pub(crate) async fn connect(
        dsn: &Dsn,
        lock_timeout_ms: Option<u32>,
    ) -> Result<Self, SessionError> {
        let failed = |said| SessionError::Connect {
            place: dsn.place(),
            said,
        };
        let mut conn = connect(dsn).await.map_err(failed)?;
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut conn)
            .await;
        let pid = pid.map_err(own("read the connection's pid"))?;
        Ok(Self {
            conn,
            pid,
            table: String::new(),
            lock_timeout_ms,
        })
    }

    /// The server's process of this connection.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Takes sqlx's lock, waiting for another run to end.
    ///
    /// It tries again and again instead of waiting inside the server: a statement that waits holds
    /// a snapshot, and the other run's CREATE INDEX CONCURRENTLY would wait for it in turn.
    pub(crate) async fn lock(&mut self, stop: &Stop, tell: &impl Tell) -> Result<(), SessionError> {
        let doing = "take the lock of migrations";
        let name: String = sqlx::query_scalar("SELECT current_database()::text")
            .fetch_one(&mut self.conn)
            .await
            .map_err(own(doing))?;
        let key = lock_key(&name);
        let begun = tokio::time::Instant::now();
        let mut told = false;
        while begun.elapsed() < LOCK_WAIT_MAX {
            let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
                .bind(key)
                .fetch_one(&mut self.conn)
                .await
                .map_err(own(doing))?;
            // A run that was asked to stop sees it before its next step.
            if taken || stop.asked() {
                return Ok(());
            }
            if !std::mem::replace(&mut told, true) {
                let holder = self.lock_holder(key).await.map_err(own(doing))?;
                let holder = holder.map_or_else(String::new, |pid| format!(" (pid {pid})"));
                tell.say(&format!(
                    "another migration run holds the lock{holder}: waiting for it"
                ));
            }
            stop.sleep(LOCK_INTERVAL).await;
        }
        Err(SessionError::LockWait)
    }

    /// Finds sqlx's table, or creates it in `schema` (which is created too) or in the first schema
    /// of the search path. From here on it goes by its full name, so that a file that changes the
    /// search path does no harm.
    pub(crate) async fn open_table(&mut self, schema: Option<&str>) -> Result<(), SessionError> {
        let doing = "open the table _sqlx_migrations";
        let schema = match schema {
            Some(schema) => {
                let known: bool = sqlx::query_scalar(
                    "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)",
                )
                .bind(schema)
                .fetch_one(&mut self.conn)
                .await
                .map_err(own(doing))?;
                if !known {
                    let create = format!("CREATE SCHEMA {}", quoted(schema));
                    self.execute(create)
                        .await
                        .map_err(own("create the schema of the table"))?;
                }
                schema.to_owned()
            }
            None => {
                let found: Option<String> = sqlx::query_scalar(
                    "SELECT coalesce((SELECT n.nspname FROM pg_catalog.pg_class c \
                     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                     WHERE c.oid = to_regclass('_sqlx_migrations')), current_schema())::text",
                )
                .fetch_one(&mut self.conn)
                .await
                .map_err(own(doing))?;
                found.ok_or(SessionError::NoSchema)?
            }
        };
        self.table = format!("{}._sqlx_migrations", quoted(&schema));
        let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(&self.table)
            .fetch_one(&mut self.conn)
            .await
            .map_err(own(doing))?;
        if !exists {
            let created = self.conn.ensure_migrations_table(&self.table).await;
            created.map_err(|error| Self::migrate("create the table _sqlx_migrations", error))?;
        }
        Ok(())
    }

    /// What ran on this database, by version.
    pub(crate) async fn recorded(&mut self) -> Result<Vec<Recorded>, SessionError> {
        let sql = format!(
            "SELECT version, success, checksum FROM {} ORDER BY version LIMIT {RECORDED_MAX}",
            self.table
        );
        let rows: Vec<(i64, bool, Vec<u8>)> = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_all(&mut self.conn)
            .await
            .map_err(own("read the table _sqlx_migrations"))?;
        let recorded = |(version, success, checksum)| Recorded {
            version,
            success,
            checksum,
        };
        Ok(rows.into_iter().map(recorded).collect())
    }

    /// Gives the next file a session as if it were new: what an earlier file SET is gone, and the
    /// lock timeout stands.
    pub(crate) async fn renew(&mut self) -> Result<(), SessionError> {
        let mut sql = "RESET ROLE; RESET ALL;".to_owned();
        if let Some(ms) = self.lock_timeout_ms {
            sql.push_str(&format!(" SET lock_timeout = {ms};"));
        }
        self.execute(sql)
            .await
            .map_err(own("prepare the session"))?;
        // Refused by servers whose platform cannot do it; a run is as good without.
        let watch = format!("SET client_connection_check_interval = '{GONE_AFTER}'");
        match self.execute(watch).await {
            Ok(()) | Err(sqlx::Error::Database(_)) => Ok(()),
            Err(error) => Err(own("prepare the session")(error)),
        }
    }

    /// Runs `sql` as it is.
    pub(crate) async fn execute(&mut self, sql: String) -> Result<(), sqlx::Error> {
        self.conn.execute(AssertSqlSafe(sql)).await.map(|_| ())
    }

    /// Runs a plain file and records it: one transaction, by sqlx's `Migrator`.
    pub(crate) async fn apply(&mut self, files: &mut Files, file: i64) -> Result<(), MigrateError> {
        files.migrator.dangerous_set_table_name(self.table.clone());
        files.migrator.run_to(file, &mut self.conn).await
    }

    /// Runs a statement that changes rows once, as a transaction of its own: how many it changed.
    pub(crate) async fn change(&mut self, file: &File) -> Result<u64, sqlx::Error> {
        // As a prepared statement, in which the server takes no second one.
        let done = sqlx::query(file.migration.sql.clone())
            .execute(&mut self.conn)
            .await?;
        Ok(done.rows_affected())
    }

    /// The number that a `dbop:total` query gives.
    pub(crate) async fn count(&mut self, query: &str) -> Result<Option<i64>, sqlx::Error> {
        let sql = format!("SELECT (\n{query}\n)::bigint");
        let mut tx = self.conn.begin_with("BEGIN READ ONLY").await?;
        let count = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut *tx)
            .await?;
        tx.rollback().await?;
        Ok(count)
    }

    /// Records a batch file as done, exactly as sqlx records a plain one.
    pub(crate) async fn record(
        &mut self,
        file: &File,
        elapsed: Duration,
    ) -> Result<(), SessionError> {
        let doing = "record the file in _sqlx_migrations";
        let mut tx = self.conn.begin().await.map_err(own(doing))?;
        let inserted = tx.skip(&self.table, &file.migration).await;
        inserted.map_err(|error| Self::migrate(doing, error))?;
        let nanoseconds = i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX);
        let sql = format!(
            "UPDATE {} SET execution_time = $1 WHERE version = $2",
            self.table
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(nanoseconds)
            .bind(file.version)
            .execute(&mut *tx)
            .await
            .map_err(own(doing))?;
        tx.commit().await.map_err(own(doing))
    }

    /// Says goodbye, so that the server's log shows no lost connection.
    pub(crate) async fn close(self) {
        // Everything is committed by now: a failure here changes nothing.
        let _ = tokio::time::timeout(CONNECT_TIMEOUT, self.conn.close()).await;
    }

    async fn lock_holder(&mut self, key: i64) -> Result<Option<i32>, sqlx::Error> {
        let sql = "SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted \
                   AND database = (SELECT oid FROM pg_catalog.pg_database \
                                   WHERE datname = current_database()) \
                   AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = $1 LIMIT 1";
        sqlx::query_scalar(sql)
            .bind(key)
            .fetch_optional(&mut self.conn)
            .await
    }

    fn migrate(doing: &'static str, error: MigrateError) -> SessionError {
        match error {
            MigrateError::Execute(source) => own(doing)(source),
            other => SessionError::Own {
                doing,
                said: Said::text(other.to_string()),
            },
        }
    }
}

/// Cancels what the process `pid` does, again and again until dropped: a statement may begin just
/// after a first request found none.
pub(crate) async fn cancel_until_dropped(dsn: &Dsn, pid: i32) {
    /// Between two requests.
    const AGAIN: Duration = Duration::from_millis(300);
    let Ok(mut conn) = connect(dsn).await else {
        return;
    };
    let cancel = "SELECT pg_cancel_backend($1)";
    while sqlx::query(cancel)
        .bind(pid)
        .execute(&mut conn)
        .await
        .is_ok()
    {
        tokio::time::sleep(AGAIN).await;
    }
}

async fn connect(dsn: &Dsn) -> Result<PgConnection, Said> {
    let options: PgConnectOptions = dsn.options();
    let options = match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("dbop-migrate"),
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(connected) => connected.map_err(|error| Said::new(&error, None)),
        Err(_) => Err(Said::text("no answer within 30 s")),
    }
}

fn own(doing: &'static str) -> impl Fn(sqlx::Error) -> SessionError {
    move |error| SessionError::Own {
        doing,
        said: Said::new(&error, None),
    }
}

/// The key under which sqlx 0.9 locks the database `name`.
fn lock_key(name: &str) -> i64 {
    const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    SQLX_LOCK_FACTOR.wrapping_mul(i64::from(CRC.checksum(name.as_bytes())))
}

/// An identifier, quoted.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted() {
        assert_eq!(quoted("shop"), "\"shop\"");
        assert_eq!(quoted("a\"; DROP"), "\"a\"\"; DROP\"");
    }
}
