//! How the demo looks: plain text of a hundred columns, without colour.
//!
//! The operator's output stands as it comes, between the command that gave it and what the demo says
//! about it, which begins with an arrow.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use super::acts::{CUSTOMERS, grouped};
use super::stage::Stage;
use crate::workspace;

/// Wide enough for a statement, narrow enough for a terminal.
const COLUMNS: usize = 100;
/// How long a reader at a terminal gets for a paragraph, before the screen moves on.
const READING: Duration = Duration::from_millis(800);

/// What is going to be seen.
pub(super) fn opening() {
    line("Database Operator: a column is renamed while an application works on it");
    line("");
    prose(&format!(
        "You will see three real programs: PostgreSQL with a table of {} customers; an application that \
         adds, renames and reads customers all the time; and database-operator, which walks the schema \
         from version to version. The column customers.name is to be called full_name. A plain RENAME \
         would break the application in the same instant, so it takes four phases, and each phase needs \
         a new release of the application.",
        grouped(CUSTOMERS)
    ));
    line("");
    prose(
        "What usually goes wrong is that a phase begins while an old release is still connected \
         somewhere. Here every schema version has a login of its own, published as a Secret, and an old \
         login is taken away only when provably nobody uses it. All of it happens in a temporary \
         directory, takes about a minute, and leaves nothing behind; with --keep it stays, for trying \
         what is marked \"See it yourself\".",
    );
    line("");
}

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
    line(&format!("$ {text}"));
}

/// What was done by hand.
pub(super) fn edit(text: &str) {
    wrapped("# ", "  ", text);
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
    for wrapped in wrap(first, next, text) {
        line(&wrapped);
    }
}

/// Breaks at spaces; runs of spaces stay, and a word that is too long stays whole.
fn wrap(first: &str, next: &str, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = first.to_owned();
    let mut bare = true;
    for word in text.split(' ') {
        let width = current.chars().count() + 1 + word.chars().count();
        if !bare && width > COLUMNS {
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

/// What to do with what was left running.
pub(super) fn keep(stage: &Stage) {
    let programs = stage.programs().display();
    let next = stage.origin().join("next");
    let next = next.display();
    line("");
    line("Everything is still running: the server, the operator with --watch, and release v5.");
    line("In another terminal:");
    line("");
    line(&format!("  export PATH={programs}:$PATH"));
    line(&format!("  cd {}", stage.manifests().display()));
    for (meaning, typed) in [
        (
            "Where the database stands, and who uses which credential:",
            vec!["database-operator status --local .".to_owned()],
        ),
        (
            "Spoil a Secret: what is not the password is put back.",
            vec!["echo nonsense > .dbop/secrets/default/shop-v5/port".to_owned()],
        ),
        (
            "Start the old release, and ask for one version more. It waits for you, until you stop it:",
            vec![
                "shop-app v4 .dbop/secrets/default/shop-v4 > /dev/null &".to_owned(),
                format!("cp {next}/0006_add_phone.sql migrations/"),
                format!("cp {next}/v6.yaml ."),
                "sed -i 's/desiredSchemaVersion: v5/desiredSchemaVersion: v6/' shop.yaml"
                    .to_owned(),
                "kill %1".to_owned(),
            ],
        ),
    ] {
        line("");
        line(&format!("  # {meaning}"));
        for one in typed {
            line(&format!("  {one}"));
        }
    }
    line("");
    line("What the operator does is shown below. Ctrl-C here stops everything and removes it.");
    line("");
}

/// Three commands for the way on.
pub(super) fn next_steps(root: &Path) {
    let target = workspace::target(root);
    let operator = target.join("debug/database-operator");
    let operator = operator.strip_prefix(root).unwrap_or(&operator).display();
    line("");
    line("Try next:");
    line("");
    for (typed, meaning) in [
        (
            "cargo xtask demo --keep".to_owned(),
            "the same, and it stays, to play with",
        ),
        (
            format!("{operator} lint deploy/examples/demo/shop"),
            "the manifests and migrations that you saw, checked without a database",
        ),
        (
            format!("{operator} local --help"),
            "your own database: a directory of the same YAML, and your own migration tool",
        ),
    ] {
        line(&format!("  {typed}"));
        line(&format!("      {meaning}"));
    }
    line("");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_below_their_beginning() {
        let lines = wrap("=> ", "   ", &"word ".repeat(40));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].starts_with("   word"), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS));
    }

    #[test]
    fn what_is_laid_out_stays_so() {
        assert_eq!(
            wrap("x | ", "  | ", "  1. v1    Job"),
            ["x |   1. v1    Job"]
        );
    }
}
