//! The CRDs: the types' own schemas, made fit for an API server, with the rules of `rules` put in.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use kube_core::CustomResourceExt as _;
use serde_json::{Value, json};

use crate::bounds::{self, Bound};
use crate::rules::{self, Rule};
use crate::{DatabaseMigration, ManagedDatabase};

/// Fields whose own fields are Kubernetes' types, several hundred of them: these say what they are in
/// Kubernetes' documentation, and `kubectl apply` has room for 256 KiB.
const KUBERNETES_OWN: [&str; 2] = [
    "spec.migrations.podTemplate.spec",
    "spec.migrations.podTemplate.container",
];

/// Both CRDs, always in the same order.
///
/// They differ from what `kube`'s derive gives in this: they hold the rules about unions and changes
/// and the bounds of Kubernetes' own types, without the descriptions of most of those; and no field
/// is `nullable`, so that an explicit null is the same as leaving the field out.
pub fn crds() -> [CustomResourceDefinition; 2] {
    [ManagedDatabase::crd(), DatabaseMigration::crd()].map(|mut crd| {
        let kind = crd.spec.names.kind.clone();
        for version in &mut crd.spec.versions {
            let props = version
                .schema
                .as_mut()
                .and_then(|schema| schema.open_api_v3_schema.as_mut());
            if let Some(root) = props {
                *root = finished(root, bounds::of(&kind), rules::of(&kind));
            }
        }
        crd
    })
}

/// Both CRDs as one YAML stream, each document with its `---`; always the same bytes.
///
/// ```
/// let yaml = dbop_api::crds_yaml();
/// assert_eq!(yaml.matches("kind: CustomResourceDefinition").count(), 2);
/// ```
pub fn crds_yaml() -> String {
    let document = |crd| match serde_saphyr::to_string(crd) {
        Ok(yaml) => format!("---\n{yaml}"),
        Err(error) => unreachable!("a CRD is a plain value: {error}"),
    };
    crds().iter().map(document).collect()
}

/// The schema of a kind's whole object as JSON, with the rules; `metadata` is not in it.
pub(crate) fn of(kind: &str) -> Option<&'static Value> {
    static SCHEMAS: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
        crds()
            .iter()
            .flat_map(|crd| {
                let kind = &crd.spec.names.kind;
                crd.spec.versions.iter().filter_map(move |version| {
                    let props = version.schema.as_ref()?.open_api_v3_schema.as_ref()?;
                    Some((kind.clone(), serde_json::to_value(props).ok()?))
                })
            })
            .collect()
    });
    SCHEMAS
        .iter()
        .find(|(of, _)| of == kind)
        .map(|(_, schema)| schema)
}

fn finished(root: &JSONSchemaProps, bounds: &[Bound], rules: &[Rule]) -> JSONSchemaProps {
    let mut schema = serde_json::to_value(root).unwrap_or_else(|error| unreachable_json(&error));
    tidy(&mut schema);
    for path in KUBERNETES_OWN {
        let fields =
            node_mut(&mut schema, path).and_then(|node| node["properties"].as_object_mut());
        for field in fields.into_iter().flat_map(|fields| fields.values_mut()) {
            each_child(field, &mut without_description);
        }
    }
    for bound in bounds {
        // Like a rule's, its path is looked for by a test.
        if let Some(node) = node_mut(&mut schema, bound.at) {
            bound.put(node);
        }
    }
    for rule in rules {
        // A rule at a path that does not exist would be lost; a test looks for each.
        if let Some(node) = node_mut(&mut schema, rule.at) {
            put(node, rule);
        }
    }
    serde_json::from_value(schema).unwrap_or_else(|error| unreachable_json(&error))
}

/// Plain values to JSON and back: a failure would be a bug in the schema types, seen by every test.
fn unreachable_json(error: &serde_json::Error) -> ! {
    unreachable!("the schemas are plain JSON values: {error}")
}

fn put(node: &mut Value, rule: &Rule) {
    let mut entry = json!({ "rule": rule.cel, "message": rule.message() });
    // A field path must lead through the schema, and metadata is not in it.
    if !rule.field.is_empty() && !rule.is_of_metadata() {
        entry["fieldPath"] = format!(".{}", rule.field).into();
    }
    let rules = &mut node["x-kubernetes-validations"];
    match rules {
        Value::Array(rules) => rules.push(entry),
        _ => *rules = json!([entry]),
    }
}

/// The schema at a path such as `spec.schemaHints[].columns[]`.
pub(crate) fn node_mut<'a>(schema: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let mut node = schema;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        node = node
            .get_mut("properties")?
            .get_mut(step.trim_end_matches("[]"))?;
        if step.ends_with("[]") {
            node = node.get_mut("items")?;
        }
    }
    Some(node)
}

/// Takes out what an API server does not need: `nullable`, and the line breaks of how the source is
/// wrapped.
fn tidy(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    map.remove("nullable");
    if let Some(Value::Array(allowed)) = map.get_mut("enum") {
        allowed.retain(|value| !value.is_null());
    }
    if let Some(Value::String(text)) = map.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    each_child(schema, &mut tidy);
}

fn without_description(schema: &mut Value) {
    if let Value::Object(map) = schema {
        map.remove("description");
    }
    each_child(schema, &mut without_description);
}

/// Calls `change` with each schema right below one.
fn each_child(schema: &mut Value, change: &mut dyn FnMut(&mut Value)) {
    let Value::Object(map) = schema else { return };
    for below in ["items", "additionalProperties"] {
        if let Some(child) = map.get_mut(below) {
            change(child);
        }
    }
    // What stands here by name are fields, which may be called nullable or default themselves.
    if let Some(Value::Object(fields)) = map.get_mut("properties") {
        fields.values_mut().for_each(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DATABASE_MIGRATION, MANAGED_DATABASE, pattern};

    fn visit(node: &Value, path: &str, each: &mut dyn FnMut(&str, &Value)) {
        each(path, node);
        for (name, child) in node["properties"].as_object().into_iter().flatten() {
            visit(child, &format!("{path}.{name}"), each);
        }
        for list in ["items", "additionalProperties"] {
            if node[list].is_object() {
                visit(&node[list], &format!("{path}[]"), each);
            }
        }
    }

    fn each_node(each: &mut dyn FnMut(&str, &Value)) {
        for kind in [MANAGED_DATABASE, DATABASE_MIGRATION] {
            visit(of(kind).unwrap(), kind, each);
        }
    }

    /// Is a field inside of a type that is Kubernetes', and not ours?
    fn is_kubernetes_own(path: &str) -> bool {
        let inside = |own: &&str| {
            let below = path.strip_prefix(*own).and_then(|b| b.strip_prefix('.'));
            below.is_some_and(|below| below.contains(['.', '[']))
        };
        path.starts_with("spec.container.") || KUBERNETES_OWN.iter().any(inside)
    }

    #[test]
    fn the_files_in_deploy_are_in_step() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
        for crd in crds() {
            let plural = crd.spec.names.plural.clone();
            let file = std::fs::read_to_string(root.join(format!("{plural}.yaml"))).unwrap();
            let written: Value = serde_saphyr::from_str(&file).unwrap();
            let generated = serde_json::to_value(&crd).unwrap();
            assert!(
                written == generated,
                "deploy/crds/{plural}.yaml: run `cargo xtask codegen` and commit the result"
            );
        }
    }

    #[test]
    fn the_yaml_says_what_the_crds_say() {
        let yaml = crds_yaml();
        let documents: Vec<Value> = yaml
            .split("---\n")
            .skip(1)
            .map(|document| serde_saphyr::from_str(document).unwrap())
            .collect();
        let crds: Vec<Value> = crds()
            .iter()
            .map(|crd| serde_json::to_value(crd).unwrap())
            .collect();
        assert!(documents == crds, "the YAML reads back as something else");
        assert!(yaml == crds_yaml(), "the YAML differs from call to call");
    }

    /// Kubernetes documentation, "Specifying a structural schema".
    #[test]
    fn schemas_are_structural() {
        each_node(&mut |path, node| {
            let free = node["x-kubernetes-int-or-string"] == true;
            assert!(node["type"].is_string() || free, "{path} has no type");
            for refused in [
                "$ref",
                "anyOf",
                "oneOf",
                "allOf",
                "not",
                "nullable",
                "definitions",
                "uniqueItems",
            ] {
                assert!(
                    node.get(refused).is_none_or(Value::is_null),
                    "{path} has {refused}"
                );
            }
            let no_null = node["enum"]
                .as_array()
                .is_none_or(|e| e.iter().all(Value::is_string));
            assert!(no_null, "{path} allows null");
            let both = node["properties"].is_object() && node["additionalProperties"].is_object();
            assert!(!both, "{path} has properties and additionalProperties");
            assert_eq!(node["type"] == "array", node["items"].is_object(), "{path}");
            if let Some(keys) = node["x-kubernetes-list-map-keys"].as_array() {
                for key in keys {
                    let required = node["items"]["required"].as_array().unwrap();
                    assert!(
                        required.contains(key),
                        "{path} has the key {key}, which may be absent"
                    );
                }
            }
        });
    }

    /// The API server estimates what rules may cost from these bounds, and refuses a CRD without
    /// them.
    #[test]
    fn everything_that_people_write_is_bounded() {
        each_node(&mut |path, node| {
            // Of Kubernetes' own types, what rules read is bounded by `bounds`.
            let own = path
                .split_once('.')
                .is_some_and(|(_, path)| is_kubernetes_own(path));
            if !path.contains(".spec.") || own {
                return;
            }
            if node["type"] == "string" && node["enum"].is_null() {
                assert!(node["maxLength"].is_u64(), "{path} has no maxLength");
                assert!(node["minLength"].is_u64(), "{path} has no minLength");
            }
            if node["type"] == "array" {
                assert!(node["maxItems"].is_u64(), "{path} has no maxItems");
            }
            assert!(
                node["description"].is_string() || path.ends_with("[]"),
                "{path} has no description"
            );
        });
    }

    #[test]
    fn every_pattern_compiles_and_has_words() {
        each_node(&mut |path, node| {
            if let Some(pattern) = node["pattern"].as_str() {
                assert!(regex_lite::Regex::new(pattern).is_ok(), "{path}: {pattern}");
                assert!(
                    pattern::words(pattern).is_some(),
                    "{path}: no words for {pattern}"
                );
            }
        });
    }

    #[test]
    fn every_bound_stands_in_the_schema() {
        for kind in [MANAGED_DATABASE, DATABASE_MIGRATION] {
            let mut schema = of(kind).unwrap().clone();
            for bound in bounds::of(kind) {
                let node = node_mut(&mut schema, bound.at);
                let node = node.unwrap_or_else(|| panic!("{kind}: there is no {}", bound.at));
                let before = node.clone();
                bound.put(node);
                assert!(before == *node, "{kind}: {} is not bounded", bound.at);
            }
        }
    }

    #[test]
    fn every_rule_stands_in_the_schema_and_names_fields_that_exist() {
        let field = regex_lite::Regex::new(r"\b(self|oldSelf|c)\.([a-zA-Z.]+)").unwrap();
        for kind in [MANAGED_DATABASE, DATABASE_MIGRATION] {
            let mut schema = of(kind).unwrap().clone();
            for rule in rules::of(kind) {
                let node = node_mut(&mut schema, rule.at).unwrap().clone();
                let rules = node["x-kubernetes-validations"].as_array().unwrap();
                let found = rules
                    .iter()
                    .find(|found| found["rule"] == rule.cel)
                    .unwrap();
                assert_eq!(found["message"], rule.message(), "{}", rule.cel);
                // A transition rule is one that speaks of the object as it was.
                assert_eq!(
                    rule.cel.contains("oldSelf"),
                    matches!(rule.holds, rules::Holds::Change),
                    "{}",
                    rule.cel
                );
                let pairs = [('(', ')'), ('[', ']')];
                for (open, close) in pairs {
                    assert_eq!(
                        rule.cel.matches(open).count(),
                        rule.cel.matches(close).count()
                    );
                }
                assert_eq!(rule.cel.matches('\'').count() % 2, 0, "{}", rule.cel);
                for found in field.captures_iter(rule.cel) {
                    let column = &found[1] == "c";
                    let mut at = if column {
                        node["properties"]["columns"]["items"].clone()
                    } else {
                        node.clone()
                    };
                    for step in found[2].split('.') {
                        if [
                            "size",
                            "contains",
                            "all",
                            "name",
                            "metadata",
                            "startsWith",
                            "matches",
                            "exists",
                        ]
                        .contains(&step)
                        {
                            break;
                        }
                        at = at["properties"][step].clone();
                        assert!(
                            at.is_object(),
                            "{} names {step}, which does not exist",
                            rule.cel
                        );
                    }
                }
                if !rule.is_of_metadata() {
                    let mut at = &node;
                    for step in rule.field.split('.').filter(|step| !step.is_empty()) {
                        at = &at["properties"][step];
                    }
                    assert!(at.is_object(), "{} is about {}", rule.cel, rule.field);
                }
            }
        }
    }

    /// kubectl keeps what was applied in an annotation of at most 262,144 bytes.
    #[test]
    fn the_crds_can_be_applied() {
        for crd in crds() {
            let bytes = serde_json::to_string(&crd).unwrap().len();
            assert!(
                bytes < 200_000,
                "{} has {bytes} bytes",
                crd.spec.names.plural
            );
        }
    }

    /// One row of the reference for each field: path, kind, meaning.
    fn rows(kind: &str, part: &str) -> String {
        let schema = &of(kind).unwrap()["properties"][part];
        let mut required = std::collections::BTreeSet::new();
        visit(schema, part, &mut |path, node| {
            let names = node["required"].as_array().into_iter().flatten();
            required.extend(
                names
                    .filter_map(Value::as_str)
                    .map(|name| format!("{path}.{name}")),
            );
        });
        if part == "status" {
            required.clear();
        }
        let mut rows = String::new();
        let mut row = |path: &str, node: &Value| {
            let below = path
                .strip_prefix(part)
                .unwrap_or(path)
                .trim_start_matches('.');
            // Lists stand in one row with what they hold; what is below these is Kubernetes' own.
            let inside = path.contains(".conditions[]") || is_kubernetes_own(path);
            if below.is_empty() || path.ends_with("[]") || inside {
                return;
            }
            let kind = match (node["type"].as_str(), node["format"].as_str()) {
                (Some("string"), Some("date-time")) => "time",
                (Some("string"), _) if node["enum"].is_array() => "word",
                (Some("string"), _) => "text",
                (Some("array"), _) => "list",
                (Some("integer"), _) => "number",
                (Some("boolean"), _) => "true or false",
                _ => "fields",
            };
            let default = match &node["default"] {
                Value::Null | Value::Object(_) => String::new(),
                Value::String(text) => format!(", default `{text}`"),
                Value::Array(items) => {
                    let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                    format!(", default `{}`", items.join(", "))
                }
                other => format!(", default `{other}`"),
            };
            let words = match (&node["enum"], &node["items"]["enum"]) {
                (Value::Array(words), _) | (_, Value::Array(words)) => {
                    let words: Vec<String> = words
                        .iter()
                        .filter_map(Value::as_str)
                        .map(|w| format!("`{w}`"))
                        .collect();
                    format!(" One of {}.", words.join(", "))
                }
                _ => String::new(),
            };
            let required = if required.contains(path) {
                ", required"
            } else {
                ""
            };
            let meaning = node["description"].as_str().unwrap_or_default();
            rows.push_str(&format!(
                "| `{below}` | {kind}{default}{required} | {meaning}{words} |\n"
            ));
        };
        visit(schema, part, &mut row);
        rows
    }

    #[test]
    fn the_reference_is_in_step() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference.md");
        let reference = std::fs::read_to_string(file).unwrap();
        for kind in [MANAGED_DATABASE, DATABASE_MIGRATION] {
            for part in ["spec", "status"] {
                let rows = rows(kind, part);
                assert!(
                    reference.contains(&rows),
                    "docs/reference.md does not hold the rows of {kind} {part}:\n{rows}"
                );
            }
        }
    }
}
