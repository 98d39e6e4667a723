//! A Liquibase change log: XML, YAML, JSON or formatted SQL, with what it includes (docs.liquibase.com, "What is a
//! changelog?", "include", "includeAll", "Example changelogs: SQL format").
//!
//! A version is a tag that a change set sets (`tagDatabase`), which Liquibase can update to; or, where asked for,
//! each change set, in the form `path::id::author` in which Liquibase itself identifies it. Change sets that run
//! again (`runOnChange`, `runAlways`) and those with `ignore` are no versions. What a context, a label or `dbms`
//! leaves out in one database and not in another cannot be told from files.

mod document;
mod sql;
mod xml;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::chain::{Chain, Step};
use crate::error::GenerateError;
use crate::files;
use crate::text::{Part, Text};

/// Change logs within change logs; more is a circle.
const DEPTH_MAX: usize = 32;

/// What a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The tags that change sets set.
    Tag,
    /// Each change set.
    ChangeSet,
}

/// What stands in a change log, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    ChangeSet(ChangeSet),
    Include {
        file: String,
        is_relative: bool,
        place: String,
    },
    IncludeAll {
        path: String,
        is_relative: bool,
        ends_with: Option<String>,
        place: String,
    },
}

/// A change set, as far as versions go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ChangeSet {
    id: String,
    author: String,
    /// The path that stands for the file's own.
    logical_path: Option<String>,
    repeats: bool,
    is_ignored: bool,
    /// Runs in some databases alone.
    is_limited: bool,
    tag: Option<String>,
    /// Does it set the tag, and nothing else?
    is_tag_alone: bool,
    /// Its SQL, with the line on which that begins.
    sql: Option<(u32, String)>,
    place: String,
}

/// A file's entries, and the path that stands for its own.
#[derive(Debug, Default, PartialEq, Eq)]
struct Log {
    logical_path: Option<String>,
    entries: Vec<Entry>,
}

/// Reads the change log `file`, by its path below `root`: the search path, by which Liquibase knows its files.
///
/// # Errors
/// A file that cannot be read, with its line; a change set without id or author; no tag, where tags are versions.
pub fn read(root: &Path, file: &str, by: By) -> Result<Chain, GenerateError> {
    let mut reading = Reading {
        root,
        open: Vec::new(),
        sets: Vec::new(),
    };
    reading.log(&normal(file), file)?;
    let sets = reading.sets;
    if sets.is_empty() {
        return Err(GenerateError::Nothing {
            path: root.join(file),
            what: "change set",
        });
    }
    match by {
        By::Tag => by_tag(&sets, file),
        By::ChangeSet => by_change_set(&sets),
    }
}

fn by_tag(sets: &[(String, ChangeSet)], file: &str) -> Result<Chain, GenerateError> {
    let mut steps = Vec::new();
    let mut parts = Vec::new();
    let mut after = 0;
    for (path, set) in sets.iter().filter(|(_, set)| !set.is_ignored) {
        parts.push(part(path, set));
        let Some(tag) = &set.tag else {
            after += 1;
            continue;
        };
        if set.repeats {
            return Err(GenerateError::file(
                &set.place,
                "a change set that runs again sets a tag, which moves each time",
                "drop runAlways and runOnChange from it",
            ));
        }
        after = 0;
        steps.push(Step {
            version: tag.clone(),
            title: String::new(),
            source: format!("{path}::{}::{}", set.id, set.author),
            from_empty: false,
            parts: std::mem::take(&mut parts),
        });
    }
    if steps.is_empty() {
        return Err(GenerateError::set(
            format!(
                "{file} and what it includes set no tag, and Liquibase can update to tags alone"
            ),
            "end each version with a change set that does tagDatabase, or make one of each change set (--by \
             ChangeSet), with an image for each",
        ));
    }
    let mut notes = Vec::new();
    if after > 0 {
        notes.push(format!(
            "{after} change set{} after the last tag: no version has {} until a tag follows",
            if after == 1 { " stands" } else { "s stand" },
            if after == 1 { "it" } else { "them" },
        ));
    }
    Ok(Chain { steps, notes })
}

fn part(path: &str, set: &ChangeSet) -> Part {
    Part {
        name: format!("{path}::{}::{}", set.id, set.author),
        text: match &set.sql {
            Some((line, sql)) => Text::Sql {
                file: path.to_owned(),
                line: *line,
                sql: sql.clone(),
            },
            None if set.is_tag_alone => Text::Sql {
                file: path.to_owned(),
                line: 1,
                sql: String::new(),
            },
            None => Text::Printed {
                what: "a change set that is not in SQL",
            },
        },
    }
}

fn by_change_set(sets: &[(String, ChangeSet)]) -> Result<Chain, GenerateError> {
    let mut notes = Vec::new();
    let repeated = sets.iter().filter(|(_, set)| set.repeats).count();
    if repeated > 0 {
        notes.push(format!(
            "{repeated} of the change sets run again (runOnChange, runAlways) and are no versions; after one of \
             them the database shows none, so that tags are the better versions here"
        ));
    }
    let limited = sets.iter().filter(|(_, set)| set.is_limited).count();
    if limited > 0 {
        notes.push(format!(
            "{limited} of the change sets run in some databases alone (dbms, context, labels): drop the \
             migrations of those that yours leaves out"
        ));
    }
    let steps: Vec<Step> = sets
        .iter()
        .filter(|(_, set)| !set.repeats && !set.is_ignored)
        .map(|(path, set)| Step {
            version: format!("{path}::{}::{}", set.id, set.author),
            title: String::new(),
            source: set.place.clone(),
            from_empty: false,
            parts: vec![part(path, set)],
        })
        .collect();
    if steps.is_empty() {
        return Err(GenerateError::set(
            "every change set runs again or is ignored",
            "",
        ));
    }
    Ok(Chain { steps, notes })
}

struct Reading<'a> {
    root: &'a Path,
    /// The change logs that are being read, each included by the one before it.
    open: Vec<String>,
    sets: Vec<(String, ChangeSet)>,
}

impl Reading<'_> {
    /// Reads a change log and what it includes; `place`: who names it.
    fn log(&mut self, path: &str, place: &str) -> Result<(), GenerateError> {
        if self.open.iter().any(|open| open == path) || self.open.len() >= DEPTH_MAX {
            return Err(GenerateError::file(
                place,
                format!("{path} includes itself"),
                "drop one of the includes",
            ));
        }
        let file = self.root.join(path);
        if !file.is_file() {
            return Err(GenerateError::file(
                place,
                format!("there is no file {}", file.display()),
                "name files as Liquibase finds them, below --search-path, or write relativeToChangelogFile",
            ));
        }
        let text = files::text(&file)?;
        let log = match path.rsplit('.').next() {
            Some("xml") => xml::read(&text, path)?,
            Some("yaml" | "yml") => document::yaml(&text, path)?,
            Some("json") => document::json(&text, path)?,
            Some("sql") => sql::read(&text, path)?,
            _ => {
                return Err(GenerateError::file(
                    place,
                    format!("{path} is neither XML, YAML, JSON nor SQL"),
                    "",
                ));
            }
        };
        self.open.push(path.to_owned());
        for entry in log.entries {
            self.entry(entry, path, log.logical_path.as_deref())?;
        }
        self.open.pop();
        Ok(())
    }

    fn entry(
        &mut self,
        entry: Entry,
        path: &str,
        logical: Option<&str>,
    ) -> Result<(), GenerateError> {
        match entry {
            Entry::ChangeSet(set) => {
                if set.id.is_empty() || set.author.is_empty() {
                    return Err(GenerateError::file(
                        set.place,
                        "a change set has no id or no author",
                        "give it both",
                    ));
                }
                let shown = set.logical_path.as_deref().or(logical).unwrap_or(path);
                self.sets.push((normal(shown), set));
                Ok(())
            }
            Entry::Include {
                file,
                is_relative,
                place,
            } => {
                let file = resolved(&file, is_relative, path, &place)?;
                self.log(&file, &place)
            }
            Entry::IncludeAll {
                path: below,
                is_relative,
                ends_with,
                place,
            } => {
                let below = resolved(&below, is_relative, path, &place)?;
                self.all(&below, ends_with.as_deref(), &place)
            }
        }
    }

    /// Every change log below a directory, in the order of their paths; SQL without Liquibase's comments is one
    /// change set of Liquibase's own naming.
    fn all(
        &mut self,
        below: &str,
        ends_with: Option<&str>,
        place: &str,
    ) -> Result<(), GenerateError> {
        let dir = self.root.join(below);
        if !dir.is_dir() {
            return Err(GenerateError::file(
                place,
                format!("there is no directory {}", dir.display()),
                "name directories as Liquibase finds them, below --search-path, or write \
                 relativeToChangelogFile",
            ));
        }
        let mut paths: BTreeSet<String> = BTreeSet::new();
        for file in files::below(&dir, true)? {
            paths.insert(normal(&files::relative(self.root, &file)));
        }
        for path in paths {
            let is_log = [".xml", ".yaml", ".yml", ".json", ".sql"]
                .iter()
                .any(|end| path.ends_with(end));
            if is_log
                && ends_with.is_none_or(|end| path.to_lowercase().ends_with(&end.to_lowercase()))
            {
                self.log(&path, place)?;
            }
        }
        Ok(())
    }
}

/// Where an included file is, below the search path.
fn resolved(
    named: &str,
    is_relative: bool,
    by: &str,
    place: &str,
) -> Result<String, GenerateError> {
    if named.is_empty() || named.contains("${") {
        return Err(GenerateError::file(
            place,
            "what is included is not named, or by a property",
            "write its path out",
        ));
    }
    let base = match is_relative {
        true => Path::new(by).parent().unwrap_or(Path::new("")),
        false => Path::new(""),
    };
    let joined: PathBuf = base.join(normal(named));
    Ok(normal(&joined.to_string_lossy()))
}

/// A path as Liquibase records it (`DatabaseChangeLog.normalizePath`).
fn normal(path: &str) -> String {
    let path = path
        .strip_prefix("classpath:")
        .unwrap_or(path)
        .replace('\\', "/");
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// `true`, as each format writes it.
fn is_true(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("true")
}
