//! What marks an object of Kubernetes as ours: names of labels, annotations, the finalizer and the
//! field manager.
//!
//! A label's value holds at most 63 bytes, and a migration's name up to 253. So labels select, and
//! annotations say which: whoever wants to know what an object belongs to reads its annotations.

use std::collections::BTreeMap;

use dbop_model::ObjectRef;

/// What the operator calls itself to the API server: the manager of the fields that it sets.
pub const FIELD_MANAGER: &str = "database-operator";

/// Keeps a ManagedDatabase until its deletion policy has been followed, and a Job until its outcome
/// stands in `status.lastRun`.
pub const FINALIZER: &str = "database-operator.dev/finalizer";

/// What everything begins with that is reserved for the operator: labels and annotations.
pub const PREFIX: &str = "database-operator.dev/";
/// What the names of the volumes begin with that the operator adds to a migration's Pod.
pub const VOLUME_PREFIX: &str = "dbop-";
/// The volume of `migrations.config`.
pub const CONFIG_VOLUME: &str = "dbop-config";

/// On Secrets, Jobs and their Pods: the name of the ManagedDatabase, in the same namespace. It is a
/// DNS label, so it always fits.
pub const DATABASE_LABEL: &str = "database-operator.dev/database";
/// On the same, for people and their selectors: the name of the DatabaseMigration, where it fits into
/// a label's value ([`fits_label`]). The whole name is in [`MIGRATION_ANNOTATION`].
pub const MIGRATION_LABEL: &str = "database-operator.dev/migration";
/// On everything that the operator makes: who does (Kubernetes documentation, "Recommended labels").
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY_LABEL`].
pub const MANAGED_BY: &str = "database-operator";

/// On Secrets and Jobs: the id of the claim under which they were made. What bears another one is not
/// ours, whatever it is called.
pub const CLAIM_ANNOTATION: &str = "database-operator.dev/claim";
/// On a credential's Secret: the DatabaseMigration whose application it is for.
pub const MIGRATION_ANNOTATION: &str = "database-operator.dev/migration";
/// On a Secret with a DSN that lies in another namespace than the ManagedDatabases that name it, so that no Pod of theirs
/// can mount it: which of them may, as `namespace/name`, with commas between them.
pub const LENT_ANNOTATION: &str = "database-operator.dev/allowed-databases";

/// Does a Secret with these annotations allow this ManagedDatabase, of another namespace, to name it?
///
/// ```
/// use dbop_api::marks::{LENT_ANNOTATION, is_lent};
/// use dbop_model::ObjectRef;
///
/// let of = |text: &str| [(LENT_ANNOTATION.to_owned(), text.to_owned())].into();
/// let shop = ObjectRef::new("shop", "orders").unwrap();
/// assert!(is_lent(&of("crm/crm, shop/orders"), &shop));
/// assert!(!is_lent(&of("shop/orders-2"), &shop));
/// assert!(!is_lent(&of("shop/*"), &shop), "each is named");
/// assert!(!is_lent(&Default::default(), &shop));
/// ```
pub fn is_lent(annotations: &BTreeMap<String, String>, to: &ObjectRef) -> bool {
    let to = to.to_string();
    let allowed = annotations.get(LENT_ANNOTATION);
    allowed.is_some_and(|allowed| allowed.split(',').any(|one| one.trim() == to))
}

/// Why a Secret of another namespace is of no use, and what helps. It says the same of one that is not there: who may
/// write a ManagedDatabase finds out nothing of another namespace.
pub fn not_lent(secret: &ObjectRef, to: &ObjectRef) -> String {
    format!(
        "Secret {secret} does not exist, or does not allow it: name {to} in its annotation {LENT_ANNOTATION}"
    )
}

/// What the label begins with by which a workload, or its Pods' template, says which schema of a database its code is
/// for: the database's name follows, and the value is the name of a DatabaseMigration.
pub const SCHEMA_LABEL_PREFIX: &str = "schema.database-operator.dev/";

/// On a credential's Secret: what of it is by the database's `secretTemplate`, so that it goes when the template no
/// longer has it, and what people have added stays.
pub const TEMPLATE_ANNOTATION: &str = "database-operator.dev/template";
/// On a credential's Secret: since when it names its login. Pods that were made before that may hold the one before.
pub const ISSUED_ANNOTATION: &str = "database-operator.dev/issued-at";
/// On a Job: the DatabaseMigration whose schema the run started from; absent: an empty database.
pub const FROM_ANNOTATION: &str = "database-operator.dev/from";
/// On a Job: the DatabaseMigration that runs.
pub const TO_ANNOTATION: &str = "database-operator.dev/to";
/// On a Job: the digest of that migration when the run was made.
pub const DIGEST_ANNOTATION: &str = "database-operator.dev/digest";
/// On a Job: how it ended, in one line, once that is recorded.
pub const OUTCOME_ANNOTATION: &str = "database-operator.dev/outcome";

/// Bytes of a label's value (Kubernetes documentation, "Labels and Selectors").
pub const LABEL_VALUE_BYTES_MAX: usize = 63;

/// Can the name of an object be the value of a label?
///
/// ```
/// assert!(dbop_api::marks::fits_label("v2.1"));
/// assert!(!dbop_api::marks::fits_label(&"v".repeat(64)));
/// ```
pub fn fits_label(name: &str) -> bool {
    name.len() <= LABEL_VALUE_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(allowed: &str, to: &str, expect: bool) {
        let annotations = [(LENT_ANNOTATION.to_owned(), allowed.to_owned())].into();
        let (namespace, name) = to.split_once('/').unwrap();
        let to = ObjectRef::new(namespace, name).unwrap();
        assert_eq!(is_lent(&annotations, &to), expect, "{allowed:?} to {to}");
    }

    #[test]
    fn a_secret_is_lent_to_those_that_it_names_whole() {
        check("shop/orders", "shop/orders", true);
        check(" crm/crm ,shop/orders, ", "shop/orders", true);
        for other in [
            "",
            ",",
            "*",
            "shop",
            "orders",
            "shop/",
            "/orders",
            "shop/*",
            "*/orders",
            "shop/order",
            "shop/orders-2",
            "Shop/orders",
            "shop/orders;crm/crm",
            "shop/ orders",
            "shop/orders crm/crm",
        ] {
            check(other, "shop/orders", false);
        }
    }
}
