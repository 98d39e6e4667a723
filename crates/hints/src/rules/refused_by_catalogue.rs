//! `refused-by-catalogue`: the server refuses a statement for what its catalogue holds: a name that is taken or not there,
//! something that hangs on what is dropped or changed, a key or a type that does not fit.
//!
//! The rows do not matter to any of this, so an empty table is no excuse. Each check is a row of [`CHECKS`]; what the
//! migration itself makes and takes away before is followed by the walk ([`crate::steps`]). A hint has no IF EXISTS and no
//! IF NOT EXISTS: a migration that is safe to run again skips what is done, so of hints nothing is said of names.

mod created;
mod dependents;
mod keys;
mod mysql;
mod names;
mod partitions;
mod readings;
mod types;

#[cfg(test)]
mod tests;

pub(crate) use readings::{NOT_UNDERSTOOD, is_excused_by, names_in};

use std::collections::BTreeSet;

use dbop_model::Engine;
use dbop_model::finding::{Evidence, Finding, Verdict};
use dbop_model::table::{FactRequest, TableName};

use crate::case::Case;
use crate::rules::Rule;
use crate::steps::Step;

pub(crate) const RULE: Rule = Rule {
    id: "refused-by-catalogue",
    title: "The server refuses a statement for what its catalogue holds",
    page: &crate::pages::REFUSED_BY_CATALOGUE,
    wants,
    judge,
};

/// One check: where it holds, which facts it needs beside those that every prediction asks for, and what it finds.
struct Check {
    engines: &'static [Engine],
    wants: fn(&Step<'_>, &mut BTreeSet<FactRequest>),
    finds: fn(&Case<'_>) -> Vec<Refusal>,
}

/// Why the server refuses, and the ways out.
struct Refusal {
    claim: String,
    evidence: Vec<Evidence>,
    advice: Vec<String>,
}

const ALL: &[Engine] = &[Engine::PostgreSql, Engine::MySql, Engine::MariaDb];
const POSTGRESQL: &[Engine] = &[Engine::PostgreSql];
const MYSQL: &[Engine] = &[Engine::MySql, Engine::MariaDb];

const fn check(
    engines: &'static [Engine],
    wants: fn(&Step<'_>, &mut BTreeSet<FactRequest>),
    finds: fn(&Case<'_>) -> Vec<Refusal>,
) -> Check {
    Check {
        engines,
        wants,
        finds,
    }
}

#[rustfmt::skip]
const CHECKS: &[Check] = &[
    //    where       needs                   finds
    check(ALL,        nothing,                names::column_is_there),
    check(ALL,        nothing,                names::column_is_missing),
    check(ALL,        nothing,                names::table_is_missing),
    check(ALL,        names::wants_new_name,  names::name_is_taken),
    check(ALL,        names::wants_dropped,   names::relation_is_missing),
    check(ALL,        nothing,                names::index_is_missing),
    check(ALL,        nothing,                names::constraint_is_missing),
    check(ALL,        nothing,                names::constraint_name_is_taken),
    check(ALL,        dependents::wants,      dependents::stop_a_drop),
    check(ALL,        dependents::wants,      dependents::stop_a_change),
    check(ALL,        nothing,                dependents::references_stop_a_truncate),
    check(POSTGRESQL, nothing,                dependents::constraint_needs_its_index),
    check(POSTGRESQL, dependents::wants,      dependents::trigger_is_missing),
    check(ALL,        nothing,                keys::second_primary_key),
    check(POSTGRESQL, nothing,                keys::using_index),
    check(ALL,        dependents::wants,      keys::without_partition_key),
    check(POSTGRESQL, dependents::wants,      keys::nullable_key),
    check(POSTGRESQL, keys::wants_other,      keys::refers_to_no_key),
    check(ALL,        readings::wants,        readings::refused),
    check(ALL,        nothing,                created::column_is_there_twice),
    check(ALL,        nothing,                created::key_leaves_out),
    check(POSTGRESQL, nothing,                created::identity_is_no_number),
    check(MYSQL,      nothing,                created::column_is_refused),
    check(MYSQL,      nothing,                created::numbering),
    check(&[Engine::MySql], nothing,          created::key_holds_null),
    check(MYSQL,      nothing,                created::options_are_refused),
    check(POSTGRESQL, nothing,                types::no_cast),
    check(POSTGRESQL, dependents::wants,      types::filled),
    check(POSTGRESQL, partitions::wants,      partitions::attach),
    check(POSTGRESQL, partitions::wants,      partitions::detach),
    check(MYSQL,      nothing,                mysql::index_name_is_taken),
    check(MYSQL,      nothing,                mysql::part_does_not_fit),
    check(MYSQL,      nothing,                mysql::indexed_column_grows),
    check(MYSQL,      nothing,                mysql::numbering),
    check(MYSQL,      nothing,                mysql::foreign_key_holds_a_type),
    check(MYSQL,      nothing,                mysql::foreign_key_needs_an_index),
    check(MYSQL,      keys::wants_other,      mysql::foreign_key_does_not_fit),
    check(MYSQL,      nothing,                mysql::foreign_key_holds_letters),
    check(MYSQL,      nothing,                mysql::foreign_key_holds_the_engine),
    check(MYSQL,      nothing,                mysql::foreign_key_sets_null),
    check(MYSQL,      nothing,                mysql::key_is_virtual),
    check(MYSQL,      nothing,                mysql::place_is_missing),
    check(MYSQL,      nothing,                mysql::every_column_goes),
    check(MYSQL,      nothing,                mysql::order_is_missing),
    check(MYSQL,      nothing,                mysql::index_is_renamed_or_hidden),
    check(MYSQL,      nothing,                mysql::primary_key_is_missing),
    check(MYSQL,      mysql::wants_named,     mysql::name_of_the_database_is_taken),
    check(MYSQL,      nothing,                mysql::named_trigger_is_missing),
    check(MYSQL,      mysql::wants_replaced,  mysql::is_of_another_kind),
    check(MYSQL,      mysql::wants_partitions, mysql::partitions_do_not_fit),
    check(MYSQL,      nothing,                mysql::partitioned_table_cannot_have),
];

fn nothing(_step: &Step<'_>, _wanted: &mut BTreeSet<FactRequest>) {}

/// The request for each table that the operation's may be.
fn of_table(
    step: &Step<'_>,
    wanted: &mut BTreeSet<FactRequest>,
    request: fn(TableName) -> FactRequest,
) {
    wanted.extend(step.tables().iter().cloned().map(request));
}

/// The engine is not known where facts are asked for; a backend that lacks one answers that it is unknown.
fn wants(step: &Step<'_>, wanted: &mut BTreeSet<FactRequest>) {
    for check in CHECKS {
        (check.wants)(step, wanted);
    }
}

fn judge(case: &Case<'_>) -> Vec<Finding> {
    if case.prediction.refused.is_some() {
        return Vec::new();
    }
    let defined = case.as_defined();
    let case = defined.as_ref().unwrap_or(case);
    let engine = case.server.engine;
    let checks = CHECKS
        .iter()
        .filter(|check| check.engines.contains(&engine));
    let refusals = checks.flat_map(|check| (check.finds)(case));
    refusals
        .map(|refusal| Finding {
            evidence: refusal.evidence,
            advice: refusal.advice,
            ..case.finding(RULE.id, Verdict::WillFail, refusal.claim)
        })
        .collect()
}

/// The only refusal, where there is one.
fn one(refusal: Option<Refusal>) -> Vec<Refusal> {
    refusal.into_iter().collect()
}

/// A refusal for something that was seen in the catalogue.
fn seen(
    case: &Case<'_>,
    value: impl Into<String>,
    claim: impl Into<String>,
    advice: Vec<String>,
) -> Refusal {
    Refusal {
        claim: claim.into(),
        evidence: vec![case.seen(value, "the catalogue")],
        advice,
    }
}
