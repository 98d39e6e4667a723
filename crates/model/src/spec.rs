//! What users ask for: the two custom resources, parsed.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::finding::{Accept, HintPolicy};
use crate::name::{ConfigMapName, Digest, MigrationName, ObjectRef, RoleName, SchemaVersion};
use crate::operation::Operation;
use crate::secret_template::SecretTemplate;
use crate::server::Engine;
use crate::table::TableName;

/// A ManagedDatabase's spec.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseSpec {
    /// Namespace and name of the object.
    pub id: ObjectRef,
    /// Where the admin DSN is.
    pub dsn: DsnSource,
    /// Where sessions are looked for besides: the DSN of each replica.
    pub replicas: Vec<DsnSource>,
    /// How TLS is used; `None` is the default: `Require` for remote hosts, `Disable` for loopback.
    pub tls: Option<TlsMode>,
    /// Where the CA certificate is: a Secret with the key `ca.crt`.
    pub ca_secret: Option<ObjectRef>,
    /// The migration whose schema is wanted.
    pub desired: MigrationName,
    /// How the schema version shows in the database.
    pub version_source: VersionSource,
    /// What holds for every migration run.
    pub runs: RunSettings,
    /// How application credentials are made and retired.
    pub credentials: CredentialPolicy,
    /// How hints are judged.
    pub hints: HintPolicy,
    /// What is sampled for metrics; `None`: nothing.
    pub metrics: Option<crate::sample::MetricsSpec>,
    /// From where on the database is not well.
    pub health: crate::health::HealthSpec,
    /// Observe and report only.
    pub read_only: bool,
    /// Start nothing new.
    pub paused: bool,
    /// What deleting the object does to logins and Secrets.
    pub deletion: DeletionPolicy,
}

/// Where a DSN is: in a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DsnSource {
    /// The Secret; one of another namespace than the object's has to allow it.
    pub secret: ObjectRef,
    /// Where in it.
    pub keys: DsnKeys,
}

impl DsnSource {
    /// The field below `spec.connection` that says under which keys it stands.
    pub fn field(&self, of: ServerRole) -> String {
        match self.keys {
            DsnKeys::Whole(_) => of.to_string(),
            DsnKeys::Parts(_) => "secretKeys".to_owned(),
        }
    }
}

/// Which keys of a Secret hold a DSN. Its `Display` names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DsnKeys {
    /// One has all of it.
    Whole(String),
    /// Each has a part.
    Parts(PartKeys),
}

/// The keys of a Secret that hold the parts of a DSN.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named for the part")]
pub struct PartKeys {
    /// What the parts do not say.
    pub engine: Engine,
    pub host: String,
    pub port: String,
    pub database: String,
    pub username: String,
    pub password: String,
}

impl fmt::Display for DsnKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DsnKeys::Whole(key) => write!(f, "key {key}"),
            DsnKeys::Parts(PartKeys {
                engine: _,
                host,
                port,
                database,
                username,
                password,
            }) => {
                write!(
                    f,
                    "keys {host}, {port}, {database}, {username} and {password}"
                )
            }
        }
    }
}

/// A server that a ManagedDatabase leads to. Its `Display` is where its DSN stands, below `spec.connection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerRole {
    /// The one that takes writes.
    Primary,
    /// A replica, by its place in the list.
    Replica(usize),
}

impl fmt::Display for ServerRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerRole::Primary => f.write_str("dsnSecret"),
            ServerRole::Replica(nth) => write!(f, "replicas[{nth}].dsnSecret"),
        }
    }
}

impl DatabaseSpec {
    /// Where the DSN of a server is; `None`: there is no such replica.
    pub fn dsn_of(&self, role: ServerRole) -> Option<&DsnSource> {
        match role {
            ServerRole::Primary => Some(&self.dsn),
            ServerRole::Replica(nth) => self.replicas.get(nth),
        }
    }
}

/// How a connection uses TLS. What each mode is called where is here and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disable,
    /// Encrypted, the certificate is not checked.
    Require,
    /// The certificate is signed by the CA.
    VerifyCa,
    /// The certificate is signed by the CA and names the host.
    VerifyFull,
}

/// In the words of `connection.tls.mode`.
impl fmt::Display for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsMode::Disable => "Disable",
            TlsMode::Require => "Require",
            TlsMode::VerifyCa => "VerifyCa",
            TlsMode::VerifyFull => "VerifyFull",
        })
    }
}

impl TlsMode {
    /// In the words of libpq's `sslmode` (PostgreSQL manual, section 32.19).
    pub fn libpq(self) -> &'static str {
        match self {
            TlsMode::Disable => "disable",
            TlsMode::Require => "require",
            TlsMode::VerifyCa => "verify-ca",
            TlsMode::VerifyFull => "verify-full",
        }
    }

    /// In those of MySQL's `ssl-mode` (MySQL 8.4 manual, section 6.2.5), which are Connector/J's `sslMode` as well.
    pub fn mysql(self) -> &'static str {
        match self {
            TlsMode::Disable => "DISABLED",
            TlsMode::Require => "REQUIRED",
            TlsMode::VerifyCa => "VERIFY_CA",
            TlsMode::VerifyFull => "VERIFY_IDENTITY",
        }
    }

    /// In those of `sslMode` of MariaDB's Connector/J, from 3.0 on.
    pub fn mariadb_jdbc(self) -> &'static str {
        match self {
            TlsMode::Disable => "disable",
            TlsMode::Require => "trust",
            TlsMode::VerifyCa => "verify-ca",
            TlsMode::VerifyFull => "verify-full",
        }
    }
}

/// How the schema version shows in the database: the tool that writes it, and the table that it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionSource {
    /// Alembic's version table.
    Alembic {
        /// The version table; default `alembic_version`.
        table: TableName,
    },
    /// Flyway's schema history.
    Flyway {
        /// The history; default `flyway_schema_history`.
        table: TableName,
    },
    /// Liquibase's `DATABASECHANGELOG`.
    Liquibase {
        /// The change log's table; default `databasechangelog`, in whatever case the server keeps it.
        table: TableName,
        /// What a version is.
        version: LiquibaseVersion,
    },
    /// Rails' `schema_migrations`.
    Rails {
        /// The table; default `schema_migrations`.
        table: TableName,
    },
    /// Django's `django_migrations`, of one app.
    Django {
        /// The table; default `django_migrations`.
        table: TableName,
        /// The app, by its label.
        app: String,
    },
    /// golang-migrate's `schema_migrations`.
    GolangMigrate {
        /// The table; default `schema_migrations`.
        table: TableName,
    },
    /// sqlx's `_sqlx_migrations`.
    Sqlx {
        /// The migrations table; default `_sqlx_migrations`.
        table: TableName,
    },
    /// Diesel's `__diesel_schema_migrations`.
    Diesel {
        /// The table; default `__diesel_schema_migrations`.
        table: TableName,
    },
    /// goose's `goose_db_version`.
    Goose {
        /// The table; default `goose_db_version`.
        table: TableName,
    },
    /// Prisma Migrate's `_prisma_migrations`.
    Prisma {
        /// The table; default `_prisma_migrations`.
        table: TableName,
    },
    /// One read-only statement giving one value.
    Query {
        /// The statement.
        query: String,
        /// What applications must not write: the table the statement reads.
        table: Option<TableName>,
    },
}

/// What a version is where Liquibase keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiquibaseVersion {
    /// The change set that ran last, as `path::id::author`.
    ChangeSet,
    /// The last tag.
    Tag,
}

impl VersionSource {
    /// The table that holds the version: no application login may write it.
    pub fn table(&self) -> Option<&TableName> {
        match self {
            VersionSource::Alembic { table }
            | VersionSource::Flyway { table }
            | VersionSource::Liquibase { table, .. }
            | VersionSource::Rails { table }
            | VersionSource::Django { table, .. }
            | VersionSource::GolangMigrate { table }
            | VersionSource::Sqlx { table }
            | VersionSource::Diesel { table }
            | VersionSource::Goose { table }
            | VersionSource::Prisma { table } => Some(table),
            VersionSource::Query { table, .. } => table.as_ref(),
        }
    }
}

/// Liquibase's lock, unless it is told another name.
const LIQUIBASE_LOCK: &str = "databasechangeloglock";
/// Where goose's table lockers keep their locks, unless they are told another name.
const GOOSE_LOCK: &str = "goose_lock";
/// Rails' two tables; a prefix or a suffix of tables' names is on both.
const RAILS: [&str; 2] = ["schema_migrations", "ar_internal_metadata"];

impl VersionSource {
    /// The tables that the tool makes for itself beside the version table, and beside it: nobody's data, and no
    /// application login may write them either.
    ///
    /// There may be none of them. Where a person named the version table, the tool's own name is one of these, and
    /// so is the one that follows from the person's as the tool's own names follow from each other.
    pub fn companions(&self) -> Vec<TableName> {
        let Some(version_table) = self.table() else {
            return Vec::new();
        };
        let name = version_table.name();
        let names = match self {
            VersionSource::Liquibase { .. } => [format!("{name}lock"), LIQUIBASE_LOCK.to_owned()],
            VersionSource::Rails { .. } => [name.replace(RAILS[0], RAILS[1]), RAILS[1].to_owned()],
            VersionSource::Goose { .. } => [format!("{name}_lock"), GOOSE_LOCK.to_owned()],
            VersionSource::Alembic { .. }
            | VersionSource::Flyway { .. }
            | VersionSource::Django { .. }
            | VersionSource::GolangMigrate { .. }
            | VersionSource::Sqlx { .. }
            | VersionSource::Diesel { .. }
            | VersionSource::Prisma { .. }
            | VersionSource::Query { .. } => return Vec::new(),
        };
        let mut companions: Vec<TableName> = Vec::new();
        for name in names {
            // A name that no server takes is no table's.
            let Ok(table) = TableName::new(version_table.schema(), &name) else {
                continue;
            };
            if table != *version_table && !companions.contains(&table) {
                companions.push(table);
            }
        }
        companions
    }
}

/// What holds for every migration run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunSettings {
    /// How long the run's statements may wait for a lock (`DBA_OP_LOCK_TIMEOUT`).
    pub lock_timeout: Option<Duration>,
    /// `host:port` of an outside Pushgateway; default: the operator's own receiver.
    pub pushgateway: Option<String>,
    /// The role that owns the objects; default one of ours.
    pub owner_role: Option<RoleName>,
}

/// A privilege on tables that application logins get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

impl Privilege {
    /// Every privilege, in SQL's usual order.
    pub const ALL: [Privilege; 7] = [
        Privilege::Select,
        Privilege::Insert,
        Privilege::Update,
        Privilege::Delete,
        Privilege::Truncate,
        Privilege::References,
        Privilege::Trigger,
    ];

    /// The SQL keyword.
    pub fn sql(self) -> &'static str {
        match self {
            Privilege::Select => "SELECT",
            Privilege::Insert => "INSERT",
            Privilege::Update => "UPDATE",
            Privilege::Delete => "DELETE",
            Privilege::Truncate => "TRUNCATE",
            Privilege::References => "REFERENCES",
            Privilege::Trigger => "TRIGGER",
        }
    }

    /// Does it let a login change the contents of a table?
    pub fn writes(self) -> bool {
        !matches!(self, Privilege::Select | Privilege::References)
    }
}

/// How application credentials are made and retired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialPolicy {
    /// What application logins may do with tables.
    pub privileges: BTreeSet<Privilege>,
    /// In which schemas; `None`: every user schema.
    pub schemas: Option<BTreeSet<String>>,
    /// How long a credential is watched, unused, before it is retired.
    pub quiet_window: Duration,
    /// A login that was published so long ago is replaced by another; `None`: only when a person says so.
    pub rotate_every: Option<Duration>,
    /// What happens to credentials beyond the current version, after a restore.
    pub orphaned: Orphaned,
    /// Sessions on replicas that the spec does not name do not matter.
    pub ignore_replicas: bool,
    /// What the Secrets of credentials have besides.
    pub secret_template: SecretTemplate,
}

/// What application logins may do, where, and what they never may: all that the grants follow from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessPolicy {
    /// What application logins may do with tables.
    pub privileges: BTreeSet<Privilege>,
    /// In which schemas; `None`: every user schema.
    pub schemas: Option<BTreeSet<String>>,
    /// The table that holds the schema version: never written by applications.
    pub version_table: Option<TableName>,
    /// Other tables that the migration tool keeps for itself, where they are there: as little written, and no more
    /// of a user's.
    pub tool_tables: BTreeSet<TableName>,
    /// The role that owns the objects, where the user names one of theirs.
    pub owner_role: Option<RoleName>,
}

impl DatabaseSpec {
    /// The part that the grants follow from.
    pub fn access(&self) -> AccessPolicy {
        AccessPolicy {
            privileges: self.credentials.privileges.clone(),
            schemas: self.credentials.schemas.clone(),
            version_table: self.version_source.table().cloned(),
            tool_tables: self.version_source.companions().into_iter().collect(),
            owner_role: self.runs.owner_role.clone(),
        }
    }
}

/// What happens to credentials beyond the current version (a backup was restored).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphaned {
    /// They stay.
    Retain,
    /// They are retired like old ones, once provably unused.
    RevokeWhenUnused,
}

/// What deleting a ManagedDatabase does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// Logins and Secrets stay.
    Retain,
    /// Logins that are provably unused are dropped, with their Secrets.
    Revoke,
}

/// A DatabaseMigration's spec.
#[derive(Debug, Clone, PartialEq)]
pub struct Migration {
    /// The object's name.
    pub name: MigrationName,
    /// What the schema-version engine reports once it has run.
    pub version: SchemaVersion,
    /// The migration that it supersedes; `None` on the first.
    pub previous: Option<MigrationName>,
    /// The oldest migration whose application code works with this schema; default `previous`.
    pub compatible_from: Option<MigrationName>,
    /// Its container takes an empty database straight here.
    pub from_empty: bool,
    /// Digest of what it runs: when it differs from a run's, the migration has changed since.
    pub digest: Digest,
    /// What it does to the schema, as its author says; `None`: not said (`Some(vec![])`: nothing).
    pub hints: Option<Vec<Operation>>,
    /// Its SQL, from which hints are read besides.
    pub sql: Option<SqlSource>,
    /// Findings that a person takes responsibility for.
    pub accept: Vec<Accept>,
}

/// Bytes of a migration's SQL: what a ConfigMap holds at most (Kubernetes, "ConfigMaps": 1 MiB). What is longer is a
/// dump, and no look at a database should read it each time.
pub const SQL_BYTES_MAX: usize = 1 << 20;

/// Where a migration's SQL stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlSource {
    /// In the object itself. Shared: a migration is copied with each look.
    Inline(Arc<str>),
    /// In a ConfigMap of the object's namespace.
    ConfigMap(ConfigMapKey),
}

/// A key of a ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMapKey {
    /// The ConfigMap.
    pub name: ConfigMapName,
    /// Its key.
    pub key: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: VersionSource, expect: &[&str]) {
        let found: Vec<String> = source
            .companions()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, expect, "{source:?}");
    }

    #[test]
    fn the_tables_that_a_tool_keeps_besides_follow_the_name_of_its_version_table() {
        let table = |name: &str| -> TableName { name.parse().unwrap() };
        let liquibase = |name: &str| VersionSource::Liquibase {
            table: table(name),
            version: LiquibaseVersion::Tag,
        };
        let rails = |name: &str| VersionSource::Rails { table: table(name) };
        let goose = |name: &str| VersionSource::Goose { table: table(name) };
        check(liquibase("databasechangelog"), &["databasechangeloglock"]);
        check(
            liquibase("app.shop_log"),
            &["app.shop_loglock", "app.databasechangeloglock"],
        );
        let long = "x".repeat(64);
        check(liquibase(&long), &["databasechangeloglock"]);
        check(rails("schema_migrations"), &["ar_internal_metadata"]);
        check(
            rails("app.shop_schema_migrations"),
            &["app.shop_ar_internal_metadata", "app.ar_internal_metadata"],
        );
        check(rails("versions"), &["ar_internal_metadata"]);
        check(
            goose("goose_db_version"),
            &["goose_db_version_lock", "goose_lock"],
        );
        let alembic = VersionSource::Alembic {
            table: table("alembic_version"),
        };
        check(alembic, &[]);
        let query = VersionSource::Query {
            query: "SELECT 1".to_owned(),
            table: None,
        };
        check(query, &[]);
    }
}
