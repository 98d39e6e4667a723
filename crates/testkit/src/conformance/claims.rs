//! The claim: one owner per database, many databases per server.

use dbop_credentials::names;
use dbop_database::DatabaseError;
use dbop_model::{Claim, ClaimId, LoginTurn, Proof};

use super::site::Site;
use super::stage::{Stage, fresh_id, migration, owner, password};

/// The owner sees its own claim, anybody else whose it is; saying it twice changes nothing.
pub async fn a_claim_is_seen_by_its_owner_and_by_others(site: &dyn Site) {
    let stage = Stage::bare(site).await;
    stage.admin.claim(&stage.scope).await.unwrap();
    stage.admin.claim(&stage.scope).await.unwrap();
    assert_eq!(
        stage.look().await.claim,
        Claim::Ours(stage.scope.claim.clone())
    );
    let elsewhere = Claim::Elsewhere {
        id: stage.scope.claim.clone(),
        owner: stage.scope.owner.clone(),
    };
    let cluster = &stage.scope.owner.cluster;
    for other in [owner("c2", "shop"), owner(cluster, "other")] {
        let facts = stage.look_as(&other).await;
        assert_eq!(facts.claim, elsewhere);
        assert!(facts.logins.is_empty() && facts.migrator.is_none());
    }
}

/// Another owner's claim is refused, and so is a second id of the same owner.
pub async fn a_second_owner_is_refused(site: &dyn Site) {
    let engine = site.nature().engine;
    let first = Stage::prepared(site).await;
    let second = Stage::of(site, owner("c2", "shop"), ClaimId::new(fresh_id()).unwrap()).await;
    let same = first.scope.owner.clone();
    let again = Stage::of(site, same, ClaimId::new(fresh_id()).unwrap()).await;
    for late in [second, again] {
        let refused = late.admin.claim(&late.scope).await;
        assert!(
            matches!(refused, Err(DatabaseError::Foreign(_))),
            "{refused:?}"
        );
        let group = names::group_role(engine, &late.scope.owner.object, &late.scope.claim);
        assert!(!site.has_role(group.as_str()).await, "nothing was made");
    }
    assert_eq!(
        first.look().await.claim,
        Claim::Ours(first.scope.claim.clone())
    );
    assert!(first.look().await.roles_ready);
}

/// After a take-over every login is still there under its name, and can be worked with.
pub async fn a_claim_is_taken_over_with_all_its_names(site: &dyn Site) {
    let before = Stage::at_v1(site).await;
    let login = before.login("v1").await;
    let after = Stage::of(site, owner("c2", "renamed"), before.scope.claim.clone()).await;
    after.admin.take_over(&after.scope).await.unwrap();
    after.admin.take_over(&after.scope).await.unwrap();

    let facts = after.look().await;
    assert_eq!(facts.claim, Claim::Ours(before.scope.claim.clone()));
    assert_eq!(facts.logins[&migration("v1")].name, login);
    assert!(facts.roles_ready, "the roles are those that were there");
    assert!(matches!(before.look().await.claim, Claim::Elsewhere { .. }));

    assert_eq!(after.login("v1").await, login);
    after.admin.prepare(&after.scope).await.unwrap();
    let refused = before
        .admin
        .lock_login(&before.scope, &migration("v1"), LoginTurn::First)
        .await;
    assert!(
        matches!(refused, Err(DatabaseError::Foreign(_))),
        "{refused:?}"
    );
    after
        .admin
        .drop_login(&after.scope, &migration("v1"), LoginTurn::First)
        .await
        .unwrap();
    assert!(!site.has_role(login.as_str()).await);
}

/// Two databases of one server, even of one owner (whose DSN changed): neither sees or touches the other's.
pub async fn two_owners_on_one_server_do_not_meet(site: &dyn Site) {
    let other_site = site.beside().await;
    let one = Stage::at_v1(site).await;
    let (same, id) = (one.scope.owner.clone(), ClaimId::new(fresh_id()).unwrap());
    let two = Stage::of(other_site.as_ref(), same, id).await;
    let two = two.walked_to_v1(other_site.as_ref()).await;
    let (login_one, login_two) = (one.login("v1").await, two.login("v1").await);
    assert_ne!(login_one, login_two);
    assert_eq!(one.look().await.logins.len(), 1);
    assert_eq!(two.look().await.claim, Claim::Ours(two.scope.claim.clone()));

    one.admin
        .drop_login(&one.scope, &migration("v1"), LoginTurn::First)
        .await
        .unwrap();
    assert!(one.look().await.logins.is_empty());
    let target = other_site.target();
    let proof = site
        .connector()
        .prove(&target, &login_two, &password("v1"))
        .await;
    assert_eq!(proof, Proof::Works);
    assert!(two.look().await.roles_ready);
}

/// Somebody else's role that bears the group's name is left alone, and named.
pub async fn a_foreign_role_in_the_way_is_named(site: &dyn Site) {
    let engine = site.nature().engine;
    let stage = Stage::bare(site).await;
    let group = names::group_role(engine, &stage.scope.owner.object, &stage.scope.claim);
    site.person_makes_login(group.as_str(), &password("person"))
        .await;
    match stage.admin.claim(&stage.scope).await {
        Err(DatabaseError::Foreign(object)) => assert_eq!(object.name, group.as_str()),
        other => panic!("{other:?}"),
    }
    assert_eq!(stage.look().await.claim, Claim::None);
    assert!(site.open(group.as_str(), &password("person")).await.is_ok());
}

/// Under a claim that is not on the database nothing is written.
pub async fn writes_under_another_claim_are_refused(site: &dyn Site) {
    let stage = Stage::at_v1(site).await;
    let login = stage.login("v1").await;
    let other = Stage::of(site, owner("c2", "shop"), ClaimId::new(fresh_id()).unwrap()).await;
    let v1 = migration("v1");
    let results = [
        other.admin.prepare(&other.scope).await,
        other
            .admin
            .ensure_login(&other.scope, &v1, LoginTurn::First, &password("x"))
            .await
            .map(drop),
        other
            .admin
            .lock_login(&other.scope, &v1, LoginTurn::First)
            .await,
        other
            .admin
            .drop_login(&other.scope, &v1, LoginTurn::First)
            .await,
        other
            .admin
            .open_migrator(&other.scope, &password("x"))
            .await
            .map(drop),
        other.admin.close_migrator(&other.scope).await,
    ];
    for result in results {
        assert!(
            matches!(result, Err(DatabaseError::Foreign(_))),
            "{result:?}"
        );
    }
    let proof = site
        .connector()
        .prove(&site.target(), &login, &password("v1"))
        .await;
    assert_eq!(proof, Proof::Works);
}
