//! The manifests of a directory: every `*.yaml` and `*.yml` below it, read as a whole.
//!
//! Everything that is wrong is gathered and shown at once. What stands here is what people wrote: whether
//! the chain of migrations leads anywhere is for the planner.

mod document;
mod object;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dbop_api::{DatabaseMigration, ManagedDatabase};
use dbop_engine::{ConfigMapLacks, PlatformError};
use dbop_model::{ConfigMapKey, DatabaseSpec, Migration, ObjectRef};
use jiff::Timestamp;

use crate::runtime::Runtime;
use document::Document;
pub use object::{ConfigMapObject, SecretObject};
use object::{Object, Read};
use walk::Stamp;

/// A problem with what people wrote: which file, which object, what, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, below the directory.
    pub file: PathBuf,
    /// The line, where it is known.
    pub line: Option<u64>,
    /// The object; `None`: the file cannot be read, and nobody knows which objects stand in it.
    pub object: Option<dbop_api::Subject>,
    /// What is wrong, with object and field.
    pub text: String,
    /// What to do; empty where the text says it.
    pub way_out: String,
}

impl Problem {
    /// `file:line`, or the file alone.
    pub fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.file.display()),
            None => self.file.display().to_string(),
        }
    }

    /// Does it keep this database from being judged? Another database's own faults do not.
    fn concerns(&self, database: &ObjectRef) -> bool {
        self.object.as_ref().is_none_or(|object| {
            object.namespace == database.namespace()
                && (object.kind != dbop_api::MANAGED_DATABASE || object.name == database.name())
        })
    }
}

/// One line: what, the way out, and where.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if !self.way_out.is_empty() {
            write!(f, "; {}", self.way_out)?;
        }
        write!(f, " ({})", self.place())
    }
}

/// A document that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// The file, below the directory.
    pub file: PathBuf,
    /// The line on which the document starts.
    pub line: u64,
    /// Its kind and name, as far as it has them.
    pub what: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {} is skipped",
            self.file.display(),
            self.line,
            self.what
        )
    }
}

/// A ManagedDatabase as written, and as the model has it.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseObject {
    /// As written.
    pub object: ManagedDatabase,
    /// Parsed.
    pub spec: DatabaseSpec,
}

/// A DatabaseMigration as written, and as the model has it.
#[derive(Debug, Clone, PartialEq)]
pub struct MigrationObject {
    /// As written.
    pub object: DatabaseMigration,
    /// Parsed.
    pub migration: Migration,
}

/// The DatabaseMigrations of one file, and its ConfigMaps; its other documents are left out. What only this platform cannot do of what they
/// ask is no fault of theirs.
///
/// # Errors
/// All that is wrong with the file and with its migrations.
pub fn migrations(file: &Path, text: &str) -> Result<Manifests, Vec<Problem>> {
    let documents = document::documents(file, text).map_err(|problem| vec![*problem])?;
    let (mut found, mut wrong) = (Manifests::default(), Vec::new());
    for document in documents {
        let is_migration = dbop_api::kind_of(&document.value) == Some(dbop_api::DATABASE_MIGRATION);
        match object::read(file, document, Runtime::Process) {
            Read::Object {
                id, line, object, ..
            } => match object {
                Object::Migration(_) if found.migrations.contains_key(&id) => {
                    let first = file.display().to_string();
                    wrong.push(twice(&object, &id, &first, file, line));
                }
                Object::Migration(_) | Object::ConfigMap(_) => found.add(id, object),
                Object::Database(_) | Object::Secret(_) => {}
            },
            Read::Wrong(problems) if is_migration => wrong.extend(problems),
            Read::Wrong(_) | Read::Skipped(_) => {}
        }
    }
    if wrong.is_empty() {
        Ok(found)
    } else {
        Err(wrong)
    }
}

/// The objects of a directory.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    /// The databases.
    pub databases: BTreeMap<ObjectRef, DatabaseObject>,
    /// The migrations.
    pub migrations: BTreeMap<ObjectRef, MigrationObject>,
    /// The Secrets.
    pub secrets: BTreeMap<ObjectRef, SecretObject>,
    /// The ConfigMaps.
    pub config_maps: BTreeMap<ObjectRef, ConfigMapObject>,
    /// The documents that are none of ours.
    pub skipped: Vec<Skipped>,
    /// All that is wrong.
    pub problems: Vec<Problem>,
}

impl Manifests {
    /// Reads a directory. `state`: the state directory, which is left out. Hidden directories, and links to
    /// directories, are not entered.
    ///
    /// What cannot be read is among the problems.
    pub fn read(directory: &Path, state: &Path, runtime: Runtime) -> Self {
        let mut reader = Reader::new(directory, state, runtime);
        // Nothing was read before, so that nothing can be too young to be trusted.
        reader.refresh(Timestamp::MIN).as_ref().clone()
    }

    /// The problems that keep this database from being judged.
    pub fn problems_of(&self, database: &ObjectRef) -> Vec<&Problem> {
        self.problems
            .iter()
            .filter(|problem| problem.concerns(database))
            .collect()
    }

    /// The value of a key of a ConfigMap.
    ///
    /// # Errors
    /// One that does not stand in the manifests, or lacks the key.
    pub fn config_map_value(
        &self,
        namespace: &str,
        at: &ConfigMapKey,
    ) -> Result<String, PlatformError> {
        let id = ObjectRef::new(namespace, at.name.as_str()).ok();
        match id.and_then(|id| self.config_maps.get(&id)) {
            Some(map) => map.value(namespace, at),
            None => {
                let lacks = ConfigMapLacks::Map;
                Err(PlatformError::no_config_map_value(namespace, at, lacks))
            }
        }
    }

    /// The migrations of a namespace, as the model has them.
    pub fn migrations_in(&self, namespace: &str) -> impl Iterator<Item = &MigrationObject> {
        self.migrations
            .iter()
            .filter(move |(id, _)| id.namespace() == namespace)
            .map(|(_, migration)| migration)
    }
}

/// Reads a directory again and again, and parses only what has changed.
pub(crate) struct Reader {
    directory: PathBuf,
    state: PathBuf,
    runtime: Runtime,
    files: BTreeMap<PathBuf, CachedFile>,
    walked: Option<Box<Problem>>,
    manifests: Arc<Manifests>,
}

struct CachedFile {
    stamp: Stamp,
    read: Result<Vec<Read>, Box<Problem>>,
}

impl Reader {
    pub(crate) fn new(directory: &Path, state: &Path, runtime: Runtime) -> Self {
        Self {
            directory: directory.to_owned(),
            state: state.to_owned(),
            runtime,
            files: BTreeMap::new(),
            walked: None,
            manifests: Arc::default(),
        }
    }

    /// The directory as it is now.
    pub(crate) fn refresh(&mut self, now: Timestamp) -> Arc<Manifests> {
        let (found, problem) = match walk::files(&self.directory, &self.state) {
            Ok(found) => (found, None),
            Err(problem) => (BTreeMap::new(), Some(problem)),
        };
        let mut changed = problem != self.walked;
        self.walked = problem;
        let gone: Vec<PathBuf> = self
            .files
            .keys()
            .filter(|path| !found.contains_key(*path))
            .cloned()
            .collect();
        for path in gone {
            self.files.remove(&path);
            changed = true;
        }
        for (path, stamp) in found {
            let same = self
                .files
                .get(&path)
                .is_some_and(|cached| cached.stamp == stamp);
            // A file changed twice within one tick of its clock has the same stamp: it is trusted once old.
            if same && !stamp.is_young(now) {
                continue;
            }
            if let Some(read) = self.read_file(&path) {
                changed |= self
                    .files
                    .get(&path)
                    .is_none_or(|cached| cached.read != read);
                self.files.insert(path, CachedFile { stamp, read });
            }
        }
        if changed {
            self.manifests = Arc::new(self.assemble());
        }
        self.manifests.clone()
    }

    /// `None`: it is gone since the walk.
    fn read_file(&self, path: &Path) -> Option<Result<Vec<Read>, Box<Problem>>> {
        let text = match walk::read(&self.directory, path)? {
            Ok(text) => text,
            Err(problem) => return Some(Err(problem)),
        };
        let documents = match document::documents(path, &text) {
            Ok(documents) => documents,
            Err(problem) => return Some(Err(problem)),
        };
        let read = |document: Document| object::read(path, document, self.runtime);
        Some(Ok(documents.into_iter().map(read).collect()))
    }

    fn assemble(&self) -> Manifests {
        let mut manifests = Manifests::default();
        let mut places: BTreeMap<(&'static str, ObjectRef), String> = BTreeMap::new();
        manifests.problems.extend(self.walked.as_deref().cloned());
        for (path, cached) in &self.files {
            let read = match &cached.read {
                Ok(read) => read,
                Err(problem) => {
                    manifests.problems.push(problem.as_ref().clone());
                    continue;
                }
            };
            for one in read {
                match one {
                    Read::Skipped(skipped) => manifests.skipped.push(skipped.clone()),
                    Read::Wrong(problems) => manifests.problems.extend(problems.iter().cloned()),
                    Read::Object {
                        id,
                        line,
                        object,
                        problems,
                    } => {
                        manifests.problems.extend(problems.iter().cloned());
                        let place = format!("{}:{line}", path.display());
                        match places.get(&(object.kind(), id.clone())) {
                            Some(first) => {
                                let twice = twice(object, id, first, path, *line);
                                manifests.problems.push(twice);
                            }
                            None => {
                                places.insert((object.kind(), id.clone()), place);
                                manifests.add(id.clone(), object.clone());
                            }
                        }
                    }
                }
            }
        }
        let problems: BTreeSet<Problem> = std::mem::take(&mut manifests.problems)
            .into_iter()
            .collect();
        manifests.problems = problems.into_iter().collect();
        manifests
    }
}

impl Manifests {
    fn add(&mut self, id: ObjectRef, object: Object) {
        match object {
            Object::Database(one) => {
                self.databases.insert(id, *one);
            }
            Object::Migration(one) => {
                self.migrations.insert(id, *one);
            }
            Object::Secret(one) => {
                self.secrets.insert(id, one);
            }
            Object::ConfigMap(one) => {
                self.config_maps.insert(id, one);
            }
        }
    }
}

/// One object in two places: which of the two is meant, nobody can say.
fn twice(object: &Object, id: &ObjectRef, first: &str, path: &Path, line: u64) -> Problem {
    let kind = object.kind();
    Problem {
        file: path.to_owned(),
        line: Some(line),
        object: Some(dbop_api::Subject {
            kind: kind.to_owned(),
            namespace: id.namespace().to_owned(),
            name: id.name().to_owned(),
        }),
        text: format!("{kind} {id}: stands in {first} as well"),
        way_out: "give one of the two another name, or drop it".to_owned(),
    }
}

#[cfg(test)]
mod tests;
