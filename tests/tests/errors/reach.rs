//! The database cannot be reached, logged in to, or worked with.

use std::time::Duration;

use dbop_tests::local::secret;
use dbop_tests::{Engine, on_each_engine, on_newest};

use super::{address, goes_on, refused, site, site_on};

#[tokio::test]
async fn a_wrong_password() {
    on_each_engine(async |server| {
        let site = site_on(&server, "error_password").await;
        let admin = site.database.admin().to_owned();
        site.set_dsn(&site.database.dsn(&admin, "wrong"));
        let code = match server.engine() {
            Engine::Postgres => "28P01",
            Engine::MariaDb | Engine::MySql => "1045",
        };
        let sentence = format!(
            "cannot log in to {} as '{admin}': the server refused the login or its password ({code})",
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
    on_newest(async |server| {
        let site = site_on(&server, "error_unreachable").await;
        let scheme = server.engine().scheme();
        site.set_dsn(&format!("{scheme}://admin:secret@127.0.0.1:1/shop"));
        let ended = refused(&site, 1, "cannot reach 127.0.0.1:1: Connection refused").await;
        assert!(
            ended.took < Duration::from_secs(20),
            "it is told soon: {ended}"
        );
        site.set_dsn(&site.database.admin_dsn());
        goes_on(&site, "v1").await;
    })
    .await;
}

#[tokio::test]
async fn a_database_that_does_not_exist() {
    on_newest(async |server| {
        let site = site_on(&server, "error_nodatabase").await;
        let (admin, password) = (site.database.admin(), site.database.admin_password());
        site.set_dsn(&site.database.dsn_in("no_such_database", admin, password));
        let sentence = format!(
            "database 'no_such_database' does not exist on {}",
            address(&site)
        );
        refused(&site, 1, &sentence).await;
    })
    .await;
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
    on_each_engine(async |server| {
        let site = site_on(&server, "error_privilege").await;
        let admin = site.database.admin_account();
        let (take, needed) = match server.engine() {
            Engine::Postgres => (
                format!("ALTER ROLE {admin} NOCREATEROLE"),
                "the admin may not make logins and roles (what helps: ALTER ROLE",
            ),
            Engine::MariaDb | Engine::MySql => (
                format!("REVOKE CREATE USER ON *.* FROM {admin}"),
                "the admin may not make logins (what helps: GRANT CREATE USER ON *.* TO",
            ),
        };
        site.database.run(&take).await;
        refused(&site, 3, needed).await;
        assert!(site.directory.job_logs().is_empty());
        let helps = site.helps();
        assert_eq!(helps.len(), 1, "{helps:?}");
        site.database.run(&helps[0]).await;
        goes_on(&site, "v1").await;
    })
    .await;
}

#[tokio::test]
async fn a_dsn_of_another_namespace_that_does_not_allow_it() {
    let site = site("error_lent").await;
    let name = format!("{}-admin", site.name);
    site.directory.remove("Secret", &name);
    site.set("/spec/connection/dsnSecret/namespace", "vault");
    let sentence = "or does not allow it: name default/";
    refused(&site, 1, sentence).await;
    let lent = |to: &str| {
        secret(&name, &[("dsn", &site.database.admin_dsn())])
            .set("/metadata/namespace", "vault")
            .set(
                "/metadata/annotations",
                serde_json::json!({ "database-operator.dev/allowed-databases": to }),
            )
    };
    site.directory.put(&lent("default/another"));
    refused(&site, 1, sentence).await;
    site.directory.put(&lent(&format!("default/{}", site.name)));
    goes_on(&site, "v1").await;
}
