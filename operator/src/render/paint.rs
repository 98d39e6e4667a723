//! Colour: a pass over lines that are finished and make sense without it.
//!
//! Only marks and headings that we write ourselves are painted, so that a line's text never depends on it.

use std::io::IsTerminal;

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const CYAN: &str = "\x1b[36m";
const RESET: &str = "\x1b[0m";

/// What is painted, and how.
const MARKS: [(&str, &str); 11] = [
    ("error:", RED),
    ("blocked:", RED),
    ("WILL FAIL", RED),
    ("BLOCKS", RED),
    ("✗", RED),
    ("waits:", YELLOW),
    ("WAITS:", YELLOW),
    ("warning:", YELLOW),
    ("✓", GREEN),
    ("at rest", GREEN),
    ("▸", CYAN),
];

/// Is colour wanted on this stream? Only on a terminal that has it, and not where `NO_COLOR` is set to
/// anything (no-color.org).
pub(crate) fn wanted(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !set("NO_COLOR") && !dumb
}

/// The text with its marks painted.
pub(crate) fn painted(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        MARKS.iter().fold(line.to_owned(), |line, (mark, colour)| {
            line.replace(mark, &format!("{colour}{mark}{RESET}"))
        })
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_painted_and_the_rest_is_as_it_was() {
        assert_eq!(painted("v1 ✓  v2"), "v1 \x1b[32m✓\x1b[0m  v2");
        assert_eq!(
            painted("shop  waits: x\n"),
            "shop  \x1b[33mwaits:\x1b[0m x\n"
        );
        assert_eq!(painted("plain"), "plain");
    }
}
