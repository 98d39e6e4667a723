//! A ManagedDatabase into `DatabaseSpec`.

use std::sync::Arc;
use std::time::Duration;

use dbop_model::finding::{Accept, HintMode, HintPolicy, Probes};
use dbop_model::sample::{MetricKind, MetricQuery, MetricsSpec};
use dbop_model::table::TableName;
use dbop_model::{
    CredentialPolicy, DatabaseSpec, DeletionPolicy, DsnKeys, DsnSource, Engine, KeyTemplate,
    LiquibaseVersion, MigrationName, ObjectRef, Orphaned, PartKeys, Preset, Privilege, RoleName,
    RunSettings, SecretName, SecretTemplate, ServerRole, TlsMode, VersionSource,
};

use super::Gather;
use super::health::health_spec;
use crate::refusal::Refusals;
use crate::{MANAGED_DATABASE, ManagedDatabase, database, duration, secret_template};

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
        connection:
            database::Connection {
                dsn_secret,
                secret_keys,
                tls,
                replicas,
            },
        desired_schema_version,
        schema_version,
        migrations,
        credentials,
        hints,
        metrics,
        health,
        read_only,
        paused,
        deletion_policy,
    } = &object.spec;
    // Each part is tried before any is missed, so that all refusals are had at once.
    let id = gather.take(
        "metadata.name",
        ObjectRef::new(&gather.object.namespace, &gather.object.name),
    );
    let dsn = dsn_source(
        dsn_secret,
        secret_keys.as_ref(),
        ServerRole::Primary,
        gather,
    );
    let replicas: Vec<Option<DsnSource>> = replicas
        .iter()
        .enumerate()
        .map(|(nth, one)| dsn_source(&one.dsn_secret, None, ServerRole::Replica(nth), gather))
        .collect();
    let ca_secret = gather.take_some(
        "spec.connection.tls.caSecret.name",
        tls.as_ref()
            .and_then(|tls| tls.ca_secret.as_ref())
            .map(|ca| ObjectRef::new(gather.object.namespace.clone(), ca.name.as_str())),
    );
    let desired = gather.take(
        "spec.desiredSchemaVersion",
        MigrationName::new(desired_schema_version),
    );
    let version_source = version_source(schema_version, gather);
    let runs = runs(migrations, gather);
    let credentials = credential_policy(credentials, gather);
    let hints = hint_policy(hints, gather);
    let metrics = match metrics {
        None => Some(None),
        Some(metrics) => metrics_spec(metrics, gather).map(Some),
    };
    let health = health_spec(health, migrations.active_deadline_seconds, gather);
    Some(DatabaseSpec {
        id: id?,
        dsn: dsn?,
        replicas: replicas.into_iter().collect::<Option<_>>()?,
        tls: tls.as_ref().map(|tls| tls_mode(tls.mode)),
        ca_secret: ca_secret?,
        desired: desired?,
        version_source: version_source?,
        runs: runs?,
        credentials: credentials?,
        hints: hints?,
        metrics: metrics?,
        health: health?,
        read_only: *read_only,
        paused: *paused,
        deletion: match deletion_policy {
            database::DeletionPolicy::Retain => DeletionPolicy::Retain,
            database::DeletionPolicy::Revoke => DeletionPolicy::Revoke,
        },
    })
}

fn dsn_source(
    secret: &database::DsnSecret,
    parts: Option<&database::SecretKeys>,
    of: ServerRole,
    gather: &mut Gather,
) -> Option<DsnSource> {
    let database::DsnSecret {
        name,
        namespace,
        key,
    } = secret;
    let name = gather.take(&format!("spec.connection.{of}.name"), SecretName::new(name))?;
    let namespace = namespace.as_ref().unwrap_or(&gather.object.namespace);
    let secret = ObjectRef::new(namespace.clone(), name.as_str());
    let secret = gather.take(&format!("spec.connection.{of}.namespace"), secret)?;
    Some(DsnSource {
        secret,
        keys: parts.map_or_else(|| DsnKeys::Whole(key.clone()), part_keys),
    })
}

fn part_keys(keys: &database::SecretKeys) -> DsnKeys {
    let database::SecretKeys {
        engine,
        host,
        port,
        database,
        username,
        password,
    } = keys.clone();
    DsnKeys::Parts(PartKeys {
        engine: match engine {
            database::DatabaseEngine::PostgreSQL => Engine::PostgreSql,
            database::DatabaseEngine::MySQL => Engine::MySql,
            database::DatabaseEngine::MariaDB => Engine::MariaDb,
        },
        host,
        port,
        database,
        username,
        password,
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
    let table = match (
        source.table.as_deref().or(source.engine.table()),
        &source.schema,
    ) {
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
    // The rules refuse a Query without a query and a Django without an app, and the tools have a default.
    source.of_table(table)
}

impl database::SchemaVersionSource {
    /// What it means for the model, with its table and schema already read as one name.
    ///
    /// `None`: a part is missing that the engine needs, which the rules of the CRD refuse.
    pub fn of_table(&self, table: Option<TableName>) -> Option<VersionSource> {
        let database::SchemaVersionSource {
            engine,
            query,
            table: _,
            schema: _,
            app,
            version_is,
        } = self;
        use database::VersionEngine as Engine;
        Some(match engine {
            Engine::Alembic => VersionSource::Alembic { table: table? },
            Engine::Flyway => VersionSource::Flyway { table: table? },
            Engine::Liquibase => VersionSource::Liquibase {
                table: table?,
                version: match version_is {
                    None | Some(database::LiquibaseVersion::ChangeSet) => {
                        LiquibaseVersion::ChangeSet
                    }
                    Some(database::LiquibaseVersion::Tag) => LiquibaseVersion::Tag,
                },
            },
            Engine::Rails => VersionSource::Rails { table: table? },
            Engine::Django => VersionSource::Django {
                table: table?,
                app: app.clone()?,
            },
            Engine::GolangMigrate => VersionSource::GolangMigrate { table: table? },
            Engine::Sqlx => VersionSource::Sqlx { table: table? },
            Engine::Diesel => VersionSource::Diesel { table: table? },
            Engine::Goose => VersionSource::Goose { table: table? },
            Engine::Prisma => VersionSource::Prisma { table: table? },
            Engine::Query => VersionSource::Query {
                query: query.clone()?,
                table,
            },
        })
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
        rotate_every,
        orphaned,
        ignore_replicas,
        secret_template: template,
        pod_templates: _,
    } = credentials;
    let quiet_window = gather.take("spec.credentials.quietWindow", parse_duration(quiet_window));
    let rotate_every = match rotate_every {
        None => Some(None),
        Some(text) => {
            let every = gather.take("spec.credentials.rotateEvery", parse_duration(text));
            every.map(Some)
        }
    };
    let secret_template = match template {
        None => Some(SecretTemplate::default()),
        Some(template) => secret_template(template, gather),
    };
    let quiet_window = quiet_window?;
    Some(CredentialPolicy {
        privileges: privileges.iter().map(|one| privilege(*one)).collect(),
        schemas: schemas
            .as_ref()
            .map(|schemas| schemas.iter().cloned().collect()),
        quiet_window,
        rotate_every: rotate_every?,
        orphaned: match orphaned {
            database::Orphaned::Retain => Orphaned::Retain,
            database::Orphaned::RevokeWhenUnused => Orphaned::RevokeWhenUnused,
        },
        ignore_replicas: *ignore_replicas,
        secret_template: secret_template?,
    })
}

fn secret_template(
    template: &secret_template::SecretTemplate,
    gather: &mut Gather,
) -> Option<SecretTemplate> {
    let secret_template::SecretTemplate {
        labels,
        annotations,
        kind,
        presets,
        keys,
        mount_path,
    } = template;
    // Each is read before any is missed.
    let read: Vec<Option<(String, KeyTemplate)>> = keys
        .iter()
        .map(|(key, text)| {
            let field = format!("spec.credentials.secretTemplate.keys.{key}");
            let template = gather.take(&field, KeyTemplate::parse(text))?;
            Some((key.clone(), template))
        })
        .collect();
    Some(SecretTemplate {
        labels: labels.clone(),
        annotations: annotations.clone(),
        kind: kind.clone(),
        presets: presets.iter().map(|one| preset(*one)).collect(),
        keys: read.into_iter().collect::<Option<_>>()?,
        mount_path: mount_path.clone(),
    })
}

fn preset(preset: secret_template::Preset) -> Preset {
    match preset {
        secret_template::Preset::Jdbc => Preset::Jdbc,
        secret_template::Preset::SqlAlchemy => Preset::SqlAlchemy,
        secret_template::Preset::DotNet => Preset::DotNet,
        secret_template::Preset::PgPass => Preset::PgPass,
        secret_template::Preset::PgService => Preset::PgService,
    }
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

fn metrics_spec(metrics: &database::Metrics, gather: &mut Gather) -> Option<MetricsSpec> {
    let database::Metrics {
        interval,
        table_estimated_size,
        table_next_id,
        sql_query,
    } = metrics;
    let interval = gather.take("spec.metrics.interval", parse_duration(interval));
    let mut tables = |field: &str, names: &[String]| -> Option<Vec<TableName>> {
        let names = names.iter().enumerate();
        let names = names.map(|(nth, name)| {
            gather.take(
                &format!("spec.metrics.{field}[{nth}]"),
                name.parse::<TableName>(),
            )
        });
        // Each is tried before any is missed.
        names.collect::<Vec<_>>().into_iter().collect()
    };
    let sizes = tables("tableEstimatedSize", table_estimated_size);
    let next_ids = tables("tableNextId", table_next_id);
    let queries: Vec<_> = sql_query.iter().map(metric_query).map(Arc::new).collect();
    refuse_twins(&queries, gather);
    Some(MetricsSpec {
        interval: interval?,
        sizes: sizes?,
        next_ids: next_ids?,
        queries,
    })
}

fn metric_query(query: &database::SqlQuery) -> MetricQuery {
    let database::SqlQuery {
        query,
        name,
        help,
        kind,
        labels,
    } = query.clone();
    MetricQuery {
        name,
        help,
        kind: match kind {
            database::MetricType::Gauge => MetricKind::Gauge,
            database::MetricType::Counter => MetricKind::Counter,
        },
        labels,
        sql: query,
    }
}

/// A metric has one help, and a series one value.
fn refuse_twins(queries: &[Arc<MetricQuery>], gather: &mut Gather) {
    for (nth, query) in queries.iter().enumerate() {
        let namesakes = queries.iter().take(nth).enumerate();
        let mut namesakes = namesakes
            .filter(|(_, before)| before.name == query.name)
            .peekable();
        let Some((other, first)) = namesakes.peek() else {
            continue;
        };
        if first.help != query.help {
            gather.refuse(
                &format!("spec.metrics.sqlQuery[{nth}].help"),
                format!("is not that of sqlQuery[{other}], which has the same name"),
                "write the same help for both, or call the metric something else",
            );
        }
        if let Some((other, _)) = namesakes.find(|(_, before)| before.labels == query.labels) {
            gather.refuse(
                &format!("spec.metrics.sqlQuery[{nth}].labels"),
                format!("are those of sqlQuery[{other}], which has the same name"),
                "give them different labels, or call the metric something else",
            );
        }
    }
}

fn hint_policy(hints: &database::Hints, gather: &mut Gather) -> Option<HintPolicy> {
    let database::Hints {
        mode,
        require_hints,
        large_table_rows,
        large_table_bytes,
        heavy_writes_per_second,
        probe_timeout,
        probes,
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
    let heavy_writes_per_second = gather.take(
        "spec.hints.heavyWritesPerSecond",
        u64::try_from(*heavy_writes_per_second),
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
        heavy_writes_per_second: heavy_writes_per_second?,
        probe_timeout: probe_timeout?,
        probes: match probes {
            database::Probes::ReadOnly => Probes::ReadOnly,
            database::Probes::Scratch => Probes::Scratch,
        },
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

pub(super) fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    duration::parse(text)
        .ok_or("is no duration; write a number and a unit, such as 500ms, 5s or 1m")
}
