//! Connections that break, servers that fall silent, calls that are dropped half way, locks in the way, and
//! databases with more tables than one round takes.

#[path = "support/site.rs"]
mod support;

use std::time::Duration;

use dbop_database::DatabaseError;
use dbop_model::{LoginTurn, Privilege, Proof};
use dbop_testkit::conformance::{Site, Stage};
use dbop_tests::majors;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use support::{PgSite, quoted, target};

fn secret(text: &str) -> SecretString {
    text.to_owned().into()
}

#[tokio::test]
async fn a_killed_connection_is_lost_and_stays_so() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::prepared(&site).await;
        assert!(stage.admin.try_lock().await.unwrap());
        site.everybody_leaves().await;
        let error = stage.admin.prepare(&stage.scope).await.unwrap_err();
        assert!(
            matches!(error, DatabaseError::Lost { .. }) && error.is_transient(),
            "{error:?}"
        );
        let again = stage.admin.try_lock().await.unwrap_err();
        assert!(again.is_connection_lost(), "{again:?}");
        let admin = site.connector().connect(&site.target()).await.unwrap();
        let fresh = Stage {
            admin,
            scope: stage.scope.clone(),
        };
        assert!(
            fresh.admin.try_lock().await.unwrap(),
            "the lock went with the connection"
        );
        assert!(fresh.look().await.roles_ready);
    }
}

#[tokio::test]
async fn a_connection_lost_in_the_middle_of_a_write_leaves_all_or_nothing() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::at_v1(&site).await;
        let login = stage.login("v1").await;
        // The write waits for a lock that another session holds, and is killed while it waits.
        let blocker = site.database.superuser().await;
        let quoted_login = quoted(login.as_str());
        site.superuser_runs(&format!("ALTER TABLE public.items OWNER TO {quoted_login}"))
            .await;
        blocker
            .batch_execute("BEGIN; LOCK TABLE public.items IN ACCESS SHARE MODE")
            .await
            .unwrap();
        let v1 = "v1".parse().unwrap();
        let drop_login = stage.admin.drop_login(&stage.scope, &v1, LoginTurn::First);
        let kill = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            site.superuser_runs(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'database-operator'",
            )
            .await;
        };
        let (dropped, ()) = tokio::join!(drop_login, kill);
        assert!(
            matches!(dropped, Err(DatabaseError::Lost { .. })),
            "{dropped:?}"
        );
        assert_eq!(
            site.owner_of(&"items".parse().unwrap())
                .await
                .unwrap()
                .as_str(),
            login.as_str()
        );
        blocker.batch_execute("ROLLBACK").await.unwrap();
        let admin = site.connector().connect(&site.target()).await.unwrap();
        admin
            .drop_login(&stage.scope, &v1, LoginTurn::First)
            .await
            .unwrap();
        assert!(!site.has_role(login.as_str()).await);
    }
}

#[tokio::test]
async fn a_lock_in_the_way_is_given_up_after_a_while() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::at_v1(&site).await;
        let login = stage.login("v1").await;
        let quoted_login = quoted(login.as_str());
        site.superuser_runs(&format!("ALTER TABLE public.items OWNER TO {quoted_login}"))
            .await;
        let blocker = site.database.superuser().await;
        blocker
            .batch_execute("BEGIN; LOCK TABLE public.items IN ACCESS SHARE MODE")
            .await
            .unwrap();
        let v1 = "v1".parse().unwrap();
        let error = stage
            .admin
            .drop_login(&stage.scope, &v1, LoginTurn::First)
            .await
            .unwrap_err();
        assert!(
            matches!(error, DatabaseError::Timeout { .. }) && error.is_transient(),
            "{error:?}"
        );
        assert!(
            stage.look().await.logins.contains_key(&v1),
            "the connection lives, nothing is done"
        );
        blocker.batch_execute("ROLLBACK").await.unwrap();
        stage
            .admin
            .drop_login(&stage.scope, &v1, LoginTurn::First)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_half_way_costs_the_connection() {
    for major in majors() {
        let site = PgSite::new(major).await;
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
    }
}

#[tokio::test]
async fn calls_on_one_connection_take_turns() {
    for major in majors() {
        let site = PgSite::new(major).await;
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
            let proof = site
                .connector()
                .prove(&site.target(), &login, &password)
                .await;
            assert_eq!(proof, Proof::Works);
        }
    }
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
    let postgres = dbop_postgres::Postgres::new(|| jiff::Timestamp::UNIX_EPOCH);
    for mode in ["disable", "require"] {
        let place = target(&format!(
            "postgresql://admin:x@127.0.0.1:{port}/shop?connect_timeout=1&sslmode={mode}"
        ));
        let connector: &dyn dbop_database::Connector = &postgres;
        let waited = tokio::time::timeout(Duration::from_secs(5), connector.connect(&place)).await;
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

/// A way to the server for one client that stands still after its first statement: nothing more of it comes through. Tells
/// whether the server has ended the session meanwhile.
#[expect(
    clippy::unwrap_used,
    reason = "a test that has no way to its server should fail"
)]
async fn stands_still_after_a_statement(server: (String, u16)) -> (u16, JoinHandle<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let ended = tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let inside = TcpStream::connect(server).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = inside.into_split();
        let answers =
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        // The startup packet has no type; a statement is of type Q (manual, 55.7 "Message Formats").
        let (mut kind, mut statements) = (None, 0);
        while statements < 2 {
            let length = from_client.read_u32().await.unwrap();
            let mut body = vec![0; length as usize - 4];
            from_client.read_exact(&mut body).await.unwrap();
            statements += usize::from(kind == Some(b'Q'));
            if statements < 2 {
                let message = [kind.as_slice(), &length.to_be_bytes(), &body].concat();
                to_server.write_all(&message).await.unwrap();
                kind = Some(from_client.read_u8().await.unwrap());
            }
        }
        tokio::time::timeout(Duration::from_secs(20), answers)
            .await
            .is_ok()
    });
    (port, ended)
}

/// The session of a proof is one of the application's login: left behind it would hold the credential in use.
#[tokio::test]
async fn the_session_of_a_proof_that_stands_still_is_ended() {
    let major = majors().into_iter().max().unwrap();
    let site = PgSite::new(major).await;
    let stage = Stage::at_v1(&site).await;
    let login = stage.login("v1").await;
    let (port, ended) = stands_still_after_a_statement(site.database.server().address()).await;
    let place = target(&format!(
        "postgresql://nobody@127.0.0.1:{port}/{}?sslmode=disable",
        site.database.name()
    ));
    let proof = site
        .connector()
        .prove(&place, &login, &secret("password-of-v1"))
        .await;
    assert!(matches!(proof, Proof::Unknown(_)), "{proof:?}");
    assert!(ended.await.unwrap(), "the server ends it by itself");
}

#[tokio::test]
async fn more_tables_than_one_round_takes() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let mut stage = Stage::at_v1(&site).await;
        let migrator = stage
            .admin
            .open_migrator(&stage.scope, &secret("m"))
            .await
            .unwrap();
        let run = site.login(migrator.as_str(), "m").await.unwrap();
        run.batch_execute(
            "DO $$ BEGIN FOR i IN 1..2500 LOOP \
             EXECUTE format('CREATE TABLE public.t%s (id int)', i); END LOOP; END $$",
        )
        .await
        .unwrap();
        stage.scope.access.privileges = [Privilege::Select, Privilege::Truncate].into();
        assert!(!stage.look().await.roles_ready);
        stage.admin.prepare(&stage.scope).await.unwrap();
        assert!(stage.look().await.roles_ready);
        let group = format!("shop_{}_app", stage.scope.claim);
        let counted = format!(
            "SELECT count(*) FROM pg_class WHERE relname ~ '^t[0-9]+$' \
             AND has_table_privilege('{group}', oid, 'TRUNCATE') \
             AND NOT has_table_privilege('{group}', oid, 'INSERT')"
        );
        assert_eq!(
            site.superuser_reads(&counted).await.as_deref(),
            Some("2500")
        );
    }
}
