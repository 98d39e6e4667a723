//! What cannot be done: the lock that another holds, privileges that are missing, servers out of reach.

use dbop_database::DatabaseError;
use dbop_model::{LoginName, Proof};

use super::site::Site;
use super::stage::{Stage, password, takes_lock};

/// One connection holds the lock; the same may take it again, another not until it is released.
pub async fn the_advisory_lock_has_one_holder(site: &dyn Site) {
    let one = Stage::bare(site).await;
    let two = Stage::bare(site).await;
    assert!(one.admin.try_lock().await.unwrap());
    assert!(one.admin.try_lock().await.unwrap());
    assert!(!two.admin.try_lock().await.unwrap());
    two.admin.unlock().await.unwrap();
    assert!(
        !two.admin.try_lock().await.unwrap(),
        "only the holder releases it"
    );
    one.admin.unlock().await.unwrap();
    assert!(two.admin.try_lock().await.unwrap());
    // Another database of the server has a lock of its own.
    let other_site = site.beside().await;
    assert!(
        Stage::bare(other_site.as_ref())
            .await
            .admin
            .try_lock()
            .await
            .unwrap()
    );
}

/// A holder that goes away takes its lock with it.
pub async fn the_advisory_lock_ends_with_its_connection(site: &dyn Site) {
    let one = Stage::bare(site).await;
    let two = Stage::bare(site).await;
    assert!(one.admin.try_lock().await.unwrap());
    drop(one);
    takes_lock(two.admin.as_ref()).await;
}

/// What the admin lacks is seen without writing, with the statement that helps; and it does help.
pub async fn a_missing_privilege_is_named_before_any_write(site: &dyn Site) {
    let stage = Stage::bare(site).await;
    site.person_weakens_admin().await;
    let missing = stage.look().await.missing;
    assert_eq!(missing.len(), 1, "{missing:?}");
    let refused = stage.admin.claim(&stage.scope).await;
    assert!(
        matches!(refused, Err(DatabaseError::Privilege(_))),
        "{refused:?}"
    );
    site.person_runs(&missing[0].grant).await;
    assert_eq!(stage.look().await.missing, []);
    stage.admin.claim(&stage.scope).await.unwrap();
}

/// Out of reach is not refused: nothing follows for the credential.
pub async fn an_unreachable_server_is_no_refusal(site: &dyn Site) {
    let target = site.target_unreachable();
    let login = LoginName::new("somebody").unwrap();
    let proof = site
        .connector()
        .prove(&target, &login, &password("x"))
        .await;
    assert!(matches!(proof, Proof::Unknown(_)), "{proof:?}");
    match site.connector().connect(&target).await {
        Err(error @ DatabaseError::Unreachable { .. }) => assert!(error.is_transient()),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("connected to nowhere"),
    }
}

/// The admin's password is wrong: said so, with the login's name, without the password.
pub async fn a_wrong_admin_password_is_a_refusal(site: &dyn Site) {
    match site
        .connector()
        .connect(&site.target_with_wrong_password())
        .await
    {
        Err(error @ DatabaseError::Refused { .. }) => assert!(!error.is_transient()),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("connected with a wrong password"),
    }
}

/// The database is not there: named, and no proof of anything.
pub async fn a_database_that_is_not_there_is_named(site: &dyn Site) {
    let target = site.target_without_database();
    let named = site.connector().endpoint(&target).unwrap().database;
    match site.connector().connect(&target).await {
        Err(DatabaseError::NoDatabase { database, .. }) => assert_eq!(database, named),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("connected to a database that is not there"),
    }
}
