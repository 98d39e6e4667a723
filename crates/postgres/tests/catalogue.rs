//! What the catalogue says of tables, on real PostgreSQL: indexes, constraints, storage, settings.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/look.rs"]
mod support;

use std::time::Duration;

use dbop_model::Fact;
use dbop_model::operation::ConstraintKind;
use dbop_model::table::{FactRequest, Generated, IndexFacts, Settings};
use dbop_testkit::written;
use dbop_tests::{TestDatabase, majors, server};
use support::{connect, each, look, name, present, why};
use tokio_postgres::Client;

async fn indexes(client: &Client, table: &str) -> Vec<IndexFacts> {
    let facts = look(client, [FactRequest::Indexes(name(table))]).await;
    present(&facts, table).indexes.known().unwrap().clone()
}

#[tokio::test]
async fn indexes_are_described() {
    let setup = "
        CREATE TABLE t (id int PRIMARY KEY, a text, b text, \"odd \"\"name\" int, g point, d int[]);
        CREATE INDEX t_a ON t (a);
        CREATE UNIQUE INDEX t_ab ON t (a, b DESC NULLS LAST) INCLUDE (id);
        CREATE UNIQUE INDEX t_expression ON t (lower(a), b, (id + 1)) WHERE b <> '';
        CREATE UNIQUE INDEX t_collated ON t (a COLLATE \"C\", b text_pattern_ops);
        CREATE INDEX t_gist ON t USING gist (g);
        CREATE INDEX t_odd ON t (\"odd \"\"name\");
        ALTER TABLE t ADD CONSTRAINT t_deferred UNIQUE (b) DEFERRABLE INITIALLY DEFERRED;
        INSERT INTO t SELECT n, 'same', n, n FROM generate_series(1, 1000) n;
        CREATE TABLE parted (id int, k int) PARTITION BY RANGE (id);
        CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000);
        CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (1000) TO (9000);
        INSERT INTO parted SELECT n, n FROM generate_series(1, 3000) n;
        CREATE INDEX parted_k ON parted (k);
        CREATE INDEX parted_only ON ONLY parted (id);";
    for (major, _database, client) in each(setup).await {
        let failed = "CREATE UNIQUE INDEX CONCURRENTLY t_invalid ON t (a)";
        client.batch_execute(failed).await.unwrap_err();
        let found = indexes(&client, "t").await;
        let lines: Vec<String> = found.iter().map(written::index).collect();
        let expect = [
            "t_a plain(a)",
            "t_ab unique(a, b)",
            "t_collated unique((a COLLATE \"C\"), (b text_pattern_ops))",
            "t_deferred unique(b) deferred",
            "t_expression unique((lower(a)), b, (((id + 1)))) where (b <> ''::text)",
            "t_gist plain(g)",
            "t_invalid unique(a) invalid",
            "t_odd plain(odd \"name)",
            "t_pkey unique(id) primary",
        ];
        assert_eq!(lines, expect, "PostgreSQL {major}");
        assert!(found[0].bytes.unwrap() >= 16_384, "PostgreSQL {major}");

        let parted = indexes(&client, "parted").await;
        let lines: Vec<String> = parted.iter().map(written::index).collect();
        assert_eq!(
            lines,
            ["parted_k plain(k)", "parted_only plain(id) invalid"]
        );
        assert!(
            parted[0].bytes.unwrap() > 50_000,
            "partitions count: {parted:?}"
        );
        if major >= 15 {
            let equal = "CREATE UNIQUE INDEX p_equal ON parted_1 (k) NULLS NOT DISTINCT";
            client.batch_execute(equal).await.unwrap();
            let lines: Vec<String> = indexes(&client, "parted_1")
                .await
                .iter()
                .map(written::index)
                .collect();
            assert_eq!(lines[0], "p_equal unique(k) nulls equal");
        }
    }
}

#[tokio::test]
async fn an_index_leads_to_its_table() {
    let setup = "
        CREATE SCHEMA app;
        CREATE TABLE app.t (id int, a int);
        CREATE INDEX by_a ON app.t (a);
        CREATE TABLE public.u (id int, a int);
        CREATE INDEX by_u ON public.u (a);
        CREATE INDEX twice ON public.u (a); CREATE INDEX twice ON app.t (a);";
    for (_, _database, client) in each(setup).await {
        let asked = ["by_a", "app.by_a", "public.by_a", "by_u", "twice", "t"];
        let facts = look(&client, asked.map(|n| FactRequest::IndexNamed(name(n)))).await;
        let of = |index: &str| facts.indexes[&name(index)].clone();
        assert_eq!(of("by_a"), Fact::Known(Some(name("app.t"))));
        assert_eq!(of("app.by_a"), Fact::Known(Some(name("app.t"))));
        assert_eq!(of("public.by_a"), Fact::Known(None));
        assert_eq!(of("by_u"), Fact::Known(Some(name("public.u"))));
        assert_eq!(
            of("twice"),
            Fact::Known(Some(name("public.u"))),
            "public goes first"
        );
        assert_eq!(of("t"), Fact::Known(None), "a table is no index");
        let tables: Vec<String> = facts.tables.keys().map(ToString::to_string).collect();
        assert!(
            tables.contains(&"public.u".to_owned()) && !tables.contains(&"t".to_owned()),
            "an index's name asks for its table, and no other: {tables:?}"
        );
    }
}

async fn constraints(client: &Client, table: &str) -> Vec<String> {
    let facts = look(client, [FactRequest::Constraints(name(table))]).await;
    let facts = present(&facts, table).constraints;
    // Those of NOT NULL have names from 18 on.
    let all = facts.known().unwrap().iter();
    all.filter(|constraint| constraint.kind != ConstraintKind::NotNull)
        .map(written::constraint)
        .collect()
}

#[tokio::test]
async fn constraints_are_described() {
    let setup = "
        CREATE TABLE parent (id int PRIMARY KEY, code int NOT NULL, CONSTRAINT by_code UNIQUE (code, id));
        CREATE TABLE t (id int PRIMARY KEY, parent_id int, code int, up int REFERENCES t, span int4range,
            CONSTRAINT positive CHECK (code > 0),
            CONSTRAINT whole FOREIGN KEY (code, parent_id) REFERENCES parent (code, id) ON DELETE CASCADE,
            EXCLUDE USING gist (span WITH &&));
        ALTER TABLE t ADD CONSTRAINT later CHECK (code < 9) NOT VALID;
        ALTER TABLE t ADD CONSTRAINT later_parent FOREIGN KEY (parent_id) REFERENCES parent NOT VALID;
        CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000);
        CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (1000) TO (9000);
        CREATE TABLE child (id int, p int REFERENCES parted ON UPDATE SET NULL) PARTITION BY RANGE (id);
        CREATE TABLE child_1 PARTITION OF child FOR VALUES FROM (0) TO (1000);";
    for (major, _database, client) in each(setup).await {
        let expect = [
            "later check(code) (code < 9) not validated",
            "later_parent foreignKey(parent_id) to parent not validated",
            "positive check(code) (code > 0)",
            "t_pkey primaryKey(id)",
            "t_span_excl exclude(span)",
            "t_up_fkey foreignKey(up) to t",
            "whole foreignKey(code, parent_id) to parent cascades",
        ];
        assert_eq!(
            constraints(&client, "t").await,
            expect,
            "PostgreSQL {major}"
        );
        let expect = [
            "by_code unique(code, id)",
            "parent_pkey primaryKey(id)",
            "later_parent foreignKey(id) from t not validated",
            "whole foreignKey(code, id) from t cascades",
        ];
        assert_eq!(
            constraints(&client, "parent").await,
            expect,
            "PostgreSQL {major}"
        );
        // What each partition has of its own counts once.
        assert_eq!(
            constraints(&client, "parted").await,
            [
                "parted_pkey primaryKey(id)",
                "child_p_fkey foreignKey(id) from child cascades"
            ],
            "PostgreSQL {major}"
        );
        let child = ["child_p_fkey foreignKey(p) to parted cascades"];
        assert_eq!(
            constraints(&client, "child").await,
            child,
            "PostgreSQL {major}"
        );
        assert_eq!(
            constraints(&client, "child_1").await,
            child,
            "PostgreSQL {major}"
        );
        if major >= 18 {
            let change = "ALTER TABLE parent ADD CONSTRAINT loose CHECK (code > 1) NOT ENFORCED";
            client.batch_execute(change).await.unwrap();
            let loose = "loose check(code) (code > 1) not validated".to_owned();
            assert!(constraints(&client, "parent").await.contains(&loose));
        }
    }
}

#[tokio::test]
async fn columns_say_how_they_are_made_and_compared() {
    let setup = "CREATE TABLE t (a int, plain text, c text COLLATE \"C\",
                                 s int GENERATED ALWAYS AS (a + 1) STORED);";
    for (major, _database, client) in each(setup).await {
        if major >= 18 {
            let add = "ALTER TABLE t ADD v int GENERATED ALWAYS AS (a + 1) VIRTUAL";
            client.batch_execute(add).await.unwrap();
        }
        let facts = present(&look(&client, [FactRequest::Table(name("t"))]).await, "t");
        let column = |text: &str| facts.columns[&text.parse().unwrap()].clone();
        assert_eq!((column("a").generated, column("a").collation), (None, None));
        assert_eq!(column("plain").collation, None, "the type's own");
        assert_eq!(column("c").collation.as_deref(), Some("C"));
        assert_eq!(column("s").generated, Some(Generated::Stored));
        if major >= 18 {
            assert_eq!(column("v").generated, Some(Generated::Virtual));
        }
    }
}

#[tokio::test]
async fn storage_is_described() {
    let setup = "
        CREATE TABLE t (id int PRIMARY KEY, a int);
        INSERT INTO t SELECT n, n FROM generate_series(1, 10000) n;
        CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000);
        CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (1000) TO (9000)
            PARTITION BY RANGE (id);
        CREATE TABLE parted_3 PARTITION OF parted_2 FOR VALUES FROM (1000) TO (9000);
        INSERT INTO parted SELECT generate_series(1, 5000);";
    for (major, _database, client) in each(setup).await {
        let tables = ["t", "parted", "parted_1"];
        let facts = look(&client, tables.map(|t| FactRequest::Storage(name(t)))).await;
        let of = |table: &str| present(&facts, table).storage.known().unwrap().clone();
        assert_eq!(
            (of("t").engine.as_str(), of("t").partitions),
            ("heap", 0),
            "{major}"
        );
        assert!(of("t").index_bytes.unwrap() > 200_000, "{major}");
        assert_eq!(
            (of("parted").engine.as_str(), of("parted").partitions),
            ("heap", 2)
        );
        assert!(of("parted").index_bytes.unwrap() > 100_000, "{major}");
        assert_eq!(of("parted_1").partitions, 0, "{major}");
    }
}

async fn settings(client: &Client) -> Settings {
    let facts = look(client, [FactRequest::Table(name("t"))]).await;
    match facts.settings {
        Fact::Known(settings) => settings,
        Fact::Unknown(why) => panic!("{why}"),
    }
}

/// As the operator makes it: a role with its mark, which acts as the owner in this database.
async fn migrator(database: &TestDatabase) -> String {
    let role = format!("{}_migrator", database.admin());
    let superuser = database.superuser().await;
    let name = database.name();
    superuser
        .batch_execute(&format!(
            "CREATE ROLE {role};
             COMMENT ON ROLE {role} IS '{{\"databaseOperator\":1,\"kind\":\"migrator\",\"claim\":\"9f31c0de\"}}';
             ALTER ROLE {role} IN DATABASE \"{name}\" SET role TO {admin};",
            admin = database.admin()
        ))
        .await
        .unwrap();
    role
}

/// Settings are a migration's, whatever the admin's own are.
#[tokio::test]
async fn settings_are_those_of_a_migrations_session() {
    for major in majors() {
        let database = server(major).database("facts").await;
        let superuser = database.superuser().await;
        let (admin, named) = (database.admin().to_owned(), database.name().to_owned());
        let run = async |sql: &str| superuser.batch_execute(sql).await.unwrap();
        run(&format!(
            "ALTER ROLE {admin} SET lock_timeout = '1s'; ALTER ROLE {admin} SET statement_timeout = '7s';
             ALTER ROLE {admin} SET TimeZone = 'Asia/Tokyo'"
        ))
        .await;
        let client = connect(&database.admin_dsn()).await;
        let seen = settings(&client).await;
        assert_eq!(
            (seen.lock_timeout, seen.statement_timeout),
            (None, None),
            "{major}"
        );
        assert!(seen.strict && seen.foreign_key_checks, "{major}");

        run(&format!(
            "ALTER DATABASE \"{named}\" SET lock_timeout = '5s';
             ALTER DATABASE \"{named}\" SET TimeZone = 'UTC'"
        ))
        .await;
        let seen = settings(&client).await;
        assert_eq!(seen.lock_timeout, Some(Duration::from_secs(5)), "{major}");
        assert!(seen.utc, "{major}");

        let role = migrator(&database).await;
        run(&format!("ALTER ROLE {role} SET lock_timeout = '500ms'")).await;
        assert_eq!(
            settings(&client).await.lock_timeout,
            Some(Duration::from_millis(500))
        );
        run(&format!(
            "ALTER ROLE {role} IN DATABASE \"{named}\" SET lock_timeout = 0;
             ALTER ROLE {role} IN DATABASE \"{named}\" SET TimeZone = 'Europe/Berlin';
             ALTER ROLE {role} SET statement_timeout = '2min'"
        ))
        .await;
        let seen = settings(&client).await;
        assert_eq!(seen.lock_timeout, None, "the last wins: {major}");
        assert_eq!(
            seen.statement_timeout,
            Some(Duration::from_secs(120)),
            "{major}"
        );
        assert!(!seen.utc, "{major}");
        run(&format!(
            "ALTER ROLE {role} IN DATABASE \"{named}\" RESET ALL; DROP ROLE {role}"
        ))
        .await;
    }
}

#[tokio::test]
async fn nothing_asked_asks_nothing() {
    for (_, _database, client) in each("").await {
        let facts = look(&client, []).await;
        assert_eq!(why(&facts.settings), "it was not looked up");
    }
}
