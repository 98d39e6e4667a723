//! The status of both kinds: what the operator says of them, and of itself only what changes.
//!
//! Types alone; `report` fills them in.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::migration::LIST_ITEMS_MAX;

/// What the operator says of a ManagedDatabase.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedDatabaseStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling and Stalled, as kstatus has them; DatabaseReachable, HintsClear, Healthy; and MetricsSampled,
    /// where metrics are wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// Where the database stands, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The server's engine and version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The DatabaseMigration whose schema the database has; where none has it, the version as it is
    /// recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_version: Option<String>,
    /// The DatabaseMigration whose schema is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_version: Option<String>,
    /// The DatabaseMigrations whose application code works with the schema that the database has, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = LIST_ITEMS_MAX))]
    pub supported_versions: Vec<String>,
    /// The migrations still to run, the next one first; the first hundred of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = LIST_ITEMS_MAX))]
    pub path: Vec<String>,
    /// The migration that is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<RunningMigration>,
    /// The last run whose outcome is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// The credentials that exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = LIST_ITEMS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["migration"])
    )]
    pub credentials: Vec<CredentialStatus>,
    /// Logins that are connected and none of the operator's making: applications that have not moved to the credential
    /// of a version, people; and the operator's own, where somebody else uses it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = LIST_ITEMS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["username"])
    )]
    pub unmanaged_logins: Vec<UnmanagedLoginStatus>,
    /// What the hint rules say of the next migration, except where all is well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = LIST_ITEMS_MAX))]
    pub findings: Vec<FindingStatus>,
    /// The current version's Secret (servicebinding.io).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
}

/// A migration that is running.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunningMigration {
    /// The DatabaseMigration.
    pub name: String,
    /// Its Job.
    pub job: String,
    /// When its Job was created.
    #[schemars(with = "Time")]
    pub started_at: Timestamp,
    /// How far it is by its own account, in percent, in steps of five.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<i32>,
}

/// A run whose outcome is known.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// The DatabaseMigration that ran.
    pub migration: String,
    /// The one that it started from; absent: an empty database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its Job: what a person names to say retry.
    pub job: String,
    /// The digest of the migration when it ran.
    pub digest: String,
    /// How it ended.
    pub outcome: RunOutcome,
    /// When its Job was created.
    #[schemars(with = "Time")]
    pub started_at: Timestamp,
    /// When it ended.
    #[schemars(with = "Time")]
    pub finished_at: Timestamp,
    /// The exit status, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What is known of the end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How a run ended. Completed: it succeeded and the database says so. Failed. VersionNotReached: it
/// succeeded, and the database does not say so. Accepted: a person took it as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the type says what each means")]
pub enum RunOutcome {
    Completed,
    Failed,
    VersionNotReached,
    Accepted,
}

/// A credential that exists.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialStatus {
    /// The DatabaseMigration whose application it is for.
    pub migration: String,
    /// The login in the database, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The Secret that holds it.
    pub secret_name: String,
    /// Since when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    pub issued_at: Option<Timestamp>,
    /// Its state.
    pub state: CredentialState,
    /// Is it used, by a session or a workload? Absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use: Option<bool>,
    /// By whom; the first ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = LIST_ITEMS_MAX))]
    pub used_by: Vec<String>,
    /// The login that a rotation has replaced, until nobody holds it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<ReplacedLogin>,
}

/// A login that a rotation has replaced.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplacedLogin {
    /// Its name in the database.
    pub username: String,
    /// Is it used, by a session or a Pod from before the rotation? Absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use: Option<bool>,
    /// By whom; the first ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = LIST_ITEMS_MAX))]
    pub used_by: Vec<String>,
}

/// A login that is none of the operator's making, and is connected.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnmanagedLoginStatus {
    /// Its name in the database.
    pub username: String,
    /// It is the one that the operator itself logs in with: nobody else should have its password.
    #[serde(default)]
    pub admin: bool,
    /// By whom it is used; the first ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = LIST_ITEMS_MAX))]
    pub used_by: Vec<String>,
}

/// Ready: its login works. Defective: some part of it is missing or does not work. Retiring: its
/// login is locked. Unknown: not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the type says what each means")]
pub enum CredentialState {
    Ready,
    Defective,
    Retiring,
    Unknown,
}

/// What a hint rule says of an operation of the next migration.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingStatus {
    /// The DatabaseMigration.
    pub migration: String,
    /// The rule.
    pub rule: String,
    /// What it says.
    pub verdict: String,
    /// The table.
    pub table: String,
    /// What was found, and where that is from.
    pub evidence: String,
    /// Ways out, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = LIST_ITEMS_MAX))]
    pub advice: Vec<String>,
    /// Why a person takes responsibility for it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
}

/// A Secret to bind to (servicebinding.io, "Provisioned Service").
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Its name.
    pub name: String,
}

/// What the operator says of a DatabaseMigration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseMigrationStatus {
    /// The digest of what it runs and is judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The ManagedDatabases to whose chain it belongs; the first hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = LIST_ITEMS_MAX))]
    pub used_by: Vec<String>,
}
