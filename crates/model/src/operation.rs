//! Schema operations: what a migration says it will do to the schema (`schemaHints`), or what its SQL says.
//!
//! They say what is done, not how a server does it; that is for the rules, which know the server. What only SQL can
//! say (a name, a clause, the statement that several operations share) has a default that stands for "not said".

use std::fmt;
use std::time::Duration;

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
    },
    /// Rename a column.
    RenameColumn {
        /// The table.
        table: TableName,
        /// Its name before.
        from: ColumnName,
        /// Its name after.
        to: ColumnName,
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
        /// Its columns, where they are said.
        columns: Vec<ColumnName>,
        /// Without stopping writes (`CONCURRENTLY`, `ALGORITHM=INPLACE LOCK=NONE`).
        online: bool,
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
    },
    /// Create a table.
    CreateTable {
        /// The table.
        table: TableName,
    },
    /// Drop a table.
    DropTable {
        /// The table.
        table: TableName,
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

/// What SQL does to a table besides the operations that hints can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableChange {
    /// `VALIDATE CONSTRAINT`.
    ValidateConstraint {
        /// The constraint.
        name: ColumnName,
    },
    /// Remove all rows: `TRUNCATE`.
    Truncate,
    /// Write the table anew in another order or more densely: `CLUSTER`, `VACUUM FULL`, `OPTIMIZE TABLE`, `ENGINE=`,
    /// `FORCE`, `ROW_FORMAT=`.
    Rebuild,
    /// `SET LOGGED`, `SET UNLOGGED`.
    SetLogged,
    /// `SET TABLESPACE`, `SET ACCESS METHOD`.
    Move,
    /// `REINDEX`.
    Reindex {
        /// `CONCURRENTLY`.
        online: bool,
    },
    /// `ATTACH PARTITION`.
    AttachPartition {
        /// What becomes a partition.
        partition: TableName,
    },
    /// `DETACH PARTITION`.
    DetachPartition {
        /// What was a partition.
        partition: TableName,
        /// `CONCURRENTLY`.
        online: bool,
    },
    /// Create, drop, enable or disable a trigger.
    Trigger,
    /// Storage parameters such as `fillfactor`, and statistics targets.
    Parameters,
    /// `CONVERT TO CHARACTER SET`.
    ConvertCharset {
        /// The character set.
        charset: String,
    },
    /// `RENAME INDEX`, `RENAME CONSTRAINT`, a comment, an owner, a default for new columns: the catalogue alone.
    Catalogue,
    /// `PARTITION BY` and what MySQL and MariaDB do to partitions.
    Partitioning,
    /// Take rows out of sight, or give them back: row security, rules.
    RowSecurity,
}

impl TableChange {
    /// In a line, after the table's name.
    fn words(&self) -> String {
        match self {
            TableChange::ValidateConstraint { name } => format!("validate constraint {name}"),
            TableChange::Truncate => "truncate".to_owned(),
            TableChange::Rebuild => "rebuild".to_owned(),
            TableChange::SetLogged => "set logged or unlogged".to_owned(),
            TableChange::Move => "move".to_owned(),
            TableChange::Reindex { online: false } => "reindex".to_owned(),
            TableChange::Reindex { online: true } => "reindex online".to_owned(),
            TableChange::AttachPartition { partition } => format!("attach partition {partition}"),
            TableChange::DetachPartition { partition, online } => {
                let online = if *online { " online" } else { "" };
                format!("detach partition {partition}{online}")
            }
            TableChange::Trigger => "trigger".to_owned(),
            TableChange::Parameters => "parameters".to_owned(),
            TableChange::ConvertCharset { charset } => format!("convert to {charset}"),
            TableChange::Catalogue => "catalogue".to_owned(),
            TableChange::Partitioning => "partitioning".to_owned(),
            TableChange::RowSecurity => "row security".to_owned(),
        }
    }
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
        Ok(Operation::DropColumn { table, columns })
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
            | Operation::CreateTable { table }
            | Operation::DropTable { table }
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
                columns, online, ..
            } => {
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
            Operation::CreateTable { .. } | Operation::DropTable { .. } => Ok(()),
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
    /// Is it defined anew (`MODIFY`, `CHANGE`), so that what is not said is dropped?
    pub redefined: bool,
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
            redefined: false,
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

    fn says_nothing(&self) -> bool {
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

/// A constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    kind: ConstraintKind,
    columns: Vec<ColumnName>,
    /// Its name, where it is said.
    pub name: Option<ColumnName>,
    /// Of a foreign key: the table that it refers to, where it is said.
    pub references: Option<TableName>,
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
            expression: None,
            validity: Validity::AllRows,
            using_index: None,
            nulls_equal: false,
            kind_said: true,
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

/// Why a text is not the type of a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlTypeError {
    /// Nothing stands before the first clause.
    #[error("it names no type")]
    Empty,
    /// Longer than any type is.
    #[error("it is {len} bytes long, {TYPE_BYTES_MAX} are allowed")]
    TooLong {
        /// Length in bytes.
        len: usize,
    },
    /// A clause that belongs in a field of its own.
    #[error("it holds {clause}; {instead}")]
    Clause {
        /// The clause's keyword.
        clause: String,
        /// Where it belongs.
        instead: &'static str,
    },
    /// A `GENERATED` clause that is none.
    #[error(
        "its GENERATED clause is neither ALWAYS or BY DEFAULT AS IDENTITY nor ALWAYS AS (expression)"
    )]
    Generated,
    /// A control character, or several statements.
    #[error("it holds a semicolon, a comment or a control character")]
    NotAType,
}

/// Longer than any type of any server with its clauses, short enough for a line of output.
const TYPE_BYTES_MAX: usize = 1000;

/// The type of a column as an operation writes it, and how the server fills the column where the type says so.
///
/// ```
/// use dbop_model::operation::{Filled, SqlType};
///
/// assert_eq!("numeric(10,2)".parse::<SqlType>().unwrap().filled(), Filled::No);
/// let id: SqlType = "bigint GENERATED ALWAYS AS IDENTITY".parse().unwrap();
/// assert_eq!((id.name(), id.filled()), ("bigint", Filled::Identity));
/// assert!("text NOT NULL".parse::<SqlType>().is_err()); // say `nullable: false`
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlType {
    text: String,
    name: String,
    filled: Filled,
}

/// How the type of a column makes the server fill it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Filled {
    /// It does not.
    No,
    /// From a sequence: `serial` and its sizes.
    Serial,
    /// By counting on: `AUTO_INCREMENT` (MySQL, MariaDB).
    AutoIncrement,
    /// `GENERATED ... AS IDENTITY`.
    Identity,
    /// `GENERATED ALWAYS AS (...) STORED`: computed when a row is written.
    Stored,
    /// `GENERATED ALWAYS AS (...) VIRTUAL`: computed when a row is read.
    Virtual,
    /// `GENERATED ALWAYS AS (...)`, without saying which of the two.
    StoredOrVirtual,
}

impl SqlType {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The type alone, without a `GENERATED` clause.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the server fills the column.
    pub fn filled(&self) -> Filled {
        self.filled
    }
}

impl std::str::FromStr for SqlType {
    type Err = SqlTypeError;

    fn from_str(text: &str) -> Result<Self, SqlTypeError> {
        let text = text.trim();
        if text.len() > TYPE_BYTES_MAX {
            return Err(SqlTypeError::TooLong { len: text.len() });
        }
        let words = words(text)?;
        for (_, word) in &words {
            if let Some((_, instead)) = CLAUSES.iter().find(|(clause, _)| clause == word) {
                return Err(SqlTypeError::Clause {
                    clause: word.clone(),
                    instead,
                });
            }
        }
        let counts = words.iter().position(|(_, word)| word == "AUTO_INCREMENT");
        let generated = words.iter().position(|(_, word)| word == "GENERATED");
        let end = generated.or(counts).map_or(text.len(), |at| words[at].0);
        let name = text[..end].trim().to_owned();
        if name.is_empty() {
            return Err(SqlTypeError::Empty);
        }
        let filled = match generated {
            Some(at) => generated_clause(&words[at + 1..])?,
            None if counts.is_some() => Filled::AutoIncrement,
            None if SERIAL_TYPES.contains(&name.to_ascii_lowercase().as_str()) => Filled::Serial,
            None => Filled::No,
        };
        Ok(SqlType {
            text: text.to_owned(),
            name,
            filled,
        })
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// PostgreSQL manual, section 8.1.4, and their other spellings.
const SERIAL_TYPES: [&str; 6] = [
    "serial",
    "bigserial",
    "smallserial",
    "serial2",
    "serial4",
    "serial8",
];

/// Clauses of a column definition that are fields or operations of their own here.
const CLAUSES: [(&str, &str); 8] = [
    ("NOT", "write nullable: false"),
    ("NULL", "write nullable: true"),
    ("DEFAULT", "write it as default"),
    ("UNIQUE", "write an addConstraint of kind unique"),
    ("PRIMARY", "write an addConstraint of kind primaryKey"),
    ("CHECK", "write an addConstraint of kind check"),
    ("REFERENCES", "write an addConstraint of kind foreignKey"),
    ("CONSTRAINT", "write an addConstraint"),
];

fn generated_clause(words: &[(usize, String)]) -> Result<Filled, SqlTypeError> {
    let words: Vec<&str> = words.iter().map(|(_, word)| word.as_str()).collect();
    match words.as_slice() {
        ["ALWAYS", "AS", "IDENTITY"]
        | ["ALWAYS", "AS", "IDENTITY", "()"]
        | ["BY", "BYDEFAULT", "AS", "IDENTITY"]
        | ["BY", "BYDEFAULT", "AS", "IDENTITY", "()"] => Ok(Filled::Identity),
        ["ALWAYS", "AS", "()", "STORED"] => Ok(Filled::Stored),
        ["ALWAYS", "AS", "()", "VIRTUAL"] => Ok(Filled::Virtual),
        ["ALWAYS", "AS", "()"] => Ok(Filled::StoredOrVirtual),
        _ => Err(SqlTypeError::Generated),
    }
}

/// The bare words of a type, upper-cased, with where each begins. What is quoted is left out; what stands
/// in parentheses is one word `()`. The DEFAULT of `BY DEFAULT` is `BYDEFAULT`, so that it is no clause.
fn words(text: &str) -> Result<Vec<(usize, String)>, SqlTypeError> {
    if text.contains(';') || text.contains("--") || text.contains("/*") {
        return Err(SqlTypeError::NotAType);
    }
    if text.chars().any(char::is_control) {
        return Err(SqlTypeError::NotAType);
    }
    let mut words: Vec<(usize, String)> = Vec::new();
    let (mut depth, mut quote, mut in_word) = (0_usize, None::<char>, false);
    for (at, c) in text.char_indices() {
        if let Some(open) = quote {
            if c == open {
                quote = None;
            }
            continue;
        }
        let is_word = c.is_alphanumeric() || c == '_';
        match c {
            '\'' | '"' | '`' => quote = Some(c),
            '(' => {
                if depth == 0 {
                    words.push((at, "()".to_owned()));
                }
                depth += 1;
            }
            ')' => depth = depth.checked_sub(1).ok_or(SqlTypeError::NotAType)?,
            _ if is_word && depth == 0 => match words.last_mut() {
                Some((_, word)) if in_word => word.extend(c.to_uppercase()),
                _ => words.push((at, c.to_uppercase().collect())),
            },
            _ => {}
        }
        in_word = is_word && depth == 0;
    }
    if depth != 0 || quote.is_some() {
        return Err(SqlTypeError::NotAType);
    }
    for at in 1..words.len() {
        if words[at].1 == "DEFAULT" && words[at - 1].1 == "BY" {
            words[at].1 = "BYDEFAULT".to_owned();
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TableName {
        "app.users".parse().unwrap()
    }

    fn column(name: &str) -> ColumnName {
        name.parse().unwrap()
    }

    #[track_caller]
    fn check_type(text: &str, expect: Result<(&str, Filled), &str>) {
        let got = text.parse::<SqlType>();
        match (&got, expect) {
            (Ok(got), Ok(expect)) => assert_eq!((got.name(), got.filled()), expect, "{text}"),
            (Err(error), Err(expect)) => {
                assert!(error.to_string().contains(expect), "{text}: {error}");
            }
            _ => panic!("{text}: got {got:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn types_are_read() {
        check_type(" text ", Ok(("text", Filled::No)));
        check_type(
            "timestamp with time zone",
            Ok(("timestamp with time zone", Filled::No)),
        );
        check_type("app.\"not null\"", Ok(("app.\"not null\"", Filled::No)));
        check_type(
            "enum('default','not')",
            Ok(("enum('default','not')", Filled::No)),
        );
        check_type("BigSerial", Ok(("BigSerial", Filled::Serial)));
        check_type(
            "int generated by default as identity",
            Ok(("int", Filled::Identity)),
        );
        check_type(
            "int generated always as identity (start with 10)",
            Ok(("int", Filled::Identity)),
        );
        check_type(
            "int generated by default as identity(cycle)",
            Ok(("int", Filled::Identity)),
        );
        check_type(
            "int generated always as (a*(2)) stored",
            Ok(("int", Filled::Stored)),
        );
        check_type(
            "int GENERATED ALWAYS AS (a) VIRTUAL",
            Ok(("int", Filled::Virtual)),
        );
        check_type(
            "int generated always as (a)",
            Ok(("int", Filled::StoredOrVirtual)),
        );
    }

    #[test]
    fn what_is_more_than_a_type_is_refused() {
        check_type("", Err("names no type"));
        check_type("generated always as identity", Err("names no type"));
        check_type("int generated sometimes", Err("GENERATED"));
        check_type("text not null", Err("nullable: false"));
        check_type("text null", Err("nullable: true"));
        check_type("int default 3", Err("as default"));
        check_type("text unique", Err("kind unique"));
        check_type("int references users(id)", Err("foreignKey"));
        check_type("int; drop table x", Err("semicolon"));
        check_type("int)", Err("semicolon"));
        check_type("varchar(1", Err("semicolon"));
        check_type(&"x".repeat(1001), Err("1001 bytes"));
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(
            Operation::add_column(table(), vec![]),
            Err(OperationError::NoColumns { op: "addColumn" })
        );
        assert_eq!(
            Operation::add_column(
                table(),
                vec![Column::new(column("a")), Column::new(column("a"))]
            ),
            Err(OperationError::ColumnTwice {
                op: "addColumn",
                column: column("a")
            })
        );
        assert_eq!(
            Operation::alter_column(table(), vec![Column::new(column("a"))]),
            Err(OperationError::NothingAltered {
                column: column("a")
            })
        );
        assert_eq!(
            ServerDefault::new(Some(false), Some("3")),
            Err(OperationError::DefaultContradicts)
        );
        assert_eq!(
            ServerDefault::new(None, Some(" ")),
            Err(OperationError::DefaultEmpty)
        );
        assert_eq!(
            Constraint::new(ConstraintKind::NotNull, vec![]),
            Err(OperationError::NoColumns { op: "notNull" })
        );
        assert!(Constraint::new(ConstraintKind::Check, vec![]).is_ok());
    }

    #[test]
    fn operations_read_as_a_line() {
        let email = Column::new(column("email"))
            .with_type("text".parse().unwrap())
            .with_nullable(false)
            .with_default(ServerDefault::new(None, Some("''")).unwrap());
        let add = Operation::add_column(table(), vec![email.clone()]).unwrap();
        assert_eq!(
            add.to_string(),
            "addColumn app.users.email text NOT NULL DEFAULT ''"
        );
        let two = vec![email, Column::new(column("b"))];
        let add = Operation::add_column(table(), two).unwrap();
        assert_eq!(
            add.to_string(),
            "addColumn app.users(email text NOT NULL DEFAULT '', b)"
        );
        let unique = Constraint::new(ConstraintKind::Unique, vec![column("a"), column("b")]);
        let add = Operation::AddConstraint {
            table: table(),
            constraint: unique.unwrap(),
        };
        assert_eq!(add.to_string(), "addConstraint app.users(a, b) unique");
        let index = Index::new(IndexKind::Plain, vec![column("a")]).with_online(true);
        let create = Operation::CreateIndex {
            table: table(),
            index,
        };
        assert_eq!(create.to_string(), "createIndex app.users(a) plain online");
        let rename = Operation::RenameTable {
            table: table(),
            to: "app.people".parse().unwrap(),
        };
        assert_eq!(rename.to_string(), "renameTable app.users to app.people");
    }
}
