//! Indexes, as operations create them.

use std::fmt;

use super::joined;
use crate::table::ColumnName;

/// An index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// What it indexes, in order; may be empty where an operation does not say.
    pub parts: Vec<IndexPart>,
    /// Its kind.
    pub kind: IndexKind,
    /// Built without stopping writes (`CONCURRENTLY`, `ALGORITHM=INPLACE LOCK=NONE`).
    pub online: bool,
    /// Its name, where it is said.
    pub name: Option<ColumnName>,
    /// Which rows it holds (`WHERE`), where not all.
    pub predicate: Option<String>,
    /// Does it count NULLs as equal (`NULLS NOT DISTINCT`)?
    pub nulls_equal: bool,
    /// Not on the partitions (`ON ONLY`)?
    pub only: bool,
    /// Nothing happens where one of its name is there (`IF NOT EXISTS`)?
    pub if_not_exists: bool,
}

/// One part of an index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexPart {
    /// A column.
    Column(ColumnName),
    /// The first characters (bytes of binary columns) of a column.
    Prefix(ColumnName, u32),
    /// A SQL expression.
    Expression(String),
}

impl fmt::Display for IndexPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IndexPart::Column(name) => write!(f, "{name}"),
            IndexPart::Prefix(name, length) => write!(f, "{name}({length})"),
            IndexPart::Expression(text) => write!(f, "({text})"),
        }
    }
}

impl Index {
    /// Of whole columns; nothing else is said.
    pub fn new(kind: IndexKind, columns: Vec<ColumnName>) -> Self {
        Self {
            parts: columns.into_iter().map(IndexPart::Column).collect(),
            kind,
            online: false,
            name: None,
            predicate: None,
            nulls_equal: false,
            only: false,
            if_not_exists: false,
        }
    }

    /// The columns that it indexes, whole or by their first characters.
    pub fn columns(&self) -> impl Iterator<Item = &ColumnName> {
        self.parts.iter().filter_map(|part| match part {
            IndexPart::Column(name) | IndexPart::Prefix(name, _) => Some(name),
            IndexPart::Expression(_) => None,
        })
    }

    /// Built without stopping writes, or not.
    #[must_use]
    pub fn with_online(self, online: bool) -> Self {
        Self { online, ..self }
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.parts.is_empty() {
            write!(f, "({})", joined(&self.parts))?;
        }
        write!(f, " {}", self.kind)?;
        if self.online {
            f.write_str(" online")
        } else {
            Ok(())
        }
    }
}

/// The kind of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IndexKind {
    /// Neither of the others.
    Plain,
    /// It allows each value once.
    Unique,
    /// For words in text.
    Fulltext,
    /// For geometry.
    Spatial,
}

impl fmt::Display for IndexKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IndexKind::Plain => "plain",
            IndexKind::Unique => "unique",
            IndexKind::Fulltext => "fulltext",
            IndexKind::Spatial => "spatial",
        })
    }
}
