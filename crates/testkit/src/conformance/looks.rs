//! Looking: what is seen of a database before anything of ours is in it, and of its version and tables.

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_model::table::{FactRequest, TableState};
use dbop_model::{Claim, Fact, ObservedVersion, SchemaVersion};

use super::site::Site;
use super::stage::{Stage, table};

fn version(text: &str) -> SchemaVersion {
    SchemaVersion::new(text).unwrap()
}

/// Nothing is there, and nothing is missing.
pub async fn an_empty_database_is_seen_as_empty(site: &dyn Site) {
    let facts = Stage::bare(site).await.look().await;
    assert_eq!(facts.server.engine, site.nature().engine);
    assert_eq!(facts.claim, Claim::None);
    assert_eq!(facts.version, Fact::Known(ObservedVersion::None));
    assert!(!facts.has_tables);
    assert!(facts.logins.is_empty());
    assert_eq!(facts.migrator, None);
    assert!(!facts.roles_ready);
    assert_eq!(facts.missing, []);
    assert_eq!(facts.foreign, []);
}

/// The version table says the version, and does not count as a table.
pub async fn the_version_table_alone_is_no_table(site: &dyn Site) {
    let stage = Stage::prepared(site).await;
    let mut migration = stage.migration(site).await;
    assert!(migration.set_version(&["v1"]).await);
    let facts = stage.look().await;
    assert_eq!(
        facts.version,
        Fact::Known(ObservedVersion::At(version("v1")))
    );
    assert!(!facts.has_tables);
    assert!(migration.create_table(&table("items")).await);
    assert!(stage.look().await.has_tables);
    migration.close().await;
}

/// Nor do the other tables that the migration tool keeps for itself: before its first step, and after it.
pub async fn a_tools_own_tables_are_no_tables(site: &dyn Site) {
    let mut stage = Stage::bare(site).await;
    stage.scope.access.tool_tables = [table("tool_lock"), table("not_made")].into();
    stage.admin.claim(&stage.scope).await.unwrap();
    stage.admin.prepare(&stage.scope).await.unwrap();
    let mut migration = stage.migration(site).await;
    assert!(migration.create_table(&table("tool_lock")).await);
    let facts = stage.look().await;
    assert_eq!(facts.version, Fact::Known(ObservedVersion::None));
    assert!(!facts.has_tables);
    assert!(migration.set_version(&["v1"]).await);
    assert!(!stage.look().await.has_tables);
    assert!(migration.create_table(&table("tool_locks")).await);
    assert!(stage.look().await.has_tables);
    migration.close().await;
}

/// Branches that nobody merged are all told.
pub async fn several_heads_are_seen(site: &dyn Site) {
    let stage = Stage::prepared(site).await;
    let mut migration = stage.migration(site).await;
    assert!(migration.set_version(&["v1a", "v1b"]).await);
    let heads = vec![version("v1a"), version("v1b")];
    assert_eq!(
        stage.look().await.version,
        Fact::Known(ObservedVersion::Several(heads))
    );
    migration.close().await;
}

/// A table that is not there is missing, not unknown.
pub async fn table_facts_tell_missing_from_present(site: &dyn Site) {
    let stage = Stage::at_v1(site).await;
    let wanted = BTreeSet::from([
        FactRequest::Table(table("items")),
        FactRequest::AnyRow(table("items")),
        FactRequest::Table(table("nowhere")),
    ]);
    let facts = stage
        .admin
        .table_facts(&wanted, Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(
        facts.table(&table("nowhere")),
        Fact::Known(TableState::Missing)
    );
    match facts.table(&table("items")) {
        Fact::Known(TableState::Present(items)) => assert_eq!(items.any_row, Fact::Known(false)),
        other => panic!("{other:?}"),
    }
    assert!(matches!(facts.table(&table("not-asked")), Fact::Unknown(_)));
}
