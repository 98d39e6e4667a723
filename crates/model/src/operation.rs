//! Schema operations: what a migration says it will do to the schema (`schemaHints`).
//!
//! They say what is done, not how a server does it; that is for the rules, which know the server.

use std::fmt;

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
        /// The table.
        table: TableName,
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
            | Operation::RenameTable { table, .. } => table,
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
}

impl Column {
    /// A column of which nothing but the name is said.
    pub fn new(name: ColumnName) -> Self {
        Self {
            name,
            sql_type: None,
            nullable: None,
            default: ServerDefault::NotSaid,
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
        self.sql_type.is_none() && self.nullable.is_none() && self.default == ServerDefault::NotSaid
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
    /// What it indexes; may be empty where an operation does not say.
    pub columns: Vec<ColumnName>,
    /// Its kind.
    pub kind: IndexKind,
    /// Built without stopping writes (`CONCURRENTLY`, `ALGORITHM=INPLACE LOCK=NONE`).
    pub online: bool,
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.columns.is_empty() {
            write!(f, "({})", joined(&self.columns))?;
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
}

impl Constraint {
    /// A kind, and the columns that it binds (a check may name none).
    ///
    /// # Errors
    /// [`OperationError`] where a kind that binds columns has none, or one is named twice.
    pub fn new(kind: ConstraintKind, columns: Vec<ColumnName>) -> Result<Self, OperationError> {
        if !(kind == ConstraintKind::Check && columns.is_empty()) {
            distinct(kind.as_str(), &columns)?;
        }
        Ok(Self { kind, columns })
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
        write!(f, " {}", self.kind)
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
        let generated = words.iter().position(|(_, word)| word == "GENERATED");
        let end = generated.map_or(text.len(), |at| words[at].0);
        let name = text[..end].trim().to_owned();
        if name.is_empty() {
            return Err(SqlTypeError::Empty);
        }
        let filled = match generated {
            Some(at) => generated_clause(&words[at + 1..])?,
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
        let index = Index {
            columns: vec![column("a")],
            kind: IndexKind::Plain,
            online: true,
        };
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
