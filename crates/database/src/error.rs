//! What goes wrong with a database, in words for people, and whether trying again can help.
//!
//! No variant ever carries a DSN, a password or a row of user data.

use dbop_model::{ForeignObject, MissingPrivilege};

/// An operation on a database failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// The DSN does not parse. Says which part, never the text.
    #[error("the DSN {reason}")]
    Dsn {
        /// What is wrong: "has no host", "names scheme 'mysql'".
        reason: String,
    },
    /// No connection to the server.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// `host:port`.
        address: String,
        /// What the operating system or the server said.
        reason: String,
    },
    /// The server answers, and lets nobody in from here as this user (PostgreSQL: pg_hba.conf).
    #[error("{address} does not let the login in from here: {reason}")]
    Barred {
        /// `host:port`.
        address: String,
        /// The server's words.
        reason: String,
    },
    /// TLS could not be agreed on or verified.
    #[error("cannot speak TLS with {address}: {reason}")]
    Tls {
        /// `host:port`.
        address: String,
        /// What did not fit.
        reason: String,
    },
    /// The server refused the login or its password.
    #[error(
        "cannot log in to {address} as '{user}': the server refused the login or its password ({code})"
    )]
    Refused {
        /// `host:port`.
        address: String,
        /// The login.
        user: String,
        /// The server's error code.
        code: String,
    },
    /// The database does not exist on the server.
    #[error("database '{database}' does not exist on {address}")]
    NoDatabase {
        /// `host:port`.
        address: String,
        /// The database's name.
        database: String,
    },
    /// The server cannot take the connection now (starting up, shutting down, too many connections).
    #[error("{address} does not take connections now: {reason}")]
    NotNow {
        /// `host:port`.
        address: String,
        /// The server's words.
        reason: String,
    },
    /// The connection broke while something was under way; whether it took effect is not known.
    #[error("the connection was lost during {operation}")]
    Lost {
        /// What was under way.
        operation: &'static str,
    },
    /// A statement took longer than its limit.
    #[error("{operation} took longer than its limit and was cancelled")]
    Timeout {
        /// What was under way.
        operation: &'static str,
    },
    /// The admin lacks a privilege.
    #[error("the admin lacks a privilege to {}: {}", .0.needed_for, .0.grant)]
    Privilege(MissingPrivilege),
    /// Something that is not ours bears a name we need. Nothing was changed.
    #[error("{0} exists and is not ours")]
    Foreign(ForeignObject),
    /// What a login owns cannot be reassigned, so it cannot be dropped.
    #[error("login {login} still owns objects that cannot be reassigned: {detail}")]
    StillOwns {
        /// The login.
        login: String,
        /// What and where.
        detail: String,
    },
    /// The server's answer was not of the shape asked for.
    #[error("{operation} gave an answer that cannot be read: {detail}")]
    Unreadable {
        /// What was asked.
        operation: &'static str,
        /// What did not fit; no user data.
        detail: String,
    },
    /// Any other error of the server.
    #[error("{operation} failed: {message} ({code})")]
    Server {
        /// What was under way.
        operation: &'static str,
        /// The server's error code (SQLSTATE).
        code: String,
        /// The server's primary message.
        message: String,
    },
}

impl DatabaseError {
    /// Can the same call succeed later, without anybody changing anything?
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            DatabaseError::Unreachable { .. }
                | DatabaseError::Barred { .. }
                | DatabaseError::NotNow { .. }
                | DatabaseError::Lost { .. }
                | DatabaseError::Timeout { .. }
        )
    }

    /// The reason in one word, for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            DatabaseError::Dsn { .. } => "dsn",
            DatabaseError::Unreachable { .. } => "unreachable",
            DatabaseError::Barred { .. } => "barred",
            DatabaseError::Tls { .. } => "tls",
            DatabaseError::Refused { .. } => "refused",
            DatabaseError::NoDatabase { .. } => "no_database",
            DatabaseError::NotNow { .. } => "not_now",
            DatabaseError::Lost { .. } => "lost",
            DatabaseError::Timeout { .. } => "timeout",
            DatabaseError::Privilege(_) => "privilege",
            DatabaseError::Foreign(_) => "foreign",
            DatabaseError::StillOwns { .. } => "still_owns",
            DatabaseError::Unreadable { .. } => "unreadable",
            DatabaseError::Server { .. } => "server",
        }
    }

    /// Is the connection of no use any more?
    pub fn is_connection_lost(&self) -> bool {
        matches!(
            self,
            DatabaseError::Lost { .. } | DatabaseError::Unreachable { .. }
        )
    }
}
