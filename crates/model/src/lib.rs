//! The domain's values: names, versions, facts, schema operations, findings.
//!
//! Everything here is data and total functions over it. No IO, no clock, no randomness: a value that needs
//! the world is read by the shell and handed in.
//!
//! ```
//! use dbop_model::{Fact, MigrationName, Why};
//!
//! let name: MigrationName = "v3-add-email".parse().unwrap();
//! assert_eq!(name.as_str(), "v3-add-email");
//!
//! // A fact that could not be had is never the same as "no".
//! let sessions: Fact<u32> = Fact::Unknown(Why::new("the server did not answer"));
//! assert!(sessions.known().is_none());
//! ```

pub mod catalogue;
pub mod chain;
pub mod conversion;
pub mod dependent;
pub mod fact;
pub mod finding;
mod fold;
pub mod health;
pub mod name;
pub mod observation;
pub mod operation;
pub mod run;
pub mod sample;
pub mod secret_template;
pub mod server;
pub mod spec;
pub mod table;
pub mod trial;
pub mod unique;
pub mod visible;
pub mod writes;

pub use chain::{Chain, ChainBreak, Match};
pub use fact::{Fact, Why};
pub use name::{
    ClaimId, ConfigMapName, Digest, JobName, LoginName, MigrationName, NameError, ObjectRef,
    RoleName, SchemaVersion, SecretName,
};
pub use observation::{
    Claim, ClaimOwner, DatabaseFacts, ForeignObject, LockHolder, LoginFacts, LoginTurn,
    MigratorFacts, MissingPrivilege, ObservedVersion, Proof, Replication, ReportedReplica, Session,
    ToolLock, UnmanagedLogin,
};
pub use run::{JobFacts, JobPhase, Outcome, RunRecord};
pub use secret_template::{
    Encoder, KeyTemplate, Part, Preset, STANDARD_KEYS, SecretTemplate, TemplateError, TemplateValue,
};
pub use server::{Engine, ServerInfo};
pub use spec::{
    AccessPolicy, ConfigMapKey, CredentialPolicy, DatabaseSpec, DeletionPolicy, DsnKeys, DsnSource,
    LiquibaseVersion, Migration, Orphaned, PartKeys, Privilege, RunSettings, ServerRole, SqlSource,
    TlsMode, VersionSource,
};
