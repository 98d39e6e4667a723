//! Facts for the tests of checks: all is well, but for what a test changes.

use dbop_model::Fact;
use dbop_model::health::{
    Check, Connections, HealthFacts, HealthSpec, Listed, Problem, State, TransactionIds,
};
use dbop_model::table::TableName;

use crate::judge;

/// A database that is well in every way.
pub(crate) fn well() -> HealthFacts {
    HealthFacts {
        connections: Fact::Known(vec![Connections {
            of: "the server",
            used: 10,
            max: 103,
            reserved: 3,
        }]),
        replicas: Fact::Known(Vec::new()),
        transactions: Fact::Known(Listed::all(Vec::new())),
        ids: Fact::Known(Listed::all(Vec::new())),
        transaction_ids: Fact::Known(vec![TransactionIds {
            what: "transaction ids",
            database: "shop".to_owned(),
            age: 1000,
            freeze_at: 200_000_000,
            limit: 1 << 31,
        }]),
        invalid_indexes: Fact::Known(Listed::all(Vec::new())),
        bloat: Fact::Known(Listed::all(Vec::new())),
        keyless: Fact::Known(Listed::all(Vec::new())),
        bytes: Fact::Known(1 << 30),
    }
}

pub(crate) fn table(name: &str) -> TableName {
    name.parse().unwrap()
}

/// What a check says of facts with these thresholds.
pub(crate) fn state(facts: &HealthFacts, spec: &HealthSpec, check: Check) -> State {
    let checked = judge(facts, spec, &[]);
    let found = checked.into_iter().find(|one| one.check == check);
    found.unwrap_or_else(|| panic!("{check} is left out")).state
}

/// The problems that a check finds.
#[track_caller]
pub(crate) fn problems(facts: &HealthFacts, spec: &HealthSpec, check: Check) -> Vec<Problem> {
    match state(facts, spec, check) {
        State::Degraded(problems) => problems,
        other => panic!("{check}: {other:?}"),
    }
}

/// The only problem that a check finds, as a sentence.
#[track_caller]
pub(crate) fn problem(facts: &HealthFacts, check: Check) -> String {
    let found = problems(facts, &HealthSpec::default(), check);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].to_string()
}

#[track_caller]
pub(crate) fn is_ok(facts: &HealthFacts, check: Check) {
    assert_eq!(state(facts, &HealthSpec::default(), check), State::Ok);
}

/// The check is unknown, with this in its reason.
#[track_caller]
pub(crate) fn is_unknown(facts: &HealthFacts, check: Check, why: &str) {
    match state(facts, &HealthSpec::default(), check) {
        State::Unknown(reason) => assert!(reason.to_string().contains(why), "{reason}"),
        other => panic!("{check}: {other:?}"),
    }
}
