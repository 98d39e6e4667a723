//! One connection to a server, used by one call at a time: statements with limits, answers as text.
//!
//! Statements that change accounts and grants commit by themselves (MySQL 8.4 manual, section 15.3.3), so there are
//! no transactions here: every write of ours is safe to repeat, and what was cut off half way is done again. A
//! connection whose state is not known any more (a reply that did not come, a call that was dropped half way)
//! is never used again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_versions::Row;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Column, Conn, Value};
use tokio::sync::{Mutex, MutexGuard};

use crate::error;

/// What the server is told (`max_execution_time`, `max_statement_time`): accounts and grants are quick, the
/// catalogue of a large database is read in a second.
pub(crate) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// `lock_wait_timeout` and `innodb_lock_wait_timeout`: a statement of ours that waits makes others queue behind it.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// `wait_timeout`: the server ends the session of an operator that hangs or is stopped, and with it the advisory
/// lock, before another operator takes over. That is 15 seconds after the lease was renewed last; steps of ours are
/// never silent for so long.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(8);
/// How much later than the server's own limit a reply can come from a server that lives.
const REPLY_GRACE: Duration = Duration::from_secs(5);

/// A connection.
pub(crate) struct Link {
    /// Who holds it has the connection for a whole call.
    turn: Mutex<()>,
    conn: Mutex<Option<Conn>>,
    /// Set when the connection's state is not known any more.
    is_broken: AtomicBool,
}

impl Link {
    pub(crate) fn new(conn: Conn) -> Self {
        Self {
            turn: Mutex::new(()),
            conn: Mutex::new(Some(conn)),
            is_broken: AtomicBool::new(false),
        }
    }

    /// Says goodbye and waits until the socket is closed, so that the session is not taken for another's.
    pub(crate) async fn close(self) {
        if let Some(conn) = self.conn.into_inner() {
            // Whether the server hears it in time makes no difference to what was asked of it.
            let _ = tokio::time::timeout(REPLY_GRACE, conn.disconnect()).await;
        }
    }

    /// Waits for the calls before, and takes the connection.
    pub(crate) async fn hold(&self, operation: &'static str) -> Result<Hold<'_>, DatabaseError> {
        let turn = self.turn.lock().await;
        if self.is_broken.load(Ordering::Acquire) {
            return Err(DatabaseError::Lost { operation });
        }
        Ok(Hold {
            _turn: turn,
            link: self,
            operation,
            is_clean: false,
        })
    }

    /// The connection is of no use any more: ends it without waiting for the server. An idle one is ended by the
    /// server itself, soon.
    fn abandon(&self) {
        self.is_broken.store(true, Ordering::Release);
        if let Ok(mut conn) = self.conn.try_lock() {
            drop(conn.take());
        }
    }
}

/// The connection, for one operation. One that is dropped without [`Hold::release`] has been cut off half
/// way, and takes the connection with it.
pub(crate) struct Hold<'a> {
    _turn: MutexGuard<'a, ()>,
    link: &'a Link,
    operation: &'static str,
    is_clean: bool,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if !self.is_clean {
            self.link.abandon();
        }
    }
}

impl Hold<'_> {
    /// What the connection is held for, for errors.
    pub(crate) fn operation(&self) -> &'static str {
        self.operation
    }

    /// The server's number for the session; `None`: the connection broke.
    pub(crate) async fn id(&self) -> Option<u32> {
        self.link.conn.lock().await.as_ref().map(Conn::id)
    }

    /// Gives the connection back. Only a connection that broke is kept from the next call.
    pub(crate) fn release<T>(
        mut self,
        result: Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        self.is_clean = !matches!(result, Err(DatabaseError::Lost { .. }));
        result
    }

    /// Runs one statement and gives its rows, as text.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<Row>, DatabaseError> {
        self.rows_within(sql, STATEMENT_TIMEOUT).await
    }

    /// Likewise, with a limit of the caller's, of which the server knows.
    pub(crate) async fn rows_within(
        &self,
        sql: &str,
        limit: Duration,
    ) -> Result<Vec<Row>, DatabaseError> {
        let mut conn = self.link.conn.lock().await;
        let operation = self.operation;
        let conn = conn.as_mut().ok_or(DatabaseError::Lost { operation })?;
        let reply = tokio::time::timeout(limit + REPLY_GRACE, conn.query(sql)).await;
        let rows: Vec<mysql_async::Row> = match reply {
            Ok(Ok(rows)) => rows,
            Ok(Err(failure)) => return Err(error::statement(operation, &failure)),
            Err(_) => return Err(DatabaseError::Lost { operation }),
        };
        rows.into_iter()
            .map(|row| row.unwrap().into_iter().map(text_of).collect())
            .collect::<Option<_>>()
            .ok_or_else(|| DatabaseError::Unreadable {
                operation,
                detail: "a column is no text".to_owned(),
            })
    }

    /// Runs one statement whose columns differ from version to version, and gives its rows by their names.
    pub(crate) async fn named(
        &self,
        sql: &str,
    ) -> Result<Vec<BTreeMap<String, Option<String>>>, DatabaseError> {
        let mut conn = self.link.conn.lock().await;
        let operation = self.operation;
        let conn = conn.as_mut().ok_or(DatabaseError::Lost { operation })?;
        let reply = tokio::time::timeout(STATEMENT_TIMEOUT + REPLY_GRACE, conn.query(sql)).await;
        let rows: Vec<mysql_async::Row> = match reply {
            Ok(Ok(rows)) => rows,
            Ok(Err(failure)) => return Err(error::statement(operation, &failure)),
            Err(_) => return Err(DatabaseError::Lost { operation }),
        };
        let named = |row: mysql_async::Row| {
            let columns = row.columns();
            let names = columns.iter().map(|column| column.name_str().into_owned());
            // What is no text is nothing that is looked for.
            let values = row
                .unwrap()
                .into_iter()
                .map(|value| text_of(value).flatten());
            names.zip(values).collect()
        };
        Ok(rows.into_iter().map(named).collect())
    }

    /// What the server says of the first column that a statement gives, whose rows nobody looks at.
    pub(crate) async fn first_column(
        &self,
        sql: &str,
        limit: Duration,
    ) -> Result<Option<Column>, DatabaseError> {
        let mut conn = self.link.conn.lock().await;
        let operation = self.operation;
        let conn = conn.as_mut().ok_or(DatabaseError::Lost { operation })?;
        let asked = async {
            let result = conn.query_iter(sql).await?;
            let first = result.columns_ref().first().cloned();
            result.drop_result().await?;
            Ok(first)
        };
        match tokio::time::timeout(limit + REPLY_GRACE, asked).await {
            Ok(Ok(column)) => Ok(column),
            Ok(Err(failure)) => Err(error::statement(operation, &failure)),
            Err(_) => Err(DatabaseError::Lost { operation }),
        }
    }

    /// Has the server read a statement, which it does not run, and gives the names of the columns that it would give.
    pub(crate) async fn read(
        &self,
        sql: &str,
        limit: Duration,
    ) -> Result<Vec<String>, DatabaseError> {
        let mut conn = self.link.conn.lock().await;
        let operation = self.operation;
        let conn = conn.as_mut().ok_or(DatabaseError::Lost { operation })?;
        let asked = async {
            let statement = conn.prep(sql).await?;
            let columns = statement.columns();
            let names = columns.iter().map(|column| column.name_str().into_owned());
            let names = names.collect();
            conn.close(statement).await?;
            Ok(names)
        };
        match tokio::time::timeout(limit + REPLY_GRACE, asked).await {
            Ok(Ok(names)) => Ok(names),
            Ok(Err(failure)) => Err(error::statement(operation, &failure)),
            Err(_) => Err(DatabaseError::Lost { operation }),
        }
    }

    /// Runs one statement that gives no rows.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), DatabaseError> {
        self.rows(sql).await.map(drop)
    }

    /// Runs one statement that holds a password's hash: what the server says of it is not repeated, for it could
    /// repeat the statement.
    pub(crate) async fn run_secret(&self, sql: &str) -> Result<(), DatabaseError> {
        match self.run(sql).await {
            Err(DatabaseError::Server {
                operation, code, ..
            }) => Err(DatabaseError::Server {
                operation,
                code,
                message: "the server refused to set a password".to_owned(),
            }),
            result => result,
        }
    }
}

/// A column; the outer `None`: it is no text. Of statements without parameters all columns come as bytes.
fn text_of(value: Value) -> Option<Option<String>> {
    match value {
        Value::NULL => Some(None),
        Value::Bytes(bytes) => String::from_utf8(bytes).ok().map(Some),
        _ => None,
    }
}

/// How often work is tried that met another session's: a deadlock, a table that went away, a session half there.
pub(crate) const ATTEMPTS_MAX: u32 = 5;

/// Runs `$work` (an expression that is evaluated anew for each attempt).
macro_rules! retried {
    ($work:expr) => {{
        let mut attempts = 1;
        loop {
            match $work.await {
                Err(error)
                    if attempts < $crate::link::ATTEMPTS_MAX
                        && $crate::error::is_conflict(&error) =>
                {
                    attempts += 1;
                }
                result => break result,
            }
        }
    }};
}
pub(crate) use retried;
