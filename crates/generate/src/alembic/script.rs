//! One Alembic script: its assignments to `revision`, `down_revision` and `depends_on`, read as text.
//!
//! Only what Alembic's own template writes is understood: a string, a tuple or list of strings, or None, at the
//! beginning of a line. Anything else is refused rather than guessed.

use crate::error::GenerateError;

/// A script of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) revision: String,
    down_revision: Vec<String>,
    depends_on: Vec<String>,
    /// The file, below the directory.
    pub(super) source: String,
    /// The line of `down_revision`.
    line: usize,
}

impl Script {
    /// The revisions that come before it.
    pub(super) fn follows(&self) -> impl Iterator<Item = &str> {
        self.down_revision
            .iter()
            .chain(&self.depends_on)
            .map(String::as_str)
    }

    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.source, self.line)
    }

    /// What the author called it: Alembic names files `<revision>_<title>.py`, unless told otherwise.
    pub(super) fn title(&self) -> String {
        let file = self.source.rsplit('/').next().unwrap_or_default();
        let stem = file.strip_suffix(".py").unwrap_or(file);
        stem.replacen(&self.revision, "", 1)
            .trim_matches(['_', '-', ' '])
            .replace('_', " ")
    }
}

/// Reads a script; `None`: it is no revision.
pub(super) fn read(text: &str, source: &str) -> Result<Option<Script>, GenerateError> {
    let mut revision = None;
    let mut down = (Vec::new(), 1);
    let mut depends_on = Vec::new();
    for assignment in assignments(text) {
        let place = format!("{source}:{}", assignment.line);
        let values = || {
            values(assignment.value).ok_or_else(|| {
                GenerateError::file(
                    &place,
                    format!(
                        "{} is neither a plain string, a tuple of them, nor None",
                        assignment.name
                    ),
                    "write the revision out",
                )
            })
        };
        match assignment.name {
            "revision" => match values()?.as_slice() {
                [one] => revision = Some(one.clone()),
                _ => {
                    return Err(GenerateError::file(
                        place,
                        "revision is not one string",
                        "write the revision out",
                    ));
                }
            },
            "down_revision" => down = (values()?, assignment.line),
            "depends_on" => depends_on = values()?,
            _ => {}
        }
    }
    Ok(revision.map(|revision| Script {
        revision,
        down_revision: down.0,
        depends_on,
        source: source.to_owned(),
        line: down.1,
    }))
}

/// `name = value` or `name: type = value` at the beginning of a line.
struct Assignment<'a> {
    name: &'a str,
    /// All of the text after the `=`.
    value: &'a str,
    line: usize,
}

/// The assignments outside of strings, comments and brackets.
fn assignments(text: &str) -> Vec<Assignment<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut line = 1;
    while at < text.len() {
        let rest = &text[at..];
        let name_end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        let statement = statement_end(rest);
        let name = &rest[..name_end];
        if !name.is_empty()
            && let Some(equals) = assigned(&rest[name_end..statement])
        {
            found.push(Assignment {
                name,
                value: &rest[name_end + equals..statement],
                line,
            });
        }
        line += rest[..statement].matches('\n').count();
        at += statement;
    }
    found
}

/// Where the value begins, after a name; `None`: it is no assignment.
fn assigned(rest: &str) -> Option<usize> {
    let trimmed = rest.trim_start_matches([' ', '\t']);
    let equals = match trimmed.chars().next()? {
        '=' => rest.len() - trimmed.len(),
        ':' => rest.find('=')?,
        _ => return None,
    };
    (!rest[equals..].starts_with("==")).then_some(equals + 1)
}

/// Where a statement that begins here ends: after its line, or after the lines that strings and brackets go on.
fn statement_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    while at < bytes.len() {
        match bytes[at] {
            b'#' => {
                at += text[at..].find('\n').unwrap_or(text.len() - at);
                continue;
            }
            b'\\' => at += 1,
            b'"' | b'\'' => {
                at += string_end(&text[at..]);
                continue;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'\n' if depth == 0 => return at + 1,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// The length of a string that begins here, quotes included.
fn string_end(text: &str) -> usize {
    let quote = &text[..1];
    let triple = quote.repeat(3);
    let end = if text.starts_with(&triple) {
        &triple
    } else {
        quote
    };
    let mut at = end.len();
    let bytes = text.as_bytes();
    while at < bytes.len() {
        if bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at..].starts_with(end.as_bytes()) {
            return at + end.len();
        } else if end.len() == 1 && bytes[at] == b'\n' {
            // It was never closed: what follows is another line.
            return at;
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The strings of a value: of None, none.
fn values(value: &str) -> Option<Vec<String>> {
    let mut rest = skip(value);
    if let Some(after) = rest.strip_prefix("None") {
        return skip(after).is_empty().then(Vec::new);
    }
    let close = match rest.chars().next()? {
        '(' => ')',
        '[' => ']',
        _ => {
            let (text, after) = string(rest)?;
            return skip(after).is_empty().then(|| vec![text]);
        }
    };
    rest = skip(&rest[1..]);
    let mut found = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(close) {
            return skip(after).is_empty().then_some(found);
        }
        let (text, after) = string(rest)?;
        found.push(text);
        rest = skip(after);
        rest = match rest.strip_prefix(',') {
            Some(after) => skip(after),
            None => rest,
        };
    }
}

/// One plain string, and what follows it.
fn string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| *c == '"' || *c == '\'')?;
    let inner = &text[1..];
    let end = inner.find(quote)?;
    let value = &inner[..end];
    // An escape, or the empty string that begins a triple quote, is more than a revision's id is written with.
    let is_plain = !value.is_empty() && !value.contains(['\\', '\n']);
    is_plain.then(|| (value.to_owned(), &inner[end + 1..]))
}

/// Without blanks, line breaks and comments before it.
fn skip(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        match text.strip_prefix('#') {
            Some(comment) => text = comment.find('\n').map_or("", |end| &comment[end..]),
            None => return text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, revision: &str, follows: &[&str]) {
        let script = read(text, "versions/1_x.py").unwrap().unwrap();
        assert_eq!(script.revision, revision);
        assert_eq!(script.follows().collect::<Vec<_>>(), follows);
    }

    #[test]
    fn what_the_template_writes_is_read() {
        check("revision = '1'\ndown_revision = None\n", "1", &[]);
        check(
            "\"\"\"x\n\nRevision ID: 9\nrevision = '9'\n\"\"\"\nfrom typing import Union\n\n\
             revision: str = \"2\"  # mine\ndown_revision: Union[str, Sequence[str], None] = '1'\n\
             branch_labels: Union[str, None] = None\ndepends_on = ['7']\n",
            "2",
            &["1", "7"],
        );
        check(
            "revision = '3'\ndown_revision = (\n    'a',  # one\n    \"b\",\n)\n\n\
             def upgrade():\n    revision = 'no'\n    op.execute(\"down_revision = 'x'\")\n",
            "3",
            &["a", "b"],
        );
        check(
            "revision = '4'\ndown_revision = ('a', 'b')",
            "4",
            &["a", "b"],
        );
    }

    #[test]
    fn what_is_no_revision_is_passed_over_and_what_is_computed_refused() {
        assert_eq!(read("x = 1\n", "a.py").unwrap(), None);
        assert_eq!(read("'''\nrevision = '1'\n'''\n", "a.py").unwrap(), None);
        for (text, place) in [
            ("revision = make()\n", "a.py:1"),
            ("x = 1\nrevision = '1'\ndown_revision = '1' + x\n", "a.py:3"),
            ("revision = ('1', '2')\n", "a.py:1"),
            ("revision = None\n", "a.py:1"),
        ] {
            let error = read(text, "a.py").unwrap_err().to_string();
            assert!(error.starts_with(&format!("{place}: ")), "{error}");
        }
    }

    #[test]
    fn the_title_is_the_file_s() {
        let script = |source: &str| {
            let text = "revision = '3f2a'\ndown_revision = None\n";
            read(text, source).unwrap().unwrap().title()
        };
        assert_eq!(script("versions/3f2a_add_email.py"), "add email");
        assert_eq!(script("versions/2024_01_02-3f2a_x.py"), "2024 01 02- x");
        assert_eq!(script("3f2a.py"), "");
    }
}
