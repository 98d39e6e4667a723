//! Users' queries on real servers: what they give, and what whoever writes one cannot do with it.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot set its stage up should fail, and measures real time"
)]

#[path = "support/site.rs"]
mod support;

use std::time::{Duration, Instant};

use dbop_database::Reader;
use dbop_model::Fact;
use dbop_testkit::conformance::{Site as _, Stage};
use secrecy::SecretString;
use support::MySite;

const LIMIT: Duration = Duration::from_secs(2);

async fn reader(site: &MySite, stage: &Stage) -> Box<dyn Reader> {
    let password: SecretString = "of-the-reader".into();
    let login = stage.admin.ensure_reader(&stage.scope, &password);
    let login = login.await.unwrap();
    let target = site.target();
    let opened = site.connector().connect_reader(&target, &login, &password);
    opened.await.unwrap()
}

#[tokio::test]
async fn a_query_gives_a_number_or_says_why_not() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::at_v1(&site).await;
        let reader = reader(&site, &stage).await;
        for (good, value) in [
            ("SELECT count(*) FROM items", 0.0),
            ("SELECT count(*) FROM items;", 0.0),
            ("SELECT 2.5 -- and no more", 2.5),
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
            ("SELECT 1 FROM items WHERE 1 = 0", "no row"),
            ("SELECT 1 AS n UNION SELECT 2", "more than one row"),
            ("SELECT 1, 2", "2 columns"),
            ("SELECT 'many'", "something else than a number"),
            ("SELECT nothing FROM items", "nothing"),
            ("SELEC 1", "syntax"),
            ("", "empty"),
        ] {
            let given = reader.number(bad, LIMIT).await.unwrap();
            let Fact::Unknown(why) = given else {
                panic!("{bad}: {given:?}")
            };
            assert!(why.to_string().contains(says), "{bad}: {why}");
        }
        // A table that came since is read once the login was made sure of again.
        let mut run = stage.migration(&site).await;
        assert!(run.create_table(&"later".parse().unwrap()).await);
        run.close().await;
        stage.admin.close_migrator(&stage.scope).await.unwrap();
        let later = "SELECT count(*) FROM later";
        assert!(matches!(
            reader.number(later, LIMIT).await,
            Ok(Fact::Unknown(_))
        ));
        let again = self::reader(&site, &stage).await;
        assert_eq!(again.number(later, LIMIT).await, Ok(Fact::Known(0.0)));
    })
    .await;
}

#[tokio::test]
async fn a_hostile_query_reaches_nothing() {
    support::on_each(async |server| {
        let site = MySite::on(&server).await;
        let stage = Stage::at_v1(&site).await;
        let reader = reader(&site, &stage).await;
        for (hostile, says) in [
            ("SELECT LOAD_FILE('/etc/passwd')", "COALESCE"),
            ("SELECT 1 INTO OUTFILE '/tmp/dbop-x'", ""),
            ("SELECT 1) AS x INTO OUTFILE '/tmp/dbop-x' -- ", "syntax"),
            ("SELECT 1; DROP TABLE items", "syntax"),
            ("DROP TABLE items", ""),
            ("DELETE FROM items", ""),
            ("COMMIT", ""),
            ("SET GLOBAL read_only = 1", ""),
            ("KILL 1", ""),
            ("CALL nothing()", ""),
            ("SELECT count(*) FROM mysql.user", "denied"),
            ("SELECT SLEEP(60)", "longer than 2 s"),
            (
                "SELECT count(*) FROM information_schema.COLUMNS a, information_schema.COLUMNS b, \
                 information_schema.COLUMNS c, information_schema.COLUMNS d",
                "longer than 2 s",
            ),
            (
                "SELECT BENCHMARK(1000000000000, SHA2('x', 512))",
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
        let there = stage.look().await;
        assert!(
            there.has_tables,
            "nothing was dropped, and the admin is still connected"
        );
        assert_eq!(
            reader.number("SELECT count(*) FROM items", LIMIT).await,
            Ok(Fact::Known(0.0)),
            "nothing was written"
        );
    })
    .await;
}
