//! What the container contract puts into the environment, read once: `DBA_OP_*` becomes
//! [`Settings`].
//!
//! It deliberately reads nothing else: no file, no argument (an argument shows in every process
//! list). An empty variable counts as an absent one.

use std::collections::BTreeMap;
use std::ffi::OsString;

use secrecy::SecretString;

use crate::dsn::{Dsn, DsnError};
use crate::duration::{self, DurationError};

/// The prefix of every variable of the contract.
const PREFIX: &str = "DBA_OP_";
/// The largest lock_timeout that PostgreSQL takes (an `int` of milliseconds).
const LOCK_TIMEOUT_MAX_MS: u128 = i32::MAX as u128;

/// The variables of the contract, as they stand in the environment. Holds secrets: no `Debug`.
pub struct Environment {
    variables: BTreeMap<String, String>,
    not_text: Vec<String>,
}

/// What one run was asked to do.
#[derive(Debug)]
pub struct Settings {
    /// The database.
    pub dsn: Dsn,
    /// The version to end at, as written; absent: the latest file.
    pub target: Option<String>,
    /// The version that the run starts from, as written.
    pub previous: Option<String>,
    /// How long a statement may wait for a lock, in milliseconds; 0 waits without limit; absent: the server's
    /// own setting.
    pub lock_timeout_ms: Option<u32>,
}

/// Why the environment is refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// No connection string.
    #[error("DBA_OP_CONNECTION_STRING is not set")]
    NoDsn,
    /// A variable whose bytes are not UTF-8.
    #[error("{0} is not UTF-8 text")]
    NotText(String),
    /// A connection string that is refused.
    #[error(transparent)]
    Dsn(#[from] DsnError),
    /// A lock timeout that cannot be read.
    #[error("DBA_OP_LOCK_TIMEOUT '{value}' cannot be read: {source}")]
    LockTimeout {
        /// As written.
        value: String,
        /// Why.
        source: DurationError,
    },
}

impl SettingsError {
    /// The way out, for a person.
    #[must_use]
    pub fn advice(&self) -> &str {
        match self {
            Self::NoDsn => {
                "the operator sets it; by hand: DBA_OP_CONNECTION_STRING=\
                 postgresql://user:password@host:port/db dbop-migrate"
            }
            Self::NotText(_) => "write its value as UTF-8, percent-encoded in a connection string",
            Self::Dsn(error) => error.advice(),
            Self::LockTimeout { .. } => {
                "write it as 5s, 500ms, 1m30s or in milliseconds as 5000; 0 waits without limit"
            }
        }
    }
}

impl Environment {
    /// Takes the contract's variables out of `variables`.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut read = Self {
            variables: BTreeMap::new(),
            not_text: Vec::new(),
        };
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            match value.into_string() {
                Ok(value) => {
                    read.variables.insert(name.to_owned(), value);
                }
                Err(_) => read.not_text.push(name.to_owned()),
            }
        }
        read
    }

    /// The value of `DBA_OP_<name>`, without surrounding space; `None` if absent or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(&format!("{PREFIX}{name}"))?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// The variables whose name begins with `DBA_OP_<prefix>`: the rest of the name, and the value
    /// as it stands.
    pub fn with_prefix<'e>(
        &'e self,
        prefix: &'e str,
    ) -> impl Iterator<Item = (&'e str, &'e str)> + 'e {
        self.variables.iter().filter_map(move |(name, value)| {
            let rest = name.strip_prefix(PREFIX)?.strip_prefix(prefix)?;
            Some((rest, value.as_str()))
        })
    }

    /// Reads what a run needs.
    ///
    /// # Errors
    /// [`SettingsError`] for the first variable that cannot be used. None shows a secret.
    pub fn settings(&self) -> Result<Settings, SettingsError> {
        let needed = [
            "CONNECTION_STRING",
            "TARGET_VERSION",
            "PREVIOUS_VERSION",
            "LOCK_TIMEOUT",
        ];
        let needed = needed.map(|name| format!("{PREFIX}{name}"));
        if let Some(name) = self.not_text.iter().find(|name| needed.contains(name)) {
            return Err(SettingsError::NotText(name.clone()));
        }
        let dsn = self.get("CONNECTION_STRING").ok_or(SettingsError::NoDsn)?;
        let dsn = Dsn::parse(&SecretString::from(dsn))?;
        let lock_timeout_ms = self.get("LOCK_TIMEOUT").map(lock_timeout_ms).transpose()?;
        Ok(Settings {
            dsn,
            target: self.get("TARGET_VERSION").map(str::to_owned),
            previous: self.get("PREVIOUS_VERSION").map(str::to_owned),
            lock_timeout_ms,
        })
    }
}

fn lock_timeout_ms(value: &str) -> Result<u32, SettingsError> {
    let refused = |source| SettingsError::LockTimeout {
        value: value.chars().take(40).collect(),
        source,
    };
    let read = duration::parse(value).map_err(refused)?;
    match u32::try_from(read.as_millis()) {
        Ok(ms) if u128::from(ms) <= LOCK_TIMEOUT_MAX_MS => Ok(ms),
        _ => Err(refused(DurationError::TooLong)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::new(
            pairs
                .iter()
                .map(|(n, v)| (OsString::from(n), OsString::from(v))),
        )
    }

    const DSN: (&str, &str) = ("DBA_OP_CONNECTION_STRING", "postgresql://u:canary@h/d");

    #[test]
    fn a_full_environment_is_read() {
        let environment = environment(&[
            DSN,
            ("DBA_OP_TARGET_VERSION", " 0002 "),
            ("DBA_OP_PREVIOUS_VERSION", ""),
            ("DBA_OP_LOCK_TIMEOUT", "5s"),
            ("DBA_OP_LABEL_DATABASE", "shop"),
            ("PATH", "/bin"),
        ]);
        let settings = environment.settings().unwrap();
        assert_eq!(settings.target.as_deref(), Some("0002"));
        assert_eq!(settings.previous, None);
        assert_eq!(settings.lock_timeout_ms, Some(5000));
        assert_eq!(
            environment.with_prefix("LABEL_").collect::<Vec<_>>(),
            [("DATABASE", "shop")]
        );
        assert!(!format!("{settings:?}").contains("canary"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = environment(&[]).settings().unwrap_err();
        assert_eq!(error.to_string(), "DBA_OP_CONNECTION_STRING is not set");
        let error = environment(&[DSN, ("DBA_OP_LOCK_TIMEOUT", "soon")])
            .settings()
            .unwrap_err();
        assert!(error.to_string().contains("'soon'"), "{error}");
        let error = environment(&[DSN, ("DBA_OP_LOCK_TIMEOUT", "1000h")])
            .settings()
            .unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
    }

    #[test]
    fn bytes_that_are_no_text_are_named_only_where_they_matter() {
        use std::os::unix::ffi::OsStringExt;
        let bytes = || OsString::from_vec(vec![0xff]);
        let dsn = (OsString::from(DSN.0), OsString::from(DSN.1));
        let label = (OsString::from("DBA_OP_LABEL_X"), bytes());
        assert!(Environment::new([dsn, label]).settings().is_ok());
        let error = Environment::new([(OsString::from(DSN.0), bytes())])
            .settings()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "DBA_OP_CONNECTION_STRING is not UTF-8 text"
        );
    }
}
