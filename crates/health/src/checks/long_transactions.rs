//! Are transactions open for too long? They keep what is dead from being cleaned up, and changes of tables wait for them.

use dbop_model::Why;
use dbop_model::health::{Check, Problem, State};
use dbop_model::table::Blocker;

use super::{Case, CheckRow, Judge, known, outcome};
use crate::words::{names, span};

pub(super) const ROW: CheckRow = CheckRow {
    check: Check::LongTransactions,
    title: "transactions that stay open",
    judge: Judge::Looked(|case| known(judge(case))),
};

fn judge<'a>(case: &Case<'a>) -> Result<State, &'a Why> {
    let threshold = case.spec.long_transaction;
    let seen = case.facts.transactions.as_result()?;
    let long: Vec<&Blocker> = seen
        .listed
        .iter()
        .filter(|one| one.age >= threshold)
        .collect();
    let problem = long.first().map(|oldest| {
        let named = long
            .iter()
            .map(|one| format!("{} of login {}", one.session, one.login));
        Problem {
            table: None,
            message: format!(
                "the oldest transaction is open for {} or more: {}",
                span(oldest.age, threshold),
                names(&named.collect::<Vec<_>>(), 0)
            ),
            advice: "commit it or end its session; find out why the program leaves it open"
                .to_owned(),
        }
    });
    Ok(outcome(problem.into_iter().collect(), seen.hidden.as_ref()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dbop_model::Fact;
    use dbop_model::health::{HealthFacts, Listed};

    use super::*;
    use crate::testing::{is_ok, is_unknown, problem, well};

    fn with(minutes: &[u64], hidden: Option<&str>) -> HealthFacts {
        let of = |minutes: &u64| Blocker {
            session: "pid 7".to_owned(),
            login: "app".to_owned(),
            age: Duration::from_secs(minutes * 60),
            state: "active".to_owned(),
        };
        let mut facts = well();
        facts.transactions = Fact::Known(Listed {
            hidden: hidden.map(Why::new),
            ..Listed::all(minutes.iter().map(of).collect())
        });
        facts
    }

    #[test]
    fn it_fires_at_the_threshold() {
        is_ok(&with(&[14], None), Check::LongTransactions);
        let said = problem(&with(&[15, 1], None), Check::LongTransactions);
        let expect = "the oldest transaction is open for 15m or more: pid 7 of login app; ";
        assert!(said.starts_with(expect), "{said}");
        assert_eq!(
            said,
            problem(&with(&[29, 3], None), Check::LongTransactions)
        );
    }

    #[test]
    fn those_that_are_hidden_may_be_long() {
        is_unknown(
            &with(&[1], Some("grant it")),
            Check::LongTransactions,
            "grant it",
        );
        problem(&with(&[16], Some("grant it")), Check::LongTransactions);
        let mut facts = well();
        facts.transactions = Fact::Unknown(Why::new("slow"));
        is_unknown(&facts, Check::LongTransactions, "slow");
    }
}
