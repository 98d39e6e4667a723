//! What tests of `database-operator local` need: a directory of manifests, the real binary on it, an
//! application that goes on working meanwhile, and a picture of all that could have changed.
//!
//! Nothing here knows how the operator works inside: it writes what a user writes, and looks at what a
//! user sees. Everything is bounded in time, and panics with a sentence.

mod application;
mod catalogue;
mod directory;
mod manifest;
mod process;
mod site;

pub use application::{Application, Credential, Tally};
pub use catalogue::Snapshot;
pub use directory::{Directory, MANAGED_DATABASE, MIGRATION, SECRET};
pub use manifest::{Object, managed_database, migration, secret};
pub use process::{Finished, Process, Running, until};
pub use site::{Site, Step};
