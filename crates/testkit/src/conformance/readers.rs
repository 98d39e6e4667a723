//! The reader: what users' queries may do, and what they get.

use std::time::Duration;

use dbop_credentials::names;
use dbop_database::Reader;
use dbop_model::{Fact, Privilege};

use super::site::Site;
use super::stage::{Stage, password, table};

const LIMIT: Duration = Duration::from_secs(5);

async fn reader(site: &dyn Site, stage: &Stage, with: &str) -> Box<dyn Reader> {
    let password = password(with);
    let login = stage.admin.ensure_reader(&stage.scope, &password);
    let (login, target) = (login.await.unwrap(), site.target());
    let opened = site.connector().connect_reader(&target, &login, &password);
    opened.await.unwrap()
}

/// It has its name, its last password alone, and is told from logins that nobody manages.
pub async fn a_reader_is_made_and_made_again(site: &dyn Site) {
    let engine = site.nature().engine;
    let stage = Stage::at_v1(site).await;
    let name = names::reader(engine, &stage.scope.owner.object, &stage.scope.claim);
    assert_eq!(stage.look().await.reader, None);
    let first = reader(site, &stage, "first").await;
    assert_eq!(first.number("SELECT 7", LIMIT).await, Ok(Fact::Known(7.0)));
    let seen = stage.look().await;
    assert_eq!(seen.reader, Some(name.clone()));
    let theirs = seen.unmanaged.known().cloned().unwrap_or_default();
    assert!(
        theirs.iter().all(|login| login.name != name.as_str()),
        "{theirs:?}"
    );
    let second = reader(site, &stage, "second").await;
    assert_eq!(second.number("SELECT 8", LIMIT).await, Ok(Fact::Known(8.0)));
    assert!(site.open(name.as_str(), &password("first")).await.is_err());
    assert!(
        stage.look().await.roles_ready,
        "nothing is left to do for it"
    );
    drop((first, second));
    stage.settles_at(&name, 0).await;
    for _ in 0..2 {
        stage.admin.drop_reader(&stage.scope).await.unwrap();
    }
    assert!(!site.has_role(name.as_str()).await);
    assert_eq!(stage.look().await.reader, None);
}

/// It reads what applications may use, and writes nothing, whatever it tries.
pub async fn a_reader_may_read_and_nothing_else(site: &dyn Site) {
    let stage = Stage::at_v1(site).await;
    let login = stage
        .admin
        .ensure_reader(&stage.scope, &password("reader"))
        .await
        .unwrap();
    let mut client = site
        .open(login.as_str(), &password("reader"))
        .await
        .unwrap();
    assert!(client.may(Privilege::Select, &table("items")).await);
    for privilege in [
        Privilege::Insert,
        Privilege::Update,
        Privilege::Delete,
        Privilege::Truncate,
    ] {
        assert!(
            !client.may(privilege, &table("items")).await,
            "{privilege:?}"
        );
    }
    assert!(!client.create_schema("mine").await);
    assert!(!client.set_version(&["v9"]).await);
    client.close().await;
}
