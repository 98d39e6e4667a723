//! A directory of manifests, as the commands beside `local` see it: the databases in it, by the names that
//! people use, and the status that `local` has published. Nothing is written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dbop_api::ManagedDatabaseStatus;
use dbop_local::{LocalPlatform, Manifests, Problem, Skipped};
use dbop_model::ObjectRef;

use super::engine;

use crate::render::Failure;

/// Names shown of what exists.
const NAMED_MAX: usize = 12;

/// A directory.
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    pub(crate) platform: Arc<LocalPlatform>,
    pub(crate) manifests: Arc<Manifests>,
}

impl Directory {
    /// Reads the manifests of a directory.
    pub(crate) fn open(path: &Path, state: Option<&Path>) -> Result<Self, Failure> {
        let platform = engine::look(path, state)?;
        let manifests = platform.manifests();
        Ok(Self {
            path: path.to_owned(),
            platform: Arc::new(platform),
            manifests,
        })
    }

    /// These databases; without a name, all.
    pub(crate) fn databases(&self, names: &[String]) -> Result<Vec<ObjectRef>, Vec<Failure>> {
        if names.is_empty() {
            let all: Vec<ObjectRef> = self.manifests.databases.keys().cloned().collect();
            if all.is_empty() {
                let mut failures = self.problems();
                if failures.is_empty() {
                    failures.push(
                        Failure::new(format!("there is no ManagedDatabase in {}", self.path.display()))
                            .or("the manifests are its *.yaml and *.yml files, outside hidden directories"),
                    );
                }
                return Err(failures);
            }
            return Ok(all);
        }
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in names {
            match self.database(name) {
                Ok(id) if found.contains(&id) => {}
                Ok(id) => found.push(id),
                Err(failure) => failures.push(failure),
            }
        }
        if failures.is_empty() {
            Ok(found)
        } else {
            Err(failures)
        }
    }

    /// The database of this name, which is `name` or `namespace/name`.
    pub(crate) fn database(&self, name: &str) -> Result<ObjectRef, Failure> {
        let all = &self.manifests.databases;
        let named: Vec<&ObjectRef> = all
            .keys()
            .filter(|id| id.to_string() == name || id.name() == name)
            .collect();
        match named.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(self.unknown(name)),
            several => Err(
                Failure::new(format!("several databases are called '{name}'")).or(format!(
                    "name one of: {}",
                    few(several.iter().map(ToString::to_string))
                )),
            ),
        }
    }

    fn unknown(&self, name: &str) -> Failure {
        let failure = Failure::new(format!(
            "there is no ManagedDatabase '{name}' in {}",
            self.path.display()
        ));
        let all = &self.manifests.databases;
        let failure = match all.is_empty() {
            true => failure.or("there is none at all"),
            false => failure.or(format!(
                "those that exist: {}",
                few(all.keys().map(ToString::to_string))
            )),
        };
        if self.manifests.problems.is_empty() {
            return failure;
        }
        failure.or(format!(
            "some manifests cannot be read; see: database-operator lint {}",
            self.path.display()
        ))
    }

    /// Everything that is wrong with the manifests.
    pub(crate) fn problems(&self) -> Vec<Failure> {
        let problems = self.manifests.problems.iter();
        problems.map(|one| problem(&self.path, one)).collect()
    }

    /// What `local` has published of a database; `None`: nothing yet.
    pub(crate) fn status(&self, id: &ObjectRef) -> Result<Option<ManagedDatabaseStatus>, Failure> {
        self.platform
            .status(id)
            .map_err(|error| Failure::of(&error))
    }

    /// The migration that the manifest desires.
    pub(crate) fn desired(&self, id: &ObjectRef) -> Option<&str> {
        self.manifests
            .databases
            .get(id)
            .map(|one| one.spec.desired.as_str())
    }
}

/// A problem of a manifest as a failure.
pub(crate) fn problem(directory: &Path, problem: &Problem) -> Failure {
    let failure = Failure::new(problem.text.clone());
    let failure = if problem.way_out.is_empty() {
        failure
    } else {
        failure.or(problem.way_out.clone())
    };
    failure.or(format!("in {}", directory.join(problem.place()).display()))
}

/// A document of another kind, in words.
pub(crate) fn passed_over(directory: &Path, skipped: &Skipped) -> String {
    let file = directory.join(&skipped.file);
    format!(
        "{}:{}: {} is skipped: it is none of our kinds",
        file.display(),
        skipped.line,
        skipped.what
    )
}

/// Why a directory cannot be worked with.
pub(crate) fn opening(error: &dbop_local::OpenError) -> Failure {
    Failure::said(&Failure::of(error).what)
}

/// These names, or the first of them.
pub(crate) fn few(names: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = names.collect();
    match all.len().checked_sub(NAMED_MAX) {
        None | Some(0) => all.join(", "),
        Some(more) => format!("{} and {more} more", all[..NAMED_MAX].join(", ")),
    }
}
