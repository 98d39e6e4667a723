//! `spec.health` into `HealthSpec`.

use std::time::Duration;

use dbop_model::health::{Check, HealthSpec, Ignore};
use dbop_model::table::TableName;

use super::Gather;
use super::database::parse_duration;
use crate::health::{Health, HealthCheck, HealthIgnore};

/// With the deadline that the platform sets its Jobs, in seconds.
pub(super) fn health_spec(
    health: &Health,
    deadline_seconds: Option<i64>,
    gather: &mut Gather,
) -> Option<HealthSpec> {
    let Health {
        interval,
        connections_percent,
        replication_lag,
        long_transaction,
        id_percent,
        bloat_percent,
        bloat_table_bytes,
        long_migration,
        database_bytes,
        ignore,
    } = health;
    let mut span = |field: &str, text: &str| {
        gather.take(&format!("spec.health.{field}"), parse_duration(text))
    };
    let interval = span("interval", interval);
    let replication_lag = span("replicationLag", replication_lag);
    let long_transaction = span("longTransaction", long_transaction);
    let long_migration = span("longMigration", long_migration);
    let mut percent = |field: &str, number: i32| {
        gather.take(&format!("spec.health.{field}"), u8::try_from(number))
    };
    let connections_percent = percent("connectionsPercent", *connections_percent);
    let id_percent = percent("idPercent", *id_percent);
    let bloat_percent = percent("bloatPercent", *bloat_percent);
    let bloat_table_bytes = gather.take(
        "spec.health.bloatTableBytes",
        u64::try_from(*bloat_table_bytes),
    );
    let database_bytes = gather.take_some(
        "spec.health.databaseBytes",
        database_bytes.map(u64::try_from),
    );
    let ignore = ignore.iter().enumerate();
    let ignore: Vec<Option<Ignore>> = ignore
        .map(|(nth, entry)| ignored(entry, &format!("spec.health.ignore[{nth}]"), gather))
        .collect();
    Some(HealthSpec {
        interval: interval?,
        connections_percent: connections_percent?,
        replication_lag: replication_lag?,
        long_transaction: long_transaction?,
        id_percent: id_percent?,
        bloat_percent: bloat_percent?,
        bloat_table_bytes: bloat_table_bytes?,
        long_migration: long_migration?,
        // A negative one is refused by the schema.
        migration_deadline: deadline_seconds
            .and_then(|seconds| seconds.try_into().ok())
            .map(Duration::from_secs),
        database_bytes: database_bytes?,
        ignore: ignore.into_iter().collect::<Option<_>>()?,
    })
}

fn ignored(entry: &HealthIgnore, field: &str, gather: &mut Gather) -> Option<Ignore> {
    let HealthIgnore {
        check,
        table,
        reason,
    } = entry;
    let table = gather.take_some(
        &format!("{field}.table"),
        table.as_ref().map(|name| name.parse::<TableName>()),
    );
    Some(Ignore {
        check: checked(*check),
        table: table?,
        reason: reason.clone(),
    })
}

fn checked(check: HealthCheck) -> Check {
    match check {
        HealthCheck::Migrations => Check::Migrations,
        HealthCheck::IdExhaustion => Check::IdExhaustion,
        HealthCheck::Connections => Check::Connections,
        HealthCheck::Disk => Check::Disk,
        HealthCheck::ReplicationLag => Check::ReplicationLag,
        HealthCheck::LongTransactions => Check::LongTransactions,
        HealthCheck::InvalidIndexes => Check::InvalidIndexes,
        HealthCheck::Bloat => Check::Bloat,
        HealthCheck::PrimaryKeys => Check::PrimaryKeys,
    }
}

#[cfg(test)]
mod tests {
    use dbop_model::DatabaseSpec;
    use serde_json::json;

    use super::*;
    use crate::ManagedDatabase;

    fn read(health: serde_json::Value) -> HealthSpec {
        let object: ManagedDatabase = serde_json::from_value(json!({
            "apiVersion": crate::API_VERSION,
            "kind": crate::MANAGED_DATABASE,
            "metadata": {"name": "shop", "namespace": "shop"},
            "spec": {
                "connection": {"dsnSecret": {"name": "admin"}},
                "desiredSchemaVersion": "v1",
                "schemaVersion": {"engine": "Alembic"},
                "migrations": {"activeDeadlineSeconds": 60},
                "health": health,
            },
        }))
        .unwrap();
        DatabaseSpec::try_from(&object).unwrap().health
    }

    #[test]
    fn the_defaults_of_the_schema_are_those_of_the_model() {
        let expect = HealthSpec {
            migration_deadline: Some(Duration::from_secs(60)),
            ..HealthSpec::default()
        };
        assert_eq!(read(json!({})), expect);
    }

    #[test]
    fn what_is_written_is_read() {
        let ignore = json!([{"check": "PrimaryKeys", "table": "app.log", "reason": "a log"}, {"check": "Disk", "reason": "r"}]);
        let spec = read(json!({
            "interval": "30s", "connectionsPercent": 90, "replicationLag": "2s", "longTransaction": "1h",
            "idPercent": 50, "bloatPercent": 60, "bloatTableBytes": 5, "longMigration": "2h", "databaseBytes": 7,
            "ignore": ignore,
        }));
        let expect = HealthSpec {
            interval: Duration::from_secs(30),
            connections_percent: 90,
            replication_lag: Duration::from_secs(2),
            long_transaction: Duration::from_secs(3600),
            id_percent: 50,
            bloat_percent: 60,
            bloat_table_bytes: 5,
            long_migration: Duration::from_secs(7200),
            migration_deadline: Some(Duration::from_secs(60)),
            database_bytes: Some(7),
            ignore: vec![
                Ignore {
                    check: Check::PrimaryKeys,
                    table: Some("app.log".parse().unwrap()),
                    reason: "a log".to_owned(),
                },
                Ignore {
                    check: Check::Disk,
                    table: None,
                    reason: "r".to_owned(),
                },
            ],
        };
        assert_eq!(spec, expect);
    }

    /// The words of the schema are those of the condition.
    #[test]
    fn every_check_is_written_as_it_is_named() {
        for check in Check::ALL {
            let written: HealthCheck = serde_json::from_value(json!(check.as_str())).unwrap();
            assert_eq!(checked(written), check);
        }
    }
}
