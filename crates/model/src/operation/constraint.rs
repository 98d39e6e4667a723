//! Constraints, as operations add and drop them.

use std::fmt;

use super::{OperationError, distinct, joined};
use crate::table::{ColumnName, TableName};

/// A constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    kind: ConstraintKind,
    pub(super) columns: Vec<ColumnName>,
    /// Its name, where it is said.
    pub name: Option<ColumnName>,
    /// Of a foreign key: the table that it refers to, where it is said.
    pub references: Option<TableName>,
    /// Of a foreign key: the columns that it refers to; none: the other table's primary key.
    pub referenced: Vec<ColumnName>,
    /// Of a foreign key: what becomes of its rows where the row is deleted that they refer to.
    pub on_delete: Referential,
    /// Of a foreign key: what becomes of its rows where the value is changed that they refer to.
    pub on_update: Referential,
    /// Of a check: its condition; of an exclusion: its elements; where it is said.
    pub expression: Option<String>,
    /// Which rows it is held against.
    pub validity: Validity,
    /// The index that becomes its own (`USING INDEX`), where one is named.
    pub using_index: Option<ColumnName>,
    /// Does a unique one count NULLs as equal (`NULLS NOT DISTINCT`)?
    pub nulls_equal: bool,
    /// Is its kind said? Of `DROP CONSTRAINT name` it is not: the name alone counts then, and the catalogue knows.
    pub kind_said: bool,
    /// Nothing happens where one of its name is there (`IF NOT EXISTS`, MariaDB).
    pub if_not_exists: bool,
}

/// Which rows a constraint is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Validity {
    /// Those that are there, and new ones.
    #[default]
    AllRows,
    /// New ones (`NOT VALID`).
    NewRows,
    /// None (`NOT ENFORCED`).
    NoRow,
}

/// What a foreign key does with its rows where the other table's row goes or changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Referential {
    /// It refuses that, or nothing is said (`RESTRICT`, `NO ACTION`).
    #[default]
    Refuse,
    /// They go or change, too (`CASCADE`).
    Cascade,
    /// They get NULL (`SET NULL`).
    SetNull,
    /// They get their default (`SET DEFAULT`).
    SetDefault,
}

impl Constraint {
    /// A kind, and the columns that it binds (a check or an exclusion may name none).
    ///
    /// # Errors
    /// [`OperationError`] where a kind that binds columns has none, or one is named twice.
    pub fn new(kind: ConstraintKind, columns: Vec<ColumnName>) -> Result<Self, OperationError> {
        let may_name_none = matches!(kind, ConstraintKind::Check | ConstraintKind::Exclude);
        if !(may_name_none && columns.is_empty()) {
            distinct(kind.as_str(), &columns)?;
        }
        Ok(Self {
            columns,
            ..Self::without_columns(kind)
        })
    }

    /// Of a kind whose columns are not said: `ADD PRIMARY KEY USING INDEX`, `DROP FOREIGN KEY name`.
    pub fn without_columns(kind: ConstraintKind) -> Self {
        Self {
            kind,
            columns: Vec::new(),
            name: None,
            references: None,
            referenced: Vec::new(),
            on_delete: Referential::default(),
            on_update: Referential::default(),
            expression: None,
            validity: Validity::AllRows,
            using_index: None,
            nulls_equal: false,
            kind_said: true,
            if_not_exists: false,
        }
    }

    /// Of which nothing but the name is said: `DROP CONSTRAINT name`. Its `kind()` means nothing.
    pub fn only_named(name: ColumnName) -> Self {
        Self {
            name: Some(name),
            kind_said: false,
            ..Self::without_columns(ConstraintKind::Check)
        }
    }

    /// The kind.
    pub fn kind(&self) -> ConstraintKind {
        self.kind
    }

    /// The columns that it binds.
    pub fn columns(&self) -> &[ColumnName] {
        &self.columns
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.columns.is_empty() {
            write!(f, "({})", joined(&self.columns))?;
        }
        match &self.name {
            Some(name) if !self.kind_said => return write!(f, " {name}"),
            Some(name) if self.columns.is_empty() => write!(f, " {name} {}", self.kind)?,
            _ => write!(f, " {}", self.kind)?,
        }
        if let Some(references) = &self.references {
            write!(f, " to {references}")?;
        }
        match self.validity {
            Validity::AllRows => Ok(()),
            Validity::NewRows => f.write_str(" not valid"),
            Validity::NoRow => f.write_str(" not enforced"),
        }
    }
}

/// The kind of a constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConstraintKind {
    /// Each value once.
    Unique,
    /// Each value once, and none NULL.
    PrimaryKey,
    /// No NULL.
    NotNull,
    /// A condition that every row meets.
    Check,
    /// Each value is in another table.
    ForeignKey,
    /// No two rows meet a condition (PostgreSQL); only SQL says it.
    Exclude,
}

impl ConstraintKind {
    /// Its name as users write it.
    pub fn as_str(self) -> &'static str {
        match self {
            ConstraintKind::Unique => "unique",
            ConstraintKind::PrimaryKey => "primaryKey",
            ConstraintKind::NotNull => "notNull",
            ConstraintKind::Check => "check",
            ConstraintKind::ForeignKey => "foreignKey",
            ConstraintKind::Exclude => "exclude",
        }
    }
}

impl fmt::Display for ConstraintKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
