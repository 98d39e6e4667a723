//! The documents of a YAML file, each with the line it starts on.
//!
//! A file may hold passwords: what is told of its faults never shows its text.

use std::path::Path;

use serde_json::Value;
use serde_saphyr::{Spanned, UserMessageFormatter};

use super::Problem;
use super::walk::problem;

/// The shortest text of the parser that says something once the quotation is cut off.
const TOLD_CHARS_MIN: usize = 12;

/// What aliases (`*name`) may repeat in a file: some lines may make a thousand million values of one.
const REPEATED_MAX: usize = 20_000;

/// One document.
pub(super) struct Document {
    /// The line it starts on, from 1.
    pub(super) line: u64,
    pub(super) value: Value,
}

/// The documents of a file that are not empty.
pub(super) fn documents(file: &Path, text: &str) -> Result<Vec<Document>, Box<Problem>> {
    // As kubectl reads YAML (1.1): 0644 is octal.
    let options = serde_saphyr::options! {
        with_snippet: false,
        legacy_octal_numbers: true,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPEATED_MAX },
    };
    let documents: Vec<Spanned<Value>> = serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| {
            let line = error.location().map(|location| location.line());
            let said = error.render_with_formatter(&UserMessageFormatter);
            problem(file, line, &format!("is no YAML: {}", told(&said)), "")
        })?;
    let document = |spanned: Spanned<Value>| Document {
        line: spanned.referenced.line(),
        value: spanned.value,
    };
    Ok(documents.into_iter().map(document).collect())
}

/// What the parser said, without where (which stands before it) and without what it quotes: except for a key
/// that stands twice, which is no secret and what a person has to look for.
fn told(said: &str) -> String {
    let said = said.split(" at line ").next().unwrap_or(said);
    if said.starts_with("duplicate mapping key") {
        return said.to_owned();
    }
    let before = said
        .split(['`', '\'', '"'])
        .next()
        .unwrap_or_default()
        .trim_end_matches([' ', ':']);
    // These quote the grammar, not the text.
    let of_the_grammar = said.contains("did not find expected") && !said.contains('`');
    if of_the_grammar || said.starts_with("illegal placement") {
        return said.to_owned();
    }
    if before.chars().count() < TOLD_CHARS_MIN {
        return "a value cannot be read".to_owned();
    }
    before.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, line: u64, says: &str) {
        let problem = documents(Path::new("shop.yaml"), text)
            .err()
            .expect("it is no YAML");
        assert_eq!(problem.line, Some(line));
        assert_eq!(problem.text, format!("the file is no YAML: {says}"));
    }

    #[test]
    fn faults_have_a_line_and_show_nothing_of_the_text() {
        check("a: *canary\n", 1, "reference to unknown value");
        check(
            "a: 1\na: 2\n",
            2,
            "duplicate mapping key `a` is not allowed here",
        );
        check("x: 1\na: @canary\n", 2, "unexpected character");
        check("a: .inf\n", 1, "a value cannot be read");
        check("a: [1, 2\nb: 3\n", 2, "illegal placement of ':' indicator");
        check("a: 'canary\n", 1, "unclosed quote");
        check("{{ if .Values.x }}\na: 1\n", 1, "expected string scalar");
    }

    #[test]
    fn aliases_of_aliases_end() {
        let nested = |depth: u32| {
            let mut text = "a0: &a0 [x]\n".to_owned();
            for level in 1..=depth {
                let before = vec![format!("*a{}", level - 1); 9].join(", ");
                text += &format!("a{level}: &a{level} [{before}]\n");
            }
            text
        };
        assert!(documents(Path::new("shop.yaml"), &nested(3)).is_ok());
        check(
            &nested(9),
            5,
            "YAML document too large or too complex: total_replayed_events=20001 > 20000",
        );
    }

    #[test]
    fn documents_know_their_lines() {
        let text = "# first\na: 1\n---\n---\n# second\nb: [2]\n---\n";
        let found = documents(Path::new("shop.yaml"), text).unwrap_or_default();
        let lines: Vec<(u64, String)> = found
            .iter()
            .map(|document| (document.line, document.value.to_string()))
            .collect();
        assert_eq!(
            lines,
            [(2, r#"{"a":1}"#.to_owned()), (6, r#"{"b":[2]}"#.to_owned())]
        );
    }
}
