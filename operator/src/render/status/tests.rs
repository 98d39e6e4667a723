//! Statuses as people read them.

use dbop_api::ManagedDatabaseStatus;
use dbop_model::ObjectRef;
use jiff::Timestamp;

use super::{Urgency, lines, urgency};

fn read(yaml: &str) -> ManagedDatabaseStatus {
    serde_saphyr::from_str(yaml).unwrap()
}

#[track_caller]
fn check(wanted: Option<&str>, status: Option<&str>, expect: &str) {
    let status = status.map(read);
    let now: Timestamp = "2026-01-02T03:10:00Z".parse().unwrap();
    let id = ObjectRef::new("shop", "crm").unwrap();
    let text = lines(&id, wanted, status.as_ref(), now).join("\n");
    assert_eq!(text, expect.trim_matches('\n'), "\n{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
}

const WAITING: &str = r#"
conditions:
  - {type: Ready, status: "False", reason: CredentialInUse, lastTransitionTime: "2026-01-02T03:00:00Z", message: "waits: credential v2 is still used by a session (pid 4711, user crm_v2_9f31, from 10.1.4.7); its code cannot live with v4: deploy the application of v3 first"}
  - {type: Stalled, status: "False", reason: x, lastTransitionTime: "2026-01-02T03:00:00Z", message: x}
engine: PostgreSQL 18.6
currentVersion: v3
desiredVersion: v4
path: [v4]
credentials:
  - {migration: v2, username: crm_v2_9f31, secretName: crm-v2, state: Ready, inUse: true, usedBy: ["session pid 4711, user crm_v2_9f31, from 10.1.4.7"]}
  - {migration: v3, username: crm_v3_9f31, secretName: crm-v3, state: Ready, inUse: false}
lastRun: {migration: v3, from: v2, job: crm-v3-1a2b, digest: d, outcome: Failed, exitCode: 3, message: "relation x does not exist", startedAt: "2026-01-02T03:00:00Z", finishedAt: "2026-01-02T03:00:12Z"}
"#;

#[test]
fn a_login_that_was_replaced() {
    check(
        None,
        Some(
            r#"
conditions:
  - {type: Ready, status: "False", reason: ReplacedLoginInUse, lastTransitionTime: "2026-01-02T03:00:00Z", message: "waits: somebody"}
currentVersion: v3
desiredVersion: v3
credentials:
  - migration: v3
    username: crm_v3_9f31_2
    secretName: crm-v3
    state: Ready
    inUse: true
    usedBy: ["Deployment api (container api, envFrom)"]
    replaced: {username: crm_v3_9f31, inUse: true, usedBy: ["Pod api-1 (container api, envFrom)"]}
"#,
        ),
        "
shop/crm: at v3
  waits: somebody
  credentials  v3   in use   Secret crm-v3, login crm_v3_9f31_2
                 used by Deployment api (container api, envFrom)
                 replaces login crm_v3_9f31, still in use
                   used by Pod api-1 (container api, envFrom)
",
    );
}

#[test]
fn waiting() {
    check(
        Some("v4"),
        Some(WAITING),
        "
shop/crm (PostgreSQL 18.6): at v3, desired v4
  waits: credential v2 is still used by a session (pid 4711, user crm_v2_9f31, from 10.1.4.7); its
    code cannot live with v4: deploy the application of v3 first
  still to run v4
  credentials  v2   in use   Secret crm-v2, login crm_v2_9f31
                 used by session pid 4711, user crm_v2_9f31, from 10.1.4.7
               v3   unused   Secret crm-v3, login crm_v3_9f31
  last run     v3 failed with exit status 3; it ran 12 s, until 2026-01-02T03:00:12Z (Job
               crm-v3-1a2b): relation x does not exist
",
    );
}

#[test]
fn running_and_found() {
    check(
        Some("v9"),
        Some(
            r#"
conditions:
  - {type: Ready, status: "False", reason: MigrationRunning, lastTransitionTime: "2026-01-02T03:00:00Z", message: "waits: migration v4 is running"}
  - {type: DatabaseReachable, status: "True", reason: Connected, lastTransitionTime: "2026-01-02T03:00:00Z", message: x}
engine: PostgreSQL 18.6
desiredVersion: v9
path: [v1, v2, v3, v4, v5, v6, v7, v8, v9]
migration: {name: v4, job: crm-v4-77, startedAt: "2026-01-02T03:09:00Z", progress: 60}
findings:
  - {migration: v5, rule: missing-object, verdict: WillFail, table: x, evidence: there is no table x, advice: [correct the name]}
"#,
        ),
        "
shop/crm (PostgreSQL 18.6): empty, desired v9
  waits: migration v4 is running
  running      v4, 60 %, since 60 s (Job crm-v4-77)
  still to run v1, v2, v3, v4, v5 ... v9 (9 migrations)
  findings     v5 WillFail: there is no table x
               do: correct the name
",
    );
}

#[test]
fn long_names_and_ahead() {
    check(
        Some("add-full-name"),
        Some(
            r#"
conditions:
  - {type: Ready, status: "True", reason: AheadAndCompatible, lastTransitionTime: "2026-01-02T03:00:00Z", message: x}
currentVersion: backfill-full-name-of-customers
desiredVersion: add-full-name
credentials:
  - {migration: add-full-name, username: crm_add-full-name_9f31, secretName: crm-add-full-name, state: Ready, inUse: false}
  - {migration: backfill-full-name-of-customers, username: crm_backfill-full-name-of-customers_9f31, secretName: crm-backfill-full-name-of-customers, state: Defective}
"#,
        ),
        "
shop/crm: at backfill-full-name-of-customers, desired add-full-name, at rest: newer and compatible
  credentials  add-full-name                     unused
                 Secret crm-add-full-name, login crm_add-full-name_9f31
               backfill-full-name-of-customers   not in order
                 Secret crm-backfill-full-name-of-customers
                 login crm_backfill-full-name-of-customers_9f31
",
    );
}

#[test]
fn at_rest_and_unseen() {
    let ready = r#"
conditions:
  - {type: Ready, status: "True", reason: AtRest, lastTransitionTime: "2026-01-02T03:00:00Z", message: at rest}
engine: PostgreSQL 18.6
currentVersion: v3
desiredVersion: v3
"#;
    check(
        Some("v3"),
        Some(ready),
        "\nshop/crm (PostgreSQL 18.6): at v3, at rest\n",
    );
    check(
        Some("v3"),
        None,
        "
shop/crm, desired v3
  nothing has been seen of it yet; the operator or `local` looks; see: plan
",
    );
    check(
        Some("v4"),
        Some(ready),
        "\nshop/crm (PostgreSQL 18.6): at v3, desired v4, not looked at since the manifest changed\n",
    );
    let urgencies = [
        urgency(Some(&read(WAITING))),
        urgency(Some(&read(ready))),
        urgency(None),
    ];
    assert_eq!(
        urgencies,
        [Urgency::Reconciling, Urgency::Ready, Urgency::Unseen]
    );
}

#[test]
fn what_is_not_well_is_told_and_what_is_well_is_not() {
    let conditions = |healthy: &str, sampled: &str| {
        format!(
            r#"
conditions:
  - {{type: Ready, status: "True", reason: AtRest, lastTransitionTime: "2026-01-02T03:00:00Z", message: at rest}}
  - {{type: Healthy, status: "{healthy}", reason: Connections, lastTransitionTime: "2026-01-02T03:00:00Z", message: "Connections: 90 % or more are used; end some"}}
  - {{type: MetricsSampled, status: "{sampled}", reason: x, lastTransitionTime: "2026-01-02T03:00:00Z", message: "there is no table gone"}}
currentVersion: v3
desiredVersion: v3
"#
        )
    };
    check(
        None,
        Some(&conditions("False", "False")),
        "
shop/crm: at v3, at rest
  not well     Connections: 90 % or more are used; end some
  not sampled  there is no table gone
",
    );
    for word in ["True", "Unknown"] {
        check(
            None,
            Some(&conditions(word, word)),
            "shop/crm: at v3, at rest",
        );
    }
}
