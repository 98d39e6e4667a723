//! What MySQL and MariaDB do to the partitions of a table (MySQL 8.4 manual, section 26.3).

use crate::table::{ColumnName, TableName};

/// What one clause of a statement does to the partitions of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partitioning {
    /// What it does.
    pub verb: PartitionVerb,
    /// The partitions that it is about; none: all of them, or it is not said.
    pub of: Vec<ColumnName>,
    /// Partitions that it makes.
    pub makes: Vec<NewPartition>,
    /// How many it adds, takes away or makes, where it says a number.
    pub count: Option<u32>,
    /// By what the table is split from then on.
    pub by: Option<PartitionBy>,
    /// The table whose rows change places with a partition's.
    pub with: Option<TableName>,
    /// Nothing happens where they are there, or are not (`IF EXISTS`, `IF NOT EXISTS`, MariaDB).
    pub passes: bool,
    /// Are no rows looked at (`WITHOUT VALIDATION`)?
    pub unchecked: bool,
}

/// What is done to partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartitionVerb {
    /// `ADD PARTITION`.
    Add,
    /// `DROP PARTITION`.
    Drop,
    /// `TRUNCATE PARTITION`.
    Truncate,
    /// `COALESCE PARTITION`.
    Coalesce,
    /// `REORGANIZE PARTITION`.
    Reorganize,
    /// `REBUILD PARTITION`.
    Rebuild,
    /// `OPTIMIZE PARTITION`.
    Optimize,
    /// `EXCHANGE PARTITION`.
    Exchange,
    /// `DISCARD`, `IMPORT PARTITION`; MariaDB's `CONVERT`.
    Move,
    /// `ANALYZE`, `CHECK`, `REPAIR PARTITION`.
    Check,
    /// `PARTITION BY`.
    By,
    /// `REMOVE PARTITIONING`.
    Remove,
}

/// How much work it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartitionChange {
    /// A partition without rows comes.
    Add,
    /// Partitions go, with their rows.
    Drop,
    /// Partitions lose their rows.
    Truncate,
    /// Rows of some partitions are put into others.
    Redistribute,
    /// Rows of all partitions are: of a hash.
    Rehash,
    /// Some partitions are written anew.
    Rebuild,
    /// The whole table is written anew.
    Whole,
    /// Rows come from another table or go to one.
    Exchange,
    /// Rows stay where they are.
    Check,
}

/// A partition as a statement defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPartition {
    /// Its name.
    pub name: ColumnName,
    /// Which rows are its, where that is said.
    pub bound: Option<PartitionBound>,
}

/// Which rows are a partition's, as a statement says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionBound {
    /// `VALUES LESS THAN`: a value for each column that the table is split by; `MAXVALUE` is one.
    LessThan(Vec<String>),
    /// `VALUES IN`: values, or rows of values in parentheses.
    In(Vec<String>),
    /// `DEFAULT` of a list (MariaDB).
    Default,
}

/// By what a table is split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionBy {
    /// In which way.
    pub method: PartitionMethod,
    /// Is it by columns (`RANGE COLUMNS`, `KEY`) rather than by an expression?
    pub columns: bool,
    /// The columns or the expression, as it is written; empty: the primary key.
    pub over: String,
    /// Names in it, of columns perhaps.
    pub reads: Vec<ColumnName>,
}

/// In which way a table is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartitionMethod {
    /// By ranges of values.
    Range,
    /// By lists of values.
    List,
    /// By the remainder of a number.
    Hash,
    /// By a hash of columns.
    Key,
    /// By the age of rows (MariaDB's `SYSTEM_TIME`).
    Time,
}

impl Partitioning {
    /// Of which nothing else is said.
    pub fn new(verb: PartitionVerb) -> Self {
        Self {
            verb,
            of: Vec::new(),
            makes: Vec::new(),
            count: None,
            by: None,
            with: None,
            passes: false,
            unchecked: false,
        }
    }

    /// How much work it is.
    pub fn change(&self) -> PartitionChange {
        match self.verb {
            // A hash has no values of its own: rows of the others go to the new one.
            PartitionVerb::Add if self.makes.iter().all(|one| one.bound.is_none()) => {
                PartitionChange::Rehash
            }
            PartitionVerb::Add => PartitionChange::Add,
            PartitionVerb::Drop => PartitionChange::Drop,
            PartitionVerb::Truncate => PartitionChange::Truncate,
            PartitionVerb::Coalesce => PartitionChange::Rehash,
            PartitionVerb::Reorganize => PartitionChange::Redistribute,
            PartitionVerb::Rebuild => PartitionChange::Rebuild,
            // InnoDB knows no way to optimize one partition alone (section 26.3.4).
            PartitionVerb::Optimize | PartitionVerb::By | PartitionVerb::Remove => {
                PartitionChange::Whole
            }
            PartitionVerb::Exchange | PartitionVerb::Move => PartitionChange::Exchange,
            PartitionVerb::Check => PartitionChange::Check,
        }
    }

    /// In a line, after the table's name.
    pub(super) fn words(&self) -> &'static str {
        match self.change() {
            PartitionChange::Add => "add a partition",
            PartitionChange::Drop => "drop a partition",
            PartitionChange::Truncate => "truncate a partition",
            PartitionChange::Redistribute | PartitionChange::Rehash => "redistribute partitions",
            PartitionChange::Rebuild => "rebuild a partition",
            PartitionChange::Whole => "partitioning",
            PartitionChange::Exchange => "exchange a partition",
            PartitionChange::Check => "check a partition",
        }
    }
}

impl PartitionMethod {
    /// By its name as the catalogue has it, in front of what it is over: `RANGE COLUMNS`, `LINEAR HASH`.
    pub fn named(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        let mut words = upper
            .split_whitespace()
            .filter(|word| !matches!(*word, "LINEAR" | "COLUMNS"));
        Some(match words.next()? {
            "RANGE" => PartitionMethod::Range,
            "LIST" => PartitionMethod::List,
            "HASH" => PartitionMethod::Hash,
            "KEY" => PartitionMethod::Key,
            "SYSTEM_TIME" => PartitionMethod::Time,
            _ => return None,
        })
    }

    /// Have its partitions values of their own, so that one of them can go?
    pub fn has_values(self) -> bool {
        matches!(self, PartitionMethod::Range | PartitionMethod::List)
    }

    /// In a sentence: "RANGE".
    pub fn as_str(self) -> &'static str {
        match self {
            PartitionMethod::Range => "RANGE",
            PartitionMethod::List => "LIST",
            PartitionMethod::Hash => "HASH",
            PartitionMethod::Key => "KEY",
            PartitionMethod::Time => "SYSTEM_TIME",
        }
    }
}
