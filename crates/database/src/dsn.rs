//! The text of an admin DSN, as far as it is the same for every engine:
//! `scheme://user:password@host:port/database?key=value&...` (RFC 3986), taken apart by ourselves.
//!
//! Nothing of a text that does not parse is ever shown: an error names the part that is wrong, and at most a
//! parameter's key. What an engine's parameters mean is its backend's to say.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use dbop_model::TlsMode;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use crate::error::DatabaseError;

/// A key is shown only if it looks like one, so that no part of a password passes for it.
const KEY_BYTES_MAX: usize = 32;
/// Longer than any wait that makes sense; it bounds what a DSN can ask for.
pub const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// How the DSNs of an engine differ from those of others.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// What they may begin with, such as `postgresql://`; the first is the one that messages write.
    pub schemes: [&'static str; 2],
    /// Schemes that people mix up with these; any other text before `://` could be part of a secret.
    pub other_schemes: &'static [&'static str],
    /// The port where none is said.
    pub port: u16,
    /// The parameters that are known, for messages.
    pub known_keys: &'static str,
    /// What a key's words may be joined by, besides small letters.
    pub key_joints: &'static [char],
    /// The parameter that says how to use TLS.
    pub tls_key: &'static str,
    /// The modes that nobody in the way can turn off, in the engine's words, for messages.
    pub tls_modes: &'static str,
    /// What the engine calls a mode.
    pub tls_word: fn(TlsMode) -> &'static str,
}

/// A DSN, taken apart.
#[derive(Debug, Clone)]
pub struct Dsn {
    form: &'static Form,
    /// The scheme that it begins with, one of [`Form::schemes`].
    pub scheme: &'static str,
    /// The login.
    pub user: String,
    /// Its password; an empty one is none.
    pub password: Option<SecretString>,
    /// Host name or address.
    pub host: String,
    /// Port, 1 to 65535.
    pub port: u16,
    /// The database's name.
    pub database: String,
    /// How long connecting may take, 60 s at most; `None`: as long as the backend says.
    pub connect_timeout: Option<Duration>,
    /// What the DSN says about TLS.
    pub ssl_mode: Option<SslMode>,
}

/// What a DSN says about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// One of the modes that hold.
    Mode(TlsMode),
    /// Whoever is in the way decides that there is no TLS. Holds the engine's name of the mode.
    Downgradable(&'static str),
}

impl Dsn {
    /// Takes a DSN apart. `take` is given each parameter, key and decoded value, but `connect_timeout`; it says
    /// whether it knows the key.
    ///
    /// # Errors
    /// [`DatabaseError::Dsn`], which shows nothing of the text; and what `take` gives.
    pub fn parse(
        dsn: &SecretString,
        form: &'static Form,
        mut take: impl FnMut(&mut Dsn, &str, String) -> Result<bool, DatabaseError>,
    ) -> Result<Self, DatabaseError> {
        let text = dsn.expose_secret().trim();
        let (scheme, rest) = form.after_scheme(text)?;
        if rest.contains('#') {
            return Err(wrong("holds a '#'; write %23"));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        let write = format!("write {}user:password@host/database", form.schemes[0]);
        let Some((credentials, host_port)) = authority.rsplit_once('@') else {
            return Err(wrong(format!("has no user; {write}")));
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
        let (host, port) = host_and_port(host_port, form.port)?;
        if database.contains('/') {
            return Err(wrong("has a '/' in the database's name; write %2F"));
        }
        let database = decoded(database, "database")?;
        if database.is_empty() {
            return Err(wrong(format!("names no database; {write}")));
        }
        let mut dsn = Dsn {
            form,
            scheme,
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
            let (key, value) = parameter
                .split_once('=')
                .ok_or_else(|| wrong("has a parameter without a value after '?'"))?;
            let value = decoded(value, "parameters")?;
            if key == "connect_timeout" {
                dsn.connect_timeout = connect_timeout(&value)?;
            } else if !take(&mut dsn, key, value)? {
                return Err(form.unknown(key));
            }
        }
        Ok(dsn)
    }

    /// `host:port`, for people.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The TLS mode in force: the spec's, else the DSN's, else `Require` unless the host is this machine.
    ///
    /// # Errors
    /// [`DatabaseError::Dsn`] where the two differ, and for a mode that can be turned off on the way.
    pub fn tls(&self, wanted: Option<TlsMode>) -> Result<TlsMode, DatabaseError> {
        let key = self.form.tls_key;
        match (wanted, self.ssl_mode) {
            (Some(wanted), Some(SslMode::Mode(own))) if wanted != own => Err(wrong(format!(
                "has {key}={}, and connection.tls.mode is {wanted}; drop one of them",
                (self.form.tls_word)(own)
            ))),
            (Some(wanted), _) => Ok(wanted),
            (None, Some(SslMode::Mode(own))) => Ok(own),
            (None, Some(SslMode::Downgradable(name))) => Err(wrong(format!(
                "has {key}={name}, which anybody in the way can turn off; write {}",
                self.form.tls_modes
            ))),
            (None, None) if is_loopback(&self.host) => Ok(TlsMode::Disable),
            (None, None) => Ok(TlsMode::Require),
        }
    }
}

impl Form {
    fn after_scheme<'a>(&self, text: &'a str) -> Result<(&'static str, &'a str), DatabaseError> {
        for scheme in self.schemes {
            if let Some(rest) = text.strip_prefix(scheme) {
                return Ok((scheme, rest));
            }
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        let [first, second] = self.schemes;
        let mixed_up = self.other_schemes.iter().find(|one| Some(**one) == scheme);
        Err(match mixed_up {
            Some(known) => wrong(format!(
                "names scheme '{known}'; it must start with {first}"
            )),
            None if text.is_empty() => wrong("is empty"),
            None => wrong(format!("does not start with {first} or {second}")),
        })
    }

    fn unknown(&self, key: &str) -> DatabaseError {
        let fits = |c: char| c.is_ascii_lowercase() || self.key_joints.contains(&c);
        if !key.is_empty() && key.len() <= KEY_BYTES_MAX && key.chars().all(fits) {
            return wrong(format!(
                "has the parameter '{key}', which is none of those known here: {}",
                self.known_keys
            ));
        }
        wrong("has a parameter that is not known")
    }
}

/// A DSN that does not parse; the reason goes on from "the DSN".
pub fn wrong(reason: impl Into<String>) -> DatabaseError {
    DatabaseError::Dsn {
        reason: reason.into(),
    }
}

fn connect_timeout(value: &str) -> Result<Option<Duration>, DatabaseError> {
    let seconds: u64 = value
        .parse()
        .map_err(|_| wrong("has a connect_timeout that is not a number of seconds"))?;
    // As libpq: zero means the default, which here is ours.
    Ok((seconds > 0).then(|| Duration::from_secs(seconds).min(CONNECT_TIMEOUT_MAX)))
}

fn host_and_port(text: &str, default_port: u16) -> Result<(String, u16), DatabaseError> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest
            .split_once(']')
            .ok_or_else(|| wrong("has an IPv6 address without its closing ']'"))?;
        if host.parse::<Ipv6Addr>().is_err() {
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
        None | Some("") => Ok((host, default_port)),
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => Ok((host, port)),
            _ => Err(wrong("has a port that is not a number from 1 to 65535")),
        },
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

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
