//! What hangs on tables, what bears names, and what probes of rows find, on real PostgreSQL.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails, which is its use"
)]

#[path = "support/look.rs"]
mod support;

use dbop_model::Fact;
use dbop_model::dependent::{Dependent, PartOf, RelationKind, RowProbe};
use dbop_model::table::{ColumnName, FactRequest};
use support::{each, look, name, present, why};

fn column(text: &str) -> ColumnName {
    text.parse().unwrap()
}

fn line(dependent: &Dependent) -> String {
    let on = match &dependent.on {
        PartOf::Table => "the table".to_owned(),
        PartOf::Column(name) => format!("column {name}"),
        PartOf::Constraint(name) => format!("constraint {name}"),
        PartOf::Index(name) => format!("index {name}"),
    };
    let mut line = format!("{on}: {dependent}");
    for (is, word) in [
        (dependent.stops.drop, "drop"),
        (dependent.stops.change_type, "type"),
        (dependent.stops.rename, "rename"),
        (!dependent.cascade, "for good"),
    ] {
        if is {
            line.push_str(&format!(", {word}"));
        }
    }
    line
}

#[tokio::test]
async fn what_hangs_on_a_table_is_found() {
    let setup = "
        CREATE TABLE t (id int PRIMARY KEY, a int, b int, v text, twice int GENERATED ALWAYS AS (a * 2) STORED);
        CREATE VIEW sees AS SELECT v FROM t;
        CREATE TABLE o (t_id int CONSTRAINT o_t REFERENCES t);
        CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER tr BEFORE UPDATE OF b ON t FOR EACH ROW EXECUTE FUNCTION nothing();
        CREATE TABLE parted (k int, n int GENERATED ALWAYS AS IDENTITY) PARTITION BY LIST (k);
        CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1, 2);
        CREATE TABLE rest PARTITION OF parted DEFAULT;";
    for (major, _database, client) in each(setup).await {
        let wanted = ["t", "parted"].map(|table| FactRequest::Dependents(name(table)));
        let facts = look(&client, wanted).await;
        let of = |table: &str| -> Vec<String> {
            let facts = present(&facts, table);
            facts.dependents.known().unwrap().iter().map(line).collect()
        };
        let found = of("t");
        for expect in [
            "column v: view public.sees, drop, type",
            "the table: view public.sees, drop",
            "the table: foreign key o_t of public.o, drop",
            "column id: foreign key o_t of public.o, drop",
            "constraint t_pkey: foreign key o_t of public.o, drop",
            "column b: trigger tr, drop, type",
            "the table: trigger tr, for good",
        ] {
            assert!(
                found.iter().any(|line| line == expect),
                "{expect} on {major}: {found:#?}"
            );
        }
        let generated = |line: &&String| line.starts_with("column a: generated column twice");
        let generated = found.iter().find(generated).unwrap();
        assert!(generated.contains(", type"), "{major}: {generated}");
        assert!(
            !found.iter().any(|line| line.starts_with("column twice")),
            "{found:#?}"
        );
        assert_eq!(
            of("parted"),
            [
                "column k: partition key, drop, type, for good",
                "column n: identity, for good",
            ],
            "{major}"
        );
        let how = present(&facts, "parted").partitioned;
        let how = how.known().unwrap().clone().unwrap();
        assert_eq!(how.by, "LIST (k)");
        let bounds: Vec<(String, String, Option<u64>)> = how
            .partitions
            .iter()
            .map(|one| (one.table.to_string(), one.bound.clone(), one.rows))
            .collect();
        assert_eq!(
            bounds,
            [
                (
                    "public.parted_1".to_owned(),
                    "FOR VALUES IN (1, 2)".to_owned(),
                    Some(0)
                ),
                ("public.rest".to_owned(), "DEFAULT".to_owned(), Some(0)),
            ]
        );
    }
}

#[tokio::test]
async fn names_are_those_of_everything_that_shares_them() {
    let setup = "
        CREATE TABLE t (id int PRIMARY KEY); CREATE INDEX t_id ON t (id);
        CREATE VIEW seen AS SELECT 1 AS one; CREATE SEQUENCE counts; CREATE TYPE mood AS ENUM ('ok');";
    for (major, _database, client) in each(setup).await {
        let names = ["t", "t_id", "seen", "counts", "mood", "nothing"];
        let wanted = names.map(|asked| FactRequest::Relation(name(asked)));
        let facts = look(&client, wanted).await;
        let kinds = names.map(|asked| {
            let found = facts.relations[&name(asked)].known().unwrap().clone();
            found.first().map(|relation| relation.kind)
        });
        use RelationKind::{Index, Sequence, Table, Type, View};
        let expect = [Table, Index, View, Sequence, Type].map(Some);
        assert_eq!(kinds[..5], expect, "{major}");
        assert_eq!(kinds[5], None);
        let index = facts.relations[&name("t_id")].known().unwrap();
        assert_eq!(index[0].of, Some(name("public.t")));
    }
}

#[tokio::test]
async fn rows_that_do_not_fit_are_found() {
    let setup = "
        CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u SELECT generate_series(1, 10);
        CREATE TABLE t (id int PRIMARY KEY, n int, v varchar(20), big bigint);
        INSERT INTO t SELECT g, nullif(g, 3), 'v' || g, g * 1000000000::bigint FROM generate_series(1, 10) g;
        ALTER TABLE t ADD CONSTRAINT small CHECK (id < 10) NOT VALID;
        CREATE FUNCTION own(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
        CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN few AS int CHECK (VALUE < 5);";
    let violates = |condition: &str| RowProbe::Violates {
        condition: condition.to_owned(),
        with: None,
    };
    let becomes = |of: &str, sql_type: &str, using: Option<&str>| RowProbe::Unconvertible {
        column: column(of),
        sql_type: sql_type.to_owned(),
        using: using.map(str::to_owned),
    };
    let refers = |of: &str| RowProbe::Orphan {
        columns: vec![column(of)],
        other: name("u"),
        referenced: Vec::new(),
        with: None,
    };
    let probes = [
        (violates("id > 0"), false),
        (violates("n > 0"), false),
        (violates("n IS NOT NULL"), true),
        (violates("id < 10"), true),
        (
            RowProbe::Unmet {
                constraint: column("small"),
            },
            true,
        ),
        (refers("n"), false),
        (refers("id"), false),
        (becomes("v", "varchar(3)", None), false),
        (becomes("v", "varchar(2)", None), true),
        (becomes("v", "text", None), false),
        (becomes("v", "int", Some("v::int")), true),
        (becomes("v", "int", Some("length(v)")), false),
        (becomes("big", "int", None), true),
        (becomes("id", "bigint", None), false),
        (becomes("id", "positive", None), false),
        (becomes("id", "few", None), true),
    ];
    for (major, _database, client) in each(setup).await {
        let wanted = probes.clone().map(|(probe, _)| FactRequest::Rows {
            table: name("t"),
            probe,
        });
        let facts = present(&look(&client, wanted).await, "t");
        for (probe, expect) in &probes {
            match facts.rows_of(probe) {
                Fact::Known(probed) => assert_eq!(probed.found, *expect, "{probe:?} on {major}"),
                Fact::Unknown(why) => panic!("{probe:?} on {major}: {why}"),
            }
        }
        let refused = violates("own(id)");
        let wanted = [FactRequest::Rows {
            table: name("t"),
            probe: refused.clone(),
        }];
        let facts = present(&look(&client, wanted).await, "t");
        assert!(
            why(&facts.rows_of(&refused)).contains("own"),
            "what anybody made is not run as the admin"
        );
    }
}
