//! A ManagedDatabase into `DatabaseSpec`.

use std::time::Duration;

use dbop_model::finding::{Accept, HintMode, HintPolicy};
use dbop_model::table::TableName;
use dbop_model::{
    CredentialPolicy, DatabaseSpec, DeletionPolicy, DsnSource, MigrationName, ObjectRef, Orphaned,
    Privilege, RoleName, RunSettings, SecretName, TlsMode, VersionSource,
};

use super::Gather;
use crate::refusal::Refusals;
use crate::{MANAGED_DATABASE, ManagedDatabase, database, duration};

/// The version tables as the tools name them (alembic.sqlalchemy.org, `version_table`; sqlx
/// `Migrator`).
const ALEMBIC_TABLE: &str = "alembic_version";
const SQLX_TABLE: &str = "_sqlx_migrations";

impl TryFrom<&ManagedDatabase> for DatabaseSpec {
    type Error = Refusals;

    fn try_from(object: &ManagedDatabase) -> Result<Self, Refusals> {
        let mut gather = Gather::new(MANAGED_DATABASE, object)?;
        let spec = spec(object, &mut gather);
        gather.finish(spec)
    }
}

fn spec(object: &ManagedDatabase, gather: &mut Gather) -> Option<DatabaseSpec> {
    let database::ManagedDatabaseSpec {
        connection: database::Connection { dsn_secret, tls },
        desired_schema_version,
        schema_version,
        migrations,
        credentials,
        hints,
        read_only,
        paused,
        deletion_policy,
    } = &object.spec;
    // Each part is tried before any is missed, so that all refusals are had at once.
    let id = gather.take(
        "metadata.name",
        ObjectRef::new(&gather.object.namespace, &gather.object.name),
    );
    let secret = gather.take(
        "spec.connection.dsnSecret.name",
        SecretName::new(&dsn_secret.name),
    );
    let ca_secret = gather.take_some(
        "spec.connection.tls.caSecret.name",
        tls.as_ref()
            .and_then(|tls| tls.ca_secret.as_ref())
            .map(|ca| SecretName::new(&ca.name)),
    );
    let desired = gather.take(
        "spec.desiredSchemaVersion",
        MigrationName::new(desired_schema_version),
    );
    let version_source = version_source(schema_version, gather);
    let runs = runs(migrations, gather);
    let credentials = credential_policy(credentials, gather);
    let hints = hint_policy(hints, gather);
    Some(DatabaseSpec {
        id: id?,
        dsn: DsnSource {
            secret: secret?,
            key: dsn_secret.key.clone(),
        },
        tls: tls.as_ref().map(|tls| tls_mode(tls.mode)),
        ca_secret: ca_secret?,
        desired: desired?,
        version_source: version_source?,
        runs: runs?,
        credentials: credentials?,
        hints: hints?,
        read_only: *read_only,
        paused: *paused,
        deletion: match deletion_policy {
            database::DeletionPolicy::Retain => DeletionPolicy::Retain,
            database::DeletionPolicy::Revoke => DeletionPolicy::Revoke,
        },
    })
}

fn tls_mode(mode: database::TlsMode) -> TlsMode {
    match mode {
        database::TlsMode::Disable => TlsMode::Disable,
        database::TlsMode::Require => TlsMode::Require,
        database::TlsMode::VerifyCa => TlsMode::VerifyCa,
        database::TlsMode::VerifyFull => TlsMode::VerifyFull,
    }
}

fn version_source(
    source: &database::SchemaVersionSource,
    gather: &mut Gather,
) -> Option<VersionSource> {
    let database::SchemaVersionSource {
        engine,
        query,
        table,
        schema,
    } = source;
    let (default, query) = match engine {
        database::VersionEngine::Alembic => (Some(ALEMBIC_TABLE), None),
        database::VersionEngine::Sqlx => (Some(SQLX_TABLE), None),
        database::VersionEngine::Query => (None, query.clone()),
    };
    let table = match (table.as_deref().or(default), schema) {
        (None, _) => None,
        (Some(table), None) => {
            Some(gather.take("spec.schemaVersion.table", table.parse::<TableName>())?)
        }
        (Some(table), Some(schema)) => {
            let table = gather.take("spec.schemaVersion.table", table.parse::<TableName>())?;
            if table.schema().is_some() {
                gather.refuse(
                    "spec.schemaVersion.schema",
                    "is given, and the table names a schema too",
                    "drop one of the two",
                );
                return None;
            }
            let within = TableName::new(Some(schema), table.name());
            Some(gather.take("spec.schemaVersion.schema", within)?)
        }
    };
    match (engine, query, table) {
        (database::VersionEngine::Query, Some(query), table) => {
            Some(VersionSource::Query { query, table })
        }
        (database::VersionEngine::Alembic, _, Some(table)) => {
            Some(VersionSource::Alembic { table })
        }
        (database::VersionEngine::Sqlx, _, Some(table)) => Some(VersionSource::Sqlx { table }),
        // The rules refuse a Query without a query, and the tools have a default.
        _ => None,
    }
}

fn runs(migrations: &database::Migrations, gather: &mut Gather) -> Option<RunSettings> {
    let database::Migrations {
        lock_timeout,
        pushgateway,
        owner_role,
        // The platform's own business, which the schema and its rules have judged.
        pod_template: _,
        config: _,
        active_deadline_seconds: _,
    } = migrations;
    let lock_timeout = gather.take_some(
        "spec.migrations.lockTimeout",
        lock_timeout.as_deref().map(parse_duration),
    );
    let owner_role = gather.take_some(
        "spec.migrations.ownerRole",
        owner_role.as_ref().map(RoleName::new),
    );
    Some(RunSettings {
        lock_timeout: lock_timeout?,
        pushgateway: pushgateway.clone(),
        owner_role: owner_role?,
    })
}

fn credential_policy(
    credentials: &database::Credentials,
    gather: &mut Gather,
) -> Option<CredentialPolicy> {
    let database::Credentials {
        privileges,
        schemas,
        quiet_window,
        orphaned,
        pod_templates: _,
    } = credentials;
    let quiet_window = gather.take("spec.credentials.quietWindow", parse_duration(quiet_window))?;
    Some(CredentialPolicy {
        privileges: privileges.iter().map(|one| privilege(*one)).collect(),
        schemas: schemas
            .as_ref()
            .map(|schemas| schemas.iter().cloned().collect()),
        quiet_window,
        orphaned: match orphaned {
            database::Orphaned::Retain => Orphaned::Retain,
            database::Orphaned::RevokeWhenUnused => Orphaned::RevokeWhenUnused,
        },
    })
}

fn privilege(privilege: database::Privilege) -> Privilege {
    match privilege {
        database::Privilege::Select => Privilege::Select,
        database::Privilege::Insert => Privilege::Insert,
        database::Privilege::Update => Privilege::Update,
        database::Privilege::Delete => Privilege::Delete,
        database::Privilege::Truncate => Privilege::Truncate,
        database::Privilege::References => Privilege::References,
        database::Privilege::Trigger => Privilege::Trigger,
    }
}

fn hint_policy(hints: &database::Hints, gather: &mut Gather) -> Option<HintPolicy> {
    let database::Hints {
        mode,
        require_hints,
        large_table_rows,
        large_table_bytes,
        probe_timeout,
        accept,
    } = hints;
    let large_table_rows = gather.take(
        "spec.hints.largeTableRows",
        u64::try_from(*large_table_rows),
    );
    let large_table_bytes = gather.take_some(
        "spec.hints.largeTableBytes",
        large_table_bytes.map(u64::try_from),
    );
    let probe_timeout = gather.take("spec.hints.probeTimeout", parse_duration(probe_timeout));
    let accept: Option<Vec<Accept>> = accept
        .iter()
        .enumerate()
        .map(|(nth, entry)| accept_entry(entry, &format!("spec.hints.accept[{nth}]"), gather))
        .collect();
    Some(HintPolicy {
        mode: match mode {
            database::HintMode::Block => HintMode::Block,
            database::HintMode::Warn => HintMode::Warn,
            database::HintMode::Off => HintMode::Off,
        },
        require_hints: *require_hints,
        large_table_rows: large_table_rows?,
        large_table_bytes: large_table_bytes?,
        probe_timeout: probe_timeout?,
        accept: accept?,
    })
}

/// One entry of an `accept` list.
pub(super) fn accept_entry(
    entry: &database::AcceptEntry,
    field: &str,
    gather: &mut Gather,
) -> Option<Accept> {
    let database::AcceptEntry {
        migration,
        rule,
        table,
        reason,
    } = entry;
    let migration = gather.take_some(
        &format!("{field}.migration"),
        migration.as_ref().map(MigrationName::new),
    );
    let table = gather.take(&format!("{field}.table"), table.parse::<TableName>());
    gather.take(field, Accept::new(migration?, rule, table?, reason))
}

fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    duration::parse(text)
        .ok_or("is no duration; write a number and a unit, such as 500ms, 5s or 1m")
}
