//! The admin DSN, parsed by ourselves: `mysql://user:password@host:port/database?...`, with the downgrades left out.
//!
//! Nothing of a text that does not parse is ever shown: an error names the part that is wrong, and at most a
//! parameter's key.

use std::net::IpAddr;
use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::{Engine, TlsMode};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

const DEFAULT_PORT: u16 = 3306;
/// A key is shown only if it looks like one, so that no part of a password passes for it.
const KEY_BYTES_MAX: usize = 32;
/// Longer than any wait that makes sense; it bounds what a DSN can ask for.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(60);
const KNOWN_KEYS: &str = "ssl-mode, connect_timeout";
/// Schemes that people mix up with ours; any other text before `://` could be part of a secret.
const OTHER_SCHEMES: [&str; 8] = [
    "postgresql",
    "postgres",
    "sqlite",
    "sqlserver",
    "oracle",
    "mongodb",
    "jdbc:mysql",
    "jdbc:mariadb",
];

/// A DSN, taken apart.
#[derive(Debug, Clone)]
pub(crate) struct Dsn {
    /// As the scheme says; which of the two it is, the server says.
    pub(crate) engine: Engine,
    pub(crate) user: String,
    pub(crate) password: Option<SecretString>,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) connect_timeout: Option<Duration>,
    ssl_mode: Option<SslMode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SslMode {
    Mode(TlsMode),
    /// `PREFERRED`: whoever is in the way decides that there is no TLS.
    Downgradable,
}

impl Dsn {
    /// `host:port`, for people.
    pub(crate) fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The TLS mode in force: the spec's, else the DSN's, else `Require` unless the host is this machine.
    pub(crate) fn tls(&self, wanted: Option<TlsMode>) -> Result<TlsMode, DatabaseError> {
        match (wanted, self.ssl_mode) {
            (Some(wanted), Some(SslMode::Mode(own))) if wanted != own => Err(wrong(format!(
                "has ssl-mode={}, and connection.tls.mode is {}; drop one of them",
                own.sslmode(),
                wanted.sslmode()
            ))),
            (Some(wanted), _) => Ok(wanted),
            (None, Some(SslMode::Mode(own))) => Ok(own),
            (None, Some(SslMode::Downgradable)) => Err(wrong(
                "has ssl-mode=PREFERRED, which anybody in the way can turn off; \
                 write REQUIRED, VERIFY_CA, VERIFY_IDENTITY or DISABLED",
            )),
            (None, None) if is_loopback(&self.host) => Ok(TlsMode::Disable),
            (None, None) => Ok(TlsMode::Require),
        }
    }
}

/// Takes a DSN apart.
///
/// # Errors
/// [`DatabaseError::Dsn`], which shows nothing of the text.
pub(crate) fn parse(dsn: &SecretString) -> Result<Dsn, DatabaseError> {
    let text = dsn.expose_secret().trim();
    let (engine, rest) = after_scheme(text)?;
    if rest.contains('#') {
        return Err(wrong("holds a '#'; write %23"));
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    let Some((credentials, host_port)) = authority.rsplit_once('@') else {
        return Err(wrong(
            "has no user; write mysql://user:password@host/database",
        ));
    };
    if credentials.contains('@') || database.contains('@') || query.contains('@') {
        return Err(wrong(
            "holds more than one '@'; write %40 for those in a name or password",
        ));
    }
    let (user, password) = match credentials.split_once(':') {
        Some((user, password)) => (user, Some(decoded(password, "password")?)),
        None => (credentials, None),
    };
    let user = decoded(user, "user")?;
    if user.is_empty() {
        return Err(wrong("has an empty user"));
    }
    let (host, port) = host_and_port(host_port)?;
    if database.contains('/') {
        return Err(wrong("has a '/' in the database's name; write %2F"));
    }
    let database = decoded(database, "database")?;
    if database.is_empty() {
        return Err(wrong(
            "names no database; write mysql://user:password@host/database",
        ));
    }
    let mut dsn = Dsn {
        engine,
        user,
        password: password
            .filter(|password| !password.is_empty())
            .map(SecretString::from),
        host,
        port,
        database,
        connect_timeout: None,
        ssl_mode: None,
    };
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        dsn.take_parameter(parameter)?;
    }
    Ok(dsn)
}

impl Dsn {
    fn take_parameter(&mut self, parameter: &str) -> Result<(), DatabaseError> {
        let (key, value) = parameter
            .split_once('=')
            .ok_or_else(|| wrong("has a parameter without a value after '?'"))?;
        let value = decoded(value, "parameters")?;
        match key {
            "ssl-mode" | "sslmode" => self.ssl_mode = Some(ssl_mode(&value)?),
            "connect_timeout" => {
                let seconds: u64 = value
                    .parse()
                    .map_err(|_| wrong("has a connect_timeout that is not a number of seconds"))?;
                // Zero means the default, which here is ours.
                self.connect_timeout =
                    (seconds > 0).then(|| Duration::from_secs(seconds).min(CONNECT_TIMEOUT_MAX));
            }
            _ if is_key(key) => {
                return Err(wrong(format!(
                    "has the parameter '{key}', which is none of those known here: {KNOWN_KEYS}"
                )));
            }
            _ => return Err(wrong("has a parameter that is not known")),
        }
        Ok(())
    }
}

fn after_scheme(text: &str) -> Result<(Engine, &str), DatabaseError> {
    for (scheme, engine) in [("mysql://", Engine::MySql), ("mariadb://", Engine::MariaDb)] {
        if let Some(rest) = text.strip_prefix(scheme) {
            return Ok((engine, rest));
        }
    }
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    Err(
        match OTHER_SCHEMES
            .into_iter()
            .find(|known| Some(*known) == scheme)
        {
            Some(known) => wrong(format!(
                "names scheme '{known}'; it must start with mysql://"
            )),
            None if text.is_empty() => wrong("is empty"),
            None => wrong("does not start with mysql:// or mariadb://"),
        },
    )
}

fn host_and_port(text: &str) -> Result<(String, u16), DatabaseError> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest
            .split_once(']')
            .ok_or_else(|| wrong("has an IPv6 address without its closing ']'"))?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(wrong(
                "has brackets around something that is no IPv6 address",
            ));
        }
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port),
            None if port.is_empty() => None,
            None => return Err(wrong("has something other than a port after the ']'")),
        };
        (host.to_owned(), port)
    } else {
        if text.contains(',') {
            return Err(wrong("names several hosts; name the one that takes writes"));
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        (decoded(host, "host")?, port)
    };
    if host.is_empty() {
        return Err(wrong("has no host"));
    }
    if host.starts_with('/') {
        return Err(wrong(
            "names a socket's directory as host; name a host or an address",
        ));
    }
    if host
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '/')
    {
        return Err(wrong("has a host that cannot be one"));
    }
    match port {
        None | Some("") => Ok((host, DEFAULT_PORT)),
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => Ok((host, port)),
            _ => Err(wrong("has a port that is not a number from 1 to 65535")),
        },
    }
}

/// The names of MySQL's own programs, and those that other drivers have for the same.
fn ssl_mode(value: &str) -> Result<SslMode, DatabaseError> {
    match value.to_ascii_lowercase().replace('-', "_").as_str() {
        "disabled" | "disable" => Ok(SslMode::Mode(TlsMode::Disable)),
        "preferred" | "prefer" => Ok(SslMode::Downgradable),
        "required" | "require" => Ok(SslMode::Mode(TlsMode::Require)),
        "verify_ca" => Ok(SslMode::Mode(TlsMode::VerifyCa)),
        "verify_identity" | "verify_full" => Ok(SslMode::Mode(TlsMode::VerifyFull)),
        _ => Err(wrong("has an ssl-mode that is none of MySQL's")),
    }
}

/// Percent-decodes a part; what decodes to no text, or to a NUL, is refused.
fn decoded(text: &str, part: &'static str) -> Result<String, DatabaseError> {
    let mut rest = text.split('%');
    rest.next();
    let is_escape =
        |tail: &str| tail.len() >= 2 && tail.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    if !rest.all(is_escape) {
        return Err(wrong(format!(
            "has a '%' in its {part} that is no escape; write %25"
        )));
    }
    let decoded = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| wrong(format!("has a {part} that is not UTF-8")))?;
    if decoded.contains('\0') {
        return Err(wrong(format!("has a NUL character in its {part}")));
    }
    Ok(decoded.into_owned())
}

fn is_key(key: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c == '_' || c == '-';
    !key.is_empty() && key.len() <= KEY_BYTES_MAX && key.chars().all(fits)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn wrong(reason: impl Into<String>) -> DatabaseError {
    DatabaseError::Dsn {
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Result<Dsn, DatabaseError> {
        parse(&text.to_owned().into())
    }

    #[track_caller]
    fn check(text: &str, expect: (&str, Option<&str>, &str, u16, &str)) {
        let dsn = parsed(text).unwrap();
        let password = dsn.password.as_ref().map(|p| p.expose_secret());
        assert_eq!(
            (
                dsn.user.as_str(),
                password,
                dsn.host.as_str(),
                dsn.port,
                dsn.database.as_str()
            ),
            expect
        );
    }

    #[track_caller]
    fn refused(text: &str, says: &str) {
        let error = parsed(text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        for secret in ["s3cret", "hunter"] {
            assert!(!error.contains(secret), "{error}");
        }
    }

    #[test]
    fn dsns_are_read() {
        check(
            "mysql://u:p@db:6432/shop",
            ("u", Some("p"), "db", 6432, "shop"),
        );
        check("mariadb://u@db/shop", ("u", None, "db", 3306, "shop"));
        check("mariadb://u:@db:/shop", ("u", None, "db", 3306, "shop"));
        check("mysql://u:p@[::1]:1/s", ("u", Some("p"), "::1", 1, "s"));
        check(
            "mysql://u:p@[fe80::1]/s",
            ("u", Some("p"), "fe80::1", 3306, "s"),
        );
        check(
            "mysql://a%40b:p%2F%3a%25%C3%BC@db/s%2F1?connect_timeout=5",
            ("a@b", Some("p/:%ü"), "db", 3306, "s/1"),
        );
        check(" mysql://u:p@db/s \n", ("u", Some("p"), "db", 3306, "s"));
    }

    #[test]
    fn what_is_wrong_is_named_and_nothing_shown() {
        refused("", "is empty");
        refused("hunter2", "does not start with mysql://");
        refused("s3cret://u:p@h/d", "does not start with");
        refused("postgresql://u:s3cret@h/d", "names scheme 'postgresql'");
        refused("mysql://h/d", "has no user");
        refused("mysql://:s3cret@h/d", "empty user");
        refused("mysql://u:s3c@ret@h/d", "more than one '@'");
        refused("mysql://u:s3cret%@h/d", "'%' in its password");
        refused("mysql://u:s3cret%ff@h/d", "password that is not UTF-8");
        refused("mysql://u:s3cret%00@h/d", "NUL character in its password");
        refused("mysql://u:s3c?ret@h/d", "has no user");
        refused("mysql://u:s3c#ret@h/d", "'#'");
        refused("mysql://u:s3c/ret@h/d", "has no user");
        refused("mysql://u:s3cret@/d", "has no host");
        refused("mysql://u:s3cret@h,i/d", "several hosts");
        refused("mysql://u:s3cret@%2Fvar%2Frun/d", "socket's directory");
        refused("mysql://u:s3cret@h:x/d", "port");
        refused("mysql://u:s3cret@h:0/d", "port");
        refused("mysql://u:s3cret@h:70000/d", "port");
        refused("mysql://u:s3cret@[::1/d", "closing ']'");
        refused("mysql://u:s3cret@[hunter]/d", "no IPv6 address");
        refused("mysql://u:s3cret@[::1]x/d", "after the ']'");
        refused("mysql://u:s3cret@h", "names no database");
        refused("mysql://u:s3cret@h/d/e", "'/' in the database");
        refused("mysql://u:s3cret@h/d?ssl-mode=s3cret", "none of MySQL's");
        refused(
            "mysql://u:s3cret@h/d?options=-csearch_path%3Dx",
            "the parameter 'options'",
        );
        refused(
            "mysql://u:s3cret@h/d?password=s3cret",
            "the parameter 'password'",
        );
        refused(
            "mysql://u:s3cret@h/d?s3cret=1",
            "a parameter that is not known",
        );
        refused("mysql://u:s3cret@h/d?s3cret", "without a value");
        refused(
            "mysql://u:s3cret@h/d?connect_timeout=s3cret",
            "number of seconds",
        );
    }

    #[test]
    fn parameters_are_taken() {
        let timeout = |seconds: &str| {
            parsed(&format!(
                "mysql://u@h/d?ssl-mode=REQUIRED&connect_timeout={seconds}"
            ))
            .unwrap()
            .connect_timeout
        };
        assert_eq!(timeout("3"), Some(Duration::from_secs(3)));
        assert_eq!(timeout("0"), None);
        assert_eq!(timeout("100000"), Some(CONNECT_TIMEOUT_MAX));
        assert_eq!(parsed("mysql://u@h/d").unwrap().engine, Engine::MySql);
        assert_eq!(parsed("mariadb://u@h/d").unwrap().engine, Engine::MariaDb);
    }

    #[test]
    fn tls_is_the_specs_then_the_dsns_then_required() {
        let tls = |text: &str, wanted| parsed(text).unwrap().tls(wanted);
        assert_eq!(tls("mysql://u@db/s", None), Ok(TlsMode::Require));
        for here in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]"] {
            assert_eq!(
                tls(&format!("mysql://u@{here}/s"), None),
                Ok(TlsMode::Disable)
            );
        }
        assert_eq!(
            tls("mysql://u@localhost/s", Some(TlsMode::VerifyFull)),
            Ok(TlsMode::VerifyFull)
        );
        let with = |mode: &str| format!("mysql://u@db/s?ssl-mode={mode}");
        assert_eq!(tls(&with("VERIFY_CA"), None), Ok(TlsMode::VerifyCa));
        assert_eq!(tls(&with("disable"), None), Ok(TlsMode::Disable));
        assert_eq!(
            tls(&with("require"), Some(TlsMode::Require)),
            Ok(TlsMode::Require)
        );
        let conflict = tls(&with("disable"), Some(TlsMode::VerifyFull)).unwrap_err();
        assert!(
            conflict.to_string().contains("ssl-mode=disable"),
            "{conflict}"
        );
        for weak in ["PREFERRED", "prefer"] {
            assert!(tls(&with(weak), None).is_err());
            assert_eq!(
                tls(&with(weak), Some(TlsMode::Require)),
                Ok(TlsMode::Require)
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_speak(text in "(mysql://)?[a-z0-9:@/?#%&=\\[\\]., é]{0,40}") {
            if let Err(error) = parsed(&text) {
                let shown = error.to_string();
                let secret = text.trim_start_matches("mysql://");
                prop_assert!(secret.len() < 8 || !shown.contains(secret));
            }
        }

        #[test]
        fn every_encoded_part_reads_back(user in ".{1,12}", password in ".{1,24}", database in ".{1,12}") {
            prop_assume!(!format!("{user}{password}{database}").contains('\0'));
            let encode = |part: &str| percent_encoding::utf8_percent_encode(
                part, percent_encoding::NON_ALPHANUMERIC).to_string();
            let text = format!(
                "mysql://{}:{}@h/{}", encode(&user), encode(&password), encode(&database));
            let dsn = parsed(&text).unwrap();
            let read = dsn.password.unwrap();
            prop_assert_eq!(read.expose_secret(), password.as_str());
            prop_assert_eq!((dsn.user, dsn.database), (user, database));
        }
    }
}
