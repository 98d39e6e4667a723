//! Judges schema operations against facts of the live database, purely.
//!
//! A migration says what it will do to the schema ([`Operation`]). [`facts_wanted`] says what has to be
//! known of the database for that; a backend reads it; [`judge`] makes findings of it. Nothing here has a
//! connection or a clock, and a fact that could not be had is a finding too, never silence.
//!
//! ```
//! use dbop_hints::{facts_wanted, judge};
//! use dbop_model::finding::{HintPolicy, Verdict, gate, Gate};
//! use dbop_model::operation::{Column, Operation};
//! use dbop_model::table::{ColumnFacts, NullProbe, TableFacts, TableFactsSet, TableKind, TableState};
//! use dbop_model::{Engine, Fact, ServerInfo};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A migration says: users.email becomes NOT NULL.
//! let email = Column::new("email".parse()?).with_nullable(false);
//! let operations = [Operation::alter_column("app.users".parse()?, vec![email])?];
//!
//! // Somebody with a connection reads the facts that this needs ...
//! assert!(!facts_wanted(&operations).is_empty());
//! let mut users = TableFacts::new(TableKind::Ordinary);
//! users.any_row = Fact::Known(true);
//! users.columns.insert(
//!     "email".parse()?,
//!     ColumnFacts {
//!         sql_type: "text".into(),
//!         nullable: true,
//!         has_default: false,
//!         proven_not_null_by: None,
//!         charset: None,
//!         collation: None,
//!         generated: None,
//!     },
//! );
//! let probe = NullProbe { found: true, took: Duration::from_millis(41) };
//! users.nulls.insert("email".parse()?, Fact::Known(probe));
//! let now = "2026-01-01T12:00:00Z".parse()?;
//! let mut facts = TableFactsSet::new(now);
//! facts.tables.insert("app.users".parse()?, Fact::Known(TableState::Present(Box::new(users))));
//!
//! // ... and the rules judge.
//! let address = "db:5432/shop".to_owned();
//! let server = ServerInfo { engine: Engine::PostgreSql, major: 18, minor: 6, address };
//! let policy = HintPolicy::default();
//! let judgement = judge(&server, &operations, &facts, &policy, now);
//! assert_eq!(judgement.findings[0].verdict, Verdict::WillFail);
//! assert!(matches!(gate(&judgement, &policy), Gate::Stop(_)));
//! # Ok(())
//! # }
//! ```

mod case;
mod effect;
mod expression;
pub mod render;
pub mod rules;
mod size;
mod steps;

#[cfg(test)]
mod testing;

use std::collections::BTreeSet;

use jiff::Timestamp;

use dbop_model::ServerInfo;
use dbop_model::finding::{HintMode, HintPolicy, Judgement, NotJudged};
use dbop_model::operation::{Column, Operation, ServerDefault};
use dbop_model::table::{FactRequest, TableFactsSet};

use crate::case::Case;
pub use crate::render::{line, render};
pub use crate::rules::{RULES, Rule};

/// The facts that judging these operations needs.
pub fn facts_wanted(operations: &[Operation]) -> BTreeSet<FactRequest> {
    let mut wanted = BTreeSet::new();
    for step in steps::walk(operations) {
        for rule in RULES {
            (rule.wants)(&step, &mut wanted);
        }
    }
    wanted
}

/// Judges operations in their order. `facts` are what was read of [`facts_wanted`]; `policy` is the one of
/// the very migration ([`HintPolicy::for_migration`]). In mode `Off` nothing is analysed.
pub fn judge(
    server: &ServerInfo,
    operations: &[Operation],
    facts: &TableFactsSet,
    policy: &HintPolicy,
    now: Timestamp,
) -> Judgement {
    if policy.mode == HintMode::Off {
        return Judgement::not_analysed(now);
    }
    let mut judgement = Judgement {
        analysed: true,
        predicted: Vec::new(),
        findings: Vec::new(),
        not_judged: Vec::new(),
        taken_at: facts.taken_at,
    };
    for step in steps::walk(operations) {
        let operation = step.operation;
        judgement.not_judged.extend(not_judged(server, operation));
        let case = Case::new(server, step, facts, policy);
        for rule in RULES {
            judgement.findings.extend((rule.judge)(&case));
        }
    }
    for finding in &mut judgement.findings {
        finding.accepted = policy
            .accepted(&finding.rule, &finding.table)
            .map(str::to_owned);
    }
    judgement
}

/// What of an operation no rule covers.
fn not_judged(server: &ServerInfo, operation: &Operation) -> Option<NotJudged> {
    let without_rule = match operation {
        // Nobody reads or writes a table that is not there yet.
        Operation::CreateTable { .. } => return None,
        Operation::AlterColumn { columns, .. } => parts_without_rule(columns)?,
        _ if RULES.iter().any(|rule| (rule.covers)(operation)) => return None,
        Operation::AddConstraint { constraint, .. } => {
            format!("addConstraint of kind {}", constraint.kind())
        }
        _ => operation.op().to_owned(),
    };
    Some(NotJudged {
        operation: operation.to_string(),
        why: format!("no rule for {without_rule} on {server} yet"),
    })
}

fn parts_without_rule(columns: &[Column]) -> Option<String> {
    let any = |is_there: fn(&Column) -> bool| columns.iter().any(is_there);
    let parts = [
        (any(|column| column.sql_type.is_some()), "a change of type"),
        (
            any(|column| column.default != ServerDefault::NotSaid),
            "a change of default",
        ),
        (
            any(|column| column.nullable == Some(true)),
            "dropping NOT NULL",
        ),
    ];
    let found: Vec<&str> = parts
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, part)| part)
        .collect();
    if found.is_empty() {
        None
    } else {
        Some(found.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use dbop_model::Fact;
    use dbop_model::finding::{Gate, Verdict, gate};
    use dbop_model::operation::{Constraint, ConstraintKind, Index, IndexKind};
    use dbop_model::table::TableState;

    use super::*;
    use crate::testing::{NOW, column, facts_of, name, present, server};

    fn not_judged_of(operation: Operation) -> Vec<String> {
        let facts = facts_of(std::slice::from_ref(&operation), present());
        let policy = HintPolicy::default();
        let judgement = judge(&server(18), &[operation], &facts, &policy, NOW);
        judgement
            .not_judged
            .into_iter()
            .map(|not| format!("{}: {}", not.operation, not.why))
            .collect()
    }

    #[test]
    fn what_no_rule_covers_is_listed() {
        let index = Index::new(IndexKind::Plain, vec![name("email")]);
        let table = || "app.users".parse().unwrap();
        assert_eq!(
            not_judged_of(Operation::CreateIndex {
                table: table(),
                index
            }),
            ["createIndex app.users(email) plain: no rule for createIndex on PostgreSQL 18.6 yet"]
        );
        let unique = Constraint::new(ConstraintKind::Unique, vec![name("email")]).unwrap();
        assert_eq!(
            not_judged_of(Operation::AddConstraint {
                table: table(),
                constraint: unique
            }),
            [
                "addConstraint app.users(email) unique: no rule for addConstraint of kind unique on \
              PostgreSQL 18.6 yet"
            ]
        );
        let bigint = column("id")
            .with_type("bigint".parse().unwrap())
            .with_nullable(false);
        assert_eq!(
            not_judged_of(Operation::alter_column(table(), vec![bigint]).unwrap()),
            [
                "alterColumn app.users.id bigint NOT NULL: no rule for a change of type on \
              PostgreSQL 18.6 yet"
            ]
        );
        assert!(not_judged_of(Operation::CreateTable { table: table() }).is_empty());
        let plain = Operation::add_column(table(), vec![column("a")]).unwrap();
        assert!(not_judged_of(plain).is_empty());
    }

    #[test]
    fn mode_off_looks_at_nothing() {
        let policy = HintPolicy {
            mode: HintMode::Off,
            ..HintPolicy::default()
        };
        let operation =
            Operation::add_column("app.users".parse().unwrap(), vec![column("a")]).unwrap();
        let facts = facts_of(std::slice::from_ref(&operation), present());
        let judgement = judge(&server(18), &[operation], &facts, &policy, NOW);
        assert_eq!(judgement, Judgement::not_analysed(NOW));
    }

    #[test]
    fn an_accepted_finding_carries_its_reason() {
        use dbop_model::finding::Accept;
        let table: dbop_model::table::TableName = "app.users".parse().unwrap();
        let operation =
            Operation::add_column(table, vec![column("a").with_nullable(false)]).unwrap();
        let facts = facts_of(std::slice::from_ref(&operation), present());
        let accept = Accept::new(
            None,
            "not-null-without-default",
            "users".parse().unwrap(),
            "the container empties the table first",
        );
        let policy = HintPolicy {
            accept: vec![accept.unwrap()],
            ..HintPolicy::default()
        };
        let judgement = judge(&server(18), &[operation], &facts, &policy, NOW);
        let failing = judgement
            .findings
            .iter()
            .find(|f| f.verdict == Verdict::WillFail)
            .unwrap();
        assert_eq!(
            failing.accepted.as_deref(),
            Some("the container empties the table first")
        );
        assert_eq!(gate(&judgement, &policy), Gate::Clear);
    }

    fn any_operation() -> impl Strategy<Value = Operation> {
        let table = || "[ab]".prop_map(|text| text.parse().unwrap());
        let columns = || {
            (
                "[cd]",
                any::<Option<bool>>(),
                "(text|serial|odd_type)?",
                "(now\\(\\)|f\\(\\)|3)?",
            )
                .prop_map(|(name, nullable, sql_type, default)| {
                    let mut column = column(&name);
                    column.nullable = nullable;
                    column.sql_type = sql_type.parse().ok();
                    let default = Some(default.as_str()).filter(|text| !text.is_empty());
                    column.default = ServerDefault::new(None, default).unwrap();
                    vec![column]
                })
        };
        prop_oneof![
            4 => (table(), columns()).prop_map(|(t, c)| Operation::add_column(t, c).unwrap()),
            4 => (table(), columns()).prop_map(|(t, c)| {
                let c = c.into_iter().map(|c| c.with_nullable(false)).collect();
                Operation::alter_column(t, c).unwrap()
            }),
            1 => table().prop_map(|table| Operation::CreateTable { table }),
            1 => table().prop_map(|table| Operation::DropTable { table }),
            1 => (table(), table()).prop_map(|(table, to)| Operation::RenameTable { table, to }),
            1 => (table(), "[cd]", "[cd]").prop_map(|(table, from, to)| {
                Operation::RenameColumn { table, from: name(&from), to: name(&to) }
            }),
        ]
    }

    proptest! {
        /// With no fact known at all, no operation is ever called clean, unless nothing of today's
        /// database can matter to it (every table in question was made by the same migration).
        #[test]
        fn nothing_known_is_never_clean(
            operations in prop::collection::vec(any_operation(), 1..6)
        ) {
            let nothing = TableFactsSet::new(NOW);
            let judgement = judge(&server(18), &operations, &nothing, &HintPolicy::default(), NOW);
            let made = operations.iter().any(|o| matches!(o, Operation::CreateTable { .. }));
            prop_assert!(made || judgement.findings.iter().all(|f| f.verdict != Verdict::Clean));
        }

        /// A table that is proven empty never stops or delays a migration.
        #[test]
        fn an_empty_table_is_never_reported(
            operations in prop::collection::vec(any_operation(), 1..6)
        ) {
            let mut empty = present();
            empty.any_row = Fact::Known(false);
            let facts = facts_of(&operations, empty);
            let judgement = judge(&server(18), &operations, &facts, &HintPolicy::default(), NOW);
            for finding in &judgement.findings {
                prop_assert!(
                    finding.verdict == Verdict::Clean || finding.rule == "missing-object",
                    "{finding:?}"
                );
            }
        }

        /// Every fact that a rule reads was asked for: none is unknown because nobody looked.
        #[test]
        fn what_is_read_was_asked_for(operations in prop::collection::vec(any_operation(), 1..6)) {
            let facts = facts_of(&operations, present());
            prop_assert!(
                facts.tables.values().all(|t| matches!(t, Fact::Known(TableState::Present(_))))
            );
            let judgement = judge(&server(18), &operations, &facts, &HintPolicy::default(), NOW);
            for finding in &judgement.findings {
                prop_assert!(!format!("{finding:?}").contains("not looked up"), "{finding:?}");
            }
        }
    }
}
