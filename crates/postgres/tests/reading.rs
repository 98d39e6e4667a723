//! What the server makes of texts that it reads, on real PostgreSQL: it tells what is not there, and runs nothing.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/look.rs"]
mod support;

use dbop_model::Fact;
use dbop_model::operation::{Reading, ReadingKind};
use dbop_model::table::{FactRequest, Understood};
use support::{each, look, name};

fn reading(text: &str) -> Reading {
    Reading {
        text: text.to_owned(),
        kind: ReadingKind::Query { named: None },
        schema: None,
    }
}

#[tokio::test]
async fn texts_are_read_and_nothing_runs() {
    let setup = "
        CREATE TABLE t (id int PRIMARY KEY, v text);
        CREATE SEQUENCE runs;
        CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.far (id int);";
    let texts = [
        ("SELECT id, v AS w FROM t", "id, w"),
        ("SELECT id FROM far", "id"),
        ("SELECT nextval('runs') FROM t", "nextval"),
        ("SELECT id FROM missing", "42P01"),
        ("SELECT missing FROM t", "42703"),
        ("SELECT CAST(NULL AS missing)", "42704"),
        ("SELECT missing(id) FROM t", "42883"),
        ("DELETE FROM t", ""),
        ("SELEC 1", "42601"),
        ("SELECT 1; SELECT 2", "42601"),
    ];
    for (major, _database, client) in each(setup).await {
        let wanted = texts.map(|(text, _)| FactRequest::Reading {
            table: name("t"),
            reading: reading(text),
        });
        let facts = look(&client, wanted).await;
        for (text, expect) in texts {
            let got = match &facts.readings[&reading(text)] {
                Fact::Known(Understood::Yes { columns }) => columns.join(", "),
                Fact::Known(Understood::No { code, .. }) => code.clone(),
                Fact::Unknown(why) => why.to_string(),
            };
            assert_eq!(got, expect, "{text} on {major}");
        }
        let row = client
            .query_one("SELECT is_called FROM runs", &[])
            .await
            .unwrap();
        assert!(!row.get::<_, bool>(0), "nothing ran on {major}");
    }
}
