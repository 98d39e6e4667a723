//! A cursor over a statement's tokens, and the small pieces that all of MySQL's DDL is made of.

use std::time::Duration;

use dbop_model::table::{ColumnName, TableName};

use crate::lex::{Kind, Token};
use crate::split::Piece;
use crate::variables::seconds;

/// Why a statement cannot be read.
pub(super) type Unread = String;

/// Where in a statement's tokens the reader is.
pub(super) struct Cursor<'a> {
    piece: &'a Piece<'a>,
    at: usize,
    /// Where names without a schema are, where the file says it.
    schema: Option<&'a str>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(piece: &'a Piece<'a>, schema: Option<&'a str>) -> Self {
        Self {
            piece,
            at: 0,
            schema,
        }
    }

    pub(super) fn at_end(&self) -> bool {
        self.at >= self.piece.tokens.len()
    }

    /// The next token's text; empty at the end.
    pub(super) fn peek(&self) -> &'a str {
        self.piece
            .tokens
            .get(self.at)
            .map_or("", |token| self.piece.of(token))
    }

    /// Is the next token this keyword?
    pub(super) fn is(&self, word: &str) -> bool {
        self.piece.is_word(self.at, word)
    }

    /// Is it one of these?
    pub(super) fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    /// Is the token after the next one this keyword or sign?
    pub(super) fn is_then(&self, word: &str) -> bool {
        self.piece.tokens.get(self.at + 1).is_some_and(|token| {
            !matches!(token.kind, Kind::Quoted | Kind::Text)
                && self.piece.of(token).eq_ignore_ascii_case(word)
        })
    }

    /// Goes over these keywords, if all of them come next.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        let are = self.piece.are_words(self.at, words);
        if are {
            self.at += words.len();
        }
        are
    }

    /// Goes over one of these keywords.
    pub(super) fn take_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.take(&[word]))
    }

    /// Goes over a sign.
    pub(super) fn sign(&mut self, sign: &str) -> bool {
        let is = self.is_sign(sign);
        if is {
            self.at += 1;
        }
        is
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        self.piece
            .tokens
            .get(self.at)
            .is_some_and(|token| token.kind == Kind::Sign && self.piece.of(token) == sign)
    }

    /// The same, and an error where it is not there.
    pub(super) fn expect_sign(&mut self, sign: &str) -> Result<(), Unread> {
        if self.sign(sign) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("'{sign}'")))
        }
    }

    pub(super) fn expect(&mut self, words: &[&str]) -> Result<(), Unread> {
        if self.take(words) {
            Ok(())
        } else {
            Err(self.unexpected(&words.join(" ").to_uppercase()))
        }
    }

    /// Says what stands where something else was expected. No value of a string is shown.
    pub(super) fn unexpected(&self, expected: &str) -> Unread {
        match self.piece.tokens.get(self.at) {
            None => format!("it ends where {expected} was expected"),
            Some(Token {
                kind: Kind::Text, ..
            }) => format!("a string stands where {expected} was expected"),
            Some(Token {
                kind: Kind::Number, ..
            }) => format!("a number stands where {expected} was expected"),
            Some(token) => {
                let shown: String = self.piece.of(token).chars().take(40).collect();
                format!("'{shown}' stands where {expected} was expected")
            }
        }
    }

    /// Goes over one token of any kind.
    pub(super) fn skip(&mut self) {
        self.at += 1;
    }

    /// Goes to the end.
    pub(super) fn skip_all(&mut self) {
        self.at = self.piece.tokens.len();
    }

    /// A name as it is written, without its quotes.
    fn raw_name(&mut self) -> Result<String, Unread> {
        let Some(token) = self.piece.tokens.get(self.at) else {
            return Err(self.unexpected("a name"));
        };
        let text = self.piece.of(token);
        let name = match token.kind {
            Kind::Word => text.to_owned(),
            Kind::Quoted => text.trim_matches('`').replace("``", "`"),
            // With ANSI_QUOTES a name stands in double quotes; where a name has to be, it can be nothing else.
            Kind::Text if text.starts_with('"') => text.trim_matches('"').replace("\"\"", "\""),
            // A name may begin with digits.
            Kind::Number if text.chars().any(|c| c.is_alphabetic() || c == '_') => text.to_owned(),
            _ => return Err(self.unexpected("a name")),
        };
        self.at += 1;
        Ok(name)
    }

    /// The name of a column, an index or a constraint.
    pub(super) fn name(&mut self) -> Result<ColumnName, Unread> {
        let name = self.raw_name()?;
        ColumnName::ignoring_case(&name).map_err(|error| format!("a name {error}"))
    }

    /// The same where it is there: any keyword of `not_names` is none.
    pub(super) fn name_unless(&mut self, not_names: &[&str]) -> Result<Option<ColumnName>, Unread> {
        if self.at_end() || self.is_any(not_names) || self.piece.tokens[self.at].kind == Kind::Sign
        {
            return Ok(None);
        }
        self.name().map(Some)
    }

    /// A table's name, perhaps with its schema.
    pub(super) fn table(&mut self) -> Result<TableName, Unread> {
        let first = self.raw_name()?;
        let named = if self.sign(".") {
            let second = self.raw_name()?;
            TableName::new(Some(&first), &second)
        } else {
            TableName::new(self.schema, &first)
        };
        named.map_err(|error| format!("the table's name {error}"))
    }

    /// A column's name, which may have its table's before it.
    pub(super) fn column(&mut self) -> Result<ColumnName, Unread> {
        let mut name = self.name()?;
        while self.sign(".") {
            name = self.name()?;
        }
        Ok(name)
    }

    /// What stands between parentheses, which come next: its text in one line. The cursor goes behind them.
    pub(super) fn parentheses(&mut self) -> Result<String, Unread> {
        let (start, end) = self.range()?;
        Ok(self.text(start, end))
    }

    /// Names between the parentheses that come next: what stands there and is neither called nor a string. Keywords of
    /// expressions are among them.
    pub(super) fn names_in_parentheses(&self) -> Vec<ColumnName> {
        let mut inside = Cursor { ..*self };
        let Ok((start, end)) = inside.range() else {
            return Vec::new();
        };
        let is_name = |at: &usize| {
            let kind = self.piece.tokens[*at].kind;
            let called = self.piece.of(&self.piece.tokens[*at + 1]) == "(";
            matches!(kind, Kind::Word | Kind::Quoted) && !called
        };
        let name = |at: usize| {
            let text = self.piece.of(&self.piece.tokens[at]);
            ColumnName::ignoring_case(&text.trim_matches('`').replace("``", "`")).ok()
        };
        (start..end).filter(is_name).filter_map(name).collect()
    }

    /// The same, as a cursor of its own over the tokens between them.
    fn range(&mut self) -> Result<(usize, usize), Unread> {
        self.expect_sign("(")?;
        let start = self.at;
        let mut depth = 1_usize;
        while !self.at_end() {
            if self.is_sign("(") {
                depth += 1;
            } else if self.is_sign(")") {
                depth -= 1;
                if depth == 0 {
                    let end = self.at;
                    self.at += 1;
                    return Ok((start, end));
                }
            }
            self.at += 1;
        }
        Err("a parenthesis is not closed".to_owned())
    }

    /// Goes to where one of these keywords or a comma, a closing parenthesis or the end comes, outside of
    /// parentheses; gives the text up to there.
    pub(super) fn until(&mut self, words: &[&str]) -> Result<String, Unread> {
        let start = self.at;
        while !self.at_end() && !self.is_sign(",") && !self.is_sign(")") {
            // The first token may be one of the words: DEFAULT NULL.
            if self.at > start && self.is_any(words) {
                break;
            }
            if self.is_sign("(") {
                self.range()?;
            } else {
                self.at += 1;
            }
        }
        if self.at == start {
            return Err(self.unexpected("an expression"));
        }
        Ok(self.text(start, self.at))
    }

    /// Tokens in one line, with one space where there was white space or a comment.
    pub(super) fn text(&self, start: usize, end: usize) -> String {
        let mut text = String::new();
        let mut last: Option<&Token> = None;
        for token in &self.piece.tokens[start..end] {
            if last.is_some_and(|last| last.end < token.start) {
                text.push(' ');
            }
            text.push_str(self.piece.of(token));
            last = Some(token);
        }
        text
    }

    /// Where it is, for [`Cursor::text`].
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// Goes back to a place.
    pub(super) fn go_to(&mut self, place: usize) {
        self.at = place;
    }

    /// Does this keyword come behind a name, before anything in parentheses: `DEFINER = a@b TRIGGER`?
    pub(super) fn ahead_of_name(&self, word: &str) -> bool {
        let tokens = &self.piece.tokens[self.at..];
        let before = tokens
            .iter()
            .take(8)
            .take_while(|token| self.piece.of(token) != "(")
            .count();
        (self.at..self.at + before).any(|at| self.piece.is_word(at, word))
    }

    /// The first of these keywords that comes, not far ahead.
    pub(super) fn first_of(&self, words: &[&'static str]) -> Option<&'static str> {
        let ahead = self.at..(self.at + 24).min(self.piece.tokens.len());
        ahead
            .into_iter()
            .find_map(|at| words.iter().find(|word| self.piece.is_word(at, word)))
            .copied()
    }

    /// Names between parentheses: `(a, b)`.
    pub(super) fn names(&mut self) -> Result<Vec<ColumnName>, Unread> {
        self.expect_sign("(")?;
        let mut names = Vec::new();
        loop {
            names.push(self.column()?);
            if !self.sign(",") {
                break;
            }
        }
        self.expect_sign(")")?;
        Ok(names)
    }

    /// The value of an option, perhaps behind `=`: one token, a signed number, or what stands in parentheses.
    pub(super) fn value(&mut self) -> Result<String, Unread> {
        self.sign("=");
        if self.is_sign("(") {
            return self.parentheses();
        }
        if self.at_end() {
            return Err(self.unexpected("a value"));
        }
        let start = self.at;
        self.at += 1;
        Ok(self.text(start, self.at))
    }

    /// MariaDB's `WAIT n` and `NOWAIT`.
    pub(super) fn wait(&mut self) -> Result<Option<Duration>, Unread> {
        if self.take(&["nowait"]) {
            return Ok(Some(Duration::ZERO));
        }
        if self.take(&["wait"]) {
            let text = self.peek();
            let span = seconds(text).ok_or_else(|| self.unexpected("a number of seconds"))?;
            self.skip();
            return Ok(Some(span));
        }
        Ok(None)
    }

    /// An error where anything is left.
    pub(super) fn end(&self) -> Result<(), Unread> {
        if self.at_end() {
            Ok(())
        } else {
            Err(self.unexpected("the end"))
        }
    }
}
