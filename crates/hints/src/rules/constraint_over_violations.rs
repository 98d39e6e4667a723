//! `constraint-over-violations`: a CHECK, a foreign key, a partition's bound or a new type that rows of today do not meet.
//!
//! A bounded probe looks for one such row. What it would have to compute may only call the server's own functions without
//! effects; a condition that calls others is not tried, and stays unknown. Whether a key is unique is
//! `unique-over-duplicates`, and NULL `not-null-over-nulls`.

mod partitions;

use std::collections::BTreeSet;

use dbop_model::dependent::{NewColumn, RowProbe};
use dbop_model::finding::{Finding, Verdict};
use dbop_model::operation::{
    Column, Constraint, ConstraintKind, Filled, Operation, ServerDefault, TableChange, Validity,
};
use dbop_model::table::{FactRequest, TableFacts, TableName};
use dbop_model::{Engine, Fact};

use crate::case::{Case, unknown};
use crate::rules::Rule;
use crate::size::age_in_words;
use crate::steps::{ColumnStanding, Standing, Step};

pub(crate) const RULE: Rule = Rule {
    id: "constraint-over-violations",
    title: "A constraint or a type that rows of today do not meet",
    page: &crate::pages::CONSTRAINT_OVER_VIOLATIONS,
    wants,
    judge,
};

/// A question about the rows of one of these tables, and what it is for, as a clause.
struct Asked {
    tables: Vec<TableName>,
    probe: RowProbe,
    what: String,
}

fn asked(step: &Step<'_>) -> Vec<Asked> {
    let own = |probe, what| Asked {
        tables: step.tables().to_vec(),
        probe,
        what,
    };
    match step.operation {
        Operation::AddConstraint { table, constraint } => probe_of(step, constraint, None)
            .map(|probe| own(probe, format!("{} on {table}", name_of(constraint))))
            .into_iter()
            .collect(),
        Operation::AddColumn { table, columns } => {
            let constrained = columns
                .iter()
                .flat_map(|column| column.constraints.iter().map(move |one| (column, one)))
                .filter_map(|(column, constraint)| {
                    let probe = probe_of(step, constraint, Some(new_column(column)?))?;
                    let what = format!("{} on {table}.{}", name_of(constraint), column.name);
                    Some(own(probe, what))
                });
            let valued = columns.iter().filter_map(|column| {
                let with = new_column(column).filter(|column| column.value.is_some())?;
                let what = format!("the default of {table}.{}", column.name);
                Some(own(RowProbe::NoValueOf { with }, what))
            });
            constrained.chain(valued).collect()
        }
        Operation::AlterColumn { table, columns } => columns
            .iter()
            .filter_map(|column| {
                let probe = RowProbe::Unconvertible {
                    column: step.column_names(&column.name).first()?.clone(),
                    sql_type: column.sql_type.as_ref()?.name().to_owned(),
                    using: column.using.clone(),
                };
                let what = format!("the new type of {table}.{}", column.name);
                Some(own(probe, what))
            })
            .collect(),
        Operation::ChangeTable {
            table,
            change: TableChange::ValidateConstraint { name },
        } => {
            let mut made = step.made().iter();
            let made = made.rfind(|made| made.constraint.name.as_ref() == Some(name));
            let probe = match made {
                Some(made) => probe_of_rows(step, made.constraint, None),
                None => Some(RowProbe::Unmet {
                    constraint: name.clone(),
                }),
            };
            probe
                .map(|probe| own(probe, format!("validating {table}.{name}")))
                .into_iter()
                .collect()
        }
        Operation::ChangeTable {
            table,
            change: TableChange::Partitioning(partitioning),
        } => partitions::covered(partitioning)
            .map(|condition| {
                let probe = RowProbe::OutOfPartitions { condition };
                own(probe, format!("the new partitions of {table}"))
            })
            .into_iter()
            .collect(),
        Operation::ChangeTable {
            table,
            change:
                TableChange::AttachPartition {
                    partition,
                    bound: Some(bound),
                },
        } => {
            let parent = step.tables().first().unwrap_or(table).clone();
            let from_default = RowProbe::InDefault {
                bound: bound.clone(),
            };
            let what = format!("what {partition} takes from the default partition of {table}");
            vec![
                own(from_default, what),
                Asked {
                    tables: step.others().to_vec(),
                    probe: RowProbe::OutOfBound {
                        parent,
                        bound: bound.clone(),
                    },
                    what: format!("attaching {partition} to {table}"),
                },
            ]
        }
        Operation::ChangeTable {
            table,
            change:
                TableChange::CreatePartition {
                    partition,
                    bound: Some(bound),
                },
        } => {
            let from_default = RowProbe::InDefault {
                bound: bound.clone(),
            };
            let what = format!("what {partition} takes from the default partition of {table}");
            vec![own(from_default, what)]
        }
        _ => Vec::new(),
    }
}

fn name_of(constraint: &Constraint) -> &'static str {
    match constraint.kind() {
        ConstraintKind::ForeignKey => "foreign key",
        _ => "CHECK",
    }
}

/// The question for a constraint that is held against the rows of today.
fn probe_of(step: &Step<'_>, constraint: &Constraint, with: Option<NewColumn>) -> Option<RowProbe> {
    if constraint.validity == Validity::AllRows {
        probe_of_rows(step, constraint, with)
    } else {
        None
    }
}

fn probe_of_rows(
    step: &Step<'_>,
    constraint: &Constraint,
    with: Option<NewColumn>,
) -> Option<RowProbe> {
    match constraint.kind() {
        ConstraintKind::Check => Some(RowProbe::Violates {
            condition: constraint.expression.clone()?,
            with,
        }),
        ConstraintKind::ForeignKey => {
            // NULL refers to nothing.
            if with.as_ref().is_some_and(|column| column.value.is_none()) {
                return None;
            }
            let references = constraint.references.as_ref()?;
            let other = step
                .others()
                .iter()
                .find(|other| other.may_be(references))
                .or(step.others().first())
                .unwrap_or(references);
            let today = |name| match &with {
                Some(column) => Some(column.name.clone()),
                None => step.column_names(name).first().cloned(),
            };
            Some(RowProbe::Orphan {
                columns: constraint
                    .columns()
                    .iter()
                    .map(today)
                    .collect::<Option<_>>()?,
                other: other.clone(),
                referenced: constraint.referenced.clone(),
                with,
            })
        }
        _ => None,
    }
}

/// The value that a new column has in the rows of today; `None`: the operation does not say it.
fn new_column(column: &Column) -> Option<NewColumn> {
    let sql_type = column.sql_type.as_ref()?;
    if sql_type.filled() != Filled::No {
        return None;
    }
    let value = match &column.default {
        ServerDefault::NotSaid | ServerDefault::Absent => None,
        ServerDefault::Expression(text) => Some(text.clone()),
        ServerDefault::Present => return None,
    };
    Some(NewColumn {
        name: column.name.clone(),
        sql_type: sql_type.name().to_owned(),
        value,
    })
}

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
/// and change a value that does not fit where sql_mode is not strict; MariaDB holds the CHECK of a new column against no
/// row.
fn is_held(case: &Case<'_>, probe: &RowProbe) -> bool {
    let is_off = |setting: Fact<bool>| setting.is_known_and(|on| !on);
    match (case.server.engine, probe) {
        (Engine::PostgreSql, _) => true,
        // Storage engines but InnoDB read a foreign key and forget it.
        (_, RowProbe::Orphan { .. }) => {
            let forgotten = case.present().is_some_and(|facts| {
                let innodb = |engine: &str| engine.eq_ignore_ascii_case("innodb");
                facts.storage.is_known_and(|it| !innodb(&it.engine))
            });
            !forgotten && !is_off(case.foreign_key_checks())
        }
        (_, RowProbe::Unconvertible { .. }) => !is_off(case.strict()),
        (Engine::MariaDb, RowProbe::Violates { with: Some(_), .. }) => false,
        _ => true,
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

fn ways_out(probe: &RowProbe) -> Vec<String> {
    match probe {
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
    use dbop_model::operation::Statement;

    use super::*;
    use crate::testing::{check, name, present, typed, unknown as no_fact, users};

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
}
