//! A walk of a real database that has a replica: who is connected there is waited for as well.

use dbop_tests::local::{Application, Site, Step, secret};
use dbop_tests::{Engine, TestServer, replicated};
use serde_json::{Value, json};
use tokio::sync::RwLock;

const CREATE: &str = "CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL)";
const ADD_PHONE: &str = "ALTER TABLE customers ADD COLUMN phone text";
const ADD_CITY: &str = "ALTER TABLE customers ADD COLUMN city text";
/// What an application can do on a replica.
const READ: &str = "SELECT id, name FROM customers LIMIT 5";
/// One replica is for all tests, and one of them makes it lag.
static REPLICA: RwLock<()> = RwLock::const_new(());

/// At rest at `v2`; `v3`, with which the application of `v1` cannot live, is desired next.
async fn site(server: &TestServer, prefix: &str) -> Site {
    let site = Site::new(server, prefix).await;
    let steps = [CREATE, ADD_PHONE, ADD_CITY].map(Step::new);
    site.steps(0, &steps);
    site.set("/spec/credentials/ignoreReplicas", true);
    for migration in ["v1", "v2"] {
        site.desire(migration);
        site.directory.local().await.exits(0);
    }
    site.set("/spec/credentials/ignoreReplicas", Value::Null);
    site.desire("v3");
    site
}

/// Names the replica in the spec.
fn name_replica(site: &Site, server: &TestServer) {
    let (host, port) = server.replica().address();
    let primary = server.address();
    let dsn = site.database.admin_dsn();
    let dsn = dsn.replace(
        &format!("{}:{}", primary.0, primary.1),
        &format!("{host}:{port}"),
    );
    let name = format!("{}-replica", site.name);
    site.directory.put(&secret(&name, &[("dsn", &dsn)]));
    site.set(
        "/spec/connection/replicas",
        json!([{ "dsnSecret": { "name": name } }]),
    );
}

#[tokio::test]
async fn an_application_on_a_replica_keeps_its_credential() {
    let _beside = REPLICA.read().await;
    for server in replicated() {
        let site = site(&server, "standby_session").await;
        name_replica(&site, &server);
        let old = site.published("v1").on(server.replica().address());
        let reader = Application::staying(&old, READ).await;
        let port = server.replica().address().1;
        site.directory
            .local()
            .await
            .exits(3)
            .says("credential v1 is still used by")
            .says(&format!("on replica 127.0.0.1:{port}"))
            .says("deploy the application of v2 first");
        assert_eq!(site.status()["currentVersion"], "v2");
        reader.stop().await.is_undisturbed();
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v3");
        site.has_credentials(&["v2", "v3"]).await;
        assert!(old.connect().await.is_err());
    }
}

#[tokio::test]
async fn a_replica_that_the_server_shows_has_to_be_named_or_ignored() {
    let _beside = REPLICA.read().await;
    for server in replicated() {
        let site = site(&server, "standby_unnamed").await;
        site.directory
            .local()
            .await
            .exits(3)
            .says("the server has 1 replicas (")
            .says("spec.connection.replicas leads to 0 of them");
        assert_eq!(site.status()["currentVersion"], "v2");
        site.set("/spec/credentials/ignoreReplicas", true);
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v3");
    }
}

#[tokio::test]
async fn a_replica_that_cannot_be_asked_keeps_every_credential() {
    let _beside = REPLICA.read().await;
    for server in replicated() {
        let site = site(&server, "standby_away").await;
        name_replica(&site, &server);
        let secret_name = format!("{}-replica", site.name);
        let dsn = site.database.dsn("nobody", "wrong");
        site.directory.put(&secret(&secret_name, &[("dsn", &dsn)]));
        site.directory
            .local()
            .await
            .exits(3)
            .says(&format!("(DSN from Secret default/{secret_name}, key dsn)"))
            .does_not_say("wrong");
        assert_eq!(site.status()["currentVersion"], "v2");
    }
}

#[tokio::test]
async fn a_replica_that_lags_gets_the_credential_back_until_it_has_replayed() {
    let _alone = REPLICA.write().await;
    for server in replicated() {
        let (pause, go_on) = match server.engine() {
            Engine::Postgres => (
                "SELECT pg_wal_replay_pause()",
                "SELECT pg_wal_replay_resume()",
            ),
            Engine::MariaDb => ("STOP SLAVE SQL_THREAD", "START SLAVE SQL_THREAD"),
            Engine::MySql => ("STOP REPLICA SQL_THREAD", "START REPLICA SQL_THREAD"),
        };
        let site = site(&server, "standby_lag").await;
        name_replica(&site, &server);
        let old = site.published("v1");
        let replica = server.replica();
        replica.run(pause).await;
        let walk = site.directory.local().await;
        // Given back, it works.
        assert!(old.connect().await.is_ok());
        replica.run(go_on).await;
        walk.exits(3).says("had not replayed after 3 s");
        assert_eq!(site.status()["currentVersion"], "v2");
        site.directory.local().await.exits(0);
        assert_eq!(site.status()["currentVersion"], "v3");
        assert!(old.on(replica.address()).connect().await.is_err());
    }
}

/// The condition Healthy, as `status reason: message`.
fn healthy(site: &Site) -> String {
    let status = site.status();
    let conditions = status["conditions"].as_array().expect("a list");
    let one = conditions.iter().find(|one| one["type"] == "Healthy");
    let text = |field: &str| {
        one.expect("it is there")[field]
            .as_str()
            .expect("a text")
            .to_owned()
    };
    format!("{} {}: {}", text("status"), text("reason"), text("message"))
}

#[tokio::test]
async fn a_replica_that_does_not_follow_is_not_well() {
    let _alone = REPLICA.write().await;
    for server in replicated() {
        let (pause, go_on, grant) = match server.engine() {
            Engine::Postgres => (
                "SELECT pg_wal_replay_pause()",
                "SELECT pg_wal_replay_resume()",
                "",
            ),
            Engine::MariaDb => (
                "STOP SLAVE SQL_THREAD",
                "START SLAVE SQL_THREAD",
                "REPLICA MONITOR",
            ),
            Engine::MySql => (
                "STOP REPLICA SQL_THREAD",
                "START REPLICA SQL_THREAD",
                "REPLICATION CLIENT",
            ),
        };
        let site = site(&server, "standby_health").await;
        site.desire("v2");
        site.directory.local().await.exits(0);
        name_replica(&site, &server);
        let admin = site.database.admin_account();
        if !grant.is_empty() {
            site.directory.local().await.exits(0);
            let said = healthy(&site);
            let way_out = format!("GRANT {grant} ON *.* TO its login shows it");
            assert!(said.contains(&way_out), "{}: {said}", server.title());
            let grant = format!("GRANT {grant} ON *.* TO {admin}");
            site.database.run(&grant).await;
            // The replica hears of it a moment later.
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        }
        site.directory.local().await.exits(0);
        let said = healthy(&site);
        assert!(
            said.starts_with("True Healthy: "),
            "{}: {said}",
            server.title()
        );

        server.replica().run(pause).await;
        site.directory.local().await.exits(0);
        let said = healthy(&site);
        server.replica().run(go_on).await;
        let expect = format!(
            "False ReplicationLag: ReplicationLag: replica 127.0.0.1:{} does not follow: ",
            server.replica().address().1
        );
        assert!(said.starts_with(&expect), "{}: {said}", server.title());
        site.directory.local().await.exits(0);
        let said = healthy(&site);
        assert!(
            said.starts_with("True Healthy: "),
            "{}: {said}",
            server.title()
        );
    }
}
