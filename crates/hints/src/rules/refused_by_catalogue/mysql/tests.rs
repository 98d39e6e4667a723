//! Each check on MySQL and MariaDB: what is refused, and its neighbour that is taken.

use dbop_model::finding::HintPolicy;
use dbop_model::operation::{
    Constraint, ConstraintKind, Dropping, Index, IndexKind, Operation, Statement,
};
use dbop_model::table::{ColumnFacts, ConstraintFacts, IndexFacts, Storage, TableFacts};
use dbop_model::{Engine, Fact};

use super::super::RULE;
use crate::testing::{add, findings_on, key, name, other, present, typed, users};

/// `id` counts on and is the primary key; `parent` is a foreign key's, whose index is `by_parent`.
fn table() -> TableFacts {
    let mut facts = present();
    facts.columns.clear();
    for (column, sql_type) in [
        ("id", "int"),
        ("parent", "int"),
        ("big", "bigint"),
        ("words", "text"),
        ("long", "varchar(1000)"),
    ] {
        let is_text = matches!(column, "words" | "long");
        let column_facts = ColumnFacts {
            sql_type: sql_type.to_owned(),
            nullable: column != "id",
            has_default: false,
            proven_not_null_by: None,
            charset: is_text.then(|| "utf8mb4".to_owned()),
            collation: is_text.then(|| "utf8mb4_general_ci".to_owned()),
            generated: None,
            computed: None,
        };
        facts.columns.insert(name(column), column_facts);
    }
    let over = |index: &str, column: &str, primary: bool| IndexFacts {
        name: name(index),
        key: key(&[column]),
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
        over("PRIMARY", "id", true),
        over("by_parent", "parent", false),
    ]);
    facts.constraints = Fact::Known(vec![ConstraintFacts {
        name: name("family"),
        kind: ConstraintKind::ForeignKey,
        columns: vec![name("parent")],
        condition: None,
        validated: true,
        other: Some("people".parse().unwrap()),
        incoming: false,
        cascades: false,
        sets_null: false,
    }]);
    facts.storage = Fact::Known(Storage {
        engine: "InnoDB".to_owned(),
        charset: Some("utf8mb4".to_owned()),
        auto_increment: Some(name("id")),
        row_versions: Some(0),
        ..Storage::default()
    });
    facts.ignoring_case()
}

mod said;

/// The claims on MySQL 9.7 and on MariaDB 11.4.
#[track_caller]
fn check(operations: Vec<Operation>, mysql: &[&str], mariadb: &[&str]) {
    let statement = Statement {
        operations,
        line: Some(1),
        ..Statement::default()
    };
    for (server, expect) in [
        (other(Engine::MySql, 9, 7), mysql),
        (other(Engine::MariaDb, 11, 4), mariadb),
    ] {
        let statements = std::slice::from_ref(&statement);
        let found = findings_on(
            RULE.id,
            &server,
            statements,
            table(),
            &HintPolicy::default(),
        );
        let got: Vec<&str> = found.iter().map(|finding| finding.claim.as_str()).collect();
        assert_eq!(got, expect, "{server}: {statement:?}");
    }
}

#[track_caller]
fn both(operations: Vec<Operation>, expect: &[&str]) {
    check(operations, expect, expect);
}

fn index(called: &str, column: &str) -> Operation {
    let mut index = Index::new(IndexKind::Plain, vec![name(column)]);
    index.name = Some(name(called));
    Operation::CreateIndex {
        table: users(),
        index,
    }
}

fn drop_index(called: &str) -> Operation {
    Operation::DropIndex {
        table: users(),
        by_name: false,
        name: Some(name(called)),
        columns: Vec::new(),
        online: false,
        dropping: Dropping::default(),
    }
}

fn drop_key() -> Operation {
    Operation::DropConstraint {
        table: users(),
        constraint: Constraint::without_columns(ConstraintKind::PrimaryKey),
        dropping: Dropping::default(),
    }
}

fn foreign_key(column: &str, to: &str) -> Operation {
    let mut constraint = Constraint::new(ConstraintKind::ForeignKey, vec![name(column)]).unwrap();
    constraint.references = Some("people".parse().unwrap());
    constraint.referenced = vec![name(to)];
    Operation::AddConstraint {
        table: users(),
        constraint,
    }
}

#[test]
fn indexes_of_a_name_and_over_what_can_be_held() {
    both(
        vec![index("by_parent", "id")],
        &["users has an index by_parent already"],
    );
    both(
        vec![drop_index("by_parent"), index("by_parent", "parent")],
        &[],
    );
    both(vec![index("new", "big")], &[]);
    check(
        vec![index("new", "words")],
        &[
            "createIndex users(words) plain cannot be: words is text, of which an index holds only the first \
           characters",
        ],
        &[],
    );
    check(
        vec![index("new", "long")],
        &[
            "createIndex users(long) plain cannot be: long takes 4000 bytes of it, and 3072 are allowed",
        ],
        &[],
    );
}

#[test]
fn what_counts_on_keeps_a_key() {
    let kept = "id counts on (AUTO_INCREMENT), and no other index begins with it";
    both(vec![drop_key()], &[kept]);
    both(vec![drop_key(), index("by_id", "id")], &[]);
    both(
        vec![add(typed("no", "int auto_increment"))],
        &["users has a column that counts on already: id"],
    );
}

#[test]
fn foreign_keys_hold_what_they_need() {
    both(
        vec![drop_index("by_parent")],
        &["index by_parent cannot be dropped: the foreign key family needs it"],
    );
    both(vec![drop_index("by_parent"), index("again", "parent")], &[]);
    let mut wider = typed("parent", "bigint");
    wider.redefined = true;
    both(
        vec![Operation::alter_column(users(), vec![wider]).unwrap()],
        &["column parent cannot get another type: the foreign key family is over it"],
    );
    both(vec![foreign_key("parent", "id")], &[]);
    both(
        vec![foreign_key("big", "id")],
        &[
            "addConstraint users(big) foreignKey to people cannot be: big is bigint, and id of people is int",
        ],
    );
    both(
        vec![foreign_key("big", "big")],
        &["addConstraint users(big) foreignKey to people cannot be: no key of people is over big"],
    );
}
