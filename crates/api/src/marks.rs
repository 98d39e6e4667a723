//! What marks an object of Kubernetes as ours: names of labels, annotations, the finalizer and the
//! field manager.
//!
//! A label's value holds at most 63 bytes, and a migration's name up to 253. So labels select, and
//! annotations say which: whoever wants to know what an object belongs to reads its annotations.

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
/// On a credential's Secret: what of it is by the database's `secretTemplate`, so that it goes when the template no
/// longer has it, and what people have added stays.
pub const TEMPLATE_ANNOTATION: &str = "database-operator.dev/template";
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
