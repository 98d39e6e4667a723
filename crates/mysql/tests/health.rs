//! Facts of health against real MySQL and MariaDB, as the least admin: what is wrong is found, what is hidden is unknown.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/look.rs"]
mod support;

use std::time::{Duration, Instant};

use dbop_database::Administer;
use dbop_model::Fact;
use dbop_model::health::HealthFacts;
use mysql_async::prelude::Queryable as _;
use support::{connected, on_each, person, quoted, run, site};

async fn seen(admin: &dyn Administer) -> HealthFacts {
    admin.health().await.unwrap()
}

#[track_caller]
fn known<T: std::fmt::Debug>(fact: &Fact<T>) -> &T {
    fact.as_result().unwrap_or_else(|why| panic!("{why}"))
}

#[tokio::test]
async fn tables_are_told_by_what_is_wrong_with_them() {
    on_each(async |server| {
        let (site, admin) = site(
            &server,
            &[
                "CREATE TABLE log (line text)",
                "CREATE TABLE `odd one` (id int)",
                "CREATE TABLE unique_ (id int NOT NULL UNIQUE)",
                "CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, email varchar(50))",
                "CREATE TABLE small (id tinyint unsigned AUTO_INCREMENT PRIMARY KEY)",
                "CREATE TABLE plain (id int PRIMARY KEY)",
                "CREATE VIEW seen AS SELECT id FROM plain",
                "ALTER TABLE orders AUTO_INCREMENT = 2000000001",
                "INSERT INTO small VALUES (9)",
            ],
        )
        .await;
        let facts = seen(admin.as_ref()).await;
        let of = |table: &str| format!("{}.{table}", site.name);
        let names: Vec<String> = known(&facts.keyless)
            .listed
            .iter()
            .map(|table| format!("{}.{}", table.schema().unwrap(), table.name()))
            .collect();
        assert_eq!(names, [of("log"), of("odd one")]);

        let told: Vec<(String, i128, i128)> = known(&facts.ids)
            .listed
            .iter()
            .map(|id| (id.table.name().to_owned(), id.next, id.limit))
            .collect();
        let expect = [
            ("orders".to_owned(), 2_000_000_001, i128::from(i32::MAX)),
            ("small".to_owned(), 10, 255),
        ];
        assert_eq!(told, expect);

        assert!(*known(&facts.bytes) >= 6 * 16_384, "{:?}", facts.bytes);
        assert!(known(&facts.invalid_indexes).listed.is_empty());
        assert!(known(&facts.transaction_ids).is_empty());
    })
    .await;
}

#[tokio::test]
async fn free_space_of_a_file_is_seen() {
    on_each(async |server| {
        let (site, admin) = site(
            &server,
            &[
                "CREATE TABLE big (id int AUTO_INCREMENT PRIMARY KEY, pad varchar(1000))",
                "INSERT INTO big (pad) VALUES (REPEAT('x', 1000)), (REPEAT('x', 1000))",
            ],
        )
        .await;
        let mut conn = person(&site).await;
        for _ in 0..14 {
            run(&mut conn, &["INSERT INTO big (pad) SELECT pad FROM big"]).await;
        }
        run(
            &mut conn,
            &["DELETE FROM big WHERE id > 10", "ANALYZE TABLE big"],
        )
        .await;
        // The server gives the pages of deleted rows back when nobody can see the rows any more.
        for attempt in 0.. {
            run(&mut conn, &["ANALYZE TABLE big"]).await;
            let bloat = known(&seen(admin.as_ref()).await.bloat).clone();
            let big = bloat.listed.iter().find(|one| one.table.name() == "big");
            if big.is_some_and(|one| one.share > 0.5 && one.bytes > 20 << 20) {
                break;
            }
            assert!(attempt < 100, "{bloat:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_and_transactions_are_seen() {
    on_each(async |server| {
        let (site, admin) = site(&server, &["CREATE TABLE t (id int PRIMARY KEY)"]).await;
        let mut conn = person(&site).await;
        run(&mut conn, &["BEGIN", "INSERT INTO t VALUES (1)"]).await;
        let id = conn.id();
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let facts = seen(admin.as_ref()).await;
        let server = &known(&facts.connections)[0];
        assert!(server.used >= 2 && server.max > server.used, "{server:?}");
        let open = known(&facts.transactions);
        assert_eq!(open.listed.len(), 1, "{open:?}");
        let one = &open.listed[0];
        assert_eq!(one.session, format!("thread {id}"));
        let span = Duration::from_secs(2)..Duration::from_secs(60);
        assert!(span.contains(&one.age), "{one:?}");
        assert_eq!(facts.numbers().oldest_transaction, Some(one.age));
        run(&mut conn, &["COMMIT"]).await;
        // InnoDB shows its list of transactions for a tenth of a second.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let facts = seen(admin.as_ref()).await;
        assert!(known(&facts.transactions).listed.is_empty());
        assert_eq!(facts.numbers().oldest_transaction, Some(Duration::ZERO));
        assert!(known(&facts.replicas).is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_process_would_show_is_unknown_without_it_and_the_rest_is_known() {
    on_each(async |server| {
        let (site, _) = site(&server, &["CREATE TABLE log (line text)"]).await;
        let revoke = format!("REVOKE PROCESS ON *.* FROM {}@'%'", quoted(&site.admin));
        server.runs(&revoke).await;
        let admin = connected(&site).await;
        let facts = seen(admin.as_ref()).await;
        for why in [facts.transactions.unknown(), facts.replicas.unknown()] {
            let why = why.unwrap().to_string();
            assert!(
                why.contains("GRANT PROCESS ON *.* TO the admin shows it"),
                "{why}"
            );
        }
        assert_eq!(known(&facts.keyless).listed.len(), 1);
        known(&facts.connections);
    })
    .await;
}

/// Many tables cost milliseconds, and the limits of the session are those from before.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "it measures")]
async fn a_look_is_cheap() {
    on_each(async |server| {
        let (site, _) = site(&server, &[]).await;
        let mut conn = person(&site).await;
        let mut measured = Vec::new();
        for tables in [0, 100] {
            for nth in 0..tables {
                let sql = format!(
                    "CREATE TABLE t{nth} (id int AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 5"
                );
                conn.query_drop(sql).await.unwrap();
            }
            // The server ends a session that was silent for as long as this takes.
            let admin = connected(&site).await;
            seen(admin.as_ref()).await;
            let began = Instant::now();
            let facts = seen(admin.as_ref()).await;
            let took = began.elapsed();
            assert_eq!(known(&facts.ids).listed.len(), tables);
            assert!(took < Duration::from_secs(5), "{took:?}");
            measured.push(format!("{took:?} with {tables} tables"));
        }
        println!("{}: {}", server.known.title(), measured.join(", "));
        let names: Vec<String> = (0..100).map(|nth| format!("t{nth}")).collect();
        let drop = format!("DROP TABLE {}", names.join(", "));
        conn.query_drop(drop).await.unwrap();
    })
    .await;
}
