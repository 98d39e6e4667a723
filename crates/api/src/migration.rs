//! The DatabaseMigration as users write it: one step of a schema, the program that takes it, and
//! what it does to the schema.

use k8s_openapi::api::core::v1::Container;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pattern;
use crate::status::DatabaseMigrationStatus;

/// How many entries the lists hold that people write by hand: far more than any migration needs,
/// few enough that the API server can bound the cost of the rules over them.
pub const LIST_ITEMS_MAX: u32 = 100;

/// SQL in the object itself: each look at a database holds it in memory, and etcd takes 1.5 MiB in all.
const INLINE_SQL_CHARS_MAX: u32 = 256 * 1024;

/// Pods of one migration at a time: each has a session of the database's.
const PODS_MAX: i32 = 1000;
/// Parts that a migration is cut into. Kubernetes allows 100,000 where so few Pods run at a time.
const COMPLETIONS_MAX: i32 = 100_000;

/// One step of a schema: the version that it brings, the step that it follows, and the program that
/// takes it.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "database-operator.dev",
    version = "v1alpha1",
    kind = "DatabaseMigration",
    plural = "databasemigrations",
    shortname = "dbm",
    category = "dbop",
    namespaced,
    status = "DatabaseMigrationStatus",
    derive = "PartialEq",
    doc = "One step of a schema: the version that it brings, the step that it follows, and the program that takes it.",
    printcolumn = r#"{"name": "Version", "type": "string", "jsonPath": ".spec.version"}"#,
    printcolumn = r#"{"name": "Previous", "type": "string", "jsonPath": ".spec.previous"}"#,
    printcolumn = r#"{"name": "Compatible-From", "type": "string", "jsonPath": ".spec.compatibleFrom", "priority": 1}"#,
    printcolumn = r#"{"name": "Used-By", "type": "string", "jsonPath": ".status.usedBy"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseMigrationSpec {
    /// What the database's schemaVersion engine reports once this migration has run; by default the
    /// name of this object. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = pattern::PRINTABLE))]
    pub version: Option<String>,
    /// The name of the DatabaseMigration that this one follows; absent on the first. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SUBDOMAIN))]
    pub previous: Option<String>,
    /// The name of the oldest DatabaseMigration whose application code works with this schema, an
    /// ancestor of this one; by default the one that previous names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SUBDOMAIN))]
    pub compatible_from: Option<String>,
    /// Does the container take an empty database straight to this version?
    #[serde(default)]
    pub from_empty: bool,
    /// The program that migrates: exit status 0 on success, safe to run again.
    pub container: Container,
    /// Several Pods at a time, each for a part of the work, in a cluster; by default one Pod does it
    /// all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<Parallelism>,
    /// What the migration does to the schema, judged against the live database before it starts. An
    /// empty list says that it does nothing to the schema; without the list, nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = LIST_ITEMS_MAX))]
    pub schema_hints: Option<Vec<SchemaHint>>,
    /// The SQL that the migration runs, inline or from a ConfigMap: what it does to the schema is read
    /// from it, and judged together with schemaHints. It is not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<MigrationSql>,
    /// Findings about this migration that a person takes responsibility for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = LIST_ITEMS_MAX))]
    pub accept: Vec<MigrationAccept>,
}

/// A migration that is cut into parts: an Indexed Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Parallelism {
    /// How many Pods run at a time.
    #[schemars(range(min = 1, max = PODS_MAX))]
    pub pods: i32,
    /// How many parts there are. Each is done by a Pod of its own, which finds its number, from 0, in
    /// JOB_COMPLETION_INDEX; the migration is complete once all are.
    #[schemars(range(min = 1, max = COMPLETIONS_MAX))]
    pub completions: i32,
}

/// The SQL that a migration runs: exactly one of the two.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationSql {
    /// The statements, as the database's own engine reads them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = INLINE_SQL_CHARS_MAX))]
    pub inline: Option<String>,
    /// A ConfigMap that holds them; it is read anew each time that the migration is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<SqlConfigMap>,
}

/// A key of a ConfigMap that holds SQL.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SqlConfigMap {
    /// The name of a ConfigMap in the namespace of this object.
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SUBDOMAIN))]
    pub name: String,
    /// The key in its data, such as V8__email.sql.
    #[schemars(length(min = 1, max = 253), regex(pattern = pattern::SECRET_KEY))]
    pub key: String,
}

/// A finding about one migration that a person takes responsibility for.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrationAccept {
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

/// One operation on the schema. Which of the other fields belong to it depends on `op`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaHint {
    /// What is done.
    pub op: Op,
    /// The table, by its name before the operation: table or schema.table, as the server's
    /// catalogue has it.
    #[schemars(length(min = 1, max = 261))]
    pub table: String,
    /// The columns: of addColumn, alterColumn, dropColumn, renameColumn (exactly one), createIndex,
    /// dropIndex, addConstraint and dropConstraint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = LIST_ITEMS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub columns: Vec<ColumnHint>,
    /// The new name: of renameColumn and renameTable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 261))]
    pub to: Option<String>,
    /// The index: of createIndex and dropIndex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexHint>,
    /// The kind of the constraint: of addConstraint and dropConstraint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<ConstraintKind>,
}

/// The operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "they are said in dbop_model::Operation")]
pub enum Op {
    AddColumn,
    AlterColumn,
    DropColumn,
    RenameColumn,
    CreateIndex,
    DropIndex,
    AddConstraint,
    DropConstraint,
    CreateTable,
    DropTable,
    RenameTable,
}

/// A column of an operation. All but the name belong to addColumn and alterColumn.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ColumnHint {
    /// Its name, as the server's catalogue has it.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Its type as SQL writes it, such as text or numeric(10,2), perhaps with GENERATED.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub sql_type: Option<String>,
    /// May it hold NULL? Of addColumn: by default yes. Of alterColumn: by default unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nullable: Option<bool>,
    /// Does the server fill it where an INSERT does not? Said where default does not say how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_server_default: Option<bool>,
    /// The default as a SQL expression, such as now() or '{}'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub default: Option<String>,
}

/// The index of an operation.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IndexHint {
    /// Its kind, where it is created; without it: plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<IndexKind>,
    /// Is it built or dropped without stopping writes (CONCURRENTLY)?
    #[serde(default)]
    pub online: bool,
}

/// The kinds of indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "they are said in dbop_model::operation")]
pub enum IndexKind {
    Plain,
    Unique,
    Fulltext,
    Spatial,
}

/// The kinds of constraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "they are said in dbop_model::operation")]
pub enum ConstraintKind {
    Unique,
    PrimaryKey,
    NotNull,
    Check,
    ForeignKey,
}
