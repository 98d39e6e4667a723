//! Logins: made, proven, locked, watched, dropped; and those of others, never touched.

use std::collections::BTreeSet;

use dbop_credentials::names;
use dbop_database::DatabaseError;
use dbop_model::{Fact, LoginName, LoginTurn, Privilege, Proof};
use secrecy::SecretString;

use super::site::Site;
use super::stage::{Stage, migration, password, table};

async fn proof(site: &dyn Site, login: &LoginName, password: &SecretString) -> Proof {
    site.connector()
        .prove(&site.target(), login, password)
        .await
}

/// A login is made with its grants, named after its migration, and works.
pub async fn a_login_is_made_and_proven(site: &dyn Site) {
    let engine = site.nature().engine;
    let stage = Stage::at_v1(site).await;
    let login = stage.login("v1").await;
    let scope = &stage.scope;
    assert_eq!(
        login,
        names::login(engine, &scope.owner.object, &migration("v1"), &scope.claim)
    );
    assert_eq!(proof(site, &login, &password("v1")).await, Proof::Works);
    assert_eq!(
        proof(site, &login, &password("wrong")).await,
        Proof::Refused
    );
    let nobody = names::login(engine, &scope.owner.object, &migration("v9"), &scope.claim);
    assert_eq!(proof(site, &nobody, &password("v9")).await, Proof::Refused);
    stage.settles_at(&login, 0).await;
    let facts = stage.look().await;
    assert_eq!(facts.logins.len(), 1);
    let seen = &facts.logins[&migration("v1")];
    assert_eq!(
        (&seen.name, seen.locked, seen.granted),
        (&login, false, true)
    );
    assert_eq!(seen.sessions, Fact::Known(vec![]));
}

/// The same login again, then with another password: the last one counts, odd characters included.
pub async fn a_login_keeps_its_name_and_changes_its_password(site: &dyn Site) {
    let stage = Stage::at_v1(site).await;
    let login = stage.login("v1").await;
    assert_eq!(stage.login("v1").await, login);
    assert_eq!(proof(site, &login, &password("v1")).await, Proof::Works);
    let odd: SecretString = "it's \"odd\" \\ % ü 'x".to_owned().into();
    let again = stage
        .admin
        .ensure_login(&stage.scope, &migration("v1"), LoginTurn::First, &odd)
        .await
        .unwrap();
    assert_eq!(again, login);
    assert_eq!(proof(site, &login, &odd).await, Proof::Works);
    assert_eq!(proof(site, &login, &password("v1")).await, Proof::Refused);
}

/// The two logins of a credential have names, passwords, locks and ends of their own, and the same grants.
pub async fn two_logins_of_a_credential_take_turns(site: &dyn Site) {
    let (stage, v1) = (Stage::at_v1(site).await, migration("v1"));
    let first = stage.login("v1").await;
    let mut old = site.open(first.as_str(), &password("v1")).await.unwrap();
    let (admin, scope) = (&stage.admin, &stage.scope);
    let new_password = password("v1-again");
    let make = || admin.ensure_login(scope, &v1, LoginTurn::Second, &new_password);
    let second = make().await.unwrap();
    assert_eq!(make().await.unwrap(), second, "it may be said twice");
    let engine = site.nature().engine;
    let object = &scope.owner.object;
    let expect = names::login_in_turn(engine, object, &v1, &scope.claim, LoginTurn::Second);
    assert_eq!(second, expect);
    assert_eq!(proof(site, &first, &password("v1")).await, Proof::Works);
    assert_eq!(proof(site, &second, &new_password).await, Proof::Works);
    let mut new = site.open(second.as_str(), &new_password).await.unwrap();
    for privilege in [Privilege::Select, Privilege::Insert] {
        assert!(new.may(privilege, &table("items")).await, "{privilege:?}");
    }
    stage.settles_at(&first, 1).await;
    stage.settles_at(&second, 1).await;
    let facts = stage.look().await;
    let seen: BTreeSet<_> = facts
        .all_logins()
        .map(|(of, login)| (of.clone(), login.turn, login.name.clone(), login.granted))
        .collect();
    let both = [
        (v1.clone(), LoginTurn::First, first.clone(), true),
        (v1.clone(), LoginTurn::Second, second.clone(), true),
    ];
    assert_eq!(seen, BTreeSet::from(both));
    assert!(facts.roles_ready && facts.foreign.is_empty(), "{facts:?}");

    admin
        .lock_login(scope, &v1, LoginTurn::First)
        .await
        .unwrap();
    assert!(site.open(first.as_str(), &password("v1")).await.is_err());
    assert!(old.is_alive().await && new.is_alive().await);
    assert_eq!(proof(site, &second, &new_password).await, Proof::Works);
    old.close().await;
    stage.settles_at(&first, 0).await;
    admin
        .drop_login(scope, &v1, LoginTurn::First)
        .await
        .unwrap();
    assert_eq!(proof(site, &second, &new_password).await, Proof::Works);
    assert!(new.may(Privilege::Insert, &table("items")).await);
    let facts = stage.look().await;
    assert_eq!(facts.logins[&v1].turn, LoginTurn::Second);
    assert!(facts.replaced.is_empty());

    // Its turn comes again, under the name that it had.
    assert_eq!(stage.login("v1").await, first);
    assert_eq!(proof(site, &first, &password("v1")).await, Proof::Works);
    new.close().await;
    stage.settles_at(&second, 0).await;
    admin
        .drop_login(scope, &v1, LoginTurn::Second)
        .await
        .unwrap();
    assert_eq!(stage.look().await.logins[&v1].turn, LoginTurn::First);
}

/// Locking lets nobody in and throws nobody out; unlocking undoes it. Each may be said twice.
pub async fn a_locked_login_lets_nobody_in_and_throws_nobody_out(site: &dyn Site) {
    let stage = Stage::at_v1(site).await;
    let login = stage.login("v1").await;
    let mut client = site.open(login.as_str(), &password("v1")).await.unwrap();
    for _ in 0..2 {
        stage
            .admin
            .lock_login(&stage.scope, &migration("v1"), LoginTurn::First)
            .await
            .unwrap();
    }
    assert!(stage.look().await.logins[&migration("v1")].locked);
    assert!(client.is_alive().await);
    assert!(client.may(Privilege::Insert, &table("items")).await);
    assert!(site.open(login.as_str(), &password("v1")).await.is_err());
    assert_eq!(proof(site, &login, &password("v1")).await, Proof::Refused);
    for _ in 0..2 {
        stage
            .admin
            .unlock_login(&stage.scope, &migration("v1"), LoginTurn::First)
            .await
            .unwrap();
    }
    assert!(!stage.look().await.logins[&migration("v1")].locked);
    assert_eq!(proof(site, &login, &password("v1")).await, Proof::Works);
    client.close().await;
    for missing in [migration("v8")] {
        stage
            .admin
            .lock_login(&stage.scope, &missing, LoginTurn::First)
            .await
            .unwrap();
        stage
            .admin
            .unlock_login(&stage.scope, &missing, LoginTurn::First)
            .await
            .unwrap();
    }
}

/// Healing a login does not open one that is being retired.
pub async fn a_locked_login_stays_locked(site: &dyn Site) {
    let stage = Stage::at_v1(site).await;
    let login = stage.login("v1").await;
    stage
        .admin
        .lock_login(&stage.scope, &migration("v1"), LoginTurn::First)
        .await
        .unwrap();
    assert_eq!(stage.login("v1").await, login);
    assert!(stage.look().await.logins[&migration("v1")].locked);
    assert_eq!(proof(site, &login, &password("v1")).await, Proof::Refused);
}

/// Every session of a login is seen, and gone when it ends.
pub async fn sessions_are_seen_by_login(site: &dyn Site) {
    let stage = Stage::at_v1(site).await;
    let (one, two) = (stage.login("v1").await, stage.login("v2").await);
    let first = site.open(one.as_str(), &password("v1")).await.unwrap();
    let second = site.open(one.as_str(), &password("v1")).await.unwrap();
    let nobody = LoginName::new("nobody-of-this-name").unwrap();
    let wanted = BTreeSet::from([one.clone(), two.clone(), nobody.clone()]);
    let seen = stage.admin.sessions(&wanted).await.unwrap();
    assert_eq!(seen[&two], []);
    assert_eq!(seen[&nobody], []);
    let pids: BTreeSet<i64> = seen[&one].iter().map(|session| session.pid).collect();
    assert_eq!((seen[&one].len(), pids.len()), (2, 2));
    for session in &seen[&one] {
        assert_eq!(session.user, one);
        assert!(
            session.address.is_some(),
            "the admin sees where its own logins come from"
        );
    }
    match &stage.look().await.logins[&migration("v1")].sessions {
        Fact::Known(sessions) => assert_eq!(sessions.len(), 2),
        Fact::Unknown(why) => panic!("{why}"),
    }
    first.close().await;
    stage.settles_at(&one, 1).await;
    second.close().await;
    stage.settles_at(&one, 0).await;
}

/// What a login came to own stays, in the owner's hands; dropping again is no error.
pub async fn a_dropped_login_leaves_what_it_owned(site: &dyn Site) {
    let stage = Stage::at_v1(site).await;
    let login = stage.login("v1").await;
    site.person_allows_create(login.as_str()).await;
    let mut client = site.open(login.as_str(), &password("v1")).await.unwrap();
    assert!(client.create_table(&table("theirs")).await);
    let has_owners = site.nature().has_owners;
    if has_owners {
        let owner = site.owner_of(&table("theirs")).await.unwrap();
        assert_eq!(owner.as_str(), login.as_str());
    }
    client.close().await;
    stage.settles_at(&login, 0).await;
    stage
        .admin
        .lock_login(&stage.scope, &migration("v1"), LoginTurn::First)
        .await
        .unwrap();
    for _ in 0..2 {
        stage
            .admin
            .drop_login(&stage.scope, &migration("v1"), LoginTurn::First)
            .await
            .unwrap();
    }
    assert!(!site.has_role(login.as_str()).await);
    if has_owners {
        let owner = names::owner_role(&stage.scope.owner.object, &stage.scope.claim);
        assert_eq!(site.owner_of(&table("theirs")).await, Some(owner));
    }
    let mut run = stage.migration(site).await;
    assert!(run.may(Privilege::Select, &table("theirs")).await);
    run.close().await;
    assert!(stage.look().await.logins.is_empty());
    assert_eq!(proof(site, &login, &password("v1")).await, Proof::Refused);
}

/// What a login owns in another database, or may have made there, cannot be reassigned from here: it is named, and
/// all stays.
pub async fn a_login_that_owns_elsewhere_is_not_dropped(site: &dyn Site) {
    let stage = Stage::at_v1(site).await;
    let login = stage.login("v1").await;
    let other_site = site.beside().await;
    other_site.person_allows_create(login.as_str()).await;
    let mut client = other_site
        .open(login.as_str(), &password("v1"))
        .await
        .unwrap();
    assert!(client.create_table(&table("theirs")).await);
    client.close().await;
    stage.settles_at(&login, 0).await;
    match stage
        .admin
        .drop_login(&stage.scope, &migration("v1"), LoginTurn::First)
        .await
    {
        Err(DatabaseError::StillOwns { login: named, .. }) => assert_eq!(named, login.as_str()),
        other => panic!("{other:?}"),
    }
    assert_eq!(proof(site, &login, &password("v1")).await, Proof::Works);
    if site.nature().has_owners {
        let owner = other_site.owner_of(&table("theirs")).await.unwrap();
        assert_eq!(owner.as_str(), login.as_str());
    }
    // The way out is a person's, in that database.
    other_site.person_drops_owned(login.as_str()).await;
    stage.settles_at(&login, 0).await;
    stage
        .admin
        .drop_login(&stage.scope, &migration("v1"), LoginTurn::First)
        .await
        .unwrap();
    assert!(!site.has_role(login.as_str()).await);
}

/// A login of a person's that bears a name of ours: seen, named, never changed.
pub async fn a_foreign_login_is_never_touched(site: &dyn Site) {
    let engine = site.nature().engine;
    let stage = Stage::at_v1(site).await;
    let v2 = migration("v2");
    let login = names::login(engine, &stage.scope.owner.object, &v2, &stage.scope.claim);
    site.person_makes_login(login.as_str(), &password("person"))
        .await;
    let facts = stage.look().await;
    assert_eq!(facts.foreign.len(), 1);
    assert_eq!(facts.foreign[0].name, login.as_str());
    assert!(!facts.logins.contains_key(&v2));
    let scope = &stage.scope;
    let results = [
        stage
            .admin
            .ensure_login(scope, &v2, LoginTurn::First, &password("v2"))
            .await
            .map(drop),
        stage.admin.lock_login(scope, &v2, LoginTurn::First).await,
        stage.admin.unlock_login(scope, &v2, LoginTurn::First).await,
        stage.admin.drop_login(scope, &v2, LoginTurn::First).await,
    ];
    for result in results {
        assert!(
            matches!(result, Err(DatabaseError::Foreign(_))),
            "{result:?}"
        );
    }
    let client = site.open(login.as_str(), &password("person")).await;
    assert!(client.is_ok(), "it works as its person made it");
    // It can log in, but is none of ours.
    assert!(matches!(
        proof(site, &login, &password("person")).await,
        Proof::Unknown(_)
    ));
}
