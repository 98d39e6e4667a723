//! What rules ask of a live database: each question names its table.

use super::{ColumnName, TableName};
use crate::dependent::RowProbe;
use crate::operation::{IndexPart, Reading};

/// A fact that a rule needs of a live database. Every one of them is had by reading alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactRequest {
    /// Does the table exist; its kind, columns, and checks that prove columns NOT NULL: the catalogue.
    Table(TableName),
    /// How large it is: an estimate of its rows, and its bytes.
    Size(TableName),
    /// Has it any row at all? A probe, since an estimate can never say "empty".
    AnyRow(TableName),
    /// Does any row hold NULL in this column? A probe.
    Nulls {
        /// The table.
        table: TableName,
        /// The column.
        column: ColumnName,
    },
    /// What a type is, as a column of this table would have it.
    Type {
        /// The table, whose schema is searched for the type.
        table: TableName,
        /// The type as the operation writes it, without clauses: `email_address`, `numeric(10,2)`.
        sql_type: String,
    },
    /// Whether a function gives the same value to every row, as a default in this table would call it.
    Volatility {
        /// The table, whose schema is searched for the function.
        table: TableName,
        /// The function's name as the default writes it, without arguments: `now`, `app.next_code`.
        function: String,
    },
    /// Its indexes, the invalid ones too: the catalogue.
    Indexes(TableName),
    /// Its constraints, and the foreign keys of other tables to it: the catalogue.
    Constraints(TableName),
    /// How its rows are stored, where that decides what a change costs: the catalogue.
    Storage(TableName),
    /// Rows that were changed per second lately.
    Writes(TableName),
    /// Sessions that a strong lock on it would wait for.
    Blockers(TableName),
    /// Are there two rows with the same key? A probe.
    Duplicates {
        /// The table.
        table: TableName,
        /// The key.
        key: UniqueKey,
    },
    /// Which table an index of this name is of; what that table is, and how large, is seen with it.
    IndexNamed(TableName),
    /// What hangs on the table and its parts, and its partitions: the catalogue.
    Dependents(TableName),
    /// What bears this name: a table, a view, on PostgreSQL an index or a sequence.
    Relation(TableName),
    /// Of what table something is whose name is one of its whole database's (MySQL, MariaDB).
    Named {
        /// What it is.
        kind: NamedKind,
        /// Its name.
        name: TableName,
    },
    /// Is there a row of which this holds? A probe.
    Rows {
        /// The table.
        table: TableName,
        /// The question.
        probe: RowProbe,
    },
    /// What the server makes of a text that it reads, and does not run.
    Reading {
        /// The table or view that it is about.
        table: TableName,
        /// The text.
        reading: Reading,
    },
}

/// What a server made of a text that it read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Understood {
    /// It would run it: the names of the columns that it gives, where it gives any.
    Yes {
        /// Their names, in order.
        columns: Vec<String>,
    },
    /// It would not.
    No {
        /// The server's code.
        code: String,
        /// The server's words.
        message: String,
    },
}

/// Parts of tables whose names can be their whole database's: each once in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NamedKind {
    /// A foreign key.
    ForeignKey,
    /// A CHECK.
    Check,
    /// A trigger.
    Trigger,
}

impl NamedKind {
    /// In a sentence: "foreign key".
    pub fn as_str(self) -> &'static str {
        match self {
            NamedKind::ForeignKey => "foreign key",
            NamedKind::Check => "CHECK",
            NamedKind::Trigger => "trigger",
        }
    }
}

/// What a unique index or constraint is over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueKey {
    /// Its parts, in order.
    pub parts: Vec<IndexPart>,
    /// Which rows it is over, where not all.
    pub predicate: Option<String>,
    /// Does it count NULLs as equal?
    pub nulls_equal: bool,
}

impl FactRequest {
    /// What is looked up of a table beside an index of it that was asked for by its name alone.
    pub fn of_indexed(table: &TableName) -> [FactRequest; 9] {
        [
            FactRequest::Table,
            FactRequest::Size,
            FactRequest::AnyRow,
            FactRequest::Indexes,
            FactRequest::Constraints,
            FactRequest::Storage,
            FactRequest::Writes,
            FactRequest::Blockers,
            FactRequest::Dependents,
        ]
        .map(|of| of(table.clone()))
    }

    /// The table that it is about.
    pub fn table(&self) -> &TableName {
        match self {
            FactRequest::Table(table)
            | FactRequest::Size(table)
            | FactRequest::AnyRow(table)
            | FactRequest::Nulls { table, .. }
            | FactRequest::Type { table, .. }
            | FactRequest::Volatility { table, .. }
            | FactRequest::Indexes(table)
            | FactRequest::Constraints(table)
            | FactRequest::Storage(table)
            | FactRequest::Writes(table)
            | FactRequest::Blockers(table)
            | FactRequest::Duplicates { table, .. }
            | FactRequest::IndexNamed(table)
            | FactRequest::Dependents(table)
            | FactRequest::Relation(table)
            | FactRequest::Named { name: table, .. }
            | FactRequest::Rows { table, .. }
            | FactRequest::Reading { table, .. } => table,
        }
    }
}
