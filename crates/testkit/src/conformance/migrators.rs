//! The migrator: a door that opens for one run, and what comes through it.

use dbop_credentials::names;
use dbop_model::{Fact, LoginTurn, Privilege};

use super::site::Site;
use super::stage::{Stage, migration, password, table};

/// Open, it takes the last password; closed, nobody comes in and nobody is thrown out.
pub async fn the_migrator_opens_and_closes(site: &dyn Site) {
    let engine = site.nature().engine;
    let stage = Stage::prepared(site).await;
    let name = stage
        .admin
        .open_migrator(&stage.scope, &password("first"))
        .await
        .unwrap();
    assert_eq!(
        name,
        names::migrator(engine, &stage.scope.owner.object, &stage.scope.claim)
    );
    stage
        .admin
        .open_migrator(&stage.scope, &password("second"))
        .await
        .unwrap();
    assert!(site.open(name.as_str(), &password("first")).await.is_err());
    let mut client = site.open(name.as_str(), &password("second")).await.unwrap();
    let seen = stage.look().await.migrator.unwrap();
    assert!(seen.open);
    match seen.sessions {
        Fact::Known(sessions) => assert_eq!(sessions.len(), 1),
        Fact::Unknown(why) => panic!("{why}"),
    }
    for _ in 0..2 {
        stage.admin.close_migrator(&stage.scope).await.unwrap();
    }
    assert!(!stage.look().await.migrator.unwrap().open);
    assert!(site.open(name.as_str(), &password("second")).await.is_err());
    assert!(client.is_alive().await);
    client.close().await;
    stage.settles_at(&name, 0).await;
    // Preparing again does not open it.
    stage.admin.prepare(&stage.scope).await.unwrap();
    assert!(!stage.look().await.migrator.unwrap().open);
}

/// What a run makes is the owner role's, so that the next run can change it, whoever that is.
pub async fn what_the_migrator_makes_belongs_to_the_owner(site: &dyn Site) {
    let stage = Stage::at_v1(site).await;
    if site.nature().has_owners {
        let owner = names::owner_role(&stage.scope.owner.object, &stage.scope.claim);
        for made in ["items", "alembic_version"] {
            assert_eq!(site.owner_of(&table(made)).await, Some(owner.clone()));
        }
    }
    // What a login made is the owner's as well once the login is dropped, and the next run's to use.
    let login = stage.login("v1").await;
    site.person_allows_create(login.as_str()).await;
    let mut client = site.open(login.as_str(), &password("v1")).await.unwrap();
    assert!(client.create_table(&table("theirs")).await);
    client.close().await;
    stage.settles_at(&login, 0).await;
    stage
        .admin
        .drop_login(&stage.scope, &migration("v1"), LoginTurn::First)
        .await
        .unwrap();
    let mut run = stage.migration(site).await;
    assert!(run.may(Privilege::Truncate, &table("theirs")).await);
    assert!(run.set_version(&["v2"]).await);
    run.close().await;
}
