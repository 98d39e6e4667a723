//! A change log in YAML or JSON, which hold the same.

use serde_json::Value;

use super::{ChangeSet, Entry, Log, is_true};
use crate::error::GenerateError;

/// What aliases (`*name`) may repeat in a file: some lines may make a thousand million values of one.
const REPEATED_MAX: usize = 20_000;

pub(super) fn yaml(text: &str, path: &str) -> Result<Log, GenerateError> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPEATED_MAX },
    };
    let value: Value = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = match error.location() {
            Some(location) => format!("{path}:{}", location.line()),
            None => path.to_owned(),
        };
        GenerateError::file(place, format!("it is no YAML: {error}"), "mend it")
    })?;
    read(&value, path)
}

pub(super) fn json(text: &str, path: &str) -> Result<Log, GenerateError> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let place = format!("{path}:{}", error.line());
        GenerateError::file(place, format!("it is no JSON: {error}"), "mend it")
    })?;
    read(&value, path)
}

fn read(value: &Value, path: &str) -> Result<Log, GenerateError> {
    let Some(items) = value.get("databaseChangeLog").and_then(Value::as_array) else {
        return Err(GenerateError::file(
            path,
            "it is no change log: it has no list databaseChangeLog",
            "",
        ));
    };
    let mut log = Log::default();
    for (nth, item) in items.iter().enumerate() {
        let place = format!("{path}, databaseChangeLog[{nth}]");
        let Some(fields) = item.as_object() else {
            return Err(GenerateError::file(place, "it holds no fields", "mend it"));
        };
        for (name, value) in fields {
            match name.as_str() {
                "logicalFilePath" => log.logical_path = value.as_str().map(str::to_owned),
                "changeSet" => log
                    .entries
                    .push(Entry::ChangeSet(change_set(value, &place))),
                "include" => log.entries.push(Entry::Include {
                    file: text(value, "file"),
                    is_relative: flag(value, "relativeToChangelogFile"),
                    place: place.clone(),
                }),
                "includeAll" => {
                    if value.get("filter").is_some() || value.get("resourceFilter").is_some() {
                        return Err(GenerateError::file(
                            place,
                            "includeAll has a filter, which is a Java class",
                            "name the files, or use endsWithFilter",
                        ));
                    }
                    log.entries.push(Entry::IncludeAll {
                        path: text(value, "path"),
                        is_relative: flag(value, "relativeToChangelogFile"),
                        ends_with: Some(text(value, "endsWithFilter"))
                            .filter(|end| !end.is_empty()),
                        place: place.clone(),
                    });
                }
                // Properties, preconditions and the like bring no change set.
                _ => {}
            }
        }
    }
    Ok(log)
}

fn change_set(value: &Value, place: &str) -> ChangeSet {
    let changes = value.get("changes").and_then(Value::as_array);
    let is_tag_alone = changes.is_some_and(|changes| {
        changes
            .iter()
            .all(|change| change.get("tagDatabase").is_some())
    });
    let tag = changes.into_iter().flatten().find_map(|change| {
        let tag = change.get("tagDatabase")?;
        Some(text(tag, "tag")).filter(|tag| !tag.is_empty())
    });
    ChangeSet {
        id: text(value, "id"),
        author: text(value, "author"),
        logical_path: Some(text(value, "logicalFilePath")).filter(|path| !path.is_empty()),
        repeats: flag(value, "runAlways") || flag(value, "runOnChange"),
        is_ignored: flag(value, "ignore"),
        is_limited: ["dbms", "context", "contextFilter", "labels"]
            .iter()
            .any(|name| value.get(name).is_some()),
        tag,
        is_tag_alone,
        sql: None,
        place: place.to_owned(),
    }
}

/// A field's text: an id or a tag may be written as a number.
fn text(value: &Value, field: &str) -> String {
    match value.get(field) {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(word)) => word.to_string(),
        _ => String::new(),
    }
}

fn flag(value: &Value, field: &str) -> bool {
    is_true(&text(value, field))
}
