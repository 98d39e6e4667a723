//! The two custom resources, their schemas, status, and the way into the model.
//!
//! [`ManagedDatabase`] and [`DatabaseMigration`] are what people write. [`crds_yaml`] is their
//! schemas for an API server; where there is none, [`parse_managed_database`] and
//! [`parse_database_migration`] are as strict, by the same schemas and rules. `TryFrom` leads into
//! the model, and names each field that it refuses. [`report`] leads back: status and Events are
//! functions of what was decided.
//!
//! No client, no IO and no clock: an object is a value here.
//!
//! ```
//! use dbop_model::{DatabaseSpec, VersionSource};
//!
//! let database = dbop_api::parse_managed_database(serde_json::json!({
//!     "apiVersion": "database-operator.dev/v1alpha1",
//!     "kind": "ManagedDatabase",
//!     "metadata": { "name": "shop", "namespace": "shop" },
//!     "spec": {
//!         "connection": { "dsnSecret": { "name": "shop-admin" } },
//!         "desiredSchemaVersion": "v3",
//!         "schemaVersion": { "engine": "Alembic" },
//!     },
//! }))?;
//! let spec = DatabaseSpec::try_from(&database)?;
//! assert_eq!(spec.id.to_string(), "shop/shop");
//! assert_eq!(spec.credentials.quiet_window.as_secs(), 60); // the schema's default
//! assert!(matches!(spec.version_source, VersionSource::Alembic { .. }));
//! # Ok::<(), dbop_api::Refusals>(())
//! ```

pub mod database;
pub mod duration;
pub mod health;
pub mod manifest;
pub mod marks;
pub mod migration;
pub mod pattern;
pub mod pod_template;
pub mod record;
pub mod refusal;
pub mod report;
pub mod rotation;
pub mod secret_template;
pub mod status;

mod bounds;
mod check;
mod convert;
mod digest;
mod lint;
mod rules;
mod schema;
mod shape;

pub use database::{ManagedDatabase, ManagedDatabaseSpec};
pub use lint::lint;
pub use manifest::{kind_of, parse_database_migration, parse_managed_database};
pub use migration::{DatabaseMigration, DatabaseMigrationSpec};
pub use refusal::{Refusal, Refusals, Subject};
pub use schema::{crds, crds_yaml};
pub use shape::shapes_json;
pub use status::{DatabaseMigrationStatus, ManagedDatabaseStatus};

/// The API group.
pub const GROUP: &str = "database-operator.dev";
/// Group and version, as manifests name them.
pub const API_VERSION: &str = "database-operator.dev/v1alpha1";
/// The kind of a database.
pub const MANAGED_DATABASE: &str = "ManagedDatabase";
/// The kind of a migration.
pub const DATABASE_MIGRATION: &str = "DatabaseMigration";

/// On a ManagedDatabase: the Job of the last run, which is to run again.
pub const RETRY_ANNOTATION: &str = "database-operator.dev/retry";
/// On a ManagedDatabase: the Job of the last run, whose version is taken as done.
pub const ACCEPT_RUN_ANNOTATION: &str = "database-operator.dev/accept-run";
/// On a ManagedDatabase: credentials that are to have another login ([`rotation`]).
pub const ROTATE_ANNOTATION: &str = "database-operator.dev/rotate";
/// On a ManagedDatabase: take over the claim of another.
pub const TAKE_OVER_ANNOTATION: &str = "database-operator.dev/take-over";
