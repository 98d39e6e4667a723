//! The server's errors, as the domain names them. Texts of the server's are kept to its primary message, and
//! dropped where that could repeat a value of user data.

use dbop_database::DatabaseError;
use tokio_postgres::Error;
use tokio_postgres::error::DbError;

/// What became of a statement.
pub(crate) fn statement(operation: &'static str, error: &Error) -> DatabaseError {
    let Some(db) = error.as_db_error() else {
        return DatabaseError::Lost { operation };
    };
    match db.code().code() {
        // query_canceled, lock_not_available: both mean that a limit of ours was reached.
        "57014" | "55P03" => DatabaseError::Timeout { operation },
        // The server ended the session: shutdown, crash, database dropped, idle limits.
        "57P01" | "57P02" | "57P04" | "57P05" | "25P03" => DatabaseError::Lost { operation },
        code if code.starts_with("08") => DatabaseError::Lost { operation },
        code => DatabaseError::Server {
            operation,
            code: code.to_owned(),
            message: message(db),
        },
    }
}

/// Lines of a detail that are shown: it can name a hundred objects.
const DETAIL_LINES_MAX: usize = 5;

/// The primary message, where it holds no user data. Class 22 (data exception) quotes the value at fault; the
/// detail of 2BP01 (dependent objects still exist) names them, and nothing else.
fn message(db: &DbError) -> String {
    match (db.code().code(), db.detail()) {
        (code, _) if code.starts_with("22") => "a value did not fit".to_owned(),
        ("2BP01", Some(detail)) => detail
            .lines()
            .take(DETAIL_LINES_MAX)
            .collect::<Vec<_>>()
            .join("; "),
        _ => db.message().to_owned(),
    }
}

/// Why a connection did not come about.
pub(crate) fn connecting(
    address: &str,
    user: &str,
    database: &str,
    error: &Error,
) -> DatabaseError {
    let address = address.to_owned();
    if let Some(db) = error.as_db_error() {
        return refused(address, user, database, db);
    }
    let reason = deepest(error);
    match error.to_string().as_str() {
        "error performing TLS handshake" => DatabaseError::Tls { address, reason },
        // The one thing that the driver checks itself: whether it has what the server asks for.
        "invalid configuration" => {
            let reason = "has no password, and the server asks for one".to_owned();
            DatabaseError::Dsn { reason }
        }
        "authentication error" => DatabaseError::Tls { address, reason },
        _ => DatabaseError::Unreachable { address, reason },
    }
}

fn refused(address: String, user: &str, database: &str, db: &DbError) -> DatabaseError {
    let code = db.code().code().to_owned();
    match code.as_str() {
        "3D000" => DatabaseError::NoDatabase {
            address,
            database: database.to_owned(),
        },
        // The same code says that pg_hba.conf has no line for us, which says nothing about the login. The
        // routine tells them apart; the message is translated.
        "28000" if db.routine() == Some("ClientAuthentication") => DatabaseError::Barred {
            address,
            reason: db.message().to_owned(),
        },
        "28000" | "28P01" => DatabaseError::Refused {
            address,
            user: user.to_owned(),
            code,
        },
        // cannot_connect_now, too_many_connections, admin_shutdown, crash_shutdown.
        "57P03" | "53300" | "57P01" | "57P02" => DatabaseError::NotNow {
            address,
            reason: db.message().to_owned(),
        },
        _ => DatabaseError::Server {
            operation: "connect",
            code,
            message: message(db),
        },
    }
}

/// The innermost cause: the operating system's or the TLS library's own words.
fn deepest(error: &Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// Did another session change the same row of the catalogue at the same moment? The server has no code of
/// its own for it (XX000), and never translates internal errors.
pub(crate) fn is_conflict(error: &DatabaseError) -> bool {
    match error {
        DatabaseError::Server { code, message, .. } => match code.as_str() {
            "40001" | "40P01" => true,
            "XX000" => message.starts_with("tuple concurrently"),
            _ => false,
        },
        _ => false,
    }
}
