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
