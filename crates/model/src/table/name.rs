//! Names of tables and columns, as servers compare them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

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

/// The name of a column, an index or a constraint as it stands in the catalogue, or as a statement writes it.
///
/// Of MySQL and MariaDB, which take `Id` and `id` for the same, it is made with [`ColumnName::ignoring_case`]: such
/// names are equal whatever their letters' cases, and shown as they were written.
#[derive(Debug, Clone)]
pub struct ColumnName {
    text: String,
    /// In small letters, where that is what counts and is another text.
    folded: Option<String>,
}

impl ColumnName {
    /// Parses it; letters' cases count.
    ///
    /// # Errors
    /// [`IdentifierError`] where no server would take it.
    pub fn new(text: &str) -> Result<Self, IdentifierError> {
        let text = identifier(text)?;
        let folded = None;
        Ok(Self { text, folded })
    }

    /// Parses it; letters' cases do not count.
    ///
    /// # Errors
    /// [`IdentifierError`] where no server would take it.
    pub fn ignoring_case(text: &str) -> Result<Self, IdentifierError> {
        Ok(Self::new(text)?.folded())
    }

    /// The same name, whose letters' cases do not count.
    #[must_use]
    pub fn folded(self) -> Self {
        let folded = Some(self.text.to_lowercase()).filter(|folded| *folded != self.text);
        Self { folded, ..self }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What names are compared by.
    fn key(&self) -> &str {
        self.folded.as_deref().unwrap_or(&self.text)
    }
}

impl PartialEq for ColumnName {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for ColumnName {}

impl PartialOrd for ColumnName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ColumnName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(other.key())
    }
}

impl Hash for ColumnName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
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
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
    fn letters_cases_count_where_the_server_says_so() {
        let exact = |text: &str| ColumnName::new(text).unwrap();
        let folding = |text: &str| ColumnName::ignoring_case(text).unwrap();
        assert_ne!(exact("Id"), exact("id"));
        assert_eq!(folding("Id"), folding("iD"));
        assert_eq!(folding("Größe"), folding("GRÖßE"));
        assert_eq!(folding("Id").to_string(), "Id");
        let known = BTreeMap::from([(folding("Id"), 1)]);
        assert_eq!(known.get(&folding("ID")), Some(&1));
    }

    #[test]
    fn a_name_without_a_schema_may_be_in_any() {
        let name = |text: &str| text.parse::<TableName>().unwrap();
        assert!(name("users").may_be(&name("app.users")));
        assert!(!name("other.users").may_be(&name("app.users")));
        assert!(!name("users").may_be(&name("app.user")));
    }
}
