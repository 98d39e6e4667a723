//! Judges schema operations against facts of the live database, purely.
//!
//! A migration says what it will do to the schema ([`Statement`]). [`facts_wanted`] says what has to be
//! known of the database for that; a backend reads it; [`judge`] makes findings of it. Nothing here has a
//! connection or a clock, and a fact that could not be had is a finding too, never silence.
//!
//! ```
//! use dbop_hints::{facts_wanted, judge};
//! use dbop_model::finding::{HintPolicy, Verdict, gate, Gate};
//! use dbop_model::operation::{Column, Operation, Statement};
//! use dbop_model::table::{ColumnFacts, NullProbe, TableFacts, TableFactsSet, TableKind, TableState};
//! use dbop_model::{Engine, Fact, ServerInfo};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A migration says: users.email becomes NOT NULL.
//! let email = Column::new("email".parse()?).with_nullable(false);
//! let statements = [Statement::from(Operation::alter_column("app.users".parse()?, vec![email])?)];
//!
//! // Somebody with a connection reads the facts that this needs ...
//! assert!(!facts_wanted(&statements).is_empty());
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
//!         computed: None,
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
//! let judgement = judge(&server, &statements, &facts, &policy, now);
//! assert_eq!(judgement.findings[0].verdict, Verdict::WillFail);
//! assert!(matches!(gate(&judgement, &policy), Gate::Stop(_)));
//! # Ok(())
//! # }
//! ```

mod case;
mod effect;
mod expression;
mod judge;
mod loose;
mod pages;
mod partition;
mod passes;
pub mod render;
pub mod rules;
mod size;
mod sql;
mod steps;
mod trial;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;

use std::collections::BTreeSet;

use jiff::Timestamp;

use dbop_model::finding::{
    Finding, HintMode, HintPolicy, Judgement, NotJudged, Predicted, Verdict,
};
use dbop_model::operation::{ConstraintKind, Operation, ReadingKind, Statement, Validity};
use dbop_model::table::{FactRequest, TableFactsSet};
use dbop_model::trial::Trial;
use dbop_model::{Fact, ServerInfo};

use crate::case::Case;
pub use crate::pages::pages;
pub use crate::render::{line, render};
pub use crate::rules::{RULES, Rule};
use crate::steps::Standing;
pub use crate::trial::trials_wanted;

/// The facts that judging these statements needs.
pub fn facts_wanted(statements: &[Statement]) -> BTreeSet<FactRequest> {
    let mut wanted = BTreeSet::new();
    wanted.extend(loose::wants(statements));
    for step in steps::walk(statements) {
        effect::wants(&step, &mut wanted);
        for rule in RULES {
            (rule.wants)(&step, &mut wanted);
        }
    }
    wanted
}

/// Judges statements in their order. `facts` are what was read of [`facts_wanted`]; `policy` is the one of
/// the very migration ([`HintPolicy::for_migration`]). In mode `Off` nothing is analysed.
pub fn judge(
    server: &ServerInfo,
    statements: &[Statement],
    facts: &TableFactsSet,
    policy: &HintPolicy,
    now: Timestamp,
) -> Judgement {
    if policy.mode == HintMode::Off {
        return Judgement::not_analysed(now);
    }
    let mut cases: Vec<Case<'_>> = steps::walk(statements)
        .into_iter()
        .map(|step| Case::new(server, step, facts, policy))
        .collect();
    effect::predict(&mut cases);
    // What the statements do that could be read counts all the same.
    let analysed = statements.iter().all(|one| one.unread.is_none());
    let mut judgement = Judgement {
        analysed,
        predicted: cases.iter().filter(is_told).map(predicted).collect(),
        findings: Vec::new(),
        not_judged: unread(statements),
        not_tried: not_tried(statements, facts),
        taken_at: facts.taken_at,
    };
    for case in cases.iter().filter(|case| !passes::is_passed_over(case)) {
        judgement.not_judged.extend(not_judged(case));
    }
    for (at, statement) in statements.iter().enumerate() {
        let of_it = cases.iter().filter(|case| case.step.at == at);
        let of_it = of_it.filter(|case| !passes::is_passed_over(case));
        let found = of_it.flat_map(|case| RULES.iter().flat_map(|rule| (rule.judge)(case)));
        judgement
            .findings
            .extend(one_of_each_cause(found.collect()));
        let loose = loose::judge(server.engine, statements, at, facts);
        judgement.not_judged.extend(loose.not_judged);
        judgement.findings.extend(loose.finding);
        judgement.not_judged.extend(not_read(statement, facts));
    }
    for finding in &mut judgement.findings {
        finding.accepted = policy
            .accepted(&finding.rule, &finding.table)
            .map(str::to_owned);
    }
    judgement
}

/// What the server says of a statement is left out where a rule says why it fails: it is the same cause in other words.
fn one_of_each_cause(mut findings: Vec<Finding>) -> Vec<Finding> {
    let is_reading = |finding: &Finding| finding.claim.starts_with(rules::NOT_UNDERSTOOD);
    let fails = |finding: &Finding| finding.verdict == Verdict::WillFail;
    if findings.iter().any(|one| fails(one) && !is_reading(one)) {
        findings.retain(|one| !is_reading(one));
    }
    findings
}

/// A statement of which the server was to say something, and could not be asked.
fn not_read(statement: &Statement, facts: &TableFactsSet) -> Option<NotJudged> {
    if statement.operations.is_empty() {
        return None;
    }
    let asked = statement.readings.iter();
    let asked = asked.filter(|reading| reading.kind != ReadingKind::Statement);
    let why = asked.filter_map(|reading| match facts.readings.get(reading) {
        Some(Fact::Unknown(why)) => Some(why),
        _ => None,
    });
    why.take(1).next().map(|why| NotJudged {
        operation: name_of(statement),
        why: format!("what it names beside its table is not looked up: {why}"),
        unread: false,
    })
}

/// Is it more than a part of a new table? A foreign key is: it concerns the other one.
fn is_told(case: &&Case<'_>) -> bool {
    let mut told = case.step.statement.told();
    told.any(|one| std::ptr::eq(one, case.step.operation))
}

fn predicted(case: &Case<'_>) -> Predicted {
    Predicted {
        statement: case.step.at,
        operation: case.step.operation.to_string(),
        table: case.table().clone(),
        effect: case.prediction.effect.clone(),
    }
}

/// Statements that were to be tried, and why they were not.
fn not_tried(statements: &[Statement], facts: &TableFactsSet) -> Vec<String> {
    let reason = |(at, trial): (&usize, &Fact<Trial>)| {
        let Fact::Unknown(why) = trial else {
            return None;
        };
        let line = statements.get(*at)?.line?;
        Some(format!("line {line}: {why}"))
    };
    facts.trials.iter().filter_map(reason).collect()
}

/// A statement's place and words.
pub(crate) fn name_of(statement: &Statement) -> String {
    match (&statement.text, statement.line) {
        (Some(text), Some(line)) => format!("line {line}: {text}"),
        (Some(text), None) => text.clone(),
        (None, Some(line)) => format!("line {line}"),
        (None, None) => "a statement".to_owned(),
    }
}

/// Statements of which nobody knows what they do.
fn unread(statements: &[Statement]) -> Vec<NotJudged> {
    statements
        .iter()
        .filter_map(|statement| {
            statement.unread.as_ref().map(|why| NotJudged {
                operation: name_of(statement),
                why: why.clone(),
                unread: true,
            })
        })
        .collect()
}

/// What the migration makes before an operation, of whose query nothing but its words is known.
fn new_in_the_way(case: &Case<'_>) -> Option<&'static str> {
    if !case.step.statement.is_sql() {
        return None;
    }
    let operation = case.step.operation;
    if matches!(operation, Operation::CreateIndex { .. })
        && matches!(case.standing, Standing::New)
        && !case.step.statement.defines(operation)
        && case.as_defined().is_none()
    {
        return Some("the columns of what this migration makes by a query are not looked up");
    }
    let takes_away = match operation {
        Operation::DropTable { dropping, .. } => !dropping.cascade,
        Operation::DropColumn { .. } => true,
        Operation::AlterColumn { columns, .. } => {
            columns.iter().any(|column| column.sql_type.is_some())
        }
        _ => false,
    };
    let reads = |text: &&str| {
        let words: Vec<String> = text
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .map(str::to_lowercase)
            .collect();
        let makes = words.first().is_some_and(|word| word == "create");
        makes
            && words.iter().take(6).any(|word| word == "view")
            && words
                .iter()
                .any(|word| *word == case.table().name().to_lowercase())
    };
    let is_postgres = case.server.engine == dbop_model::Engine::PostgreSql;
    (is_postgres && takes_away && case.step.said_before().iter().any(reads)).then_some(
        "a view that this migration makes reads the table, and what it needs is not looked up",
    )
}

/// What of an operation no rule covers.
fn not_judged(case: &Case<'_>) -> Option<NotJudged> {
    let of_new = || {
        Some(NotJudged {
            operation: case.step.operation.to_string(),
            why: new_in_the_way(case)?.to_owned(),
            unread: false,
        })
    };
    if let Some(new) = of_new() {
        return Some(new);
    }
    if case.is_empty() || !matches!(case.standing, Standing::Present(_)) {
        return None;
    }
    let Operation::AddConstraint { constraint, .. } = case.step.operation else {
        return None;
    };
    let what = match (constraint.kind(), constraint.validity) {
        (ConstraintKind::Check, Validity::AllRows) if constraint.expression.is_none() => {
            "whether every row meets the condition"
        }
        (ConstraintKind::Exclude, _) if rules::excluded_key(constraint).is_none() => {
            "whether two rows exclude each other"
        }
        (ConstraintKind::ForeignKey, Validity::AllRows) if constraint.references.is_none() => {
            "whether every value is in the other table"
        }
        _ => return None,
    };
    Some(NotJudged {
        operation: case.step.operation.to_string(),
        why: format!("{what} is not looked at"),
        unread: false,
    })
}

#[cfg(test)]
mod tests {
    use dbop_model::finding::{Gate, gate};
    use dbop_model::operation::Constraint;

    use super::*;
    use crate::testing::{NOW, column, facts_of, name, present, server};

    #[test]
    fn what_no_rule_covers_is_listed() {
        let check = Constraint::new(ConstraintKind::Check, vec![name("email")]).unwrap();
        let operation = Operation::AddConstraint {
            table: "app.users".parse().unwrap(),
            constraint: check,
        };
        let unread = Statement {
            unread: Some("it is no statement that is known".to_owned()),
            line: Some(7),
            text: Some("FROBNICATE users".to_owned()),
            ..Statement::default()
        };
        let statements = [Statement::from(operation), unread];
        let facts = facts_of(&statements, present());
        let policy = HintPolicy::default();
        let judgement = judge(&server(18), &statements, &facts, &policy, NOW);
        let got: Vec<String> = judgement
            .not_judged
            .into_iter()
            .map(|not| format!("{}: {}", not.operation, not.why))
            .collect();
        assert_eq!(
            got,
            [
                "line 7: FROBNICATE users: it is no statement that is known",
                "addConstraint app.users(email) check: whether every row meets the condition is not \
                 looked at",
            ]
        );
        assert_eq!(judgement.predicted.len(), 1);
        assert!(!judgement.analysed, "a statement could not be read");
    }

    #[test]
    fn mode_off_looks_at_nothing() {
        let policy = HintPolicy {
            mode: HintMode::Off,
            ..HintPolicy::default()
        };
        let operation =
            Operation::add_column("app.users".parse().unwrap(), vec![column("a")]).unwrap();
        let statements = [Statement::from(operation)];
        let facts = facts_of(&statements, present());
        let judgement = judge(&server(18), &statements, &facts, &policy, NOW);
        assert_eq!(judgement, Judgement::not_analysed(NOW));
    }

    #[test]
    fn an_accepted_finding_carries_its_reason() {
        use dbop_model::finding::Accept;
        let table: dbop_model::table::TableName = "app.users".parse().unwrap();
        let operation =
            Operation::add_column(table, vec![column("a").with_nullable(false)]).unwrap();
        let statements = [Statement::from(operation)];
        let facts = facts_of(&statements, present());
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
        let judgement = judge(&server(18), &statements, &facts, &policy, NOW);
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
}
