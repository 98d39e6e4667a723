//! `spec.health` as users write it: from where on a database is not well.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::migration::LIST_ITEMS_MAX;
use crate::pattern;

/// From where on a database is not well. Health reports, and nothing is decided by it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The time from one look to the next, give or take a tenth; 10s to 1h.
    #[serde(default = "interval")]
    #[schemars(length(min = 2, max = 32), regex(pattern = pattern::DURATION))]
    pub interval: String,
    /// Sessions, in percent of the connections that applications can have.
    #[serde(default = "connections_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub connections_percent: i32,
    /// How far a replica may be behind; 1s or more.
    #[serde(default = "replication_lag")]
    #[schemars(length(min = 2, max = 32), regex(pattern = pattern::DURATION))]
    pub replication_lag: String,
    /// How long a transaction may stay open; 1s or more.
    #[serde(default = "long_transaction")]
    #[schemars(length(min = 2, max = 32), regex(pattern = pattern::DURATION))]
    pub long_transaction: String,
    /// How much of the ids of a table, or of transactions, may be used, in percent.
    #[serde(default = "id_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub id_percent: i32,
    /// How much of a large table may be dead rows (PostgreSQL) or free space (MySQL, MariaDB), in percent.
    #[serde(default = "bloat_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub bloat_percent: i32,
    /// A table of so many bytes is large enough to matter for that.
    #[serde(default = "bloat_table_bytes")]
    #[schemars(range(min = 1))]
    pub bloat_table_bytes: i64,
    /// How long a migration may run; 1s or more.
    #[serde(default = "long_migration")]
    #[schemars(length(min = 2, max = 32), regex(pattern = pattern::DURATION))]
    pub long_migration: String,
    /// How many bytes the database may have: what its disk can hold, which the server does not tell. By default any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub database_bytes: Option<i64>,
    /// What a person has accepted: it is not told any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = LIST_ITEMS_MAX))]
    pub ignore: Vec<HealthIgnore>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            interval: interval(),
            connections_percent: connections_percent(),
            replication_lag: replication_lag(),
            long_transaction: long_transaction(),
            id_percent: id_percent(),
            bloat_percent: bloat_percent(),
            bloat_table_bytes: bloat_table_bytes(),
            long_migration: long_migration(),
            database_bytes: None,
            ignore: Vec::new(),
        }
    }
}

fn interval() -> String {
    "1m".to_owned()
}

fn connections_percent() -> i32 {
    80
}

fn replication_lag() -> String {
    "30s".to_owned()
}

fn long_transaction() -> String {
    "15m".to_owned()
}

fn id_percent() -> i32 {
    80
}

fn bloat_percent() -> i32 {
    40
}

fn bloat_table_bytes() -> i64 {
    100 << 20
}

fn long_migration() -> String {
    "24h".to_owned()
}

/// What a person has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthIgnore {
    /// The check, as the condition names it.
    pub check: HealthCheck,
    /// Only of this table; by default whatever the check is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 261))]
    pub table: Option<String>,
    /// Why, for everybody who reads it later.
    #[schemars(length(min = 1, max = 1000))]
    pub reason: String,
}

/// A check of a database's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "docs/health.md says what each looks at")]
pub enum HealthCheck {
    Migrations,
    IdExhaustion,
    Connections,
    Disk,
    ReplicationLag,
    LongTransactions,
    InvalidIndexes,
    Bloat,
    PrimaryKeys,
}
