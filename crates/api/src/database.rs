//! The ManagedDatabase as users write it: a database, and the schema that it should have.
//!
//! Texts stay texts here. What they mean is settled once, on the way into the model (`convert`),
//! where each refusal can name its field.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::health::Health;
use crate::migration::LIST_ITEMS_MAX;
use crate::pattern;
use crate::pod_template::PodTemplate;
use crate::secret_template::SecretTemplate;
use crate::status::ManagedDatabaseStatus;

/// Further kinds with a Pod template that one database's applications use: more than there are in
/// any one cluster.
const POD_TEMPLATE_KINDS_MAX: u32 = 16;
/// Replicas of one database: more than a primary sends its changes to.
const REPLICAS_MAX: u32 = 16;
/// Seconds that Kubernetes can count to where it bounds how long a Pod is active.
const ACTIVE_SECS_MAX: i64 = i32::MAX as i64;

/// A database, the schema version that it should have, and how its applications get their
/// credentials.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "database-operator.dev",
    version = "v1alpha1",
    kind = "ManagedDatabase",
    plural = "manageddatabases",
    shortname = "mdb",
    category = "dbop",
    namespaced,
    status = "ManagedDatabaseStatus",
    derive = "PartialEq",
    doc = "A database, the schema version that it should have, and how its applications get their credentials.",
    printcolumn = r#"{"name": "Engine", "type": "string", "jsonPath": ".status.engine"}"#,
    printcolumn = r#"{"name": "Current", "type": "string", "jsonPath": ".status.currentVersion"}"#,
    printcolumn = r#"{"name": "Desired", "type": "string", "jsonPath": ".spec.desiredSchemaVersion"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Status", "type": "string", "jsonPath": ".status.summary"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ManagedDatabaseSpec {
    /// Where the database is, and how the operator logs in to it.
    pub connection: Connection,
    /// The name of the DatabaseMigration whose schema is wanted. Changing it asks for a migration.
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SUBDOMAIN))]
    pub desired_schema_version: String,
    /// How the schema version shows in the database.
    pub schema_version: SchemaVersionSource,
    /// What holds for every migration run.
    #[serde(default)]
    pub migrations: Migrations,
    /// How application credentials are made and retired.
    #[serde(default)]
    pub credentials: Credentials,
    /// How the hints of migrations are judged.
    #[serde(default)]
    pub hints: Hints,
    /// What of the database is published as metrics, sampled on a schedule of its own; by default nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// From where on the database is not well, as the condition Healthy says. It is looked at in any case.
    #[serde(default)]
    pub health: Health,
    /// Observe and report only: nothing but status and Events is written.
    #[serde(default)]
    pub read_only: bool,
    /// Start nothing new.
    #[serde(default)]
    pub paused: bool,
    /// What deleting this object does to the applications' logins and Secrets. Retain: they stay.
    /// Revoke: those that are provably unused are dropped, the others stay.
    #[serde(default = "deletion_policy")]
    pub deletion_policy: DeletionPolicy,
}

fn deletion_policy() -> DeletionPolicy {
    DeletionPolicy::Retain
}

/// What deleting a ManagedDatabase does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the field says what each means")]
pub enum DeletionPolicy {
    Retain,
    Revoke,
}

/// Where a database is.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The Secret that holds the admin's connection string; read by the operator alone.
    pub dsn_secret: DsnSecret,
    /// For a Secret that holds the parts of the connection string instead: under which keys of dsnSecret they stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_keys: Option<SecretKeys>,
    /// How TLS is used; by default Require for remote hosts, Disable for loopback addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The replicas of the database: sessions are looked for there as well, and nothing else. A login is not taken
    /// for unused while one of them cannot be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = REPLICAS_MAX))]
    pub replicas: Vec<ReplicaConnection>,
}

/// How the operator logs in to a replica.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaConnection {
    /// The Secret that holds the connection string. Its login sees the sessions of others: pg_read_all_stats on
    /// PostgreSQL is enough; on MySQL and MariaDB, PROCESS and SELECT on mysql.* are.
    pub dsn_secret: DsnSecret,
}

/// A key of a Secret that holds a connection string.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DsnSecret {
    /// The name of a Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SUBDOMAIN))]
    pub name: String,
    /// Its namespace, by default that of this object. One in another, which no Pod here can mount, has to allow it:
    /// its annotation database-operator.dev/allowed-databases names this object as namespace/name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = pattern::DNS_LABEL))]
    pub namespace: Option<String>,
    /// The key in it that holds postgresql://user:password@host:port/database (or mysql://, mariadb://).
    #[serde(default = "dsn_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SECRET_KEY))]
    pub key: String,
}

fn dsn_key() -> String {
    "dsn".to_owned()
}

/// Which keys of a Secret hold the parts of a connection string.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeys {
    /// The kind of server, which the parts do not say.
    pub engine: DatabaseEngine,
    /// The key with the host's name or address.
    #[serde(default = "host_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SECRET_KEY))]
    pub host: String,
    /// The key with the port.
    #[serde(default = "port_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SECRET_KEY))]
    pub port: String,
    /// The key with the database's name.
    #[serde(default = "database_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SECRET_KEY))]
    pub database: String,
    /// The key with the login.
    #[serde(default = "username_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SECRET_KEY))]
    pub username: String,
    /// The key with its password.
    #[serde(default = "password_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SECRET_KEY))]
    pub password: String,
}

fn host_key() -> String {
    "host".to_owned()
}

fn port_key() -> String {
    "port".to_owned()
}

fn database_key() -> String {
    "database".to_owned()
}

fn username_key() -> String {
    "username".to_owned()
}

fn password_key() -> String {
    "password".to_owned()
}

/// A kind of database server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "each is a name")]
pub enum DatabaseEngine {
    PostgreSQL,
    MySQL,
    MariaDB,
}

/// How connections use TLS.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Disable: never. Require: encrypted, the certificate is not checked. VerifyCa: the
    /// certificate is signed by the CA. VerifyFull: it is, and it names the host.
    pub mode: TlsMode,
    /// The Secret whose key ca.crt holds the CA certificate, for VerifyCa and VerifyFull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<CaSecret>,
}

/// libpq's modes (PostgreSQL manual, section 32.19), without the ones that fall back silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the field says what each means")]
pub enum TlsMode {
    Disable,
    Require,
    VerifyCa,
    VerifyFull,
}

/// A Secret with the key `ca.crt`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaSecret {
    /// The name of a Secret in the namespace of this object.
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SUBDOMAIN))]
    pub name: String,
}

/// How the schema version shows in the database.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaVersionSource {
    /// The tool that writes the version; Query: any other, read by a statement of yours.
    pub engine: VersionEngine,
    /// With engine Query: one read-only statement that gives one value. A table that does not exist
    /// is no version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub query: Option<String>,
    /// The table that holds the version; by default the one that the tool makes. With engine Query:
    /// the table that the statement reads, so that applications are not let to write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 261))]
    pub table: Option<String>,
    /// The schema of that table; by default the one that has such a table. On MySQL and MariaDB a
    /// schema is a database, by default the one of the connection string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub schema: Option<String>,
    /// With engine Django: the app whose migrations are meant, by its label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = pattern::PRINTABLE))]
    pub app: Option<String>,
    /// With engine Liquibase, what a version is. ChangeSet: the change set that ran last, as
    /// path::id::author. Tag: the last tag; what ran after it counts once the next tag is set. By
    /// default ChangeSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_is: Option<LiquibaseVersion>,
}

/// The tools whose versions are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "they are the tools' own names")]
pub enum VersionEngine {
    Alembic,
    Flyway,
    Liquibase,
    Rails,
    Django,
    GolangMigrate,
    Sqlx,
    Diesel,
    Goose,
    Prisma,
    Query,
}

impl VersionEngine {
    /// Every one of them, in the order in which they are named to people.
    pub const ALL: [VersionEngine; 11] = [
        VersionEngine::Alembic,
        VersionEngine::Flyway,
        VersionEngine::Liquibase,
        VersionEngine::Rails,
        VersionEngine::Django,
        VersionEngine::GolangMigrate,
        VersionEngine::Sqlx,
        VersionEngine::Diesel,
        VersionEngine::Goose,
        VersionEngine::Prisma,
        VersionEngine::Query,
    ];

    /// The table as the tool itself names it; `None`: a query's is the user's.
    pub fn table(self) -> Option<&'static str> {
        match self {
            VersionEngine::Alembic => Some("alembic_version"),
            VersionEngine::Flyway => Some("flyway_schema_history"),
            VersionEngine::Liquibase => Some("databasechangelog"),
            VersionEngine::Rails | VersionEngine::GolangMigrate => Some("schema_migrations"),
            VersionEngine::Django => Some("django_migrations"),
            VersionEngine::Sqlx => Some("_sqlx_migrations"),
            VersionEngine::Diesel => Some("__diesel_schema_migrations"),
            VersionEngine::Goose => Some("goose_db_version"),
            VersionEngine::Prisma => Some("_prisma_migrations"),
            VersionEngine::Query => None,
        }
    }
}

/// What a version is where Liquibase keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the field says what each means")]
pub enum LiquibaseVersion {
    ChangeSet,
    Tag,
}

/// What holds for every migration run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Migrations {
    /// How long a statement of a migration may wait for a lock, such as 5s: DBA_OP_LOCK_TIMEOUT. By
    /// default the container is told none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = pattern::DURATION))]
    pub lock_timeout: Option<String>,
    /// host:port of a Pushgateway for the migrations' metrics; by default the operator's own
    /// receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 261), regex(pattern = pattern::HOST_PORT))]
    pub pushgateway: Option<String>,
    /// The role that owns the objects of the database, for one that existed before; by default the
    /// operator makes one without LOGIN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = pattern::PRINTABLE))]
    pub owner_role: Option<String>,
    /// The Pods that migrations run in, in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
    /// A Secret that every migration's container finds as files, in a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<MigrationConfig>,
    /// How many seconds a run may take before Kubernetes kills it, in a cluster; by default any. The
    /// statement that it is in may go on in the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = ACTIVE_SECS_MAX))]
    pub active_deadline_seconds: Option<i64>,
}

/// A Secret that every migration's container finds as files.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationConfig {
    /// The name of a Secret in the namespace of this object.
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SUBDOMAIN))]
    pub secret: String,
    /// Where its keys are files, for reading alone, such as /etc/migration.
    #[schemars(length(min = 2, max = 4096), regex(pattern = pattern::MOUNT_PATH))]
    pub mount_path: String,
}

/// How application credentials are made and retired.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// What application logins may do with tables.
    #[serde(default = "privileges")]
    #[schemars(length(min = 1, max = 7), extend("x-kubernetes-list-type" = "set"))]
    pub privileges: Vec<Privilege>,
    /// The schemas in which they may; by default every schema that is not the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 100),
        inner(length(min = 1, max = 63)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub schemas: Option<Vec<String>>,
    /// How long a credential is watched, unused, before it is retired.
    #[serde(default = "quiet_window")]
    #[schemars(length(min = 2, max = 32), regex(pattern = pattern::DURATION))]
    pub quiet_window: String,
    /// How old a login becomes, such as 720h: then the credential gets another, its Secret is changed in place, and the
    /// login before goes once nobody holds it. 10m or more; by default a login is replaced only when a person says rotate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = pattern::DURATION))]
    pub rotate_every: Option<String>,
    /// What becomes of credentials beyond the current version, after a restore. Retain: they stay.
    /// RevokeWhenUnused: they are retired like old ones, once provably unused.
    #[serde(default = "orphaned")]
    pub orphaned: Orphaned,
    /// Sessions on replicas that connection.replicas does not lead to do not matter: nobody logs in there, or what
    /// the server takes for one only reads its log. By default a replica that the server shows and that is not
    /// named keeps every credential from being retired.
    #[serde(default)]
    pub ignore_replicas: bool,
    /// What the Secrets of credentials have besides the keys of a service binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_template: Option<SecretTemplate>,
    /// Further kinds with a Pod template at spec.template, which count as users of a credential like
    /// Deployments do, such as argoproj.io/v1alpha1 Rollout; the operator must be let to list them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = POD_TEMPLATE_KINDS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["apiVersion", "kind"])
    )]
    pub pod_templates: Vec<PodTemplateKind>,
}

/// A kind of objects that hold a Pod template.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplateKind {
    /// Its group and version, such as argoproj.io/v1alpha1.
    #[schemars(length(min = 2, max = 317), regex(pattern = pattern::API_VERSION))]
    pub api_version: String,
    /// Its name, such as Rollout.
    #[schemars(length(min = 1, max = 63), regex(pattern = pattern::KIND))]
    pub kind: String,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            privileges: privileges(),
            schemas: None,
            quiet_window: quiet_window(),
            rotate_every: None,
            orphaned: orphaned(),
            ignore_replicas: false,
            secret_template: None,
            pod_templates: Vec::new(),
        }
    }
}

fn privileges() -> Vec<Privilege> {
    vec![
        Privilege::Select,
        Privilege::Insert,
        Privilege::Update,
        Privilege::Delete,
    ]
}

fn quiet_window() -> String {
    "1m".to_owned()
}

fn orphaned() -> Orphaned {
    Orphaned::Retain
}

/// Queries of one database, each a statement in every sample.
pub const QUERIES_MAX: u32 = 20;
/// Labels of a query's series, beside the database's own.
const METRIC_LABELS_MAX: u32 = 8;

/// What of a database is published as metrics.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// The time from one sample to the next, give or take a tenth; 10s to 1h. A scrape shows the last sample.
    #[serde(default = "interval")]
    #[schemars(length(min = 2, max = 32), regex(pattern = pattern::DURATION))]
    pub interval: String,
    /// Tables whose size is published: an estimate of their rows, their bytes, rows changed per second.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = LIST_ITEMS_MAX),
        inner(length(min = 1, max = 261)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub table_estimated_size: Vec<String>,
    /// Tables of which is published which id their next row gets, and which is the last that fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = LIST_ITEMS_MAX),
        inner(length(min = 1, max = 261)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub table_next_id: Vec<String>,
    /// Queries of yours, each of which gives one number. They run as a login of their own that may only read, in a
    /// transaction that only reads, five seconds each at most, and never while a migration runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = QUERIES_MAX))]
    pub sql_query: Vec<SqlQuery>,
}

/// A number that a query gives.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlQuery {
    /// One SELECT that gives one row with one column, a number.
    #[schemars(length(min = 1, max = 4096))]
    pub query: String,
    /// The metric's name, such as orders_open or orders_paid_total. Queries that differ in labels may share it.
    #[schemars(length(min = 1, max = 128), regex(pattern = pattern::METRIC))]
    pub name: String,
    /// What the number says, for people.
    #[schemars(length(min = 1, max = 256), regex(pattern = pattern::PRINTABLE))]
    pub help: String,
    /// Gauge: it goes up and down. Counter: it only goes up, and its name ends in _total.
    #[serde(rename = "type", default = "gauge")]
    pub kind: MetricType,
    /// Labels of the series, beside namespace and name of the ManagedDatabase.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "metric_labels")]
    pub labels: BTreeMap<String, String>,
}

fn metric_labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": METRIC_LABELS_MAX,
        "additionalProperties": {
            "type": "string", "minLength": 1, "maxLength": 128, "pattern": pattern::PRINTABLE,
        },
    })
}

fn gauge() -> MetricType {
    MetricType::Gauge
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the field says what each means")]
pub enum MetricType {
    Gauge,
    Counter,
}

fn interval() -> String {
    "1m".to_owned()
}

/// A privilege on tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "they are SQL's own names")]
pub enum Privilege {
    Select,
    Insert,
    Update,
    Delete,
    Truncate,
    References,
    Trigger,
}

/// What becomes of credentials beyond the current version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the field says what each means")]
pub enum Orphaned {
    Retain,
    RevokeWhenUnused,
}

/// How the hints of migrations are judged.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hints {
    /// Block: what would fail or stop reads or writes stops the migration. Warn: it is reported.
    /// Off: nothing is looked at.
    #[serde(default = "hint_mode")]
    pub mode: HintMode,
    /// Does a migration stop that does not say all that it does to the schema, by schemaHints or by sql that
    /// can be read?
    #[serde(default)]
    pub require_hints: bool,
    /// A table of so many rows or more is large.
    #[serde(default = "large_table_rows")]
    #[schemars(range(min = 1))]
    pub large_table_rows: i64,
    /// A table of so many bytes or more is large, too; by default only rows count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub large_table_bytes: Option<i64>,
    /// A table is under heavy writes from so many changed rows per second on, as the server's own counters
    /// have them. It matters for large tables alone.
    #[serde(default = "heavy_writes_per_second")]
    #[schemars(range(min = 1))]
    pub heavy_writes_per_second: i64,
    /// How long one probe of a table may take on the server, at most 10s.
    #[serde(default = "probe_timeout")]
    #[schemars(length(min = 2, max = 32), regex(pattern = pattern::DURATION))]
    pub probe_timeout: String,
    /// ReadOnly: nothing is written to find out what a statement does. Scratch: statements from sql are
    /// tried as well, on an empty copy of their table, of which nothing is left.
    #[serde(default = "probes")]
    pub probes: Probes,
    /// Findings that a person takes responsibility for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = LIST_ITEMS_MAX))]
    pub accept: Vec<AcceptEntry>,
}

impl Default for Hints {
    fn default() -> Self {
        Self {
            mode: hint_mode(),
            require_hints: false,
            large_table_rows: large_table_rows(),
            large_table_bytes: None,
            heavy_writes_per_second: heavy_writes_per_second(),
            probe_timeout: probe_timeout(),
            probes: probes(),
            accept: Vec::new(),
        }
    }
}

fn hint_mode() -> HintMode {
    HintMode::Block
}

fn large_table_rows() -> i64 {
    1_000_000
}

fn heavy_writes_per_second() -> i64 {
    100
}

fn probe_timeout() -> String {
    "5s".to_owned()
}

fn probes() -> Probes {
    Probes::ReadOnly
}

/// What a look at the database may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the field says what each means")]
pub enum Probes {
    ReadOnly,
    Scratch,
}

/// What findings do to a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the field says what each means")]
pub enum HintMode {
    Block,
    Warn,
    Off,
}

/// A finding that a person takes responsibility for.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcceptEntry {
    /// The DatabaseMigration whose finding it is; by default those of every migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SUBDOMAIN))]
    pub migration: Option<String>,
    /// The rule's id, as the finding shows it, such as not-null-over-nulls.
    #[schemars(length(min = 1, max = 63), regex(pattern = pattern::RULE_ID))]
    pub rule: String,
    /// The table, as the finding shows it.
    #[schemars(length(min = 1, max = 261))]
    pub table: String,
    /// Why, for everybody who sees the finding later.
    #[schemars(length(min = 1, max = 1000))]
    pub reason: String,
}
