//! Statements of a file: where each begins and ends.
//!
//! A semicolon ends one, unless it stands in a string, a comment, a body (`BEGIN ... END`) or in parentheses; in files
//! for MySQL's client, `DELIMITER` says what does. Lines of `psql` and the data below `COPY ... FROM stdin` are no
//! SQL. What a migration tool would run to go back (`-- +goose Down`, `-- migrate:down`) is left out.

use dbop_model::{Engine, visible};

use crate::lex::{Kind, Lexeme, Token, next};

/// A statement's place in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// The whole file.
    pub(crate) file: &'a str,
    /// Its tokens, without what ends it; never empty.
    pub(crate) tokens: Vec<Token>,
    /// The line on which it begins, from 1.
    pub(crate) line: u32,
    /// Why it is no statement that could be read.
    pub(crate) problem: Option<String>,
}

impl<'a> Piece<'a> {
    /// Its text, from the first token to the last.
    pub(crate) fn text(&self) -> &'a str {
        match (self.tokens.first(), self.tokens.last()) {
            (Some(first), Some(last)) => &self.file[first.start..last.end],
            _ => "",
        }
    }

    /// The text of a token.
    pub(crate) fn of(&self, token: &Token) -> &'a str {
        &self.file[token.start..token.end]
    }

    /// The text of the token at this place; none is there: nothing.
    pub(crate) fn written(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| self.of(token))
    }

    /// The place of the parenthesis that ends the one at this place.
    pub(crate) fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in open..self.tokens.len() {
            match self.written(at) {
                "(" => depth += 1,
                ")" => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Is the token at this place this word, in whatever case?
    pub(crate) fn is_word(&self, at: usize, word: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| {
            token.kind == Kind::Word && self.of(token).eq_ignore_ascii_case(word)
        })
    }

    /// Do these words stand from this place on?
    pub(crate) fn are_words(&self, at: usize, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(offset, word)| self.is_word(at + offset, word))
    }
}

/// The statements of a file, in its order.
pub(crate) fn split(engine: Engine, file: &str) -> Vec<Piece<'_>> {
    Splitter {
        engine,
        file,
        at: 0,
        line: 1,
        line_at: 0,
        delimiter: None,
        in_conditional: false,
        backwards: false,
        open: Open::default(),
        pieces: Vec::new(),
    }
    .run()
}

struct Splitter<'a> {
    engine: Engine,
    file: &'a str,
    at: usize,
    /// The line of `line_at`, which follows the beginnings of statements.
    line: u32,
    line_at: usize,
    /// What ends a statement, where it is no semicolon.
    delimiter: Option<&'a str>,
    in_conditional: bool,
    /// Is this what would undo the migration?
    backwards: bool,
    open: Open,
    pieces: Vec<Piece<'a>>,
}

/// The statement that is being read.
#[derive(Default)]
struct Open {
    tokens: Vec<Token>,
    parentheses: usize,
    /// Can it have a body, whose statements end with semicolons too?
    has_body: bool,
    /// How many `BEGIN` and `CASE` have no `END` yet.
    bodies: usize,
    /// Did the last `END` end one of them?
    ended: bool,
}

/// What a tool calls the part of a file that undoes it, and the part that does it.
const BACKWARDS: [&str; 3] = ["+goose down", "+migrate down", "migrate:down"];
const FORWARDS: [&str; 3] = ["+goose up", "+migrate up", "migrate:up"];

impl<'a> Splitter<'a> {
    fn run(mut self) -> Vec<Piece<'a>> {
        loop {
            if self.open.tokens.is_empty() && self.client_line() {
                continue;
            }
            if let Some(delimiter) = self.delimiter
                && self.file[self.at..].starts_with(delimiter)
            {
                self.close();
                self.at += delimiter.len();
                continue;
            }
            match next(self.engine, self.file, self.at, &mut self.in_conditional) {
                Lexeme::End => {
                    self.close();
                    return self.pieces;
                }
                Lexeme::Skip(end) => self.at = end,
                Lexeme::LineComment(end) => {
                    self.marker(end);
                    self.at = end;
                }
                Lexeme::Token(token) => self.token(token),
            }
        }
    }

    fn token(&mut self, token: Token) {
        let text = &self.file[token.start..token.end];
        if self.delimiter.is_none() && text == ";" && self.ends_here() {
            let copies = self.copies_from_stdin();
            self.close();
            self.at = token.end;
            if copies {
                self.skip_data();
            }
            return;
        }
        if text == "\\" {
            return self.client_command(token);
        }
        self.at = token.end;
        self.open.push(self.engine, token, self.file);
    }

    /// A command of the client behind a statement (`\gexec`, `\G`) ends it, and no server would read it.
    fn client_command(&mut self, token: Token) {
        let rest = &self.file[token.start..];
        let end = token.start + rest.find('\n').unwrap_or(rest.len());
        let command = rest.split_whitespace().next().unwrap_or("\\");
        let problem = self.client_problem(command);
        let count = self.pieces.len();
        self.close();
        self.at = end;
        match self.pieces.get_mut(count) {
            Some(piece) => piece.problem = Some(problem),
            None => self.refuse_from(token.start, end, problem),
        }
    }

    fn client_problem(&self, command: &str) -> String {
        let client = match self.engine {
            Engine::PostgreSql => "psql",
            Engine::MySql | Engine::MariaDb => "the client",
        };
        let command: String = command.chars().take(20).collect();
        let shown = visible::line(&command);
        format!("{shown} is a command of {client}, and no SQL")
    }

    fn ends_here(&self) -> bool {
        let open = &self.open;
        // As psql does it: CREATE RULE has statements in parentheses. Another server's end at any semicolon.
        let inside = self.engine == Engine::PostgreSql && open.parentheses > 0;
        !inside && open.bodies == 0
    }

    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        let Some(first) = open.tokens.first() else {
            return;
        };
        if self.backwards {
            return;
        }
        let line = self.line_of(first.start);
        let problem = open.tokens.iter().find_map(|token| match token.kind {
            Kind::Broken(why) => Some(format!(
                "{why} (line {})",
                line_from(self.file, first.start, line, token.start)
            )),
            _ => None,
        });
        self.pieces.push(Piece {
            file: self.file,
            tokens: open.tokens,
            line,
            problem,
        });
    }

    /// Statements come in order, so that each line is counted once.
    fn line_of(&mut self, at: usize) -> u32 {
        self.line = line_from(self.file, self.line_at, self.line, at);
        self.line_at = at;
        self.line
    }

    /// A comment that a tool reads as the beginning of one of the file's two parts.
    fn marker(&mut self, end: usize) {
        let comment = self.file[self.at..end]
            .trim_start_matches(['-', '#'])
            .trim()
            .to_ascii_lowercase();
        if BACKWARDS.iter().any(|marker| comment.starts_with(marker)) {
            self.close();
            self.backwards = true;
        } else if FORWARDS.iter().any(|marker| comment.starts_with(marker)) {
            self.close();
            self.backwards = false;
        }
    }

    /// Between statements: a line that is for the client alone. Was there one?
    fn client_line(&mut self) -> bool {
        let rest = &self.file[self.at..];
        let end = self.at + rest.find('\n').unwrap_or(rest.len());
        let line = self.file[self.at..end].trim_end();
        if line.starts_with('\\') {
            let command = line.split_whitespace().next().unwrap_or(line);
            let problem = self.client_problem(command);
            self.refuse(self.at + line.len(), problem);
            self.at = end;
            return true;
        }
        let mut words = line.split_whitespace();
        let is_delimiter = self.engine != Engine::PostgreSql
            && words
                .next()
                .is_some_and(|word| word.eq_ignore_ascii_case("delimiter"));
        if is_delimiter {
            match words.next() {
                Some(";") => self.delimiter = None,
                Some(delimiter) => self.delimiter = Some(delimiter),
                None => self.refuse(self.at + line.len(), "DELIMITER names none".to_owned()),
            }
            self.at = end;
        }
        is_delimiter
    }

    /// A piece that cannot be read, from here to there.
    fn refuse(&mut self, end: usize, problem: String) {
        self.refuse_from(self.at, end, problem);
    }

    fn refuse_from(&mut self, start: usize, end: usize, problem: String) {
        if self.backwards {
            return;
        }
        let line = self.line_of(start);
        self.pieces.push(Piece {
            file: self.file,
            tokens: vec![Token {
                kind: Kind::Broken(""),
                start,
                end,
            }],
            line,
            problem: Some(problem),
        });
    }

    fn copies_from_stdin(&self) -> bool {
        let words: Vec<&str> = self
            .open
            .tokens
            .iter()
            .map(|t| &self.file[t.start..t.end])
            .collect();
        self.engine == Engine::PostgreSql
            && words
                .first()
                .is_some_and(|word| word.eq_ignore_ascii_case("copy"))
            && words.windows(2).any(|two| {
                two[0].eq_ignore_ascii_case("from") && two[1].eq_ignore_ascii_case("stdin")
            })
    }

    /// Goes on behind the line `\.` that ends the data of a COPY.
    fn skip_data(&mut self) {
        let rest = &self.file[self.at..];
        let mut at = rest.find('\n').map_or(rest.len(), |end| end + 1);
        while at < rest.len() {
            let end = rest[at..].find('\n').map_or(rest.len(), |end| at + end + 1);
            let line = rest[at..end].trim_end();
            at = end;
            if line == "\\." {
                break;
            }
        }
        self.at += at;
    }
}

/// The line of a place, counted from an earlier place and its line.
fn line_from(file: &str, earlier: usize, line: u32, at: usize) -> u32 {
    let breaks = file.as_bytes()[earlier..at]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count();
    line.saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX))
}

/// What has a body of statements. PostgreSQL's stand in strings, unless it is `BEGIN ATOMIC`.
const WITH_BODY: [&str; 4] = ["procedure", "function", "trigger", "event"];

/// What has none, though a word of [`WITH_BODY`] may stand in it.
const WITHOUT_BODY: [&str; 13] = [
    "table", "index", "view", "database", "schema", "user", "role", "sequence", "type", "rule",
    "policy", "on", "(",
];

impl Open {
    fn push(&mut self, engine: Engine, token: Token, file: &str) {
        let text = &file[token.start..token.end];
        match text {
            "(" => self.parentheses += 1,
            ")" => self.parentheses = self.parentheses.saturating_sub(1),
            _ => {}
        }
        if token.kind == Kind::Word {
            self.body(engine, &text.to_ascii_lowercase(), file);
        }
        self.tokens.push(token);
    }

    /// Counts bodies. `END IF`, `END LOOP` and the like end what does not begin with `BEGIN` or `CASE`.
    fn body(&mut self, engine: Engine, word: &str, file: &str) {
        let is = |at: usize, word: &str| {
            self.tokens
                .get(at)
                .is_some_and(|token| file[token.start..token.end].eq_ignore_ascii_case(word))
        };
        let count = self.tokens.len();
        let behind = |word: &str| count > 0 && is(count - 1, word);
        // MariaDB's compound statement outside of a routine begins so.
        let is_compound =
            engine == Engine::MariaDb && word == "not" && count == 1 && behind("begin");
        if WITH_BODY.contains(&word) && is(0, "create") {
            self.has_body |= !(1..count).any(|at| WITHOUT_BODY.iter().any(|word| is(at, word)));
        }
        if is_compound {
            self.has_body = true;
            self.bodies = 1;
            return;
        }
        if !self.has_body {
            return;
        }
        match word {
            "if" | "loop" | "while" | "repeat" if behind("end") && self.ended => self.bodies += 1,
            "case" if behind("end") => {}
            "case" if self.bodies > 0 => self.bodies += 1,
            "begin" if engine != Engine::PostgreSql => self.bodies += 1,
            "atomic" if behind("begin") => self.bodies += 1,
            "end" => {
                self.ended = self.bodies > 0;
                self.bodies = self.bodies.saturating_sub(1);
            }
            _ => {}
        }
    }
}
