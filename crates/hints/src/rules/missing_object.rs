//! `missing-object`: an operation names a table or a column that is not there.
//!
//! Drops are left alone: what is gone already is skipped by a migration that is safe to run again.

use std::collections::BTreeSet;

use dbop_model::Engine;
use dbop_model::finding::{Finding, Verdict};
use dbop_model::operation::{Operation, TableChange};
use dbop_model::table::{ColumnName, FactRequest, TableFacts};

use crate::case::Case;
use crate::rules::Rule;
use crate::steps::{ColumnStanding, Standing, Step, renamed_to};

pub(crate) const RULE: Rule = Rule {
    id: "missing-object",
    title: "An operation names a table or a column that is not there",
    page: &crate::pages::MISSING_OBJECT,
    wants,
    judge,
};

/// The columns that an operation needs to be there; `None`: it does not even need its table.
fn needs(engine: Engine, operation: &Operation) -> Option<Vec<&ColumnName>> {
    match operation {
        // It may name an index, a view or another object of the catalogue.
        Operation::ChangeTable {
            change:
                TableChange::Reindex { by_name: true, .. }
                | TableChange::RenameIndex { .. }
                | TableChange::DropNamedTrigger { .. },
            ..
        } => None,
        // MySQL and MariaDB say so of tables alone.
        Operation::ChangeTable {
            change: TableChange::Catalogue,
            ..
        } if engine == Engine::PostgreSql => None,
        Operation::ChangeTable {
            change: TableChange::HideColumn { name },
            ..
        } => Some(vec![name]),
        Operation::AddColumn { .. }
        | Operation::RenameTable { .. }
        | Operation::ChangeTable { .. } => Some(Vec::new()),
        Operation::AlterColumn { columns, .. } => Some(columns.iter().map(|c| &c.name).collect()),
        Operation::CreateIndex { index, .. } => Some(index.columns().collect()),
        Operation::AddConstraint { constraint, .. } => Some(constraint.columns().iter().collect()),
        Operation::RenameColumn { from, .. } => Some(vec![from]),
        Operation::DropColumn { .. }
        | Operation::DropIndex { .. }
        | Operation::DropConstraint { .. }
        | Operation::CreateTable { .. }
        | Operation::CreateView { .. }
        | Operation::DropView { .. }
        | Operation::DropTable { .. } => None,
    }
}

fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    if needs(Engine::MySql, step.operation).is_some() {
        wanted.extend(step.tables().iter().cloned().map(FactRequest::Table));
    }
    if let Operation::RenameTable { table, to } = step.operation {
        wanted.insert(FactRequest::Table(renamed_to(table, to)));
    }
}

/// Has a rename been done before? A migration that is safe to run again skips it then.
fn is_done(case: &Case<'_>) -> bool {
    // SQL says what is done now.
    if case.step.statement.is_sql() {
        return false;
    }
    match (case.step.operation, &case.standing) {
        (Operation::RenameTable { table, to }, Standing::Missing) => {
            case.is_present(&renamed_to(table, to))
        }
        (Operation::RenameColumn { to, .. }, Standing::Present(facts)) => {
            facts.columns.contains_key(to)
        }
        _ => false,
    }
}

/// What a statement renames is called as before it; indexes and constraints are over columns that it makes, too.
fn is_missing(case: &Case<'_>, facts: &TableFacts, column: &ColumnName) -> bool {
    match case.step.operation {
        Operation::RenameColumn { .. } => matches!(
            case.step.column_before(column, facts),
            ColumnStanding::Missing
        ),
        operation => {
            let made = matches!(
                operation,
                Operation::CreateIndex { .. } | Operation::AddConstraint { .. }
            ) && case.gives(column);
            !made && matches!(case.step.column(column, facts), ColumnStanding::Missing)
        }
    }
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    let defined = case.as_defined();
    let case = defined.as_ref().unwrap_or(case);
    let Some(columns) = needs(case.server.engine, case.step.operation) else {
        return Vec::new();
    };
    if is_done(case) {
        return Vec::new();
    }
    let table = case.table();
    match &case.standing {
        Standing::New | Standing::Unknown(_) => Vec::new(),
        Standing::Missing if case.step.statement.if_table_exists => Vec::new(),
        Standing::Missing => {
            let mut finding = case.finding(
                RULE.id,
                Verdict::WillFail,
                format!("there is no table {table}"),
            );
            finding.evidence = vec![case.seen(format!("no table {table}"), "the catalogue")];
            finding.advice = vec![
                format!("correct the table's name, as schema.table, if it is not {table}"),
                "or put a createTable before it, if this migration creates the table".to_owned(),
            ];
            vec![finding]
        }
        Standing::Present(facts) => columns
            .into_iter()
            .filter(|column| is_missing(case, facts, column))
            .map(|column| {
                let claim = format!("there is no column {column} in {table}");
                let mut finding = case.finding(RULE.id, Verdict::WillFail, claim);
                let value = format!("{} columns, none of them {column}", facts.columns.len());
                finding.evidence = vec![case.seen(value, "the catalogue")];
                finding.advice = vec![
                    format!("correct the column's name, if it is not {column}"),
                    "or put an addColumn before it, if this migration adds the column".to_owned(),
                ];
                finding
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use dbop_model::Fact;
    use dbop_model::finding::HintPolicy;
    use dbop_model::operation::{Dropping, TableOptions};
    use dbop_model::table::{TableFactsSet, TableState};

    use super::*;
    use crate::testing::{NOW, check, column, name, present, server, statements, unknown};
    use crate::{facts_wanted, judge};

    const ID: &str = RULE.id;

    fn add(column_name: &str) -> Operation {
        Operation::add_column("users".parse().unwrap(), vec![column(column_name)]).unwrap()
    }

    fn not_null(column_name: &str) -> Operation {
        let column = column(column_name).with_nullable(false);
        Operation::alter_column("users".parse().unwrap(), vec![column]).unwrap()
    }

    /// In a database whose tables are all of the same state.
    #[track_caller]
    fn check_tables(operations: &[Operation], state: &Fact<TableState>, expect: &[&str]) {
        let mut facts = TableFactsSet::new(NOW);
        for request in facts_wanted(&statements(operations)) {
            facts.tables.insert(request.table().clone(), state.clone());
        }
        let judgement = judge(
            &server(18),
            &statements(operations),
            &facts,
            &HintPolicy::default(),
            NOW,
        );
        let got: Vec<String> = judgement
            .findings
            .iter()
            .map(|f| format!("{} {}: {}", f.rule, f.verdict.as_str(), f.claim))
            .collect();
        assert_eq!(got, expect);
    }

    #[test]
    fn a_table_that_is_not_there() {
        let missing = Fact::Known(TableState::Missing);
        check_tables(
            &[add("a")],
            &missing,
            &["missing-object WillFail: there is no table users"],
        );
        let create = Operation::CreateTable {
            table: "users".parse().unwrap(),
            if_not_exists: false,
            columns: Vec::new(),
            complete: false,
            options: TableOptions::default(),
        };
        check_tables(&[create], &missing, &[]);
        let drop = Operation::DropTable {
            table: "users".parse().unwrap(),
            dropping: Dropping::default(),
        };
        check_tables(&[drop], &missing, &[]);
        let rename = Operation::RenameTable {
            table: "users".parse().unwrap(),
            to: "people".parse().unwrap(),
        };
        check_tables(
            std::slice::from_ref(&rename),
            &missing,
            &["missing-object WillFail: there is no table users"],
        );
    }

    #[test]
    fn what_cannot_be_seen_is_not_missing() {
        check_tables(
            &[not_null("a")],
            &unknown("permission denied for schema app"),
            &[
                "not-null-over-nulls Unknown: users cannot be looked at: permission denied for \
               schema app",
            ],
        );
    }

    #[test]
    fn a_rename_that_ran_before_is_skipped() {
        let rename = Operation::RenameTable {
            table: "users".parse().unwrap(),
            to: "people".parse().unwrap(),
        };
        let mut facts = TableFactsSet::new(NOW);
        facts
            .tables
            .insert("users".parse().unwrap(), Fact::Known(TableState::Missing));
        let people = Fact::Known(TableState::Present(Box::new(present())));
        facts.tables.insert("people".parse().unwrap(), people);
        let judgement = judge(
            &server(18),
            &statements(&[rename]),
            &facts,
            &HintPolicy::default(),
            NOW,
        );
        assert_eq!(judgement.findings, []);
        let rename = Operation::RenameColumn {
            table: "users".parse().unwrap(),
            from: name("mail"),
            to: name("email"),
            if_exists: false,
        };
        check(ID, &[rename], &present(), "");
    }

    #[test]
    fn a_column_that_is_not_there() {
        check(ID, &[not_null("email")], &present(), "");
        check(ID, &[add("emial")], &present(), "");
        check(
            ID,
            &[not_null("emial")],
            &present(),
            "WillFail: there is no column emial in users",
        );
        check(ID, &[add("emial"), not_null("emial")], &present(), "");
    }
}
