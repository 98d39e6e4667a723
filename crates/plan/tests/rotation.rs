//! Rotation as a table: when a credential gets another login, and when the one before goes. The expected value is the
//! line that a person reads.
#![expect(clippy::unwrap_used, reason = "it is a test")]

#[path = "support/case.rs"]
#[expect(dead_code, reason = "it has words for every line of the planner")]
mod case;

use std::time::Duration;

use case::{Case, after_step, issued, name, rest, session};
use dbop_model::finding::Verdict;
use dbop_model::{Fact, LoginFacts, LoginName, LoginTurn, ObservedVersion, Outcome, Why};
use dbop_plan::{Decision, Quiet, Reference, RotationAsked, forecast};
use jiff::SignedDuration;

#[track_caller]
fn check(case: &Case, expect: &str) {
    assert_eq!(case.decide().to_string(), expect);
}

const ROTATE: &str = "rotate credential v2: a person said rotate";
const RETIRE: &str =
    "retire login shop_v2_9f31c0de of credential v2: unused, and replaced by shop_v2_9f31c0de_2";
const WATCH: &str = "waits: login shop_v2_9f31c0de of credential v2 was replaced and is unused, and watched until \
                     2026-01-01T00:01:00Z before it is retired";

/// What a person says: rotate the credential of v2, as it was published.
fn said(case: Case) -> Case {
    case.with(|case| {
        case.facts.object.rotate.push(RotationAsked {
            migration: Some(name("v2")),
            until: issued(),
        });
    })
}

/// The credential of v2 was rotated so many seconds ago.
fn rotated(case: Case, seconds: i64) -> Case {
    case.with(|case| {
        let Fact::Known(database) = &mut case.facts.database else {
            panic!("the database is unreachable");
        };
        let before = database.logins[&name("v2")].clone();
        let fresh = LoginFacts {
            name: LoginName::new("shop_v2_9f31c0de_2").unwrap(),
            turn: LoginTurn::Second,
            ..before.clone()
        };
        database.logins.insert(name("v2"), fresh);
        database.replaced.insert(name("v2"), before);
        let issued_at = Some(case.now - SignedDuration::from_secs(seconds));
        if let Fact::Known(secrets) = &mut case.facts.secrets {
            secrets.get_mut(&name("v2")).unwrap().issued_at = issued_at;
        }
    })
}

fn replaced(case: Case, change: impl FnOnce(&mut LoginFacts)) -> Case {
    case.database(|d| change(d.replaced.get_mut(&name("v2")).unwrap()))
}

fn held_by_session(case: Case) -> Case {
    replaced(case, |login| {
        login.sessions = Fact::Known(vec![session(7, login.name.as_str())]);
    })
}

/// The replaced login has been unused for so many seconds.
fn quiet(case: Case, seconds: i64) -> Case {
    case.with(|case| {
        let since = case.now - SignedDuration::from_secs(seconds);
        let quiet = Quiet { since };
        case.facts.quiet_replaced.insert(name("v2"), quiet);
    })
}

/// A reference of this kind, made so many seconds ago.
fn refers(case: Case, kind: &str, seconds: Option<i64>) -> Case {
    case.with(|case| {
        let made_at = seconds.map(|seconds| case.now - SignedDuration::from_secs(seconds));
        let reference = Reference {
            kind: kind.to_owned(),
            name: "api".to_owned(),
            how: "container api, env DATABASE_URL".to_owned(),
            made_at,
        };
        let Fact::Known(references) = &mut case.facts.references else {
            panic!("the references are not known");
        };
        references.entry(name("v2")).or_default().push(reference);
    })
}

#[test]
fn what_a_person_asks_for_is_done_once() {
    check(&said(rest(2, 2)), ROTATE);
    let done = after_step(&said(rest(2, 2)));
    let login = &done.facts.login(&name("v2")).unwrap().name;
    assert_eq!(login.as_str(), "shop_v2_9f31c0de_2");
    check(&quiet(done, 600), &WATCH.replace("01:00Z", "01:01Z"));
    // All that were published until then.
    let all = rest(2, 2).with(|case| {
        case.facts.object.rotate.push(RotationAsked {
            migration: None,
            until: issued(),
        });
    });
    check(&all, "rotate credential v1: a person said rotate");
    check(&after_step(&all), ROTATE);
    // One that is younger, and one whose time is yet to come.
    for (until, expect) in [(-1, "at rest"), (86_401, "at rest"), (86_400, ROTATE)] {
        let until = issued() + SignedDuration::from_secs(until);
        let asked = rest(2, 2).with(|case| {
            case.facts.object.rotate.push(RotationAsked {
                migration: Some(name("v2")),
                until,
            });
        });
        check(&asked, expect);
    }
}

#[test]
fn what_the_walk_waits_for_is_looked_at_as_often_while_a_login_is_watched() {
    let watched = |case: Case| {
        let case = quiet(rotated(case, 600), 30);
        check(&case, &WATCH.replace("01:00Z", "00:30Z"));
        let Decision::Wait { wake_at, .. } = case.decide() else {
            panic!("it waits")
        };
        wake_at.duration_since(case.now).as_secs()
    };
    assert_eq!(watched(rest(2, 2)), 30);
    assert_eq!(watched(rest(2, 3).session("v1")), 1);
}

#[test]
fn a_login_goes_when_it_is_old() {
    let every = |case: Case, hours: u64| {
        case.with(|case| {
            let every = Duration::from_secs(hours * 3600);
            case.desired.database.credentials.rotate_every = Some(every);
        })
    };
    check(
        &every(rest(2, 2), 24),
        "rotate credential v1: its login is from 2025-12-31T00:00:00Z, and rotateEvery is 86400 s",
    );
    check(&every(rest(2, 2), 25), "at rest");
    let unknown = every(rest(2, 2), 25).with(|case| {
        if let Fact::Known(secrets) = &mut case.facts.secrets {
            secrets.get_mut(&name("v2")).unwrap().issued_at = None;
        }
    });
    check(
        &unknown,
        "rotate credential v2: nobody knows since when its login is there, and rotateEvery is 90000 s",
    );
    // v1 comes first, and is left alone: it goes anyway, once it is unused.
    check(
        &every(rest(3, 3).cred("v1").session("v1"), 24),
        "rotate credential v2: its login is from 2025-12-31T00:00:00Z, and rotateEvery is 86400 s",
    );
}

#[test]
fn a_leaked_password_does_not_wait_for_the_walk() {
    // Whatever stops the walk, and before it goes on.
    let waiting = || said(rest(2, 3));
    check(&waiting(), ROTATE);
    check(&waiting().judged("v3", true, &[Verdict::WillFail]), ROTATE);
    check(&waiting().ran("v2", "v3", Outcome::Failed), ROTATE);
    check(&said(rest(2, 2)).version(ObservedVersion::None), ROTATE);
    // But for these.
    check(
        &waiting().running("v2", "v3"),
        "waits: migration v3 is running",
    );
    check(
        &waiting().paused(),
        "waits: paused by a person; set spec.paused to false to go on",
    );
    check(
        &waiting().read_only(),
        "waits: readOnly is set: only observed; set spec.readOnly to false to go on",
    );
    check(
        &waiting().altered("v2"),
        "repair credential v2: its Secret was changed",
    );
    check(
        &said(rest(2, 2)).deleting(),
        "let the object go: the database object is being deleted",
    );
}

#[test]
fn the_login_before_goes_when_nobody_holds_it() {
    let two = || rotated(rest(2, 2), 3600);
    check(&two(), WATCH);
    check(&quiet(two(), 59), &WATCH.replace("00:01:00Z", "00:00:01Z"));
    check(&quiet(two(), 60), RETIRE);
    check(&after_step(&quiet(two(), 60)), "at rest");
    // Unused before it was replaced is no reason: who read the Secret just before is yet to come.
    let just_now = quiet(rotated(rest(2, 2), 1), 3600);
    check(&just_now, &WATCH.replace("01:00Z", "00:59Z"));
    // One that was locked has been watched.
    check(&replaced(two(), |login| login.locked = true), RETIRE);
}

#[test]
fn who_holds_the_login_before_is_named() {
    let two = || quiet(rotated(rest(2, 2), 3600), 3600);
    let used = "waits: login shop_v2_9f31c0de of credential v2 was replaced and is still used by";
    check(
        &held_by_session(two()),
        &format!(
            "{used} a session (pid 7, user shop_v2_9f31c0de, from 10.1.4.7): start anew what holds it"
        ),
    );
    let by_pod =
        format!("{used} Pod api (container api, env DATABASE_URL): start anew what holds it");
    check(&refers(two(), "Pod", Some(3601)), &by_pod);
    check(&refers(two(), "Pod", None), &by_pod);
    // It read the Secret after that; and what is only a template reads it when a Pod of it starts.
    check(&refers(two(), "Pod", Some(3600)), RETIRE);
    check(&refers(two(), "Deployment", Some(7200)), RETIRE);
    let unknown = "waits: whether login shop_v2_9f31c0de of credential v2, which was replaced, is used is not known: \
                   the server did not answer";
    let hidden = replaced(two(), |login| {
        login.sessions = Fact::Unknown(Why::new("the server did not answer"));
    });
    check(&hidden, unknown);
    check(&two().references_unknown(), unknown);
    // There are never more than two.
    let again = held_by_session(two()).with(|case| {
        case.facts.object.rotate.push(RotationAsked {
            migration: Some(name("v2")),
            until: case.now - SignedDuration::from_secs(3600),
        });
    });
    check(
        &again,
        &format!(
            "{used} a session (pid 7, user shop_v2_9f31c0de, from 10.1.4.7): start anew what holds it (the next rotation \
             of v2 waits for that)"
        ),
    );
}

#[test]
fn a_replaced_login_is_in_nobody_s_way() {
    // Used: the walk goes on.
    let used = || {
        held_by_session(rotated(rest(2, 3), 3600)).with(|case| {
            case.facts.quiet.insert(
                name("v1"),
                Quiet {
                    since: case.now - SignedDuration::from_secs(60),
                },
            );
        })
    };
    check(
        &used(),
        "retire credential v1: unused, and its code cannot live with the schema of v3",
    );
    check(&after_step(&used()), "run v3 on v2: v3 is desired");
    // Unused and watched: beside what the walk waits for, and instead of what stops it.
    let waits = rotated(rest(2, 3), 3600);
    check(
        &waits,
        "waits: credential v1 is unused, and watched until 2026-01-01T00:01:00Z before it is retired",
    );
    check(&quiet(waits, 60), RETIRE);
    let stopped = || rotated(rest(2, 3), 3600).judged("v3", true, &[Verdict::WillFail]);
    check(&stopped(), WATCH);
    check(&quiet(stopped(), 60), RETIRE);
    assert!(
        held_by_session(stopped())
            .decide()
            .to_string()
            .starts_with("blocked: ")
    );
}

#[test]
fn a_retirement_that_does_not_go_on_is_undone() {
    let locked = || replaced(rotated(rest(2, 2), 3600), |login| login.locked = true);
    let unlock =
        "unlock credential v2: the retirement of login shop_v2_9f31c0de does not go on now";
    check(&held_by_session(locked()), unlock);
    check(&refers(locked(), "Pod", Some(3601)), unlock);
    check(&locked().paused(), unlock);
    check(&locked().running("v1", "v2"), unlock);
    check(&locked().altered("v2"), unlock);
    check(&after_step(&held_by_session(locked())), &{
        let used = "waits: login shop_v2_9f31c0de of credential v2 was replaced and is still used by a session (pid 7, \
                    user shop_v2_9f31c0de, from 10.1.4.7): start anew what holds it";
        used.to_owned()
    });
}

#[test]
fn a_credential_goes_with_both_its_logins() {
    // v2 cannot live with v4.
    let outdated = || rotated(rest(3, 4), 3600);
    check(
        &held_by_session(outdated()),
        "waits: credential v2 is still used by a session (pid 7, user shop_v2_9f31c0de, from 10.1.4.7); its code \
         cannot live with v4: deploy the application of v3 first",
    );
    let watched = |case: Case| {
        case.with(|case| {
            let since = case.now - SignedDuration::from_secs(60);
            case.facts.quiet.insert(name("v2"), Quiet { since });
        })
    };
    check(
        &watched(outdated()),
        "waits: credential v2 is unused, and watched until 2026-01-01T00:01:00Z before it is retired",
    );
    let ready = quiet(watched(outdated()), 60);
    let retire = "retire credential v2: unused, and its code cannot live with the schema of v4";
    check(&ready, retire);
    let gone = after_step(&ready);
    assert!(
        gone.facts
            .database
            .is_known_and(|d| d.replaced.is_empty() && !d.logins.contains_key(&name("v2")))
    );
    // A deletion gives both one proof.
    let deleted = rotated(rest(2, 2), 3600).revoke();
    check(
        &deleted,
        "revoke credential v1: the database object is being deleted",
    );
    check(
        &after_step(&held_by_session(deleted)),
        "let the object go and keep credential v2 (used by a session (pid 7, user shop_v2_9f31c0de, from 10.1.4.7)): \
         the database object is being deleted",
    );
}

#[test]
fn a_plan_shows_a_rotation_to_its_end() {
    let case = refers(said(rest(2, 2)), "Pod", Some(3600));
    let plan = forecast::forecast(&case.desired, &case.facts, &[].into(), case.now);
    let lines: Vec<String> = plan.decisions.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            ROTATE.to_owned(),
            "waits: login shop_v2_9f31c0de of credential v2 was replaced and is still used by Pod api (container api, \
             env DATABASE_URL): start anew what holds it"
                .to_owned(),
            WATCH.replace("01:00Z", "01:01Z"),
            RETIRE.to_owned(),
            "at rest".to_owned(),
        ]
    );
}
