//! A restored backup: a version that moved back, credentials from the future, roles that were lost with the server.

use dbop_tests::local::{Application, Site, Step, until};
use dbop_tests::{Engine, on_each_engine};

use super::{ADD_PHONE, CREATE, PATIENCE, WORK, runs, site};

/// What a backup from before v2 gives: its schema and its version.
const BACK_TO_V1: &str =
    "ALTER TABLE customers DROP COLUMN phone; DELETE FROM _sqlx_migrations WHERE version = 2";

/// Version v2 has been reached, then a backup from before was restored.
async fn restored(server: &dbop_tests::TestServer, prefix: &str) -> Site {
    let site = site(server, prefix, &[Step::new(CREATE), Step::new(ADD_PHONE)]).await;
    site.desire("v2");
    site.directory.local().await.exits(0);
    site.database.run(BACK_TO_V1).await;
    site
}

#[tokio::test]
async fn a_restored_database_walks_forward_again() {
    on_each_engine(async |server| {
        let site = restored(&server, "restore_walks").await;
        let v2 = site.published("v2");
        let walk = site.directory.local().await;
        walk.exits(0);
        assert_eq!(site.status()["currentVersion"], "v2");
        assert_eq!(runs(&site), 3, "v2 ran again");
        site.has_credentials(&["v1", "v2"]).await;
        assert!(
            site.published("v2") == v2,
            "the application's credential outlives the restore"
        );
    })
    .await;
}

#[tokio::test]
async fn paused_before_the_restore_nothing_runs_until_somebody_has_looked() {
    on_each_engine(async |server| {
        let site = site(
            &server,
            "restore_paused",
            &[Step::new(CREATE), Step::new(ADD_PHONE)],
        )
        .await;
        site.desire("v2");
        site.directory.local().await.exits(0);
        site.set("/spec/paused", true);
        site.database.run(BACK_TO_V1).await;
        let before = site.snapshot().await;
        site.directory.local().await.exits(3).says("paused");
        assert_eq!(site.status()["currentVersion"], "v1");
        before.is_still(&site.snapshot().await);
        site.set("/spec/paused", false);
        site.directory.local().await.exits(0);
        assert_eq!(runs(&site), 3, "v2 ran again");
    })
    .await;
}

#[tokio::test]
async fn credentials_from_the_future_stay_or_go_once_they_are_unused() {
    on_each_engine(async |server| {
        let site = restored(&server, "restore_orphans").await;
        site.desire("v1");
        site.directory.local().await.exits(0);
        site.has_credentials(&["v1", "v2"]).await;

        let v2 = site.published("v2");
        let staying = Application::staying(&v2, WORK).await;
        site.set("/spec/credentials/orphaned", "RevokeWhenUnused");
        site.set("/spec/credentials/quietWindow", "2s");
        let walk = site.directory.local().await;
        walk.exits(3)
            .says("credential v2 is still used by")
            .says("its code cannot live with the schema of v1: move it to credential v1");
        site.has_credentials(&["v1", "v2"]).await;

        let watch = site.directory.start(&["--watch"]);
        staying.stop().await.is_undisturbed();
        until("v2 is retired", PATIENCE, async || {
            site.summary() == "at rest" && site.credential("v2").is_none()
        })
        .await;
        watch.stop(PATIENCE).await;
        site.has_credentials(&["v1"]).await;
        assert!(v2.connect().await.is_err(), "it was dropped");

        // Forward again, the code of v2 gets a credential as if there had never been one.
        site.desire("v2");
        site.directory.local().await.exits(0);
        site.has_credentials(&["v1", "v2"]).await;
    })
    .await;
}

#[tokio::test]
async fn roles_that_were_lost_with_the_server_are_made_again() {
    on_each_engine(async |server| {
        let steps = [Step::new(CREATE), Step::new(ADD_PHONE)];
        let site = site(&server, "restore_roles", &steps).await;
        site.desire("v2");
        site.directory.local().await.exits(0);
        let (v1, v2) = (site.published("v1"), site.published("v2"));
        lose_roles(&site).await;
        assert!(v2.connect().await.is_err(), "the login is there");

        site.directory.local().await.exits(0);
        // The Secrets are the truth about names and passwords, so applications need to do nothing.
        assert!(site.published("v1") == v1, "the Secret was changed");
        assert!(site.published("v2") == v2, "the Secret was changed");
        let application = v2.connect().await.unwrap();
        application.run(WORK).await.unwrap();
        site.has_credentials(&["v1", "v2"]).await;
        assert_eq!(runs(&site), 2, "nothing ran again");
    })
    .await;
}

/// What a dump of this database alone gives on another server: its tables belong to who loads it, and of all the
/// roles there is none.
async fn lose_roles(site: &Site) {
    let database = &site.database;
    let mut roles = database.roles().await;
    roles.retain(|role| role != database.admin());
    let quoted = |name: &String| database.engine().quoted(name);
    if site.engine() == Engine::Postgres {
        let all = roles.iter().map(quoted).collect::<Vec<_>>().join(", ");
        let admin = database.engine().quoted(database.admin());
        let superuser = database.superuser().await;
        let sql =
            format!("REASSIGN OWNED BY {all} TO {admin}; DROP OWNED BY {all}; DROP ROLE {all}");
        if let Err(error) = superuser.batch_execute(&sql).await {
            panic!("`{sql}` fails: {error}");
        }
        return;
    }
    for role in &roles {
        let role = quoted(role);
        let server = database.server();
        server.run(&format!("DROP ROLE IF EXISTS {role}")).await;
        server.run(&format!("DROP USER IF EXISTS {role}@'%'")).await;
    }
}
