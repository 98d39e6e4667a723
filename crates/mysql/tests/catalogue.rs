//! What the catalogue says of tables, on real servers: indexes, constraints, storage, sizes, settings.

#[path = "support/look.rs"]
mod support;

use dbop_model::table::{FactRequest, Generated, TableName, TableState};
use dbop_model::{Engine, Fact};
use dbop_testkit::written;
use support::{ROWS, asked, look, person, present, run, site, table};

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
        let mut lines: Vec<String> = facts
            .indexes
            .known()
            .unwrap()
            .iter()
            .map(written::index)
            .collect();
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
                facts.constraints.known().unwrap().iter().map(written::constraint).collect();
            lines.sort();
            lines
        };
        // MySQL's CHECKs hold of every row; of foreign keys neither server knows.
        let check = match server.engine {
            Engine::MariaDb => "positive check() `code` > 0 not validated",
            _ => "positive check() (`code` > 0)",
        };
        let expect = [
            "PRIMARY primaryKey(id)",
            "above foreignKey(up) to t not validated",
            check,
            "whole foreignKey(code, parent_id) to parent cascades not validated",
        ];
        assert_eq!(lines("t").await, expect);
        let expect = [
            "PRIMARY primaryKey(id)",
            "by_code unique(code, id)",
            "whole foreignKey(code, id) from t cascades not validated",
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
