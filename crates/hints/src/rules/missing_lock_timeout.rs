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
            format!("or begin the migration with {unit}, and have it try again"),
        ],
        ..case.finding(RULE.id, Verdict::Contends, claim)
    }]
}
