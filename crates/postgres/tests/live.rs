//! What rows and sessions say of tables, on real PostgreSQL: duplicates, who blocks, who writes; and that asking holds
//! nobody up and changes nothing.

#![expect(
    clippy::disallowed_methods,
    reason = "how long real servers take is measured by a real clock"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/look.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use dbop_model::Fact;
use dbop_model::table::{FactRequest, TableFacts, TableFactsSet};
use dbop_model::writes::WriteWatch;
use dbop_postgres::facts::table_facts;
use dbop_testkit::written;
use dbop_tests::{majors, server};
use jiff::Timestamp;
use support::{connect, each, look, name, noon, present, why};
use tokio_postgres::Client;

fn duplicates(table: &str, text: &str) -> FactRequest {
    FactRequest::Duplicates {
        table: name(table),
        key: written::key(text),
    }
}

const UNTRUSTED: &str = "is not among the server's own functions without effects";

#[tokio::test]
async fn duplicates_and_their_proofs() {
    let setup = "
        CREATE TABLE t (id int PRIMARY KEY, email text, a int, b int, n int, doc json,
                        \"odd \"\"name\" int);
        INSERT INTO t VALUES (1, 'A@x', 1, 1, NULL, '1', 1), (2, 'a@x', 1, 2, NULL, '2', 2),
                             (3, 'b@x', 2, 2, 3, '3', 3), (4, NULL, 3, 3, NULL, '4', 3);
        CREATE UNIQUE INDEX t_email ON t (email);
        CREATE UNIQUE INDEX t_partial ON t (b) WHERE id > 2;
        CREATE TABLE none (a int);
        CREATE TABLE parted (id int, k int) PARTITION BY RANGE (id);
        CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000);
        CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (1000) TO (9000);
        INSERT INTO parted VALUES (1, 7), (2000, 7);";
    let cases = [
        ("id", "proven by t_pkey"),
        ("a; id", "proven by t_pkey"),
        ("email", "proven by t_email"),
        // NULLs: the index allows two, and there is one.
        ("email nulls equal", "none"),
        ("(lower(email))", "found"),
        ("(lower(email)) where id > 1", "none"),
        ("(lower(email)); id", "proven by t_pkey"),
        ("a", "found"),
        ("a where b > 1", "none"),
        ("a; b", "none"),
        ("b", "found"),
        ("n", "none"),
        ("n nulls equal", "found"),
        ("odd \"name", "found"),
        ("(a + b)", "none"),
        ("(coalesce(n, 0))", "found"),
        ("(CASE WHEN (a IN (1, 2)) THEN 1 END)", "found"),
        ("nowhere", "the table has no column nowhere yet"),
        (
            "doc",
            "the server says: could not identify an equality operator for type json (42883)",
        ),
    ];
    for (major, _database, client) in each(setup).await {
        let wanted = cases.map(|(text, _)| duplicates("t", text));
        let facts = present(&look(&client, wanted).await, "t");
        for (text, expect) in cases {
            assert_eq!(
                written::duplicates(&facts, text),
                expect,
                "PostgreSQL {major}: {text}"
            );
        }
        let facts = look(
            &client,
            [duplicates("parted", "k"), duplicates("none", "a")],
        )
        .await;
        assert_eq!(
            written::duplicates(&present(&facts, "parted"), "k"),
            "found",
            "{major}"
        );
        assert_eq!(
            written::duplicates(&present(&facts, "none"), "a"),
            "none",
            "{major}"
        );
    }
}

/// The prediction is right where the server refuses the index, and only there.
#[tokio::test]
async fn what_is_predicted_of_a_unique_index_is_what_the_server_does() {
    let setup = "
        CREATE TABLE t (a int, b text, c citext_like, d text COLLATE \"C\");
        INSERT INTO t VALUES (1, 'x', 'x', 'x'), (2, 'X', 'X', 'X'), (NULL, 'y', NULL, 'x '),
                             (NULL, 'z', NULL, NULL);";
    let setup = format!("CREATE DOMAIN citext_like AS text; {setup}");
    let cases = [
        "a",
        "b",
        "c",
        "d",
        "(upper(b))",
        "(upper(c))",
        "a; b",
        "(a % 2)",
        "(trim(d))",
    ];
    for (major, _database, client) in each(&setup).await {
        let wanted = cases.map(|text| duplicates("t", text));
        let facts = present(&look(&client, wanted).await, "t");
        for text in cases {
            let index = format!(
                "BEGIN; CREATE UNIQUE INDEX ON t ({})",
                text.replace(';', ",")
            );
            let made = client.batch_execute(&index).await;
            client.batch_execute("ROLLBACK").await.unwrap();
            let expect = if made.is_ok() { "none" } else { "found" };
            assert_eq!(
                written::duplicates(&facts, text),
                expect,
                "PostgreSQL {major}: {text}"
            );
        }
        if major >= 15 {
            let facts = present(
                &look(&client, [duplicates("t", "a nulls equal")]).await,
                "t",
            );
            let index = "CREATE UNIQUE INDEX ON t (a) NULLS NOT DISTINCT";
            assert!(client.batch_execute(index).await.is_err());
            assert_eq!(
                written::duplicates(&facts, "a nulls equal"),
                "found",
                "{major}"
            );
        }
    }
}

/// What a migration wrote runs as the admin: only what computes is run.
#[tokio::test]
async fn nobodys_code_is_run() {
    let setup = "
        CREATE TABLE called (how text);
        CREATE FUNCTION evil(text) RETURNS text IMMUTABLE LANGUAGE plpgsql
            AS 'BEGIN RAISE EXCEPTION ''evil was called''; END';
        CREATE FUNCTION lower(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT evil($1)';
        CREATE TYPE mood AS ENUM ('glad', 'sad');
        CREATE FUNCTION said(mood) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT evil(''x'')';
        CREATE CAST (mood AS text) WITH FUNCTION said(mood) AS IMPLICIT;
        CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);
        CREATE TABLE t (id int, a text, m mood);
        INSERT INTO t VALUES (1, 'x', 'glad'), (2, 'X', 'glad');";
    let cases = [
        ("(evil(a))", UNTRUSTED),
        ("(\"evil\"(a))", UNTRUSTED),
        ("(public.evil(a))", "another schema"),
        ("(pg_sleep(10))", UNTRUSTED),
        ("(pg_terminate_backend(1))", UNTRUSTED),
        ("(set_config('a', 'b', false))", UNTRUSTED),
        ("(table_to_xml('t', true, true, ''))", UNTRUSTED),
        ("(query_to_xml('SELECT 1', true, true, ''))", UNTRUSTED),
        ("(generate_series(1, id))", UNTRUSTED),
        (
            "(lower(m))",
            "whose owner's functions would run as the admin",
        ),
        (
            "(m::text)",
            "whose owner's functions would run as the admin",
        ),
        ("((SELECT 1))", "a query"),
        ("a where evil(a) = 'x'", UNTRUSTED),
        ("a where true) OR (true", "parentheses"),
        ("(a === a)", "operator does not exist"),
        ("(lower(dbop_row))", "names dbop_row"),
        // The server's own, whoever's stands in public.
        ("(lower(a))", "found"),
        ("m", "found"),
    ];
    for (major, _database, client) in each(setup).await {
        let wanted = cases.map(|(text, _)| duplicates("t", text));
        let facts = present(&look(&client, wanted).await, "t");
        for (text, expect) in cases {
            let said = written::duplicates(&facts, text);
            assert!(said.contains(expect), "PostgreSQL {major}: {text}: {said}");
        }
    }
}

fn blockers(table: &str) -> [FactRequest; 1] {
    [FactRequest::Blockers(name(table))]
}

#[tokio::test]
async fn who_blocks_is_named() {
    let setup = "
        CREATE TABLE t (id int); CREATE TABLE other (id int);
        CREATE TABLE parted (id int) PARTITION BY RANGE (id);
        CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000);";
    for (major, database, client) in each(setup).await {
        let facts = present(&look(&client, blockers("t")).await, "t");
        assert_eq!(facts.blockers, Fact::Known(vec![]), "{major}");
        assert_eq!(facts.snapshots, Fact::Known(vec![]), "{major}");

        let other = connect(&database.admin_dsn()).await;
        let pid: i32 = other
            .query_one("SELECT pg_backend_pid()", &[])
            .await
            .unwrap()
            .get(0);
        other
            .batch_execute(
                "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM t; SELECT FROM parted_1;",
            )
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        for table in ["t", "parted"] {
            let facts = present(&look(&client, blockers(table)).await, table);
            let seen = facts.blockers.known().unwrap().clone();
            assert_eq!(seen.len(), 1, "{major}: {seen:?}");
            assert_eq!(seen[0].session, format!("pid {pid}"), "{major}");
            assert_eq!(seen[0].login, database.admin(), "{major}");
            assert_eq!(seen[0].state, "idle in transaction", "{major}");
            assert!(seen[0].age >= Duration::from_secs(1), "{major}: {seen:?}");
        }
        // It holds no lock on another table, but an index build there would wait for its snapshot.
        let facts = present(&look(&client, blockers("other")).await, "other");
        assert_eq!(facts.blockers, Fact::Known(vec![]), "{major}");
        assert_eq!(facts.snapshots.known().unwrap().len(), 1, "{major}");
        other.batch_execute("ROLLBACK").await.unwrap();
        let facts = present(&look(&client, blockers("t")).await, "t");
        assert_eq!(facts.blockers, Fact::Known(vec![]), "{major}");
    }
}

#[tokio::test]
async fn a_session_that_is_hidden_is_unknown_and_not_nobody() {
    for (major, database, client) in each("CREATE TABLE t (id int)").await {
        let superuser = database.superuser().await;
        superuser
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM t")
            .await
            .unwrap();
        let facts = present(&look(&client, blockers("t")).await, "t");
        for fact in [&facts.blockers, &facts.snapshots] {
            let reason = fact.as_result().unwrap_err();
            assert!(
                reason.to_string().contains("pg_read_all_stats"),
                "{major}: {reason}"
            );
            assert!(reason.is_passing(), "{major}");
        }
        superuser.batch_execute("ROLLBACK").await.unwrap();
        superuser
            .batch_execute(&format!("GRANT pg_read_all_stats TO {}", database.admin()))
            .await
            .unwrap();
        superuser
            .batch_execute("BEGIN; SELECT FROM t")
            .await
            .unwrap();
        let facts = present(&look(&client, blockers("t")).await, "t");
        assert_eq!(facts.blockers.known().unwrap().len(), 1, "{major}");
        superuser.batch_execute("ROLLBACK").await.unwrap();
    }
}

async fn watched(client: &Client, watch: &mut WriteWatch, table: &str) -> TableFacts {
    let wanted = BTreeSet::from([FactRequest::Writes(name(table))]);
    let mut facts = table_facts(client, &wanted, Duration::from_secs(5), Timestamp::now)
        .await
        .unwrap();
    watch.look(&mut facts);
    present(&facts, table)
}

#[tokio::test]
async fn writes_are_counted_between_two_looks() {
    let setup = "
        CREATE TABLE quiet (id int);
        CREATE TABLE parted (id int) PARTITION BY RANGE (id);
        CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000);
        CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (1000) TO (9000);";
    for (major, database, client) in each(setup).await {
        let mut watch = WriteWatch::default();
        let begin = Instant::now();
        for table in ["quiet", "parted"] {
            let first = watched(&client, &mut watch, table).await;
            let reason = first.writes.as_result().unwrap_err().clone();
            assert!(reason.is_passing(), "one look is no rate: {reason}");
        }
        let writer = connect(&database.admin_dsn()).await;
        let write = "INSERT INTO parted SELECT generate_series(1, 3000);
                     UPDATE parted SET id = id WHERE id < 500; DELETE FROM parted WHERE id > 2500;";
        writer.batch_execute(write).await.unwrap();
        // A session passes its numbers on when it ends.
        drop(writer);
        tokio::time::sleep(Duration::from_millis(3500)).await;
        let seconds = begin.elapsed().as_secs_f64();
        let parted = watched(&client, &mut watch, "parted")
            .await
            .writes
            .known()
            .cloned()
            .unwrap();
        let changed = parted.per_second * parted.span.as_secs_f64();
        assert!((changed - 3999.0).abs() < 1.0, "{major}: {parted:?}");
        assert!(
            parted.per_second < 3999.0 / 3.0,
            "{major}: {parted:?} in {seconds} s"
        );
        let quiet = watched(&client, &mut watch, "quiet")
            .await
            .writes
            .known()
            .cloned()
            .unwrap();
        assert!(quiet.per_second.abs() < f64::EPSILON, "{major}: {quiet:?}");
    }
}

/// Rows whose key takes long to compute.
const SLOW: &str = "
    CREATE TABLE big (id int, filler text) WITH (autovacuum_enabled = off);
    INSERT INTO big SELECT g, repeat('x', 500) || g FROM generate_series(1, 150000) g;";
const SLOW_KEY: &str = "(md5(repeat(md5(repeat(md5(repeat(md5(filler), 50)), 50)), 50)))";

/// So much more than its limit may something take on a machine that does other things as well.
const BUSY: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_probe_ends_in_time_and_holds_nobody_up() {
    for (major, database, client) in each(SLOW).await {
        let timeout = Duration::from_secs(1);
        let wanted = BTreeSet::from([duplicates("big", SLOW_KEY)]);
        let writer = connect(&database.admin_dsn()).await;
        let writes = tokio::spawn(async move {
            let (begin, mut longest, mut count) = (Instant::now(), Duration::ZERO, 0);
            while begin.elapsed() < Duration::from_secs(1) {
                let one = Instant::now();
                let write = "UPDATE big SET id = id WHERE ctid = '(0,1)'";
                writer.batch_execute(write).await.unwrap();
                longest = longest.max(one.elapsed());
                count += 1;
            }
            (longest, count)
        });
        let begin = Instant::now();
        let facts = table_facts(&client, &wanted, timeout, noon).await.unwrap();
        let took = begin.elapsed();
        let reason = written::duplicates(&present(&facts, "big"), SLOW_KEY);
        assert_eq!(
            reason, "the probe took longer than 1 s",
            "PostgreSQL {major}"
        );
        assert!(took < timeout + BUSY, "PostgreSQL {major}: {took:?}");
        let (longest, count) = writes.await.unwrap();
        assert!(
            count > 20,
            "PostgreSQL {major}: {count} writes beside the probe"
        );
        assert!(longest < timeout, "PostgreSQL {major}: {longest:?}");

        // DDL waits for the probe as for any reader: no longer than its limit, and no lock outlives it.
        let ddl = connect(&database.admin_dsn()).await;
        let altered = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let begin = Instant::now();
            ddl.batch_execute("ALTER TABLE big ADD COLUMN later int")
                .await
                .unwrap();
            begin.elapsed()
        });
        table_facts(&client, &wanted, timeout, noon).await.unwrap();
        let waited = altered.await.unwrap();
        assert!(waited < timeout + BUSY, "PostgreSQL {major}: {waited:?}");
    }
}

/// Every kind of question about a table.
fn everything(table: &str) -> Vec<FactRequest> {
    let name = || name(table);
    vec![
        FactRequest::Table(name()),
        FactRequest::Size(name()),
        FactRequest::AnyRow(name()),
        FactRequest::Indexes(name()),
        FactRequest::Constraints(name()),
        FactRequest::Storage(name()),
        FactRequest::Writes(name()),
        FactRequest::Blockers(name()),
        FactRequest::IndexNamed(name()),
        duplicates(table, "(lower(filler))"),
        duplicates(table, "id"),
        FactRequest::Nulls {
            table: name(),
            column: "filler".parse().unwrap(),
        },
    ]
}

/// Nothing that is asked writes: the server counted no changed row.
#[tokio::test]
async fn a_look_changes_nothing() {
    for major in majors() {
        let database = server(major).database("facts").await;
        let client = connect(&database.admin_dsn()).await;
        client
            .batch_execute(
                "CREATE TABLE t (id int, filler text); INSERT INTO t VALUES (1, 'a'), (2, 'b'); CREATE TABLE seen ()",
            )
            .await
            .unwrap();
        let watcher = connect(&database.admin_dsn()).await;
        // A session passes its numbers on when it ends, and PostgreSQL 14 takes its time to show them: a row that the
        // session writes last says that they are there.
        let counted = async |client: Client, marks: i64| -> i64 {
            client
                .batch_execute("INSERT INTO seen DEFAULT VALUES")
                .await
                .unwrap();
            drop(client);
            let begin = Instant::now();
            loop {
                let sql = "SELECT pg_stat_get_tuples_inserted('seen'::regclass), (SELECT tup_inserted + tup_updated + \
                           tup_deleted FROM pg_stat_database WHERE datname = current_database())::int8";
                let row = watcher.query_one(sql, &[]).await.unwrap();
                if row.get::<_, i64>(0) == marks {
                    return row.get(1);
                }
                let waited = begin.elapsed();
                assert!(waited < Duration::from_secs(60), "{major}: {waited:?}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let before = counted(client, 1).await;
        let client = connect(&database.admin_dsn()).await;
        let facts: TableFactsSet = look(&client, everything("t")).await;
        let seen = present(&facts, "t");
        assert_eq!(
            written::duplicates(&seen, "(lower(filler))"),
            "none",
            "{major}"
        );
        assert!(
            seen.indexes.known().is_some() && seen.storage.known().is_some(),
            "{major}"
        );
        assert!(seen.written.known().is_some(), "{}", why(&seen.written));
        let after = counted(client, 2).await;
        assert_eq!(after, before + 1, "PostgreSQL {major}: the mark alone");
    }
}
