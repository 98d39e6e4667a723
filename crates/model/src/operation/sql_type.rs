//! The type of a column, as an operation writes it.

use std::fmt;

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
    computed: Option<String>,
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

    /// The expression by which the column is computed from others, where it is.
    pub fn computed(&self) -> Option<&str> {
        self.computed.as_deref()
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
        let is_computed = matches!(
            filled,
            Filled::Stored | Filled::Virtual | Filled::StoredOrVirtual
        );
        let computed = generated
            .filter(|_| is_computed)
            .and_then(|at| in_parentheses(&text[words[at].0..]));
        Ok(SqlType {
            text: text.to_owned(),
            name,
            filled,
            computed,
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

/// What stands between the first parenthesis and the last, which are a pair.
fn in_parentheses(clause: &str) -> Option<String> {
    let inside = clause.get(clause.find('(')? + 1..clause.rfind(')')?)?;
    Some(inside.trim().to_owned())
}

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
