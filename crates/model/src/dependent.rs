//! What hangs on a table and its parts, and what bears a name: by these a server refuses statements whatever the rows.
//!
//! What hangs on what, and what it stops, is the backend's to say, which knows its server; the rules only ask whether
//! an earlier statement of the same migration has taken it away.

use std::fmt;

use crate::table::{ColumnName, TableName};

/// Something that hangs on a part of a table, so that a server refuses to drop or change the part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependent {
    /// What it is.
    pub kind: DependentKind,
    /// The table or view that it is, or that it is part of; `None`: the very table that was asked about, or none.
    pub table: Option<TableName>,
    /// Its name in that table, of a column, constraint, trigger or policy; or its own name, of a function.
    pub name: Option<ColumnName>,
    /// What it hangs on.
    pub on: PartOf,
    /// What it stops.
    pub stops: Stops,
    /// Does `CASCADE` take it along, where a drop is stopped?
    pub cascade: bool,
}

/// Kinds of what hangs on tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DependentKind {
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A rewrite rule.
    Rule,
    /// A column that is computed from others.
    GeneratedColumn,
    /// The key by which the table is partitioned.
    PartitionKey,
    /// The table that a column is inherited from.
    Parent,
    /// A table that inherits.
    Child,
    /// A foreign key, of another table to this one or of this one.
    ForeignKey,
    /// A CHECK.
    Check,
    /// An index, over an expression perhaps.
    Index,
    /// A trigger.
    Trigger,
    /// A policy of row security.
    Policy,
    /// A function or procedure.
    Function,
    /// What a publication takes of the table.
    Publication,
    /// A column of another table whose type is this table's row.
    RowType,
    /// The sequence behind an identity column. It stops nothing but making the column nullable.
    Identity,
    /// Anything else.
    Other,
}

impl DependentKind {
    /// In a sentence: "view".
    pub fn as_str(self) -> &'static str {
        match self {
            DependentKind::View => "view",
            DependentKind::MaterializedView => "materialized view",
            DependentKind::Rule => "rule",
            DependentKind::GeneratedColumn => "generated column",
            DependentKind::PartitionKey => "partition key",
            DependentKind::Parent => "parent",
            DependentKind::Child => "child table",
            DependentKind::ForeignKey => "foreign key",
            DependentKind::Check => "CHECK",
            DependentKind::Index => "index",
            DependentKind::Trigger => "trigger",
            DependentKind::Policy => "policy",
            DependentKind::Function => "function",
            DependentKind::Publication => "publication",
            DependentKind::RowType => "column of this row type",
            DependentKind::Identity => "identity",
            DependentKind::Other => "object",
        }
    }
}

/// A part of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartOf {
    /// The table as a whole.
    Table,
    /// A column of it.
    Column(ColumnName),
    /// A constraint of it.
    Constraint(ColumnName),
    /// An index of it.
    Index(ColumnName),
}

/// What a dependent stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Stops {
    /// Dropping the part.
    pub drop: bool,
    /// Changing a column's type.
    pub change_type: bool,
    /// Renaming the part.
    pub rename: bool,
}

impl fmt::Display for Dependent {
    /// "view app.sees", "foreign key u_t_id_fkey of app.u", "generated column twice".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        match (&self.name, &self.table) {
            (Some(name), Some(table)) => write!(f, " {name} of {table}"),
            (Some(name), None) => write!(f, " {name}"),
            (None, Some(table)) => write!(f, " {table}"),
            (None, None) => Ok(()),
        }
    }
}

/// What bears a name among those of tables. In PostgreSQL indexes, views and sequences share them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its name, with its schema where the server has schemas.
    pub name: TableName,
    /// What it is.
    pub kind: RelationKind,
    /// Of an index: its table.
    pub of: Option<TableName>,
}

/// Kinds of what shares the names of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RelationKind {
    /// A table, partitioned or foreign ones too.
    Table,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// An index.
    Index,
    /// A sequence.
    Sequence,
    /// A composite type, or another type of the name, which a table's own row type would collide with.
    Type,
}

impl RelationKind {
    /// In a sentence: "materialized view".
    pub fn as_str(self) -> &'static str {
        match self {
            RelationKind::Table => "table",
            RelationKind::View => "view",
            RelationKind::MaterializedView => "materialized view",
            RelationKind::Index => "index",
            RelationKind::Sequence => "sequence",
            RelationKind::Type => "type",
        }
    }
}

/// A partition, and which rows are its.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its table, with its schema.
    pub table: TableName,
    /// Which rows are its, as the server writes it: `FOR VALUES FROM (1) TO (9)`, `DEFAULT`.
    pub bound: String,
    /// About how many rows it has; `None`: it was never analysed.
    pub rows: Option<u64>,
}

/// How a table is split into partitions (PostgreSQL).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partitioned {
    /// By what, as the server writes it: `RANGE (id)`.
    pub by: String,
    /// Those that it has.
    pub partitions: Vec<Partition>,
}

/// A question about the rows of a table. Each is answered by a bounded probe, and never by a value of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowProbe {
    /// Is there a row that does not meet a condition, as a CHECK would have it (NULL meets it)?
    Violates {
        /// The condition, as a migration or the server wrote it.
        condition: String,
        /// A column that the statement adds, which the condition may be about.
        with: Option<NewColumn>,
    },
    /// Is there a row that does not meet a constraint of the catalogue, a CHECK or a foreign key?
    Unmet {
        /// The constraint's name.
        constraint: ColumnName,
    },
    /// Is there a row that would be in no partition of these bounds?
    OutOfBound {
        /// The partitioned table, as it is called today.
        parent: TableName,
        /// The bound, as a migration wrote it: `FOR VALUES FROM (1) TO (9)`.
        bound: String,
    },
    /// Is there a row that would be in no partition of a table that is split anew (MySQL, MariaDB)?
    OutOfPartitions {
        /// What is true of rows that are in one.
        condition: String,
    },
    /// Is there a row in the default partition that would be in another one of these bounds?
    InDefault {
        /// The bound, as a migration wrote it.
        bound: String,
    },
    /// Is there a value that the other table does not have?
    Orphan {
        /// The columns that refer.
        columns: Vec<ColumnName>,
        /// The other table, as it is called today.
        other: TableName,
        /// What they refer to; none: the other table's primary key.
        referenced: Vec<ColumnName>,
        /// A column that the statement adds, and that is the one that refers.
        with: Option<NewColumn>,
    },
    /// Is the value that every row gets in a new column none of its type, a domain with conditions?
    NoValueOf {
        /// The column.
        with: NewColumn,
    },
    /// Is there a row for which what is computed for a new column is no value of it: none of its type, or NULL where it
    /// holds none (MySQL, MariaDB)?
    Uncomputable {
        /// The column.
        with: NewColumn,
    },
    /// Is there a text that another character set lacks a letter of (MySQL, MariaDB)?
    Unsayable {
        /// What the text becomes.
        text: Retyped,
    },
    /// Do two rows get the same key of a unique index by what its columns become (MySQL, MariaDB)?
    Alike {
        /// What the columns become.
        columns: Retyped,
    },
    /// Is there a value that does not become one of another type?
    Unconvertible {
        /// The column.
        column: ColumnName,
        /// The type that it gets, without clauses.
        sql_type: String,
        /// The expression that makes the new values, where there is one.
        using: Option<String>,
    },
}

/// A column that a statement adds, and the value that every row of today gets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NewColumn {
    /// Its name.
    pub name: ColumnName,
    /// Its type, without clauses.
    pub sql_type: String,
    /// Its default as a SQL expression; `None`: NULL.
    pub value: Option<String>,
    /// May it hold NULL?
    pub nullable: bool,
}

/// What a statement makes of columns that are there (MySQL, MariaDB).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Retyped {
    /// The column; `None`: every one of text.
    pub column: Option<ColumnName>,
    /// Its new type without clauses; `None`: it keeps the one that it has.
    pub sql_type: Option<String>,
    /// The new character set, where it is said.
    pub charset: Option<String>,
    /// The new collation, where it is said. Where neither is, it gets the table's own.
    pub collation: Option<String>,
}

/// What a probe of rows found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowsProbed {
    /// Is there such a row?
    pub found: bool,
    /// How long the probe took on the server.
    pub took: std::time::Duration,
}
