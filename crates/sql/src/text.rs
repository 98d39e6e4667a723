//! A statement in one line, for people: cut where it is long, and without the values of user data.

use crate::lex::Kind;
use crate::split::Piece;

/// As long as a line of a report may be.
const CHARS_MAX: usize = 200;

/// The statement's tokens with one space where there was white space or a comment. Of what is no DDL, or could not be
/// read, strings and numbers are left out: an INSERT holds values, and a CREATE USER a password.
pub(crate) fn one_line(piece: &Piece<'_>, with_values: bool) -> String {
    let mut line = String::new();
    let mut end = None;
    for token in &piece.tokens {
        if line.chars().count() > CHARS_MAX {
            break;
        }
        if end.is_some_and(|end| end < token.start) {
            line.push(' ');
        }
        end = Some(token.end);
        match token.kind {
            // MySQL's `"name"` is a string too: nobody can tell from the text alone.
            Kind::Text | Kind::Number if !with_values => line.push('?'),
            Kind::Broken(_) => line.extend(first_word(piece.of(token))),
            _ => line.extend(
                piece
                    .of(token)
                    .chars()
                    .map(|c| {
                        if c.is_whitespace() || c.is_control() {
                            ' '
                        } else {
                            c
                        }
                    })
                    .take(CHARS_MAX + 1),
            ),
        }
    }
    cut(line)
}

/// Of what is no token, only what a client's command begins with: the rest may be anything.
fn first_word(text: &str) -> impl Iterator<Item = char> + '_ {
    let is_command = text.starts_with('\\');
    text.chars()
        .take_while(move |c| is_command && !c.is_whitespace() && !c.is_control())
}

fn cut(line: String) -> String {
    if line.chars().count() <= CHARS_MAX {
        return line;
    }
    let mut short: String = line.chars().take(CHARS_MAX - 3).collect();
    short.push_str("...");
    short
}
