//! The contents of Secrets that were read, for as long as they have not changed.
//!
//! The watch on Secrets tells revisions alone. What a pass needs of a Secret is read once for each revision, so
//! that a look at a database at rest asks the API server for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dbop_api::marks::{CLAIM_ANNOTATION, ISSUED_ANNOTATION};
use dbop_engine::Dress;
use dbop_model::{ClaimId, ObjectRef};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::dress;

/// What a Secret holds: the values that are text.
pub(crate) type Data = BTreeMap<String, SecretString>;

/// What a look needs of a Secret.
#[derive(Default)]
pub(crate) struct Content {
    pub(crate) data: Data,
    pub(crate) kind: String,
    pub(crate) dress: Dress,
    /// The claim that its login's name derives from, as it is recorded in it.
    pub(crate) claim: Option<ClaimId>,
    /// Since when it names its login, as it is recorded in it.
    pub(crate) issued_at: Option<Timestamp>,
    pub(crate) created_at: Option<Timestamp>,
}

impl Content {
    pub(crate) fn of(secret: &Secret) -> Self {
        Self {
            data: data(secret),
            kind: secret.type_.clone().unwrap_or_default(),
            dress: dress::worn(&secret.metadata),
            claim: recorded(&secret.metadata, CLAIM_ANNOTATION, |id| {
                ClaimId::new(id).ok()
            }),
            issued_at: recorded(&secret.metadata, ISSUED_ANNOTATION, |at| at.parse().ok()),
            created_at: secret.creation_timestamp().map(|time| time.0),
        }
    }
}

/// The contents of Secrets, each at the revision that it was read at.
#[derive(Default)]
pub(crate) struct Contents {
    read: Mutex<BTreeMap<ObjectRef, Held>>,
}

/// A Secret's content in one piece: maps for each of ten thousand would weigh more than what they hold.
struct Held {
    revision: Box<str>,
    json: SecretString,
}

/// That piece. Most Secrets have nothing by a template.
#[derive(Serialize, Deserialize)]
struct Packed {
    #[serde(rename = "d")]
    data: BTreeMap<String, String>,
    #[serde(rename = "t", default, skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(rename = "l", default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(rename = "a", default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(rename = "k", default, skip_serializing_if = "BTreeSet::is_empty")]
    keys: BTreeSet<String>,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    claim: Option<String>,
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    issued_at: Option<Timestamp>,
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
}

/// What an annotation of ours says; what somebody has made of it that does not read says nothing.
fn recorded<T>(
    metadata: &ObjectMeta,
    annotation: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    read(metadata.annotations.as_ref()?.get(annotation)?)
}

impl Contents {
    /// The content at this revision, where it was read.
    pub(crate) fn get(&self, secret: &ObjectRef, revision: &str) -> Option<Content> {
        let all = self.lock();
        let held = all.get(secret).filter(|held| &*held.revision == revision)?;
        let Packed {
            data,
            kind,
            labels,
            annotations,
            keys,
            claim,
            issued_at,
            created_at,
        } = serde_json::from_str(held.json.expose_secret()).ok()?;
        Some(Content {
            data: data
                .into_iter()
                .map(|(key, value)| (key, value.into()))
                .collect(),
            kind,
            dress: Dress {
                labels,
                annotations,
                keys,
            },
            claim: claim.and_then(|id| ClaimId::new(id).ok()),
            issued_at,
            created_at,
        })
    }

    /// Keeps the content at this revision.
    pub(crate) fn keep(&self, secret: &ObjectRef, revision: &str, content: &Content) {
        let Content {
            data,
            kind,
            dress,
            claim,
            issued_at,
            created_at,
        } = content;
        let packed = Packed {
            data: data
                .iter()
                .map(|(key, value)| (key.clone(), value.expose_secret().to_owned()))
                .collect(),
            kind: kind.clone(),
            labels: dress.labels.clone(),
            annotations: dress.annotations.clone(),
            keys: dress.keys.clone(),
            claim: claim.as_ref().map(ToString::to_string),
            issued_at: *issued_at,
            created_at: *created_at,
        };
        // Maps of texts are always JSON.
        if let Ok(json) = serde_json::to_string(&packed) {
            let held = Held {
                revision: revision.into(),
                json: json.into(),
            };
            self.lock().insert(secret.clone(), held);
        }
    }

    /// Forgets a Secret.
    pub(crate) fn forget(&self, secret: &ObjectRef) {
        self.lock().remove(secret);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectRef, Held>> {
        // Entries are put in whole.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The values of a Secret that are text. Others are nobody's password, and are left out.
pub(crate) fn data(secret: &Secret) -> Data {
    let values = secret.data.iter().flatten();
    values
        .filter_map(|(key, value)| {
            let text = String::from_utf8(value.0.clone()).ok()?;
            Some((key.clone(), text.into()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_of_one_revision() {
        let contents = Contents::default();
        let secret = ObjectRef::new("shop", "shop-v1").unwrap();
        let data: Data = [("password".to_owned(), "s3\"cret".to_owned().into())].into();
        let dress = Dress {
            labels: [("team".to_owned(), "shop".to_owned())].into(),
            annotations: [("note".to_owned(), "any".to_owned())].into(),
            keys: ["pgpass".to_owned()].into(),
        };
        let claim = ClaimId::new("9f31c0de").unwrap();
        let content = Content {
            data,
            kind: "Opaque".to_owned(),
            dress: dress.clone(),
            claim: Some(claim.clone()),
            issued_at: Some(Timestamp::UNIX_EPOCH),
            created_at: None,
        };
        contents.keep(&secret, "7", &content);
        let held = contents.get(&secret, "7").unwrap();
        assert_eq!(held.data["password"].expose_secret(), "s3\"cret");
        assert_eq!((held.kind.as_str(), held.dress), ("Opaque", dress));
        assert_eq!(held.claim, Some(claim));
        let times = (held.issued_at, held.created_at);
        assert_eq!(times, (Some(Timestamp::UNIX_EPOCH), None));
        assert!(contents.get(&secret, "8").is_none());
        contents.forget(&secret);
        assert!(contents.get(&secret, "7").is_none());
    }
}
