//! Trials of statements on copies, on real servers: what the server says, and that nothing is left, also after a crash.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/look.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use dbop_database::Administer;
use dbop_hints::{facts_wanted, trials_wanted};
use dbop_model::trial::Trial;
use dbop_model::{Engine, Fact};
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use support::{connected, on_each, person, run, site};

const TIMEOUT: Duration = Duration::from_secs(5);

/// What trying the statements of a file comes to, by their numbers.
async fn tried(admin: &dyn Administer, sql: &str) -> BTreeMap<usize, Fact<Trial>> {
    let server = admin.server_info();
    let statements = dbop_sql::read(server.engine, sql);
    let facts = admin
        .table_facts(&facts_wanted(&statements), TIMEOUT)
        .await
        .unwrap();
    let attempts = trials_wanted(&server, &statements, &facts);
    admin.try_on_copies(&attempts, TIMEOUT).await.unwrap()
}

/// In a word, with the server's words.
fn word(trial: Option<&Fact<Trial>>) -> String {
    match trial {
        None => "not tried".to_owned(),
        Some(Fact::Known(Trial::Done {
            algorithm, locking, ..
        })) => match (algorithm, locking) {
            (Some(algorithm), Some(locking)) => format!("{algorithm} {locking}"),
            _ => "done".to_owned(),
        },
        Some(Fact::Known(Trial::Refused { code, .. })) => format!("refused {code}"),
        Some(Fact::Unknown(why)) => format!("unknown: {why}"),
    }
}

/// Every schema of ours that is there, with its tables; and the user's rows.
async fn left(conn: &mut Conn) -> Vec<String> {
    let mut left: Vec<String> = conn
        .query("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'dbop\\_scratch\\_%'")
        .await
        .unwrap();
    let rows: Vec<String> = conn
        .query("SELECT CAST(COUNT(*) AS CHAR) FROM plain")
        .await
        .unwrap();
    left.extend(rows);
    left
}

#[tokio::test]
async fn statements_are_tried_on_a_copy_and_nothing_is_left() {
    on_each(async |server| {
        let setup = [
            "CREATE TABLE plain (id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL, t VARCHAR(50))",
            "INSERT INTO plain (n, t) VALUES (1, 'a'), (2, 'b')",
        ];
        let (site, admin) = site(&server, &setup).await;
        let add = "ALTER TABLE plain ADD COLUMN a INT";
        let got = word(tried(admin.as_ref(), add).await.get(&0));
        assert!(
            got.contains("GRANT ALL PRIVILEGES ON `dbop\\_scratch\\_%`.*"),
            "the least admin may not: {got}"
        );
        let mut person = person(&site).await;
        let grant = format!("GRANT ALL PRIVILEGES ON `dbop\\_scratch\\_%`.* TO `{}`@`%`", site.admin);
        run(&mut person, &[&grant]).await;
        drop(admin);
        let admin = connected(&site).await;
        let is_mysql = admin.server_info().engine == Engine::MySql;
        let copy = if is_mysql || admin.server_info().major < 11 {
            "COPY SHARED"
        } else {
            "COPY NONE"
        };
        let index = if is_mysql { "INPLACE NONE" } else { "NOCOPY NONE" };
        let before = left(&mut person).await;
        assert_eq!(before, ["2"]);
        for (sql, expect) in [
            (add, "INSTANT NONE"),
            ("ALTER TABLE plain MODIFY n BIGINT NOT NULL", copy),
            ("CREATE INDEX i ON plain (t)", index),
            ("ALTER TABLE plain MODIFY n BIGINT NOT NULL, ALGORITHM=INPLACE", "refused 184"),
            ("ALTER TABLE plain ADD COLUMN a INT, ALGORITHM=INSTANT", "done"),
            ("ALTER TABLE plain ADD COLUMN n INT", "refused 1060"),
            ("ALTER TABLE plain ADD INDEX i (nothing)", "refused 1072"),
            ("ALTER TABLE plain ADD PRIMARY KEY (n)", "refused 1068"),
            ("ALTER TABLE plain ADD FOREIGN KEY (n) REFERENCES plain (id)", "not tried"),
            ("DROP TABLE plain", "not tried"),
        ] {
            let got = word(tried(admin.as_ref(), sql).await.get(&0));
            assert!(got.starts_with(expect), "{}: {sql}: {got}", server.known.title());
            assert_eq!(left(&mut person).await, before, "{sql}");
        }
        let trials = tried(
            admin.as_ref(),
            "ALTER TABLE plain ADD COLUMN a INT; ALTER TABLE plain DROP COLUMN a; ALTER TABLE plain DROP COLUMN a;
             ALTER TABLE plain ADD COLUMN z INT",
        )
        .await;
        let words: Vec<String> = (0..4).map(|nth| word(trials.get(&nth))).collect();
        assert_eq!(words[2..], ["refused 1091", "unknown: a statement before it could not be tried"]);
        assert!(words[0] == "INSTANT NONE" && words[1].ends_with("NONE"), "{words:?}");

        // A schema that a crash left is found by its name and dropped; one with more in it is somebody's.
        let schema = dbop_mysql::scratch_schema(&site.name);
        run(
            &mut person,
            &[
                &format!("CREATE DATABASE `{schema}`"),
                &format!("CREATE TABLE `{schema}`.dbop_scratch (id INT)"),
            ],
        )
        .await;
        assert_eq!(word(tried(admin.as_ref(), add).await.get(&0)), "INSTANT NONE");
        assert_eq!(left(&mut person).await, before);
        for foreign in [
            format!("CREATE TABLE `{schema}`.dbop_scratch AS SELECT 1 AS x"),
            format!("CREATE TABLE `{schema}`.theirs (id INT)"),
        ] {
            run(&mut person, &[&format!("CREATE DATABASE `{schema}`"), &foreign]).await;
            let got = word(tried(admin.as_ref(), add).await.get(&0));
            assert!(got.contains("holds other things than an empty copy"), "{got}");
            assert_eq!(left(&mut person).await.len(), 2, "it is still there");
            run(&mut person, &[&format!("DROP DATABASE `{schema}`")]).await;
        }

        // Another session that tries on the same database is left alone.
        let other = connected(&site).await;
        let both = tokio::join!(tried(admin.as_ref(), add), tried(other.as_ref(), add));
        for trials in [both.0, both.1] {
            let got = word(trials.get(&0));
            assert!(got == "INSTANT NONE" || got.contains("another session"), "{got}");
        }
        assert_eq!(left(&mut person).await, before);
        person.disconnect().await.unwrap();
    })
    .await;
}
