//! Manifests as users write them, with the few fields that nearly every test has.
//!
//! What else a test needs it sets by a path, so that no field of the two kinds is known here.

use serde_json::{Value, json};

/// One Kubernetes object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object(Value);

/// A ManagedDatabase whose version sqlx writes, with the admin's DSN in the Secret `<name>-admin`, and a
/// quiet window of a second.
#[must_use]
pub fn managed_database(name: &str, desired: &str) -> Object {
    Object(json!({
        "apiVersion": "database-operator.dev/v1alpha1",
        "kind": "ManagedDatabase",
        "metadata": { "name": name },
        "spec": {
            "connection": { "dsnSecret": { "name": format!("{name}-admin") } },
            "desiredSchemaVersion": desired,
            "schemaVersion": { "engine": "Sqlx" },
            "credentials": { "quietWindow": "1s" },
        },
    }))
}

/// A DatabaseMigration that runs this command; its version is its name.
#[must_use]
pub fn migration(name: &str, previous: Option<&str>, command: &[&str]) -> Object {
    let object = Object(json!({
        "apiVersion": "database-operator.dev/v1alpha1",
        "kind": "DatabaseMigration",
        "metadata": { "name": name },
        "spec": { "container": { "name": "migrate", "command": command } },
    }));
    match previous {
        Some(previous) => object.set("/spec/previous", previous),
        None => object,
    }
}

/// A Secret.
#[must_use]
pub fn secret(name: &str, data: &[(&str, &str)]) -> Object {
    let object = Object(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name },
        "stringData": {},
    }));
    data.iter().fold(object, |object, (key, value)| {
        object.set(&format!("/stringData/{key}"), *value)
    })
}

impl Object {
    /// An object as it stands.
    #[must_use]
    pub fn new(value: Value) -> Object {
        Object(value)
    }

    /// The same with the field at `path` (`/spec/credentials/quietWindow`) set, and the maps above it made
    /// where they are missing. A null takes the field out.
    ///
    /// # Panics
    /// When something on the way is no map.
    #[must_use]
    #[track_caller]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Object {
        let (parents, field) = path.rsplit_once('/').expect("a path begins with a slash");
        let mut at = &mut self.0;
        for parent in parents.split('/').skip(1) {
            let map = at.as_object_mut().expect("a path leads through maps");
            at = map.entry(parent).or_insert_with(|| json!({}));
        }
        let map = at.as_object_mut().expect("a path leads through maps");
        match value.into() {
            Value::Null => drop(map.remove(field)),
            value => drop(map.insert(field.to_owned(), value)),
        }
        self
    }

    /// What stands at `path`; null where nothing does.
    #[must_use]
    pub fn get(&self, path: &str) -> &Value {
        self.0.pointer(path).unwrap_or(&Value::Null)
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.get("/kind").as_str().unwrap_or_default()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.get("/metadata/name").as_str().unwrap_or_default()
    }

    /// As a user would write it.
    ///
    /// # Panics
    /// Never: every JSON value can be written as YAML.
    #[must_use]
    pub fn yaml(&self) -> String {
        serde_saphyr::to_string(&self.0).expect("a JSON value can be written as YAML")
    }
}
