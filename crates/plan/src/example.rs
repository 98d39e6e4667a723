//! Small examples of what the planner reads, for documentation and tests of those who embed it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dbop_model::finding::{HintMode, HintPolicy};
use dbop_model::health::HealthSpec;
use dbop_model::{
    Chain, Claim, ClaimId, CredentialPolicy, DatabaseFacts, DatabaseSpec, DeletionPolicy, Digest,
    DsnKeys, DsnSource, Engine, Fact, Migration, MigrationName, NameError, ObjectRef,
    ObservedVersion, Orphaned, Privilege, Replication, RunSettings, SchemaVersion, SecretTemplate,
    ServerInfo, VersionSource,
};
use jiff::Timestamp;

use crate::facts::{Desired, Facts, ObjectFacts, Slots};

/// A chain `v1 <- v2 <- ... <- v<count>`; each version is its migration's name.
///
/// # Errors
/// None for any count; names are parsed like anybody's.
pub fn chain(count: usize) -> Result<Chain, NameError> {
    let migrations: Result<Vec<Migration>, NameError> = (1..=count)
        .map(|i| {
            let name = MigrationName::new(format!("v{i}"))?;
            let previous = match i {
                1 => None,
                _ => Some(MigrationName::new(format!("v{}", i - 1))?),
            };
            Ok(Migration {
                version: SchemaVersion::new(name.as_str())?,
                name,
                previous,
                compatible_from: None,
                from_empty: false,
                digest: Digest::new(format!("d{i}"))?,
                hints: None,
                sql: None,
                accept: Vec::new(),
            })
        })
        .collect();
    Ok(Chain::new(migrations?))
}

/// A ManagedDatabase `shop/shop` that wants `v<count>` of [`chain`], hints off.
///
/// # Errors
/// None for any count; names are parsed like anybody's.
pub fn desired(count: usize) -> Result<Desired, NameError> {
    Ok(Desired {
        database: DatabaseSpec {
            id: ObjectRef::new("shop", "shop")?,
            dsn: DsnSource {
                secret: ObjectRef::new("shop", "shop-admin")?,
                keys: DsnKeys::Whole("dsn".to_owned()),
            },
            replicas: Vec::new(),
            tls: None,
            ca_secret: None,
            desired: MigrationName::new(format!("v{count}"))?,
            version_source: VersionSource::Query {
                query: "SELECT version FROM schema_version".to_owned(),
                table: "schema_version".parse().ok(),
            },
            runs: RunSettings::default(),
            credentials: CredentialPolicy {
                privileges: BTreeSet::from([Privilege::Select, Privilege::Insert]),
                schemas: None,
                quiet_window: Duration::from_secs(60),
                rotate_every: None,
                orphaned: Orphaned::Retain,
                ignore_replicas: false,
                secret_template: SecretTemplate::default(),
            },
            hints: HintPolicy {
                mode: HintMode::Off,
                ..HintPolicy::default()
            },
            metrics: None,
            health: HealthSpec::default(),
            read_only: false,
            paused: false,
            deletion: DeletionPolicy::Retain,
        },
        chain: chain(count)?,
    })
}

/// The facts of a reachable, claimed, empty database without credentials or Jobs.
///
/// # Errors
/// None; names are parsed like anybody's.
pub fn facts() -> Result<Facts, NameError> {
    Ok(Facts {
        object: ObjectFacts::default(),
        jobs: Fact::Known(Vec::new()),
        secrets: Fact::Known(BTreeMap::new()),
        references: Fact::Known(BTreeMap::new()),
        admin_references: Vec::new(),
        declared: Fact::Known(Vec::new()),
        foreign: Vec::new(),
        database: Fact::Known(DatabaseFacts {
            server: ServerInfo {
                engine: Engine::PostgreSql,
                major: 18,
                minor: 0,
                address: "db.shop:5432/shop".to_owned(),
            },
            admin: "dbop_admin".to_owned(),
            claim: Claim::Ours(ClaimId::new("9f31c0de")?),
            version: Fact::Known(ObservedVersion::None),
            locks: Fact::Known(Vec::new()),
            has_tables: false,
            logins: BTreeMap::new(),
            replaced: BTreeMap::new(),
            migrator: None,
            roles_ready: false,
            replication: Fact::Known(Replication::default()),
            unmanaged: Fact::Known(Vec::new()),
            reader: None,
            missing: Vec::new(),
            foreign: Vec::new(),
        }),
        proofs: BTreeMap::new(),
        quiet: BTreeMap::new(),
        quiet_replaced: BTreeMap::new(),
        hints: None,
        slots: Slots {
            taken: 0,
            limit: None,
        },
    })
}

/// An empty database of which `v2` is desired, and a time.
pub fn empty_database() -> (Desired, Facts, Timestamp) {
    let made = desired(2).and_then(|desired| Ok((desired, facts()?, Timestamp::UNIX_EPOCH)));
    made.expect("the names of the example are well formed")
}
