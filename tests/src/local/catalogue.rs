//! A picture of everything that the operator can change, to show that it changed nothing, or one thing alone.

mod mysql;
mod postgres;

use std::path::Path;

use super::directory::Directory;
use crate::{Engine, TestDatabase};

/// Everything in a database and in the published Secrets that the operator could change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    facts: Vec<String>,
}

impl Snapshot {
    /// What there is now. `object` is the name of the ManagedDatabase: roles that are named after it count
    /// as well, even where nothing connects them with the database yet.
    ///
    /// # Panics
    /// When it cannot be looked at.
    pub async fn of(database: &TestDatabase, directory: &Directory, object: &str) -> Snapshot {
        let mut facts = Snapshot::of_database(database, object).await.facts;
        files(&directory.state().join("secrets"), &mut facts);
        Snapshot { facts }
    }

    /// The same without files: what a server tells of one database, its accounts and its schema.
    ///
    /// # Panics
    /// When it cannot be looked at.
    pub async fn of_database(database: &TestDatabase, object: &str) -> Snapshot {
        let facts = match database.engine() {
            Engine::Postgres => postgres::facts(database, object).await,
            Engine::MariaDb | Engine::MySql => mysql::facts(database, object).await,
        };
        Snapshot { facts }
    }

    /// What is there now and was not, and what was there and is not: one line each.
    #[must_use]
    pub fn difference(&self, now: &Snapshot) -> (Vec<String>, Vec<String>) {
        let but_in = |one: &Snapshot, other: &Snapshot| -> Vec<String> {
            let facts = one.facts.iter();
            facts
                .filter(|fact| !other.facts.contains(fact))
                .cloned()
                .collect()
        };
        (but_in(now, self), but_in(self, now))
    }

    /// Checks that nothing has changed since.
    ///
    /// # Panics
    /// When something has.
    #[track_caller]
    pub fn is_still(&self, now: &Snapshot) {
        let (new, gone) = self.difference(now);
        assert!(
            gone.is_empty() && new.is_empty(),
            "nothing was to change, but\n--- gone\n{gone:#?}\n--- new\n{new:#?}"
        );
    }
}

/// Every file below a folder, with its mode, time and content.
fn files(folder: &Path, facts: &mut Vec<String>) {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, facts);
            continue;
        }
        let Ok(about) = path.metadata() else { continue };
        let content = std::fs::read(&path).unwrap_or_default();
        facts.push(format!(
            "file {} mode {:o} inode {} written {}.{}: {:?}",
            path.display(),
            about.mode(),
            about.ino(),
            about.mtime(),
            about.mtime_nsec(),
            String::from_utf8_lossy(&content)
        ));
    }
}
