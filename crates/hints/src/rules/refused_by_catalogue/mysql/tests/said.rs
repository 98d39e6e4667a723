//! The checks on SQL, as a migration writes it: what is refused, and its neighbour that is taken.

use dbop_model::dependent::{Dependent, DependentKind, PartOf, Partition, Partitioned, Stops};
use dbop_model::finding::{HintPolicy, Verdict};
use dbop_model::operation::Statement;
use dbop_model::table::{NamedKind, TableFacts, TableFactsSet, TableKind, TableName, TableState};
use dbop_model::{Engine, Fact, ServerInfo};

use crate::judge;
use crate::testing::{NOW, facts_of, name, other};

use super::table;

fn mysql() -> ServerInfo {
    other(Engine::MySql, 9, 7)
}

fn mariadb() -> ServerInfo {
    other(Engine::MariaDb, 11, 4)
}

/// The table, split by ranges of `id`; without a foreign key.
fn ranges() -> TableFacts {
    let mut facts = alone();
    facts.kind = TableKind::Partitioned;
    let part = |name: &str, bound: &str| Partition {
        table: name.parse().unwrap(),
        bound: bound.to_owned(),
        rows: None,
    };
    facts.partitioned = Fact::Known(Some(Partitioned {
        by: "RANGE (`id`)".to_owned(),
        partitions: vec![part("p1", "10"), part("p2", "9000")],
    }));
    facts.dependents = Fact::Known(vec![Dependent {
        kind: DependentKind::PartitionKey,
        table: None,
        name: None,
        on: PartOf::Column(name("id").folded()),
        stops: Stops::default(),
        cascade: false,
    }]);
    facts
}

fn hashed() -> TableFacts {
    let mut facts = ranges();
    facts.partitioned = Fact::Known(Some(Partitioned {
        by: "HASH (`id`)".to_owned(),
        ..facts.partitioned.known().unwrap().clone().unwrap()
    }));
    facts
}

/// The table without a foreign key.
fn alone() -> TableFacts {
    let mut facts = table();
    facts.constraints = Fact::Known(Vec::new());
    facts
}

fn view() -> TableFacts {
    TableFacts {
        kind: TableKind::View,
        ..alone()
    }
}

/// Everything that is said to fail, of whatever rule.
fn failing(
    server: &ServerInfo,
    sql: &str,
    of: &TableFacts,
    change: impl Fn(&[Statement], &mut TableFactsSet),
) -> String {
    let statements = dbop_sql::read(server.engine, sql);
    assert!(
        statements.iter().all(|one| one.unread.is_none()),
        "{statements:?}"
    );
    let mut facts = facts_of(&statements, of.clone());
    for name in ["missing", "fresh", "other"] {
        let missing: TableName = name.parse().unwrap();
        if facts.tables.contains_key(&missing) {
            facts
                .tables
                .insert(missing, Fact::Known(TableState::Missing));
        }
    }
    change(&statements, &mut facts);
    let judgement = judge(server, &statements, &facts, &HintPolicy::default(), NOW);
    let failing = judgement
        .findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::WillFail);
    let claims: Vec<&str> = failing.map(|finding| finding.claim.as_str()).collect();
    claims.join("; ")
}

#[track_caller]
fn on(server: &ServerInfo, of: &TableFacts, sql: &str, expect: &str) {
    let got = failing(server, sql, of, |_, _| {});
    if expect.is_empty() {
        assert_eq!(got, "", "{server}: {sql}");
    } else {
        assert!(got.contains(expect), "{server}: {sql}: {got}");
    }
}

#[track_caller]
fn both(of: &TableFacts, sql: &str, expect: &str) {
    on(&mysql(), of, sql, expect);
    on(&mariadb(), of, sql, expect);
}

#[test]
fn names_of_columns_are_the_same_in_other_letters() {
    let of = alone();
    both(
        &of,
        "ALTER TABLE users ADD COLUMN BIG INT",
        "a column BIG already",
    );
    both(&of, "ALTER TABLE users MODIFY Big BIGINT NOT NULL", "");
    both(&of, "ALTER TABLE users DROP COLUMN BIG", "");
    both(&of, "ALTER TABLE users RENAME COLUMN big TO BIG", "");
    both(&of, "CREATE INDEX new ON users (Big)", "");
    both(
        &of,
        "CREATE INDEX BY_PARENT ON users (id)",
        "an index BY_PARENT already",
    );
}

#[test]
fn operations_of_a_statement_happen_at_once() {
    let of = alone();
    both(
        &of,
        "ALTER TABLE users RENAME COLUMN parent TO big, RENAME COLUMN big TO parent",
        "",
    );
    both(
        &of,
        "ALTER TABLE users CHANGE parent big INT, CHANGE big parent BIGINT",
        "",
    );
    both(
        &of,
        "ALTER TABLE users RENAME COLUMN parent TO x, RENAME COLUMN x TO y",
        "there is no column x",
    );
    both(
        &of,
        "ALTER TABLE users RENAME COLUMN parent TO x, RENAME COLUMN big TO x",
        "a column x already",
    );
    both(
        &of,
        "ALTER TABLE users ADD COLUMN big INT, DROP COLUMN big",
        "",
    );
    both(
        &of,
        "ALTER TABLE users ADD COLUMN x INT, DROP COLUMN x",
        "there is no column x",
    );
    both(
        &of,
        "ALTER TABLE users ADD INDEX new (x), ADD COLUMN x INT",
        "",
    );
    both(
        &table(),
        "ALTER TABLE users DROP FOREIGN KEY family, DROP INDEX by_parent",
        "",
    );
}

#[test]
fn places_among_columns() {
    let of = alone();
    both(
        &of,
        "ALTER TABLE users ADD COLUMN x INT AFTER gone",
        "behind gone",
    );
    both(
        &of,
        "ALTER TABLE users MODIFY big INT AFTER gone",
        "behind gone",
    );
    both(
        &of,
        "ALTER TABLE users MODIFY big INT AFTER big",
        "behind big",
    );
    both(&of, "ALTER TABLE users ADD COLUMN x INT AFTER PARENT", "");
    both(&of, "ALTER TABLE users ADD x INT, ADD y INT AFTER x", "");
    both(
        &of,
        "ALTER TABLE users ADD x INT AFTER y, RENAME COLUMN big TO y",
        "",
    );
    both(
        &of,
        "ALTER TABLE users ADD x INT AFTER big, DROP big",
        "behind big",
    );
    let all = "DROP id, DROP parent, DROP big, DROP words, DROP `long`";
    both(&of, &format!("ALTER TABLE users {all}"), "no column left");
    both(&of, &format!("ALTER TABLE users {all}, ADD x INT"), "");
}

#[test]
fn names_of_indexes_and_constraints() {
    let of = table();
    for (what, expect) in [
        ("RENAME INDEX gone TO x", "no index gone"),
        ("RENAME INDEX by_parent TO BY_PARENT", ""),
        ("RENAME INDEX by_parent TO `PRIMARY`", "PRIMARY"),
        ("DROP FOREIGN KEY by_parent", "no constraint by_parent"),
        ("DROP FOREIGN KEY FAMILY", ""),
        ("DROP INDEX by_parent, DROP FOREIGN KEY family", ""),
        ("RENAME INDEX by_parent TO x, ADD INDEX by_parent (big)", ""),
    ] {
        both(&of, &format!("ALTER TABLE users {what}"), expect);
    }
    let mysql_alone = [
        ("ALTER INDEX gone INVISIBLE", "no index gone"),
        ("ALTER INDEX `primary` INVISIBLE", "cannot be hidden"),
        ("ALTER INDEX by_parent INVISIBLE", ""),
        ("ALTER CHECK gone NOT ENFORCED", "no constraint gone"),
    ];
    for (what, expect) in mysql_alone {
        on(&mysql(), &of, &format!("ALTER TABLE users {what}"), expect);
    }
    let mut keyless = alone();
    keyless.indexes = Fact::Known(Vec::new());
    both(
        &keyless,
        "ALTER TABLE users DROP PRIMARY KEY",
        "no primary key",
    );
    both(&keyless, "DROP INDEX `PRIMARY` ON users", "no primary key");
    both(&keyless, "ALTER TABLE users ADD PRIMARY KEY (big)", "");
}

#[test]
fn what_says_that_it_may_be_done() {
    let of = table();
    for what in [
        "MODIFY COLUMN IF EXISTS gone INT",
        "CHANGE COLUMN IF EXISTS gone x INT",
        "RENAME COLUMN IF EXISTS gone TO x",
        "ALTER COLUMN IF EXISTS gone SET DEFAULT 5",
        "DROP COLUMN IF EXISTS gone",
        "DROP INDEX IF EXISTS gone",
        "DROP FOREIGN KEY IF EXISTS gone",
        "RENAME INDEX IF EXISTS gone TO x",
        "ADD COLUMN IF NOT EXISTS big INT AFTER gone",
        "ADD INDEX IF NOT EXISTS by_parent (gone)",
        "ADD CONSTRAINT IF NOT EXISTS family FOREIGN KEY (big) REFERENCES people (id)",
        "ADD FOREIGN KEY IF NOT EXISTS family (big) REFERENCES people (id)",
    ] {
        on(&mariadb(), &of, &format!("ALTER TABLE users {what}"), "");
    }
    on(
        &mariadb(),
        &alone(),
        "CREATE OR REPLACE INDEX by_parent ON users (id)",
        "",
    );
    both(&of, "DROP TABLE IF EXISTS missing", "");
    on(
        &mariadb(),
        &of,
        "ALTER TABLE IF EXISTS missing ADD COLUMN x INT",
        "",
    );
    on(
        &mariadb(),
        &of,
        "RENAME TABLE IF EXISTS missing TO other",
        "",
    );
    both(
        &of,
        "ALTER TABLE missing ADD COLUMN x INT",
        "no table missing",
    );
    both(&of, "ALTER TABLE missing DROP COLUMN x", "no table missing");
    both(&of, "ALTER TABLE missing COMMENT = 'x'", "no table missing");
    both(&of, "CREATE TABLE fresh LIKE missing", "no table missing");
    both(&of, "CREATE TABLE fresh LIKE users", "");
}

#[test]
fn names_of_a_whole_database() {
    let taken = |sql: &str, kind: NamedKind, expect: &str| {
        let got = failing(&mysql(), sql, &alone(), |_, facts| {
            for ((of, _), found) in &mut facts.named {
                if *of == kind {
                    *found = Fact::Known(Some("elsewhere".parse().unwrap()));
                }
            }
        });
        if expect.is_empty() {
            assert_eq!(got, "", "{sql}");
        } else {
            assert!(got.contains(expect), "{sql}: {got}");
        }
    };
    let check = "ALTER TABLE users ADD CONSTRAINT k CHECK (big > 0)";
    taken(check, NamedKind::Check, "there is a CHECK of elsewhere");
    taken(check, NamedKind::ForeignKey, "");
    let key = "ALTER TABLE users ADD CONSTRAINT k FOREIGN KEY (parent) REFERENCES people (id)";
    taken(
        key,
        NamedKind::ForeignKey,
        "there is a foreign key of elsewhere",
    );
    let trigger = "CREATE TRIGGER k BEFORE INSERT ON users FOR EACH ROW SET NEW.big = 1";
    taken(
        trigger,
        NamedKind::Trigger,
        "there is a trigger of elsewhere",
    );
    taken(
        &format!("DROP TRIGGER k; {trigger}"),
        NamedKind::Trigger,
        "",
    );
    both(&alone(), "DROP TRIGGER gone", "no trigger gone");
    both(&alone(), "DROP TRIGGER IF EXISTS gone", "");
    both(&alone(), &format!("{trigger}; DROP TRIGGER k"), "");
}

#[test]
fn views_and_tables() {
    let of = view();
    both(
        &of,
        "ALTER TABLE users ADD COLUMN x INT",
        "users is no table: it is a view",
    );
    both(&of, "CREATE INDEX i ON users (id)", "it is a view");
    both(&of, "DROP TABLE users", "it is a view");
    both(&of, "DROP TABLE IF EXISTS users", "");
    both(&of, "DROP VIEW users", "");
    both(
        &of,
        "CREATE VIEW users AS SELECT 1",
        "view users is there already",
    );
    both(&of, "CREATE OR REPLACE VIEW users AS SELECT 1", "");
    both(&of, "ALTER VIEW users AS SELECT 1", "");
    let of = alone();
    both(&of, "DROP VIEW users", "users is no view");
    both(&of, "DROP VIEW missing", "no view missing");
    both(
        &of,
        "CREATE VIEW users AS SELECT 1",
        "table users is there already",
    );
    both(
        &of,
        "CREATE OR REPLACE VIEW users AS SELECT 1",
        "users is no view",
    );
    both(
        &of,
        "CREATE ALGORITHM = MERGE DEFINER = a@b VIEW fresh AS SELECT 1",
        "",
    );
}

#[test]
fn foreign_keys_in_all_their_places() {
    let of = alone();
    let add = |what: &str| format!("ALTER TABLE users ADD CONSTRAINT k FOREIGN KEY {what}");
    both(
        &of,
        &add("(id) REFERENCES people (id) ON DELETE SET NULL"),
        "cannot hold NULL",
    );
    both(
        &of,
        &add("(parent) REFERENCES people (id) ON DELETE SET NULL"),
        "",
    );
    both(
        &of,
        &add("(parent, big) REFERENCES people (id)"),
        "refers to 1",
    );
    both(
        &of,
        &add("(words) REFERENCES people (words)"),
        "no foreign key is over",
    );
    let created = |what: &str| format!("CREATE TABLE fresh (id INT PRIMARY KEY, m {what})");
    both(
        &of,
        &created("INT, FOREIGN KEY (m) REFERENCES people (id)"),
        "",
    );
    both(
        &of,
        &created("INT, FOREIGN KEY (m) REFERENCES missing (id)"),
        "no table missing",
    );
    both(
        &of,
        &created("BIGINT, FOREIGN KEY (m) REFERENCES people (id)"),
        "m is BIGINT",
    );
    both(
        &of,
        &created("BIGINT, FOREIGN KEY (m) REFERENCES people (big)"),
        "no key of people",
    );
    both(
        &of,
        &created("INT, FOREIGN KEY (m) REFERENCES fresh (id)"),
        "",
    );
    both(
        &of,
        "CREATE TABLE fresh (id BIGINT PRIMARY KEY); \
         CREATE TABLE other (m INT, FOREIGN KEY (m) REFERENCES fresh (id))",
        "m is INT, and id of fresh is BIGINT",
    );
    both(
        &of,
        "CREATE TABLE fresh (m INT, FOREIGN KEY (m) REFERENCES missing (id)) ENGINE=MyISAM",
        "",
    );
    let of = table();
    both(
        &of,
        "ALTER TABLE users PARTITION BY HASH (id) PARTITIONS 4",
        "has a foreign key",
    );
    both(
        &of,
        "ALTER TABLE users ENGINE=MyISAM",
        "storage engine MyISAM",
    );
    let mut sets_null = table();
    if let Fact::Known(constraints) = &mut sets_null.constraints {
        constraints[0].sets_null = true;
    }
    both(
        &sets_null,
        "ALTER TABLE users MODIFY parent INT NOT NULL",
        "writes NULL into it",
    );
    both(&of, "ALTER TABLE users MODIFY parent INT NOT NULL", "");
}

#[test]
fn partitions_that_are_there_and_new_ones() {
    let of = ranges();
    for (what, expect) in [
        (
            "ADD PARTITION (PARTITION p9 VALUES LESS THAN (20))",
            "is not above that of p2",
        ),
        ("ADD PARTITION (PARTITION p9 VALUES LESS THAN (9001))", ""),
        ("ADD PARTITION (PARTITION p9 VALUES LESS THAN MAXVALUE)", ""),
        (
            "ADD PARTITION (PARTITION P1 VALUES LESS THAN (9001))",
            "a partition P1 already",
        ),
        (
            "ADD PARTITION (PARTITION p9 VALUES IN (9001))",
            "none of a RANGE",
        ),
        ("ADD PARTITION PARTITIONS 2", "needs VALUES"),
        ("DROP PARTITION p7", "no partition p7"),
        ("DROP PARTITION P2", ""),
        ("DROP PARTITION p1, p2", "no partition would be left"),
        ("TRUNCATE PARTITION p7", "no partition p7"),
        ("TRUNCATE PARTITION ALL", ""),
        ("COALESCE PARTITION 1", "not coalesced"),
        ("REMOVE PARTITIONING", ""),
        (
            "REORGANIZE PARTITION p2 INTO (PARTITION a VALUES LESS THAN (20), PARTITION p2 VALUES LESS THAN (9000))",
            "",
        ),
        (
            "REORGANIZE PARTITION p2 INTO (PARTITION p2 VALUES LESS THAN (8000))",
            "the last bound",
        ),
        (
            "REORGANIZE PARTITION p1 INTO (PARTITION p1 VALUES LESS THAN (11))",
            "the last bound",
        ),
        (
            "EXCHANGE PARTITION p1 WITH TABLE missing",
            "no table missing",
        ),
        ("ADD UNIQUE INDEX u (big)", "leaves out id"),
    ] {
        both(&of, &format!("ALTER TABLE users {what}"), expect);
    }
    on(
        &mysql(),
        &of,
        "ALTER TABLE users ADD FULLTEXT INDEX f (words)",
        "no FULLTEXT",
    );
    on(
        &mariadb(),
        &of,
        "ALTER TABLE users ADD FULLTEXT INDEX f (words)",
        "",
    );
    on(
        &mariadb(),
        &of,
        "ALTER TABLE users DROP PARTITION IF EXISTS p7",
        "",
    );
    let of = hashed();
    both(
        &of,
        "ALTER TABLE users DROP PARTITION p1",
        "cannot be dropped",
    );
    both(
        &of,
        "ALTER TABLE users COALESCE PARTITION 2",
        "no partition would be left",
    );
    both(&of, "ALTER TABLE users COALESCE PARTITION 1", "");
    both(&of, "ALTER TABLE users ADD PARTITION PARTITIONS 2", "");
    let of = alone();
    for what in [
        "REMOVE PARTITIONING",
        "DROP PARTITION p1",
        "ADD PARTITION (PARTITION p9 VALUES LESS THAN (20))",
        "COALESCE PARTITION 1",
    ] {
        both(
            &of,
            &format!("ALTER TABLE users {what}"),
            "is not partitioned",
        );
    }
    let dropped = "ALTER TABLE users DROP PARTITION p1; ALTER TABLE users";
    both(
        &ranges(),
        &format!("{dropped} DROP PARTITION p1"),
        "no partition p1",
    );
    both(
        &ranges(),
        &format!("{dropped} DROP PARTITION p2"),
        "no partition would be left",
    );
    let added =
        "ALTER TABLE users ADD PARTITION (PARTITION p3 VALUES LESS THAN (9999)); ALTER TABLE users";
    both(&ranges(), &format!("{added} DROP PARTITION p3"), "");
    both(
        &ranges(),
        &format!("{added} DROP PARTITION p4"),
        "no partition p4",
    );
    both(
        &of,
        "ALTER TABLE users PARTITION BY HASH (id); ALTER TABLE users REMOVE PARTITIONING",
        "",
    );
}

#[test]
fn what_a_table_can_be_split_by() {
    let of = alone();
    for (by, expect) in [
        ("HASH (id) PARTITIONS 4", ""),
        ("KEY () PARTITIONS 4", ""),
        ("HASH (big) PARTITIONS 4", "leaves out big"),
        ("HASH (gone) PARTITIONS 4", "no column gone"),
        ("HASH (words) PARTITIONS 4", "words is text"),
        ("RANGE (id)", "have to be defined"),
        (
            "RANGE (id) (PARTITION a VALUES LESS THAN (5), PARTITION b VALUES LESS THAN (5))",
            "not above",
        ),
        (
            "LIST (id) (PARTITION a VALUES IN (5), PARTITION b VALUES IN (4, 5))",
            "share a value",
        ),
        (
            "RANGE (id) (PARTITION a VALUES LESS THAN (5), PARTITION A VALUES LESS THAN (6))",
            "called A",
        ),
    ] {
        both(&of, &format!("ALTER TABLE users PARTITION BY {by}"), expect);
    }
    both(
        &of,
        "ALTER TABLE users DROP PRIMARY KEY, ADD PRIMARY KEY (id, big) PARTITION BY HASH (big)",
        "",
    );
}
