//! What a credential's Secret should be, and whether it is.
//!
//! Its content follows from where the database is, the login and the password, and the template of the spec. Its type is
//! that of the Secret that is there: Kubernetes lets nobody change it
//! (docs/decisions/0006-what-a-secret-template-may-change.md).

use std::collections::{BTreeMap, BTreeSet};

use dbop_credentials::template;
use dbop_model::{LoginName, STANDARD_KEYS, SecretTemplate};
use secrecy::{ExposeSecret as _, SecretString};

use crate::observe::Place;
use crate::platform::{Dress, SecretSeen};

/// What a credential's Secret should be.
pub(crate) struct Wanted {
    pub(crate) kind: String,
    pub(crate) data: BTreeMap<String, SecretString>,
    pub(crate) dress: Dress,
}

impl Wanted {
    pub(crate) fn new(
        place: &Place,
        template: &SecretTemplate,
        login: &LoginName,
        password: &SecretString,
    ) -> Self {
        let binding = place.binding(login, password);
        let more = template::keys(template, &binding);
        let dress = Dress {
            labels: template.labels.clone(),
            annotations: template.annotations.clone(),
            keys: more.keys().cloned().collect(),
        };
        let kind = template.kind.clone();
        let mut data = more;
        data.extend(binding.data());
        Self {
            kind: kind.unwrap_or_else(|| format!("servicebinding.io/{}", binding.kind())),
            data,
            dress,
        }
    }

    /// Is the Secret like this?
    pub(crate) fn is_met_by(&self, secret: &SecretSeen) -> bool {
        let has = |(key, value): (&String, &SecretString)| {
            let held = secret.data.get(key);
            held.is_some_and(|held| held.expose_secret() == value.expose_secret())
        };
        self.data.iter().all(has)
            && self.dress == secret.dress
            && self.outdated_keys(secret).is_empty()
    }

    /// What the Secret has of us that is not wanted any more.
    pub(crate) fn outdated(&self, secret: &SecretSeen) -> Dress {
        let gone = |held: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>| {
            let held = held.iter().filter(|(name, _)| !wanted.contains_key(*name));
            held.map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        };
        Dress {
            labels: gone(&secret.dress.labels, &self.dress.labels),
            annotations: gone(&secret.dress.annotations, &self.dress.annotations),
            keys: self.outdated_keys(secret),
        }
    }

    /// The standard keys are ours whatever the record says: `ca.crt` goes where TLS is no longer verified.
    fn outdated_keys(&self, secret: &SecretSeen) -> BTreeSet<String> {
        let ours = STANDARD_KEYS.into_iter();
        let ours = ours.chain(secret.dress.keys.iter().map(String::as_str));
        ours.filter(|key| secret.data.contains_key(*key) && !self.data.contains_key(*key))
            .map(str::to_owned)
            .collect()
    }
}
