//! An object against the schema of its kind: what an API server would refuse, and what it would
//! silently drop, is refused here with the field's path. The schema and the table of rules are the
//! ones of the CRD.
//!
//! It knows the part of OpenAPI that our schemas use; what the values mean is for `convert`.

use std::collections::BTreeSet;

use regex_lite::Regex;
use serde_json::{Map, Value};

use crate::refusal::{Refusal, Subject};
use crate::rules::Holds;
use crate::shape::{Limits, Shape};
use crate::{pattern, rules, shape};

/// How many faults of one object are named: past so many, they have one cause.
const FAULTS_MAX: usize = 20;
/// How many edits make a field name a misspelling of another, and not another word.
const TYPO_EDITS_MAX: usize = 2;
/// How much of a text is shown in a refusal.
const SHOWN_CHARS_MAX: usize = 60;
/// Where users write what is theirs alone.
const CONTAINER: &str = "spec.container.";

/// Everything that is wrong with an object of a kind of ours, in the order of the fields. Fields
/// without a value (`tls:`) have been taken out before, as an API server does.
pub(crate) fn object(kind: &str, object: &Value) -> Vec<Refusal> {
    let mut faults = Faults { found: Vec::new() };
    if let (Some(shape), Some(map)) = (shape::of(kind), object.as_object()) {
        let known = ["apiVersion", "kind", "metadata", "spec", "status"];
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            faults.unknown_field(key, key, known.iter().copied());
        }
        metadata(map.get("metadata"), &mut faults);
        match map.get("spec") {
            None => faults.push(
                "spec",
                "is missing",
                "see the examples in the documentation",
            ),
            Some(spec) => value(shape, spec, "spec", &mut faults),
        }
        // Rules are about values of the right shape; the fault in the shape is the one to mend
        // first.
        if faults.found.is_empty() {
            for rule in rules::of(kind) {
                if let Holds::Value(holds) = rule.holds {
                    at_path(object, rule.at, "", &mut |value, path| {
                        if !holds(value) {
                            faults.push(&join(path, rule.field), rule.problem, rule.way_out);
                        }
                    });
                }
            }
        }
    }
    let subject = subject(kind, object);
    let refusal = |fault: Fault| Refusal {
        object: subject.clone(),
        field: fault.field,
        problem: fault.problem,
        way_out: fault.way_out,
    };
    faults.found.into_iter().map(refusal).collect()
}

/// What an object calls itself.
pub(crate) fn subject(kind: &str, object: &Value) -> Subject {
    let field = |field: &str| {
        object["metadata"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let namespace = Some(field("namespace")).filter(|namespace| !namespace.is_empty());
    Subject {
        kind: kind.to_owned(),
        namespace: namespace.unwrap_or_else(|| crate::manifest::DEFAULT_NAMESPACE.to_owned()),
        name: field("name"),
    }
}

struct Fault {
    field: String,
    problem: String,
    way_out: String,
}

struct Faults {
    found: Vec<Fault>,
}

impl Faults {
    fn push(&mut self, field: &str, problem: impl Into<String>, way_out: impl Into<String>) {
        if self.found.len() < FAULTS_MAX {
            self.found.push(Fault {
                field: field.to_owned(),
                problem: problem.into(),
                way_out: way_out.into(),
            });
        }
    }

    fn unknown_field<'a>(&mut self, path: &str, key: &str, known: impl Iterator<Item = &'a str>) {
        let known: Vec<&str> = known.collect();
        let way_out = match closest(key, &known) {
            Some(meant) => format!("did you mean {meant}?"),
            None if known.is_empty() => "drop it".to_owned(),
            None => format!("the fields here are {}", known.join(", ")),
        };
        self.push(path, "is no field of this kind", way_out);
    }
}

fn metadata(metadata: Option<&Value>, faults: &mut Faults) {
    let Some(metadata) = metadata.filter(|metadata| metadata.is_object()) else {
        return faults.push(
            "metadata",
            "is missing",
            "give the object a name: metadata: {name: ...}",
        );
    };
    if let Some(shape) = shape::of_metadata() {
        value(shape, metadata, "metadata", faults);
    }
    let name = metadata.get("name").and_then(Value::as_str);
    if name.is_none_or(str::is_empty) {
        faults.push("metadata.name", "is missing", "give the object a name");
    } else if let Some(Value::String(name)) = metadata.get("name") {
        text_pattern(pattern::SUBDOMAIN, name, "metadata.name", faults);
    }
    if let Some(Value::String(namespace)) = metadata.get("namespace") {
        text_pattern(pattern::SUBDOMAIN, namespace, "metadata.namespace", faults);
    }
}

fn value(shape: &Shape<'_>, value: &Value, path: &str, faults: &mut Faults) {
    if shape.limits.as_ref().is_some_and(|l| l.int_or_string) {
        if !value.is_string() && !value.is_number() {
            let problem = format!("must be a number or a text, is {}", sort(value, path));
            faults.push(path, problem, "");
        }
        return;
    }
    match (&*shape.sort, value) {
        ("object", Value::Object(map)) => object_value(shape, map, path, faults),
        ("array", Value::Array(items)) => array_value(shape, items, path, faults),
        ("string", Value::String(text)) => text_value(shape, text, path, faults),
        ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => {
            number_value(shape, number.as_f64().unwrap_or(f64::MAX), path, faults);
        }
        ("number", Value::Number(number)) => {
            number_value(shape, number.as_f64().unwrap_or(f64::MAX), path, faults);
        }
        ("boolean", Value::Bool(_)) | ("", _) => {}
        (wanted, _) => wrong_type(wanted, value, path, faults),
    }
}

fn wrong_type(wanted: &str, value: &Value, path: &str, faults: &mut Faults) {
    let (wanted, way_out) = match (wanted, value) {
        ("string", Value::Number(_) | Value::Bool(_)) => ("a text", "put it in quotes".to_owned()),
        ("string", _) => ("a text", String::new()),
        ("integer", _) => ("a whole number", String::new()),
        ("boolean", _) => ("true or false", String::new()),
        ("array", _) => (
            "a list",
            "write it as [...], or as lines that begin with '- '".to_owned(),
        ),
        ("object", _) => ("a set of fields", String::new()),
        (other, _) => (other, String::new()),
    };
    faults.push(
        path,
        format!("must be {wanted}, is {}", sort(value, path)),
        way_out,
    );
}

fn object_value(shape: &Shape<'_>, map: &Map<String, Value>, path: &str, faults: &mut Faults) {
    for required in &shape.required {
        if !map.contains_key(&**required) {
            let way_out = shape
                .field(required)
                .map(|field| first_sentence(&field.meaning));
            faults.push(
                &join(path, required),
                "is missing",
                way_out.unwrap_or_default(),
            );
        }
    }
    let max = shape.limits.as_deref().and_then(|limits| limits.max);
    if let Some(max) = max.filter(|max| map.len() as f64 > *max) {
        let problem = format!("has {} entries, {max} are allowed", map.len());
        return faults.push(path, problem, "");
    }
    for (key, child) in map {
        let path = join(path, key);
        match shape.field(key).or(shape.each.as_deref()) {
            Some(shape) => value(shape, child, &path, faults),
            // An object of which nothing more is said holds what it likes.
            None if shape.fields.is_empty() => {}
            None => {
                let known = shape.fields.iter().map(|(name, _)| &**name);
                faults.unknown_field(&path, key, known);
            }
        }
    }
}

fn array_value(shape: &Shape<'_>, items: &[Value], path: &str, faults: &mut Faults) {
    let none = Limits::default();
    let limits = shape.limits.as_deref().unwrap_or(&none);
    let len = items.len();
    if let Some(max) = limits.max.filter(|max| len as f64 > *max) {
        return faults.push(path, format!("has {len} entries, {max} are allowed"), "");
    }
    if limits.min.is_some_and(|min| (len as f64) < min) {
        faults.push(path, "is empty", "leave it out, or name at least one");
    }
    let mut seen = BTreeSet::new();
    for (nth, item) in items.iter().enumerate() {
        let path = format!("{path}[{nth}]");
        if let Some(shape) = &shape.each {
            value(shape, item, &path, faults);
        }
        let identity: String = match limits.keys.as_slice() {
            [] => item.to_string(),
            keys => keys.iter().map(|key| item[&**key].to_string()).collect(),
        };
        if (limits.set || !limits.keys.is_empty()) && !seen.insert(identity) {
            faults.push(&path, "stands in the list twice", "drop one of the two");
        }
    }
}

fn text_value(shape: &Shape<'_>, text: &str, path: &str, faults: &mut Faults) {
    let Some(limits) = &shape.limits else { return };
    let allowed: Vec<&str> = limits.one_of.iter().map(|text| &**text).collect();
    if !allowed.is_empty() {
        if !allowed.contains(&text) {
            let way_out = match closest(text, &allowed) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("write one of {}", allowed.join(", ")),
            };
            faults.push(path, format!("cannot be '{}'", shown(text)), way_out);
        }
        return;
    }
    let chars = text.chars().count();
    if text.is_empty() && limits.min.is_some_and(|min| min > 0.0) {
        return faults.push(path, "is empty", "leave it out, or give it a value");
    }
    if let Some(max) = limits.max.filter(|max| chars as f64 > *max) {
        return faults.push(
            path,
            format!("is {chars} characters long, {max} are allowed"),
            "",
        );
    }
    if let Some(pattern) = &limits.pattern {
        text_pattern(pattern, text, path, faults);
    }
}

fn text_pattern(pattern: &str, text: &str, path: &str, faults: &mut Faults) {
    // A pattern that does not compile is our mistake, not the user's; a test compiles each.
    if Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text)) {
        let shown = shown(text);
        match pattern::words(pattern) {
            Some(words) => {
                faults.push(path, format!("'{shown}' {}", words.problem), words.way_out);
            }
            None => faults.push(path, format!("'{shown}' does not match {pattern}"), ""),
        }
    }
}

fn number_value(shape: &Shape<'_>, number: f64, path: &str, faults: &mut Faults) {
    let Some(limits) = &shape.limits else { return };
    if let Some(min) = limits.min.filter(|min| number < *min) {
        faults.push(path, format!("is {number}, less than {min}"), "");
    }
    if let Some(max) = limits.max.filter(|max| number > *max) {
        faults.push(path, format!("is {number}, more than {max}"), "");
    }
}

/// Calls `visit` with each value at a path such as `spec.schemaHints[].columns[]`, and its own
/// path.
fn at_path(value: &Value, at: &str, path: &str, visit: &mut dyn FnMut(&Value, &str)) {
    let (step, rest) = at.split_once('.').unwrap_or((at, ""));
    if step.is_empty() {
        return visit(value, path);
    }
    let name = step.trim_end_matches("[]");
    let Some(child) = value.get(name) else { return };
    let path = join(path, name);
    match child.as_array().filter(|_| step.ends_with("[]")) {
        Some(items) => {
            for (nth, item) in items.iter().enumerate() {
                at_path(item, rest, &format!("{path}[{nth}]"), visit);
            }
        }
        None => at_path(child, rest, &path, visit),
    }
}

fn join(path: &str, field: &str) -> String {
    match (path, field) {
        ("", field) => field.to_owned(),
        (path, "") => path.to_owned(),
        (path, field) => format!("{path}.{field}"),
    }
}

/// What a value is, for people. What stands in a container's fields may be secret, and is not
/// shown.
fn sort(value: &Value, path: &str) -> String {
    let secret = path.starts_with(CONTAINER);
    match value {
        Value::Bool(_) if secret => "a boolean".to_owned(),
        Value::Number(_) if secret => "a number".to_owned(),
        Value::String(_) if secret => "a text".to_owned(),
        Value::Null => "empty".to_owned(),
        Value::Bool(_) => format!("the boolean {value}"),
        Value::Number(_) => format!("the number {value}"),
        Value::String(text) => format!("the text '{}'", shown(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a set of fields".to_owned(),
    }
}

/// A text as it is shown to people: short, and of a connection string nothing but its kind.
fn shown(text: &str) -> String {
    if let Some((scheme, _)) = text.split_once("://") {
        let scheme: String = scheme.chars().take(SHOWN_CHARS_MAX).collect();
        return format!("{}://...", scheme.escape_debug());
    }
    let mut shown: String = text
        .chars()
        .take(SHOWN_CHARS_MAX)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().count() > SHOWN_CHARS_MAX {
        shown.push_str("...");
    }
    shown
}

fn first_sentence(text: &str) -> String {
    text.split_inclusive(['.', ';', ':'])
        .next()
        .unwrap_or(text)
        .trim_end_matches(['.', ';', ':'])
        .to_owned()
}

/// The one that somebody may have meant: equal but for case, or a few edits away.
fn closest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = |known: &&str| {
        let (a, b) = (written.to_lowercase(), known.to_lowercase());
        // A short word is a few edits from any other.
        let edits_max = TYPO_EDITS_MAX.min(b.chars().count() / 2);
        edits(&a, &b) <= edits_max
    };
    known.iter().copied().find(|known| near(known))
}

/// Levenshtein's distance, of words as long as field names are.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(SHOWN_CHARS_MAX).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(SHOWN_CHARS_MAX).enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let above = row[j + 1];
            let change = diagonal + usize::from(from != *to);
            row[j + 1] = change.min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}
