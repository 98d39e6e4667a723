//! The chain of migrations judged alone, without a database: what would block sooner or later.

use std::collections::{BTreeMap, BTreeSet};

use dbop_model::{Chain, ChainBreak, DatabaseSpec, Migration, MigrationName};

use crate::refusal::{Refusal, Subject};
use crate::{DATABASE_MIGRATION, DatabaseMigration, MANAGED_DATABASE, ManagedDatabase};

/// How many migrations are named before the rest is left out.
const NAMED_MAX: usize = 5;

/// Everything that is wrong with a set of objects, sorted by object and field: objects that are
/// refused, the same name twice, gaps and cycles in `previous`, a `compatibleFrom` that is no
/// ancestor, one version twice in a chain, a desired migration that does not exist, and migrations
/// that no database can reach.
pub fn lint(databases: &[ManagedDatabase], migrations: &[DatabaseMigration]) -> Vec<Refusal> {
    let mut problems = BTreeSet::new();
    let mut specs: Vec<DatabaseSpec> = Vec::new();
    for database in databases {
        match DatabaseSpec::try_from(database) {
            Ok(spec) => specs.push(spec),
            Err(refusals) => problems.extend(refusals),
        }
    }
    let mut namespaces: BTreeMap<&str, Vec<Migration>> = BTreeMap::new();
    for migration in migrations {
        let namespace = migration.metadata.namespace.as_deref().unwrap_or_default();
        let chain = namespaces.entry(namespace).or_default();
        match Migration::try_from(migration) {
            Ok(migration) => chain.push(migration),
            Err(refusals) => problems.extend(refusals),
        }
    }
    problems.extend(twice(databases, migrations));
    // A migration that was refused is there all the same: nobody needs to hear that it is missing.
    let refused: BTreeSet<(String, String)> = problems
        .iter()
        .filter(|problem: &&Refusal| problem.object.kind == DATABASE_MIGRATION)
        .map(|problem| {
            (
                problem.object.namespace.clone(),
                problem.object.name.clone(),
            )
        })
        .collect();
    for spec in &specs {
        namespaces.entry(spec.id.namespace()).or_default();
    }
    for (namespace, migrations) in namespaces {
        let databases: Vec<&DatabaseSpec> = specs
            .iter()
            .filter(|spec| spec.id.namespace() == namespace)
            .collect();
        let chain = Chain::new(migrations);
        let lint = Namespace {
            name: namespace,
            chain: &chain,
            databases,
        };
        problems.extend(
            lint.problems()
                .into_iter()
                .filter(|problem| match &problem.missing {
                    Some(name) => !refused.contains(&(namespace.to_owned(), name.to_string())),
                    None => true,
                })
                .map(|problem| problem.refusal),
        );
    }
    problems.into_iter().collect()
}

fn twice(databases: &[ManagedDatabase], migrations: &[DatabaseMigration]) -> Vec<Refusal> {
    let databases = databases
        .iter()
        .map(|object| (MANAGED_DATABASE, &object.metadata));
    let migrations = migrations
        .iter()
        .map(|object| (DATABASE_MIGRATION, &object.metadata));
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for (kind, metadata) in databases.chain(migrations) {
        let object = Subject {
            kind: kind.to_owned(),
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        };
        if !seen.insert(object.clone()) {
            problems.push(Refusal {
                object,
                field: "metadata.name".to_owned(),
                problem: "stands in the manifests twice".to_owned(),
                way_out: "give one of the two another name, or drop it".to_owned(),
            });
        }
    }
    problems
}

struct Namespace<'a> {
    name: &'a str,
    chain: &'a Chain,
    databases: Vec<&'a DatabaseSpec>,
}

/// A problem, with the migration that it says does not exist.
struct Problem {
    refusal: Refusal,
    missing: Option<MigrationName>,
}

impl Namespace<'_> {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for migration in self.chain.iter() {
            problems.extend(self.previous_missing(migration));
            problems.extend(self.compatible_from(migration));
        }
        problems.extend(self.cycles());
        problems.extend(self.desired_missing());
        let broken = !problems.is_empty();
        problems.extend(self.same_version());
        // While links are broken, what is out of reach is so because of them.
        if !broken {
            problems.extend(self.out_of_reach());
        }
        problems
    }

    fn previous_missing(&self, migration: &Migration) -> Option<Problem> {
        let previous = migration
            .previous
            .as_ref()
            .filter(|name| self.chain.get(name).is_none())?;
        let oldest_needed = self.databases.iter().any(|database| {
            let way = self.chain.lineage(&database.desired).0;
            way.iter().any(|m| m.from_empty)
                && way
                    .iter()
                    .take_while(|m| !m.from_empty)
                    .all(|m| m.name != migration.name)
        });
        // Older objects may be pruned where a later migration takes an empty database straight on.
        if oldest_needed {
            return None;
        }
        let way_out = match self.other_end(migration) {
            Some(other) => format!(
                "create {previous}, or delete {} and create it again with previous: {other}",
                migration.name
            ),
            None => format!(
                "create {previous}, or drop previous where {} is the first",
                migration.name
            ),
        };
        Some(Problem {
            refusal: self.refusal(
                migration,
                "spec.previous",
                format!("'{previous}' does not exist in namespace {}", self.name),
                format!(
                    "known migrations: {}; {way_out}",
                    self.known(Some(&migration.name))
                ),
            ),
            missing: Some(previous.clone()),
        })
    }

    fn compatible_from(&self, migration: &Migration) -> Option<Problem> {
        let oldest = migration.compatible_from.as_ref()?;
        let (line, broken) = self.chain.lineage(&migration.name);
        if broken.is_some() || self.chain.is_ancestor(oldest, &migration.name) {
            return None;
        }
        let ancestors: Vec<&str> = line.iter().skip(1).map(|m| m.name.as_str()).collect();
        Some(Problem {
            refusal: self.refusal(
                migration,
                "spec.compatibleFrom",
                format!("'{oldest}' is no ancestor of {}", migration.name),
                format!("its ancestors are {}; name one of them", few(&ancestors)),
            ),
            missing: None,
        })
    }

    fn cycles(&self) -> Vec<Problem> {
        let mut seen: BTreeSet<BTreeSet<MigrationName>> = BTreeSet::new();
        let mut problems = Vec::new();
        for migration in self.chain.iter() {
            let (_, Some(ChainBreak::Cycle { members })) = self.chain.lineage(&migration.name)
            else {
                continue;
            };
            if !seen.insert(members.iter().cloned().collect()) {
                continue;
            }
            // The one whose name is the least stands for all, whichever the walk began with.
            let Some(least) = members.iter().min().and_then(|name| self.chain.get(name)) else {
                continue;
            };
            let mut circle: Vec<&str> = members.iter().map(MigrationName::as_str).collect();
            let start = circle
                .iter()
                .position(|name| *name == least.name.as_str())
                .unwrap_or(0);
            circle.rotate_left(start);
            circle.push(least.name.as_str());
            problems.push(Problem {
                refusal: self.refusal(
                    least,
                    "spec.previous",
                    format!("leads in a circle: {}", circle.join(" -> ")),
                    "delete the one that should be the first and create it again without previous"
                        .to_owned(),
                ),
                missing: None,
            });
        }
        problems
    }

    fn desired_missing(&self) -> Vec<Problem> {
        let missing = |database: &&&DatabaseSpec| self.chain.get(&database.desired).is_none();
        let problem = |database: &&DatabaseSpec| Problem {
            refusal: Refusal {
                object: Subject {
                    kind: MANAGED_DATABASE.to_owned(),
                    namespace: self.name.to_owned(),
                    name: database.id.name().to_owned(),
                },
                field: "spec.desiredSchemaVersion".to_owned(),
                problem: format!(
                    "'{}' does not exist in namespace {}",
                    database.desired, self.name
                ),
                way_out: format!(
                    "known migrations: {}; create {}, or name one of them",
                    self.known(None),
                    database.desired
                ),
            },
            missing: Some(database.desired.clone()),
        };
        self.databases.iter().filter(missing).map(problem).collect()
    }

    fn same_version(&self) -> Vec<Problem> {
        let mut seen = BTreeSet::new();
        let mut problems = Vec::new();
        for migration in self.chain.iter() {
            let Some((version, names)) = self.chain.ambiguous(&migration.name) else {
                continue;
            };
            if !seen.insert(names.clone()) {
                continue;
            }
            let [first, others @ ..] = names.as_slice() else {
                continue;
            };
            for other in others.iter().filter_map(|name| self.chain.get(name)) {
                problems.push(Problem {
                    refusal: self.refusal(
                        other,
                        "spec.version",
                        format!("'{version}' is the version of {first} too, in the same chain"),
                        "the database could be at either; give each a version of its own"
                            .to_owned(),
                    ),
                    missing: None,
                });
            }
        }
        problems
    }

    /// The first migrations of chains that belong to no database. Without a database, every chain
    /// but one.
    fn out_of_reach(&self) -> Vec<Problem> {
        let roots: Vec<&Migration> = self
            .chain
            .iter()
            .filter(|migration| migration.previous.is_none())
            .collect();
        let desired: Vec<&MigrationName> = match self.databases.as_slice() {
            [] => roots.first().map(|root| &root.name).into_iter().collect(),
            databases => databases.iter().map(|database| &database.desired).collect(),
        };
        let reached: BTreeSet<&MigrationName> = desired
            .iter()
            .flat_map(|desired| self.chain.connected(desired))
            .collect();
        let unreached = roots.iter().filter(|root| !reached.contains(&root.name));
        let newest = self
            .oldest_first()
            .into_iter()
            .rfind(|of| reached.contains(&of.name));
        unreached
            .map(|root| Problem {
                refusal: self.refusal(
                    root,
                    "spec.previous",
                    "is absent, and no database's desiredSchemaVersion belongs to the chain that begins here"
                        .to_owned(),
                    match newest {
                        Some(newest) => format!(
                            "if it follows another migration, such as {}, delete {} and create it again with \
                             previous; if it is for another database, add that ManagedDatabase",
                            newest.name, root.name
                        ),
                        None => "add its ManagedDatabase".to_owned(),
                    },
                ),
                missing: None,
            })
            .collect()
    }

    fn refusal(&self, of: &Migration, field: &str, problem: String, way_out: String) -> Refusal {
        Refusal {
            object: Subject {
                kind: DATABASE_MIGRATION.to_owned(),
                namespace: self.name.to_owned(),
                name: of.name.to_string(),
            },
            field: field.to_owned(),
            problem,
            way_out,
        }
    }

    fn known(&self, except: Option<&MigrationName>) -> String {
        let names: Vec<&str> = self
            .oldest_first()
            .into_iter()
            .map(|migration| &migration.name)
            .filter(|name| Some(*name) != except)
            .map(MigrationName::as_str)
            .collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            few(&names)
        }
    }

    /// Those with fewer ancestors first: names alone say nothing of order (`v10` sorts before
    /// `v9`).
    fn oldest_first(&self) -> Vec<&Migration> {
        let mut migrations: Vec<&Migration> = self.chain.iter().collect();
        migrations.sort_by_key(|migration| self.chain.lineage(&migration.name).0.len());
        migrations
    }

    /// Where exactly one other line of migrations ends: what a migration most likely follows.
    fn other_end(&self, of: &Migration) -> Option<&MigrationName> {
        let followed = |name: &MigrationName| {
            self.chain
                .iter()
                .any(|migration| migration.previous.as_ref() == Some(name))
        };
        let descends = |from: &MigrationName| {
            self.chain
                .lineage(from)
                .0
                .iter()
                .any(|ancestor| ancestor.name == of.name)
        };
        let mut ends = self
            .chain
            .iter()
            .map(|m| &m.name)
            .filter(|name| !followed(name) && !descends(name));
        ends.next().filter(|_| ends.next().is_none())
    }
}

/// `v1, v2, v3`, or `v1 ... v9` where there are many.
fn few(names: &[&str]) -> String {
    match names {
        [first, .., last] if names.len() > NAMED_MAX => format!("{first} ... {last}"),
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn database(name: &str, desired: &str) -> ManagedDatabase {
        let spec = json!({
            "connection": { "dsnSecret": { "name": "admin" } },
            "desiredSchemaVersion": desired,
            "schemaVersion": { "engine": "Alembic" },
        });
        let mut object = ManagedDatabase::new(name, serde_json::from_value(spec).unwrap());
        object.metadata.namespace = Some("shop".to_owned());
        object
    }

    /// `name: previous, field=value ...`
    fn migration(text: &str) -> DatabaseMigration {
        let (name, rest) = text.split_once(':').unwrap();
        let mut spec = json!({ "container": { "name": "migrate" } });
        for part in rest.split_whitespace() {
            match part.split_once('=') {
                Some(("fromEmpty", _)) => spec["fromEmpty"] = true.into(),
                Some((field, value)) => spec[field] = value.into(),
                None => spec["previous"] = part.into(),
            }
        }
        let mut object = DatabaseMigration::new(name, serde_json::from_value(spec).unwrap());
        object.metadata.namespace = Some("shop".to_owned());
        object
    }

    #[track_caller]
    fn check(databases: &[ManagedDatabase], migrations: &[&str], expect: &[&str]) {
        let migrations: Vec<DatabaseMigration> =
            migrations.iter().map(|text| migration(text)).collect();
        let said: Vec<String> = lint(databases, &migrations)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(said, expect);
    }

    #[test]
    fn good_chains() {
        check(&[], &[], &[]);
        check(&[], &["v1:", "v2: v1", "v3: v2 compatibleFrom=v1"], &[]);
        check(&[database("shop", "v1")], &["v1:", "v2: v1", "w2: v1"], &[]);
        check(
            &[database("a", "a1"), database("b", "b1")],
            &["a1:", "b1:"],
            &[],
        );
        // Older objects were pruned.
        check(
            &[database("shop", "v9")],
            &["v8: v7 fromEmpty=", "v9: v8"],
            &[],
        );
    }

    #[test]
    fn gaps() {
        check(
            &[],
            &[
                "v1:", "v2: v1", "v3: v2", "v4: v3", "v5: v4", "v6: v5", "v7: v6", "v9: v8",
            ],
            &[
                "DatabaseMigration shop/v9: spec.previous: 'v8' does not exist in namespace shop; known \
               migrations: v1 ... v7; create v8, or delete v9 and create it again with previous: v7",
            ],
        );
        check(
            &[],
            &["v2: v1"],
            &[
                "DatabaseMigration shop/v2: spec.previous: 'v1' does not exist in namespace shop; known \
               migrations: none; create v1, or drop previous where v2 is the first",
            ],
        );
        check(
            &[database("shop", "v3")],
            &["v1:", "v2: v1"],
            &[
                "ManagedDatabase shop/shop: spec.desiredSchemaVersion: 'v3' does not exist in namespace shop; \
               known migrations: v1, v2; create v3, or name one of them",
            ],
        );
        // One that is refused is there all the same.
        check(
            &[],
            &["v1:", "v2: v2", "v3: v2"],
            &[
                "DatabaseMigration shop/v2: spec.previous: names the migration itself; name the migration \
               that this one follows, or drop previous on the first one",
            ],
        );
    }

    #[test]
    fn circles() {
        check(
            &[],
            &["a: c", "b: a", "c: b", "d: c"],
            &[
                "DatabaseMigration shop/a: spec.previous: leads in a circle: a -> c -> b -> a; delete the one \
               that should be the first and create it again without previous",
            ],
        );
    }

    #[test]
    fn several_beginnings() {
        check(
            &[database("shop", "v2")],
            &["v1:", "v2: v1", "v3:", "v4: v3"],
            &[
                "DatabaseMigration shop/v3: spec.previous: is absent, and no database's desiredSchemaVersion \
               belongs to the chain that begins here; if it follows another migration, such as v2, delete \
               v3 and create it again with previous; if it is for another database, add that \
               ManagedDatabase",
            ],
        );
    }

    #[test]
    fn versions_and_compatibility() {
        check(
            &[],
            &["v1: version=1", "v2: v1 version=1"],
            &[
                "DatabaseMigration shop/v2: spec.version: '1' is the version of v1 too, in the same chain; the \
               database could be at either; give each a version of its own",
            ],
        );
        check(
            &[],
            &["v1:", "v2: v1", "w2: v1", "v3: v2 compatibleFrom=w2"],
            &[
                "DatabaseMigration shop/v3: spec.compatibleFrom: 'w2' is no ancestor of v3; its ancestors are \
               v2, v1; name one of them",
            ],
        );
    }

    #[test]
    fn the_same_object_twice() {
        check(
            &[],
            &["v1:", "v1:"],
            &[
                "DatabaseMigration shop/v1: metadata.name: stands in the manifests twice; give one of the two \
               another name, or drop it",
            ],
        );
    }
}
