//! The connection string `DBA_OP_CONNECTION_STRING`: what is accepted, and what may be shown of it.
//!
//! It deliberately shows nothing of a string that it refuses: an unescaped `@` or `/` in a password
//! moves pieces of the password to where the host or the database would stand.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::engine::Engine;

/// A connection string that names a server, a host and a database.
#[derive(Clone)]
pub struct Dsn {
    options: Options,
}

/// The options of the driver that the string is for.
#[derive(Clone)]
enum Options {
    Postgres(Box<PgConnectOptions>),
    MySql(Box<MySqlConnectOptions>),
}

/// Why a connection string is refused. No variant carries a piece of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DsnError {
    /// A scheme that is none of the supported ones.
    #[error("DBA_OP_CONNECTION_STRING begins with none of postgresql://, mysql:// and mariadb://")]
    Scheme,
    /// Not a URL.
    #[error(
        "DBA_OP_CONNECTION_STRING cannot be read as a URL like postgresql://user:password@host:port/db"
    )]
    Malformed,
    /// An `@` or `#` after the host: most likely an unescaped password.
    #[error("DBA_OP_CONNECTION_STRING holds a character that must be percent-encoded")]
    Unescaped,
    /// No host.
    #[error("DBA_OP_CONNECTION_STRING names no host")]
    NoHost,
    /// No database.
    #[error("DBA_OP_CONNECTION_STRING names no database")]
    NoDatabase,
    /// An unknown `sslmode`.
    #[error("DBA_OP_CONNECTION_STRING has an sslmode that is not known")]
    SslMode,
}

impl DsnError {
    /// The way out, for a person.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::SslMode => {
                "known are disable, prefer, require, verify-ca and verify-full (ssl-mode of MySQL: DISABLED, \
                 PREFERRED, REQUIRED, VERIFY_CA and VERIFY_IDENTITY)"
            }
            Self::Scheme | Self::Malformed | Self::Unescaped => {
                "its form is postgresql://user:password@host:port/db (or mysql://...), and in user and password \
                 the characters @ : / ? # [ ] % stand as %40 %3A %2F %3F %23 %5B %5D %25"
            }
            Self::NoHost | Self::NoDatabase => {
                "its form is postgresql://user:password@host:port/db (or mysql://...)"
            }
        }
    }
}

impl Dsn {
    /// Reads a connection string.
    ///
    /// Without `sslmode` a remote host is asked for TLS (`require`), as the operator does by
    /// default; a host on the same machine is not (`prefer`).
    ///
    /// # Errors
    /// [`DsnError`], which shows nothing of the string.
    pub fn parse(text: &SecretString) -> Result<Self, DsnError> {
        let text = text.expose_secret().trim();
        let (scheme, rest) = text.split_once("://").ok_or(DsnError::Scheme)?;
        let engine = Engine::of_scheme(scheme).ok_or(DsnError::Scheme)?;
        let after_authority = rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]);
        if after_authority.contains(['@', '#']) {
            return Err(DsnError::Unescaped);
        }
        let query = after_authority
            .split_once('?')
            .map_or("", |(_, query)| query);
        let authority = &rest[..rest.len() - after_authority.len()];
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        // Where a driver finds a server, or its socket, that stands not in its place.
        let elsewhere: &[&str] = match engine {
            Engine::Postgres => &["host", "hostaddr"],
            Engine::MySql => &["socket"],
        };
        let names_host = !host.is_empty() && !host.starts_with(':');
        if !names_host && parameter(query, elsewhere).is_none() {
            return Err(DsnError::NoHost);
        }
        // Looked for in the string itself, because the driver falls back to PGDATABASE.
        let path = after_authority.split('?').next().unwrap_or_default();
        let names_database = !path.trim_start_matches('/').is_empty();
        let by_parameter = engine == Engine::Postgres && parameter(query, &["dbname"]).is_some();
        if !names_database && !by_parameter {
            return Err(DsnError::NoDatabase);
        }
        let options = match engine {
            Engine::Postgres => Options::Postgres(Box::new(postgres(text, query)?)),
            Engine::MySql => Options::MySql(Box::new(mysql(authority, path, query)?)),
        };
        Ok(Self { options })
    }

    /// The kind of server that it names.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.options {
            Options::Postgres(_) => Engine::Postgres,
            Options::MySql(_) => Engine::MySql,
        }
    }

    /// The driver's options, of a string for PostgreSQL. They hold the password, and their `Debug` shows it:
    /// never print them.
    pub(crate) fn postgres(&self) -> Option<PgConnectOptions> {
        match &self.options {
            Options::Postgres(options) => Some((**options).clone()),
            Options::MySql(_) => None,
        }
    }

    /// The same of a string for MySQL or MariaDB.
    pub(crate) fn mysql(&self) -> Option<MySqlConnectOptions> {
        match &self.options {
            Options::MySql(options) => Some((**options).clone()),
            Options::Postgres(_) => None,
        }
    }

    /// Database, server and user, for people: `shop at db.shop:5432 as migrator`.
    #[must_use]
    pub fn place(&self) -> String {
        let (database, user, socket, host, port) = match &self.options {
            Options::Postgres(it) => (
                it.get_database(),
                it.get_username(),
                it.get_socket(),
                it.get_host(),
                it.get_port(),
            ),
            Options::MySql(it) => (
                it.get_database(),
                it.get_username(),
                it.get_socket(),
                it.get_host(),
                it.get_port(),
            ),
        };
        let database = database.unwrap_or_default();
        match socket {
            Some(socket) => format!("{database} at {} as {user}", socket.display()),
            None => format!("{database} at {host}:{port} as {user}"),
        }
    }
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dsn").field(&self.place()).finish()
    }
}

/// The parameters that say how to use TLS.
const SSL_MODE: &[&str] = &["sslmode", "ssl-mode"];
/// The parameters that name the authority's file.
const AUTHORITY: &[&str] = &["sslrootcert", "sslca", "ssl-ca"];

fn postgres(text: &str, query: &str) -> Result<PgConnectOptions, DsnError> {
    let mode = parameter(query, SSL_MODE);
    if mode.is_some_and(|mode| PgSslMode::from_str(mode).is_err()) {
        return Err(DsnError::SslMode);
    }
    let options = PgConnectOptions::from_str(text).map_err(|_| DsnError::Malformed)?;
    let local = options.get_socket().is_some() || is_local(options.get_host());
    Ok(match mode {
        Some(_) => options,
        None if local => options.ssl_mode(PgSslMode::Prefer),
        None => options.ssl_mode(PgSslMode::Require),
    })
}

/// Reads it as the string for PostgreSQL is read: with libpq's names of modes besides MySQL's own, and
/// with the settings of a session as the server has them. The driver would change some (`sql_mode`,
/// `time_zone`), and what a file creates, a trigger say, would keep them for ever.
fn mysql(authority: &str, path: &str, query: &str) -> Result<MySqlConnectOptions, DsnError> {
    let mode = parameter(query, SSL_MODE).map(mysql_mode).transpose()?;
    let known = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        !SSL_MODE.contains(&name) && !AUTHORITY.contains(&name)
    };
    let rest: Vec<&str> = query.split('&').filter(known).collect();
    // A socket needs no host, and a URL does.
    let host = match authority.is_empty() || authority.ends_with('@') {
        true => "localhost",
        false => "",
    };
    let text = format!("mysql://{authority}{host}{path}?{}", rest.join("&"));
    let options = MySqlConnectOptions::from_str(&text).map_err(|_| DsnError::Malformed)?;
    let local = options.get_socket().is_some() || is_local(options.get_host());
    let mode = mode.unwrap_or(match local {
        true => MySqlSslMode::Preferred,
        false => MySqlSslMode::Required,
    });
    let options = options
        .ssl_mode(mode)
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None);
    match parameter(query, AUTHORITY) {
        None => Ok(options),
        Some(file) => {
            let file = percent_encoding::percent_decode_str(file).decode_utf8();
            Ok(options.ssl_ca(&*file.map_err(|_| DsnError::Malformed)?))
        }
    }
}

fn mysql_mode(word: &str) -> Result<MySqlSslMode, DsnError> {
    match word.to_ascii_lowercase().replace('_', "-").as_str() {
        "disable" | "disabled" => Ok(MySqlSslMode::Disabled),
        "prefer" | "preferred" => Ok(MySqlSslMode::Preferred),
        "require" | "required" => Ok(MySqlSslMode::Required),
        "verify-ca" => Ok(MySqlSslMode::VerifyCa),
        "verify-full" | "verify-identity" => Ok(MySqlSslMode::VerifyIdentity),
        _ => Err(DsnError::SslMode),
    }
}

/// The value of the last of `names` in `query`, as it stands there.
fn parameter<'q>(query: &'q str, names: &[&str]) -> Option<&'q str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, value)| names.contains(name) && !value.is_empty());
    named.next_back().map(|(_, value)| value)
}

/// Whether the server is on this machine, where nobody listens in between.
fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|ip| ip.is_loopback());
    loopback || host == "localhost"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Dsn, DsnError> {
        Dsn::parse(&SecretString::from(text))
    }

    #[track_caller]
    fn refused(text: &str, why: DsnError) {
        assert_eq!(parse(text).err(), Some(why), "{text}");
    }

    #[test]
    fn shows_the_place_and_never_the_password() {
        let dsn = parse("postgresql://mig:can%40ary@db.shop:5433/shop?sslmode=disable\n").unwrap();
        assert_eq!(dsn.place(), "shop at db.shop:5433 as mig");
        assert!(!format!("{dsn:?}").contains("can"));
    }

    #[test]
    fn other_servers_are_named() {
        refused("oracle://u:p@h/d", DsnError::Scheme);
        refused("host=h dbname=d", DsnError::Scheme);
        refused("", DsnError::Scheme);
    }

    #[test]
    fn unescaped_passwords_are_refused_before_a_piece_can_show() {
        refused("postgresql://u:can/ary@h/d", DsnError::Unescaped);
        refused("postgresql://u:can@a/ry@h/d", DsnError::Unescaped);
        refused("postgresql://u:12?ary@h/d", DsnError::Unescaped);
        refused("postgresql://u:12#ary@h/d", DsnError::Unescaped);
        refused("postgresql://u:p@h:port/d", DsnError::Malformed);
    }

    #[test]
    fn host_and_database_are_asked_for() {
        refused("postgresql://u:p@/d", DsnError::NoHost);
        refused("postgresql:///d", DsnError::NoHost);
        refused("postgresql://u:p@h", DsnError::NoDatabase);
        refused("postgresql://u:p@h/", DsnError::NoDatabase);
        refused("postgresql://u:p@h/d?sslmode=maybe", DsnError::SslMode);
        let socket = parse("postgresql:///d?host=/run/postgresql&user=u").unwrap();
        assert_eq!(socket.place(), "d at /run/postgresql as u");
    }

    #[test]
    fn a_string_for_mysql_is_read_as_strictly() {
        let dsn = parse("mariadb://mig:can%40ary@db.shop:3307/sh%20op?ssl-mode=REQUIRED").unwrap();
        assert_eq!(dsn.place(), "sh op at db.shop:3307 as mig");
        assert_eq!(dsn.engine(), Engine::MySql);
        assert!(!format!("{dsn:?}").contains("can"));
        refused("mysql://u:can/ary@h/d", DsnError::Unescaped);
        refused("mysql://u:p@h:port/d", DsnError::Malformed);
        refused("mysql://u:p@/d", DsnError::NoHost);
        refused("mysql://u:p@h/?dbname=d", DsnError::NoDatabase);
        refused("mysql://u:p@h/d?sslmode=maybe", DsnError::SslMode);
        let socket = parse("mysql://u@/d?socket=/run/mysqld.sock").unwrap();
        assert_eq!(socket.place(), "d at /run/mysqld.sock as u");
    }

    #[test]
    fn tls_is_asked_of_remote_hosts_unless_the_string_says_otherwise() {
        let mode = |text: &str| match parse(text).unwrap().options {
            Options::Postgres(options) => format!("{:?}", options.get_ssl_mode()),
            Options::MySql(options) => format!("{:?}", options.get_ssl_mode()),
        };
        assert_eq!(mode("postgres://u:p@db.shop/d"), "Require");
        assert_eq!(mode("postgres://u:p@127.0.0.1/d"), "Prefer");
        assert_eq!(mode("postgres://u:p@[::1]:1/d"), "Prefer");
        assert_eq!(mode("postgres://u:p@localhost/d"), "Prefer");
        assert_eq!(mode("postgres://u:p@db.shop/d?sslmode=disable"), "Disable");
        assert_eq!(
            mode("postgres://u:p@127.0.0.1/d?sslmode=verify-full"),
            "VerifyFull"
        );
        assert_eq!(mode("mysql://u:p@db.shop/d"), "Required");
        assert_eq!(mode("mariadb://u:p@127.0.0.1/d"), "Preferred");
        assert_eq!(mode("mysql://u:p@[::1]/d"), "Preferred");
        for (word, meant) in [
            ("disable", "Disabled"),
            ("REQUIRED", "Required"),
            ("verify-ca", "VerifyCa"),
            ("verify-full", "VerifyIdentity"),
            ("DISABLED", "Disabled"),
            ("VERIFY_CA", "VerifyCa"),
            ("VERIFY_IDENTITY", "VerifyIdentity"),
        ] {
            for name in ["sslmode", "ssl-mode"] {
                assert_eq!(mode(&format!("mysql://u:p@h/d?{name}={word}")), meant);
            }
        }
    }
}
