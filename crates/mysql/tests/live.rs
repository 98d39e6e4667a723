//! What the catalogue, rows and sessions say of tables, on real servers: indexes, constraints, storage, settings,
//! duplicates, who blocks, who writes.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/site.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use dbop_database::{Administer, Connector as _};
use dbop_model::operation::IndexPart;
use dbop_model::table::{
    ConstraintFacts, FactRequest, Generated, IndexFacts, TableFacts, TableFactsSet, TableName,
    TableState, UniqueKey,
};
use dbop_model::writes::WriteWatch;
use dbop_model::{Engine, Fact};
use dbop_mysql::MySql;
use dbop_testkit::conformance::Site as _;
use jiff::Timestamp;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use support::{MySite, TestServer, quoted};

fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

async fn run(conn: &mut Conn, statements: &[&str]) {
    for statement in statements {
        if let Err(error) = conn.query_drop(*statement).await {
            panic!("{statement}: {error}");
        }
    }
}

/// A superuser in the database.
async fn person(site: &MySite) -> Conn {
    let mut conn = site.server.superuser().await;
    run(&mut conn, &[&format!("USE {}", quoted(&site.name))]).await;
    conn
}

async fn site(server: &TestServer, statements: &[&str]) -> (MySite, Box<dyn Administer>) {
    let site = MySite::on(server).await;
    let mut conn = person(&site).await;
    run(&mut conn, statements).await;
    conn.disconnect().await.unwrap();
    let admin = connected(&site).await;
    (site, admin)
}

/// As the least admin, with a clock that runs.
async fn connected(site: &MySite) -> Box<dyn Administer> {
    let mysql = MySql::new(Timestamp::now);
    mysql.connect(&site.target()).await.unwrap()
}

async fn look(
    admin: &dyn Administer,
    wanted: impl IntoIterator<Item = FactRequest>,
) -> TableFactsSet {
    let wanted: BTreeSet<FactRequest> = wanted.into_iter().collect();
    admin
        .table_facts(&wanted, Duration::from_secs(5))
        .await
        .unwrap()
}

#[track_caller]
fn present(facts: &TableFactsSet, name: &str) -> TableFacts {
    match facts.table(&table(name)) {
        Fact::Known(TableState::Present(facts)) => *facts,
        other => panic!("{name}: {other:?}"),
    }
}

async fn asked(admin: &dyn Administer, request: FactRequest) -> TableFacts {
    let name = request.table().to_string();
    present(&look(admin, [request]).await, &name)
}

fn line(index: &IndexFacts) -> String {
    let parts: Vec<String> = index.key.parts.iter().map(ToString::to_string).collect();
    let primary = if index.primary { " primary" } else { "" };
    format!(
        "{} {}({}){primary}",
        index.name,
        index.kind,
        parts.join(", ")
    )
}

#[tokio::test]
async fn indexes_are_described() {
    support::on_each(async |server| {
        let (_site, admin) = site(
            &server,
            &[
                "CREATE TABLE t (id int PRIMARY KEY, a varchar(50), b int, g geometry NOT NULL, \
                 UNIQUE ab (a(10), b), KEY b_down (b DESC), FULLTEXT ft (a), SPATIAL sp (g))",
                "CREATE TABLE u (id int, KEY b_down (id), KEY only_here (id))",
            ],
        )
        .await;
        let mut expect = vec![
            "ab unique(a(10), b)",
            "b_down plain(b)",
            "ft fulltext(a)",
            "PRIMARY unique(id) primary",
            "sp spatial(g)",
        ];
        if server.engine == Engine::MySql {
            let mut conn = person(&_site).await;
            run(
                &mut conn,
                &["CREATE UNIQUE INDEX by_lower ON t ((lower(a)), (b + 1))"],
            )
            .await;
            conn.disconnect().await.unwrap();
            expect.insert(2, "by_lower unique((lower(`a`)), ((`b` + 1)))");
        }
        let facts = asked(admin.as_ref(), FactRequest::Indexes(table("t"))).await;
        let mut lines: Vec<String> = facts.indexes.known().unwrap().iter().map(line).collect();
        lines.sort_by_key(|line| line.to_lowercase());
        assert_eq!(lines, expect);

        let names = ["b_down", "only_here", "nowhere"];
        let facts = look(
            admin.as_ref(),
            names.map(|n| FactRequest::IndexNamed(table(n))),
        )
        .await;
        let of = |name: &str| match &facts.indexes[&table(name)] {
            Fact::Known(found) => Ok(found.as_ref().map(|t| t.name().to_owned())),
            Fact::Unknown(why) => Err(why.to_string()),
        };
        assert_eq!(of("only_here"), Ok(Some("u".to_owned())));
        assert_eq!(of("nowhere"), Ok(None));
        assert!(of("b_down").unwrap_err().contains("any of t, u"));
        assert!(facts.tables.is_empty());
    })
    .await;
}

fn constraint_line(constraint: &ConstraintFacts) -> String {
    let columns: Vec<&str> = constraint.columns.iter().map(|c| c.as_str()).collect();
    let mut line = format!(
        "{} {}({})",
        constraint.name,
        constraint.kind,
        columns.join(", ")
    );
    if let Some(condition) = &constraint.condition {
        line.push_str(&format!(" {condition}"));
    }
    if let Some(other) = &constraint.other {
        let way = if constraint.incoming { "from" } else { "to" };
        line.push_str(&format!(" {way} {}", other.name()));
    }
    for (is, word) in [
        (constraint.cascades, "cascades"),
        (constraint.validated, "validated"),
    ] {
        if is {
            line.push_str(&format!(" {word}"));
        }
    }
    line
}

#[tokio::test]
async fn constraints_are_described() {
    support::on_each(async |server| {
        let (_site, admin) = site(
            &server,
            &[
                "CREATE TABLE parent (id int PRIMARY KEY, code int NOT NULL, UNIQUE by_code (code, id))",
                "CREATE TABLE t (id int PRIMARY KEY, parent_id int, code int, up int, \
                 CONSTRAINT positive CHECK (code > 0), \
                 CONSTRAINT whole FOREIGN KEY (code, parent_id) REFERENCES parent (code, id) ON DELETE CASCADE, \
                 CONSTRAINT above FOREIGN KEY (up) REFERENCES t (id))",
            ],
        )
        .await;
        let lines = async |name: &str| -> Vec<String> {
            let facts = asked(admin.as_ref(), FactRequest::Constraints(table(name))).await;
            let mut lines: Vec<String> =
                facts.constraints.known().unwrap().iter().map(constraint_line).collect();
            lines.sort();
            lines
        };
        // MySQL's CHECKs hold of every row; of foreign keys neither server knows.
        let check = match server.engine {
            Engine::MariaDb => "positive check() `code` > 0",
            _ => "positive check() (`code` > 0) validated",
        };
        let expect = [
            "PRIMARY primaryKey(id) validated",
            "above foreignKey(up) to t",
            check,
            "whole foreignKey(code, parent_id) to parent cascades",
        ];
        assert_eq!(lines("t").await, expect);
        let expect = [
            "PRIMARY primaryKey(id) validated",
            "by_code unique(code, id) validated",
            "whole foreignKey(code, id) from t cascades",
        ];
        assert_eq!(lines("parent").await, expect);
    })
    .await;
}

#[tokio::test]
async fn storage_and_columns_are_described() {
    support::on_each(async |server| {
        let (site, admin) = site(
            &server,
            &[
                "CREATE TABLE t (id int PRIMARY KEY, a varchar(9) CHARACTER SET utf8mb3, b int, s int AS (b + 1) STORED, \
                 v int AS (b + 1) VIRTUAL, FULLTEXT ft (a)) ROW_FORMAT=COMPRESSED CHARACTER SET utf8mb4",
                "CREATE TABLE `it's odd` (id int) CHARACTER SET latin1",
                "CREATE TABLE parts (id int, k int, KEY (k)) PARTITION BY HASH (id) PARTITIONS 3",
            ],
        )
        .await;
        let mut conn = person(&site).await;
        run(&mut conn, &["ALTER TABLE `it's odd` ADD a int, ALGORITHM=INSTANT"]).await;
        run(&mut conn, &["ALTER TABLE parts ADD a int, ALGORITHM=INSTANT"]).await;
        conn.disconnect().await.unwrap();
        let odd = TableName::new(None, "it's odd").unwrap();
        let wanted = [
            FactRequest::Storage(table("t")),
            FactRequest::Storage(table("parts")),
            FactRequest::Storage(odd.clone()),
        ];
        let facts = look(admin.as_ref(), wanted).await;
        let storage = |name: &str| present(&facts, name).storage.known().unwrap().clone();
        let t = storage("t");
        assert_eq!((t.engine.as_str(), t.row_format.as_deref()), ("InnoDB", Some("Compressed")));
        assert_eq!((t.charset.as_deref(), t.partitions, t.fulltext), (Some("utf8mb4"), 0, true));
        let parts = storage("parts");
        assert_eq!((parts.partitions, parts.fulltext), (3, false));
        assert!(parts.index_bytes.unwrap() >= 3 * 8192, "{parts:?}");
        let versions = (server.engine == Engine::MySql).then_some(1);
        assert_eq!(parts.row_versions, versions);
        let Fact::Known(TableState::Present(odd)) = facts.table(&odd) else { panic!() };
        assert_eq!(odd.storage.known().unwrap().row_versions, versions);
        assert_eq!(odd.storage.known().unwrap().charset.as_deref(), Some("latin1"));

        let columns = present(&facts, "t").columns;
        let column = |name: &str| columns[&name.parse().unwrap()].clone();
        assert_eq!(column("a").charset.as_deref(), Some("utf8mb3"));
        assert!(column("a").collation.unwrap().starts_with("utf8mb3_"));
        assert_eq!((column("b").charset, column("b").generated), (None, None));
        assert_eq!(column("s").generated, Some(Generated::Stored));
        assert_eq!(column("v").generated, Some(Generated::Virtual));
    })
    .await;
}

const ROWS: &str = "INSERT INTO big SELECT x.a FROM big x, big y, big z, big u, big v, big w";

/// The number of rows and the bytes are of now, not of when the server sampled the table last.
#[tokio::test]
async fn sizes_follow_the_table() {
    support::on_each(async |server| {
        let (site, admin) = site(&server, &["CREATE TABLE big (a int NULL)"]).await;
        let size = async || asked(admin.as_ref(), FactRequest::Size(table("big"))).await;
        let empty = size().await;
        assert_eq!(empty.rows.known().unwrap().rows, 0);
        let mut conn = person(&site).await;
        run(
            &mut conn,
            &[
                "INSERT INTO big VALUES (1), (2), (3), (4), (5), (6), (7), (8)",
                ROWS,
            ],
        )
        .await;
        conn.disconnect().await.unwrap();
        let full = size().await;
        let rows = full.rows.known().unwrap().rows;
        assert!((200_000..330_000).contains(&rows), "{rows} of 262152 rows");
        assert!(
            full.bytes.is_known_and(|bytes| *bytes > 6_000_000),
            "{:?}",
            full.bytes
        );
    })
    .await;
}

#[tokio::test]
async fn settings_are_the_servers() {
    support::on_each(async |server| {
        let (_site, admin) = site(&server, &["CREATE TABLE t (a int)"]).await;
        let facts = look(admin.as_ref(), [FactRequest::Table(table("t"))]).await;
        let settings = facts.settings.known().unwrap().clone();
        // Not those that the operator's own session has pinned.
        assert_eq!(
            (settings.lock_timeout, settings.statement_timeout),
            (None, None)
        );
        assert!(settings.strict && settings.foreign_key_checks);
        assert_eq!(settings.online_log_bytes, Some(134_217_728));
        assert_eq!(settings.algorithm, None);
        let nothing = look(admin.as_ref(), []).await;
        assert!(nothing.settings.known().is_none());
    })
    .await;
}

/// A key as people write it: columns, `name:3` for the first characters, `(expression)`.
fn key(text: &str) -> UniqueKey {
    let parts = text.split("; ").map(|part| {
        if let Some(expression) = part
            .strip_prefix('(')
            .and_then(|part| part.strip_suffix(')'))
        {
            return IndexPart::Expression(expression.to_owned());
        }
        match part.split_once(':') {
            Some((name, length)) => {
                IndexPart::Prefix(name.parse().unwrap(), length.parse().unwrap())
            }
            None => IndexPart::Column(part.parse().unwrap()),
        }
    });
    UniqueKey {
        parts: parts.collect(),
        predicate: None,
        nulls_equal: false,
    }
}

fn duplicates(name: &str, text: &str) -> FactRequest {
    FactRequest::Duplicates {
        table: table(name),
        key: key(text),
    }
}

fn said(facts: &TableFacts, text: &str) -> String {
    match facts.duplicates_of(&key(text)) {
        Fact::Known(probe) => match (probe.found, probe.proven_by) {
            (true, _) => "found".to_owned(),
            (false, None) => "none".to_owned(),
            (false, Some(index)) => format!("proven by {index}"),
        },
        Fact::Unknown(why) => why.to_string(),
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
            assert_eq!(said(&facts, text), expect, "{text}: {made:?}");
        }
        conn.disconnect().await.unwrap();
        let parts = asked(admin.as_ref(), duplicates("parts", "k")).await;
        assert_eq!(said(&parts, "k"), "found");

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
            let said = said(&facts, text);
            assert!(said.contains(expect), "{text}: {said}");
        }
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

const SLOW_KEY: &str =
    "(sha2(repeat(sha2(repeat(sha2(repeat(md5(a), 60), 512), 60), 512), 60), 512))";

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
        // REPEAT is no key's function; what takes long is made of those that are.
        let slow = SLOW_KEY
            .replace("repeat(", "rpad(")
            .replace(", 60)", ", 4000, 'x')");
        let timeout = Duration::from_secs(1);
        let wanted = BTreeSet::from([duplicates("big", &slow)]);
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
        let reason = said(&present(&facts, "big"), &slow);
        assert!(reason.contains("took longer than 1 s"), "{reason}");
        assert!(took < timeout + Duration::from_secs(1), "{took:?}");
        let (longest, count) = writes.await.unwrap();
        assert!(count > 10, "{count} writes beside the probe");
        assert!(longest < Duration::from_millis(700), "{longest:?}");

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
        assert!(waited < timeout + Duration::from_secs(1), "{waited:?}");
        assert!(admin.try_lock().await.unwrap(), "the connection lives");
    })
    .await;
}
