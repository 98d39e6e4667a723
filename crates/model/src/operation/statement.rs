//! Statements: the operations that one makes, and how it asks for them.

use std::fmt;
use std::time::Duration;

use super::{ConstraintKind, Operation, TableChange};
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
    /// What of it a server can be asked to read, and does not run.
    pub readings: Vec<Reading>,
}

/// A text of a statement that a server is asked to read: it looks up the names and types in it, and neither plans nor
/// runs it. Only questions for the catalogue are answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reading {
    /// The text: the statement itself, or a query made of what is in it.
    pub text: String,
    /// What the text is.
    pub kind: ReadingKind,
    /// The schema in which names are looked up first, where one is said.
    pub schema: Option<String>,
}

/// What a text is that a server is asked to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadingKind {
    /// The statement itself. Whether what it names is there is looked up elsewhere.
    Statement,
    /// The query of a view or of a table that is filled by one; it gives so many columns names of their own.
    Query {
        /// How many, where it says so behind the name of what it makes.
        named: Option<usize>,
    },
    /// A query made of the columns and expressions of a new table.
    Definition,
    /// A query of the catalogue alone, which is run: each row of it is a reason why the server refuses the statement, as
    /// the code and the words.
    Catalogue,
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

    /// The operations that are told to people: of a table that it creates none of the parts, but foreign keys, which
    /// concern another table.
    pub fn told(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().filter(|one| {
            let foreign = matches!(one, Operation::AddConstraint { constraint, .. }
                if constraint.kind() == ConstraintKind::ForeignKey);
            foreign || !self.defines(one)
        })
    }

    /// Is an operation of it part of the definition of a table that it creates: a key, a constraint?
    pub fn defines(&self, operation: &Operation) -> bool {
        let part = matches!(
            operation,
            Operation::AddConstraint { .. }
                | Operation::CreateIndex { .. }
                | Operation::ChangeTable {
                    change: TableChange::Partitioning(_),
                    ..
                }
        );
        part && self.operations.iter().any(
            |one| matches!(one, Operation::CreateTable { table, .. } if table == operation.table()),
        )
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
