//! What a credential's Secret has by a template: written with a record of it, and read back by that record.
//!
//! The record is an annotation that names labels, annotations and keys. One that somebody has removed or spoilt reads as
//! an empty one, and is written anew with the Secret.

use std::collections::{BTreeMap, BTreeSet};

use dbop_api::marks::{MANAGED_BY_LABEL, PREFIX, TEMPLATE_ANNOTATION};
use dbop_engine::Dress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

/// Names alone: values stand where they are.
#[derive(Default, Serialize, Deserialize)]
struct Record {
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    labels: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    annotations: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    keys: BTreeSet<String>,
}

/// The record of a dress; `None`: there is nothing to record.
pub(super) fn record(dress: &Dress) -> Option<String> {
    let Dress {
        labels,
        annotations,
        keys,
    } = dress;
    let record = Record {
        labels: labels.keys().cloned().collect(),
        annotations: annotations.keys().cloned().collect(),
        keys: keys.clone(),
    };
    // Sets of texts are always JSON.
    serde_json::to_string(&record)
        .ok()
        .filter(|_| !dress.is_empty())
}

/// What an object has by the record on it.
pub(super) fn worn(metadata: &ObjectMeta) -> Dress {
    let annotations = metadata.annotations.as_ref();
    let record = annotations.and_then(|all| all.get(TEMPLATE_ANNOTATION));
    let Record {
        labels,
        annotations: named,
        keys,
    } = record
        .and_then(|record| serde_json::from_str(record).ok())
        .unwrap_or_default();
    Dress {
        labels: of(metadata.labels.as_ref(), labels),
        annotations: of(annotations, named),
        keys,
    }
}

/// What is there of these names. Our marks are no template's, whatever somebody wrote into the record.
fn of(all: Option<&BTreeMap<String, String>>, names: BTreeSet<String>) -> BTreeMap<String, String> {
    let ours = |name: &String| name.starts_with(PREFIX) || name == MANAGED_BY_LABEL;
    names
        .into_iter()
        .filter(|name| !ours(name))
        .filter_map(|name| {
            let value = all?.get(&name)?.clone();
            Some((name, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn what_was_recorded_is_read_back_as_it_is_now() {
        let dress = Dress {
            labels: map(&[("team", "shop"), ("gone", "x")]),
            annotations: map(&[("note", "one")]),
            keys: ["pgpass".to_owned()].into(),
        };
        let record = record(&dress).unwrap();
        assert_eq!(
            record,
            r#"{"labels":["gone","team"],"annotations":["note"],"keys":["pgpass"]}"#
        );
        let metadata = |record: &str| ObjectMeta {
            labels: Some(map(&[
                ("team", "changed"),
                ("theirs", "y"),
                (MANAGED_BY_LABEL, "database-operator"),
            ])),
            annotations: Some(map(&[("note", "one"), (TEMPLATE_ANNOTATION, record)])),
            ..ObjectMeta::default()
        };
        let found = worn(&metadata(&record));
        assert_eq!(found.labels, map(&[("team", "changed")]));
        assert_eq!(found.annotations, dress.annotations);
        assert_eq!(found.keys, dress.keys);
        for spoilt in ["", "{", r#"{"labels":["app.kubernetes.io/managed-by"]}"#] {
            assert!(worn(&metadata(spoilt)).is_empty(), "{spoilt}");
        }
        assert_eq!(super::record(&Dress::default()), None);
    }
}
