//! `missing-lock-timeout`: a statement takes a strong lock on a large table under heavy writes and would wait for it for
//! ever, with every writer behind it.

use std::collections::BTreeSet;
use std::time::Duration;

use dbop_model::Fact;
use dbop_model::finding::{Finding, Lock, Verdict};
use dbop_model::operation::Operation;
use dbop_model::table::FactRequest;

use crate::case::Case;
use crate::judge::{heavy_writes, large_table};
use crate::rules::Rule;
use crate::size::Size;
use crate::steps::{Standing, Step};

pub(crate) const RULE: Rule = Rule {
    id: "missing-lock-timeout",
    title: "A statement would wait for a strong lock on a busy table without a limit",
    page: &crate::pages::MISSING_LOCK_TIMEOUT,
    wants,
    judge,
};

/// A limit beyond this is none: MySQL's own default is a year, MariaDB's a day.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    if !matches!(step.operation, Operation::CreateTable { .. }) {
        wanted.extend(step.tables().iter().cloned().map(FactRequest::Writes));
    }
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    let Standing::Present(facts) = &case.standing else {
        return Vec::new();
    };
    let (Some(effect), Fact::Known(settings), Fact::Known(rate)) = (
        case.prediction.effect.known(),
        case.settings(),
        &facts.writes,
    ) else {
        return Vec::new();
    };
    let timeout = case.step.statement.lock_timeout.or(settings.lock_timeout);
    let is_busy = large_table::size(case, facts) == Size::Large
        && heavy_writes::is_heavy(rate, case.policy.heavy_writes_per_second);
    if timeout.is_some_and(|timeout| timeout <= TIMEOUT_MAX)
        || effect.lock == Lock::ShareUpdateExclusive
        || case.is_empty()
        || !is_busy
    {
        return Vec::new();
    }
    let claim = format!(
        "{}: it would wait for its lock without a limit, and every writer behind it",
        case.step.operation
    );
    let unit = match case.dialect() {
        crate::sql::Dialect::PostgreSql => "SET lock_timeout = '5s'",
        crate::sql::Dialect::MySql => "SET SESSION lock_wait_timeout = 5",
    };
    vec![Finding {
        evidence: large_table::evidence(case, facts),
        effect: Some(effect.clone()),
        advice: vec![
            "set migrations.lockTimeout on the ManagedDatabase".to_owned(),
            format!("or begin the migration so, and have it try again: {unit};"),
        ],
        ..case.finding(RULE.id, Verdict::Contends, claim)
    }]
}

#[cfg(test)]
mod tests {
    use dbop_model::finding::HintPolicy;
    use dbop_model::operation::Statement;
    use dbop_model::table::{Settings, WriteRate};

    use super::*;
    use crate::testing::{NOW, column, facts_of, large, server};

    #[track_caller]
    fn check(settings: Option<u64>, own: Option<u64>, per_second: f64, finds: bool) {
        let seconds = |limit: Option<u64>| limit.map(Duration::from_secs);
        let column = column("c").with_type("text".parse().unwrap());
        let operation = Operation::add_column("users".parse().unwrap(), vec![column]).unwrap();
        let statements = [Statement {
            lock_timeout: seconds(own),
            ..Statement::from(operation)
        }];
        let mut table = large();
        table.writes = Fact::Known(WriteRate {
            per_second,
            span: Duration::from_secs(60),
            source: "the server's counters",
        });
        let mut facts = facts_of(&statements, table);
        facts.settings = Fact::Known(Settings {
            lock_timeout: seconds(settings),
            ..Settings::default()
        });
        let policy = HintPolicy::default();
        let judgement = crate::judge(&server(18), &statements, &facts, &policy, NOW);
        let found = judgement.findings.iter().any(|f| f.rule == RULE.id);
        assert_eq!(found, finds, "{settings:?} {own:?} {per_second}");
    }

    #[test]
    fn a_busy_table_needs_a_limit() {
        check(None, None, 500.0, true);
        check(Some(31_536_000), None, 500.0, true);
        check(None, None, 5.0, false);
        check(Some(5), None, 500.0, false);
        check(None, Some(5), 500.0, false);
    }
}
