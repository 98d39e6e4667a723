//! The admission table: what a real API server refuses of our two kinds, and that a directory's reader refuses the
//! same by the same field.
//!
//! The cases are in the YAML files beside this one. Nothing is stored for most of them (dry runs, strict field
//! validation as kubectl asks for it); the changes need objects that exist, in a namespace of their own.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod server;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use server::Server;

const DATABASE: &str = "
apiVersion: database-operator.dev/v1alpha1
kind: ManagedDatabase
metadata: {name: shop, namespace: default}
spec:
  connection: {dsnSecret: {name: shop-admin}}
  desiredSchemaVersion: v3
  schemaVersion: {engine: Alembic}
";
const MIGRATION: &str = "
apiVersion: database-operator.dev/v1alpha1
kind: DatabaseMigration
metadata: {name: v2, namespace: default}
spec:
  previous: v1
  container: {name: migrate, image: shop/migrate:2}
";
/// So many bad manifests there are at least.
const BAD_MIN: usize = 40;

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// The documents of a stream, without those that hold comments alone.
fn documents(stream: &str) -> Vec<Value> {
    let stream = format!("\n{stream}");
    let documents = stream.split("\n---\n").map(yaml);
    documents.filter(|document| !document.is_null()).collect()
}

/// The cases of a table.
fn cases(table: &str) -> Vec<Value> {
    yaml(table).as_array().unwrap().clone()
}

/// A good object with fields set, each by its JSON pointer; null takes the field out.
fn changed(good: &str, fields: &Value) -> Value {
    let mut object = yaml(good);
    for (pointer, value) in fields.as_object().unwrap() {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent = object.pointer_mut(parent).unwrap();
        let parent = parent.as_object_mut().unwrap();
        match value {
            Value::Null => drop(parent.remove(field).unwrap()),
            value => drop(parent.insert(field.to_owned(), value.clone())),
        }
    }
    object
}

/// Each refusal of a directory's reader: field, and the whole text.
fn parsed(object: &Value) -> Result<(), Vec<(String, String)>> {
    let read = match object["kind"].as_str().unwrap() {
        "ManagedDatabase" => dbop_api::parse_managed_database(object.clone()).map(drop),
        _ => dbop_api::parse_database_migration(object.clone()).map(drop),
    };
    read.map_err(|refusals| {
        let refusals = refusals.iter();
        refusals
            .map(|one| (one.field.clone(), one.to_string()))
            .collect()
    })
}

/// Does the text name the field: it, and not one below or beside it?
fn names(text: &str, field: &str) -> bool {
    text.match_indices(field).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + field.len()..].chars().next();
        before.is_none_or(|c| c.is_whitespace() || "\"[".contains(c))
            && after.is_none_or(|c| c.is_whitespace() || ":\"".contains(c))
    })
}

/// What is not as the case says, where it is not.
fn fault(case: &Value, refused: &Result<(), String>) -> Option<String> {
    let because = case["because"].as_str().unwrap();
    let field = case["field"].as_str();
    match (refused, field) {
        (Ok(()), None) => None,
        (Ok(()), Some(field)) => Some(format!("{because}: {field}: was let in")),
        (Err(text), None) => Some(format!("{because}: was refused: {text}")),
        (Err(text), Some(field)) => {
            let says = case["says"].as_str().unwrap_or_default();
            (!names(text, field) || !text.contains(says))
                .then(|| format!("{because}: {field} {says}: not so in: {text}"))
        }
    }
}

#[tokio::test]
async fn bad_objects_are_refused_by_field_on_both_sides() {
    let server = Server::with_our_kinds().await;
    let tables = [
        (DATABASE, include_str!("databases.yaml")),
        (MIGRATION, include_str!("migrations.yaml")),
    ];
    let (mut faults, mut count) = (Vec::new(), 0);
    for (good, table) in tables {
        for case in cases(table) {
            let object = changed(good, &case["set"]);
            let refused = server.refusal(&object).await;
            faults.extend(fault(&case, &refused));
            let read = parsed(&object);
            if case["cluster"] == true {
                assert_eq!(read, Ok(()), "{case}: it is fit for a directory");
            } else {
                let told = read.map_err(|refusals| {
                    let field = case["field"].as_str();
                    let one = refusals
                        .iter()
                        .find(|(refused, _)| Some(refused.as_str()) == field);
                    one.map_or_else(|| format!("{refusals:?}"), |(_, text)| text.clone())
                });
                faults.extend(fault(&case, &told).map(|fault| format!("in a directory: {fault}")));
            }
            count += 1;
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {count}:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(count >= BAD_MIN, "there are {count} cases");
}

#[tokio::test]
async fn good_objects_are_let_in_on_both_sides() {
    let server = Server::with_our_kinds().await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut good = documents(include_str!("good.yaml"));
    good.extend([yaml(DATABASE), yaml(MIGRATION)]);
    let reference = std::fs::read_to_string(root.join("docs/reference.md")).unwrap();
    let examples = reference.split("```yaml\n").skip(1);
    good.extend(examples.map(|rest| yaml(rest.split("```").next().unwrap())));
    let in_files = good.len();
    for file in files(&root.join("deploy/examples")) {
        let documents = documents(&std::fs::read_to_string(&file).unwrap());
        good.extend(
            documents
                .into_iter()
                .filter(|one| dbop_api::manifest::kind_of(one).is_some()),
        );
    }
    assert!(good.len() > in_files, "there are examples");
    for mut object in good {
        object["metadata"]["namespace"] = json!("default");
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]);
        assert_eq!(parsed(&object), Ok(()), "{name}");
        assert_eq!(server.create(&object, true).await, Ok(()), "{name}");
    }
}

/// The YAML files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => files(&path),
            Some(ending) if ending == "yaml" => vec![path],
            _ => Vec::new(),
        })
        .collect()
}

#[tokio::test]
async fn changes_are_judged_too() {
    let server = Server::with_our_kinds().await;
    let namespace = server.namespace("changes").await;
    let mut faults = Vec::new();
    for case in cases(include_str!("changes.yaml")) {
        let [mut from, mut to] = ["from", "to"].map(|part| changed(MIGRATION, &case[part]));
        for object in [&mut from, &mut to] {
            object["metadata"]["namespace"] = json!(namespace);
        }
        let created = server.create(&from, false).await;
        match created {
            Ok(()) => faults.extend(fault(&case, &server.replace(&to).await)),
            Err(text) => faults.push(format!("{case}: {text}")),
        }
        server.delete(&from).await;
    }
    server.delete_namespace(&namespace).await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
