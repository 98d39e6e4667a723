//! SQL expressions that a migration wrote, and the operator would have a server compute: what is in them.
//!
//! The text is nobody's that we trust, and the statement it would stand in runs as the admin. So it is taken apart
//! word for word; what could end the expression, look at other tables or name an object of another schema is refused
//! here. What it calls is given to the backend, which knows the server's own functions. Nothing is parsed beyond that:
//! whether it is an expression at all is the server's to say.

use std::collections::BTreeSet;

/// Longer than the key of any index.
const BYTES_MAX: usize = 2000;

/// Words that begin another query or an operator of another schema. A subquery needs one of the first four.
const REFUSED: [&str; 7] = [
    "select", "table", "values", "with", "into", "operator", "uescape",
];

/// How a server writes expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grammar {
    /// `"` encloses names, which are folded to small letters where they stand without it.
    PostgreSql,
    /// `` ` `` encloses names, `"` texts; a function's name and its parenthesis stand together. What letters' case
    /// names have makes no difference here: they are folded too.
    MySql,
}

/// What is in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// Its text, as it was written.
    pub text: String,
    /// The names and keywords in it, but not those that are called.
    pub words: BTreeSet<String>,
    /// What stands before a parenthesis: functions, and keywords such as IN. On MySQL with a space behind it where one
    /// stands there: `substr (a)` is a function of somebody's, and only `substr(a)` the server's own.
    pub calls: BTreeSet<String>,
}

/// Takes an expression apart.
///
/// # Errors
/// What in it is refused, as a clause: "it names an object of another schema".
///
/// ```
/// use dbop_database::expression::{Grammar, read};
///
/// let found = read("lower(Email)", Grammar::PostgreSql).unwrap();
/// assert!(found.calls.contains("lower") && found.words.contains("email"));
/// assert!(read("a), (SELECT 1", Grammar::PostgreSql).is_err());
/// ```
pub fn read(text: &str, grammar: Grammar) -> Result<Expression, &'static str> {
    if text.len() > BYTES_MAX {
        return Err("it is too long to be a key");
    }
    let mut reader = Reader {
        rest: text,
        grammar,
        depth: 0,
        last: None,
        found: Expression {
            text: text.trim().to_owned(),
            words: BTreeSet::new(),
            calls: BTreeSet::new(),
        },
    };
    while let Some(c) = reader.rest.chars().next() {
        reader.step(c)?;
    }
    reader.settle();
    match reader.depth {
        0 if reader.found.text.is_empty() => Err("it is empty"),
        0 => Ok(reader.found),
        _ => Err("its parentheses do not match"),
    }
}

/// Functions of a server's own that a trial may have it compute: they look at no table and have no effect beyond a
/// value (PostgreSQL manual, chapter 9; MySQL 8.4 manual, chapter 14). A few, for what columns are filled with.
const HARMLESS: [&str; 22] = [
    "abs",
    "ceil",
    "coalesce",
    "concat",
    "current_date",
    "current_timestamp",
    "floor",
    "gen_random_uuid",
    "greatest",
    "least",
    "length",
    "localtimestamp",
    "lower",
    "ltrim",
    "md5",
    "now",
    "nullif",
    "random",
    "replace",
    "round",
    "rtrim",
    "upper",
];
/// Words of the grammar, and types with a length, that stand before a parenthesis.
const OF_THE_GRAMMAR: [&str; 25] = [
    "and",
    "as",
    "between",
    "bit",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "decimal",
    "else",
    "in",
    "is",
    "like",
    "not",
    "numeric",
    "or",
    "stored",
    "then",
    "timestamp",
    "trim",
    "varchar",
    "varying",
    "virtual",
    "when",
];

/// May a server compute an expression that a migration wrote, as the admin, where names mean its own objects alone?
///
/// # Errors
/// What in it may not, as a clause: "it calls pg_sleep".
///
/// ```
/// use dbop_database::expression::{Grammar, harmless};
///
/// assert!(harmless("lower(name)", Grammar::PostgreSql).is_ok());
/// assert_eq!(harmless("pg_sleep(9)", Grammar::PostgreSql).unwrap_err(), "its expression calls pg_sleep");
/// ```
pub fn harmless(text: &str, grammar: Grammar) -> Result<(), String> {
    let found = read(text, grammar)?;
    let other = found.calls.iter().find(|call| {
        !HARMLESS.contains(&call.as_str()) && !OF_THE_GRAMMAR.contains(&call.as_str())
    });
    match other {
        Some(call) => Err(format!("its expression calls {call}")),
        None => Ok(()),
    }
}

struct Reader<'a> {
    rest: &'a str,
    grammar: Grammar,
    depth: usize,
    /// A name or keyword of which it is not clear yet whether it is called.
    last: Option<String>,
    found: Expression,
}

impl Reader<'_> {
    fn step(&mut self, c: char) -> Result<(), &'static str> {
        let mysql = self.grammar == Grammar::MySql;
        if c.is_whitespace() {
            if mysql
                && let Some(last) = &mut self.last
                && !last.ends_with(' ')
            {
                last.push(' ');
            }
            return self.skip(1);
        }
        if c.is_alphabetic() || c == '_' {
            let word = self
                .take(|c| c.is_alphanumeric() || c == '_')
                .to_lowercase();
            if REFUSED.contains(&word.as_str()) {
                return Err("it holds a query or an operator of another schema");
            }
            self.name(word);
            return Ok(());
        }
        if c.is_ascii_digit() {
            self.settle();
            self.take(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
            return Ok(());
        }
        match c {
            '\'' => self.quoted(c).map(|_| self.settle()),
            '"' if mysql => self.quoted(c).map(|_| self.settle()),
            '"' | '`' if mysql == (c == '`') => {
                let name = self.quoted(c)?;
                self.name(if mysql { name.to_lowercase() } else { name });
                Ok(())
            }
            '(' => {
                if let Some(called) = self.last.take() {
                    self.found.calls.insert(called);
                }
                self.depth += 1;
                self.skip(1)
            }
            ')' => {
                self.settle();
                self.depth = self
                    .depth
                    .checked_sub(1)
                    .ok_or("its parentheses do not match")?;
                self.skip(1)
            }
            '.' => Err("it names an object of another schema"),
            _ if self.begins("--") || self.begins("/*") => Err("it holds a comment"),
            // An escaped name could hide which one it is.
            '&' if self.begins("&\"") || self.begins("&'") => Err("it holds an escaped text"),
            '[' | ']' | '@' | '#' | '?' | ':' if !mysql => self.operator(),
            '+' | '-' | '*' | '/' | '%' | '^' | '<' | '>' | '=' | '~' | '!' | '&' | '|' | ',' => {
                self.operator()
            }
            _ => Err("it holds a character that no key needs"),
        }
    }

    fn begins(&self, with: &str) -> bool {
        self.rest.starts_with(with)
    }

    /// One character that belongs to no name.
    fn operator(&mut self) -> Result<(), &'static str> {
        self.settle();
        self.skip(1)
    }

    fn skip(&mut self, chars: usize) -> Result<(), &'static str> {
        let at = self.rest.char_indices().nth(chars).map(|(at, _)| at);
        self.rest = &self.rest[at.unwrap_or(self.rest.len())..];
        Ok(())
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken.to_owned()
    }

    /// What stands between two quotes; a doubled one is one of the text.
    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c == '\\' || c == '\0' {
                // What a backslash means hangs on settings.
                return Err("it holds a backslash in quotes");
            }
            if c != quote {
                text.push(c);
            } else if chars.next_if(|(_, next)| *next == quote).is_some() {
                text.push(quote);
            } else {
                self.rest = &self.rest[at + quote.len_utf8()..];
                return Ok(text);
            }
        }
        Err("its quotes do not match")
    }

    fn name(&mut self, name: String) {
        self.settle();
        self.last = Some(name);
    }

    /// The last name was not called.
    fn settle(&mut self) {
        if let Some(word) = self.last.take() {
            self.found.words.insert(word.trim_end().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fine(text: &str, grammar: Grammar, words: &[&str], calls: &[&str]) {
        let found = read(text, grammar).unwrap_or_else(|why| panic!("{text}: {why}"));
        let set = |names: &[&str]| {
            names
                .iter()
                .map(|n| (*n).to_owned())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(
            (found.words, found.calls),
            (set(words), set(calls)),
            "{text}"
        );
    }

    #[track_caller]
    fn refused(text: &str, grammar: Grammar, why: &str) {
        match read(text, grammar) {
            Err(said) => assert!(said.contains(why), "{text}: {said}"),
            Ok(found) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn expressions_are_taken_apart() {
        use Grammar::{MySql, PostgreSql};
        fine("lower(email)", PostgreSql, &["email"], &["lower"]);
        fine("Lower ( \"E mail\" )", PostgreSql, &["E mail"], &["lower"]);
        fine("a + 1.5 > b", PostgreSql, &["a", "b"], &[]);
        fine(
            "(doc ->> 'x''; --')::text",
            PostgreSql,
            &["doc", "text"],
            &[],
        );
        fine(
            "a IN (1, 2) AND tags @> '{}'",
            PostgreSql,
            &["a", "and", "tags"],
            &["in"],
        );
        fine("`a``b` = \"it's\"", MySql, &["a`b"], &[]);
        fine("LOWER(a)", MySql, &["a"], &["lower"]);
        fine("SUBSTR  (a) + b ", MySql, &["a", "b"], &["substr "]);
        fine("\"evil\"(a)", PostgreSql, &["a"], &["evil"]);
    }

    #[test]
    fn what_could_be_more_than_an_expression_is_refused() {
        use Grammar::{MySql, PostgreSql};
        for grammar in [PostgreSql, MySql] {
            refused("a) OR (b", grammar, "parentheses");
            refused("(a", grammar, "parentheses");
            refused("(SELECT 1)", grammar, "a query");
            refused("(TABLE secrets)", grammar, "a query");
            refused("(VALUES (1))", grammar, "a query");
            refused("app.norm(a)", grammar, "another schema");
            refused("\"app\" . norm(a)", grammar, "another schema");
            refused("a -- b", grammar, "comment");
            refused("a /* b */", grammar, "comment");
            refused("a; DROP TABLE b", grammar, "character");
            refused("'it\\'s'", grammar, "backslash");
            refused("'open", grammar, "quotes");
            refused("$1", grammar, "character");
            refused("", grammar, "empty");
            refused(&"a".repeat(2001), grammar, "too long");
        }
        refused("a OPERATOR(public.=) b", PostgreSql, "another schema");
        refused("U&\"d!0061ta\"", PostgreSql, "escaped");
        refused("`a`", PostgreSql, "character");
        refused("@a := 1", MySql, "character");
        refused("a # b", MySql, "character");
    }

    proptest::proptest! {
        /// Whatever the text, it neither panics nor lets a statement's end through outside of quotes.
        #[test]
        fn no_text_ends_the_statement(text in "[a-z(;'\"`\\-/* .$\\\\]{0,24}") {
            for grammar in [Grammar::PostgreSql, Grammar::MySql] {
                if let Ok(found) = read(&text, grammar) {
                    let mut quote = None;
                    for c in found.text.chars() {
                        match (quote, c) {
                            (Some(open), _) if c == open => quote = None,
                            (Some(_), _) => {}
                            (None, '\'' | '"' | '`') => quote = Some(c),
                            (None, ';' | '$' | '\\') => panic!("{text}"),
                            _ => {}
                        }
                    }
                    assert_eq!(quote, None, "{text}");
                }
            }
        }
    }
}
