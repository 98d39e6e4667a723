//! The chain of migrations: who supersedes whom, and the way from one to another.
//!
//! Version *order* is never guessed from strings: only `previous` orders migrations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::name::{MigrationName, SchemaVersion};
use crate::spec::Migration;

/// All migrations of a namespace, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chain {
    migrations: BTreeMap<MigrationName, Migration>,
}

/// Why there is no way from one migration to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainBreak {
    /// The desired migration does not exist.
    DesiredMissing {
        /// Its name.
        desired: MigrationName,
    },
    /// A `previous` names a migration that does not exist.
    PreviousMissing {
        /// Whose `previous`.
        migration: MigrationName,
        /// What it names.
        previous: MigrationName,
    },
    /// Following `previous` comes back to where it was.
    Cycle {
        /// The migrations of the cycle, in the order of `previous`.
        members: Vec<MigrationName>,
    },
    /// The current migration is not on the way back from the desired one.
    NotAnAncestor {
        /// Where the database is.
        current: MigrationName,
        /// Where it should be.
        desired: MigrationName,
    },
    /// The current migration is newer than the desired one, and code of that one cannot live with it.
    DesiredOlder {
        /// Where the database is.
        current: MigrationName,
        /// Where it should be.
        desired: MigrationName,
    },
    /// `compatibleFrom` does not name an ancestor.
    NotCompatible {
        /// Whose `compatibleFrom`.
        migration: MigrationName,
        /// What it names.
        compatible_from: MigrationName,
    },
}

impl fmt::Display for ChainBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChainBreak::DesiredMissing { desired } => {
                write!(
                    f,
                    "desiredSchemaVersion names DatabaseMigration {desired}, which does not exist"
                )
            }
            ChainBreak::PreviousMissing {
                migration,
                previous,
            } => write!(
                f,
                "DatabaseMigration {migration} names {previous} as its previous, which does not exist"
            ),
            ChainBreak::Cycle { members } => {
                let names: Vec<&str> = members.iter().map(MigrationName::as_str).collect();
                write!(
                    f,
                    "the migrations {} name each other as previous, in a circle",
                    names.join(" -> ")
                )
            }
            ChainBreak::NotAnAncestor { current, desired } => {
                write!(
                    f,
                    "no chain of previous leads from {desired} back to {current}"
                )
            }
            ChainBreak::DesiredOlder { current, desired } => write!(
                f,
                "the database is at {current}, newer than {desired}, whose code cannot live with it"
            ),
            ChainBreak::NotCompatible {
                migration,
                compatible_from,
            } => write!(
                f,
                "compatibleFrom of DatabaseMigration {migration} names {compatible_from}, which is not \
                 one of its ancestors"
            ),
        }
    }
}

/// Which migration a version string belongs to.
#[derive(Debug, Clone, PartialEq)]
pub enum Match<'a> {
    /// None of the chain.
    Unknown,
    /// Exactly this one.
    One(&'a Migration),
    /// Several of them claim it.
    Ambiguous(Vec<MigrationName>),
}

impl Chain {
    /// A chain of these migrations. A later one of equal name replaces an earlier.
    pub fn new(migrations: impl IntoIterator<Item = Migration>) -> Self {
        Self {
            migrations: migrations
                .into_iter()
                .map(|m| (m.name.clone(), m))
                .collect(),
        }
    }

    /// The migration of that name.
    pub fn get(&self, name: &MigrationName) -> Option<&Migration> {
        self.migrations.get(name)
    }

    /// All migrations, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Migration> {
        self.migrations.values()
    }

    /// The migration itself and its ancestors, newest first.
    ///
    /// # Errors
    /// The break that ends the way back: a missing migration or a cycle; with it what was reached.
    pub fn lineage(&self, name: &MigrationName) -> (Vec<&Migration>, Option<ChainBreak>) {
        let mut line: Vec<&Migration> = Vec::new();
        let mut at = name;
        loop {
            let Some(migration) = self.migrations.get(at) else {
                let broken = match line.last() {
                    Some(child) => ChainBreak::PreviousMissing {
                        migration: child.name.clone(),
                        previous: at.clone(),
                    },
                    None => ChainBreak::DesiredMissing {
                        desired: at.clone(),
                    },
                };
                return (line, Some(broken));
            };
            if let Some(start) = line.iter().position(|m| m.name == migration.name) {
                let members = line[start..].iter().map(|m| m.name.clone()).collect();
                return (line, Some(ChainBreak::Cycle { members }));
            }
            line.push(migration);
            match &migration.previous {
                Some(previous) => at = previous,
                None => return (line, None),
            }
        }
    }

    /// Is `ancestor` a strict ancestor of `of`? A broken chain is followed as far as it goes.
    pub fn is_ancestor(&self, ancestor: &MigrationName, of: &MigrationName) -> bool {
        self.lineage(of).0.iter().skip(1).any(|m| &m.name == ancestor)
            // A pruned object is still named by its successor.
            || self.lineage(of).0.iter().any(|m| m.previous.as_ref() == Some(ancestor))
    }

    /// The migrations connected to `desired` by `previous`, backwards and forwards.
    pub fn connected(&self, desired: &MigrationName) -> BTreeSet<&MigrationName> {
        let mut members: BTreeSet<&MigrationName> = self
            .lineage(desired)
            .0
            .into_iter()
            .map(|m| &m.name)
            .collect();
        // Each round adds at least one migration, so there are at most as many rounds as migrations.
        for _ in 0..self.migrations.len() {
            let before = members.len();
            for migration in self.migrations.values() {
                if migration
                    .previous
                    .as_ref()
                    .is_some_and(|p| members.contains(p))
                {
                    members.insert(&migration.name);
                }
            }
            if members.len() == before {
                break;
            }
        }
        members
    }

    /// Which migration connected to `desired` has this version.
    pub fn find_version(&self, version: &SchemaVersion, desired: &MigrationName) -> Match<'_> {
        let connected = self.connected(desired);
        let found: Vec<&Migration> = self
            .migrations
            .values()
            .filter(|m| &m.version == version && connected.contains(&m.name))
            .collect();
        match found[..] {
            [] => Match::Unknown,
            [one] => Match::One(one),
            _ => Match::Ambiguous(found.iter().map(|m| m.name.clone()).collect()),
        }
    }

    /// The first two migrations of one chain that share a version, if any.
    pub fn ambiguous(
        &self,
        desired: &MigrationName,
    ) -> Option<(SchemaVersion, Vec<MigrationName>)> {
        let connected = self.connected(desired);
        let mut by_version: BTreeMap<&SchemaVersion, Vec<MigrationName>> = BTreeMap::new();
        for migration in self
            .migrations
            .values()
            .filter(|m| connected.contains(&m.name))
        {
            by_version
                .entry(&migration.version)
                .or_default()
                .push(migration.name.clone());
        }
        by_version
            .into_iter()
            .find(|(_, names)| names.len() > 1)
            .map(|(v, names)| (v.clone(), names))
    }

    /// The migrations still to run, oldest first: from `current` (`None`: an empty database) to `desired`.
    /// Empty where `current` is `desired`.
    ///
    /// # Errors
    /// Why there is no way.
    pub fn path(
        &self,
        current: Option<&MigrationName>,
        desired: &MigrationName,
    ) -> Result<Vec<&Migration>, ChainBreak> {
        let (line, broken) = self.lineage(desired);
        if let Some(broken @ ChainBreak::DesiredMissing { .. }) = broken {
            return Err(broken);
        }
        let steps: Vec<&Migration> = match current {
            // The newest migration that takes an empty database saves the whole way before it.
            None => match line.iter().position(|m| m.from_empty) {
                Some(start) => line[..=start].to_vec(),
                None => match broken {
                    Some(broken) => return Err(broken),
                    None => line,
                },
            },
            Some(current) => match line.iter().position(|m| &m.name == current) {
                Some(end) => line[..end].to_vec(),
                None => match broken {
                    Some(broken) => return Err(broken),
                    None if self.is_ancestor(desired, current) => {
                        return Err(ChainBreak::DesiredOlder {
                            current: current.clone(),
                            desired: desired.clone(),
                        });
                    }
                    None => {
                        return Err(ChainBreak::NotAnAncestor {
                            current: current.clone(),
                            desired: desired.clone(),
                        });
                    }
                },
            },
        };
        for step in &steps {
            self.check_compatible_from(step)?;
        }
        Ok(steps.into_iter().rev().collect())
    }

    fn check_compatible_from(&self, migration: &Migration) -> Result<(), ChainBreak> {
        match &migration.compatible_from {
            Some(from) if !self.is_ancestor(from, &migration.name) => {
                Err(ChainBreak::NotCompatible {
                    migration: migration.name.clone(),
                    compatible_from: from.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// The migrations whose application code works with the schema of `of`: itself and its ancestors
    /// back to `compatibleFrom` (default: `previous`). Where `compatibleFrom` is no ancestor: itself alone.
    pub fn compatible(&self, of: &MigrationName) -> BTreeSet<MigrationName> {
        let mut set = BTreeSet::from([of.clone()]);
        let Some(migration) = self.migrations.get(of) else {
            return set;
        };
        let Some(oldest) = migration
            .compatible_from
            .as_ref()
            .or(migration.previous.as_ref())
        else {
            return set;
        };
        if !self.is_ancestor(oldest, of) {
            return set;
        }
        for ancestor in self.lineage(of).0.iter().skip(1) {
            set.insert(ancestor.name.clone());
            if &ancestor.name == oldest {
                return set;
            }
        }
        set.insert(oldest.clone());
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Digest;

    fn migration(name: &str, previous: Option<&str>) -> Migration {
        let name = MigrationName::new(name).unwrap();
        Migration {
            version: SchemaVersion::new(name.as_str()).unwrap(),
            previous: previous.map(|p| MigrationName::new(p).unwrap()),
            name,
            compatible_from: None,
            from_empty: false,
            digest: Digest::new("d0").unwrap(),
            hints: None,
            sql: None,
            accept: Vec::new(),
        }
    }

    fn chain(links: &[(&str, Option<&str>)]) -> Chain {
        Chain::new(
            links
                .iter()
                .map(|(name, previous)| migration(name, *previous)),
        )
    }

    fn name(text: &str) -> MigrationName {
        MigrationName::new(text).unwrap()
    }

    #[track_caller]
    fn check_path(links: &[(&str, Option<&str>)], from: Option<&str>, to: &str, expect: &str) {
        let chain = chain(links);
        let shown = match chain.path(from.map(name).as_ref(), &name(to)) {
            Ok(path) => path
                .iter()
                .map(|m| m.name.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            Err(broken) => format!("error: {broken}"),
        };
        assert_eq!(shown, expect);
    }

    const LINE: &[(&str, Option<&str>)] = &[
        ("v1", None),
        ("v2", Some("v1")),
        ("v3", Some("v2")),
        ("w3", Some("v2")),
    ];

    #[test]
    fn paths() {
        check_path(LINE, None, "v3", "v1 v2 v3");
        check_path(LINE, Some("v1"), "v3", "v2 v3");
        check_path(LINE, Some("v3"), "v3", "");
        check_path(
            LINE,
            Some("w3"),
            "v3",
            "error: no chain of previous leads from v3 back to w3",
        );
        check_path(
            LINE,
            Some("v3"),
            "v1",
            "error: the database is at v3, newer than v1, whose code cannot live with it",
        );
        check_path(
            LINE,
            None,
            "v9",
            "error: desiredSchemaVersion names DatabaseMigration v9, which does not exist",
        );
        check_path(
            &[("v2", Some("v1"))],
            None,
            "v2",
            "error: DatabaseMigration v2 names v1 as its previous, which does not exist",
        );
        // What is missing behind the current version does not matter.
        check_path(
            &[("v2", Some("v1")), ("v3", Some("v2"))],
            Some("v2"),
            "v3",
            "v3",
        );
        check_path(
            &[("a", Some("b")), ("b", Some("a"))],
            None,
            "a",
            "error: the migrations a -> b name each other as previous, in a circle",
        );
    }

    #[test]
    fn an_empty_database_starts_at_the_newest_migration_that_takes_one() {
        let mut migrations: Vec<Migration> = LINE
            .iter()
            .map(|(name, previous)| migration(name, *previous))
            .collect();
        migrations[1].from_empty = true;
        let chain = Chain::new(migrations);
        let path = chain.path(None, &name("v3")).unwrap();
        assert_eq!(
            path.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(),
            ["v2", "v3"]
        );
    }

    #[test]
    fn compatible_goes_back_to_compatible_from() {
        let mut migrations: Vec<Migration> = LINE
            .iter()
            .map(|(name, previous)| migration(name, *previous))
            .collect();
        let plain = Chain::new(migrations.clone());
        assert_eq!(
            plain.compatible(&name("v3")),
            BTreeSet::from([name("v2"), name("v3")])
        );
        migrations[2].compatible_from = Some(name("v1"));
        let wide = Chain::new(migrations.clone());
        assert_eq!(
            wide.compatible(&name("v3")),
            BTreeSet::from([name("v1"), name("v2"), name("v3")])
        );
        migrations[2].compatible_from = Some(name("w3"));
        let wrong = Chain::new(migrations);
        assert_eq!(wrong.compatible(&name("v3")), BTreeSet::from([name("v3")]));
        assert!(wrong.path(Some(&name("v2")), &name("v3")).is_err());
    }

    #[test]
    fn versions_are_looked_for_among_the_connected() {
        let chain = chain(&[("v1", None), ("v2", Some("v1")), ("x1", None)]);
        let version = |v: &str| SchemaVersion::new(v).unwrap();
        assert!(matches!(
            chain.find_version(&version("v2"), &name("v1")),
            Match::One(_)
        ));
        assert_eq!(
            chain.find_version(&version("x1"), &name("v2")),
            Match::Unknown
        );
    }
}
