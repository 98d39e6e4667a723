//! Connections that break, servers that fall silent, calls that are dropped half way, writes that were cut off
//! between two statements, and databases with many tables.

#[path = "support/site.rs"]
mod support;

use std::time::Duration;

use dbop_credentials::names;
use dbop_database::{Connector, DatabaseError};
use dbop_model::{Claim, ClaimOwner, Engine, LoginTurn, ObjectRef, Proof};
use dbop_mysql::MySql;
use dbop_testkit::conformance::{Site, Stage};
use mysql_async::prelude::Queryable as _;
use secrecy::SecretString;
use support::{MySite, quoted, target};
use tokio::net::TcpListener;

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

/// Ends every session of the admin.
async fn admin_is_thrown_out(site: &MySite) {
    let listed = format!(
        "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '{}'",
        site.admin
    );
    for id in site.server.reads(&listed).await {
        site.server.runs(&format!("KILL {id}")).await;
    }
}

#[tokio::test]
async fn a_killed_connection_is_lost_and_stays_so() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::prepared(&site).await;
        assert!(stage.admin.try_lock().await.unwrap());
        admin_is_thrown_out(&site).await;
        let error = stage.admin.prepare(&stage.scope).await.unwrap_err();
        assert!(
            matches!(error, DatabaseError::Lost { .. }) && error.is_transient(),
            "{error:?}"
        );
        let again = stage.admin.try_lock().await.unwrap_err();
        assert!(again.is_connection_lost(), "{again:?}");
        // The lock went with the connection, which takes the server a moment.
        let fresh = site.connector().connect(&site.target()).await.unwrap();
        let mut waited = 0;
        while !fresh.try_lock().await.unwrap() {
            assert!(waited < 500, "the lock stays");
            waited += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_dropped_half_way_costs_the_connection() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::prepared(&site).await;
        let cut = tokio::time::timeout(Duration::from_micros(1), stage.admin.prepare(&stage.scope));
        assert!(cut.await.is_err());
        let after = stage.admin.try_lock().await;
        assert!(
            matches!(after, Err(DatabaseError::Lost { .. })),
            "{after:?}"
        );
        let fresh = site.connector().connect(&site.target()).await.unwrap();
        assert!(fresh.try_lock().await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn calls_on_one_connection_take_turns() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::at_v1(&site).await;
        let (v1, v2) = ("v1".parse().unwrap(), "v2".parse().unwrap());
        let (password_1, password_2) = (secret("one"), secret("two"));
        let (a, b, c, d) = tokio::join!(
            stage
                .admin
                .ensure_login(&stage.scope, &v1, LoginTurn::First, &password_1),
            stage
                .admin
                .ensure_login(&stage.scope, &v2, LoginTurn::First, &password_2),
            stage.admin.prepare(&stage.scope),
            stage.look(),
        );
        c.unwrap();
        assert!(d.foreign.is_empty());
        for (login, password) in [(a.unwrap(), password_1), (b.unwrap(), password_2)] {
            let connector = site.connector();
            let proof = connector.prove(&site.target(), &login, &password).await;
            assert_eq!(proof, Proof::Works);
        }
    })
    .await;
}

/// Accepts connections and never says a word.
#[tokio::test]
async fn a_server_that_falls_silent_is_unreachable_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silence = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            kept.push(socket);
        }
    });
    let mysql = MySql::new(|| jiff::Timestamp::UNIX_EPOCH);
    for mode in ["DISABLED", "REQUIRED"] {
        let place = target(&format!(
            "mysql://admin:x@127.0.0.1:{port}/shop?connect_timeout=1&ssl-mode={mode}"
        ));
        let waited = tokio::time::timeout(Duration::from_secs(5), mysql.connect(&place)).await;
        match waited.expect("it does not hang") {
            Err(error @ DatabaseError::Unreachable { .. }) => {
                assert!(
                    error.to_string().contains("no answer within 1 s"),
                    "{error}"
                );
            }
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("connected to silence"),
        }
    }
    silence.abort();
}

/// On MariaDB an account and its mark are two statements: what is between them is ours, and is finished.
#[tokio::test]
async fn an_account_whose_mark_was_not_written_any_more_is_finished() {
    support::on_each(async |server| {
        if server.engine != Engine::MariaDb {
            return;
        }
        let site = MySite::on(&server).await;
        let stage = Stage::prepared(&site).await;
        let claim = &stage.scope.claim;
        let marks = server
            .reads(&format!(
                "SELECT User FROM mysql.global_priv WHERE Host = '' AND User LIKE 'dbop1.%.m:{claim}:%'"
            ))
            .await;
        assert_eq!(marks.len(), 1, "{marks:?}");
        server.runs(&format!("DROP ROLE {}", quoted(&marks[0]))).await;
        let facts = stage.look().await;
        assert_eq!((facts.migrator, facts.foreign), (None, Vec::new()));
        stage.admin.prepare(&stage.scope).await.unwrap();
        assert!(stage.look().await.roles_ready);
    })
    .await;
}

/// On MariaDB a take-over is two statements as well: between them nobody writes, and it can be done again.
#[tokio::test]
async fn a_take_over_that_was_cut_off_is_done_again() {
    support::on_each(async |server| {
        if server.engine != Engine::MariaDb {
            return;
        }
        let site = MySite::on(&server).await;
        let stage = Stage::prepared(&site).await;
        let claim = &stage.scope.claim;
        let listed = format!(
            "SELECT User FROM mysql.global_priv WHERE Host = '' AND User LIKE 'dbop1.%.g:{claim}:%'"
        );
        let before = server.reads(&listed).await;
        let mut scope = stage.scope.clone();
        scope.owner = ClaimOwner {
            cluster: "c2".into(),
            object: ObjectRef::new("shop", "renamed").unwrap(),
        };
        stage.admin.take_over(&scope).await.unwrap();
        for role in &before {
            server.runs(&format!("CREATE ROLE {}", quoted(role))).await;
        }
        for owner in [&stage.scope.owner, &scope.owner] {
            let seen = stage.look_as(owner).await.claim;
            assert!(matches!(seen, Claim::Elsewhere { .. }), "{seen:?}");
        }
        stage.admin.take_over(&scope).await.unwrap();
        let seen = stage.look_as(&scope.owner).await.claim;
        assert_eq!(seen, Claim::Ours(claim.clone()));
        stage.admin.prepare(&scope).await.unwrap();
    })
    .await;
}

/// Names that are cut, and marks of several pieces.
#[tokio::test]
async fn long_names_are_cut_and_found_again() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let mut stage = Stage::bare(&site).await;
        stage.scope.owner = ClaimOwner {
            cluster: format!("{}-{}", stage.scope.owner.cluster, "c".repeat(60)),
            object: ObjectRef::new("n".repeat(63), "o".repeat(60)).unwrap(),
        };
        stage.admin.claim(&stage.scope).await.unwrap();
        stage.admin.prepare(&stage.scope).await.unwrap();
        let migration = "m".repeat(200).parse().unwrap();
        let scope = &stage.scope;
        let login = stage
            .admin
            .ensure_login(scope, &migration, LoginTurn::First, &secret("x"))
            .await
            .unwrap();
        assert!(login.as_str().len() <= names::MYSQL_NAME_BYTES_MAX);
        let facts = stage.look().await;
        assert!(facts.roles_ready);
        assert_eq!(facts.logins[&migration].name, login);
        stage
            .admin
            .drop_login(scope, &migration, LoginTurn::First)
            .await
            .unwrap();
        assert!(stage.look().await.logins.is_empty());
        let group = names::group_role(server.engine, &scope.owner.object, &scope.claim);
        server
            .runs(&format!("DROP USER {}@'%'", quoted(group.as_str())))
            .await;
    })
    .await;
}

#[tokio::test]
async fn many_tables() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let before = Stage::at_v1(&site).await;
        let login = before.login("v1").await;
        let mut superuser = server.superuser().await;
        for number in 0..120 {
            let table = format!("{}.t{number}", quoted(&site.name));
            let create = format!("CREATE TABLE {table} (id int)");
            superuser.query_drop(create).await.unwrap();
        }
        superuser.disconnect().await.unwrap();
        // That took longer than the fence lets a session be idle.
        let scope = before.scope;
        let stage = Stage::of(&site, scope.owner, scope.claim).await;
        assert!(!stage.look().await.roles_ready);
        stage.admin.prepare(&stage.scope).await.unwrap();
        assert!(stage.look().await.roles_ready);
        let counted = format!(
            "SELECT COUNT(*) FROM mysql.tables_priv WHERE User = '{login}' AND Db = '{}' \
             AND FIND_IN_SET('Insert', Table_priv)",
            site.name
        );
        assert_eq!(server.reads(&counted).await, ["121"]);
    })
    .await;
}
