//! `decide` as a table: one row for every line of the planner, for every word it can say, and for every edge
//! case of the contract. The expected value is the line that a person reads, so the words are tested too.
#![expect(clippy::unwrap_used, reason = "it is a test")]

#[path = "support/case.rs"]
mod case;

use case::{Case, after_step, case, name, rest, shown};
use dbop_model::finding::{HintMode, NotJudged, Verdict};
use dbop_model::{Engine, Fact, ObservedVersion, Outcome, Proof, SchemaVersion, Why};
use dbop_plan::Decision;

/// One row. Beside the words: the same facts decide the same again, a wait does not end in the past, and
/// the line is one line.
#[track_caller]
fn check(case: Case, expect: &str) {
    let decision = case.decide();
    assert_eq!(shown(&decision), expect);
    assert_eq!(case.decide(), decision, "equal facts, equal decisions");
    if let Decision::Wait { wake_at, .. } = &decision {
        assert!(*wake_at >= case.now, "{wake_at}");
    }
    assert!(!decision.to_string().contains('\n'));
    // A condition's reason is a word in CamelCase (Kubernetes API conventions).
    let reason = decision.reason();
    assert!(
        reason.starts_with(|c: char| c.is_ascii_uppercase()),
        "{reason:?}"
    );
    assert!(
        reason.chars().all(|c| c.is_ascii_alphanumeric()),
        "{reason}"
    );
}

fn version(text: &str) -> SchemaVersion {
    SchemaVersion::new(text).unwrap()
}

fn no_answer() -> Proof {
    Proof::Unknown(Why::new("the server did not answer in 5 s"))
}

// Line 1: half done.

#[test]
fn line_01_a_locked_login_whose_retirement_does_not_go_on_is_unlocked() {
    let unlock = "unlock credential v1: the retirement of credential v1 does not go on now";
    // Nobody wants v3 any more: v1 is the predecessor's again.
    check(rest(2, 2).locked("v1"), unlock);
    check(rest(2, 3).locked("v1").session("v1"), unlock);
    check(rest(2, 3).locked("v1").reference("v1"), unlock);
    check(rest(2, 3).locked("v1").sessions_unknown("v1"), unlock);
    check(rest(2, 3).locked("v1").references_unknown(), unlock);
    check(rest(2, 3).locked("v1").paused(), unlock);
    check(rest(2, 3).locked("v1").deleting(), unlock);
    check(rest(2, 3).locked("v1").version_unknown(), unlock);
    check(
        rest(2, 3)
            .locked("v1")
            .judged("v3", true, &[Verdict::WillFail]),
        unlock,
    );
    check(
        rest(2, 3).locked("v1").ran("v2", "v3", Outcome::Failed),
        unlock,
    );
    // Something else comes first: the retirement starts again after it.
    check(rest(2, 3).locked("v1").altered("v2"), unlock);
}

#[test]
fn line_01_the_current_credential_locked_by_hand_is_unlocked() {
    check(
        rest(2, 2).locked("v2"),
        "unlock credential v2: the retirement of credential v2 does not go on now",
    );
}

#[test]
fn line_01_several_logins_locked_the_one_that_goes_on_stays_locked() {
    let case = case(4)
        .at("v3")
        .cred("v1")
        .cred("v2")
        .cred("v3")
        .locked("v1")
        .locked("v2");
    check(
        case.clone(),
        "unlock credential v2: the retirement of credential v2 does not go on now",
    );
    check(
        after_step(&case).quiet("v2", 60),
        "retire credential v1: unused, and its code cannot live with the schema of v4",
    );
}

#[test]
fn line_01_after_an_unlock_the_watch_begins_anew() {
    let interrupted = rest(2, 3).locked("v1").quiet("v1", 600).reference("v1");
    let mut unlocked = after_step(&interrupted);
    unlocked.facts.references = Fact::Known([].into());
    check(
        unlocked,
        "waits: credential v1 is unused, and watched until 2026-01-01T00:01:00Z before it is retired",
    );
}

#[test]
fn line_01_an_open_door_without_a_run_is_closed() {
    let close = "lock the migrator: no migration is running";
    check(rest(2, 2).door_open(), close);
    check(rest(2, 2).door_open().paused(), close);
    check(rest(2, 2).door_open().deleting(), close);
    check(rest(2, 3).cred("v1").door_open(), close);
    // A suspended Job's run that cannot be started now.
    check(
        rest(2, 3)
            .no_login("v1")
            .no_secret("v1")
            .door_open()
            .suspended("v2", "v3")
            .slots(1, 1),
        close,
    );
    // Its sessions do not matter: they live on until their statement ends.
    check(rest(2, 2).door_open().migrator_session(), close);
}

#[test]
fn line_01_a_door_that_a_run_needs_stays_open() {
    let at_v2 = || case(3).at("v2").cred("v2").door_open();
    check(at_v2().suspended("v2", "v3"), "run v3 on v2: v3 is desired");
    check(
        at_v2().running("v2", "v3"),
        "waits: migration v3 is running",
    );
    check(
        at_v2().running("v2", "v3").paused(),
        "waits: paused by a person; set spec.paused to false to go on",
    );
    check(
        at_v2().finished("v2", "v3", false),
        "record the run of v3: it failed with exit status 1",
    );
    // Whether a run is under way is not known.
    check(
        at_v2().jobs_unknown(),
        "waits: the Jobs of this database not known: the server did not answer",
    );
}

#[test]
fn line_01_nothing_is_undone_under_read_only_or_without_our_claim() {
    check(
        rest(2, 2).locked("v1").door_open().read_only(),
        "waits: readOnly is set: only observed; set spec.readOnly to false to go on",
    );
    check(
        rest(2, 2).locked("v1").door_open().elsewhere(),
        "blocked: the database belongs to ManagedDatabase old/shop of cluster blue; delete that object, \
         or set the annotation database-operator.dev/take-over on this one",
    );
}

// Line 2: heal.

#[test]
fn line_02_a_defective_credential_is_repaired() {
    check(
        rest(2, 2).no_login("v2"),
        "repair credential v2: its login is gone",
    );
    check(
        rest(2, 2).no_login("v1"),
        "repair credential v1: its login is gone",
    );
    check(
        rest(2, 2).no_secret("v2"),
        "repair credential v2: its Secret is gone",
    );
    check(
        rest(2, 2).altered("v2"),
        "repair credential v2: its Secret was changed",
    );
    check(
        rest(2, 2).proof("v2", Proof::Refused),
        "repair credential v2: the server refuses the password in its Secret",
    );
    check(
        rest(2, 2).ungranted("v2").altered("v2"),
        "repair credential v2: its login lacks grants, its Secret was changed",
    );
    check(
        rest(2, 2).ungranted("v2").proof("v2", no_answer()),
        "repair credential v2: its login lacks grants",
    );
    let untried = rest(2, 2).ungranted("v2");
    check(
        untried.with(|case| case.facts.proofs.clear()),
        "repair credential v2: its login lacks grants",
    );
    // What a look before said of a password is of no use where one of the two is gone.
    check(
        rest(2, 2).no_login("v2").proof("v2", Proof::Refused),
        "repair credential v2: its login is gone",
    );
    check(
        rest(2, 2).no_secret("v2").proof("v2", Proof::Refused),
        "repair credential v2: its Secret is gone",
    );
}

#[test]
fn line_02_grants_follow_the_policy() {
    let drifted = |case: Case| case.database(|d| d.roles_ready = false);
    check(
        drifted(rest(2, 2)),
        "repair credential v1: its login lacks grants",
    );
    check(after_step(&drifted(rest(2, 2))), "at rest");
    // A migration that runs makes tables: its record brings the grants in order.
    check(
        drifted(rest(2, 3)).running("v2", "v3"),
        "waits: migration v3 is running",
    );
    // With no credential there is nobody to lack them.
    check(drifted(case(2).at("v1")), "run v2 on v1: v2 is desired");
}

#[test]
fn line_02_one_compatible_with_the_current_version_is_repaired() {
    check(
        rest(3, 3).cred("v1").compatible("v3", "v1").altered("v1"),
        "repair credential v1: its Secret was changed",
    );
}

#[test]
fn line_02_one_beyond_or_older_is_left_alone() {
    check(
        rest(2, 2)
            .cred("v3")
            .altered("v3")
            .with(|c| c.desired.chain = dbop_plan::example::chain(3).unwrap()),
        "at rest",
    );
    check(
        rest(3, 3).cred("v1").altered("v1").session("v1"),
        "waits: credential v1 is still used by a session (pid 4711, user shop_v1_9f31c0de, from \
         10.1.4.7); its code cannot live with the schema of v3: move it to credential v3",
    );
}

/// A statement that nobody waits for any more, or another owner's Job, may move the version at any moment: to one with
/// which the code of the current version works, and older code may not.
#[test]
fn line_02_one_that_a_run_may_outdate_is_not_repaired() {
    let connected = "waits: the migrator is still connected, with a session (pid 99, user \
                     shop_9f31c0de_migrator, from 10.1.4.7)";
    check(rest(2, 3).no_login("v1").migrator_session(), connected);
    check(
        rest(2, 3).no_login("v1").migrator_unknown(),
        "waits: the migrator's sessions not known: the server did not answer",
    );
    check(
        rest(2, 3).no_login("v2").migrator_session(),
        "repair credential v2: its login is gone",
    );
    check(
        rest(2, 3)
            .compatible("v3", "v1")
            .no_login("v1")
            .migrator_session(),
        "repair credential v1: its login is gone",
    );
    // The last of its chain: nothing can follow.
    check(
        rest(2, 2).no_login("v1").migrator_session(),
        "repair credential v1: its login is gone",
    );
    // Our own run retired what it outdates before it began.
    check(
        rest(2, 3).no_secret("v2").running("v2", "v3"),
        "repair credential v2: its Secret is gone",
    );
}

#[test]
fn line_02_one_locked_for_retirement_is_not_repaired() {
    check(
        rest(2, 3).locked("v1").no_secret("v1"),
        "retire credential v1: unused, and its code cannot live with the schema of v3",
    );
}

#[test]
fn line_02_after_a_half_retirement_a_new_secret_is_made() {
    // Locked, the Secret deleted; then a person paused. Unlocked first, then, unpaused, repaired.
    let half = rest(2, 3).locked("v1").no_secret("v1").paused();
    check(
        after_step(&half).with(|c| c.desired.database.paused = false),
        "repair credential v1: its Secret is gone",
    );
}

#[test]
fn line_02_only_an_authentication_error_means_does_not_work() {
    check(
        rest(2, 2).proof("v2", no_answer()),
        "waits: whether credential v2 works not known: the server did not answer in 5 s",
    );
    check(
        rest(2, 2).with(|c| {
            c.facts.proofs.clear();
        }),
        "waits: whether credential v1 works not known: it has not been tried",
    );
    // What is known to be wrong is repaired before what is not known is waited for.
    check(
        rest(2, 2).proof("v1", no_answer()).altered("v2"),
        "repair credential v2: its Secret was changed",
    );
}

#[test]
fn line_02_unknown_secrets_wait() {
    check(
        rest(2, 2).secrets_unknown(),
        "waits: the Secrets of the credentials not known: the server did not answer",
    );
}

#[test]
fn line_02_restored_to_a_new_server_the_roles_are_made_again() {
    check(
        rest(2, 2).unclaimed(),
        "repair credential v1: its login is gone",
    );
}

#[test]
fn line_02_what_would_be_stumbled_over_is_named_instead() {
    check(
        rest(2, 2)
            .no_login("v2")
            .foreign("login", "shop_v2_9f31c0de"),
        "blocked: login shop_v2_9f31c0de exists and is not ours; nothing of it was changed: rename or \
         remove it",
    );
    check(
        rest(2, 2).no_secret("v2").foreign("Secret", "shop-v2"),
        "blocked: Secret shop-v2 exists and is not ours; nothing of it was changed: rename or remove it",
    );
    // A Secret in the way of another credential is no reason to leave this one broken.
    check(
        rest(2, 3).no_secret("v2").foreign("Secret", "shop-v3"),
        "repair credential v2: its Secret is gone",
    );
    check(
        rest(2, 2)
            .no_login("v2")
            .missing("create logins", "ALTER ROLE admin CREATEROLE"),
        "blocked: the admin may not create logins (what helps: ALTER ROLE admin CREATEROLE)",
    );
}

// Line 3: a run is under way.

#[test]
fn line_03_a_run_is_waited_for_whatever_its_target() {
    check(
        rest(2, 3).running("v2", "v3"),
        "waits: migration v3 is running",
    );
    check(
        rest(2, 3).running("v2", "v3").desired("v2"),
        "waits: migration v3 is running",
    );
    check(
        rest(2, 3).running("v2", "v3").edited("v3"),
        "waits: migration v3 is running",
    );
    check(
        rest(2, 3).running("v2", "v3").deleting(),
        "waits: migration v3 is running",
    );
    check(
        rest(2, 3).running("v1", "v2"),
        "waits: migration v2 is running",
    );
}

#[test]
fn line_03_an_image_that_cannot_be_pulled() {
    check(
        rest(2, 3).pending("v2", "v3"),
        "waits: migration v3 has not started: ImagePullBackOff (Job shop-v3-#)",
    );
    check(
        rest(2, 3).pending("v2", "v3").edited("v3"),
        "delete Job shop-v3-#: it would run v3, but its migration has changed",
    );
    check(
        rest(2, 3).pending("v2", "v3").pruned("v3").desired("v2"),
        "delete Job shop-v3-#: it would run v3, but its migration has changed",
    );
    check(
        rest(2, 3).pending("v2", "v3").at("v1"),
        "delete Job shop-v3-#: it would run v3, but the database is no longer where it would start from",
    );
    check(
        rest(2, 3).pending("v2", "v3").deleting(),
        "delete Job shop-v3-#: it would run v3, but the database object is being deleted",
    );
    check(
        case(1).pending("v2", "v1"),
        "delete Job shop-v1-#: it would run v1, but the database is no longer where it would start from",
    );
}

/// The database is quicker than the kubelet: where the version is reached, the run may be over.
#[test]
fn line_03_a_run_that_may_be_over_is_waited_for() {
    check(
        rest(2, 3).pending("v2", "v3").at("v3"),
        "waits: migration v3 has not started: ImagePullBackOff (Job shop-v3-#)",
    );
    check(
        rest(2, 3).pending("v1", "v2"),
        "waits: migration v2 has not started: ImagePullBackOff (Job shop-v2-#)",
    );
}

#[test]
fn line_03_a_run_made_again_to_the_current_version_fits() {
    check(
        rest(2, 2)
            .ran("v1", "v2", Outcome::Failed)
            .retry()
            .pending("v1", "v2"),
        "waits: migration v2 has not started: ImagePullBackOff (Job shop-v2-#)",
    );
}

#[test]
fn line_03_a_dead_runs_statement_is_waited_for() {
    check(
        rest(2, 3).migrator_session(),
        "waits: the migrator is still connected, with a session (pid 99, user shop_9f31c0de_migrator, \
         from 10.1.4.7)",
    );
    check(
        rest(2, 3).finished("v2", "v3", false).migrator_session(),
        "waits: the migrator is still connected, with a session (pid 99, user shop_9f31c0de_migrator, \
         from 10.1.4.7)",
    );
    check(
        rest(2, 3).migrator_unknown(),
        "waits: the migrator's sessions not known: the server did not answer",
    );
}

// Line 4: a run ended.

#[test]
fn line_04_a_finished_run_is_recorded() {
    check(
        rest(2, 3).finished("v2", "v3", true).at("v3"),
        "record the run of v3: it succeeded, and the database says so",
    );
    check(
        rest(2, 3).finished("v2", "v3", true),
        "record the run of v3: it succeeded, but the database did not show its version",
    );
    check(
        rest(2, 3).finished("v2", "v3", false).at("v3"),
        "record the run of v3: it failed with exit status 1",
    );
    check(
        rest(2, 3).finished("v2", "v3", false).paused(),
        "record the run of v3: it failed with exit status 1",
    );
}

#[test]
fn line_04_a_run_that_went_past_its_target_on_the_path_is_complete() {
    check(
        rest(2, 4).finished("v2", "v3", true).at("v4"),
        "record the run of v3: it succeeded, and the database says so",
    );
    check(
        rest(2, 3).finished("v2", "v3", true).at("garbage"),
        "record the run of v3: it succeeded, but the database did not show its version",
    );
}

#[test]
fn line_04_a_recorded_run_is_let_go() {
    let recorded = || {
        rest(2, 3)
            .finished("v2", "v3", false)
            .ran("v2", "v3", Outcome::Failed)
            .job_is_recorded()
    };
    check(
        recorded(),
        "let Job shop-v3-# go: its outcome stands in the status",
    );
    check(
        recorded().paused(),
        "let Job shop-v3-# go: its outcome stands in the status",
    );
    check(
        recorded().unreachable(),
        "let Job shop-v3-# go: its outcome stands in the status",
    );
    // lastRun names another one, that began at the same moment: this one is not recorded yet.
    check(
        rest(3, 3)
            .finished("v1", "v2", true)
            .ran("v2", "v3", Outcome::Completed)
            .with(|c| c.facts.object.last_run.as_mut().unwrap().started_at = c.now),
        "record the run of v2: it succeeded, and the database says so",
    );
    // lastRun names a later one.
    check(
        rest(3, 3)
            .finished("v1", "v2", true)
            .ran("v2", "v3", Outcome::Completed)
            .with(|c| {
                c.facts.object.last_run.as_mut().unwrap().started_at =
                    c.now + jiff::SignedDuration::from_secs(1)
            }),
        "let Job shop-v2-# go: its outcome stands in the status",
    );
}

#[test]
fn line_04_the_oldest_is_recorded_first() {
    let two = rest(2, 3)
        .finished("v2", "v3", false)
        .finished("v1", "v2", true);
    check(
        two.with(|c| {
            if let Fact::Known(jobs) = &mut c.facts.jobs {
                jobs[1].created_at -= jiff::SignedDuration::from_secs(9);
            }
        }),
        "record the run of v2: it succeeded, and the database says so",
    );
}

#[test]
fn line_04_what_the_record_says_must_be_known() {
    check(
        rest(2, 3).finished("v2", "v3", true).version_unknown(),
        "waits: the schema version not known: the server did not answer",
    );
    check(
        rest(2, 3).finished("v2", "v3", true).unreachable(),
        "waits: cannot connect to db.shop:5432: connection refused",
    );
}

// Line 5: deletion.

#[test]
fn line_05_retain_lets_the_object_go() {
    let go = "let the object go: the database object is being deleted";
    check(rest(2, 2).deleting(), go);
    check(rest(2, 2).deleting().session("v1"), go);
    check(rest(2, 2).deleting().unreachable(), go);
    check(rest(2, 2).deleting().paused(), go);
    check(rest(2, 2).deleting().elsewhere(), go);
    check(rest(2, 2).deleting().altered("v2"), go);
    check(rest(2, 2).deleting().migrator_unknown(), go);
    check(rest(2, 2).deleting().version_unknown(), go);
}

#[test]
fn line_05_revoke_drops_what_is_provably_unused_and_names_the_rest() {
    check(
        rest(2, 2).revoke(),
        "revoke credential v1: the database object is being deleted",
    );
    check(
        rest(2, 2).revoke().session("v1"),
        "revoke credential v2: the database object is being deleted",
    );
    check(
        rest(2, 2).revoke().session("v1").reference("v2"),
        "let the object go and keep credential v1 (used by a session (pid 4711, user shop_v1_9f31c0de, \
         from 10.1.4.7)); credential v2 (used by Deployment api (container api, env DATABASE_URL)): the \
         database object is being deleted",
    );
    check(
        case(1).at("v1").cred("v1").revoke().sessions_unknown("v1"),
        "let the object go and keep credential v1 (use not known: the server did not answer): the \
         database object is being deleted",
    );
    check(
        case(1).at("v1").cred("v1").revoke().unreachable().paused(),
        "let the object go and keep credential v1 (use not known: cannot connect to db.shop:5432: \
         connection refused): the database object is being deleted",
    );
    // One that a person locked, or a revocation that was interrupted: it goes on.
    check(
        rest(2, 2).revoke().locked("v1"),
        "revoke credential v1: the database object is being deleted",
    );
    check(
        rest(2, 2).revoke().locked("v1").reference("v1"),
        "unlock credential v1: the retirement of credential v1 does not go on now",
    );
}

#[test]
fn line_05_revoke_touches_nothing_without_our_claim() {
    check(
        case(1).at("v1").cred("v1").revoke().elsewhere(),
        "let the object go and keep credential v1 (use not known: the database belongs to \
         ManagedDatabase old/shop of cluster blue): the database object is being deleted",
    );
    check(
        case(1).at("v1").cred("v1").revoke().unclaimed(),
        "let the object go and keep credential v1 (use not known: the database bears no claim of ours): \
         the database object is being deleted",
    );
}

#[test]
fn line_05_deleted_while_a_job_exists() {
    check(
        rest(2, 3).deleting().running("v2", "v3"),
        "waits: migration v3 is running",
    );
    check(
        rest(2, 3).deleting().running("v2", "v3").paused(),
        "waits: migration v3 is running",
    );
    check(
        rest(2, 3).deleting().suspended("v2", "v3"),
        "delete Job shop-v3-#: it would run v3, but the database object is being deleted",
    );
    check(
        rest(2, 3).deleting().finished("v2", "v3", true).at("v3"),
        "record the run of v3: it succeeded, and the database says so",
    );
    // Unreachable: recorded without the door, and what cannot be seen is not claimed.
    check(
        rest(2, 3)
            .deleting()
            .finished("v2", "v3", true)
            .unreachable(),
        "record the run of v3: it succeeded, but the database did not show its version",
    );
    check(
        rest(2, 3).deleting().jobs_unknown(),
        "waits: the Jobs of this database not known: the server did not answer",
    );
    check(
        rest(2, 3).deleting().migrator_session(),
        "waits: the migrator is still connected, with a session (pid 99, user shop_9f31c0de_migrator, \
         from 10.1.4.7)",
    );
}

#[test]
fn line_05_read_only_lets_the_object_go_and_writes_nothing() {
    check(
        rest(2, 2).revoke().read_only().locked("v1").door_open(),
        "let the object go: the database object is being deleted",
    );
}

// Line 6: a person holds everything.

#[test]
fn line_06_paused_and_read_only() {
    let paused = "waits: paused by a person; set spec.paused to false to go on";
    let read_only = "waits: readOnly is set: only observed; set spec.readOnly to false to go on";
    check(rest(2, 3).paused(), paused);
    check(rest(2, 3).paused().no_login("v2"), paused);
    check(rest(2, 3).paused().suspended("v2", "v3"), paused);
    check(rest(2, 3).paused().pending("v1", "v2"), paused);
    check(rest(2, 3).paused().unreachable(), paused);
    check(rest(2, 3).paused().elsewhere().take_over(), paused);
    check(rest(2, 3).read_only(), read_only);
    check(rest(2, 3).read_only().finished("v2", "v3", true), read_only);
    check(rest(2, 3).read_only().paused(), read_only);
}

// Line 7: out of reach.

#[test]
fn line_07_unreachable_or_unreadable() {
    check(
        rest(2, 3).unreachable(),
        "waits: cannot connect to db.shop:5432: connection refused",
    );
    check(
        rest(2, 3).version_unknown(),
        "waits: the schema version not known: the server did not answer",
    );
    check(
        case(3).secrets_unknown(),
        "waits: the Secrets of the credentials not known: the server did not answer",
    );
}

#[test]
fn line_07_two_managed_databases_on_one_database() {
    let elsewhere = || case(2).at("v1").elsewhere();
    check(
        elsewhere(),
        "blocked: the database belongs to ManagedDatabase old/shop of cluster blue; delete that object, \
         or set the annotation database-operator.dev/take-over on this one",
    );
    check(
        elsewhere().take_over(),
        "take over the claim: a person said take-over",
    );
    check(
        after_step(&elsewhere().take_over()),
        "run v2 on v1: v2 is desired",
    );
}

#[test]
fn line_07_the_admin_lacks_privileges() {
    check(
        rest(2, 2)
            .missing("create logins", "ALTER ROLE admin CREATEROLE")
            .missing(
                "create objects in schema public",
                "GRANT CREATE ON SCHEMA public TO admin",
            ),
        "blocked: the admin may not create logins (what helps: ALTER ROLE admin CREATEROLE); the admin \
         may not create objects in schema public (what helps: GRANT CREATE ON SCHEMA public TO admin)",
    );
}

#[test]
fn line_07_a_foreign_object_bears_our_name() {
    check(
        rest(2, 3).foreign("Secret", "shop-v3"),
        "blocked: Secret shop-v3 exists and is not ours; nothing of it was changed: rename or remove it",
    );
    check(
        rest(2, 3).foreign("Job", "shop-v3-x").database(|d| {
            d.foreign.push(dbop_model::ForeignObject {
                kind: "role".to_owned(),
                name: "shop_app".to_owned(),
            });
        }),
        "blocked: role shop_app, Job shop-v3-x exist and are not ours; nothing of them was changed: \
         rename or remove them",
    );
}

// Line 8: no place on the chain.

#[test]
fn line_08_a_version_that_is_none() {
    check(
        case(2).tables(),
        "blocked: the database has tables but no schema version; record the version that they are at \
         with the migration tool (alembic stamp and the like)",
    );
    check(
        case(7).at("v9"),
        "blocked: the database is at version v9, which no migration of this chain has (known: v1 ... \
         v7); create that migration, or restore the version",
    );
    check(
        case(2)
            .tables()
            .version(ObservedVersion::Several(vec![version("a1"), version("b2")])),
        "blocked: the database records several versions at once (a1, b2); merge the heads with the \
         migration tool",
    );
    check(
        case(2).tables().version(ObservedVersion::Dirty {
            version: version("7"),
            detail: "dirty is set in schema_migrations".to_owned(),
        }),
        "blocked: version 7 is half applied: dirty is set in schema_migrations; repair the schema and \
         the record with the migration tool",
    );
    check(
        rest(2, 3).migration("v3", |m| m.version = version("v2")),
        "blocked: the migrations v2, v3 all have version v2; give each a version of its own",
    );
    check(
        rest(2, 4).migration("v4", |m| m.version = version("v3")),
        "blocked: the migrations v3, v4 all have version v3; give each a version of its own",
    );
}

#[test]
fn line_08_a_broken_way_back_is_the_name_given() {
    check(
        case(3).pruned("v2").at("v1"),
        "blocked: DatabaseMigration v3 names v2 as its previous, which does not exist; create v2",
    );
    check(
        case(3)
            .migration("v2", |m| m.previous = Some(name("v3")))
            .at("v1"),
        "blocked: the migrations v3 -> v2 name each other as previous, in a circle; delete one of them \
         and create it again with the right previous",
    );
    check(
        case(3).desired("v9").at("v1"),
        "blocked: desiredSchemaVersion names DatabaseMigration v9, which does not exist; create it, or \
         name another",
    );
}

#[test]
fn line_08_after_a_failed_run_retry_makes_the_same_run_again() {
    let lost = || rest(2, 3).ran("v2", "v3", Outcome::Failed).at("half");
    check(
        lost(),
        "blocked: the database is at version half, which no migration of this chain has (known: v1, v2, \
         v3); create that migration, or restore the version",
    );
    check(
        lost().edited("v3"),
        "blocked: the database is at version half, which no migration of this chain has (known: v1, v2, \
         v3); create that migration, or restore the version",
    );
    let retired = || lost().no_login("v1").no_secret("v1").retry();
    check(retired(), "run v3 on v2: a person said retry of shop-v3-#");
    check(
        lost().retry().session("v1"),
        "waits: credential v1 is still used by a session (pid 4711, user shop_v1_9f31c0de, from \
         10.1.4.7); its code cannot live with v3: deploy the application of v2 first",
    );
    // The same migration, also where another is desired since.
    check(
        retired().branch("w3", "v2").desired("w3"),
        "run v3 on v2: a person said retry of shop-v3-#",
    );
    // A suspended Job of that run is carried on, another is not.
    check(
        retired().suspended("v2", "v3"),
        "run v3 on v2: a person said retry of shop-v3-#",
    );
    check(
        retired().suspended("v1", "v2"),
        "delete Job shop-v2-#: it would run v2, but it is no longer the next step",
    );
    // Tables without a version, after a first run that failed.
    let first = || case(2).ran("empty", "v1", Outcome::Failed).tables();
    check(
        first().retry(),
        "run v1 on the empty database: a person said retry of shop-v1-#",
    );
    check(
        first(),
        "blocked: the database has tables but no schema version; record the version that they are at \
         with the migration tool (alembic stamp and the like)",
    );
    // Of another run, or of one that completed, it says nothing.
    check(
        case(2)
            .ran("empty", "v1", Outcome::Completed)
            .tables()
            .retry(),
        "blocked: the database has tables but no schema version; record the version that they are at \
         with the migration tool (alembic stamp and the like)",
    );
    // Not where the migration was made anew on another one, or with a compatibleFrom that is none.
    check(
        retired()
            .branch("w2", "v1")
            .migration("v3", |m| m.previous = Some(name("w2"))),
        "blocked: the database is at version half, which no migration of this chain has (known: v1, w2, \
         v3); create that migration, or restore the version",
    );
    check(
        retired().compatible("v3", "v9"),
        "blocked: compatibleFrom of DatabaseMigration v3 names v9, which is not one of its ancestors; \
         change compatibleFrom of v3 to one of them, or remove it",
    );
    // No credential is made for a schema that nobody knows.
    check(
        retired().no_login("v2").no_secret("v2").slots(1, 1),
        "waits: a migration of another database is running, and --max-jobs is 1",
    );
}

// Line 9: a suspended Job, a missing credential.

#[test]
fn line_09_a_suspended_job_that_is_not_the_next_run_goes() {
    let gone = "delete Job shop-v3-#: it would run v3, but it is no longer the next step";
    check(
        rest(2, 2)
            .with(|c| c.desired.chain = dbop_plan::example::chain(3).unwrap())
            .suspended("v2", "v3"),
        gone,
    );
    check(rest(2, 3).suspended("v2", "v3").edited("v3"), gone);
    check(rest(3, 3).suspended("v2", "v3"), gone);
    check(
        rest(2, 3)
            .suspended("v2", "v3")
            .ran("v2", "v3", Outcome::Failed),
        gone,
    );
    // Left over from before the last run: it has another name.
    check(
        rest(2, 3)
            .suspended("v2", "v3")
            .ran("v1", "v2", Outcome::Completed),
        gone,
    );
    // The walk waits, and the run is still the next.
    check(
        rest(2, 3).suspended("v2", "v3").session("v1"),
        "waits: credential v1 is still used by a session (pid 4711, user shop_v1_9f31c0de, from \
         10.1.4.7); its code cannot live with v3: deploy the application of v2 first",
    );
}

#[test]
fn line_09_at_rest_the_current_and_its_predecessor_have_one() {
    check(
        case(2).at("v2"),
        "create credential v1: its code works with the schema of v2",
    );
    check(
        case(2).at("v2").cred("v1"),
        "create credential v2: the database is at v2",
    );
    check(
        case(1).at("v1"),
        "create credential v1: the database is at v1",
    );
    check(
        case(3)
            .at("v3")
            .cred("v2")
            .cred("v3")
            .compatible("v3", "v1"),
        "at rest",
    );
}

#[test]
fn line_09_a_pruned_predecessor_has_none() {
    check(case(2).at("v2").cred("v2").pruned("v1"), "at rest");
    check(
        rest(2, 3).pruned("v1").quiet("v1", 60),
        "retire credential v1: unused, and its code cannot live with the schema of v3",
    );
}

#[test]
fn line_09_where_the_walk_stops_or_waits_the_current_has_one_alone() {
    let create = "create credential v2: the database is at v2";
    let passing = || case(4).at("v2");
    check(passing(), "run v3 on v2: v3 is on the way to v4");
    check(passing().ran("v2", "v3", Outcome::Failed), create);
    check(passing().ran("v1", "v2", Outcome::Failed), create);
    check(passing().cred("v1").session("v1"), create);
    check(passing().cred("v1"), create);
    check(passing().judged("v3", true, &[Verdict::WillFail]), create);
    check(passing().judged("v3", true, &[Verdict::Queues]), create);
    check(passing().slots(1, 1), create);
    check(passing().compatible("v3", "v9"), create);
    check(
        passing().desired("w9"),
        "blocked: desiredSchemaVersion names DatabaseMigration w9, which does not exist; create it, or name another",
    );
    // A part of it is a credential: line 2 completes it.
    check(
        passing().slots(1, 1).login("v2"),
        "repair credential v2: its Secret is gone",
    );
}

#[test]
fn line_09_ahead_of_desired_that_one_has_one_too() {
    check(
        rest(3, 3).compatible("v3", "v1").desired("v1"),
        "create credential v1: its code works with the schema of v3",
    );
}

// The migration tool's own lock.

#[test]
fn line_12_a_lock_of_the_tool_makes_the_next_run_wait_and_is_told_with_what_frees_it() {
    let next = || rest(2, 3).no_login("v1").no_secret("v1");
    check(
        next().lock_row("build-7 (10.1.2.3)"),
        "waits: v3 cannot begin: Liquibase's lock (row of public.databasechangeloglock) is held by \
         build-7 (10.1.2.3) since 2025-12-31 23:00:00; once that is no longer at work, free it: UPDATE it;",
    );
    check(
        next().lock_session(7, "app"),
        "waits: v3 cannot begin: Flyway's lock (advisory lock 7) is held by pid 7, user app, from \
         10.1.4.7; once that is no longer at work, free it: SELECT pg_catalog.pg_terminate_backend(7);",
    );
    // What cannot be seen is the tool's to find out, and at rest nobody is kept waiting.
    check(next().locks_unknown(), "run v3 on v2: v3 is desired");
    check(rest(2, 2).lock_row("build-7 (10.1.2.3)"), "at rest");
    // Nothing is revoked while the run could not begin.
    check(
        rest(2, 3).lock_row("build-7 (10.1.2.3)"),
        "waits: v3 cannot begin: Liquibase's lock (row of public.databasechangeloglock) is held by \
         build-7 (10.1.2.3) since 2025-12-31 23:00:00; once that is no longer at work, free it: UPDATE it;",
    );
}

#[test]
fn a_lock_that_a_dead_run_left_is_told_as_its() {
    let failed = || rest(2, 3).ran("v2", "v3", Outcome::Failed);
    let job = failed().facts.object.last_run.unwrap().job;
    check(
        failed().lock_row(&format!("{job}-x7k2p (10.1.2.3)")),
        "blocked: the run of v3 that ended at 2025-12-31T23:59:30Z failed with exit status 1; change v3, \
         or say retry (Job shop-v3-#); Liquibase's lock (row of public.databasechangeloglock) is held by \
         shop-v3-#-x7k2p (10.1.2.3) since 2025-12-31 23:00:00, a Pod of Job shop-v3-#, which has ended; \
         free it: UPDATE it;",
    );
    // A host whose name only begins alike is another one.
    let decision = failed().lock_row(&format!("{job}x (10.1.2.3)")).decide();
    assert!(!decision.to_string().contains("a Pod of Job"), "{decision}");
    check(
        rest(2, 3)
            .migrator_session()
            .lock_session(99, "shop_9f31c0de_migrator"),
        "waits: the migrator is still connected, with a session (pid 99, user shop_9f31c0de_migrator, \
         from 10.1.4.7); Flyway's lock (advisory lock 7) is held by pid 99, user shop_9f31c0de_migrator, \
         from 10.1.4.7; once that is no longer at work, free it: SELECT \
         pg_catalog.pg_terminate_backend(99);",
    );
}

// Line 10: the last run did not complete.

#[test]
fn line_10_a_failed_run_to_the_next_stops_the_walk() {
    let failed = || rest(2, 3).ran("v2", "v3", Outcome::Failed);
    let without_v1 = |case: Case| case.no_login("v1").no_secret("v1");
    check(
        failed(),
        "blocked: the run of v3 that ended at 2025-12-31T23:59:30Z failed with exit status 1; change v3, \
         or say retry (Job shop-v3-#)",
    );
    check(
        failed().with(|c| {
            let run = c.facts.object.last_run.as_mut().unwrap();
            run.exit_code = None;
            run.message = "its node went away".to_owned();
        }),
        "blocked: the run of v3 that ended at 2025-12-31T23:59:30Z failed (its node went away); change \
         v3, or say retry (Job shop-v3-#)",
    );
    check(
        rest(2, 3).ran("v2", "v3", Outcome::VersionNotReached),
        "blocked: the run of v3 that ended at 2025-12-31T23:59:30Z succeeded, but the database did not \
         show its version; change v3, or say retry (Job shop-v3-#)",
    );
    check(
        without_v1(failed().retry()),
        "run v3 on v2: a person said retry of shop-v3-#",
    );
    // It goes on from where the database is, wherever the run before began.
    check(
        rest(2, 3)
            .no_login("v1")
            .no_secret("v1")
            .ran("empty", "v3", Outcome::Failed)
            .retry(),
        "run v3 on v2: a person said retry of shop-v3-#",
    );
    check(
        without_v1(failed().edited("v3")),
        "run v3 on v2: v3 has changed since its last run did not complete",
    );
    // accept-run is for a version that moved.
    check(
        failed().accept_run(),
        "blocked: the run of v3 that ended at 2025-12-31T23:59:30Z failed with exit status 1; change v3, \
         or say retry (Job shop-v3-#)",
    );
    // retry of another run is not of this one.
    check(
        failed()
            .retry()
            .with(|c| c.facts.object.retry = Some("shop-v3-old".parse().unwrap())),
        "blocked: the run of v3 that ended at 2025-12-31T23:59:30Z failed with exit status 1; change v3, \
         or say retry (Job shop-v3-#)",
    );
}

#[test]
fn line_10_where_ddl_is_not_rolled_back_a_failed_run_may_be_half_run() {
    let on = |outcome, engine| {
        rest(2, 3)
            .ran("v2", "v3", outcome)
            .database(|d| d.server.engine = engine)
    };
    check(
        on(Outcome::Failed, Engine::MariaDb),
        "blocked: the run of v3 that ended at 2025-12-31T23:59:30Z failed with exit status 1; it may be \
         half run, as MariaDB does not roll back DDL: finish or undo what it did; change v3, or say retry \
         (Job shop-v3-#)",
    );
    check(
        on(Outcome::Failed, Engine::PostgreSql),
        "blocked: the run of v3 that ended at 2025-12-31T23:59:30Z failed with exit status 1; change v3, \
         or say retry (Job shop-v3-#)",
    );
    // One that succeeded ran to its end.
    check(
        on(Outcome::VersionNotReached, Engine::MySql),
        "blocked: the run of v3 that ended at 2025-12-31T23:59:30Z succeeded, but the database did not \
         show its version; change v3, or say retry (Job shop-v3-#)",
    );
}

#[test]
fn line_10_a_failed_run_elsewhere_does_not() {
    // Nobody wants v3 any more.
    check(
        rest(2, 3).ran("v2", "v3", Outcome::Failed).desired("v2"),
        "at rest",
    );
    check(
        rest(2, 3)
            .no_login("v1")
            .no_secret("v1")
            .ran("v2", "v3", Outcome::Failed)
            .branch("w3", "v2")
            .desired("w3"),
        "run w3 on v2: w3 is desired",
    );
}

#[test]
fn line_10_a_failed_run_whose_version_moved() {
    let moved = || rest(2, 2).ran("v1", "v2", Outcome::Failed);
    check(
        moved(),
        "blocked: the run of v2 that ended at 2025-12-31T23:59:30Z failed with exit status 1; the \
         database shows its version all the same: say retry to run it again, or accept-run to go on (Job \
         shop-v2-#)",
    );
    check(
        moved().retry(),
        "run v2 on v1: a person said retry of shop-v2-#",
    );
    check(
        moved().edited("v2"),
        "run v2 on v1: v2 has changed since its last run did not complete",
    );
    check(
        moved().accept_run(),
        "take v2 as done: a person said accept-run of shop-v2-#",
    );
    check(after_step(&moved().accept_run()), "at rest");
    check(
        moved().retry().suspended("v1", "v2"),
        "run v2 on v1: a person said retry of shop-v2-#",
    );
    check(
        moved().retry().compatible("v2", "v9"),
        "blocked: compatibleFrom of DatabaseMigration v2 names v9, which is not one of its ancestors; \
         change compatibleFrom of v2 to one of them, or remove it",
    );
    // Also on the way to a later one.
    check(
        rest(2, 3).ran("v1", "v2", Outcome::VersionNotReached),
        "blocked: the run of v2 that ended at 2025-12-31T23:59:30Z succeeded, but the database did not \
         show its version then; it does now: say retry to run it again, or accept-run to go on (Job \
         shop-v2-#)",
    );
    check(rest(2, 2).ran("v1", "v2", Outcome::Accepted), "at rest");
}

#[test]
fn line_10_a_migration_edited_after_it_ran_changes_nothing() {
    check(
        rest(2, 2).ran("v1", "v2", Outcome::Completed).edited("v2"),
        "at rest",
    );
    check(
        rest(2, 2).ran("v1", "v2", Outcome::Accepted).edited("v2"),
        "at rest",
    );
}

// Line 11: at rest.

#[test]
fn line_11_at_rest_old_credentials_go() {
    check(rest(2, 2), "at rest");
    check(
        rest(3, 3).cred("v1"),
        "waits: credential v1 is unused, and watched until 2026-01-01T00:01:00Z before it is retired",
    );
    check(
        rest(3, 3).cred("v1").quiet("v1", 59),
        "waits: credential v1 is unused, and watched until 2026-01-01T00:00:01Z before it is retired",
    );
    check(
        rest(3, 3).cred("v1").quiet("v1", 60),
        "retire credential v1: unused, and its code cannot live with the schema of v3",
    );
    check(
        rest(3, 3).cred("v1").quiet("v1", 60).reference("v1"),
        "waits: credential v1 is still used by Deployment api (container api, env DATABASE_URL); its \
         code cannot live with the schema of v3: move it to credential v3",
    );
    // A Secret without a login has nobody to watch.
    check(
        rest(3, 3).secret("v1"),
        "retire credential v1: unused, and its code cannot live with the schema of v3",
    );
}

#[test]
fn line_11_what_is_compatible_stays() {
    check(
        rest(4, 4).cred("v1").cred("v2").compatible("v4", "v1"),
        "at rest",
    );
    check(
        rest(4, 4)
            .cred("v1")
            .cred("v2")
            .compatible("v4", "v2")
            .quiet("v1", 60),
        "retire credential v1: unused, and its code cannot live with the schema of v4",
    );
}

#[test]
fn line_11_the_predecessors_stays_also_where_compatible_from_is_wrong() {
    check(rest(3, 3).compatible("v3", "v9").quiet("v2", 60), "at rest");
    check(
        case(3).at("v3").cred("v3").compatible("v3", "v3"),
        "at rest",
    );
}

#[test]
fn line_11_desired_older_and_compatible_is_at_rest() {
    check(
        rest(3, 3).desired("v2"),
        "at rest, newer than desired and compatible with it",
    );
    check(
        rest(3, 3).cred("v1").desired("v2").quiet("v1", 60),
        "retire credential v1: unused, and its code cannot live with the schema of v3",
    );
    check(
        rest(3, 3).desired("v1"),
        "blocked: the database is at v3, newer than v1, whose code cannot live with it; set \
         desiredSchemaVersion to v3 or later, or restore a backup",
    );
}

#[test]
fn line_11_a_restored_backup_leaves_credentials_beyond() {
    let restored = || rest(2, 3).desired("v2").cred("v3");
    check(restored(), "at rest");
    check(
        restored().orphans_go(),
        "waits: credential v3 is unused, and watched until 2026-01-01T00:01:00Z before it is retired",
    );
    check(
        restored().orphans_go().quiet("v3", 60),
        "retire credential v3: unused, and its code cannot live with the schema of v2",
    );
    check(
        restored().orphans_go().quiet("v3", 60).session("v3"),
        "waits: credential v3 is still used by a session (pid 4711, user shop_v3_9f31c0de, from 10.1.4.7); its code cannot live with the schema of v2: move it to credential v2",
    );
    // Each goes by itself.
    let two = || {
        let case = rest(2, 4).desired("v2").cred("v3").cred("v4");
        case.orphans_go().session("v4")
    };
    check(
        two(),
        "waits: credential v3 is unused, and watched until 2026-01-01T00:01:00Z before it is retired",
    );
    check(
        two().quiet("v3", 60),
        "retire credential v3: unused, and its code cannot live with the schema of v2",
    );
    check(
        restored().locked("v3"),
        "unlock credential v3: the retirement of credential v3 does not go on now",
    );
    check(
        restored().orphans_go().locked("v3"),
        "retire credential v3: unused, and its code cannot live with the schema of v2",
    );
    // They never stop the walk.
    check(
        case(3)
            .at("v2")
            .cred("v2")
            .cred("v3")
            .session("v3")
            .orphans_go(),
        "run v3 on v2: v3 is desired",
    );
    check(
        case(3)
            .at("v1")
            .cred("v1")
            .cred("v2")
            .cred("v3")
            .session("v3")
            .session("v2"),
        "run v2 on v1: v2 is on the way to v3",
    );
}

#[test]
fn line_11_a_restored_database_runs_the_same_step_again() {
    check(
        case(3)
            .at("v2")
            .cred("v2")
            .cred("v3")
            .ran("v2", "v3", Outcome::Completed),
        "run v3 on v2: v3 is desired",
    );
}

// Line 12: the way, the findings, the retirement.

#[test]
fn line_12_no_way() {
    check(
        rest(3, 3).branch("w3", "v2").desired("w3"),
        "blocked: no chain of previous leads from w3 back to v3; set desiredSchemaVersion to v3 or to a \
         migration that follows it",
    );
    check(
        rest(2, 4).compatible("v4", "w9"),
        "blocked: compatibleFrom of DatabaseMigration v4 names w9, which is not one of its ancestors; \
         change compatibleFrom of v4 to one of them, or remove it",
    );
    check(
        case(3).pruned("v1"),
        "blocked: DatabaseMigration v2 names v1 as its previous, which does not exist; create v1",
    );
    check(
        rest(2, 3).locked("v1").compatible("v3", "v3"),
        "unlock credential v1: the retirement of credential v1 does not go on now",
    );
}

#[test]
fn line_12_a_workload_that_says_its_schema_is_not_stranded() {
    let next = || rest(2, 3).no_login("v1").no_secret("v1");
    let run = "run v3 on v2: v3 is desired";
    check(
        next().declared("v1"),
        "blocked: v3 would strand what runs, by its own label: Deployment api (v1); deploy the application of v2 \
         first, or correct the label",
    );
    check(next().declared("v2"), run);
    check(next().declared("v3"), run);
    check(next().declared("v1").compatible("v3", "v1"), run);
    // It names nothing that is known.
    check(
        next().declared("v9"),
        "blocked: v3 would strand what runs, by its own label: Deployment api (v9); deploy the application of v2 \
         first, or correct the label",
    );
    check(
        next().declared_unknown(),
        "waits: the running workloads of its namespace not known: the server did not answer",
    );
    // It has been left behind before: this step takes nothing from it.
    let later = || {
        let rest = rest(3, 4).no_login("v2").no_secret("v2");
        rest.declared("v1")
    };
    check(later(), "run v4 on v3: v4 is desired");
    // At rest it is nobody's concern.
    check(rest(3, 3).declared("v1"), "at rest");
}

#[test]
fn line_12_pruned_older_objects_are_in_nobodys_way() {
    check(
        case(4).at("v3").cred("v3").pruned("v1").pruned("v2"),
        "run v4 on v3: v4 is desired",
    );
    check(
        case(3).takes_empty("v2").pruned("v1"),
        "run v2 on the empty database: v2 is on the way to v3",
    );
}

#[test]
fn line_12_findings() {
    let judged = |verdicts: &[Verdict]| rest(2, 3).quiet("v1", 60).judged("v3", true, verdicts);
    check(
        judged(&[Verdict::WillFail]),
        "blocked: v3 would fail: NOT NULL on users.email: a row holds NULL",
    );
    check(
        judged(&[Verdict::Queues]),
        "waits: v3 would queue behind a session: NOT NULL on users.email: a row holds NULL",
    );
    check(
        judged(&[
            Verdict::Queues,
            Verdict::Blocks,
            Verdict::Unknown {
                looking_again_helps: false,
            },
        ]),
        "blocked: v3 would stop reads or writes: NOT NULL on users.email: a row holds NULL; cannot be \
         judged: NOT NULL on users.email: a row holds NULL",
    );
    check(
        judged(&[Verdict::Unknown {
            looking_again_helps: true,
        }]),
        "waits: v3 cannot be judged: NOT NULL on users.email: a row holds NULL",
    );
    let retire = "retire credential v1: unused, and its code cannot live with the schema of v3";
    check(judged(&[Verdict::Clean]), retire);
    check(
        judged(&[Verdict::WillFail]).hint_mode(HintMode::Warn),
        retire,
    );
    check(
        judged(&[Verdict::WillFail]).hint_mode(HintMode::Off),
        retire,
    );
}

#[test]
fn line_12_hints_that_are_missing() {
    check(
        rest(2, 3).judged("v3", false, &[]).hints_required(),
        "blocked: v3 says nothing of what it does to the schema, and requireHints is set; add \
         schemaHints or sql to it",
    );
    let unread = |lines: &[usize]| {
        rest(2, 3)
            .judged("v3", false, &[])
            .hints_required()
            .with(|case| {
                let Some(Fact::Known(judged)) = case.facts.hints.as_mut().map(|h| &mut h.judged)
                else {
                    panic!("it was judged");
                };
                judged.not_judged = lines
                    .iter()
                    .map(|line| NotJudged {
                        operation: format!("line {line}: DO"),
                        why: "it may do anything".to_owned(),
                        unread: true,
                    })
                    .collect();
            })
    };
    let ending =
        ", and requireHints is set; say in schemaHints what it does to the schema, [] if nothing";
    for (lines, others) in [(&[7][..], ""), (&[7, 9, 11], " and 2 more")] {
        let first = "blocked: not all SQL of v3 can be read: line 7: DO (it may do anything)";
        check(unread(lines), &format!("{first}{others}{ending}"));
    }
    check(
        rest(2, 3).quiet("v1", 60).judged("v3", false, &[]),
        "retire credential v1: unused, and its code cannot live with the schema of v3",
    );
    check(
        rest(2, 3).hint_mode(HintMode::Block),
        "waits: the live facts about migration v3 not known: they have not been gathered",
    );
    check(
        rest(2, 3).judged("v2", true, &[]),
        "waits: the live facts about migration v3 not known: they have not been gathered",
    );
    check(
        rest(2, 3).hints("v3", Fact::Unknown(Why::new("the statement timed out"))),
        "waits: the live facts about migration v3 not known: the statement timed out",
    );
}

#[test]
fn line_12_an_old_credential_in_use_names_the_users_and_the_way_on() {
    check(
        rest(2, 3).session("v1").reference("v1"),
        "waits: credential v1 is still used by a session (pid 4711, user shop_v1_9f31c0de, from \
         10.1.4.7) and Deployment api (container api, env DATABASE_URL); its code cannot live with v3: \
         deploy the application of v2 first",
    );
    check(
        rest(2, 3).sessions("v1", 1..6),
        "waits: credential v1 is still used by 5 sessions (pid 1, user shop_v1_9f31c0de, from 10.1.4.7; \
         pid 2, user shop_v1_9f31c0de, from 10.1.4.7; pid 3, user shop_v1_9f31c0de, from 10.1.4.7 and 2 \
         more); its code cannot live with v3: deploy the application of v2 first",
    );
    check(
        rest(2, 3).quiet("v1", 60).sessions_unknown("v1"),
        "waits: whether credential v1 is used is not known: the server did not answer; nothing is revoked \
         until it is",
    );
    check(
        rest(2, 3).quiet("v1", 60).references_unknown(),
        "waits: whether credential v1 is used is not known: the server did not answer; nothing is revoked \
         until it is",
    );
}

#[test]
fn line_12_nothing_is_revoked_while_any_of_them_is_used() {
    let three = || {
        case(4)
            .at("v3")
            .cred("v1")
            .cred("v2")
            .cred("v3")
            .quiet("v1", 60)
    };
    check(
        three().session("v2"),
        "waits: credential v2 is still used by a session (pid 4711, user shop_v2_9f31c0de, from \
         10.1.4.7); its code cannot live with v4: deploy the application of v3 first",
    );
    check(
        three().session("v1").reference("v2"),
        "waits: credential v1 is still used by a session (pid 4711, user shop_v1_9f31c0de, from \
         10.1.4.7); credential v2 is still used by Deployment api (container api, env DATABASE_URL); \
         their code cannot live with v4: deploy the application of v3 first",
    );
    check(
        three().quiet("v2", 30),
        "waits: credential v2 is unused, and watched until 2026-01-01T00:00:30Z before it is retired",
    );
    check(
        three().quiet("v2", 60),
        "retire credential v1: unused, and its code cannot live with the schema of v4",
    );
    check(
        three().quiet("v2", 60).locked("v2"),
        "retire credential v2: unused, and its code cannot live with the schema of v4",
    );
    check(
        three().locked("v1").session("v2"),
        "unlock credential v1: the retirement of credential v1 does not go on now",
    );
}

#[test]
fn line_12_a_release_that_jumps_two_versions() {
    // The application of v1 runs; v3 is wanted. v2 comes first, and the wait says which to deploy.
    let v1 = case(3).at("v1").cred("v1").session("v1");
    check(v1, "run v2 on v1: v2 is on the way to v3");
    let v2 = case(3).at("v2").cred("v1").session("v1");
    check(v2.clone(), "create credential v2: the database is at v2");
    check(
        after_step(&v2),
        "waits: credential v1 is still used by a session (pid 4711, user shop_v1_9f31c0de, from \
         10.1.4.7); its code cannot live with v3: deploy the application of v2 first",
    );
}

#[test]
fn line_12_two_additive_migrations_walk_through() {
    let v2 = case(3)
        .at("v2")
        .cred("v1")
        .session("v1")
        .compatible("v3", "v1");
    check(v2, "run v3 on v2: v3 is desired");
    let v3 = rest(3, 3).cred("v1").session("v1").compatible("v3", "v1");
    check(v3, "at rest");
}

#[test]
fn line_12_an_emptied_database_with_old_credentials() {
    // v1's code cannot live with v3, which takes the empty database straight to itself.
    let emptied = || case(3).takes_empty("v3").cred("v1").cred("v2");
    check(
        emptied().session("v1"),
        "waits: credential v1 is still used by a session (pid 4711, user shop_v1_9f31c0de, from \
         10.1.4.7); its code cannot live with v3: stop it first",
    );
    check(
        emptied().quiet("v1", 60),
        "retire credential v1: unused, and its code cannot live with the schema of v3",
    );
    // Those to come are in nobody's way.
    check(
        case(3).cred("v1").cred("v2").cred("v3").session("v3"),
        "run v1 on the empty database: v1 is on the way to v3",
    );
}

// Lines 13 and 14: a slot, and the run.

#[test]
fn line_13_no_slot() {
    check(
        case(3).at("v2").cred("v2").slots(2, 2),
        "waits: 2 migrations of other databases are running, and --max-jobs is 2",
    );
    check(
        case(3).at("v2").cred("v2").slots(1, 2),
        "run v3 on v2: v3 is desired",
    );
    // Retirement needs no slot.
    check(
        rest(2, 3).quiet("v1", 60).slots(2, 2),
        "retire credential v1: unused, and its code cannot live with the schema of v3",
    );
}

#[test]
fn line_14_the_next_run() {
    check(case(1), "run v1 on the empty database: v1 is desired");
    check(
        case(1).unclaimed(),
        "run v1 on the empty database: v1 is desired",
    );
    check(
        case(3),
        "run v1 on the empty database: v1 is on the way to v3",
    );
    check(
        case(3).takes_empty("v2"),
        "run v2 on the empty database: v2 is on the way to v3",
    );
    check(
        case(3).takes_empty("v2").takes_empty("v3"),
        "run v3 on the empty database: v3 is desired",
    );
    check(
        case(2).takes_empty("v2").at("v1").cred("v1"),
        "run v2 on v1: v2 is desired",
    );
}

#[test]
fn line_14_overshoot() {
    // Past n on the path: go on from there.
    check(
        case(4).at("v3").ran("v1", "v2", Outcome::Completed),
        "run v4 on v3: v4 is desired",
    );
    // Past desired: ahead where compatible, else blocked.
    check(
        rest(3, 3).desired("v2").ran("v1", "v2", Outcome::Completed),
        "at rest, newer than desired and compatible with it",
    );
    check(
        rest(4, 4).desired("v2").ran("v1", "v2", Outcome::Completed),
        "blocked: the database is at v4, newer than v2, whose code cannot live with it; set \
         desiredSchemaVersion to v4 or later, or restore a backup",
    );
    // Off the path.
    check(
        case(3)
            .branch("w2", "v1")
            .at("w2")
            .cred("w2")
            .ran("v1", "v2", Outcome::VersionNotReached),
        "blocked: no chain of previous leads from v3 back to w2; set desiredSchemaVersion to w2 or to a \
         migration that follows it",
    );
}

#[test]
fn line_14_a_run_is_never_started_beside_another() {
    let ready = || case(3).at("v2").cred("v2");
    check(
        ready().running("v1", "v2"),
        "waits: migration v2 is running",
    );
    check(
        ready().jobs_unknown(),
        "waits: the Jobs of this database not known: the server did not answer",
    );
    check(
        ready().migrator_unknown(),
        "waits: the migrator's sessions not known: the server did not answer",
    );
}

#[test]
fn line_14_a_run_whose_record_was_lost_is_recorded_not_repeated() {
    // The status was lost (a new object of equal name); the Job still stands.
    let lost = case(3)
        .at("v2")
        .cred("v1")
        .cred("v2")
        .session("v1")
        .finished("v2", "v3", false);
    check(
        lost.with(|c| {
            if let Fact::Known(jobs) = &mut c.facts.jobs {
                jobs[0].finalizer = false;
            }
        }),
        "record the run of v3: it failed with exit status 1",
    );
}
