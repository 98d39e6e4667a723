//! The local platform: a directory of manifests, child processes as Jobs, files as Secrets.
//!
//! The same loop as in a cluster, for laptops, pipelines and demonstrations. [`Manifests`] is what people wrote,
//! [`LocalPlatform`] puts a directory behind the engine's port, [`run`] works on all its databases, and
//! [`supervise`] is the body of the process that a migration runs under.
//!
//! No database is known here, and no command line: a connector, a clock and randomness are handed in.
//!
//! ```
//! use dbop_local::{Manifests, Runtime};
//! use dbop_model::ObjectRef;
//!
//! let directory = std::env::temp_dir().join(format!("dbop-local-example-{}", std::process::id()));
//! std::fs::create_dir_all(&directory)?;
//! std::fs::write(directory.join("shop.yaml"), "
//! apiVersion: database-operator.dev/v1alpha1
//! kind: ManagedDatabase
//! metadata: { name: shop }
//! spec:
//!   connection: { dsnSecret: { name: shop-admin } }
//!   desiredSchemaVersion: v1
//!   schemaVersion: { engine: Alembic }
//! ---
//! apiVersion: database-operator.dev/v1alpha1
//! kind: DatabaseMigration
//! metadata: { name: v1 }
//! spec:
//!   container: { name: migrate, image: shop/migrate:1, command: [alembic, upgrade, v1] }
//! ---
//! apiVersion: v1
//! kind: Service
//! metadata: { name: shop }
//! ")?;
//!
//! let manifests = Manifests::read(&directory, &directory.join(".dbop"), Runtime::Process);
//! assert!(manifests.problems.is_empty());
//! assert_eq!(manifests.skipped[0].to_string(), "shop.yaml:16: Service shop is skipped");
//! let shop = ObjectRef::new("default", "shop").unwrap();
//! assert_eq!(manifests.databases[&shop].spec.desired.as_str(), "v1");
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod drive;
pub mod manifests;
pub mod observer;
pub mod platform;
pub mod requests;
pub mod runtime;
pub mod state;

mod container;
mod events;
mod file;
mod jobs;
mod secrets;
mod status;
mod subject;

#[cfg(test)]
mod scratch;

pub use drive::{DatabaseEnd, End, LocalEnd, Until, end_of, exit_status, run};
pub use file::FileError;
pub use jobs::{Supervisor, supervise};
pub use manifests::{Manifests, Problem, Skipped};
pub use observer::{Observer, Progress, ProgressSource};
pub use platform::{LocalOptions, LocalPlatform};
pub use requests::{Request, RequestError, request};
pub use runtime::{Runtime, UnknownRuntime};
pub use state::{OpenError, STATE_DIRECTORY, state_directory};
