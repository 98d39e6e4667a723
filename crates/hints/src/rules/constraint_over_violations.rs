//! `constraint-over-violations`: a CHECK, a foreign key, a partition's bound or a new type that rows of today do not meet.
//!
//! A bounded probe looks for one such row. What it would have to compute may only call the server's own functions without
//! effects; a condition that calls others is not tried, and stays unknown. Whether a key is unique is
//! `unique-over-duplicates`, and NULL `not-null-over-nulls`.

mod asked;
mod partitions;

use std::collections::BTreeSet;

use dbop_model::dependent::{Retyped, RowProbe};
use dbop_model::finding::{Finding, Verdict};
use dbop_model::operation::{Algorithm, Column, IndexKind, IndexPart, Operation, TableChange};
use dbop_model::table::{ColumnFacts, ColumnName, FactRequest, IndexFacts, TableFacts};
use dbop_model::{Engine, Fact};

use crate::case::{Case, unknown};
use crate::effect::mysql::{Relettered, Type, converted_to, relettered};
use crate::rules::Rule;
use crate::size::age_in_words;
use crate::steps::{ColumnStanding, Standing, Step};
use asked::{Asked, asked, checked_with};

pub(crate) const RULE: Rule = Rule {
    id: "constraint-over-violations",
    title: "A constraint or a type that rows of today do not meet",
    page: &crate::pages::CONSTRAINT_OVER_VIOLATIONS,
    wants,
    judge,
};

fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    for asked in asked(step) {
        for table in asked.tables {
            let probe = asked.probe.clone();
            wanted.insert(FactRequest::Rows { table, probe });
        }
    }
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    if case.prediction.refused.is_some() || !matches!(case.standing, Standing::Present(_)) {
        return Vec::new();
    }
    asked(&case.step)
        .iter()
        .filter(|asked| is_held(case, &asked.probe))
        .filter_map(|asked| judge_one(case, asked))
        .collect()
}

/// Does the server hold the rows of today against it? MySQL and MariaDB check no foreign key with foreign_key_checks off,
/// and change a value that does not fit where sql_mode is not strict; MariaDB holds the CHECK of a column against rows only
/// where it copies them.
fn is_held(case: &Case<'_>, probe: &RowProbe) -> bool {
    let is_off = |setting: Fact<bool>| setting.is_known_and(|on| !on);
    let of_column = !matches!(
        case.step.operation,
        Operation::AddConstraint { .. } | Operation::ChangeTable { .. }
    );
    match (case.server.engine, probe) {
        (
            Engine::PostgreSql,
            RowProbe::Uncomputable { .. } | RowProbe::Unsayable { .. } | RowProbe::Alike { .. },
        ) => false,
        (Engine::PostgreSql, _) => true,
        // Storage engines but InnoDB read a foreign key and forget it.
        (_, RowProbe::Orphan { .. }) => {
            let forgotten = case.present().is_some_and(|facts| {
                let innodb = |engine: &str| engine.eq_ignore_ascii_case("innodb");
                facts.storage.is_known_and(|it| !innodb(&it.engine))
            });
            !forgotten && !is_off(case.foreign_key_checks())
        }
        // What is JSON there, a CHECK of the column says.
        (Engine::MariaDb, probe) if of_column && is_check(probe) => {
            let effect = case.prediction.effect.known();
            effect.is_none_or(|effect| effect.algorithm == Some(Algorithm::Copy))
        }
        (
            _,
            RowProbe::Unconvertible { .. }
            | RowProbe::Unsayable { .. }
            | RowProbe::Uncomputable { .. },
        ) => !is_off(case.strict()),
        _ => true,
    }
}

/// Is it a CHECK of a column, that of a type perhaps?
fn is_check(probe: &RowProbe) -> bool {
    match probe {
        RowProbe::Violates { .. } => true,
        RowProbe::Uncomputable { with } => with.sql_type.eq_ignore_ascii_case("json"),
        _ => false,
    }
}

fn judge_one(case: &Case<'_>, asked: &Asked) -> Option<Finding> {
    let facts = asked.tables.iter().find_map(|table| case.facts_of(table))?;
    if facts.any_row.is_known_and(|any| !any) || is_settled(case, facts, &asked.probe) {
        return None;
    }
    let what = &asked.what;
    Some(match facts.rows_of(&asked.probe) {
        Fact::Known(probed) => {
            let probe = format!("a bounded probe of {}", age_in_words(probed.took));
            if probed.found {
                Finding {
                    evidence: vec![case.seen("at least one row", probe)],
                    advice: ways_out(&asked.probe),
                    ..case.finding(
                        RULE.id,
                        Verdict::WillFail,
                        format!("{what}: at least one row does not meet it"),
                    )
                }
            } else if probed.took.is_zero() {
                // By what the types are, no row had to be looked at.
                return None;
            } else {
                Finding {
                    evidence: vec![case.seen("no row that does not meet it", probe)],
                    ..case.finding(
                        RULE.id,
                        Verdict::Clean,
                        format!("{what}: every row meets it"),
                    )
                }
            }
        }
        Fact::Unknown(why) => Finding {
            advice: vec![
                "raise spec.hints.probeTimeout, if the probe was too slow".to_owned(),
                "or look yourself, and accept the finding".to_owned(),
            ],
            ..case.finding(
                RULE.id,
                unknown(&why),
                format!("{what}: whether every row meets it is not known: {why}"),
            )
        },
    })
}

/// Does the catalogue say already what the probe would?
fn is_settled(case: &Case<'_>, facts: &TableFacts, probe: &RowProbe) -> bool {
    match probe {
        RowProbe::Violates {
            with: Some(column), ..
        }
        | RowProbe::Orphan {
            with: Some(column), ..
        } => facts.columns.contains_key(&column.name),
        RowProbe::Violates { with: None, .. } => {
            let made = match case.step.operation {
                Operation::AddConstraint { constraint, .. } => checked_with(&case.step, constraint),
                _ => None,
            };
            made.is_some_and(|column| !facts.columns.contains_key(&column.name))
        }
        RowProbe::Unmet { constraint } => facts.constraints.is_known_and(|constraints| {
            // One that is valid is not looked at again; one that is not there is `refused-by-catalogue`.
            constraints
                .iter()
                .find(|known| known.name == *constraint && !known.incoming)
                .is_none_or(|known| known.validated)
        }),
        // Of a type without conditions, the server says so itself when it reads the statement.
        RowProbe::NoValueOf { with } => {
            let is_domain = facts
                .type_named(&with.sql_type)
                .is_known_and(|known| known.constrained_domain);
            !is_domain || facts.columns.contains_key(&with.name)
        }
        RowProbe::Uncomputable { with } => facts.columns.contains_key(&with.name),
        RowProbe::Unsayable { text } => {
            !retyped(case, facts, text).any(|(_, letters)| letters.may_lose)
        }
        RowProbe::Alike { columns } => {
            let indexes = facts.indexes.known();
            !retyped(case, facts, columns).any(|(name, letters)| {
                let is_other = letters.compared_anew || is_of_other_type(facts, name, columns);
                is_other && indexes.is_none_or(|indexes| indexes.iter().any(|i| is_key(i, name)))
            })
        }
        // What the server does not convert by itself is `refused-by-catalogue`; what is of the type, is of it.
        RowProbe::Unconvertible {
            column,
            sql_type,
            using,
        } => {
            // MySQL and MariaDB convert whatever they can.
            let by_itself = case.server.engine != Engine::PostgreSql
                || facts
                    .type_named(sql_type)
                    .is_known_and(|known| !known.needs_using(column));
            let known = facts.columns.get(column);
            let same = known.is_some_and(|known| known.sql_type.eq_ignore_ascii_case(sql_type));
            let added = matches!(case.step.column(column, facts), ColumnStanding::Added(_));
            using.is_none() && (same || !by_itself) || known.is_none() || added
        }
        _ => false,
    }
}

/// The columns of today that become others, and what becomes of their letters.
fn retyped<'a>(
    case: &'a Case<'_>,
    facts: &'a TableFacts,
    to: &'a Retyped,
) -> impl Iterator<Item = (&'a ColumnName, Relettered)> {
    let letters = move |name: &ColumnName, old: &ColumnFacts| match case.step.operation {
        Operation::ChangeTable {
            change: TableChange::ConvertCharset { charset, collation },
            ..
        } => Some(converted_to(case, old, charset, collation.as_deref())),
        Operation::AlterColumn { columns, .. } => {
            let is = |column: &&Column| case.step.column_names(&column.name).contains(name);
            columns
                .iter()
                .find(is)
                .map(|column| relettered(case, facts, column, old))
        }
        _ => None,
    };
    facts
        .columns
        .iter()
        .filter(|(name, _)| to.column.as_ref().is_none_or(|column| column == *name))
        .filter_map(move |(name, old)| Some((name, letters(name, old)?)))
}

fn is_of_other_type(facts: &TableFacts, name: &ColumnName, to: &Retyped) -> bool {
    let old = facts.columns.get(name);
    match (old, &to.sql_type) {
        (Some(old), Some(new)) => Type::read(&old.sql_type) != Type::read(new),
        _ => false,
    }
}

/// Is an index unique, and a column part of it?
fn is_key(index: &IndexFacts, column: &ColumnName) -> bool {
    let is_part = |part: &IndexPart| matches!(part, IndexPart::Column(name) | IndexPart::Prefix(name, _) if name == column);
    (index.primary || index.kind == IndexKind::Unique) && index.key.parts.iter().any(is_part)
}

fn ways_out(probe: &RowProbe) -> Vec<String> {
    match probe {
        RowProbe::Uncomputable { .. } => vec![
            "choose a larger type, or an expression that the type takes for every row".to_owned(),
        ],
        RowProbe::Unsayable { .. } => vec![
            "choose a character set that has all letters: utf8mb4".to_owned(),
            "or replace those letters first, in batches".to_owned(),
        ],
        RowProbe::Alike { .. } => vec![
            "remove what becomes a duplicate first, or drop the unique key".to_owned(),
        ],
        RowProbe::InDefault { .. } => vec![
            "detach the default partition, move the rows that are within the bounds, and attach it again"
                .to_owned(),
        ],
        RowProbe::NoValueOf { .. } => {
            vec!["choose a default that the domain allows".to_owned()]
        }
        RowProbe::OutOfBound { .. } => vec![
            "move the rows that are outside of the bounds to another partition first".to_owned(),
        ],
        RowProbe::Unconvertible { .. } => vec![
            "correct the values first, in batches, or write a USING that takes all of them"
                .to_owned(),
        ],
        RowProbe::OutOfPartitions { .. } => vec![
            "add a partition for those rows: VALUES LESS THAN MAXVALUE takes all that are above"
                .to_owned(),
        ],
        RowProbe::Orphan { .. } | RowProbe::Violates { .. } | RowProbe::Unmet { .. } => vec![
            "correct or delete those rows first, in batches".to_owned(),
            "or add it NOT VALID, which holds new rows to it, and validate it once they are gone"
                .to_owned(),
        ],
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dbop_model::dependent::RowsProbed;
    use dbop_model::operation::{Constraint, ConstraintKind, Statement};

    use super::*;
    use crate::testing::{
        check, findings_on, key, name, other, present, typed, unknown as no_fact, users,
    };
    use dbop_model::finding::HintPolicy;

    fn positive() -> Operation {
        let mut constraint = Constraint::new(ConstraintKind::Check, vec![]).unwrap();
        constraint.expression = Some("id > 0".to_owned());
        Operation::AddConstraint {
            table: users(),
            constraint,
        }
    }

    fn answered(operation: &Operation, answer: Fact<RowsProbed>) -> TableFacts {
        let statements = [Statement::from(operation.clone())];
        let mut table = present();
        for step in crate::steps::walk(&statements) {
            for asked in asked(&step) {
                table.probed.insert(asked.probe, answer.clone());
            }
        }
        table
    }

    fn found(found: bool) -> Fact<RowsProbed> {
        let took = Duration::from_millis(41);
        Fact::Known(RowsProbed { found, took })
    }

    #[test]
    fn a_probe_decides() {
        let add = positive();
        let say = |answer, expect: &str| {
            let table = answered(&add, answer);
            check(RULE.id, std::slice::from_ref(&add), &table, expect);
        };
        say(
            found(true),
            "WillFail: CHECK on users: at least one row does not meet it",
        );
        say(found(false), "Clean: CHECK on users: every row meets it");
        say(
            no_fact("the probe took longer than 5 s"),
            "Unknown: CHECK on users: whether every row meets it is not known: the probe took longer \
             than 5 s",
        );
        let empty = TableFacts {
            any_row: Fact::Known(false),
            ..answered(&add, found(true))
        };
        check(RULE.id, &[add], &empty, "");
    }

    #[test]
    fn a_new_type_is_tried_on_the_values() {
        let small = typed("email", "varchar(3)");
        let alter = Operation::alter_column(users(), vec![small]).unwrap();
        let table = answered(&alter, found(true));
        check(
            RULE.id,
            &[alter],
            &table,
            "WillFail: the new type of users.email: at least one row does not meet it",
        );
        let same = Operation::alter_column(users(), vec![typed("email", "text")]).unwrap();
        let table = answered(&same, found(true));
        check(RULE.id, &[same], &table, "");
    }

    #[test]
    fn a_column_with_a_check_is_looked_at_by_its_default() {
        let mut column = crate::testing::default(typed("code", "int"), "0");
        let mut constraint = Constraint::new(ConstraintKind::Check, vec![name("code")]).unwrap();
        constraint.expression = Some("code > 0".to_owned());
        column.constraints = vec![constraint];
        let add = Operation::add_column(users(), vec![column]).unwrap();
        let table = answered(&add, found(true));
        assert_eq!(table.probed.len(), 2, "its CHECK, and its type");
        check(
            RULE.id,
            &[add],
            &table,
            "WillFail: CHECK on users.code: at least one row does not meet it",
        );
    }

    /// What is said on MySQL 9.7 and on MariaDB 11.4, where every probe finds a row.
    #[track_caller]
    fn check_on_both(operation: Operation, table: TableFacts, mysql: &str, mariadb: &str) {
        let statement = Statement {
            line: Some(1),
            ..Statement::from(operation)
        };
        let statements = [statement];
        let mut table = table;
        for step in crate::steps::walk(&statements) {
            for asked in asked(&step) {
                table.probed.insert(asked.probe, found(true));
            }
        }
        for (server, expect) in [
            (other(Engine::MySql, 9, 7), mysql),
            (other(Engine::MariaDb, 11, 4), mariadb),
        ] {
            let policy = HintPolicy::default();
            let said = findings_on(RULE.id, &server, &statements, table.clone(), &policy);
            let claims: Vec<&str> = said.iter().map(|one| one.claim.as_str()).collect();
            let expect: Vec<&str> = expect.split('\n').filter(|line| !line.is_empty()).collect();
            assert_eq!(claims, expect, "{server}: {statements:?}");
        }
    }

    /// `word` of utf8mb4 with a unique key, `number` with none.
    fn texts() -> TableFacts {
        let mut facts = present();
        let column = |sql_type: &str, charset: Option<&str>| ColumnFacts {
            sql_type: sql_type.to_owned(),
            charset: charset.map(str::to_owned),
            collation: charset.map(|charset| format!("{charset}_bin")),
            ..facts.columns[&name("email")].clone()
        };
        let columns = [
            (name("word"), column("varchar(60)", Some("utf8mb4"))),
            (name("number"), column("int", None)),
        ];
        facts.columns = columns.into();
        facts.indexes = Fact::Known(vec![IndexFacts {
            name: name("words"),
            key: key(&["word"]),
            kind: IndexKind::Unique,
            primary: false,
            valid: true,
            immediate: true,
            bytes: None,
        }]);
        facts
    }

    fn redefined(column: Column) -> Operation {
        let column = Column {
            redefined: true,
            ..column
        };
        Operation::alter_column(users(), vec![column]).unwrap()
    }

    #[test]
    fn letters_that_get_lost_and_keys_that_become_alike() {
        let lettered = |charset: &str, collation: &str| Column {
            charset: Some(charset.to_owned()),
            collation: Some(collation.to_owned()),
            ..typed("word", "varchar(60)")
        };
        let unmet = |what: &str| format!("{what}: at least one row does not meet it");
        let lost = unmet("the text of users.word in its new character set");
        let alike = unmet("unique keys over users.word, as it becomes");
        let of_type = unmet("the new type of users.word");
        let on_both = |column: Column, expect: &[&String]| {
            let expect: Vec<&str> = expect.iter().map(|line| line.as_str()).collect();
            let expect = expect.join("\n");
            check_on_both(redefined(column), texts(), &expect, &expect);
        };
        on_both(lettered("latin1", "latin1_bin"), &[&lost, &alike]);
        on_both(lettered("utf8mb4", "utf8mb4_general_ci"), &[&alike]);
        on_both(lettered("utf8mb4", "utf8mb4_bin"), &[]);
        let longer = Column {
            sql_type: "varchar(80)".parse().ok(),
            ..lettered("utf8mb4", "utf8mb4_bin")
        };
        on_both(longer, &[&of_type, &alike]);
        let convert = Operation::ChangeTable {
            table: users(),
            change: TableChange::ConvertCharset {
                charset: "latin1".to_owned(),
                collation: None,
            },
        };
        let of_table = format!(
            "{}\n{}",
            unmet("the text of users in latin1"),
            unmet("unique keys of users in latin1")
        );
        check_on_both(convert, texts(), &of_table, &of_table);
    }

    #[test]
    fn what_is_computed_has_to_fit() {
        let unmet = "what users.c is computed by: at least one row does not meet it";
        let stored = typed("c", "tinyint generated always as (number * 100) stored");
        let stored = Operation::add_column(users(), vec![stored]).unwrap();
        check_on_both(stored, texts(), unmet, unmet);
        let by_default = crate::testing::default(typed("c", "tinyint"), "(number * 100)");
        let by_default = Operation::add_column(users(), vec![by_default]).unwrap();
        check_on_both(by_default, texts(), unmet, unmet);
        let constant = crate::testing::default(typed("c", "tinyint"), "7");
        let constant = Operation::add_column(users(), vec![constant]).unwrap();
        check_on_both(constant, texts(), "", "");
    }

    #[test]
    fn the_check_of_a_column_that_is_there() {
        let checked = |sql_type: &str| {
            let mut check = Constraint::new(ConstraintKind::Check, vec![name("number")]).unwrap();
            check.expression = Some("number > 10".to_owned());
            redefined(Column {
                constraints: vec![check],
                ..typed("number", sql_type)
            })
        };
        let unmet = "CHECK on users.number: at least one row does not meet it";
        // MariaDB holds it against rows only where it copies them.
        check_on_both(checked("int"), texts(), unmet, "");
        let converted =
            format!("the new type of users.number: at least one row does not meet it\n{unmet}");
        check_on_both(checked("bigint"), texts(), &converted, &converted);
    }
}
