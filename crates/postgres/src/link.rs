//! One connection to a server, used by one call at a time: statements with limits, transactions that end.
//!
//! A connection whose state is not known any more (a reply that did not come, a call that was dropped half
//! way) is never used again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_versions::Row;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::error;

/// What the server is told (`statement_timeout`): roles and grants are quick, the catalogue of a large
/// database is read in a second.
pub(crate) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// `lock_timeout`: a statement of ours that waits makes others queue behind it.
pub(crate) const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// `idle_session_timeout` and `idle_in_transaction_session_timeout`: the server ends the session of an operator
/// that hangs or is stopped, and with it the advisory lock, before another operator takes over. That is 15
/// seconds after the lease was renewed last; steps of ours are never silent for so long.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(8);
/// How much later than the server's own limit a reply can come from a server that lives.
const REPLY_GRACE: Duration = Duration::from_secs(5);

/// A connection.
pub(crate) struct Link {
    client: Mutex<Client>,
    /// Set when the connection's state is not known any more.
    is_broken: AtomicBool,
    /// Ends the task that moves its bytes, and with it the socket.
    task: JoinHandle<()>,
}

impl Link {
    pub(crate) fn new(client: Client, task: JoinHandle<()>) -> Self {
        Self {
            client: Mutex::new(client),
            is_broken: AtomicBool::new(false),
            task,
        }
    }

    /// Says goodbye and waits until the socket is closed, so that the session is not taken for another's.
    pub(crate) async fn close(self) {
        let Link { client, task, .. } = self;
        drop(client);
        // Whether the server hears it in time makes no difference to what was asked of it.
        let _ = tokio::time::timeout(REPLY_GRACE, task).await;
    }

    /// Waits for the calls before, and takes the connection.
    pub(crate) async fn hold(&self, operation: &'static str) -> Result<Hold<'_>, DatabaseError> {
        let client = self.client.lock().await;
        if self.is_broken.load(Ordering::Acquire) || client.is_closed() {
            return Err(DatabaseError::Lost { operation });
        }
        Ok(Hold {
            client,
            link: self,
            operation,
            is_clean: false,
        })
    }

    /// The connection is of no use any more: ends it without waiting for the server.
    fn abandon(&self) {
        self.is_broken.store(true, Ordering::Release);
        self.task.abort();
    }
}

/// The connection, for one operation. One that is dropped without [`Hold::release`] has been cut off half
/// way, and takes the connection with it.
pub(crate) struct Hold<'a> {
    client: MutexGuard<'a, Client>,
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

    /// The driver's client, for those who bring limits of their own.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Gives the connection back. Only a connection that broke is kept from the next call.
    pub(crate) fn release<T>(
        mut self,
        result: Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        self.is_clean = !matches!(result, Err(DatabaseError::Lost { .. }));
        result
    }

    /// Runs statements and gives the rows of all of them, as text.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<Row>, DatabaseError> {
        let messages = self.bounded(self.client.simple_query(sql)).await?;
        let row = |message: SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|at| row.get(at).map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }

    /// Runs statements that give no rows.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), DatabaseError> {
        self.bounded(self.client.batch_execute(sql)).await
    }

    /// Runs exactly one statement: the server refuses a text that holds more.
    pub(crate) async fn run_single(&self, sql: &str) -> Result<(), DatabaseError> {
        self.bounded(self.client.execute_typed(sql, &[]))
            .await
            .map(drop)
    }

    /// Ends a transaction: what failed is undone.
    pub(crate) async fn end<T>(
        &self,
        result: Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        match result {
            Ok(value) => self.run("COMMIT").await.map(|()| value),
            Err(lost @ DatabaseError::Lost { .. }) => Err(lost),
            Err(error) => match self.run("ROLLBACK").await {
                Ok(()) => Err(error),
                // Without the rollback the state is not known; that it is lost says so.
                Err(_) => Err(DatabaseError::Lost {
                    operation: self.operation,
                }),
            },
        }
    }

    async fn bounded<T>(
        &self,
        reply: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, DatabaseError> {
        match tokio::time::timeout(STATEMENT_TIMEOUT + REPLY_GRACE, reply).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(failure)) => Err(error::statement(self.operation, &failure)),
            Err(_) => Err(DatabaseError::Lost {
                operation: self.operation,
            }),
        }
    }
}

/// How often a transaction is tried again that met another one at the same row of the catalogue: roles and
/// databases are the whole server's, so the owners of its other databases can be in the way.
pub(crate) const ATTEMPTS_MAX: u32 = 5;

/// Runs `$work` (an expression that is evaluated anew for each attempt) in a transaction on `$hold`.
macro_rules! in_transaction {
    ($hold:expr, $work:expr) => {{
        let mut attempts = 1;
        loop {
            let begun = $hold
                .run("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
                .await;
            let result = match begun {
                Ok(()) => {
                    let result = $work.await;
                    $hold.end(result).await
                }
                Err(error) => Err(error),
            };
            match result {
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
pub(crate) use in_transaction;
