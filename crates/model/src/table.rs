//! Tables: their names, and what was seen of them in a live database.
//!
//! Hint rules ask for facts with [`FactRequest`] and read them from a [`TableFactsSet`]; how a database
//! backend gathers them is not said here. No value of user data is ever kept: counts, sizes, types and
//! the names in the catalogue are.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use crate::fact::{Fact, Why};

/// MySQL allows 64 characters, PostgreSQL 63 bytes: what is longer exists on no server.
const IDENTIFIER_CHARS_MAX: usize = 64;

/// Why a text does not name a table or a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// A part of it is empty.
    #[error("must not be empty")]
    Empty,
    /// Longer than any server allows.
    #[error("is {chars} characters long, {IDENTIFIER_CHARS_MAX} are allowed")]
    TooLong {
        /// Length in characters.
        chars: usize,
    },
    /// A control character stands in it.
    #[error("must not hold control characters")]
    Control,
    /// A quote that is not closed, or text beside the quotes.
    #[error(
        "has a double quote that does not enclose a whole part; write \"odd.name\" or schema.\"odd.name\""
    )]
    Quotes,
    /// More than a schema and a name.
    #[error("has more than two parts; write table or schema.table")]
    TooManyParts,
}

fn identifier(text: &str) -> Result<String, IdentifierError> {
    let chars = text.chars().count();
    if chars == 0 {
        return Err(IdentifierError::Empty);
    }
    if chars > IDENTIFIER_CHARS_MAX {
        return Err(IdentifierError::TooLong { chars });
    }
    if text.chars().any(char::is_control) {
        return Err(IdentifierError::Control);
    }
    Ok(text.to_owned())
}

/// The name of a table as it stands in the server's catalogue (no case folding), perhaps with its schema.
///
/// Parsed from `table`, `schema.table`; a part that holds a dot or a double quote is written in double
/// quotes, a double quote in it doubled, and so it is displayed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    schema: Option<String>,
    name: String,
}

impl TableName {
    /// A name, and the schema where one is given.
    ///
    /// # Errors
    /// [`IdentifierError`] of the first part that no server would take.
    pub fn new(schema: Option<&str>, name: &str) -> Result<Self, IdentifierError> {
        Ok(Self {
            schema: schema.map(identifier).transpose()?,
            name: identifier(name)?,
        })
    }

    /// The schema, where the name says one.
    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The name without the schema.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Can both mean the same table? A name without a schema can mean one in any schema.
    pub fn may_be(&self, other: &TableName) -> bool {
        self.name == other.name
            && match (&self.schema, &other.schema) {
                (Some(one), Some(two)) => one == two,
                _ => true,
            }
    }
}

impl FromStr for TableName {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        let (first, rest) = part(text)?;
        match rest {
            None => Self::new(None, &first),
            Some(rest) => {
                let (second, rest) = part(rest)?;
                if rest.is_some() {
                    return Err(IdentifierError::TooManyParts);
                }
                Self::new(Some(&first), &second)
            }
        }
    }
}

/// Reads one part of a dotted name; the rest is what stands after its dot.
fn part(text: &str) -> Result<(String, Option<&str>), IdentifierError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (part, rest) = match text.split_once('.') {
            Some((part, rest)) => (part, Some(rest)),
            None => (text, None),
        };
        return if part.contains('"') {
            Err(IdentifierError::Quotes)
        } else {
            Ok((part.to_owned(), rest))
        };
    };
    let mut part = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('"').ok_or(IdentifierError::Quotes)?;
        part.push_str(before);
        if let Some(after) = after.strip_prefix('"') {
            part.push('"');
            rest = after;
        } else if after.is_empty() {
            return Ok((part, None));
        } else {
            let rest = after.strip_prefix('.').ok_or(IdentifierError::Quotes)?;
            return Ok((part, Some(rest)));
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |part: &str| {
            if part.contains(['.', '"']) {
                format!("\"{}\"", part.replace('"', "\"\""))
            } else {
                part.to_owned()
            }
        };
        match &self.schema {
            Some(schema) => f.pad(&format!("{}.{}", shown(schema), shown(&self.name))),
            None => f.pad(&shown(&self.name)),
        }
    }
}

/// The name of a column, an index or a constraint as it stands in the catalogue (no case folding).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColumnName(String);

impl ColumnName {
    /// Parses it.
    ///
    /// # Errors
    /// [`IdentifierError`] where no server would take it.
    pub fn new(text: &str) -> Result<Self, IdentifierError> {
        identifier(text).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ColumnName {
    type Err = IdentifierError;
    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        Self::new(text)
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

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
}

impl FactRequest {
    /// The table that it is about.
    pub fn table(&self) -> &TableName {
        match self {
            FactRequest::Table(table)
            | FactRequest::Size(table)
            | FactRequest::AnyRow(table)
            | FactRequest::Nulls { table, .. }
            | FactRequest::Type { table, .. }
            | FactRequest::Volatility { table, .. } => table,
        }
    }
}

/// What was seen of tables, in one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFactsSet {
    /// When the look ended, by the operator's clock: facts are as old as this.
    pub taken_at: Timestamp,
    /// By the names as they were asked for.
    pub tables: BTreeMap<TableName, Fact<TableState>>,
}

impl TableFactsSet {
    /// A look at nothing.
    pub fn new(taken_at: Timestamp) -> Self {
        Self {
            taken_at,
            tables: BTreeMap::new(),
        }
    }

    /// What was seen of a table; one that nobody asked for is Unknown.
    pub fn table(&self, name: &TableName) -> Fact<TableState> {
        self.tables
            .get(name)
            .cloned()
            .unwrap_or_else(|| Fact::Unknown(not_asked()))
    }
}

fn not_asked() -> Why {
    Why::new("it was not looked up")
}

/// Whether a table is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableState {
    /// No table bears the name.
    Missing,
    /// One does.
    Present(Box<TableFacts>),
}

/// What was seen of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFacts {
    /// What stands behind the name.
    pub kind: TableKind,
    /// How many rows, about.
    pub rows: Fact<RowEstimate>,
    /// Bytes of the table and its TOAST data, without its indexes; a partitioned table's partitions summed.
    pub bytes: Fact<u64>,
    /// Has it any row?
    pub any_row: Fact<bool>,
    /// Its columns.
    pub columns: BTreeMap<ColumnName, ColumnFacts>,
    /// Columns that were probed for NULLs.
    pub nulls: BTreeMap<ColumnName, Fact<NullProbe>>,
    /// Types that were looked up, as they were asked for.
    pub types: BTreeMap<String, Fact<TypeFacts>>,
    /// Functions that were looked up, as they were asked for.
    pub functions: BTreeMap<String, Fact<Volatility>>,
}

impl TableFacts {
    /// A table of which nothing but its kind is known yet.
    pub fn new(kind: TableKind) -> Self {
        Self {
            kind,
            rows: Fact::Unknown(not_asked()),
            bytes: Fact::Unknown(not_asked()),
            any_row: Fact::Unknown(not_asked()),
            columns: BTreeMap::new(),
            nulls: BTreeMap::new(),
            types: BTreeMap::new(),
            functions: BTreeMap::new(),
        }
    }

    /// What the probe for NULLs in a column found.
    pub fn nulls_in(&self, column: &ColumnName) -> Fact<NullProbe> {
        self.nulls
            .get(column)
            .cloned()
            .unwrap_or_else(|| Fact::Unknown(not_asked()))
    }

    /// What a type is.
    pub fn type_named(&self, sql_type: &str) -> Fact<TypeFacts> {
        self.types
            .get(sql_type)
            .cloned()
            .unwrap_or_else(|| Fact::Unknown(not_asked()))
    }

    /// How volatile a function is.
    pub fn volatility_of(&self, function: &str) -> Fact<Volatility> {
        self.functions
            .get(function)
            .cloned()
            .unwrap_or_else(|| Fact::Unknown(not_asked()))
    }
}

/// What stands behind a table's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// A table with storage of its own.
    Ordinary,
    /// A partitioned table: its rows are in its partitions.
    Partitioned,
    /// A view, a foreign table, or another relation whose rows are not looked at.
    Other,
}

/// About how many rows a table has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowEstimate {
    /// The number.
    pub rows: u64,
    /// Where it is from.
    pub source: RowSource,
    /// How old the statistics behind it were when it was read, where the server says.
    pub age: Option<Duration>,
}

/// Where an estimate of rows is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowSource {
    /// The server's statistics, brought up to the table's size of today.
    Statistics,
    /// The planner's guess from the size of a table that was never analysed: good to a factor of about 3.
    PlannerGuess,
}

impl fmt::Display for RowSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RowSource::Statistics => "the server's statistics",
            RowSource::PlannerGuess => "the planner's guess, never analysed",
        })
    }
}

/// What the catalogue says of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFacts {
    /// Its type as the server writes it.
    pub sql_type: String,
    /// May it hold NULL, as the table is declared?
    pub nullable: bool,
    /// Does the server fill it where an INSERT does not (a default, an identity, a generated column)?
    pub has_default: bool,
    /// The name of a valid constraint that proves that no row holds NULL, where there is one.
    pub proven_not_null_by: Option<String>,
}

/// What a probe for NULLs found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NullProbe {
    /// Is there a row that holds NULL?
    pub found: bool,
    /// How long the probe took on the server.
    pub took: Duration,
}

/// What a type is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeFacts {
    /// A domain with constraints of its own (CHECK or NOT NULL), or over such a domain.
    pub constrained_domain: bool,
    /// A domain with a default of its own.
    pub domain_default: bool,
}

/// Whether a function can give different values to the rows of one statement (`pg_proc.provolatile`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    /// Always the same.
    Immutable,
    /// The same within one statement.
    Stable,
    /// Different from row to row.
    Volatile,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, schema: Option<&str>, name: &str) {
        let parsed: TableName = text.parse().unwrap();
        assert_eq!((parsed.schema(), parsed.name()), (schema, name), "{text}");
        assert_eq!(
            parsed.to_string().parse(),
            Ok(parsed),
            "{text} reads back from its display"
        );
    }

    #[test]
    fn table_names_are_read() {
        check("users", None, "users");
        check("app.users", Some("app"), "users");
        check("Größe", None, "Größe");
        check("\"a.b\"", None, "a.b");
        check("app.\"a\"\"b\"", Some("app"), "a\"b");
        check("\"app\".users", Some("app"), "users");
    }

    #[test]
    fn other_texts_are_refused() {
        let parse = |text: &str| text.parse::<TableName>();
        assert_eq!(parse(""), Err(IdentifierError::Empty));
        assert_eq!(parse("app."), Err(IdentifierError::Empty));
        assert_eq!(parse(".users"), Err(IdentifierError::Empty));
        assert_eq!(parse("a.b.c"), Err(IdentifierError::TooManyParts));
        assert_eq!(parse("\"a"), Err(IdentifierError::Quotes));
        assert_eq!(parse("\"a\"b"), Err(IdentifierError::Quotes));
        assert_eq!(parse("a\"b"), Err(IdentifierError::Quotes));
        assert_eq!(parse("a\0b"), Err(IdentifierError::Control));
        assert_eq!(
            parse(&"a".repeat(65)),
            Err(IdentifierError::TooLong { chars: 65 })
        );
    }

    #[test]
    fn a_name_without_a_schema_may_be_in_any() {
        let name = |text: &str| text.parse::<TableName>().unwrap();
        assert!(name("users").may_be(&name("app.users")));
        assert!(!name("other.users").may_be(&name("app.users")));
        assert!(!name("users").may_be(&name("app.user")));
    }
}
