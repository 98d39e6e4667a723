//! What users add to the Secrets of credentials.
//!
//! The language of templates is not here: `dbop-model` reads it, on the way in.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::pattern;
use crate::pod_template::{ENTRIES_MAX, labels};

/// Characters of a template: four times a connection string that names every option of its driver.
const TEMPLATE_CHARS_MAX: u32 = 4096;
/// Bytes of an annotation's value: all of them together stay at half of the 256 KiB that Kubernetes lets an object have.
const ANNOTATION_BYTES_MAX: u32 = 4096;
/// Presets of one database: each that there is.
const PRESETS_MAX: u32 = 5;

/// What the Secrets of credentials have besides the keys of a service binding. A change is made in the Secrets that are
/// there, too; only their type stays.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretTemplate {
    /// Labels of the Secrets, besides the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Secrets, besides the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
    /// The type of the Secrets that are made from now on; by default that of a service binding, such as
    /// servicebinding.io/postgresql. Kubernetes lets nobody change the type of a Secret that is there.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SECRET_TYPE))]
    pub kind: Option<String>,
    /// Ready-made keys, each in the words of one client: jdbc-url, sqlalchemy-url, ado-net, pgpass and
    /// pg_service.conf, the last two on PostgreSQL alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = PRESETS_MAX), extend("x-kubernetes-list-type" = "set"))]
    pub presets: Vec<Preset>,
    /// Further keys, by name, each with the text that it holds: {host} stands for the host, and so do {port},
    /// {database}, {username}, {password}, {uri}, {jdbcUrl} and {ca} for theirs. Behind a name and a bar an encoder
    /// writes the value as a format needs it: url, pgpass, pgservice, dotnet, conninfo or json. {{ and }} are braces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "templates")]
    pub keys: BTreeMap<String, String>,
    /// The directory where applications mount the Secret: presets name the CA in it, as ca.crt.
    #[serde(default = "mount_path")]
    #[schemars(length(min = 2, max = 255), regex(pattern = pattern::PLAIN_PATH))]
    pub mount_path: String,
}

fn mount_path() -> String {
    dbop_model::secret_template::MOUNT_PATH.to_owned()
}

/// A ready-made key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "they are the clients' own names")]
pub enum Preset {
    Jdbc,
    SqlAlchemy,
    DotNet,
    PgPass,
    PgService,
}

fn annotations(_: &mut SchemaGenerator) -> Schema {
    texts(0, ANNOTATION_BYTES_MAX)
}

fn templates(_: &mut SchemaGenerator) -> Schema {
    texts(1, TEMPLATE_CHARS_MAX)
}

fn texts(min: u32, max: u32) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": ENTRIES_MAX,
        "additionalProperties": { "type": "string", "minLength": min, "maxLength": max },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_every_preset() {
        let all = dbop_model::Preset::ALL.len();
        assert_eq!(usize::try_from(PRESETS_MAX), Ok(all));
    }
}
