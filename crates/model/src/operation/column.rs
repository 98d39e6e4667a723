//! Columns, as operations add and change them.

use std::fmt;

use super::{Constraint, OperationError, SqlType};
use crate::table::ColumnName;

/// A column that is added, or what is changed of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: ColumnName,
    /// Its type; `None`: not said (added), or not changed.
    pub sql_type: Option<SqlType>,
    /// May it hold NULL; `None`: yes (added), or not changed.
    pub nullable: Option<bool>,
    /// Its server default.
    pub default: ServerDefault,
    /// Its character set, where it is said.
    pub charset: Option<String>,
    /// Its collation, where it is said.
    pub collation: Option<String>,
    /// The expression that makes the new values of the old ones (`USING`), where there is one.
    pub using: Option<String>,
    /// Constraints that stand in the column's own definition, each about this column alone.
    pub constraints: Vec<Constraint>,
    /// Is its place among the columns said (`FIRST`, `AFTER`)?
    pub placed: bool,
    /// The column behind which its place is (`AFTER`), where that is said.
    pub after: Option<ColumnName>,
    /// Is it defined anew (`MODIFY`, `CHANGE`), so that what is not said is dropped?
    pub redefined: bool,
    /// Of one that is added: nothing happens where one of its name is there (`IF NOT EXISTS`).
    pub if_not_exists: bool,
    /// Of one that is changed: nothing happens where it is not there (`IF EXISTS`, MariaDB).
    pub if_exists: bool,
}

impl Column {
    /// A column of which nothing but the name is said.
    pub fn new(name: ColumnName) -> Self {
        Self {
            name,
            sql_type: None,
            nullable: None,
            default: ServerDefault::NotSaid,
            charset: None,
            collation: None,
            using: None,
            constraints: Vec::new(),
            placed: false,
            after: None,
            redefined: false,
            if_not_exists: false,
            if_exists: false,
        }
    }

    /// With a type.
    #[must_use]
    pub fn with_type(self, sql_type: SqlType) -> Self {
        Self {
            sql_type: Some(sql_type),
            ..self
        }
    }

    /// With a nullability.
    #[must_use]
    pub fn with_nullable(self, nullable: bool) -> Self {
        Self {
            nullable: Some(nullable),
            ..self
        }
    }

    /// With a server default.
    #[must_use]
    pub fn with_default(self, default: ServerDefault) -> Self {
        Self { default, ..self }
    }

    pub(super) fn says_nothing(&self) -> bool {
        self.sql_type.is_none()
            && self.nullable.is_none()
            && self.default == ServerDefault::NotSaid
            && !self.redefined
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if let Some(sql_type) = &self.sql_type {
            write!(f, " {sql_type}")?;
        }
        match self.nullable {
            Some(true) => f.write_str(" NULL")?,
            Some(false) => f.write_str(" NOT NULL")?,
            None => {}
        }
        match &self.default {
            ServerDefault::NotSaid => Ok(()),
            ServerDefault::Absent => f.write_str(" without server default"),
            ServerDefault::Present => f.write_str(" with a server default"),
            ServerDefault::Expression(expression) => write!(f, " DEFAULT {expression}"),
        }
    }
}

/// The server default of a column, as far as an operation says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerDefault {
    /// Not said: none (added), or not changed.
    NotSaid,
    /// There is none (any more).
    Absent,
    /// There is one, and the operation does not say which.
    Present,
    /// This SQL expression.
    Expression(String),
}

impl ServerDefault {
    /// From the fields that users write: `hasServerDefault` and `default`.
    ///
    /// # Errors
    /// [`OperationError`] where the two contradict each other, or the expression is empty.
    pub fn new(present: Option<bool>, expression: Option<&str>) -> Result<Self, OperationError> {
        match (present, expression) {
            (Some(false), Some(_)) => Err(OperationError::DefaultContradicts),
            (_, Some(text)) if text.trim().is_empty() => Err(OperationError::DefaultEmpty),
            (_, Some(text)) => Ok(ServerDefault::Expression(text.trim().to_owned())),
            (Some(true), None) => Ok(ServerDefault::Present),
            (Some(false), None) => Ok(ServerDefault::Absent),
            (None, None) => Ok(ServerDefault::NotSaid),
        }
    }
}
