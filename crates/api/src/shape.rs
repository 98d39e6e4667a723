//! The schemas as the checks read them: what an object of a kind looks like, and nothing for machines besides.
//!
//! Making a CRD of the types takes megabytes for a moment, and its schema as JSON values a megabyte for good. An
//! operator checks every object, so the shapes are generated (`cargo xtask codegen`) and read from the program.

use std::borrow::Cow;
use std::sync::LazyLock;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema;
use crate::{DATABASE_MIGRATION, MANAGED_DATABASE};

/// The generated file.
const GENERATED: &str = include_str!("shape/generated.json");
/// The name that the shape of every object's metadata goes by.
const METADATA: &str = "metadata";

type Text<'a> = Cow<'a, str>;

/// What a value looks like: the part of OpenAPI that our schemas use.
#[derive(Serialize, Deserialize, Default, PartialEq, Debug)]
#[serde(default)]
pub(crate) struct Shape<'a> {
    /// `object`, `array`, `string`, `integer`, `number`, `boolean`; empty: anything.
    #[serde(borrow, rename = "t", skip_serializing_if = "str::is_empty")]
    pub(crate) sort: Text<'a>,
    /// What it is for.
    #[serde(borrow, rename = "d", skip_serializing_if = "str::is_empty")]
    pub(crate) meaning: Text<'a>,
    /// An object's fields, by name.
    #[serde(borrow, rename = "f", skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<(Text<'a>, Shape<'a>)>,
    /// Those that must be there.
    #[serde(borrow, rename = "r", skip_serializing_if = "Vec::is_empty")]
    pub(crate) required: Vec<Text<'a>>,
    /// Each of an array's items, or of an object's other fields.
    #[serde(borrow, rename = "e", skip_serializing_if = "Option::is_none")]
    pub(crate) each: Option<Box<Shape<'a>>>,
    /// What it must keep within.
    #[serde(borrow, rename = "l", skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Option<Box<Limits<'a>>>,
}

/// What a value must keep within.
#[derive(Serialize, Deserialize, Default, PartialEq, Debug)]
#[serde(default)]
pub(crate) struct Limits<'a> {
    /// A number, or a text.
    #[serde(rename = "n", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) int_or_string: bool,
    /// The least: of a number its value, of a text its characters, of an array its items, of a map its entries.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    pub(crate) min: Option<f64>,
    /// The most, likewise.
    #[serde(rename = "z", skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<f64>,
    /// The only texts that it may be.
    #[serde(borrow, rename = "o", skip_serializing_if = "Vec::is_empty")]
    pub(crate) one_of: Vec<Text<'a>>,
    /// A text's regular expression.
    #[serde(borrow, rename = "p", skip_serializing_if = "Option::is_none")]
    pub(crate) pattern: Option<Text<'a>>,
    /// No item stands in the array twice.
    #[serde(rename = "s", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) set: bool,
    /// No two items of the array are alike in these fields.
    #[serde(borrow, rename = "k", skip_serializing_if = "Vec::is_empty")]
    pub(crate) keys: Vec<Text<'a>>,
}

impl Shape<'_> {
    /// The shape of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        let (_, shape) = self.fields.iter().find(|(of, _)| of == name)?;
        Some(shape)
    }
}

/// The shape of the `spec` of a kind.
pub(crate) fn of(kind: &str) -> Option<&'static Shape<'static>> {
    static ALL: LazyLock<Vec<(Text<'static>, Shape<'static>)>> = LazyLock::new(|| {
        // That it is what it should be is a test.
        serde_json::from_str(GENERATED).unwrap_or_default()
    });
    ALL.iter()
        .find(|(of, _)| of == kind)
        .map(|(_, shape)| shape)
}

/// The shape of `metadata`.
pub(crate) fn of_metadata() -> Option<&'static Shape<'static>> {
    of(METADATA)
}

/// The generated file, made anew from the types.
pub fn shapes_json() -> String {
    let settings = schemars::generate::SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
    });
    let metadata = settings
        .into_generator()
        .into_root_schema_for::<ObjectMeta>()
        .to_value();
    let mut all = vec![(METADATA, Shape::new(&metadata))];
    for kind in [MANAGED_DATABASE, DATABASE_MIGRATION] {
        if let Some(schema) = schema::of(kind) {
            all.push((kind, Shape::new(&schema["properties"]["spec"])));
        }
    }
    let json = serde_json::to_string(&all);
    json.unwrap_or_else(|error| unreachable!("shapes are plain values: {error}"))
}

impl<'a> Shape<'a> {
    fn new(schema: &'a Value) -> Self {
        let text = |field: &str| Text::from(schema[field].as_str().unwrap_or_default());
        let fields = schema["properties"].as_object();
        let required = texts(&schema["required"]);
        let mut fields: Vec<_> = fields
            .into_iter()
            .flatten()
            .map(|(name, field)| (Text::from(name.as_str()), Shape::new(field)))
            .collect();
        for (name, field) in &mut fields {
            // It is told of a field that is missing, and of no other.
            if !required.contains(name) {
                field.meaning = Text::default();
            }
        }
        let each = ["items", "additionalProperties"].map(|list| &schema[list]);
        let each = each.into_iter().find(|each| each.is_object());
        let limits = Limits::new(schema);
        Self {
            sort: text("type"),
            meaning: text("description"),
            fields,
            required,
            each: each.map(|each| {
                let mut each = Shape::new(each);
                each.meaning = Text::default();
                Box::new(each)
            }),
            limits: (limits != Limits::default()).then(|| Box::new(limits)),
        }
    }
}

impl<'a> Limits<'a> {
    fn new(schema: &'a Value) -> Self {
        let number = |fields: &[&str]| fields.iter().find_map(|field| schema[field].as_f64());
        Self {
            int_or_string: schema["x-kubernetes-int-or-string"] == true,
            min: number(&["minimum", "minLength", "minItems"]),
            max: number(&["maximum", "maxLength", "maxItems", "maxProperties"]),
            one_of: texts(&schema["enum"]),
            pattern: schema["pattern"].as_str().map(Text::from),
            set: schema["x-kubernetes-list-type"] == "set",
            keys: texts(&schema["x-kubernetes-list-map-keys"]),
        }
    }
}

fn texts(list: &Value) -> Vec<Text<'_>> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(Text::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generated_file_is_in_step() {
        assert!(
            GENERATED.trim_end() == shapes_json(),
            "crates/api/src/shape/generated.json: run `cargo xtask codegen` and commit the result"
        );
        let read: Vec<(Text<'_>, Shape<'_>)> = serde_json::from_str(GENERATED).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), GENERATED.trim_end());
        for kind in [MANAGED_DATABASE, DATABASE_MIGRATION] {
            assert!(!of(kind).unwrap().required.is_empty(), "{kind}");
        }
        assert!(of_metadata().unwrap().field("name").is_some());
    }
}
