//! Tests of the walk.

use jiff::Timestamp;

use dbop_model::operation::{Dropping, TableOptions};
use dbop_model::table::TableKind;

use super::*;

fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

fn add(to: &str, column: &str) -> Operation {
    let column = Column::new(column.parse().unwrap());
    Operation::add_column(table(to), vec![column]).unwrap()
}

fn create(name: &str) -> Operation {
    Operation::CreateTable {
        table: table(name),
        if_not_exists: false,
        columns: Vec::new(),
        complete: false,
        options: TableOptions::default(),
    }
}

fn drop(name: &str) -> Operation {
    Operation::DropTable {
        table: table(name),
        dropping: Dropping::default(),
    }
}

fn rename(from: &str, to: &str) -> Operation {
    Operation::RenameTable {
        table: table(from),
        to: table(to),
    }
}

/// Where the last operation's table stands, in a database that has these tables.
#[track_caller]
fn check(operations: &[Operation], database: &[&str], expect: &str) {
    let mut facts = TableFactsSet::new(Timestamp::UNIX_EPOCH);
    let statements: Vec<Statement> = operations.iter().cloned().map(Statement::from).collect();
    let steps = walk(&statements);
    let step = steps.last().unwrap();
    for name in step.tables() {
        let state = if database.contains(&name.to_string().as_str()) {
            TableState::Present(Box::new(TableFacts::new(TableKind::Ordinary)))
        } else {
            TableState::Missing
        };
        facts.tables.insert(name.clone(), Fact::Known(state));
    }
    let got = match step.standing(&facts) {
        Standing::New => "new",
        Standing::Missing => "missing",
        Standing::Present(_) => "present",
        Standing::Unknown(_) => "unknown",
    };
    assert_eq!(got, expect, "{operations:?}");
}

#[test]
fn tables_of_the_same_migration_are_known() {
    check(&[add("t", "c")], &["t"], "present");
    check(&[add("t", "c")], &[], "missing");
    check(&[create("t"), add("t", "c")], &[], "new");
    check(&[create("app.t"), add("t", "c")], &[], "new");
    check(&[create("app.t"), add("other.t", "c")], &[], "missing");
    // Half of it ran before: what is there now is looked at.
    check(&[create("t"), add("t", "c")], &["t"], "present");
    check(&[drop("t"), add("t", "c")], &["t"], "missing");
    check(&[drop("t"), create("t"), add("t", "c")], &["t"], "new");
}

#[test]
fn tables_are_followed_through_renames() {
    check(&[rename("a", "b"), add("b", "c")], &["a"], "present");
    check(&[rename("a", "b"), add("b", "c")], &["b"], "present");
    check(&[rename("a", "b"), add("b", "c")], &[], "missing");
    check(&[rename("a", "b"), add("a", "c")], &["a"], "missing");
    check(
        &[rename("app.a", "b"), add("app.b", "c")],
        &["app.a"],
        "present",
    );
    let swap = [
        rename("a", "tmp"),
        rename("b", "a"),
        rename("tmp", "b"),
        add("a", "c"),
    ];
    check(&swap, &["b"], "present");
    check(&[create("a"), rename("a", "b"), add("b", "c")], &[], "new");
}

#[test]
fn columns_are_followed_too() {
    let name = |text: &str| text.parse::<ColumnName>().unwrap();
    let rename = Operation::RenameColumn {
        table: table("t"),
        from: name("a"),
        to: name("b"),
        if_exists: false,
    };
    let drop = Operation::drop_column(table("t"), vec![name("b")]).unwrap();
    let operations = [rename, add("t", "x"), drop, add("t", "b")];
    let statements = operations.map(Statement::from);
    let steps = walk(&statements);
    assert_eq!(steps[0].column_names(&name("a")), [name("a")]);
    assert_eq!(steps[1].column_names(&name("b")), [name("a"), name("b")]);
    assert_eq!(steps[1].column_names(&name("a")), []);
    assert_eq!(steps[3].column_names(&name("b")), []);
    let facts = TableFacts::new(TableKind::Ordinary);
    assert!(matches!(
        steps[2].column(&name("x"), &facts),
        ColumnStanding::Added(_)
    ));
    assert!(matches!(
        steps[2].column(&name("y"), &facts),
        ColumnStanding::Missing
    ));
    assert!(matches!(
        steps[3].column(&name("b"), &facts),
        ColumnStanding::Missing
    ));
}
