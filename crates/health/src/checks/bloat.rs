//! Is much of large tables dead or free space? It is read with every scan, and only a rewrite gives it back.

use dbop_model::Why;
use dbop_model::health::{Bloat, Check, Problem, State};

use super::{Case, CheckRow, Judge, known, outcome};
use crate::words::bytes;

/// Tables that are told of.
const PROBLEMS_MAX: usize = 5;
/// A share changes with every write: in steps of so many percent it stands for a while.
const PERCENT_STEP: u64 = 10;

pub(super) const ROW: CheckRow = CheckRow {
    check: Check::Bloat,
    title: "dead or free space in large tables",
    judge: Judge::Looked(|case| known(judge(case))),
};

fn judge<'a>(case: &Case<'a>) -> Result<State, &'a Why> {
    let seen = case.facts.bloat.as_result()?;
    let problems = seen
        .listed
        .iter()
        .filter(|one| one.bytes >= case.spec.bloat_table_bytes)
        .filter(|one| !case.spec.ignores_of(Check::Bloat, &one.table))
        .filter_map(|one| problem(one, case.spec.bloat_percent))
        .take(PROBLEMS_MAX);
    Ok(outcome(problems.collect(), seen.hidden.as_ref()))
}

fn problem(one: &Bloat, threshold: u8) -> Option<Problem> {
    let percent = (one.share * 10_000.0).round() as u64 / 100;
    let step = (percent - percent % PERCENT_STEP).max(u64::from(threshold));
    (percent >= u64::from(threshold)).then(|| Problem {
        table: Some(one.table.clone()),
        message: format!(
            "{step} % or more {} in {}, of {} or more",
            one.what,
            one.table,
            bytes(one.bytes)
        ),
        advice: "let the server clean up (autovacuum keeps up, no old transaction holds it back), then rewrite the \
                 table where its space is needed"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use dbop_model::Fact;
    use dbop_model::health::{HealthFacts, Listed};

    use super::*;
    use crate::testing::{is_ok, is_unknown, problem, table, well};

    fn with(share: f64, mebibytes: u64) -> HealthFacts {
        let mut facts = well();
        facts.bloat = Fact::Known(Listed::all(vec![Bloat {
            table: table("app.events"),
            bytes: mebibytes << 20,
            share,
            what: "of its rows are dead",
        }]));
        facts
    }

    #[test]
    fn it_fires_at_the_threshold_of_large_tables() {
        is_ok(&with(0.39, 100), Check::Bloat);
        is_ok(&with(0.9, 99), Check::Bloat);
        let said = problem(&with(0.4, 100), Check::Bloat);
        let expect = "40 % or more of its rows are dead in app.events, of 100 MiB or more; ";
        assert!(said.starts_with(expect), "{said}");
        assert_eq!(said, problem(&with(0.49, 150), Check::Bloat));
    }

    #[test]
    fn unseen_is_unknown() {
        let mut facts = well();
        facts.bloat = Fact::Unknown(Why::new("track_counts"));
        is_unknown(&facts, Check::Bloat, "track_counts");
    }
}
