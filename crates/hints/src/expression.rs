//! Reads the SQL expression of a column's default as far as a rule needs it: which functions it calls.
//!
//! It is no SQL parser: what it does not fully understand is refused, so that the rule says Unknown.
//! Whether a function gives every row the same value is a fact of the database, not of the text.

pub(crate) mod mysql;

use std::collections::BTreeSet;

use dbop_model::table::TableName;

/// What an expression is, as far as text tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expression {
    /// The functions that it calls, as `name` or `schema.name` as the catalogue has them.
    pub(crate) functions: BTreeSet<String>,
    /// The names that it reads: columns, or words of the grammar that are not known here.
    pub(crate) names: BTreeSet<String>,
    /// Is it nothing but NULL, that is, no default at all?
    pub(crate) is_null: bool,
}

/// Words before a parenthesis that call no function of the catalogue: operators, and forms of the grammar
/// whose functions are immutable or stable (PostgreSQL manual, chapter 9 and section 4.2).
const NOT_FUNCTIONS: &[&str] = &[
    "and",
    "any",
    "array",
    "as",
    "between",
    "case",
    "cast",
    "coalesce",
    "current_time",
    "current_timestamp",
    "else",
    "extract",
    "greatest",
    "in",
    "is",
    "least",
    "like",
    "localtime",
    "localtimestamp",
    "not",
    "nullif",
    "or",
    "overlay",
    "position",
    "row",
    "some",
    "substring",
    "then",
    "trim",
    "when",
];

/// Words that have no place in a default, or whose meaning is not followed here.
const NOT_FOLLOWED: &[&str] = &["operator", "select", "over", "exists", "collate"];

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// A name, folded as the server folds it; whether it was quoted.
    Name(String, bool),
    /// A number or a string.
    Literal,
    /// `::`
    Cast,
    /// Any other symbol.
    Symbol(char),
}

/// Reads a default. `None`: it holds something that is not followed here.
pub(crate) fn read(text: &str) -> Option<Expression> {
    let tokens = tokens(text)?;
    let is_null = matches!(
        tokens.as_slice(),
        [Token::Name(word, false)] | [Token::Name(word, false), Token::Cast, ..] if word == "null"
    );
    let (mut functions, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (at, token) in tokens.iter().enumerate() {
        if let Token::Name(word, false) = token
            && NOT_FOLLOWED.contains(&word.as_str())
        {
            return None;
        }
        names.extend(column(&tokens, at));
        if *token != Token::Symbol('(') || at == 0 {
            continue;
        }
        if let Some(function) = called(&tokens[..at])? {
            functions.insert(function);
        }
    }
    Some(Expression {
        functions,
        names,
        is_null,
    })
}

/// Words that stand alone and name no column.
const NO_COLUMNS: &[&str] = &[
    "current_date",
    "current_role",
    "current_user",
    "day",
    "false",
    "hour",
    "interval",
    "local",
    "minute",
    "month",
    "null",
    "second",
    "session_user",
    "true",
    "unknown",
    "user",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "week",
    "year",
];

/// The column that a token names, where it does: no call, no type, no keyword.
fn column(tokens: &[Token], at: usize) -> Option<String> {
    let Token::Name(name, quoted) = &tokens[at] else {
        return None;
    };
    let before = at.checked_sub(1).map(|before| &tokens[before]);
    let is_type = match before {
        Some(Token::Cast) => true,
        Some(Token::Name(word, false)) => word == "as",
        _ => false,
    };
    let is_call = matches!(tokens.get(at + 1), Some(Token::Symbol('(' | '.')));
    let is_word =
        !quoted && (NOT_FUNCTIONS.contains(&name.as_str()) || NO_COLUMNS.contains(&name.as_str()));
    (!is_type && !is_call && !is_word).then(|| name.clone())
}

/// The function whose name ends just before a parenthesis; the inner `None`: it is no call.
fn called(before: &[Token]) -> Option<Option<String>> {
    let (name, quoted, before) = match before {
        [before @ .., Token::Name(name, quoted)] => (name, *quoted, before),
        _ => return Some(None),
    };
    let (schema, before) = match before {
        [before @ .., Token::Name(schema, _), Token::Symbol('.')] => (Some(schema), before),
        [.., Token::Symbol('.')] => return None,
        _ => (None, before),
    };
    match before.last() {
        // A type with its modifier: `::numeric(10,2)`, `CAST(x AS varchar(3))`.
        Some(Token::Cast) => return Some(None),
        Some(Token::Name(word, false)) if word == "as" => return Some(None),
        // A database's name before the schema's: no server calls across databases.
        Some(Token::Symbol('.')) => return None,
        _ => {}
    }
    if schema.is_none() && !quoted && NOT_FUNCTIONS.contains(&name.as_str()) {
        return Some(None);
    }
    TableName::new(schema.map(String::as_str), name)
        .ok()
        .map(|name| Some(name.to_string()))
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    if text.contains("--") || text.contains("/*") {
        return None;
    }
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '\'' => (Token::Literal, string(rest, false)?),
            '"' | '`' => {
                let (name, after) = quoted_name(rest, first)?;
                (Token::Name(name, true), after)
            }
            _ if first.is_ascii_digit() => {
                let number = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
                (Token::Literal, rest.trim_start_matches(number))
            }
            _ if first.is_alphabetic() || first == '_' => {
                let end = rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$')
                    .unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                let word = word.to_lowercase();
                match (word.as_str(), after.starts_with('\'')) {
                    ("e", true) => (Token::Literal, string(after, true)?),
                    ("b" | "x" | "n", true) => (Token::Literal, string(after, false)?),
                    ("u", _) if after.starts_with("&'") || after.starts_with("&\"") => return None,
                    _ => (Token::Name(word, false), after),
                }
            }
            ':' if rest.starts_with("::") => (Token::Cast, &rest[2..]),
            _ if "+-*/<>=~!@%^&|?,()[].".contains(first) => (Token::Symbol(first), &rest[1..]),
            _ => return None,
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    if tokens.is_empty() {
        None
    } else {
        Some(tokens)
    }
}

/// What stands after the string literal at the start of `text`.
fn string(text: &str, backslashes: bool) -> Option<&str> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if backslashes => {
                chars.next()?;
            }
            '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
            }
            '\'' => return Some(&text[at + 1..]),
            _ => {}
        }
    }
    None
}

/// The quoted name at the start of `text`, and what stands after it.
fn quoted_name(text: &str, quote: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            _ if c == quote && chars.peek().is_some_and(|(_, next)| *next == quote) => {
                chars.next();
                name.push(quote);
            }
            _ if c == quote => return Some((name, &text[at + 1..])),
            _ => name.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, functions: &[&str]) {
        let read = read(text).unwrap_or_else(|| panic!("{text} is read"));
        let got: Vec<&str> = read.functions.iter().map(String::as_str).collect();
        assert_eq!(got, functions, "{text}");
    }

    #[test]
    fn constants_call_nothing() {
        for text in [
            "0",
            "-1.5e3",
            "'it''s (fine)'",
            "E'a\\'b(c)'",
            "true",
            "'{}'::jsonb",
            "'1'::numeric(10,2)",
            "CAST('a' AS varchar(3))",
            "ARRAY['a','b']::text[]",
            "CURRENT_TIMESTAMP(3)",
            "current_user",
            "(1 + 2) * 3",
            "interval '1 day'",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn calls_are_found_wherever_they_stand() {
        check("now()", &["now"]);
        check("NOW() + interval '1 day'", &["now"]);
        check("pg_catalog.now ()", &["pg_catalog.now"]);
        check(
            "coalesce(nullif(lower('A'), ''), md5(random()::text))",
            &["lower", "md5", "random"],
        );
        check("app.\"Next\"('x')", &["app.Next"]);
        check("\"coalesce\"(1)", &["coalesce"]);
        check("nextval('users_id_seq'::regclass)", &["nextval"]);
    }

    #[test]
    fn columns_are_found() {
        let names = |text: &str| -> Vec<String> { read(text).unwrap().names.into_iter().collect() };
        assert_eq!(names("(a + 1)"), ["a"]);
        assert_eq!(names("coalesce(`b c`, lower(d), 'e')"), ["b c", "d"]);
        assert!(names("1 + 1").is_empty());
        assert!(names("CAST('a' AS char(3))").is_empty());
        assert!(names("now() + interval 1 day").is_empty());
        assert!(names("CURRENT_TIMESTAMP").is_empty());
        assert!(names("'x'::text").is_empty());
    }

    #[test]
    fn what_is_not_followed_is_refused() {
        for text in [
            "",
            "'open",
            "\"open",
            "$$a$$",
            "1; drop table x",
            "1 -- x",
            "/* */ 1",
            "(select 1)",
            "a.b.c(1)",
            "1 OPERATOR(pg_catalog.+) 2",
            "U&'d'",
            ":a",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn null_is_no_default() {
        assert!(read("NULL").unwrap().is_null);
        assert!(read("null::text").unwrap().is_null);
        assert!(!read("'null'").unwrap().is_null);
        assert!(!read("coalesce(null, 1)").unwrap().is_null);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}") {
            let _ = read(&text);
        }

        /// A call cannot hide behind constants and operators.
        #[test]
        fn a_call_is_never_missed(
            before in "(|1 \\+ |'a\\(b' \\|\\| |coalesce\\(null, |\\(\\(|lower\\()",
            after in "(|::text| \\+ 1|, 'x''y')",
        ) {
            let read = read(&format!("{before}random(){after}")).unwrap();
            prop_assert!(read.functions.contains("random"));
        }
    }
}
