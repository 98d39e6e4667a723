//! What changes under the operator: manifests, Secrets, roles, the database itself, the operator.

use std::time::Duration;

use dbop_tests::local::{Process, Site, Step, until};
use dbop_tests::{Engine, on_each_engine, on_newest};

use super::{ADD_PHONE, CREATE, PATIENCE, WORK, runs, site};

#[tokio::test]
async fn watch_acts_on_an_edited_manifest() {
    on_newest(async |server| {
        let site = site(&server, "walk_watch", &[Step::new(CREATE)]).await;
        let mut watch = site.directory.start(&["--watch"]);
        until("v1", PATIENCE, async || site.summary() == "at rest").await;
        site.steps(1, &[Step::new(ADD_PHONE)]);
        site.desire("v2");
        until("v2", PATIENCE, async || {
            site.status()["currentVersion"] == "v2" && site.summary() == "at rest"
        })
        .await;
        assert!(watch.is_running(), "{}", watch.output());
        site.has_credentials(&["v1", "v2"]).await;

        // A file that cannot be read while somebody edits it stops nothing.
        site.directory.write("half.yaml", "apiVersion: v1\nkind: [");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(watch.is_running(), "{}", watch.output());
        std::fs::remove_file(site.directory.path().join("half.yaml")).unwrap();

        // A Secret that a person took away comes back, with the same password.
        let before = site.published("v2");
        std::fs::remove_dir_all(site.directory.secret_folder(&site.secret_name("v2"))).unwrap();
        until("the Secret is back", PATIENCE, async || {
            site.credential("v2").is_some()
        })
        .await;
        until("it works", PATIENCE, async || match site.credential("v2") {
            Some(credential) => credential.connect().await.is_ok(),
            None => false,
        })
        .await;
        assert_eq!(site.published("v2").get("username"), before.get("username"));
        watch.stop(PATIENCE).await;
    })
    .await;
}

#[tokio::test]
async fn what_somebody_breaks_by_hand_is_mended() {
    on_each_engine(async |server| {
        let site = Site::new(&server, "walk_mended").await;
        site.steps(0, &[Step::new(CREATE), Step::new(ADD_PHONE)]);
        site.desire("v2");
        site.directory.local().await.exits(0);
        let (v1, v2) = (site.published("v1"), site.published("v2"));
        for damage in damages(&site, v2.get("username")) {
            site.database.run(&damage).await;
            site.directory.local().await.exits(0);
            // The Secret is the truth about the password, so it is the same one.
            assert!(
                site.published("v2") == v2,
                "the Secret was changed after: {damage}"
            );
            let application = v2.connect().await.unwrap();
            if let Err(error) = application.run(WORK).await {
                panic!("after {damage}: {error:?}");
            }
        }
        let password = site
            .directory
            .secret_folder(&site.secret_name("v2"))
            .join("host");
        std::fs::write(&password, "elsewhere").unwrap();
        site.directory.local().await.exits(0);
        assert!(
            site.published("v2") == v2,
            "what somebody changed in a Secret is put back"
        );
        assert!(site.published("v1") == v1, "the other one was left alone");
        assert_eq!(runs(&site), 2);
    })
    .await;
}

/// What a person does to a login.
fn damages(site: &Site, login: &str) -> Vec<String> {
    let account = site.database.account(login);
    if site.engine() == Engine::Postgres {
        let every_grant = "REVOKE ALL ON TABLE customers FROM PUBLIC; DO $$ DECLARE r record; BEGIN
            FOR r IN SELECT grantee::regrole AS name FROM pg_class, aclexplode(relacl)
                WHERE relname = 'customers' AND grantee <> 0 AND grantee <> relowner
            LOOP EXECUTE format('REVOKE ALL ON TABLE customers FROM %s', r.name); END LOOP; END $$";
        return vec![
            format!("ALTER ROLE {account} PASSWORD 'another'"),
            format!("ALTER ROLE {account} NOLOGIN"),
            format!("DROP OWNED BY {account}; DROP ROLE {account}"),
            every_grant.to_owned(),
        ];
    }
    vec![
        format!("ALTER USER {account} IDENTIFIED BY 'another'"),
        format!("ALTER USER {account} ACCOUNT LOCK"),
        format!("DROP USER {account}"),
        format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM {account}"),
        format!("REVOKE INSERT ON customers FROM {account}"),
    ]
}

#[tokio::test]
async fn a_migration_goes_on_while_local_is_stopped() {
    on_newest(async |server| {
        let site = site(&server, "walk_stopped", &[Step::new(CREATE)]).await;
        site.directory.local().await.exits(0);
        site.steps(
            1,
            &[Step::new(&format!(
                "{}; {ADD_PHONE}",
                server.engine().sleep(4.0)
            ))],
        );
        site.desire("v2");
        let local = site.directory.start(&[]);
        until("the run is under way", PATIENCE, async || {
            site.directory
                .processes()
                .iter()
                .any(Process::is_supervisor)
                && site.status()["migration"]["name"] == "v2"
        })
        .await;
        let stopped = local.stop(PATIENCE).await;
        assert!(stopped.took < Duration::from_secs(60), "{stopped}");
        assert!(
            site.directory
                .processes()
                .iter()
                .any(Process::is_supervisor),
            "the migration goes on: {stopped}"
        );
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v2");
        assert_eq!(runs(&site), 2, "it ran once");
        assert!(
            site.directory.processes().is_empty(),
            "nothing is left running"
        );
    })
    .await;
}
