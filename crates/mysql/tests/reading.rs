//! What the server makes of texts that it reads, on real servers: it tells what is not there, and runs nothing.

#[path = "support/look.rs"]
mod support;

use dbop_model::Fact;
use dbop_model::operation::{Reading, ReadingKind};
use dbop_model::table::{FactRequest, Understood};
use mysql_async::prelude::Queryable as _;
use support::{look, on_each, person, site, table};

fn reading(text: &str, kind: ReadingKind) -> Reading {
    Reading {
        text: text.to_owned(),
        kind,
        schema: None,
    }
}

#[tokio::test]
async fn texts_are_read_and_nothing_runs() {
    const QUERY: ReadingKind = ReadingKind::Query { named: None };
    let texts = [
        ("SELECT id, v AS w FROM t", QUERY, "id, w"),
        ("SELECT SLEEP(60) AS slept FROM t", QUERY, "slept"),
        ("SELECT id FROM missing", QUERY, "1146"),
        ("SELECT missing FROM t", QUERY, "1054"),
        ("SELEC 1", QUERY, "1064"),
        ("DELETE FROM t", ReadingKind::Definition, ""),
        ("DROP TABLE t", ReadingKind::Statement, ""),
        (
            "ALTER TABLE t ADDS COLUMN c INT",
            ReadingKind::Statement,
            "1064",
        ),
        (
            "SELECT '1305', 'no routine' FROM DUAL WHERE NOT EXISTS \
             (SELECT 1 FROM information_schema.routines x WHERE x.routine_schema = DATABASE())",
            ReadingKind::Catalogue,
            "1305",
        ),
        (
            "SELECT '1146', 'no table' FROM DUAL WHERE NOT EXISTS \
             (SELECT 1 FROM information_schema.tables x WHERE x.table_schema = DATABASE())",
            ReadingKind::Catalogue,
            "",
        ),
        (
            "SELECT 'unknown', 'nobody says it' FROM DUAL",
            ReadingKind::Catalogue,
            "nobody says it",
        ),
    ];
    on_each(async |server| {
        let setup = [
            "CREATE TABLE t (id INT PRIMARY KEY, v TEXT)",
            "INSERT INTO t VALUES (1, 'a')",
        ];
        let (site, admin) = site(&server, &setup).await;
        let wanted = texts.map(|(text, kind, _)| FactRequest::Reading {
            table: table("t"),
            reading: reading(text, kind),
        });
        let facts = look(&*admin, wanted).await;
        for (text, kind, expect) in texts {
            let got = match &facts.readings[&reading(text, kind)] {
                Fact::Known(Understood::Yes { columns }) => columns.join(", "),
                Fact::Known(Understood::No { code, .. }) => code.clone(),
                Fact::Unknown(why) => why.to_string(),
            };
            assert_eq!(got, expect, "{text} on {:?}", server.engine);
        }
        let mut conn = person(&site).await;
        let rows: Option<i64> = conn.query_first("SELECT COUNT(*) FROM t").await.unwrap();
        assert_eq!(rows, Some(1), "nothing ran");
        conn.disconnect().await.unwrap();
    })
    .await;
}
