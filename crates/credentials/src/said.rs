//! What a migration's program said, as a status may show it: one line, bounded, without secrets.
//!
//! Secrets are found as they stand, percent-encoded in any way, and in Base64, also in the middle of a
//! longer text. What a program does to a secret beyond that, nobody can find. No file and no log is read
//! here. Colours are taken out; what else is harmful is spelled out when no secret is left, because a secret
//! that is spelled out is not found.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use dbop_model::visible;

/// A line in a table and a status: what is longer is cut.
pub const LINE_CHARS_MAX: usize = 300;
/// An error further from the end than this is another's.
const ERROR_WITHIN_LINES: usize = 5;
/// What stands in the place of a secret.
const REDACTED: &str = "***";
/// The Base64 of a shorter secret is so short that it stands in texts by chance.
const BASE64_FROM_BYTES: usize = 6;

/// The last line that says something, without secrets; `None`: there is none.
pub fn last_line<S: AsRef<str>>(text: &str, secrets: &[S]) -> Option<String> {
    let lines: Vec<String> = text
        .lines()
        .rev()
        .map(printable)
        .filter(|line| says(line))
        .collect();
    // A tool's error goes before what it says on its way out, such as a trace or a hint.
    let error = lines
        .iter()
        .take(ERROR_WITHIN_LINES)
        .find(|line| is_error(line));
    let line = error.or(lines.first())?;
    Some(shown(&redacted(line, secrets)))
}

/// The first line that is not empty; secrets are not looked for.
pub fn first_line(text: &str) -> Option<String> {
    let line = text.lines().map(printable).find(|line| !line.is_empty());
    line.map(|line| shown(&line))
}

/// All of a text in one line; secrets are not looked for.
pub fn one_line(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(printable)
        .filter(|line| !line.is_empty())
        .collect();
    shown(&lines.join(" "))
}

/// Takes secrets out of a text.
pub fn redacted<S: AsRef<str>>(text: &str, secrets: &[S]) -> String {
    let mut needles: Vec<Needle<'_>> = Vec::new();
    for secret in secrets
        .iter()
        .map(|secret| secret.as_ref().trim())
        .filter(|secret| !secret.is_empty())
    {
        needles.push(Needle::Encoded(secret));
        needles.extend(base64_forms(secret.as_bytes()).map(Needle::Plain));
        // A line of output may show one line of a secret of many.
        let lines = secret.lines().filter(|line| !line.is_empty());
        needles.extend(lines.filter(|line| *line != secret).map(Needle::Encoded));
    }
    // The longest first, so that a password inside of a URL does not leave the rest of the URL.
    needles.sort_by_key(|needle| std::cmp::Reverse(needle.bytes().len()));
    let found = needles.iter().fold(text.as_bytes().to_vec(), replaced);
    String::from_utf8_lossy(&found).into_owned()
}

enum Needle<'a> {
    /// As it stands.
    Plain(String),
    /// As it stands, or with any of its bytes percent-encoded.
    Encoded(&'a str),
}

impl Needle<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Needle::Plain(text) => text.as_bytes(),
            Needle::Encoded(text) => text.as_bytes(),
        }
    }

    /// How much of the text's beginning is the needle; `None`: it does not begin with it.
    fn begins(&self, text: &[u8]) -> Option<usize> {
        let needle = self.bytes();
        if matches!(self, Needle::Plain(_)) {
            return text.starts_with(needle).then_some(needle.len());
        }
        let mut at = 0;
        for &byte in needle {
            let rest = &text[at..];
            at += match rest {
                [first, ..] if *first == byte => 1,
                // HTML's forms, where they encode a URL (WHATWG, URL, section 5.2).
                [b'+', ..] if byte == b' ' => 1,
                [b'%', high, low, ..] if hex(*high, *low) == Some(byte) => 3,
                _ => return None,
            };
        }
        Some(at)
    }
}

fn replaced(text: Vec<u8>, needle: &Needle<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    // What lies before is redacted already. It goes on by one byte each time, whatever is found: no needle makes it endless.
    let mut redacted_to = 0;
    for at in 0..text.len() {
        if at < redacted_to {
            continue;
        }
        match needle.begins(&text[at..]) {
            Some(length) => {
                out.extend_from_slice(REDACTED.as_bytes());
                redacted_to = at + length;
            }
            None => out.push(text[at]),
        }
    }
    out
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// What a secret looks like inside of a Base64 text: three bytes are four letters, so it depends on how
/// many bytes stand before it. Letters that its neighbours have a part in are left out.
fn base64_forms(secret: &[u8]) -> impl Iterator<Item = String> {
    let long_enough = secret.len() >= BASE64_FROM_BYTES;
    [0, 1, 2]
        .into_iter()
        .filter(move |_| long_enough)
        .flat_map(move |before| {
            let bytes = [&[0; 2][..before], secret].concat();
            // Letters that hold a bit of what stands before, and those that hold only its own.
            let from = (before * 8).div_ceil(6);
            let to = bytes.len() * 8 / 6;
            [STANDARD_NO_PAD, URL_SAFE_NO_PAD]
                .map(|base64| base64.encode(&bytes)[from..to].to_owned())
        })
}

/// Does a line say something that may stand in a status? PostgreSQL's DETAIL, CONTEXT and LINE show values
/// of rows and statements, which are nobody's business there; the mark below a LINE says nothing.
fn says(line: &str) -> bool {
    let quotes = ["DETAIL:", "CONTEXT:", "STATEMENT:"]
        .iter()
        .any(|part| line.contains(part));
    let marks = line
        .strip_prefix("LINE ")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    line.chars().any(char::is_alphanumeric) && !quotes && !marks
}

fn is_error(line: &str) -> bool {
    ["ERROR:", "FATAL:", "error:", "Error:"]
        .iter()
        .any(|mark| line.contains(mark))
}

/// A line without colours and control characters.
fn printable(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // ECMA-48: a control sequence ends with a letter.
            for c in chars.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else if c == '\t' {
            out.push(' ');
        } else if !c.is_control() {
            out.push(c);
        }
    }
    out.trim().to_owned()
}

/// Harmless, and cut.
fn shown(line: &str) -> String {
    let line = visible::line(line);
    match line.char_indices().nth(LINE_CHARS_MAX) {
        None => line.into_owned(),
        Some((end, _)) => format!("{}...", &line[..end]),
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use dbop_model::visible::hostile;

    use super::*;

    #[track_caller]
    fn check(text: &str, secrets: &[&str], expect: Option<&str>) {
        assert_eq!(last_line(text, secrets).as_deref(), expect);
    }

    #[test]
    fn the_last_line_is_what_people_want_to_see() {
        check("", &[], None);
        check("\n \n", &[], None);
        check("one\ntwo\n\n", &[], Some("two"));
        check("\u{1b}[31mred\u{1b}[0m\ttext\r\n", &[], Some("red text"));
        check(
            "ERROR: duplicate\nDETAIL: Key (email)=(a@b.c) exists.\n",
            &[],
            Some("ERROR: duplicate"),
        );
        check(
            "ERROR:  relation \"x\" does not exist\nLINE 1: UPDATE x SET a = 'b'\n        ^\n",
            &[],
            Some("ERROR:  relation \"x\" does not exist"),
        );
        check(
            "error: no such file\n       put it back\n",
            &[],
            Some("error: no such file"),
        );
        check("ERROR: one\n1\n2\n3\n4\n5\n", &[], Some("5"));
        check(
            &"x".repeat(400),
            &[],
            Some(&format!("{}...", "x".repeat(300))),
        );
    }

    #[test]
    fn secrets_are_taken_out_in_every_form() {
        check(
            "login as p@ss failed",
            &["p@ss"],
            Some("login as *** failed"),
        );
        let url = "postgresql://a:p%40ss@db/x";
        check(
            &format!("cannot use {url}"),
            &["p@ss", url],
            Some("cannot use ***"),
        );
        check("key: MIIB", &["-----\nMIIB\n-----\n"], Some("key: ***"));
        check("nothing to hide", &["", " "], Some("nothing to hide"));
        // Each tool encodes other bytes, and in its own case.
        for form in [
            "p%40s%2Fs w",
            "p%40s%2fs+w",
            "p@s%2Fs%20w",
            "%70%40%73%2f%73%20%77",
        ] {
            check(
                &format!("at postgresql://a:{form}@db/ä"),
                &["p@s/s w"],
                Some("at postgresql://a:***@db/ä"),
            );
        }
        // What only looks like a form of it is something else, and stays.
        for other in ["p+ss", "p%41ss", "p%4"] {
            check(other, &["p@ss"], Some(other));
        }
        check("100%", &["p@ss"], Some("100%"));
        check("%4", &["@a"], Some("%4"));
    }

    #[test]
    fn secrets_are_taken_out_of_base64_wherever_they_stand_in_it() {
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "z", "zy", "zyx"] {
                let secret = "k?~>correct-horse";
                let whole = STANDARD.encode(format!("{before}{secret}{after}"));
                let text = redacted(&format!("Basic {whole}"), &[secret]);
                assert!(text.contains(REDACTED), "{before} {after}: {text}");
                // What is left holds no more than a letter of the secret at each end.
                let left = text.len() - "Basic ".len() - REDACTED.len();
                assert!(left <= (before.len() + after.len()) * 2 + 6, "{text}");
            }
        }
        // The last letter holds bits of the secret and, elsewhere, of what follows.
        let url_safe = URL_SAFE_NO_PAD.encode("k?~>correct-horse");
        check(&url_safe, &["k?~>correct-horse"], Some("***U"));
        check("YWJj is short", &["abc"], Some("YWJj is short"));
    }

    #[test]
    fn what_was_said_is_harmless_and_bounded() {
        for text in hostile::texts() {
            let last = last_line(&text, &["secret"]).unwrap_or_default();
            for shown in [last, first_line(&text).unwrap_or_default(), one_line(&text)] {
                assert_eq!(hostile::harm(&shown), "", "{shown}");
                assert!(shown.chars().count() <= LINE_CHARS_MAX + 3, "{shown}");
            }
        }
    }

    #[test]
    fn a_secret_that_is_hostile_itself_is_found() {
        // Spelled out before it is looked for, it would stand there for everybody to read back.
        check(
            "login as p\u{202e}w failed",
            &["p\u{202e}w"],
            Some("login as *** failed"),
        );
    }

    #[test]
    fn a_text_of_many_lines_becomes_one() {
        assert_eq!(one_line("a\n\n  b\tc\r\n"), "a b c");
        assert_eq!(first_line("\n \none\ntwo").as_deref(), Some("one"));
        assert_eq!(first_line(" \n"), None);
    }
}
