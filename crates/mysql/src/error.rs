//! The server's errors, as the domain names them. Texts of the server's are dropped where they could repeat a value
//! of user data. Numbers are those of the servers' manuals (MySQL's server error message reference, MariaDB's
//! error code reference).

use dbop_database::DatabaseError;
use mysql_async::{DriverError, Error, IoError, ServerError};

use crate::tls;

/// What became of a statement.
pub(crate) fn statement(operation: &'static str, error: &Error) -> DatabaseError {
    let Error::Server(server) = error else {
        return DatabaseError::Lost { operation };
    };
    match server.code {
        // Lock wait, max_execution_time, max_statement_time; 1317: interrupted, as MySQL also says of the second.
        1205 | 3024 | 1969 | 1317 => DatabaseError::Timeout { operation },
        // Shutdown, killed, idle for too long.
        1053 | 1152 | 1158..=1161 | 1927 | 3169 | 4031 => DatabaseError::Lost { operation },
        // It has become read-only: another server takes the writes now, and a new connection says so.
        1290 | 1836 if is_read_only(server) => DatabaseError::Lost { operation },
        code => DatabaseError::Server {
            operation,
            code: code.to_string(),
            message: message(server),
        },
    }
}

/// 1290 is said of any option that stands in the way, which is named in it and not translated.
fn is_read_only(server: &ServerError) -> bool {
    server.code == 1836 || server.message.contains("read-only")
}

/// The message, where it holds no user data.
fn message(server: &ServerError) -> String {
    let is_about_a_value = server.state.starts_with("22")
        || matches!(
            server.code,
            1062 | 1264 | 1265 | 1292 | 1366 | 1406 | 1411 | 1586
        );
    if is_about_a_value {
        "a value did not fit".to_owned()
    } else {
        server.message.clone()
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
    match error {
        Error::Server(server) => refused(address, user, database, server),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => DatabaseError::Tls {
            address,
            reason: "the server speaks none".to_owned(),
        },
        Error::Driver(DriverError::UnknownAuthPlugin { name }) => DatabaseError::Server {
            operation: "connect",
            code: UNKNOWN_PLUGIN.to_owned(),
            message: format!(
                "the server asks for the authentication plugin {name}, which is not known here"
            ),
        },
        Error::Driver(_) | Error::Other(_) | Error::Url(_) => DatabaseError::Unreachable {
            address,
            reason: "the server's greeting is none of MySQL's".to_owned(),
        },
        Error::Io(io) => match (tls::cause(error), io) {
            (Some(cause), _) => DatabaseError::Tls {
                address,
                reason: cause.to_string(),
            },
            (None, IoError::Tls(tls)) => DatabaseError::Tls {
                address,
                reason: tls.to_string(),
            },
            (None, IoError::Io(io)) => DatabaseError::Unreachable {
                address,
                reason: io.to_string(),
            },
        },
    }
}

fn refused(address: String, user: &str, database: &str, server: &ServerError) -> DatabaseError {
    match server.code {
        // Wrong password or no such account; none was sent; locked (MySQL's and MariaDB's number); expired.
        1045 | 1698 | 3118 | 4151 | 1862 => DatabaseError::Refused {
            address,
            user: user.to_owned(),
            code: server.code.to_string(),
        },
        1049 => DatabaseError::NoDatabase {
            address,
            database: database.to_owned(),
        },
        // The account has no right on the database, or it is not there: the server tells neither from the other.
        1044 => DatabaseError::Server {
            operation: "connect",
            code: NO_RIGHT_ON_DATABASE.to_owned(),
            message: format!("'{user}' has no right on database '{database}'"),
        },
        // This address is not let in; it made too many mistakes.
        1130 | 1129 => DatabaseError::Barred {
            address,
            reason: server.message.clone(),
        },
        // Too many connections (in all, of the account, as its limits say), shutdown.
        1040 | 1203 | 1226 | 1053 => DatabaseError::NotNow {
            address,
            reason: server.message.clone(),
        },
        // require_secure_transport.
        3159 => DatabaseError::Tls {
            address,
            reason: "the server takes no connection without it".to_owned(),
        },
        code => DatabaseError::Server {
            operation: "connect",
            code: code.to_string(),
            message: message(server),
        },
    }
}

/// The code of a login that worked, but has no right on the database.
pub(crate) const NO_RIGHT_ON_DATABASE: &str = "1044";

/// The code of a server that asks for a way to authenticate that the driver does not know.
pub(crate) const UNKNOWN_PLUGIN: &str = "1251";

/// Did another session change the same thing at the same moment, so that the call is worth another try?
pub(crate) fn is_conflict(error: &DatabaseError) -> bool {
    // A deadlock; a table that went away between looking and granting; a session that came or went while MySQL listed
    // it, of whose login's name it read what was no text any more (ER_CANNOT_CONVERT_STRING, seen of PROCESSLIST on 9.7).
    let codes = ["1213", "1146", "3854"];
    matches!(error, DatabaseError::Server { code, .. } if codes.contains(&code.as_str()))
}
