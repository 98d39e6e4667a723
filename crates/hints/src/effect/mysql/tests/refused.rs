//! What a server refuses by the words of the statement, and the neighbours that it takes.

use super::*;

/// The reasons on MySQL 9.7 and on MariaDB 11.8; an empty one: it is taken.
#[track_caller]
fn refused(operation: Operation, mysql: &str, mariadb: &str) {
    let statement = Statement {
        line: Some(1),
        ..Statement::from(operation)
    };
    let mut facts = facts_of(std::slice::from_ref(&statement), numbered());
    if let Fact::Known(settings) = &mut facts.settings {
        settings.collation_charsets = [
            ("latin1_bin", "latin1"),
            ("utf8mb4_bin", "utf8mb4"),
            ("uca1400_ai_ci", ""),
        ]
        .map(|(collation, charset)| (collation.to_owned(), charset.to_owned()))
        .into();
        settings.engines = ["innodb".to_owned(), "memory".to_owned()].into();
    }
    let [_, on_mysql, _, on_mariadb] = servers();
    for (server, expect) in [(on_mysql, mysql), (on_mariadb, mariadb)] {
        let said = predicted(&server, &statement, &facts);
        let why = said.strip_prefix("the statement fails: ");
        assert_eq!(
            why.unwrap_or_default(),
            expect,
            "{server}: {statement:?}: {said}"
        );
    }
}

/// With `id` counting on.
fn numbered() -> TableFacts {
    stored(|storage| storage.auto_increment = Some(name("id")))
}

#[track_caller]
fn both(operation: Operation, expect: &str) {
    refused(operation, expect, expect);
}

fn checked(text: &str) -> Operation {
    let mut constraint = Constraint::new(ConstraintKind::Check, vec![]).unwrap();
    constraint.expression = Some(text.to_owned());
    Operation::AddConstraint {
        table: users(),
        constraint,
    }
}

fn stored_as(text: &str) -> Column {
    typed("c", &format!("int generated always as ({text}) stored"))
}

#[test]
fn checks() {
    both(checked("plain > 0 AND PLAIN < 9"), "");
    both(
        checked("plain > (SELECT 1)"),
        "a CHECK cannot look at other rows by a query",
    );
    both(checked("plain > @most"), "a CHECK cannot read a variable");
    both(checked("SLEEP(0) = plain"), "a CHECK cannot call sleep()");
    refused(
        checked("plain > RANDOM_BYTES(1)"),
        "",
        "a CHECK cannot call random_bytes(), which gives another value tomorrow",
    );
    both(
        checked("SUM(plain) > 1"),
        "a CHECK cannot call sum(), which is over several rows",
    );
    both(
        checked("plain < NOW()"),
        "a CHECK cannot call now(), which gives another value tomorrow",
    );
    refused(
        checked("UNIX_TIMESTAMP(plain) > 1"),
        "a CHECK cannot call unix_timestamp(), which gives another value tomorrow",
        "",
    );
    both(
        checked("gone > 0"),
        "a CHECK is over gone, and there is no such column (error 1054)",
    );
    both(
        checked("id > 0"),
        "a CHECK cannot be over id, which counts on (AUTO_INCREMENT)",
    );
    let condition = "its expression is no condition by its outermost operator (error 3812)";
    refused(
        checked("CASE WHEN plain > 5 THEN alone > 0 ELSE TRUE END"),
        condition,
        "",
    );
    refused(checked("plain"), condition, "");
}

#[test]
fn the_check_of_a_column() {
    let column = |text: &str| {
        let mut constraint = Constraint::new(ConstraintKind::Check, vec![name("c")]).unwrap();
        constraint.expression = Some(text.to_owned());
        add(Column {
            constraints: vec![constraint],
            ..typed("c", "int")
        })
    };
    both(column("C > 0"), "");
    refused(
        column("c < plain"),
        "the CHECK of c is about plain, too (error 3813)",
        "",
    );
}

#[test]
fn generated_columns() {
    both(add(stored_as("plain + 1")), "");
    both(
        add(stored_as("gone + 1")),
        "a generated column is over gone, and there is no such column (error 1054)",
    );
    both(
        add(stored_as("id + 1")),
        "a generated column cannot be over id, which counts on (AUTO_INCREMENT)",
    );
    let other = "a generated column cannot call rand(), which gives another value tomorrow";
    both(add(stored_as("rand()")), other);
    // MariaDB computes a virtual one each time that it is read.
    let of_chance = typed("c", "int generated always as (rand()) virtual");
    refused(add(of_chance), other, "");
    both(
        add(default(stored_as("plain + 1"), "5")),
        "c is computed from other columns, and takes no DEFAULT (error 1064)",
    );
    refused(
        add(stored_as("plain + 1").with_nullable(false)),
        "",
        "c is computed from other columns, and takes no NOT NULL (error 1064)",
    );
    let forward = several(vec![
        add(typed("d", "int generated always as (e + 1) virtual")),
        add(typed("e", "int generated always as (plain + 1) virtual")),
    ]);
    let facts = facts_of(std::slice::from_ref(&forward), numbered());
    for server in servers() {
        let said = predicted(&server, &forward, &facts);
        assert!(said.contains("comes later"), "{said}");
    }
    let two = several(vec![
        add(typed("other", "int")),
        add(stored_as("other + 1")),
    ]);
    let facts = facts_of(std::slice::from_ref(&two), numbered());
    assert_eq!(predicted(&servers()[1], &two, &facts), "C");
}

#[test]
fn defaults() {
    both(add(default(typed("c", "int"), "(plain + 1)")), "");
    both(
        add(default(typed("c", "datetime"), "(now() + interval 1 day)")),
        "",
    );
    both(
        add(default(typed("c", "int"), "(gone + 1)")),
        "a default is over gone, and there is no such column (error 1054)",
    );
}

#[test]
fn types_that_a_server_has_not() {
    let lacks =
        |of: &str, sql_type: &str| format!("{of} has no type {sql_type} (errors 1064, 4161)");
    for sql_type in ["nosuchtype", "jsonb", "bytea"] {
        refused(
            add(typed("c", sql_type)),
            &lacks("MySQL", sql_type),
            &lacks("MariaDB", sql_type),
        );
    }
    refused(add(typed("c", "uuid")), &lacks("MySQL", "uuid"), "");
    for sql_type in [
        "double precision",
        "character varying(9)",
        "nchar(3)",
        "year",
        "int unsigned",
    ] {
        both(add(typed("c", sql_type)), "");
    }
    both(
        add(typed("c", "varchar")),
        "varchar is no type: it needs a length",
    );
    both(
        add(typed("c", "decimal(70,2)")),
        "decimal(70,2) is no type: 70 is more than 65",
    );
    both(
        add(typed("c", "enum('a','b','a')")),
        "enum('a','b','a') is no type: 'a' stands in it twice",
    );
    refused(add(typed("c", "vector(3)")), "", "");
    both(
        add(typed("c", "decimal(2,5)")),
        "decimal(2,5) is no type: 5 digits of 2 cannot be a fraction",
    );
}

#[test]
fn letters_and_engines() {
    let lettered = |charset: &str, collation: &str| {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        add(Column {
            charset: some(charset),
            collation: some(collation),
            ..typed("c", "varchar(9)")
        })
    };
    both(lettered("latin1", "latin1_bin"), "");
    both(lettered("utf8", ""), "");
    both(lettered("utf8mb4", "utf8mb4_uca1400_ai_ci"), "");
    both(lettered("utf8mb4", "uca1400_ai_ci"), "");
    both(
        lettered("nosuch", ""),
        "the server has no character set nosuch (error 1115)",
    );
    both(
        lettered("", "latin1_no_such_ci"),
        "the server has no collation latin1_no_such_ci (error 1273)",
    );
    both(
        lettered("utf8mb4", "latin1_bin"),
        "the collation latin1_bin is none of the character set utf8mb4 (error 1253)",
    );
    let engine = |engine: &str| {
        change(TableChange::Engine {
            engine: engine.to_owned(),
        })
    };
    both(
        engine("NoSuch"),
        "the server has no storage engine NoSuch (error 1286)",
    );
    both(engine("MEMORY"), "");
}
