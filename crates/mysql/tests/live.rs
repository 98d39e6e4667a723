//! What rows and sessions say of tables, on real servers: duplicates, who blocks, who writes; and that asking holds
//! nobody up.

#![expect(
    clippy::disallowed_methods,
    reason = "how long real servers take is measured by a real clock"
)]

#[path = "support/look.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use dbop_database::Administer;
use dbop_model::table::FactRequest;
use dbop_model::writes::WriteWatch;
use dbop_model::{Engine, Fact};
use dbop_testkit::written;
use mysql_async::prelude::Queryable as _;
use support::{ROWS, asked, connected, look, person, present, quoted, run, site, table};

fn duplicates(name: &str, text: &str) -> FactRequest {
    FactRequest::Duplicates {
        table: table(name),
        key: written::key(text),
    }
}

/// The prediction is right where the server refuses the index, and only there.
#[tokio::test]
async fn what_is_predicted_of_a_unique_index_is_what_the_server_does() {
    support::on_each(async |server| {
        let (site, admin) = site(
            &server,
            &[
                "CREATE TABLE t (id int PRIMARY KEY, ci varchar(50), bin varchar(50) COLLATE utf8mb4_bin, n int, \
                 a int, long_ text) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
                "INSERT INTO t VALUES (1, 'abcd', 'abcd', NULL, 1, CONCAT(REPEAT('x', 2000), 'a')), \
                 (2, 'ABCE', 'ABCD', NULL, 1, CONCAT(REPEAT('x', 2000), 'b')), \
                 (3, 'Abcd', 'x', 3, 2, 'y'), (4, NULL, 'x ', 4, 2, NULL)",
                "CREATE TABLE parts (id int, k int) PARTITION BY HASH (id) PARTITIONS 3",
                "INSERT INTO parts VALUES (1, 7), (2, 7)",
            ],
        )
        .await;
        let cases = ["ci", "bin", "n", "a", "a; n", "a; id", "ci:3", "ci:4", "bin:2", "long_:700", "a; ci:4"];
        let wanted = cases.map(|text| duplicates("t", text));
        let facts = present(&look(admin.as_ref(), wanted).await, "t");
        let mut conn = person(&site).await;
        for text in cases {
            let mut columns = text.replace(';', ",");
            while let Some(at) = columns.find(':') {
                let end = columns[at..].find(',').map_or(columns.len(), |end| at + end);
                columns = format!("{}({}){}", &columns[..at], &columns[at + 1..end], &columns[end..]);
            }
            let made = conn.query_drop(format!("CREATE UNIQUE INDEX try ON t ({columns})")).await;
            if made.is_ok() {
                run(&mut conn, &["DROP INDEX try ON t"]).await;
            }
            let expect = match (made.is_ok(), text) {
                (true, "a; id") => "proven by PRIMARY",
                (true, _) => "none",
                (false, _) => "found",
            };
            assert_eq!(written::duplicates(&facts, text), expect, "{text}: {made:?}");
        }
        conn.disconnect().await.unwrap();
        let parts = asked(admin.as_ref(), duplicates("parts", "k")).await;
        assert_eq!(written::duplicates(&parts, "k"), "found");

        let expressions = [
            ("(lower(ci))", "found"),
            ("(concat(ci, id))", "none"),
            ("(sleep(60))", "without effects"),
            ("(evil(ci))", "without effects"),
            ("((SELECT 1))", "a query"),
            ("nowhere", "no column nowhere"),
        ];
        let wanted = expressions.map(|(text, _)| duplicates("t", text));
        let facts = present(&look(admin.as_ref(), wanted).await, "t");
        for (text, expect) in expressions {
            let said = written::duplicates(&facts, text);
            assert!(said.contains(expect), "{text}: {said}");
        }
    })
    .await;
}

/// The functions that a key may call, as the backend lists them.
const FUNCTIONS: &str = "abs ascii bin cast ceil ceiling char_length character_length coalesce concat concat_ws convert crc32 date dayofmonth dayofyear floor greatest hex hour if ifnull inet6_aton inet_aton instr json_extract json_unquote json_value last_day lcase least left length locate lower lpad ltrim minute mod month nullif octet_length quarter replace reverse right round rpad rtrim second sha2 sign substr substring trim ucase unhex upper";

/// A name that is not the server's own is anybody's to take: none of these is.
#[tokio::test]
async fn functions_of_keys_are_the_servers_own() {
    support::on_each(async |server| {
        let (site, admin) = site(
            &server,
            &["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)"],
        )
        .await;
        let keys: Vec<String> = FUNCTIONS
            .split(' ')
            .map(|name| format!("({name}())"))
            .collect();
        let mut conn = person(&site).await;
        for key in &keys {
            // Any refusal but that there is no such function: none takes no argument.
            let refusal = conn
                .query_drop(format!("SELECT {key}"))
                .await
                .unwrap_err()
                .to_string();
            assert!(!refusal.contains("does not exist"), "{key}: {refusal}");
        }
        let wanted = keys.iter().map(|key| duplicates("t", key));
        let facts = present(&look(admin.as_ref(), wanted).await, "t");
        for key in &keys {
            let said = written::duplicates(&facts, key);
            assert!(
                said.contains("the server says"),
                "{key} is one that may be called: {said}"
            );
        }
        let make = "CREATE FUNCTION crc32(a int) RETURNS int DETERMINISTIC NO SQL RETURN 1";
        run(&mut conn, &[make]).await;
        conn.disconnect().await.unwrap();
        let facts = asked(admin.as_ref(), duplicates("t", "(CRC32(a))")).await;
        let said = written::duplicates(&facts, "(CRC32(a))");
        assert!(
            said.contains("somebody made a function of that name"),
            "{said}"
        );
    })
    .await;
}

#[tokio::test]
async fn who_blocks_is_named_or_unknown() {
    support::on_each(async |server| {
        let (site, mut admin) = site(
            &server,
            &["CREATE TABLE t (a int)", "CREATE TABLE other (a int)"],
        )
        .await;
        let of = async |admin: &dyn Administer, name: &str| {
            asked(admin, FactRequest::Blockers(table(name)))
                .await
                .blockers
        };
        assert_eq!(of(admin.as_ref(), "t").await, Fact::Known(vec![]));
        let mut reader = person(&site).await;
        run(&mut reader, &["BEGIN", "SELECT * FROM t"]).await;
        tokio::time::sleep(Duration::from_millis(3100)).await;
        // Who may not see which tables a transaction uses does not take it for none.
        match of(admin.as_ref(), "t").await {
            Fact::Unknown(why) => {
                assert!(
                    why.is_passing() && why.to_string().contains("login root, is open for"),
                    "{why}"
                );
            }
            known => panic!("{known:?}"),
        }
        if server.engine == Engine::MySql {
            let grant = format!(
                "GRANT SELECT ON performance_schema.* TO {}@'%'",
                quoted(&site.admin)
            );
            server.runs(&grant).await;
            drop(admin);
            admin = connected(&site).await;
            let seen = of(admin.as_ref(), "t").await.known().unwrap().clone();
            assert_eq!(seen.len(), 1, "{seen:?}");
            assert_eq!(
                (seen[0].login.as_str(), seen[0].state.as_str()),
                ("root", "idle in transaction")
            );
            assert!((2..60).contains(&seen[0].age.as_secs()), "{seen:?}");
            assert_eq!(of(admin.as_ref(), "other").await, Fact::Known(vec![]));
            run(&mut reader, &["COMMIT", "LOCK TABLES other READ"]).await;
            assert_eq!(
                of(admin.as_ref(), "other").await.known().unwrap().len(),
                1,
                "not of InnoDB"
            );
            run(&mut reader, &["UNLOCK TABLES"]).await;
        }
        run(&mut reader, &["COMMIT"]).await;
        reader.disconnect().await.unwrap();
        assert_eq!(of(admin.as_ref(), "t").await, Fact::Known(vec![]));
    })
    .await;
}

#[tokio::test]
async fn writes_are_counted_between_two_looks() {
    support::on_each(async |server| {
        let (site, mut admin) = site(
            &server,
            &[
                "CREATE TABLE quiet (a int)",
                "CREATE TABLE t (id int PRIMARY KEY, a int) PARTITION BY HASH (id) PARTITIONS 3",
            ],
        )
        .await;
        let unseen = asked(admin.as_ref(), FactRequest::Writes(table("t"))).await;
        let why = unseen.writes.as_result().unwrap_err().clone();
        assert!(!why.is_passing(), "{why}");
        match server.engine {
            Engine::MariaDb => {
                assert!(why.to_string().contains("SET GLOBAL userstat = 1"), "{why}");
                server.runs("SET GLOBAL userstat = 1").await;
            }
            _ => {
                assert!(why.to_string().contains("GRANT SELECT ON performance_schema.*"), "{why}");
                let grant = format!("GRANT SELECT ON performance_schema.* TO {}@'%'", quoted(&site.admin));
                server.runs(&grant).await;
                drop(admin);
                admin = connected(&site).await;
            }
        }
        let mut watch = WriteWatch::default();
        let wanted = ["t", "quiet"].map(|name| FactRequest::Writes(table(name)));
        let mut first = look(admin.as_ref(), wanted.clone()).await;
        watch.look(&mut first);
        let why = present(&first, "t").writes.as_result().unwrap_err().clone();
        assert!(why.is_passing(), "one look is no rate: {why}");
        let mut conn = person(&site).await;
        run(
            &mut conn,
            &[
                "INSERT INTO t VALUES (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1)",
                "UPDATE t SET a = 2 WHERE id < 5",
                "DELETE FROM t WHERE id > 6",
            ],
        )
        .await;
        conn.disconnect().await.unwrap();
        tokio::time::sleep(Duration::from_millis(3300)).await;
        let mut second = look(admin.as_ref(), wanted).await;
        watch.look(&mut second);
        if server.engine == Engine::MariaDb {
            server.runs("SET GLOBAL userstat = 0").await;
        }
        let rate = |name: &str| present(&second, name).writes.known().cloned().unwrap();
        let changed = rate("t").per_second * rate("t").span.as_secs_f64();
        assert!((changed - 14.0).abs() < 0.01, "{changed}");
        assert!(rate("quiet").per_second.abs() < f64::EPSILON);
    })
    .await;
}

/// A key that takes long to compute.
const SLOW_KEY: &str =
    "(sha2(rpad(sha2(rpad(sha2(rpad(hex(a), 4000, 'x'), 512), 4000, 'x'), 512), 4000, 'x'), 512))";

/// So much more than its limit may something take on a machine that does other things as well.
const BUSY: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_probe_ends_in_time_and_holds_nobody_up() {
    support::on_each(async |server| {
        let (site, admin) = site(
            &server,
            &[
                "CREATE TABLE big (a int NULL)",
                "INSERT INTO big VALUES (1), (2), (3), (4), (5), (6), (7), (8)",
                ROWS,
                "CREATE TABLE one (id int PRIMARY KEY, a int)",
            ],
        )
        .await;
        let timeout = Duration::from_secs(1);
        let wanted = BTreeSet::from([duplicates("big", SLOW_KEY)]);
        let mut writer = person(&site).await;
        let writes = tokio::spawn(async move {
            let (begin, mut longest, mut count) = (Instant::now(), Duration::ZERO, 0);
            while begin.elapsed() < Duration::from_secs(1) {
                let one = Instant::now();
                run(&mut writer, &["INSERT INTO big VALUES (9)"]).await;
                longest = longest.max(one.elapsed());
                count += 1;
            }
            writer.disconnect().await.unwrap();
            (longest, count)
        });
        let begin = Instant::now();
        let facts = admin.table_facts(&wanted, timeout).await.unwrap();
        let took = begin.elapsed();
        let reason = written::duplicates(&present(&facts, "big"), SLOW_KEY);
        assert!(reason.contains("took longer than 1 s"), "{reason}");
        assert!(took < timeout + BUSY, "{took:?}");
        let (longest, count) = writes.await.unwrap();
        assert!(count > 10, "{count} writes beside the probe");
        assert!(longest < timeout, "{longest:?}");

        // DDL waits for the probe as for any reader: no longer than its limit, and no lock outlives it.
        let mut ddl = person(&site).await;
        let altered = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let begin = Instant::now();
            run(
                &mut ddl,
                &["ALTER TABLE big ADD COLUMN later int, ALGORITHM=INSTANT"],
            )
            .await;
            ddl.disconnect().await.unwrap();
            begin.elapsed()
        });
        admin.table_facts(&wanted, timeout).await.unwrap();
        let waited = altered.await.unwrap();
        assert!(waited < timeout + BUSY, "{waited:?}");
        assert!(admin.try_lock().await.unwrap(), "the connection lives");
    })
    .await;
}

/// What a login has asked the server for, by the server's own log.
fn statements_of(log: &str, login: &str) -> Vec<String> {
    let entry = |line: &str| -> Option<(String, String, String)> {
        let mut fields = line
            .split('\t')
            .skip_while(|field| !field.ends_with("Query") && !field.ends_with("Connect"));
        let (id, command) = fields.next()?.trim().split_once(' ')?;
        let text = fields.collect::<Vec<_>>().join("\t");
        Some((id.to_owned(), command.trim().to_owned(), text))
    };
    let entries: Vec<_> = log.lines().filter_map(entry).collect();
    let theirs: BTreeSet<&String> = entries
        .iter()
        .filter(|(_, command, text)| command == "Connect" && text.starts_with(&format!("{login}@")))
        .map(|(id, _, _)| id)
        .collect();
    entries
        .iter()
        .filter(|(id, command, _)| command == "Query" && theirs.contains(id))
        .map(|(_, _, text)| text.clone())
        .collect()
}

/// Nothing that is asked writes, takes a lock, or begins a transaction that could outlive it.
#[tokio::test]
async fn a_look_only_reads() {
    support::on_each(async |server| {
        let (site, admin) = site(
            &server,
            &[
                "CREATE TABLE t (id int, a varchar(9))",
                "INSERT INTO t VALUES (1, 'a'), (2, NULL)",
            ],
        )
        .await;
        let t = || table("t");
        let wanted = [
            FactRequest::Table(t()),
            FactRequest::Size(t()),
            FactRequest::AnyRow(t()),
            FactRequest::Indexes(t()),
            FactRequest::Constraints(t()),
            FactRequest::Storage(t()),
            FactRequest::Writes(t()),
            FactRequest::Blockers(t()),
            FactRequest::IndexNamed(t()),
            FactRequest::Nulls {
                table: t(),
                column: "a".parse().unwrap(),
            },
            duplicates("t", "a"),
            duplicates("t", "(lower(a))"),
        ];
        let facts = present(&look(admin.as_ref(), wanted).await, "t");
        assert_eq!(written::duplicates(&facts, "(lower(a))"), "none");
        drop(admin);
        let log = std::fs::read(server.known.statements()).unwrap();
        let asked = statements_of(&String::from_utf8_lossy(&log), &site.admin);
        assert!(asked.len() > 20, "{asked:?}");
        assert!(
            asked.iter().any(|sql| sql.contains("GROUP BY (lower(a))")),
            "{asked:?}"
        );
        for sql in &asked {
            let reads = ["SELECT ", "SHOW ", "SET SESSION "];
            assert!(reads.iter().any(|verb| sql.starts_with(verb)), "{sql}");
            let sets_global = sql.contains("GLOBAL ") && !sql.starts_with("SHOW ");
            assert!(!sets_global && !sql.contains("FOR UPDATE"), "{sql}");
        }
    })
    .await;
}
