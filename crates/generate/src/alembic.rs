//! Alembic's revisions: `revision` and `down_revision` of the scripts, as they are written; no Python runs
//! (Alembic's documentation, "Tutorial" and "Working with Branches").
//!
//! Revisions can branch and be merged. While branches are apart the database has several versions at once, which
//! no application can be made for: so a step is a revision at which all branches are together. Alembic runs what
//! lies between on its way there.

mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::chain::{Chain, Step};
use crate::error::GenerateError;
use crate::files;
use crate::text::{Part, Text};
use script::Script;

/// Reads the revisions of a script directory: `dir` holds `alembic.ini`, or `versions`, or the scripts themselves.
/// `head`: the revision at which the chain ends; without it there must be one head.
///
/// # Errors
/// A script that cannot be read, a revision that is named and does not exist, a circle, several heads.
pub fn read(dir: &Path, head: Option<&str>) -> Result<Chain, GenerateError> {
    let place = versions(dir)?;
    let mut scripts: BTreeMap<String, Script> = BTreeMap::new();
    for path in files::below(&place, false)? {
        if path.extension().is_none_or(|end| end != "py") {
            continue;
        }
        let source = files::relative(dir, &path);
        let Some(script) = script::read(&files::text(&path)?, &source)? else {
            continue;
        };
        if let Some(first) = scripts.insert(script.revision.clone(), script.clone()) {
            return Err(GenerateError::set(
                format!(
                    "{} and {} are both revision {}",
                    first.source, script.source, script.revision
                ),
                "give one of them an id of its own",
            ));
        }
    }
    if scripts.is_empty() {
        return Err(GenerateError::Nothing {
            path: place,
            what: "script with a revision",
        });
    }
    let graph = Graph::new(&scripts)?;
    let way = graph.way_to(&graph.head(head)?);
    let mut ends = together(&way).into_iter().peekable();
    let mut steps: Vec<Step> = Vec::new();
    let mut parts = Vec::new();
    for script in &way {
        parts.push(Part {
            name: script.revision.clone(),
            text: Text::Printed { what: "Python" },
        });
        if ends
            .next_if(|end| end.revision == script.revision)
            .is_some()
        {
            steps.push(Step {
                version: script.revision.clone(),
                title: script.title(),
                source: script.source.clone(),
                from_empty: false,
                parts: std::mem::take(&mut parts),
            });
        }
    }
    let passed = way.len() - steps.len();
    Ok(Chain {
        steps,
        notes: match passed {
            0 => Vec::new(),
            n => vec![format!(
                "{n} revision{} of branches run on the way to the step that merges them",
                if n == 1 { "" } else { "s" }
            )],
        },
    })
}

/// Where the scripts are.
fn versions(dir: &Path) -> Result<PathBuf, GenerateError> {
    let ini = dir.join("alembic.ini");
    if !ini.is_file() {
        let below = dir.join("versions");
        return Ok(if below.is_dir() {
            below
        } else {
            dir.to_owned()
        });
    }
    let text = files::text(&ini)?;
    for (nth, line) in text.lines().enumerate() {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let place = || format!("{}:{}", ini.display(), nth + 1);
        match key.trim() {
            "version_locations" if !value.trim().is_empty() => {
                return Err(GenerateError::file(
                    place(),
                    "version_locations names the directories of scripts",
                    "name the directory that holds them all",
                ));
            }
            "script_location" => {
                let value = value.trim().replace("%(here)s", ".");
                if value.contains(['%', ':']) {
                    return Err(GenerateError::file(
                        place(),
                        "script_location is no plain path",
                        "name the directory of the scripts itself",
                    ));
                }
                let named = dir.join(value).join("versions");
                // Packages carry the file among the scripts, which it names as they are seen from elsewhere.
                let beside = dir.join("versions");
                return Ok(if !named.is_dir() && beside.is_dir() {
                    beside
                } else {
                    named
                });
            }
            _ => {}
        }
    }
    Ok(dir.join("versions"))
}

/// The revisions, and what each follows.
struct Graph<'a> {
    scripts: &'a BTreeMap<String, Script>,
    /// All of them, each after those that it follows.
    order: Vec<&'a Script>,
}

impl<'a> Graph<'a> {
    fn new(scripts: &'a BTreeMap<String, Script>) -> Result<Self, GenerateError> {
        let mut before: BTreeMap<&str, usize> = BTreeMap::new();
        let mut after: BTreeMap<&str, Vec<&Script>> = BTreeMap::new();
        for script in scripts.values() {
            before.insert(&script.revision, script.follows().count());
            for named in script.follows() {
                if !scripts.contains_key(named) {
                    return Err(GenerateError::file(
                        script.place(),
                        format!(
                            "revision {} follows {named}, which no script is",
                            script.revision
                        ),
                        "bring the script of that revision back, or mend down_revision",
                    ));
                }
                after.entry(named).or_default().push(script);
            }
        }
        let mut ready: Vec<&Script> = scripts
            .values()
            .filter(|script| script.follows().next().is_none())
            .collect();
        let mut order = Vec::with_capacity(scripts.len());
        while let Some(script) = ready.pop() {
            order.push(script);
            for next in after.get(script.revision.as_str()).into_iter().flatten() {
                if let Some(count) = before.get_mut(next.revision.as_str()) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(next);
                    }
                }
            }
        }
        if order.len() < scripts.len() {
            let circle: Vec<&str> = before
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(revision, _)| *revision)
                .take(5)
                .collect();
            return Err(GenerateError::set(
                format!(
                    "the revisions {} follow each other in a circle",
                    circle.join(", ")
                ),
                "mend their down_revision",
            ));
        }
        Ok(Self { scripts, order })
    }

    /// The revision at which the chain ends.
    fn head(&self, wanted: Option<&str>) -> Result<String, GenerateError> {
        if let Some(wanted) = wanted {
            // Alembic takes the beginning of a revision for it, where there is one such.
            let mut found = self.scripts.keys().filter(|one| one.starts_with(wanted));
            return match (self.scripts.get(wanted), found.next(), found.next()) {
                (Some(script), _, _) => Ok(script.revision.clone()),
                (None, Some(one), None) => Ok(one.clone()),
                (None, Some(_), Some(_)) => Err(GenerateError::set(
                    format!("several revisions begin with {wanted}"),
                    "write one out",
                )),
                (None, None, _) => Err(GenerateError::set(
                    format!("no script is revision {wanted}"),
                    "name one of the heads that `alembic heads` shows",
                )),
            };
        }
        let followed: BTreeSet<&str> = self.scripts.values().flat_map(Script::follows).collect();
        let heads: Vec<&Script> = self
            .scripts
            .values()
            .filter(|script| !followed.contains(script.revision.as_str()))
            .collect();
        match heads[..] {
            [head] => Ok(head.revision.clone()),
            _ => {
                let named: Vec<String> = heads
                    .iter()
                    .map(|head| format!("{} ({})", head.revision, head.source))
                    .collect();
                Err(GenerateError::set(
                    format!("there are several heads: {}", named.join(", ")),
                    "merge them (`alembic merge heads`), or name one with --head",
                ))
            }
        }
    }

    /// The head and all before it, each after those that it follows.
    fn way_to(&self, head: &str) -> Vec<&'a Script> {
        let mut on_the_way: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = self
            .scripts
            .get(head)
            .map(|s| s.revision.as_str())
            .into_iter()
            .collect();
        while let Some(revision) = open.pop() {
            if on_the_way.insert(revision)
                && let Some(script) = self.scripts.get(revision)
            {
                open.extend(script.follows());
            }
        }
        let mut way = self.order.clone();
        way.retain(|script| on_the_way.contains(script.revision.as_str()));
        way
    }
}

/// The revisions of a way at which all branches are together: those over which no revision reaches back to an
/// earlier one, or to the beginning.
fn together<'a>(way: &[&'a Script]) -> Vec<&'a Script> {
    let place: BTreeMap<&str, usize> = way
        .iter()
        .enumerate()
        .map(|(nth, script)| (script.revision.as_str(), nth))
        .collect();
    // How many reach over each place: one more after where they begin, one less where they end.
    let mut changes = vec![0_i64; way.len() + 1];
    for (nth, script) in way.iter().enumerate() {
        let mut begins: Vec<usize> = script
            .follows()
            .filter_map(|named| place.get(named))
            .map(|at| at + 1)
            .collect();
        if begins.is_empty() {
            begins.push(0);
        }
        for begin in begins {
            changes[begin] += 1;
            changes[nth] -= 1;
        }
    }
    let mut over = 0;
    let mut found = Vec::new();
    for (script, change) in way.iter().zip(&changes) {
        over += change;
        if over == 0 {
            found.push(*script);
        }
    }
    found
}
