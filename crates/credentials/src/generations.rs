//! Generations: how a credential stands to the schema that the database has.

use std::collections::BTreeSet;

use dbop_model::{Chain, MigrationName};

/// How a credential's migration stands to the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// It is the current migration's own.
    Current,
    /// The current migration's predecessor's, also where `compatibleFrom` says that it is not wanted.
    Predecessor,
    /// An older one whose code works with the current schema.
    Compatible,
    /// Of a migration that descends from the current one (the database was restored).
    Beyond,
    /// Every other credential of ours.
    Older,
}

/// How the credential of `migration` stands to the schema of `current`.
pub fn generation(chain: &Chain, current: &MigrationName, migration: &MigrationName) -> Generation {
    if migration == current {
        Generation::Current
    } else if chain.get(current).and_then(|m| m.previous.as_ref()) == Some(migration) {
        Generation::Predecessor
    } else if chain.compatible(current).contains(migration) {
        Generation::Compatible
    } else if chain.is_ancestor(current, migration) {
        Generation::Beyond
    } else {
        Generation::Older
    }
}

/// `previous` of `current`, where its code works with the current schema.
pub fn predecessor(chain: &Chain, current: &MigrationName) -> Option<MigrationName> {
    let previous = chain.get(current)?.previous.clone()?;
    chain
        .compatible(current)
        .contains(&previous)
        .then_some(previous)
}

/// The credentials that exist at rest at `current` (created if missing): its own, its predecessor's while
/// that migration's object exists, and `desired`'s where the database is ahead of it.
pub fn at_rest(
    chain: &Chain,
    current: &MigrationName,
    desired: &MigrationName,
) -> BTreeSet<MigrationName> {
    let mut wanted = BTreeSet::from([current.clone(), desired.clone()]);
    wanted.extend(predecessor(chain, current).filter(|p| chain.get(p).is_some()));
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use dbop_model::{Digest, Migration, SchemaVersion};

    fn name(text: &str) -> MigrationName {
        MigrationName::new(text).unwrap()
    }

    fn line(count: usize) -> Chain {
        Chain::new((1..=count).map(|i| Migration {
            name: name(&format!("v{i}")),
            version: SchemaVersion::new(format!("{i}")).unwrap(),
            previous: (i > 1).then(|| name(&format!("v{}", i - 1))),
            compatible_from: None,
            from_empty: false,
            digest: Digest::new("d").unwrap(),
            hints: None,
            sql: None,
            accept: Vec::new(),
        }))
    }

    #[test]
    fn every_credential_has_one_generation() {
        let chain = line(4);
        let of = |m: &str| generation(&chain, &name("v3"), &name(m));
        assert_eq!(of("v1"), Generation::Older);
        assert_eq!(of("v2"), Generation::Predecessor);
        assert_eq!(of("v3"), Generation::Current);
        assert_eq!(of("v4"), Generation::Beyond);
        assert_eq!(of("gone"), Generation::Older);
    }

    #[test]
    fn at_rest_there_are_two() {
        assert_eq!(
            at_rest(&line(4), &name("v3"), &name("v3")),
            BTreeSet::from([name("v2"), name("v3")])
        );
        assert_eq!(
            at_rest(&line(4), &name("v1"), &name("v1")),
            BTreeSet::from([name("v1")])
        );
    }
}
