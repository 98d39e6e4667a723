//! What a file's statements leave behind for those after them: a transaction, a lock timeout, a default schema.

use std::time::Duration;

use dbop_model::{Engine, operation};

use crate::lex::Kind;
use crate::split::Piece;
use crate::variables::Variables;

/// The session that a file runs in, as far as its own statements say it.
#[derive(Debug, Default)]
pub(crate) struct Session {
    transactions: u32,
    transaction: Option<u32>,
    /// For the whole session.
    lock_timeout: Option<Duration>,
    /// For the transaction (`SET LOCAL`); `Some(None)`: back to none.
    local_lock_timeout: Option<Option<Duration>>,
    /// Where names without a schema are looked for, where the file says one schema alone.
    pub(crate) schema: Option<String>,
    /// Of MySQL and MariaDB.
    variables: Variables,
}

impl Session {
    /// Which transaction a statement runs in. The one that begins or ends it is part of it.
    pub(crate) fn transaction(&self) -> Option<u32> {
        self.transaction
    }

    /// How long a statement waits for a lock, where that is said, and what else the file has set for it.
    pub(crate) fn settings(&self, piece: &Piece<'_>) -> (Option<Duration>, operation::Session) {
        let own = self.variables.of_statement(piece);
        let timeout = match self.local_lock_timeout {
            Some(local) => local,
            None => self.lock_timeout.or(own.lock_timeout()),
        };
        (timeout, own.session())
    }

    /// Before a statement: does it begin a transaction?
    pub(crate) fn before(&mut self, engine: Engine, piece: &Piece<'_>, is_ddl: bool) {
        // DDL commits what is open before it, in MySQL and MariaDB (MySQL 8.4 manual, section 15.3.3).
        if is_ddl && engine != Engine::PostgreSql {
            self.end();
        }
        let begins = (piece.is_word(0, "begin") && !piece.is_word(1, "not"))
            || piece.are_words(0, &["start", "transaction"]);
        if begins && self.transaction.is_none() {
            self.begin();
        }
    }

    /// After a statement: what it sets, and whether it ends the transaction.
    pub(crate) fn after(&mut self, engine: Engine, piece: &Piece<'_>) {
        match engine {
            Engine::PostgreSql => self.set_postgres(piece),
            Engine::MySql | Engine::MariaDb => self.set_mysql(piece),
        }
        let ends = ["commit", "end", "rollback", "abort"]
            .iter()
            .any(|word| piece.is_word(0, word))
            || piece.are_words(0, &["prepare", "transaction"]);
        let to_savepoint = piece.is_word(0, "rollback") && (1..4).any(|at| piece.is_word(at, "to"));
        if ends && !to_savepoint {
            self.end();
            let count = piece.tokens.len();
            let chain = count >= 2 && piece.are_words(count - 2, &["and", "chain"]);
            if chain {
                self.begin();
            }
        }
    }

    fn begin(&mut self) {
        self.transaction = Some(self.transactions);
        self.transactions += 1;
    }

    fn end(&mut self) {
        self.transaction = None;
        self.local_lock_timeout = None;
    }

    /// `SET [SESSION | LOCAL] name { TO | = } value`, `RESET name` (PostgreSQL manual, SET, RESET, `set_config`).
    fn set_postgres(&mut self, piece: &Piece<'_>) {
        let is_all = piece.is_word(1, "all");
        if (piece.is_word(0, "reset") || piece.is_word(0, "discard"))
            && (is_all || piece.is_word(1, "lock_timeout"))
        {
            self.lock_timeout = None;
            self.local_lock_timeout = None;
        }
        if !piece.is_word(0, "set") {
            return;
        }
        let local = piece.is_word(1, "local");
        let at = if local || piece.is_word(1, "session") {
            2
        } else {
            1
        };
        let Some(value) = piece.tokens.get(at + 2) else {
            return;
        };
        if piece.is_word(at, "lock_timeout") {
            // The number of a quoted value has its unit in it, that of a bare one is in milliseconds.
            let text = piece.of(value).trim_matches('\'');
            let timeout = postgres_span(text).filter(|span| !span.is_zero());
            match (local, self.transaction) {
                (true, Some(_)) => self.local_lock_timeout = Some(timeout),
                // Outside of a transaction SET LOCAL does nothing but warn.
                (true, None) => {}
                (false, _) => {
                    self.lock_timeout = timeout;
                    self.local_lock_timeout = None;
                }
            }
        }
        if piece.is_word(at, "search_path") {
            let named: Vec<String> = piece.tokens[at + 2..]
                .iter()
                .filter(|token| token.kind != Kind::Sign)
                .map(|token| match token.kind {
                    Kind::Word => piece.of(token).to_ascii_lowercase(),
                    _ => piece.of(token).trim_matches(['\'', '"']).to_owned(),
                })
                .filter(|name| !matches!(name.as_str(), "pg_catalog" | "pg_temp"))
                .collect();
            self.schema = match named.as_slice() {
                [one] if !matches!(one.as_str(), "" | "$user" | "default") => Some(one.clone()),
                _ => None,
            };
        }
    }

    /// `SET name = value, ...`; `USE database`.
    fn set_mysql(&mut self, piece: &Piece<'_>) {
        if piece.is_word(0, "use")
            && let Some(token) = piece.tokens.get(1)
        {
            self.schema = Some(piece.of(token).trim_matches('`').replace("``", "`"));
        }
        self.variables.set(piece);
    }
}

/// A span as PostgreSQL takes it: `5s`, `500 ms`, `1min`; without a unit, milliseconds (manual, section 19.1.1).
fn postgres_span(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "us" => 0.000_001,
        "" | "ms" => 0.001,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * unit).ok()
}
