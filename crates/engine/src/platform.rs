//! The ports to the surroundings: where objects, Secrets and Jobs live, what time it is, what is random.
//!
//! Three platforms stand behind [`Platform`]: a directory, a Kubernetes cluster, a simulation. Every write is
//! safe to repeat, and none touches an object that is not ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use dbop_database::Target;
use dbop_model::health::Health;
use dbop_model::{
    ClaimId, ConfigMapKey, DatabaseSpec, Fact, JobFacts, JobName, MigrationName, ObjectRef,
    RunRecord, SecretName, ServerRole,
};
use dbop_plan::{
    Action, Because, Decision, Declared, Desired, Facts, ObjectFacts, Reference, Run, Slots,
};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

/// How fresh an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// As the platform was told last: what decides only what to look at next.
    Cached,
    /// As it is now: an action goes on from it.
    Live,
}

/// A ManagedDatabase as the platform has it now, with the migrations of its namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// What is wanted.
    pub desired: Desired,
    /// The object beside its spec.
    pub object: ObjectFacts,
    /// Does our finalizer hold the object, so that its deletion waits for us?
    pub held: bool,
}

/// An opaque revision of a stored object: a write that names it fails if the object has changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision(pub String);

/// A Secret of a name that a credential of this database has or would have.
#[derive(Clone)]
pub struct SecretSeen {
    /// The Secret's name.
    pub name: SecretName,
    /// Is it ours, by its label? One that is not is never read further or written.
    pub ours: bool,
    /// Its revision.
    pub revision: Revision,
    /// Its type; empty where it is not ours.
    pub kind: String,
    /// Its content; empty where it is not ours.
    pub data: BTreeMap<String, SecretString>,
    /// What it has by a template: of what was written so, what is there.
    pub dress: Dress,
    /// The claim that its login's name derives from, as it was recorded in it.
    pub claim: Option<ClaimId>,
    /// Since when it names its login, as it was recorded in it.
    pub issued_at: Option<Timestamp>,
    /// When it was made, where that is known.
    pub created_at: Option<Timestamp>,
}

/// What a Secret of ours has beside its marks and its standard keys: by the template of its database. A Secret keeps
/// a record of it, so that what is no longer in the template is told from what people have added, which stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dress {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// The names of keys.
    pub keys: BTreeSet<String>,
}

impl Dress {
    /// Is there nothing in it?
    pub fn is_empty(&self) -> bool {
        self == &Dress::default()
    }
}

impl fmt::Debug for SecretSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretSeen({}, ours: {})", self.name, self.ours)
    }
}

/// A value of a Secret to which a field below `spec.connection` leads, of what that Secret holds as text.
///
/// # Errors
/// [`PlatformError::Missing`], with the keys that there are.
pub fn connection_value(
    database: &ObjectRef,
    field: &str,
    secret: &ObjectRef,
    held: &BTreeMap<String, SecretString>,
    key: &str,
) -> Result<SecretString, PlatformError> {
    let value = held.get(key).ok_or_else(|| {
        let keys: Vec<&str> = held.keys().map(String::as_str).collect();
        let keys = if keys.is_empty() {
            "none".to_owned()
        } else {
            keys.join(", ")
        };
        let what = format!("Secret {secret} has no key {key} that is text; its keys: {keys}");
        PlatformError::not_in_place(database, field, &what)
    })?;
    // A value that was made with `echo` ends with a line end that nobody means.
    let value = value.expose_secret().trim_end_matches(['\r', '\n']);
    Ok(value.to_owned().into())
}

/// An application Secret to be written.
#[derive(Debug, Clone)]
pub struct AppSecret {
    /// The ManagedDatabase.
    pub database: ObjectRef,
    /// The migration that the credential belongs to.
    pub migration: MigrationName,
    /// The Secret's name.
    pub name: SecretName,
    /// Its type: `servicebinding.io/postgresql`. One that exists has the type that it was created with.
    pub kind: String,
    /// The claim that the login's name derives from.
    pub claim: String,
    /// Its content.
    pub data: BTreeMap<String, SecretString>,
    /// What of it is by a template.
    pub dress: Dress,
    /// Since when it names its login, to be recorded in it; `None`: what is recorded stays.
    pub issued_at: Option<Timestamp>,
    /// What the Secret that it replaces had by a template, and standard keys, that are to go: the values mean nothing.
    pub undress: Dress,
}

impl AppSecret {
    /// Its content over that of the Secret that it replaces, as a whole: keys that people have added stay.
    pub fn over(&self, held: &BTreeMap<String, SecretString>) -> BTreeMap<String, SecretString> {
        let mut whole = held.clone();
        whole.retain(|key, _| !self.undress.keys.contains(key));
        whole.extend(self.data.clone());
        whole
    }
}

/// A Job to be created, suspended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSpec {
    /// The ManagedDatabase.
    pub database: ObjectRef,
    /// The run: Job name, from, to and digest, all of which the Job carries.
    pub run: Run,
    /// The server (`host:port`) that it works on: slots are counted by it.
    pub server: String,
    /// Environment of the container that is no secret. The platform adds where to push metrics.
    pub environment: BTreeMap<String, String>,
}

/// What a platform call failed with, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// Something that is needed does not exist.
    #[error("{0}")]
    Missing(String),
    /// An object is not well formed: it says which field, and the way out.
    #[error("{0}")]
    Refused(String),
    /// The object has changed since it was read: look again.
    #[error("{what} has changed since it was read")]
    Conflict {
        /// Which object.
        what: String,
    },
    /// An object of that name exists and is not ours. Nothing was changed.
    #[error("{what} exists and is not ours")]
    Foreign {
        /// Which object.
        what: String,
    },
    /// The platform itself failed.
    #[error("{operation}: {reason}")]
    Failed {
        /// What was under way.
        operation: String,
        /// Why it failed.
        reason: String,
    },
}

impl PlatformError {
    /// Does it take a person or a change to be mended?
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            PlatformError::Refused(_) | PlatformError::Foreign { .. }
        )
    }
}

impl PlatformError {
    /// A server that the spec does not name was asked for.
    pub fn no_server(database: &ObjectRef, role: ServerRole) -> Self {
        PlatformError::Missing(format!(
            "ManagedDatabase {database}: spec.connection.{role} is not there"
        ))
    }

    /// What a field below `spec.connection` leads to is not there, or not as it has to be.
    pub fn not_in_place(database: &ObjectRef, field: &str, what: &str) -> Self {
        PlatformError::Missing(format!(
            "ManagedDatabase {database}: spec.connection.{field}: {what}"
        ))
    }

    /// There is no such ConfigMap, or no such key in it. `why` says which, as a clause.
    pub fn no_config_map_value(
        namespace: &str,
        at: &ConfigMapKey,
        why: ConfigMapLacks<'_>,
    ) -> Self {
        let ConfigMapKey { name, key } = at;
        let map = format!("ConfigMap {namespace}/{name}");
        PlatformError::Missing(match why {
            ConfigMapLacks::Map => {
                format!("{map} does not exist; create it, with the SQL under the key {key}")
            }
            ConfigMapLacks::Text => format!(
                "{map} has the key {key} in binaryData, and SQL is text; put it into data, as UTF-8"
            ),
            ConfigMapLacks::Key { keys } => {
                let keys = if keys.is_empty() {
                    "none".to_owned()
                } else {
                    keys.join(", ")
                };
                format!("{map} has no key {key}; its keys: {keys}")
            }
        })
    }
}

/// What a ConfigMap lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigMapLacks<'a> {
    /// It does not exist.
    Map,
    /// The key holds bytes, no text.
    Text,
    /// The key; those that it has.
    Key {
        /// Its keys.
        keys: &'a [&'a str],
    },
}

/// What the workloads of a namespace have to do with a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workloads {
    /// Who refers to each of the Secrets that were asked for; one that nobody refers to may be left out.
    pub references: BTreeMap<SecretName, Vec<Reference>>,
    /// Those that run and say which schema their code is for.
    pub declared: Vec<Declared>,
}

/// Where a database stands after a pass: what the platform shows to people.
#[derive(Debug)]
pub struct Report<'a> {
    /// What is wanted.
    pub desired: &'a Desired,
    /// What was seen.
    pub facts: &'a Facts,
    /// What comes next.
    pub decision: &'a Decision,
    /// What the last step failed with, where it did: the same step is tried again.
    pub failure: Option<&'a str>,
    /// How it fares, by the last look beside the passes and by its runs.
    pub health: &'a Health,
    /// What of `spec.metrics` could not be had at the last sample; `None`: no sample was tried yet.
    pub unsampled: Option<&'a [String]>,
    /// When this was observed.
    pub now: Timestamp,
}

/// Where objects, Secrets and Jobs live.
#[async_trait]
pub trait Platform: Send + Sync {
    /// An id of these surroundings that claims carry: two platforms never share one.
    fn cluster(&self) -> String;

    /// The object and the migrations of its namespace; `None`: there is no such object.
    async fn subject(
        &self,
        database: &ObjectRef,
        read: Read,
    ) -> Result<Option<Subject>, PlatformError>;

    /// Where a server of the database is, and how to log in to it: as the admin, or to look at a replica.
    async fn target(
        &self,
        spec: &DatabaseSpec,
        role: ServerRole,
        read: Read,
    ) -> Result<Target, PlatformError>;

    /// The Jobs of this database.
    async fn jobs(&self, database: &ObjectRef, read: Read) -> Result<Vec<JobFacts>, PlatformError>;

    /// Is there a Job of this name that is not ours? By default there are no others.
    async fn is_foreign_job(&self, _database: &ObjectRef, _job: &JobName) -> bool {
        false
    }

    /// The application Secrets of this database, and any that bears one of `names`; by migration.
    async fn secrets(
        &self,
        database: &ObjectRef,
        names: &BTreeMap<MigrationName, SecretName>,
        read: Read,
    ) -> Result<BTreeMap<MigrationName, SecretSeen>, PlatformError>;

    /// The workloads of the database's namespace, unfinished Pods among them, as far as they concern the database.
    async fn workloads(
        &self,
        database: &ObjectRef,
        secrets: &BTreeSet<SecretName>,
        read: Read,
    ) -> Fact<Workloads>;

    /// The value of a key of a ConfigMap, as it is now: SQL that a migration names.
    ///
    /// # Errors
    /// [`PlatformError::Missing`] where there is no such ConfigMap, or no such key with a text.
    async fn config_map_value(
        &self,
        namespace: &str,
        at: &ConfigMapKey,
    ) -> Result<String, PlatformError>;

    /// Room for a Job of this database, on this server (`host:port`) where it is known.
    async fn slots(&self, database: &ObjectRef, server: Option<&str>) -> Slots;

    /// Puts our finalizer on the object, so that its deletion waits for us: before the first write that
    /// would outlive it. By default deletions wait for nobody.
    async fn hold(&self, _database: &ObjectRef) -> Result<(), PlatformError> {
        Ok(())
    }

    /// Creates an application Secret (`at`: `None`), or replaces ours at that revision.
    async fn write_secret(
        &self,
        secret: &AppSecret,
        at: Option<&Revision>,
    ) -> Result<(), PlatformError>;

    /// Deletes an application Secret of ours at that revision. One that is gone is deleted.
    async fn delete_secret(
        &self,
        database: &ObjectRef,
        name: &SecretName,
        at: &Revision,
    ) -> Result<(), PlatformError>;

    /// Creates a run's Job: suspended, with our finalizer. One of this very run that exists is created.
    async fn create_job(&self, job: &JobSpec) -> Result<(), PlatformError>;

    /// Writes (or replaces) the Secret of a Job's own: environment with the migrator's credential.
    async fn write_job_secret(
        &self,
        database: &ObjectRef,
        job: &JobName,
        environment: &BTreeMap<String, SecretString>,
    ) -> Result<(), PlatformError>;

    /// Lets a suspended Job run. One that runs or has run is released.
    async fn release_job(&self, database: &ObjectRef, job: &JobName) -> Result<(), PlatformError>;

    /// Deletes a Job that never ran. One that is gone is deleted.
    async fn delete_job(&self, database: &ObjectRef, job: &JobName) -> Result<(), PlatformError>;

    /// Removes our finalizer from a Job, and the Job's own Secret with it.
    async fn finish_job(&self, database: &ObjectRef, job: &JobName) -> Result<(), PlatformError>;

    /// Writes `status.lastRun`.
    async fn record_run(&self, database: &ObjectRef, run: &RunRecord) -> Result<(), PlatformError>;

    /// Removes our finalizers from the object and its Jobs: it is being deleted.
    async fn let_go(&self, database: &ObjectRef) -> Result<(), PlatformError>;

    /// Shows where a database stands; written only where it differs from what is shown.
    async fn publish(&self, database: &ObjectRef, report: &Report<'_>)
    -> Result<(), PlatformError>;

    /// Tells people what was done, once all of it is; by default nobody.
    async fn acted(&self, _database: &ObjectRef, _action: &Action, _because: &Because) {}

    /// Tells people what of `spec.metrics` cannot be had, by its field; by default nobody.
    async fn unsampled(&self, _database: &ObjectRef, _problem: &str) {}
}

/// Time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Returns after this long.
    async fn sleep(&self, span: Duration);
}

/// Randomness.
pub trait Entropy: Send + Sync {
    /// Fills the bytes with randomness fit for passwords.
    fn fill(&self, bytes: &mut [u8]);
}
