//! Users' queries on real servers: what they give, and what whoever writes one cannot do with it.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot set its stage up should fail, and measures real time"
)]

#[path = "support/site.rs"]
mod support;

use std::time::{Duration, Instant};

use dbop_database::{DatabaseError, Reader};
use dbop_model::Fact;
use dbop_testkit::conformance::{Site as _, Stage};
use dbop_tests::majors;
use secrecy::SecretString;
use support::PgSite;

const LIMIT: Duration = Duration::from_secs(2);

async fn reader(site: &PgSite, stage: &Stage) -> Box<dyn Reader> {
    let password: SecretString = "of-the-reader".into();
    let login = stage.admin.ensure_reader(&stage.scope, &password);
    let login = login.await.unwrap();
    let target = site.target();
    let opened = site.connector().connect_reader(&target, &login, &password);
    opened.await.unwrap()
}

#[tokio::test]
async fn a_query_gives_a_number_or_says_why_not() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::at_v1(&site).await;
        let reader = reader(&site, &stage).await;
        // Made after the login was: the migrator's tables are the owner role's, whose default privileges reach it.
        let mut run = stage.migration(&site).await;
        assert!(run.create_table(&"later".parse().unwrap()).await);
        run.close().await;
        stage.admin.close_migrator(&stage.scope).await.unwrap();
        for (good, value) in [
            ("SELECT count(*) FROM items", 0.0),
            ("SELECT count(*) FROM public.later;", 0.0),
            ("SELECT 2.5::numeric -- and no more", 2.5),
            ("SELECT count(*) = 0 FROM items", 1.0),
            ("WITH n AS (SELECT 41 AS n) SELECT n + 1 FROM n", 42.0),
            ("SELECT '7'", 7.0),
        ] {
            assert_eq!(
                reader.number(good, LIMIT).await,
                Ok(Fact::Known(value)),
                "{good}"
            );
        }
        for (bad, says) in [
            ("SELECT NULL", "COALESCE"),
            ("SELECT 1 WHERE false", "no row"),
            ("SELECT generate_series(1, 3)", "more than one row"),
            ("SELECT 1, 2", "2 columns"),
            ("SELECT 'many'", "something else than a number"),
            ("SELECT nothing FROM nowhere", "does not exist"),
            ("SELEC 1", "syntax error"),
            ("", "syntax error"),
        ] {
            let given = reader.number(bad, LIMIT).await.unwrap();
            let Fact::Unknown(why) = given else {
                panic!("{bad}: {given:?}")
            };
            assert!(why.to_string().contains(says), "{bad}: {why}");
        }
        assert_eq!(reader.number("SELECT 7", LIMIT).await, Ok(Fact::Known(7.0)));
    }
}

#[tokio::test]
async fn a_hostile_query_reaches_nothing() {
    for major in majors() {
        let site = PgSite::new(major).await;
        let stage = Stage::at_v1(&site).await;
        site.superuser_runs(
            "CREATE FUNCTION public.writes() RETURNS int LANGUAGE sql SECURITY DEFINER AS \
             'INSERT INTO public.items DEFAULT VALUES RETURNING 1'; \
             GRANT EXECUTE ON FUNCTION public.writes() TO PUBLIC",
        )
        .await;
        let reader = reader(&site, &stage).await;
        for (hostile, says) in [
            ("SELECT pg_read_file('PG_VERSION')", "permission denied"),
            ("SELECT pg_ls_dir('.')", "permission denied"),
            ("SELECT lo_import('/etc/passwd')", "permission denied"),
            ("SELECT lo_export(1, '/tmp/dbop')", "permission denied"),
            ("COPY (SELECT 1) TO PROGRAM 'id'", "syntax error"),
            (
                "SELECT 1; COPY (SELECT 1) TO PROGRAM 'id'",
                "multiple commands",
            ),
            ("SELECT 1; DROP TABLE items", "multiple commands"),
            ("COMMIT; DROP TABLE items", "syntax error"),
            ("SELECT 1 INTO TEMP mine", "INTO"),
            ("DELETE FROM items", "syntax error"),
            (
                "WITH gone AS (DELETE FROM items RETURNING 1) SELECT count(*) FROM gone",
                "WITH",
            ),
            ("SELECT public.writes()", "read-only transaction"),
            ("SELECT nextval('items_id_seq')", "permission denied"),
            ("SELECT 1 FROM items FOR UPDATE", "read-only transaction"),
            ("SELECT count(*) FROM pg_authid", "permission denied"),
            ("SELECT count(*) FROM pg_shadow", "permission denied"),
            (
                "SELECT set_config('role', 'postgres', false)::int",
                "permission denied",
            ),
            (
                "SELECT set_config('transaction_read_only', 'off', true)::int",
                "read-write mode",
            ),
            ("SELECT pg_reload_conf()::int", "permission denied"),
            ("SELECT pg_sleep(60) IS NULL", "longer than 2 s"),
            (
                "SELECT count(*) FROM generate_series(1, 100000000000) a",
                "longer than 2 s",
            ),
        ] {
            let began = Instant::now();
            let given = reader.number(hostile, LIMIT).await.unwrap();
            let Fact::Unknown(why) = given else {
                panic!("{hostile}: {given:?}")
            };
            assert!(why.to_string().contains(says), "{hostile}: {why}");
            assert!(began.elapsed() < LIMIT * 2, "{hostile}");
        }
        // Others' sessions are not its to end.
        let others = "SELECT count(*) FROM pg_stat_activity WHERE pg_terminate_backend(pid) \
                      AND pid <> pg_backend_pid() AND usename IS NOT NULL";
        let given = reader.number(others, LIMIT).await;
        let harmless = match &given {
            Ok(Fact::Unknown(why)) => why.to_string().contains("(42501)"),
            Ok(Fact::Known(_)) => false,
            // Its own was the first that it came to.
            Err(DatabaseError::Lost { .. }) => true,
            Err(error) => panic!("{error}"),
        };
        assert!(harmless, "{given:?}");
        let there = stage.look().await;
        assert!(
            there.has_tables,
            "nothing was dropped, and the admin is still connected"
        );
        let again = self::reader(&site, &stage).await;
        assert_eq!(
            again.number("SELECT count(*) FROM items", LIMIT).await,
            Ok(Fact::Known(0.0)),
            "nothing was written"
        );
        let ends_itself = again.number("SELECT pg_terminate_backend(pg_backend_pid())::int", LIMIT);
        assert!(matches!(ends_itself.await, Err(DatabaseError::Lost { .. })));
    }
}
