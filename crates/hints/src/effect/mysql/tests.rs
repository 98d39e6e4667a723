//! Every row of the measured facts as a case, per server: what is said to the rules, and what the server was seen to do.

mod refused;
mod whole;

use dbop_model::finding::{HintPolicy, Lock};
use dbop_model::operation::{
    Algorithm, Column, Constraint, ConstraintKind, Dropping, Index, IndexKind, IndexPart, Locking,
    Operation, PartitionVerb, Partitioning, Statement, TableChange, Validity,
};
use dbop_model::table::{
    ConstraintFacts, Generated, IndexFacts, Settings, Storage, TableFacts, TableFactsSet,
};
use dbop_model::{Engine, Fact, ServerInfo};

use crate::judge;
use crate::testing::{NOW, add, default, facts_of, key, large, name, other, typed, unknown, users};

fn modify(column: Column) -> Operation {
    let column = Column {
        redefined: true,
        ..column
    };
    Operation::alter_column(users(), vec![column]).unwrap()
}

fn drop(column: &str) -> Operation {
    Operation::drop_column(users(), vec![name(column)]).unwrap()
}

fn with(column: Column, kind: ConstraintKind) -> Column {
    Column {
        constraints: vec![Constraint::new(kind, vec![column.name.clone()]).unwrap()],
        ..column
    }
}

fn constraint(kind: ConstraintKind, validity: Validity) -> Operation {
    let mut constraint = Constraint::new(kind, vec![name("plain")]).unwrap();
    constraint.validity = validity;
    Operation::AddConstraint {
        table: users(),
        constraint,
    }
}

fn drop_constraint(kind: ConstraintKind) -> Operation {
    Operation::DropConstraint {
        table: users(),
        constraint: Constraint::new(kind, vec![name("plain")]).unwrap(),
        dropping: Dropping::default(),
    }
}

fn index(kind: IndexKind, column: &str) -> Operation {
    Operation::CreateIndex {
        table: users(),
        index: Index::new(kind, vec![name(column)]),
    }
}

fn drop_index() -> Operation {
    Operation::DropIndex {
        table: users(),
        by_name: false,
        name: None,
        columns: Vec::new(),
        dropping: Dropping::default(),
        online: false,
    }
}

fn change(change: TableChange) -> Operation {
    Operation::ChangeTable {
        table: users(),
        change,
    }
}

/// A large table of utf8mb4, with a primary key, an index of one column and one of two.
fn table() -> TableFacts {
    let mut facts = large();
    facts.columns.clear();
    for (column, sql_type, charset, nullable) in [
        ("id", "int", None, false),
        ("plain", "int", None, true),
        ("filled", "int", None, false),
        ("alone", "int", None, true),
        ("first", "int", None, true),
        ("second", "int", None, true),
        ("v30", "varchar(30)", Some("utf8mb4"), true),
        ("v50", "varchar(50)", Some("utf8mb4"), true),
        ("v80", "varchar(80)", Some("utf8mb4"), true),
        ("indexed", "varchar(50)", Some("utf8mb4"), true),
        ("mb3", "varchar(20)", Some("utf8mb3"), true),
        ("mb3long", "varchar(80)", Some("utf8mb3"), true),
        ("mb3indexed", "varchar(20)", Some("utf8mb3"), true),
        ("latin", "varchar(20)", Some("latin1"), true),
        ("kind", "enum('a','b')", Some("utf8mb4"), true),
    ] {
        let column_facts = dbop_model::table::ColumnFacts {
            sql_type: sql_type.to_owned(),
            nullable,
            has_default: false,
            proven_not_null_by: None,
            charset: charset.map(str::to_owned),
            collation: charset.map(|charset| format!("{charset}_general_ci")),
            generated: None,
            computed: None,
        };
        facts.columns.insert(name(column), column_facts);
    }
    let over = |index: &str, columns: &[&str], primary: bool| IndexFacts {
        name: name(index),
        key: key(columns),
        kind: IndexKind::Plain,
        primary,
        valid: true,
        immediate: true,
        bytes: None,
    };
    if let Fact::Known(storage) = &mut facts.storage {
        storage.row_versions = Some(0);
    }
    facts.indexes = Fact::Known(vec![
        over("PRIMARY", &["id"], true),
        over("one", &["alone"], false),
        over("two", &["first", "second"], false),
        over("three", &["indexed"], false),
        over("four", &["mb3indexed"], false),
    ]);
    facts
}

/// Stored in another way.
fn stored(change: impl FnOnce(&mut Storage)) -> TableFacts {
    let mut facts = table();
    if let Fact::Known(storage) = &mut facts.storage {
        change(storage);
    }
    facts
}

fn fulltext() -> TableFacts {
    stored(|storage| storage.fulltext = true)
}

/// The four kinds of servers that were measured, in the order of a case's expectations.
fn servers() -> [ServerInfo; 4] {
    [
        other(Engine::MySql, 8, 4),
        other(Engine::MySql, 9, 7),
        other(Engine::MariaDb, 10, 11),
        other(Engine::MariaDb, 11, 8),
    ]
}

fn predicted(server: &ServerInfo, statement: &Statement, facts: &TableFactsSet) -> String {
    let statements = std::slice::from_ref(statement);
    let judgement = judge(server, statements, facts, &HintPolicy::default(), NOW);
    let effect = match &judgement.predicted.last().unwrap().effect {
        Fact::Known(effect) => effect,
        Fact::Unknown(why) => return why.to_string(),
    };
    let Lock::Metadata(locking) = effect.lock else {
        return "a lock of PostgreSQL".to_owned();
    };
    let shut = effect.blocks_writes;
    match (effect.algorithm, effect.rewrite, locking) {
        (Some(Algorithm::Instant), false, Locking::None) => "I",
        (Some(Algorithm::InPlace | Algorithm::NoCopy), false, Locking::None) => "P",
        (Some(Algorithm::InPlace | Algorithm::NoCopy), false, Locking::Shared) if shut => "Ps",
        (Some(Algorithm::NoCopy), true, Locking::Shared) if shut => "Ns",
        (Some(Algorithm::InPlace), true, Locking::None) => "R",
        (Some(Algorithm::InPlace), true, Locking::Shared) if shut => "Rs",
        (Some(Algorithm::Copy), true, Locking::None) => "C0",
        (Some(Algorithm::Copy), true, Locking::Shared) if shut => "C",
        (None, false, Locking::Exclusive) if !shut => "M",
        (None, true, Locking::Exclusive) if !shut => "F",
        _ => return effect.to_string(),
    }
    .to_owned()
}

#[track_caller]
fn check_statement(statement: &Statement, table: &TableFacts, expect: &str) {
    let facts = facts_of(std::slice::from_ref(statement), table.clone());
    let got: Vec<String> = servers()
        .iter()
        .map(|server| predicted(server, statement, &facts))
        .collect();
    let expect: Vec<&str> = expect.split_whitespace().collect();
    assert_eq!(got, expect, "{statement:?}");
}

/// On MySQL 8.4, MySQL 9.7, MariaDB 10.11 and MariaDB 11.8.
#[track_caller]
fn check(operation: Operation, expect: &str) {
    check_on(operation, &table(), expect);
}

#[track_caller]
fn check_on(operation: Operation, table: &TableFacts, expect: &str) {
    check_statement(&Statement::from(operation), table, expect);
}

fn several(operations: Vec<Operation>) -> Statement {
    Statement {
        operations,
        ..Statement::default()
    }
}

#[test]
fn adding_columns() {
    check(add(typed("c", "int")), "I I I I");
    check(add(default(typed("c", "int"), "5")), "I I I I");
    check(add(default(typed("c", "datetime"), "now()")), "I I I I");
    check(
        add(typed("c", "enum('a','b')").with_nullable(false)),
        "I I I I",
    );
    let first = Column {
        placed: true,
        ..typed("c", "int")
    };
    check(add(first), "I I I I");
    check(add(default(typed("c", "int"), "(plain + 1)")), "C C C C0");
    check(add(default(typed("c", "int"), "(1 + 1)")), "C C I I");
    check(
        add(typed("c", "int generated always as (plain + 1) virtual")),
        "I I I I",
    );
    check(
        add(typed("c", "int generated always as (plain + 1) stored")),
        "C C C C0",
    );
    check(add(typed("c", "int auto_increment")), "Rs Rs Rs Rs");
    check(
        add(with(typed("c", "int"), ConstraintKind::Unique)),
        "R R R R",
    );
    check(
        add(with(typed("c", "int"), ConstraintKind::Check)),
        "C C I I",
    );
    check(
        add(with(typed("c", "int"), ConstraintKind::ForeignKey)),
        "I C C C0",
    );
}

#[test]
fn columns_of_tables_that_are_stored_otherwise() {
    let compressed = stored(|storage| storage.row_format = Some("Compressed".to_owned()));
    let full = stored(|storage| storage.row_versions = Some(64));
    check_on(add(typed("c", "int")), &fulltext(), "C C Rs Rs");
    check_on(drop("plain"), &fulltext(), "C C Rs Rs");
    check_on(
        modify(typed("plain", "int").with_nullable(false)),
        &fulltext(),
        "C C Rs Rs",
    );
    check_on(change(TableChange::Rebuild), &fulltext(), "C C Rs Rs");
    check_on(modify(typed("v50", "varchar(60)")), &fulltext(), "P P I I");
    check_on(index(IndexKind::Plain, "plain"), &fulltext(), "P P P P");
    check_on(
        index(IndexKind::Fulltext, "v50"),
        &fulltext(),
        "Ps Ps Ps Ps",
    );
    check_on(add(typed("c", "int")), &compressed, "R R R R");
    check_on(drop("plain"), &compressed, "R R R R");
    // MySQL 9.7 has room for 255 versions.
    check_on(add(typed("c", "int")), &full, "R I I I");
    let engine = |name: &str| stored(|storage| storage.engine = name.to_owned());
    check_on(add(typed("c", "int")), &engine("MyISAM"), "C C C C0");
    let plain = modify(default(typed("plain", "int"), "7"));
    check_on(plain, &engine("MyISAM"), "I I I I");
    let statement = Statement::from(add(typed("c", "int")));
    let facts = facts_of(std::slice::from_ref(&statement), engine("CSV"));
    assert_eq!(
        predicted(&servers()[0], &statement, &facts),
        "the table is of the storage engine CSV, which was never measured"
    );
    // Where it is not known how many versions there are, it is known where that decides nothing.
    let unknown = stored(|storage| storage.row_versions = None);
    let statement = Statement::from(add(typed("c", "int")));
    let facts = facts_of(std::slice::from_ref(&statement), unknown.clone());
    let why = predicted(&servers()[1], &statement, &facts);
    assert!(why.starts_with("how often columns were added"), "{why}");
    let judged = judge(
        &servers()[1],
        &[statement],
        &facts,
        &HintPolicy::default(),
        NOW,
    );
    assert!(
        judged.findings.iter().all(|found| !found.stops()),
        "{judged:?}"
    );
    check_on(modify(typed("plain", "bigint")), &unknown, "C C C C0");
}

#[test]
fn dropping_and_renaming_columns() {
    check(drop("plain"), "I I I I");
    check(drop("alone"), "R R P P");
    check(drop("first"), "R R R R");
    let rename = Operation::RenameColumn {
        table: users(),
        from: name("plain"),
        to: name("plainer"),
        if_exists: false,
    };
    check(rename, "I I I I");
    let mut with_virtual = table();
    let mut computed = with_virtual.columns[&name("plain")].clone();
    computed.generated = Some(Generated::Virtual);
    with_virtual.columns.insert(name("computed"), computed);
    check_on(drop("plain"), &with_virtual, "I I I I");
    check_on(drop("computed"), &with_virtual, "I I I I");
}

#[test]
fn changing_columns() {
    check(modify(typed("plain", "int")), "I I I I");
    check(modify(default(typed("plain", "int"), "7")), "I I I I");
    let placed = Column {
        placed: true,
        ..typed("plain", "int")
    };
    check(modify(placed), "R R I I");
    check(
        modify(typed("plain", "int").with_nullable(false)),
        "R R R R",
    );
    check(modify(typed("filled", "int")), "R R R R");
    check(modify(typed("id", "int")), "I I I I");
    check(modify(typed("plain", "bigint")), "C C C C0");
    check(modify(typed("v50", "varchar(60)")), "P P I I");
    check(modify(typed("v80", "varchar(90)")), "P P I I");
    check(modify(typed("v50", "varchar(64)")), "C C C C0");
    check(modify(typed("v30", "varchar(64)")), "C C I I");
    check(modify(typed("v50", "varchar(10)")), "C C C C0");
    check(modify(typed("v50", "text")), "C C C C0");
    check(modify(typed("kind", "enum('a','b','c')")), "I I I I");
    check(modify(typed("kind", "enum('b','a')")), "C C C C0");
    check(modify(typed("kind", "enum('a')")), "C C C C0");
}

#[test]
fn changing_character_sets() {
    let utf8mb4 = |column: &str, sql_type: &str| {
        modify(Column {
            charset: Some("utf8mb4".to_owned()),
            ..typed(column, sql_type)
        })
    };
    check(utf8mb4("mb3", "varchar(20)"), "P P I I");
    check(utf8mb4("mb3indexed", "varchar(20)"), "C C I I");
    check(utf8mb4("mb3long", "varchar(80)"), "C C C C0");
    check(utf8mb4("latin", "varchar(20)"), "C C C C0");
    // MODIFY without CHARACTER SET converts to the table's own.
    check(modify(typed("latin", "varchar(20)")), "C C C C0");
    let collated = |column: &str| {
        modify(Column {
            collation: Some("utf8mb4_bin".to_owned()),
            ..typed(column, "varchar(50)")
        })
    };
    check(collated("v50"), "P P I I");
    check(collated("indexed"), "C C P P");
    let convert = change(TableChange::ConvertCharset {
        charset: "utf8mb4".to_owned(),
        collation: None,
    });
    check(convert, "C C C C0");
    let hint = Operation::alter_column(users(), vec![typed("latin", "varchar(30)")]).unwrap();
    let statement = Statement::from(hint);
    let facts = facts_of(std::slice::from_ref(&statement), table());
    let got = predicted(&servers()[0], &statement, &facts);
    assert!(
        got.starts_with("latin has another character set or collation than its table"),
        "{got}"
    );
}
