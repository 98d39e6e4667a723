//! Every row of the measured facts as a case: what is said to the rules, and what the server was seen to do.

use dbop_model::finding::{HintPolicy, Lock};
use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Dropping, Index, IndexKind, IndexPart, Operation,
    Statement, TableChange, Validity,
};
use dbop_model::table::{ConstraintFacts, IndexFacts, TableFacts, TableKind, UniqueKey};
use dbop_model::{Fact, ServerInfo};

use crate::judge;
use crate::testing::{NOW, add, column, default, facts_of, large, name, server, typed, users};

fn alter(column: Column) -> Operation {
    Operation::alter_column(users(), vec![column]).unwrap()
}

fn with(column: Column, kind: ConstraintKind) -> Column {
    let mut constraint = Constraint::new(kind, vec![column.name.clone()]).unwrap();
    if kind == ConstraintKind::ForeignKey {
        constraint.references = Some("other".parse().unwrap());
    }
    Column {
        constraints: vec![constraint],
        ..column
    }
}

fn constraint(kind: ConstraintKind, validity: Validity) -> Operation {
    let mut constraint = Constraint::new(kind, vec![name("email")]).unwrap();
    constraint.validity = validity;
    if kind == ConstraintKind::ForeignKey {
        constraint.references = Some("other".parse().unwrap());
    }
    Operation::AddConstraint {
        table: users(),
        constraint,
    }
}

fn using_index(kind: ConstraintKind, index: &str) -> Operation {
    let mut constraint = Constraint::new(kind, vec![name("email")]).unwrap();
    constraint.using_index = Some(name(index));
    Operation::AddConstraint {
        table: users(),
        constraint,
    }
}

fn drop_constraint(kind: ConstraintKind) -> Operation {
    Operation::DropConstraint {
        table: users(),
        constraint: Constraint::new(kind, vec![name("email")]).unwrap(),
        dropping: Dropping::default(),
    }
}

fn index(online: bool) -> Operation {
    let index = Index::new(IndexKind::Plain, vec![name("email")]).with_online(online);
    Operation::CreateIndex {
        table: users(),
        index,
    }
}

fn change(change: TableChange) -> Operation {
    Operation::ChangeTable {
        table: users(),
        change,
    }
}

fn index_on(index: &str, parts: Vec<IndexPart>, predicate: Option<&str>) -> IndexFacts {
    IndexFacts {
        name: name(index),
        key: UniqueKey {
            parts,
            predicate: predicate.map(str::to_owned),
            nulls_equal: false,
        },
        kind: IndexKind::Unique,
        primary: false,
        valid: true,
        immediate: true,
        bytes: None,
    }
}

/// A large table: `id int NOT NULL` with a unique index, `email varchar(20)` with a partial index over it, `note text`
/// with a CHECK, `at timestamp`, `price numeric(10,2)`, `net cidr`, `code char(5)`.
fn table() -> TableFacts {
    let mut facts = large();
    let plain = facts.columns[&name("email")].clone();
    for (column, sql_type) in [
        ("id", "integer"),
        ("email", "character varying(20)"),
        ("title", "character varying(20)"),
        ("note", "text"),
        ("at", "timestamp without time zone"),
        ("price", "numeric(10,2)"),
        ("net", "cidr"),
        ("code", "character(5)"),
        ("proven", "text"),
    ] {
        let mut facts_of_it = plain.clone();
        facts_of_it.sql_type = sql_type.to_owned();
        facts_of_it.nullable = column != "id";
        facts_of_it.proven_not_null_by = (column == "proven").then(|| "p".to_owned());
        facts.columns.insert(name(column), facts_of_it);
    }
    let part = |column: &str| vec![IndexPart::Column(name(column))];
    facts.indexes = Fact::Known(vec![
        index_on("users_id", part("id"), None),
        index_on("users_email", part("email"), None),
        index_on("users_at", part("at"), Some("(at IS NOT NULL)")),
        index_on("users_title", part("title"), None),
    ]);
    facts.constraints = Fact::Known(vec![ConstraintFacts {
        name: name("note_check"),
        kind: ConstraintKind::Check,
        columns: vec![name("note")],
        condition: Some("(note <> ''::text)".to_owned()),
        validated: true,
        other: None,
        incoming: false,
        cascades: false,
        sets_null: false,
    }]);
    facts
}

/// `AEL rewrite scan`, `SHARE scan !writes`, or why it is not known.
fn said(server: &ServerInfo, statements: &[Statement], table: TableFacts) -> String {
    let facts = facts_of(statements, table);
    let judgement = judge(server, statements, &facts, &HintPolicy::default(), NOW);
    let effect = match &judgement.predicted.last().unwrap().effect {
        Fact::Known(effect) => effect,
        Fact::Unknown(why) => return why.to_string(),
    };
    let lock = match effect.lock {
        Lock::AccessExclusive => "AEL",
        Lock::ShareRowExclusive => "SRE",
        Lock::Share => "SHARE",
        Lock::ShareUpdateExclusive => "SUE",
        Lock::Metadata(_) => "no lock of PostgreSQL",
    };
    let mut text = lock.to_owned();
    for (is, word) in [
        (effect.rewrite, " rewrite"),
        (effect.scan, " scan"),
        (effect.blocks_reads, " !reads"),
        (effect.blocks_writes, " !writes"),
    ] {
        if is {
            text.push_str(word);
        }
    }
    text
}

#[track_caller]
fn check(operation: Operation, expect: &str) {
    check_on(&[14, 15, 16, 17, 18, 19], operation, expect);
}

#[track_caller]
fn check_on(majors: &[u32], operation: Operation, expect: &str) {
    let statements = [Statement::from(operation)];
    for major in majors {
        let got = said(&server(*major), &statements, table());
        assert_eq!(got, expect, "PostgreSQL {major}: {statements:?}");
    }
}

const INSTANT: &str = "AEL";
const REWRITES: &str = "AEL rewrite scan !reads !writes";
const SCANS: &str = "AEL scan !reads !writes";

#[test]
fn adding_columns() {
    check(add(typed("c", "text")), INSTANT);
    check(add(default(typed("c", "text"), "'x'")), INSTANT);
    check(add(default(typed("c", "timestamptz"), "now()")), INSTANT);
    check(
        add(default(typed("c", "int"), "0").with_nullable(false)),
        INSTANT,
    );
    check(add(typed("c", "text").with_nullable(false)), INSTANT);
    check(add(default(typed("c", "float8"), "random()")), REWRITES);
    check(add(typed("c", "bigserial")), REWRITES);
    check(
        add(typed("c", "int generated always as identity")),
        REWRITES,
    );
    check(
        add(typed("c", "int generated always as (id + 1) stored")),
        REWRITES,
    );
    check(add(typed("c", "checked_domain")), REWRITES);
    let virtual_column = || add(typed("c", "int generated always as (id + 1) virtual"));
    check_on(&[18, 19], virtual_column(), INSTANT);
    check_on(
        &[17],
        virtual_column(),
        "the statement fails: PostgreSQL 17.6 has no virtual generated columns",
    );
    check(add(with(typed("c", "int"), ConstraintKind::Unique)), SCANS);
    check(add(with(typed("c", "int"), ConstraintKind::Check)), SCANS);
    let references = with(typed("c", "int"), ConstraintKind::ForeignKey);
    check(add(references.clone()), INSTANT);
    check(add(default(references, "1")), SCANS);
}

#[test]
fn changing_columns() {
    check(
        Operation::drop_column(users(), vec![name("email")]).unwrap(),
        INSTANT,
    );
    check(
        Operation::RenameColumn {
            table: users(),
            from: name("email"),
            to: name("mail"),
            if_exists: false,
        },
        INSTANT,
    );
    check(alter(default(column("email"), "'x'")), INSTANT);
    check(alter(column("email").with_nullable(true)), INSTANT);
    check(alter(column("email").with_nullable(false)), SCANS);
    check(alter(column("id").with_nullable(false)), INSTANT);
    check(alter(column("proven").with_nullable(false)), INSTANT);
}

#[test]
fn changing_types() {
    check(alter(typed("title", "varchar(40)")), INSTANT);
    check(alter(typed("title", "text")), INSTANT);
    check(alter(typed("price", "numeric(12,2)")), INSTANT);
    check(alter(typed("price", "numeric")), INSTANT);
    check(alter(typed("net", "inet")), INSTANT);
    check(alter(typed("title", "varchar(10)")), REWRITES);
    check(alter(typed("id", "bigint")), REWRITES);
    check(alter(typed("price", "numeric(12,4)")), REWRITES);
    check(alter(typed("code", "text")), REWRITES);
    check(alter(typed("title", "checked_domain")), REWRITES);
    // Indexes that are sorted in another way, or that the server cannot reuse.
    check(alter(typed("id", "oid")), SCANS);
    check(
        alter(Column {
            collation: Some("C".to_owned()),
            ..typed("title", "varchar(20)")
        }),
        SCANS,
    );
    check(alter(typed("at", "timestamptz")), SCANS);
    // A CHECK is held against every row again.
    check(alter(typed("note", "varchar")), SCANS);
    let cast = |using: &str| Column {
        using: Some(using.to_owned()),
        ..typed("title", "text")
    };
    check(alter(cast("title::text")), INSTANT);
    check(alter(cast("lower(title)")), REWRITES);
}

#[test]
fn constraints() {
    use ConstraintKind::{Check, Exclude, ForeignKey, NotNull, PrimaryKey, Unique};
    use Validity::{AllRows, NewRows, NoRow};
    check(constraint(Check, AllRows), SCANS);
    check(constraint(Check, NewRows), INSTANT);
    check_on(&[18], constraint(Check, NoRow), INSTANT);
    check(constraint(ForeignKey, AllRows), "SRE scan !writes");
    check(constraint(ForeignKey, NewRows), "SRE");
    check(constraint(Unique, AllRows), SCANS);
    check(constraint(Exclude, AllRows), SCANS);
    check(constraint(PrimaryKey, AllRows), SCANS);
    check(constraint(NotNull, AllRows), SCANS);
    check_on(&[18], constraint(NotNull, NewRows), INSTANT);
    check(using_index(Unique, "users_email"), INSTANT);
    check(using_index(PrimaryKey, "users_email"), SCANS);
    check(using_index(PrimaryKey, "users_id"), INSTANT);
    check(drop_constraint(ForeignKey), INSTANT);
    check(drop_constraint(Check), INSTANT);
    let validate = |text: &str| change(TableChange::ValidateConstraint { name: name(text) });
    check(validate("later"), "SUE scan");
    check(validate("note_check"), "SUE");
}

#[test]
fn indexes() {
    check(index(false), "SHARE scan !writes");
    check(index(true), "SUE scan");
    let drop = |online| Operation::DropIndex {
        table: users(),
        by_name: false,
        name: None,
        columns: Vec::new(),
        dropping: Dropping::default(),
        online,
    };
    check(drop(false), INSTANT);
    check(drop(true), "SUE");
    check(
        change(TableChange::Reindex {
            online: false,
            by_name: false,
        }),
        "SHARE scan !reads !writes",
    );
    check(
        change(TableChange::Reindex {
            online: true,
            by_name: false,
        }),
        "SUE scan",
    );
}

#[test]
fn tables() {
    let partition = || "users_1".parse().unwrap();
    check(
        change(TableChange::AttachPartition {
            partition: partition(),
            bound: None,
        }),
        "SUE",
    );
    check(
        change(TableChange::DetachPartition {
            partition: partition(),
            online: false,
        }),
        INSTANT,
    );
    check(
        change(TableChange::DetachPartition {
            partition: partition(),
            online: true,
        }),
        "SUE",
    );
    check(change(TableChange::SetLogged { logged: false }), REWRITES);
    check(change(TableChange::Rebuild), REWRITES);
    check(change(TableChange::Move), REWRITES);
    // Its file is another one, and nobody waits for that.
    check(
        change(TableChange::Truncate { cascade: false }),
        "AEL rewrite",
    );
    check(change(TableChange::Parameters), "SUE");
    check(change(TableChange::Trigger), "SRE");
    check(change(TableChange::Catalogue), INSTANT);
    check(
        Operation::DropTable {
            table: users(),
            dropping: Dropping::default(),
        },
        INSTANT,
    );
}

#[test]
fn partitioned_tables() {
    let partitioned = TableFacts {
        kind: TableKind::Partitioned,
        ..table()
    };
    let on = |major, operation| {
        said(
            &server(major),
            &[Statement::from(operation)],
            partitioned.clone(),
        )
    };
    for major in [14, 18] {
        assert_eq!(
            on(major, index(true)),
            "the statement fails: users is partitioned, and CONCURRENTLY is refused on a \
             partitioned table"
        );
        assert!(
            on(major, using_index(ConstraintKind::Unique, "users_email"))
                .contains("USING INDEX is refused")
        );
    }
    let later = || constraint(ConstraintKind::ForeignKey, Validity::NewRows);
    assert!(on(14, later()).contains("refuses a foreign key that is NOT VALID"));
    assert_eq!(on(18, later()), "SRE");
    let mut only = Index::new(IndexKind::Plain, vec![name("email")]);
    only.only = true;
    let only = Operation::CreateIndex {
        table: users(),
        index: only,
    };
    assert_eq!(on(18, only), "SHARE");
}

fn in_transaction(operation: Operation) -> Statement {
    Statement {
        transaction: Some(0),
        ..Statement::from(operation)
    }
}

fn not_valid() -> Operation {
    let mut check = Constraint::new(ConstraintKind::Check, vec![name("email")]).unwrap();
    check.validity = Validity::NewRows;
    check.name = Some(name("k"));
    check.expression = Some("email IS NOT NULL".to_owned());
    Operation::AddConstraint {
        table: users(),
        constraint: check,
    }
}

fn validate() -> Operation {
    change(TableChange::ValidateConstraint { name: name("k") })
}

#[test]
fn a_transaction_holds_its_locks() {
    let server = server(18);
    let apart = [Statement::from(not_valid()), Statement::from(validate())];
    assert_eq!(said(&server, &apart, table()), "SUE scan");
    let together = [in_transaction(not_valid()), in_transaction(validate())];
    assert_eq!(said(&server, &together, table()), SCANS);
    // The slow statement is on another table: the first one is held meanwhile.
    let elsewhere = Operation::ChangeTable {
        table: "other".parse().unwrap(),
        change: TableChange::ValidateConstraint { name: name("k") },
    };
    let statements = [
        in_transaction(add(typed("c", "text"))),
        in_transaction(elsewhere),
    ];
    let facts = facts_of(&statements, table());
    let judgement = judge(&server, &statements, &facts, &HintPolicy::default(), NOW);
    let first = judgement.predicted[0].effect.known().unwrap();
    assert!(first.blocks_reads && first.blocks_writes);
    let second = judgement.predicted[1].effect.known().unwrap();
    assert!(
        !second.blocks_writes,
        "nobody else waits for the other table"
    );
}

#[test]
fn concurrently_is_refused_in_a_transaction() {
    let statements = [in_transaction(index(true))];
    assert_eq!(
        said(&server(18), &statements, table()),
        "the statement fails: CREATE INDEX CONCURRENTLY cannot run inside a transaction"
    );
}

/// The advice that a finding gives is itself clean: what the migration validates before proves the column.
#[test]
fn a_check_of_the_same_migration_is_proof() {
    let set = Statement::from(alter(column("email").with_nullable(false)));
    let statements = [
        Statement::from(not_valid()),
        Statement::from(validate()),
        set.clone(),
    ];
    assert_eq!(said(&server(18), &statements, table()), INSTANT);
    let unproven = [Statement::from(not_valid()), set];
    assert_eq!(said(&server(18), &unproven, table()), SCANS);
}

#[test]
fn the_actions_of_one_statement_share_its_lock() {
    let statement = Statement {
        operations: vec![
            add(typed("c", "text")),
            constraint(ConstraintKind::ForeignKey, Validity::AllRows),
        ],
        ..Statement::default()
    };
    assert_eq!(said(&server(18), &[statement], table()), SCANS);
}

#[test]
fn versions_never_measured_are_not_known() {
    assert_eq!(
        said(&server(13), &[Statement::from(index(false))], table()),
        "PostgreSQL 13.6 was never measured"
    );
}

#[test]
fn a_fact_that_decides_and_is_unknown_leaves_it_unknown() {
    let mut facts = table();
    facts.indexes = crate::testing::unknown("permission denied");
    let widen = [Statement::from(alter(typed("title", "varchar(40)")))];
    assert_eq!(said(&server(18), &widen, facts), "permission denied");
}
