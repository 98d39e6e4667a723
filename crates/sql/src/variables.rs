//! Session variables of MySQL and MariaDB, as a file's own `SET` statements leave them: those that decide what DDL does.
//!
//! Followed are constants, `DEFAULT`, other variables (`@@sql_mode`) and what a file puts aside in `@old` to give it back
//! later, as dumps do. Anything else makes a variable's value not known, which is not the server's.

use std::collections::BTreeMap;
use std::time::Duration;

use dbop_model::operation::{Algorithm, Session};
use dbop_model::{Fact, Why};

use crate::lex::{Kind, Token};
use crate::split::Piece;

/// The variables that are followed (MySQL 8.4 manual, section 7.1.8; MariaDB, Server System Variables).
const FOLLOWED: [&str; 4] = [
    "sql_mode",
    "foreign_key_checks",
    "alter_algorithm",
    "lock_wait_timeout",
];

/// What a variable has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Value {
    /// What the server gives to a session.
    #[default]
    Server,
    /// A constant, without quotes.
    Text(String),
    /// Something that is not followed.
    Unread,
}

/// The variables of a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    /// Those of the server, by their names in lower case.
    own: BTreeMap<String, Value>,
    /// `@name`.
    users: BTreeMap<String, Value>,
}

impl Variables {
    /// After `SET [SESSION] name = value, ...`; a statement of any other kind changes nothing.
    pub(crate) fn set(&mut self, piece: &Piece<'_>) {
        // SET NAMES, SET PASSWORD, SET TRANSACTION and the like assign to nothing that is followed.
        if piece.is_word(0, "set") && !piece.is_word(1, "statement") {
            self.assign(piece, &piece.tokens[1..]);
        }
    }

    /// Those that one statement has for itself: `SET STATEMENT name = value, ... FOR statement` (MariaDB).
    pub(crate) fn of_statement(&self, piece: &Piece<'_>) -> Variables {
        let mut own = self.clone();
        if piece.are_words(0, &["set", "statement"]) {
            let end = (2..piece.tokens.len()).find(|at| piece.is_word(*at, "for"));
            own.assign(piece, &piece.tokens[2..end.unwrap_or(piece.tokens.len())]);
        }
        own
    }

    /// How long a statement waits for a lock, where the file says so.
    pub(crate) fn lock_timeout(&self) -> Option<Duration> {
        match self.own.get("lock_wait_timeout") {
            Some(Value::Text(text)) => seconds(text),
            _ => None,
        }
    }

    /// What else decides what a statement does.
    pub(crate) fn session(&self) -> Session {
        Session {
            strict: self.fact("sql_mode", |modes| Some(has_mode(modes, &STRICT))),
            zero_dates: self.fact("sql_mode", |modes| Some(!has_mode(modes, &NO_ZERO_DATES))),
            substitutes_engine: self
                .fact("sql_mode", |modes| Some(!has_mode(modes, &NO_SUBSTITUTES))),
            foreign_key_checks: self.fact("foreign_key_checks", is_on),
            algorithm: self.fact("alter_algorithm", |text| Some(Algorithm::named(text))),
        }
    }

    fn fact<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<Fact<T>> {
        let known = match self.own.get(name)? {
            Value::Server => return None,
            Value::Text(text) => read(text),
            Value::Unread => None,
        };
        let why = || Why::new(format!("the file sets {name} to what is not followed here"));
        Some(known.map_or_else(|| Fact::Unknown(why()), Fact::Known))
    }

    fn assign(&mut self, piece: &Piece<'_>, tokens: &[Token]) {
        let mut depth = 0_usize;
        let assignments = tokens.split(|token| {
            match piece.of(token) {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && token.kind == Kind::Sign && piece.of(token) == ","
        });
        for assignment in assignments {
            let is_sign = |token: &Token| token.kind == Kind::Sign && piece.of(token) == "=";
            let Some(equals) = assignment.iter().position(is_sign) else {
                continue;
            };
            let words = |tokens: &[Token]| -> Vec<String> {
                let mut words: Vec<String> = tokens
                    .iter()
                    .map(|token| piece.of(token).trim_matches('`').to_lowercase())
                    .collect();
                if words.last().is_some_and(|last| last == ":") {
                    words.pop();
                }
                words
            };
            let target = words(&assignment[..equals]);
            let value = self.value(piece, &assignment[equals + 1..]);
            match target.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["@", name] => {
                    self.users.insert(name.to_owned(), value);
                }
                // What it gives to later sessions is not what this one has.
                ["global" | "persist" | "persist_only", ..]
                | ["@", "@", "global" | "persist" | "persist_only", ..] => {}
                [.., name] if FOLLOWED.contains(&name) => {
                    self.own.insert(name.to_owned(), value);
                }
                _ => {}
            }
        }
    }

    fn value(&self, piece: &Piece<'_>, tokens: &[Token]) -> Value {
        let text = |token: &Token| piece.of(token).to_lowercase();
        match tokens {
            [one] if one.kind == Kind::Word && text(one) == "default" => Value::Server,
            [one] if matches!(one.kind, Kind::Word | Kind::Number) => {
                Value::Text(piece.of(one).to_owned())
            }
            [one] if one.kind == Kind::Text => {
                Value::Text(piece.of(one).trim_matches(['\'', '"']).to_owned())
            }
            [at, name] if text(at) == "@" => {
                let kept = self.users.get(&text(name));
                kept.cloned().unwrap_or(Value::Unread)
            }
            [at, and, name @ ..] if text(at) == "@" && text(and) == "@" => match name {
                [scope, _, _] if text(scope) == "global" => Value::Server,
                [name] | [_, _, name] if FOLLOWED.contains(&text(name).as_str()) => {
                    self.own.get(&text(name)).cloned().unwrap_or_default()
                }
                _ => Value::Unread,
            },
            _ => Value::Unread,
        }
    }
}

/// Modes that make the server refuse what does not fit. TRADITIONAL stands for several (MySQL 8.4 manual, section
/// 7.1.11).
const STRICT: [&str; 3] = ["STRICT_ALL_TABLES", "STRICT_TRANS_TABLES", "TRADITIONAL"];
/// Modes that make it refuse the zero date.
const NO_ZERO_DATES: [&str; 2] = ["NO_ZERO_DATE", "TRADITIONAL"];

/// Modes that make it refuse an engine that it lacks.
const NO_SUBSTITUTES: [&str; 2] = ["NO_ENGINE_SUBSTITUTION", "TRADITIONAL"];

/// Is one of these among the modes of `sql_mode`?
fn has_mode(modes: &str, of: &[&str]) -> bool {
    let mut modes = modes.split(',').map(str::trim);
    modes.any(|mode| of.iter().any(|known| mode.eq_ignore_ascii_case(known)))
}

fn is_on(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "true" => Some(true),
        "0" | "off" | "false" => Some(false),
        _ => None,
    }
}

/// Seconds, as MySQL and MariaDB take them.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}
