//! What the server or the driver said about a failure, cut down to what may be shown: the primary
//! message, the SQLSTATE and the names of objects.
//!
//! It deliberately leaves out DETAIL and CONTEXT, which quote rows (`Key (email)=(...)`), and
//! everything the driver says about connection settings, which may quote the connection string.

use std::fmt;

use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

/// A failure as the server or the driver told it, without user data and without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    text: String,
    code: Option<String>,
    line: Option<usize>,
}

impl Said {
    /// Reads `error`; `sql` is the text that was sent, so that a position becomes a line (from 1).
    #[must_use]
    pub fn new(error: &sqlx::Error, sql: Option<&str>) -> Self {
        let plain = |text: String| Self {
            text,
            code: None,
            line: None,
        };
        match error {
            sqlx::Error::Database(database) => match database.try_downcast_ref::<PgDatabaseError>()
            {
                Some(server) => Self::from_server(server, sql),
                None => plain(database.message().to_owned()),
            },
            sqlx::Error::Io(source) => plain(source.to_string()),
            sqlx::Error::Tls(source) => plain(format!("TLS: {source}")),
            // Its text may quote the connection string.
            sqlx::Error::Configuration(_) => {
                plain("the driver refuses the connection settings".to_owned())
            }
            other => plain(other.to_string()),
        }
    }

    /// A failure that has no more to say than `text`.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: None,
            line: None,
        }
    }

    /// The SQLSTATE, where the server gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    fn from_server(server: &PgDatabaseError, sql: Option<&str>) -> Self {
        let mut text = server.message().to_owned();
        // The names tell which row-less object it is about; a message that has them already is left.
        for (what, name) in [
            ("table", server.table()),
            ("column", server.column()),
            ("constraint", server.constraint()),
        ] {
            if let Some(name) = name
                && !text.contains(name)
            {
                text.push_str(&format!(" ({what} {name})"));
            }
        }
        let line = match (server.position(), sql) {
            (Some(PgErrorPosition::Original(position)), Some(sql)) => Some(line_of(sql, position)),
            _ => None,
        };
        Self {
            text,
            code: Some(server.code().to_owned()),
            line,
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match (self.line, &self.code) {
            (Some(line), Some(code)) => write!(f, " (line {line}, SQLSTATE {code})"),
            (None, Some(code)) => write!(f, " (SQLSTATE {code})"),
            (Some(line), None) => write!(f, " (line {line})"),
            (None, None) => Ok(()),
        }
    }
}

impl std::error::Error for Said {}

/// The line, from 1, of the character `position`, from 1, which is how PostgreSQL counts.
fn line_of(sql: &str, position: usize) -> usize {
    let before = sql.chars().take(position.saturating_sub(1));
    1 + before.filter(|c| *c == '\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_becomes_a_line() {
        assert_eq!(line_of("SELECT 1", 1), 1);
        assert_eq!(line_of("é\n\nSELECT x", 4), 3);
        assert_eq!(line_of("SELECT 1", 0), 1);
        assert_eq!(line_of("a\n", 99), 2);
    }

    #[test]
    fn settings_are_never_quoted() {
        let error = sqlx::Error::Configuration("postgres://u:canary@h/d".into());
        assert!(!Said::new(&error, None).to_string().contains("canary"));
    }
}
