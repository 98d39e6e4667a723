//! The chain of a database: the migrations of its namespace that are connected to the desired one.
//!
//! A namespace may hold the chains of a thousand databases; each look takes only its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dbop_api::Refusals;
use dbop_model::{Chain, Migration, MigrationName};

use super::seen::MigrationSeen;
use super::table::Table;

/// The migrations of one namespace.
#[derive(Default)]
pub(crate) struct Namespace {
    migrations: BTreeMap<MigrationName, Arc<Migration>>,
    /// Those that follow each one.
    next: BTreeMap<MigrationName, Vec<MigrationName>>,
    refused: BTreeMap<String, Arc<Refusals>>,
}

impl Namespace {
    /// As the table has it.
    pub(crate) fn of(table: &Table<MigrationSeen>, namespace: &str) -> Self {
        let mut all = Namespace::default();
        table.each_in(namespace, |name, seen| all.add(name, &seen.migration));
        all
    }

    /// One more migration.
    pub(crate) fn add(&mut self, name: &str, migration: &Result<Arc<Migration>, Arc<Refusals>>) {
        match migration {
            Ok(migration) => {
                if let Some(previous) = &migration.previous {
                    self.next
                        .entry(previous.clone())
                        .or_default()
                        .push(migration.name.clone());
                }
                self.migrations
                    .insert(migration.name.clone(), migration.clone());
            }
            Err(refusals) => {
                self.refused.insert(name.to_owned(), refusals.clone());
            }
        }
    }

    /// The names of the migrations that are connected to this one by `previous`, itself included, whether they
    /// exist or not.
    pub(crate) fn connected(&self, to: &MigrationName) -> BTreeSet<MigrationName> {
        let mut found = BTreeSet::from([to.clone()]);
        let mut open = vec![to.clone()];
        while let Some(name) = open.pop() {
            let previous = self
                .migrations
                .get(&name)
                .and_then(|migration| migration.previous.as_ref());
            let next = self.next.get(&name).into_iter().flatten();
            for neighbour in previous.into_iter().chain(next) {
                if found.insert(neighbour.clone()) {
                    open.push(neighbour.clone());
                }
            }
        }
        found
    }

    /// The chain around a migration.
    ///
    /// # Errors
    /// What is wrong with a migration that belongs to it.
    pub(crate) fn chain(&self, around: &MigrationName) -> Result<Chain, Arc<Refusals>> {
        let connected = self.connected(around);
        let refused = connected
            .iter()
            .find_map(|name| self.refused.get(name.as_str()));
        if let Some(refusals) = refused {
            return Err(refusals.clone());
        }
        let migrations = connected
            .iter()
            .filter_map(|name| self.migrations.get(name));
        Ok(Chain::new(
            migrations.map(|migration| (**migration).clone()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use dbop_api::DatabaseMigration;

    use super::*;

    fn migration(name: &str, previous: Option<&str>, sql_type: &str) -> MigrationSeen {
        let object: DatabaseMigration = serde_json::from_value(serde_json::json!({
            "apiVersion": "database-operator.dev/v1alpha1",
            "kind": "DatabaseMigration",
            "metadata": { "name": name, "namespace": "shop" },
            "spec": {
                "previous": previous,
                "container": { "name": "migrate", "image": "shop:1" },
                "schemaHints": [
                    { "op": "addColumn", "table": "t", "columns": [{ "name": "c", "type": sql_type }] },
                ],
            },
        }))
        .unwrap();
        MigrationSeen::new(&object)
    }

    #[test]
    fn a_chain_holds_its_own_alone_and_what_is_wrong_with_it() {
        let table = Table::default();
        let all = [
            ("a1", None, "text"),
            ("a2", Some("a1"), "text"),
            ("a3", Some("a2"), "text"),
            ("b1", None, "text"),
            ("b2", Some("b1"), "text NOT NULL"),
        ];
        for (name, previous, sql_type) in all {
            let _ = table.put("shop", name, 1, Some(migration(name, previous, sql_type)));
        }
        let namespace = Namespace::of(&table, "shop");
        let name = |text: &str| MigrationName::new(text).unwrap();
        let chain = namespace.chain(&name("a2")).unwrap();
        let names: Vec<String> = chain.iter().map(|one| one.name.to_string()).collect();
        assert_eq!(names, ["a1", "a2", "a3"]);
        let refused = namespace.chain(&name("b2")).unwrap_err().to_string();
        assert!(refused.contains("DatabaseMigration shop/b2"), "{refused}");
        assert_eq!(namespace.chain(&name("missing")).unwrap().iter().count(), 0);
    }
}
