//! Whole files: where statements begin, what they leave behind for each other, and that no text makes it panic.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

#[path = "support/shown.rs"]
mod shown;

use std::time::Duration;

use dbop_model::operation::Statement;
use dbop_model::{Engine, Fact};
use proptest::prelude::*;

fn lines(engine: Engine, sql: &str) -> Vec<(u32, String)> {
    dbop_sql::read(engine, sql)
        .iter()
        .map(|statement| (statement.line.expect("a line"), shown::shown(statement)))
        .collect()
}

#[track_caller]
fn check(engine: Engine, sql: &str, expect: &[(u32, &str)]) {
    let got = lines(engine, sql);
    let got: Vec<(u32, &str)> = got
        .iter()
        .map(|(line, shown)| (*line, shown.as_str()))
        .collect();
    assert_eq!(got, expect);
}

#[test]
fn statements_are_told_apart() {
    let postgres = Engine::PostgreSql;
    check(postgres, "", &[]);
    check(postgres, " \n-- nothing\n/* at /* all */ */;;\n", &[]);
    check(
        postgres,
        "\u{feff}DROP TABLE a;\r\n\r\nDROP TABLE b;\r\n",
        &[(1, "dropTable a"), (3, "dropTable b")],
    );
    check(
        postgres,
        "-- one; two\nINSERT INTO t VALUES ('a;\n''b', E'\\';', $x$;$y$;$x$, \"q;\");\nDROP TABLE t /* ; */\n;\nDROP TABLE u",
        &[(2, ""), (4, "dropTable t"), (6, "dropTable u")],
    );
    check(
        postgres,
        "COPY t (a) FROM stdin;\nDROP TABLE t;\n'\n\\.\nDROP TABLE u;\n\\echo done\nDROP TABLE v;",
        &[
            (1, ""),
            (5, "dropTable u"),
            (6, "unread: \\echo is a command of psql, and no SQL"),
            (7, "dropTable v"),
        ],
    );
    for engine in [Engine::MySql, Engine::MariaDb] {
        check(
            engine,
            "# one;\nDROP TABLE a; -- two;\nDELIMITER //\nCREATE PROCEDURE p() BEGIN DROP TABLE x; SELECT 1; END//\nDELIMITER ;\nDROP TABLE b;",
            &[(2, "dropTable a"), (4, ""), (6, "dropTable b")],
        );
        // A table may have columns that are called as what begins a body.
        check(
            engine,
            "CREATE TABLE event (id int, begin int, `trigger` int); DROP TABLE b; SELECT 5--1;\nDROP TABLE c",
            &[
                (1, "createTable event"),
                (1, "dropTable b"),
                (1, ""),
                (2, "dropTable c"),
            ],
        );
    }
}

#[test]
fn what_a_tool_would_run_to_go_back_is_left_out() {
    for (up, down) in [
        ("-- +goose Up", "-- +goose Down"),
        ("-- migrate:up", "-- migrate:down"),
        ("-- +migrate Up", "-- +migrate Down"),
    ] {
        let sql = format!(
            "{up}\nALTER TABLE t ADD COLUMN a int;\n\n{down}\nALTER TABLE t DROP COLUMN a;\n"
        );
        for engine in [Engine::PostgreSql, Engine::MySql, Engine::MariaDb] {
            check(engine, &sql, &[(2, "add t: a int")]);
        }
    }
}

#[test]
fn a_bad_statement_does_not_hide_the_next() {
    check(
        Engine::PostgreSql,
        "ALTER TABLE t ADD COLUMN;\nALTER TABLE t ADD COLUMN a int;",
        &[
            (
                1,
                &lines(Engine::PostgreSql, "ALTER TABLE t ADD COLUMN;")[0].1,
            ),
            (2, "add t: a int"),
        ],
    );
}

fn transactions(engine: Engine, sql: &str) -> Vec<Option<u32>> {
    dbop_sql::read(engine, sql)
        .iter()
        .map(|statement| statement.transaction)
        .collect()
}

#[test]
fn transactions_are_counted() {
    assert_eq!(
        transactions(
            Engine::PostgreSql,
            "DROP TABLE a; BEGIN; DROP TABLE b; SAVEPOINT s; ROLLBACK TO s; COMMIT; DROP TABLE c; START TRANSACTION; \
             DROP TABLE d; ROLLBACK AND CHAIN; DROP TABLE e; END; DROP TABLE f"
        ),
        [
            None,
            Some(0),
            Some(0),
            Some(0),
            Some(0),
            Some(0),
            None,
            Some(1),
            Some(1),
            Some(1),
            Some(2),
            Some(2),
            None
        ]
    );
    // DDL commits what is open.
    assert_eq!(
        transactions(
            Engine::MySql,
            "BEGIN; INSERT INTO t VALUES (1); DROP TABLE a; SELECT 1"
        ),
        [Some(0), Some(0), None, None]
    );
}

fn timeouts(engine: Engine, sql: &str) -> Vec<Option<Duration>> {
    dbop_sql::read(engine, sql)
        .iter()
        .filter(|statement| !statement.operations.is_empty())
        .map(|statement| statement.lock_timeout)
        .collect()
}

#[test]
fn lock_timeouts_are_followed() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(
        timeouts(
            Engine::PostgreSql,
            "DROP TABLE a; SET lock_timeout = '5s'; DROP TABLE b; BEGIN; SET LOCAL lock_timeout TO 2000; DROP TABLE c; \
             COMMIT; DROP TABLE d; SET lock_timeout = '1 min'; DROP TABLE e; RESET lock_timeout; DROP TABLE f; \
             SET LOCAL lock_timeout = '9s'; DROP TABLE g; SET SESSION lock_timeout = 0; DROP TABLE h"
        ),
        [
            None,
            seconds(5),
            seconds(2),
            seconds(5),
            seconds(60),
            None,
            None,
            None
        ]
    );
    assert_eq!(
        timeouts(
            Engine::MySql,
            "DROP TABLE a; SET SESSION lock_wait_timeout = 5; DROP TABLE b; SET @@session.lock_wait_timeout := 7, \
             sql_mode = ''; DROP TABLE c; SET GLOBAL lock_wait_timeout = 1; DROP TABLE d; SET lock_wait_timeout=DEFAULT; \
             DROP TABLE e"
        ),
        [None, seconds(5), seconds(7), seconds(7), None]
    );
}

/// What the last statement of a file has of what the file sets: strict, zero dates, foreign keys, algorithm.
#[track_caller]
fn check_session(engine: Engine, sql: &str, expect: &str) {
    let statements = dbop_sql::read(engine, sql);
    let session = &statements.last().unwrap().session;
    fn shown<T: std::fmt::Debug>(fact: &Option<Fact<T>>) -> String {
        match fact {
            None => "-".to_owned(),
            Some(Fact::Known(value)) => format!("{value:?}"),
            Some(Fact::Unknown(_)) => "?".to_owned(),
        }
    }
    let got = [
        shown(&session.strict),
        shown(&session.zero_dates),
        shown(&session.foreign_key_checks),
        shown(&session.algorithm),
    ];
    assert_eq!(got.join(" "), expect, "{sql}");
}

#[test]
fn what_a_file_sets_for_its_session_is_carried() {
    let mysql = |sql: &str, expect| {
        check_session(Engine::MySql, &format!("{sql}; DROP TABLE t"), expect);
        check_session(Engine::MariaDb, &format!("{sql}; DROP TABLE t"), expect);
    };
    mysql("SET NAMES utf8mb4", "- - - -");
    mysql("SET sql_mode = ''", "false true - -");
    mysql("SET SESSION sql_mode='STRICT_ALL_TABLES'", "true true - -");
    mysql("SET @@session.SQL_MODE := 'traditional'", "true false - -");
    mysql(
        "SET sql_mode = CONCAT(@@sql_mode, ',ANSI'), foreign_key_checks = 0",
        "? ? false -",
    );
    mysql(
        "SET GLOBAL sql_mode = '', FOREIGN_KEY_CHECKS=ON",
        "- - true -",
    );
    mysql("SET PERSIST foreign_key_checks = 0", "- - - -");
    mysql(
        "SET foreign_key_checks = 0; SET foreign_key_checks = DEFAULT",
        "- - - -",
    );
    mysql(
        "SET foreign_key_checks = 0; SET foreign_key_checks = @@global.foreign_key_checks",
        "- - - -",
    );
    mysql("SET foreign_key_checks = @known_to_nobody", "- - ? -");
    // As dumps put it aside and give it back.
    let aside = "/*!40014 SET @OLD=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */";
    mysql(aside, "- - false -");
    mysql(&format!("{aside}; SET FOREIGN_KEY_CHECKS=@OLD"), "- - - -");
    check_session(
        Engine::MariaDb,
        "SET alter_algorithm = 'NOCOPY'; ALTER TABLE t FORCE",
        "- - - Some(NoCopy)",
    );
    check_session(
        Engine::MariaDb,
        "SET alter_algorithm = INSTANT; SET STATEMENT sql_mode='', alter_algorithm=COPY FOR ALTER TABLE t FORCE",
        "false true - Some(Copy)",
    );
    check_session(
        Engine::MariaDb,
        "SET STATEMENT sql_mode='' FOR ALTER TABLE t FORCE; DROP TABLE t",
        "- - - -",
    );
    check_session(
        Engine::PostgreSql,
        "SET sql_mode = ''; DROP TABLE t",
        "- - - -",
    );
}

#[test]
fn names_follow_the_schema_that_the_file_sets() {
    check(
        Engine::PostgreSql,
        "SET search_path TO App, pg_catalog; DROP TABLE a, b.c; SET search_path = 'x', y; DROP TABLE d",
        &[
            (1, ""),
            (1, "dropTable app.a; dropTable b.c"),
            (1, ""),
            (1, "dropTable d"),
        ],
    );
    check(
        Engine::MySql,
        "USE `Shop`; DROP TABLE a, b.c",
        &[(1, ""), (1, "dropTable Shop.a; dropTable b.c")],
    );
}

fn texts(engine: Engine, sql: &str) -> Vec<String> {
    dbop_sql::read(engine, sql)
        .into_iter()
        .filter_map(|statement| statement.text)
        .collect()
}

#[test]
fn texts_are_one_short_line_without_values() {
    assert_eq!(
        texts(
            Engine::PostgreSql,
            "ALTER TABLE t -- why\n  ADD a text\tDEFAULT 'x' ;"
        ),
        ["ALTER TABLE t ADD a text DEFAULT 'x'"]
    );
    for (engine, sql) in [
        (
            Engine::PostgreSql,
            "INSERT INTO t VALUES ('canary', $$canary$$, E'canary', 7357)",
        ),
        (Engine::PostgreSql, "CREATE ROLE r PASSWORD 'canary7357'"),
        (
            Engine::PostgreSql,
            "ALTER TABLE t ADD a int DEFAULT 'canary 7357",
        ),
        (
            Engine::PostgreSql,
            "\\connect postgresql://canary:7357@host/db",
        ),
        (Engine::PostgreSql, "DO $$ canary 7357 $$"),
        (
            Engine::MySql,
            "UPDATE t SET a = 'canary', b = \"canary\", c = 7357",
        ),
        (
            Engine::MySql,
            "ALTER TABLE t ADD nonsense DEFAULT 'canary' 7357",
        ),
        (Engine::MySql, "CREATE USER r IDENTIFIED BY 'canary7357"),
    ] {
        for statement in dbop_sql::read(engine, sql) {
            let shown = format!("{:?} {:?}", statement.text, statement.unread);
            assert!(
                !shown.contains("canary") && !shown.contains("7357"),
                "{sql}: {shown}"
            );
        }
    }
    let long = texts(
        Engine::MySql,
        &format!("ALTER TABLE t {} ADD a int", "ADD b int, ".repeat(500)),
    );
    assert!(
        long[0].chars().count() <= 200 && long[0].ends_with("..."),
        "{long:?}"
    );
}

/// Bounded, however deep and however long.
#[test]
fn nesting_is_bounded() {
    for engine in [Engine::PostgreSql, Engine::MySql, Engine::MariaDb] {
        for (left, right) in [
            ("(", ")"),
            ("[", "]"),
            ("case when ", " end"),
            ("not ", ""),
            ("- ", ""),
            ("1 + ", ""),
        ] {
            let deep = format!(
                "ALTER TABLE t ADD CHECK ({}1{})",
                left.repeat(100_000),
                right.repeat(100_000)
            );
            dbop_sql::read(engine, &deep);
            let half = format!("ALTER TABLE t ADD CHECK ({}", left.repeat(100_000));
            dbop_sql::read(engine, &half);
            // As deep as it is still read.
            let fair = format!(
                "ALTER TABLE t ADD CHECK ({}1{})",
                left.repeat(60),
                right.repeat(60)
            );
            dbop_sql::read(engine, &fair);
        }
    }
}

fn holds(engine: Engine, text: &str) {
    let statements: Vec<Statement> = dbop_sql::read(engine, text);
    let lines = u32::try_from(text.split('\n').count()).expect("few lines");
    let mut before = 0;
    for statement in statements {
        let line = statement.line.expect("a line");
        assert!((1..=lines).contains(&line) && line >= before, "{text:?}");
        before = line;
        let shown = statement.text.expect("a text");
        assert!(
            shown.chars().count() <= 200 && !shown.chars().any(char::is_control),
            "{text:?}"
        );
        assert!(
            statement.unread.is_none() || statement.operations.is_empty(),
            "{text:?}"
        );
    }
}

/// What DDL is made of, so that random texts come far into the readers.
const WORDS: [&str; 64] = [
    "ALTER",
    "TABLE",
    "t",
    "ADD",
    "COLUMN",
    "a",
    "int",
    "(",
    ")",
    ",",
    ";",
    "\n",
    "NOT",
    "NULL",
    "DEFAULT",
    "'x'",
    "1",
    "CONSTRAINT",
    "CHECK",
    "UNIQUE",
    "PRIMARY",
    "KEY",
    "FOREIGN",
    "REFERENCES",
    "u",
    "CREATE",
    "INDEX",
    "ON",
    "DROP",
    "IF",
    "EXISTS",
    "CONCURRENTLY",
    "$$",
    "$x$",
    "/*",
    "*/",
    "/*!80000",
    "--",
    "BEGIN",
    "END",
    "CASE",
    "DELIMITER //\n",
    "//",
    "\"q\"",
    "`q`",
    "\\",
    "E'\\'",
    "RENAME",
    "TO",
    "MODIFY",
    "CHANGE",
    "TYPE",
    "USING",
    "SET",
    "GENERATED",
    "ALWAYS",
    "AS",
    "PARTITION",
    "OF",
    "WAIT",
    "TRIGGER",
    "FUNCTION",
    "COPY t FROM stdin;\n",
    ".",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        for engine in [Engine::PostgreSql, Engine::MySql, Engine::MariaDb] {
            holds(engine, &text);
        }
    }

    #[test]
    fn no_words_make_it_panic(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..40)) {
        let text = words.join(" ");
        let ddl = format!("ALTER TABLE t {text}");
        for engine in [Engine::PostgreSql, Engine::MySql, Engine::MariaDb] {
            holds(engine, &text);
            holds(engine, &ddl);
        }
    }
}
