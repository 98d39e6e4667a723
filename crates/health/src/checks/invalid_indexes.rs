//! Are there indexes that no query may use? They cost every write, and what they should prove is not proven.

use dbop_model::Why;
use dbop_model::health::{Check, InvalidIndex, Problem, State};

use super::{Case, CheckRow, Judge, known, outcome};
use crate::words::names;

pub(super) const ROW: CheckRow = CheckRow {
    check: Check::InvalidIndexes,
    title: "indexes that no query may use",
    judge: Judge::Looked(|case| known(judge(case))),
};

fn judge<'a>(case: &Case<'a>) -> Result<State, &'a Why> {
    let seen = case.facts.invalid_indexes.as_result()?;
    let found: Vec<&InvalidIndex> = seen
        .listed
        .iter()
        .filter(|one| !case.spec.ignores_of(Check::InvalidIndexes, &one.table))
        .collect();
    let problem = found.first().map(|first| {
        let named = found
            .iter()
            .map(|one| format!("{} on {}", one.index, one.table));
        Problem {
            table: (found.len() == 1).then(|| first.table.clone()),
            message: format!(
                "invalid: {}",
                names(&named.collect::<Vec<_>>(), seen.more)
            ),
            advice: "an index build has failed: DROP INDEX CONCURRENTLY and build it again, or REINDEX INDEX CONCURRENTLY; \
                     one of a partitioned table becomes valid when every partition has its part"
                .to_owned(),
        }
    });
    Ok(outcome(problem.into_iter().collect(), seen.hidden.as_ref()))
}

#[cfg(test)]
mod tests {
    use dbop_model::Fact;
    use dbop_model::health::{HealthSpec, Ignore, Listed};

    use super::*;
    use crate::testing::{is_ok, is_unknown, problem, state, table, well};

    #[test]
    fn one_is_enough() {
        let mut facts = well();
        is_ok(&facts, Check::InvalidIndexes);
        facts.invalid_indexes = Fact::Known(Listed::all(vec![InvalidIndex {
            table: table("app.orders"),
            index: "orders_email".to_owned(),
        }]));
        let said = problem(&facts, Check::InvalidIndexes);
        assert!(
            said.starts_with("invalid: orders_email on app.orders; "),
            "{said}"
        );
        let spec = HealthSpec {
            ignore: vec![Ignore {
                check: Check::InvalidIndexes,
                table: Some(table("app.orders")),
                reason: "it is built tonight".to_owned(),
            }],
            ..HealthSpec::default()
        };
        assert_eq!(state(&facts, &spec, Check::InvalidIndexes), State::Ok);
    }

    #[test]
    fn unseen_is_unknown() {
        let mut facts = well();
        facts.invalid_indexes = Fact::Unknown(Why::new("slow"));
        is_unknown(&facts, Check::InvalidIndexes, "slow");
    }
}
