//! The way into the model: past it, no text has to be checked again.
//!
//! Total: any object, whoever let it in, becomes a value of the model or a list of refusals. The
//! schema's own rules are asked first, so that an object from an older CRD is judged like a new
//! one.

mod database;
mod health;
mod migration;

use std::fmt::Display;

use serde::Serialize;

use crate::check;
use crate::refusal::{Refusal, Refusals, Subject};

/// Gathers the refusals of one object.
struct Gather {
    object: Subject,
    refusals: Vec<Refusal>,
}

impl Gather {
    /// Starts with what the schema and its rules say.
    fn new(kind: &str, object: &impl Serialize) -> Result<Self, Refusals> {
        let refused = |object: Subject, problem: String| {
            Refusals::from(Refusal {
                object,
                field: String::new(),
                problem,
                way_out: String::new(),
            })
        };
        let value = serde_json::to_value(object).map_err(|error| {
            refused(
                check::subject(kind, &serde_json::Value::Null),
                format!("cannot be written as JSON: {error}"),
            )
        })?;
        Refusals::unless_none((), check::object(kind, &value))?;
        Ok(Self {
            object: check::subject(kind, &value),
            refusals: Vec::new(),
        })
    }

    /// The value, or a refusal of the field.
    fn take<T, E: Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problem) => {
                self.refuse(field, problem.to_string(), "");
                None
            }
        }
    }

    /// The value of an optional field, or a refusal.
    fn take_some<T, E: Display>(
        &mut self,
        field: &str,
        result: Option<Result<T, E>>,
    ) -> Option<Option<T>> {
        match result {
            None => Some(None),
            Some(result) => self.take(field, result).map(Some),
        }
    }

    fn refuse(&mut self, field: &str, problem: impl Into<String>, way_out: &str) {
        self.refusals.push(Refusal {
            object: self.object.clone(),
            field: field.to_owned(),
            problem: problem.into(),
            way_out: way_out.to_owned(),
        });
    }

    /// The value where every part of it could be had, and the refusals otherwise.
    fn finish<T>(mut self, value: Option<T>) -> Result<T, Refusals> {
        match value {
            Some(value) => Refusals::unless_none(value, self.refusals),
            None => {
                if self.refusals.is_empty() {
                    self.refuse("", "cannot be read", "");
                }
                Err(Refusals::unless_none((), self.refusals).expect_err("there is at least one"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dbop_model::{DatabaseSpec, DeletionPolicy, Migration, VersionSource};
    use serde_json::{Value, json};

    use crate::{DatabaseMigration, ManagedDatabase};

    fn database(changes: &[(&str, Value)]) -> ManagedDatabase {
        let mut spec = json!({
            "connection": { "dsnSecret": { "name": "shop-admin" } },
            "desiredSchemaVersion": "v3",
            "schemaVersion": { "engine": "Alembic" },
        });
        for (field, value) in changes {
            spec[*field] = value.clone();
        }
        let mut object = ManagedDatabase::new("shop", serde_json::from_value(spec).unwrap());
        object.metadata.namespace = Some("shop".to_owned());
        object
    }

    fn migration(changes: &[(&str, Value)]) -> DatabaseMigration {
        let mut spec = json!({ "previous": "v1", "container": { "name": "migrate" } });
        for (field, value) in changes {
            spec[*field] = value.clone();
        }
        let mut object = DatabaseMigration::new("v2", serde_json::from_value(spec).unwrap());
        object.metadata.namespace = Some("shop".to_owned());
        object
    }

    #[track_caller]
    fn check_source(source: Value, expect: &str) {
        let shown = match DatabaseSpec::try_from(&database(&[("schemaVersion", source)])) {
            Ok(spec) => match spec.version_source {
                VersionSource::Query { query, table: None } => query,
                VersionSource::Query {
                    query,
                    table: Some(table),
                } => format!("{query} of {table}"),
                VersionSource::Django { table, app } => format!("Django {table} of {app}"),
                VersionSource::Liquibase { table, version } => {
                    format!("Liquibase {table} by {version:?}")
                }
                tool => {
                    let debug = format!("{tool:?}");
                    let name = debug.split(' ').next().unwrap_or_default().to_owned();
                    let table = tool.table().map(ToString::to_string);
                    format!("{name} {}", table.unwrap_or_default())
                }
            },
            Err(refusals) => refusals.to_string(),
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn version_sources() {
        check_source(json!({ "engine": "Alembic" }), "Alembic alembic_version");
        check_source(
            json!({ "engine": "Sqlx", "schema": "app" }),
            "Sqlx app._sqlx_migrations",
        );
        check_source(
            json!({ "engine": "Alembic", "table": "app.v" }),
            "Alembic app.v",
        );
        for (engine, table) in [
            ("Flyway", "flyway_schema_history"),
            ("Rails", "schema_migrations"),
            ("GolangMigrate", "schema_migrations"),
            ("Diesel", "__diesel_schema_migrations"),
            ("Goose", "goose_db_version"),
            ("Prisma", "_prisma_migrations"),
        ] {
            check_source(json!({ "engine": engine }), &format!("{engine} {table}"));
            check_source(
                json!({ "engine": engine, "table": "history", "schema": "app" }),
                &format!("{engine} app.history"),
            );
        }
        check_source(
            json!({ "engine": "Liquibase" }),
            "Liquibase databasechangelog by ChangeSet",
        );
        check_source(
            json!({ "engine": "Liquibase", "versionIs": "Tag", "schema": "app" }),
            "Liquibase app.databasechangelog by Tag",
        );
        check_source(
            json!({ "engine": "Django", "app": "shop" }),
            "Django django_migrations of shop",
        );
        check_source(
            json!({ "engine": "Django" }),
            "ManagedDatabase shop/shop: spec.schemaVersion.app: belongs to engine Django, and to no \
             other; name the app exactly where engine is Django",
        );
        check_source(
            json!({ "engine": "Flyway", "app": "shop" }),
            "ManagedDatabase shop/shop: spec.schemaVersion.app: belongs to engine Django, and to no \
             other; name the app exactly where engine is Django",
        );
        check_source(
            json!({ "engine": "Flyway", "versionIs": "Tag" }),
            "ManagedDatabase shop/shop: spec.schemaVersion.versionIs: belongs to engine Liquibase, and \
             to no other; drop versionIs",
        );
        check_source(
            json!({ "engine": "Query", "query": "SELECT 1" }),
            "SELECT 1",
        );
        check_source(
            json!({ "engine": "Query", "query": "SELECT 1", "table": "v", "schema": "a.b" }),
            "SELECT 1 of \"a.b\".v",
        );
        check_source(
            json!({ "engine": "Alembic", "table": "app.v", "schema": "app" }),
            "ManagedDatabase shop/shop: spec.schemaVersion.schema: is given, and the table names a schema \
             too; drop one of the two",
        );
        check_source(
            json!({ "engine": "Alembic", "table": "a.b.c" }),
            "ManagedDatabase shop/shop: spec.schemaVersion.table: has more than two parts; write table or \
             schema.table",
        );
    }

    #[track_caller]
    fn check_keys(connection: Value, expect: &str) {
        let shown = match DatabaseSpec::try_from(&database(&[("connection", connection)])) {
            Ok(spec) => format!("{}, {}", spec.dsn.secret, spec.dsn.keys),
            Err(refusals) => refusals.to_string(),
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn a_dsn_is_under_one_key_or_its_parts_are_under_five() {
        let admin = json!({ "name": "a" });
        check_keys(json!({ "dsnSecret": admin }), "shop/a, key dsn");
        check_keys(
            json!({ "dsnSecret": admin, "secretKeys": { "engine": "MySQL", "username": "user" } }),
            "shop/a, keys host, port, database, user and password",
        );
        let lent = json!({ "name": "a", "namespace": "vault" });
        check_keys(
            json!({ "dsnSecret": lent, "secretKeys": { "engine": "MySQL" } }),
            "vault/a, keys host, port, database, username and password",
        );
        check_keys(
            json!({ "dsnSecret": lent, "secretKeys": { "engine": "MySQL", "username": "user" } }),
            "ManagedDatabase shop/shop: spec.connection.secretKeys: chooses keys of a Secret that another namespace \
             lends; keep it under host, port, database, username and password there",
        );
        check_keys(
            json!({ "dsnSecret": admin, "secretKeys": { "engine": "MySQL", "host": "port" } }),
            "ManagedDatabase shop/shop: spec.connection.secretKeys: names one key for two parts; name a key for each",
        );
        check_keys(
            json!({ "dsnSecret": { "name": "a", "key": "uri" }, "secretKeys": { "engine": "MySQL" } }),
            "ManagedDatabase shop/shop: spec.connection.secretKeys: stands beside dsnSecret.key, which says that one \
             key holds the whole; drop one of the two",
        );
    }

    #[test]
    fn all_refusals_of_an_object_come_at_once() {
        let hints = json!([
            { "op": "addColumn", "table": "users", "columns": [{ "name": "a", "type": "text not null" }] },
            { "op": "dropTable", "table": "a.b.c" },
        ]);
        let accept = json!([{ "rule": "a", "table": "t.", "reason": "r" }]);
        let object = migration(&[("schemaHints", hints), ("accept", accept)]);
        let refusals = Migration::try_from(&object).unwrap_err();
        assert_eq!(
            refusals.to_string(),
            "DatabaseMigration shop/v2: spec.schemaHints[0].columns[0].type: it holds NOT; write nullable: false\n\
             DatabaseMigration shop/v2: spec.schemaHints[1].table: has more than two parts; write table or \
             schema.table\n\
             DatabaseMigration shop/v2: spec.accept[0].table: must not be empty",
        );
    }

    #[test]
    fn an_object_that_an_older_crd_let_in_is_refused_like_a_new_one() {
        let object = database(&[("schemaVersion", json!({ "engine": "Query" }))]);
        let refusals = DatabaseSpec::try_from(&object).unwrap_err();
        assert!(
            refusals
                .to_string()
                .contains("spec.schemaVersion.query: belongs to engine Query")
        );
    }

    #[test]
    fn deletion_does_what_the_policy_says() {
        let deletion = |changes: &[(&str, Value)]| {
            DatabaseSpec::try_from(&database(changes)).unwrap().deletion
        };
        assert_eq!(deletion(&[]), DeletionPolicy::Retain);
        let revoke = ("deletionPolicy", json!("Revoke"));
        assert_eq!(deletion(&[revoke]), DeletionPolicy::Revoke);
    }

    #[test]
    fn templates_are_refused_by_their_key_and_place() {
        let of = |template: Value| {
            let credentials = json!({ "secretTemplate": template });
            DatabaseSpec::try_from(&database(&[("credentials", credentials)]))
        };
        let refused = of(json!({ "keys": { "a": "{host", "b": "{port}", "c": "x{pw}" } }));
        assert_eq!(
            refused.unwrap_err().to_string(),
            "ManagedDatabase shop/shop: spec.credentials.secretTemplate.keys.a: at character 1: { has no }; write \
             {{ for a brace that is to stay\n\
             ManagedDatabase shop/shop: spec.credentials.secretTemplate.keys.c: at character 2: there is no value \
             pw; the values are host, port, database, username, password, uri, jdbcUrl, ca"
        );
        let many: serde_json::Map<String, Value> =
            (0..33).map(|nth| (format!("k{nth}"), json!("x"))).collect();
        assert_eq!(
            of(json!({ "keys": many })).unwrap_err().to_string(),
            "ManagedDatabase shop/shop: spec.credentials.secretTemplate.keys: has 33 entries, 32 are allowed"
        );
        let spec = of(json!({ "keys": { "b": "{port}" }, "presets": ["PgPass"] })).unwrap();
        let template = spec.credentials.secret_template;
        assert_eq!(template.mount_path, "/credential");
        assert_eq!(template.keys.len() + template.presets.len(), 2);
        let none = DatabaseSpec::try_from(&database(&[])).unwrap();
        assert_eq!(none.credentials.secret_template, Default::default());
    }

    #[test]
    fn queries_of_one_name_differ_in_their_labels_alone() {
        let query = |help: &str, shop: &str| json!({ "name": "orders", "help": help, "query": "SELECT 1", "labels": { "shop": shop } });
        let of = |queries: &[Value]| {
            DatabaseSpec::try_from(&database(&[("metrics", json!({ "sqlQuery": queries }))]))
        };
        assert!(of(&[query("h", "a"), query("h", "b")]).is_ok());
        let refused = of(&[query("h", "a"), query("h", "b"), query("other", "b")]);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "ManagedDatabase shop/shop: spec.metrics.sqlQuery[2].help: is not that of sqlQuery[0], which has the same \
             name; write the same help for both, or call the metric something else\n\
             ManagedDatabase shop/shop: spec.metrics.sqlQuery[2].labels: are those of sqlQuery[1], which has the same \
             name; give them different labels, or call the metric something else",
        );
    }

    #[test]
    fn hints_are_operations() {
        let hints = json!([
            { "op": "addColumn", "table": "users", "columns": [{ "name": "a", "type": "text", "nullable": false }] },
            { "op": "renameColumn", "table": "users", "columns": [{ "name": "a" }], "to": "b" },
            { "op": "createIndex", "table": "users", "columns": [{ "name": "a" }], "index": { "kind": "unique" } },
            { "op": "addConstraint", "table": "users", "columns": [{ "name": "a" }], "constraint": "notNull" },
        ]);
        let migration = Migration::try_from(&migration(&[("schemaHints", hints)])).unwrap();
        let shown: Vec<String> = migration
            .hints
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            shown,
            [
                "addColumn users.a text NOT NULL",
                "renameColumn users.a to b",
                "createIndex users(a) unique",
                "addConstraint users(a) notNull",
            ]
        );
    }

    #[test]
    fn sql_is_inline_or_in_a_config_map_and_never_both() {
        use dbop_model::SqlSource;
        let of = |sql: Value| Migration::try_from(&migration(&[("sql", sql)]));
        let inline = of(json!({ "inline": "SELECT 1" })).unwrap().sql;
        assert_eq!(inline, Some(SqlSource::Inline("SELECT 1".into())));
        let map = json!({ "name": "shop-sql", "key": "V2__email.sql" });
        match of(json!({ "configMap": map })).unwrap().sql {
            Some(SqlSource::ConfigMap(at)) => {
                assert_eq!(
                    (at.name.as_str(), at.key.as_str()),
                    ("shop-sql", "V2__email.sql")
                );
            }
            other => panic!("{other:?}"),
        }
        for sql in [json!({}), json!({ "inline": "SELECT 1", "configMap": map })] {
            assert_eq!(
                of(sql).unwrap_err().to_string(),
                "DatabaseMigration shop/v2: spec.sql: gives not exactly one of inline and configMap; write the \
                 statements as inline, or name the ConfigMap and the key that hold them"
            );
        }
    }

    #[test]
    fn hints_that_are_not_given_are_not_an_empty_list() {
        let of = |changes: &[(&str, Value)]| Migration::try_from(&migration(changes)).unwrap();
        assert_eq!(of(&[]).hints, None);
        assert_eq!(of(&[("schemaHints", json!([]))]).hints, Some(Vec::new()));
        assert_eq!(of(&[]).version.as_str(), "v2");
    }

    #[test]
    fn the_digest_is_of_what_runs_and_what_it_is_judged_by() {
        let digest = |changes: &[(&str, Value)]| {
            Migration::try_from(&migration(changes))
                .unwrap()
                .digest
                .to_string()
        };
        let plain = digest(&[]);
        // What runs of earlier releases carry: a new field must not make every migration a changed one.
        assert_eq!(plain, "57bccacc620d2172");
        assert_eq!(plain, digest(&[]));
        for changed in [
            ("container", json!({ "name": "migrate", "image": "other" })),
            ("schemaHints", json!([])),
            ("version", json!("2")),
            ("sql", json!({ "inline": "SELECT 1" })),
            ("parallelism", json!({ "pods": 1, "completions": 1 })),
        ] {
            assert_ne!(plain, digest(&[changed]), "counts as a change");
        }
        for same in [
            (
                "accept",
                json!([{ "rule": "a", "table": "t", "reason": "r" }]),
            ),
            ("compatibleFrom", json!("v1")),
            ("fromEmpty", json!(true)),
            ("previous", json!("v0")),
        ] {
            assert_eq!(plain, digest(&[same]), "does not count as a change");
        }
    }
}
