//! What the planner reads: what is wanted, and what was seen.

use std::collections::BTreeMap;

use dbop_model::finding::Judgement;
use dbop_model::{
    Chain, DatabaseFacts, DatabaseSpec, Fact, ForeignObject, JobFacts, JobName, LoginFacts,
    MigrationName, Proof, RunRecord,
};
use jiff::Timestamp;

/// What is wanted: a ManagedDatabase and the migrations of its namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// The ManagedDatabase's spec.
    pub database: DatabaseSpec,
    /// The migrations.
    pub chain: Chain,
}

/// What was seen of the surroundings, in one look. Every fact is known or unknown with a reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The object itself.
    pub object: ObjectFacts,
    /// Jobs of this database, and Jobs that bear a name we need.
    pub jobs: Fact<Vec<JobFacts>>,
    /// Application Secrets of this database, by the migration that each belongs to.
    pub secrets: Fact<BTreeMap<MigrationName, SecretFacts>>,
    /// Workloads that refer to a credential's Secret, by migration; a migration without an entry has none.
    pub references: Fact<BTreeMap<MigrationName, Vec<Reference>>>,
    /// Workloads that refer to a Secret with a DSN of the operator's own, as far as they are known.
    pub admin_references: Vec<Reference>,
    /// Running workloads that say which schema their code is for.
    pub declared: Fact<Vec<Declared>>,
    /// Secrets and Jobs that bear a name we need and are not ours.
    pub foreign: Vec<ForeignObject>,
    /// The database; unknown where it cannot be reached or logged in to.
    pub database: Fact<DatabaseFacts>,
    /// What came of logging in with a credential's Secret, by migration; only where there is a Secret.
    pub proofs: BTreeMap<MigrationName, Proof>,
    /// Since when a login has been watched without a session or a reference, by migration.
    pub quiet: BTreeMap<MigrationName, Quiet>,
    /// The same of logins that were replaced, where the references are Pods from before that.
    pub quiet_replaced: BTreeMap<MigrationName, Quiet>,
    /// What the live database says of the next migration's hints.
    pub hints: Option<Hints>,
    /// Is there room for one more Job?
    pub slots: Slots,
}

impl Facts {
    /// The login of a migration's credential; `None` too where the database is not known.
    pub fn login(&self, migration: &MigrationName) -> Option<&LoginFacts> {
        self.database.known()?.logins.get(migration)
    }

    /// The Secret of a migration's credential; `None` too where the Secrets are not known.
    pub fn secret(&self, migration: &MigrationName) -> Option<&SecretFacts> {
        self.secrets.known()?.get(migration)
    }

    /// The Pods that may still hold the login that a credential had before; unknown where references are.
    pub fn holders_of_replaced(&self, migration: &MigrationName) -> Fact<Vec<Reference>> {
        let references = match &self.references {
            Fact::Known(references) => references.get(migration),
            Fact::Unknown(why) => return Fact::Unknown(why.clone()),
        };
        let issued_at = self.secret(migration).and_then(|secret| secret.issued_at);
        let holders = references.into_iter().flatten();
        let holders = holders.filter(|one| one.may_hold_what_was_before(issued_at));
        Fact::Known(holders.cloned().collect())
    }
}

/// The ManagedDatabase object beside its spec.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectFacts {
    /// It is being deleted.
    pub deleting: bool,
    /// The Job that a person says `retry` of.
    pub retry: Option<JobName>,
    /// The Job whose version a person accepts as done.
    pub accept_run: Option<JobName>,
    /// A person lets this object take over another's claim.
    pub take_over: bool,
    /// What a person wants rotated.
    pub rotate: Vec<RotationAsked>,
    /// `status.lastRun`.
    pub last_run: Option<RunRecord>,
}

/// A person wants other logins than those of a certain time. It is said once and for all: once they are replaced, the
/// logins are younger than that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationAsked {
    /// Whose credential; `None`: every one's.
    pub migration: Option<MigrationName>,
    /// Those that were published until then. A time to come asks for nothing before it is there.
    pub until: Timestamp,
}

/// An application Secret of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretFacts {
    /// Does its content (the password aside) stand as we would write it?
    pub intact: bool,
    /// Since when it names its login; `None`: nobody knows.
    pub issued_at: Option<Timestamp>,
}

/// A workload that refers to a credential's Secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Its kind: `Pod`, `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// How it refers to the Secret, for people: "container api, env DATABASE_URL".
    pub how: String,
    /// When it was made, where that is known.
    pub made_at: Option<Timestamp>,
}

impl Reference {
    /// May it hold what the Secret said before this time? A Pod reads it when it starts. A template holds nothing: what is
    /// made from it later reads what the Secret says then.
    pub fn may_hold_what_was_before(&self, time: Option<Timestamp>) -> bool {
        let is_younger = match (self.made_at, time) {
            (Some(made_at), Some(time)) => made_at >= time,
            _ => false,
        };
        self.kind == "Pod" && !is_younger
    }
}

/// A running workload that says which schema its code is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Declared {
    /// Its kind: `Pod`, `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The migration that it names; there need not be one.
    pub migration: String,
}

impl std::fmt::Display for Declared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.kind, self.name, self.migration)
    }
}

/// How long a login has been seen unused, by unbroken watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// The first look of the unbroken row that found neither session nor reference.
    pub since: Timestamp,
}

/// What the live database said of a migration's hints.
#[derive(Debug, Clone, PartialEq)]
pub struct Hints {
    /// The migration judged.
    pub migration: MigrationName,
    /// What came of it; unknown where the facts could not be gathered.
    pub judged: Fact<Judgement>,
}

/// Room for Jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// Jobs running for other databases.
    pub taken: usize,
    /// How many may run at once; `None`: no limit.
    pub limit: Option<usize>,
}

impl Slots {
    /// Is there room for one more?
    pub fn free(&self) -> bool {
        self.limit.is_none_or(|limit| self.taken < limit)
    }
}
