//! The checks, one per file.
//!
//! To add one: its file under `checks/`, its row in [`CHECKS`], its name in `dbop_model::health::Check`, and its row in
//! docs/health.md.

mod bloat;
mod connections;
mod disk;
mod id_exhaustion;
mod invalid_indexes;
mod long_transactions;
mod migrations;
mod primary_keys;
mod replication_lag;

use dbop_model::Why;
use dbop_model::health::{Check, HealthFacts, HealthSpec, Problem, Runs, State};
use dbop_model::table::TableName;

/// What a check reads.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) facts: &'a HealthFacts,
    pub(crate) spec: &'a HealthSpec,
    /// Tables of the migration tool.
    pub(crate) own: &'a [TableName],
}

/// How a check comes to its outcome.
#[derive(Clone, Copy)]
pub(crate) enum Judge {
    /// By what one look at the database found.
    Looked(fn(&Case<'_>) -> State),
    /// By what is known of runs, without the database.
    Runs(fn(&HealthSpec, &Runs<'_>) -> State),
}

/// A check.
pub struct CheckRow {
    /// Its name.
    pub check: Check,
    /// What it looks for, in a line.
    pub title: &'static str,
    pub(crate) judge: Judge,
}

/// Every check, what is worst first.
pub const CHECKS: &[CheckRow] = &[
    migrations::ROW,
    id_exhaustion::ROW,
    connections::ROW,
    disk::ROW,
    replication_lag::ROW,
    long_transactions::ROW,
    invalid_indexes::ROW,
    bloat::ROW,
    primary_keys::ROW,
];

/// Problems before what is hidden, and that before all being well: what is seen to be wrong is wrong, whatever else
/// there may be.
fn outcome(problems: Vec<Problem>, hidden: Option<&Why>) -> State {
    match hidden {
        _ if !problems.is_empty() => State::Degraded(problems),
        Some(why) => State::Unknown(why.clone()),
        None => State::Ok,
    }
}

/// The outcome, or unknown where a fact was missed.
fn known(judged: Result<State, &Why>) -> State {
    judged.unwrap_or_else(|why| State::Unknown(why.clone()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_check_has_its_row_in_the_order_of_the_list() {
        let rows: Vec<Check> = CHECKS.iter().map(|row| row.check).collect();
        assert_eq!(rows, Check::ALL);
    }

    #[test]
    fn every_check_stands_in_the_docs() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/health.md");
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for row in CHECKS {
            let line = format!("| `{}` | {}", row.check, row.title);
            assert!(text.contains(&line), "{} has no row {line}", path.display());
        }
    }
}
