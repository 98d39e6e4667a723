//! What stands in an expression as MySQL and MariaDB read it: calls, columns, queries, and whether it says yes or no.
//!
//! By their rules a CHECK, a generated column or a default may not hold everything. What is not understood is `None`, and
//! nothing is said of it; a word that could be of the grammar is taken for no column.

use std::collections::BTreeMap;

use super::{NO_COLUMNS, NOT_FUNCTIONS, Token, tokens};

/// What an expression holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InMySql {
    /// The functions that it calls, in lower case, each with whether any call of it has arguments.
    pub(crate) calls: BTreeMap<String, bool>,
    /// The columns that it reads, as they are written.
    pub(crate) columns: Vec<String>,
    /// Does it look at other rows?
    pub(crate) queries: bool,
    /// Does it read a variable?
    pub(crate) variables: bool,
    /// Is it true or false by its outermost operator? `None`: a call decides that is not known here.
    pub(crate) is_condition: Option<bool>,
}

/// Functions whose parentheses may be left out (MySQL 8.4 manual, section 14.7).
const BARE_CALLS: [&str; 9] = [
    "current_date",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "utc_date",
    "utc_time",
    "utc_timestamp",
];
/// Further words of these servers' grammar that name no column where they stand without quotes.
const WORDS: [&str; 80] = [
    "against",
    "all",
    "any",
    "as",
    "asc",
    "binary",
    "bit",
    "boolean",
    "both",
    "char",
    "charset",
    "collate",
    "date",
    "datetime",
    "day_hour",
    "day_microsecond",
    "day_minute",
    "day_second",
    "decimal",
    "default",
    "desc",
    "distinct",
    "div",
    "double",
    "each",
    "empty",
    "end",
    "error",
    "escape",
    "exists",
    "expansion",
    "float",
    "for",
    "from",
    "geometry",
    "hour_microsecond",
    "hour_minute",
    "hour_second",
    "int",
    "integer",
    "json",
    "language",
    "leading",
    "member",
    "microsecond",
    "minute_microsecond",
    "minute_second",
    "mod",
    "mode",
    "natural",
    "nchar",
    "of",
    "on",
    "over",
    "precision",
    "quarter",
    "query",
    "real",
    "regexp",
    "returning",
    "rlike",
    "second_microsecond",
    "select",
    "separator",
    "set",
    "signed",
    "some",
    "sounds",
    "time",
    "timestamp",
    "trailing",
    "unsigned",
    "using",
    "values",
    "varchar",
    "with",
    "xor",
    "year",
    "year_month",
    "zone",
];
/// Words before a parenthesis that call nothing.
const NO_CALLS: [&str; 17] = [
    "all", "and", "any", "as", "between", "binary", "case", "div", "else", "from", "in", "is",
    "like", "not", "or", "then", "when",
];
/// Words of MariaDB's sequences.
const SEQUENCES: [&str; 4] = ["lastval", "next", "nextval", "setval"];
/// Words behind which a name of another kind stands: a type, a character set, a collation.
const BEFORE_NAMES: [&str; 4] = ["as", "collate", "set", "using"];
/// Operators that make a condition of what stands beside them.
const CONDITIONS: [&str; 12] = [
    "and", "between", "exists", "in", "is", "like", "member", "not", "or", "regexp", "rlike", "xor",
];
/// Functions that give something else than true or false.
const VALUES: [&str; 24] = [
    "abs",
    "cast",
    "ceil",
    "ceiling",
    "char_length",
    "coalesce",
    "concat",
    "convert",
    "floor",
    "greatest",
    "if",
    "ifnull",
    "least",
    "left",
    "length",
    "lower",
    "mod",
    "nullif",
    "right",
    "round",
    "sign",
    "substring",
    "trim",
    "upper",
];

/// Reads one. `None`: it is not understood.
pub(crate) fn read(text: &str) -> Option<InMySql> {
    // What a double quote or a backslash means depends on sql_mode.
    if text.contains(['"', '\\', '#']) {
        return None;
    }
    let tokens = tokens(text)?;
    // What a sequence is called is no column.
    let is_sequence =
        |token: &Token| matches!(token, Token::Name(word, _) if SEQUENCES.contains(&word.as_str()));
    if tokens.iter().any(is_sequence) {
        return None;
    }
    let mut found = InMySql {
        calls: BTreeMap::new(),
        columns: Vec::new(),
        queries: false,
        variables: tokens.contains(&Token::Symbol('@')),
        is_condition: is_condition(&tokens),
    };
    for (at, token) in tokens.iter().enumerate() {
        let Token::Name(name, quoted) = token else {
            continue;
        };
        let plain = !quoted;
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        let behind = tokens.get(at + 1);
        found.queries |= plain && name == "select";
        let qualified = before == Some(&Token::Symbol('.')) || behind == Some(&Token::Symbol('.'));
        let of_other_kind = matches!(before, Some(Token::Name(word, false))
            if BEFORE_NAMES.contains(&word.as_str()))
            || before == Some(&Token::Symbol('@'));
        if qualified || of_other_kind {
            continue;
        }
        if behind == Some(&Token::Symbol('(')) {
            if quoted == &false && !NO_CALLS.contains(&name.as_str()) {
                let has_arguments = tokens.get(at + 2) != Some(&Token::Symbol(')'));
                *found.calls.entry(name.clone()).or_default() |= has_arguments;
            }
        } else if plain && BARE_CALLS.contains(&name.as_str()) {
            found.calls.entry(name.clone()).or_default();
        } else if !(plain && (is_word(name) || behind == Some(&Token::Literal))) {
            found.columns.push(name.clone());
        }
    }
    Some(found)
}

fn is_word(name: &str) -> bool {
    let known = |words: &[&str]| words.contains(&name);
    known(NOT_FUNCTIONS) || known(NO_COLUMNS) || known(&WORDS) || name.starts_with("sql_tsi_")
}

/// Is it a condition by its outermost operator?
fn is_condition(tokens: &[Token]) -> Option<bool> {
    let tokens = without_parentheses(tokens);
    let (mut depth, mut cases, mut computes) = (0_usize, 0_usize, false);
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1);
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth = depth.saturating_sub(1),
            Token::Name(word, false) if word == "case" => cases += 1,
            Token::Name(word, false) if word == "end" => cases = cases.saturating_sub(1),
            _ if depth > 0 || cases > 0 => {}
            Token::Name(word, false) if CONDITIONS.contains(&word.as_str()) => return Some(true),
            // `||` joins texts or conditions, as sql_mode has it.
            Token::Symbol('|') if next == Some(token) => return None,
            Token::Symbol('&') if next == Some(token) => return Some(true),
            // `->`, `->>`, `<<` and `>>` compare nothing.
            Token::Symbol('>' | '<') if next == Some(token) || before == Some(token) => {
                computes = true;
            }
            Token::Symbol('>') if before == Some(&Token::Symbol('-')) => computes = true,
            Token::Symbol('=' | '<' | '>' | '!') => return Some(true),
            Token::Symbol('+' | '-' | '*' | '/' | '%' | '^' | '|' | '&' | '~') => computes = true,
            Token::Name(word, false) if word == "div" || word == "mod" => computes = true,
            _ => {}
        }
    }
    match tokens {
        _ if computes => Some(false),
        [Token::Name(word, false), ..] if word == "case" => Some(false),
        [Token::Name(word, false), Token::Symbol('('), ..] => {
            VALUES.contains(&word.as_str()).then_some(false)
        }
        [Token::Name(word, false)] if word == "true" || word == "false" => Some(true),
        [Token::Name(..) | Token::Literal] => Some(false),
        _ => None,
    }
}

/// Without parentheses around the whole of it.
fn without_parentheses(mut tokens: &[Token]) -> &[Token] {
    while let [Token::Symbol('('), inner @ .., Token::Symbol(')')] = tokens {
        let mut depth = 0_i32;
        let closes = inner.iter().any(|token| {
            match token {
                Token::Symbol('(') => depth += 1,
                Token::Symbol(')') => depth -= 1,
                _ => {}
            }
            depth < 0
        });
        if closes {
            break;
        }
        tokens = inner;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, calls: &[&str], columns: &[&str]) {
        let found = read(text).unwrap_or_else(|| panic!("{text} is read"));
        let called: Vec<&str> = found.calls.keys().map(String::as_str).collect();
        assert_eq!(called, calls, "{text}");
        assert_eq!(found.columns, columns, "{text}");
    }

    #[test]
    fn calls_and_columns() {
        check("a + `b c` > 5", &[], &["a", "b c"]);
        check("at < NOW()", &["now"], &["at"]);
        check("at < CURRENT_TIMESTAMP", &["current_timestamp"], &["at"]);
        check("a MOD 3 = 0", &[], &["a"]);
        check("CAST(a AS CHAR(3)) = 'x'", &["cast"], &["a"]);
        check("name COLLATE utf8mb4_bin LIKE 'x%'", &[], &["name"]);
        check("CONVERT(name USING latin1)", &["convert"], &["name"]);
        check("at + INTERVAL 1 DAY", &[], &["at"]);
        check("name <> _utf8mb4'x'", &[], &["name"]);
        check("at < DATE '2026-01-01'", &[], &["at"]);
        check("CASE WHEN a THEN b ELSE c END", &[], &["a", "b", "c"]);
        check("JSON_VALID(doc->'$.a')", &["json_valid"], &["doc"]);
        check("t.a > 0", &[], &[]);
    }

    #[test]
    fn queries_and_variables() {
        assert!(read("a > (SELECT 1)").unwrap().queries);
        assert!(read("a > @least").unwrap().variables);
        assert!(!read("a > 1").unwrap().queries);
        assert_eq!(read("a > \"x\""), None);
        assert_eq!(read("a > 'it\\'s'"), None);
    }

    #[test]
    fn conditions() {
        for (text, expect) in [
            ("a > 1", Some(true)),
            ("(a > 1)", Some(true)),
            ("(a > 1) AND (b)", Some(true)),
            ("a IN (1, 2)", Some(true)),
            ("NOT a", Some(true)),
            ("a IS NULL", Some(true)),
            ("TRUE", Some(true)),
            ("a", Some(false)),
            ("1", Some(false)),
            ("a + 1", Some(false)),
            ("a >> 1", Some(false)),
            ("doc->'$.a'", Some(false)),
            ("CASE WHEN a > 5 THEN b > 0 ELSE TRUE END", Some(false)),
            ("CASE WHEN a > 5 THEN b ELSE 0 END > 0", Some(true)),
            ("IF(a > 1, b > 0, TRUE)", Some(false)),
            ("JSON_VALID(a)", None),
            ("a || b", None),
        ] {
            assert_eq!(read(text).unwrap().is_condition, expect, "{text}");
        }
    }
}
