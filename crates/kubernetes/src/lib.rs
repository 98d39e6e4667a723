//! The Kubernetes platform: a cluster behind the engine's port.
//!
//! [`Caches`] hold what the watches tell, [`KubernetesPlatform`] puts the cluster behind the engine's port, and
//! [`drive::run`] works on all ManagedDatabases for as long as this operator leads ([`election`], [`gate`]). What a
//! migration's Job is, and who refers to a Secret, are pure functions of their own ([`job`], [`references`]).
//!
//! No database is known here, and no command line: a connector, a clock and randomness are handed in.

pub mod access;
pub mod cache;
pub mod drive;
pub mod election;
pub mod gate;
pub mod job;
pub mod platform;
pub mod rbac;
pub mod references;

mod call;

pub use cache::Caches;
pub use call::{answered, explained};
pub use platform::{KubernetesPlatform, ProgressSource, Settings};
