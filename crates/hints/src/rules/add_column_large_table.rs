//! `add-column-large-table`: adding a column rewrites a large table.
//!
//! By its real effect: since PostgreSQL 11 a column without a default, or with one that is the same for every
//! row, only changes the catalogue, whatever the size. A value computed row by row rewrites the table under
//! ACCESS EXCLUSIVE (manual, ALTER TABLE, Notes).

use std::collections::BTreeSet;

use dbop_model::finding::{Finding, Verdict};
use dbop_model::operation::{Column, Filled, Operation, ServerDefault};
use dbop_model::table::{FactRequest, TableFacts, Volatility};
use dbop_model::{Fact, ServerInfo, Why};

use crate::case::{Case, sql_column, sql_table, unknown};
use crate::effect::{Form, effect};
use crate::expression;
use crate::rules::Rule;
use crate::size::{Size, in_words, weigh};
use crate::steps::{ColumnStanding, Standing, Step};

pub(crate) const RULE: Rule = Rule {
    id: "add-column-large-table",
    title: "Adding a column rewrites a large table",
    covers: |operation| matches!(operation, Operation::AddColumn { .. }),
    wants,
    judge,
};

/// PostgreSQL 18 brought virtual generated columns, and made them the default form.
const FIRST_WITH_VIRTUAL: u32 = 18;

fn added(operation: &Operation) -> &[Column] {
    match operation {
        Operation::AddColumn { columns, .. } => columns,
        _ => &[],
    }
}

fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    for column in added(step.operation) {
        for table in step.tables() {
            wanted.insert(FactRequest::Table(table.clone()));
            wanted.insert(FactRequest::Size(table.clone()));
            wanted.insert(FactRequest::AnyRow(table.clone()));
            if let Some(sql_type) = looked_up(column) {
                let (table, sql_type) = (table.clone(), sql_type.to_owned());
                wanted.insert(FactRequest::Type { table, sql_type });
            }
            if let ServerDefault::Expression(text) = &column.default {
                let functions = expression::read(text)
                    .map(|e| e.functions)
                    .unwrap_or_default();
                wanted.extend(
                    functions
                        .into_iter()
                        .map(|function| FactRequest::Volatility {
                            table: table.clone(),
                            function,
                        }),
                );
            }
        }
    }
}

/// The type of a column, where what it is matters: it does not where the column is filled by the type.
fn looked_up(column: &Column) -> Option<&str> {
    column
        .sql_type
        .as_ref()
        .filter(|t| t.filled() == Filled::No)
        .map(|t| t.name())
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    let columns = added(case.step.operation).iter();
    match &case.standing {
        Standing::Missing | Standing::New => Vec::new(),
        Standing::Unknown(why) => columns.take(1).map(|_| case.unseen(RULE.id, why)).collect(),
        Standing::Present(facts) => columns
            .map(|column| judge_column(case, facts, column))
            .collect(),
    }
}

/// How a column is added.
enum Adding {
    /// Only the catalogue changes; why.
    Instant(String),
    /// Every row is written anew; why, and what to do instead.
    Rewriting(String, Instead),
    /// It cannot be said; why, and what would let it be said.
    Undecided(Why, &'static str),
}

/// The way out of a rewrite.
enum Instead {
    DefaultForNewRows,
    PlainThenIdentity,
    PlainWithTrigger,
    BaseType,
}

fn judge_column(case: &Case<'_>, facts: &TableFacts, column: &Column) -> Finding {
    let what = format!("adding {}.{}", case.table(), column.name);
    let bytes = facts.bytes.known().copied();
    let size = in_words(facts).map(|(value, source)| case.seen(value, source));
    let finding = |verdict, claim: String, form| Finding {
        evidence: size.clone().into_iter().collect(),
        effect: effect(case.server, form, bytes),
        ..case.finding(RULE.id, verdict, claim)
    };
    if let ColumnStanding::Present(..) = case.step.column(&column.name, facts) {
        let claim = format!("{what}: it is there already");
        return finding(Verdict::Clean, claim, Form::AddColumnInstant);
    }
    let empty = facts.any_row.is_known_and(|any| !any);
    match adding(case.server, facts, column) {
        Adding::Instant(why) => finding(
            Verdict::Clean,
            format!("{what}: {why}"),
            Form::AddColumnInstant,
        ),
        Adding::Rewriting(..) | Adding::Undecided(..) if empty => {
            let claim = format!("{what}: the table has no row");
            let clean = finding(Verdict::Clean, claim, Form::AddColumnRewriting);
            Finding {
                evidence: vec![case.seen_empty()],
                ..clean
            }
        }
        Adding::Rewriting(why, instead) => match weigh(facts, case.policy) {
            Size::Small => {
                let claim = format!("{what}: {why}, but the table is small");
                finding(Verdict::Clean, claim, Form::AddColumnRewriting)
            }
            Size::Large => Finding {
                advice: way_out(case, column, &instead),
                ..finding(
                    Verdict::Blocks,
                    format!("{what}: {why}, so the whole large table is written anew"),
                    Form::AddColumnRewriting,
                )
            },
            Size::Unknown(unseen) => Finding {
                advice: way_out(case, column, &instead),
                ..finding(
                    unknown(&unseen),
                    format!("{what}: {why}, and how large the table is cannot be seen: {unseen}"),
                    Form::AddColumnRewriting,
                )
            },
        },
        Adding::Undecided(why, advice) => match weigh(facts, case.policy) {
            Size::Small => {
                let claim = format!("{what}: even a rewrite is short, the table is small");
                finding(Verdict::Clean, claim, Form::AddColumnRewriting)
            }
            Size::Large | Size::Unknown(_) => Finding {
                advice: vec![advice.to_owned()],
                effect: None,
                ..finding(
                    unknown(&why),
                    format!("{what}: whether the table is written anew is not known: {why}"),
                    Form::AddColumnRewriting,
                )
            },
        },
    }
}

fn adding(server: &ServerInfo, facts: &TableFacts, column: &Column) -> Adding {
    let rewriting = |why: &str, instead| Adding::Rewriting(why.to_owned(), instead);
    match column.sql_type.as_ref().map(|t| t.filled()) {
        Some(Filled::Serial) => {
            return rewriting(
                "serial gives every row a number",
                Instead::PlainThenIdentity,
            );
        }
        Some(Filled::AutoIncrement) => {
            return rewriting(
                "AUTO_INCREMENT gives every row a number",
                Instead::PlainThenIdentity,
            );
        }
        Some(Filled::Identity) => {
            return rewriting(
                "identity gives every row a number",
                Instead::PlainThenIdentity,
            );
        }
        Some(Filled::Stored) => {
            let why = "a stored generated column is computed for every row";
            return rewriting(why, Instead::PlainWithTrigger);
        }
        Some(Filled::Virtual | Filled::StoredOrVirtual) if server.major >= FIRST_WITH_VIRTUAL => {
            return Adding::Instant("a virtual generated column stores nothing".to_owned());
        }
        Some(Filled::Virtual | Filled::StoredOrVirtual) => {
            let why = format!("{server} has no virtual generated columns");
            return Adding::Undecided(
                Why::new(why),
                "write STORED, or add a plain column that a trigger fills",
            );
        }
        Some(Filled::No) | None => {}
    }
    by_default(facts, column).unwrap_or_else(|| by_type(facts, column))
}

/// What the default says; `None`: it makes nothing slower than the type does.
fn by_default(facts: &TableFacts, column: &Column) -> Option<Adding> {
    let text = match &column.default {
        ServerDefault::NotSaid | ServerDefault::Absent => return None,
        ServerDefault::Present => {
            return Some(Adding::Undecided(
                Why::new("the operation does not say which server default the column has"),
                "write the default's SQL expression in the operation, as default",
            ));
        }
        ServerDefault::Expression(text) => text,
    };
    let Some(expression) = expression::read(text) else {
        return Some(Adding::Undecided(
            Why::new("the default's SQL expression is not understood"),
            "write the default as a constant or as plain function calls",
        ));
    };
    let volatility = |function: &String| (function.clone(), facts.volatility_of(function));
    let known: Vec<_> = expression.functions.iter().map(volatility).collect();
    let volatile = known
        .iter()
        .find(|(_, v)| v.is_known_and(|v| *v == Volatility::Volatile));
    if let Some((function, _)) = volatile {
        let why = format!("its default calls {function}(), which gives every row its own value");
        return Some(Adding::Rewriting(why, Instead::DefaultForNewRows));
    }
    known
        .into_iter()
        .find_map(|(function, volatility)| match volatility {
            Fact::Known(_) => None,
            Fact::Unknown(why) => {
                let reason = format!("its default calls {function}(): {why}");
                let why = if why.is_passing() {
                    Why::passing(reason)
                } else {
                    Why::new(reason)
                };
                Some(Adding::Undecided(
                    why,
                    "create the function in an earlier migration",
                ))
            }
        })
}

fn by_type(facts: &TableFacts, column: &Column) -> Adding {
    let Some(name) = looked_up(column) else {
        return Adding::Undecided(
            Why::new("the operation does not say the column's type"),
            "write the column's type in the operation",
        );
    };
    let default_said = matches!(column.default, ServerDefault::Expression(_));
    match facts.type_named(name) {
        Fact::Known(known) if known.constrained_domain => Adding::Rewriting(
            format!("the domain {name} has constraints, which are checked for every row"),
            Instead::BaseType,
        ),
        Fact::Known(known) if known.domain_default && !default_said => Adding::Undecided(
            Why::new(format!("the domain {name} has a default of its own")),
            "write a default in the operation",
        ),
        Fact::Known(_) if default_said => {
            Adding::Instant("its default is the same for every row".to_owned())
        }
        Fact::Known(_) => Adding::Instant("without a default, nothing is written".to_owned()),
        Fact::Unknown(why) => Adding::Undecided(why, "create the type in an earlier migration"),
    }
}

fn way_out(case: &Case<'_>, column: &Column, instead: &Instead) -> Vec<String> {
    let (table, name) = (sql_table(case.table()), sql_column(&column.name));
    let sql_type = column.sql_type.as_ref().map_or("<type>", |t| t.name());
    let plain = match sql_type.to_ascii_lowercase().as_str() {
        "serial" | "serial4" => "integer",
        "bigserial" | "serial8" => "bigint",
        "smallserial" | "serial2" => "smallint",
        _ => sql_type,
    };
    let add = format!("ALTER TABLE {table} ADD COLUMN {name}");
    let way = match instead {
        Instead::DefaultForNewRows => format!(
            "add it without the default ({add} {plain}), set the default for new rows \
             (ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT ...), and fill the old rows in \
             batches"
        ),
        Instead::PlainThenIdentity => format!(
            "add it plain ({add} {plain}), set a sequence as its default for new rows, fill the \
             old rows in batches, and make it NOT NULL by a validated CHECK"
        ),
        Instead::PlainWithTrigger if case.server.major >= FIRST_WITH_VIRTUAL => {
            "make it VIRTUAL, which stores nothing; or add a plain column that a trigger fills, and \
             fill the old rows in batches"
                .to_owned()
        }
        Instead::PlainWithTrigger => {
            "add a plain column that a trigger fills, and fill the old rows in batches".to_owned()
        }
        Instead::BaseType => format!(
            "add it with the domain's base type, then its CHECK as NOT VALID (ALTER TABLE {table} \
             ADD CONSTRAINT ... CHECK (...) NOT VALID), then VALIDATE CONSTRAINT"
        ),
    };
    vec![way]
}

#[cfg(test)]
mod tests {
    use dbop_model::finding::HintPolicy;

    use super::*;
    use crate::testing::{check, column, findings, large, present, unknown};

    const ID: &str = RULE.id;

    fn add(sql_type: &str, default: &str) -> [Operation; 1] {
        let default = Some(default).filter(|text| !text.is_empty());
        let mut column = column("c").with_default(ServerDefault::new(None, default).unwrap());
        column.sql_type = sql_type.parse().ok();
        [Operation::add_column("users".parse().unwrap(), vec![column]).unwrap()]
    }

    #[test]
    fn what_only_changes_the_catalogue_is_clean_on_any_table() {
        let none = "Clean: adding users.c: without a default, nothing is written";
        let same = "Clean: adding users.c: its default is the same for every row";
        for table in [present(), large()] {
            check(ID, &add("text", ""), &table, none);
            check(ID, &add("text", "''"), &table, same);
            check(ID, &add("timestamptz", "now()"), &table, same);
            check(ID, &add("text", "lower('A') || 'b'"), &table, same);
            check(ID, &add("default_domain", "'x'"), &table, same);
        }
    }

    #[test]
    fn what_computes_every_row_blocks_a_large_table() {
        for (sql_type, default, why) in [
            (
                "uuid",
                "gen_random_uuid()",
                "its default calls gen_random_uuid(), which gives every row its own value",
            ),
            ("bigserial", "", "serial gives every row a number"),
            (
                "int generated by default as identity",
                "",
                "identity gives every row a number",
            ),
            (
                "int generated always as (a + 1) stored",
                "",
                "a stored generated column is computed for every row",
            ),
            (
                "checked_domain",
                "",
                "the domain checked_domain has constraints, which are checked for every row",
            ),
            (
                "checked_domain",
                "'a'",
                "the domain checked_domain has constraints, which are checked for every row",
            ),
        ] {
            let blocks =
                format!("Blocks: adding users.c: {why}, so the whole large table is written anew");
            check(ID, &add(sql_type, default), &large(), &blocks);
            let clean = format!("Clean: adding users.c: {why}, but the table is small");
            check(ID, &add(sql_type, default), &present(), &clean);
            let empty = TableFacts {
                any_row: Fact::Known(false),
                ..large()
            };
            let none = "Clean: adding users.c: the table has no row";
            check(ID, &add(sql_type, default), &empty, none);
        }
    }

    #[test]
    fn what_the_operation_does_not_say_is_unknown_on_a_large_table() {
        let unknown = |why: &str| {
            format!(
                "Unknown: adding users.c: whether the table is written anew is not known: {why}"
            )
        };
        let small = "Clean: adding users.c: even a rewrite is short, the table is small";
        for (sql_type, default, why) in [
            ("", "", "the operation does not say the column's type"),
            (
                "text",
                "f()",
                "its default calls f(): no function of this name is there yet",
            ),
            (
                "text",
                "(select 1)",
                "the default's SQL expression is not understood",
            ),
            ("odd_type", "", "no type odd_type is there yet"),
            (
                "default_domain",
                "",
                "the domain default_domain has a default of its own",
            ),
        ] {
            check(ID, &add(sql_type, default), &large(), &unknown(why));
            check(ID, &add(sql_type, default), &present(), small);
        }
        let present_default = column("c")
            .with_type("text".parse().unwrap())
            .with_default(ServerDefault::Present);
        let operation =
            [Operation::add_column("users".parse().unwrap(), vec![present_default]).unwrap()];
        let why = "the operation does not say which server default the column has";
        check(ID, &operation, &large(), &unknown(why));
    }

    #[test]
    fn a_size_that_cannot_be_seen_is_unknown() {
        let unsized_table = TableFacts {
            rows: unknown("permission denied"),
            ..present()
        };
        check(
            ID,
            &add("serial", ""),
            &unsized_table,
            "Unknown: adding users.c: serial gives every row a number, and how large the table is \
             cannot be seen: permission denied",
        );
        check(
            ID,
            &add("text", ""),
            &unsized_table,
            "Clean: adding users.c: without a default, nothing is written",
        );
    }

    #[test]
    fn virtual_columns_came_with_18() {
        let operation = add("int generated always as (a + 1) virtual", "");
        let on =
            |major| findings(ID, major, &operation, large(), &HintPolicy::default())[0].to_string();
        assert_eq!(
            on(18),
            "is clean: adding users.c: a virtual generated column stores nothing"
        );
        assert_eq!(
            on(17),
            "cannot be judged: adding users.c: whether the table is written anew is not known: \
             PostgreSQL 17.6 has no virtual generated columns"
        );
    }
}
