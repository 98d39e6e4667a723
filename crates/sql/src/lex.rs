//! Tokens of SQL: as much of each engine's lexical rules as it takes to know where a statement ends.
//!
//! PostgreSQL manual, section 4.1; MySQL 8.4 manual, sections 11.1, 11.2 and 11.7; MariaDB, Comment Syntax. What is
//! no token of the language (a quote that is not closed) is a token too, of the kind `Broken`.

use dbop_model::Engine;

/// One token, by where it stands in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword or a name.
    Word,
    /// A name in quotes.
    Quoted,
    /// A string, also between dollars.
    Text,
    /// A number.
    Number,
    /// One character of anything else.
    Sign,
    /// A quote or a comment without an end.
    Broken(&'static str),
}

/// What stands at a place of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lexeme {
    /// A token.
    Token(Token),
    /// White space or a comment, up to there.
    Skip(usize),
    /// A comment to the end of its line, up to there; it may be a word to a tool.
    LineComment(usize),
    /// The end of the text.
    End,
}

/// Reads what stands at `at`, which is on a character's boundary. `in_conditional`: it is inside of a comment whose
/// content the server runs, so that `*/` is skipped.
pub(crate) fn next(engine: Engine, text: &str, at: usize, in_conditional: &mut bool) -> Lexeme {
    let rest = &text[at..];
    let Some(first) = rest.chars().next() else {
        return Lexeme::End;
    };
    let to = |len: usize| at + len;
    if first.is_whitespace() || first == '\u{feff}' {
        return Lexeme::Skip(to(first.len_utf8()));
    }
    let postgres = engine == Engine::PostgreSql;
    if begins_line_comment(postgres, rest) {
        let len = rest.find('\n').unwrap_or(rest.len());
        return Lexeme::LineComment(to(len));
    }
    if rest.starts_with("*/") && *in_conditional {
        *in_conditional = false;
        return Lexeme::Skip(to(2));
    }
    if rest.starts_with("/*") {
        return comment(engine, text, at, in_conditional);
    }
    let token = |kind: Kind, len: usize| {
        Lexeme::Token(Token {
            kind,
            start: at,
            end: to(len),
        })
    };
    match first {
        '\'' => quoted(rest, 0, '\'', !postgres, Kind::Text).at(at),
        '"' if postgres => quoted(rest, 0, '"', false, Kind::Quoted).at(at),
        '"' => quoted(rest, 0, '"', true, Kind::Text).at(at),
        '`' if !postgres => quoted(rest, 0, '`', false, Kind::Quoted).at(at),
        '$' if postgres => match dollar_quote(rest) {
            Some(Some(len)) => token(Kind::Text, len),
            Some(None) => token(
                Kind::Broken("a string between dollars has no end"),
                rest.len(),
            ),
            None => token(Kind::Sign, 1),
        },
        _ if first.is_ascii_digit() => token(Kind::Number, number(rest)),
        _ if is_word(first) => {
            if let Some((prefix, backslashes, kind)) = prefixed(postgres, rest) {
                let quote = if kind == Kind::Quoted { '"' } else { '\'' };
                return quoted(rest, prefix, quote, backslashes, kind).at(at);
            }
            let len = rest
                .find(|c: char| !is_word(c) && c != '$')
                .unwrap_or(rest.len());
            token(Kind::Word, len)
        }
        _ => token(Kind::Sign, first.len_utf8()),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || (!c.is_ascii() && !c.is_whitespace())
}

/// In MySQL `--` begins a comment only before white space (MySQL 8.4 manual, section 11.7).
fn begins_line_comment(postgres: bool, rest: &str) -> bool {
    if postgres {
        return rest.starts_with("--");
    }
    rest.starts_with('#')
        || rest.strip_prefix("--").is_some_and(|after| {
            after
                .chars()
                .next()
                .is_none_or(|c| c.is_whitespace() || c.is_control())
        })
}

/// `E'...'`, `U&'...'`, `B'...'`, `X'...'`, `N'...'` and `U&"..."`: the length of what stands before the quote, and
/// whether a backslash escapes. MySQL's `_utf8mb4'...'` is a word before a string.
fn prefixed(postgres: bool, rest: &str) -> Option<(usize, bool, Kind)> {
    let bytes = rest.as_bytes();
    let letter = bytes.first()?.to_ascii_lowercase();
    if postgres && letter == b'u' && bytes.get(1) == Some(&b'&') {
        return match bytes.get(2)? {
            b'\'' => Some((2, false, Kind::Text)),
            b'"' => Some((2, false, Kind::Quoted)),
            _ => None,
        };
    }
    let letters: &[u8] = if postgres { b"ebxn" } else { b"bxn" };
    (letters.contains(&letter) && bytes.get(1) == Some(&b'\'')).then_some((
        1,
        !postgres || letter == b'e',
        Kind::Text,
    ))
}

/// A token of some length, or one without an end.
struct Length {
    kind: Kind,
    len: usize,
}

impl Length {
    fn at(self, at: usize) -> Lexeme {
        Lexeme::Token(Token {
            kind: self.kind,
            start: at,
            end: at + self.len,
        })
    }
}

fn quoted(rest: &str, prefix: usize, quote: char, backslashes: bool, kind: Kind) -> Length {
    let mut chars = rest[prefix + 1..].char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && backslashes {
            chars.next();
        } else if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
            } else {
                return Length {
                    kind,
                    len: prefix + 1 + at + 1,
                };
            }
        }
    }
    Length {
        kind: Kind::Broken(match kind {
            Kind::Quoted => "a quoted name has no end",
            _ => "a string has no end",
        }),
        len: rest.len(),
    }
}

/// The length of a string between dollars; `Some(None)`: it has no end; `None`: it is none.
fn dollar_quote(rest: &str) -> Option<Option<usize>> {
    let tag_end = rest[1..].find(|c: char| !is_word(c))? + 1;
    if !rest[tag_end..].starts_with('$') || rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let tag = &rest[..=tag_end];
    Some(
        rest[tag.len()..]
            .find(tag)
            .map(|at| tag.len() + at + tag.len()),
    )
}

/// The length of a number: `1`, `1.5`, `1e-5`, `0xff`, `1_000`.
fn number(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut len = 0;
    while let Some(&byte) = bytes.get(len) {
        let exponent = len > 0
            && matches!(byte, b'+' | b'-')
            && matches!(bytes[len - 1], b'e' | b'E')
            && bytes.get(len + 1).is_some_and(u8::is_ascii_digit)
            && bytes[..len - 1]
                .iter()
                .all(|b| b.is_ascii_digit() || *b == b'.');
        // Two dots are a range in PL/pgSQL, never part of a number.
        let dot = byte == b'.' && bytes.get(len + 1) != Some(&b'.');
        if byte.is_ascii_alphanumeric() || byte == b'_' || dot || exponent {
            len += 1;
        } else {
            break;
        }
    }
    len
}

/// A block comment: PostgreSQL nests them; MySQL and MariaDB run what stands in `/*! ... */`.
fn comment(engine: Engine, text: &str, at: usize, in_conditional: &mut bool) -> Lexeme {
    let rest = &text[at..];
    if engine == Engine::PostgreSql {
        let (mut depth, mut len) = (0_usize, 0);
        while len < rest.len() {
            if rest[len..].starts_with("/*") {
                depth += 1;
                len += 2;
            } else if rest[len..].starts_with("*/") {
                depth -= 1;
                len += 2;
                if depth == 0 {
                    return Lexeme::Skip(at + len);
                }
            } else {
                len += rest[len..].chars().next().map_or(1, char::len_utf8);
            }
        }
        return broken_comment(at, rest.len());
    }
    if let Some(len) = conditional(engine, rest) {
        // They do not nest, so that one look ahead is enough.
        if !*in_conditional && !rest.contains("*/") {
            return broken_comment(at, rest.len());
        }
        *in_conditional = true;
        return Lexeme::Skip(at + len);
    }
    match rest[2..].find("*/") {
        Some(len) => Lexeme::Skip(at + 2 + len + 2),
        None => broken_comment(at, rest.len()),
    }
}

fn broken_comment(at: usize, len: usize) -> Lexeme {
    Lexeme::Token(Token {
        kind: Kind::Broken("a comment has no end"),
        start: at,
        end: at + len,
    })
}

/// The length of what opens a comment whose content this engine runs: `/*!`, `/*!80016`, `/*M!100100`.
///
/// The version is not compared with the server's, which is not known here: what some supported version runs counts as
/// run. MariaDB leaves out `50700` to `99999`, which are MySQL's (MariaDB, Comment Syntax).
fn conditional(engine: Engine, rest: &str) -> Option<usize> {
    let (open, after) = match (rest.strip_prefix("/*!"), rest.strip_prefix("/*M!")) {
        (Some(after), _) => (3, after),
        (None, Some(after)) if engine == Engine::MariaDb => (4, after),
        _ => return None,
    };
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    // Five or six digits are a version; others belong to the statement.
    let digits = if matches!(digits, 5 | 6) { digits } else { 0 };
    let version: u32 = after[..digits].parse().unwrap_or(0);
    let foreign = engine == Engine::MariaDb && open == 3 && (50_700..=99_999).contains(&version);
    (!foreign).then_some(open + digits)
}
