//! What a database's `secretTemplate` adds to the Secrets of its credentials: in the words of clients, and as the
//! template stands now.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;

use dbop_tests::local::{Credential, Site, Step};
use dbop_tests::{Engine, Session, TestServer, on_newest};
use serde_json::json;

use super::{ADD_PHONE, CREATE, WORK, site};

const TEMPLATE: &str = "/spec/credentials/secretTemplate";

#[tokio::test]
async fn presets_log_in_by_the_rules_of_their_clients() {
    on_newest(async |server| {
        let site = with_template(&server, "walk_presets").await;
        let walk = site.directory.local().await;
        walk.exits(0);
        for migration in ["v1", "v2"] {
            let credential = site.published(migration);
            walk.does_not_say(credential.get("password"));
            logs_in(&server, &credential).await;
        }
    })
    .await;
}

#[tokio::test]
async fn secrets_follow_their_template_in_place_and_hands_do_not_change_them() {
    on_newest(async |server| {
        let site = with_template(&server, "walk_template").await;
        site.directory.local().await.exits(0);
        let before = site.published("v2");
        let folder = site.directory.secret_folder(&site.secret_name("v2"));
        for (key, by_hand) in [
            ("dsn", "elsewhere"),
            ("jdbc-url", ""),
            ("password.json", "{}"),
        ] {
            std::fs::write(folder.join(key), by_hand).unwrap();
        }
        std::fs::write(folder.join("theirs"), "stays").unwrap();
        let heal = site.directory.local().await;
        heal.exits(0).does_not_say(before.get("password"));
        let healed = site.published("v2");
        assert_eq!(healed.get("theirs"), "stays");
        let mut data = healed.data().clone();
        data.remove("theirs");
        assert!(&data == before.data(), "it is not as it was");

        site.set(TEMPLATE, json!({ "keys": { "dsn": "{port}" } }));
        let follow = site.directory.local().await;
        follow.exits(0).does_not_say(before.get("password"));
        for migration in ["v1", "v2"] {
            let after = site.published(migration);
            assert_eq!(after.get("dsn"), after.get("port"));
            for gone in [
                "jdbc-url",
                "sqlalchemy-url",
                "ado-net",
                "pgpass",
                "password.json",
            ] {
                assert!(
                    !after.data().contains_key(gone),
                    "{migration} still has {gone}"
                );
            }
            after.connect().await.unwrap();
        }
        let after = site.published("v2");
        assert_eq!(after.get("theirs"), "stays");
        assert!(
            after.get("password") == before.get("password"),
            "another password"
        );
        let still = site.snapshot().await;
        site.directory.local().await.exits(0);
        still.is_still(&site.snapshot().await);
    })
    .await;
}

#[tokio::test]
async fn a_template_that_cannot_be_filled_in_is_refused_with_the_place() {
    on_newest(async |server| {
        let site = with_template(&server, "walk_misspelt").await;
        site.set(TEMPLATE, json!({ "keys": { "dsn": "host={hots}" } }));
        let refused = site.directory.local().await;
        refused
            .exits(1)
            .says("spec.credentials.secretTemplate.keys.dsn: at character 6: there is no value hots; the values are");
        assert!(site.credential("v1").is_none());
    })
    .await;
}

/// At `v2`, with every preset and keys of its own.
async fn with_template(server: &TestServer, prefix: &str) -> Site {
    let site = site(server, prefix, &[Step::new(CREATE), Step::new(ADD_PHONE)]).await;
    site.desire("v2");
    let template = json!({
        "presets": ["Jdbc", "SqlAlchemy", "DotNet", "PgPass", "PgService"],
        "labels": { "team": "shop" },
        "keys": {
            "dsn": "{username}:{password|url}@{host|url}:{port}/{database}",
            "password.json": "{{\"password\": \"{password|json}\"}}",
        },
    });
    site.set(TEMPLATE, template);
    site
}

/// Every key holds the parts of the credential, and they work.
async fn logs_in(server: &TestServer, credential: &Credential) {
    credential.connect().await.unwrap().run(WORK).await.unwrap();
    let part = |key: &str| credential.get(key).to_owned();
    let parts = ["host", "port", "database", "username", "password"].map(part);

    let sqlalchemy = credential.get("sqlalchemy-url");
    let session = Session::by_uri(&sqlalchemy.replace("mysql+pymysql:", "mysql:")).await;
    session.unwrap().run(WORK).await.unwrap();
    let dsn = format!("{}://{}", credential.get("type"), credential.get("dsn"));
    let session = Session::by_uri(&dsn).await;
    session.unwrap().run(WORK).await.unwrap();

    let (_, jdbc) = credential.get("jdbc-url").split_once("://").unwrap();
    let (place, query) = jdbc.split_once('?').unwrap();
    assert_eq!(place, format!("{}:{}/{}", parts[0], parts[1], parts[2]));
    let query: BTreeMap<&str, &str> = query
        .split('&')
        .filter_map(|one| one.split_once('='))
        .collect();
    assert!(query["user"] == parts[3] && query["password"] == parts[4]);

    let pairs: BTreeMap<&str, &str> = credential
        .get("ado-net")
        .split(';')
        .filter_map(|one| one.split_once('='))
        .collect();
    let [host, user] = match server.engine() {
        Engine::Postgres => ["Host", "Username"],
        Engine::MariaDb | Engine::MySql => ["Server", "User ID"],
    };
    let found = [host, "Port", "Database", user, "Password"].map(|key| pairs[key].to_owned());
    assert!(found == parts, "ado-net differs in {:?}", pairs.keys());

    let json: serde_json::Value = serde_json::from_str(credential.get("password.json")).unwrap();
    assert!(json["password"] == *parts[4]);

    if server.engine() != Engine::Postgres {
        for absent in ["pgpass", "pg_service.conf"] {
            assert!(!credential.data().contains_key(absent), "{absent}");
        }
        return;
    }
    let line = credential.get("pgpass").trim_end();
    assert!(line.split(':').eq(parts.iter().map(String::as_str)));
    let service: BTreeMap<&str, &str> = credential
        .get("pg_service.conf")
        .lines()
        .filter_map(|one| one.split_once('='))
        .collect();
    let found = ["host", "port", "dbname", "user", "password"].map(|key| service[key].to_owned());
    assert!(
        found == parts,
        "pg_service.conf differs in {:?}",
        service.keys()
    );
    python_logs_in(sqlalchemy).await;
}

/// SQLAlchemy itself, where the tests of Alembic have brought it.
async fn python_logs_in(url: &str) {
    let Some(environment) = std::env::var_os("DBOP_TEST_ALEMBIC_VENV") else {
        return;
    };
    let program = "import os, sqlalchemy as sa\n\
                   url = sa.make_url(os.environ['URL']).set(drivername='postgresql+psycopg')\n\
                   with sa.create_engine(url).connect() as c: c.execute(sa.text('SELECT name FROM customers'))";
    let python = std::path::Path::new(&environment).join("bin/python");
    let done = tokio::process::Command::new(python)
        .args(["-c", program])
        .env("URL", url)
        .output();
    let done = done.await.unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
