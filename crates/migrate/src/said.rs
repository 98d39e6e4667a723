//! What the server or the driver said about a failure, cut down to what may be shown: the primary
//! message, the SQLSTATE, MySQL's number and the names of objects.
//!
//! It deliberately leaves out DETAIL and CONTEXT, which quote rows (`Key (email)=(...)`), what MySQL quotes
//! of rows in the message itself, and everything the driver says about connection settings, which may quote
//! the connection string.

use std::fmt;

use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

/// A failure as the server or the driver told it, without user data and without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    text: String,
    code: Option<String>,
    number: Option<u16>,
    line: Option<usize>,
}

/// What a server's code means, where there is something to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Another session held a lock for longer than the lock timeout.
    LockTimeout,
    /// A deadlock or a serialization failure.
    Conflict,
    /// User or password are wrong.
    Login,
    /// There is no such database.
    NoDatabase,
    /// The server has no connection left.
    Full,
    /// The login may not do it.
    Denied,
}

impl Said {
    /// Reads `error`; `sql` is the text that was sent, so that a position becomes a line (from 1).
    #[must_use]
    pub fn new(error: &sqlx::Error, sql: Option<&str>) -> Self {
        let plain = |text: String| Self {
            text,
            code: None,
            number: None,
            line: None,
        };
        match error {
            sqlx::Error::Database(database) => {
                if let Some(server) = database.try_downcast_ref::<PgDatabaseError>() {
                    Self::from_postgres(server, sql)
                } else if let Some(server) = database.try_downcast_ref::<MySqlDatabaseError>() {
                    Self::from_mysql(server)
                } else {
                    plain(database.message().to_owned())
                }
            }
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
            number: None,
            line: None,
        }
    }

    /// The SQLSTATE, where the server gave one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Whether it is from MySQL or MariaDB.
    pub(crate) fn is_mysql(&self) -> bool {
        self.number.is_some()
    }

    /// What the server's code means.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        if let Some(number) = self.number {
            return match number {
                1205 | 3572 => Some(Trouble::LockTimeout),
                // 1020: MariaDB found a row changed since the transaction's snapshot.
                1020 | 1213 => Some(Trouble::Conflict),
                1045 | 1698 | 1862 => Some(Trouble::Login),
                1049 => Some(Trouble::NoDatabase),
                1040 | 1203 | 1226 => Some(Trouble::Full),
                1044 | 1142 | 1143 | 1227 | 1370 => Some(Trouble::Denied),
                _ => None,
            };
        }
        match self.code()? {
            "55P03" => Some(Trouble::LockTimeout),
            "40001" | "40P01" => Some(Trouble::Conflict),
            "28P01" | "28000" => Some(Trouble::Login),
            "3D000" => Some(Trouble::NoDatabase),
            "53300" => Some(Trouble::Full),
            "42501" => Some(Trouble::Denied),
            _ => None,
        }
    }

    fn from_postgres(server: &PgDatabaseError, sql: Option<&str>) -> Self {
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
            number: None,
            line,
        }
    }

    fn from_mysql(server: &MySqlDatabaseError) -> Self {
        let code = server.code();
        Self {
            text: without_values(server.message(), code.unwrap_or_default()),
            code: code.map(str::to_owned),
            number: Some(server.number()),
            line: None,
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        let parts = [
            self.line.map(|line| format!("line {line}")),
            self.number.map(|number| format!("error {number}")),
            self.code.as_ref().map(|code| format!("SQLSTATE {code}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        match parts.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", parts.join(", ")),
        }
    }
}

impl std::error::Error for Said {}

/// A message of MySQL or MariaDB without what it quotes of rows: `Duplicate entry '...' for key
/// 'customers.by_email'`.
///
/// The classes of SQLSTATE tell which messages are about statements and objects alone. In the others, a
/// quoted piece stays where the word before says that it is a name. A value may hold quotes and such words
/// itself, so everything goes from the first value to the last place where a name can follow.
fn without_values(message: &str, code: &str) -> String {
    /// Access, syntax, connections, transactions and other things that are no data.
    const NO_DATA: &[&str] = &["08", "25", "28", "3D", "40", "42", "70"];
    /// What stands before a name.
    const NAMES: &[&str] = &[
        "column",
        "constraint",
        "database",
        "field",
        "function",
        "index",
        "key",
        "partition",
        "procedure",
        "schema",
        "table",
        "trigger",
        "user",
        "variable",
        "view",
    ];
    /// What stands behind a value.
    const BEHIND: &[&str] = &[
        "' for key '",
        "' for column ",
        "' for function ",
        "' at row ",
    ];
    if NO_DATA.iter().any(|class| code.starts_with(class)) {
        return message.to_owned();
    }
    let is_name = |before: &str| {
        let word = before.trim_end().rsplit(' ').next().unwrap_or_default();
        NAMES.iter().any(|name| word.eq_ignore_ascii_case(name))
    };
    let mut at = 0;
    while let Some(found) = message[at..].find(['\'', '"']) {
        let begin = at + found;
        // An apostrophe, as in doesn't.
        if message[..begin].ends_with(|c: char| c.is_ascii_alphanumeric()) {
            at = begin + 1;
            continue;
        }
        if !is_name(&message[..begin]) {
            let rest = &message[begin + 1..];
            let behind = BEHIND.iter().filter_map(|text| rest.rfind(text)).max();
            let tail = behind.map_or("", |position| &rest[position + 1..]);
            return format!("{}'...'{tail}", &message[..begin]);
        }
        let quote = &message[begin..=begin];
        match message[begin + 1..].find(quote) {
            Some(length) => at = begin + 1 + length + 1,
            None => break,
        }
    }
    message.to_owned()
}

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
    fn values_of_rows_are_left_out_and_names_stay() {
        let said = |code, message: &str| without_values(message, code);
        let key = "Duplicate entry '...' for key 'one.by_email'";
        assert_eq!(
            said(
                "23000",
                "Duplicate entry 'ada@example.org' for key 'one.by_email'"
            ),
            key
        );
        // A value that looks like the end of the message.
        let mean = "Duplicate entry 'a' for key 'ada@example.org' for key 'one.by_email'";
        assert_eq!(said("23000", mean), key);
        assert_eq!(
            said(
                "HY000",
                "Incorrect integer value: 'ada' for column `d`.`t`.`c` at row 1"
            ),
            "Incorrect integer value: '...' for column `d`.`t`.`c` at row 1"
        );
        assert_eq!(
            said("22007", "Truncated incorrect DOUBLE value: 'ada'"),
            "Truncated incorrect DOUBLE value: '...'"
        );
        for (code, whole) in [
            ("22001", "Data too long for column 'c' at row 1"),
            (
                "HY000",
                "Lock wait timeout exceeded; try restarting transaction",
            ),
            ("HY000", "Field 'c' doesn't have a default value"),
            ("42S01", "Table 't' already exists"),
            (
                "42000",
                "You have an error in your SQL syntax; ... near 'TABEL' at line 3",
            ),
        ] {
            assert_eq!(said(code, whole), whole, "{code}");
        }
    }

    #[test]
    fn settings_are_never_quoted() {
        let error = sqlx::Error::Configuration("postgres://u:canary@h/d".into());
        assert!(!Said::new(&error, None).to_string().contains("canary"));
    }
}
