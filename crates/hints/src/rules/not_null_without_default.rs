//! `not-null-without-default`: a NOT NULL column without a server default is added to a table that has rows.
//!
//! PostgreSQL refuses it whatever the rows are: it has no value for them. MySQL and MariaDB invent one (0, '', the first
//! of an ENUM, the zero date); a strict MySQL refuses where that would be a date (MariaDB only where sql_mode says NO_ZERO_DATE), and always a geometry. An estimate
//! never proves a table empty; a probe does.

use std::collections::BTreeSet;

use dbop_model::finding::{Finding, Verdict};
use dbop_model::operation::{Column, Filled, Operation, ServerDefault};
use dbop_model::table::{FactRequest, TableFacts};
use dbop_model::{Engine, Fact};

use crate::case::{Case, unknown};
use crate::effect::mysql::{Implicit, implicit_value};
use crate::expression;
use crate::rules::Rule;
use crate::steps::{ColumnStanding, Standing, Step};

pub(crate) const RULE: Rule = Rule {
    id: "not-null-without-default",
    title: "A NOT NULL column without a server default is added to a table that has rows",
    page: &crate::pages::NOT_NULL_WITHOUT_DEFAULT,
    wants,
    judge,
};

/// The columns of an addColumn that no row of today would have a value for, as far as the operation tells. One that may
/// hold NULL by its definition may not by its type, a domain.
fn without_value(operation: &Operation) -> impl Iterator<Item = &Column> {
    let columns = match operation {
        Operation::AddColumn { columns, .. } => columns.as_slice(),
        _ => &[],
    };
    columns.iter().filter(|column| !has_value(column))
}

/// Does the server give today's rows a value? A default of NULL is none.
pub(crate) fn has_value(column: &Column) -> bool {
    let filled = column
        .sql_type
        .as_ref()
        .is_some_and(|t| t.filled() != Filled::No);
    let default = match &column.default {
        ServerDefault::NotSaid | ServerDefault::Absent => false,
        ServerDefault::Present => true,
        ServerDefault::Expression(text) => !expression::read(text).is_some_and(|e| e.is_null),
    };
    filled || default
}

fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    for column in without_value(step.operation) {
        for table in step.tables() {
            wanted.insert(FactRequest::Table(table.clone()));
            wanted.insert(FactRequest::AnyRow(table.clone()));
            if let Some(sql_type) = &column.sql_type {
                let (table, sql_type) = (table.clone(), sql_type.name().to_owned());
                wanted.insert(FactRequest::Type { table, sql_type });
            }
        }
    }
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    let columns = without_value(case.step.operation);
    match &case.standing {
        Standing::Missing | Standing::New => Vec::new(),
        Standing::Unknown(why) => columns
            .filter(|column| column.nullable == Some(false))
            .take(1)
            .map(|_| case.unseen(RULE.id, why))
            .collect(),
        Standing::Present(facts) => columns
            .filter(|column| column.nullable == Some(false) || is_present_by_type(facts, column))
            .map(|column| judge_column(case, facts, column))
            .collect(),
    }
}

/// Is the column's type a domain that is NOT NULL?
fn is_present_by_type(facts: &TableFacts, column: &Column) -> bool {
    let sql_type = column.sql_type.as_ref();
    sql_type.is_some_and(|sql_type| {
        facts
            .type_named(sql_type.name())
            .is_known_and(|known| known.domain_not_null)
    })
}

fn judge_column(case: &Case<'_>, facts: &TableFacts, column: &Column) -> Finding {
    let what = format!("NOT NULL column {} without a server default", column.name);
    let table = case.table();
    let effect = case.prediction.effect.known().cloned();
    let clean = |claim: String, evidence| {
        let mut finding = case.finding(RULE.id, Verdict::Clean, claim);
        finding.evidence = vec![evidence];
        finding.effect = effect.clone();
        finding
    };
    if let ColumnStanding::Present(..) = case.step.column(&column.name, facts) {
        let seen = case.seen(format!("column {}", column.name), "the catalogue");
        return clean(format!("{what}: {table} has it already"), seen);
    }
    if facts.any_row.is_known_and(|any| !any) {
        return clean(format!("{what}: {table} has no row"), case.seen_empty());
    }
    // A domain can bring a default of its own, and then every row has a value.
    if let Some(sql_type) = &column.sql_type {
        match facts.type_named(sql_type.name()) {
            Fact::Known(known) if known.domain_default => {
                let seen = case.seen(
                    format!("a default of the domain {sql_type}"),
                    "the catalogue",
                );
                return clean(format!("{what}: its domain has one"), seen);
            }
            Fact::Known(_) => {}
            Fact::Unknown(why) => {
                let claim = format!("{what}: its type cannot be looked up: {why}");
                let mut finding = case.finding(RULE.id, unknown(&why), claim);
                finding.advice = ways_out(case, column);
                return finding;
            }
        }
    }
    match &facts.any_row {
        Fact::Known(_) => {
            let (verdict, claim) = with_rows(case, column, &what);
            let mut finding = case.finding(RULE.id, verdict, claim);
            finding.effect = effect.filter(|_| verdict != Verdict::WillFail);
            finding.evidence = vec![case.seen("at least one row", "a probe for any row")];
            finding.advice = ways_out(case, column);
            finding
        }
        Fact::Unknown(why) => {
            let claim = format!("{what}: whether {table} has rows cannot be seen: {why}");
            let mut finding = case.finding(RULE.id, unknown(why), claim);
            finding.advice = ways_out(case, column);
            finding
        }
    }
}

/// What the server does with the rows that are there.
fn with_rows(case: &Case<'_>, column: &Column, what: &str) -> (Verdict, String) {
    let table = case.table();
    let invents = |value: &str| {
        let claim =
            format!("{what}: {table} has rows, and the server will invent {value} for them");
        (Verdict::ImplicitValue, claim)
    };
    let refuses = || {
        let claim = format!("{what}: {table} has rows, and the server has no value for them");
        (Verdict::WillFail, claim)
    };
    let implicit = column.sql_type.as_ref().map(implicit_value);
    match (case.server.engine, implicit) {
        (Engine::PostgreSql, _) | (Engine::MySql, Some(Implicit::None)) => refuses(),
        (Engine::MySql | Engine::MariaDb, Some(Implicit::ZeroDate)) => {
            match (case.strict(), case.zero_dates()) {
                (Fact::Known(true), Fact::Known(false)) => refuses(),
                (Fact::Known(_), Fact::Known(_)) => invents("the zero date"),
                (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => (
                    unknown(&why),
                    format!(
                        "{what}: {table} has rows, and whether sql_mode is strict is not known: {why}"
                    ),
                ),
            }
        }
        (Engine::MySql | Engine::MariaDb, _) => invents("a value (0, an empty text or date)"),
    }
}

fn ways_out(case: &Case<'_>, column: &Column) -> Vec<String> {
    let dialect = case.dialect();
    let (table, name) = (dialect.table(case.table()), dialect.column(&column.name));
    let later = "fill the rows in batches, and make it NOT NULL in a later migration";
    let Some(sql_type) = &column.sql_type else {
        return vec![
            "give it a constant default, which takes an instant".to_owned(),
            format!("or add it as NULL, {later}"),
        ];
    };
    let constant = match constant_of(sql_type.name()) {
        Some(value) => format!(
            "give it a constant default, this one or one that says more, which takes an instant: \
             ALTER TABLE {table} ADD COLUMN {name} {sql_type} NOT NULL DEFAULT {value};"
        ),
        None => "give it a constant default".to_owned(),
    };
    vec![
        constant,
        format!(
            "or add it as NULL, which takes an instant: ALTER TABLE {table} ADD COLUMN {name} \
             {sql_type} NULL; {later}"
        ),
    ]
}

/// A value of a type that all three servers take as a default; `None`: there is none that all of them take.
fn constant_of(sql_type: &str) -> Option<&'static str> {
    let lower = sql_type.to_ascii_lowercase();
    let word = lower.split(['(', ' ']).next().unwrap_or_default();
    Some(match word {
        "smallint" | "int" | "integer" | "bigint" | "tinyint" | "mediumint" | "int2" | "int4"
        | "int8" | "numeric" | "decimal" | "dec" | "real" | "float" | "float4" | "float8"
        | "double" => "0",
        "boolean" | "bool" => "false",
        "char" | "character" | "varchar" | "nchar" | "nvarchar" => "''",
        "date" => "'1970-01-01'",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use dbop_model::table::TableFacts;

    use super::*;
    use crate::testing::{check, column, present, unknown};

    const ID: &str = RULE.id;
    const FAILS: &str = "WillFail: NOT NULL column code without a server default: users has rows, \
                         and the server has no value for them";

    fn add(column: Column) -> [Operation; 1] {
        [Operation::add_column("users".parse().unwrap(), vec![column]).unwrap()]
    }

    fn code(sql_type: &str) -> Column {
        column("code")
            .with_type(sql_type.parse().unwrap())
            .with_nullable(false)
    }

    fn default(text: &str) -> ServerDefault {
        ServerDefault::new(None, Some(text)).unwrap()
    }

    #[test]
    fn rows_without_a_value_fail() {
        check(
            ID,
            &add(column("code").with_nullable(false)),
            &present(),
            FAILS,
        );
        check(ID, &add(code("text")), &present(), FAILS);
        check(
            ID,
            &add(code("text").with_default(default("NULL::text"))),
            &present(),
            FAILS,
        );
        check(
            ID,
            &add(code("text").with_default(ServerDefault::Absent)),
            &present(),
            FAILS,
        );
        let both = vec![column("note"), code("text")];
        let both = [Operation::add_column("users".parse().unwrap(), both).unwrap()];
        check(ID, &both, &present(), FAILS);
    }

    #[test]
    fn a_value_for_every_row_is_not_its_business() {
        check(ID, &add(column("code")), &present(), "");
        check(
            ID,
            &add(code("text").with_default(default("''"))),
            &present(),
            "",
        );
        check(
            ID,
            &add(code("text").with_default(ServerDefault::Present)),
            &present(),
            "",
        );
        check(ID, &add(code("bigserial")), &present(), "");
        check(
            ID,
            &add(code("bigint generated always as identity")),
            &present(),
            "",
        );
    }

    #[test]
    fn a_domain_may_bring_the_value() {
        check(
            ID,
            &add(code("default_domain")),
            &present(),
            "Clean: NOT NULL column code without a server default: its domain has one",
        );
        check(
            ID,
            &add(code("odd_type")),
            &present(),
            "Unknown: NOT NULL column code without a server default: its type cannot be looked up: \
             no type odd_type is there yet",
        );
    }

    #[test]
    fn only_a_probe_proves_a_table_empty() {
        let clean =
            "Clean: NOT NULL column code without a server default: users has no row".to_owned();
        let empty = TableFacts {
            any_row: Fact::Known(false),
            ..present()
        };
        check(ID, &add(code("text")), &empty, &clean);
        check(ID, &add(code("odd_type")), &empty, &clean);
        let unseen = TableFacts {
            any_row: unknown("the probe took longer than 5 s"),
            ..present()
        };
        check(
            ID,
            &add(code("text")),
            &unseen,
            "Unknown: NOT NULL column code without a server default: whether users has rows cannot \
             be seen: the probe took longer than 5 s",
        );
    }

    #[test]
    fn a_column_that_is_there_already_is_skipped() {
        let again = add(column("email").with_nullable(false));
        check(
            ID,
            &again,
            &present(),
            "Clean: NOT NULL column email without a server default: users has it already",
        );
    }

    #[test]
    fn other_servers_invent_a_value_or_refuse() {
        use dbop_model::finding::HintPolicy;
        use dbop_model::operation::Statement;
        use dbop_model::table::Settings;

        use crate::testing::{NOW, facts_of, other};

        let on = |engine, sql_type: &str, strict: Option<bool>| {
            let statements = add(code(sql_type)).map(Statement::from);
            let mut facts = facts_of(&statements, present());
            facts.settings = strict.map_or_else(
                || unknown("nobody asked"),
                |strict| {
                    Fact::Known(Settings {
                        strict,
                        ..Settings::default()
                    })
                },
            );
            let server = match engine {
                Engine::MySql => other(engine, 9, 7),
                _ => other(engine, 11, 4),
            };
            let policy = HintPolicy::default();
            let judgement = crate::judge(&server, &statements, &facts, &policy, NOW);
            let found = judgement.findings.iter().find(|f| f.rule == ID);
            found.unwrap().verdict.as_str()
        };
        for (sql_type, strict, mysql) in [
            ("int", true, "ImplicitValue"),
            ("enum('a','b')", true, "ImplicitValue"),
            ("json", true, "ImplicitValue"),
            ("timestamp", true, "ImplicitValue"),
            ("date", true, "WillFail"),
            ("datetime(6)", true, "WillFail"),
            ("point", true, "WillFail"),
            ("date", false, "ImplicitValue"),
        ] {
            assert_eq!(
                on(Engine::MySql, sql_type, Some(strict)),
                mysql,
                "{sql_type}"
            );
            let mariadb = on(Engine::MariaDb, sql_type, Some(strict));
            // It has a value for a shape, and none for a date that it does not take (TRADITIONAL).
            let refuses = mysql == "WillFail" && sql_type != "point";
            let expect = if refuses { "WillFail" } else { "ImplicitValue" };
            assert_eq!(mariadb, expect, "{sql_type}");
        }
        assert_eq!(on(Engine::MySql, "date", None), "Unknown");
        assert_eq!(on(Engine::MySql, "int", None), "ImplicitValue");
    }
}
