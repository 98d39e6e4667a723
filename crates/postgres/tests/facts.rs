//! Table facts and the hint rules against real PostgreSQL: what the rules say is what the server then does.
//!
//! Run by `cargo xtask test`, or with `DBOP_TEST_POSTGRES_14` and `DBOP_TEST_POSTGRES_18` naming servers.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/look.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_hints::{facts_wanted, judge};
use dbop_model::finding::{HintPolicy, Verdict};
use dbop_model::operation::{Column, Operation, ServerDefault, Statement};
use dbop_model::table::{FactRequest, RowSource, TableKind, TableName, TableState, Volatility};
use dbop_model::{Engine, Fact, ServerInfo};
use dbop_postgres::facts::{next_ids, table_facts};
use dbop_tests::{majors, server};
use support::{TIMEOUT, connect, each, look, name, noon, present, why};
use tokio_postgres::Client;

fn everything(table: &str) -> [FactRequest; 3] {
    let table = name(table);
    [
        FactRequest::Table(table.clone()),
        FactRequest::Size(table.clone()),
        FactRequest::AnyRow(table),
    ]
}

fn nulls(table: &str, column: &str) -> FactRequest {
    FactRequest::Nulls {
        table: name(table),
        column: column.parse().unwrap(),
    }
}

#[tokio::test]
async fn sizes_are_honest() {
    let setup = "
        CREATE TABLE analysed AS SELECT g AS id, 'x'::text AS t FROM generate_series(1, 5000) g;
        ANALYZE analysed;
        CREATE TABLE never (id int) WITH (autovacuum_enabled = off);
        INSERT INTO never SELECT generate_series(1, 5000);
        CREATE TABLE empty (id int);
        CREATE TABLE emptied (id int) WITH (autovacuum_enabled = off);
        INSERT INTO emptied SELECT generate_series(1, 5000);
        ANALYZE emptied;
        DELETE FROM emptied;
        CREATE TABLE parted (id int) PARTITION BY RANGE (id);
        CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
        CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (10000)
            PARTITION BY RANGE (id);
        CREATE TABLE parted_2_1 PARTITION OF parted_2 FOR VALUES FROM (100) TO (9000);
        INSERT INTO parted SELECT generate_series(0, 2999);
        ANALYZE parted;
        CREATE VIEW seen AS SELECT 1 / 0 AS id;";
    for (major, _database, client) in each(setup).await {
        let tables = [
            "analysed", "never", "empty", "emptied", "parted", "seen", "nowhere",
        ];
        let mut facts = look(&client, tables.into_iter().flat_map(everything)).await;
        // PostgreSQL 14 hears of an ANALYZE a moment later, by a message.
        for _ in 0..100 {
            let analysed = present(&facts, "analysed").rows;
            if analysed.known().is_some_and(|rows| rows.age.is_some()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            facts = look(&client, tables.into_iter().flat_map(everything)).await;
        }
        let rows = |table: &str| present(&facts, table).rows.known().cloned().unwrap();

        let analysed = rows("analysed");
        assert_eq!(
            (analysed.rows, analysed.source),
            (5000, RowSource::Statistics),
            "{major}"
        );
        assert!(analysed.age.unwrap() < Duration::from_secs(60), "{major}");
        assert!(
            *present(&facts, "analysed").bytes.known().unwrap() > 100_000,
            "{major}"
        );

        let never = rows("never");
        assert_eq!(
            (never.source, never.age),
            (RowSource::FirstPages, None),
            "{major}"
        );
        assert!(
            (1700..15_000).contains(&never.rows),
            "{major}: {}",
            never.rows
        );

        assert_eq!(rows("empty").rows, 0, "{major}");
        assert_eq!(
            present(&facts, "empty").any_row,
            Fact::Known(false),
            "{major}"
        );
        // Statistics say 5000 rows; only the probe knows better.
        assert_eq!(rows("emptied").rows, 5000, "{major}");
        assert_eq!(
            present(&facts, "emptied").any_row,
            Fact::Known(false),
            "{major}"
        );

        let parted = present(&facts, "parted");
        assert_eq!(parted.kind, TableKind::Partitioned, "{major}");
        assert_eq!(rows("parted").rows, 3000, "{major}");
        assert_eq!(parted.any_row, Fact::Known(true), "{major}");

        let view = present(&facts, "seen");
        assert_eq!(view.kind, TableKind::Other, "{major}");
        let expect = "public.seen is a view or a foreign table, whose rows are not looked at";
        assert_eq!(why(&view.any_row), expect, "{major}");
        assert_eq!(why(&view.rows), expect, "{major}");
        assert_eq!(
            facts.table(&name("nowhere")),
            Fact::Known(TableState::Missing),
            "{major}"
        );
    }
}

#[tokio::test]
async fn statistics_follow_the_files() {
    let setup = "
        CREATE TABLE grown (id int) WITH (autovacuum_enabled = off);
        INSERT INTO grown SELECT generate_series(1, 10000);
        ANALYZE grown;
        INSERT INTO grown SELECT generate_series(1, 40000);";
    for (major, _database, client) in each(setup).await {
        let facts = look(&client, everything("grown")).await;
        let rows = present(&facts, "grown").rows.known().unwrap().rows;
        assert!((45_000..55_000).contains(&rows), "{major}: {rows}");
    }
}

#[tokio::test]
async fn nulls_and_their_proofs() {
    let setup = "
        CREATE TYPE pair AS (a int, b int);
        CREATE TABLE t (
            id int NOT NULL, full_of int, holds_one int,
            proven int CONSTRAINT is_there CHECK (proven IS NOT NULL),
            dual int, p pair, \"odd \"\"name\" int DEFAULT 1,
            CONSTRAINT both_there CHECK (dual IS NOT NULL AND full_of > 0));
        INSERT INTO t SELECT g, g, nullif(g, 777), g, g, ROW(NULL, NULL)::pair, g
            FROM generate_series(1, 1000) g;
        ALTER TABLE t ADD CONSTRAINT not_yet CHECK (full_of IS NOT NULL) NOT VALID;";
    let columns = [
        "id",
        "full_of",
        "holds_one",
        "proven",
        "dual",
        "p",
        "odd \"name",
        "nowhere",
    ];
    for (major, _database, client) in each(setup).await {
        let wanted = columns
            .map(|column| nulls("t", column))
            .into_iter()
            .chain(everything("t"));
        let facts = present(&look(&client, wanted).await, "t");
        let column = |text: &str| facts.columns[&text.parse().unwrap()].clone();
        let found = |text: &str| {
            facts
                .nulls_in(&text.parse().unwrap())
                .map(|probe| probe.found)
        };

        assert!(!column("id").nullable, "{major}");
        assert_eq!(
            column("proven").proven_not_null_by.as_deref(),
            Some("is_there"),
            "{major}"
        );
        assert_eq!(
            column("dual").proven_not_null_by.as_deref(),
            Some("both_there"),
            "{major}"
        );
        assert_eq!(
            column("full_of").proven_not_null_by,
            None,
            "NOT VALID proves nothing"
        );
        assert!(column("odd \"name").has_default, "{major}");
        assert_eq!(column("full_of").sql_type, "integer", "{major}");

        assert_eq!(found("full_of"), Fact::Known(false), "{major}");
        assert_eq!(found("holds_one"), Fact::Known(true), "{major}");
        assert_eq!(found("odd \"name"), Fact::Known(false), "{major}");
        assert_eq!(
            found("p"),
            Fact::Known(false),
            "a row of NULLs is no NULL to NOT NULL"
        );
        for not_probed in ["id", "proven", "dual", "nowhere"] {
            assert!(found(not_probed).known().is_none(), "{major}: {not_probed}");
        }

        if major >= 18 {
            let not_valid = "ALTER TABLE t ADD CONSTRAINT later NOT NULL holds_one NOT VALID";
            client.batch_execute(not_valid).await.unwrap();
            let facts = present(&look(&client, [nulls("t", "holds_one")]).await, "t");
            let later = "holds_one".parse().unwrap();
            assert!(facts.columns[&later].nullable, "NOT VALID proves nothing");
            assert!(facts.nulls_in(&later).is_known_and(|probe| probe.found));
        }
    }
}

#[tokio::test]
async fn what_is_slow_or_locked_is_unknown() {
    let setup = "
        CREATE TABLE big (id int, filler text) WITH (autovacuum_enabled = off);
        INSERT INTO big SELECT g, repeat('x', 1000) FROM generate_series(1, 60000) g;
        CREATE TABLE busy (id int);";
    for (major, database, client) in each(setup).await {
        let wanted = BTreeSet::from([nulls("big", "id")]);
        let few = Duration::from_millis(5);
        let facts = table_facts(&client, &wanted, few, noon).await.unwrap();
        let probe = present(&facts, "big").nulls_in(&"id".parse().unwrap());
        assert_eq!(why(&probe), "the probe took longer than 5 ms", "{major}");

        let other = connect(&database.admin_dsn()).await;
        other
            .batch_execute("BEGIN; LOCK TABLE busy IN ACCESS EXCLUSIVE MODE")
            .await
            .unwrap();
        let facts = look(&client, everything("busy")).await;
        let busy = present(&facts, "busy");
        let reason = busy.any_row.as_result().unwrap_err();
        assert_eq!(
            reason.to_string(),
            "another session holds a lock that is in the way"
        );
        assert!(reason.is_passing(), "{major}");
        assert!(busy.rows.as_result().unwrap_err().is_passing(), "{major}");
        other.batch_execute("ROLLBACK").await.unwrap();

        // The connection is in no transaction and of full use after every one of these.
        let facts = look(&client, everything("busy")).await;
        assert_eq!(
            present(&facts, "busy").any_row,
            Fact::Known(false),
            "{major}"
        );
        client
            .batch_execute("INSERT INTO busy VALUES (1)")
            .await
            .unwrap();
        let path: String = client
            .query_one("SHOW search_path", &[])
            .await
            .unwrap()
            .get(0);
        assert_eq!(path, "\"$user\", public", "{major}");
    }
}

#[tokio::test]
async fn what_may_not_be_read_is_unknown() {
    for major in majors() {
        let database = server(major).database("facts").await;
        let superuser = database.superuser().await;
        superuser
            .batch_execute(&format!(
                "CREATE SCHEMA app;
                 CREATE TABLE app.secret (id int);
                 CREATE TABLE app.filtered (id int);
                 INSERT INTO app.filtered VALUES (NULL);
                 ALTER TABLE app.filtered ENABLE ROW LEVEL SECURITY;
                 GRANT USAGE ON SCHEMA app TO {admin};
                 GRANT SELECT ON app.filtered TO {admin};",
                admin = database.admin()
            ))
            .await
            .unwrap();
        let client = connect(&database.admin_dsn()).await;
        let facts = look(&client, everything("app.secret")).await;
        assert_eq!(
            why(&present(&facts, "app.secret").any_row),
            "permission denied for table secret; let the admin read it",
            "{major}"
        );
        // The admin would see no row at all, and take it for proof.
        let wanted = everything("filtered")
            .into_iter()
            .chain([nulls("filtered", "id")]);
        let filtered = present(&look(&client, wanted).await, "filtered");
        let refusal = "query would be affected by row-level security policy for table \
                       \"filtered\"; let the admin read it";
        assert_eq!(why(&filtered.any_row), refusal, "{major}");
        assert_eq!(
            why(&filtered.nulls_in(&"id".parse().unwrap())),
            refusal,
            "{major}"
        );
    }
}

#[tokio::test]
async fn names_are_taken_as_they_are() {
    let odd = "x\"; DROP TABLE users; --";
    let quoted = odd.replace('"', "\"\"");
    let setup = format!(
        "CREATE TABLE users (id int);
         CREATE TABLE \"{quoted}\" (\"{quoted}\" int);
         INSERT INTO \"{quoted}\" VALUES (NULL);
         CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.t (id int); CREATE TABLE b.t (id int);
         CREATE TABLE a.users (id int, shadow int);"
    );
    for (major, _database, client) in each(&setup).await {
        let table = TableName::new(None, odd).unwrap();
        let column: dbop_model::table::ColumnName = odd.parse().unwrap();
        let wanted = [
            FactRequest::AnyRow(table.clone()),
            FactRequest::Nulls {
                table: table.clone(),
                column: column.clone(),
            },
            FactRequest::Table(name("t")),
            FactRequest::Table(name("users")),
            FactRequest::Table(name("USERS")),
            FactRequest::Table(TableName::new(None, &"é".repeat(40)).unwrap()),
        ];
        let facts = look(&client, wanted).await;
        let odd = present(&facts, &table.to_string());
        assert_eq!(odd.any_row, Fact::Known(true), "{major}");
        assert!(
            odd.nulls_in(&column).is_known_and(|probe| probe.found),
            "{major}"
        );
        assert_eq!(
            why(&facts.table(&name("t"))),
            "t can be any of a.t, b.t: write its schema in the operation",
            "{major}"
        );
        assert_eq!(
            present(&facts, "users").columns.len(),
            1,
            "public goes before a: {major}"
        );
        assert_eq!(
            facts.table(&name("USERS")),
            Fact::Known(TableState::Missing),
            "{major}"
        );
    }
}

#[tokio::test]
async fn types_and_functions() {
    let setup = "
        CREATE SCHEMA app;
        CREATE TABLE app.t (id int);
        CREATE DOMAIN app.plain AS text;
        CREATE DOMAIN app.checked AS text CHECK (VALUE <> '');
        CREATE DOMAIN app.over_checked AS app.checked DEFAULT 'x';
        CREATE FUNCTION app.code() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
        CREATE FUNCTION app.now(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';";
    for (major, _database, client) in each(setup).await {
        let types = [
            "numeric(10,2)",
            "timestamp with time zone",
            "plain",
            "checked",
            "app.over_checked",
            "nowhere",
            "odd 'type",
            "text[]",
        ];
        let functions = [
            "gen_random_uuid",
            "lower",
            "code",
            "app.now",
            "nowhere",
            "now",
        ];
        let table = || name("app.t");
        let wanted = types
            .map(|t| FactRequest::Type {
                table: table(),
                sql_type: t.to_owned(),
            })
            .into_iter()
            .chain(functions.map(|f| FactRequest::Volatility {
                table: table(),
                function: f.to_owned(),
            }));
        let facts = present(&look(&client, wanted).await, "app.t");
        let domain = |text: &str| {
            facts
                .type_named(text)
                .map(|t| (t.constrained_domain, t.domain_default))
        };
        for plain in [
            "numeric(10,2)",
            "timestamp with time zone",
            "plain",
            "text[]",
        ] {
            assert_eq!(
                domain(plain),
                Fact::Known((false, false)),
                "{major}: {plain}"
            );
        }
        assert_eq!(domain("checked"), Fact::Known((true, false)), "{major}");
        assert_eq!(
            domain("app.over_checked"),
            Fact::Known((true, true)),
            "{major}"
        );
        let nowhere = "there is no type nowhere in the database yet";
        assert_eq!(why(&facts.type_named("nowhere")), nowhere, "{major}");
        assert!(facts.type_named("odd 'type").known().is_none(), "{major}");

        let volatility = |text: &str| facts.volatility_of(text);
        assert_eq!(
            volatility("gen_random_uuid"),
            Fact::Known(Volatility::Volatile),
            "{major}"
        );
        assert_eq!(
            volatility("lower"),
            Fact::Known(Volatility::Immutable),
            "{major}"
        );
        assert_eq!(
            volatility("code"),
            Fact::Known(Volatility::Volatile),
            "{major}"
        );
        assert_eq!(
            volatility("app.now"),
            Fact::Known(Volatility::Volatile),
            "{major}"
        );
        assert_eq!(
            volatility("now"),
            Fact::Known(Volatility::Volatile),
            "the worst that it can be"
        );
        let nowhere = "there is no function nowhere in the database yet";
        assert_eq!(why(&volatility("nowhere")), nowhere, "{major}");
    }
}

/// What the rules say of `operation` where a single row makes a table large.
async fn verdicts(client: &Client, major: u8, operation: Operation) -> Vec<(String, Verdict)> {
    let statements = [Statement::from(operation)];
    let facts = look(client, facts_wanted(&statements)).await;
    let address = "test".to_owned();
    let server = ServerInfo {
        engine: Engine::PostgreSql,
        major: major.into(),
        minor: 0,
        address,
    };
    let policy = HintPolicy {
        large_table_rows: 1,
        ..HintPolicy::default()
    };
    let judgement = judge(&server, &statements, &facts, &policy, noon());
    judgement
        .findings
        .into_iter()
        // How much is written, one look does not tell.
        .filter(|finding| !finding.rule.ends_with("-heavy-writes"))
        .map(|f| (f.rule, f.verdict))
        .collect()
}

fn add(column: &str, sql_type: &str, default: &str, nullable: bool) -> Operation {
    let default = Some(default).filter(|text| !text.is_empty());
    let column = Column::new(column.parse().unwrap())
        .with_type(sql_type.parse().unwrap())
        .with_default(ServerDefault::new(None, default).unwrap())
        .with_nullable(nullable);
    Operation::add_column(name("public.t"), vec![column]).unwrap()
}

async fn file_of(client: &Client) -> u32 {
    let sql = "SELECT pg_relation_filenode('public.t'::regclass)";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// The rule about rewrites is right where the server writes a new file, and only there.
#[tokio::test]
async fn a_predicted_rewrite_is_what_the_server_does() {
    let setup = "
        CREATE TABLE t (id int);
        INSERT INTO t SELECT generate_series(1, 1000);
        ANALYZE t;
        CREATE DOMAIN plain AS text;
        CREATE DOMAIN checked AS text CHECK (VALUE <> '');
        CREATE DOMAIN never_null AS int NOT NULL DEFAULT 1;
        CREATE FUNCTION next_code() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
        CREATE FUNCTION same_code() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN 1; END';";
    let cases = [
        ("text", "", true),
        ("text", "'x'", true),
        ("text", "'x'", false),
        ("text[]", "ARRAY['a', 'b']::text[]", false),
        ("varchar(20)", "upper('a') || 'b'", false),
        ("timestamptz", "now()", false),
        ("timestamptz", "CURRENT_TIMESTAMP", false),
        ("timestamptz", "clock_timestamp()", false),
        ("uuid", "gen_random_uuid()", true),
        ("double precision", "coalesce(NULL, random())", true),
        ("int", "next_code()", true),
        ("int", "same_code()", true),
        ("bigserial", "", true),
        ("int generated always as identity", "", true),
        ("int generated always as (id * 2) stored", "", true),
        ("int generated always as (id * 2) virtual", "", true),
        ("plain", "", true),
        ("checked", "", true),
        ("checked", "'y'", true),
        ("never_null", "5", true),
    ];
    for (major, _database, client) in each(setup).await {
        for (at, (sql_type, default, nullable)) in cases.into_iter().enumerate() {
            if sql_type.ends_with("virtual") && major < 18 {
                continue;
            }
            let column = format!("c{at}");
            let operation = add(&column, sql_type, default, nullable);
            let found = verdicts(&client, major, operation.clone()).await;
            let before = file_of(&client).await;
            let default = if default.is_empty() {
                ""
            } else {
                &format!("DEFAULT {default}")
            };
            let not_null = if nullable { "" } else { "NOT NULL" };
            let sql = format!("ALTER TABLE t ADD COLUMN {column} {sql_type} {default} {not_null}");
            client.batch_execute(&sql).await.unwrap();
            let rewritten = file_of(&client).await != before;
            let expect = if rewritten {
                Verdict::Blocks
            } else {
                Verdict::Clean
            };
            let rule = "add-column-large-table".to_owned();
            let found: Vec<_> = found.into_iter().filter(|(of, _)| *of == rule).collect();
            assert_eq!(found, [(rule, expect)], "PostgreSQL {major}: {sql}");
            // Its statistics stay those of a table with rows.
            client.batch_execute("ANALYZE t").await.unwrap();
        }
    }
}

/// The rules about NOT NULL are right where the statement fails, and only there.
#[tokio::test]
async fn a_predicted_failure_is_what_the_server_does() {
    let setup = "
        CREATE TABLE t (id int, holds_null int, full_of int);
        INSERT INTO t SELECT g, nullif(g, 777), g FROM generate_series(1, 1000) g;
        ANALYZE t;
        CREATE DOMAIN with_default AS int DEFAULT 1;";
    for (major, _database, client) in each(setup).await {
        let set = |column: &str| {
            let column = Column::new(column.parse().unwrap()).with_nullable(false);
            Operation::alter_column(name("t"), vec![column]).unwrap()
        };
        for (operation, sql) in [
            (set("holds_null"), "ALTER COLUMN holds_null SET NOT NULL"),
            (set("full_of"), "ALTER COLUMN full_of SET NOT NULL"),
            (set("nowhere"), "ALTER COLUMN nowhere SET NOT NULL"),
            (add("a", "int", "", false), "ADD COLUMN a int NOT NULL"),
            (
                add("b", "int", "NULL", false),
                "ADD COLUMN b int DEFAULT NULL NOT NULL",
            ),
            (
                add("c", "int", "0", false),
                "ADD COLUMN c int DEFAULT 0 NOT NULL",
            ),
            (
                add("d", "with_default", "", false),
                "ADD COLUMN d with_default NOT NULL",
            ),
            (
                add("e", "serial", "", false),
                "ADD COLUMN e serial NOT NULL",
            ),
        ] {
            let found = verdicts(&client, major, operation).await;
            let predicted = found
                .iter()
                .any(|(_, verdict)| *verdict == Verdict::WillFail);
            let done = client
                .batch_execute(&format!("BEGIN; ALTER TABLE t {sql}"))
                .await;
            client.batch_execute("ROLLBACK").await.unwrap();
            assert_eq!(
                predicted,
                done.is_err(),
                "PostgreSQL {major}: {sql}: {found:?}, {done:?}"
            );
        }
        client.batch_execute("DELETE FROM t").await.unwrap();
        for operation in [set("holds_null"), add("a", "int", "", false)] {
            let found = verdicts(&client, major, operation.clone()).await;
            let clean = found.iter().all(|(_, verdict)| *verdict == Verdict::Clean);
            assert!(clean, "PostgreSQL {major}, empty: {operation}: {found:?}");
        }
    }
}

/// A valid CHECK spares the scan: the server itself says when it reads a table through.
#[tokio::test]
async fn a_proof_spares_the_scan() {
    let setup = "
        CREATE TABLE t (id int, proven int CONSTRAINT p CHECK (proven IS NOT NULL), bare int);
        INSERT INTO t SELECT g, g, g FROM generate_series(1, 1000) g;
        ANALYZE t;";
    for (major, _database, client) in each(setup).await {
        for (column, expect) in [("proven", Verdict::Clean), ("bare", Verdict::Blocks)] {
            let change = Column::new(column.parse().unwrap()).with_nullable(false);
            let operation = Operation::alter_column(name("t"), vec![change]).unwrap();
            let found = verdicts(&client, major, operation).await;
            assert_eq!(
                found,
                [("not-null-over-nulls".to_owned(), expect)],
                "{major}: {column}"
            );
            // Counted in this transaction's own numbers, which need no flush.
            client.batch_execute("BEGIN").await.unwrap();
            let count = "SELECT seq_scan FROM pg_stat_xact_all_tables WHERE relid = 't'::regclass";
            let scans = async || -> i64 { client.query_one(count, &[]).await.unwrap().get(0) };
            let before = scans().await;
            let alter = format!("ALTER TABLE t ALTER COLUMN {column} SET NOT NULL");
            client.batch_execute(&alter).await.unwrap();
            let scanned = scans().await > before;
            client.batch_execute("ROLLBACK").await.unwrap();
            assert_eq!(
                scanned,
                expect == Verdict::Blocks,
                "PostgreSQL {major}: {column}"
            );
        }
    }
}

#[tokio::test]
async fn a_broken_connection_ends_the_look() {
    for (major, database, client) in each("CREATE TABLE t (id int)").await {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
        database
            .superuser()
            .await
            .query(end, &[&database.admin()])
            .await
            .unwrap();
        let wanted = everything("t").into_iter().collect();
        let error = table_facts(&client, &wanted, TIMEOUT, noon)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the connection was lost during looking at tables",
            "{major}"
        );
    }
}

#[tokio::test]
async fn next_ids_are_told_with_the_last_that_fits() {
    let setup = "
        CREATE TABLE orders (id serial PRIMARY KEY, nr bigint GENERATED ALWAYS AS IDENTITY, code text);
        INSERT INTO orders (code) VALUES ('a'), ('b'), ('c');
        CREATE TABLE nearly (id int GENERATED BY DEFAULT AS IDENTITY (START WITH 2147483647));
        INSERT INTO nearly DEFAULT VALUES;
        CREATE SEQUENCE wide;
        CREATE TABLE narrow (id int DEFAULT nextval('wide'));
        ALTER SEQUENCE wide OWNED BY narrow.id;
        CREATE TABLE down (id int GENERATED BY DEFAULT AS IDENTITY (INCREMENT BY -1));
        CREATE TABLE plain (id int);
        CREATE VIEW seen AS SELECT 1 AS id;";
    for (major, database, client) in each(setup).await {
        let superuser = database.superuser().await;
        superuser
            .batch_execute("CREATE SCHEMA hidden; CREATE TABLE hidden.theirs (id serial)")
            .await
            .unwrap();
        let tables = [
            "orders",
            "nearly",
            "narrow",
            "down",
            "plain",
            "seen",
            "gone",
            "hidden.theirs",
        ];
        let found = next_ids(&client, &tables.map(name).into(), noon)
            .await
            .unwrap();
        let ids = |table: &str| -> Vec<(String, i128, i128)> {
            let ids = found[&name(table)].known().unwrap().iter();
            ids.map(|id| (id.column.to_string(), id.next, id.limit))
                .collect()
        };
        let (int, big) = (i128::from(i32::MAX), i128::from(i64::MAX));
        assert_eq!(
            ids("orders"),
            [("id".to_owned(), 4, int), ("nr".to_owned(), 4, big)],
            "{major}"
        );
        assert_eq!(
            ids("nearly"),
            [("id".to_owned(), int + 1, int)],
            "{major}: used up"
        );
        assert_eq!(
            ids("narrow"),
            [("id".to_owned(), 1, int)],
            "{major}: the column is the bound"
        );
        assert_eq!(
            ids("down"),
            [("id".to_owned(), -1, i128::from(i32::MIN))],
            "{major}"
        );
        let reason = |table: &str| why(&found[&name(table)]);
        assert_eq!(
            reason("plain"),
            "public.plain has no column that counts by itself"
        );
        assert_eq!(reason("gone"), "there is no table gone");
        assert!(reason("seen").contains("is a view"), "{}", reason("seen"));
        assert_eq!(
            reason("hidden.theirs"),
            "the admin may not read the sequence of hidden.theirs; GRANT SELECT on it shows the id",
            "{major}"
        );
        // The connection is as good as before.
        assert_eq!(look(&client, everything("plain")).await.tables.len(), 1);
    }
}
