//! The connection string `DBA_OP_CONNECTION_STRING`: what is accepted, and what may be shown of it.
//!
//! It deliberately shows nothing of a string that it refuses: an unescaped `@` or `/` in a password
//! moves pieces of the password to where the host or the database would stand.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// A connection string that names a PostgreSQL server, a host and a database.
#[derive(Clone)]
pub struct Dsn {
    options: PgConnectOptions,
}

/// Why a connection string is refused. No variant carries a piece of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DsnError {
    /// Neither `postgresql://` nor `postgres://`.
    #[error("DBA_OP_CONNECTION_STRING does not begin with postgresql://")]
    Scheme,
    /// A MySQL or MariaDB server.
    #[error(
        "DBA_OP_CONNECTION_STRING names a MySQL server, and this dbop-migrate runs migrations on \
         PostgreSQL only"
    )]
    MySql,
    /// Not a URL.
    #[error("DBA_OP_CONNECTION_STRING cannot be read as postgresql://user:password@host:port/db")]
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
            Self::MySql => {
                "for MySQL and MariaDB put another migration program into the container: the \
                 contract it keeps is in deploy/examples/migrationcontainer/README.md"
            }
            Self::SslMode => "known are disable, prefer, require, verify-ca and verify-full",
            Self::Scheme | Self::Malformed | Self::Unescaped => {
                "its form is postgresql://user:password@host:port/db, and in user and password \
                 the characters @ : / ? # [ ] % stand as %40 %3A %2F %3F %23 %5B %5D %25"
            }
            Self::NoHost | Self::NoDatabase => {
                "its form is postgresql://user:password@host:port/db"
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
        match scheme.to_ascii_lowercase().as_str() {
            "postgresql" | "postgres" => {}
            "mysql" | "mariadb" => return Err(DsnError::MySql),
            _ => return Err(DsnError::Scheme),
        }
        let after_authority = rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]);
        if after_authority.contains(['@', '#']) {
            return Err(DsnError::Unescaped);
        }
        let query = after_authority
            .split_once('?')
            .map_or("", |(_, query)| query);
        let ssl_mode = parameter(query, &["sslmode", "ssl-mode"]);
        if ssl_mode.is_some_and(|mode| PgSslMode::from_str(mode).is_err()) {
            return Err(DsnError::SslMode);
        }
        let authority = &rest[..rest.len() - after_authority.len()];
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let names_host = !host.is_empty() && !host.starts_with(':');
        if !names_host && parameter(query, &["host", "hostaddr"]).is_none() {
            return Err(DsnError::NoHost);
        }
        // Looked for in the string itself, because the driver falls back to PGDATABASE.
        let path = after_authority.split('?').next().unwrap_or_default();
        let names_database = !path.trim_start_matches('/').is_empty();
        if !names_database && parameter(query, &["dbname"]).is_none() {
            return Err(DsnError::NoDatabase);
        }
        let options = PgConnectOptions::from_str(text).map_err(|_| DsnError::Malformed)?;
        let options = match ssl_mode {
            Some(_) => options,
            None if is_local(&options) => options.ssl_mode(PgSslMode::Prefer),
            None => options.ssl_mode(PgSslMode::Require),
        };
        Ok(Self { options })
    }

    /// The driver's options. They hold the password, and their `Debug` shows it: never print them.
    pub(crate) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// Database, server and user, for people: `shop at db.shop:5432 as migrator`.
    #[must_use]
    pub fn place(&self) -> String {
        let database = self.options.get_database().unwrap_or_default();
        let user = self.options.get_username();
        match self.options.get_socket() {
            Some(socket) => format!("{database} at {} as {user}", socket.display()),
            None => {
                let (host, port) = (self.options.get_host(), self.options.get_port());
                format!("{database} at {host}:{port} as {user}")
            }
        }
    }
}

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dsn").field(&self.place()).finish()
    }
}

/// The value of the last of `names` in `query`, as it stands there.
fn parameter<'q>(query: &'q str, names: &[&str]) -> Option<&'q str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, value)| names.contains(name) && !value.is_empty());
    named.next_back().map(|(_, value)| value)
}

/// Whether the server is on this machine, where nobody listens in between.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options
        .get_host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let loopback = host
        .parse::<std::net::IpAddr>()
        .is_ok_and(|ip| ip.is_loopback());
    options.get_socket().is_some() || loopback || host == "localhost"
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
        refused("mysql://u:p@h:3306/d", DsnError::MySql);
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
    fn tls_is_asked_of_remote_hosts_unless_the_string_says_otherwise() {
        let mode = |text: &str| format!("{:?}", parse(text).unwrap().options.get_ssl_mode());
        assert_eq!(mode("postgres://u:p@db.shop/d"), "Require");
        assert_eq!(mode("postgres://u:p@127.0.0.1/d"), "Prefer");
        assert_eq!(mode("postgres://u:p@[::1]:1/d"), "Prefer");
        assert_eq!(mode("postgres://u:p@localhost/d"), "Prefer");
        assert_eq!(mode("postgres://u:p@db.shop/d?sslmode=disable"), "Disable");
        assert_eq!(
            mode("postgres://u:p@127.0.0.1/d?sslmode=verify-full"),
            "VerifyFull"
        );
    }
}
