//! A document read as the object that it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use dbop_api::{DATABASE_MIGRATION, MANAGED_DATABASE, Refusals, Subject};
use dbop_engine::{ConfigMapLacks, PlatformError};
use dbop_model::{ConfigMapKey, DatabaseSpec, Migration, ObjectRef};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use super::document::Document;
use super::{DatabaseObject, MigrationObject, Problem, Skipped};
use crate::container;
use crate::runtime::Runtime;

/// What a document is.
#[derive(PartialEq)]
pub(super) enum Read {
    /// One of ours, whole; beside it what this platform cannot do of what it asks.
    Object {
        id: ObjectRef,
        line: u64,
        object: Object,
        problems: Vec<Problem>,
    },
    /// One of ours that is refused.
    Wrong(Vec<Problem>),
    /// None of ours.
    Skipped(Skipped),
}

/// An object of a kind that is read.
#[derive(Clone, PartialEq)]
pub(super) enum Object {
    Database(Box<DatabaseObject>),
    Migration(Box<MigrationObject>),
    Secret(SecretObject),
    ConfigMap(ConfigMapObject),
}

const SECRET: &str = "Secret";
const CONFIG_MAP: &str = "ConfigMap";

impl Object {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Object::Database(_) => MANAGED_DATABASE,
            Object::Migration(_) => DATABASE_MIGRATION,
            Object::Secret(_) => SECRET,
            Object::ConfigMap(_) => CONFIG_MAP,
        }
    }
}

/// A Secret that stands in the manifests.
#[derive(Clone)]
pub struct SecretObject {
    data: BTreeMap<String, SecretString>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
}

impl SecretObject {
    /// The value of a key; what is not UTF-8 text cannot be used here, and is not there.
    pub fn get(&self, key: &str) -> Option<&SecretString> {
        self.data.get(key)
    }

    /// Its content: what is UTF-8 text of it.
    pub fn data(&self) -> &BTreeMap<String, SecretString> {
        &self.data
    }

    /// Its keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &SecretString)> {
        self.data.iter()
    }
}

impl PartialEq for SecretObject {
    fn eq(&self, other: &Self) -> bool {
        let pairs = |of: &Self| -> Vec<(String, String)> {
            of.iter()
                .map(|(k, v)| (k.clone(), v.expose_secret().to_owned()))
                .collect()
        };
        pairs(self) == pairs(other) && self.annotations == other.annotations
    }
}

impl fmt::Debug for SecretObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.data.keys()).finish()
    }
}

/// A ConfigMap that stands in the manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMapObject {
    /// Its keys and values.
    pub data: BTreeMap<String, String>,
    /// The keys whose values are bytes.
    pub binary: BTreeSet<String>,
}

impl ConfigMapObject {
    /// The value of a key. `namespace` and `at` say where it was looked for.
    ///
    /// # Errors
    /// A key that it has not, or not as text.
    pub fn value(&self, namespace: &str, at: &ConfigMapKey) -> Result<String, PlatformError> {
        if let Some(value) = self.data.get(&at.key) {
            return Ok(value.clone());
        }
        let keys: Vec<&str> = self.data.keys().map(String::as_str).collect();
        let lacks = if self.binary.contains(&at.key) {
            ConfigMapLacks::Text
        } else {
            ConfigMapLacks::Key { keys: &keys }
        };
        Err(PlatformError::no_config_map_value(namespace, at, lacks))
    }
}

/// Reads a document.
pub(super) fn read(file: &Path, document: Document, runtime: Runtime) -> Read {
    let Document { line, value } = document;
    let at = At { file, line };
    let kind = value["kind"].as_str();
    match (
        dbop_api::kind_of(&value),
        value["apiVersion"].as_str(),
        kind,
    ) {
        (Some(MANAGED_DATABASE), _, _) => at.database(value),
        (Some(_), _, _) => at.migration(value, runtime),
        (None, Some("v1"), Some(SECRET)) => at.plain(&value, SECRET),
        (None, Some("v1"), Some(CONFIG_MAP)) => at.plain(&value, CONFIG_MAP),
        _ => Read::Skipped(Skipped {
            file: file.to_owned(),
            line,
            what: what(&value),
        }),
    }
}

/// A document that is none of ours, for people.
fn what(value: &Value) -> String {
    let name = value["metadata"]["name"].as_str();
    match (value["kind"].as_str(), name) {
        (Some(kind), Some(name)) => format!("{kind} {name}"),
        (Some(kind), None) => kind.to_owned(),
        (None, _) => "a document without a kind".to_owned(),
    }
}

struct At<'a> {
    file: &'a Path,
    line: u64,
}

impl At<'_> {
    fn database(&self, value: Value) -> Read {
        let read = dbop_api::parse_managed_database(value).and_then(|object| {
            let spec = DatabaseSpec::try_from(&object)?;
            Ok(DatabaseObject { object, spec })
        });
        match read {
            Ok(one) => {
                let id = one.spec.id.clone();
                let subject = subject(MANAGED_DATABASE, &id);
                let faults = container::check_database(&subject, &one.object.spec);
                let problems = self.problems(faults);
                let object = Object::Database(Box::new(one));
                Read::Object {
                    id,
                    line: self.line,
                    object,
                    problems,
                }
            }
            Err(refusals) => self.wrong(refusals),
        }
    }

    fn migration(&self, value: Value, runtime: Runtime) -> Read {
        let read = dbop_api::parse_database_migration(value).and_then(|object| {
            let migration = Migration::try_from(&object)?;
            Ok(MigrationObject { object, migration })
        });
        let one = match read {
            Ok(one) => one,
            Err(refusals) => return self.wrong(refusals),
        };
        let namespace = one.object.metadata.namespace.clone().unwrap_or_default();
        match ObjectRef::new(namespace, one.migration.name.as_str()) {
            Ok(id) => {
                let subject = subject(DATABASE_MIGRATION, &id);
                let faults = container::check_migration(&subject, &one.object.spec, runtime);
                let problems = self.problems(faults);
                let object = Object::Migration(Box::new(one));
                Read::Object {
                    id,
                    line: self.line,
                    object,
                    problems,
                }
            }
            Err(error) => {
                let of = Subject {
                    kind: DATABASE_MIGRATION.to_owned(),
                    namespace: one.object.metadata.namespace.unwrap_or_default(),
                    name: one.migration.name.to_string(),
                };
                Read::Wrong(vec![self.problem(
                    of,
                    "metadata.namespace",
                    &error.to_string(),
                    "",
                )])
            }
        }
    }

    /// A Secret or a ConfigMap.
    fn plain(&self, value: &Value, kind: &'static str) -> Read {
        let text = |field: &str| {
            value["metadata"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let mut of = Subject {
            kind: kind.to_owned(),
            namespace: text("namespace"),
            name: text("name"),
        };
        if of.namespace.is_empty() {
            of.namespace = dbop_api::manifest::DEFAULT_NAMESPACE.to_owned();
        }
        let id = match ObjectRef::new(of.namespace.clone(), of.name.clone()) {
            Ok(id) => id,
            Err(error) => {
                let problem =
                    self.problem(of, "metadata", &format!("name or namespace {error}"), "");
                return Read::Wrong(vec![problem]);
            }
        };
        let mut problems = Vec::new();
        let entries = |field: &str, problems: &mut Vec<Problem>| -> BTreeMap<String, String> {
            let empty = Map::new();
            let map = match &value[field] {
                Value::Null => &empty,
                Value::Object(map) => map,
                _ => {
                    problems.push(self.problem(of.clone(), field, "is no map", ""));
                    &empty
                }
            };
            let mut found = BTreeMap::new();
            for (key, value) in map {
                match value.as_str() {
                    Some(text) => {
                        found.insert(key.clone(), text.to_owned());
                    }
                    None => problems.push(self.problem(
                        of.clone(),
                        &format!("{field}.{key}"),
                        "is no text",
                        "put the value in quotes",
                    )),
                }
            }
            found
        };
        let object = if kind == CONFIG_MAP {
            Object::ConfigMap(ConfigMapObject {
                data: entries("data", &mut problems),
                binary: entries("binaryData", &mut problems).into_keys().collect(),
            })
        } else {
            let encoded = entries("data", &mut problems);
            let plain = entries("stringData", &mut problems);
            let mut data = BTreeMap::new();
            for (key, value) in encoded {
                match decoded(&value) {
                    Decoded::Text(text) => {
                        data.insert(key, text);
                    }
                    // A keystore beside a password is no fault, until somebody asks for it.
                    Decoded::Bytes => {}
                    Decoded::No => problems.push(self.problem(
                        of.clone(),
                        &format!("data.{key}"),
                        "is not base64",
                        "encode it, or write it as it is under stringData",
                    )),
                }
            }
            // As an API server has it, stringData wins.
            data.extend(plain.into_iter().map(|(key, value)| (key, value.into())));
            let annotations = value["metadata"]["annotations"].as_object();
            let annotations = annotations.into_iter().flatten();
            Object::Secret(SecretObject {
                data,
                annotations: annotations
                    .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                    .collect(),
            })
        };
        if problems.is_empty() {
            Read::Object {
                id,
                line: self.line,
                object,
                problems,
            }
        } else {
            Read::Wrong(problems)
        }
    }

    fn wrong(&self, refusals: Refusals) -> Read {
        Read::Wrong(self.problems(refusals))
    }

    fn problems(&self, refusals: impl IntoIterator<Item = dbop_api::Refusal>) -> Vec<Problem> {
        let problem = |refusal: dbop_api::Refusal| Problem {
            file: self.file.to_owned(),
            line: Some(self.line),
            text: refusal.headline(),
            object: Some(refusal.object),
            way_out: refusal.way_out,
        };
        refusals.into_iter().map(problem).collect()
    }

    fn problem(&self, of: Subject, field: &str, text: &str, way_out: &str) -> Problem {
        Problem {
            file: self.file.to_owned(),
            line: Some(self.line),
            text: format!("{of}: {field}: {text}"),
            object: Some(of),
            way_out: way_out.to_owned(),
        }
    }
}

/// The subject of a refusal.
fn subject(kind: &str, id: &ObjectRef) -> Subject {
    Subject {
        kind: kind.to_owned(),
        namespace: id.namespace().to_owned(),
        name: id.name().to_owned(),
    }
}

enum Decoded {
    Text(SecretString),
    Bytes,
    No,
}

fn decoded(value: &str) -> Decoded {
    // Base64 of many lines is written with line ends in it.
    let packed: String = value.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    match base64::engine::general_purpose::STANDARD.decode(packed) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Decoded::Text(text.into()),
            Err(_) => Decoded::Bytes,
        },
        Err(_) => Decoded::No,
    }
}
