//! Indexes, keys and constraints, whole tables, and statements of several actions, as the server was seen to do them.

use super::*;

#[test]
fn indexes_and_keys() {
    check(index(IndexKind::Plain, "plain"), "P P P P");
    check(index(IndexKind::Unique, "plain"), "P P P P");
    check(index(IndexKind::Fulltext, "v50"), "Rs Rs Rs Rs");
    check(index(IndexKind::Spatial, "plain"), "Ps Ps Ps Ps");
    check(drop_index(), "P P P P");
    check(
        constraint(ConstraintKind::Unique, Validity::AllRows),
        "P P P P",
    );
    check(
        constraint(ConstraintKind::PrimaryKey, Validity::AllRows),
        "R R R R",
    );
    check(drop_constraint(ConstraintKind::PrimaryKey), "C C C C0");
    let both = vec![
        drop_constraint(ConstraintKind::PrimaryKey),
        constraint(ConstraintKind::PrimaryKey, Validity::AllRows),
    ];
    check_statement(&several(both), &table(), "R R R R");
    let mut generated = table();
    if let Some(column) = generated.columns.get_mut(&name("plain")) {
        column.generated = Some(Generated::Virtual);
    }
    let key = Statement::from(constraint(ConstraintKind::PrimaryKey, Validity::AllRows));
    let facts = facts_of(std::slice::from_ref(&key), generated);
    for server in servers() {
        let said = predicted(&server, &key, &facts);
        assert!(said.contains("cannot be over a computed column"), "{said}");
    }
    let mut computed = Index::new(IndexKind::Plain, Vec::new());
    computed.parts = vec![IndexPart::Expression("plain + 1".to_owned())];
    let statement = Statement::from(Operation::CreateIndex {
        table: users(),
        index: computed,
    });
    let facts = facts_of(std::slice::from_ref(&statement), table());
    assert_eq!(predicted(&servers()[0], &statement, &facts), "Ps");
    let refused = predicted(&servers()[2], &statement, &facts);
    assert_eq!(
        refused,
        "the statement fails: MariaDB has no index over an expression"
    );
}

#[test]
fn constraints() {
    use ConstraintKind::{Check, ForeignKey};
    check(constraint(Check, Validity::AllRows), "C C C C0");
    check(drop_constraint(Check), "I I I I");
    check(constraint(ForeignKey, Validity::AllRows), "C C C C0");
    check(drop_constraint(ForeignKey), "P P I I");
    let statement = Statement::from(constraint(ForeignKey, Validity::AllRows));
    let mut facts = facts_of(std::slice::from_ref(&statement), table());
    facts.settings = Fact::Known(Settings {
        foreign_key_checks: false,
        ..Settings::default()
    });
    for server in servers() {
        assert_eq!(predicted(&server, &statement, &facts), "P", "{server}");
    }
    facts.settings = unknown("permission denied");
    assert_eq!(
        predicted(&servers()[0], &statement, &facts),
        "whether foreign_key_checks is on: permission denied"
    );
    let unenforced = Statement::from(constraint(Check, Validity::NoRow));
    assert_eq!(predicted(&servers()[0], &unenforced, &facts), "I");
}

#[test]
fn a_server_that_is_not_strict() {
    let statement = Statement::from(modify(typed("plain", "int").with_nullable(false)));
    let mut facts = facts_of(std::slice::from_ref(&statement), table());
    facts.settings = Fact::Known(Settings::default());
    let got = servers().map(|server| predicted(&server, &statement, &facts));
    assert_eq!(got, ["C", "C", "R", "R"]);
    facts.settings = unknown("nobody asked");
    let got = servers().map(|server| predicted(&server, &statement, &facts));
    assert_eq!(got, ["nobody asked", "nobody asked", "R", "R"]);
}

#[test]
fn foreign_keys_that_cascade_forbid_an_online_copy() {
    let cascading = |incoming| {
        let mut facts = table();
        facts.constraints = Fact::Known(vec![ConstraintFacts {
            name: name("f"),
            kind: ConstraintKind::ForeignKey,
            columns: vec![name("plain")],
            condition: None,
            validated: true,
            other: Some("other".parse().unwrap()),
            incoming,
            cascades: true,
            sets_null: false,
        }]);
        facts
    };
    check_on(
        modify(typed("filled", "bigint").with_nullable(false)),
        &cascading(false),
        "C C C C",
    );
    check_on(
        modify(typed("filled", "bigint").with_nullable(false)),
        &cascading(true),
        "C C C C0",
    );
}

#[test]
fn whole_tables() {
    check(change(TableChange::Rebuild), "R R R R");
    check(change(TableChange::Catalogue), "P P I I");
    check(change(TableChange::Truncate { cascade: false }), "F F F F");
    check(
        Operation::DropTable {
            table: users(),
            dropping: Dropping::default(),
        },
        "M M M M",
    );
    let to = "people".parse().unwrap();
    check(Operation::RenameTable { table: users(), to }, "I I I I");
    check(change(TableChange::Options), "P P I I");
    check(change(TableChange::Keys { enable: true }), "I I I I");
    let refused = "the statement fails: MySQL has no system versioning";
    let statement = Statement::from(change(TableChange::Versioning { add: true }));
    let facts = facts_of(std::slice::from_ref(&statement), table());
    let got = servers().map(|server| predicted(&server, &statement, &facts));
    assert_eq!(got, [refused, refused, "C", "C0"]);
    let statement = Statement::from(change(TableChange::Versioning { add: false }));
    let got = servers().map(|server| predicted(&server, &statement, &facts));
    assert_eq!(got, [refused, refused, "Rs", "Rs"]);
    let partitions = |verb| change(TableChange::Partitioning(Partitioning::new(verb)));
    check(partitions(PartitionVerb::Truncate), "I I P P");
    check(partitions(PartitionVerb::Coalesce), "Rs Rs Ns Ns");
}

#[test]
fn what_other_storage_engines_copy() {
    let myisam = stored(|storage| storage.engine = "MyISAM".to_owned());
    let virtual_column = || add(typed("c", "int generated always as (plain + 1) virtual"));
    check_on(virtual_column(), &myisam, "C C C C0");
    check_on(modify(typed("v50", "varchar(60)")), &myisam, "C C C C0");
    check_on(
        modify(typed("kind", "enum('a','b','c')")),
        &myisam,
        "I I I I",
    );
    check_on(change(TableChange::Options), &myisam, "C C C C0");
    check_on(
        change(TableChange::Keys { enable: true }),
        &myisam,
        "C C C C0",
    );
    check_on(
        change(TableChange::Keys { enable: false }),
        &myisam,
        "I I I I",
    );
    let partitioned = stored(|storage| storage.partitions = 4);
    check_on(virtual_column(), &partitioned, "I I C C0");
    let both = several(vec![virtual_column(), index(IndexKind::Plain, "plain")]);
    check_statement(&both, &partitioned, "C C C C0");
}

#[test]
fn what_is_computed_as_before_is_no_work() {
    let mut with_generated = table();
    for (column, generated) in [("kept", Generated::Stored), ("read", Generated::Virtual)] {
        let mut computed = with_generated.columns[&name("plain")].clone();
        computed.generated = Some(generated);
        computed.computed = Some("(`plain` * 2)".to_owned());
        with_generated.columns.insert(name(column), computed);
    }
    let again = |column: &str, text: &str, how: &str| {
        modify(typed(
            column,
            &format!("int generated always as ({text}) {how}"),
        ))
    };
    check_on(
        again("kept", "plain * 2", "stored"),
        &with_generated,
        "I I C C0",
    );
    check_on(
        again("read", "PLAIN*2", "virtual"),
        &with_generated,
        "I I I I",
    );
    check_on(
        again("kept", "plain * 3", "stored"),
        &with_generated,
        "C C C C0",
    );
    check_on(
        again("read", "plain * 3", "virtual"),
        &with_generated,
        "C C I I",
    );
}

#[test]
fn dates_that_mysql_makes_up() {
    check(add(typed("c", "date").with_nullable(false)), "R R I I");
    check(add(typed("c", "date")), "I I I I");
}

#[test]
fn an_alter_takes_the_slowest_way_of_its_actions() {
    let of = |operations| several(operations);
    let column = || add(typed("c", "int"));
    let virtual_column = || add(typed("c", "int generated always as (plain + 1) virtual"));
    let rename = || Operation::RenameColumn {
        table: users(),
        from: name("plain"),
        to: name("plainer"),
        if_exists: false,
    };
    let index_on = |column: &str| index(IndexKind::Plain, column);
    check_statement(&of(vec![column(), index_on("filled")]), &table(), "R R R R");
    check_statement(&of(vec![column(), drop("plain")]), &table(), "I I I I");
    // A rename of the table adds nothing, before or after.
    let people = || Operation::RenameTable {
        table: users(),
        to: "people".parse().unwrap(),
    };
    let index = || index_on("filled");
    check_statement(&of(vec![column(), index(), people()]), &table(), "R R R R");
    check_statement(&of(vec![rename(), index_on("filled")]), &table(), "P P P P");
    check_statement(
        &of(vec![modify(typed("v50", "varchar(60)")), index_on("plain")]),
        &table(),
        "P P P P",
    );
    check_statement(
        &of(vec![virtual_column(), index_on("plain")]),
        &table(),
        "P P P P",
    );
    check_statement(
        &of(vec![virtual_column(), index_on("c")]),
        &table(),
        "Ps Ps Ps Ps",
    );
    let other_column = add(typed("d", "int"));
    check_statement(
        &of(vec![virtual_column(), other_column]),
        &table(),
        "I I C C0",
    );
    let checked = constraint(ConstraintKind::Check, Validity::AllRows);
    check_statement(&of(vec![checked, index_on("plain")]), &table(), "C C C C0");
    let key = constraint(ConstraintKind::ForeignKey, Validity::AllRows);
    check_statement(&of(vec![key, column()]), &table(), "C C C C0");
}

fn pinned(
    operation: Operation,
    algorithm: Option<Algorithm>,
    locking: Option<Locking>,
) -> [String; 4] {
    let statement = Statement {
        algorithm,
        locking,
        ..Statement::from(operation)
    };
    let facts = facts_of(std::slice::from_ref(&statement), table());
    servers().map(|server| predicted(&server, &statement, &facts))
}

#[test]
fn what_is_asked_for_is_done_or_refused() {
    use Algorithm::{Copy, InPlace, Instant, NoCopy};
    let column = || add(typed("c", "int"));
    let index = || index(IndexKind::Plain, "plain");
    let bigint = || modify(typed("plain", "bigint"));
    assert_eq!(pinned(column(), Some(Instant), None), ["I", "I", "I", "I"]);
    // MySQL does as it is told, MariaDB no worse than it can.
    assert_eq!(pinned(column(), Some(InPlace), None), ["R", "R", "I", "I"]);
    assert_eq!(pinned(column(), Some(Copy), None), ["C", "C", "C", "C0"]);
    assert_eq!(
        pinned(column(), None, Some(Locking::None)),
        ["I", "I", "I", "I"]
    );
    assert_eq!(
        pinned(column(), None, Some(Locking::Exclusive)),
        ["I", "I", "I", "I"]
    );
    let [mysql, _, mariadb, _] = pinned(column(), Some(Instant), Some(Locking::None));
    assert_eq!(
        mysql,
        "the statement fails: MySQL takes no LOCK beside ALGORITHM=INSTANT"
    );
    assert_eq!(mariadb, "I");
    let [mysql, _, mariadb, _] = pinned(column(), Some(NoCopy), None);
    assert_eq!(mysql, "the statement fails: MySQL has no ALGORITHM=NOCOPY");
    assert_eq!(mariadb, "I");
    let [mysql, _, mariadb, _] = pinned(index(), Some(Instant), None);
    assert_eq!(
        mysql,
        "the statement fails: ALGORITHM=INSTANT is not possible here: it needs \
         ALGORITHM=INPLACE, LOCK=NONE"
    );
    assert_eq!(
        mariadb,
        "the statement fails: ALGORITHM=INSTANT is not possible here: it needs \
         ALGORITHM=NOCOPY, LOCK=NONE"
    );
    assert_eq!(
        pinned(index(), None, Some(Locking::Shared)),
        ["Ps", "Ps", "Ps", "Ps"]
    );
    let [mysql, _, old, new] = pinned(bigint(), None, Some(Locking::None));
    let fails = "the statement fails: LOCK=NONE is not possible here: it needs ALGORITHM=COPY, \
                 LOCK=SHARED";
    assert_eq!(
        (mysql.as_str(), old.as_str(), new.as_str()),
        (fails, fails, "C0")
    );
}

#[test]
fn versions_never_measured_are_not_known() {
    let statement = Statement::from(add(typed("c", "int")));
    let facts = facts_of(std::slice::from_ref(&statement), table());
    for (engine, major, minor) in [
        (Engine::MySql, 5, 7),
        (Engine::MariaDb, 10, 5),
        (Engine::MariaDb, 12, 0),
    ] {
        let server = other(engine, major, minor);
        let got = predicted(&server, &statement, &facts);
        assert_eq!(got, format!("{server} was never measured"));
    }
}
