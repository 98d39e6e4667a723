//! How the demo looks: plain text of a hundred columns, without colour.
//!
//! The operator's output stands as it comes, between the command that gave it and what the demo says
//! about it, which begins with an arrow.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// Wide enough for a statement, narrow enough for a terminal.
const COLUMNS: usize = 100;
/// What a shell wants at the end of a line that goes on.
const CONTINUED: &str = " \\";
/// How long a reader at a terminal gets for a paragraph, before the screen moves on.
const READING: Duration = Duration::from_millis(800);

/// The beginning of an act: a title, and what will happen and why it matters.
pub(super) fn act(title: &str, paragraph: &str) {
    line("");
    let title = format!("--- {title} ");
    line(&format!("{title:-<COLUMNS$}"));
    prose(paragraph);
    line("");
    pause();
}

/// What just happened.
pub(super) fn after(text: &str) {
    wrapped("=> ", "   ", text);
}

/// How to see it oneself.
pub(super) fn see(command: &str) {
    line(&format!("   See it yourself: {command}"));
}

/// A command as a reader would type it.
pub(super) fn command(text: &str) {
    let lines = wrap("$ ", "      ", text, COLUMNS - CONTINUED.len());
    if let Some((last, others)) = lines.split_last() {
        others
            .iter()
            .for_each(|one| line(&format!("{one}{CONTINUED}")));
        line(last);
    }
}

/// What was done by hand.
pub(super) fn edit(text: &str) {
    wrapped("# ", "  ", text);
}

/// A table as a program printed it, of which a column is a text: where it does not fit, the text goes on
/// below itself, and what is behind it comes after it.
pub(super) fn wide(lines: &[String], column: usize) {
    let fits = lines.iter().all(|line| line.chars().count() <= COLUMNS);
    for text in lines {
        match text.split_at_checked(column) {
            Some((front, rest)) if !fits => {
                let words: Vec<&str> = rest.split_whitespace().collect();
                let rest = match words.split_last() {
                    Some((age, words)) => format!("{}   {age}", words.join(" ")),
                    None => String::new(),
                };
                wrapped(front, &" ".repeat(column), &rest);
            }
            _ => line(text),
        }
    }
}

/// What a reader may type next, each with what it is good for.
pub(super) fn next_steps(steps: &[(String, &str)]) {
    line("");
    line("Try next:");
    line("");
    for (typed, meaning) in steps {
        line(&format!("  {typed}"));
        line(&format!("      {meaning}"));
    }
    line("");
}

/// What may be tried with what was left running: a meaning, and what to type for it.
pub(super) fn to_try(tries: &[(&str, Vec<String>)]) {
    for (meaning, typed) in tries {
        line("");
        line(&format!("  # {meaning}"));
        for one in typed {
            line(&format!("  {one}"));
        }
    }
    line("");
}

/// A table of two columns.
pub(super) fn table(rows: &[(String, String)]) {
    let left = rows.iter().map(|(name, _)| name.chars().count()).max();
    let left = left.unwrap_or_default() + 4;
    for (name, value) in rows {
        wrapped(&format!("  {name:<left$}"), &" ".repeat(left + 2), value);
    }
}

/// Time for a reader to follow, where there is one.
pub(super) fn pause() {
    if std::io::stdout().is_terminal() {
        std::thread::sleep(READING);
    }
}

/// One line, at once.
pub(super) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader who has left cannot be told so.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A paragraph.
pub(super) fn prose(text: &str) {
    wrapped("", "", text);
}

/// A text with what stands before its first line and before the others.
fn wrapped(first: &str, next: &str, text: &str) {
    for wrapped in wrap(first, next, text, COLUMNS) {
        line(&wrapped);
    }
}

/// Breaks at spaces; runs of spaces stay, and a word that is too long stays whole.
fn wrap(first: &str, next: &str, text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = first.to_owned();
    let mut bare = true;
    for word in text.split(' ') {
        let width = current.chars().count() + 1 + word.chars().count();
        if !bare && width > columns {
            lines.push(std::mem::replace(&mut current, next.to_owned()));
            bare = true;
        }
        if !bare {
            current.push(' ');
        }
        current.push_str(word);
        bare = false;
    }
    lines.push(current);
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_below_their_beginning() {
        let lines = wrap("=> ", "   ", &"word ".repeat(40), COLUMNS);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].starts_with("   word"), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS));
    }

    #[test]
    fn what_is_laid_out_stays_so() {
        assert_eq!(
            wrap("x | ", "  | ", "  1. v1    Job", COLUMNS),
            ["x |   1. v1    Job"]
        );
    }
}
