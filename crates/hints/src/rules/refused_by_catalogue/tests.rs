//! Each check, on SQL and on hints, and after statements of the same migration that take its reason away.

use dbop_model::dependent::{Dependent, DependentKind, PartOf, Relation, RelationKind, Stops};
use dbop_model::finding::HintPolicy;
use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Dropping, Filling, Index, IndexKind, Operation,
    ServerDefault, Statement, TableChange, TableOptions,
};
use dbop_model::table::{
    Casts, ConstraintFacts, IndexFacts, TableFacts, TableFactsSet, TableKind, TableName,
    TableState, TypeFacts,
};
use dbop_model::{Fact, table::ColumnName};

use super::RULE;
use crate::judge;
use crate::testing::{NOW, column, facts_of, key, name, present, server, typed, users};

fn sql(operation: Operation) -> Statement {
    Statement {
        line: Some(1),
        ..Statement::from(operation)
    }
}

/// What hangs on the table in the tests: a view on email, a foreign key of orders on the primary key, and the table is
/// partitioned by id where `partitioned` says so.
fn table() -> TableFacts {
    let mut facts = present();
    facts.schema = Some("app".to_owned());
    let index = |text: &str, columns: &[&str], primary: bool| IndexFacts {
        name: name(text),
        key: key(columns),
        kind: if primary {
            IndexKind::Unique
        } else {
            IndexKind::Plain
        },
        primary,
        valid: true,
        immediate: true,
        bytes: None,
    };
    facts.indexes = Fact::Known(vec![
        index("users_pkey", &["id"], true),
        index("users_email", &["email"], false),
    ]);
    let constraint = |text: &str, kind, columns: &[&str]| ConstraintFacts {
        name: name(text),
        kind,
        columns: columns.iter().map(|column| name(column)).collect(),
        condition: None,
        validated: true,
        other: None,
        incoming: false,
        cascades: false,
        sets_null: false,
    };
    facts.constraints = Fact::Known(vec![
        constraint("users_pkey", ConstraintKind::PrimaryKey, &["id"]),
        constraint("email_is_long", ConstraintKind::Check, &["email"]),
        ConstraintFacts {
            other: Some("app.orders".parse().unwrap()),
            incoming: true,
            ..constraint("orders_user", ConstraintKind::ForeignKey, &["id"])
        },
    ]);
    facts.dependents = Fact::Known(vec![
        view(),
        Dependent {
            on: PartOf::Table,
            ..view()
        },
        Dependent {
            kind: DependentKind::ForeignKey,
            table: Some("app.orders".parse().unwrap()),
            name: Some(name("orders_user")),
            on: PartOf::Constraint(name("users_pkey")),
            ..view()
        },
        Dependent {
            kind: DependentKind::PartitionKey,
            table: None,
            name: None,
            on: PartOf::Column(name("phone")),
            cascade: false,
            ..view()
        },
    ]);
    let no_cast = TypeFacts {
        casts: Fact::Known(Casts {
            needs_using: vec![name("email")],
            ..Casts::default()
        }),
        ..TypeFacts::default()
    };
    facts.types = [("integer".to_owned(), Fact::Known(no_cast))].into();
    facts
}

fn view() -> Dependent {
    Dependent {
        kind: DependentKind::View,
        table: Some("app.sees".parse().unwrap()),
        name: None,
        on: PartOf::Column(name("email")),
        stops: Stops {
            drop: true,
            change_type: true,
            rename: false,
        },
        cascade: true,
    }
}

fn found(statements: &[Statement], table: &TableFacts) -> Vec<String> {
    let mut facts: TableFactsSet = facts_of(statements, table.clone());
    for (asked, relations) in &mut facts.relations {
        let kind = match asked.name() {
            "users" | "people" => RelationKind::Table,
            "sees" => RelationKind::View,
            "users_email" => RelationKind::Index,
            _ => continue,
        };
        *relations = Fact::Known(vec![Relation {
            name: TableName::new(Some("app"), asked.name()).unwrap(),
            kind,
            of: (kind == RelationKind::Index).then(users),
        }]);
    }
    for (asked, table) in &mut facts.indexes {
        if asked.name() == "missing" {
            *table = Fact::Known(None);
        }
    }
    for (asked, state) in &mut facts.tables {
        if asked.name() == "missing" || asked.name() == "fresh" {
            *state = Fact::Known(TableState::Missing);
        }
    }
    let judgement = judge(&server(18), statements, &facts, &HintPolicy::default(), NOW);
    let own = judgement.findings.into_iter().filter(|f| f.rule == RULE.id);
    own.map(|finding| finding.claim).collect()
}

/// Of SQL, in a file of these operations.
#[track_caller]
fn check(operations: &[Operation], expect: &[&str]) {
    let statements: Vec<Statement> = operations.iter().cloned().map(sql).collect();
    assert_eq!(found(&statements, &table()), expect, "{operations:?}");
}

/// The same said as hints.
#[track_caller]
fn check_hints(operations: &[Operation], expect: &[&str]) {
    let statements: Vec<Statement> = operations.iter().cloned().map(Statement::from).collect();
    assert_eq!(found(&statements, &table()), expect, "{operations:?}");
}

fn add(column: Column) -> Operation {
    Operation::add_column(users(), vec![column]).unwrap()
}

fn alter(column: Column) -> Operation {
    Operation::alter_column(users(), vec![column]).unwrap()
}

fn drop_column(text: &str, dropping: Dropping) -> Operation {
    Operation::DropColumn {
        table: users(),
        columns: vec![name(text)],
        dropping,
    }
}

fn plain() -> Dropping {
    Dropping::default()
}

fn if_exists() -> Dropping {
    Dropping {
        if_exists: true,
        cascade: false,
    }
}

fn cascade() -> Dropping {
    Dropping {
        if_exists: false,
        cascade: true,
    }
}

fn change(change: TableChange) -> Operation {
    Operation::ChangeTable {
        table: users(),
        change,
    }
}

fn named(kind: ConstraintKind, columns: &[&str], text: &str) -> Operation {
    let columns: Vec<ColumnName> = columns.iter().map(|column| name(column)).collect();
    let mut constraint = Constraint::new(kind, columns).unwrap();
    constraint.name = Some(name(text));
    Operation::AddConstraint {
        table: users(),
        constraint,
    }
}

#[test]
fn columns_that_are_there_or_are_not() {
    let email = typed("email", "text");
    check(&[add(email.clone())], &["users has a column email already"]);
    check_hints(&[add(email.clone())], &[]);
    let mut passed = email.clone();
    passed.if_not_exists = true;
    check(&[add(passed)], &[]);
    check(
        &[add(typed("a", "text")), add(typed("a", "text"))],
        &["users has a column a already"],
    );
    let rename = |from: &str, to: &str| Operation::RenameColumn {
        table: users(),
        from: name(from),
        to: name(to),
        if_exists: false,
    };
    check(&[rename("email", "id")], &["users has a column id already"]);
    check_hints(&[rename("email", "id")], &["users has a column id already"]);
    check(&[rename("email", "mail")], &[]);
    check(
        &[drop_column("gone", plain())],
        &["there is no column gone in users"],
    );
    check(&[drop_column("gone", if_exists())], &[]);
    check_hints(&[drop_column("gone", plain())], &[]);
    check(&[add(typed("a", "text")), drop_column("a", plain())], &[]);
}

#[test]
fn what_hangs_on_a_column() {
    let stopped = "column email of users cannot be dropped: view app.sees depends on it";
    check(&[drop_column("email", plain())], &[stopped]);
    check_hints(&[drop_column("email", plain())], &[stopped]);
    check(&[drop_column("email", cascade())], &[]);
    let drop_view = Operation::DropView {
        table: "app.sees".parse().unwrap(),
        dropping: plain(),
    };
    check(&[drop_view.clone(), drop_column("email", plain())], &[]);
    let wider = alter(typed("email", "varchar(10)"));
    check(
        std::slice::from_ref(&wider),
        &["column email of users cannot get another type: view app.sees depends on it"],
    );
    check(&[drop_view, wider], &[]);
    check(
        &[drop_column("phone", cascade())],
        &["column phone of users cannot be dropped: partition key depends on it"],
    );
}

#[test]
fn what_hangs_on_a_table_and_its_keys() {
    let drop = |dropping| Operation::DropTable {
        table: users(),
        dropping,
    };
    check(
        &[drop(plain())],
        &["users cannot be dropped: view app.sees depends on it"],
    );
    check(&[drop(cascade())], &[]);
    let drop_key = |dropping| Operation::DropConstraint {
        table: users(),
        constraint: Constraint::only_named(name("users_pkey")),
        dropping,
    };
    let stopped = "constraint users_pkey of users cannot be dropped: foreign key orders_user of \
                   app.orders depends on it";
    check(&[drop_key(plain())], &[stopped]);
    check(&[drop_key(cascade())], &[]);
    let drop_reference = Operation::DropConstraint {
        table: "app.orders".parse().unwrap(),
        constraint: Constraint::only_named(name("orders_user")),
        dropping: if_exists(),
    };
    check(&[drop_reference.clone(), drop_key(plain())], &[]);
    let truncate = |cascade| change(TableChange::Truncate { cascade });
    check(
        &[truncate(false)],
        &["users cannot be truncated: the foreign key orders_user of app.orders refers to it"],
    );
    check(&[truncate(true)], &[]);
    check(&[drop_reference, truncate(false)], &[]);
}

#[test]
fn names_that_are_taken() {
    let create = |text: &str, if_not_exists| Operation::CreateTable {
        table: text.parse().unwrap(),
        if_not_exists,
        columns: Vec::new(),
        complete: false,
        options: TableOptions::default(),
    };
    check(
        &[create("users", false)],
        &["the name users is taken: table app.users is there already"],
    );
    check(&[create("users", true)], &[]);
    check(&[create("fresh", false)], &[]);
    check_hints(&[create("users", false)], &[]);
    let rename = Operation::RenameTable {
        table: "users".parse().unwrap(),
        to: "people".parse().unwrap(),
    };
    check(
        &[rename],
        &["the name people is taken: table app.people is there already"],
    );
    let index = |text: &str, if_not_exists| {
        let mut index = Index::new(IndexKind::Plain, vec![name("id")]);
        index.name = Some(name(text));
        index.if_not_exists = if_not_exists;
        Operation::CreateIndex {
            table: users(),
            index,
        }
    };
    let taken = "the name users_email is taken: index app.users_email is there already";
    check(&[index("users_email", false)], &[taken]);
    check(&[index("users_email", true)], &[]);
    check(&[index("other", false)], &[]);
    let drop_index = |text: &str, dropping| Operation::DropIndex {
        table: text.parse().unwrap(),
        by_name: true,
        name: None,
        columns: Vec::new(),
        online: false,
        dropping,
    };
    check(
        &[
            drop_index("users_email", plain()),
            index("users_email", false),
        ],
        &[],
    );
    check(
        &[drop_index("missing", plain())],
        &["there is no index missing"],
    );
    check(&[drop_index("missing", if_exists())], &[]);
    check(
        &[index("missing", false), drop_index("missing", plain())],
        &[],
    );
    check(
        &[drop_index("users_pkey", plain())],
        &["index users_pkey cannot be dropped: the constraint users_pkey needs it"],
    );
    check(
        &[named(ConstraintKind::Check, &["id"], "email_is_long")],
        &["users has a constraint email_is_long already"],
    );
}

#[test]
fn tables_and_constraints_that_are_not_there() {
    let drop = |text: &str, dropping| Operation::DropTable {
        table: text.parse().unwrap(),
        dropping,
    };
    check(&[drop("missing", plain())], &["there is no table missing"]);
    check(&[drop("missing", if_exists())], &[]);
    check_hints(&[drop("missing", plain())], &[]);
    check(
        &[drop("sees", plain())],
        &["sees is no table: it is a view"],
    );
    let drop_constraint = |dropping| Operation::DropConstraint {
        table: users(),
        constraint: Constraint::only_named(name("gone")),
        dropping,
    };
    check(
        &[drop_constraint(plain())],
        &["users has no constraint gone"],
    );
    check(&[drop_constraint(if_exists())], &[]);
    check(
        &[
            named(ConstraintKind::Check, &["id"], "gone"),
            drop_constraint(plain()),
        ],
        &[],
    );
    // A constraint without a name may have any.
    let unnamed = Operation::AddConstraint {
        table: users(),
        constraint: Constraint::new(ConstraintKind::Check, vec![]).unwrap(),
    };
    check(&[unnamed, drop_constraint(plain())], &[]);
    check(
        &[change(TableChange::ValidateConstraint {
            name: name("gone"),
        })],
        &["users has no constraint gone"],
    );
}

#[test]
fn keys_that_do_not_fit() {
    check(
        &[named(ConstraintKind::PrimaryKey, &["email"], "k")],
        &["users has a primary key already: users_pkey"],
    );
    let drop_key = Operation::DropConstraint {
        table: users(),
        constraint: Constraint::only_named(name("users_pkey")),
        dropping: cascade(),
    };
    check(
        &[drop_key, named(ConstraintKind::PrimaryKey, &["email"], "k")],
        &[],
    );
    let using = |index: &str| {
        let mut constraint = Constraint::without_columns(ConstraintKind::Unique);
        constraint.name = Some(name("k"));
        constraint.using_index = Some(name(index));
        Operation::AddConstraint {
            table: users(),
            constraint,
        }
    };
    check(
        &[using("gone")],
        &["the index gone cannot become the constraint's: users has no index gone"],
    );
    check(
        &[using("users_email")],
        &["the index users_email cannot become the constraint's: it is not unique"],
    );
    check(
        &[alter(column("id").with_nullable(true))],
        &["column id cannot hold NULL: it is in the primary key users_pkey"],
    );
    let mut partitioned = table();
    partitioned.kind = TableKind::Partitioned;
    let unique = |columns: &[&str]| [sql(named(ConstraintKind::Unique, columns, "k"))];
    assert_eq!(
        found(&unique(&["email"]), &partitioned),
        [
            "addConstraint users(email) unique cannot be: it leaves out phone, by which the table is \
          partitioned"
        ]
    );
    assert_eq!(found(&unique(&["email", "phone"]), &partitioned), [""; 0]);
}

#[test]
fn types_and_fillings() {
    let mut plain_table = table();
    plain_table.dependents = Fact::Known(Vec::new());
    let number = typed("email", "integer");
    let of = |column: Column| found(&[sql(alter(column))], &plain_table);
    assert_eq!(
        of(number.clone()),
        ["column email: the server does not turn text into integer by itself"]
    );
    let mut using = number;
    using.using = Some("length(email)".to_owned());
    assert_eq!(of(using.clone()), [""; 0]);
    let email = plain_table.columns.get_mut(&name("email")).unwrap();
    email.has_default = true;
    assert_eq!(
        found(&[sql(alter(using.clone()))], &plain_table),
        ["column email: its default does not turn into integer by itself, whatever USING says"]
    );
    let without = column("email").with_default(ServerDefault::Absent);
    assert_eq!(
        found(&[sql(alter(without)), sql(alter(using))], &plain_table),
        [""; 0]
    );
    check(
        &[change(TableChange::Filling {
            column: name("email"),
            change: Filling::AddIdentity,
        })],
        &[
            "changeTable users email add identity: column email may hold NULL, and an identity column may not",
        ],
    );
    check(
        &[change(TableChange::Filling {
            column: name("email"),
            change: Filling::DropExpression { if_exists: true },
        })],
        &[],
    );
}
