//! Facts of tables, on real servers.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/site.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_database::Administer;
use dbop_model::table::{
    ColumnName, FactRequest, RowSource, TableFacts, TableKind, TableName, TableState, Volatility,
};
use dbop_model::{Engine, Fact};
use dbop_testkit::conformance::Site as _;
use mysql_async::prelude::Queryable as _;
use support::{MySite, TestServer, quoted};

fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

fn column(name: &str) -> ColumnName {
    name.parse().unwrap()
}

async fn site(server: &TestServer, statements: &[&str]) -> (MySite, Box<dyn Administer>) {
    let site = MySite::on(server).await;
    let mut conn = server.superuser().await;
    conn.query_drop(format!("USE {}", quoted(&site.name)))
        .await
        .unwrap();
    for statement in statements {
        if let Err(error) = conn.query_drop(*statement).await {
            panic!("{statement}: {error}");
        }
    }
    conn.disconnect().await.unwrap();
    let admin = site.connector().connect(&site.target()).await.unwrap();
    (site, admin)
}

async fn asked(admin: &dyn Administer, wanted: &[FactRequest], name: &str) -> TableFacts {
    let wanted: BTreeSet<FactRequest> = wanted.iter().cloned().collect();
    let facts = admin
        .table_facts(&wanted, Duration::from_secs(5))
        .await
        .unwrap();
    match facts.table(&table(name)) {
        Fact::Known(TableState::Present(facts)) => *facts,
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test]
async fn a_table_is_described() {
    support::on_each(async |server| {
        let (_site, admin) = site(
            &server,
            &[
                "CREATE TABLE things (id bigint AUTO_INCREMENT PRIMARY KEY, a varchar(20) NOT NULL, \
                 b int NULL, c int NOT NULL DEFAULT 7, d int NULL DEFAULT 3, e int NULL, \
                 f int AS (b + 1) STORED, CONSTRAINT e_there CHECK (e IS NOT NULL))",
                "INSERT INTO things (a, b, e) VALUES ('x', NULL, 1), ('y', 2, 1)",
                "ANALYZE TABLE things",
            ],
        )
        .await;
        let of = |column_name: &str| FactRequest::Nulls {
            table: table("things"),
            column: column(column_name),
        };
        let facts = asked(
            admin.as_ref(),
            &[
                FactRequest::Table(table("things")),
                FactRequest::Size(table("things")),
                FactRequest::AnyRow(table("things")),
                of("a"),
                of("b"),
                of("d"),
                of("e"),
                FactRequest::Volatility {
                    table: table("things"),
                    function: "uuid".into(),
                },
                FactRequest::Type {
                    table: table("things"),
                    sql_type: "int".into(),
                },
            ],
            "things",
        )
        .await;
        assert_eq!(facts.kind, TableKind::Ordinary);
        assert_eq!(facts.any_row, Fact::Known(true));
        let rows = facts.rows.known().unwrap();
        assert_eq!((rows.rows, rows.source), (2, RowSource::Sample));
        assert!(facts.bytes.is_known_and(|bytes| *bytes >= 16_384), "{:?}", facts.bytes);
        for (name, nullable, has_default) in [
            ("id", false, true),
            ("a", false, false),
            ("b", true, false),
            ("c", false, true),
            ("d", true, true),
            ("e", true, false),
            ("f", true, true),
        ] {
            let seen = &facts.columns[&column(name)];
            assert_eq!((seen.nullable, seen.has_default), (nullable, has_default), "{name}");
        }
        assert_eq!(facts.columns[&column("a")].sql_type, "varchar(20)");
        // MySQL's CHECKs hold of every row; MariaDB's may not, so there the rows are asked.
        let proof = facts.columns[&column("e")].proven_not_null_by.as_deref();
        assert_eq!(proof, (server.engine == Engine::MySql).then_some("e_there"));
        assert_eq!(facts.nulls.contains_key(&column("e")), proof.is_none());
        let found = |name: &str| facts.nulls_in(&column(name)).known().map(|probe| probe.found);
        assert_eq!((found("a"), found("b"), found("d")), (None, Some(true), Some(false)));
        assert_eq!(facts.volatility_of("uuid"), Fact::Known(Volatility::Volatile));
        assert!(facts.type_named("int").is_known_and(|t| !t.constrained_domain));
    })
    .await;
}

#[tokio::test]
async fn what_is_no_plain_table() {
    support::on_each(async |server| {
        let (_site, admin) = site(
            &server,
            &[
                "CREATE TABLE parts (id int) PARTITION BY HASH (id) PARTITIONS 3",
                "CREATE VIEW seen AS SELECT id FROM parts",
                "CREATE TABLE `it's ``odd`` %_` (`a``b` int)",
            ],
        )
        .await;
        let rows = |name: &str| FactRequest::AnyRow(TableName::new(None, name).unwrap());
        let odd = "it's `odd` %_";
        let wanted = BTreeSet::from([rows("parts"), rows("seen"), rows(odd), rows("PARTS")]);
        let facts = admin
            .table_facts(&wanted, Duration::from_secs(5))
            .await
            .unwrap();
        let of = |name: &str| match facts.table(&TableName::new(None, name).unwrap()) {
            Fact::Known(TableState::Present(facts)) => *facts,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(of("parts").kind, TableKind::Partitioned);
        assert_eq!(of("parts").any_row, Fact::Known(false));
        assert_eq!(of("seen").kind, TableKind::View);
        assert!(of("seen").any_row.known().is_none(), "nobody's code is run");
        assert_eq!(of(odd).any_row, Fact::Known(false));
        assert!(of(odd).columns.contains_key(&column("a`b")));
        let missing = Fact::Known(TableState::Missing);
        assert_eq!(
            facts.table(&table("PARTS")),
            missing,
            "letters' cases count here"
        );
        // In another database no more is seen than the admin may.
        let elsewhere = FactRequest::Table(table("mysql.nowhere"));
        let facts = admin
            .table_facts(&[elsewhere].into(), Duration::from_secs(5))
            .await;
        let facts = facts.unwrap().table(&table("mysql.nowhere"));
        assert!(matches!(facts, Fact::Unknown(_)), "{facts:?}");
    })
    .await;
}

#[tokio::test]
async fn a_table_that_is_locked_is_unknown_and_the_connection_lives() {
    support::on_each(async |server| {
        let (site, admin) = site(&server, &["CREATE TABLE things (id int)"]).await;
        let mut blocker = server.superuser().await;
        let name = format!("{}.things", quoted(&site.name));
        blocker
            .query_drop(format!("LOCK TABLES {name} WRITE"))
            .await
            .unwrap();
        let any = FactRequest::AnyRow(table("things"));
        let facts = asked(admin.as_ref(), std::slice::from_ref(&any), "things").await;
        match facts.any_row {
            Fact::Unknown(why) => assert!(why.to_string().contains("lock"), "{why}"),
            known => panic!("{known:?}"),
        }
        blocker.query_drop("UNLOCK TABLES").await.unwrap();
        blocker.disconnect().await.unwrap();
        let facts = asked(admin.as_ref(), &[any], "things").await;
        assert_eq!(facts.any_row, Fact::Known(false));
    })
    .await;
}

#[tokio::test]
async fn a_slow_probe_ends() {
    support::on_each(async |server| {
        let (_site, admin) = site(
            &server,
            &[
                "CREATE TABLE big (a int NULL)",
                "INSERT INTO big VALUES (1), (2), (3), (4), (5), (6), (7), (8)",
                "INSERT INTO big SELECT x.a FROM big x, big y, big z, big u, big v, big w",
            ],
        )
        .await;
        let nulls = FactRequest::Nulls {
            table: table("big"),
            column: column("a"),
        };
        let wanted = BTreeSet::from([nulls]);
        let facts = admin
            .table_facts(&wanted, Duration::from_millis(5))
            .await
            .unwrap();
        let Fact::Known(TableState::Present(facts)) = facts.table(&table("big")) else {
            panic!("{facts:?}");
        };
        match facts.nulls_in(&column("a")) {
            Fact::Unknown(why) => assert!(why.to_string().contains("took longer"), "{why}"),
            known => panic!("{known:?}"),
        }
        assert!(admin.try_lock().await.unwrap(), "the connection lives");
    })
    .await;
}

#[tokio::test]
async fn next_ids_are_told_with_the_last_that_fits() {
    support::on_each(async |server| {
        let (_site, admin) = site(
            &server,
            &[
                "CREATE TABLE orders (id int unsigned AUTO_INCREMENT PRIMARY KEY, code varchar(9))",
                "INSERT INTO orders (code) VALUES ('a'), ('b'), ('c')",
                "CREATE TABLE fresh (id bigint AUTO_INCREMENT PRIMARY KEY)",
                "CREATE TABLE nearly (id tinyint AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 126",
                "CREATE TABLE plain (id int PRIMARY KEY)",
                "CREATE VIEW seen AS SELECT 1 AS id",
            ],
        )
        .await;
        let tables = ["orders", "fresh", "nearly", "plain", "seen", "gone"];
        let ask = async || admin.next_ids(&tables.map(table).into()).await.unwrap();
        let found = ask().await;
        let id = |name: &str| {
            let ids = found[&table(name)].known().unwrap();
            assert_eq!(ids.len(), 1);
            (ids[0].column.to_string(), ids[0].next, ids[0].limit)
        };
        assert_eq!(id("orders"), ("id".to_owned(), 4, 4_294_967_295));
        assert_eq!(id("fresh"), ("id".to_owned(), 1, i128::from(i64::MAX)));
        assert_eq!(id("nearly"), ("id".to_owned(), 126, 127));
        let reason = |name: &str| found[&table(name)].unknown().unwrap().to_string();
        assert!(
            reason("plain").ends_with("plain has no column with AUTO_INCREMENT"),
            "{}",
            reason("plain")
        );
        assert_eq!(reason("gone"), "there is no table gone");
        assert!(reason("seen").contains("view"), "{}", reason("seen"));
        assert_eq!(ask().await, found, "the session is as good as before");
    })
    .await;
}
