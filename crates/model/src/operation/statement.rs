//! Statements: the operations that one makes, and how it asks for them.

use std::fmt;
use std::time::Duration;

use super::Operation;
use crate::fact::Fact;

/// Operations that one statement makes: a server takes the strongest lock and the slowest way that any of them needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statement {
    /// What it does to the schema; nothing, where it is no DDL.
    pub operations: Vec<Operation>,
    /// Why it could not be read; then its operations are not known.
    pub unread: Option<String>,
    /// The line of its file on which it begins, from 1, where it is from a file.
    pub line: Option<u32>,
    /// Its text, in one line and cut where it is long, where it is from a file.
    pub text: Option<String>,
    /// The `ALGORITHM` that it asks for (MySQL, MariaDB): where the server cannot, the statement fails.
    pub algorithm: Option<Algorithm>,
    /// The `LOCK` that it asks for (MySQL, MariaDB): where the server cannot, the statement fails.
    pub locking: Option<Locking>,
    /// Which of the file's transactions it is in, counted from 0; `None`: in none, or it is not said.
    pub transaction: Option<u32>,
    /// How long it waits for a lock, where the file sets that before it.
    pub lock_timeout: Option<Duration>,
    /// What else the file sets for its session before it.
    pub session: Session,
    /// Does nothing happen where its table is not there (`ALTER TABLE IF EXISTS`)?
    pub if_table_exists: bool,
    /// Its whole text around the name of its table, where it is about one table and can be made of another.
    pub around: Option<Around>,
}

/// A statement's text around the name of its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Around {
    /// What stands before it.
    pub before: String,
    /// What stands after it.
    pub after: String,
}

impl Around {
    /// The same statement of another table, whose name is written as the server takes it.
    pub fn of(&self, table: &str) -> String {
        format!("{}{table}{}", self.before, self.after)
    }
}

/// What a file sets for its own session, where that decides what later statements do (MySQL, MariaDB). `None`: it is as
/// the server has it. Unknown: the file sets it to something that is not followed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    /// Does the server refuse values that do not fit (`sql_mode`)?
    pub strict: Option<Fact<bool>>,
    /// Does it take 0000-00-00 for a date (`sql_mode` without `NO_ZERO_DATE`)?
    pub zero_dates: Option<Fact<bool>>,
    /// Does the server take another engine for one that it lacks (`sql_mode` without `NO_ENGINE_SUBSTITUTION`)?
    pub substitutes_engine: Option<Fact<bool>>,
    /// Are foreign keys checked (`foreign_key_checks`)?
    pub foreign_key_checks: Option<Fact<bool>>,
    /// The algorithm of statements that ask for none (MariaDB's `alter_algorithm`).
    pub algorithm: Option<Fact<Option<Algorithm>>>,
}

impl Statement {
    /// Is it from SQL? Then a clause that it does not have is not there; of a hint, it is only not said.
    pub fn is_sql(&self) -> bool {
        self.line.is_some()
    }
}

impl From<Operation> for Statement {
    /// A statement of which nothing but its one operation is said.
    fn from(operation: Operation) -> Self {
        Statement {
            operations: vec![operation],
            ..Statement::default()
        }
    }
}

/// How MySQL and MariaDB change a table, the cheapest first (MySQL 8.4 manual, section 15.1.9; MariaDB, ALTER TABLE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// Only the data dictionary changes.
    Instant,
    /// In place, and no row is written anew (MariaDB's `NOCOPY`).
    NoCopy,
    /// In place; rows may be written anew.
    InPlace,
    /// The server copies the table row by row.
    Copy,
}

impl Algorithm {
    /// By its name in a statement or a variable, in whatever case; `DEFAULT` is none.
    pub fn named(text: &str) -> Option<Self> {
        [Self::Instant, Self::NoCopy, Self::InPlace, Self::Copy]
            .into_iter()
            .find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(text))
    }

    /// Its name in a statement.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Instant => "INSTANT",
            Algorithm::NoCopy => "NOCOPY",
            Algorithm::InPlace => "INPLACE",
            Algorithm::Copy => "COPY",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What MySQL and MariaDB let others do to a table while a statement changes it, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Locking {
    /// Read and write.
    None,
    /// Read.
    Shared,
    /// Neither.
    Exclusive,
}

impl Locking {
    /// Its name in a statement.
    pub fn as_str(self) -> &'static str {
        match self {
            Locking::None => "NONE",
            Locking::Shared => "SHARED",
            Locking::Exclusive => "EXCLUSIVE",
        }
    }
}

impl fmt::Display for Locking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
