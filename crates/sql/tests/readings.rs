//! What of a statement a server can be asked to read, and the parts of a new table.

use dbop_model::Engine;
use dbop_model::operation::ReadingKind;

#[track_caller]
fn check(engine: Engine, sql: &str, kind: fn(&ReadingKind) -> bool, expect: Option<&str>) {
    let statements = dbop_sql::read(engine, sql);
    let last = statements.last().expect("a statement");
    let mut readings = last.readings.iter();
    let found = readings.find(|reading| kind(&reading.kind));
    assert_eq!(found.map(|reading| reading.text.as_str()), expect, "{sql}");
}

fn is_query(kind: &ReadingKind) -> bool {
    matches!(kind, ReadingKind::Query { .. })
}

fn is_definition(kind: &ReadingKind) -> bool {
    matches!(kind, ReadingKind::Definition)
}

#[test]
fn queries_of_views_and_tables() {
    for engine in [Engine::PostgreSql, Engine::MySql] {
        let check = |sql: &str, expect: Option<&str>| check(engine, sql, is_query, expect);
        check(
            "CREATE VIEW v AS SELECT a /* b */ FROM t",
            Some("SELECT a FROM t"),
        );
        check(
            "CREATE OR REPLACE VIEW v (a, b) AS SELECT 1, 2 WITH LOCAL CHECK OPTION",
            Some("SELECT 1, 2"),
        );
        check("CREATE TABLE f AS SELECT 1 AS a", Some("SELECT 1 AS a"));
        check("CREATE TABLE f (id int)", None);
        check("ALTER TABLE f ADD COLUMN a int", None);
    }
    let mysql = |sql: &str, expect: Option<&str>| check(Engine::MySql, sql, is_query, expect);
    mysql(
        "CREATE ALGORITHM=MERGE DEFINER=a@b SQL SECURITY INVOKER VIEW v AS SELECT 1",
        Some("SELECT 1"),
    );
    mysql(
        "CREATE TABLE f (id INT) ENGINE=InnoDB SELECT 1",
        Some("SELECT 1"),
    );
    mysql(
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a = (SELECT 1)",
        None,
    );
}

#[test]
fn definitions_of_tables() {
    let postgres = |sql: &str, expect: &str| {
        check(Engine::PostgreSql, sql, is_definition, Some(expect));
    };
    postgres(
        "CREATE TABLE f (id serial PRIMARY KEY, at date DEFAULT now(), CHECK (id > 0), u int REFERENCES u (id))",
        "SELECT \"f\".*, CASE WHEN id > 0 THEN 1 END AS dbop_asked_1, \
         EXISTS (SELECT FROM \"u\" AS dbop_other WHERE dbop_other.\"id\" = \"f\".\"u\") AS dbop_asked_2 \
         FROM (SELECT CAST(NULL AS integer) AS \"id\", CAST((now()) AS date) AS \"at\", CAST(NULL AS int) AS \"u\") \
         AS \"f\" ORDER BY \"f\".\"id\"",
    );
    postgres(
        "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0)",
        "SELECT CASE WHEN a > 0 THEN 1 END, 1 FROM \"t\" LIMIT 1",
    );
    check(
        Engine::MySql,
        "CREATE TABLE f (id INT, CHECK (id > 0))",
        is_definition,
        Some("SELECT (id > 0) FROM (SELECT NULL AS `id`) AS `f`"),
    );
}

#[test]
fn parts_of_new_tables_are_operations_that_nobody_is_told() {
    for engine in [Engine::PostgreSql, Engine::MySql] {
        let sql = "CREATE TABLE f (id int PRIMARY KEY, u int, UNIQUE (u), FOREIGN KEY (u) REFERENCES u (id))";
        let statements = dbop_sql::read(engine, sql);
        assert_eq!(statements[0].operations.len(), 4);
        let told: Vec<&str> = statements[0].told().map(|one| one.op()).collect();
        assert_eq!(told, ["createTable", "addConstraint"]);
    }
}

/// What of the catalogue a statement raises, by the codes of its reasons.
#[track_caller]
fn raises(engine: Engine, sql: &str, expect: &[&str]) {
    let statements = dbop_sql::read(engine, sql);
    let last = statements.last().expect("a statement");
    let asked = last.readings.iter();
    let asked = asked.filter(|reading| reading.kind == ReadingKind::Catalogue);
    let text: Vec<&str> = asked.map(|reading| reading.text.as_str()).collect();
    let text = text.join("");
    let codes: Vec<&str> = text
        .match_indices("SELECT ")
        .filter_map(|(at, _)| {
            let rest = &text[at + "SELECT ".len()..];
            let rest = rest.strip_prefix('E').unwrap_or(rest).strip_prefix('\'')?;
            let code = &rest[..rest.find('\'')?];
            (code.len() == 5 || code.len() == 4 || code == "unknown").then_some(code)
        })
        .collect();
    assert_eq!(codes, expect, "{sql}: {text}");
}

#[test]
fn questions_for_the_catalogue() {
    let postgres = |sql: &str, expect: &[&str]| raises(Engine::PostgreSql, sql, expect);
    postgres("CREATE TYPE mood AS ENUM ('a')", &["42710"]);
    postgres("CREATE SEQUENCE IF NOT EXISTS ids", &[]);
    postgres("CREATE SEQUENCE ids OWNED BY t.a", &["42P07", "42703"]);
    postgres(
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        &[],
    );
    postgres(
        "CREATE FUNCTION f(a int, OUT b int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        &["42723"],
    );
    postgres("DROP TYPE mood, other", &["2BP01"]);
    postgres("DROP TYPE mood CASCADE", &[]);
    postgres("DROP POLICY IF EXISTS p ON t", &[]);
    postgres("DROP POLICY p ON t", &["42704"]);
    postgres(
        "ALTER TYPE mood RENAME VALUE 'a' TO 'b'",
        &["22023", "42710"],
    );
    postgres("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'a'", &[]);
    postgres(
        "CREATE INDEX i ON t (lower(a)) WHERE b > now()",
        &["42P17", "42P17"],
    );
    postgres("CREATE INDEX i ON t USING gin (a)", &["42704", "42704"]);
    postgres(
        "CREATE INDEX i ON t (a) INCLUDE (b) TABLESPACE fast",
        &["42704", "42703"],
    );
    postgres("ALTER TABLE t SET (fillfactor = 70)", &[]);
    postgres("ALTER TABLE t SET (fillfacter = 70)", &["22023"]);
    postgres(
        "ALTER TABLE t ADD COLUMN a int, ALTER a SET STATISTICS 5",
        &[],
    );
    postgres(
        "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
        &["55000", "0A000"],
    );
    postgres("CREATE TABLE f (id int, UNIQUE (id, id))", &["42701"]);

    let mysql = |sql: &str, expect: &[&str]| raises(Engine::MySql, sql, expect);
    mysql("DROP PROCEDURE p", &["unknown"]);
    mysql("DROP PROCEDURE IF EXISTS p", &[]);
    mysql(
        "CREATE TABLE f (id INT ON UPDATE CURRENT_TIMESTAMP)",
        &["1294"],
    );
    mysql(
        "CREATE TABLE f (id DATETIME ON UPDATE CURRENT_TIMESTAMP)",
        &[],
    );
    mysql(
        "CREATE TABLE f (a INT AS (b * 2), b INT AS (id * 2), id INT)",
        &["3107"],
    );
    mysql("CREATE TABLE f (id INT, a INT CHECK (id > 0))", &["3813"]);
    mysql("CREATE TABLE f (id INT, CHECK (id > 0))", &[]);
    mysql("GRANT SELECT ON t TO someone", &["1146"]);
    mysql("GRANT ALL ON shop.* TO someone", &[]);
}

#[test]
fn a_query_reads_a_table_that_the_file_makes() {
    check(
        Engine::PostgreSql,
        "CREATE TABLE f (id serial, a text); CREATE VIEW v AS SELECT a FROM f",
        is_query,
        Some(
            "WITH \"f\" AS (SELECT CAST(NULL AS integer) AS \"id\", CAST(NULL AS text) AS \"a\") SELECT a FROM f",
        ),
    );
    check(
        Engine::MySql,
        "CREATE TABLE f (id INT); ALTER TABLE f ADD COLUMN a INT; CREATE VIEW v AS SELECT a FROM f",
        is_query,
        Some("SELECT a FROM f"),
    );
}
