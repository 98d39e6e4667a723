//! The SQL behind a step, as far as it is known: from the tool's files, or from what the tool printed.

use std::collections::BTreeMap;

use crate::chain::Chain;

/// A part of a step that the tool knows by a name of its own: a file, a revision, a change set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The tool's name for it.
    pub name: String,
    /// Its SQL.
    pub text: Text,
}

/// SQL, or why there is none to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// SQL of a file.
    Sql {
        /// The file.
        file: String,
        /// The line of the file on which it begins, from 1.
        line: u32,
        /// The text.
        sql: String,
    },
    /// It is no SQL; the tool prints what it runs.
    Printed {
        /// What it is: "Java", "a change set in XML".
        what: &'static str,
    },
}

impl Part {
    /// A whole file of SQL.
    pub(crate) fn file(name: &str, sql: String) -> Self {
        let text = Text::Sql {
            file: name.to_owned(),
            line: 1,
            sql,
        };
        Part {
            name: name.to_owned(),
            text,
        }
    }
}

/// Sections of what a tool printed, by the names of the parts that they are of, each with its line.
type Sections = BTreeMap<String, (u32, String)>;

/// What `alembic upgrade A:B --sql` prints: `-- Running upgrade 1975ea -> ae1027` stands before what each revision runs
/// (Alembic's documentation, "Generating SQL Scripts").
pub fn alembic(text: &str) -> Sections {
    sections(text, alembic_heading)
}

fn alembic_heading(comment: &str) -> Option<&str> {
    let (_, revision) = comment.strip_prefix("Running upgrade")?.split_once("->")?;
    revision.split_whitespace().next()
}

/// What `alembic upgrade A:B --sql` printed before a revision made it fail, and that revision: the last that it began.
/// `None`: it began none.
pub fn alembic_before_failure(text: &str) -> Option<(&str, &str)> {
    let mut last = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some(revision) = comment(line).and_then(alembic_heading) {
            last = Some((&text[..start], revision));
        }
        start += line.len();
    }
    last
}

/// What `liquibase update-sql` prints: `-- Changeset path::id::author` stands before what each runs.
pub fn liquibase(text: &str) -> Sections {
    sections(text, |comment| {
        comment.strip_prefix("Changeset ").map(str::trim)
    })
}

fn sections<'a>(text: &'a str, heading: impl Fn(&'a str) -> Option<&'a str>) -> Sections {
    let mut sections = Sections::new();
    let mut open: Option<&str> = None;
    for (nth, line) in text.lines().enumerate() {
        if let Some(name) = comment(line).and_then(&heading) {
            open = Some(name);
            let line = u32::try_from(nth).map_or(u32::MAX, |nth| nth.saturating_add(2));
            sections.insert(name.to_owned(), (line, String::new()));
        } else if let Some((_, sql)) = open.and_then(|name| sections.get_mut(name)) {
            sql.push_str(line);
            sql.push('\n');
        }
    }
    sections
}

/// What a line says that is a comment of SQL.
fn comment(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("--").map(str::trim)
}

/// Puts what a tool printed into `file` in the place of what its files say. Gives how many parts got theirs.
pub fn fill(chain: &mut Chain, file: &str, sections: &Sections) -> usize {
    let mut filled = 0;
    for part in chain.steps.iter_mut().flat_map(|step| &mut step.parts) {
        if let Some((line, sql)) = sections.get(&part.name) {
            filled += 1;
            part.text = Text::Sql {
                file: file.to_owned(),
                line: *line,
                sql: sql.clone(),
            };
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sections: &Sections) -> Vec<String> {
        let shown = |(name, (line, sql)): (&String, &(u32, String))| {
            format!(
                "{name} from line {line}: {}",
                sql.split_whitespace().collect::<Vec<_>>().join(" ")
            )
        };
        sections.iter().map(shown).collect()
    }

    #[test]
    fn what_alembic_printed_is_cut_at_its_revisions() {
        let text = "BEGIN;\n\nCREATE TABLE alembic_version (v int);\n\n-- Running upgrade  -> 3f1c\n\nCREATE TABLE \
                    users (id int);\n\n-- Running upgrade 3f1c -> 8b7e\n\nALTER TABLE users ADD e text;\n\n\
                    -- Running upgrade 8b7e, a1 -> c0ffee\n\nCOMMIT;\n";
        assert_eq!(
            shown(&alembic(text)),
            [
                "3f1c from line 6: CREATE TABLE users (id int);",
                "8b7e from line 10: ALTER TABLE users ADD e text;",
                "c0ffee from line 14: COMMIT;",
            ]
        );
    }

    #[test]
    fn what_alembic_began_last_is_cut_off() {
        let text = "BEGIN;\n-- Running upgrade  -> 3f1c\nCREATE TABLE t (id int);\n-- Running upgrade 3f1c -> 8b7e\n\
                    ALTER TABLE t";
        let (before, failed) = alembic_before_failure(text).unwrap();
        assert_eq!(failed, "8b7e");
        assert!(before.ends_with("(id int);\n"), "{before}");
        assert_eq!(alembic_before_failure("BEGIN;\n-- a comment\n"), None);
    }

    #[test]
    fn what_liquibase_printed_is_cut_at_its_change_sets() {
        let text = "--  Lock Database\nUPDATE l SET x = 1;\n\n--  Changeset db/1.xml::1::ada\nCREATE TABLE t (id int);\n\n\
                    INSERT INTO DATABASECHANGELOG VALUES (1);\n\n-- Changeset db/1.xml::tag 1::ada\n";
        assert_eq!(
            shown(&liquibase(text)),
            [
                "db/1.xml::1::ada from line 5: CREATE TABLE t (id int); INSERT INTO DATABASECHANGELOG VALUES (1);",
                "db/1.xml::tag 1::ada from line 10: ",
            ]
        );
    }
}
