//! Have all tables a primary key? Without one, replication of changes compares whole rows, and a batch has nothing to go by.

use dbop_model::Why;
use dbop_model::health::{Check, Problem, State};
use dbop_model::table::TableName;

use super::{Case, CheckRow, Judge, known, outcome};
use crate::words::names;

pub(super) const ROW: CheckRow = CheckRow {
    check: Check::PrimaryKeys,
    title: "tables without a primary key",
    judge: Judge::Looked(|case| known(judge(case))),
};

fn judge<'a>(case: &Case<'a>) -> Result<State, &'a Why> {
    let seen = case.facts.keyless.as_result()?;
    let is_own = |table: &TableName| case.own.iter().any(|own| own.may_be(table));
    let found: Vec<&TableName> = seen
        .listed
        .iter()
        .filter(|table| !is_own(table) && !case.spec.ignores_of(Check::PrimaryKeys, table))
        .collect();
    let problem = found.first().map(|first| {
        let named: Vec<String> = found.iter().map(ToString::to_string).collect();
        Problem {
            table: (found.len() == 1).then(|| (*first).clone()),
            message: format!("without a primary key: {}", names(&named, seen.more)),
            advice: "add one by a migration, or accept it in spec.health.ignore".to_owned(),
        }
    });
    Ok(outcome(problem.into_iter().collect(), seen.hidden.as_ref()))
}

#[cfg(test)]
mod tests {
    use dbop_model::Fact;
    use dbop_model::health::{HealthFacts, HealthSpec, Ignore, Listed};

    use super::*;
    use crate::judge;
    use crate::testing::{is_ok, is_unknown, problem, state, table, well};

    fn with(tables: &[&str]) -> HealthFacts {
        let mut facts = well();
        let tables = tables.iter().map(|name| table(name)).collect();
        facts.keyless = Fact::Known(Listed::all(tables));
        facts
    }

    #[test]
    fn one_is_enough() {
        is_ok(&with(&[]), Check::PrimaryKeys);
        let said = problem(&with(&["app.log", "app.tags"]), Check::PrimaryKeys);
        assert!(
            said.starts_with("without a primary key: app.log, app.tags; "),
            "{said}"
        );
    }

    #[test]
    fn what_is_accepted_and_what_the_tool_made_is_left_out() {
        let ignore = |table: Option<TableName>| HealthSpec {
            ignore: vec![Ignore {
                check: Check::PrimaryKeys,
                table,
                reason: "it is a log".to_owned(),
            }],
            ..HealthSpec::default()
        };
        let facts = with(&["app.log"]);
        let of_table = ignore(Some(table("app.log")));
        assert_eq!(state(&facts, &of_table, Check::PrimaryKeys), State::Ok);
        let other = ignore(Some(table("app.tags")));
        assert_ne!(state(&facts, &other, Check::PrimaryKeys), State::Ok);
        // The check itself is accepted: it is not shown at all.
        let left = judge(&facts, &ignore(None), &[]);
        assert!(left.iter().all(|one| one.check != Check::PrimaryKeys));
        let own = [table("databasechangelog")];
        let facts = with(&["public.databasechangelog"]);
        let checked = judge(&facts, &HealthSpec::default(), &own);
        let of_keys = checked.iter().find(|one| one.check == Check::PrimaryKeys);
        assert_eq!(of_keys.unwrap().state, State::Ok);
    }

    #[test]
    fn unseen_is_unknown() {
        let mut facts = well();
        facts.keyless = Fact::Unknown(Why::new("slow"));
        is_unknown(&facts, Check::PrimaryKeys, "slow");
    }
}
