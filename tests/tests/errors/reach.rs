//! The database cannot be reached, logged in to, or worked with.

use std::time::Duration;

use dbop_tests::local::secret;
use dbop_tests::on_each;

use super::{address, goes_on, refused, site, site_on};

#[tokio::test]
async fn a_wrong_password() {
    on_each(async |server| {
        let site = site_on(&server, "error_password").await;
        let admin = site.database.admin().to_owned();
        site.set_dsn(&site.database.dsn(&admin, "wrong"));
        let sentence = format!(
            "cannot log in to {} as '{admin}': the server refused the login or its password (28P01)",
            address(&site)
        );
        refused(&site, 1, &sentence).await;
        site.set_dsn(&site.database.admin_dsn());
        goes_on(&site, "v1").await;
    })
    .await;
}

#[tokio::test]
async fn an_unreachable_server() {
    let site = site("error_unreachable").await;
    site.set_dsn("postgresql://admin:secret@127.0.0.1:1/shop");
    let ended = refused(&site, 1, "cannot reach 127.0.0.1:1: Connection refused").await;
    assert!(
        ended.took < Duration::from_secs(20),
        "it is told soon: {ended}"
    );
    site.set_dsn(&site.database.admin_dsn());
    goes_on(&site, "v1").await;
}

#[tokio::test]
async fn a_database_that_does_not_exist() {
    let site = site("error_nodatabase").await;
    let dsn = site
        .database
        .admin_dsn()
        .replace(site.database.name(), "no_such_database");
    // The admin is named after the database too, so only the last part is meant.
    let dsn = dsn.replace("no_such_database_admin", site.database.admin());
    site.set_dsn(&dsn);
    let sentence = format!(
        "database 'no_such_database' does not exist on {}",
        address(&site)
    );
    refused(&site, 1, &sentence).await;
}

#[tokio::test]
async fn a_dsn_that_cannot_be_read() {
    let site = site("error_dsn").await;
    site.set_dsn("oracle://admin:hunter2@db/shop");
    let ended = refused(
        &site,
        1,
        "names scheme 'oracle'; it must start with postgresql://",
    )
    .await;
    ended.does_not_say("hunter2");
}

#[tokio::test]
async fn no_admin_secret() {
    let site = site("error_nosecret").await;
    let name = format!("{}-admin", site.name);
    site.directory.remove("Secret", &name);
    refused(&site, 1, &name).await;
    site.directory.put(&secret(&name, &[("url", "x")]));
    let ended = refused(&site, 1, &name).await;
    ended.says("dsn");
    site.set_dsn(&site.database.admin_dsn());
    goes_on(&site, "v1").await;
}

#[tokio::test]
async fn a_missing_privilege() {
    on_each(async |server| {
        let site = site_on(&server, "error_privilege").await;
        let superuser = site.database.superuser().await;
        let admin = site.database.admin().to_owned();
        superuser
            .batch_execute(&format!("ALTER ROLE {admin} NOCREATEROLE"))
            .await
            .unwrap();
        refused(
            &site,
            3,
            "the admin may not make logins and roles (what helps: ALTER ROLE",
        )
        .await;
        assert!(site.directory.job_logs().is_empty());
        let helps = site.helps();
        assert_eq!(helps.len(), 1, "{helps:?}");
        superuser.batch_execute(&helps[0]).await.unwrap();
        goes_on(&site, "v1").await;
    })
    .await;
}
