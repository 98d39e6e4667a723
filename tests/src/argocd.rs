//! Argo CD's view of an object: the checks in `deploy/argocd`, run as Argo CD runs them, by Lua 5.1 with the
//! base and table functions alone.
//!
//! It has no opinion of its own: objects come from a test, or were recorded from a cluster.

use mlua::{Lua, LuaOptions, StdLib, Table, Value};

/// What Argo CD shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `Healthy`, `Progressing`, `Degraded` or `Suspended`.
    pub status: String,
    /// The text beside it.
    pub message: String,
}

/// The check of this kind, as its file in `deploy/argocd` has it.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn check_of(kind: &str) -> &'static str {
    match kind {
        "ManagedDatabase" => include_str!("../../deploy/argocd/managed-database.lua"),
        "DatabaseMigration" => include_str!("../../deploy/argocd/database-migration.lua"),
        other => panic!("deploy/argocd has no check of the kind {other}"),
    }
}

/// The health of an object, by the check of its kind.
///
/// # Panics
/// When the object has no kind that is checked, or the check fails.
#[must_use]
#[track_caller]
pub fn health(object: &serde_json::Value) -> Health {
    let kind = object["kind"].as_str().expect("an object has a kind");
    let libraries = StdLib::TABLE;
    let lua = Lua::new_with(libraries, LuaOptions::default()).expect("Lua starts");
    // Argo CD opens no more than these; that the others are not there keeps the checks from using them.
    for name in ["dofile", "loadfile", "io", "os", "string", "math"] {
        lua.globals()
            .set(name, Value::Nil)
            .expect("a name can be removed");
    }
    let object = convert(&lua, object);
    lua.globals()
        .set("obj", object)
        .expect("it takes an object");
    let answer: Table = lua
        .load(check_of(kind))
        .eval()
        .unwrap_or_else(|error| panic!("the check of {kind} fails: {error}"));
    let text = |name: &str| -> String {
        answer
            .get(name)
            .unwrap_or_else(|error| panic!("the check of {kind} gives no {name}: {error}"))
    };
    Health {
        status: text("status"),
        message: text("message"),
    }
}

/// A value as Argo CD hands it over: numbers are floating, null is nil, lists begin at one.
fn convert(lua: &Lua, value: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let table = |entries: Vec<(Value, &Json)>| {
        let table = lua.create_table().expect("Lua has memory");
        for (key, value) in entries {
            table.set(key, convert(lua, value)).expect("a key is a key");
        }
        Value::Table(table)
    };
    match value {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(number) => Value::Number(number.as_f64().expect("a number of JSON is one")),
        Json::String(text) => string(lua, text),
        Json::Array(items) => {
            let items = items.iter().enumerate();
            table(
                items
                    .map(|(index, item)| (Value::Number(index as f64 + 1.0), item))
                    .collect(),
            )
        }
        Json::Object(fields) => table(
            fields
                .iter()
                .map(|(name, value)| (string(lua, name), value))
                .collect(),
        ),
    }
}

fn string(lua: &Lua, text: &str) -> Value {
    Value::String(lua.create_string(text).expect("Lua has memory"))
}
