//! A run's connection to PostgreSQL.

use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::{
    CANCEL_INTERVAL, CONNECT_TIMEOUT, Failed, Left, Session, SessionError, lock_key, migrate, own,
    select_recorded,
};
use crate::dsn::Dsn;
use crate::files::{File, Files};
use crate::order::Recorded;
use crate::said::Said;

/// How soon the server notices that this program is gone, in the middle of a statement: without
/// it, a killed run's UPDATE would go on beside the next run.
const GONE_AFTER: &str = "2s";

/// A connection for one run.
pub(crate) struct Postgres {
    conn: PgConnection,
    /// The server's process of this connection.
    pid: i32,
    /// The key of sqlx's lock for this database.
    key: i64,
    /// The quoted, schema-qualified name of sqlx's table, once it is found.
    table: String,
    lock_timeout_ms: Option<u32>,
}

impl Session for Postgres {
    const NUMBER: &'static str = "pid";
    const LOCKS: &'static str =
        "look for it in pg_locks (locktype = 'advisory') and pg_stat_activity";

    async fn connect(dsn: &Dsn, lock_timeout_ms: Option<u32>) -> Result<Self, SessionError> {
        let failed = |said| SessionError::Connect {
            place: dsn.place(),
            said,
        };
        let mut conn = connect(dsn).await.map_err(failed)?;
        let (pid, name): (i32, String) =
            sqlx::query_as("SELECT pg_backend_pid(), current_database()::text")
                .fetch_one(&mut conn)
                .await
                .map_err(own("read the connection's pid"))?;
        Ok(Self {
            conn,
            pid,
            key: lock_key(&name),
            table: String::new(),
            lock_timeout_ms,
        })
    }

    fn number(&self) -> i64 {
        self.pid.into()
    }

    async fn try_lock(&mut self) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(self.key)
            .fetch_one(&mut self.conn)
            .await
    }

    async fn lock_holder(&mut self) -> Result<Option<i64>, sqlx::Error> {
        let sql = "SELECT pid::bigint FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted \
                   AND database = (SELECT oid FROM pg_catalog.pg_database \
                                   WHERE datname = current_database()) \
                   AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = $1 LIMIT 1";
        sqlx::query_scalar(sql)
            .bind(self.key)
            .fetch_optional(&mut self.conn)
            .await
    }

    async fn open_table(&mut self, schema: Option<&str>) -> Result<(), SessionError> {
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

    async fn execute(&mut self, sql: String) -> Result<(), sqlx::Error> {
        self.conn.execute(AssertSqlSafe(sql)).await.map(|_| ())
    }

    /// One transaction with its record, but for a file that says otherwise.
    async fn apply(&mut self, files: &mut Files, version: i64) -> Result<(), Failed> {
        let file = files.get(version).map(|file| &file.migration);
        let (sql, left) = match file {
            Some(migration) if migration.no_tx => (Some(migration.sql.clone()), Left::Unrecorded),
            Some(migration) => (Some(migration.sql.clone()), Left::Nothing),
            None => (None, Left::Nothing),
        };
        files.migrator.dangerous_set_table_name(self.table.clone());
        let applied = files.migrator.run_to(version, &mut self.conn).await;
        applied.map_err(|error| {
            let said = match &error {
                MigrateError::ExecuteMigration(source, _) => {
                    Said::new(source, sql.as_ref().map(sqlx::SqlStr::as_str))
                }
                MigrateError::Execute(source) => Said::new(source, None),
                other => Said::text(other.to_string()),
            };
            Failed { said, left }
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
        let sql = format!("SELECT (\n{query}\n)::bigint");
        let mut tx = self.conn.begin_with("BEGIN READ ONLY").await?;
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

    async fn close(self) {
        // Everything is committed by now: a failure here changes nothing.
        let _ = tokio::time::timeout(CONNECT_TIMEOUT, self.conn.close()).await;
    }

    async fn cancel_until_dropped(dsn: &Dsn, number: i64) {
        let Ok(mut conn) = connect(dsn).await else {
            return;
        };
        let cancel = "SELECT pg_cancel_backend($1::int)";
        while sqlx::query(cancel)
            .bind(number)
            .execute(&mut conn)
            .await
            .is_ok()
        {
            tokio::time::sleep(CANCEL_INTERVAL).await;
        }
    }
}

async fn connect(dsn: &Dsn) -> Result<PgConnection, Said> {
    let options: PgConnectOptions = dsn
        .postgres()
        .ok_or_else(|| Said::text("it names no PostgreSQL"))?;
    let options = match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("dbop-migrate"),
    };
    super::connect(options).await
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
