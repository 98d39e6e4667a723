//! What we ask of Kubernetes' own types beyond Kubernetes' schemas of them: names that are there, and
//! lists and texts that are no longer than the rules over them can be checked.
//!
//! Only what Kubernetes itself would refuse later, when the Pod is made, or what rules read. It stands
//! in the CRD's schema like everything else, so both sides go by it.

use serde_json::{Value, json};

use crate::pattern;
use crate::pod_template::ENTRIES_MAX;

/// Entries of a container's lists: more than the environment of any process needs.
pub(crate) const CONTAINER_ENTRIES_MAX: u32 = 500;

/// A bound of one node.
pub(crate) struct Bound {
    /// Where, such as `spec.container.env[]`.
    pub(crate) at: &'static str,
    what: What,
}

enum What {
    /// A text of this form.
    Name {
        max: u32,
        pattern: &'static str,
    },
    /// A text of which nothing is asked but that it is there.
    Text {
        max: u32,
    },
    List {
        max: u32,
    },
}

impl Bound {
    /// Writes the bound into the schema.
    pub(crate) fn put(&self, node: &mut Value) {
        match self.what {
            What::Name { max, pattern } => {
                node["minLength"] = json!(1);
                node["maxLength"] = json!(max);
                node["pattern"] = json!(pattern);
            }
            What::Text { max } => {
                node["minLength"] = json!(1);
                node["maxLength"] = json!(max);
            }
            What::List { max } => node["maxItems"] = json!(max),
        }
    }
}

/// The bounds of a kind.
pub(crate) fn of(kind: &str) -> &'static [Bound] {
    match kind {
        crate::MANAGED_DATABASE => DATABASE,
        crate::DATABASE_MIGRATION => MIGRATION,
        _ => &[],
    }
}

const LABEL: What = What::Name {
    max: 63,
    pattern: pattern::DNS_LABEL,
};
const OBJECT: What = What::Name {
    max: 253,
    pattern: pattern::SUBDOMAIN,
};
/// Linux' limit for a path.
const PATH: What = What::Text { max: 4096 };

const DATABASE: &[Bound] = &[
    Bound {
        at: "spec.migrations.podTemplate.spec.imagePullSecrets[].name",
        what: OBJECT,
    },
    Bound {
        at: "spec.migrations.podTemplate.spec.volumes[].name",
        what: LABEL,
    },
    Bound {
        at: "spec.migrations.podTemplate.spec.dnsConfig.nameservers",
        what: What::List { max: ENTRIES_MAX },
    },
    Bound {
        at: "spec.migrations.podTemplate.container.volumeMounts[].name",
        what: LABEL,
    },
    Bound {
        at: "spec.migrations.podTemplate.container.volumeMounts[].mountPath",
        what: PATH,
    },
];

const MIGRATION: &[Bound] = &[
    Bound {
        at: "spec.container.name",
        what: LABEL,
    },
    Bound {
        at: "spec.container.env",
        what: What::List {
            max: CONTAINER_ENTRIES_MAX,
        },
    },
    Bound {
        at: "spec.container.env[].name",
        what: What::Name {
            max: 253,
            pattern: pattern::VARIABLE,
        },
    },
    Bound {
        at: "spec.container.volumeMounts[].name",
        what: LABEL,
    },
    Bound {
        at: "spec.container.volumeMounts[].mountPath",
        what: PATH,
    },
];
