//! What is said of keys over duplicates, and their neighbours.

use std::time::Duration;

use dbop_model::operation::{Constraint, Index};
use dbop_model::table::DuplicateProbe;

use super::*;
use crate::testing::{check, column, key, name, present, rows, unknown};

fn unique(columns: &[&str]) -> [Operation; 1] {
    let columns = columns.iter().map(|column| name(column)).collect();
    let constraint = Constraint::new(ConstraintKind::Unique, columns).unwrap();
    [Operation::AddConstraint {
        table: "users".parse().unwrap(),
        constraint,
    }]
}

fn probed(found: bool) -> TableFacts {
    let mut facts = present();
    let probe = DuplicateProbe {
        found,
        proven_by: None,
        took: Duration::from_millis(41),
    };
    facts.duplicates.insert(key(&["email"]), Fact::Known(probe));
    facts
}

fn indexed(columns: &[&str], change: impl FnOnce(&mut IndexFacts)) -> TableFacts {
    let mut index = IndexFacts {
        name: name("proof"),
        key: key(columns),
        kind: IndexKind::Unique,
        primary: false,
        valid: true,
        immediate: true,
        bytes: None,
    };
    change(&mut index);
    TableFacts {
        indexes: Fact::Known(vec![index]),
        ..probed(true)
    }
}

const FAILS: &str =
    "WillFail: unique key on users(email): at least one value occurs more than once";

#[test]
fn duplicates_make_it_fail() {
    check(RULE.id, &unique(&["email"]), &probed(true), FAILS);
    let clean = "Clean: unique key on users(email): no value occurs twice";
    check(RULE.id, &unique(&["email"]), &probed(false), clean);
    let index = [Operation::CreateIndex {
        table: "users".parse().unwrap(),
        index: Index::new(IndexKind::Unique, vec![name("email")]),
    }];
    check(RULE.id, &index, &probed(true), FAILS);
    let plain = [Operation::CreateIndex {
        table: "users".parse().unwrap(),
        index: Index::new(IndexKind::Plain, vec![name("email")]),
    }];
    check(RULE.id, &plain, &probed(true), "");
    let empty = TableFacts {
        any_row: Fact::Known(false),
        ..probed(true)
    };
    let none = "Clean: unique key on users(email): the table has no row";
    check(RULE.id, &unique(&["email"]), &empty, none);
    let mut unseen = present();
    unseen
        .duplicates
        .insert(key(&["email"]), unknown("the probe took longer than 5 s"));
    check(
        RULE.id,
        &unique(&["email"]),
        &unseen,
        "Unknown: unique key on users(email): whether a value occurs more than once is not \
         known: the probe took longer than 5 s",
    );
}

#[test]
fn a_unique_index_on_a_subset_is_proof() {
    let proven = |columns: &str| {
        format!(
            "Clean: unique key on users({columns}): the unique index proof proves that no value \
             occurs twice"
        )
    };
    check(
        RULE.id,
        &unique(&["email"]),
        &indexed(&["email"], |_| {}),
        &proven("email"),
    );
    check(
        RULE.id,
        &unique(&["email", "phone"]),
        &indexed(&["email"], |_| {}),
        &proven("email, phone"),
    );
    // None of these is.
    check(
        RULE.id,
        &unique(&["email"]),
        &indexed(&["email", "phone"], |_| {}),
        FAILS,
    );
    check(
        RULE.id,
        &unique(&["email"]),
        &indexed(&["email"], |i| i.valid = false),
        FAILS,
    );
    check(
        RULE.id,
        &unique(&["email"]),
        &indexed(&["email"], |i| i.immediate = false),
        FAILS,
    );
    check(
        RULE.id,
        &unique(&["email"]),
        &indexed(&["email"], |i| i.kind = IndexKind::Plain),
        FAILS,
    );
    check(
        RULE.id,
        &unique(&["email"]),
        &indexed(&["email"], |i| i.key.predicate = Some("active".to_owned())),
        FAILS,
    );
    check(
        RULE.id,
        &unique(&["email"]),
        &indexed(&["email"], |i| {
            i.key.parts = vec![IndexPart::Prefix(name("email"), 3)];
        }),
        FAILS,
    );
}

#[test]
fn a_new_column_with_one_value_for_every_row() {
    let constraint = Constraint::new(ConstraintKind::Unique, vec![name("code")]).unwrap();
    let code = Column {
        constraints: vec![constraint],
        ..column("code").with_type("int".parse().unwrap())
    };
    let add =
        |column: Column| [Operation::add_column("users".parse().unwrap(), vec![column]).unwrap()];
    let same = code
        .clone()
        .with_default(ServerDefault::new(None, Some("0")).unwrap());
    let fails = "WillFail: unique key on users(code): every row of today would get the same value";
    check(RULE.id, &add(same.clone()), &present(), fails);
    check(RULE.id, &add(code), &present(), "");
    let one = TableFacts {
        rows: rows(1),
        ..present()
    };
    check(RULE.id, &add(same), &one, "");
}

#[test]
fn a_column_that_is_computed_is_probed_by_its_expression() {
    let made = |how: &str| {
        let mut column = column("c");
        column.sql_type = format!("int generated always as (id % 3) {how}")
            .parse()
            .ok();
        column
    };
    let mut with_key = made("stored");
    with_key.constraints = vec![Constraint::new(ConstraintKind::Unique, vec![name("c")]).unwrap()];
    let key = UniqueKey {
        parts: vec![IndexPart::Expression("id % 3".to_owned())],
        predicate: None,
        nulls_equal: false,
    };
    let mut facts = probed(false);
    let found = DuplicateProbe {
        found: true,
        proven_by: None,
        took: Duration::from_millis(41),
    };
    facts.duplicates.insert(key, Fact::Known(found));
    let twice = "WillFail: unique key on users(c): at least one value occurs more than once";
    let users = || "users".parse().unwrap();
    let add = |column: Column| Operation::add_column(users(), vec![column]).unwrap();
    check(RULE.id, &[add(with_key)], &facts, twice);
    let [then] = unique(&["c"]);
    check(RULE.id, &[add(made("stored")), then], &facts, twice);
}
