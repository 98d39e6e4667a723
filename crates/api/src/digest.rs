//! The digest of a migration: when it differs from the one that a run carries, the migration has
//! changed since, and may run again after a failure.
//!
//! It covers what runs and what it is judged by: `container`, `parallelism`, `schemaHints`, `sql` and the
//! version; of a ConfigMap that `sql` names, the name and the key, as of one that the container mounts. It does not
//! cover `previous`, `compatibleFrom` and `fromEmpty`, which say where the migration
//! stands and not what it does, nor `accept`: to take responsibility for a finding changes nothing
//! of the run, and must not start a failed one again.

use dbop_model::{Digest, NameError};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::migration::DatabaseMigrationSpec;

/// Bytes of the hash that are kept: 64 bits tell the edits of one migration apart.
const BYTES: usize = 8;

/// The digest, 16 lower-case hexadecimal digits.
///
/// # Errors
/// What cannot be written as JSON; nothing that was read from YAML or JSON.
pub(crate) fn of(spec: &DatabaseMigrationSpec) -> Result<Digest, DigestError> {
    // A field without a value does not count, so that the digests of migrations without parallelism
    // and sql are what they were before there were such fields.
    let what = json!({
        "version": spec.version,
        "container": serde_json::to_value(&spec.container)?,
        "parallelism": spec.parallelism.map(serde_json::to_value).transpose()?,
        "schemaHints": serde_json::to_value(&spec.schema_hints)?,
        "sql": serde_json::to_value(&spec.sql)?,
    });
    let mut text = String::new();
    canonical(&what, &mut text);
    let hash = Sha256::digest(text.as_bytes());
    let hex: String = hash[..BYTES]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok(Digest::new(hex)?)
}

/// Why there is no digest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DigestError {
    /// A part of it is no JSON.
    #[error("cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// A hash that is no name.
    #[error("has no digest")]
    Name(#[from] NameError),
}

/// JSON with its keys in order and without fields that have no value, so that equal content gives
/// equal bytes whatever order the fields were written in.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map
                .keys()
                .filter(|key| !map[key.as_str()].is_null())
                .collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(&map[key.as_str()], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}
