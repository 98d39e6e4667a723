//! The contents of Secrets that were read, for as long as they have not changed.
//!
//! The watch on Secrets tells revisions alone. What a pass needs of a Secret is read once for each revision, so
//! that a look at a database at rest asks the API server for nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dbop_model::ObjectRef;
use k8s_openapi::api::core::v1::Secret;
use secrecy::{ExposeSecret as _, SecretString};

/// What a Secret holds: the values that are text.
pub(crate) type Data = BTreeMap<String, SecretString>;

/// The contents of Secrets, each at the revision that it was read at.
#[derive(Default)]
pub(crate) struct Contents {
    read: Mutex<BTreeMap<ObjectRef, Held>>,
}

/// A Secret's values in one piece: a map for each of ten thousand would weigh more than what it holds.
struct Held {
    revision: Box<str>,
    json: SecretString,
}

impl Contents {
    /// The content at this revision, where it was read.
    pub(crate) fn get(&self, secret: &ObjectRef, revision: &str) -> Option<Data> {
        let all = self.lock();
        let held = all.get(secret).filter(|held| &*held.revision == revision)?;
        let values: BTreeMap<String, String> =
            serde_json::from_str(held.json.expose_secret()).ok()?;
        Some(
            values
                .into_iter()
                .map(|(key, value)| (key, value.into()))
                .collect(),
        )
    }

    /// Keeps the content at this revision.
    pub(crate) fn keep(&self, secret: &ObjectRef, revision: &str, data: &Data) {
        let values: BTreeMap<&str, &str> = data
            .iter()
            .map(|(key, value)| (key.as_str(), value.expose_secret()))
            .collect();
        // A map of texts is always JSON.
        if let Ok(json) = serde_json::to_string(&values) {
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
        contents.keep(&secret, "7", &data);
        let held = contents.get(&secret, "7").unwrap();
        assert_eq!(held["password"].expose_secret(), "s3\"cret");
        assert!(contents.get(&secret, "8").is_none());
        contents.forget(&secret);
        assert!(contents.get(&secret, "7").is_none());
    }
}
