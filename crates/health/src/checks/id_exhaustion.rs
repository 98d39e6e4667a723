//! Do ids run out? Of a table's column: then every insert into it fails. Of transactions (PostgreSQL): then the server
//! takes no writes at all, for any database.

use dbop_model::Why;
use dbop_model::health::{Check, IdUse, Problem, State, TransactionIds};

use super::{Case, CheckRow, Judge, known, outcome};
use crate::words::{percent, step};

/// A server that does not freeze rows although it should for so long, in multiples of when it should begin, does not
/// keep up.
const FREEZE_TIMES_MAX: u64 = 2;
/// Columns that are told of.
const PROBLEMS_MAX: usize = 5;

pub(super) const ROW: CheckRow = CheckRow {
    check: Check::IdExhaustion,
    title: "ids of tables and of transactions against the last that there is",
    judge: Judge::Looked(|case| known(judge(case))),
};

fn judge<'a>(case: &Case<'a>) -> Result<State, &'a Why> {
    let threshold = case.spec.id_percent;
    let of_server = case.facts.transaction_ids.as_result();
    let of_tables = case.facts.ids.as_result();
    let known = of_server.iter().flat_map(|all| all.iter());
    let mut problems: Vec<Problem> = known.filter_map(|one| of_age(one, threshold)).collect();
    let listed = of_tables.iter().flat_map(|seen| seen.listed.iter());
    let used = listed
        .filter(|one| !case.spec.ignores_of(Check::IdExhaustion, &one.table))
        .filter_map(|one| of_column(one, threshold));
    problems.extend(used.take(PROBLEMS_MAX));
    let hidden = of_server.err();
    let hidden = hidden.or(of_tables.map_or_else(Some, |seen| seen.hidden.as_ref()));
    Ok(outcome(problems, hidden))
}

fn of_column(one: &IdUse, threshold: u8) -> Option<Problem> {
    // Two digits behind the point, so that 80 percent of a number are 80.
    let used = (one.share() * 10_000.0).round() as u64 / 100;
    (used >= u64::from(threshold)).then(|| Problem {
        table: Some(one.table.clone()),
        message: format!(
            "{}.{} has used {} % or more of its ids, the last of which is {}",
            one.table,
            one.column,
            step(used),
            one.limit
        ),
        advice:
            "widen the column, or the sequence where that is what ends, before every insert fails"
                .to_owned(),
    })
}

fn of_age(one: &TransactionIds, threshold: u8) -> Option<Problem> {
    let used = percent(one.age, one.limit);
    let message = if used >= u64::from(threshold) {
        format!(
            "{} % or more of the {} are used since rows of database {} were frozen last",
            step(used),
            one.what,
            one.database
        )
    } else if one.age / FREEZE_TIMES_MAX >= one.freeze_at {
        format!(
            "rows of database {} bear {} that are more than {FREEZE_TIMES_MAX} times as old as when they \
             should have been frozen: autovacuum does not keep up",
            one.database, one.what
        )
    } else {
        return None;
    };
    Some(Problem {
        table: None,
        message,
        advice: "end old transactions, prepared transactions and unused replication slots, then VACUUM the tables \
                 with the oldest relfrozenxid or relminmxid"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use dbop_model::Fact;
    use dbop_model::health::{HealthFacts, HealthSpec, Ignore, Listed};

    use super::*;
    use crate::testing::{is_ok, is_unknown, problem, state, table, well};

    fn column(next: i128, hidden: Option<&str>) -> HealthFacts {
        let mut facts = well();
        facts.ids = Fact::Known(Listed {
            hidden: hidden.map(Why::new),
            ..Listed::all(vec![IdUse {
                table: table("app.orders"),
                column: "id".parse().unwrap(),
                next,
                limit: 1000,
            }])
        });
        facts
    }

    fn age(age: u64, freeze_at: u64) -> HealthFacts {
        let mut facts = well();
        facts.transaction_ids = Fact::Known(vec![TransactionIds {
            what: "transaction ids",
            database: "shop".to_owned(),
            age,
            freeze_at,
            limit: 1 << 31,
        }]);
        facts
    }

    #[test]
    fn a_column_fires_at_the_threshold() {
        is_ok(&column(799, None), Check::IdExhaustion);
        let said = problem(&column(800, None), Check::IdExhaustion);
        let expect =
            "app.orders.id has used 80 % or more of its ids, the last of which is 1000; widen";
        assert!(said.starts_with(expect), "{said}");
        // There is none left.
        assert!(problem(&column(1001, None), Check::IdExhaustion).contains("100 %"));
    }

    #[test]
    fn a_column_that_is_accepted_is_not_told() {
        let spec = HealthSpec {
            ignore: vec![Ignore {
                check: Check::IdExhaustion,
                table: Some(table("orders")),
                reason: "it is dropped tomorrow".to_owned(),
            }],
            ..HealthSpec::default()
        };
        assert_eq!(
            state(&column(900, None), &spec, Check::IdExhaustion),
            State::Ok
        );
    }

    #[test]
    fn transaction_ids_fire_at_the_threshold_and_where_nobody_freezes() {
        let percent = (1_u64 << 31) / 100;
        is_ok(&age(79 * percent, 1 << 31), Check::IdExhaustion);
        let said = problem(&age(81 * percent, 1 << 31), Check::IdExhaustion);
        assert!(said.starts_with(
            "80 % or more of the transaction ids are used since rows of database shop"
        ));
        is_ok(&age(399_999_999, 200_000_000), Check::IdExhaustion);
        let said = problem(&age(400_000_000, 200_000_000), Check::IdExhaustion);
        assert!(said.contains("autovacuum does not keep up"), "{said}");
    }

    #[test]
    fn unseen_is_unknown_unless_another_runs_out() {
        is_unknown(
            &column(1, Some("GRANT SELECT")),
            Check::IdExhaustion,
            "GRANT SELECT",
        );
        problem(&column(900, Some("GRANT SELECT")), Check::IdExhaustion);
        let mut facts = column(900, None);
        facts.transaction_ids = Fact::Unknown(Why::new("slow"));
        problem(&facts, Check::IdExhaustion);
        facts.ids = Fact::Known(Listed::all(Vec::new()));
        is_unknown(&facts, Check::IdExhaustion, "slow");
    }
}
