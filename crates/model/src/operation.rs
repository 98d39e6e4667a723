//! Schema operations: what a migration says it will do to the schema (`schemaHints`), or what its SQL says.
//!
//! They say what is done, not how a server does it; that is for the rules, which know the server. What only SQL can
//! say (a name, a clause, the statement that several operations share) has a default that stands for "not said".

mod change;
mod column;
mod constraint;
mod fold;
mod index;
mod partitioning;
mod sql_type;
mod statement;
#[cfg(test)]
mod tests;

use std::fmt;

pub use change::{Filling, TableChange};
pub use column::{Column, ServerDefault};
pub use constraint::{Constraint, ConstraintKind, Referential, Validity};
pub use index::{Index, IndexKind, IndexPart};
pub use partitioning::{
    NewPartition, PartitionBound, PartitionBy, PartitionChange, PartitionMethod, PartitionVerb,
    Partitioning,
};
pub use sql_type::{Filled, SqlType, SqlTypeError};
pub use statement::{Algorithm, Around, Locking, Reading, ReadingKind, Session, Statement};

use crate::table::{ColumnName, IdentifierError, TableName};

/// Why the parts of an operation do not make one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The operation is about columns and names none.
    #[error("{op} needs at least one column")]
    NoColumns {
        /// The operation, as users write it.
        op: &'static str,
    },
    /// A column is named twice.
    #[error("{op} names the column {column} twice")]
    ColumnTwice {
        /// The operation, as users write it.
        op: &'static str,
        /// The column.
        column: ColumnName,
    },
    /// An alterColumn that says nothing to change.
    #[error(
        "alterColumn of {column} changes nothing; give the new type, nullable, hasServerDefault or default"
    )]
    NothingAltered {
        /// The column.
        column: ColumnName,
    },
    /// `hasServerDefault: false` beside a default.
    #[error("has both a default and hasServerDefault: false; drop one of them")]
    DefaultContradicts,
    /// A default with nothing in it.
    #[error("has an empty default; write the SQL expression, or leave it out")]
    DefaultEmpty,
    /// The type is not one.
    #[error("has a type that cannot be read: {0}")]
    Type(#[from] SqlTypeError),
    /// A name is not one.
    #[error("has a name that {0}")]
    Name(#[from] IdentifierError),
}

/// One operation on the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Add columns to a table, in one statement.
    AddColumn {
        /// The table.
        table: TableName,
        /// The columns, at least one.
        columns: Vec<Column>,
    },
    /// Change the type, nullability or default of columns, in one statement.
    AlterColumn {
        /// The table.
        table: TableName,
        /// What each becomes, at least one; what a column does not mention stays.
        columns: Vec<Column>,
    },
    /// Drop columns.
    DropColumn {
        /// The table.
        table: TableName,
        /// The columns, at least one.
        columns: Vec<ColumnName>,
        /// What is said of columns that are not there, and of what depends on them.
        dropping: Dropping,
    },
    /// Rename a column.
    RenameColumn {
        /// The table.
        table: TableName,
        /// Its name before.
        from: ColumnName,
        /// Its name after.
        to: ColumnName,
        /// Nothing happens where it is not there (`IF EXISTS`, MariaDB).
        if_exists: bool,
    },
    /// Create an index.
    CreateIndex {
        /// The table.
        table: TableName,
        /// The index.
        index: Index,
    },
    /// Drop an index.
    DropIndex {
        /// The table; of a statement that names the index alone (PostgreSQL): the index, with its schema.
        table: TableName,
        /// Does `table` name the index?
        by_name: bool,
        /// Its name, where it stands beside a table's.
        name: Option<ColumnName>,
        /// Its columns, where they are said.
        columns: Vec<ColumnName>,
        /// Without stopping writes (`CONCURRENTLY`, `ALGORITHM=INPLACE LOCK=NONE`).
        online: bool,
        /// What is said of one that is not there, and of what depends on it.
        dropping: Dropping,
    },
    /// Add a constraint.
    AddConstraint {
        /// The table.
        table: TableName,
        /// The constraint.
        constraint: Constraint,
    },
    /// Drop a constraint.
    DropConstraint {
        /// The table.
        table: TableName,
        /// The constraint.
        constraint: Constraint,
        /// What is said of one that is not there, and of what depends on it.
        dropping: Dropping,
    },
    /// Create a table.
    CreateTable {
        /// The table.
        table: TableName,
        /// Nothing happens where one of its name is there (`IF NOT EXISTS`).
        if_not_exists: bool,
        /// Its columns, as far as they are said (SQL).
        columns: Vec<Column>,
        /// Are these all of its columns, and does the rest of the statement say all of its keys?
        complete: bool,
        /// How it is stored, as far as that is said (MySQL, MariaDB).
        options: TableOptions,
    },
    /// Drop a table.
    DropTable {
        /// The table.
        table: TableName,
        /// What is said of one that is not there, and of what depends on it.
        dropping: Dropping,
    },
    /// Create a view, materialized or not.
    CreateView {
        /// The view, whose name is one among tables'.
        table: TableName,
        /// One of its name is no obstacle (`OR REPLACE`, `IF NOT EXISTS`).
        or_there: bool,
    },
    /// Drop a view, materialized or not.
    DropView {
        /// The view, whose name is one among tables'.
        table: TableName,
        /// What is said of one that is not there, and of what depends on it.
        dropping: Dropping,
    },
    /// Rename a table.
    RenameTable {
        /// Its name before.
        table: TableName,
        /// Its name after.
        to: TableName,
    },
    /// Change a table in a way that hints cannot say, and SQL can.
    ChangeTable {
        /// The table.
        table: TableName,
        /// How.
        change: TableChange,
    },
}

/// What a new table says of how it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableOptions {
    /// The storage engine.
    pub engine: Option<String>,
    /// The character set of columns that say none.
    pub charset: Option<String>,
    /// The collation of columns that say none.
    pub collation: Option<String>,
    /// The row format.
    pub row_format: Option<String>,
    /// The columns by which it is partitioned, where they are columns alone (PostgreSQL).
    pub split_by: Vec<ColumnName>,
}

/// What a drop says of what is not there, and of what depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropping {
    /// Nothing happens where it is not there (`IF EXISTS`).
    pub if_exists: bool,
    /// What depends on it goes with it (`CASCADE`).
    pub cascade: bool,
}

impl Operation {
    /// Adds columns.
    ///
    /// # Errors
    /// [`OperationError`] without a column, or with one named twice.
    pub fn add_column(table: TableName, columns: Vec<Column>) -> Result<Self, OperationError> {
        distinct("addColumn", columns.iter().map(|column| &column.name))?;
        Ok(Operation::AddColumn { table, columns })
    }

    /// Alters columns.
    ///
    /// # Errors
    /// [`OperationError`] without a column, with one named twice, or one that changes nothing.
    pub fn alter_column(table: TableName, columns: Vec<Column>) -> Result<Self, OperationError> {
        distinct("alterColumn", columns.iter().map(|column| &column.name))?;
        if let Some(idle) = columns.iter().find(|column| column.says_nothing()) {
            return Err(OperationError::NothingAltered {
                column: idle.name.clone(),
            });
        }
        Ok(Operation::AlterColumn { table, columns })
    }

    /// Drops columns.
    ///
    /// # Errors
    /// [`OperationError`] without a column, or with one named twice.
    pub fn drop_column(table: TableName, columns: Vec<ColumnName>) -> Result<Self, OperationError> {
        distinct("dropColumn", &columns)?;
        Ok(Operation::DropColumn {
            table,
            columns,
            dropping: Dropping::default(),
        })
    }

    /// The table that it is about, by its name before the operation.
    pub fn table(&self) -> &TableName {
        match self {
            Operation::AddColumn { table, .. }
            | Operation::AlterColumn { table, .. }
            | Operation::DropColumn { table, .. }
            | Operation::RenameColumn { table, .. }
            | Operation::CreateIndex { table, .. }
            | Operation::DropIndex { table, .. }
            | Operation::AddConstraint { table, .. }
            | Operation::DropConstraint { table, .. }
            | Operation::CreateTable { table, .. }
            | Operation::DropTable { table, .. }
            | Operation::CreateView { table, .. }
            | Operation::DropView { table, .. }
            | Operation::RenameTable { table, .. }
            | Operation::ChangeTable { table, .. } => table,
        }
    }

    /// The columns that it makes NOT NULL in rows that are there, so that the server has to be sure of each.
    pub fn becoming_not_null(&self) -> Vec<&ColumnName> {
        match self {
            Operation::AlterColumn { columns, .. } => columns
                .iter()
                .filter(|column| column.nullable == Some(false))
                .map(|column| &column.name)
                .collect(),
            Operation::AddConstraint { constraint, .. }
                if matches!(
                    constraint.kind(),
                    ConstraintKind::NotNull | ConstraintKind::PrimaryKey
                ) && constraint.validity == Validity::AllRows =>
            {
                constraint.columns().iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Its name as users write it.
    pub fn op(&self) -> &'static str {
        match self {
            Operation::AddColumn { .. } => "addColumn",
            Operation::AlterColumn { .. } => "alterColumn",
            Operation::DropColumn { .. } => "dropColumn",
            Operation::RenameColumn { .. } => "renameColumn",
            Operation::CreateIndex { .. } => "createIndex",
            Operation::DropIndex { .. } => "dropIndex",
            Operation::AddConstraint { .. } => "addConstraint",
            Operation::DropConstraint { .. } => "dropConstraint",
            Operation::CreateTable { .. } => "createTable",
            Operation::DropTable { .. } => "dropTable",
            Operation::CreateView { .. } => "createView",
            Operation::DropView { .. } => "dropView",
            Operation::RenameTable { .. } => "renameTable",
            Operation::ChangeTable { .. } => "changeTable",
        }
    }
}

fn distinct<'a>(
    op: &'static str,
    columns: impl IntoIterator<Item = &'a ColumnName>,
) -> Result<(), OperationError> {
    let mut seen = std::collections::BTreeSet::new();
    for column in columns {
        if !seen.insert(column) {
            return Err(OperationError::ColumnTwice {
                op,
                column: column.clone(),
            });
        }
    }
    if seen.is_empty() {
        Err(OperationError::NoColumns { op })
    } else {
        Ok(())
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.op(), self.table())?;
        match self {
            Operation::AddColumn { columns, .. } | Operation::AlterColumn { columns, .. } => {
                match columns.as_slice() {
                    [one] => write!(f, ".{one}"),
                    several => write!(f, "({})", joined(several)),
                }
            }
            Operation::DropColumn { columns, .. } => match columns.as_slice() {
                [one] => write!(f, ".{one}"),
                several => write!(f, "({})", joined(several)),
            },
            Operation::RenameColumn { from, to, .. } => write!(f, ".{from} to {to}"),
            Operation::CreateIndex { index, .. } => write!(f, "{index}"),
            Operation::DropIndex {
                name,
                columns,
                online,
                ..
            } => {
                if let Some(name) = name {
                    write!(f, ".{name}")?;
                }
                if !columns.is_empty() {
                    write!(f, "({})", joined(columns))?;
                }
                if *online {
                    f.write_str(" online")
                } else {
                    Ok(())
                }
            }
            Operation::AddConstraint { constraint, .. }
            | Operation::DropConstraint { constraint, .. } => write!(f, "{constraint}"),
            Operation::CreateTable { .. }
            | Operation::DropTable { .. }
            | Operation::CreateView { .. }
            | Operation::DropView { .. } => Ok(()),
            Operation::RenameTable { to, .. } => write!(f, " to {to}"),
            Operation::ChangeTable { change, .. } => write!(f, " {}", change.words()),
        }
    }
}

fn joined<T: fmt::Display>(items: &[T]) -> String {
    items
        .iter()
        .map(T::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
