//! Grants: what applications may do, on what is there and on what comes later, and what they never may.

use dbop_credentials::names;
use dbop_model::Privilege;

use super::site::Site;
use super::stage::{Stage, password, table};

const ROWS: [Privilege; 4] = [
    Privilege::Select,
    Privilege::Insert,
    Privilege::Update,
    Privilege::Delete,
];

/// Roles are ready after `prepare`, and saying it again changes nothing.
pub async fn roles_are_made_ready_and_stay_so(site: &dyn Site) {
    let stage = Stage::bare(site).await;
    stage.admin.claim(&stage.scope).await.unwrap();
    assert!(!stage.look().await.roles_ready);
    for _ in 0..2 {
        stage.admin.prepare(&stage.scope).await.unwrap();
        let facts = stage.look().await;
        assert!(facts.roles_ready);
        let migrator = facts.migrator.unwrap();
        assert!(!migrator.open, "a new migrator is closed");
    }
}

/// A login does with tables what the policy says, keys from sequences included, and no more.
pub async fn grants_reach_tables_and_sequences(site: &dyn Site) {
    let stage = Stage::at_v1(site).await;
    let login = stage.login("v1").await;
    let mut client = site.open(login.as_str(), &password("v1")).await.unwrap();
    for privilege in ROWS {
        assert!(
            client.may(privilege, &table("items")).await,
            "{privilege:?}"
        );
    }
    assert!(!client.may(Privilege::Truncate, &table("items")).await);
    assert!(!client.create_schema("theirs").await);
    client.close().await;
}

/// What the migrator makes later, in new schemas too, can be used: before anybody prepares again, or where the
/// engine has no such grants, once somebody has, and no earlier.
pub async fn grants_reach_what_is_made_later(site: &dyn Site) {
    let nature = site.nature();
    let stage = Stage::at_v1(site).await;
    let login = stage.login("v1").await;
    let mut migration = stage.migration(site).await;
    let mut made = vec!["later"];
    assert!(migration.create_table(&table("later")).await);
    if nature.has_schemas {
        made.push("fresh.things");
        assert!(migration.create_schema("fresh").await);
        assert!(migration.create_table(&table("fresh.things")).await);
    }
    migration.close().await;
    let mut client = site.open(login.as_str(), &password("v1")).await.unwrap();
    if !nature.gives_at_once {
        assert!(!client.may(Privilege::Select, &table("later")).await);
        assert!(!stage.look().await.roles_ready);
        stage.admin.prepare(&stage.scope).await.unwrap();
    }
    for privilege in ROWS {
        for name in &made {
            assert!(
                client.may(privilege, &table(name)).await,
                "{privilege:?} on {name}"
            );
        }
    }
    client.close().await;
    stage.admin.prepare(&stage.scope).await.unwrap();
    assert!(stage.look().await.roles_ready);
}

/// A policy that changes is seen as not applied, and applied both ways.
pub async fn grants_follow_the_privileges(site: &dyn Site) {
    let mut stage = Stage::at_v1(site).await;
    let login = stage.login("v1").await;
    let mut client = site.open(login.as_str(), &password("v1")).await.unwrap();
    let wider = ROWS.into_iter().chain([Privilege::Truncate]).collect();
    for privileges in [[Privilege::Select].into(), wider] {
        stage.scope.access.privileges = privileges;
        assert!(!stage.look().await.roles_ready);
        stage.admin.prepare(&stage.scope).await.unwrap();
        assert!(stage.look().await.roles_ready);
        for privilege in [Privilege::Select, Privilege::Insert, Privilege::Truncate] {
            let wanted = stage.scope.access.privileges.contains(&privilege);
            assert_eq!(
                client.may(privilege, &table("items")).await,
                wanted,
                "{privilege:?}"
            );
        }
    }
    client.close().await;
}

/// Only the policy's schemas are given, also of what is made later.
pub async fn grants_follow_the_schemas(site: &dyn Site) {
    if !site.nature().has_schemas {
        return grants_follow_the_database(site).await;
    }
    let mut stage = Stage::prepared(site).await;
    stage.scope.access.schemas = Some(["app".to_owned()].into());
    stage.admin.prepare(&stage.scope).await.unwrap();
    let mut migration = stage.migration(site).await;
    assert!(migration.set_version(&["v1"]).await);
    assert!(migration.create_schema("app").await);
    assert!(migration.create_schema("other").await);
    assert!(migration.create_table(&table("other.before")).await);
    stage.admin.prepare(&stage.scope).await.unwrap();
    assert!(stage.look().await.roles_ready);
    assert!(migration.create_table(&table("app.things")).await);
    assert!(migration.create_table(&table("other.things")).await);
    migration.close().await;
    let login = stage.login("v1").await;
    let mut client = site.open(login.as_str(), &password("v1")).await.unwrap();
    assert!(client.may(Privilege::Insert, &table("app.things")).await);
    assert!(!client.may(Privilege::Select, &table("other.things")).await);
    assert!(!client.may(Privilege::Select, &table("other.before")).await);
    client.close().await;
}

/// Where a database is a schema, a policy covers it or does not.
async fn grants_follow_the_database(site: &dyn Site) {
    let mut stage = Stage::at_v1(site).await;
    let login = stage.login("v1").await;
    let mut client = site.open(login.as_str(), &password("v1")).await.unwrap();
    let own = site.connector().endpoint(&site.target()).unwrap().database;
    for (schemas, expect) in [("other".to_owned(), false), (own, true)] {
        stage.scope.access.schemas = Some([schemas].into());
        assert!(!stage.look().await.roles_ready);
        stage.admin.prepare(&stage.scope).await.unwrap();
        assert!(stage.look().await.roles_ready);
        for privilege in [Privilege::Select, Privilege::Insert] {
            assert_eq!(client.may(privilege, &table("items")).await, expect);
        }
    }
    client.close().await;
}

/// No login writes the version: not after the first run, not after a person gave it away.
pub async fn the_version_table_is_not_writable(site: &dyn Site) {
    let engine = site.nature().engine;
    let stage = Stage::at_v1(site).await;
    let login = stage.login("v1").await;
    let version_table = table("alembic_version");
    let mut client = site.open(login.as_str(), &password("v1")).await.unwrap();
    let writes = [
        Privilege::Insert,
        Privilege::Update,
        Privilege::Delete,
        Privilege::Truncate,
    ];
    for privilege in writes {
        assert!(
            !client.may(privilege, &version_table).await,
            "{privilege:?}"
        );
    }
    assert!(!client.set_version(&["v2"]).await);
    assert!(
        client.may(Privilege::Select, &version_table).await,
        "reading it is no harm"
    );

    let group = names::group_role(engine, &stage.scope.owner.object, &stage.scope.claim);
    site.person_grants(Privilege::Update, &version_table, group.as_str(), true)
        .await;
    assert!(client.may(Privilege::Update, &version_table).await);
    assert!(!stage.look().await.roles_ready);
    stage.admin.prepare(&stage.scope).await.unwrap();
    assert!(stage.look().await.roles_ready);
    assert!(!client.may(Privilege::Update, &version_table).await);
    client.close().await;
}

/// No login writes what else the migration tool keeps for itself, whether it was made before the version table or
/// after.
pub async fn a_tools_own_tables_are_not_writable(site: &dyn Site) {
    let mut stage = Stage::bare(site).await;
    let own = ["tool_lock", "tool_notes"].map(table);
    stage.scope.access.tool_tables = own.clone().into();
    stage.admin.claim(&stage.scope).await.unwrap();
    stage.admin.prepare(&stage.scope).await.unwrap();
    let mut migration = stage.migration(site).await;
    assert!(migration.create_table(&own[0]).await);
    migration.close().await;
    let stage = stage.walked_to_v1(site).await;
    let login = stage.login("v1").await;
    let mut migration = stage.migration(site).await;
    assert!(migration.create_table(&own[1]).await);
    migration.close().await;
    stage.admin.close_migrator(&stage.scope).await.unwrap();
    stage.admin.prepare(&stage.scope).await.unwrap();
    assert!(stage.look().await.roles_ready);

    let mut client = site.open(login.as_str(), &password("v1")).await.unwrap();
    for one in &own {
        for privilege in [Privilege::Insert, Privilege::Update, Privilege::Delete] {
            assert!(!client.may(privilege, one).await, "{privilege:?} on {one}");
        }
        assert!(client.may(Privilege::Select, one).await, "{one}");
    }
    assert!(client.may(Privilege::Insert, &table("items")).await);
    client.close().await;
}

/// What a person took from the group is missed and given again.
pub async fn a_grant_lost_by_hand_is_seen_and_given_again(site: &dyn Site) {
    let engine = site.nature().engine;
    let stage = Stage::at_v1(site).await;
    let login = stage.login("v1").await;
    let group = names::group_role(engine, &stage.scope.owner.object, &stage.scope.claim);
    site.person_grants(Privilege::Insert, &table("items"), group.as_str(), false)
        .await;
    let mut client = site.open(login.as_str(), &password("v1")).await.unwrap();
    assert!(!client.may(Privilege::Insert, &table("items")).await);
    assert!(!stage.look().await.roles_ready);
    stage.admin.prepare(&stage.scope).await.unwrap();
    assert!(client.may(Privilege::Insert, &table("items")).await);
    client.close().await;
}
