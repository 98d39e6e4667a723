//! What a migration said: its log, bounded, and its last line, without secrets.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use dbop_credentials::binding::encoded;

/// A log is kept in two halves of at most this size (and what is written between two looks).
const LOG_BYTES_MAX: u64 = 5 * 1024 * 1024;
/// The last line is looked for in so much of the end.
const TAIL_BYTES: u64 = 8 * 1024;
/// A line in a table and a status: what is longer is cut.
const LINE_CHARS_MAX: usize = 300;
/// An error further from the end than this is another's.
const ERROR_WITHIN_LINES: usize = 5;
/// What stands in the place of a secret.
const REDACTED: &str = "***";

/// Moves a log that has become too long aside: `log.1` replaces the one before it. The process goes on
/// writing at the new end, for its file is opened to append.
pub(super) fn bound(log: &Path) -> io::Result<()> {
    bound_at(log, LOG_BYTES_MAX)
}

fn bound_at(log: &Path, bytes_max: u64) -> io::Result<()> {
    if fs::metadata(log)?.len() <= bytes_max {
        return Ok(());
    }
    let older = older(log);
    // The copy has the log's mode: its owner's alone.
    fs::copy(log, &older)?;
    File::options().write(true).open(log)?.set_len(0)
}

fn older(log: &Path) -> PathBuf {
    log.with_extension("1")
}

/// The last line that says something, without secrets; `None`: there is none.
pub(super) fn last_line(log: &Path, secrets: &[String]) -> Option<String> {
    let tail = tail(log)
        .filter(|tail| !tail.trim().is_empty())
        .or_else(|| tail(&older(log)))?;
    let lines: Vec<String> = tail
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
    Some(cut(&redacted(line, secrets)))
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

/// `: ` and the first line of a file, where it has one.
pub(super) fn first_line(path: &Path) -> String {
    let text = tail(path).unwrap_or_default();
    let line = text.lines().map(printable).find(|line| !line.is_empty());
    line.map_or_else(String::new, |line| format!(": {}", cut(&line)))
}

/// Takes secrets out of a text, as they are and as they stand in URLs.
pub(super) fn redacted(text: &str, secrets: &[String]) -> String {
    let mut needles: Vec<String> = Vec::new();
    for secret in secrets
        .iter()
        .map(|secret| secret.trim())
        .filter(|secret| !secret.is_empty())
    {
        needles.extend([secret.to_owned(), encoded(secret)]);
        // A line of output may show one line of a secret of many.
        needles.extend(
            secret
                .lines()
                .filter(|line| !line.is_empty())
                .map(str::to_owned),
        );
    }
    // The longest first, so that a password inside of a URL does not leave the rest of the URL.
    needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
    needles.iter().fold(text.to_owned(), |text, needle| {
        text.replace(needle, REDACTED)
    })
}

fn tail(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
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

fn cut(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS_MAX) {
        None => line.to_owned(),
        Some((end, _)) => format!("{}...", &line[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[track_caller]
    fn check(log: &str, secrets: &[&str], expect: Option<&str>) {
        let scratch = Scratch::new();
        scratch.write("log", log);
        let secrets: Vec<String> = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        let line = last_line(&scratch.path().join("log"), &secrets);
        assert_eq!(line.as_deref(), expect);
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
        check(
            "at postgresql://a:p%40ss@db/x",
            &["p@ss"],
            Some("at postgresql://a:***@db/x"),
        );
        let url = "postgresql://a:p%40ss@db/x";
        check(
            &format!("cannot use {url}"),
            &["p@ss", url],
            Some("cannot use ***"),
        );
        check("key: MIIB", &["-----\nMIIB\n-----\n"], Some("key: ***"));
        check("nothing to hide", &["", " "], Some("nothing to hide"));
    }

    #[test]
    fn a_long_log_is_kept_in_two_halves() {
        let scratch = Scratch::new();
        let log = scratch.path().join("log");
        scratch.write("log", "0123456789");
        bound_at(&log, 10).unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "0123456789");
        scratch.write("log", "0123456789a\n");
        bound_at(&log, 10).unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "");
        assert_eq!(last_line(&log, &[]).as_deref(), Some("0123456789a"));
    }
}
