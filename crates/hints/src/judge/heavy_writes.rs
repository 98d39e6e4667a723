//! Does a statement shut writers out of a large table that is under heavy writes, or do their changes overflow the log
//! of an online change? The judge that the heavy-writes rules share. Where the rate can be measured and has not been,
//! one look being none, writers that would wait are waited for: the next look knows.

use dbop_model::finding::{Effect, Finding, Lock, Verdict};
use dbop_model::operation::{Algorithm, Locking};
use dbop_model::table::{TableFacts, TableName, WriteRate};

use dbop_model::{Fact, Why};

use crate::case::{self, Case};
use crate::judge::{advice, large_table};
use crate::size::{Size, bytes_in_words, per_second_in_words};
use crate::steps::Standing;

/// `innodb_online_alter_log_max_size` where nobody has set it (MySQL 8.4 manual, section 17.14).
const ONLINE_LOG_BYTES: u64 = 128 * 1024 * 1024;

/// Judges an operation by its predicted effect, the table's size and its writes.
pub(crate) fn judge(case: &Case<'_>, rule: &str, what: &str) -> Vec<Finding> {
    let Standing::Present(facts) = &case.standing else {
        return Vec::new();
    };
    let Some(effect) = case.prediction.effect.known() else {
        return Vec::new();
    };
    if case.is_empty() {
        return Vec::new();
    }
    let heavy = case.policy.heavy_writes_per_second;
    let busiest = written(case, facts)
        .into_iter()
        .filter(|(_, rate)| is_heavy(rate, heavy))
        .max_by(|(_, one), (_, two)| one.per_second.total_cmp(&two.per_second));
    let claim = if let (true, Some((table, rate))) = (effect.blocks_writes, busiest) {
        let per_second = per_second_in_words(rate.per_second);
        format!("{what}: writers wait meanwhile, and {table} has {per_second}")
    } else if let Some((grows, bytes)) = overflow(case, facts, effect) {
        format!(
            "{what}: the changes of others are kept until it is done, about {}, and the server \
             keeps at most {}, so it fails at the end",
            bytes_in_words(grows),
            bytes_in_words(bytes)
        )
    } else if let (true, Some((table, why))) = (effect.blocks_writes, unmeasured(case, facts)) {
        let claim = format!(
            "{what}: writers wait meanwhile, and how many {table} has is not known yet: {why}"
        );
        let verdict = case::unknown(why);
        return vec![Finding {
            evidence: large_table::evidence(case, facts),
            effect: Some(effect.clone()),
            ..case.finding(rule, verdict, claim)
        }];
    } else {
        return Vec::new();
    };
    vec![Finding {
        evidence: large_table::evidence(case, facts),
        effect: Some(effect.clone()),
        advice: advice::of(case),
        ..case.finding(rule, Verdict::Contends, claim)
    }]
}

/// The table and the other end of a foreign key, where large and their writes were measured.
fn written<'a>(case: &'a Case<'_>, facts: &'a TableFacts) -> Vec<(&'a TableName, &'a WriteRate)> {
    large(case, facts)
        .into_iter()
        .filter_map(|(table, facts)| Some((table, facts.writes.known()?)))
        .collect()
}

/// A large one whose writes another look tells. A server that does not tell them, ever, holds up nothing: there the
/// size speaks alone.
fn unmeasured<'a>(case: &'a Case<'_>, facts: &'a TableFacts) -> Option<(&'a TableName, &'a Why)> {
    large(case, facts)
        .into_iter()
        .find_map(|(table, facts)| match &facts.writes {
            Fact::Unknown(why) if why.is_passing() => Some((table, why)),
            _ => None,
        })
}

/// The table and the other end of a foreign key, where large.
fn large<'a>(case: &'a Case<'_>, facts: &'a TableFacts) -> Vec<(&'a TableName, &'a TableFacts)> {
    let own = (large_table::size(case, facts) == Size::Large).then_some((case.table(), facts));
    let others = case.prediction.also.iter().filter_map(|table| {
        let facts = case.facts_of(table)?;
        // Where the work is over both, writers of both wait for all of it.
        (large_table::size(case, facts) == Size::Large).then_some((table, facts))
    });
    own.into_iter().chain(others).collect()
}

/// Is a rate at or over a threshold?
pub(crate) fn is_heavy(rate: &WriteRate, per_second: u64) -> bool {
    // Thresholds are far below 2^53, where a float is exact.
    rate.per_second >= per_second as f64
}

/// Bytes of changes that others make during an online change in place, and how many the server keeps, where those are
/// fewer (MySQL 8.4 manual, section 17.12.3). A copy and an instant change keep none in that log.
fn overflow(case: &Case<'_>, facts: &TableFacts, effect: &Effect) -> Option<(u64, u64)> {
    let rate = facts.writes.known()?;
    if large_table::size(case, facts) != Size::Large {
        return None;
    }
    let in_place = matches!(
        effect.algorithm,
        Some(Algorithm::InPlace | Algorithm::NoCopy)
    );
    if !in_place || effect.lock != Lock::Metadata(Locking::None) {
        return None;
    }
    let (bytes, rows) = (*facts.bytes.known()?, facts.rows.known()?.rows.max(1));
    let row_bytes = (bytes / rows).max(1);
    let seconds = effect.duration?.to.as_secs_f64();
    let grows = (rate.per_second * seconds * row_bytes as f64) as u64;
    let kept = case
        .settings()
        .known()
        .and_then(|settings| settings.online_log_bytes)
        .unwrap_or(ONLINE_LOG_BYTES);
    (grows > kept).then_some((grows, kept))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dbop_model::finding::HintPolicy;
    use dbop_model::operation::{
        Constraint, ConstraintKind, Index, IndexKind, Operation, Statement,
    };
    use dbop_model::{Engine, ServerInfo};

    use super::*;
    use crate::testing::{findings_on, headed, large, name, other, present, server};

    fn written(table: TableFacts, per_second: f64) -> TableFacts {
        TableFacts {
            writes: Fact::Known(WriteRate {
                per_second,
                span: Duration::from_secs(60),
                source: "the server's counters",
            }),
            ..table
        }
    }

    fn index() -> Operation {
        Operation::CreateIndex {
            table: "users".parse().unwrap(),
            index: Index::new(IndexKind::Plain, vec![name("email")]),
        }
    }

    /// What the rule about indexes, or that about constraints, says.
    #[track_caller]
    fn check(server: &ServerInfo, operation: Operation, table: TableFacts, expect: &str) {
        let rule = match &operation {
            Operation::CreateIndex { .. } => "blocking-index-heavy-writes",
            Operation::AddColumn { .. } => "add-column-heavy-writes",
            _ => "constraint-heavy-writes",
        };
        let statements = [Statement::from(operation)];
        let found = findings_on(rule, server, &statements, table, &HintPolicy::default());
        assert_eq!(headed(&found), expect);
    }

    #[test]
    fn writers_that_wait_are_felt_from_the_threshold_on() {
        let waits = |rate: &str| {
            format!(
                "CONTENDS: index on users(email): writers wait meanwhile, and users has {rate} \
                 writes/s"
            )
        };
        let pg = server(18);
        check(&pg, index(), written(large(), 100.0), &waits("100"));
        check(&pg, index(), written(large(), 310.4), &waits("310"));
        check(&pg, index(), written(large(), 99.0), "");
        check(&pg, index(), written(present(), 5000.0), "");
        check(&pg, index(), large(), "");
        let empty = TableFacts {
            any_row: Fact::Known(false),
            ..written(large(), 5000.0)
        };
        check(&pg, index(), empty, "");
        let mut online = index();
        if let Operation::CreateIndex { index, .. } = &mut online {
            index.online = true;
        }
        check(&pg, online, written(large(), 5000.0), "");
    }

    #[test]
    fn a_rate_that_the_next_look_knows_is_waited_for_on_a_large_table_alone() {
        let watched = |table: TableFacts, why: Why| TableFacts {
            writes: Fact::Unknown(why),
            ..table
        };
        let once = || Why::passing("one look tells no rate");
        let pg = server(18);
        check(
            &pg,
            index(),
            watched(large(), once()),
            "UNKNOWN: index on users(email): writers wait meanwhile, and how many users has is not known yet: one \
             look tells no rate",
        );
        check(&pg, index(), watched(present(), once()), "");
        check(
            &pg,
            index(),
            watched(large(), Why::new("no right to see it")),
            "",
        );
        let statements = [Statement::from(index())];
        let policy = HintPolicy::default();
        let rule = "blocking-index-heavy-writes";
        let found = findings_on(rule, &pg, &statements, watched(large(), once()), &policy);
        assert!(found[0].waits(), "looking again helps");
    }

    #[test]
    fn scenarios_of_the_other_families() {
        let serial = crate::testing::column("c").with_type("bigserial".parse().unwrap());
        check(
            &server(18),
            Operation::add_column("users".parse().unwrap(), vec![serial]).unwrap(),
            written(large(), 500.0),
            "CONTENDS: adding users.c: writers wait meanwhile, and users has 500 writes/s",
        );
        let constraint = Constraint::new(ConstraintKind::Check, vec![name("email")]).unwrap();
        check(
            &other(Engine::MySql, 8, 4),
            Operation::AddConstraint {
                table: "users".parse().unwrap(),
                constraint,
            },
            written(large(), 500.0),
            "CONTENDS: CHECK on users(email): writers wait meanwhile, and users has 500 writes/s",
        );
    }

    #[test]
    fn an_online_change_fails_where_the_writes_outgrow_its_log() {
        let mysql = other(Engine::MySql, 9, 7);
        check(
            &mysql,
            index(),
            written(large(), 50_000.0),
            "CONTENDS: index on users(email): the changes of others are kept until it is done, about \
             456.3 MB, and the server keeps at most 134.2 MB, so it fails at the end",
        );
        check(&mysql, index(), written(large(), 500.0), "");
        check(&mysql, index(), large(), "");
    }
}
