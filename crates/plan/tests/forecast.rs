//! What `plan` shows: `decide` run forward, as a table of whole walks; and what comes next, the way to it, and where the
//! database stands.
#![expect(clippy::unwrap_used, reason = "it is a test")]

#[path = "support/case.rs"]
#[allow(dead_code, reason = "the words of a case are shared with other tables")]
mod case;

use std::collections::BTreeMap;

use case::{Case, case, name, rest};
use dbop_model::finding::{Judgement, Verdict};
use dbop_model::{Fact, MigrationName, ObservedVersion, Outcome, SchemaVersion};
use dbop_plan::forecast::{current, forecast, next, path};
use dbop_plan::{Decision, RotationAsked};

const WATCHED: &str =
    "waits: credential v1 is unused, and watched until 2026-01-01T00:01:00Z before it is retired";
const RETIRED: &str =
    "retire credential v1: unused, and its code cannot live with the schema of v3";
const RUN: &str = "run v3 on v2: v3 is desired";
const AT_V3: &str = "create credential v3: the database is at v3";
const AT_V2: &str = "create credential v2: the database is at v2";
const AT_V1: &str = "create credential v1: its code works with the schema of v2";
const REST: &str = "at rest";
const LET_GO: &str = "let the object go: the database object is being deleted";
const CLOSED: &str = "lock the migrator: no migration is running";

/// A decision as people read it, without what hashes make of it.
fn shown(decision: &Decision) -> String {
    let text = decision.to_string();
    match text.split_once("shop-v3-") {
        Some((before, rest)) => format!(
            "{before}#{}",
            rest.trim_start_matches(char::is_alphanumeric)
        ),
        None => text,
    }
}

/// One row: the decisions to come; then the way as it is now, whose first is what comes next, and where the database is.
#[track_caller]
fn check(case: Case, expect: &[&str], way: &[&str], stands: Option<&str>) {
    let Case {
        desired,
        facts,
        now,
    } = &case;
    let seen = forecast(desired, facts, &BTreeMap::new(), *now);
    let seen: Vec<String> = seen.decisions.iter().map(shown).collect();
    assert_eq!(seen, expect);
    let to_run: Vec<String> = path(desired, facts, *now)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(to_run, way);
    assert_eq!(
        next(desired, facts, *now)
            .map(|one| one.to_string())
            .as_deref(),
        way.first().copied()
    );
    assert_eq!(
        current(desired, facts, *now)
            .map(|one| one.to_string())
            .as_deref(),
        stands
    );
}

#[test]
fn what_is_half_done_ends_first() {
    let walk = [RETIRED, RUN, AT_V3, REST];
    check(rest(2, 3).locked("v1"), &walk, &["v3"], Some("v2"));
    check(
        rest(2, 3).door_open(),
        &[&[CLOSED, WATCHED][..], &walk].concat(),
        &["v3"],
        Some("v2"),
    );
    check(
        rest(2, 3).suspended("v2", "v3"),
        &[&[WATCHED][..], &walk].concat(),
        &["v3"],
        Some("v2"),
    );
    check(
        rest(2, 2).locked("v1"),
        &[
            "unlock credential v1: the retirement of credential v1 does not go on now",
            REST,
        ],
        &[],
        Some("v2"),
    );
    check(
        rest(2, 3).finished("v2", "v3", true).at("v3"),
        &[
            "record the run of v3: it succeeded, and the database says so",
            AT_V3,
            WATCHED,
            RETIRED,
            REST,
        ],
        &[],
        Some("v3"),
    );
    check(
        rest(2, 3).suspended("v2", "v3").desired("v2"),
        &[
            "delete Job #: it would run v3, but it is no longer the next step",
            REST,
        ],
        &[],
        Some("v2"),
    );
}

#[test]
fn whoever_is_waited_for_moves_in_the_end() {
    let walk = [WATCHED, RETIRED, RUN, AT_V3, REST];
    for (case, used_by) in [
        (
            rest(2, 3).session("v1"),
            "a session (pid 4711, user shop_v1_9f31c0de, from 10.1.4.7)",
        ),
        (
            rest(2, 3).reference("v1"),
            "Deployment api (container api, env DATABASE_URL)",
        ),
    ] {
        let used = format!(
            "waits: credential v1 is still used by {used_by}; its code cannot live with v3: deploy the application \
             of v2 first"
        );
        let expect = [&[used.as_str()][..], &walk].concat();
        check(case, &expect, &["v3"], Some("v2"));
    }
    check(
        rest(2, 3).quiet("v1", 60).slots(5, 5),
        &[
            RETIRED,
            "waits: 5 migrations of other databases are running, and --max-jobs is 5",
            RUN,
            AT_V3,
            REST,
        ],
        &["v3"],
        Some("v2"),
    );
}

#[test]
fn what_nothing_here_can_end_is_the_last_line() {
    check(
        rest(2, 3).paused(),
        &["waits: paused by a person; set spec.paused to false to go on"],
        &["v3"],
        Some("v2"),
    );
    check(
        rest(2, 3).unreachable(),
        &["waits: cannot connect to db.shop:5432: connection refused"],
        &[],
        None,
    );
    check(
        rest(2, 3).at("garbage"),
        &[
            "blocked: the database is at version garbage, which no migration of this chain has (known: v1, v2, v3); \
             create that migration, or restore the version",
        ],
        &[],
        None,
    );
}

#[test]
fn a_claim_comes_with_the_first_write() {
    let migrations = [
        "run v1 on the empty database: v1 is on the way to v2",
        "run v2 on v1: v2 is desired",
    ];
    check(
        case(2).unclaimed(),
        &[&migrations[..], &[AT_V1, AT_V2, REST]].concat(),
        &["v1", "v2"],
        None,
    );
    check(
        case(2).unclaimed().at("v2").tables(),
        &[AT_V1, AT_V2, REST],
        &[],
        Some("v2"),
    );
    check(
        rest(2, 2).elsewhere().take_over(),
        &["take over the claim: a person said take-over", REST],
        &[],
        Some("v2"),
    );
}

#[test]
fn what_somebody_changed_is_repaired_once() {
    for (case, because) in [
        (rest(2, 2).ungranted("v2"), "its login lacks grants"),
        (rest(2, 2).altered("v2"), "its Secret was changed"),
        (rest(2, 2).no_secret("v2"), "its Secret is gone"),
        (rest(2, 2).no_login("v2"), "its login is gone"),
    ] {
        let repaired = format!("repair credential v2: {because}");
        check(case, &[&repaired, REST], &[], Some("v2"));
    }
}

#[test]
fn a_persons_word_about_a_run_leads_back_to_the_way() {
    check(
        rest(2, 3).ran("v2", "v3", Outcome::Failed).retry(),
        &[
            WATCHED,
            RETIRED,
            "run v3 on v2: a person said retry of #",
            AT_V3,
            REST,
        ],
        &["v3"],
        Some("v2"),
    );
    check(
        rest(2, 3)
            .at("v3")
            .ran("v2", "v3", Outcome::Failed)
            .accept_run(),
        &[
            AT_V3,
            "take v3 as done: a person said accept-run of #",
            WATCHED,
            RETIRED,
            REST,
        ],
        &["v3"],
        Some("v3"),
    );
    // Off the chain: the run that is made again brings it back.
    check(
        rest(2, 4)
            .at("garbage")
            .ran("v2", "v3", Outcome::VersionNotReached)
            .retry(),
        &[
            WATCHED,
            RETIRED,
            "run v3 on v2: a person said retry of #",
            "retire credential v2: unused, and its code cannot live with the schema of v4",
            "run v4 on v3: v4 is desired",
            "create credential v3: its code works with the schema of v4",
            "create credential v4: the database is at v4",
            REST,
        ],
        &["v3", "v4"],
        None,
    );
    // Somewhere else: what was run last says nothing about it.
    check(
        rest(2, 4)
            .at("v3")
            .ran("v1", "v2", Outcome::Failed)
            .cred("v3"),
        &[
            "waits: credential v2 is unused, and watched until 2026-01-01T00:01:00Z before it is retired",
            "retire credential v1: unused, and its code cannot live with the schema of v4",
            "retire credential v2: unused, and its code cannot live with the schema of v4",
            "run v4 on v3: v4 is desired",
            "create credential v4: the database is at v4",
            REST,
        ],
        &["v4"],
        Some("v3"),
    );
}

#[test]
fn an_object_goes_as_its_policy_says() {
    let revoke = |of: &str| format!("revoke credential {of}: the database object is being deleted");
    let (first, second) = (revoke("v1"), revoke("v2"));
    check(
        rest(2, 2).revoke(),
        &[&first, &second, LET_GO],
        &[],
        Some("v2"),
    );
    check(
        rest(2, 2).revoke().session("v2"),
        &[
            &first,
            "let the object go and keep credential v2 (used by a session (pid 4711, user shop_v2_9f31c0de, from \
             10.1.4.7)): the database object is being deleted",
        ],
        &[],
        Some("v2"),
    );
    check(
        rest(2, 2).deleting().door_open(),
        &[CLOSED, LET_GO],
        &[],
        Some("v2"),
    );
}

#[test]
fn a_rotation_is_shown_to_its_end() {
    let asked = rest(2, 2).with(|case| {
        case.facts.object.rotate.push(RotationAsked {
            migration: Some(name("v2")),
            until: case.now,
        });
    });
    check(
        asked,
        &[
            "rotate credential v2: a person said rotate",
            "waits: login shop_v2_9f31c0de of credential v2 was replaced and is unused, and watched until \
             2026-01-01T00:01:01Z before it is retired",
            "retire login shop_v2_9f31c0de of credential v2: unused, and replaced by shop_v2_9f31c0de_2",
            REST,
        ],
        &[],
        Some("v2"),
    );
}

#[test]
fn what_is_known_of_a_migration_on_the_way_counts_when_it_is_reached() {
    let judged = rest(2, 4).judged("v4", true, &[Verdict::WillFail]);
    let Some(Fact::Known(of_v4)) = judged.facts.hints.clone().map(|hints| hints.judged) else {
        panic!("it was judged");
    };
    let case = judged.with(|case| case.facts.hints = None);
    let told: BTreeMap<MigrationName, Judgement> = [(name("v4"), of_v4)].into();
    let seen = forecast(&case.desired, &case.facts, &told, case.now);
    let seen: Vec<String> = seen.decisions.iter().map(shown).collect();
    assert!(
        seen.contains(&"run v3 on v2: v3 is on the way to v4".to_owned()),
        "{seen:#?}"
    );
    assert!(seen.last().unwrap().starts_with("blocked: "), "{seen:#?}");
}

#[test]
fn what_was_judged_just_now_stands() {
    check(
        rest(2, 3).judged("v3", true, &[Verdict::WillFail]),
        &["blocked: v3 would fail: NOT NULL on users.email: a row holds NULL"],
        &["v3"],
        Some("v2"),
    );
}

#[test]
fn a_run_that_is_made_again_is_no_way_out_of_every_place() {
    let several = ["v2", "v9"].map(|version| SchemaVersion::new(version).unwrap());
    let several = ObservedVersion::Several(several.to_vec());
    check(
        rest(2, 4)
            .version(several)
            .ran("v2", "v3", Outcome::Failed)
            .retry(),
        &[
            "blocked: the database records several versions at once (v2, v9); merge the heads with the migration tool",
        ],
        &[],
        None,
    );
}
