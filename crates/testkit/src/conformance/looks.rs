//! Looking: what is seen of a database before anything of ours is in it, and of its version and tables.

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_model::operation::{ConstraintKind, IndexKind, IndexPart};
use dbop_model::table::{FactRequest, TableFacts, TableFactsSet, TableName, TableState, UniqueKey};
use dbop_model::{Claim, Fact, ObservedVersion, SchemaVersion};

use super::site::Site;
use super::stage::{Stage, table};
use crate::conformance::Nature;

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

/// A key of one column.
fn key(column: &str) -> UniqueKey {
    UniqueKey {
        parts: vec![IndexPart::Column(column.parse().unwrap())],
        predicate: None,
        nulls_equal: false,
    }
}

async fn asked(stage: &Stage, wanted: &[FactRequest]) -> TableFactsSet {
    let wanted: BTreeSet<FactRequest> = wanted.iter().cloned().collect();
    let timeout = Duration::from_secs(5);
    stage.admin.table_facts(&wanted, timeout).await.unwrap()
}

#[track_caller]
fn present(facts: &TableFactsSet) -> TableFacts {
    match facts.table(&table("items")) {
        Fact::Known(TableState::Present(facts)) => *facts,
        other => panic!("{other:?}"),
    }
}

/// What the catalogue knows of a table with a key and no row: its indexes and constraints, how it is stored, that no key
/// is twice in it, and which setting of a migration's session matters.
pub async fn table_facts_describe_what_a_migration_made(site: &dyn Site) {
    let stage = Stage::at_v1(site).await;
    let items = || table("items");
    let wanted = [
        FactRequest::Table(items()),
        FactRequest::Size(items()),
        FactRequest::AnyRow(items()),
        FactRequest::Indexes(items()),
        FactRequest::Constraints(items()),
        FactRequest::Storage(items()),
        FactRequest::Duplicates {
            table: items(),
            key: key("id"),
        },
        FactRequest::Duplicates {
            table: items(),
            key: key("note"),
        },
        FactRequest::IndexNamed(table("no_such_index")),
    ];
    let facts = asked(&stage, &wanted).await;
    let seen = present(&facts);
    assert!(seen.columns.contains_key(&"note".parse().unwrap()));
    assert_eq!(seen.any_row, Fact::Known(false));
    assert!(
        seen.rows.is_known_and(|estimate| estimate.rows == 0),
        "{:?}",
        seen.rows
    );

    let indexes = seen.indexes.known().unwrap();
    let [primary] = indexes.as_slice() else {
        panic!("{indexes:?}")
    };
    assert!(primary.primary && primary.valid && primary.immediate);
    assert_eq!(
        (primary.kind, &primary.key),
        (IndexKind::Unique, &key("id"))
    );

    // From PostgreSQL 18 on NOT NULL is a constraint with a name.
    let mut constraints = seen.constraints.known().unwrap().clone();
    constraints.retain(|constraint| constraint.kind != ConstraintKind::NotNull);
    let [primary_key] = constraints.as_slice() else {
        panic!("{constraints:?}")
    };
    assert_eq!(primary_key.kind, ConstraintKind::PrimaryKey);
    assert_eq!(primary_key.columns, ["id".parse().unwrap()]);
    assert!(primary_key.validated && !primary_key.incoming);
    assert_eq!(primary_key.other, None);

    let storage = seen.storage.known().unwrap();
    assert!(!storage.engine.is_empty() && storage.partitions == 0 && !storage.fulltext);
    assert!(storage.index_bytes.is_some(), "{storage:?}");

    let proof = seen.duplicates_of(&key("id"));
    let by = proof.known().unwrap().proven_by.clone();
    assert_eq!(by.as_deref(), Some(primary.name.as_str()));
    let empty = seen.duplicates_of(&key("note"));
    assert!(empty.is_known_and(|probe| !probe.found && probe.proven_by.is_none()));
    assert!(
        seen.duplicates_of(&key("nowhere")).known().is_none(),
        "it was not asked for"
    );

    let settings = facts.settings.known().unwrap();
    assert!(
        settings.strict && settings.foreign_key_checks,
        "{settings:?}"
    );
    assert_eq!(settings.lock_timeout, None, "nobody has set one");
    assert_eq!(facts.indexes[&table("no_such_index")], Fact::Known(None));
    assert!(
        !facts.tables.contains_key(&table("no_such_index")),
        "an index is no table"
    );
}

/// Who blocks and who writes may need a privilege that the least admin has not: then it is unknown, with a way out, and
/// never nobody. A rate of writes is known from the second look on, of whoever keeps the first.
pub async fn table_facts_are_had_without_any_right_on_the_server(site: &dyn Site) {
    let stage = Stage::at_v1(site).await;
    let wanted = [
        FactRequest::Writes(table("items")),
        FactRequest::Blockers(table("items")),
    ];
    let first = present(&asked(&stage, &wanted).await);
    match (first.written.as_result(), first.writes.as_result()) {
        (Ok(_), Err(once)) => assert!(once.is_passing(), "{once}"),
        (Err(why), Err(same)) => {
            assert_eq!(why, same);
            assert!(!why.is_passing(), "nobody grants it by waiting: {why}");
            assert!(site.nature() != Nature::POSTGRESQL, "{why}");
        }
        (_, Ok(rate)) => panic!("one look tells no rate: {rate:?}"),
    }
    let second = present(&asked(&stage, &wanted).await);
    if let (Some(first), Some(second)) = (first.written.known(), second.written.known()) {
        assert!(second.rows >= first.rows && second.counter == first.counter);
    }
    assert_eq!(second.blockers, Fact::Known(Vec::new()), "nobody uses it");
    assert_eq!(
        second.snapshots,
        Fact::Known(Vec::new()),
        "nobody is in the database"
    );
}

/// Every table is listed under a name by which its facts are had, and no more of them than are wanted.
pub async fn the_catalogue_lists_what_tables_can_be_asked_for(site: &dyn Site) {
    let stage = Stage::at_v1(site).await;
    let listed = stage.admin.catalogue(1000).await.unwrap();
    assert!(listed.is_whole);
    let items = |name: &&TableName| name.name() == "items";
    let items = listed.tables.iter().find(items).expect("items is listed");
    let found = asked(&stage, &[FactRequest::Table(items.clone())]).await;
    let state = found.table(items);
    assert!(
        matches!(state, Fact::Known(TableState::Present(_))),
        "{items}: {state:?}"
    );
    assert!(listed.types.known().is_some() && listed.functions.known().is_some());
    let first = stage.admin.catalogue(1).await.unwrap();
    assert_eq!(first.tables, listed.tables[..1]);
    assert_eq!(first.is_whole, listed.tables.len() == 1);
}
