//! Words on lines: wrapping, cutting, durations, counts. Nothing of databases here.

use std::time::Duration;

use dbop_model::visible;
use unicode_width::UnicodeWidthStr;

/// Wide enough for a statement, narrow enough for a terminal, and the same wherever output is kept.
pub const COLUMNS: usize = 100;

/// The columns that a text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Breaks a text at spaces so that lines fit. `first` stands before the first line and `next` before the
/// others. A word longer than a line stays whole, so that it can be copied; runs of spaces stay too. Whoever
/// wrote the text, it makes no lines of its own and does nothing to a terminal.
pub(crate) fn wrap(first: &str, next: &str, text: &str, columns: usize) -> Vec<String> {
    wrap_lines(first, next, &visible::line(text), columns)
}

/// The same for a text of several lines, each of which begins anew.
pub(crate) fn wrap_lines(first: &str, next: &str, text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in visible::lines(text).split('\n') {
        let mut line = if lines.is_empty() { first } else { next }.to_owned();
        let mut is_bare = true;
        for word in paragraph.split(' ') {
            if !is_bare && width(&line) + 1 + width(word) > columns {
                lines.push(std::mem::replace(&mut line, next.to_owned()));
                is_bare = true;
            }
            if !is_bare {
                line.push(' ');
            }
            line.push_str(word);
            is_bare = false;
        }
        lines.push(line);
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

/// A text under a label: `label` padded to `indent + label_width`, further lines below the text.
pub(crate) fn labelled(indent: usize, label: &str, label_width: usize, text: &str) -> Vec<String> {
    let first = format!("{:indent$}{label:<label_width$}", "");
    let next = " ".repeat(indent + label_width);
    wrap(&first, &next, text, COLUMNS)
}

/// Cuts a line to the columns of a terminal.
pub(crate) fn cut(line: &str, columns: usize) -> String {
    if width(line) <= columns {
        return line.to_owned();
    }
    let mut cut = String::new();
    for c in line.chars() {
        let mut buffer = [0; 4];
        let more = width(c.encode_utf8(&mut buffer));
        if width(&cut) + more > columns.saturating_sub(1) {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

/// `one`, `two` ... `ten`, then digits: for the beginning of a sentence.
pub(crate) fn number(n: usize) -> String {
    const WORDS: [&str; 11] = [
        "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    ];
    WORDS
        .get(n)
        .map_or_else(|| n.to_string(), |word| (*word).to_owned())
}

/// `1 migration`, `2 migrations`, in words.
pub(crate) fn counted(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", number(n))
}

/// `128,400`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// As on a stop-watch: `0:12`, `3:05`, `1:02:03`.
pub(crate) fn stopwatch(span: Duration) -> String {
    let seconds = span.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// In words: `41 ms`, `12 s`, `3 min`, `3 h 12 min`, `12 d`.
pub(crate) fn span(span: Duration) -> String {
    let (ms, seconds) = (span.as_millis(), span.as_secs());
    match seconds {
        0 => format!("{ms} ms"),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dbop_model::visible::hostile;
    use proptest::prelude::*;

    #[test]
    fn numbers_and_times() {
        for (n, expect) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (128_400, "128,400"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(n), expect);
        }
        let s = Duration::from_secs;
        for (seconds, expect) in [(0, "0:00"), (12, "0:12"), (185, "3:05"), (3723, "1:02:03")] {
            assert_eq!(stopwatch(s(seconds)), expect);
        }
        for (seconds, expect) in [
            (1, "1 s"),
            (119, "119 s"),
            (120, "2 min"),
            (11_520, "3 h 12 min"),
            (200_000, "2 d"),
        ] {
            assert_eq!(span(s(seconds)), expect);
        }
        assert_eq!(span(Duration::from_millis(41)), "41 ms");
        assert_eq!(counted(1, "migration"), "one migration");
        assert_eq!(counted(12, "migration"), "12 migrations");
    }

    #[test]
    fn lists() {
        let words =
            |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        assert_eq!(list(&words("")), "");
        assert_eq!(list(&words("a")), "a");
        assert_eq!(list(&words("a b c")), "a, b and c");
    }

    #[test]
    fn a_line_is_cut_by_its_width_and_not_by_its_bytes() {
        assert_eq!(cut("v1 ✓  v2", 8), "v1 ✓  v2");
        assert_eq!(cut("v1 ✓  v2 ✓", 8), "v1 ✓  v…");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn whoever_wrote_a_text_its_lines_are_ours() {
        for text in hostile::texts() {
            let shown = wrap("", "", &text, COLUMNS);
            let fits = width(&visible::line(&text)) <= COLUMNS;
            assert!(shown.len() == 1 || !fits, "{shown:?}");
            assert_eq!(hostile::harm(&shown.concat()), "", "{shown:?}");
            let forged = |line: &String| line.starts_with(hostile::FORGED);
            assert!(!shown.iter().any(forged), "{shown:?}");
            // Where lines are wanted, those after the first stay below it.
            let shown = wrap_lines("error: ", "       ", &text, COLUMNS);
            assert_eq!(hostile::harm(&shown.concat()), "", "{shown:?}");
            assert!(!shown.iter().any(forged), "{shown:?}");
        }
    }

    proptest! {
        #[test]
        fn wrapping_loses_no_word_and_keeps_the_width(text in "([a-z✓]{1,20} ){0,40}") {
            let lines = wrap("first ", "      ", &text, COLUMNS);
            prop_assert!(lines.iter().all(|line| width(line) <= COLUMNS));
            let words: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
            let expect: Vec<&str> = ["first"].into_iter().chain(text.split_whitespace()).collect();
            prop_assert_eq!(words, expect);
        }
    }
}
