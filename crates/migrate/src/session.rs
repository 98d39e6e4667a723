//! The one connection of a run: its settings, sqlx's lock, and sqlx's table of what ran. What each kind of
//! server needs for it is in [`postgres`] and [`mysql`].
//!
//! It deliberately has no pool: one connection holds the lock and does the work, so that losing it
//! ends both. Nothing here decides what is run.

pub(crate) mod mysql;
pub(crate) mod postgres;

use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::migrate::MigrateError;

use crate::dsn::Dsn;
use crate::files::{File, Files};
use crate::order::Recorded;
use crate::said::{Said, Trouble};
use crate::tell::{Stop, Tell};

/// Connecting, TLS and login included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the lock is tried.
const LOCK_INTERVAL: Duration = Duration::from_millis(250);
/// How long the lock is waited for: longer than that, a person should look at who holds it.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two requests to cancel a statement.
const CANCEL_INTERVAL: Duration = Duration::from_millis(300);
/// More recorded versions than any directory may have files.
const RECORDED_MAX: i64 = 20_000;
/// sqlx's own key of the lock is this number times the CRC-32 of the database's name. The same key, so that
/// a `sqlx migrate run` and this program never run at once.
const SQLX_LOCK_FACTOR: i64 = 0x3d32_ad9e;

/// A connection for one run.
pub(crate) trait Session: Sized {
    /// What the server calls its number of a connection, for people.
    const NUMBER: &'static str;
    /// Where a person sees who holds the lock.
    const LOCKS: &'static str;

    /// Connects; the lock timeout is for the statements of files.
    async fn connect(dsn: &Dsn, lock_timeout_ms: Option<u32>) -> Result<Self, SessionError>;

    /// The server's number of this connection.
    fn number(&self) -> i64;

    /// Takes sqlx's lock if nobody has it: whether it is taken now.
    async fn try_lock(&mut self) -> Result<bool, sqlx::Error>;

    /// The number of the connection that has the lock.
    async fn lock_holder(&mut self) -> Result<Option<i64>, sqlx::Error>;

    /// Finds sqlx's table, or creates it: in `schema`, which is created too, or where the login's tables go.
    /// From here on it goes by its full name, so that a file that changes the surroundings does no harm.
    async fn open_table(&mut self, schema: Option<&str>) -> Result<(), SessionError>;

    /// What ran on this database, by version.
    async fn recorded(&mut self) -> Result<Vec<Recorded>, SessionError>;

    /// Gives the next file a session as if it were new: what an earlier file SET is gone, and the lock
    /// timeout stands.
    async fn renew(&mut self) -> Result<(), SessionError>;

    /// Runs `sql` as it is.
    async fn execute(&mut self, sql: String) -> Result<(), sqlx::Error>;

    /// Runs a plain file and records it, as sqlx's `Migrator` does.
    async fn apply(&mut self, files: &mut Files, version: i64) -> Result<(), Failed>;

    /// Runs a statement that changes rows once, as a transaction of its own: how many it changed.
    async fn change(&mut self, file: &File) -> Result<u64, sqlx::Error>;

    /// The number that a `dbop:total` query gives.
    async fn count(&mut self, query: &str) -> Result<Option<i64>, sqlx::Error>;

    /// Records a batch file as done, exactly as sqlx records a plain one.
    async fn record(&mut self, file: &File, elapsed: Duration) -> Result<(), SessionError>;

    /// Says goodbye, so that the server's log shows no lost connection.
    async fn close(self);

    /// Cancels what the connection `number` does, again and again until dropped: a statement may begin just
    /// after a first request found none.
    async fn cancel_until_dropped(dsn: &Dsn, number: i64);

    /// Takes sqlx's lock, waiting for another run to end.
    ///
    /// It tries again and again instead of waiting inside the server: a statement that waits holds
    /// a snapshot, and the other run's CREATE INDEX CONCURRENTLY would wait for it in turn.
    async fn lock(&mut self, stop: &Stop, tell: &impl Tell) -> Result<(), SessionError> {
        let doing = "take the lock of migrations";
        let begun = tokio::time::Instant::now();
        let mut told = false;
        while begun.elapsed() < LOCK_WAIT_MAX {
            let taken = self.try_lock().await.map_err(own(doing))?;
            // A run that was asked to stop sees it before its next step.
            if taken || stop.asked() {
                return Ok(());
            }
            if !std::mem::replace(&mut told, true) {
                let holder = self.lock_holder().await.map_err(own(doing))?;
                let holder = holder.map_or_else(String::new, |number| {
                    format!(" ({} {number})", Self::NUMBER)
                });
                tell.say(&format!(
                    "another migration run holds the lock{holder}: waiting for it"
                ));
            }
            stop.sleep(LOCK_INTERVAL).await;
        }
        Err(SessionError::LockWait { look: Self::LOCKS })
    }
}

/// A plain file that did not come to its end.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What the server or the driver said.
    pub(crate) said: Said,
    /// What is left of it.
    pub(crate) left: Left,
}

/// What a failed file leaves in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nothing, neither of its statements nor in the record.
    Nothing,
    /// What its statements did outside of a transaction; nothing in the record.
    Unrecorded,
    /// What its statements before the one that failed did, and a record without success. The number of
    /// these statements, where it is known.
    Recorded(Option<usize>),
    /// Nobody knows: the connection was lost.
    Unknown,
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
    LockWait {
        /// Where a person sees who.
        look: &'static str,
    },
}

impl SessionError {
    /// The way out, for a person.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Connect { said, .. } => match said.trouble() {
                Some(Trouble::Login) => {
                    "check user and password in DBA_OP_CONNECTION_STRING; the operator gives \
                     each run a new password"
                }
                Some(Trouble::NoDatabase | Trouble::Denied) => {
                    "check the database's name in DBA_OP_CONNECTION_STRING, and that the login may use it"
                }
                Some(Trouble::Full) => "the server has no connection left: run again when it has",
                _ => {
                    "check host, port and sslmode in DBA_OP_CONNECTION_STRING, and that the \
                     server can be reached from here"
                }
            },
            Self::Own { said, .. } => match said.trouble() {
                Some(Trouble::Denied) => "grant the login what the message names, and run again",
                _ => "what is recorded is kept: run again when the server answers",
            },
            Self::NoSchema => "name the schema with --table-schema, or create one for the login",
            Self::LockWait { look } => look,
        }
    }
}

/// A connection with these options.
async fn connect<O>(options: O) -> Result<O::Connection, Said>
where
    O: ConnectOptions,
    O::Connection: Sized,
{
    match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(connected) => connected.map_err(|error| Said::new(&error, None)),
        Err(_) => Err(Said::text("no answer within 30 s")),
    }
}

/// What `_sqlx_migrations`, by its full name, has recorded: rows that make a [`Recorded`] each.
fn select_recorded(table: &str) -> String {
    format!("SELECT version, success, checksum FROM {table} ORDER BY version LIMIT {RECORDED_MAX}")
}

fn own(doing: &'static str) -> impl Fn(sqlx::Error) -> SessionError {
    move |error| SessionError::Own {
        doing,
        said: Said::new(&error, None),
    }
}

/// The same for what sqlx's own functions for migrations say.
fn migrate(doing: &'static str) -> impl Fn(MigrateError) -> SessionError {
    move |error| match error {
        MigrateError::Execute(source) => own(doing)(source),
        other => SessionError::Own {
            doing,
            said: Said::text(other.to_string()),
        },
    }
}

/// The key under which sqlx 0.9 locks the database `name`; MySQL gets it as a hexadecimal text.
fn lock_key(name: &str) -> i64 {
    const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    SQLX_LOCK_FACTOR.wrapping_mul(i64::from(CRC.checksum(name.as_bytes())))
}
