//! Names: parsed once at the border, so that past it no `String` has to be checked again.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not a name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// Longer than the kind allows.
    #[error("is {len} bytes long, {max} are allowed")]
    TooLong {
        /// Length in bytes.
        len: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// Not of the shape that Kubernetes wants for names.
    #[error("must be lower-case letters, digits, '-'{}, and start and end with a letter or digit", if *.dots { " or '.'" } else { "" })]
    NotDns {
        /// Whether dots are allowed (a subdomain) or not (a label).
        dots: bool,
    },
    /// A control character stands in it.
    #[error("must not hold control characters")]
    Control,
}

/// Kubernetes' limit for the names of most objects (RFC 1123 subdomain).
const SUBDOMAIN_BYTES_MAX: usize = 253;
/// RFC 1123 label.
const LABEL_BYTES_MAX: usize = 63;
/// Versions are shown in tables and kept in labels of metrics; no tool writes longer ones.
const VERSION_BYTES_MAX: usize = 255;

fn dns(text: &str, dots: bool, max: usize) -> Result<(), NameError> {
    let alnum = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > max {
        return Err(NameError::TooLong {
            len: text.len(),
            max,
        });
    }
    let part_ok = |part: &str| {
        part.starts_with(alnum)
            && part.ends_with(alnum)
            && part.chars().all(|c| alnum(c) || c == '-')
    };
    let ok = if dots {
        text.split('.').all(part_ok)
    } else {
        part_ok(text)
    };
    if ok {
        Ok(())
    } else {
        Err(NameError::NotDns { dots })
    }
}

fn label(text: &str) -> Result<(), NameError> {
    dns(text, false, LABEL_BYTES_MAX)
}

fn subdomain(text: &str) -> Result<(), NameError> {
    dns(text, true, SUBDOMAIN_BYTES_MAX)
}

fn plain(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > VERSION_BYTES_MAX {
        return Err(NameError::TooLong {
            len: text.len(),
            max: VERSION_BYTES_MAX,
        });
    }
    if text.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Parses it.
            ///
            /// # Errors
            /// [`NameError`] says what is wrong with the text; it does not repeat it.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                $check(&text)?;
                Ok(Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// The name of a DatabaseMigration object (RFC 1123 subdomain).
    MigrationName, subdomain
);
name!(
    /// The name of a Secret (RFC 1123 subdomain).
    SecretName, subdomain
);
name!(
    /// The name of a ConfigMap (RFC 1123 subdomain).
    ConfigMapName, subdomain
);
name!(
    /// The name of a migration run's Job; unique to the run (RFC 1123 label).
    JobName, label
);
name!(
    /// The string that a schema-version engine reports, such as an Alembic revision.
    SchemaVersion, plain
);
name!(
    /// The name of a login in the database.
    LoginName, plain
);
name!(
    /// The name of a role that nobody logs in to (a group or an owner).
    RoleName, plain
);
name!(
    /// The random id of a claim, from which login names derive: lower-case hexadecimal.
    ClaimId, label
);
name!(
    /// The digest of what a migration runs (container and hints), lower-case hexadecimal.
    Digest, label
);

/// Namespace and name of a namespaced object. Clones share one text, for an operator holds many of each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// `namespace/name`; neither has a slash.
    text: Arc<str>,
}

impl ObjectRef {
    /// A namespace (RFC 1123 label) and a name (RFC 1123 subdomain).
    ///
    /// # Errors
    /// [`NameError`] of the first part that is not well formed.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Result<Self, NameError> {
        let (namespace, name) = (namespace.into(), name.into());
        label(&namespace)?;
        subdomain(&name)?;
        Ok(Self {
            text: format!("{namespace}/{name}").into(),
        })
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        self.parts().0
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        self.text.split_once('/').unwrap_or_default()
    }
}

/// By namespace, then by name.
impl Ord for ObjectRef {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for ObjectRef {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_kubernetes_wants_them() {
        for good in ["v1", "a", "1.9.0", "add-full-name", "x.y-z"] {
            assert!(MigrationName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a..b", ".a", "a b", "é"] {
            assert!(MigrationName::new(bad).is_err(), "{bad}");
        }
        assert_eq!(
            JobName::new("a".repeat(64)),
            Err(NameError::TooLong { len: 64, max: 63 })
        );
        assert_eq!(JobName::new("a.b"), Err(NameError::NotDns { dots: false }));
    }

    #[test]
    fn versions_are_any_printable_text() {
        assert!(SchemaVersion::new("V1__Init (β)").is_ok());
        assert_eq!(SchemaVersion::new("a\nb"), Err(NameError::Control));
    }
}
