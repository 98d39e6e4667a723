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

/// Operators of every pair of types that the catalogue is made of, but for those that the server has itself: whichever of
/// them a question of ours came to would fail it.
const SHADOWS: &str = r#"
DO $$
DECLARE
    types text[] := ARRAY['oid', 'name', 'text', '"char"', 'int2', 'int4', 'int8', 'regclass', 'regtype', 'regproc',
        'regprocedure', 'oid[]', 'oidvector', 'int2vector', 'int2[]', 'text[]', 'name[]', '"char"[]', 'bool', 'varchar'];
    sign text; l text; r text;
BEGIN
    PERFORM set_config('search_path', 'pg_catalog', true);
    FOREACH sign IN ARRAY ARRAY['=', '<>', '<', '>', '<=', '>=', '~~', '!~~', '~', '@>', '<@', '&&', '||'] LOOP
        FOREACH l IN ARRAY types LOOP
            FOREACH r IN ARRAY types LOOP
                CONTINUE WHEN EXISTS (SELECT FROM pg_operator o
                    WHERE o.oprname = sign AND o.oprleft = l::regtype AND o.oprright = r::regtype);
                EXECUTE format('CREATE OR REPLACE FUNCTION public.hijack(%s, %s) RETURNS bool LANGUAGE plpgsql AS %L',
                    l, r, 'BEGIN RAISE EXCEPTION $m$hijacked$m$; END');
                EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.hijack)',
                    sign, l, r);
            END LOOP;
        END LOOP;
    END LOOP;
END $$;
"#;

/// Statements that raise every kind of question for the catalogue.
const ASKING: &str = "
    CREATE TYPE mood AS ENUM ('a'); CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE SCHEMA other; CREATE SEQUENCE s; CREATE EXTENSION hstore; CREATE DOMAIN d AS int;
    CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION g(); CREATE POLICY p ON t USING (id > 1);
    CREATE RULE r AS ON INSERT TO t DO NOTHING; CREATE STATISTICS st ON id, v FROM t; CREATE PUBLICATION pub FOR TABLE t;
    DROP TYPE mood; DROP FUNCTION f(int); DROP SCHEMA other; DROP SEQUENCE s; DROP EXTENSION hstore; DROP DOMAIN d;
    DROP TRIGGER tr ON t; DROP POLICY p ON t; DROP RULE r ON t;
    ALTER TYPE mood ADD VALUE 'b'; ALTER TABLE t CLUSTER ON t_v; ALTER TABLE t REPLICA IDENTITY USING INDEX t_v;
    ALTER TABLE t ADD COLUMN c text GENERATED ALWAYS AS (lower(v) || 'x') STORED; ALTER TABLE t SET TABLESPACE far;
    ALTER TABLE t SET (fillfactor = 90); ALTER TABLE t ALTER COLUMN v SET DEFAULT 'x'; ALTER TABLE t INHERIT t2;
    CREATE INDEX ON t USING gin (v gin_trgm_ops); CREATE INDEX ON t (lower(v)) INCLUDE (id) WITH (fillfactor = 70);
    CREATE UNIQUE INDEX ON t (date_trunc('day', now())) TABLESPACE far; CLUSTER t USING t_v;
    CREATE TABLE child (extra int) INHERITS (t); CREATE TABLE twice (a int, UNIQUE (a, a));
    REFRESH MATERIALIZED VIEW CONCURRENTLY m;";

#[tokio::test]
async fn the_catalogue_is_asked_by_nobodys_operators() {
    let setup = format!(
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE t2 (id int, v text); CREATE INDEX t_v ON t (v);
         CREATE TYPE mood AS ENUM ('a'); CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE SCHEMA other; CREATE SEQUENCE s; CREATE DOMAIN d AS int;
         CREATE MATERIALIZED VIEW m AS SELECT id FROM t; {SHADOWS}"
    );
    let statements = dbop_sql::read(dbop_model::Engine::PostgreSql, ASKING);
    let questions: Vec<Reading> = statements
        .into_iter()
        .flat_map(|statement| statement.readings)
        .filter(|reading| reading.kind == ReadingKind::Catalogue)
        .collect();
    assert!(questions.len() > 25, "{} questions", questions.len());
    for (major, _database, client) in each(&setup).await {
        let wanted = questions.iter().map(|reading| FactRequest::Reading {
            table: name("t"),
            reading: reading.clone(),
        });
        let facts = look(&client, wanted).await;
        for question in &questions {
            if let Fact::Unknown(why) = &facts.readings[question] {
                panic!("{why} on {major}: {}", question.text);
            }
        }
    }
}
