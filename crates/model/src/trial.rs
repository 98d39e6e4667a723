//! Trials: a statement that a server tries on an empty copy of its table, so that it says itself what it does.
//!
//! A copy is not the table: it has no row, nobody else refers to it, and no history. What it cannot tell is not asked.

use crate::operation::{Algorithm, Around, Locking};
use crate::table::TableName;

/// A statement to be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which statement of the migration it is, counted from 0.
    pub statement: usize,
    /// The table that is copied, by its name in today's catalogue.
    pub table: TableName,
    /// The statement's text around the table's name.
    pub around: Around,
    /// The SQL expressions in it, which a server may compute.
    pub expressions: Vec<String>,
    /// Does it ask for an algorithm or a lock itself? Then it is tried as it is, and with no other.
    pub pinned: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// The server did it.
    Done {
        /// The cheapest algorithm that it took (MySQL, MariaDB), where the statement asks for none.
        algorithm: Option<Algorithm>,
        /// The most that others may do meanwhile, likewise.
        locking: Option<Locking>,
        /// Did the table get new files (PostgreSQL)?
        rewrites: Option<bool>,
    },
    /// The server refused it, as it would refuse it of the table.
    Refused {
        /// The server's code.
        code: String,
        /// The server's words.
        message: String,
    },
}
