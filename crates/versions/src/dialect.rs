//! What of SQL differs from server to server, as far as reading a version and naming things go: quoting.
//!
//! Text that a server would cut or misread is refused here, before it becomes part of a statement.

use dbop_model::Engine;

/// PostgreSQL cuts longer identifiers, silently but for a notice (manual, section 4.1.1).
const POSTGRES_IDENTIFIER_BYTES_MAX: usize = 63;

/// MySQL and MariaDB refuse longer identifiers (MySQL 8.4 manual, section 11.2.1).
const MYSQL_IDENTIFIER_CHARS_MAX: usize = 64;

/// A server's SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL's.
    PostgreSql,
    /// MySQL's and MariaDB's.
    MySql,
}

impl From<Engine> for Dialect {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::PostgreSql => Dialect::PostgreSql,
            Engine::MySql | Engine::MariaDb => Dialect::MySql,
        }
    }
}

/// Why a text cannot be part of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// No identifier is empty.
    #[error("a name is empty")]
    Empty,
    /// No server takes a NUL character.
    #[error("it holds a NUL character")]
    Nul,
    /// The server would cut the name.
    #[error("a name is {length} {unit} long, {max} are allowed")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        max: usize,
        /// What both are counted in.
        unit: &'static str,
    },
}

impl Dialect {
    /// A table in its schema, both quoted.
    ///
    /// # Errors
    /// [`QuoteError`] where the server has no object of such a name.
    pub(crate) fn table(self, schema: &str, table: &str) -> Result<String, QuoteError> {
        Ok(format!(
            "{}.{}",
            self.identifier(schema)?,
            self.identifier(table)?
        ))
    }

    /// A column of the table that a statement calls `t`; the name is one of ours.
    pub(crate) fn column(self, name: &'static str) -> String {
        match self {
            Dialect::PostgreSql => format!("t.\"{name}\""),
            Dialect::MySql => format!("t.`{name}`"),
        }
    }

    /// An expression's value as text, whatever its type.
    pub(crate) fn text(self, expression: &str) -> String {
        match self {
            Dialect::PostgreSql => format!("{expression}::pg_catalog.text"),
            Dialect::MySql => format!("CAST({expression} AS CHAR)"),
        }
    }

    /// A name, quoted: it means exactly the object that is so called, whatever characters it is made of.
    ///
    /// # Errors
    /// [`QuoteError`] where the server has no object of such a name.
    pub fn identifier(self, name: &str) -> Result<String, QuoteError> {
        if name.is_empty() {
            return Err(QuoteError::Empty);
        }
        refuse_nul(name)?;
        match self {
            Dialect::PostgreSql => {
                if name.len() > POSTGRES_IDENTIFIER_BYTES_MAX {
                    return Err(QuoteError::TooLong {
                        length: name.len(),
                        max: POSTGRES_IDENTIFIER_BYTES_MAX,
                        unit: "bytes",
                    });
                }
                Ok(format!("\"{}\"", name.replace('"', "\"\"")))
            }
            Dialect::MySql => {
                let chars = name.chars().count();
                if chars > MYSQL_IDENTIFIER_CHARS_MAX {
                    return Err(QuoteError::TooLong {
                        length: chars,
                        max: MYSQL_IDENTIFIER_CHARS_MAX,
                        unit: "characters",
                    });
                }
                Ok(format!("`{}`", name.replace('`', "``")))
            }
        }
    }

    /// A text, quoted as a string.
    ///
    /// # Errors
    /// [`QuoteError::Nul`]: no text of the server's holds one.
    pub fn literal(self, text: &str) -> Result<String, QuoteError> {
        refuse_nul(text)?;
        match self {
            // The E form means the same whatever `standard_conforming_strings` says.
            Dialect::PostgreSql if text.contains('\\') => Ok(format!(
                "E'{}'",
                text.replace('\\', "\\\\").replace('\'', "''")
            )),
            Dialect::PostgreSql => Ok(format!("'{}'", text.replace('\'', "''"))),
            // The hexadecimal form means the same whatever `NO_BACKSLASH_ESCAPES` says.
            Dialect::MySql if text.contains('\\') => Ok(format!("_utf8mb4 X'{}'", hex(text))),
            Dialect::MySql => Ok(format!("'{}'", text.replace('\'', "''"))),
        }
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}

fn refuse_nul(text: &str) -> Result<(), QuoteError> {
    if text.contains('\0') {
        Err(QuoteError::Nul)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PG: Dialect = Dialect::PostgreSql;
    const MY: Dialect = Dialect::MySql;

    /// What PostgreSQL's lexer makes of a quoted identifier.
    fn unquoted(sql: &str) -> Option<String> {
        let inner = sql.strip_prefix('"')?.strip_suffix('"')?;
        lexed(inner, '"', None)
    }

    /// What PostgreSQL's lexer makes of a string, with `standard_conforming_strings` either way.
    fn text_of(sql: &str, conforming: bool) -> Option<String> {
        let (inner, escapes) = match sql.strip_prefix('E') {
            Some(rest) => (rest, true),
            None => (sql, !conforming),
        };
        let inner = inner.strip_prefix('\'')?.strip_suffix('\'')?;
        lexed(inner, '\'', escapes.then_some('\\'))
    }

    /// None: the quote ends before the text does, so the rest would be read as SQL.
    fn lexed(inner: &str, quote: char, escape: Option<char>) -> Option<String> {
        let mut out = String::new();
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            if c == quote || Some(c) == escape {
                let next = chars.next()?;
                if next != c {
                    return None;
                }
            }
            out.push(c);
        }
        Some(out)
    }

    proptest! {
        #[test]
        fn an_identifier_reads_back_as_itself(name in "[^\\x00]{1,15}") {
            prop_assert_eq!(unquoted(&PG.identifier(&name).unwrap()), Some(name));
        }

        #[test]
        fn quotes_and_backslashes_never_end_an_identifier(name in "[\"'\\\\a;-]{1,30}") {
            prop_assert_eq!(unquoted(&PG.identifier(&name).unwrap()), Some(name));
        }

        #[test]
        fn a_literal_reads_back_as_itself(text in "([^\\x00]|['\"\\\\;]){0,40}") {
            let quoted = PG.literal(&text).unwrap();
            prop_assert_eq!(text_of(&quoted, true), Some(text.clone()));
            prop_assert_eq!(text_of(&quoted, false), Some(text));
        }

        #[test]
        fn nul_is_always_refused(before in ".{0,5}", after in ".{0,5}") {
            let text = format!("{before}\0{after}");
            prop_assert_eq!(PG.identifier(&text), Err(QuoteError::Nul));
            prop_assert_eq!(PG.literal(&text), Err(QuoteError::Nul));
        }
    }

    /// MySQL's modes that change how text is read (MySQL 8.4 manual, section 7.1.11).
    #[derive(Debug, Clone, Copy)]
    struct Mode {
        no_backslash_escapes: bool,
        ansi_quotes: bool,
    }

    const MODES: [Mode; 4] = {
        const fn mode(no_backslash_escapes: bool, ansi_quotes: bool) -> Mode {
            Mode {
                no_backslash_escapes,
                ansi_quotes,
            }
        }
        [
            mode(false, false),
            mode(false, true),
            mode(true, false),
            mode(true, true),
        ]
    };

    #[derive(Debug, Clone, PartialEq)]
    enum Token {
        Name(String),
        Text(String),
    }

    /// What MySQL's lexer makes of a whole text; `None`: something is left over that is neither a name nor a
    /// string (sections 11.1.1, 11.1.4 and 11.2).
    fn mysql(sql: &str, mode: Mode) -> Option<Token> {
        if let Some(digits) = sql.strip_prefix("_utf8mb4 X'") {
            let digits = digits.strip_suffix('\'')?;
            let bytes: Option<Vec<u8>> = (0..digits.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
                .collect();
            return String::from_utf8(bytes?).ok().map(Token::Text);
        }
        let quote = sql.chars().next()?;
        let is_name = quote == '`' || (quote == '"' && mode.ansi_quotes);
        if !is_name && quote != '\'' && quote != '"' {
            return None;
        }
        let escapes = !is_name && !mode.no_backslash_escapes;
        let mut out = String::new();
        let mut chars = sql.chars().skip(1);
        loop {
            match chars.next()? {
                c if c == quote => match chars.next() {
                    Some(next) if next == quote => out.push(quote),
                    Some(_) => return None,
                    None => break,
                },
                // None of the texts here has what a letter after a backslash would stand for.
                '\\' if escapes => out.push(chars.next()?),
                c => out.push(c),
            }
        }
        Some(if is_name {
            Token::Name(out)
        } else {
            Token::Text(out)
        })
    }

    proptest! {
        #[test]
        fn a_name_reads_back_as_itself_in_every_mode_of_mysql(
            name in "([^\\x00]|[`'\"\\\\;-]){1,40}"
        ) {
            let quoted = MY.identifier(&name).unwrap();
            for mode in MODES {
                prop_assert_eq!(mysql(&quoted, mode), Some(Token::Name(name.clone())), "{:?}", mode);
            }
        }

        #[test]
        fn a_text_reads_back_as_itself_in_every_mode_of_mysql(
            text in "([^\\x00]|[`'\"\\\\;-]){0,40}"
        ) {
            let quoted = MY.literal(&text).unwrap();
            for mode in MODES {
                prop_assert_eq!(mysql(&quoted, mode), Some(Token::Text(text.clone())), "{:?}", mode);
            }
        }

        #[test]
        fn mysql_takes_no_nul_either(before in ".{0,5}", after in ".{0,5}") {
            let text = format!("{before}\0{after}");
            prop_assert_eq!(MY.identifier(&text), Err(QuoteError::Nul));
            prop_assert_eq!(MY.literal(&text), Err(QuoteError::Nul));
        }
    }

    #[test]
    fn what_a_server_would_cut_or_refuse_is_refused() {
        assert!(PG.identifier(&"a".repeat(63)).is_ok());
        assert_eq!(
            PG.identifier(&"a".repeat(64)),
            Err(QuoteError::TooLong {
                length: 64,
                max: 63,
                unit: "bytes"
            })
        );
        // 32 characters, 64 bytes: the limit is in bytes.
        assert!(PG.identifier(&"é".repeat(32)).is_err());
        assert_eq!(PG.identifier(""), Err(QuoteError::Empty));
        // MySQL's is in characters.
        assert!(MY.identifier(&"é".repeat(64)).is_ok());
        assert_eq!(
            MY.identifier(&"é".repeat(65)),
            Err(QuoteError::TooLong {
                length: 65,
                max: 64,
                unit: "characters"
            })
        );
        assert_eq!(MY.identifier(""), Err(QuoteError::Empty));
    }
}
